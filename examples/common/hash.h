/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_HASH_H
#define EXAMPLES_HASH_H

#include "opt.h"

/* FNV-1a over the parameters' bytes, lowest byte of each number first, whatever the machine's own order. */
uint64_t hash_weights(opt_params params);

#endif

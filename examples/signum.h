/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_SIGNUM_H
#define EXAMPLES_SIGNUM_H

#include "opt.h"

extern const opt_method signum;

typedef struct signum_opts {
    double beta; /* in signum_hyper's order, were there more */
} signum_opts;

#endif

/* SPDX-License-Identifier: MIT
 *
 * Training on several ranks.
 */
#ifndef OPT_TRAIN_RANKS_H
#define OPT_TRAIN_RANKS_H

#include "train/loop.h"

/* OPT_OK when all ranks are about to do the same: the library's version, settings, sizes, and where the run
 * stands, weights and slots included. Otherwise all return OPT_EINVAL, and the message says what differs. */
opt_status opt__check_ranks(const opt__loop *l);

#endif

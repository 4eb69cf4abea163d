/* SPDX-License-Identifier: MIT
 *
 * What opt_train refuses before it begins.
 */
#ifndef OPT_TRAIN_OPTIONS_H
#define OPT_TRAIN_OPTIONS_H

#include <opt/train.h>

/* OPT_OK when the arguments make sense and fit each other; otherwise a message. The validation's source is
 * looked at when it is opened. */
opt_status opt__check_training(opt_ctx *ctx, const opt_model *model, const opt_optim *optim,
                               const opt_batches *batches, const opt_train_opts *opts);

#endif

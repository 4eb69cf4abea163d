/* SPDX-License-Identifier: MIT
 *
 * Checks and norms of a list of parameters.
 */
#ifndef OPT_OPTIM_PARAMS_H
#define OPT_OPTIM_PARAMS_H

#include <opt/tensor.h>

#include "base/context.h"

/* OPT_OK when every parameter has a name of its own, data, and a gradient that fits; otherwise a message that
 * begins with `who`. */
opt_status opt__check_params(opt_ctx *ctx, const char *who, opt_params params);

/* *norm <- the Euclidean norm of all gradients, each element first brought into [-limit, limit], without
 * overflow or underflow. OPT_ENONFINITE names the tensor and element. */
opt_status opt__norm(opt_ctx *ctx, const char *who, opt_params params, double limit, double *norm);

#endif

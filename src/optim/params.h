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

/* Elements [start, start + OPT__SEGMENT) of a gradient, and the sum of their squares as they are and with
 * each element brought into [-limit, limit]. */
typedef struct opt__segment {
    int param;
    int64_t start;
    double sum[2];
} opt__segment;

#define OPT__SEGMENT 4096

int64_t opt__segment_count(opt_params params);
void opt__cut_into_segments(opt_params params, opt__segment *out);

/* norm[0] <- the Euclidean norm of all gradients, without overflow or underflow; norm[1] <- that with each
 * element first brought into [-limit, limit], which may be infinite. segments: all n of them, for threads to
 * share the work; NULL: one thread does it, to the same bits. OPT_ENONFINITE names the tensor and element. */
opt_status opt__norm(opt_ctx *ctx, const char *who, opt_params params, opt__segment *segments, int64_t n,
                     double limit, double *norm);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Checks and norms of a list of parameters.
 */
#ifndef OPT_OPTIM_PARAMS_H
#define OPT_OPTIM_PARAMS_H

#include <opt/tensor.h>

#include "base/context.h"

#define OPT__SHARED INT64_C(32768) /* elements from which on threads share a pass over them */

/* OPT_OK when every parameter has a name of its own, data, and a gradient that fits; otherwise a message that
 * begins with `who`. */
opt_status opt__check_params(opt_ctx *ctx, const char *who, opt_params params);

/* A stretch of the elements of all gradients, numbered one after the other. */
typedef struct opt__stretch {
    opt_tensor g;
    int64_t first; /* the number of its first element */
} opt__stretch;

/* norm[0] <- the Euclidean norm of gradients, without overflow or underflow; norm[1] <- that with each
 * element first brought into [-limit, limit], which may be infinite. Blocks of OPT__SUM_BLOCK elements are
 * summed by lanes, blocks in order, whatever tensors they belong to and wherever those lie. sums
 * [opt__sum_blocks][2]: for threads to share the work; NULL: one thread does it, to the same bits. Not
 * finite: OPT_ENONFINITE, without a message. */
opt_status opt__norm(const opt_ctx *ctx, const opt__stretch *stretches, int n, double limit, double *sums,
                     double *norm);
int64_t opt__sum_blocks(const opt__stretch *stretches, int n);

/* The message that names the tensor and element that is not finite; OPT_OK if all are. */
opt_status opt__blame_nonfinite(opt_ctx *ctx, const char *who, opt_params params);

#endif

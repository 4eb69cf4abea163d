/* SPDX-License-Identifier: MIT
 *
 * What the ranks of a context do together. All of them must call a function at the same time, with the same
 * sizes; with one rank nothing happens.
 */
#ifndef OPT_BASE_RANKS_H
#define OPT_BASE_RANKS_H

#include "base/context.h"

/* A number that changes no sum, not even one of zeros: what ranks add that have nothing to say. */
#define OPT__NOTHING (-0.0)

/* OPT_ECOMM: what was going on, and what the context's opt_comm says of why it failed. */
opt_status opt__comm_failed(opt_ctx *ctx, const char *what);

/* buf[0..n) <- its sum over ranks. OPT_ECOMM, with a message that begins with `what`. */
opt_status opt__sum(opt_ctx *ctx, const char *what, void *buf, int64_t n, opt_dtype dtype);

/* The same, which may go on after the call, until opt__finish_sums has returned; without begin in opt_comm it
 * does not. */
opt_status opt__begin_sum(opt_ctx *ctx, const char *what, void *buf, int64_t n, opt_dtype dtype);
opt_status opt__finish_sums(opt_ctx *ctx, const char *what);

/* Each comes with how it fared: OPT_OK from all, and x[0..n), n at most 4, becomes its sum over ranks;
 * otherwise all return the status of the first rank that has one, with its message, after "rank 2: ", and x
 * is untouched. */
opt_status opt__agree(opt_ctx *ctx, opt_status mine, double *x, int n);

/* Text of lines "name\tvalue\n", measured (to NULL) or written. */
typedef struct opt__lines {
    char *to;
    size_t length;
} opt__lines;

/* The line's name is group and name end to end. */
void opt__add_line(opt__lines *l, const char *group, const char *name, const char *value);

/* OPT_OK when every rank lists the same lines; otherwise all return OPT_EINVAL, with a message like
 * "rank 2: batches.seed is 4 where rank 0 has 3". `list` is called twice. */
opt_status opt__same_on_all(opt_ctx *ctx, void (*list)(opt__lines *l, const void *arg), const void *arg);

#endif

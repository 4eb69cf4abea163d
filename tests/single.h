/* SPDX-License-Identifier: MIT
 *
 * One parameter "w" and an optimizer over it: for the tests of methods.
 */
#ifndef TESTS_SINGLE_H
#define TESTS_SINGLE_H

#include "support.h"

typedef struct single {
    count *count; /* its context's allocator */
    opt_ctx *ctx;
    opt_param param; /* n zeros, and as many for the gradient */
    opt_optim *optim;
} single;

/* Of n elements; hyper may be NULL. */
single single_with(const opt_method *m, const void *hyper, opt_dtype dtype, int64_t n,
                   const opt_optim_opts *opts);
single single_new(const opt_method *m, const void *hyper, opt_dtype dtype, int64_t n, double lr);

/* Of any shape. */
single single_shaped(const opt_method *m, const void *hyper, opt_dtype dtype, int ndim, const int64_t *dim,
                     const opt_optim_opts *opts, int threads);

void single_free(single *p);

/* A step with what the gradient holds. */
void single_step(single *p);

/* A step down sum_i (i + 1) (w_i - i)^2 / 2. */
void single_step_down(single *p);

bool single_same_bits(const single *a, const single *b);

/* Takes `steps` steps of both, with the same gradients, and fails unless the weights are the same bits. */
void single_check_same_path(single *a, single *b, int steps);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The matrix product on bare arrays, for callers that have checked their shapes.
 */
#ifndef OPT_TENSOR_MATMUL_H
#define OPT_TENSOR_MATMUL_H

#include <opt/tensor.h>

/* c [m, n] <- op(a) [m, k] op(b) [k, n] + beta c, all dense row-major and of one dtype. Each element of c is
 * ((beta c + a0 b0) + a1 b1) + ..., in this order. */
void opt__matmul(opt_dtype dtype, bool ta, const void *a, bool tb, const void *b, double beta, void *c,
                 int64_t m, int64_t n, int64_t k);

#endif

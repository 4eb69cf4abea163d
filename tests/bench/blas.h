/* SPDX-License-Identifier: MIT
 *
 * What a good C programmer writes on top of a BLAS, as a yardstick; and the BLAS's products alone. Without
 * OpenBLAS these do nothing.
 */
#ifndef OPT_BENCH_BLAS_H
#define OPT_BENCH_BLAS_H

#include <opt.h>

/* Seconds for the second of two epochs of Adam on 784-128-64-10, in the table's dtype, with one thread;
 * *loss: its mean. 0 when there is no BLAS. */
double blas_wide(const opt_table *table, int64_t batch, double *loss);

/* c <- op(a) op(b) with one thread; false when there is no BLAS. */
bool blas_matmul(bool ta, const opt_tensor *a, bool tb, const opt_tensor *b, opt_tensor *c);

#endif

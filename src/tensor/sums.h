/* SPDX-License-Identifier: MIT
 *
 * Sums in an order that is fixed, so that their bits are.
 */
#ifndef OPT_TENSOR_SUMS_H
#define OPT_TENSOR_SUMS_H

#include <opt/tensor.h>

/* The sum of x[i]^2 over x[0..n), each x[i] first brought into [-limit, limit] (infinite: as it is), in f64:
 * eight lanes, lane j taking elements j, j + 8, ... of blocks of 4096; lanes combined by a tree, blocks in
 * order. Not finite when an element is not (with no limit), or when squares overflow. */
double opt__sum_squares(opt_dtype dtype, const void *x, int64_t n, double limit);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Checks and views of tensors shared by the modules above.
 */
#ifndef OPT_TENSOR_TENSOR_H
#define OPT_TENSOR_TENSOR_H

#include <math.h>

#include <opt/tensor.h>

#include "base/context.h"

/* Room for a shape in a message: "[2, 3]". */
typedef struct opt__shape {
    char text[96];
} opt__shape;

static inline size_t opt__size(opt_dtype dtype)
{
    return dtype == OPT_F32 ? sizeof(float) : dtype == OPT_BF16 ? sizeof(uint16_t) : sizeof(double);
}

/* "f32" or "f64". */
const char *opt__dtype_name(opt_dtype dtype);
opt__shape opt__shape_of(const opt_tensor *t);
bool opt__same_shape(const opt_tensor *a, const opt_tensor *b);

/* The number of elements, or -1 when a dimension is below 1, ndim outside 0..4, or the bytes overflow. */
int64_t opt__count(opt_dtype dtype, int ndim, const int64_t *dim);

/* OPT_OK when t is there and whole; otherwise a message that begins with `what`, for example "matmul: a". */
opt_status opt__check_tensor(opt_ctx *ctx, const char *what, const opt_tensor *t);

/* x for a message: whether a NaN has a sign differs between instruction sets. */
static inline double opt__shown(double x)
{
    return x != x ? (double)NAN : x;
}

/* The address of element i. */
void *opt__at(const opt_tensor *t, int64_t i);

/* t seen as a matrix, one example a row: [n] has 1 column, [n, a, b] a * b columns. ndim is at least 1. */
static inline int64_t opt__rows(const opt_tensor *t)
{
    return t->dim[0];
}
int64_t opt__cols(const opt_tensor *t);

/* Whether they share memory. */
bool opt__overlap(const opt_tensor *a, const opt_tensor *b);

/* Index of the first element that is not finite, or -1. */
int64_t opt__find_nonfinite(const opt_tensor *t);

#endif

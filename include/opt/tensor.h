/* SPDX-License-Identifier: MIT
 *
 * Dense row-major arrays of float or double, up to four dimensions. The structs are open: wrap your own array
 * with opt_tensor_view and no copy is made.
 */
#ifndef OPT_TENSOR_H
#define OPT_TENSOR_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The most dimensions of a tensor. */
#define OPT_MAX_DIMS 4

/* Element [i, j, k, l] is data[((i * dim[1] + j) * dim[2] + k) * dim[3] + l]. Every dimension is at least 1;
 * ndim 0 is a single number. Copying the struct makes another view of the same memory. */
typedef struct opt_tensor {
    void *data;
    opt_dtype dtype;
    int ndim;
    int64_t dim[OPT_MAX_DIMS];
} opt_tensor;

/* A parameter to train: its value, the gradient of the loss by it (same shape and dtype), and a name for
 * messages and files. no_decay exempts it from l2 and weight decay, as biases often are; the rest makes
 * groups of parameters that an optimizer treats otherwise. What is not set, 0, changes nothing. */
typedef struct opt_param {
    const char *name;
    opt_tensor value, grad;
    bool no_decay;
    bool frozen;         /* never stepped: it has no state, and its gradient's elements are not looked at */
    double lr_factor;    /* times the learning rate; >= 0, 0 means 1 */
    double decay_factor; /* times l2 and weight_decay; likewise */
} opt_param;

/* A list of n parameters with distinct names. */
typedef struct opt_params {
    opt_param *at;
    int n;
} opt_params;

/* Makes *out a zeroed tensor of the library's own, aligned to 64 bytes. OPT_ESHAPE when a dimension is below
 * 1 or the size overflows, OPT_EDTYPE for an unknown dtype, OPT_ENOMEM. Release it with opt_tensor_free. */
opt_status opt_tensor_new(opt_ctx *ctx, opt_dtype dtype, int ndim, const int64_t *dim, opt_tensor *out);

/* Releases the memory of a tensor made by the library (opt_tensor_new, opt_moons, opt_read_npy) with the
 * same context, and zeroes *t. Never pass a view of your own memory. A zeroed tensor or NULL is allowed. */
void opt_tensor_free(opt_ctx *ctx, opt_tensor *t);

/* A tensor over the caller's array, which must outlive it. dim may be NULL for ndim 0. If the arguments make
 * no sense, the result is zeroed; what it is passed to says that it has no data, unless it may do without. */
opt_tensor opt_tensor_view(opt_dtype dtype, void *data, int ndim, const int64_t *dim);

/* Rows [first, first + n) of t as a view; data is NULL when t has no such rows. */
opt_tensor opt_tensor_rows(const opt_tensor *t, int64_t first, int64_t n);

/* The number of elements; 1 for ndim 0. */
int64_t opt_tensor_len(const opt_tensor *t);

/* Copies src into dst, which has the same shape; f64 to f32 rounds to nearest. The two may be the same
 * tensor, but must not overlap otherwise. OPT_ESHAPE. */
opt_status opt_tensor_copy(opt_ctx *ctx, const opt_tensor *src, opt_tensor *dst);

/* Sets every element to x, rounded to nearest for f32. */
void opt_tensor_fill(opt_tensor *t, double x);

/* Element i in row-major order, i in [0, opt_tensor_len(t)): not checked, these are for inner loops. opt_set
 * changes the element, not the struct, which may be const. */
double opt_get(const opt_tensor *t, int64_t i);
void opt_set(const opt_tensor *t, int64_t i, double x);

/* c <- op(a) op(b) + beta c, where op transposes when ta or tb is set. op(a) is [m, k], op(b) [k, n], c [m,
 * n]; all of one dtype. beta 0 ignores what c held. Each element starts from beta c and adds its k products
 * in order, multiply then add, whatever the machine. c must not overlap a or b. OPT_ESHAPE, OPT_EDTYPE,
 * OPT_EINVAL (overlap, beta not finite in that dtype). */
opt_status opt_matmul(opt_ctx *ctx, bool ta, const opt_tensor *a, bool tb, const opt_tensor *b, double beta,
                      opt_tensor *c);

#ifdef __cplusplus
}
#endif
#endif

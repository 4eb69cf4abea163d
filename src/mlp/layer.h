/* SPDX-License-Identifier: MIT
 *
 * One fully connected layer, forward and backward, on bare arrays.
 */
#ifndef OPT_MLP_LAYER_H
#define OPT_MLP_LAYER_H

#include "mlp/mlp.h"

/* z [rows, out] <- x [rows, in] W^T + b */
void opt__layer_forward(const opt__layer *l, opt_dtype dtype, const void *x, int64_t rows, void *z);

/* a[0..n) <- act(a) */
void opt__activate(opt_act act, opt_dtype dtype, int64_t n, void *a);

/* dW += dz^T x, db += the sum of dz's rows, for the layer's dz [rows, out] and its input x [rows, in] */
void opt__layer_gradient(const opt__layer *l, opt_dtype dtype, const void *x, int64_t rows);

/* The dz of the layer before l, [rows, l->in] <- (dz W) act'(z), by that layer's activations. */
void opt__layer_backward(const opt__layer *l, const opt__layer *before, opt_act act, opt_dtype dtype,
                         int64_t rows);

#endif

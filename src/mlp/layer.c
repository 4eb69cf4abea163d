/* SPDX-License-Identifier: MIT
 *
 * One fully connected layer: products by opt__matmul, the rest from one copy of layer.inc a dtype.
 */
#include "mlp/layer.h"

#include <math.h>
#include <string.h>

#include "tensor/matmul.h"

#define REAL    float
#define EXP     expf
#define TANH    tanhf
#define NAME(x) x##_f32
#include "mlp/layer.inc"
#undef REAL
#undef EXP
#undef TANH
#undef NAME
#define REAL    double
#define EXP     exp
#define TANH    tanh
#define NAME(x) x##_f64
#include "mlp/layer.inc"

void opt__layer_forward(const opt__layer *l, opt_dtype dtype, const void *x, int64_t rows, void *z)
{
    if (dtype == OPT_F32)
        start_with_bias_f32(rows, l->out, l->b, z);
    else
        start_with_bias_f64(rows, l->out, l->b, z);
    opt__matmul(dtype, false, x, true, l->w, 1, z, rows, l->out, l->in);
}

void opt__activate(opt_act act, opt_dtype dtype, int64_t n, void *a)
{
    if (dtype == OPT_F32)
        activate_f32(act, n, a);
    else
        activate_f64(act, n, a);
}

void opt__layer_gradient(const opt__layer *l, opt_dtype dtype, const void *x, int64_t rows)
{
    opt__matmul(dtype, true, l->dz, false, x, 1, l->dw, l->out, l->in, rows);
    if (dtype == OPT_F32)
        add_bias_gradient_f32(rows, l->out, l->dz, l->db);
    else
        add_bias_gradient_f64(rows, l->out, l->dz, l->db);
}

void opt__layer_backward(const opt__layer *l, const opt__layer *before, opt_act act, opt_dtype dtype,
                         int64_t rows)
{
    const int64_t n = rows * l->in;

    opt__matmul(dtype, false, l->dz, false, l->w, 0, before->dz, rows, l->in, l->out);
    if (dtype == OPT_F32)
        times_derivative_f32(act, n, before->a, before->dz);
    else
        times_derivative_f64(act, n, before->a, before->dz);
}

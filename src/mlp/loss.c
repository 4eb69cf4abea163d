/* SPDX-License-Identifier: MIT
 *
 * Losses: one copy of loss.inc a dtype.
 *
 * All are computed from the logits z. With a = 1 / (1 + exp(-z)), -log(a) y - log(1 - a) (1 - y) is
 * max(z, 0) - z y + log(1 + exp(-|z|)), which is finite for every finite z; the textbook form is inf * 0 once
 * a rounds to 0 or 1. Likewise -log softmax(z)_j = (max z - z_j) + log sum exp(z - max z).
 */
#include <math.h>

#include "mlp/mlp.h"
#include "tensor/tensor.h"

#define REAL    float
#define EXP     expf
#define LOG     logf
#define LOG1P   log1pf
#define NAME(x) x##_f32
#include "mlp/loss.inc"
#undef REAL
#undef EXP
#undef LOG
#undef LOG1P
#undef NAME
#define REAL    double
#define EXP     exp
#define LOG     log
#define LOG1P   log1p
#define NAME(x) x##_f64
#include "mlp/loss.inc"

double opt__loss_factor(opt_loss loss, int64_t k)
{
    return loss == OPT_SOFTMAX_CE ? 1 : 1 / (double)k;
}

double opt__loss_sum(opt_loss loss, opt_dtype dtype, const void *z, const void *y, int64_t n, int64_t k)
{
    return dtype == OPT_F32 ? loss_sum_f32(loss, z, y, n, k) : loss_sum_f64(loss, z, y, n, k);
}

void opt__loss_gradient(opt_loss loss, opt_dtype dtype, const void *z, const void *y, double scale, int64_t n,
                        int64_t k, void *dz)
{
    if (dtype == OPT_F32)
        loss_gradient_f32(loss, z, y, (float)scale, n, k, dz);
    else
        loss_gradient_f64(loss, z, y, scale, n, k, dz);
}

void opt__output_activation(opt_loss loss, opt_dtype dtype, const void *z, int64_t n, int64_t k, void *a)
{
    if (dtype == OPT_F32)
        output_activation_f32(loss, z, n, k, a);
    else
        output_activation_f64(loss, z, n, k, a);
}

opt_status opt__check_labels(opt_ctx *ctx, opt_loss loss, const opt_tensor *y, int64_t k)
{
    const int64_t n = opt__rows(y);
    int64_t row;

    if (loss == OPT_MSE)
        return OPT_OK;
    row = y->dtype == OPT_F32 ? bad_label_f32(loss, y->data, n, k) : bad_label_f64(loss, y->data, n, k);
    if (row >= 0)
        return opt__fail(ctx, OPT_EINVAL, "mlp: row %lld of y is not %s", (long long)row,
                         loss == OPT_BCE ? "within [0, 1]" : "one-hot: one 1 among zeros");
    return OPT_OK;
}

/* SPDX-License-Identifier: MIT
 *
 * The inner loops of optimizer steps: one copy of steps.inc a dtype.
 */
#include "optim/steps.h"

#include <math.h>

#define REAL    float
#define SQRT    sqrtf
#define NAME(x) x##_f32
#include "optim/steps.inc"
#undef REAL
#undef SQRT
#undef NAME
#define REAL    double
#define SQRT    sqrt
#define NAME(x) x##_f64
#include "optim/steps.inc"

double opt__power(double x, int64_t n)
{
    double y = 1;

    for (; n > 0; n /= 2) {
        if (n % 2 == 1)
            y *= x;
        x *= x;
    }
    return y;
}

void opt__effective_gradient(opt_dtype dtype, int64_t n, const void *w, const void *g, void *out, double clip,
                             double scale, double l2)
{
    if (dtype == OPT_F32)
        effective_f32(n, w, g, out, (float)clip, (float)scale, (float)l2);
    else
        effective_f64(n, w, g, out, clip, scale, l2);
}

void opt__shrink(opt_dtype dtype, int64_t n, void *w, double factor)
{
    if (dtype == OPT_F32)
        shrink_f32(n, w, (float)factor);
    else
        shrink_f64(n, w, factor);
}

void opt__step_gd(const opt_update *u)
{
    const int64_t n = opt_tensor_len(&u->w);

    if (u->w.dtype == OPT_F32)
        gd_f32(n, u->w.data, u->g.data, (float)u->lr);
    else
        gd_f64(n, u->w.data, u->g.data, u->lr);
}

void opt__step_momentum(const opt_update *u, double beta)
{
    const int64_t n = opt_tensor_len(&u->w);

    if (u->w.dtype == OPT_F32)
        momentum_f32(n, u->w.data, u->g.data, u->slot[0].data, (float)u->lr, (float)beta, (float)(1 - beta));
    else
        momentum_f64(n, u->w.data, u->g.data, u->slot[0].data, u->lr, beta, 1 - beta);
}

void opt__step_adam(const opt_update *u, double beta1, double beta2, double eps)
{
    const int64_t n = opt_tensor_len(&u->w);
    const double rate = u->lr / (1 - opt__power(beta1, u->t));
    const double root_scale = 1 / sqrt(1 - opt__power(beta2, u->t));

    if (u->w.dtype == OPT_F32)
        adam_f32(n, u->w.data, u->g.data, u->slot[0].data, u->slot[1].data, (float)rate, (float)root_scale,
                 (float)beta1, (float)(1 - beta1), (float)beta2, (float)(1 - beta2), (float)eps);
    else
        adam_f64(n, u->w.data, u->g.data, u->slot[0].data, u->slot[1].data, rate, root_scale, beta1,
                 1 - beta1, beta2, 1 - beta2, eps);
}

/* SPDX-License-Identifier: MIT
 *
 * Central differences against the analytic gradient.
 *
 * The step h = cbrt(eps) max(1, |w|) balances the truncation error, of order h^2, with the rounding of f, of
 * order eps |f| / h. Differences smaller than the latter cannot be told from rounding and count as none.
 */
#include <float.h>
#include <math.h>

#include <opt/optim.h>

#include "optim/params.h"
#include "tensor/tensor.h"

typedef struct probe {
    opt_ctx *ctx;
    double (*f)(void *ud);
    void *ud;
} probe;

static opt_status evaluate(const probe *p, const char *name, int64_t i, double *y)
{
    *y = p->f(p->ud);
    if (!isfinite(*y))
        return opt__fail(p->ctx, OPT_ENONFINITE, "grad_check: f is %g with element %lld of %s moved",
                         opt__shown(*y), (long long)i, name);
    return OPT_OK;
}

/* *slope <- (f(w_i + h) - f(w_i - h)) / 2h, *rounding <- its own error. Puts w_i back. */
static opt_status difference(const probe *p, const opt_param *param, int64_t i, double *slope,
                             double *rounding)
{
    opt_tensor w = param->value;
    const double eps = w.dtype == OPT_F32 ? (double)FLT_EPSILON : DBL_EPSILON;
    const double w_i = opt_get(&w, i), h = cbrt(eps) * fmax(1, fabs(w_i));
    double above, below, f_above, f_below = 0;
    opt_status s;

    opt_set(&w, i, w_i + h);
    above = opt_get(&w, i);
    s = evaluate(p, param->name, i, &f_above);
    if (!s) {
        opt_set(&w, i, w_i - h);
        s = evaluate(p, param->name, i, &f_below);
    }
    below = opt_get(&w, i);
    opt_set(&w, i, w_i);
    if (s)
        return s;
    *slope = (f_above - f_below) / (above - below);
    *rounding = (4 * eps * fabs(f_above) + 4 * eps * fabs(f_below)) / (above - below);
    return OPT_OK;
}

/* *err <- the relative error of one tensor, whose analytic gradient has been copied to g. What overflows
 * cannot be compared: infinite differences would be within an infinite rounding. */
static opt_status check_param(const probe *p, const opt_param *param, const double *g, double *err)
{
    const int64_t n = opt_tensor_len(&param->value);
    double apart = 0, analytic = 0, numeric = 0, unsure = 0;

    for (int64_t i = 0; i < n; i++) {
        double slope, rounding;
        const opt_status s = difference(p, param, i, &slope, &rounding);

        if (s)
            return s;
        apart = hypot(apart, slope - g[i]);
        analytic = hypot(analytic, g[i]);
        numeric = hypot(numeric, slope);
        unsure = hypot(unsure, rounding);
    }
    if (!isfinite(analytic + numeric))
        return opt__fail(p->ctx, OPT_ENONFINITE,
                         "grad_check: the gradient of %s, or f's differences, overflow", param->name);
    *err = apart <= unsure ? 0 : apart / (analytic + numeric);
    return OPT_OK;
}

/* OPT_OK when the values that are to be moved and their gradients are finite. */
static opt_status check_finite(opt_ctx *ctx, const opt_param *param)
{
    int64_t at = opt__find_nonfinite(&param->grad);

    if (at >= 0)
        return opt__fail(ctx, OPT_ENONFINITE, "grad_check: element %lld of the gradient of %s is %g",
                         (long long)at, param->name, opt__shown(opt_get(&param->grad, at)));
    at = opt__find_nonfinite(&param->value);
    if (at >= 0)
        return opt__fail(ctx, OPT_ENONFINITE, "grad_check: element %lld of %s is %g", (long long)at,
                         param->name, opt__shown(opt_get(&param->value, at)));
    return OPT_OK;
}

/* Copies all gradients, one after the other, to g, or from it. */
static void copy_gradients(opt_params params, double *g, bool back)
{
    for (int p = 0; p < params.n; p++) {
        opt_tensor *t = &params.at[p].grad;
        const int64_t n = opt_tensor_len(t);

        for (int64_t i = 0; i < n; i++) {
            if (back)
                opt_set(t, i, g[i]);
            else
                g[i] = opt_get(t, i);
        }
        g += n;
    }
}

opt_status opt_grad_check(opt_ctx *ctx, double (*f)(void *ud), void *ud, opt_params params,
                          double *max_rel_err)
{
    const probe p = {ctx, f, ud};
    int64_t total = 0, done = 0;
    double worst = 0, *g;
    opt_status s = opt__enter(ctx);

    if (!s)
        s = opt__check_params(ctx, "grad_check", params);
    if (s)
        return s;
    if (f == NULL || max_rel_err == NULL)
        return opt__fail(ctx, OPT_EINVAL, "grad_check: %s is NULL", f ? "max_rel_err" : "f");
    for (int i = 0; !s && i < params.n; i++) {
        total += opt_tensor_len(&params.at[i].value);
        if (!params.at[i].frozen)
            s = check_finite(ctx, &params.at[i]);
    }
    if (s)
        return s;
    g = opt__alloc(ctx, total, sizeof *g);
    if (g == NULL)
        return opt__no_memory(ctx, "grad_check");

    copy_gradients(params, g, false);
    for (int i = 0; !s && i < params.n; i++) {
        double err = 0;

        if (!params.at[i].frozen)
            s = check_param(&p, &params.at[i], g + done, &err);
        worst = err <= worst ? worst : err;
        done += opt_tensor_len(&params.at[i].value);
    }
    copy_gradients(params, g, true);
    opt__free(ctx, g);
    if (!s)
        *max_rel_err = worst;
    return s;
}

/* SPDX-License-Identifier: MIT
 *
 * Checks and norms of a list of parameters.
 */
#include "optim/params.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <opt/optim.h>

#include "tensor/tensor.h"

static opt_status check_param(opt_ctx *ctx, const char *who, const opt_param *p)
{
    char what[160];
    opt_status s;

    snprintf(what, sizeof what, "%s: %s", who, p->name);
    s = opt__check_tensor(ctx, what, &p->value);
    if (s)
        return s;
    snprintf(what, sizeof what, "%s: the gradient of %s", who, p->name);
    s = opt__check_tensor(ctx, what, &p->grad);
    if (s)
        return s;
    if (!opt__same_shape(&p->value, &p->grad))
        return opt__fail(ctx, OPT_ESHAPE, "%s is %s where the value is %s", what,
                         opt__shape_of(&p->grad).text, opt__shape_of(&p->value).text);
    if (p->value.dtype != p->grad.dtype)
        return opt__fail(ctx, OPT_EDTYPE, "%s is %s where the value is %s", what,
                         opt__dtype_name(p->grad.dtype), opt__dtype_name(p->value.dtype));
    if (opt__overlap(&p->value, &p->grad))
        return opt__fail(ctx, OPT_EINVAL, "%s shares memory with the value", what);
    return OPT_OK;
}

opt_status opt__check_params(opt_ctx *ctx, const char *who, opt_params params)
{
    if (params.at == NULL || params.n < 1)
        return opt__fail(ctx, OPT_EINVAL, "%s: there are no parameters", who);
    for (int i = 0; i < params.n; i++) {
        const char *name = params.at[i].name;
        opt_status s;

        if (name == NULL || name[0] == '\0')
            return opt__fail(ctx, OPT_EINVAL, "%s: parameter %d has no name", who, i);
        for (int j = 0; j < i; j++)
            if (strcmp(name, params.at[j].name) == 0)
                return opt__fail(ctx, OPT_EINVAL, "%s: parameters %d and %d are both named %s", who, j, i,
                                 name);
        s = check_param(ctx, who, &params.at[i]);
        if (s)
            return s;
    }
    return OPT_OK;
}

/* ---- Norms: the sum of squares is that of its segments, in order, parameter by parameter ----------------
 */

int64_t opt__segment_count(opt_params params)
{
    int64_t n = 0;

    for (int i = 0; i < params.n; i++)
        n += (opt_tensor_len(&params.at[i].grad) - 1) / OPT__SEGMENT + 1;
    return n;
}

void opt__cut_into_segments(opt_params params, opt__segment *out)
{
    for (int i = 0; i < params.n; i++)
        for (int64_t k = 0, n = opt_tensor_len(&params.at[i].grad); k < n; k += OPT__SEGMENT)
            *out++ = (opt__segment){.param = i, .start = k};
}

static void segment_squares(const opt_ctx *ctx, const opt_tensor *g, int64_t start, double limit, double *sum)
{
    const int64_t rest = opt_tensor_len(g) - start;

    opt__kernels_of(ctx, g->dtype)
        ->sum_squares(rest < OPT__SEGMENT ? rest : OPT__SEGMENT, opt__at(g, start), limit, sum);
}

typedef struct squares {
    const opt_ctx *ctx;
    opt_params params;
    opt__segment *segments;
    double limit;
} squares;

static void squares_part(void *arg, int64_t part, int thread)
{
    const squares *job = arg;
    opt__segment *s = &job->segments[part];

    (void)thread;
    segment_squares(job->ctx, &job->params.at[s->param].grad, s->start, job->limit, s->sum);
}

static void sum_squares(const opt_ctx *ctx, opt_params params, opt__segment *segments, int64_t n,
                        double limit, double *sum)
{
    squares job = {ctx, params, segments, limit};

    sum[0] = sum[1] = 0;
    if (segments != NULL && n > params.n) { /* some gradient has more than one */
        opt__parallel(ctx, n, squares_part, &job);
        for (int64_t i = 0; i < n; i++)
            for (int k = 0; k < 2; k++)
                sum[k] += segments[i].sum[k];
        return;
    }
    for (int i = 0; i < params.n; i++) {
        const opt_tensor *g = &params.at[i].grad;

        for (int64_t start = 0, len = opt_tensor_len(g); start < len; start += OPT__SEGMENT) {
            double part[2];

            segment_squares(ctx, g, start, limit, part);
            sum[0] += part[0];
            sum[1] += part[1];
        }
    }
}

/* The norm when squares overflow or vanish: of the elements divided by the largest. */
static double scaled_norm(opt_params params, double limit)
{
    double largest = 0, sum = 0;

    for (int i = 0; i < params.n; i++) {
        const opt_tensor *g = &params.at[i].grad;
        for (int64_t k = 0, n = opt_tensor_len(g); k < n; k++)
            largest = fmax(largest, fabs(opt_get(g, k)));
    }
    largest = fmin(largest, limit);
    if (largest == 0)
        return 0;
    for (int i = 0; i < params.n; i++) {
        const opt_tensor *g = &params.at[i].grad;
        for (int64_t k = 0, n = opt_tensor_len(g); k < n; k++) {
            const double x = fmin(fabs(opt_get(g, k)), limit) / largest;
            sum += x * x;
        }
    }
    return largest * sqrt(sum);
}

static opt_status check_finite(opt_ctx *ctx, const char *who, opt_params params)
{
    for (int i = 0; i < params.n; i++) {
        const int64_t at = opt__find_nonfinite(&params.at[i].grad);
        if (at >= 0)
            return opt__fail(ctx, OPT_ENONFINITE, "%s: element %lld of the gradient of %s is %g", who,
                             (long long)at, params.at[i].name, opt_get(&params.at[i].grad, at));
    }
    return OPT_OK;
}

opt_status opt__norm(opt_ctx *ctx, const char *who, opt_params params, opt__segment *segments, int64_t n,
                     double limit, double *norm)
{
    double sum[2];
    opt_status s;

    sum_squares(ctx, params, segments, n, limit, sum);
    if (!isfinite(limit))
        sum[1] = sum[0];
    s = isfinite(sum[0]) ? OPT_OK : check_finite(ctx, who, params);
    for (int k = 0; !s && k < 2; k++)
        norm[k] = sum[k] > 1e-280 && isfinite(sum[k]) ? sqrt(sum[k])
                                                      : scaled_norm(params, k == 0 ? HUGE_VAL : limit);
    return s;
}

double opt_grad_norm(opt_ctx *ctx, opt_params params)
{
    double norm[2];
    opt_status s = opt__enter(ctx);

    if (!s)
        s = opt__check_params(ctx, "grad_norm", params);
    if (!s)
        s = opt__norm(ctx, "grad_norm", params, NULL, 0, HUGE_VAL, norm);
    return s ? (double)NAN : norm[0];
}

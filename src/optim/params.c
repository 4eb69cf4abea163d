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

/* ---- Norms --------------------------------------------------------------------------------------------- */

static int64_t end_of(const opt__stretch *s)
{
    return s->first + opt_tensor_len(&s->g);
}

int64_t opt__sum_blocks(const opt__stretch *stretches, int n)
{
    return (end_of(&stretches[n - 1]) - 1) / OPT__SUM_BLOCK + 1;
}

typedef struct squares {
    const opt_ctx *ctx;
    const opt__stretch *stretches;
    int n;
    double limit;
    double *sums; /* [blocks][2] */
} squares;

/* The stretch that has element number i. */
static int find_stretch(const squares *job, int64_t i)
{
    int low = 0, high = job->n - 1;

    while (low < high) {
        const int middle = high - (high - low) / 2;

        if (job->stretches[middle].first <= i)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* The sum of squares of one block's elements, from stretch *at on, which is moved to where the next begins.
 */
static double block_squares(const squares *job, int64_t block, double limit, int *at)
{
    const int64_t end = (block + 1) * OPT__SUM_BLOCK;
    int64_t i = block * OPT__SUM_BLOCK;
    double lane[OPT__SUM_LANES] = {0};

    while (*at < job->n) {
        const opt__stretch *s = &job->stretches[*at];
        const int64_t stop = end < end_of(s) ? end : end_of(s);

        opt__kernels_of(job->ctx, s->g.dtype)
            ->add_squares(stop - i, opt__at(&s->g, i - s->first), limit, (int)(i % OPT__SUM_LANES), lane);
        i = stop;
        if (stop == end_of(s))
            ++*at;
        if (stop == end)
            break;
    }
    return job->ctx->kernels->sum_lanes(lane);
}

static void squares_part(void *arg, int64_t part, int thread)
{
    const squares *job = arg;
    const int at = find_stretch(job, part * OPT__SUM_BLOCK);
    int from = at;

    (void)thread;
    job->sums[2 * part] = block_squares(job, part, HUGE_VAL, &from);
    from = at;
    job->sums[2 * part + 1] = job->limit < HUGE_VAL ? block_squares(job, part, job->limit, &from) : 0;
}

static void sum_squares(squares *job, double *sum)
{
    const int64_t blocks = opt__sum_blocks(job->stretches, job->n);
    int at[2] = {0};

    sum[0] = sum[1] = 0;
    if (job->sums != NULL && job->ctx->threads > 1 && end_of(&job->stretches[job->n - 1]) >= OPT__SHARED) {
        opt__parallel(job->ctx, blocks, squares_part, job);
        for (int64_t i = 0; i < blocks; i++)
            for (int k = 0; k < 2; k++)
                sum[k] += job->sums[2 * i + k];
        return;
    }
    for (int64_t i = 0; i < blocks; i++) {
        sum[0] += block_squares(job, i, HUGE_VAL, &at[0]);
        if (job->limit < HUGE_VAL)
            sum[1] += block_squares(job, i, job->limit, &at[1]);
    }
}

/* The norm when squares overflow or vanish: of the elements divided by the largest. */
static double scaled_norm(const opt__stretch *stretches, int n, double limit)
{
    double largest = 0, sum = 0;

    for (int i = 0; i < n; i++)
        for (int64_t k = 0, len = opt_tensor_len(&stretches[i].g); k < len; k++)
            largest = fmax(largest, fabs(opt_get(&stretches[i].g, k)));
    largest = fmin(largest, limit);
    if (largest == 0)
        return 0;
    for (int i = 0; i < n; i++)
        for (int64_t k = 0, len = opt_tensor_len(&stretches[i].g); k < len; k++) {
            const double x = fmin(fabs(opt_get(&stretches[i].g, k)), limit) / largest;
            sum += x * x;
        }
    return largest * sqrt(sum);
}

opt_status opt__blame_nonfinite(opt_ctx *ctx, const char *who, opt_params params)
{
    for (int i = 0; i < params.n; i++) { /* GCOVR_EXCL_BR_LINE: there is one */
        const int64_t at = params.at[i].frozen ? -1 : opt__find_nonfinite(&params.at[i].grad);

        if (at >= 0)
            return opt__fail(ctx, OPT_ENONFINITE, "%s: element %lld of the gradient of %s is %g", who,
                             (long long)at, params.at[i].name, opt__shown(opt_get(&params.at[i].grad, at)));
    }
    return OPT_OK; /* GCOVR_EXCL_LINE: as above */
}

opt_status opt__norm(const opt_ctx *ctx, const opt__stretch *stretches, int n, double limit, double *sums,
                     double *norm)
{
    squares job = {.ctx = ctx, .stretches = stretches, .n = n, .limit = limit};
    double sum[2];

    job.sums = sums;
    sum_squares(&job, sum);
    if (!isfinite(limit))
        sum[1] = sum[0];
    for (int i = 0; !isfinite(sum[0]) && i < n; i++)
        if (opt__find_nonfinite(&stretches[i].g) >= 0)
            return OPT_ENONFINITE;
    for (int k = 0; k < 2; k++)
        norm[k] = sum[k] > 1e-280 && isfinite(sum[k]) ? sqrt(sum[k])
                                                      : scaled_norm(stretches, n, k == 0 ? HUGE_VAL : limit);
    return OPT_OK;
}

double opt_grad_norm(opt_ctx *ctx, opt_params params)
{
    double norm[2] = {(double)NAN};
    opt__stretch *stretches;
    opt_status s = opt__enter(ctx);
    int n = 0;

    if (!s)
        s = opt__check_params(ctx, "grad_norm", params);
    if (s)
        return norm[0];
    stretches = opt__alloc(ctx, params.n, sizeof *stretches);
    if (stretches == NULL) {
        opt__no_memory(ctx, "grad_norm");
        return norm[0];
    }
    for (int i = 0; i < params.n; i++)
        if (!params.at[i].frozen) {
            stretches[n] = (opt__stretch){params.at[i].grad, n > 0 ? end_of(&stretches[n - 1]) : 0};
            n++;
        }
    if (n == 0)
        norm[0] = 0;
    else if (opt__norm(ctx, stretches, n, HUGE_VAL, NULL, norm))
        opt__blame_nonfinite(ctx, "grad_norm", params);
    opt__free(ctx, stretches);
    return norm[0];
}

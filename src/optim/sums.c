/* SPDX-License-Identifier: MIT
 *
 * Gradients summed over ranks, the last parameters' first: backpropagation finds them in that order, and may
 * say so, and they are summed while it goes on.
 */
#include <math.h>

#include "base/ranks.h"
#include "optim/optim.h"
#include "tensor/tensor.h"

#define WORTH 262144 /* bytes that are summed together, if there are as many: less is mostly waiting */

opt_status opt__reserve_cuts(opt_optim *o)
{
    if (o->ctx->comm.size < 2)
        return OPT_OK;
    o->cut = opt__alloc(o->ctx, 2 * (int64_t)o->nparams, sizeof *o->cut);
    return o->cut ? OPT_OK : opt__no_memory(o->ctx, o->method.name);
}

/* Whether there is a cut on this rank: the first nparams are gradients', the others weights'. */
static bool is_cut(const opt_optim *o, int64_t i)
{
    const bool weights = i >= o->nparams;
    const opt_param *p = &o->params[weights ? i - o->nparams : i];

    if (p == o->params || p[0].frozen || p[-1].frozen)
        return true;
    return weights ? !opt__joins(&p[-1].value, &p[0].value) : !opt__joins(&p[-1].grad, &p[0].grad);
}

/* Where this rank has a cut there is one, whatever a sum that is none may say. */
opt_status opt__agree_on_cuts(opt_optim *o)
{
    const int64_t n = 2 * (int64_t)o->nparams;
    opt_status s;

    if (o->agreed)
        return OPT_OK;
    for (int64_t i = 0; i < n; i++)
        o->cut[i] = is_cut(o, i) ? 1 : OPT__NOTHING;
    s = opt__sum(o->ctx, "summing gradients", o->cut, n, OPT_F64);
    for (int64_t i = 0; i < n; i++)
        o->cut[i] = fabs(o->cut[i]) + is_cut(o, i);
    o->agreed = s == OPT_OK;
    return s;
}

/* Begins to sum the gradients of parameters [first, end): tensors that lie end to end go together. */
static opt_status begin(opt_optim *o, int first, int end)
{
    opt_status s = OPT_OK;

    while (!s && end > first) {
        const opt_tensor *g = &o->params[--end].grad;
        int64_t n = opt_tensor_len(g);

        if (o->params[end].frozen)
            continue;
        while (end > first && o->cut[end] == 0) {
            g = &o->params[--end].grad;
            n += opt_tensor_len(g);
        }
        s = opt__begin_sum(o->ctx, "summing gradients", g->data, n, g->dtype);
    }
    return s;
}

/* Where sums are cut does not depend on when they are begun: they have to be the same on every rank. */
void opt__begin_sums_over_ranks(opt_optim *o, int first)
{
    if (!o->sums_failed)
        o->sums_failed = opt__agree_on_cuts(o);
    while (!o->sums_failed && o->unsummed > 0 && o->unsummed > first) {
        int64_t bytes = 0;
        int p = o->unsummed;

        while (p > 0 && bytes < WORTH) {
            const opt_tensor *g = &o->params[--p].grad;

            bytes += opt_tensor_len(g) * (int64_t)opt__size(g->dtype);
        }
        if (p < first)
            break;
        o->sums_failed = begin(o, p, o->unsummed);
        o->unsummed = p;
    }
}

opt_status opt__sum_over_ranks(opt_optim *o)
{
    opt_status s, end;

    if (o->ctx->comm.size < 2)
        return OPT_OK;
    opt__begin_sums_over_ranks(o, 0);
    s = o->sums_failed;
    end = opt__finish_sums(o->ctx, "summing gradients");
    o->unsummed = o->nparams;
    o->sums_failed = OPT_OK;
    s = s ? s : end;
    return s ? opt__fail(o->ctx, s, "%s: %s", o->method.name, o->ctx->message) : OPT_OK;
}

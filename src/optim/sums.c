/* SPDX-License-Identifier: MIT
 *
 * Gradients summed over ranks, the last parameters' first: backpropagation finds them in that order, and may
 * say so, and they are summed while it goes on.
 */
#include "base/ranks.h"
#include "optim/optim.h"
#include "tensor/tensor.h"

#define WORTH 262144 /* bytes that are summed together, if there are as many: less is mostly waiting */

/* Begins to sum the gradients of parameters [first, end): tensors that lie end to end go together. */
static opt_status begin(opt_optim *o, int first, int end)
{
    opt_status s = OPT_OK;

    while (!s && end > first) {
        const opt_tensor *g = &o->params[--end].grad;
        char *data = g->data;
        int64_t n = opt_tensor_len(g);

        if (o->params[end].frozen)
            continue;
        while (end > first && !o->params[end - 1].frozen) {
            const opt_tensor *before = &o->params[end - 1].grad;

            if (before->dtype != g->dtype || opt__at(before, opt_tensor_len(before)) != (void *)data)
                break;
            data = before->data;
            n += opt_tensor_len(before);
            end--;
        }
        s = opt__begin_sum(o->ctx, "summing gradients", data, n, g->dtype);
    }
    return s;
}

/* Where sums are cut does not depend on when they are begun: they have to be the same on every rank. */
void opt__begin_sums_over_ranks(opt_optim *o, int first)
{
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

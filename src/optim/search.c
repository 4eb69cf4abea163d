/* SPDX-License-Identifier: MIT
 *
 * The driver: a step by a method that evaluates the loss again.
 *
 * With l2 the method sees the loss and the gradients that include it: the gradients are then tensors of the
 * driver's own, made anew at each evaluation; otherwise they are the caller's.
 */
#include <math.h>
#include <string.h>

#include "base/ranks.h"
#include "optim/optim.h"
#include "optim/params.h"

/* ---- Making and freeing what it needs ------------------------------------------------------------------ */

opt_status opt__prepare_search(opt_optim *o)
{
    opt_params moved = {.n = 0};
    opt_tensor *slot;
    opt_status s = OPT_OK;

    for (int p = 0; p < o->nparams; p++)
        moved.n += !o->params[p].frozen;
    moved.at = opt__alloc(o->ctx, moved.n, sizeof *moved.at);
    slot = opt__alloc(o->ctx, (int64_t)moved.n * OPT_MAX_SLOTS, sizeof *slot);
    o->search.params = moved;
    o->search.slot = slot;
    if (moved.at == NULL || slot == NULL)
        return opt__no_memory(o->ctx, o->method.name);
    for (int p = 0, i = 0; !s && p < o->nparams; p++) {
        const opt_tensor *g = &o->params[p].grad;

        if (o->params[p].frozen)
            continue;
        moved.at[i] = o->params[p];
        moved.at[i].grad.data = NULL;
        for (int k = 0; k < o->nslots && o->slot[k] != OPT__AVERAGE; k++)
            slot[i * OPT_MAX_SLOTS + o->slot[k]] = o->slots[p * o->nslots + k];
        if (o->opts.l2 > 0)
            s = opt_tensor_new(o->ctx, g->dtype, g->ndim, g->dim, &moved.at[i].grad);
        else
            moved.at[i].grad = *g;
        i++;
    }
    return s;
}

void opt__end_search(opt_optim *o)
{
    for (int i = 0; o->opts.l2 > 0 && o->search.params.at != NULL && i < o->search.params.n; i++)
        opt_tensor_free(o->ctx, &o->search.params.at[i].grad);
    opt__free(o->ctx, o->search.params.at);
    opt__free(o->ctx, o->search.slot);
}

/* ---- Evaluating ---------------------------------------------------------------------------------------- */

/* A step in progress. */
typedef struct job {
    opt_optim *optim;
    opt_loss_fn f;
    void *ud;
    double loss; /* the caller's, without l2 */
    bool moved;  /* evaluated at other weights than at first */
} job;

/* The loss and gradients, summed over ranks. */
static opt_status call(job *j)
{
    opt_optim *o = j->optim;
    opt_status s;

    j->loss = (double)NAN;     /* for a function that forgets to set it, */
    o->ctx->message[0] = '\0'; /* or fails without leaving a message */
    s = opt__agree(o->ctx, j->f(j->ud, &j->loss), &j->loss, 1);
    o->search.cancelled = s == OPT_STOP;
    if (s)
        return opt__fail(o->ctx, s, "%s: evaluating the loss: %s", o->method.name,
                         o->ctx->message[0] ? o->ctx->message : opt_strerror(s));
    return OPT_OK;
}

/* The sum of l2/2 w^2. */
static double penalty(const opt_optim *o)
{
    double sum = 0;

    for (int i = 0; o->opts.l2 > 0 && i < o->search.params.n; i++) {
        const opt_param *p = &o->search.params.at[i];
        const opt__kernels *k = opt__kernels_of(o->ctx, p->value.dtype);
        double lane[OPT__SUM_LANES] = {0};

        k->add_squares(opt_tensor_len(&p->value), p->value.data, HUGE_VAL, 0, lane);
        sum += 0.5 * (p->decay_factor * o->opts.l2) * k->sum_lanes(lane);
    }
    return sum;
}

/* The gradients with those of l2. */
static void add_l2(opt_optim *o)
{
    for (int p = 0, i = 0; o->opts.l2 > 0 && p < o->nparams; p++) {
        const opt_param *param = &o->params[p];
        const opt__adjust adjust = {.clip = HUGE_VAL, .scale = 1, .l2 = param->decay_factor * o->opts.l2};

        if (!param->frozen)
            opt__kernels_of(o->ctx, param->value.dtype)
                ->effective(opt_tensor_len(&param->value), param->value.data, param->grad.data,
                            o->search.params.at[i++].grad.data, &adjust);
    }
}

/* Whether the gradients that the method sees are finite. */
static bool are_finite(const opt_optim *o)
{
    double norm[2];
    bool finite = true;

    if (!(o->opts.l2 > 0))
        return !opt__norm(o->ctx, o->gradients, o->ngradients, HUGE_VAL, o->sums, norm);
    for (int i = 0; finite && i < o->search.params.n; i++) {
        const opt__stretch all = {o->search.params.at[i].grad, 0};

        finite = !opt__norm(o->ctx, &all, 1, HUGE_VAL, o->sums, norm);
    }
    return finite;
}

/* opt_search.evaluate. */
static opt_status evaluate(const opt_search *search)
{
    job *j = search->driver;
    opt_optim *o = j->optim;
    opt_status s;

    j->moved = true;
    s = call(j);
    if (!s)
        s = opt__sum_over_ranks(o);
    if (s)
        return s;
    *search->loss = j->loss + penalty(o);
    add_l2(o);
    if (isfinite(*search->loss) && !are_finite(o))
        *search->loss = HUGE_VAL;
    return OPT_OK;
}

/* ---- The step ------------------------------------------------------------------------------------------ */

/* The method's own. When it finds nothing lower, the loss and the gradients become those of the weights
 * again.
 */
static opt_status run_search(opt_optim *o, job *j, const opt_search *search)
{
    opt_status s;

    o->ctx->message[0] = '\0';
    s = o->method.search(search);
    if (s && s != OPT_STOP && o->ctx->message[0] == '\0')
        return opt__fail(o->ctx, s, "%s: the search failed: %s", o->method.name, opt_strerror(s));
    if (s == OPT_STOP && j->moved && !o->search.cancelled) {
        const opt_status again = evaluate(search);

        return again ? again : s;
    }
    return s;
}

static opt_status loss_not_finite(opt_optim *o, double loss)
{
    return opt__fail(o->ctx, OPT_ENONFINITE, "%s: the loss before step %lld is %g", o->method.name,
                     (long long)o->t + 1, opt__shown(loss));
}

/* By a method that has a search. */
static opt_status search_step(opt_optim *o, job *j, bool first)
{
    double lr = 0, loss, scale = 1;
    opt_search search = {.hyper = o->hyper,
                         .t = o->t + 1,
                         .params = o->search.params,
                         .slot = o->search.slot,
                         .loss = &loss,
                         .ctx = o->ctx,
                         .evaluate = evaluate,
                         .driver = j};
    opt_status s = opt__begin_step(o, &lr);

    if (!s && first)
        s = call(j);
    if (!s && first)
        s = opt__sum_over_ranks(o);
    if (!s)
        s = opt__check_and_clip(o, &scale);
    if (s)
        return s;
    loss = j->loss + penalty(o);
    if (!isfinite(loss))
        return loss_not_finite(o, loss);
    add_l2(o);
    if (o->opts.l2 > 0 && !are_finite(o))
        return opt__blame_nonfinite(o->ctx, o->method.name, o->search.params);
    search.lr = lr;
    s = run_search(o, j, &search);
    if (s)
        return s;
    for (int i = 0; i < o->nruns; i++)
        opt__average(o, &o->runs[i], 0, opt_tensor_len(&o->runs[i].w));
    o->last_lr = lr;
    o->t++;
    return OPT_OK;
}

opt_status opt_optim_search(opt_optim *o, opt_loss_fn f, void *ud, double *loss)
{
    job j = {.optim = o, .f = f, .ud = ud};
    opt_status s = OPT_OK;
    bool first;

    if (o == NULL)
        return OPT_EINVAL;
    if (f == NULL || loss == NULL)
        return opt__fail(o->ctx, OPT_EINVAL, "%s: %s is NULL", o->method.name, f ? "loss" : "f");
    o->search.cancelled = false;
    j.loss = *loss;
    first = isnan(*loss);
    if (o->method.search != NULL) {
        s = search_step(o, &j, first);
    } else {
        if (first)
            s = call(&j);
        if (!s && !isfinite(j.loss))
            s = loss_not_finite(o, j.loss);
        if (!s)
            s = opt_optim_step(o);
        if (!s)
            s = call(&j);
    }
    if (!s || (s == OPT_STOP && !o->search.cancelled))
        *loss = j.loss;
    return s;
}

/* SPDX-License-Identifier: MIT
 *
 * The driver: one step, everything about it that is the same for all methods.
 */
#include <limits.h>
#include <math.h>
#include <stdatomic.h>

#include "base/ranks.h"
#include "optim/optim.h"
#include "optim/params.h"

/* The finite check and the norm share one read of the gradient. */
opt_status opt__check_and_clip(opt_optim *o, double *scale)
{
    const double limit = o->opts.clip_value > 0 && o->opts.clip_norm > 0 ? o->opts.clip_value : HUGE_VAL;
    double norm[2];

    *scale = 1;
    o->grad_norm = (double)NAN;
    if (o->opts.unchecked && !(o->opts.clip_norm > 0))
        return OPT_OK;
    if (opt__norm(o->ctx, o->gradients, o->ngradients, limit, o->sums, norm))
        return opt__blame_nonfinite(o->ctx, o->method.name, (opt_params){o->params, o->nparams});
    o->grad_norm = norm[0];
    if (o->opts.clip_norm > 0 && norm[1] > o->opts.clip_norm)
        *scale = o->opts.clip_norm / norm[1];
    return OPT_OK;
}

/* A step in progress, for the threads that share it. */
typedef struct step {
    opt_optim *optim;
    double lr, scale;
    atomic_llong failed; /* part * 2^32 + status of the first part whose update failed; LLONG_MAX: none */
} step;

/* The run that a part belongs to. */
static const opt__run *run_of(const opt_optim *o, int64_t part)
{
    int low = 0, high = o->nruns - 1;

    while (low < high) {
        const int middle = high - (high - low) / 2;

        if (o->runs[middle].first_part <= part)
            low = middle;
        else
            high = middle - 1;
    }
    return &o->runs[low];
}

/* Points u at elements [start, start + n) of a run, in the run's own shape when that is all of it. */
static void view(const opt_optim *o, const opt__run *r, int64_t start, int64_t n, opt_update *u)
{
    u->first = r->first + start;
    u->w = r->w;
    u->g = r->g;
    u->w.data = opt__at(&r->w, start);
    u->g.data = opt__at(&r->g, start);
    if (!o->method.whole_tensor)
        u->w.dim[0] = u->g.dim[0] = n;
    for (int s = 0; s < o->nslots && o->slot[s] != OPT__AVERAGE; s++) {
        opt_tensor *slot = &u->slot[o->slot[s]];

        if (r->slot[s].data == NULL)
            continue;
        *slot = r->slot[s];
        if (o->method.whole_tensor)
            continue;
        slot->data = opt__at(&r->slot[s], start * (slot->ndim == 2 ? slot->dim[1] : 1));
        slot->dim[0] = n;
    }
}

/* Clipping, l2 and decay, by a method that cannot take them into its own pass. */
static void adjust_chunk(const opt_optim *o, const opt__adjust *a, int64_t n, int thread, opt_update *u)
{
    const opt__kernels *k = opt__kernels_of(o->ctx, u->w.dtype);

    if (o->effective != NULL) {
        void *effective = (char *)o->effective + thread * o->effective_size;

        k->effective(n, u->w.data, u->g.data, effective, a);
        u->g.data = effective;
    }
    if (a->decay > 0)
        k->scale(n, u->w.data, 1 - a->decay);
}

void opt__average(const opt_optim *o, const opt__run *r, int64_t start, int64_t n)
{
    const double decay = o->t == 0 ? 0 : o->opts.average; /* it begins with the first step's weights */

    if (o->opts.average > 0)
        opt__kernels_of(o->ctx, r->w.dtype)
            ->average(n, opt__at(&r->slot[o->nslots - 1], start), opt__at(&r->w, start), decay);
}

static void step_part(void *arg, int64_t part, int thread)
{
    step *job = arg;
    const opt_optim *o = job->optim;
    const opt__run *r = run_of(o, part);
    const int64_t chunk = opt__chunk(o, r), start = (part - r->first_part) * chunk;
    const int64_t rest = opt_tensor_len(&r->w) - start, n = rest < chunk ? rest : chunk;
    const double lr = job->lr * r->lr_factor;
    const opt__adjust adjust = {.clip = o->opts.clip_value > 0 ? o->opts.clip_value : HUGE_VAL,
                                .scale = job->scale,
                                .l2 = r->decay_factor * o->opts.l2,
                                .decay = lr * (r->decay_factor * o->opts.weight_decay)};
    opt_update u = {.hyper = o->hyper,
                    .t = o->t + 1,
                    .lr = lr,
                    .ctx = o->method.whole_tensor ? o->ctx : NULL,
                    .scratch = o->scratch,
                    .kernels = o->ctx->kernels};
    opt_status s;

    view(o, r, start, n, &u);
    if (isfinite(adjust.clip) || adjust.scale != 1 || adjust.l2 > 0 || adjust.decay > 0) {
        if (o->adjusts)
            u.adjust = &adjust;
        else
            adjust_chunk(o, &adjust, n, thread, &u);
    }
    s = o->method.update(&u);
    if (!s)
        opt__average(o, r, start, n); /* while the weights are in the cache */
    if (s) {
        const long long mine = part << 32 | (uint32_t)s;
        long long first = atomic_load(&job->failed);

        /* GCOVR_EXCL_START: two threads fail at once only by chance */
        while (mine < first && !atomic_compare_exchange_weak(&job->failed, &first, mine))
            continue;
        /* GCOVR_EXCL_STOP */
    }
}

static opt_status update_all(opt_optim *o, double lr, double scale)
{
    step job = {.optim = o, .lr = lr, .scale = scale};
    long long failed;
    opt_status s;

    atomic_init(&job.failed, LLONG_MAX);
    if (o->shared)
        opt__parallel(o->ctx, o->parts, step_part, &job);
    for (int64_t part = 0; !o->shared && part < o->parts; part++)
        step_part(&job, part, 0);
    failed = atomic_load(&job.failed);
    if (failed == LLONG_MAX)
        return OPT_OK;
    s = (opt_status)(int32_t)(uint32_t)failed;
    return opt__fail(o->ctx, s, "%s: the update of %s failed: %s", o->method.name,
                     o->params[run_of(o, failed >> 32)->param].name, opt_strerror(s));
}

opt_status opt__begin_step(opt_optim *o, double *lr)
{
    if (o->predicting)
        return opt__fail(o->ctx, OPT_EINVAL, "%s: a step from the weights that predict", o->method.name);
    *lr = opt_optim_lr(o);
    if (!(*lr >= 0 && isfinite(o->single ? (double)(float)(*lr * o->largest_factor) : *lr)))
        return opt__fail(o->ctx, OPT_EINVAL, "%s: the learning rate of step %lld is %g", o->method.name,
                         (long long)o->t + 1, *lr);
    return OPT_OK;
}

opt_status opt_optim_step(opt_optim *o)
{
    double lr = 0;
    opt_status s;

    if (o == NULL)
        return OPT_EINVAL;
    if (o->method.search != NULL)
        return opt__fail(o->ctx, OPT_EINVAL, "%s: it needs the loss, by opt_optim_search", o->method.name);
    s = opt__begin_step(o, &lr);
    if (!s)
        s = opt__sum_over_ranks(o);
    return s ? s : opt__step_by_sums(o);
}

opt_status opt__step_by_sums(opt_optim *o)
{
    double lr = 0, scale = 1;
    opt_status s = opt__begin_step(o, &lr);

    if (!s)
        s = opt__check_and_clip(o, &scale);
    if (!s) {
        s = update_all(o, lr, scale);
        if (o->fails)
            s = opt__agree(o->ctx, s, NULL, 0);
    }
    if (!s)
        s = opt__gather_weights(o);
    if (s)
        return s;
    o->last_lr = lr;
    o->t++;
    return OPT_OK;
}

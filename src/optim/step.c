/* SPDX-License-Identifier: MIT
 *
 * The driver: one step, everything about it that is the same for all methods.
 */
#include <math.h>
#include <string.h>

#include "optim/optim.h"
#include "optim/params.h"

static opt_status sum_over_ranks(opt_optim *o)
{
    const opt_comm *c = &o->ctx->comm;

    for (int p = 0; c->size > 1 && p < o->nparams; p++) {
        opt_tensor *g = &o->params[p].grad;

        if (c->sum(c->ud, g->data, (size_t)opt_tensor_len(g), g->dtype))
            return opt__fail(o->ctx, OPT_ECOMM, "%s: summing the gradient of %s over ranks failed",
                             o->method.name, o->params[p].name);
    }
    return OPT_OK;
}

/* The finite check and the norm share one read of the gradient. *scale <- what clip_norm asks for. */
static opt_status check_and_clip(opt_optim *o, double *scale)
{
    const opt_params params = {o->params, o->nparams};
    double norm;
    opt_status s;

    *scale = 1;
    o->grad_norm = (double)NAN;
    if (o->opts.unchecked && !(o->opts.clip_norm > 0))
        return OPT_OK;
    s = opt__norm(o->ctx, o->method.name, params, HUGE_VAL, &o->grad_norm);
    if (s || !(o->opts.clip_norm > 0))
        return s;
    norm = o->grad_norm;
    if (o->opts.clip_value > 0)
        s = opt__norm(o->ctx, o->method.name, params, o->opts.clip_value, &norm);
    if (!s && norm > o->opts.clip_norm)
        *scale = o->opts.clip_norm / norm;
    return s;
}

/* One chunk: elements [start, start + n) of a run, in the run's own shape when that is all of it. */
static opt_status step_chunk(opt_optim *o, const opt__run *r, int64_t start, int64_t n, double scale,
                             opt_update *u)
{
    const opt__kernels *k = opt__kernels_of(o->ctx, r->w.dtype);
    const double l2 = r->no_decay ? 0 : o->opts.l2, decay = r->no_decay ? 0 : o->opts.weight_decay;

    u->w.data = opt__at(&r->w, start);
    u->g.data = opt__at(&r->g, start);
    for (int s = 0; s < o->nslots; s++)
        u->slot[s].data = opt__at(&r->slot[s], start);
    if (!o->method.whole_tensor) {
        u->w.dim[0] = u->g.dim[0] = n;
        for (int s = 0; s < o->nslots; s++)
            u->slot[s].dim[0] = n;
    }
    if (o->opts.clip_value > 0 || scale != 1 || l2 > 0) {
        const double clip = o->opts.clip_value > 0 ? o->opts.clip_value : HUGE_VAL;

        k->effective(n, u->w.data, u->g.data, o->scratch, clip, scale, l2);
        u->g.data = o->scratch;
    }
    if (decay > 0)
        k->shrink(n, u->w.data, 1 - u->lr * decay);
    return o->method.update(u);
}

static opt_status step_run(opt_optim *o, const opt__run *r, double lr, double scale)
{
    const int64_t len = opt_tensor_len(&r->w), chunk = opt__chunk(o, r);
    opt_update u = {
        .hyper = o->hyper, .t = o->t + 1, .lr = lr, .w = r->w, .g = r->g, .kernels = o->ctx->kernels};

    memcpy(u.slot, r->slot, sizeof u.slot);
    for (int64_t i = 0; i < len; i += chunk) {
        const opt_status s = step_chunk(o, r, i, len - i < chunk ? len - i : chunk, scale, &u);

        if (s)
            return opt__fail(o->ctx, s, "%s: the update of %s failed: %s", o->method.name,
                             o->params[r->first].name, opt_strerror(s));
    }
    return OPT_OK;
}

opt_status opt_optim_step(opt_optim *o)
{
    double lr, scale;
    opt_status s;

    if (o == NULL)
        return OPT_EINVAL;
    lr = opt_optim_lr(o);
    if (!(lr >= 0 && isfinite(o->single ? (double)(float)lr : lr)))
        return opt__fail(o->ctx, OPT_EINVAL, "%s: the learning rate of step %lld is %g", o->method.name,
                         (long long)o->t + 1, lr);
    s = sum_over_ranks(o);
    if (!s)
        s = check_and_clip(o, &scale);
    for (int i = 0; !s && i < o->nruns; i++)
        s = step_run(o, &o->runs[i], lr, scale);
    if (s)
        return s;
    o->last_lr = lr;
    o->t++;
    return OPT_OK;
}

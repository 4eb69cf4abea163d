/* SPDX-License-Identifier: MIT
 *
 * The driver: what it keeps, to be looked at and copied.
 */
#include <math.h>
#include <string.h>

#include "optim/optim.h"

double opt_optim_lr(const opt_optim *o)
{
    if (o == NULL)
        return (double)NAN;
    return o->opts.schedule ? o->opts.schedule(o->opts.lr, o->t, o->opts.schedule_arg) : o->opts.lr;
}

void opt_optim_set_lr(opt_optim *o, double lr)
{
    if (o != NULL)
        o->opts.lr = lr;
}

int64_t opt_optim_steps(const opt_optim *o)
{
    return o ? o->t : 0;
}

opt_tensor *opt_optim_slot(opt_optim *o, int param, const char *slot)
{
    int s;

    if (o == NULL || slot == NULL || param < 0 || param >= o->nparams)
        return NULL;
    for (s = 0; s < o->nslots; s++)
        if (strcmp(slot, opt__slot_name(o, s)) == 0)
            break;
    return s < o->nslots && o->slots[param * o->nslots + s].data ? &o->slots[param * o->nslots + s] : NULL;
}

/* The shape of a slot may depend on settings, and so may whether a parameter has it. */
static opt_status check_slots(const opt_optim *src, const opt_optim *dst)
{
    for (int i = 0; i < src->nparams * src->nslots; i++) {
        const opt_tensor *a = &src->slots[i], *b = &dst->slots[i];

        if (a->dtype != b->dtype || !opt__same_shape(a, b))
            return opt__fail(dst->ctx, OPT_EINVAL,
                             "copy_state: settings of %s that need another slot %s of %s", src->method.name,
                             opt__slot_name(src, i % src->nslots), dst->params[i / src->nslots].name);
    }
    return OPT_OK;
}

static opt_status check_alike(const opt_optim *src, const opt_optim *dst)
{
    if (strcmp(src->method.name, dst->method.name) != 0)
        return opt__fail(dst->ctx, OPT_EINVAL, "copy_state: from %s to %s", src->method.name,
                         dst->method.name);
    if (src->nslots != dst->nslots || memcmp(src->slot, dst->slot, sizeof src->slot) != 0)
        return opt__fail(dst->ctx, OPT_EINVAL, "copy_state: settings of %s that need other slots",
                         src->method.name);
    if (src->nparams != dst->nparams)
        return opt__fail(dst->ctx, OPT_ESHAPE, "copy_state: from %d parameters to %d", src->nparams,
                         dst->nparams);
    for (int p = 0; p < src->nparams; p++) {
        const opt_param *a = &src->params[p], *b = &dst->params[p];

        if (!opt__same_shape(&a->value, &b->value))
            return opt__fail(dst->ctx, OPT_ESHAPE, "copy_state: %s is %s, %s is %s", a->name,
                             opt__shape_of(&a->value).text, b->name, opt__shape_of(&b->value).text);
        if (a->frozen != b->frozen)
            return opt__fail(dst->ctx, OPT_EINVAL, "copy_state: %s is %sfrozen, %s is %sfrozen", a->name,
                             a->frozen ? "" : "not ", b->name, b->frozen ? "" : "not ");
        if (a->value.dtype != b->value.dtype)
            return opt__fail(dst->ctx, OPT_EDTYPE, "copy_state: %s is %s, %s is %s", a->name,
                             opt__dtype_name(a->value.dtype), b->name, opt__dtype_name(b->value.dtype));
    }
    return check_slots(src, dst);
}

opt_status opt_optim_copy_state(const opt_optim *src, opt_optim *dst)
{
    opt_status s;

    if (dst == NULL)
        return OPT_EINVAL;
    if (src == NULL)
        return opt__fail(dst->ctx, OPT_EINVAL, "copy_state: src is NULL");
    s = check_alike(src, dst);
    if (!s && (src->predicting || dst->predicting))
        s = opt__fail(dst->ctx, OPT_EINVAL, "copy_state: the weights are those that predict");
    for (int i = 0; !s && i < src->nparams * src->nslots; i++) {
        const opt_tensor *from = &src->slots[i];

        if (from->data != NULL && src != dst)
            memcpy(dst->slots[i].data, from->data, (size_t)opt_tensor_len(from) * opt__size(from->dtype));
    }
    if (s)
        return s;
    dst->t = src->t;
    dst->last_lr = src->last_lr;
    return OPT_OK;
}

/* The elements of a and b change places. */
static void swap(const opt_tensor *a, const opt_tensor *b)
{
    char *x = a->data, *y = b->data, room[512];
    int64_t left = opt_tensor_len(a) * (int64_t)opt__size(a->dtype);

    for (size_t n; left > 0; left -= (int64_t)n, x += n, y += n) {
        n = left < (int64_t)sizeof room ? (size_t)left : sizeof room;
        memcpy(room, x, n);
        memcpy(x, y, n);
        memcpy(y, room, n);
    }
}

/* The weights of parameter p, of element number `first` among all, make way for those that predict. */
static void predict(const opt_optim *o, int p, int64_t first)
{
    const opt_tensor *w = &o->params[p].value, own = opt__own(o, p, w);
    opt_update u = {.hyper = o->hyper,
                    .t = o->t,
                    .lr = o->last_lr * o->params[p].lr_factor,
                    .w = own,
                    .first = first + (o->sharded ? o->share[p].first : 0),
                    .ctx = o->method.whole_tensor ? o->ctx : NULL,
                    .scratch = o->scratch,
                    .kernels = o->ctx->kernels};

    if (o->opts.average > 0) {
        if (opt_tensor_len(&own) > 0)
            swap(&own, &o->slots[p * o->nslots + o->nslots - 1]);
        return;
    }
    for (int s = 0; s < o->nslots; s++)
        u.slot[o->slot[s]] = o->slots[p * o->nslots + s];
    memcpy(o->aside[p].data, w->data, (size_t)opt_tensor_len(w) * opt__size(w->dtype));
    if (opt_tensor_len(&own) > 0)
        o->method.predict(&u);
}

/* And take their place again. */
static void train_on(const opt_optim *o, int p)
{
    const opt_tensor *w = &o->params[p].value, own = opt__own(o, p, w);

    if (o->opts.average > 0 && opt_tensor_len(&own) > 0)
        swap(&own, &o->slots[p * o->nslots + o->nslots - 1]);
    if (!(o->opts.average > 0))
        memcpy(w->data, o->aside[p].data, (size_t)opt_tensor_len(w) * opt__size(w->dtype));
}

opt_status opt_optim_predicting(opt_optim *o, bool on)
{
    int64_t first = 0;

    if (o == NULL)
        return OPT_EINVAL;
    if (on && !opt__predicts_otherwise(o))
        return opt__fail(o->ctx, OPT_EINVAL, "%s: there is no average of the weights", o->method.name);
    if (on && o->t == 0)
        return opt__fail(o->ctx, OPT_EINVAL, "%s: there is no average before the first step", o->method.name);
    if (o->predicting == on)
        return OPT_OK;
    for (int p = 0; p < o->nparams; p++) {
        if (!o->params[p].frozen && on)
            predict(o, p, first);
        else if (!o->params[p].frozen)
            train_on(o, p);
        first += opt_tensor_len(&o->params[p].value);
    }
    o->predicting = on;
    return opt__gather_weights(o);
}

double opt__optim_grad_norm(const opt_optim *o)
{
    return o->grad_norm;
}

double opt__optim_last_lr(const opt_optim *o)
{
    return o->last_lr;
}

bool opt__optim_updates(const opt_optim *o, const opt_ctx *ctx, opt_params params)
{
    if (o->ctx != ctx || params.n != o->nparams)
        return false;
    for (int p = 0; p < params.n; p++)
        if (params.at[p].value.data != o->params[p].value.data ||
            params.at[p].grad.data != o->params[p].grad.data ||
            !opt__same_shape(&params.at[p].value, &o->params[p].value))
            return false;
    return true;
}

opt_status opt__optim_reserve_best(opt_optim *o)
{
    return o->best.value ? OPT_OK : opt__make_copies(o, &o->best.value);
}

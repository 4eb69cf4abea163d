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
    if (o == NULL || slot == NULL || param < 0 || param >= o->nparams)
        return NULL;
    for (int s = 0; s < o->nslots; s++)
        if (strcmp(slot, opt__slot_name(o, s)) == 0)
            return o->params[param].frozen ? NULL : &o->slots[param * o->nslots + s];
    return NULL;
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
    return OPT_OK;
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
        s = opt__fail(dst->ctx, OPT_EINVAL, "copy_state: with the averages in the weights' place");
    for (int i = 0; !s && i < src->nparams * src->nslots; i++)
        if (src->slots[i].data != NULL)
            s = opt_tensor_copy(dst->ctx, &src->slots[i], &dst->slots[i]);
    if (!s)
        dst->t = src->t;
    return s;
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

opt_status opt_optim_predicting(opt_optim *o, bool on)
{
    if (o == NULL)
        return OPT_EINVAL;
    if (on && !(o->opts.average > 0))
        return opt__fail(o->ctx, OPT_EINVAL, "%s: there is no average of the weights", o->method.name);
    if (on && o->t == 0)
        return opt__fail(o->ctx, OPT_EINVAL, "%s: there is no average before the first step", o->method.name);
    if (o->predicting == on)
        return OPT_OK;
    for (int p = 0; p < o->nparams; p++)
        if (!o->params[p].frozen)
            swap(&o->params[p].value, &o->slots[p * o->nslots + o->nslots - 1]);
    o->predicting = on;
    return OPT_OK;
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
    opt_status s = OPT_OK;

    if (o->best.value == NULL)
        o->best.value = opt__alloc(o->ctx, o->nparams, sizeof *o->best.value);
    if (o->best.value == NULL)
        return opt__no_memory(o->ctx, o->method.name);
    for (int p = 0; !s && p < o->nparams; p++) {
        const opt_tensor *w = &o->params[p].value;

        if (o->best.value[p].data == NULL)
            s = opt_tensor_new(o->ctx, w->dtype, w->ndim, w->dim, &o->best.value[p]);
    }
    return s;
}

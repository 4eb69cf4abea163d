/* SPDX-License-Identifier: MIT
 *
 * The driver: where a method's state lies.
 */
#include <string.h>

#include "optim/method.h"
#include "optim/optim.h"

/* What slot s of a parameter like w is to be, but for its data; dtype 0: it is not needed. */
static opt_tensor slot_like(const opt_optim *o, int s, bool frozen, const opt_tensor *w)
{
    opt_tensor like = *w;

    like.data = NULL;
    if (frozen)
        return (opt_tensor){0};
    if (s != OPT__AVERAGE && o->method.shape_slot != NULL)
        o->method.shape_slot(o->hyper, s, &like);
    return like;
}

opt_tensor opt__whole_slot(const opt_optim *o, int p, int s)
{
    return slot_like(o, o->slot[s], o->params[p].frozen, &o->params[p].value);
}

static opt_status check_like(const opt_optim *o, int s, int p, const opt_tensor *like)
{
    const opt_param *param = &o->params[p];
    const bool known = like->dtype == OPT_F32 || like->dtype == OPT_F64 || like->dtype == OPT_BF16;

    if (!known || opt__count(like->dtype, like->ndim, like->dim) < 0)
        return opt__fail(o->ctx, OPT_ESHAPE, "%s: slot %s of %s is to have no possible shape or dtype",
                         o->method.name, o->method.slot[s], param->name);
    if (o->method.update != NULL && !o->method.whole_tensor && !opt__same_shape(like, &param->value) &&
        !opt__is_wide(like, &param->value))
        return opt__fail(o->ctx, OPT_ESHAPE, "%s: slot %s of %s is to be %s where that is %s", o->method.name,
                         o->method.slot[s], param->name, opt__shape_of(like).text,
                         opt__shape_of(&param->value).text);
    return OPT_OK;
}

/* Which slots any parameter needs; and the average, if it is wanted. */
static opt_status choose_slots(opt_optim *o)
{
    const int all = opt__slot_count(&o->method);

    for (int s = 0; s < all; s++) {
        bool needed = false;

        for (int p = 0; p < o->nparams; p++) {
            const opt_tensor like = slot_like(o, s, o->params[p].frozen, &o->params[p].value);
            const opt_status status = like.dtype == 0 ? OPT_OK : check_like(o, s, p, &like);

            if (status)
                return status;
            needed = needed || like.dtype != 0;
        }
        if (needed)
            o->slot[o->nslots++] = s;
        if (o->opts.average > 0 && strcmp(o->method.slot[s], "average") == 0)
            return opt__fail(o->ctx, OPT_EINVAL, "%s: it has a slot of the name average itself",
                             o->method.name);
    }
    if (o->opts.average > 0)
        o->slot[o->nslots++] = OPT__AVERAGE;
    return OPT_OK;
}

/* Places all slots of name s one behind the other in a block that begins at `block`, or, if that is NULL,
 * only counts. Returns the bytes, or -1 when they overflow. */
static int64_t place(opt_optim *o, int s, char *block)
{
    int64_t end = 0;

    for (int p = 0; p < o->nparams; p++) {
        const opt_tensor own = opt__own(o, p, &o->params[p].value);
        const bool none = o->params[p].frozen || (o->sharded && o->share[p].n == 0);
        opt_tensor t = slot_like(o, o->slot[s], none, &own);
        const int64_t size = (int64_t)opt__size(t.dtype);
        const int64_t bytes = t.dtype == 0 ? 0 : opt_tensor_len(&t) * size;

        if (end > PTRDIFF_MAX - bytes - size)
            return -1;
        if (t.dtype == 0)
            continue;
        end = (end + size - 1) / size * size; /* f64 may follow an odd number of f32 */
        if (block != NULL) {
            t.data = block + end;
            o->slots[p * o->nslots + s] = t;
        }
        end += bytes;
    }
    return end;
}

opt_status opt__make_slots(opt_optim *o)
{
    opt_status status = choose_slots(o);

    for (int s = 0; !status && s < o->nslots; s++) {
        const int64_t bytes = place(o, s, NULL);

        if (bytes < 0)
            return opt__fail(o->ctx, OPT_ESHAPE, "%s: the size of all parameters overflows", o->method.name);
        o->slot_memory[s] = opt__alloc(o->ctx, bytes, 1);
        if (o->slot_memory[s] == NULL)
            return opt__no_memory(o->ctx, o->method.name);
        (void)place(o, s, o->slot_memory[s]);
    }
    return status;
}

/* ---- Copies of the weights ----------------------------------------------------------------------------- */

opt_status opt__make_copies(opt_optim *o, opt_tensor **out)
{
    opt_tensor *copies = opt__alloc(o->ctx, o->nparams, sizeof *copies);
    opt_status s = copies ? OPT_OK : opt__no_memory(o->ctx, o->method.name);

    for (int p = 0; !s && p < o->nparams; p++) {
        const opt_tensor *w = &o->params[p].value;

        s = opt_tensor_new(o->ctx, w->dtype, w->ndim, w->dim, &copies[p]);
    }
    if (s) {
        opt__free_copies(o, copies);
        return s;
    }
    *out = copies;
    return OPT_OK;
}

void opt__free_copies(opt_optim *o, opt_tensor *copies)
{
    for (int p = 0; copies != NULL && p < o->nparams; p++)
        opt_tensor_free(o->ctx, &copies[p]);
    opt__free(o->ctx, copies);
}

/* SPDX-License-Identifier: MIT
 *
 * The driver: of a sharded optimizer every rank holds the slots of some of the elements, and steps these
 * (ZeRO, stage 1: Rajbhandari et al. 2020, arXiv:1910.02054). The elements of all parameters but the frozen
 * are numbered one after the other; a rank has as many as any other, and of a whole_tensor method whole
 * parameters.
 */
#include <string.h>

#include "base/ranks.h"
#include "optim/optim.h"

#define ALIGNED 16 /* elements: so that no rank begins within a vector */

/* Where rank r's elements begin among n. */
static int64_t start_of(int64_t n, int size, int r)
{
    const int64_t start = n / size * r + n % size * r / size;

    return r == size ? n : start / ALIGNED * ALIGNED;
}

/* Moves a rank's beginning to that of the parameter whose middle is the first not before it. */
static int64_t whole_start(const opt_optim *o, int64_t start)
{
    int64_t first = 0;

    for (int p = 0; p < o->nparams; p++) {
        const int64_t n = o->params[p].frozen ? 0 : opt_tensor_len(&o->params[p].value);

        if (n > 0 && first + n / 2 >= start)
            return first;
        first += n;
    }
    return first;
}

opt_status opt__share_out(opt_optim *o)
{
    const int size = o->ctx->comm.size, rank = o->ctx->comm.rank;
    int64_t n = 0, first = 0;

    o->sharded = o->opts.sharded && size > 1;
    if (!o->sharded)
        return OPT_OK;
    if (o->method.search != NULL)
        return opt__fail(o->ctx, OPT_EINVAL, "%s: it searches along a line, and cannot be sharded",
                         o->method.name);
    o->bound = opt__alloc(o->ctx, 2 * (int64_t)size + 2, sizeof *o->bound);
    o->share = opt__alloc(o->ctx, o->nparams, sizeof *o->share);
    if (o->bound == NULL || o->share == NULL)
        return opt__no_memory(o->ctx, o->method.name);
    for (int p = 0; p < o->nparams; p++)
        n += o->params[p].frozen ? 0 : opt_tensor_len(&o->params[p].value);
    for (int r = 0; r <= size; r++) {
        const int64_t start = start_of(n, size, r);

        o->bound[r] = o->method.whole_tensor && r < size ? whole_start(o, start) : start;
    }
    for (int p = 0; p < o->nparams; p++) {
        const int64_t length = o->params[p].frozen ? 0 : opt_tensor_len(&o->params[p].value);
        const int64_t begin = o->bound[rank] - first, end = o->bound[rank + 1] - first;
        const int64_t from = begin < 0 ? 0 : begin, to = end > length ? length : end;

        o->share[p] = to > from ? (opt__share){from, to - from} : (opt__share){0};
        first += length;
    }
    return OPT_OK;
}

opt_tensor opt__own(const opt_optim *o, int p, const opt_tensor *t)
{
    const opt__share *s = o->sharded ? &o->share[p] : NULL;

    if (s == NULL || s->n == opt_tensor_len(t))
        return *t;
    return (opt_tensor){opt__at(t, s->first), t->dtype, 1, {s->n}};
}

/* t's elements, each of which `width` numbers of t stand for and whose first is number `first` of all, from
 * the ranks that have them. */
static opt_status gather(const opt_optim *o, int64_t first, int64_t width, const opt_tensor *t)
{
    const opt_comm *c = &o->ctx->comm;
    const int64_t n = opt_tensor_len(t);
    int64_t *start = o->bound + c->size + 1; /* of each rank's, within t */

    for (int r = 0; r <= c->size; r++) {
        const int64_t at = (o->bound[r] - first) * width;

        start[r] = at < 0 ? 0 : at > n ? n : at;
    }
    if (c->gather == NULL) {
        opt_tensor before = opt_tensor_view(t->dtype, t->data, 1, &start[c->rank]);
        opt_tensor after =
            opt_tensor_view(t->dtype, opt__at(t, start[c->rank + 1]), 1, (int64_t[]){n - start[c->rank + 1]});

        if (start[c->rank] > 0)
            opt_tensor_fill(&before, OPT__NOTHING);
        if (n > start[c->rank + 1])
            opt_tensor_fill(&after, OPT__NOTHING);
        return opt__sum(o->ctx, "gathering", t->data, n, t->dtype);
    }
    if (c->gather(c->ud, t->data, start, t->dtype) == OPT_OK)
        return OPT_OK;
    return opt__comm_failed(o->ctx, "gathering");
}

opt_status opt__gather_weights(opt_optim *o)
{
    int64_t first = 0;
    opt_status s = o->sharded ? opt__agree_on_cuts(o) : OPT_OK;

    for (int p = 0; o->sharded && !s && p < o->nparams; p++) {
        opt_tensor run = o->params[p].value; /* and what goes on where it ends */
        int64_t n = opt_tensor_len(&run);

        if (o->params[p].frozen)
            continue;
        for (; p + 1 < o->nparams && o->cut[o->nparams + p + 1] == 0; p++)
            n += opt_tensor_len(&o->params[p + 1].value);
        run = opt_tensor_view(run.dtype, run.data, 1, &n);
        s = gather(o, first, 1, &run);
        first += n;
    }
    return s ? opt__fail(o->ctx, s, "%s: %s", o->method.name, o->ctx->message) : OPT_OK;
}

/* bf16, which ranks do not exchange, as f32. */
static opt_status gather_bf16(const opt_optim *o, int64_t first, int64_t width, const opt_tensor *t)
{
    const int64_t n = opt_tensor_len(t);
    opt_tensor wide = {0};
    opt_status s = opt__agree(o->ctx, opt_tensor_new(o->ctx, OPT_F32, 1, &n, &wide), NULL, 0);

    for (int64_t i = 0; !s && i < n; i++)
        opt_set(&wide, i, opt_get(t, i));
    if (!s)
        s = gather(o, first, width, &wide);
    for (int64_t i = 0; !s && i < n; i++)
        opt_set(t, i, opt_get(&wide, i));
    opt_tensor_free(o->ctx, &wide);
    return s;
}

opt_status opt__gather_slot(const opt_optim *o, int p, int s, const opt_tensor *whole)
{
    const opt_tensor *own = &o->slots[p * o->nslots + s];
    const int64_t width = opt_tensor_len(whole) / opt_tensor_len(&o->params[p].value);
    int64_t first = 0;

    for (int before = 0; before < p; before++)
        first += o->params[before].frozen ? 0 : opt_tensor_len(&o->params[before].value);
    if (own->data != NULL)
        memcpy(opt__at(whole, o->share[p].first * width), own->data,
               (size_t)opt_tensor_len(own) * opt__size(own->dtype));
    return whole->dtype == OPT_BF16 ? gather_bf16(o, first, width, whole) : gather(o, first, width, whole);
}

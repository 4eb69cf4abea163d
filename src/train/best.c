/* SPDX-License-Identifier: MIT
 *
 * The best epoch, and what follows from there being none for a while.
 */
#include <math.h>

#include "train/loop.h"

bool opt__tracks_best(const opt__loop *l)
{
    return l->opts->patience > 0 || l->opts->keep_best || l->opts->reduce_factor > 0;
}

/* Looked for anew, from the next epoch on. */
static void begin(opt__loop *l)
{
    l->optim->best.epoch = 0;
    l->optim->best.from = l->batches->completed + 1;
}

void opt__best_begin(opt__loop *l)
{
    opt_optim *o = l->optim;

    if (!opt__tracks_best(l))
        o->best.from = 0;
    else if (o->best.epoch == 0 && (o->best.from == 0 || o->best.from > l->batches->completed + 1))
        begin(l);
}

/* The epochs that patience does not count: up to the best, or those before it was looked for. */
static int64_t since(const opt_optim *o)
{
    return o->best.epoch > 0 ? o->best.epoch : o->best.from - 1;
}

opt_status opt__best_reserve(opt__loop *l)
{
    opt_optim *o = l->optim;
    opt_status s = opt__optim_reserve_best(o);

    if (s)
        return opt__fail(l->ctx, s, "train: the best weights: %s", l->ctx->message);
    if (o->best.epoch > 0 && !o->best.kept)
        begin(l);
    return OPT_OK;
}

static void note(opt__loop *l, double loss)
{
    opt_optim *o = l->optim;

    o->best.loss = loss;
    o->best.epoch = l->batches->epoch;
    o->best.kept = l->opts->keep_best;
    for (int p = 0; o->best.kept && p < o->nparams; p++)
        opt_tensor_copy(l->ctx, &o->params[p].value, &o->best.value[p]);
}

/* Lowers the learning rate when nothing has got better for long enough. */
static void reduce(opt__loop *l)
{
    const opt_train_opts *opts = l->opts;
    opt_optim *o = l->optim;
    const int64_t epoch = l->batches->epoch, patience = opts->reduce_patience ? opts->reduce_patience : 10;
    const int64_t last = o->best.reduced > since(o) ? o->best.reduced : since(o);
    const double lower = o->opts.lr * opts->reduce_factor;

    if (!(opts->reduce_factor > 0) || epoch - last < patience)
        return;
    o->best.reduced = epoch;
    if (o->opts.lr > opts->reduce_floor)
        o->opts.lr = lower > opts->reduce_floor ? lower : opts->reduce_floor;
}

void opt__best_note(opt__loop *l, double loss)
{
    const opt_optim *o = l->optim;
    const bool best = o->best.epoch == 0 || loss < o->best.loss - l->opts->min_gain;

    if (!opt__tracks_best(l))
        return;
    if (isfinite(loss) && best)
        note(l, loss);
    else
        reduce(l);
}

void opt__best_put_back(const opt__loop *l)
{
    opt_optim *o = l->optim;

    for (int p = 0; l->opts->keep_best && o->best.kept && p < o->nparams; p++)
        opt_tensor_copy(l->ctx, &o->best.value[p], &o->params[p].value);
}

bool opt__over(const opt__loop *l)
{
    const int64_t completed = l->batches->completed;

    return completed >= l->opts->epochs ||
           (l->opts->patience > 0 && completed - since(l->optim) >= l->opts->patience);
}

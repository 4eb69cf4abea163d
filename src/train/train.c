/* SPDX-License-Identifier: MIT
 *
 * The training loop.
 *
 * Where a run stands is kept in the objects it works on, the batches (epoch, place in it, loss so far) and
 * the optimizer (steps, slots), not in the loop: so it can be left at any step and taken up again.
 */
#include <math.h>
#include <time.h>

#include <opt/train.h>

#include "batch/batches.h"
#include "optim/optim.h"
#include "tensor/tensor.h"
#include "train/evaluate.h"
#include "train/log.h"
#include "train/options.h"

typedef struct loop {
    opt_ctx *ctx;
    const opt_model *model;
    opt_optim *optim;
    opt_batches *batches;
    const opt_train_opts *opts;
    opt__evaluator validation; /* zeroed: there is none */
    opt__log log;
    double *weight; /* room for those of a part's examples; NULL: they have none */
    struct timespec start, saved_at;
    int64_t since; /* epochs that patience does not count: up to the best, or those done before the call */
    bool saved;    /* a checkpoint holds just what there is */
    bool stopped;
} loop;

static double seconds_since(const struct timespec *start)
{
    struct timespec now;

    timespec_get(&now, TIME_UTC);
    return (double)(now.tv_sec - start->tv_sec) + 1e-9 * (double)(now.tv_nsec - start->tv_nsec);
}

/* ---- A step -------------------------------------------------------------------------------------------- */

/* Message for a tensor that is not finite; returns false when it is. */
static bool blame(const loop *l, const char *what, const char *name, const opt_tensor *t)
{
    const int64_t at = t->data ? opt__find_nonfinite(t) : -1;

    if (at < 0)
        return false;
    opt__fail(l->ctx, OPT_ENONFINITE, "%s%s is %g in element %lld", what, name, opt__shown(opt_get(t, at)),
              (long long)at);
    return true;
}

/* The loss is not finite: finds the tensor that made it so. Weights come first, then data, then gradients. */
static opt_status nonfinite_loss(const loop *l, const opt_batch *part, double loss)
{
    const opt_params params = l->model->params;

    for (int i = 0; i < params.n; i++)
        if (blame(l, "", params.at[i].name, &params.at[i].value))
            return OPT_ENONFINITE;
    if (blame(l, "", "the batch's x", &part->x) || blame(l, "", "the batch's y", &part->y))
        return OPT_ENONFINITE;
    for (int i = 0; i < params.n; i++)
        if (blame(l, "the gradient of ", params.at[i].name, &params.at[i].grad))
            return OPT_ENONFINITE;
    return opt__fail(l->ctx, OPT_ENONFINITE, "the loss is %g, though every tensor is finite",
                     opt__shown(loss));
}

/* Gives each of the part's examples its class's weight. */
static void weigh(const loop *l, opt_batch *part)
{
    const int64_t rows = part->x.data ? opt__rows(&part->x) : 0;

    if (l->weight == NULL || rows == 0)
        return;
    for (int64_t i = 0; i < rows; i++)
        l->weight[i] = l->opts->class_weight[opt__class_of(&part->y, i)];
    part->weight = opt_tensor_view(OPT_F64, l->weight, 1, &rows);
}

/* Gradient and step for one part of a batch; *loss <- the mean over the whole batch. */
static opt_status learn(loop *l, const opt_batch *part, double *loss)
{
    const opt_comm *comm = &l->ctx->comm;
    opt_status s = l->model->grad(l->model->self, part, loss);

    if (!s && comm->size > 1 && comm->sum(comm->ud, loss, 1, OPT_F64))
        s = opt__fail(l->ctx, OPT_ECOMM, "summing the loss over ranks failed");
    if (!s && !isfinite(*loss))
        s = nonfinite_loss(l, part, *loss);
    if (!s)
        s = opt_optim_step(l->optim);
    return s;
}

/* ---- The best epoch ------------------------------------------------------------------------------------ */

static bool tracks_best(const loop *l)
{
    return l->opts->patience > 0 || l->opts->keep_best;
}

/* Makes room for the best weights. A best epoch known from before, when weights were not kept, does not count
 * any more: there would be none to put back. */
static opt_status reserve_best(loop *l)
{
    opt_optim *o = l->optim;
    opt_status s = opt__optim_reserve_best(o);

    if (s)
        return opt__fail(l->ctx, s, "train: the best weights: %s", l->ctx->message);
    if (o->best.epoch > 0 && !o->best.kept) {
        o->best.epoch = 0;
        l->since = l->batches->completed;
    }
    return OPT_OK;
}

/* Takes note of the epoch that has ended, if it is the best. */
static void note_best(loop *l, double loss)
{
    opt_optim *o = l->optim;

    if (!tracks_best(l) || !isfinite(loss) ||
        (o->best.epoch > 0 && !(loss < o->best.loss - l->opts->min_gain)))
        return;
    o->best.loss = loss;
    o->best.epoch = l->since = l->batches->epoch;
    o->best.kept = l->opts->keep_best;
    for (int p = 0; o->best.kept && p < o->nparams; p++)
        opt_tensor_copy(l->ctx, &o->params[p].value, &o->best.value[p]);
}

static void put_back_best(const loop *l)
{
    opt_optim *o = l->optim;

    for (int p = 0; l->opts->keep_best && o->best.kept && p < o->nparams; p++)
        opt_tensor_copy(l->ctx, &o->best.value[p], &o->params[p].value);
}

/* Whether all epochs are done or patience is at an end. */
static bool over(const loop *l)
{
    const int64_t completed = l->batches->completed;

    return completed >= l->opts->epochs ||
           (l->opts->patience > 0 && completed - l->since >= l->opts->patience);
}

/* ---- Reports ------------------------------------------------------------------------------------------- */

static opt_progress progress_of(const loop *l, const opt_evaluation *validation)
{
    const bool best = tracks_best(l) && l->optim->best.epoch > 0;
    const opt_batches *b = l->batches;

    return (opt_progress){.epoch = b->epoch,
                          .epochs = l->opts->epochs,
                          .step = opt_optim_steps(l->optim),
                          .loss = b->loss_sum / (double)b->loss_rows,
                          .last_loss = b->last_loss,
                          .lr = opt__optim_last_lr(l->optim),
                          .grad_norm = opt__optim_grad_norm(l->optim),
                          .seconds = seconds_since(&l->start),
                          .val_loss = validation->loss,
                          .val_accuracy = validation->accuracy,
                          .best_loss = best ? l->optim->best.loss : (double)NAN,
                          .best_epoch = best ? l->optim->best.epoch : 0};
}

static const opt_evaluation untried = {.loss = (double)NAN, .accuracy = (double)NAN};

/* Calls a callback, if there is one, and takes note when it says stop. */
static opt_status report(loop *l, opt_progress_fn callback, const char *which, const opt_progress *p)
{
    opt_status s;

    if (callback == NULL)
        return OPT_OK;
    s = callback(p, l->opts->ud);
    l->stopped = s == OPT_STOP;
    if (s && !l->stopped)
        return opt__fail(l->ctx, s, "train: %s ended training in epoch %lld: %s", which, (long long)p->epoch,
                         opt_strerror(s));
    return OPT_OK;
}

static opt_status save(loop *l)
{
    opt_status s = OPT_OK;

    if (l->opts->checkpoint == NULL || l->saved || l->ctx->comm.rank > 0)
        return OPT_OK;
    s = opt_save(l->ctx, l->opts->checkpoint, l->model->params, l->optim, l->batches);
    if (s)
        return opt__fail(l->ctx, s, "train: the checkpoint: %s", l->ctx->message);
    l->saved = true;
    timespec_get(&l->saved_at, TIME_UTC);
    return OPT_OK;
}

/* ---- The loop ------------------------------------------------------------------------------------------ */

/* What an epoch ends with. When it cannot be tried or written down, it has not ended: the next call does so
 * then, before it goes on. */
static opt_status end_epoch(loop *l)
{
    const bool by_time_only = l->opts->checkpoint_every == 0 && l->opts->checkpoint_seconds > 0;
    const int64_t every = l->opts->checkpoint_every > 0 ? l->opts->checkpoint_every : 1;
    opt_evaluation validation = untried;
    opt_batches *b = l->batches;
    opt_progress p;
    opt_status s = OPT_OK;

    l->saved = false;
    if (l->validation.ctx != NULL)
        s = opt__evaluate(&l->validation, b->epoch, &validation);
    if (s) {
        b->completed = b->epoch - 1;
        return opt__fail(l->ctx, s, "train: validation after epoch %lld: %s", (long long)b->epoch,
                         l->ctx->message);
    }
    note_best(l, l->validation.ctx ? validation.loss : b->loss_sum / (double)b->loss_rows);
    p = progress_of(l, &validation);
    s = opt__log_add(&l->log, &p);
    if (s) {
        b->completed = b->epoch - 1;
        return opt__fail(l->ctx, s, "train: the log after epoch %lld: %s", (long long)b->epoch,
                         l->ctx->message);
    }
    s = report(l, l->opts->on_epoch, "on_epoch", &p);
    if (!s && !by_time_only && b->epoch % every == 0)
        s = save(l);
    return s;
}

/* What follows a step. */
static opt_status end_step(loop *l)
{
    opt_status s = OPT_OK;

    l->saved = false;
    if (l->opts->on_step != NULL) {
        const opt_progress p = progress_of(l, &untried);

        s = report(l, l->opts->on_step, "on_step", &p);
    }
    if (!s && l->opts->checkpoint_seconds > 0 && seconds_since(&l->saved_at) >= l->opts->checkpoint_seconds)
        s = save(l);
    return s;
}

/* The rest of the epoch that has been begun. */
static opt_status run_epoch(loop *l)
{
    opt_batches *b = l->batches;
    while (!l->stopped) {
        opt_batch part;
        double loss = (double)NAN; /* for a model that forgets to set it */
        opt_status s = opt_batches_next(b, &part);

        if (s == OPT_END)
            return end_epoch(l);
        if (s)
            return s;
        l->ctx->message[0] = '\0'; /* a model of the caller's may fail without leaving one */
        weigh(l, &part);
        s = learn(l, &part, &loss);
        if (s) {
            b->next = part.index; /* not learnt: to be handed out again */
            return opt__fail(l->ctx, s, "train: epoch %lld, batch %lld: %s", (long long)b->epoch,
                             (long long)part.index + 1,
                             l->ctx->message[0] ? l->ctx->message : opt_strerror(s));
        }
        b->last_loss = loss;
        b->loss_sum += loss * (double)part.global_rows;
        b->loss_rows += part.global_rows;
        s = end_step(l);
        if (s)
            return s;
    }
    return OPT_OK;
}

/* Until all is over or a callback says stop. */
static opt_status run(loop *l)
{
    opt_batches *b = l->batches;
    opt_status s = OPT_OK;

    while (!s && !l->stopped && !over(l)) {
        if (b->epoch == b->completed)
            s = opt_batches_begin(b, b->completed + 1);
        if (!s)
            s = run_epoch(l);
    }
    if (!s)
        s = save(l);
    if (!s && !l->stopped)
        put_back_best(l);
    return s;
}

/* ---- Before and after ---------------------------------------------------------------------------------- */

static opt_status prepare_validation(loop *l)
{
    const opt_source *given = l->opts->validation, *learnt = &l->batches->source;
    opt_status s = opt__evaluator_new(l->ctx, l->model, given, false, &l->validation);

    if (s)
        return opt__fail(l->ctx, s, "train: validation: %s", l->ctx->message);
    if (given->x_cols != learnt->x_cols || given->y_cols != learnt->y_cols)
        return opt__fail(l->ctx, OPT_ESHAPE,
                         "train: validation: x and y have %lld and %lld columns, the batches %lld and %lld",
                         (long long)given->x_cols, (long long)given->y_cols, (long long)learnt->x_cols,
                         (long long)learnt->y_cols);
    if (given->dtype != learnt->dtype)
        return opt__fail(l->ctx, OPT_EDTYPE, "train: validation is %s where the batches are %s",
                         opt__dtype_name(given->dtype), opt__dtype_name(learnt->dtype));
    return OPT_OK;
}

/* Takes all memory and opens the log. The best epoch's place comes last, as it outlives this call. */
static opt_status prepare(loop *l)
{
    const opt_train_opts *o = l->opts;
    opt_status s = OPT_OK;

    if (o->validation != NULL)
        s = prepare_validation(l);
    if (!s && o->class_weight != NULL) {
        l->weight = opt__alloc(l->ctx, opt__rows(&l->batches->x), sizeof *l->weight);
        if (l->weight == NULL)
            s = opt__no_memory(l->ctx, "train");
    }
    if (!s && o->log != NULL && l->ctx->comm.rank == 0) {
        s = opt__log_open(l->ctx, o->log, &l->log);
        if (s)
            opt__fail(l->ctx, s, "train: the log: %s", l->ctx->message);
    }
    if (!s && o->keep_best)
        s = reserve_best(l);
    return s;
}

opt_status opt_train(opt_ctx *ctx, const opt_model *model, opt_optim *optim, opt_batches *batches,
                     const opt_train_opts *opts)
{
    loop l = {.ctx = ctx, .model = model, .optim = optim, .batches = batches, .opts = opts};
    opt_status s = opt__enter(ctx);

    if (!s)
        s = opt__check_training(ctx, model, optim, batches, opts);
    if (s)
        return s;
    timespec_get(&l.start, TIME_UTC);
    l.saved_at = l.start;
    l.since = optim->best.epoch > 0 ? optim->best.epoch : batches->completed;
    if (over(&l)) {
        put_back_best(&l);
        return OPT_OK;
    }
    s = prepare(&l);
    if (!s)
        s = run(&l);
    opt__log_close(&l.log);
    opt__free(ctx, l.weight);
    opt__evaluator_free(&l.validation);
    return s;
}

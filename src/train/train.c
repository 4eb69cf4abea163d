/* SPDX-License-Identifier: MIT
 *
 * The training loop.
 */
#define _POSIX_C_SOURCE 200809L /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

#include <math.h>
#include <time.h>

#include "base/ranks.h"
#include "tensor/tensor.h"
#include "train/loop.h"
#include "train/options.h"
#include "train/ranks.h"

/* A clock that nobody sets. */
static void now(struct timespec *t)
{
    clock_gettime(CLOCK_MONOTONIC, t);
}

static double seconds_since(const struct timespec *start)
{
    struct timespec t;

    now(&t);
    return (double)(t.tv_sec - start->tv_sec) + 1e-9 * (double)(t.tv_nsec - start->tv_nsec);
}

/* ---- Reports ------------------------------------------------------------------------------------------- */

static opt_progress progress_of(const opt__loop *l, const opt_evaluation *validation)
{
    const bool best = opt__tracks_best(l) && l->optim->best.epoch > 0;
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
static opt_status report(opt__loop *l, opt_progress_fn callback, const char *which, const opt_progress *p)
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

static opt_status save(opt__loop *l)
{
    opt_status s = OPT_OK;

    if (l->opts->checkpoint == NULL || l->saved || (l->ctx->comm.rank > 0 && !l->optim->sharded))
        return OPT_OK;
    s = opt_save(l->ctx, l->opts->checkpoint, l->model->params, l->optim, l->batches);
    if (s)
        return opt__fail(l->ctx, s, "train: the checkpoint: %s", l->ctx->message);
    l->saved = true;
    now(&l->saved_at);
    return OPT_OK;
}

/* If a rank has failed or been told to stop, so have all. */
static opt_status agree(opt__loop *l, opt_status s)
{
    double stopped = l->stopped;

    s = opt__agree(l->ctx, s, &stopped, 1);
    if (!s)
        l->stopped = stopped > 0;
    return s;
}

/* ---- The loop ------------------------------------------------------------------------------------------ */

/* Tries the epoch's weights, or those that predict in their place, and takes note if they are the best. */
static opt_status judge_epoch(opt__loop *l, opt_evaluation *validation)
{
    const opt_batches *b = l->batches;
    const bool otherwise =
        opt__predicts_otherwise(l->optim) && l->optim->t > 0; /* 0: nothing lower at once */
    opt_status s = OPT_OK;

    if (otherwise)
        s = opt_optim_predicting(l->optim, true);
    if (!s && l->validation.ctx != NULL)
        s = opt__evaluate(&l->validation, b->epoch, validation);
    if (!s)
        opt__best_note(l, l->validation.ctx ? validation->loss : b->loss_sum / (double)b->loss_rows);
    if (otherwise) {
        const opt_status back = opt_optim_predicting(l->optim, false);

        s = s ? s : back;
    }
    return s;
}

/* What an epoch ends with. When it cannot be tried or written down, it has not ended: the next call does so
 * then, before it goes on. */
static opt_status end_epoch(opt__loop *l)
{
    const bool by_time_only = l->opts->checkpoint_every == 0 && l->opts->checkpoint_seconds > 0;
    const int64_t every = l->opts->checkpoint_every > 0 ? l->opts->checkpoint_every : 1;
    opt_evaluation validation = untried;
    opt_batches *b = l->batches;
    opt_progress p;
    opt_status s;

    l->saved = false;
    s = judge_epoch(l, &validation);
    if (s) {
        b->completed = b->epoch - 1;
        return opt__fail(l->ctx, s, "train: validation after epoch %lld: %s", (long long)b->epoch,
                         l->ctx->message);
    }
    p = progress_of(l, &validation);
    s = opt__agree(l->ctx, opt__log_add(&l->log, &p), NULL, 0);
    if (s) {
        b->completed = b->epoch - 1;
        return opt__fail(l->ctx, s, "train: the log after epoch %lld: %s", (long long)b->epoch,
                         l->ctx->message);
    }
    s = report(l, l->opts->on_epoch, "on_epoch", &p);
    if (!s && !by_time_only && b->epoch % every == 0)
        s = save(l);
    return agree(l, s);
}

/* What follows a step. */
static opt_status end_step(opt__loop *l)
{
    opt_status s = OPT_OK;
    double due = 0; /* a checkpoint, on so many ranks */

    l->saved = false;
    if (l->opts->on_step != NULL) {
        const opt_progress p = progress_of(l, &untried);

        s = report(l, l->opts->on_step, "on_step", &p);
    }
    if (l->opts->checkpoint_seconds > 0)
        due = seconds_since(&l->saved_at) >= l->opts->checkpoint_seconds;
    if (l->optim->sharded && l->tells) /* all save, or none */
        s = opt__agree(l->ctx, s, &due, 1);
    if (!s && due > 0)
        s = save(l);
    return l->tells ? agree(l, s) : s;
}

/* The rest of the epoch that has been begun. */
static opt_status run_epoch(opt__loop *l)
{
    while (!l->stopped) {
        const bool last = l->batches->next == opt_batches_count(l->batches);
        opt_status s = opt__learn(l);

        if (last) /* s is the batches' OPT_END, and not the model's, which is an error like any other */
            return end_epoch(l);
        if (!s)
            s = end_step(l);
        if (s)
            return s;
    }
    return OPT_OK;
}

/* Whether a run has come to an end of its own, though a callback may have said stop at that very time. */
static bool is_done(const opt__loop *l)
{
    return opt__over(l) || (l->settled && l->batches->epoch == l->batches->completed);
}

/* Until all is over, no lower loss is found, or a callback says stop. */
static opt_status run(opt__loop *l)
{
    opt_batches *b = l->batches;
    opt_status s = OPT_OK;

    while (!s && !l->stopped && !l->settled && !opt__over(l)) {
        if (b->epoch == b->completed)
            (void)opt_batches_begin(b, b->completed + 1);
        s = run_epoch(l);
    }
    if (!s)
        s = opt__agree(l->ctx, save(l), NULL, 0);
    if (!s && is_done(l))
        opt__best_put_back(l);
    return s;
}

/* ---- Before and after ---------------------------------------------------------------------------------- */

static opt_status prepare_validation(opt__loop *l)
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
static opt_status prepare(opt__loop *l)
{
    const opt_train_opts *o = l->opts;
    opt_status s = OPT_OK;

    if (o->validation != NULL)
        s = prepare_validation(l);
    if (!s)
        s = opt__learn_prepare(l);
    if (!s && o->log != NULL && l->ctx->comm.rank == 0) {
        s = opt__log_open(l->ctx, o->log, &l->log);
        if (s)
            opt__fail(l->ctx, s, "train: the log: %s", l->ctx->message);
    }
    if (!s && o->keep_best)
        s = opt__best_reserve(l);
    return s;
}

/* What all ranks must agree on before the first step. */
static opt_status prepare_together(opt__loop *l)
{
    double tell = l->opts->on_step != NULL || l->opts->checkpoint_seconds > 0;
    opt_status s = opt__agree(l->ctx, prepare(l), &tell, 1);

    l->tells = l->ctx->comm.size > 1 && tell > 0;
    return s;
}

opt_status opt_train(opt_ctx *ctx, const opt_model *model, opt_optim *optim, opt_batches *batches,
                     const opt_train_opts *opts)
{
    opt__loop l = {.ctx = ctx, .model = model, .optim = optim, .batches = batches, .opts = opts};
    opt_status s = opt__enter(ctx);

    if (!s)
        s = opt__agree(ctx, opt__check_training(ctx, model, optim, batches, opts), NULL, 0);
    if (!s)
        s = opt__check_ranks(&l);
    if (s)
        return s;
    now(&l.start);
    l.saved_at = l.start;
    opt__best_begin(&l);
    if (opt__over(&l)) {
        opt__best_put_back(&l);
        return OPT_OK;
    }
    s = prepare_together(&l);
    if (!s)
        s = run(&l);
    opt__log_close(&l.log);
    opt__learn_end(&l);
    opt__evaluator_free(&l.validation);
    return s;
}

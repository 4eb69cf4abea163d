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
#include "mlp/mlp.h"
#include "optim/optim.h"
#include "optim/params.h"
#include "tensor/tensor.h"

typedef struct loop {
    opt_ctx *ctx;
    const opt_model *model;
    opt_optim *optim;
    opt_batches *batches;
    const opt_train_opts *opts;
    struct timespec start;
    bool stopped;
} loop;

static opt_status mlp_grad(void *self, const opt_batch *part, double *loss)
{
    return opt__mlp_grad_part(self, &part->x, &part->y, part->global_rows, loss);
}

opt_model opt_mlp_model(opt_mlp *net)
{
    return (opt_model){.self = net, .params = opt_mlp_params(net), .grad = net ? mlp_grad : NULL};
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;

    timespec_get(&now, TIME_UTC);
    return (double)(now.tv_sec - start->tv_sec) + 1e-9 * (double)(now.tv_nsec - start->tv_nsec);
}

static opt_status check_arguments(opt_ctx *ctx, const opt_model *model, const opt_optim *optim,
                                  const opt_batches *batches, const opt_train_opts *opts)
{
    opt_status s;

    if (model == NULL || optim == NULL || batches == NULL || opts == NULL)
        return opt__fail(ctx, OPT_EINVAL, "train: %s is NULL",
                         !model     ? "model"
                         : !optim   ? "optim"
                         : !batches ? "batches"
                                    : "opts");
    if (model->grad == NULL)
        return opt__fail(ctx, OPT_EINVAL, "train: the model has no grad");
    if (opts->epochs < 1)
        return opt__fail(ctx, OPT_EINVAL, "train: epochs = %lld is below 1", (long long)opts->epochs);
    s = opt__check_params(ctx, "train", model->params);
    if (s)
        return s;
    if (!opt__optim_updates(optim, ctx, model->params))
        return opt__fail(
            ctx, OPT_EINVAL,
            "train: the optimizer was made for other parameters than the model's, or by another context");
    if (batches->ctx != ctx)
        return opt__fail(ctx, OPT_EINVAL, "train: the batches were made by another context");
    return OPT_OK;
}

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

/* Calls a callback, if there is one, and takes note when it says stop. */
static opt_status report(loop *l, opt_progress_fn callback, const char *which)
{
    const opt_batches *b = l->batches;
    opt_status s;

    if (callback == NULL)
        return OPT_OK;
    s = callback(&(opt_progress){.epoch = b->epoch,
                                 .epochs = l->opts->epochs,
                                 .step = opt_optim_steps(l->optim),
                                 .loss = b->loss_sum / (double)b->loss_rows,
                                 .last_loss = b->last_loss,
                                 .lr = opt__optim_last_lr(l->optim),
                                 .grad_norm = opt__optim_grad_norm(l->optim),
                                 .seconds = seconds_since(&l->start),
                                 .val_loss = (double)NAN},
                 l->opts->ud);
    l->stopped = s == OPT_STOP;
    if (s && !l->stopped)
        return opt__fail(l->ctx, s, "train: %s ended training in epoch %lld: %s", which, (long long)b->epoch,
                         opt_strerror(s));
    return OPT_OK;
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
            return report(l, l->opts->on_epoch, "on_epoch");
        if (s)
            return s;
        l->ctx->message[0] = '\0'; /* a model of the caller's may fail without leaving one */
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
        s = report(l, l->opts->on_step, "on_step");
        if (s)
            return s;
    }
    return OPT_OK;
}

opt_status opt_train(opt_ctx *ctx, const opt_model *model, opt_optim *optim, opt_batches *batches,
                     const opt_train_opts *opts)
{
    loop l = {ctx, model, optim, batches, opts, {0}, false};
    opt_status s = opt__enter(ctx);

    if (!s)
        s = check_arguments(ctx, model, optim, batches, opts);
    timespec_get(&l.start, TIME_UTC);
    while (!s && !l.stopped && batches->completed < opts->epochs) {
        if (batches->epoch == batches->completed)
            s = opt_batches_begin(batches, batches->completed + 1);
        if (!s)
            s = run_epoch(&l);
    }
    return s;
}

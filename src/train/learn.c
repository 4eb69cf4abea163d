/* SPDX-License-Identifier: MIT
 *
 * A training step.
 */
#include <math.h>
#include <string.h>

#include "base/ranks.h"
#include "tensor/tensor.h"
#include "train/loop.h"

/* Message for a tensor that is not finite; returns false when it is. */
static bool blame(const opt__loop *l, const char *what, const char *name, const opt_tensor *t)
{
    const int64_t at = t->data ? opt__find_nonfinite(t) : -1;

    if (at < 0)
        return false;
    opt__fail(l->ctx, OPT_ENONFINITE, "%s%s is %g in element %lld", what, name, opt__shown(opt_get(t, at)),
              (long long)at);
    return true;
}

/* Finds a tensor of this rank that is not finite: weights come first, then data. */
static opt_status find_nonfinite(const opt__loop *l, const opt_batch *part)
{
    const opt_params params = l->model->params;

    for (int i = 0; i < params.n; i++)
        if (blame(l, "", params.at[i].name, &params.at[i].value))
            return OPT_ENONFINITE;
    return blame(l, "", "the batch's x", &part->x) || blame(l, "", "the batch's y", &part->y) ? OPT_ENONFINITE
                                                                                              : OPT_OK;
}

/* What is wrong where the loss is not finite. The gradients are all ranks' already. */
static opt_status explain(const opt__loop *l, const opt_batch *part, double loss)
{
    const opt_params params = l->model->params;
    const opt_status s = opt__agree(l->ctx, find_nonfinite(l, part), NULL, 0);

    if (s)
        return s;
    for (int i = 0; i < params.n; i++)
        if (!params.at[i].frozen && blame(l, "the gradient of ", params.at[i].name, &params.at[i].grad))
            return OPT_ENONFINITE;
    return opt__fail(l->ctx, OPT_ENONFINITE, "the loss is %g, though every tensor is finite",
                     opt__shown(loss));
}

/* Gives each of the part's examples its class's weight. */
static void weigh(const opt__loop *l, opt_batch *part)
{
    const int64_t rows = part->x.data ? opt__rows(&part->x) : 0;

    if (l->weight == NULL || rows == 0)
        return;
    for (int64_t i = 0; i < rows; i++)
        l->weight[i] = l->opts->class_weight[opt__class_of(&part->y, i)];
    part->weight = opt_tensor_view(OPT_F64, l->weight, 1, &rows);
}

/* The gradient of this rank's part; *loss <- its share of the mean. */
static opt_status own_gradient(const opt__loop *l, const opt_batch *part, double *loss)
{
    const opt_model *model = l->model;

    l->ctx->message[0] = '\0'; /* a model may fail without leaving a message, */
    *loss = (double)NAN;       /* or forget to set it */
    if (part->x.data != NULL)
        return model->grad(model->self, part, loss);
    *loss = OPT__NOTHING;
    for (int p = 0; p < model->params.n; p++)
        opt_tensor_fill(&model->params.at[p].grad, OPT__NOTHING);
    return OPT_OK;
}

static void ready(void *optim, int first)
{
    opt__begin_sums_over_ranks(optim, first); /* if that fails, so does opt__sum_over_ranks */
}

/* Reads the next batch, the k-th of those that make a step of so many rows; its gradient and *loss <- all
 * ranks'. The gradients are summed before it is known whether each rank has one, as they are ready: sums that
 * mean nothing do no harm. */
static opt_status gradient(const opt__loop *l, int64_t rows, opt_batch *part, double *loss)
{
    opt_status s = opt_batches_next(l->batches, part), failed;

    if (!s) {
        part->global_rows = rows;
        weigh(l, part);
        if (l->ctx->comm.size > 1) {
            part->ready = ready;
            part->ready_ud = l->optim;
        }
        s = own_gradient(l, part, loss);
        part->ready = NULL;
    }
    failed =
        opt__sum_over_ranks(l->optim); /* of each batch, not of the step, for the same bits on any number */
    if (failed)
        return failed;
    s = opt__agree(l->ctx, s, loss, 1);
    return s || isfinite(*loss) ? s : explain(l, part, *loss);
}

/* Adds up the gradients of the batches that make a step, of which this is the k-th from 0 of n; the last
 * one's become the sum. */
static void collect(const opt__loop *l, int64_t k, int64_t n)
{
    for (int p = 0; n > 1 && p < l->model->params.n; p++) {
        const opt_tensor *g = &l->model->params.at[p].grad, *sum = &l->sum[p];
        const size_t bytes = (size_t)opt_tensor_len(g) * opt__size(g->dtype);
        const opt__kernels *kernels = opt__kernels_of(l->ctx, g->dtype);

        if (k == 0)
            memcpy(sum->data, g->data, bytes);
        else if (k < n - 1)
            kernels->accumulate(opt_tensor_len(g), sum->data, g->data);
        else
            kernels->accumulate(opt_tensor_len(g), g->data, sum->data);
    }
}

/* What a method that searches evaluates: a part at weights of its choice. */
typedef struct trial {
    const opt__loop *loop;
    const opt_batch *part;
} trial;

static opt_status evaluate(void *ud, double *loss)
{
    const trial *t = ud;

    return own_gradient(t->loop, t->part, loss);
}

/* The optimizer's step by gradients and loss of all ranks; part is the last batch's. */
static opt_status step(opt__loop *l, const opt_batch *part, double loss)
{
    trial t = {.loop = l, .part = part};
    opt_status s;

    if (l->optim->method.search == NULL)
        return opt__step_by_sums(l->optim);
    s = opt_optim_search(l->optim, evaluate, &t, &loss);
    if (s != OPT_STOP || l->optim->search.cancelled)
        return s;
    l->settled = opt_batches_count(l->batches) == 1; /* otherwise another batch may find its way down */
    return OPT_OK;
}

/* Learns from the next batch, the k-th of n that make a step of so many rows. */
static opt_status learn_batch(opt__loop *l, int64_t k, int64_t n, int64_t rows, double *loss)
{
    const int64_t index = l->batches->next;
    opt_batch part;
    double share = (double)NAN;
    opt_status s = gradient(l, rows, &part, &share);

    if (!s) {
        collect(l, k, n);
        *loss += share;
    }
    if (!s && k == n - 1)
        s = step(l, &part, share);
    if (s)
        opt__fail(l->ctx, s, "train: epoch %lld, batch %lld: %s", (long long)l->batches->epoch,
                  (long long)index + 1, l->ctx->message[0] ? l->ctx->message : opt_strerror(s));
    return s;
}

opt_status opt__learn(opt__loop *l)
{
    opt_batches *b = l->batches;
    const int64_t first = b->next, left = opt_batches_count(b) - first;
    const int64_t wanted = l->opts->accumulate > 1 ? l->opts->accumulate : 1;
    const int64_t n = left < wanted ? left : wanted;
    int64_t rows = 0;
    double loss = 0;
    opt_batch none;
    opt_status s = OPT_OK;

    if (left == 0)
        return opt_batches_next(b, &none);
    for (int64_t k = 0; k < n; k++)
        rows += opt__batch_rows(b, first + k);
    for (int64_t k = 0; !s && k < n; k++)
        s = learn_batch(l, k, n, rows, &loss);
    if (s) {
        b->next = first; /* not learnt: to be handed out again */
        return s;
    }
    b->last_loss = loss;
    b->loss_sum += loss * (double)rows;
    b->loss_rows += rows;
    return OPT_OK;
}

opt_status opt__learn_prepare(opt__loop *l)
{
    const opt_params params = l->model->params;
    opt_status s = OPT_OK;

    if (l->opts->class_weight != NULL) {
        l->weight = opt__alloc(l->ctx, opt__rows(&l->batches->x), sizeof *l->weight);
        if (l->weight == NULL)
            return opt__no_memory(l->ctx, "train");
    }
    if (l->opts->accumulate <= 1)
        return OPT_OK;
    l->sum = opt__alloc(l->ctx, params.n, sizeof *l->sum);
    if (l->sum == NULL)
        return opt__no_memory(l->ctx, "train");
    for (int p = 0; !s && p < params.n; p++) {
        const opt_tensor *g = &params.at[p].grad;

        s = opt_tensor_new(l->ctx, g->dtype, g->ndim, g->dim, &l->sum[p]);
    }
    return s;
}

void opt__learn_end(opt__loop *l)
{
    for (int p = 0; l->sum != NULL && p < l->model->params.n; p++)
        opt_tensor_free(l->ctx, &l->sum[p]);
    opt__free(l->ctx, l->sum);
    opt__free(l->ctx, l->weight);
}

/* SPDX-License-Identifier: MIT
 *
 * A training step.
 */
#include <math.h>
#include <string.h>

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

/* The loss is not finite: finds the tensor that made it so. Weights come first, then data, then gradients. */
static opt_status nonfinite_loss(const opt__loop *l, const opt_batch *part, double loss)
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
static void weigh(const opt__loop *l, opt_batch *part)
{
    const int64_t rows = part->x.data ? opt__rows(&part->x) : 0;

    if (l->weight == NULL || rows == 0)
        return;
    for (int64_t i = 0; i < rows; i++)
        l->weight[i] = l->opts->class_weight[opt__class_of(&part->y, i)];
    part->weight = opt_tensor_view(OPT_F64, l->weight, 1, &rows);
}

/* The gradient for one part of a batch; *loss <- its share of the mean. */
static opt_status gradient(const opt__loop *l, const opt_batch *part, double *loss)
{
    const opt_comm *comm = &l->ctx->comm;
    opt_status s;

    *loss = (double)NAN;       /* for a model that forgets to set it, */
    l->ctx->message[0] = '\0'; /* or fails without leaving a message */
    s = l->model->grad(l->model->self, part, loss);
    if (!s && comm->size > 1 && comm->sum(comm->ud, loss, 1, OPT_F64))
        s = opt__fail(l->ctx, OPT_ECOMM, "summing the loss over ranks failed");
    if (!s && !isfinite(*loss))
        s = nonfinite_loss(l, part, *loss);
    return s;
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
    opt_status status; /* of the model */
} trial;

static opt_status evaluate(void *ud, double *loss)
{
    trial *t = ud;
    const opt_model *model = t->loop->model;

    t->status = model->grad(model->self, t->part, loss);
    return t->status;
}

/* The optimizer's step by the gradients of this part, or the last of a few; loss is all ranks'. */
static opt_status step(opt__loop *l, const opt_batch *part, double loss)
{
    trial t = {.loop = l, .part = part};
    opt_status s;

    if (l->optim->method.search == NULL)
        return opt_optim_step(l->optim);
    s = opt__sum_over_ranks(l->optim);
    if (!s)
        s = opt_optim_search(l->optim, evaluate, &t, &loss);
    if (s != OPT_STOP || t.status)
        return s;
    l->settled = opt_batches_count(l->batches) == 1; /* otherwise another batch may find its way down */
    return OPT_OK;
}

/* Reads the next batch, the k-th of n that make a step of so many rows, and adds its gradient. */
static opt_status learn_batch(opt__loop *l, int64_t k, int64_t n, int64_t rows, double *loss)
{
    opt_batches *b = l->batches;
    opt_batch part;
    double share;
    opt_status s = opt_batches_next(b, &part);

    if (s)
        return s;
    part.global_rows = rows;
    weigh(l, &part);
    s = gradient(l, &part, &share);
    if (!s) {
        collect(l, k, n);
        *loss += share;
    }
    if (!s && k == n - 1)
        s = step(l, &part, share);
    if (s)
        opt__fail(l->ctx, s, "train: epoch %lld, batch %lld: %s", (long long)b->epoch,
                  (long long)part.index + 1, l->ctx->message[0] ? l->ctx->message : opt_strerror(s));
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

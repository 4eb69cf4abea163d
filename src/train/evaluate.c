/* SPDX-License-Identifier: MIT
 *
 * Trying a model on a source's examples.
 */
#include "train/evaluate.h"

#include <math.h>
#include <string.h>

#include "batch/batches.h"
#include "tensor/tensor.h"

#define ROWS 256 /* that are tried at a time */

enum { LOSS, RIGHT, CONFUSION }; /* what sums[0], sums[1] and sums from [2] on are of */

/* ---- Classes ------------------------------------------------------------------------------------------- */

opt_status opt__check_classes(opt_ctx *ctx, const opt_model *model, int64_t y_cols)
{
    const int64_t classes = model->classes;

    if (classes < 2)
        return opt__fail(ctx, OPT_EINVAL, "the model's classes = %lld is below 2", (long long)classes);
    if (y_cols != classes && !(classes == 2 && y_cols == 1))
        return opt__fail(ctx, OPT_ESHAPE, "labels have %lld columns where the model has %lld classes",
                         (long long)y_cols, (long long)classes);
    return OPT_OK;
}

int64_t opt__class_of(const opt_tensor *t, int64_t row)
{
    const int64_t cols = opt__cols(t), first = row * cols;
    int64_t largest = 0;

    if (cols == 1)
        return opt_get(t, first) > 0.5;
    for (int64_t c = 1; c < cols; c++)
        if (opt_get(t, first + c) > opt_get(t, first + largest))
            largest = c;
    return largest;
}

/* ---- Evaluators ---------------------------------------------------------------------------------------- */

static opt_status allocate(opt__evaluator *e, const opt_source *source, bool confusion)
{
    const int64_t classes = e->model->classes, all = source->rows;
    const opt_batches_opts opts = {.size = all < 1 ? 0 : all < ROWS ? all : ROWS, .in_order = true};
    opt_status s = opt_batches_new(e->ctx, source, &opts, &e->batches);

    if (!s && classes != 0)
        s = opt__check_classes(e->ctx, e->model, source->y_cols);
    if (!s && source->y_cols > 0)
        s = opt_tensor_new(e->ctx, source->dtype, 2, (int64_t[]){opt__rows(&e->batches->x), source->y_cols},
                           &e->out);
    if (s)
        return s;
    e->nsums = CONFUSION + (confusion ? classes * classes : 0);
    e->sums = opt__alloc(e->ctx, e->nsums, sizeof *e->sums);
    return e->sums ? OPT_OK : opt__no_memory(e->ctx, "evaluate");
}

opt_status opt__evaluator_new(opt_ctx *ctx, const opt_model *model, const opt_source *source, bool confusion,
                              opt__evaluator *out)
{
    opt__evaluator e = {.ctx = ctx, .model = model};
    opt_status s = allocate(&e, source, confusion);

    if (s) {
        opt__evaluator_free(&e);
        return s;
    }
    *out = e;
    return OPT_OK;
}

void opt__evaluator_free(opt__evaluator *e)
{
    if (e->ctx != NULL) {
        opt__free(e->ctx, e->sums);
        opt_tensor_free(e->ctx, &e->out);
        opt_batches_free(e->batches);
    }
}

/* Adds what the model makes of a part to the sums. */
static opt_status add_part(opt__evaluator *e, opt_batch *part)
{
    const int64_t rows = part->x.data ? opt__rows(&part->x) : 0, classes = e->model->classes;
    opt_tensor out = opt_tensor_rows(&e->out, 0, rows);
    double loss = (double)NAN; /* for a model that forgets to set it */
    opt_status s;

    part->global_rows = e->batches->source.rows; /* a share of the mean over all of them */
    e->ctx->message[0] = '\0';                   /* a model of the caller's may fail without leaving one */
    s = e->model->predict(e->model->self, part, &loss, &out);
    if (s)
        return opt__fail(e->ctx, s, "batch %lld: %s", (long long)part->index + 1,
                         e->ctx->message[0] ? e->ctx->message : opt_strerror(s));
    e->sums[LOSS] += loss;
    for (int64_t i = 0; classes != 0 && i < rows; i++) {
        const int64_t is = opt__class_of(&part->y, i), taken_for = opt__class_of(&out, i);

        e->sums[RIGHT] += is == taken_for;
        if (e->nsums > CONFUSION)
            e->sums[CONFUSION + is * classes + taken_for]++;
    }
    return OPT_OK;
}

opt_status opt__evaluate(opt__evaluator *e, int64_t epoch, opt_evaluation *out)
{
    const opt_comm *comm = &e->ctx->comm;
    const int64_t rows = e->batches->source.rows;
    opt_status s;

    (void)opt_batches_begin(e->batches, epoch);
    memset(e->sums, 0, (size_t)e->nsums * sizeof *e->sums);
    for (;;) {
        opt_batch part;

        s = opt_batches_next(e->batches, &part);
        if (s == OPT_END)
            break;
        if (!s)
            s = add_part(e, &part);
        if (s)
            return s;
    }
    if (comm->size > 1 && comm->sum(comm->ud, e->sums, (size_t)e->nsums, OPT_F64))
        return opt__fail(e->ctx, OPT_ECOMM, "summing over ranks failed");
    *out = (opt_evaluation){.rows = rows,
                            .loss = e->sums[LOSS],
                            .accuracy = e->model->classes != 0 ? e->sums[RIGHT] / (double)rows : (double)NAN};
    return OPT_OK;
}

/* ---- Public -------------------------------------------------------------------------------------------- */

static opt_status check_confusion(opt_ctx *ctx, const opt_model *model, const opt_tensor *confusion)
{
    opt_status s;

    if (model->classes == 0)
        return opt__fail(ctx, OPT_EINVAL, "evaluate: confusion is wanted of a model without classes");
    s = opt__check_tensor(ctx, "evaluate: confusion", confusion);
    if (!s &&
        (confusion->ndim != 2 || confusion->dim[0] != model->classes || confusion->dim[1] != model->classes))
        s = opt__fail(ctx, OPT_ESHAPE, "evaluate: confusion is %s where the model has %lld classes",
                      opt__shape_of(confusion).text, (long long)model->classes);
    return s;
}

opt_status opt_evaluate(opt_ctx *ctx, const opt_model *model, const opt_source *source, opt_evaluation *out,
                        opt_tensor *confusion)
{
    opt__evaluator e = {0};
    opt_status s = opt__enter(ctx);

    if (s)
        return s;
    if (model == NULL || source == NULL || out == NULL)
        return opt__fail(ctx, OPT_EINVAL, "evaluate: %s is NULL",
                         !model    ? "model"
                         : !source ? "source"
                                   : "out");
    if (model->predict == NULL)
        return opt__fail(ctx, OPT_EINVAL, "evaluate: the model has no predict");
    if (confusion != NULL)
        s = check_confusion(ctx, model, confusion);
    if (s)
        return s;
    s = opt__evaluator_new(ctx, model, source, confusion != NULL, &e);
    if (!s)
        s = opt__evaluate(&e, 1, out);
    if (s)
        opt__fail(ctx, s, "evaluate: %s", ctx->message);
    for (int64_t i = 0; !s && confusion != NULL && i < opt_tensor_len(confusion); i++)
        opt_set(confusion, i, e.sums[CONFUSION + i]);
    opt__evaluator_free(&e);
    return s;
}

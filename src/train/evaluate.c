/* SPDX-License-Identifier: MIT
 *
 * Trying a model on a source's examples.
 */
#include "train/evaluate.h"

#include <math.h>
#include <string.h>

#include "base/ranks.h"
#include "batch/batches.h"
#include "tensor/tensor.h"

#define ROWS 256 /* that are tried at a time */

enum { RIGHT, CONFUSION }; /* what counts[0] and counts from [1] on are of */

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
    opt_status s = opt__batches_new_whole(e->ctx, source, &opts, &e->batches);

    if (!s && classes != 0)
        s = opt__check_classes(e->ctx, e->model, source->y_cols);
    if (!s && source->y_cols > 0)
        s = opt_tensor_new(e->ctx, source->dtype, 2, (int64_t[]){opt__rows(&e->batches->x), source->y_cols},
                           &e->out);
    if (s)
        return s;
    e->ncounts = CONFUSION + (confusion ? classes * classes : 0);
    e->counts = opt__alloc(e->ctx, e->ncounts, sizeof *e->counts);
    e->losses = opt__alloc(e->ctx, opt_batches_count(e->batches), sizeof *e->losses);
    return e->counts && e->losses ? OPT_OK : opt__no_memory(e->ctx, "evaluate");
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
        opt__free(e->ctx, e->counts);
        opt__free(e->ctx, e->losses);
        opt_tensor_free(e->ctx, &e->out);
        opt_batches_free(e->batches);
    }
}

/* Takes note of what the model makes of a batch. */
static opt_status try_batch(opt__evaluator *e, opt_batch *part)
{
    const int64_t rows = opt__rows(&part->x), classes = e->model->classes;
    opt_tensor out = opt_tensor_rows(&e->out, 0, rows);
    double loss = (double)NAN; /* for a model that forgets to set it */
    opt_status s;

    part->global_rows = e->batches->source.rows; /* a share of the mean over all of them */
    e->ctx->message[0] = '\0';                   /* a model of the caller's may fail without leaving one */
    s = e->model->predict(e->model->self, part, &loss, &out);
    if (s)
        return opt__fail(e->ctx, s, "batch %lld: %s", (long long)part->index + 1,
                         e->ctx->message[0] ? e->ctx->message : opt_strerror(s));
    e->losses[part->index] = loss;
    for (int64_t i = 0; classes != 0 && i < rows; i++) {
        const int64_t is = opt__class_of(&part->y, i), taken_for = opt__class_of(&out, i);

        e->counts[RIGHT] += is == taken_for;
        if (e->ncounts > CONFUSION)
            e->counts[CONFUSION + is * classes + taken_for]++;
    }
    return OPT_OK;
}

/* Every rank tries every so manieth batch. */
static opt_status try_own(opt__evaluator *e, int64_t epoch)
{
    const int64_t count = opt_batches_count(e->batches);
    const opt_comm *comm = &e->ctx->comm;
    opt_status s = opt_batches_begin(e->batches, epoch);

    memset(e->counts, 0, (size_t)e->ncounts * sizeof *e->counts);
    for (int64_t i = 0; i < count; i++)
        e->losses[i] = OPT__NOTHING;
    for (int64_t i = comm->rank; !s && i < count; i += comm->size) {
        opt_batch batch;

        e->batches->next = i;
        s = opt_batches_next(e->batches, &batch);
        if (!s)
            s = try_batch(e, &batch);
    }
    return s;
}

opt_status opt__evaluate(opt__evaluator *e, int64_t epoch, opt_evaluation *out)
{
    const int64_t rows = e->batches->source.rows, count = opt_batches_count(e->batches);
    opt_status s = opt__agree(e->ctx, try_own(e, epoch), NULL, 0);
    double loss = 0;

    if (!s)
        s = opt__sum(e->ctx, "summing losses", e->losses, count, OPT_F64);
    if (!s)
        s = opt__sum(e->ctx, "summing counts", e->counts, e->ncounts, OPT_F64);
    if (s)
        return s;
    for (int64_t i = 0; i < count; i++) /* in order, whoever has tried them */
        loss += e->losses[i];
    *out =
        (opt_evaluation){.rows = rows,
                         .loss = loss,
                         .accuracy = e->model->classes != 0 ? e->counts[RIGHT] / (double)rows : (double)NAN};
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
        opt_set(confusion, i, e.counts[CONFUSION + i]);
    opt__evaluator_free(&e);
    return s;
}

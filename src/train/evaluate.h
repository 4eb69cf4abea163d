/* SPDX-License-Identifier: MIT
 *
 * Trying a model on a source's examples, over and over without taking memory.
 */
#ifndef OPT_TRAIN_EVALUATE_H
#define OPT_TRAIN_EVALUATE_H

#include <opt/train.h>

#include "base/context.h"

typedef struct opt__evaluator {
    opt_ctx *ctx;
    const opt_model *model;
    opt_batches *batches; /* over the source, in order */
    opt_tensor out;       /* room for the predictions of the largest part; zeroed when there are no labels */
    double *losses;       /* of each batch, its share of the mean */
    double *counts;       /* [ncounts]: rows whose class was predicted, and confusion if it is wanted */
    int64_t ncounts;
} opt__evaluator;

/* Takes all memory. The model must outlive *out. Errors as of opt_evaluate, in messages without a prefix. */
opt_status opt__evaluator_new(opt_ctx *ctx, const opt_model *model, const opt_source *source, bool confusion,
                              opt__evaluator *out);

/* A zeroed evaluator is allowed. */
void opt__evaluator_free(opt__evaluator *e);

/* Tries the model as it is now. `epoch`, from 1, is for messages. */
opt_status opt__evaluate(opt__evaluator *e, int64_t epoch, opt_evaluation *out);

/* OPT_OK when labels of y_cols columns say a class of the model's; otherwise a message without a prefix. */
opt_status opt__check_classes(opt_ctx *ctx, const opt_model *model, int64_t y_cols);

/* The class that a row of labels or predictions [rows, y_cols] says. */
int64_t opt__class_of(const opt_tensor *t, int64_t row);

#endif

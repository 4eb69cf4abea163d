/* SPDX-License-Identifier: MIT
 *
 * The training loop: batches -> model's gradient -> optimizer's step, for any model.
 */
#ifndef OPT_TRAIN_H
#define OPT_TRAIN_H

#include "batch.h"
#include "mlp.h"
#include "optim.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A model is its parameters and a function for their gradient.
 *
 * grad overwrites the gradients of params with this part's share of the batch mean, the sum over its rows
 * divided by part->global_rows, and sets *loss to the loss's share likewise. With one rank that is plainly
 * the batch's mean. If it heeds part->weight, each example's loss, and with it the gradient, counts so many
 * times. Of several ranks those that have no rows of a batch do not call it.
 *
 * predict, which validation and opt_evaluate need, sets out [rows, y_cols] to what the model makes of the
 * part's x, and *loss to its share of the loss as grad does, global_rows being all rows that the model is
 * tried on, without regard to weights; it changes nothing else.
 *
 * Any status but OPT_OK ends training with it. */
typedef struct opt_model {
    void *self;
    opt_params params;
    opt_status (*grad)(void *self, const opt_batch *part, double *loss);
    opt_status (*predict)(void *self, const opt_batch *part, double *loss, opt_tensor *out); /* or NULL */
    int64_t classes; /* y has a column for each, or, if they are 2, may have one, the probability of class 1;
                        0: there are no classes */
    bool weighs;     /* grad heeds part->weight */
} opt_model;

/* The network as a model; it must outlive it. It has classes if its loss is OPT_SOFTMAX_CE, or OPT_BCE with
 * one output. */
opt_model opt_mlp_model(opt_mlp *net);

/* ---- Training ------------------------------------------------------------------------------------------ */

/* Where training stands. */
typedef struct opt_progress {
    int64_t epoch, epochs; /* from 1; the last one */
    int64_t step;          /* steps the optimizer has done */
    double loss;           /* mean over the epoch's examples so far, each at the weights of its step */
    double last_loss;      /* mean over the last step's batches */
    double lr;             /* used by the last step */
    double grad_norm;      /* of the last step, before clipping; NaN if `unchecked` without clip_norm */
    double seconds;        /* since opt_train was called */
    double val_loss;       /* on_epoch: of the validation data; NaN: there is none */
    double val_accuracy;   /* likewise; NaN also when the model has no classes */
    double best_loss;      /* of the best epoch so far; NaN: there is none, or it is not asked for */
    int64_t best_epoch;    /* 0: likewise */
} opt_progress;

/* Return OPT_OK to go on, OPT_STOP to end cleanly; any other status ends training with it. */
typedef opt_status (*opt_progress_fn)(const opt_progress *p, void *ud);

/* Everything but epochs may be left out. */
typedef struct opt_train_opts {
    int64_t epochs; /* in all: training goes on after what `batches` has completed; required */
    opt_progress_fn on_epoch, on_step; /* after each */
    void *ud;                          /* handed to both */

    /* A checkpoint (opt_save) is written there after every checkpoint_every epochs, after the step by which
     * checkpoint_seconds have passed since the last one, and at the end, also when a callback says stop, but
     * not after an error. With neither set: after every epoch. Of several ranks the first one writes. */
    const char *checkpoint;
    int64_t checkpoint_every;
    double checkpoint_seconds;

    int64_t accumulate; /* batches that make a step, by the mean gradient over all their examples, at an
                           epoch's end perhaps fewer: large batches in little memory; 0 means 1 */

    const opt_source *validation; /* other examples, on which the model is tried after each epoch */

    /* [model's classes], 0 or above: each example's loss times the weight of its label's class. The mean is
     * still over the number of examples, as in Keras; PyTorch's weighted mean divides by the sum of their
     * weights. A label of one column is of class 1 if it is above 0.5. */
    const double *class_weight;

    /* An epoch is the best if its loss, on the validation data if there is any, is finite and below the best
     * one's by more than min_gain. */
    int64_t patience; /* stop after so many epochs that are not the best; 0: never */
    double min_gain;
    bool keep_best; /* when all epochs are done, patience is at an end or no lower loss is found, put back the
                       best one's weights, but not when a callback says stop before; a checkpoint holds the
                       last ones too, from which training goes on. They are those that predict:
                       opt_optim_predicting is not for them any more */

    /* Each epoch adds a line to this file, of its number, step, loss, last_loss, lr, grad_norm, seconds,
     * val_loss and val_accuracy, in one write: a JSON object if the name ends in ".jsonl", otherwise CSV,
     * which begins with a header. What is not finite is null or nan. A run that goes on from a
     * checkpoint adds its epochs behind what is there. It must be a regular file or a device, not a pipe. Of
     * several ranks the first one writes. */
    const char *log;

    /* After every reduce_patience epochs that are not the best, or since the last time, the learning rate
     * (lr0, where there is a schedule) is multiplied by reduce_factor, but not below reduce_floor. */
    double reduce_factor;    /* in (0, 1); 0: never */
    int64_t reduce_patience; /* 0 means 10 */
    double reduce_floor;
} opt_train_opts;

/* Trains until `batches` has completed opts->epochs epochs, patience is at an end or a callback says stop;
 * all three return OPT_OK. Called again, with the same objects, it goes on from there, even in the middle of
 * an epoch: the weights and reported losses are those of a run never stopped. If that run is over, it does
 * no more than put back the best weights, if it is to keep them. Where they have been put back and there are
 * epochs to go, it goes on from those; to go on from the last ones, load the checkpoint.
 *
 * A method that searches, as opt_lbfgs does, evaluates a batch as often as it needs to, and wants batches of
 * all examples: then training also ends, with OPT_OK, after the epoch in which it finds no lower loss, and
 * another call does no more than one such, unless it begins from best weights that were put back. With more
 * batches than one it goes on to the next. The losses reported are, as ever, those before the step. It cannot
 * accumulate.
 *
 * An epoch ends with, in this order: validation, whether it is the best, the log, on_epoch, a checkpoint. One
 * that could not be validated or logged has not ended, and does so in the next call.
 *
 * A loss or gradient that is not finite ends training with OPT_ENONFINITE before the step; the message names
 * the tensor, epoch and batch, and the weights are those of the step before. A validation loss may be
 * anything. OPT_EINVAL when an option is out of range or asks for what the model has not, the optimizer was
 * made for other parameters than the model's, or it or the batches by another context than ctx; OPT_ESHAPE or
 * OPT_EDTYPE when validation has other columns than the batches, or the labels' do not fit the classes.
 * OPT_EIO when a checkpoint or log cannot be written: nothing is lost, and training can go on. Errors of the
 * source, model and optimizer are passed on. All memory but the model's, for validation and the best weights,
 * is taken before the first step; a checkpoint takes some while it is written. */
opt_status opt_train(opt_ctx *ctx, const opt_model *model, opt_optim *optim, opt_batches *batches,
                     const opt_train_opts *opts);

/* How well a model does on a source's examples. */
typedef struct opt_evaluation {
    int64_t rows;
    double loss;     /* mean over all rows */
    double accuracy; /* the share of rows whose class is predicted; NaN when the model has no classes */
} opt_evaluation;

/* Tries the model on all of the source, 256 rows at a time; with several ranks each tries its part, and all
 * get the same result. The class predicted is that of the largest output, the first of equals; with one
 * output, 1 if it is above 0.5; and labels are read likewise. confusion, if not NULL, is a tensor [classes,
 * classes], in which row i, column j counts the examples of class i that were taken for j. On any error *out
 * and confusion are untouched. OPT_EINVAL for a model without predict, or a confusion wanted of one without
 * classes; OPT_ESHAPE; OPT_ENOMEM; errors of the source and model are passed on. */
opt_status opt_evaluate(opt_ctx *ctx, const opt_model *model, const opt_source *source, opt_evaluation *out,
                        opt_tensor *confusion);

/* ---- Files: models and checkpoints --------------------------------------------------------------------- */

/* Writes the parameters' values and, where these are not NULL, all that the optimizer's and the batches'
 * future depends on, to a file in the safetensors format (huggingface.co/docs/safetensors), which other
 * programs can read: tensors "W1", ..., "slot.m.W1", ..., "best.W1", ..., little-endian, the rest as text in
 * __metadata__. The schedule's place is the step count; the schedule itself is code and is not stored.
 *
 * The file is written beside path, flushed to the disk and renamed, and the one that was there before is kept
 * as path.bak: whatever happens, and whenever, one of the two can be loaded. A link at path is replaced, not
 * followed; path.bak is overwritten last, so that it can be loaded if the file at path never could. OPT_EIO:
 * the file at path is as it was, or, where the message says that it was written, the new one. OPT_EINVAL for
 * a name that is not UTF-8 or that another tensor of the file would have; OPT_ENOMEM. */
opt_status opt_save(opt_ctx *ctx, const char *path, opt_params params, const opt_optim *optim,
                    const opt_batches *batches);

/* Puts back what opt_save wrote; training then goes on to the same bits, whatever the number of threads, the
 * instruction set or the byte order of either machine. optim and batches may be NULL, and their part of a
 * checkpoint is then passed over. Either everything is loaded or, on any error, nothing has changed.
 *
 * Every parameter must be in the file, and every tensor of the file must be a parameter, slot or best weight;
 * a message names what is missing and left over. OPT_EFORMAT: not such a file, damaged, or one that lacks
 * what is asked for; OPT_ESHAPE, OPT_EDTYPE: a tensor has another shape or type; OPT_EINVAL: the optimizer
 * has another method, hyper-parameter or option, or the batches another seed, size or number of rows. The
 * learning rate is the file's; set another one afterwards. OPT_EIO; OPT_ENOMEM. */
opt_status opt_load(opt_ctx *ctx, const char *path, opt_params params, opt_optim *optim,
                    opt_batches *batches);

/* What opt_load_named found. */
typedef struct opt_load_report {
    int loaded, missing, left_over; /* parameters found; not found; other tensors of the file */
    char names[480]; /* "missing: W3, b3; left over: head.bias", cut short where it is too long */
} opt_load_report;

/* Loads those parameters that a safetensors file from anywhere has a tensor for, by name; the others keep
 * their values. F16, BF16 and F32 are widened where need be; shapes must agree. Errors as of opt_load, and
 * all or nothing as well. report may be NULL. */
opt_status opt_load_named(opt_ctx *ctx, const char *path, opt_params params, opt_load_report *report);

#ifdef __cplusplus
}
#endif
#endif

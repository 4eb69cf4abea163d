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
 * the batch's mean. It must cope with a part of no rows (data NULL) if there are several ranks.
 * Any status but OPT_OK ends training with it. */
typedef struct opt_model {
    void *self;
    opt_params params;
    opt_status (*grad)(void *self, const opt_batch *part, double *loss);
} opt_model;

typedef struct opt_progress {
    int64_t epoch, epochs; /* from 1; the last one */
    int64_t step;          /* steps the optimizer has done */
    double loss;           /* mean over the epoch's examples so far, each at the weights of its step */
    double last_loss;      /* mean over the last batch */
    double lr;             /* used by the last step */
    double grad_norm;      /* of the last step, before clipping; NaN if `unchecked` without clip_norm */
    double seconds;        /* since opt_train was called */
    double val_loss;       /* NaN: no validation data */
} opt_progress;

/* Return OPT_OK to go on, OPT_STOP to end cleanly; any other status ends training with it. */
typedef opt_status (*opt_progress_fn)(const opt_progress *p, void *ud);

typedef struct opt_train_opts {
    int64_t epochs; /* in all: training goes on after what `batches` has completed; required */
    opt_progress_fn on_epoch, on_step; /* after each; may be NULL */
    void *ud;                          /* handed to both */
} opt_train_opts;

/* The network as a model; it must outlive it. */
opt_model opt_mlp_model(opt_mlp *net);

/* Trains until `batches` has completed opts->epochs epochs or a callback says stop; both return OPT_OK.
 * Called again, with the same objects, it goes on from there, even in the middle of an epoch: the weights and
 * reported losses are those of a run never stopped.
 *
 * A loss or gradient that is not finite ends training with OPT_ENONFINITE before the step; the message names
 * the tensor, epoch and batch, and the weights are those of the step before. OPT_EINVAL when epochs is below
 * 1, the optimizer was made for other parameters than the model's, or the objects by another context than
 * ctx. Errors of the source, model and optimizer are passed on. Allocates nothing. */
opt_status opt_train(opt_ctx *ctx, const opt_model *model, opt_optim *optim, opt_batches *batches,
                     const opt_train_opts *opts);

#ifdef __cplusplus
}
#endif
#endif

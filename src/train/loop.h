/* SPDX-License-Identifier: MIT
 *
 * What the training loop is made of: train.c runs it, learn.c makes a step, best.c keeps the best weights and
 * knows when to stop or go slower.
 *
 * Where a run stands is kept in the objects it works on, the batches (epoch, place in it, loss so far) and
 * the optimizer (steps, slots, the best epoch), not in the loop: so it can be left at any step and taken up
 * again.
 */
#ifndef OPT_TRAIN_LOOP_H
#define OPT_TRAIN_LOOP_H

#include <time.h>

#include <opt/train.h>

#include "batch/batches.h"
#include "optim/optim.h"
#include "train/evaluate.h"
#include "train/log.h"

typedef struct opt__loop {
    opt_ctx *ctx;
    const opt_model *model;
    opt_optim *optim;
    opt_batches *batches;
    const opt_train_opts *opts;
    opt__evaluator validation; /* zeroed: there is none */
    opt__run_log log;
    double *weight;  /* room for those of a part's examples; NULL: they have none */
    opt_tensor *sum; /* [params.n] of gradients, for steps of several batches; NULL: a step is of one */
    struct timespec start, saved_at;
    bool saved; /* a checkpoint holds just what there is */
    bool stopped;
    bool tells;   /* a rank may stop, or fail to save, after any step */
    bool settled; /* there is no lower loss */
} opt__loop;

/* ---- learn.c ------------------------------------------------------------------------------------------- */

/* Takes memory for class weights and sums of gradients. */
opt_status opt__learn_prepare(opt__loop *l);
void opt__learn_end(opt__loop *l);

/* A step: the gradient of the next batch, or of as many as make one, and the optimizer's update. OPT_END when
 * the epoch has no more batches. On an error nothing has been learnt, and these batches will be handed out
 * again. */
opt_status opt__learn(opt__loop *l);

/* ---- best.c -------------------------------------------------------------------------------------------- */

/* Whether there is a best epoch to keep track of. */
bool opt__tracks_best(const opt__loop *l);

/* Takes note of the epoch in which the best one begins to be looked for, unless it has been already: in a run
 * that goes on, patience goes on too. */
void opt__best_begin(opt__loop *l);

/* Makes room for the best weights. A best epoch known from before, when weights were not kept, does not count
 * any more: there would be none to put back. */
opt_status opt__best_reserve(opt__loop *l);

/* Takes note of the epoch that has ended, if it is the best, and lowers the learning rate if it is time. */
void opt__best_note(opt__loop *l, double loss);

void opt__best_put_back(const opt__loop *l);

/* Whether all epochs are done or patience is at an end. */
bool opt__over(const opt__loop *l);

#endif

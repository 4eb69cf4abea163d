/* SPDX-License-Identifier: MIT
 *
 * Trials of hyper-parameters: drawn at random, each trained on the same data from the same first weights with
 * the same batches, so that only the hyper-parameters differ.
 */
#ifndef EXAMPLES_SEARCH_TRIALS_H
#define EXAMPLES_SEARCH_TRIALS_H

#include <stdatomic.h>

#include "opt.h"

/* What all trials have in common, and what they depend on. */
typedef struct search {
    const char *optimizer;    /* "gd", "momentum" or "adam" */
    const opt_method *method; /* of that name */
    int betas;                /* how many it has: 0, 1 or 2 */
    double lr_min, lr_max;
    int64_t epochs, patience, batch;
    double validation; /* the share of all examples that is held back */
    uint32_t seed;
    opt_mlp_opts net;
    opt_table train, held;
} search;

typedef struct trial {
    int64_t number;          /* from 1 */
    double lr, beta1, beta2; /* a beta that the method has not is NaN */
    double loss, accuracy; /* on the examples held back, after the best epoch; NaN: none had a finite loss */
    int64_t epoch;         /* the best one; 0: likewise */
    bool done;
} trial;

/* Sets optimizer, method and betas; name is one of the three. */
void search_set_method(search *s, const char *name);

/* Trial `number` before it has begun: a function of seed, number and range alone. */
trial search_draw(const search *s, int64_t number);

/* Trains, and fills in loss, accuracy and epoch. Training that ends because something is no longer finite is
 * a trial like any other. OPT_STOP, with nothing filled in, when *stop is set meanwhile. */
opt_status search_try(opt_ctx *ctx, const search *s, const atomic_bool *stop, trial *t);

/* Whether a is better than b: its loss is lower, or, where that is equal, its number. No loss is the worst.
 */
bool search_better(const trial *a, const trial *b);

#endif

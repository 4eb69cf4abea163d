/* SPDX-License-Identifier: MIT
 *
 * Trials of hyper-parameters: drawn at random, each trained on the same data from the same first weights with
 * the same batches, so that only the hyper-parameters differ.
 */
#ifndef EXAMPLES_SEARCH_TRIALS_H
#define EXAMPLES_SEARCH_TRIALS_H

#include <stdatomic.h>

#include "opt.h"

enum { SEARCH_MAX_HYPER = 8 }; /* of a method */

/* A hyper-parameter that is searched beside the learning rate: one in [0, 1), the rate at which an average or
 * a sum forgets. */
typedef struct search_decay {
    const char *name; /* as the method has it */
    int place;        /* among the method's options */
    double min, max;  /* 1 - decay is drawn from here */
    double third[2];  /* one of the draws is below the first, one above the second */
    int width;        /* of a column for it */
} search_decay;

/* What all trials have in common, and what they depend on. */
typedef struct search {
    const opt_method *method;
    int number;      /* of the method, by which results files know it */
    bool full_batch; /* the method needs it */
    int ndecays;
    search_decay decay[SEARCH_MAX_HYPER];
    double lr_min, lr_max;
    int64_t epochs, patience, batch;
    double validation; /* the share of all examples that is held back */
    uint32_t seed;
    opt_mlp_opts net;
    opt_table train, held;
} search;

typedef struct trial {
    int64_t number; /* from 1 */
    double lr, decay[SEARCH_MAX_HYPER];
    double loss, accuracy; /* on the examples held back, after the best epoch; NaN: none had a finite loss */
    int64_t epoch;         /* the best one; 0: likewise */
    bool done;
} trial;

/* Sets all that is of a method; number as in methods.h. */
void search_set_method(search *s, int number);

/* Trial `number` before it has begun: a function of seed, number, range and method alone. */
trial search_draw(const search *s, int64_t number);

/* Trains, and fills in loss, accuracy and epoch. Training that ends because something is no longer finite is
 * a trial like any other. OPT_STOP, with nothing filled in, when *stop is set meanwhile. */
opt_status search_try(opt_ctx *ctx, const search *s, const atomic_bool *stop, trial *t);

/* Whether a is better than b: its loss is lower, or, where that is equal, its number. No loss is the worst.
 */
bool search_better(const trial *a, const trial *b);

#endif

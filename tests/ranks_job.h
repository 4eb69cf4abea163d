/* SPDX-License-Identifier: MIT
 *
 * The job of problem.h done by several ranks.
 */
#ifndef TESTS_RANKS_JOB_H
#define TESTS_RANKS_JOB_H

#include "problem.h"
#include "ranks.h"

/* What all ranks are to do, and how each fared. */
typedef struct work {
    const opt_method *method;
    opt_mlp_opts net; /* job_new's, unless it has sizes */
    opt_optim_opts optim;
    opt_batches_opts batches;
    opt_train_opts train;
    bool validated; /* on the rows that are trained on */
    int odd;        /* the rank that is to differ by: */
    void (*upset)(struct work *w, job *j);
    void (*all)(struct work *w, job *j); /* what every rank does before */
    int64_t stop;                        /* that rank answers OPT_STOP after this step */
    long short_of;         /* its allocation of this number, from 1 once there is a job, fails */
    long allocations;      /* how many it made since */
    long left[RANKS_MOST]; /* allocations that were not freed */
    opt_status status[RANKS_MOST];
    char message[RANKS_MOST][512];
    trace t[RANKS_MOST];
    snapshot end[RANKS_MOST];
} work;

/* Two epochs of Adam in batches of 4 rows. */
extern const work work_usual;

/* An `upset`: the model's gradient fails with OPT_EFORMAT. */
void work_learn_nothing(work *w, job *j);

/* A rank_job. Of a sharded optimizer, which has a part of the slots, and of a network of one's own, `end` has
 * a hash of all the weights in value[0] and zeros. */
void work_train(opt_comm comm, void *arg);

/* Ranks, of any number, come to the bits of one alone. */
void work_check_same(work w);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The two tasks of compare, and one method's training on one of them.
 */
#ifndef EXAMPLES_COMPARE_TASKS_H
#define EXAMPLES_COMPARE_TASKS_H

#include "opt.h"

/* A method with its default hyper-parameters. A step sees 64 examples, or all that there are, of methods that
 * need them. */
typedef struct compare_method {
    const opt_method *method;
    double lr;
} compare_method;

typedef struct compare_task {
    const char *name, *layers, *dtype; /* "moons", "2,5,2,1", "f64" */
    opt_mlp_opts net;                  /* these and the seed of the first weights */
    uint32_t seed;                     /* of the batches */
    opt_table train, held;             /* to learn from; to count accuracy on, zeroed: the same */
    int64_t epochs;
} compare_task;

/* The course's: 300 points of two moons with a noise of 0.2. */
compare_task compare_moons(opt_ctx *ctx, int64_t epochs);

/* The folder's train files to learn from, its t10k files held back. Whatever is wrong with layers or folder
 * ends the program. */
compare_task compare_digits(opt_ctx *ctx, const char *folder, const char *layers, int64_t epochs);

void compare_task_free(opt_ctx *ctx, compare_task *task);

/* What one method's training came to. */
typedef struct compare_run {
    const char *name;        /* the method's */
    int64_t batch;           /* examples a step */
    int64_t epochs;          /* trained: fewer than the task's where the method found nothing lower */
    double *cost, *accuracy; /* [epochs]: the mean over the epoch's examples, each at the weights of its
                                step; the share that is right at the epoch's end */
    double step, update;     /* seconds a step, of batch, gradient and update together and of the update
                                alone: the quickest epoch's mean, which a busy machine disturbs least */
    double bytes;            /* a parameter: of values, gradients and slots */
} compare_run;

/* Trains a new network: by any method from the same first weights, and with the same mini-batches. After a
 * signal (interrupt.h) it ends early, and only free the result. */
compare_run compare_train(opt_ctx *ctx, const compare_task *task, const compare_method *by);
void compare_run_free(compare_run *run);

#endif

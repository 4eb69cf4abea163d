/* SPDX-License-Identifier: MIT
 *
 * A small network with random data to try it on, and the means to train it: for the tests of mlp and train.
 */
#ifndef TESTS_PROBLEM_H
#define TESTS_PROBLEM_H

#include "support.h"

typedef struct problem {
    opt_ctx *ctx;
    opt_mlp *net;
    opt_table data; /* x [rows, inputs] normal; y [rows, outputs] labels that suit the loss */
} problem;

/* Biases are normal too, not 0: a row that no unit of a relu layer answers to would put the next layer's z
 * exactly on the kink. */
void problem_new(problem *p, opt_ctx *ctx, const opt_mlp_opts *opts, int64_t rows);
void problem_free(problem *p);

/* A problem with all that training takes. Not to be moved: the batches read from p.data. */
typedef struct job {
    problem p;
    opt_model model;
    opt_optim *optim;
    opt_batches *batches;
} job;

enum { JOB_ROWS = 10, JOB_VALUES = 3 * 2 + 3 + 3 + 1 };

/* A 2-3-1 network with tanh and OPT_BCE on 10 rows. The options may be NULL: lr 0.1; batches of 4, 4 and 2.
 */
void job_new(job *j, opt_ctx *ctx, const opt_method *method, const opt_optim_opts *optim,
             const opt_batches_opts *batches);
void job_free(job *j);

/* The same with another network, whose labels suit OPT_BCE. */
void job_new_net(job *j, opt_ctx *ctx, const opt_mlp_opts *net, const opt_method *method,
                 const opt_optim_opts *optim, const opt_batches_opts *batches);

/* All that a run's future depends on but its place in the batches; to be compared as bytes. */
typedef struct snapshot {
    double value[JOB_VALUES], slot[2][JOB_VALUES];
    int64_t steps;
} snapshot;
snapshot job_snapshot(const job *j);

/* What the callbacks of opt_train were told, and what they are to answer. */
typedef struct trace {
    opt_progress at[64];
    int n;
    int64_t step, epoch; /* after this step, and after this epoch, answer: */
    opt_status answer;
} trace;

/* opt_train with callbacks that add to *t. */
opt_status job_train(job *j, int64_t epochs, trace *t);

/* The same with more options. */
opt_status job_train_with(job *j, opt_train_opts opts, trace *t);

/* The same calls, to the last bit, NaN for NaN, but for the clock. */
bool same_trace(const trace *a, const trace *b);

/* [rows, cols] of these values; to be freed with opt_tensor_free. */
opt_tensor matrix(opt_ctx *ctx, opt_dtype dtype, int64_t rows, int64_t cols, const double *values);

/* The same elements, as bytes. */
bool same_bytes(const opt_tensor *a, const opt_tensor *b);

/* Setup and teardown of a test that wants a context of its own as *state. */
int open_ctx(void **state);
int close_ctx(void **state);
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_ctx, close_ctx)

#endif

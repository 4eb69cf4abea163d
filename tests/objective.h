/* SPDX-License-Identifier: MIT
 *
 * A function of a few numbers, spread over one to three parameters, with an optimizer to search for its
 * minimum: for the tests of methods that evaluate the loss again.
 */
#ifndef TESTS_OBJECTIVE_H
#define TESTS_OBJECTIVE_H

#include "support.h"

enum { MOST_NUMBERS = 128 };

/* Returns f(x), and g <- its gradient. */
typedef double function(int n, const double *x, double *g);

typedef struct objective {
    count count; /* its context's allocator */
    opt_ctx *ctx;
    opt_param param[3]; /* "a", "b" and "c" */
    opt_params params;
    opt_optim *optim;
    function *f;
    double loss; /* for opt_optim_search: NaN at first */
    int calls;   /* of f */
    int fails;   /* this call, from 0, fails with `status`; below 0: none */
    opt_status status;
} objective;

/* Numbers of one type, or of several; to be freed with objective_free and not to be moved. `start` has as
 * many; opts but for the allocator. */
typedef struct part {
    opt_dtype dtype;
    int64_t n; /* 0 behind the last */
    bool frozen;
} part;
void objective_new(objective *o, function *f, const part *parts, const double *start);
void objective_new_with(objective *o, function *f, const part *parts, const double *start, opt_ctx_opts opts);
void objective_free(objective *o);

/* Gives it an optimizer; opts may be NULL: lr 1. */
void objective_optimize(objective *o, const opt_method *method, const void *hyper,
                        const opt_optim_opts *opts);

/* One search. */
opt_status objective_search(objective *o);

/* Searches until the loss is at most this; or until OPT_STOP. Returns the number of searches. */
int objective_descend(objective *o, double loss);
int objective_settle(objective *o);

/* Searches n times with both, and fails unless they come to the same values and losses, bit for bit. */
void objective_check_same_path(objective *a, objective *b, int n);

/* All values, and all gradients, as one list; returns how many. */
int objective_values(const objective *o, double *x);
int objective_gradients(const objective *o, double *g);

/* Rosenbrock's function of pairs, (1 - x)^2 + 100 (y - x^2)^2, from (-1.2, 1); its minimum is 0 at 1. */
function rosenbrock;
extern const double rosenbrock_start[MOST_NUMBERS];

/* Half of (x - m)' A (x - m) for m_i = i and an A with neighbours coupled, of condition 400 or so. */
function quadratic;

#endif

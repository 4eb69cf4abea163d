/* SPDX-License-Identifier: MIT
 *
 * opt_lbfgs: parameters of several kinds, what it keeps, and that results depend on nothing else.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "objective.h"

static const part two[] = {{OPT_F64, 2, false}, {0}};
static const double zeros[MOST_NUMBERS];

/* ---- Parameters ---------------------------------------------------------------------------------------- */

/* However the numbers are spread over parameters, the path is the same, to the last bit. */
static void many_parameters_are_as_one(void **state)
{
    static const part one[] = {{OPT_F64, 8, false}, {0}};
    static const part three[] = {{OPT_F64, 3, false}, {OPT_F64, 1, false}, {OPT_F64, 4, false}};
    double x[8], y[8];
    objective a, b;

    (void)state;
    objective_new(&a, rosenbrock, one, rosenbrock_start);
    objective_new(&b, rosenbrock, three, rosenbrock_start);
    objective_optimize(&a, &opt_lbfgs, NULL, NULL);
    objective_optimize(&b, &opt_lbfgs, NULL, NULL);
    for (int i = 0; i < 20; i++) {
        assert_ok(a.ctx, objective_search(&a));
        assert_ok(b.ctx, objective_search(&b));
        objective_values(&a, x);
        objective_values(&b, y);
        assert_memory_equal(x, y, sizeof x);
    }
    objective_free(&a);
    objective_free(&b);
}

static void types_may_be_mixed(void **state)
{
    static const part mixed[] = {{OPT_F32, 1, false}, {OPT_F64, 2, false}, {OPT_F32, 1, false}};
    double x[4];
    objective o;

    (void)state;
    objective_new(&o, rosenbrock, mixed, rosenbrock_start);
    objective_optimize(&o, &opt_lbfgs, NULL, NULL);
    assert_int_equal(opt_optim_slot(o.optim, 0, "s")->dtype, OPT_F32);
    assert_int_equal(opt_optim_slot(o.optim, 1, "s")->dtype, OPT_F64);
    objective_settle(&o);
    objective_values(&o, x);
    for (int i = 0; i < 4; i++)
        assert_close(x[i], 1, 1e-5);
    objective_free(&o);
}

static void frozen_parameters_stay(void **state)
{
    static const part frozen[] = {{OPT_F64, 1, true}, {OPT_F64, 3, false}, {0}};
    double x[4];
    objective o;

    (void)state;
    objective_new(&o, rosenbrock, frozen, (const double[]){0.5, 3, -1.2, 1});
    objective_optimize(&o, &opt_lbfgs, NULL, NULL);
    assert_null(opt_optim_slot(o.optim, 0, "s"));
    objective_settle(&o);
    objective_values(&o, x);
    assert_true(x[0] == 0.5);
    assert_close(x[1], 0.25, 1e-7);
    assert_close(x[2], 1, 1e-7);
    assert_close(x[3], 1, 1e-7);
    objective_free(&o);
}

/* 2 history + 3 numbers an element, all of it taken beforehand. */
static void memory_is_that_of_the_slots(void **state)
{
    static const part parts[] = {{OPT_F32, 1, false}, {OPT_F64, 100, false}, {0}};
    const opt_lbfgs_opts hyper = {.history = 7.9}; /* the whole part counts */
    const opt_tensor *s, *d;
    size_t bytes;
    long calls;
    objective o;

    (void)state;
    objective_new(&o, quadratic, parts, zeros);
    bytes = o.count.bytes;
    objective_optimize(&o, &opt_lbfgs, &hyper, NULL);
    assert_in_range(o.count.bytes - bytes, 100 * 17 * 8, 100 * 17 * 8 + 6000);
    s = opt_optim_slot(o.optim, 1, "s");
    d = opt_optim_slot(o.optim, 1, "d");
    assert_int_equal(s->ndim, 2);
    assert_int_equal(s->dim[0], 8);
    assert_int_equal(s->dim[1], 100);
    assert_int_equal(d->ndim, 1);
    assert_int_equal(d->dim[0], 100);
    calls = o.count.calls;
    for (int i = 0; i < 12; i++)
        assert_ok(o.ctx, objective_search(&o));
    assert_int_equal(o.count.calls, calls);
    objective_free(&o);
}

static void every_allocation_may_fail(void **state)
{
    opt_status s = OPT_ENOMEM;
    objective o;
    long live, n = 0;

    (void)state;
    objective_new(&o, rosenbrock, two, rosenbrock_start);
    live = o.count.live;
    for (; s == OPT_ENOMEM; n++) {
        o.count.fail_from = o.count.calls + n;
        s = opt_optim_new(o.ctx, &opt_lbfgs, NULL, &(opt_optim_opts){.lr = 1, .l2 = 1}, o.params, &o.optim);
        if (s) {
            assert_fails(o.ctx, s, OPT_ENOMEM, "memory");
            assert_null(o.optim);
            assert_int_equal(o.count.live, live);
        }
    }
    assert_int_equal(s, OPT_OK);
    assert_true(n > 8);
    objective_free(&o);
}

/* ---- What a run's future depends on -------------------------------------------------------------------- */

/* Taken up after any number of steps, from a file or a copy, the path is the same to the last bit. */
static void a_run_may_be_taken_up_anywhere(void **state)
{
    static const char path[] = "test_optim_lbfgs_state.tmp";
    static const part mixed[] = {{OPT_F64, 3, false}, {OPT_F32, 2, false}, {OPT_F64, 3, false}};
    const opt_lbfgs_opts hyper = {.history = 4};

    (void)state;
    for (int when = 0; when < 14; when++) {
        objective a, b;

        objective_new(&a, rosenbrock, mixed, rosenbrock_start);
        objective_new(&b, rosenbrock, mixed, zeros);
        objective_optimize(&a, &opt_lbfgs, &hyper, NULL);
        objective_optimize(&b, &opt_lbfgs, &hyper, NULL);
        for (int t = 0; t < when; t++)
            assert_ok(a.ctx, objective_search(&a));
        if (when % 2 == 0) {
            assert_ok(a.ctx, opt_save(a.ctx, path, a.params, a.optim, NULL));
            assert_ok(b.ctx, opt_load(b.ctx, path, b.params, b.optim, NULL));
        } else {
            for (int p = 0; p < 3; p++)
                assert_ok(b.ctx, opt_tensor_copy(b.ctx, &a.param[p].value, &b.param[p].value));
            assert_ok(b.ctx, opt_optim_copy_state(a.optim, b.optim));
        }
        assert_int_equal(opt_optim_steps(b.optim), when);
        objective_check_same_path(&a, &b, 10);
        objective_free(&a);
        objective_free(&b);
    }
    remove(path);
    remove("test_optim_lbfgs_state.tmp.bak");
}

static void another_history_is_refused(void **state)
{
    static const char path[] = "test_optim_lbfgs_state.tmp";
    objective a, b;

    (void)state;
    objective_new(&a, rosenbrock, two, rosenbrock_start);
    objective_new(&b, rosenbrock, two, rosenbrock_start);
    objective_optimize(&a, &opt_lbfgs, NULL, NULL);
    objective_optimize(&b, &opt_lbfgs, &(opt_lbfgs_opts){.history = 11}, NULL);
    assert_ok(a.ctx, opt_save(a.ctx, path, a.params, a.optim, NULL));
    assert_fails(b.ctx, opt_load(b.ctx, path, b.params, b.optim, NULL), OPT_EINVAL, "history");
    assert_ok(a.ctx, objective_search(&a));
    assert_fails(b.ctx, opt_optim_copy_state(a.optim, b.optim), OPT_EINVAL,
                 "copy_state: settings of lbfgs that need another slot s of a");
    assert_fails(a.ctx, opt_optim_copy_state(b.optim, a.optim), OPT_EINVAL, "another slot s of a");
    assert_int_equal(opt_optim_steps(b.optim), 0);
    remove(path);
    remove("test_optim_lbfgs_state.tmp.bak");
    objective_free(&a);
    objective_free(&b);
}

/* An average of the weights follows the searches as it does steps. */
static void weights_are_averaged(void **state)
{
    double average[2], x[2];
    objective o;

    (void)state;
    objective_new(&o, rosenbrock, two, rosenbrock_start);
    objective_optimize(&o, &opt_lbfgs, NULL, &(opt_optim_opts){.lr = 1, .average = 0.75});
    for (int t = 0; t < 10; t++) {
        assert_ok(o.ctx, objective_search(&o));
        objective_values(&o, x);
        for (int i = 0; i < 2; i++)
            average[i] = t == 0 ? x[i] : 0.75 * average[i] + 0.25 * x[i];
    }
    assert_ok(o.ctx, opt_optim_predicting(o.optim, true));
    objective_values(&o, x);
    for (int i = 0; i < 2; i++)
        assert_close(x[i], average[i], 1e-15);
    assert_fails(o.ctx, objective_search(&o), OPT_EINVAL, "lbfgs: a step from the weights that predict");
    objective_free(&o);
}

/* ---- Threads ------------------------------------------------------------------------------------------- */

enum { MANY = 200001, FEW = 100003 };

typedef struct large {
    opt_ctx *ctx;
    opt_param param[2];
    opt_optim *optim;
} large;

/* The sum of i^(1/2) (w - cos i)^2 / 2 and a coupling of neighbours. */
static opt_status evaluate_large(void *ud, double *loss)
{
    const large *p = ud;

    *loss = 0;
    for (int k = 0; k < 2; k++) {
        const opt_tensor *w = &p->param[k].value, *g = &p->param[k].grad;
        double last = 0;

        for (int64_t i = 0; i < opt_tensor_len(w); i++) {
            const double a = opt_get(w, i) - cos((double)i), b = opt_get(w, i) * last;
            const double slope = sqrt((double)(i % 100 + 1));

            *loss += slope * a * a / 2 + b * b / 4;
            opt_set(g, i, slope * a + b * last / 2);
            last = opt_get(w, i);
        }
    }
    return OPT_OK;
}

static void start_large(large *p, int threads, opt_isa isa)
{
    const int64_t n[] = {MANY, FEW};

    *p = (large){.ctx = opt_ctx_new(&(opt_ctx_opts){.threads = threads, .isa = isa})};
    for (int k = 0; k < 2; k++) {
        const opt_dtype dtype = k ? OPT_F32 : OPT_F64;

        p->param[k].name = k ? "b" : "a";
        assert_ok(p->ctx, opt_tensor_new(p->ctx, dtype, 1, &n[k], &p->param[k].value));
        assert_ok(p->ctx, opt_tensor_new(p->ctx, dtype, 1, &n[k], &p->param[k].grad));
        for (int64_t i = 0; i < n[k]; i++)
            opt_set(&p->param[k].value, i, sin((double)i));
    }
    assert_ok(p->ctx,
              opt_optim_new(p->ctx, &opt_lbfgs, &(opt_lbfgs_opts){.history = 3},
                            &(opt_optim_opts){.lr = 1, .l2 = 1e-3}, (opt_params){p->param, 2}, &p->optim));
}

static void free_large(large *p)
{
    opt_optim_free(p->optim);
    for (int k = 0; k < 2; k++) {
        opt_tensor_free(p->ctx, &p->param[k].value);
        opt_tensor_free(p->ctx, &p->param[k].grad);
    }
    opt_ctx_free(p->ctx);
}

static void threads_change_no_bit(void **state)
{
    double x = (double)NAN, y = (double)NAN;
    large a, b;

    (void)state;
    start_large(&a, 1, OPT_ISA_BASELINE);
    start_large(&b, 3, OPT_ISA_BEST);
    for (int t = 0; t < 8; t++) {
        assert_ok(a.ctx, opt_optim_search(a.optim, evaluate_large, &a, &x));
        assert_ok(b.ctx, opt_optim_search(b.optim, evaluate_large, &b, &y));
        assert_true(x == y);
        assert_true(same_bits((opt_params){a.param, 2}, (opt_params){b.param, 2}));
    }
    free_large(&a);
    free_large(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_parameters_are_as_one), cmocka_unit_test(types_may_be_mixed),
        cmocka_unit_test(frozen_parameters_stay),     cmocka_unit_test(memory_is_that_of_the_slots),
        cmocka_unit_test(every_allocation_may_fail),  cmocka_unit_test(a_run_may_be_taken_up_anywhere),
        cmocka_unit_test(another_history_is_refused), cmocka_unit_test(weights_are_averaged),
        cmocka_unit_test(threads_change_no_bit),
    };
    return cmocka_run_group_tests_name("lbfgs state", tests, NULL, NULL);
}

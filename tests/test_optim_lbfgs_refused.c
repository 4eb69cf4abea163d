/* SPDX-License-Identifier: MIT
 *
 * opt_lbfgs where something goes wrong: losses that are not finite, gradients that are not the loss's,
 * evaluations that fail, options that it cannot heed.
 */
#include <math.h>
#include <string.h>

#include "objective.h"

static const part two[] = {{OPT_F64, 2, false}, {0}};

/* ---- Losses and gradients ------------------------------------------------------------------------------ */

static double of_nan(int n, const double *x, double *g)
{
    (void)n;
    g[0] = g[1] = x[0];
    return (double)NAN;
}

static double gradient_of_nan(int n, const double *x, double *g)
{
    const double f = rosenbrock(n, x, g);

    g[1] = (double)NAN;
    return f;
}

static double overflowing(int n, const double *x, double *g)
{
    (void)n;
    g[0] = g[1] = 1e200;
    return x[0];
}

static void a_start_that_is_not_finite_is_refused(void **state)
{
    static const struct {
        function *f;
        const char *part;
        bool unchecked;
    } bad[] = {{of_nan, "lbfgs: the loss before step 1 is nan"},
               {gradient_of_nan, "lbfgs: element 1 of the gradient of a is nan"},
               {gradient_of_nan, "lbfgs: element 1 of the gradient of a is nan", true},
               {overflowing, "lbfgs: the square of the gradient overflows"}};

    (void)state;
    for (int i = 0; i < 4; i++) {
        double x[2];
        objective o;

        objective_new(&o, bad[i].f, two, rosenbrock_start);
        objective_optimize(&o, &opt_lbfgs, NULL, &(opt_optim_opts){.lr = 1, .unchecked = bad[i].unchecked});
        assert_fails(o.ctx, objective_search(&o), OPT_ENONFINITE, bad[i].part);
        assert_int_equal(o.calls, 1);
        assert_true(isnan(o.loss));
        assert_int_equal(opt_optim_steps(o.optim), 0);
        objective_values(&o, x);
        assert_memory_equal(x, rosenbrock_start, sizeof x);
        objective_free(&o);
    }
}

/* x - log x of each, whose minimum is at 1: NaN below 0, or, where `edge` says so, something else. */
static double edge, edge_gradient;

static double barrier(int n, const double *x, double *g)
{
    double f = 0;

    for (int i = 0; i < n; i++) {
        f += x[i] > 0 ? x[i] - log(x[i]) : edge;
        g[i] = x[i] > 0 ? 1 - 1 / x[i] : edge_gradient;
    }
    return f;
}

static void what_is_not_finite_is_too_far(void **state)
{
    static const struct {
        double f, g;
    } cases[] = {
        {(double)NAN, (double)NAN}, {HUGE_VAL, 0}, {-HUGE_VAL, 0}, {-10, (double)NAN}, {-10, HUGE_VAL}};

    (void)state;
    for (int i = 0; i < 5; i++) {
        double x[2];
        objective o;

        edge = cases[i].f;
        edge_gradient = cases[i].g;
        objective_new(&o, barrier, two, (const double[]){3, 0.2});
        objective_optimize(&o, &opt_lbfgs, NULL, &(opt_optim_opts){.lr = 100});
        objective_settle(&o);
        objective_values(&o, x);
        assert_close(x[0], 1, 1e-7);
        assert_close(x[1], 1, 1e-7);
        assert_close(o.loss, 2, 1e-14);
        objective_free(&o);
    }
}

/* Half a square, and behind its bottom a lower ground whose slope overflows, both ways. */
static double abyss(int n, const double *x, double *g)
{
    double f = 0;

    for (int i = 0; i < n; i++) {
        f += x[0] < -1 ? -10 : x[i] * x[i] / 2;
        g[i] = x[0] < -1 ? 1e305 * (i ? -1 : 1) : x[i];
    }
    return f;
}

static void nor_may_the_slope_overflow(void **state)
{
    objective o;

    (void)state;
    objective_new(&o, abyss, two, (const double[]){1e5, 1e5});
    objective_optimize(&o, &opt_lbfgs, NULL, &(opt_optim_opts){.lr = 2e5});
    assert_ok(o.ctx, objective_search(&o));
    opt_optim_set_lr(o.optim, 1);
    objective_settle(&o);
    assert_in_range(o.calls, 3, 60);
    assert_true(o.loss == 0);
    objective_free(&o);
}

static double upside_down(int n, const double *x, double *g)
{
    const double f = rosenbrock(n, x, g);

    for (int i = 0; i < n; i++)
        g[i] = -g[i];
    return f;
}

static double flat(int n, const double *x, double *g)
{
    (void)n;
    g[0] = g[1] = x[0];
    return 3;
}

static double bottom(int n, const double *x, double *g)
{
    (void)n;
    (void)x;
    g[0] = g[1] = 0;
    return 3;
}

/* The weights stay, and the loss and the gradients are theirs; the next time is as the first. */
static void where_nothing_is_lower_it_stops(void **state)
{
    static function *const functions[] = {upside_down, flat, bottom};

    (void)state;
    for (int i = 0; i < 3; i++)
        for (int again = 0; again < 2; again++) {
            double x[2], g[2], h[2], f;
            objective o;

            objective_new(&o, functions[i], two, rosenbrock_start);
            objective_optimize(&o, &opt_lbfgs, NULL, NULL);
            f = functions[i](2, rosenbrock_start, g);
            for (int k = 0; k <= again; k++) {
                assert_int_equal(objective_search(&o), OPT_STOP);
                assert_int_equal(opt_optim_steps(o.optim), 0);
                objective_values(&o, x);
                objective_gradients(&o, h);
                assert_memory_equal(x, rosenbrock_start, sizeof x);
                assert_memory_equal(h, g, sizeof g);
                assert_true(o.loss == f);
                if (functions[i] == bottom)
                    assert_int_equal(o.calls, 1);
            }
            objective_free(&o);
        }
}

/* Pairs of another function lead up, or nowhere: then the gradient alone is tried. */
static void a_direction_that_leads_nowhere_is_left(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        opt_tensor *s, *y;
        double before;
        int calls;
        objective o;

        objective_new(&o, rosenbrock, two, rosenbrock_start);
        objective_optimize(&o, &opt_lbfgs, NULL, NULL);
        for (int k = 0; k < 15; k++)
            assert_ok(o.ctx, objective_search(&o));
        before = o.loss;
        s = opt_optim_slot(o.optim, 0, "s");
        y = opt_optim_slot(o.optim, 0, "y");
        opt_tensor_fill(s, i ? 1e-200 : 1e200);
        opt_tensor_fill(y, i ? -1e-140 : 1e200);
        calls = o.calls;
        assert_ok(o.ctx, objective_search(&o));
        assert_true(o.loss < before);
        /* one search in vain, or none: that direction is not finite */
        assert_in_range(o.calls - calls, i ? 20 : 1, i ? 40 : 12);
        for (int64_t k = 0, pairs = 0; k < 11; k++) { /* all are forgotten but the new one */
            pairs += opt_get(y, 2 * k) != 0;
            assert_true(pairs <= 1);
        }
        objective_descend(&o, 1e-20);
        objective_free(&o);
    }
}

/* ---- Evaluations that fail ----------------------------------------------------------------------------- */

static double shifted(int n, const double *x, double *g)
{
    return rosenbrock(n, x, g) + 1;
}

typedef struct course {
    double x[60][2], loss[60];
    opt_status status[60];
    int searches, calls;
} course;

/* The searches of a run in which nothing fails, the last of which finds nothing lower. */
static void run_undisturbed(course *c)
{
    objective o;

    objective_new(&o, shifted, two, rosenbrock_start);
    objective_optimize(&o, &opt_lbfgs, NULL, NULL);
    do {
        assert_true(c->searches < 60);
        c->status[c->searches] = objective_search(&o);
        objective_values(&o, c->x[c->searches]);
        c->loss[c->searches] = o.loss;
    } while (c->status[c->searches++] == OPT_OK);
    assert_int_equal(c->status[c->searches - 1], OPT_STOP);
    c->calls = o.calls;
    objective_free(&o);
}

/* Whichever it is, the weights are as before, and the next search does what this one would have done. */
static void an_evaluation_may_fail(void **state)
{
    course c = {0};

    (void)state;
    run_undisturbed(&c);
    for (int fails = 0; fails < c.calls; fails++) {
        bool failed = false;
        objective o;

        objective_new(&o, shifted, two, rosenbrock_start);
        objective_optimize(&o, &opt_lbfgs, NULL, NULL);
        o.fails = fails;
        o.status = fails % 2 ? OPT_EIO : OPT_STOP;
        for (int i = 0; i < c.searches; i++) {
            const double *before = i > 0 ? c.x[i - 1] : rosenbrock_start;
            const double told = o.loss;
            opt_status s = objective_search(&o);
            double x[2];

            if (o.calls > fails && !failed) {
                failed = true;
                assert_fails(o.ctx, s, o.status, "lbfgs: evaluating the loss: ");
                assert_int_equal(o.calls, fails + 1);
                assert_int_equal(opt_optim_steps(o.optim), i);
                objective_values(&o, x);
                assert_memory_equal(x, before, sizeof x);
                assert_memory_equal(&told, &o.loss, sizeof told);
                o.loss = (double)NAN;
                s = objective_search(&o);
            }
            assert_int_equal(s, c.status[i]);
            objective_values(&o, x);
            assert_memory_equal(x, c.x[i], sizeof x);
            assert_true(o.loss == c.loss[i]);
        }
        assert_true(failed);
        objective_free(&o);
    }
}

/* ---- Options ------------------------------------------------------------------------------------------- */

static void what_a_search_cannot_heed_is_refused(void **state)
{
    static const struct {
        opt_optim_opts opts;
        const char *part;
    } bad[] = {
        {{.lr = 1, .clip_value = 1}, "lbfgs: it searches along a line, and has no clip_value"},
        {{.lr = 1, .clip_norm = 1}, "lbfgs: it searches along a line, and has no clip_norm"},
        {{.lr = 1, .weight_decay = 0.1}, "lbfgs: it searches along a line, and has no weight_decay"},
        {{.lr = 0}, "lbfgs: lr = 0 is outside (0, inf)"},
    };
    opt_optim *none = NULL;
    objective o;

    (void)state;
    objective_new(&o, rosenbrock, two, rosenbrock_start);
    for (int i = 0; i < 4; i++)
        assert_fails(o.ctx, opt_optim_new(o.ctx, &opt_lbfgs, NULL, &bad[i].opts, o.params, &none), OPT_EINVAL,
                     bad[i].part);
    o.param[0].lr_factor = 0.5;
    assert_fails(o.ctx, opt_optim_new(o.ctx, &opt_lbfgs, NULL, &(opt_optim_opts){.lr = 1}, o.params, &none),
                 OPT_EINVAL, "lbfgs: it searches along a line, and has no lr_factor (a)");
    assert_null(none);
    objective_free(&o);
}

static void hyper_parameters_out_of_range_are_refused(void **state)
{
    static const struct {
        opt_lbfgs_opts hyper;
        const char *part;
    } bad[] = {
        {{.history = 0.5}, "lbfgs: history = 0.5 is outside [1, 101)"},
        {{.history = 101}, "lbfgs: history = 101 is outside [1, 101)"},
        {{.history = (double)NAN}, "lbfgs: history = nan is outside [1, 101)"},
        {{.history = OPT_ZERO}, "lbfgs: history = 0 is outside [1, 101)"},
        {{.max_evals = 0.9}, "lbfgs: max_evals = 0.9 is outside [1, 1e+06)"},
        {{.max_evals = 1e6}, "lbfgs: max_evals = 1e+06 is outside [1, 1e+06)"},
        {{.max_evals = (double)NAN}, "lbfgs: max_evals = nan"},
        {{.c1 = -0.1}, "lbfgs: c1 = -0.1"},
        {{.c1 = 0.5}, "lbfgs: c1 = 0.5"},
        {{.c1 = (double)NAN}, "lbfgs: c1 = nan"},
        {{.c2 = -0.1}, "lbfgs: c2 = -0.1"},
        {{.c2 = 1}, "lbfgs: c2 = 1 "},
        {{.c2 = (double)NAN}, "lbfgs: c2 = nan"},
    };
    opt_optim *none = NULL;
    objective o;

    (void)state;
    objective_new(&o, rosenbrock, two, rosenbrock_start);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(
            o.ctx,
            opt_optim_new(o.ctx, &opt_lbfgs, &bad[i].hyper, &(opt_optim_opts){.lr = 1}, o.params, &none),
            OPT_EINVAL, bad[i].part);
    assert_null(none);
    objective_free(&o);
}

/* Conditions that no length meets, where c2 is below c1: the lowest that was tried will do. */
static void conditions_may_contradict_each_other(void **state)
{
    const opt_lbfgs_opts hyper = {.c1 = 0.49, .c2 = 1e-12, .max_evals = 4};
    objective o;

    (void)state;
    objective_new(&o, rosenbrock, two, rosenbrock_start);
    objective_optimize(&o, &opt_lbfgs, &hyper, NULL);
    for (double before = HUGE_VAL; o.loss != 0;) {
        double x[2], g[2];

        assert_ok(o.ctx, objective_search(&o));
        assert_true(o.loss < before);
        before = o.loss;
        assert_true(before == rosenbrock(objective_values(&o, x), x, g));
        if (before < 1e-20)
            break;
    }
    objective_free(&o);
}

static void a_plain_step_is_refused(void **state)
{
    objective o;

    (void)state;
    objective_new(&o, rosenbrock, two, rosenbrock_start);
    objective_optimize(&o, &opt_lbfgs, NULL, NULL);
    assert_fails(o.ctx, opt_optim_step(o.optim), OPT_EINVAL, "lbfgs: it needs the loss, by opt_optim_search");
    opt_optim_set_lr(o.optim, -1);
    assert_fails(o.ctx, objective_search(&o), OPT_EINVAL, "lbfgs: the learning rate of step 1 is -1");
    assert_int_equal(o.calls, 0);
    objective_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_that_is_not_finite_is_refused),
        cmocka_unit_test(what_is_not_finite_is_too_far),
        cmocka_unit_test(nor_may_the_slope_overflow),
        cmocka_unit_test(where_nothing_is_lower_it_stops),
        cmocka_unit_test(a_direction_that_leads_nowhere_is_left),
        cmocka_unit_test(an_evaluation_may_fail),
        cmocka_unit_test(what_a_search_cannot_heed_is_refused),
        cmocka_unit_test(hyper_parameters_out_of_range_are_refused),
        cmocka_unit_test(conditions_may_contradict_each_other),
        cmocka_unit_test(a_plain_step_is_refused),
    };
    return cmocka_run_group_tests_name("lbfgs refused", tests, NULL, NULL);
}

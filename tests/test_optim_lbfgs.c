/* SPDX-License-Identifier: MIT
 *
 * opt_lbfgs: where it gets to, in how many evaluations, and by what steps.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "objective.h"

static const part two[] = {{OPT_F64, 2, false}, {0}};
static const part twenty[] = {{OPT_F64, 20, false}, {0}};
static const double zeros[MOST_NUMBERS];

/* ---- Where it gets to ---------------------------------------------------------------------------------- */

/* About as many evaluations as PyTorch 1.13's LBFGS takes, with its strong Wolfe search and the same history.
 * To 1e-16 they are, and there: 46, 45 for two numbers, 48, 46 for a hundred, 112, 113 for Wood's function
 * and 118, 234 for the quadratic below. */
static void rosenbrock_takes_few_evaluations(void **state)
{
    static const part hundred[] = {{OPT_F64, 100, false}, {0}};
    double start[100], x[MOST_NUMBERS];

    (void)state;
    for (int i = 0; i < 100; i++)
        start[i] = rosenbrock_start[i % 2];
    for (int i = 0; i < 2; i++) {
        objective o;

        objective_new(&o, rosenbrock, i ? hundred : two, start);
        objective_optimize(&o, &opt_lbfgs, NULL, NULL);
        objective_descend(&o, 1e-16);
        assert_in_range(o.calls, 30, 50);
        objective_descend(&o, 1e-26);
        assert_in_range(o.calls, 30, 60);
        for (int k = objective_values(&o, x); k-- > 0;)
            assert_close(x[k], 1, 1e-12);
        objective_free(&o);
    }
}

/* Wood's function (Moré, Garbow & Hillstrom 1981, number 14). */
static double wood(int n, const double *x, double *g)
{
    const double a = x[1] - x[0] * x[0], b = x[3] - x[2] * x[2], p = 1 - x[0], q = 1 - x[2];
    const double u = x[1] - 1, v = x[3] - 1;

    (void)n;
    g[0] = -400 * x[0] * a - 2 * p;
    g[1] = 200 * a + 20.2 * u + 19.8 * v;
    g[2] = -360 * x[2] * b - 2 * q;
    g[3] = 180 * b + 20.2 * v + 19.8 * u;
    return 100 * a * a + p * p + 90 * b * b + q * q + 10.1 * (u * u + v * v) + 19.8 * u * v;
}

static void woods_function_is_left_by_its_saddle(void **state)
{
    static const part four[] = {{OPT_F64, 4, false}, {0}};
    double x[4];
    objective o;

    (void)state;
    objective_new(&o, wood, four, (const double[]){-3, -1, -3, -1});
    objective_optimize(&o, &opt_lbfgs, NULL, NULL);
    objective_descend(&o, 1e-16);
    assert_in_range(o.calls, 30, 130);
    objective_values(&o, x);
    for (int i = 0; i < 4; i++)
        assert_close(x[i], 1, 1e-7);
    objective_free(&o);
}

static void a_quadratic_is_solved(void **state)
{
    double x[20];
    objective o;

    (void)state;
    objective_new(&o, quadratic, twenty, zeros);
    objective_optimize(&o, &opt_lbfgs, NULL, NULL);
    objective_descend(&o, 1e-21);
    assert_in_range(o.calls, 20, 180);
    objective_values(&o, x);
    for (int i = 0; i < 20; i++)
        assert_close(x[i], i, 1e-10);
    objective_free(&o);
}

/* With all pairs kept, it ends about as soon as n directions are used up, as conjugate gradients do. */
static void a_longer_history_is_of_use(void **state)
{
    const opt_lbfgs_opts all = {.history = 40, .c2 = 0.1};
    objective o;

    (void)state;
    objective_new(&o, quadratic, twenty, zeros);
    objective_optimize(&o, &opt_lbfgs, &all, NULL);
    objective_descend(&o, 1e-21);
    assert_in_range(o.calls, 20, 80);
    objective_free(&o);
}

/* Of 40 points with 5 features; labels that no plane separates. */
static double logistic(int n, const double *x, double *g)
{
    double f = 0;

    memset(g, 0, (size_t)n * sizeof *g);
    for (int i = 0; i < 40; i++) {
        const double y = i * i % 7 < 3 ? 1 : -1;
        double z = 0, p;

        for (int k = 0; k < n; k++)
            z += x[k] * sin(i * (k + 1));
        p = 1 / (1 + exp(y * z));
        f += (y * z < 0 ? -y * z : 0) + log1p(exp(-fabs(z)));
        for (int k = 0; k < n; k++)
            g[k] -= y * p * sin(i * (k + 1));
    }
    return f;
}

/* l2 counts for the steps, and not for the loss that is told. */
static void logistic_regression_with_l2(void **state)
{
    static const part parts[] = {{OPT_F64, 3, false}, {OPT_F64, 2, false}, {0}};
    const opt_optim_opts opts = {.lr = 1, .l2 = 0.5};
    double x[5], g[5];
    objective o;

    (void)state;
    objective_new(&o, logistic, parts, zeros);
    o.param[1].decay_factor = 3;
    objective_optimize(&o, &opt_lbfgs, NULL, &opts);
    assert_in_range(objective_settle(&o), 3, 30);
    assert_in_range(o.calls, 3, 60);
    objective_values(&o, x);
    objective_gradients(&o, g);
    assert_true(o.loss == logistic(5, x, g));
    for (int i = 0; i < 5; i++)
        assert_close(g[i] + 0.5 * (i < 3 ? 1 : 3) * x[i], 0, 1e-7);
    objective_free(&o);
}

static double shifted_rosenbrock(int n, const double *x, double *g)
{
    return rosenbrock(n, x, g) + 1;
}

/* Where the loss is flat as far as rounding can tell it stops, and soon. */
static void it_ends_where_rounding_hides_the_rest(void **state)
{
    (void)state;
    for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++)
        for (int shift = 0; shift < 2; shift++) {
            const part parts[] = {{dtype, 2, false}, {0}};
            double x[2], before[2];
            objective o;
            int calls;

            objective_new(&o, shift ? shifted_rosenbrock : rosenbrock, parts, rosenbrock_start);
            objective_optimize(&o, &opt_lbfgs, NULL, NULL);
            objective_settle(&o);
            assert_in_range(o.calls, 30, 60);
            objective_values(&o, before);
            assert_close(before[0], 1, dtype == OPT_F32 ? 1e-4 : 1e-7);
            calls = o.calls;
            assert_int_equal(objective_search(&o), OPT_STOP); /* nor is there anything the next time */
            assert_in_range(o.calls - calls, 0, 10);
            objective_values(&o, x);
            assert_memory_equal(x, before, sizeof x);
            objective_free(&o);
        }
}

static void f32_gets_to_its_precision(void **state)
{
    static const part parts[] = {{OPT_F32, 20, false}, {0}};
    double x[20];
    objective o;

    (void)state;
    objective_new(&o, quadratic, parts, zeros);
    objective_optimize(&o, &opt_lbfgs, NULL, NULL);
    objective_settle(&o);
    assert_in_range(o.calls, 20, 200);
    objective_values(&o, x);
    for (int i = 0; i < 20; i++)
        assert_close(x[i], i, 1e-5);
    objective_free(&o);
}

/* ---- By what steps ------------------------------------------------------------------------------------- */

/* Each step ends where both conditions hold, with the loss and the gradients of the point it ends at. */
static void check_wolfe(function *f, const part *parts, const double *start, const opt_lbfgs_opts *hyper,
                        double goal)
{
    const double c1 = hyper && hyper->c1 > 0 ? hyper->c1 : 1e-4;
    const double c2 = hyper && hyper->c2 > 0 ? hyper->c2 : 0.9;
    double x[MOST_NUMBERS], g[MOST_NUMBERS], y[MOST_NUMBERS], h[MOST_NUMBERS], told[MOST_NUMBERS];
    const int n = (int)parts->n;
    objective o;

    objective_new(&o, f, parts, start);
    objective_optimize(&o, &opt_lbfgs, hyper, NULL);
    do {
        const double before = f(objective_values(&o, x), x, g);
        const opt_tensor *d = NULL;
        double first = 0, last = 0, norm = 0, length = 0;

        assert_ok(o.ctx, objective_search(&o));
        d = opt_optim_slot(o.optim, 0, "d");
        objective_values(&o, y);
        assert_true(o.loss == f(n, y, h));
        objective_gradients(&o, told);
        assert_memory_equal(told, h, (size_t)n * sizeof *h);
        for (int i = 0; i < n; i++) {
            first += g[i] * opt_get(d, i);
            last += h[i] * opt_get(d, i);
            norm += opt_get(d, i) * opt_get(d, i);
            length += (y[i] - x[i]) * opt_get(d, i);
        }
        assert_true(first < 0);
        assert_true(o.loss <= before + c1 * length / norm * first * (1 - 1e-9));
        assert_true(fabs(last) <= -c2 * first * (1 + 1e-12));
    } while (o.loss > goal);
    objective_free(&o);
}

static void strong_wolfe_conditions_hold(void **state)
{
    static const part four[] = {{OPT_F64, 4, false}, {0}};
    static const opt_lbfgs_opts sharp = {.c1 = 0.1, .c2 = 0.2, .max_evals = 50}, one = {.history = 1};

    (void)state;
    check_wolfe(rosenbrock, two, rosenbrock_start, NULL, 1e-20);
    check_wolfe(rosenbrock, two, rosenbrock_start, &sharp, 1e-20);
    check_wolfe(rosenbrock, two, rosenbrock_start, &one, 1e-6);
    check_wolfe(wood, four, (const double[]){-3, -1, -3, -1}, NULL, 1e-20);
    check_wolfe(wood, four, (const double[]){-3, -1, -3, -1}, &sharp, 1e-20);
    check_wolfe(quadratic, twenty, zeros, NULL, 1e-20);
    check_wolfe(quadratic, twenty, zeros, &sharp, 1e-20);
}

/* lr is the first length; without a pair, the first step is that long at most. */
static void lr_is_the_first_length(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const opt_optim_opts opts = {.lr = i ? 0.25 : 1};
        double x[20], g[20], square = 0;
        objective o;

        objective_new(&o, quadratic, twenty, zeros);
        objective_optimize(&o, &opt_lbfgs, &(opt_lbfgs_opts){.max_evals = 1}, &opts);
        quadratic(20, zeros, g);
        assert_ok(o.ctx, objective_search(&o));
        assert_int_equal(o.calls, 2);
        objective_values(&o, x);
        for (int k = 0; k < 20; k++)
            square += x[k] * x[k];
        assert_close(sqrt(square), opts.lr, 1e-12);
        objective_free(&o);
    }
}

static double half_square(int n, const double *x, double *g)
{
    (void)n;
    g[0] = x[0];
    return x[0] * x[0] / 2;
}

/* Of a parabola the second direction ends at the minimum: gamma is what it should be. */
static void one_pair_knows_a_parabola(void **state)
{
    static const part one[] = {{OPT_F64, 1, false}, {0}};
    double x;
    objective o;

    (void)state;
    objective_new(&o, half_square, one, (const double[]){3});
    objective_optimize(&o, &opt_lbfgs, NULL, NULL);
    assert_ok(o.ctx, objective_search(&o)); /* of length 1, to 2 */
    objective_values(&o, &x);
    assert_close(x, 2, 1e-15);
    assert_ok(o.ctx, objective_search(&o));
    objective_values(&o, &x);
    assert_close(x, 0, 1e-15);
    assert_int_equal(o.calls, 3);
    objective_free(&o);
}

/* A flat slope far from the minimum: the first lengths are far too short. */
static double far_away(int n, const double *x, double *g)
{
    const double a = x[0] - 1e6, root = sqrt(1 + a * a);

    (void)n;
    g[0] = a / root;
    return root;
}

static void lengths_grow_as_far_as_need_be(void **state)
{
    static const part one[] = {{OPT_F64, 1, false}, {0}};
    double x;
    objective o;

    (void)state;
    objective_new(&o, far_away, one, zeros);
    objective_optimize(&o, &opt_lbfgs, NULL, NULL);
    assert_in_range(objective_settle(&o), 2, 20);
    assert_in_range(o.calls, 5, 60);
    objective_values(&o, &x);
    assert_close(x, 1e6, 1e-6);
    objective_free(&o);
}

static void a_rate_of_zero_keeps_the_weights(void **state)
{
    double x[2];
    objective o;

    (void)state;
    objective_new(&o, rosenbrock, two, rosenbrock_start);
    objective_optimize(&o, &opt_lbfgs, NULL, NULL);
    opt_optim_set_lr(o.optim, 0);
    for (int i = 0; i < 3; i++)
        assert_ok(o.ctx, objective_search(&o));
    objective_values(&o, x);
    assert_memory_equal(x, rosenbrock_start, sizeof x);
    assert_int_equal(o.calls, 1);
    opt_optim_set_lr(o.optim, 1);
    for (int i = 3; i < 15; i++)
        assert_ok(o.ctx, objective_search(&o));
    opt_optim_set_lr(o.optim, 0);
    assert_ok(o.ctx, objective_search(&o));
    for (int i = 0; i < 2; i++) /* the oldest pair has made way for none: step 16's row */
        assert_true(opt_get(opt_optim_slot(o.optim, 0, i ? "y" : "s"), 2 * (15 % 11)) == 0);
    opt_optim_set_lr(o.optim, 1);
    objective_descend(&o, 1e-16);
    assert_in_range(o.calls, 30, 60);
    objective_free(&o);
}

/* ---- By the book --------------------------------------------------------------------------------------- */

enum { STEPS = 25, N = 10 };

static double dot(const double *x, const double *y)
{
    double sum = 0;

    for (int i = 0; i < N; i++)
        sum += x[i] * y[i];
    return sum;
}

/* d <- -H g, by the last pairs of `done` steps (Nocedal & Wright, Algorithm 7.4), as it is written. */
static void direction(int history, int done, double s[][N], double y[][N], const double *g, double *d)
{
    const int oldest = done > history ? done - history : 0;
    double q[N], alpha[STEPS], gamma;

    memcpy(q, g, sizeof q);
    for (int i = done - 1; i >= oldest; i--) {
        alpha[i] = dot(s[i], q) / dot(y[i], s[i]);
        for (int k = 0; k < N; k++)
            q[k] -= alpha[i] * y[i][k];
    }
    gamma = done > 0 ? dot(s[done - 1], y[done - 1]) / dot(y[done - 1], y[done - 1]) : 1;
    for (int k = 0; k < N; k++)
        q[k] *= gamma;
    for (int i = oldest; i < done; i++) {
        const double beta = dot(y[i], q) / dot(y[i], s[i]);

        for (int k = 0; k < N; k++)
            q[k] += s[i][k] * (alpha[i] - beta);
    }
    for (int k = 0; k < N; k++)
        d[k] = -q[k];
}

static void directions_are_those_of_the_book(void **state)
{
    static const part ten[] = {{OPT_F64, N, false}, {0}};
    static const int histories[] = {1, 2, 3, 10, 100};

    (void)state;
    for (int i = 0; i < 5; i++) {
        double s[STEPS][N], y[STEPS][N], x[N], g[N], d[N];
        objective o;

        objective_new(&o, rosenbrock, ten, rosenbrock_start);
        objective_optimize(&o, &opt_lbfgs, &(opt_lbfgs_opts){.history = histories[i]}, NULL);
        rosenbrock(objective_values(&o, x), x, g);
        for (int t = 0; t < STEPS; t++) {
            const opt_tensor *taken = opt_optim_slot(o.optim, 0, "d");

            direction(histories[i], t, s, y, g, d);
            assert_ok(o.ctx, objective_search(&o));
            for (int k = 0; k < N; k++)
                assert_close(opt_get(taken, k), d[k], 1e-9 * sqrt(dot(d, d)));
            objective_values(&o, s[t]);
            objective_gradients(&o, y[t]);
            for (int k = 0; k < N; k++) {
                const double w = s[t][k], h = y[t][k];

                s[t][k] -= x[k];
                y[t][k] -= g[k];
                x[k] = w;
                g[k] = h;
            }
        }
        objective_free(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rosenbrock_takes_few_evaluations),
        cmocka_unit_test(woods_function_is_left_by_its_saddle),
        cmocka_unit_test(a_quadratic_is_solved),
        cmocka_unit_test(a_longer_history_is_of_use),
        cmocka_unit_test(logistic_regression_with_l2),
        cmocka_unit_test(it_ends_where_rounding_hides_the_rest),
        cmocka_unit_test(f32_gets_to_its_precision),
        cmocka_unit_test(strong_wolfe_conditions_hold),
        cmocka_unit_test(lr_is_the_first_length),
        cmocka_unit_test(one_pair_knows_a_parabola),
        cmocka_unit_test(lengths_grow_as_far_as_need_be),
        cmocka_unit_test(a_rate_of_zero_keeps_the_weights),
        cmocka_unit_test(directions_are_those_of_the_book),
    };
    return cmocka_run_group_tests_name("lbfgs", tests, NULL, NULL);
}

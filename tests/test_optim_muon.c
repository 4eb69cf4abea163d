/* SPDX-License-Identifier: MIT
 *
 * What Muon makes of a matrix: the length and direction of its step, and what they do not depend on. Whose
 * figures it agrees with is in test_optim_trajectories.c, what the driver has to do with it in
 * test_optim_muon_state.c.
 */
#include <math.h>
#include <stdlib.h>

#include "single.h"

static const opt_optim_opts plain = {.lr = 1, .weight_decay = OPT_ZERO};
static const opt_muon_opts match_rms = {.match_rms = 1};

/* -X f of the first step by this gradient: how far it takes weights of 0, at a rate of 1. */
static void first_step(const void *hyper, opt_dtype dtype, int64_t rows, int64_t cols, const double *g,
                       double *step)
{
    single p = single_shaped(&opt_muon, hyper, dtype, 2, (int64_t[]){rows, cols}, &plain, 1);

    for (int64_t i = 0; i < rows * cols; i++)
        opt_set(&p.param.grad, i, g[i]);
    single_step(&p);
    for (int64_t i = 0; i < rows * cols; i++)
        step[i] = opt_get(&p.param.value, i);
    single_free(&p);
}

static double *numbers(int64_t n)
{
    double *x = calloc((size_t)n, sizeof *x);

    assert_non_null(x);
    return x;
}

static double *normal(int64_t n, uint32_t seed)
{
    double *x = numbers(n);
    opt_rng r;

    opt_rng_seed(&r, seed);
    for (int64_t i = 0; i < n; i++)
        x[i] = opt_rng_normal(&r);
    return x;
}

static void assert_all_close(const double *x, const double *y, int64_t n, double tol)
{
    for (int64_t i = 0; i < n; i++)
        assert_close(x[i], y[i], tol);
}

/* What five iterations make of a singular value. */
static double iterated(double s)
{
    for (int i = 0; i < 5; i++)
        s = s * (3.4445 - 4.7750 * s * s + 2.0315 * s * s * s * s);
    return s;
}

/* ---- Singular values ----------------------------------------------------------------------------------- */

/* Jacobi's rotation of rows and columns p and q of a symmetric matrix, which takes element (p, q) to 0. */
static void rotate(double *a, int64_t n, int64_t p, int64_t q)
{
    const double angle = atan2(2 * a[p * n + q], a[q * n + q] - a[p * n + p]) / 2, c = cos(angle),
                 s = sin(angle);

    for (int64_t k = 0; k < n; k++) {
        const double x = a[k * n + p], y = a[k * n + q];

        a[k * n + p] = c * x - s * y;
        a[k * n + q] = s * x + c * y;
    }
    for (int64_t k = 0; k < n; k++) {
        const double x = a[p * n + k], y = a[q * n + k];

        a[p * n + k] = c * x - s * y;
        a[q * n + k] = s * x + c * y;
    }
}

/* The least and the largest singular value of x [rows, cols], of as many as its shorter side has. */
static void singular_range(const double *x, int64_t rows, int64_t cols, double range[2])
{
    const int64_t n = rows < cols ? rows : cols, longer = rows < cols ? cols : rows;
    double *a = numbers(n * n);

    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            for (int64_t k = 0; k < longer; k++)
                a[i * n + j] +=
                    rows < cols ? x[i * cols + k] * x[j * cols + k] : x[k * cols + i] * x[k * cols + j];
    for (int sweep = 0; sweep < 12; sweep++)
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++)
                rotate(a, n, p, q);
    range[0] = HUGE_VAL;
    range[1] = 0;
    for (int64_t i = 0; i < n; i++) {
        range[0] = fmin(range[0], sqrt(fabs(a[i * n + i])));
        range[1] = fmax(range[1], sqrt(fabs(a[i * n + i])));
    }
    free(a);
}

static void every_singular_value_comes_near_one(void **state)
{
    static const int64_t shapes[][2] = {{1, 1}, {1, 9},   {9, 1},   {2, 2},  {7, 3},
                                        {3, 7}, {24, 24}, {20, 61}, {61, 20}};

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
            const int64_t rows = shapes[i][0], cols = shapes[i][1];
            const double f = sqrt(fmax(1, (double)rows / (double)cols));
            double *g = normal(rows * cols, 3), *step = numbers(rows * cols), range[2];

            first_step(NULL, dtype, rows, cols, g, step);
            singular_range(step, rows, cols, range);
            assert_true(range[0] / f > 0.5 && range[1] / f < 1.3);
            free(g);
            free(step);
        }
}

/* Turns two numbers as a point of the plane. */
static void turn(double *x, double *y)
{
    const double a = *x, b = *y;

    *x = 0.6 * a - 0.8 * b;
    *y = 0.8 * a + 0.6 * b;
}

/* x [rows, cols] <- P x Q, where P turns each row and the next, and Q each column and the next. */
static void turn_all(double *x, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i + 1 < rows; i++)
        for (int64_t k = 0; k < cols; k++)
            turn(&x[i * cols + k], &x[(i + 1) * cols + k]);
    for (int64_t j = 0; j + 1 < cols; j++)
        for (int64_t k = 0; k < rows; k++)
            turn(&x[k * cols + j], &x[k * cols + j + 1]);
}

/* The step for P S Q is P X Q, X the one for a diagonal S, whose elements are taken one by one. */
static void the_step_turns_with_the_gradient(void **state)
{
    enum { R = 4, C = 6, N = R * C };
    static const double s[R] = {1, 0.5, 0.2, 0.1};
    const double norm = sqrt(1 + 0.25 + 0.04 + 0.01);
    double g[N] = {0}, want[N] = {0}, step[N];

    (void)state;
    for (int i = 0; i < R; i++) {
        g[i * C + i] = s[i];
        want[i * C + i] = -iterated(s[i] / norm);
    }
    for (int turned = 0; turned < 2; turned++) {
        first_step(NULL, OPT_F64, R, C, g, step);
        assert_all_close(step, want, N, 1e-13);
        turn_all(g, R, C);
        turn_all(want, R, C);
    }
}

static void a_gradient_of_rank_one_makes_a_step_of_rank_one(void **state)
{
    enum { R = 5, C = 3, N = R * C };
    static const double a[R] = {1, -2, 0, 4, 0.5}, b[C] = {-3, 1, 2};
    const double norms = sqrt(21.25 * 14);

    (void)state;
    for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
        double g[N], step[N];

        for (int i = 0; i < N; i++)
            g[i] = a[i / C] * b[i % C];
        first_step(NULL, dtype, R, C, g, step);
        for (int i = 0; i < N; i++)
            assert_close(step[i], -iterated(1) * sqrt((double)R / C) * g[i] / norms,
                         dtype == OPT_F32 ? 1e-5 : 1e-13);
    }
}

/* ---- What the step does not depend on, and what it does --------------------------------------------------
 */

/* The bits are the same for powers of 2, with which nothing is rounded. */
static void the_size_of_the_gradient_does_not_matter(void **state)
{
    enum { R = 12, C = 7, N = R * C };
    static const double scales[] = {0x1p40, 0x1p-20, 3, 1e-3, 1e30, 1e37, 1e-5};
    double *g = normal(N, 5), scaled[N], want[N], step[N];

    (void)state;
    for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
        first_step(NULL, dtype, R, C, g, want);
        for (int k = 0; k < 7; k++) {
            for (int i = 0; i < N; i++)
                scaled[i] = g[i] * scales[k];
            first_step(NULL, dtype, R, C, scaled, step);
            assert_all_close(step, want, N, k < 2 ? 0 : dtype == OPT_F32 ? 1e-4 : 1e-12);
        }
    }
    for (int i = 0; i < N; i++) /* squares that overflow in f64, too */
        scaled[i] = g[i] * 1e200;
    first_step(NULL, OPT_F64, R, C, scaled, step);
    assert_all_close(step, want, N, 1e-12);
    free(g);
}

/* Below eps it does: the iterations are as good as linear there. */
static void a_gradient_below_eps_is_not_blown_up(void **state)
{
    static const opt_muon_opts coarse = {.eps = 1e6};
    double *g = normal(20, 6), step[20];

    (void)state;
    first_step(&coarse, OPT_F64, 4, 5, g, step);
    for (int i = 0; i < 20; i++) /* the first step's u is (1 - mu^2) g */
        assert_close(step[i], -pow(3.4445, 5) * 1e-6 * (1 - 0.95 * 0.95) * g[i], 1e-9);
    free(g);
}

static void turn_over(const double *x, int64_t rows, int64_t cols, double *turned)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            turned[j * rows + i] = x[i * cols + j];
}

/* With match_rms, and without if there are as many rows as columns. */
static void the_transposed_problem_takes_the_transposed_step(void **state)
{
    static const int64_t shapes[][2] = {{9, 9}, {4, 11}, {40, 1}, {30, 29}};

    (void)state;
    for (int i = 0; i < 4; i++)
        for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
            const int64_t rows = shapes[i][0], cols = shapes[i][1], n = rows * cols;
            const void *hyper = i == 0 ? NULL : &match_rms;
            double *g = normal(n, 7), *turned = numbers(n), *step = numbers(n), *other = numbers(n);

            first_step(hyper, dtype, rows, cols, g, step);
            turn_over(g, rows, cols, turned);
            first_step(hyper, dtype, cols, rows, turned, other);
            turn_over(other, cols, rows, turned);
            assert_all_close(step, turned, n, dtype == OPT_F32 ? 1e-4 : 1e-12);
            free(g);
            free(turned);
            free(step);
            free(other);
        }
}

static void permuted_rows_and_columns_move_as_they_did(void **state)
{
    enum { R = 11, C = 17, N = R * C };
    double *g = normal(N, 8), shuffled[N], step[N], other[N];

    (void)state;
    for (int i = 0; i < N; i++)
        shuffled[i] = g[(i / C * 4 + 3) % R * C + (i % C * 5 + 2) % C];
    first_step(NULL, OPT_F64, R, C, g, step);
    first_step(NULL, OPT_F64, R, C, shuffled, other);
    for (int i = 0; i < N; i++)
        assert_close(other[i], step[(i / C * 4 + 3) % R * C + (i % C * 5 + 2) % C], 1e-12);
    free(g);
}

/* match_rms: 0.2 sqrt(max(rows, cols)), so that a step's root mean square is about Adam's in practice, 0.2.
 */
static void match_rms_makes_steps_of_the_length_of_adams(void **state)
{
    static const int64_t shapes[][2] = {{30, 30}, {10, 50}, {50, 10}};

    (void)state;
    for (int i = 0; i < 3; i++) {
        const int64_t rows = shapes[i][0], cols = shapes[i][1], n = rows * cols;
        const double f = sqrt(fmax(1, (double)rows / (double)cols));
        double *g = normal(n, 9), *step = numbers(n), *other = numbers(n), sum = 0;

        first_step(NULL, OPT_F64, rows, cols, g, step);
        first_step(&match_rms, OPT_F64, rows, cols, g, other);
        for (int64_t k = 0; k < n; k++) {
            assert_close(other[k], step[k] * 0.2 * sqrt(fmax((double)rows, (double)cols)) / f, 1e-13);
            sum += other[k] * other[k];
        }
        assert_true(sqrt(sum / (double)n) > 0.14 && sqrt(sum / (double)n) < 0.24);
        free(g);
        free(step);
        free(other);
    }
}

static void f32_stays_near_f64(void **state)
{
    const int64_t dim[] = {13, 8};
    single a = single_shaped(&opt_muon, NULL, OPT_F32, 2, dim, &(opt_optim_opts){.lr = 0.02}, 1);
    single b = single_shaped(&opt_muon, NULL, OPT_F64, 2, dim, &(opt_optim_opts){.lr = 0.02}, 1);

    (void)state;
    for (int t = 0; t < 50; t++) {
        for (int64_t i = 0; i < 13 * 8; i++) {
            opt_set(&a.param.grad, i, sin((double)(i * i * (t + 1))));
            opt_set(&b.param.grad, i, sin((double)(i * i * (t + 1))));
        }
        single_step(&a);
        single_step(&b);
    }
    assert_close(largest_difference(&a.param.value, &b.param.value), 0, 1e-5);
    single_free(&a);
    single_free(&b);
}

/* Of a matrix of one element only the sign matters. m is 0.05 after a gradient of 1; at the second step's -x
 * it becomes 0.05 (0.95 - x), which turns where x > 0.95; looking ahead, u is 0.05 (0.9025 - 1.95 x), which
 * turns where x > 0.463. */
static void nesterov_looks_ahead(void **state)
{
    static const opt_muon_opts off = {.nesterov = OPT_ZERO};
    static const struct {
        double x;
        bool turns[2]; /* without nesterov, and with it */
    } second[] = {{1, {true, true}}, {0.7, {false, true}}, {0.4, {false, false}}};

    (void)state;
    for (int k = 0; k < 3; k++)
        for (int on = 0; on < 2; on++) {
            single p = single_shaped(&opt_muon, on ? NULL : &off, OPT_F64, 2, (int64_t[]){1, 1}, &plain, 1);

            opt_set(&p.param.grad, 0, 1);
            single_step(&p);
            assert_close(opt_get(&p.param.value, 0), -iterated(1), 1e-14);
            opt_set(&p.param.grad, 0, -second[k].x);
            single_step(&p);
            assert_close(opt_get(&p.param.value, 0), second[k].turns[on] ? 0 : -2 * iterated(1), 1e-14);
            single_free(&p);
        }
}

/* What its own update is handed, changed. */
static bool without_context, without_kernels;
static opt_ctx *unsound;

static opt_status muon_with(const opt_update *u)
{
    opt_update v = *u;

    if (without_context)
        v.ctx = NULL;
    if (without_kernels)
        v.kernels = NULL;
    if (unsound != NULL)
        v.ctx = unsound;
    return opt_muon.update(&v);
}

/* Called by a method around it that leaves something out. Kernels there are always. */
static void an_update_without_its_means_fails(void **state)
{
    opt_method mine = opt_muon;
    opt_ctx *bad = opt_ctx_new(&(opt_ctx_opts){.threads = -1});

    (void)state;
    mine.update = muon_with;
    for (int i = 0; i < 4; i++) {
        single p = single_shaped(&mine, NULL, OPT_F64, 2, (int64_t[]){2, 3}, &plain, 1);

        without_context = i == 1;
        without_kernels = i == 2;
        unsound = i == 3 ? bad : NULL;
        opt_tensor_fill(&p.param.grad, 1);
        assert_int_equal(opt_optim_step(p.optim), i % 2 == 0 ? OPT_OK : OPT_EINVAL);
        single_free(&p);
    }
    opt_ctx_free(bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_singular_value_comes_near_one),
        cmocka_unit_test(the_step_turns_with_the_gradient),
        cmocka_unit_test(a_gradient_of_rank_one_makes_a_step_of_rank_one),
        cmocka_unit_test(the_size_of_the_gradient_does_not_matter),
        cmocka_unit_test(a_gradient_below_eps_is_not_blown_up),
        cmocka_unit_test(the_transposed_problem_takes_the_transposed_step),
        cmocka_unit_test(permuted_rows_and_columns_move_as_they_did),
        cmocka_unit_test(match_rms_makes_steps_of_the_length_of_adams),
        cmocka_unit_test(f32_stays_near_f64),
        cmocka_unit_test(nesterov_looks_ahead),
        cmocka_unit_test(an_update_without_its_means_fails),
    };
    return cmocka_run_group_tests_name("muon", tests, NULL, NULL);
}

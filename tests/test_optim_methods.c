/* SPDX-License-Identifier: MIT
 *
 * What every method must do. One row in `methods` buys a method all the properties below.
 */
#include <math.h>
#include <string.h>

#include "support.h"

typedef struct row {
    const opt_method *method;
    double lr;          /* for the two problems below */
    int parabola_steps; /* to come within 1e-3 of the minimum */
    int valley_steps;   /* to bring Rosenbrock's function below 0.05 from (-1.2, 1) */
    double valley_lr;
} row;

static const row methods[] = {
    {&opt_gd, 0.1, 200, 20000, 1e-3},
    {&opt_momentum, 0.1, 300, 20000, 1e-3},
    {&opt_adam, 0.05, 500, 2000, 0.05},
};

#define FOR_EACH_METHOD(r) for (const row *r = methods; r < methods + sizeof methods / sizeof *methods; r++)

/* One parameter "w" of n elements, its gradient, and an optimizer over it. */
typedef struct problem {
    opt_ctx *ctx;
    opt_param param;
    opt_optim *optim;
} problem;

static problem problem_new(const opt_method *m, opt_dtype dtype, int64_t n, double lr)
{
    problem p = {.ctx = opt_ctx_new(NULL), .param = {.name = "w"}};

    assert_ok(p.ctx, opt_tensor_new(p.ctx, dtype, 1, &n, &p.param.value));
    assert_ok(p.ctx, opt_tensor_new(p.ctx, dtype, 1, &n, &p.param.grad));
    assert_ok(p.ctx, opt_optim_new(p.ctx, m, NULL, &(opt_optim_opts){.lr = lr}, (opt_params){&p.param, 1},
                                   &p.optim));
    return p;
}

static void problem_free(problem *p)
{
    opt_optim_free(p->optim);
    opt_tensor_free(p->ctx, &p->param.value);
    opt_tensor_free(p->ctx, &p->param.grad);
    opt_ctx_free(p->ctx);
}

/* Steps down sum_i (i + 1) (w_i - i)^2 / 2. */
static void parabola_step(problem *p)
{
    for (int64_t i = 0; i < opt_tensor_len(&p->param.value); i++)
        opt_set(&p->param.grad, i, (double)(i + 1) * (opt_get(&p->param.value, i) - (double)i));
    assert_ok(p->ctx, opt_optim_step(p->optim));
}

static void finds_the_bottom_of_a_parabola(void **state)
{
    (void)state;
    FOR_EACH_METHOD(r)
    {
        problem p = problem_new(r->method, OPT_F64, 3, r->lr);

        for (int t = 0; t < r->parabola_steps; t++)
            parabola_step(&p);
        for (int64_t i = 0; i < 3; i++)
            assert_close(opt_get(&p.param.value, i), (double)i, 1e-3);
        problem_free(&p);
    }
}

/* (1 - x)^2 + 100 (y - x^2)^2, a curved valley. */
static void goes_down_the_rosenbrock_valley(void **state)
{
    (void)state;
    FOR_EACH_METHOD(r)
    {
        problem p = problem_new(r->method, OPT_F64, 2, r->valley_lr);
        double *w = p.param.value.data, *g = p.param.grad.data;

        w[0] = -1.2;
        w[1] = 1;
        for (int t = 0; t < r->valley_steps; t++) {
            g[0] = -2 * (1 - w[0]) - 400 * w[0] * (w[1] - w[0] * w[0]);
            g[1] = 200 * (w[1] - w[0] * w[0]);
            assert_ok(p.ctx, opt_optim_step(p.optim));
        }
        assert_true(pow(1 - w[0], 2) + 100 * pow(w[1] - w[0] * w[0], 2) < 0.05);
        problem_free(&p);
    }
}

static void f32_stays_near_f64(void **state)
{
    (void)state;
    FOR_EACH_METHOD(r)
    {
        problem a = problem_new(r->method, OPT_F32, 5, r->lr), b = problem_new(r->method, OPT_F64, 5, r->lr);

        for (int t = 0; t < 50; t++) {
            parabola_step(&a);
            parabola_step(&b);
        }
        assert_close(largest_difference(&a.param.value, &b.param.value), 0, 1e-5);
        problem_free(&a);
        problem_free(&b);
    }
}

static void no_gradient_from_the_start_means_no_movement(void **state)
{
    (void)state;
    FOR_EACH_METHOD(r)
    {
        problem p = problem_new(r->method, OPT_F64, 4, r->lr);

        opt_tensor_fill(&p.param.value, -0.3);
        for (int t = 0; t < 10; t++)
            assert_ok(p.ctx, opt_optim_step(p.optim));
        for (int64_t i = 0; i < 4; i++)
            assert_true(opt_get(&p.param.value, i) == -0.3);
        problem_free(&p);
    }
}

static void two_runs_give_the_same_bits(void **state)
{
    (void)state;
    FOR_EACH_METHOD(r)
    {
        problem a = problem_new(r->method, OPT_F32, 10007, r->lr),
                b = problem_new(r->method, OPT_F32, 10007, r->lr);

        for (int t = 0; t < 20; t++) {
            for (int64_t i = 0; i < 10007; i++) {
                opt_set(&a.param.grad, i, sin((double)(i * (t + 1))));
                opt_set(&b.param.grad, i, sin((double)(i * (t + 1))));
            }
            assert_ok(a.ctx, opt_optim_step(a.optim));
            assert_ok(b.ctx, opt_optim_step(b.optim));
        }
        assert_true(same_bits((opt_params){&a.param, 1}, (opt_params){&b.param, 1}));
        problem_free(&a);
        problem_free(&b);
    }
}

static void an_element_moves_alike_wherever_it_stands(void **state)
{
    const int64_t n = 9000; /* more than two chunks */

    (void)state;
    FOR_EACH_METHOD(r)
    {
        problem p = problem_new(r->method, OPT_F64, n, r->lr);

        for (int t = 0; t < 5; t++) {
            opt_tensor_fill(&p.param.grad, cos(t));
            assert_ok(p.ctx, opt_optim_step(p.optim));
        }
        assert_true(opt_get(&p.param.value, 0) != 0);
        for (int64_t i = 1; i < n; i++)
            assert_true(opt_get(&p.param.value, i) == opt_get(&p.param.value, 0));
        problem_free(&p);
    }
}

static void state_survives_a_copy(void **state)
{
    (void)state;
    FOR_EACH_METHOD(r)
    {
        problem a = problem_new(r->method, OPT_F64, 6, r->lr), b = problem_new(r->method, OPT_F64, 6, r->lr);

        for (int t = 0; t < 7; t++)
            parabola_step(&a);
        assert_ok(b.ctx, opt_tensor_copy(b.ctx, &a.param.value, &b.param.value));
        assert_ok(b.ctx, opt_optim_copy_state(a.optim, b.optim));
        assert_int_equal(opt_optim_steps(b.optim), 7);
        for (int t = 0; t < 7; t++) {
            parabola_step(&a);
            parabola_step(&b);
        }
        assert_true(same_bits((opt_params){&a.param, 1}, (opt_params){&b.param, 1}));
        problem_free(&a);
        problem_free(&b);
    }
}

static void slots_are_shaped_like_the_parameter_and_start_at_zero(void **state)
{
    (void)state;
    FOR_EACH_METHOD(r)
    {
        problem p = problem_new(r->method, OPT_F32, 6, r->lr);

        for (int s = 0; s < OPT_MAX_SLOTS && r->method->slot[s]; s++) {
            const opt_tensor *slot = opt_optim_slot(p.optim, 0, r->method->slot[s]);

            assert_non_null(slot);
            assert_int_equal(slot->dtype, OPT_F32);
            assert_int_equal(opt_tensor_len(slot), 6);
            for (int64_t i = 0; i < 6; i++)
                assert_true(opt_get(slot, i) == 0);
        }
        assert_null(opt_optim_slot(p.optim, 0, "no such slot"));
        problem_free(&p);
    }
}

/* Each hyper-parameter of each method: just below its range, its end, and NaN. */
static void hyper_parameters_out_of_range_are_refused(void **state)
{
    (void)state;
    FOR_EACH_METHOD(r)
    {
        problem p = problem_new(r->method, OPT_F64, 1, r->lr);
        opt_optim *const untouched = (opt_optim *)&p;

        for (int h = 0; h < r->method->nhyper; h++) {
            const opt_hyper *hyper = &r->method->hyper[h];
            const double bad[] = {hyper->min - 0.5, hyper->max, (double)NAN};

            for (int k = 0; k < 3; k++) {
                double values[8] = {0};
                opt_optim *o = untouched;

                values[h] = bad[k];
                assert_fails(p.ctx,
                             opt_optim_new(p.ctx, r->method, values, &(opt_optim_opts){.lr = 1},
                                           (opt_params){&p.param, 1}, &o),
                             OPT_EINVAL, hyper->name);
                assert_non_null(strstr(opt_errmsg(p.ctx), r->method->name));
                assert_ptr_equal(o, untouched);
            }
        }
        problem_free(&p);
    }
}

/* ---- Figures ------------------------------------------------------------------------------------------- */

#define UPDATE_PARAMS 4
static const char *const update_names[UPDATE_PARAMS] = {"W1", "b1", "W2", "b2"};

/* The notebook's own check of an update rule: one step at step number t, compared with the golden folder. */
static void check_update_case(const opt_method *m, const char *folder, int t, const char *const *slots,
                              const char *const *prefixes)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_param p[UPDATE_PARAMS];
    opt_optim *o;

    for (int i = 0; i < UPDATE_PARAMS; i++) {
        p[i] = (opt_param){.name = update_names[i],
                           .value = golden(ctx, "update_case/param/%s.npy", update_names[i])};
        assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, p[i].value.ndim, p[i].value.dim, &p[i].grad));
    }
    assert_ok(ctx,
              opt_optim_new(ctx, m, NULL, &(opt_optim_opts){.lr = 0.01}, (opt_params){p, UPDATE_PARAMS}, &o));
    for (int i = 1; i < t; i++)
        assert_ok(ctx, opt_optim_step(o)); /* without gradient: counts, and changes nothing else */
    for (int i = 0; i < UPDATE_PARAMS; i++) {
        opt_tensor g = golden(ctx, "update_case/grad/%s.npy", update_names[i]);
        assert_ok(ctx, opt_tensor_copy(ctx, &g, &p[i].grad));
        opt_tensor_free(ctx, &g);
    }
    assert_ok(ctx, opt_optim_step(o));
    for (int i = 0; i < UPDATE_PARAMS; i++) {
        opt_tensor want = golden(ctx, "update_case/%s/%s.npy", folder, update_names[i]);

        assert_close(largest_difference(&p[i].value, &want), 0, 1e-15);
        opt_tensor_free(ctx, &want);
        for (int s = 0; slots[s] != NULL; s++) {
            want = golden(ctx, "update_case/%s/%s_%s.npy", folder, prefixes[s], update_names[i]);
            assert_close(largest_difference(opt_optim_slot(o, i, slots[s]), &want), 0, 1e-15);
            opt_tensor_free(ctx, &want);
        }
    }
    opt_optim_free(o);
    for (int i = 0; i < UPDATE_PARAMS; i++) {
        opt_tensor_free(ctx, &p[i].value);
        opt_tensor_free(ctx, &p[i].grad);
    }
    opt_ctx_free(ctx);
}

static void updates_are_the_notebooks(void **state)
{
    (void)state;
    check_update_case(&opt_gd, "gd_lr0.01", 1, (const char *const[]){NULL}, NULL);
    check_update_case(&opt_momentum, "momentum_beta0.9_lr0.01", 1, (const char *const[]){"v", NULL},
                      (const char *const[]){"v"});
    check_update_case(&opt_adam, "adam_t2_lr0.01", 2, (const char *const[]){"m", "v", NULL},
                      (const char *const[]){"v", "s"}); /* the course's names for m and v */
}

typedef struct trajectory {
    const char *file;
    const opt_method *method;
    const opt_adam_opts *hyper;
    opt_optim_opts opts;
} trajectory;

static const opt_adam_opts tuned = {0.8, 0.99, 1e-6};

static const trajectory trajectories[] = {
    {"sgd_lr0.01", &opt_gd, NULL, {.lr = 0.01}},
    {"sgd_lr0.01_wd0.1", &opt_gd, NULL, {.lr = 0.01, .l2 = 0.1}},
    {"adam_lr0.001", &opt_adam, NULL, {.lr = 0.001}},
    {"adam_lr0.01_b0.8_0.99_eps1e-6", &opt_adam, &tuned, {.lr = 0.01}},
    {"adamw_lr0.001_wd0.01", &opt_adam, NULL, {.lr = 0.001, .weight_decay = 0.01}},
};

/* PyTorch's parameters after 1, 2, 10, 100 and 500 steps along a fixed sequence of gradients. */
static void check_trajectory(opt_ctx *ctx, const trajectory *c)
{
    static const int64_t saved[] = {1, 2, 10, 100, 500};
    opt_tensor grads = golden(ctx, "torch/grads.npy"), want = golden(ctx, "torch/%s.npy", c->file);
    opt_param p = {.name = "p", .value = golden(ctx, "torch/p0.npy")};
    const int64_t n = opt_tensor_len(&p.value);
    opt_optim *o;
    int next = 0;

    assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, 1, &n, &p.grad));
    assert_ok(ctx, opt_optim_new(ctx, c->method, c->hyper, &c->opts, (opt_params){&p, 1}, &o));
    for (int64_t t = 1; t <= grads.dim[0]; t++) {
        memcpy(p.grad.data, opt_tensor_rows(&grads, t - 1, 1).data, (size_t)n * sizeof(double));
        assert_ok(ctx, opt_optim_step(o));
        if (next < 5 && t == saved[next]) {
            const opt_tensor then = opt_tensor_rows(&want, next++, 1);
            assert_close(largest_difference(&p.value, &then), 0, 1e-12);
        }
    }
    assert_int_equal(next, 5);
    opt_optim_free(o);
    opt_tensor_free(ctx, &grads);
    opt_tensor_free(ctx, &want);
    opt_tensor_free(ctx, &p.value);
    opt_tensor_free(ctx, &p.grad);
}

static void trajectories_are_pytorchs(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    for (size_t i = 0; i < sizeof trajectories / sizeof *trajectories; i++)
        check_trajectory(ctx, &trajectories[i]);
    opt_ctx_free(ctx);
}

/* At t = 1 the bias corrections cancel, so w moves by lr g / (|g| + eps). */
static void adams_first_step_is_lr_times_sign(void **state)
{
    problem p = problem_new(&opt_adam, OPT_F64, 3, 0.01);
    const double g[] = {1e-3, -5, 1e6};

    (void)state;
    memcpy(p.param.grad.data, g, sizeof g);
    assert_ok(p.ctx, opt_optim_step(p.optim));
    for (int64_t i = 0; i < 3; i++)
        assert_close(opt_get(&p.param.value, i), -0.01 * g[i] / (fabs(g[i]) + 1e-8), 1e-16);
    problem_free(&p);
}

/* v = beta v + (1 - beta) g is an average: under a constant gradient it tends to the gradient. */
static void momentum_averages_gradients(void **state)
{
    problem p = problem_new(&opt_momentum, OPT_F64, 1, 1e-9);
    double weight = 1;

    (void)state;
    opt_tensor_fill(&p.param.grad, 3);
    for (int t = 1; t <= 30; t++) {
        assert_ok(p.ctx, opt_optim_step(p.optim));
        weight *= 0.9;
        assert_close(opt_get(opt_optim_slot(p.optim, 0, "v"), 0), 3 * (1 - weight), 1e-14);
    }
    problem_free(&p);
}

/* OPT_ZERO means exactly 0: momentum with beta 0 is gradient descent. */
static void opt_zero_is_zero(void **state)
{
    problem a = problem_new(&opt_gd, OPT_F64, 3, 0.1), b = problem_new(&opt_gd, OPT_F64, 3, 0.1);

    (void)state;
    opt_optim_free(b.optim);
    assert_ok(b.ctx, opt_optim_new(b.ctx, &opt_momentum, &(opt_momentum_opts){OPT_ZERO},
                                   &(opt_optim_opts){.lr = 0.1}, (opt_params){&b.param, 1}, &b.optim));
    for (int t = 0; t < 5; t++) {
        parabola_step(&a);
        parabola_step(&b);
    }
    assert_true(same_bits((opt_params){&a.param, 1}, (opt_params){&b.param, 1}));
    problem_free(&a);
    problem_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_bottom_of_a_parabola),
        cmocka_unit_test(goes_down_the_rosenbrock_valley),
        cmocka_unit_test(f32_stays_near_f64),
        cmocka_unit_test(no_gradient_from_the_start_means_no_movement),
        cmocka_unit_test(two_runs_give_the_same_bits),
        cmocka_unit_test(an_element_moves_alike_wherever_it_stands),
        cmocka_unit_test(state_survives_a_copy),
        cmocka_unit_test(slots_are_shaped_like_the_parameter_and_start_at_zero),
        cmocka_unit_test(hyper_parameters_out_of_range_are_refused),
        cmocka_unit_test(updates_are_the_notebooks),
        cmocka_unit_test(trajectories_are_pytorchs),
        cmocka_unit_test(adams_first_step_is_lr_times_sign),
        cmocka_unit_test(momentum_averages_gradients),
        cmocka_unit_test(opt_zero_is_zero),
    };
    return cmocka_run_group_tests_name("methods", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Methods where one can say on paper what they do.
 */
#include <math.h>
#include <string.h>

#include "single.h"

/* ---- The first step, from w = 0 ------------------------------------------------------------------------ */

static double along_g(double lr, double g)
{
    return lr * g;
}

static double tenth_of_g(double lr, double g)
{
    return lr * 0.1 * g;
}

static double nesterov(double lr, double g)
{
    return lr * 1.9 * g;
}

/* The bias corrections cancel. */
static double adam(double lr, double g)
{
    return lr * g / (fabs(g) + 1e-8);
}

static double half_of_adam(double lr, double g)
{
    return 0.5 * adam(lr, g);
}

static double nadam(double lr, double g)
{
    const double mu = 0.9 * (1 - 0.5 * pow(0.96, 0.004)), next = 0.9 * (1 - 0.5 * pow(0.96, 0.008));

    return lr * (g + next / (1 - mu * mu * next) * 0.1 * g) / (fabs(g) + 1e-8);
}

static double rmsprop(double lr, double g)
{
    return lr * g / (sqrt(0.01) * fabs(g) + 1e-8);
}

static double rmsprop_centred(double lr, double g)
{
    return lr * g / (sqrt(0.01 - 0.0001) * fabs(g) + 1e-8);
}

static double adagrad(double lr, double g)
{
    return lr * g / (fabs(g) + 1e-10);
}

static double sign(double lr, double g)
{
    return g > 0 ? lr : -lr;
}

static void the_first_step_is_as_on_paper(void **state)
{
    static const opt_rmsprop_opts centred = {.centered = 1}, heavy = {.momentum = 0.8},
                                  both = {.momentum = 0.8, .centered = 1};
    static const opt_schedule_free_opts slow = {.warmup = 2};
    const struct {
        const opt_method *method;
        const void *hyper;
        double (*step)(double lr, double g);
    } row[] = {{&opt_gd, NULL, along_g},
               {&opt_momentum, NULL, tenth_of_g},
               {&opt_heavy_ball, NULL, along_g},
               {&opt_nesterov, NULL, nesterov},
               {&opt_rmsprop, NULL, rmsprop},
               {&opt_rmsprop, &heavy, rmsprop},
               {&opt_rmsprop, &centred, rmsprop_centred},
               {&opt_rmsprop, &both, rmsprop_centred},
               {&opt_adagrad, NULL, adagrad},
               {&opt_adam, NULL, adam},
               {&opt_adamw, NULL, adam},
               {&opt_amsgrad, NULL, adam},
               {&opt_nadam, NULL, nadam},
               {&opt_radam, NULL, along_g},
               {&opt_lion, NULL, sign},
               {&opt_rprop, NULL, sign},
               {&opt_adam_bf16, NULL, adam}, /* by the averages before they are rounded */
               {&opt_schedule_free, NULL, adam},
               {&opt_schedule_free, &slow, half_of_adam},
               {&opt_muon, NULL, adam}}; /* of a vector */
    const double g[] = {1e-3, -5, 1e6};

    (void)state;
    for (size_t k = 0; k < sizeof row / sizeof *row; k++) {
        single p = single_new(row[k].method, row[k].hyper, OPT_F64, 3, 0.01);

        memcpy(p.param.grad.data, g, sizeof g);
        single_step(&p);
        for (int64_t i = 0; i < 3; i++) {
            const double want = -row[k].step(0.01, g[i]);

            assert_close(opt_get(&p.param.value, i), want, 1e-14 * fabs(want));
        }
        single_free(&p);
    }
}

/* ---- Momentum ------------------------------------------------------------------------------------------ */

/* v = beta v + (1 - beta) g is an average: under a constant gradient it tends to the gradient. */
static void momentum_averages_gradients(void **state)
{
    single p = single_new(&opt_momentum, NULL, OPT_F64, 1, 1e-9);
    double weight = 1;

    (void)state;
    opt_tensor_fill(&p.param.grad, 3);
    for (int t = 1; t <= 30; t++) {
        single_step(&p);
        weight *= 0.9;
        assert_close(opt_get(opt_optim_slot(p.optim, 0, "v"), 0), 3 * (1 - weight), 1e-14);
    }
    single_free(&p);
}

/* With the rate 1 - mu times as large. */
static void heavy_ball_goes_where_momentum_goes(void **state)
{
    single a = single_new(&opt_momentum, &(opt_momentum_opts){0.8}, OPT_F64, 5, 0.1),
           b = single_new(&opt_heavy_ball, &(opt_heavy_ball_opts){0.8}, OPT_F64, 5, 0.1 * (1 - 0.8));

    (void)state;
    for (int t = 0; t < 100; t++) {
        single_step_down(&a);
        single_step_down(&b);
        assert_close(largest_difference(&a.param.value, &b.param.value), 0, 1e-13);
    }
    single_free(&a);
    single_free(&b);
}

/* OPT_ZERO means exactly 0: without their memory these are gradient descent. */
static void opt_zero_is_zero(void **state)
{
    static const double zero[4] = {OPT_ZERO, OPT_ZERO, OPT_ZERO, OPT_ZERO};
    static const opt_method *const methods[] = {&opt_momentum, &opt_heavy_ball, &opt_nesterov};

    (void)state;
    for (int k = 0; k < 3; k++) {
        single a = single_new(&opt_gd, NULL, OPT_F64, 3, 0.1),
               b = single_new(methods[k], zero, OPT_F64, 3, 0.1);

        single_check_same_path(&a, &b, 5);
        single_free(&a);
        single_free(&b);
    }
}

/* ---- The size of gradients ----------------------------------------------------------------------------- */

/* Takes 60 steps with gradients, and with gradients `scale` times as large; returns how far apart that ends.
 */
static double scale_matters(const opt_method *m, opt_dtype dtype, double scale)
{
    single a = single_new(m, NULL, dtype, 9, 0.01), b = single_new(m, NULL, dtype, 9, 0.01);
    double apart;

    for (int t = 1; t <= 60; t++) {
        for (int64_t i = 0; i < 9; i++) {
            opt_set(&a.param.grad, i, sin((double)(t * (i + 1))));
            opt_set(&b.param.grad, i, opt_get(&a.param.grad, i) * scale);
        }
        single_step(&a);
        single_step(&b);
    }
    apart = largest_difference(&a.param.value, &b.param.value);
    single_free(&a);
    single_free(&b);
    return apart;
}

static void lion_and_rprop_ignore_the_size_of_gradients(void **state)
{
    (void)state;
    for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
        assert_true(scale_matters(&opt_lion, dtype, 0x1p30) == 0);
        assert_true(scale_matters(&opt_lion, dtype, 0x1p-30) == 0);
        assert_true(scale_matters(&opt_rprop, dtype, 0x1p30) == 0);
        assert_true(scale_matters(&opt_rprop, dtype, 0x1p-30) == 0);
        assert_true(scale_matters(&opt_gd, dtype, 2) > 0.01);
    }
}

/* But for eps. */
static void others_nearly_ignore_it(void **state)
{
    (void)state;
    assert_close(scale_matters(&opt_adam, OPT_F64, 0x1p10), 0, 1e-8);
    assert_close(scale_matters(&opt_amsgrad, OPT_F64, 0x1p10), 0, 1e-8);
    assert_close(scale_matters(&opt_nadam, OPT_F64, 0x1p10), 0, 1e-7);
    assert_close(scale_matters(&opt_rmsprop, OPT_F64, 0x1p10), 0, 1e-6);
    assert_close(scale_matters(&opt_adagrad, OPT_F64, 0x1p10), 0, 1e-8);
}

/* Squares overflow, and the weight stands still rather than become a NaN. */
static void gradients_too_large_to_square_stop_the_weight(void **state)
{
    static const opt_rmsprop_opts centred = {.centered = 1}, both = {.momentum = 0.8, .centered = 1};
    const struct {
        const opt_method *method;
        const void *hyper;
    } row[] = {{&opt_adam, NULL},    {&opt_amsgrad, NULL},     {&opt_nadam, NULL},   {&opt_adagrad, NULL},
               {&opt_rmsprop, NULL}, {&opt_rmsprop, &centred}, {&opt_rmsprop, &both}};

    (void)state;
    for (size_t k = 0; k < sizeof row / sizeof *row; k++) {
        single p = single_new(row[k].method, row[k].hyper, OPT_F32, 1, 0.01);

        for (int t = 0; t < 20; t++) {
            opt_set(&p.param.grad, 0, 1e25);
            single_step(&p);
            assert_true(opt_get(&p.param.value, 0) == 0);
        }
        single_free(&p);
    }
}

/* ---- Adam's kin ---------------------------------------------------------------------------------------- */

static void adamw_is_adam_with_decay(void **state)
{
    const opt_optim_opts plain = {.lr = 0.01}, decay = {.lr = 0.01, .weight_decay = 0.01},
                         other = {.lr = 0.01, .weight_decay = 0.3},
                         none = {.lr = 0.01, .weight_decay = OPT_ZERO};
    const struct {
        const opt_optim_opts *adam, *adamw;
    } row[] = {{&decay, &plain}, {&other, &other}, {&plain, &none}};

    (void)state;
    for (int k = 0; k < 3; k++) {
        single a = single_with(&opt_adam, NULL, OPT_F64, 5, row[k].adam),
               b = single_with(&opt_adamw, NULL, OPT_F64, 5, row[k].adamw);

        opt_tensor_fill(&a.param.value, 3);
        opt_tensor_fill(&b.param.value, 3);
        single_check_same_path(&a, &b, 20);
        single_free(&a);
        single_free(&b);
    }
}

static void adamw_spares_what_is_marked_no_decay(void **state)
{
    double w[2] = {2, 2}, g[2] = {0};
    const int64_t one = 1;
    opt_param p[] = {
        {"W", opt_tensor_view(OPT_F64, &w[0], 1, &one), opt_tensor_view(OPT_F64, &g[0], 1, &one), false},
        {"b", opt_tensor_view(OPT_F64, &w[1], 1, &one), opt_tensor_view(OPT_F64, &g[1], 1, &one), true}};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_optim *o;

    (void)state;
    assert_ok(ctx,
              opt_optim_new(ctx, &opt_adamw, NULL, &(opt_optim_opts){.lr = 0.5}, (opt_params){p, 2}, &o));
    assert_ok(ctx, opt_optim_step(o));
    assert_close(w[0], 2 * (1 - 0.5 * 0.01), 1e-15);
    assert_true(w[1] == 2);
    opt_optim_free(o);
    opt_ctx_free(ctx);
}

/* v falls after the largest gradient, v_max does not, and at t = 2 that is all the difference to Adam. */
static void amsgrad_remembers_the_largest(void **state)
{
    single p = single_new(&opt_amsgrad, NULL, OPT_F64, 1, 0.01);
    double w;

    (void)state;
    opt_set(&p.param.grad, 0, 10);
    single_step(&p);
    w = opt_get(&p.param.value, 0);
    opt_set(&p.param.grad, 0, 0);
    single_step(&p);
    assert_close(opt_get(opt_optim_slot(p.optim, 0, "v"), 0), 0.1 * 0.999, 1e-15);
    assert_close(opt_get(opt_optim_slot(p.optim, 0, "v_max"), 0), 0.1, 1e-15);
    w -= 0.01 * (0.9 / (1 - 0.81)) / (sqrt(0.1 / (1 - 0.999 * 0.999)) + 1e-8);
    assert_close(opt_get(&p.param.value, 0), w, 1e-15);
    single_free(&p);
}

/* Under a gradient of 1; decays so fast that mu is soon beta1 itself, and slow ones. */
static void nadams_momenta_are_their_product(void **state)
{
    static const opt_nadam_opts hypers[] = {{.beta1 = 0.99, .momentum_decay = 100},
                                            {.beta1 = 0.99, .momentum_decay = 5},
                                            {.beta1 = 0.999, .momentum_decay = OPT_ZERO},
                                            {.beta1 = OPT_ZERO}};

    (void)state;
    for (int k = 0; k < 4; k++) {
        const double decay = hypers[k].momentum_decay == OPT_ZERO ? 0 : hypers[k].momentum_decay;
        const double beta1 = hypers[k].beta1 == OPT_ZERO ? 0 : hypers[k].beta1;
        single p = single_new(&opt_nadam, &hypers[k], OPT_F64, 1, 0.01);
        double product = 1, w = 0;

        opt_tensor_fill(&p.param.grad, 1);
        for (int t = 1; t <= 3000; t++) {
            const double mu = beta1 * (1 - 0.5 * pow(0.96, t * (k < 3 ? decay : 4e-3)));
            const double next = beta1 * (1 - 0.5 * pow(0.96, (t + 1) * (k < 3 ? decay : 4e-3)));

            product *= mu;
            w -= 0.01 * ((1 - mu) / (1 - product) + next / (1 - product * mu * next) * (1 - pow(beta1, t))) /
                 (1 + 1e-8);
            single_step(&p);
            assert_close(opt_get(&p.param.value, 0), w, 1e-12 * t);
        }
        single_free(&p);
    }
}

/* ---- Rprop --------------------------------------------------------------------------------------------- */

/* Gradients whose product is less than the smallest number; then a turn: half the step, and no move. */
static void rprop_goes_by_the_sign_alone(void **state)
{
    static const double g[] = {1e-200, 3e-300, 1e-250, -1e-320, -1, -2, 0, 5};
    static const double size[] = {0.1, 0.12, 0.144, 0.072, 0.072, 0.0864, 0.0864, 0.0864};
    static const double move[] = {-0.1, -0.12, -0.144, 0, 0.072, 0.0864, 0, -0.0864};
    single p = single_new(&opt_rprop, NULL, OPT_F64, 1, 0.1);
    double w = 0;

    (void)state;
    for (int t = 0; t < 8; t++) {
        opt_set(&p.param.grad, 0, g[t]);
        single_step(&p);
        w += move[t];
        assert_close(opt_get(opt_optim_slot(p.optim, 0, "step"), 0), size[t], 1e-15);
        assert_close(opt_get(&p.param.value, 0), w, 1e-15);
    }
    single_free(&p);
}

static void rprops_steps_stay_in_their_range(void **state)
{
    static const opt_rprop_opts hyper = {.step_min = 1e-3, .step_max = 0.5};
    single p = single_new(&opt_rprop, &hyper, OPT_F64, 2, 0.1);

    (void)state;
    for (int t = 0; t < 50; t++) {
        opt_set(&p.param.grad, 0, 1);
        opt_set(&p.param.grad, 1, t % 3 == 0 ? 1 : t % 3 == 1 ? -1 : 0); /* turns, each time halved */
        single_step(&p);
    }
    assert_true(opt_get(opt_optim_slot(p.optim, 0, "step"), 0) == 0.5);
    assert_true(opt_get(opt_optim_slot(p.optim, 0, "step"), 1) == 1e-3);
    single_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_step_is_as_on_paper),
        cmocka_unit_test(momentum_averages_gradients),
        cmocka_unit_test(heavy_ball_goes_where_momentum_goes),
        cmocka_unit_test(opt_zero_is_zero),
        cmocka_unit_test(lion_and_rprop_ignore_the_size_of_gradients),
        cmocka_unit_test(others_nearly_ignore_it),
        cmocka_unit_test(gradients_too_large_to_square_stop_the_weight),
        cmocka_unit_test(adamw_is_adam_with_decay),
        cmocka_unit_test(adamw_spares_what_is_marked_no_decay),
        cmocka_unit_test(amsgrad_remembers_the_largest),
        cmocka_unit_test(nadams_momenta_are_their_product),
        cmocka_unit_test(rprop_goes_by_the_sign_alone),
        cmocka_unit_test(rprops_steps_stay_in_their_range),
    };
    return cmocka_run_group_tests_name("closed_forms", tests, NULL, NULL);
}

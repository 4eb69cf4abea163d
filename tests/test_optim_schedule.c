/* SPDX-License-Identifier: MIT
 *
 * Learning-rate schedules against closed forms, and the gradient check.
 */
#include <math.h>
#include <string.h>

#include "support.h"

static void inverse_decays_each_period(void **state)
{
    const opt_inverse_arg each = {.decay = 0.5}, fifth = {.decay = 1, .every = 5};

    (void)state;
    for (int64_t t = 0; t < 20; t++) {
        assert_close(opt_lr_inverse(0.1, t, &each), 0.1 / (1 + 0.5 * (double)t), 1e-17);
        assert_close(opt_lr_inverse(0.1, t, &fifth), 0.1 / (double)(1 + t / 5), 1e-17);
    }
}

static void step_multiplies_each_period(void **state)
{
    const opt_step_arg a = {.factor = 0.5, .every = 10}, each = {.factor = 0.9};

    (void)state;
    for (int64_t t = 0; t < 100; t++) {
        assert_close(opt_lr_step(3, t, &a), ldexp(3, -(int)(t / 10)), 0);
        assert_close(opt_lr_step(3, t, &each), 3 * pow(0.9, (double)t), 1e-14);
    }
}

static void cosine_warms_up_falls_and_stays(void **state)
{
    const opt_cosine_arg a = {.warmup = 10, .total = 110, .final_fraction = 0.1};

    (void)state;
    for (int64_t t = 0; t < 10; t++)
        assert_close(opt_lr_cosine(2, t, &a), 0.2 * (double)(t + 1), 1e-15);
    assert_close(opt_lr_cosine(2, 10, &a), 2, 1e-15);
    assert_close(opt_lr_cosine(2, 60, &a), 1.1, 1e-15);
    assert_close(opt_lr_cosine(2, 35, &a), 2 * (0.1 + 0.45 * (1 + sqrt(0.5))), 1e-14);
    for (int64_t t = 10; t < 110; t++)
        assert_true(opt_lr_cosine(2, t + 1, &a) < opt_lr_cosine(2, t, &a));
    assert_close(opt_lr_cosine(2, 110, &a), 0.2, 1e-16);
    assert_close(opt_lr_cosine(2, 1000000, &a), 0.2, 1e-16);
}

static void cosine_without_warm_up_or_length(void **state)
{
    (void)state;
    assert_close(opt_lr_cosine(2, 0, &(opt_cosine_arg){.total = 100}), 2, 0);
    assert_close(opt_lr_cosine(2, 100, &(opt_cosine_arg){.total = 100}), 0, 0);
    assert_close(opt_lr_cosine(2, 1, &(opt_cosine_arg){.total = 1, .final_fraction = 0.5}), 1, 0);
    assert_close(opt_lr_cosine(2, 5, &(opt_cosine_arg){.warmup = 5, .total = 3, .final_fraction = 0.5}), 1,
                 0);
}

/* A rate of 0 would train nothing, and say nothing. */
static void a_length_or_factor_left_out_is_an_error(void **state)
{
    (void)state;
    for (int64_t t = 0; t < 3; t++) {
        assert_true(isnan(opt_lr_cosine(2, t, &(opt_cosine_arg){.warmup = 5, .final_fraction = 0.5})));
        assert_true(isnan(opt_lr_polynomial(2, t, &(opt_polynomial_arg){.final_fraction = 0.5})));
        assert_true(isnan(opt_lr_step(2, t, &(opt_step_arg){.every = 2})));
        assert_true(isnan(opt_lr_exponential(2, t, &(opt_exponential_arg){.every = 2})));
        assert_close(opt_lr_step(2, t, &(opt_step_arg){.factor = OPT_ZERO, .every = 2}), t < 2 ? 2 : 0, 0);
    }
}

static void exponential_is_step_made_smooth(void **state)
{
    const opt_exponential_arg a = {.factor = 0.5, .every = 10}, each = {.factor = 0.99};

    (void)state;
    for (int64_t t = 0; t < 200; t++) {
        assert_close(opt_lr_exponential(3, t, &a) / (3 * pow(0.5, (double)t / 10)), 1, 1e-14);
        assert_close(opt_lr_exponential(3, t, &each) / (3 * pow(0.99, (double)t)), 1, 1e-14);
    }
    assert_close(opt_lr_exponential(3, 0, &a), 3, 0);
    assert_close(opt_lr_exponential(3, 0, &(opt_exponential_arg){.factor = OPT_ZERO}), 3, 0);
    assert_close(opt_lr_exponential(3, 1, &(opt_exponential_arg){.factor = OPT_ZERO}), 0, 0);
    assert_true(isnan(opt_lr_exponential(3, 1, &(opt_exponential_arg){.factor = -0.5})));
}

static void polynomial_falls_to_its_last_fraction(void **state)
{
    const opt_polynomial_arg line = {.total = 100}, cube = {.total = 50, .power = 3, .final_fraction = 0.1};
    const opt_polynomial_arg root = {.total = 64, .power = 0.5};

    (void)state;
    for (int64_t t = 0; t < 50; t++) {
        assert_close(opt_lr_polynomial(2, t, &line), 2 * (1 - (double)t / 100), 1e-15);
        assert_close(opt_lr_polynomial(2, t, &cube), 2 * (0.1 + 0.9 * pow(1 - (double)t / 50, 3)), 1e-15);
        assert_close(opt_lr_polynomial(2, t, &root), 2 * sqrt(1 - (double)t / 64), 1e-14);
    }
    assert_close(opt_lr_polynomial(2, 100, &line), 0, 0);
    assert_close(opt_lr_polynomial(2, 50, &cube), 0.2, 1e-16);
    assert_close(opt_lr_polynomial(2, 1000000, &cube), 0.2, 1e-16);
    assert_true(isnan(opt_lr_polynomial(2, 0, &(opt_polynomial_arg){.total = 5, .power = -1})));
}

/* PyTorch 1.13's OneCycleLR(max_lr=2, total_steps=20), and with 100 steps, pct_start=0.25, div_factor=10,
 * final_div_factor=100. */
static void any_power_will_do(void **state)
{
    (void)state;
    assert_close(opt_lr_polynomial(1, 1, &(opt_polynomial_arg){.total = 1000000, .power = 2e6}),
                 exp(-2.000001), 1e-9);
}

static void one_cycle_is_pytorchs(void **state)
{
    static const double each[20] = {0.08000000000000007,
                                    0.2633436854000506,
                                    0.7433436854000506,
                                    1.3366563145999495,
                                    1.8166563145999495,
                                    2.0,
                                    1.9749280124701747,
                                    1.9009692640269473,
                                    1.7818323551421,
                                    1.6234913078995261,
                                    1.4338860035826015,
                                    1.2225240438725786,
                                    1.000004,
                                    0.7774839561274215,
                                    0.5661219964173985,
                                    0.37651669210047395,
                                    0.2181756448579001,
                                    0.09903873597305257,
                                    0.02507998752982511,
                                    8e-06};
    static const double ninth[12] = {0.19999999999999996, 0.7555849108714192,  1.7363961030678927,
                                     1.9921225866131635,  1.8764303733638197,  1.637786565758941,
                                     1.3097079773805724,  0.9382722709902159,  0.5756464877264924,
                                     0.27276034120601006, 0.07215329059763691, 0.002};
    const opt_one_cycle_arg a = {.total = 20};
    const opt_one_cycle_arg b = {.total = 100, .up = 0.25, .start_fraction = 0.1, .final_fraction = 0.001};

    (void)state;
    for (int i = 0; i < 20; i++)
        assert_close(opt_lr_one_cycle(2, i, &a), each[i], 1e-15);
    for (int i = 0; i < 12; i++)
        assert_close(opt_lr_one_cycle(2, 9 * i, &b), ninth[i], 1e-15);
    assert_close(opt_lr_one_cycle(2, 1000, &a), 8e-6, 0);
    assert_close(opt_lr_one_cycle(2, 0, &(opt_one_cycle_arg){.total = 2}), 1.623491307899526, 1e-15);
    assert_close(opt_lr_one_cycle(2, 1, &(opt_one_cycle_arg){.total = 2}), 8e-6, 0);
    assert_close(opt_lr_one_cycle(2, 0, &(opt_one_cycle_arg){.total = 1}), 8e-6, 0);
    assert_close(opt_lr_one_cycle(2, 0, &(opt_one_cycle_arg){.total = 10, .start_fraction = OPT_ZERO}), 0, 0);
    assert_true(isnan(opt_lr_one_cycle(2, 0, &(opt_one_cycle_arg){0})));
    assert_true(isnan(opt_lr_one_cycle(2, 0, &(opt_one_cycle_arg){.total = 5, .up = 1})));
    assert_true(isnan(opt_lr_one_cycle(2, 0, &(opt_one_cycle_arg){.total = 5, .up = -0.5})));
    assert_close(opt_lr_one_cycle(2, 0, &(opt_one_cycle_arg){.total = 2, .up = 0.5}), 2, 0);
}

static void warm_up_comes_before_any_schedule(void **state)
{
    const opt_step_arg half = {.factor = 0.5, .every = 10};
    const opt_warmup_arg a = {.warmup = 4, .then = opt_lr_step, .then_arg = &half}, alone = {.warmup = 4};

    (void)state;
    for (int64_t t = 0; t < 4; t++) {
        assert_close(opt_lr_warmup(2, t, &a), 0.5 * (double)(t + 1), 0);
        assert_close(opt_lr_warmup(2, t, &alone), 0.5 * (double)(t + 1), 0);
    }
    for (int64_t t = 4; t < 40; t++) {
        assert_close(opt_lr_warmup(2, t, &a), opt_lr_step(2, t - 4, &half), 0);
        assert_close(opt_lr_warmup(2, t, &alone), 2, 0);
    }
    assert_close(opt_lr_warmup(2, 0, &(opt_warmup_arg){0}), 2, 0);
}

/* ---- Gradient check ------------------------------------------------------------------------------------ */

/* f = sum_i (i + 1) sin(w_i) over two parameters. */
typedef struct waves {
    opt_ctx *ctx;
    opt_param param[2];
    long calls;
    bool break_gradients; /* f overwrites them */
    double poison;        /* f is this once w_0 is moved */
} waves;

static double waves_loss(void *ud)
{
    waves *v = ud;
    double sum = 0;

    v->calls++;
    for (int p = 0; p < 2; p++)
        for (int64_t i = 0; i < 3; i++)
            sum += (double)(i + 1) * sin(opt_get(&v->param[p].value, i));
    if (v->break_gradients)
        opt_tensor_fill(&v->param[1].grad, 99);
    return v->poison != 0 ? v->poison : sum;
}

static void waves_init(waves *v, opt_dtype dtype)
{
    memset(v, 0, sizeof *v);
    v->ctx = opt_ctx_new(NULL);
    for (int p = 0; p < 2; p++) {
        v->param[p].name = p ? "b" : "a";
        assert_ok(v->ctx, opt_tensor_new(v->ctx, dtype, 1, (int64_t[]){3}, &v->param[p].value));
        assert_ok(v->ctx, opt_tensor_new(v->ctx, dtype, 1, (int64_t[]){3}, &v->param[p].grad));
        for (int64_t i = 0; i < 3; i++) {
            opt_set(&v->param[p].value, i, 0.3 * (double)i - 0.2 + p);
            opt_set(&v->param[p].grad, i, (double)(i + 1) * cos(opt_get(&v->param[p].value, i)));
        }
    }
}

static void waves_free(waves *v)
{
    for (int p = 0; p < 2; p++) {
        opt_tensor_free(v->ctx, &v->param[p].value);
        opt_tensor_free(v->ctx, &v->param[p].grad);
    }
    opt_ctx_free(v->ctx);
}

static double checked(waves *v)
{
    double err = -1;

    assert_ok(v->ctx, opt_grad_check(v->ctx, waves_loss, v, (opt_params){v->param, 2}, &err));
    return err;
}

static void a_right_gradient_passes(void **state)
{
    waves v;

    (void)state;
    waves_init(&v, OPT_F64);
    assert_close(checked(&v), 0, 1e-9);
    assert_int_equal(v.calls, 12);
    waves_free(&v);
    waves_init(&v, OPT_F32);
    assert_close(checked(&v), 0, 1e-3);
    waves_free(&v);
}

/* One element off by a thousandth shows, in whichever tensor it is. */
static void a_wrong_gradient_shows(void **state)
{
    (void)state;
    for (int p = 0; p < 2; p++)
        for (int64_t i = 0; i < 3; i++) {
            waves v;

            waves_init(&v, OPT_F64);
            opt_set(&v.param[p].grad, i, 1.001 * opt_get(&v.param[p].grad, i));
            assert_true(checked(&v) > 1e-5);
            opt_set(&v.param[p].grad, i, -opt_get(&v.param[p].grad, i));
            assert_true(checked(&v) > 1e-1);
            waves_free(&v);
        }
}

static void values_and_gradients_are_put_back(void **state)
{
    double value[2][3], grad[2][3];
    waves v;

    (void)state;
    waves_init(&v, OPT_F64);
    v.break_gradients = true;
    for (int p = 0; p < 2; p++) {
        memcpy(value[p], v.param[p].value.data, sizeof value[p]);
        memcpy(grad[p], v.param[p].grad.data, sizeof grad[p]);
    }
    assert_close(checked(&v), 0, 1e-9);
    for (int p = 0; p < 2; p++) {
        assert_memory_equal(v.param[p].value.data, value[p], sizeof value[p]);
        assert_memory_equal(v.param[p].grad.data, grad[p], sizeof grad[p]);
    }
    waves_free(&v);
}

static void a_loss_that_is_not_finite_is_named(void **state)
{
    double before[3], err = 5;
    waves v;

    (void)state;
    waves_init(&v, OPT_F64);
    memcpy(before, v.param[0].value.data, sizeof before);
    v.poison = (double)NAN;
    assert_fails(v.ctx, opt_grad_check(v.ctx, waves_loss, &v, (opt_params){v.param, 2}, &err), OPT_ENONFINITE,
                 "element 0 of a");
    assert_memory_equal(v.param[0].value.data, before, sizeof before);
    assert_close(err, 5, 0);
    waves_free(&v);
}

/* Its gradient may be anything, and its values are not moved. */
static void a_frozen_parameter_is_passed_over(void **state)
{
    waves v;

    (void)state;
    waves_init(&v, OPT_F64);
    v.param[0].frozen = true;
    opt_tensor_fill(&v.param[0].grad, 123);
    assert_close(checked(&v), 0, 1e-9);
    assert_int_equal(v.calls, 6);
    opt_tensor_fill(&v.param[0].grad, (double)NAN);
    assert_close(checked(&v), 0, 1e-9);
    waves_free(&v);
}

/* The slope of the first parameter is beyond what a double can say, or the sum of the norms is. */
static double steep_loss(void *ud)
{
    const waves *v = ud;
    const double w = opt_get(&v->param[0].value, 0);

    return w > v->poison ? 1e308 : w < v->poison ? -1e308 : 0;
}

static void what_overflows_does_not_agree(void **state)
{
    double err = 5;
    waves v;

    (void)state;
    waves_init(&v, OPT_F64);
    v.poison = opt_get(&v.param[0].value, 0);
    for (int n = 1; n <= 2; n++)
        assert_fails(v.ctx, opt_grad_check(v.ctx, steep_loss, &v, (opt_params){v.param, n}, &err),
                     OPT_ENONFINITE, "grad_check: the gradient of a, or f's differences, overflow");
    v.poison = 0;
    opt_tensor_fill(&v.param[1].grad, 1.5e308);
    assert_fails(v.ctx, opt_grad_check(v.ctx, waves_loss, &v, (opt_params){v.param, 2}, &err), OPT_ENONFINITE,
                 "the gradient of b, or");
    assert_close(err, 5, 0);
    waves_free(&v);
}

/* The sum of two values of f may overflow where its differences do not. */
static void a_large_loss_hides_nothing(void **state)
{
    waves v;

    (void)state;
    waves_init(&v, OPT_F64);
    v.poison = 1e308;
    opt_tensor_fill(&v.param[0].grad, 1e300);
    assert_true(checked(&v) > 0.5);
    waves_free(&v);
}

/* A constant: both gradients are 0, which is agreement. */
static void a_flat_loss_agrees_with_a_zero_gradient(void **state)
{
    waves v;

    (void)state;
    waves_init(&v, OPT_F64);
    v.poison = 1;
    opt_tensor_fill(&v.param[0].grad, 0);
    opt_tensor_fill(&v.param[1].grad, 0);
    assert_close(checked(&v), 0, 0);
    opt_set(&v.param[1].grad, 2, 1e-6);
    assert_close(checked(&v), 1, 1e-12);
    waves_free(&v);
}

static void bad_arguments(void **state)
{
    double err = 5;
    waves v;

    (void)state;
    waves_init(&v, OPT_F64);
    const opt_params params = {v.param, 2};
    assert_int_equal(opt_grad_check(NULL, waves_loss, &v, params, &err), OPT_EINVAL);
    assert_fails(v.ctx, opt_grad_check(v.ctx, NULL, &v, params, &err), OPT_EINVAL, "f is NULL");
    assert_fails(v.ctx, opt_grad_check(v.ctx, waves_loss, &v, params, NULL), OPT_EINVAL,
                 "max_rel_err is NULL");
    assert_fails(v.ctx, opt_grad_check(v.ctx, waves_loss, &v, (opt_params){0}, &err), OPT_EINVAL,
                 "grad_check: there are no parameters");
    assert_close(err, 5, 0);
    waves_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inverse_decays_each_period),
        cmocka_unit_test(step_multiplies_each_period),
        cmocka_unit_test(cosine_warms_up_falls_and_stays),
        cmocka_unit_test(cosine_without_warm_up_or_length),
        cmocka_unit_test(a_length_or_factor_left_out_is_an_error),
        cmocka_unit_test(exponential_is_step_made_smooth),
        cmocka_unit_test(polynomial_falls_to_its_last_fraction),
        cmocka_unit_test(any_power_will_do),
        cmocka_unit_test(one_cycle_is_pytorchs),
        cmocka_unit_test(warm_up_comes_before_any_schedule),
        cmocka_unit_test(a_right_gradient_passes),
        cmocka_unit_test(a_wrong_gradient_shows),
        cmocka_unit_test(values_and_gradients_are_put_back),
        cmocka_unit_test(a_loss_that_is_not_finite_is_named),
        cmocka_unit_test(a_frozen_parameter_is_passed_over),
        cmocka_unit_test(what_overflows_does_not_agree),
        cmocka_unit_test(a_large_loss_hides_nothing),
        cmocka_unit_test(a_flat_loss_agrees_with_a_zero_gradient),
        cmocka_unit_test(bad_arguments),
    };
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}

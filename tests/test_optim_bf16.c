/* SPDX-License-Identifier: MIT
 *
 * State in bf16: its numbers, Adam's averages in it, and that rounding at random is fair.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "single.h"

static double rounded(double x)
{
    uint16_t bits = 0;
    const opt_tensor t = {&bits, OPT_BF16, 0, {0}};

    opt_set(&t, 0, x);
    return opt_get(&t, 0);
}

/* Seven bits behind the point; ties go to the even one. */
static void numbers_are_rounded_to_the_nearest(void **state)
{
    uint16_t bits[3];
    opt_tensor t = {bits, OPT_BF16, 1, {3}};

    (void)state;
    assert_true(rounded(1) == 1);
    assert_true(rounded(-0x1.02p-100) == -0x1.02p-100);
    assert_true(rounded(0x1.01p0) == 1);
    assert_true(rounded(0x1.03p0) == 0x1.04p0);
    assert_true(rounded(0x1.0101p0) == 0x1.02p0);
    assert_true(rounded(-0x1.feffp0) == -0x1.fep0);
    assert_true(rounded(0x1.ffp127) == HUGE_VAL);
    assert_true(rounded(-HUGE_VAL) == -HUGE_VAL);
    assert_true(rounded(1e300) == HUGE_VAL);
    assert_true(rounded(0x1p-133) == 0x1p-133); /* the least */
    assert_true(rounded(0x1p-135) == 0);
    assert_true(signbit(rounded(-0.0)));
    assert_true(isnan(rounded((double)NAN)));
    opt_tensor_fill(&t, 3);
    for (int i = 0; i < 3; i++)
        assert_true(opt_get(&t, i) == 3);
}

/* What is not an optimizer's state is not in bf16. */
static void other_functions_refuse_it(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    uint16_t bits[2] = {0};
    const int64_t n = 2;
    opt_tensor t = {bits, OPT_BF16, 1, {2}}, out = {0};
    opt_param p = {.name = "w", .value = t, .grad = t};
    opt_optim *o = NULL;

    (void)state;
    assert_fails(ctx, opt_tensor_new(ctx, OPT_BF16, 1, &n, &out), OPT_EDTYPE, "dtype = 3");
    assert_null(opt_tensor_view(OPT_BF16, bits, 1, &n).data);
    assert_fails(ctx, opt_tensor_copy(ctx, &t, &t), OPT_EDTYPE, "copy: src: dtype = 3");
    assert_fails(ctx, opt_optim_new(ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 1}, (opt_params){&p, 1}, &o),
                 OPT_EDTYPE, "w: dtype = 3");
    opt_ctx_free(ctx);
}

/* Where all elements have the same history, the mean of their averages is what Adam's is, up to chance. */
static void the_mean_over_elements_is_adams(void **state)
{
    enum { N = 1 << 16, STEPS = 300 };

    (void)state;
    for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
        single adam = single_new(&opt_adam, NULL, OPT_F64, 1, 1e-3);
        single ours = single_new(&opt_adam_bf16, NULL, dtype, N, 1e-3);

        for (int t = 0; t < STEPS; t++) {
            opt_tensor_fill(&adam.param.grad, 0.3 + cos(t));
            opt_tensor_fill(&ours.param.grad, 0.3 + cos(t));
            single_step(&adam);
            single_step(&ours);
        }
        for (int s = 0; s < 2; s++) {
            const opt_tensor *slot = opt_optim_slot(ours.optim, 0, "mv");
            const double exact = opt_get(opt_optim_slot(adam.optim, 0, s ? "v" : "m"), 0);
            double sum = 0;

            for (int64_t i = 0; i < N; i++)
                sum += opt_get(slot, 2 * i + s);
            assert_close(sum / N / exact, 1, 5e-4);
        }
        single_free(&adam);
        single_free(&ours);
    }
}

/* Each element, over many steps, is rounded up as often as it should be: v, with what is added to it held at
 * a third of its last place, would never move if it were rounded to the nearest. */
static void each_elements_chances_are_fair(void **state)
{
    enum { N = 512, STEPS = 20000 };
    single p = single_with(&opt_adam_bf16, &(opt_adam_bf16_opts){.beta2 = 1 - 0x1p-20}, OPT_F32, N,
                           &(opt_optim_opts){.lr = 1e-6});
    const opt_tensor *mv = opt_optim_slot(p.optim, 0, "mv");

    (void)state;
    for (int64_t i = 0; i < N; i++)
        opt_set(mv, 2 * i + 1, 1);
    opt_tensor_fill(&p.param.grad, sqrt(1 + 0x1p13 / 300)); /* adds 2^-7 / 300 a step, about */
    for (int t = 0; t < STEPS; t++)
        single_step(&p);
    for (int64_t i = 0; i < N; i++) /* 66 steps up are expected, give or take 8: five times that */
        assert_close(opt_get(mv, 2 * i + 1), 1 + 66 * 0x1p-7, 42 * 0x1p-7);
    single_free(&p);
}

/* An element's chance goes with its number among all, so it does not matter how the parameters are cut. */
static void it_does_not_matter_how_parameters_are_cut(void **state)
{
    enum { N = 9000 };
    static float w[2][N], g[N];
    const int64_t cut[] = {0, 17, 5000, N};

    (void)state;
    for (int i = 0; i < N; i++)
        g[i] = (float)sin(i);
    for (int k = 0; k < 2; k++) {
        opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.threads = k ? 3 : 1});
        opt_param p[3] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
        opt_optim *o;

        for (int i = 0; i < 3; i++) {
            const int64_t from = k ? cut[i] : 0, n = k ? cut[i + 1] - from : N;

            p[i].value = opt_tensor_view(OPT_F32, w[k] + from, 1, &n);
            p[i].grad = opt_tensor_view(OPT_F32, g + from, 1, &n);
        }
        p[1].lr_factor = k ? 1.0 : 0; /* the same, said otherwise */
        assert_ok(ctx, opt_optim_new(ctx, &opt_adam_bf16, NULL,
                                     &(opt_optim_opts){.lr = 0.01, .clip_value = 0.7, .weight_decay = 0.1},
                                     (opt_params){p, k ? 3 : 1}, &o));
        for (int t = 0; t < 20; t++)
            assert_ok(ctx, opt_optim_step(o));
        opt_optim_free(o);
        opt_ctx_free(ctx);
    }
    assert_memory_equal(w[0], w[1], sizeof w[0]);
}

/* An infinite average stays one, and its weight stands still. */
static void averages_that_overflow_stay_infinite(void **state)
{
    single p = single_new(&opt_adam_bf16, NULL, OPT_F32, 3, 0.1);

    (void)state;
    opt_tensor_fill(&p.param.grad, 1e30);
    for (int t = 0; t < 5; t++)
        single_step(&p);
    for (int64_t i = 0; i < 3; i++) {
        assert_true(opt_get(opt_optim_slot(p.optim, 0, "mv"), 2 * i + 1) == HUGE_VAL);
        assert_true(opt_get(&p.param.value, i) == 0);
    }
    single_free(&p);
}

/* The average of gradients above all that bf16 has is the most that it has: infinite, it would make weights
 * NaN beside an infinite v. */
static void gradients_beyond_bf16_leave_the_weights(void **state)
{
    (void)state;
    for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
        single p = single_new(&opt_adam_bf16, NULL, dtype, 40, 0.1);

        for (int64_t i = 0; i < 40; i++)
            opt_set(&p.param.grad, i, (i % 2 ? -1 : 1) * (dtype == OPT_F32 ? (double)FLT_MAX : 1e300));
        for (int t = 0; t < 200; t++)
            single_step(&p);
        for (int64_t i = 0; i < 40; i++) {
            assert_true(opt_get(&p.param.value, i) == 0);
            assert_close(opt_get(opt_optim_slot(p.optim, 0, "mv"), 2 * i) /
                             (i % 2 ? -0x1.fep127 : 0x1.fep127),
                         1, 0.02);
        }
        single_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_rounded_to_the_nearest),
        cmocka_unit_test(other_functions_refuse_it),
        cmocka_unit_test(the_mean_over_elements_is_adams),
        cmocka_unit_test(each_elements_chances_are_fair),
        cmocka_unit_test(it_does_not_matter_how_parameters_are_cut),
        cmocka_unit_test(averages_that_overflow_stay_infinite),
        cmocka_unit_test(gradients_beyond_bf16_leave_the_weights),
    };
    return cmocka_run_group_tests_name("bf16", tests, NULL, NULL);
}

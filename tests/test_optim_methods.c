/* SPDX-License-Identifier: MIT
 *
 * What every method must do. One row in `methods` buys a method all the properties below; one is the example
 * custom_optimizer's, which is written against the public interface.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "signum.h"
#include "single.h"

typedef struct row {
    const opt_method *method;
    int slots;          /* that its defaults need */
    double lr;          /* for the two problems below */
    int parabola_steps; /* to come within 1e-3 of the minimum */
    int valley_steps;   /* to bring Rosenbrock's function below 0.05 from (-1.2, 1) */
    double valley_lr;
    bool bf16; /* one slot has two averages in bf16, and each element a chance of its own */
} row;

/* Of one dimension, which is Adam's part of Muon; its own is in test_optim_muon.c. */
static const row methods[] = {
    {&opt_gd, 0, 0.1, 200, 20000, 1e-3},
    {&opt_momentum, 1, 0.1, 300, 20000, 1e-3},
    {&opt_heavy_ball, 1, 0.01, 300, 5000, 2e-4},
    {&opt_nesterov, 1, 0.01, 300, 5000, 2e-4},
    {&opt_rmsprop, 1, 5e-4, 6000, 20000, 1e-3},
    {&opt_adagrad, 1, 0.5, 500, 5000, 0.5},
    {&opt_adam, 2, 0.05, 500, 2000, 0.05},
    {&opt_adamw, 2, 1e-3, 20000, 2000, 0.05},
    {&opt_amsgrad, 3, 0.05, 1000, 5000, 0.05},
    {&opt_nadam, 2, 0.05, 500, 2000, 0.05},
    {&opt_radam, 2, 0.02, 1000, 20000, 5e-4},
    {&opt_lion, 1, 5e-4, 6000, 20000, 1e-3},
    {&opt_rprop, 2, 0.1, 200, 2000, 0.01},
    {&opt_schedule_free, 2, 0.5, 3000, 5000, 0.03},
    {&opt_adam_bf16, 1, 0.05, 500, 2000, 0.05, true},
    {&signum, 1, 2e-4, 15000, 20000, 1e-3},
    {&opt_muon, 2, 1e-3, 20000, 5000, 0.01},
};

#define FOR_EACH_METHOD(r) for (const row *r = methods; r < methods + sizeof methods / sizeof *methods; r++)

static single start(const row *r, opt_dtype dtype, int64_t n, double lr)
{
    return single_new(r->method, NULL, dtype, n, lr);
}

static void finds_the_bottom_of_a_parabola(void **state)
{
    (void)state;
    FOR_EACH_METHOD(r)
    {
        single p = start(r, OPT_F64, 3, r->lr);

        for (int t = 0; t < r->parabola_steps; t++)
            single_step_down(&p);
        for (int64_t i = 0; i < 3; i++)
            assert_close(opt_get(&p.param.value, i), (double)i, 1e-3);
        single_free(&p);
    }
}

/* (1 - x)^2 + 100 (y - x^2)^2, a curved valley. */
static void goes_down_the_rosenbrock_valley(void **state)
{
    (void)state;
    FOR_EACH_METHOD(r)
    {
        single p = start(r, OPT_F64, 2, r->valley_lr);
        double *w = p.param.value.data, *g = p.param.grad.data;

        w[0] = -1.2;
        w[1] = 1;
        for (int t = 0; t < r->valley_steps; t++) {
            g[0] = -2 * (1 - w[0]) - 400 * w[0] * (w[1] - w[0] * w[0]);
            g[1] = 200 * (w[1] - w[0] * w[0]);
            single_step(&p);
        }
        assert_true(pow(1 - w[0], 2) + 100 * pow(w[1] - w[0] * w[0], 2) < 0.05);
        single_free(&p);
    }
}

static void f32_stays_near_f64(void **state)
{
    (void)state;
    FOR_EACH_METHOD(r)
    if (!r->bf16) {
        single a = start(r, OPT_F32, 5, r->lr), b = start(r, OPT_F64, 5, r->lr);

        for (int t = 0; t < 50; t++) {
            single_step_down(&a);
            single_step_down(&b);
        }
        assert_close(largest_difference(&a.param.value, &b.param.value), 0, 1e-5);
        single_free(&a);
        single_free(&b);
    }
}

static void no_gradient_from_the_start_means_decay_alone(void **state)
{
    (void)state;
    FOR_EACH_METHOD(r)
    {
        single p = start(r, OPT_F64, 4, r->lr);
        double w = -0.3;

        opt_tensor_fill(&p.param.value, w);
        for (int t = 0; t < 10; t++) {
            single_step(&p);
            w *= 1 - r->lr * r->method->weight_decay;
        }
        for (int64_t i = 0; i < 4; i++)
            assert_true(opt_get(&p.param.value, i) == w);
        single_free(&p);
    }
}

static void two_runs_give_the_same_bits(void **state)
{
    (void)state;
    FOR_EACH_METHOD(r)
    {
        single a = start(r, OPT_F32, 10007, r->lr), b = start(r, OPT_F32, 10007, r->lr);

        for (int t = 0; t < 20; t++) {
            for (int64_t i = 0; i < 10007; i++) {
                opt_set(&a.param.grad, i, sin((double)(i * (t + 1))));
                opt_set(&b.param.grad, i, sin((double)(i * (t + 1))));
            }
            single_step(&a);
            single_step(&b);
        }
        assert_true(single_same_bits(&a, &b));
        single_free(&a);
        single_free(&b);
    }
}

static void an_element_moves_alike_wherever_it_stands(void **state)
{
    const int64_t n = 9000; /* more than two chunks */

    (void)state;
    FOR_EACH_METHOD(r)
    if (!r->bf16) {
        single p = start(r, OPT_F64, n, r->lr);

        for (int t = 0; t < 5; t++) {
            opt_tensor_fill(&p.param.grad, cos(t));
            single_step(&p);
        }
        assert_true(opt_get(&p.param.value, 0) != 0);
        for (int64_t i = 1; i < n; i++)
            assert_true(opt_get(&p.param.value, i) == opt_get(&p.param.value, 0));
        single_free(&p);
    }
}

/* And so it does where others predict; but Rprop's lengths are its own from the second step on. */
static void a_rate_of_0_leaves_the_weights(void **state)
{
    (void)state;
    FOR_EACH_METHOD(r)
    {
        single p = start(r, OPT_F64, 3, r->lr);
        double before[3], predicting[3];
        const bool predicts = r->method->predict != NULL;

        for (int t = 0; t < 5; t++)
            single_step_down(&p);
        memcpy(before, p.param.value.data, sizeof before);
        assert_int_equal(opt_optim_predicting(p.optim, true), predicts ? OPT_OK : OPT_EINVAL);
        memcpy(predicting, p.param.value.data, sizeof predicting);
        assert_ok(p.ctx, opt_optim_predicting(p.optim, false));
        opt_optim_set_lr(p.optim, 0);
        for (int t = 0; t < 5; t++)
            single_step_down(&p);
        assert_memory_equal(p.param.value.data, before, sizeof before);
        (void)opt_optim_predicting(p.optim, true);
        assert_memory_equal(p.param.value.data, predicting, sizeof predicting);
        single_free(&p);
    }
}

static void state_survives_a_copy(void **state)
{
    (void)state;
    FOR_EACH_METHOD(r)
    {
        single a = start(r, OPT_F64, 6, r->lr), b = start(r, OPT_F64, 6, r->lr);

        for (int t = 0; t < 7; t++)
            single_step_down(&a);
        assert_ok(b.ctx, opt_tensor_copy(b.ctx, &a.param.value, &b.param.value));
        assert_ok(b.ctx, opt_optim_copy_state(a.optim, b.optim));
        assert_int_equal(opt_optim_steps(b.optim), 7);
        for (int t = 0; t < 7; t++) {
            single_step_down(&a);
            single_step_down(&b);
        }
        assert_true(single_same_bits(&a, &b));
        single_free(&a);
        single_free(&b);
    }
}

/* w -> -w and g -> -g, in either type. */
static void the_mirror_image_takes_the_mirrored_path(void **state)
{
    const int64_t n = 37;

    (void)state;
    FOR_EACH_METHOD(r)
    for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
        single a = start(r, dtype, n, r->lr), b = start(r, dtype, n, r->lr);

        for (int64_t i = 0; i < n; i++) {
            opt_set(&a.param.value, i, cos((double)i));
            opt_set(&b.param.value, i, -cos((double)i));
        }
        for (int t = 0; t < 20; t++) {
            for (int64_t i = 0; i < n; i++) {
                opt_set(&a.param.grad, i, sin((double)(i * (t + 1))));
                opt_set(&b.param.grad, i, -sin((double)(i * (t + 1))));
            }
            single_step(&a);
            single_step(&b);
        }
        for (int64_t i = 0; i < n; i++)
            assert_true(opt_get(&a.param.value, i) == -opt_get(&b.param.value, i));
        single_free(&a);
        single_free(&b);
    }
}

static void state_survives_a_file(void **state)
{
    static const char path[] = "test_optim_methods.tmp";

    (void)state;
    FOR_EACH_METHOD(r)
    for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
        single a = start(r, dtype, 6, r->lr), b = start(r, dtype, 6, r->lr);

        for (int t = 0; t < 7; t++)
            single_step_down(&a);
        assert_ok(a.ctx, opt_save(a.ctx, path, (opt_params){&a.param, 1}, a.optim, NULL));
        assert_ok(b.ctx, opt_load(b.ctx, path, (opt_params){&b.param, 1}, b.optim, NULL));
        assert_int_equal(opt_optim_steps(b.optim), 7);
        for (int t = 0; t < 7; t++) {
            single_step_down(&a);
            single_step_down(&b);
        }
        assert_true(single_same_bits(&a, &b));
        single_free(&a);
        single_free(&b);
    }
    remove(path);
    remove("test_optim_methods.tmp.bak");
}

/* Those that the defaults need; the others are not there. */
static void slots_are_shaped_like_the_parameter_and_start_at_zero(void **state)
{
    (void)state;
    FOR_EACH_METHOD(r)
    {
        single p = start(r, OPT_F32, 6, r->lr);
        int slots = 0;

        for (int s = 0; s < OPT_MAX_SLOTS && r->method->slot[s]; s++) {
            const opt_tensor *slot = opt_optim_slot(p.optim, 0, r->method->slot[s]);

            if (slot == NULL)
                continue;
            slots++;
            assert_int_equal(slot->dtype, r->bf16 ? OPT_BF16 : OPT_F32);
            assert_int_equal(opt_tensor_len(slot), r->bf16 ? 12 : 6);
            assert_int_equal((uintptr_t)slot->data % 64, 0); /* as all memory: a cache line is read once */
            for (int64_t i = 0; i < opt_tensor_len(slot); i++)
                assert_true(opt_get(slot, i) == 0);
        }
        assert_int_equal(slots, r->slots);
        assert_null(opt_optim_slot(p.optim, 0, "no such slot"));
        single_free(&p);
    }
}

/* A thousand elements more are a thousand more in w, g, each slot and, where others predict, what w is put
 * aside in; and nowhere else. */
static void memory_is_that_of_the_slots(void **state)
{
    (void)state;
    FOR_EACH_METHOD(r)
    for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
        const size_t size = dtype == OPT_F32 ? 4 : 8, slot_size = r->bf16 ? 4 : size;
        const size_t aside = r->method->predict ? size : 0;
        single a = start(r, dtype, 1000, r->lr), b = start(r, dtype, 2000, r->lr);

        assert_int_equal(b.count->bytes - a.count->bytes,
                         1000 * (2 * size + (size_t)r->slots * slot_size + aside));
        single_free(&a);
        single_free(&b);
    }
}

/* Each hyper-parameter of each method: just below its range, its end, and NaN. */
static void hyper_parameters_out_of_range_are_refused(void **state)
{
    (void)state;
    FOR_EACH_METHOD(r)
    {
        single p = start(r, OPT_F64, 1, r->lr);
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
        single_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_bottom_of_a_parabola),
        cmocka_unit_test(goes_down_the_rosenbrock_valley),
        cmocka_unit_test(f32_stays_near_f64),
        cmocka_unit_test(no_gradient_from_the_start_means_decay_alone),
        cmocka_unit_test(two_runs_give_the_same_bits),
        cmocka_unit_test(an_element_moves_alike_wherever_it_stands),
        cmocka_unit_test(the_mirror_image_takes_the_mirrored_path),
        cmocka_unit_test(a_rate_of_0_leaves_the_weights),
        cmocka_unit_test(state_survives_a_copy),
        cmocka_unit_test(state_survives_a_file),
        cmocka_unit_test(slots_are_shaped_like_the_parameter_and_start_at_zero),
        cmocka_unit_test(memory_is_that_of_the_slots),
        cmocka_unit_test(hyper_parameters_out_of_range_are_refused),
    };
    return cmocka_run_group_tests_name("methods", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * The driver: what happens around a method's update, whatever the method.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support.h"

/* Two parameters of 2 and 3 elements in caller's arrays, "a" and "b"; b is no_decay. Most tests use gradient
 * descent with lr 1, so that a step shows the effective gradient itself. */
typedef struct fixture {
    count count;
    opt_ctx *ctx;
    double w[5], g[5];
    opt_param param[2];
    opt_params params;
    opt_optim *o;
} fixture;

static const double start[5] = {1, -2, 3, -4, 5};
static const double gradient[5] = {0.5, -0.25, 4, -8, 0};

static opt_tensor wrap(double *p, int64_t n)
{
    return opt_tensor_view(OPT_F64, p, 1, &n);
}

static void fixture_init(fixture *f)
{
    memset(f, 0, sizeof *f);
    count_init(&f->count);
    f->ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = f->count.allocator});
    memcpy(f->w, start, sizeof start);
    memcpy(f->g, gradient, sizeof gradient);
    f->param[0] = (opt_param){"a", wrap(f->w, 2), wrap(f->g, 2), false};
    f->param[1] = (opt_param){"b", wrap(f->w + 2, 3), wrap(f->g + 2, 3), true};
    f->params = (opt_params){f->param, 2};
}

static void fixture_free(fixture *f)
{
    opt_optim_free(f->o);
    opt_ctx_free(f->ctx);
    assert_int_equal(f->count.live, 0);
}

static opt_status descend(const opt_update *u)
{
    for (int64_t i = 0; i < opt_tensor_len(&u->w); i++)
        opt_set(&u->w, i, opt_get(&u->w, i) - u->lr * opt_get(&u->g, i));
    return OPT_OK;
}

/* One step with these options moved every element by -want, be it by the library's method or by one of ours.
 */
static void check_step(const opt_optim_opts *opts, const double *want)
{
    static const opt_method ours = {.name = "ours", .update = descend};
    const opt_method *const methods[] = {&opt_gd, &ours};

    for (int m = 0; m < 2; m++) {
        fixture f;

        fixture_init(&f);
        assert_ok(f.ctx, opt_optim_new(f.ctx, methods[m], NULL, opts, f.params, &f.o));
        assert_ok(f.ctx, opt_optim_step(f.o));
        for (int i = 0; i < 5; i++)
            assert_close(start[i] - f.w[i], want[i], 1e-15);
        assert_memory_equal(f.g, gradient, sizeof gradient); /* read only */
        fixture_free(&f);
    }
}

static void plain_step(void **state)
{
    (void)state;
    check_step(&(opt_optim_opts){.lr = 1}, gradient);
    check_step(&(opt_optim_opts){.lr = 0.5}, (const double[]){0.25, -0.125, 2, -4, 0});
}

static void clips_by_value(void **state)
{
    (void)state;
    check_step(&(opt_optim_opts){.lr = 1, .clip_value = 0.4}, (const double[]){0.4, -0.25, 0.4, -0.4, 0});
}

/* The norm is over all parameters together. */
static void clips_by_norm(void **state)
{
    const double norm = sqrt(0.25 + 0.0625 + 16 + 64);
    double want[5];

    (void)state;
    for (int i = 0; i < 5; i++)
        want[i] = gradient[i] * 2 / norm;
    check_step(&(opt_optim_opts){.lr = 1, .clip_norm = 2}, want);
    check_step(&(opt_optim_opts){.lr = 1, .clip_norm = norm * 1.0001}, gradient);
    for (int i = 0; i < 5; i++)
        want[i] /= 4;
    check_step(&(opt_optim_opts){.lr = 1, .clip_norm = 0.5}, want);
}

/* By value first; the norm is then of what is left. */
static void clips_by_value_then_by_norm(void **state)
{
    const double norm = sqrt(0.16 + 0.0625 + 0.16 + 0.16);

    (void)state;
    check_step(&(opt_optim_opts){.lr = 1, .clip_value = 0.4, .clip_norm = 0.1},
               (const double[]){0.04 / norm, -0.025 / norm, 0.04 / norm, -0.04 / norm, 0});
}

/* b is no_decay. */
static void l2_adds_to_the_gradient(void **state)
{
    (void)state;
    check_step(&(opt_optim_opts){.lr = 1, .l2 = 0.1}, (const double[]){0.6, -0.45, 4, -8, 0});
}

/* l2 comes after clipping, and is not clipped. */
static void l2_is_not_clipped(void **state)
{
    (void)state;
    check_step(&(opt_optim_opts){.lr = 1, .clip_value = 0.4, .l2 = 10},
               (const double[]){10.4, -20.25, 0.4, -0.4, 0});
}

static void decay_shrinks_by_lr_times_decay(void **state)
{
    (void)state;
    check_step(&(opt_optim_opts){.lr = 0.5, .weight_decay = 0.2}, (const double[]){0.35, -0.325, 2, -4, 0});
}

/* For a method with state l2 and decay differ: decay does not enter the slots. */
static void decay_stays_out_of_the_state(void **state)
{
    fixture f;

    (void)state;
    fixture_init(&f);
    assert_ok(f.ctx, opt_optim_new(f.ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 0.5, .weight_decay = 0.2},
                                   f.params, &f.o));
    assert_ok(f.ctx, opt_optim_step(f.o));
    assert_close(opt_get(opt_optim_slot(f.o, 0, "m"), 0), 0.05, 1e-16);
    fixture_free(&f);
}

static void opt_zero_turns_an_option_off(void **state)
{
    (void)state;
    check_step(
        &(opt_optim_opts){
            .lr = 1, .clip_value = OPT_ZERO, .clip_norm = OPT_ZERO, .l2 = OPT_ZERO, .weight_decay = OPT_ZERO},
        gradient);
}

/* ---- Not finite ---------------------------------------------------------------------------------------- */

static void check_refused(double bad, bool clip_norm)
{
    fixture f;
    const opt_optim_opts opts = {.lr = 0.1, .weight_decay = 0.1, .clip_norm = clip_norm ? 1 : 0};

    fixture_init(&f);
    assert_ok(f.ctx, opt_optim_new(f.ctx, &opt_adam, NULL, &opts, f.params, &f.o));
    f.g[3] = bad;
    assert_fails(f.ctx, opt_optim_step(f.o), OPT_ENONFINITE, "element 1 of the gradient of b");
    assert_memory_equal(f.w, start, sizeof start);
    for (int p = 0; p < 2; p++)
        for (int i = 0; i < 2; i++)
            assert_true(opt_get(opt_optim_slot(f.o, p, "m"), i) == 0);
    assert_int_equal(opt_optim_steps(f.o), 0);
    f.g[3] = 1;
    assert_ok(f.ctx, opt_optim_step(f.o));
    assert_int_equal(opt_optim_steps(f.o), 1);
    fixture_free(&f);
}

static void a_gradient_that_is_not_finite_changes_nothing(void **state)
{
    (void)state;
    check_refused((double)NAN, false);
    check_refused(HUGE_VAL, false);
    check_refused(-HUGE_VAL, true);
}

static void unchecked_lets_it_through(void **state)
{
    fixture f;

    (void)state;
    fixture_init(&f);
    assert_ok(f.ctx, opt_optim_new(f.ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 1, .unchecked = true},
                                   f.params, &f.o));
    f.g[0] = HUGE_VAL;
    assert_ok(f.ctx, opt_optim_step(f.o));
    assert_true(isinf(f.w[0]));
    fixture_free(&f);
}

/* Squares of these overflow or vanish in f64; their norm must not. */
static void norms_neither_overflow_nor_vanish(void **state)
{
    fixture f;

    (void)state;
    fixture_init(&f);
    for (int i = 0; i < 5; i++)
        f.g[i] = i % 2 ? 1e200 : -1e200;
    assert_close(opt_grad_norm(f.ctx, f.params) / 1e200, sqrt(5), 1e-15);
    for (int i = 0; i < 5; i++)
        f.g[i] = 1e-200;
    assert_close(opt_grad_norm(f.ctx, f.params) / 1e-200, sqrt(5), 1e-15);
    memset(f.g, 0, sizeof f.g);
    assert_true(opt_grad_norm(f.ctx, f.params) == 0);
    f.g[4] = (double)NAN;
    assert_true(isnan(opt_grad_norm(f.ctx, f.params)));
    assert_non_null(strstr(opt_errmsg(f.ctx), "element 2 of the gradient of b"));
    f.param[0].frozen = f.param[1].frozen = true;
    assert_true(opt_grad_norm(f.ctx, f.params) == 0); /* of nothing */
    fixture_free(&f);
}

/* Clipping a huge gradient gives the direction, not zero. */
static void clips_a_gradient_whose_squares_overflow(void **state)
{
    fixture f;

    (void)state;
    fixture_init(&f);
    assert_ok(f.ctx, opt_optim_new(f.ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 1, .clip_norm = 3}, f.params,
                                   &f.o));
    memset(f.g, 0, sizeof f.g);
    f.g[2] = 1e300;
    assert_ok(f.ctx, opt_optim_step(f.o));
    assert_close(f.w[2], start[2] - 3, 1e-14);
    fixture_free(&f);
}

/* ---- Learning rate ------------------------------------------------------------------------------------- */

/* Records t, gives lr0 * (t + 1). */
static double growing(double lr0, int64_t t, const void *arg)
{
    return *(const double *)arg * lr0 * (double)(t + 1);
}

static void the_schedule_sees_steps_done(void **state)
{
    const double factor = 2;
    fixture f;

    (void)state;
    fixture_init(&f);
    assert_ok(f.ctx,
              opt_optim_new(f.ctx, &opt_gd, NULL,
                            &(opt_optim_opts){.lr = 0.25, .schedule = growing, .schedule_arg = &factor},
                            f.params, &f.o));
    assert_close(opt_optim_lr(f.o), 0.5, 0);
    assert_ok(f.ctx, opt_optim_step(f.o));
    assert_close(f.w[2], 3 - 0.5 * 4, 0);
    assert_close(opt_optim_lr(f.o), 1, 0);
    assert_ok(f.ctx, opt_optim_step(f.o));
    assert_close(f.w[2], 3 - 1.5 * 4, 0);
    opt_optim_set_lr(f.o, 0.5);
    assert_close(opt_optim_lr(f.o), 3, 0);
    fixture_free(&f);
}

static void rates_that_make_no_sense_end_in_a_status(void **state)
{
    const double bad[] = {-0.1, (double)NAN, HUGE_VAL};
    fixture f;

    (void)state;
    fixture_init(&f);
    assert_ok(f.ctx, opt_optim_new(f.ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 1}, f.params, &f.o));
    for (int i = 0; i < 3; i++) {
        opt_optim_set_lr(f.o, bad[i]);
        assert_fails(f.ctx, opt_optim_step(f.o), OPT_EINVAL, "learning rate of step 1");
    }
    assert_memory_equal(f.w, start, sizeof start);
    opt_optim_set_lr(f.o, 0); /* frozen */
    assert_ok(f.ctx, opt_optim_step(f.o));
    assert_memory_equal(f.w, start, sizeof start);
    fixture_free(&f);
}

/* ---- Ranks --------------------------------------------------------------------------------------------- */

/* Stands for two ranks with the same gradients. */
static opt_status doubled(void *ud, void *buf, size_t n, opt_dtype t)
{
    assert_int_equal(t, OPT_F64);
    *(size_t *)ud += n;
    for (size_t i = 0; i < n; i++)
        ((double *)buf)[i] *= 2;
    return OPT_OK;
}

static opt_status unreachable(void *ud, void *buf, size_t n, opt_dtype t)
{
    (void)ud;
    (void)buf;
    (void)n;
    (void)t;
    return OPT_EIO;
}

static void gradients_are_summed_over_ranks(void **state)
{
    size_t summed = 0;
    fixture f;
    opt_ctx *ctx;
    opt_optim *o;

    (void)state;
    fixture_init(&f);
    ctx = opt_ctx_new(&(opt_ctx_opts){.comm = {.rank = 1, .size = 2, .sum = doubled, .ud = &summed}});
    assert_ok(ctx, opt_optim_new(ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 1}, f.params, &o));
    assert_ok(ctx, opt_optim_step(o));
    for (int i = 0; i < 5; i++)
        assert_close(start[i] - f.w[i], 2 * gradient[i], 0);
    assert_int_equal(summed, 5 + 2 * 2); /* at first, of each parameter, how its tensors lie in memory */
    summed = 0;
    assert_ok(ctx, opt_optim_step(o));
    assert_int_equal(summed, 5);
    opt_optim_free(o);
    opt_ctx_free(ctx);

    ctx = opt_ctx_new(&(opt_ctx_opts){.comm = {.size = 2, .sum = unreachable}});
    assert_ok(ctx, opt_optim_new(ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 1}, f.params, &o));
    assert_fails(ctx, opt_optim_step(o), OPT_ECOMM, "gd: summing gradients over ranks failed");
    opt_optim_free(o);
    opt_ctx_free(ctx);
    fixture_free(&f);
}

static void steps_do_not_allocate(void **state)
{
    fixture f;
    long calls;

    (void)state;
    fixture_init(&f);
    assert_ok(f.ctx, opt_optim_new(f.ctx, &opt_adam, NULL,
                                   &(opt_optim_opts){.lr = 1, .clip_norm = 1, .l2 = 1}, f.params, &f.o));
    calls = f.count.calls;
    for (int t = 0; t < 10; t++)
        assert_ok(f.ctx, opt_optim_step(f.o));
    assert_int_equal(f.count.calls, calls);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_step),
        cmocka_unit_test(clips_by_value),
        cmocka_unit_test(clips_by_norm),
        cmocka_unit_test(clips_by_value_then_by_norm),
        cmocka_unit_test(l2_adds_to_the_gradient),
        cmocka_unit_test(l2_is_not_clipped),
        cmocka_unit_test(decay_shrinks_by_lr_times_decay),
        cmocka_unit_test(decay_stays_out_of_the_state),
        cmocka_unit_test(opt_zero_turns_an_option_off),
        cmocka_unit_test(a_gradient_that_is_not_finite_changes_nothing),
        cmocka_unit_test(unchecked_lets_it_through),
        cmocka_unit_test(norms_neither_overflow_nor_vanish),
        cmocka_unit_test(clips_a_gradient_whose_squares_overflow),
        cmocka_unit_test(the_schedule_sees_steps_done),
        cmocka_unit_test(rates_that_make_no_sense_end_in_a_status),
        cmocka_unit_test(gradients_are_summed_over_ranks),
        cmocka_unit_test(steps_do_not_allocate),
    };
    return cmocka_run_group_tests_name("optim", tests, NULL, NULL);
}

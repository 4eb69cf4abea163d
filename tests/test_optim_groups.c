/* SPDX-License-Identifier: MIT
 *
 * Parameters that an optimizer treats otherwise than the rest: other rates, other decay, none at all.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support.h"

enum { PARAMS = 4, EACH = 3 };

/* Four parameters end to end in memory, as a network's are, so that those treated alike are stepped as one.
 */
typedef struct fixture {
    opt_ctx *ctx;
    count count;
    double w[PARAMS * EACH], g[PARAMS * EACH];
    opt_param param[PARAMS];
    opt_optim *optim;
} fixture;

static void setup(fixture *f, int threads)
{
    static const char *const names[PARAMS] = {"a", "b", "c", "d"};
    const int64_t each = EACH;

    memset(f, 0, sizeof *f);
    count_init(&f->count);
    f->ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = f->count.allocator, .threads = threads});
    for (int i = 0; i < PARAMS * EACH; i++) {
        f->w[i] = 0.25 * (i + 1);
        f->g[i] = (i % 5 - 2) * 0.5 + 0.125;
    }
    for (int p = 0; p < PARAMS; p++)
        f->param[p] = (opt_param){.name = names[p],
                                  .value = opt_tensor_view(OPT_F64, f->w + p * EACH, 1, &each),
                                  .grad = opt_tensor_view(OPT_F64, f->g + p * EACH, 1, &each)};
}

static opt_status start(fixture *f, const opt_method *m, const opt_optim_opts *opts)
{
    return opt_optim_new(f->ctx, m, NULL, opts, (opt_params){f->param, PARAMS}, &f->optim);
}

static void teardown(fixture *f)
{
    opt_optim_free(f->optim);
    opt_ctx_free(f->ctx);
    assert_int_equal(f->count.live, 0);
}

static double *at(fixture *f, int p)
{
    return f->w + p * EACH;
}

/* Gradient descent: a step is lr times the factor times the gradient, and so is a step of decay. */
static void factors_scale_the_rate_and_the_decay(void **state)
{
    const opt_optim_opts opts = {.lr = 0.5, .weight_decay = 0.25, .l2 = 0.125};
    fixture f, before;

    (void)state;
    setup(&f, 1);
    f.param[1].lr_factor = 0.5;
    f.param[2].decay_factor = 2;
    f.param[3].lr_factor = OPT_ZERO;
    before = f;
    assert_ok(f.ctx, start(&f, &opt_gd, &opts));
    assert_ok(f.ctx, opt_optim_step(f.optim));
    for (int p = 0; p < PARAMS; p++)
        for (int i = 0; i < EACH; i++) {
            const double lr = p == 1 ? 0.25 : p == 3 ? 0 : 0.5, decay = p == 2 ? 2 : 1;
            const double w = at(&before, p)[i], g = before.g[p * EACH + i] + decay * 0.125 * w;

            assert_close(at(&f, p)[i], w * (1 - lr * decay * 0.25) - lr * g, 1e-15);
        }
    teardown(&f);
}

static void no_decay_is_a_factor_of_zero(void **state)
{
    static const opt_method *const methods[] = {&opt_gd, &opt_adam};
    const opt_optim_opts opts = {.lr = 0.5, .weight_decay = 0.25, .l2 = 0.125};

    (void)state;
    for (int m = 0; m < 2; m++) {
        fixture a, b;

        setup(&a, 1);
        setup(&b, 1);
        a.param[1].no_decay = true;
        a.param[1].decay_factor = 3;
        b.param[1].decay_factor = OPT_ZERO;
        assert_ok(a.ctx, start(&a, methods[m], &opts));
        assert_ok(b.ctx, start(&b, methods[m], &opts));
        for (int t = 0; t < 3; t++) {
            assert_ok(a.ctx, opt_optim_step(a.optim));
            assert_ok(b.ctx, opt_optim_step(b.optim));
        }
        assert_memory_equal(a.w, b.w, sizeof a.w);
        teardown(&a);
        teardown(&b);
    }
}

/* The others step as they would if the frozen one were not there, whatever its gradient is. */
static void a_frozen_parameter_is_as_if_it_were_not_there(void **state)
{
    const opt_optim_opts opts = {.lr = 0.5, .clip_norm = 0.75};

    (void)state;
    for (int threads = 1; threads < 4; threads += 2)
        for (int frozen = 0; frozen < PARAMS; frozen++) {
            fixture f, without;
            double before[EACH];
            opt_params rest = {without.param, PARAMS - 1};

            setup(&f, threads);
            setup(&without, threads);
            f.param[frozen].frozen = true;
            f.g[frozen * EACH] = (double)NAN;
            memcpy(before, at(&f, frozen), sizeof before);
            for (int p = frozen; p < PARAMS - 1; p++)
                without.param[p] = without.param[p + 1];
            assert_ok(f.ctx, start(&f, &opt_adam, &opts));
            assert_ok(f.ctx, opt_optim_new(without.ctx, &opt_adam, NULL, &opts, rest, &without.optim));
            for (int t = 0; t < 3; t++) {
                assert_ok(f.ctx, opt_optim_step(f.optim));
                assert_ok(f.ctx, opt_optim_step(without.optim));
            }
            assert_memory_equal(before, at(&f, frozen), sizeof before);
            for (int p = 0; p < PARAMS; p++)
                if (p != frozen)
                    assert_memory_equal(at(&f, p), at(&without, p), EACH * sizeof(double));
            assert_close(opt_grad_norm(f.ctx, (opt_params){f.param, PARAMS}), opt_grad_norm(f.ctx, rest), 0);
            teardown(&f);
            teardown(&without);
        }
}

static void a_frozen_parameter_has_no_state(void **state)
{
    const opt_optim_opts opts = {.lr = 0.5};
    fixture f, g;
    size_t all;

    (void)state;
    setup(&f, 1);
    assert_ok(f.ctx, start(&f, &opt_adam, &opts));
    all = f.count.bytes;
    teardown(&f);
    setup(&f, 1);
    setup(&g, 1);
    f.param[2].frozen = g.param[2].frozen = true;
    assert_ok(f.ctx, start(&f, &opt_adam, &opts));
    assert_int_equal(all - f.count.bytes, 2 * EACH * sizeof(double));
    assert_non_null(opt_optim_slot(f.optim, 1, "m"));
    assert_null(opt_optim_slot(f.optim, 2, "m"));
    assert_ok(f.ctx, opt_optim_step(f.optim));

    assert_ok(g.ctx, start(&g, &opt_adam, &opts));
    assert_ok(g.ctx, opt_optim_copy_state(f.optim, g.optim));
    assert_close(opt_get(opt_optim_slot(g.optim, 3, "m"), 0), opt_get(opt_optim_slot(f.optim, 3, "m"), 0), 0);
    opt_optim_free(g.optim);
    g.optim = NULL;
    g.param[2].frozen = false;
    assert_ok(g.ctx, start(&g, &opt_adam, &opts));
    assert_fails(g.ctx, opt_optim_copy_state(f.optim, g.optim), OPT_EINVAL, "c is frozen, c is not frozen");
    teardown(&f);
    teardown(&g);
}

/* A checkpoint has nothing of it but its value. */
static void checkpoints_leave_out_what_is_not_there(void **state)
{
    const opt_optim_opts opts = {.lr = 0.5};
    const char *path = "test_optim_groups.tmp";
    fixture f, g;

    (void)state;
    setup(&f, 1);
    setup(&g, 1);
    f.param[0].frozen = g.param[0].frozen = true;
    assert_ok(f.ctx, start(&f, &opt_adam, &opts));
    assert_ok(f.ctx, opt_optim_step(f.optim));
    assert_ok(f.ctx, opt_save(f.ctx, path, (opt_params){f.param, PARAMS}, f.optim, NULL));
    assert_ok(g.ctx, start(&g, &opt_adam, &opts));
    assert_ok(g.ctx, opt_load(g.ctx, path, (opt_params){g.param, PARAMS}, g.optim, NULL));
    assert_ok(f.ctx, opt_optim_step(f.optim));
    assert_ok(g.ctx, opt_optim_step(g.optim));
    assert_memory_equal(f.w, g.w, sizeof f.w);
    opt_optim_free(g.optim);
    g.optim = NULL;
    g.param[0].frozen = false;
    assert_ok(g.ctx, start(&g, &opt_adam, &opts));
    assert_fails(g.ctx, opt_load(g.ctx, path, (opt_params){g.param, PARAMS}, g.optim, NULL), OPT_EFORMAT,
                 "missing: slot.m.a, slot.v.a");
    remove(path);
    teardown(&f);
    teardown(&g);
}

static void groups_that_make_no_sense_are_refused(void **state)
{
    const opt_optim_opts opts = {.lr = 0.5};
    static const double bad[] = {-2, (double)NAN, HUGE_VAL};
    fixture f;

    (void)state;
    setup(&f, 1);
    for (int i = 0; i < 3; i++) {
        f.param[1].lr_factor = bad[i];
        assert_fails(f.ctx, start(&f, &opt_gd, &opts), OPT_EINVAL, "gd: lr_factor of b = ");
        f.param[1].lr_factor = 0;
        f.param[3].decay_factor = bad[i];
        assert_fails(f.ctx, start(&f, &opt_gd, &opts), OPT_EINVAL, "gd: decay_factor of d = ");
        f.param[3].decay_factor = 0;
    }
    for (int p = 0; p < PARAMS; p++)
        f.param[p].frozen = true;
    assert_fails(f.ctx, start(&f, &opt_gd, &opts), OPT_EINVAL, "gd: every parameter is frozen");
    assert_null(f.optim);
    teardown(&f);
}

/* Rounded to f32 these are infinite, by themselves or times the rate or the decay. */
static void factors_have_to_fit_f32(void **state)
{
    static const struct {
        double rate, decay, weight_decay;
        const char *part; /* of the message; NULL: the step fails */
    } cases[] = {
        {1e39, 1, 0, "gd: lr_factor of w is out of range once rounded to f32"},
        {1, 1e39, 0, "gd: decay_factor of w is out of range once rounded to f32"},
        {1, 1e30, 1e9, "gd: decay_factor of w is out of range once rounded to f32"},
        {1e30, 1, 0, NULL},
    };
    opt_ctx *ctx = opt_ctx_new(NULL);
    float w = 1, g = 1;

    (void)state;
    for (int i = 0; i < 4; i++) {
        opt_param p = {.name = "w",
                       .value = opt_tensor_view(OPT_F32, &w, 0, NULL),
                       .grad = opt_tensor_view(OPT_F32, &g, 0, NULL),
                       .lr_factor = cases[i].rate,
                       .decay_factor = cases[i].decay};
        const opt_optim_opts opts = {.lr = 1e9, .weight_decay = cases[i].weight_decay};
        opt_optim *o = NULL;
        const opt_status s = opt_optim_new(ctx, &opt_gd, NULL, &opts, (opt_params){&p, 1}, &o);

        if (cases[i].part != NULL)
            assert_fails(ctx, s, OPT_EINVAL, cases[i].part);
        else
            assert_fails(ctx, opt_optim_step(o), OPT_EINVAL, "gd: the learning rate of step 1 is 1e+09");
        opt_optim_free(o);
    }
    assert_true(w == 1);
    opt_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(factors_scale_the_rate_and_the_decay),
        cmocka_unit_test(no_decay_is_a_factor_of_zero),
        cmocka_unit_test(a_frozen_parameter_is_as_if_it_were_not_there),
        cmocka_unit_test(a_frozen_parameter_has_no_state),
        cmocka_unit_test(checkpoints_leave_out_what_is_not_there),
        cmocka_unit_test(groups_that_make_no_sense_are_refused),
        cmocka_unit_test(factors_have_to_fit_f32),
    };

    return cmocka_run_group_tests_name("optim groups", tests, NULL, NULL);
}

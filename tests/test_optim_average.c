/* SPDX-License-Identifier: MIT
 *
 * The moving average of the weights, and predicting by it.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "problem.h"
#include "tensor_file.h"

/* Parameters of `n` elements each, the second one frozen if asked for, with gradients that change. */
typedef struct fixture {
    opt_ctx *ctx;
    opt_param param[2];
    opt_params params;
    opt_optim *optim;
} fixture;

static void setup_for(fixture *f, const opt_method *method, opt_dtype dtype, int64_t n, int threads,
                      double average, bool frozen)
{
    static const char *const names[] = {"a", "b"};
    const opt_optim_opts opts = {.lr = 0.1, .average = average};

    *f = (fixture){.ctx = opt_ctx_new(&(opt_ctx_opts){.threads = threads})};
    for (int p = 0; p < 2; p++) {
        f->param[p] = (opt_param){.name = names[p], .frozen = frozen && p == 1};
        assert_ok(f->ctx, opt_tensor_new(f->ctx, dtype, 1, &n, &f->param[p].value));
        assert_ok(f->ctx, opt_tensor_new(f->ctx, dtype, 1, &n, &f->param[p].grad));
        for (int64_t i = 0; i < n; i++)
            opt_set(&f->param[p].value, i, sin((double)(i + 7 * p)));
    }
    f->params = (opt_params){f->param, 2};
    assert_ok(f->ctx, opt_optim_new(f->ctx, method, NULL, &opts, f->params, &f->optim));
}

static void setup(fixture *f, opt_dtype dtype, int64_t n, int threads, double average, bool frozen)
{
    setup_for(f, &opt_adam, dtype, n, threads, average, frozen);
}

static void teardown(fixture *f)
{
    opt_optim_free(f->optim);
    for (int p = 0; p < 2; p++) {
        opt_tensor_free(f->ctx, &f->param[p].value);
        opt_tensor_free(f->ctx, &f->param[p].grad);
    }
    opt_ctx_free(f->ctx);
}

static void step(fixture *f)
{
    const double t = (double)opt_optim_steps(f->optim);

    for (int p = 0; p < 2; p++)
        for (int64_t i = 0; i < opt_tensor_len(&f->param[p].grad); i++)
            opt_set(&f->param[p].grad, i, cos(3 * (double)i + t + p));
    assert_ok(f->ctx, opt_optim_step(f->optim));
}

static void check_formula(const opt_method *method)
{
    enum { N = 5 };
    const double d = 0.75;
    double expected[2][N];
    fixture f, without;

    setup_for(&f, method, OPT_F64, N, 1, d, false);
    setup_for(&without, method, OPT_F64, N, 1, 0, false);
    for (int t = 0; t < 20; t++) {
        step(&f);
        step(&without);
        assert_true(same_bits(f.params, without.params));
        for (int p = 0; p < 2; p++)
            for (int i = 0; i < N; i++) {
                const double w = opt_get(&f.param[p].value, i);

                expected[p][i] = t == 0 ? w : d * expected[p][i] + (1 - d) * w;
                assert_close(opt_get(opt_optim_slot(f.optim, p, "average"), i), expected[p][i], 0);
            }
    }
    assert_null(opt_optim_slot(without.optim, 0, "average"));
    teardown(&f);
    teardown(&without);
}

/* Of a method without slots too, and beside as many as there can be. */
static void it_is_the_average_that_its_formula_says(void **state)
{
    (void)state;
    check_formula(&opt_gd);
    check_formula(&opt_adam);
    check_formula(&four_slots);
}

static void weights_and_averages_change_places_and_back(void **state)
{
    static const opt_dtype dtypes[] = {OPT_F32, OPT_F64};

    (void)state;
    for (int k = 0; k < 2; k++) {
        fixture f, other;

        setup(&f, dtypes[k], 1000, 1, 0.9, true);
        setup(&other, dtypes[k], 1000, 1, 0.9, true);
        for (int t = 0; t < 10; t++) {
            step(&f);
            step(&other);
            for (int again = 0; again < 2; again++)
                assert_ok(f.ctx, opt_optim_predicting(f.optim, true));
            assert_true(same_bytes(&f.param[0].value, opt_optim_slot(other.optim, 0, "average")));
            assert_true(same_bytes(&other.param[0].value, opt_optim_slot(f.optim, 0, "average")));
            assert_true(same_bytes(&other.param[1].value, &f.param[1].value)); /* frozen */
            assert_fails(f.ctx, opt_optim_step(f.optim), OPT_EINVAL,
                         "adam: a step from the weights that predict");
            assert_fails(f.ctx, opt_save(f.ctx, "no.tmp", f.params, f.optim, NULL), OPT_EINVAL,
                         "save: the weights are those that predict");
            assert_fails(f.ctx, opt_load(f.ctx, "no.tmp", f.params, f.optim, NULL), OPT_EINVAL, "load: ");
            assert_fails(f.ctx, opt_optim_copy_state(f.optim, f.optim), OPT_EINVAL, "copy_state: ");
            for (int again = 0; again < 2; again++)
                assert_ok(f.ctx, opt_optim_predicting(f.optim, false));
            assert_true(same_bits(f.params, other.params));
        }
        teardown(&f);
        teardown(&other);
    }
}

static void threads_do_not_change_it(void **state)
{
    fixture one, three;

    (void)state;
    setup(&one, OPT_F32, 50001, 1, 0.99, false);
    setup(&three, OPT_F32, 50001, 3, 0.99, false);
    for (int t = 0; t < 5; t++) {
        step(&one);
        step(&three);
    }
    assert_ok(one.ctx, opt_optim_predicting(one.optim, true));
    assert_ok(three.ctx, opt_optim_predicting(three.optim, true));
    assert_true(same_bits(one.params, three.params));
    teardown(&one);
    teardown(&three);
}

static void a_checkpoint_holds_it(void **state)
{
    const char *path = "test_optim_average.tmp";
    fixture a, b, none;

    (void)state;
    setup(&a, OPT_F64, 9, 1, 0.9, true);
    setup(&b, OPT_F64, 9, 1, 0.9, true);
    setup(&none, OPT_F64, 9, 1, 0.8, true);
    for (int t = 0; t < 3; t++)
        step(&a);
    assert_ok(a.ctx, opt_save(a.ctx, path, a.params, a.optim, NULL));
    assert_ok(b.ctx, opt_load(b.ctx, path, b.params, b.optim, NULL));
    assert_fails(none.ctx, opt_load(none.ctx, path, none.params, none.optim, NULL), OPT_EINVAL,
                 "average is 0.9");
    for (int t = 0; t < 3; t++) {
        step(&a);
        step(&b);
    }
    assert_true(same_bytes(opt_optim_slot(a.optim, 0, "average"), opt_optim_slot(b.optim, 0, "average")));
    remove(path);
    teardown(&a);
    teardown(&b);
    teardown(&none);
}

/* Validation is by the average, and so are the best weights. */
static void training_is_judged_by_it(void **state)
{
    const opt_optim_opts opts = {.lr = 0.3, .average = 0.9};
    opt_evaluation e;
    trace t = {0}, again = {0};
    opt_source source;
    job a, b;

    job_new(&a, *state, &opt_adam, &opts, NULL);
    job_new(&b, *state, &opt_adam, &opts, NULL);
    source = opt_source_table(&a.p.data);
    assert_ok(*state, job_train_with(&a, (opt_train_opts){.epochs = 6, .validation = &source}, &t));
    assert_ok(*state, opt_optim_predicting(a.optim, true));
    assert_ok(*state, opt_evaluate(*state, &a.model, &source, &e, NULL));
    assert_close(e.loss, t.at[t.n - 1].val_loss, 0);
    assert_fails(*state, job_train(&a, 7, &t), OPT_EINVAL, "train: the weights are those that predict");

    const opt_train_opts kept = {.epochs = 6, .validation = &source, .keep_best = true};
    assert_ok(*state, job_train_with(&b, kept, &again));
    assert_ok(*state, opt_evaluate(*state, &b.model, &source, &e, NULL));
    assert_close(e.loss, again.at[again.n - 1].best_loss, 0);
    if (again.at[again.n - 1].best_epoch == 6)
        assert_true(same_bits(a.model.params, b.model.params));
    job_free(&a);
    job_free(&b);
}

static opt_status nothing(const opt_update *u)
{
    (void)u;
    return OPT_OK;
}

static void averages_that_are_none_are_refused(void **state)
{
    static const double bad[] = {1, 2, -0.5, (double)NAN};
    const opt_method mine = {.name = "mine", .slot = {"average"}, .update = nothing};
    opt_optim *none = NULL;
    fixture f;

    (void)state;
    setup(&f, OPT_F32, 3, 1, 0.9, false);
    for (int i = 0; i < 4; i++)
        assert_fails(f.ctx,
                     opt_optim_new(f.ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 1, .average = bad[i]},
                                   f.params, &none),
                     OPT_EINVAL, "gd: average = ");
    assert_fails(f.ctx,
                 opt_optim_new(f.ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 1, .average = 0.999999999},
                               f.params, &none),
                 OPT_EINVAL, "once rounded to f32");
    assert_fails(
        f.ctx, opt_optim_new(f.ctx, &mine, NULL, &(opt_optim_opts){.lr = 1, .average = 0.5}, f.params, &none),
        OPT_EINVAL, "mine: it has a slot of the name average itself");
    assert_null(none);
    assert_fails(f.ctx, opt_optim_predicting(f.optim, true), OPT_EINVAL, "adam: there is no average before");
    assert_int_equal(opt_optim_predicting(NULL, true), OPT_EINVAL);
    teardown(&f);
    setup(&f, OPT_F32, 3, 1, 0, false);
    step(&f);
    assert_fails(f.ctx, opt_optim_predicting(f.optim, true), OPT_EINVAL, "adam: there is no average of");
    assert_ok(f.ctx, opt_optim_predicting(f.optim, false));
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_average_that_its_formula_says),
        cmocka_unit_test(weights_and_averages_change_places_and_back),
        cmocka_unit_test(threads_do_not_change_it),
        cmocka_unit_test(a_checkpoint_holds_it),
        TEST(training_is_judged_by_it),
        cmocka_unit_test(averages_that_are_none_are_refused),
    };

    return cmocka_run_group_tests_name("optim average", tests, NULL, NULL);
}

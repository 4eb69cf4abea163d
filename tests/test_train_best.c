/* SPDX-License-Identifier: MIT
 *
 * The best epoch, patience and what is put back, by a model that follows a script.
 */
#include "problem.h"

#include <math.h>
#include <stdio.h>

static const double nan_ = (double)NAN;

enum { STEPS = 2, MOST = 12 }; /* steps an epoch; epochs */

/* Its one weight counts the steps, so that it tells which epoch it is of. The n-th loss on the validation
 * data is the script's n-th, and so, if finite, is the training loss of the n-th epoch. */
typedef struct script {
    opt_ctx *ctx;
    double w, grad;
    opt_param param;
    opt_table table; /* two rows */
    opt_source source;
    opt_model model;
    opt_optim *optim;
    opt_batches *batches;
    double loss[MOST];
    int tried, steps;
    trace t;
} script;

static opt_status script_grad(void *self, const opt_batch *part, double *loss)
{
    script *s = self;

    s->grad = -1;
    (void)part;
    *loss = s->loss[s->steps++ / STEPS];
    *loss = isfinite(*loss) ? *loss : 1;
    return OPT_OK;
}

static opt_status script_predict(void *self, const opt_batch *part, double *loss, opt_tensor *out)
{
    script *s = self;

    (void)part, (void)out;
    *loss = s->loss[s->tried++];
    return OPT_OK;
}

static void script_new(script *s, opt_ctx *ctx, int n, const double *losses)
{
    *s = (script){.ctx = ctx};
    for (int i = 0; i < MOST; i++)
        s->loss[i] = losses[i < n ? i : n - 1];
    s->param = (opt_param){.name = "w",
                           .value = opt_tensor_view(OPT_F64, &s->w, 0, NULL),
                           .grad = opt_tensor_view(OPT_F64, &s->grad, 0, NULL)};
    s->table = (opt_table){matrix(ctx, OPT_F64, STEPS, 1, (double[STEPS]){0}),
                           matrix(ctx, OPT_F64, STEPS, 1, (double[STEPS]){0})};
    s->source = opt_source_table(&s->table);
    s->model =
        (opt_model){.self = s, .params = {&s->param, 1}, .grad = script_grad, .predict = script_predict};
    assert_ok(ctx, opt_optim_new(ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 1}, s->model.params, &s->optim));
    assert_ok(ctx, opt_batches_new(ctx, &s->source, &(opt_batches_opts){.size = 1}, &s->batches));
}

static void script_free(script *s)
{
    opt_batches_free(s->batches);
    opt_optim_free(s->optim);
    opt_tensor_free(s->ctx, &s->table.x);
    opt_tensor_free(s->ctx, &s->table.y);
}

static opt_status note(const opt_progress *p, void *ud)
{
    trace *t = ud;

    t->at[t->n++] = *p;
    return p->epoch == t->epoch ? t->answer : OPT_OK;
}

static opt_status script_run(script *s, opt_train_opts opts)
{
    opts.on_epoch = note;
    opts.ud = &s->t;
    opts.epochs = opts.epochs ? opts.epochs : MOST;
    return opt_train(s->ctx, &s->model, s->optim, s->batches, &opts);
}

/* Runs a script of n losses and fails unless that takes so many epochs and leaves the weight of `weight`. */
static void check_run(opt_ctx *ctx, int n, const double *losses, bool with_validation, opt_train_opts opts,
                      int epochs, int weight)
{
    script s;

    script_new(&s, ctx, n, losses);
    opts.validation = with_validation ? &s.source : NULL;
    assert_ok(ctx, script_run(&s, opts));
    assert_int_equal(s.t.n, epochs);
    assert_int_equal(opt_batches_completed(s.batches), epochs);
    assert_close(s.w, STEPS * weight, 0);
    assert_int_equal(s.tried, with_validation ? epochs : 0);
    script_free(&s);
}

/* ---- The best epoch and patience ----------------------------------------------------------------------- */

static void training_ends_when_patience_does(void **state)
{
    const double losses[] = {5, 4, 3, 3.5, 3, 3.1, 2, 2.5};

    for (int v = 0; v < 2; v++) {
        check_run(*state, 8, losses, v, (opt_train_opts){.patience = 1}, 4, 4);
        check_run(*state, 8, losses, v, (opt_train_opts){.patience = 2}, 5, 5);
        check_run(*state, 8, losses, v, (opt_train_opts){.patience = 3}, 6, 6);
        check_run(*state, 8, losses, v, (opt_train_opts){.patience = 4}, 11, 11);
        check_run(*state, 8, losses, v, (opt_train_opts){.patience = 5}, 12, 12);
        check_run(*state, 8, losses, v, (opt_train_opts){.patience = 4, .epochs = 8}, 8, 8);
        check_run(*state, 8, losses, v, (opt_train_opts){0}, MOST, MOST);
    }
}

/* 4.5 is not below 5 by more than 0.5. */
static void a_gain_must_be_more_than_the_least(void **state)
{
    const double losses[] = {5, 4.5, 4.25, 4, 3.75};

    for (int v = 0; v < 2; v++) {
        check_run(*state, 5, losses, v, (opt_train_opts){.patience = 1, .min_gain = 0.5}, 2, 2);
        check_run(*state, 5, losses, v, (opt_train_opts){.patience = 2, .min_gain = 0.5}, 5, 5);
        check_run(*state, 5, losses, v, (opt_train_opts){.patience = 2, .min_gain = 0.25}, 6, 6);
        check_run(*state, 5, losses, v, (opt_train_opts){.patience = 1, .min_gain = 0.25}, 3, 3);
        check_run(*state, 5, losses, v, (opt_train_opts){.patience = 1, .min_gain = 0.2499}, 6, 6);
    }
}

static void the_best_weights_are_put_back(void **state)
{
    const double losses[] = {5, 4, 3, 3.5, 3, 3.1, 2, 2.5}, falling[] = {5, 4, 3};

    for (int v = 0; v < 2; v++) {
        check_run(*state, 8, losses, v, (opt_train_opts){.keep_best = true}, 12, 7);
        check_run(*state, 8, losses, v, (opt_train_opts){.keep_best = true, .patience = 3}, 6, 3);
        check_run(*state, 8, losses, v, (opt_train_opts){.keep_best = true, .epochs = 5}, 5, 3);
        check_run(*state, 8, losses, v, (opt_train_opts){.keep_best = true, .epochs = 1}, 1, 1);
        check_run(*state, 8, losses, v, (opt_train_opts){.keep_best = true, .min_gain = 1}, 12, 3);
        check_run(*state, 3, falling, v, (opt_train_opts){.keep_best = true, .epochs = 3}, 3, 3);
    }
}

static void progress_tells_the_best_epoch(void **state)
{
    const double losses[] = {5, 4, 4.5, 3};
    const int best[] = {1, 2, 2, 4};

    for (int how = 0; how < 3; how++) {
        script s;
        const opt_train_opts opts = {.patience = how == 0 ? 3 : 0, .keep_best = how == 1, .epochs = 4};

        script_new(&s, *state, 4, losses);
        opt_train_opts validated = opts;

        validated.validation = &s.source;
        assert_ok(s.ctx, script_run(&s, validated));
        for (int i = 0; i < 4; i++) {
            assert_close(s.t.at[i].val_loss, losses[i], 0);
            assert_true(isnan(s.t.at[i].val_accuracy));
            assert_int_equal(s.t.at[i].best_epoch, how < 2 ? best[i] : 0);
            if (how < 2)
                assert_close(s.t.at[i].best_loss, losses[best[i] - 1], 0);
            else
                assert_true(isnan(s.t.at[i].best_loss));
        }
        script_free(&s);
    }
}

/* Neither NaN nor -inf is the best of all; while nothing is, nothing is put back. */
static void a_loss_that_is_not_finite_is_never_the_best(void **state)
{
    const double late[] = {nan_, HUGE_VAL, 3, -HUGE_VAL, nan_, 2, 5}, never[] = {nan_};
    const opt_train_opts kept = {.keep_best = true}, patient = {.keep_best = true, .patience = 3};
    script s;

    check_run(*state, 7, late, true, kept, 12, 6);
    check_run(*state, 7, late, true, patient, 9, 6);
    check_run(*state, 1, never, true, patient, 3, 3);
    check_run(*state, 1, never, true, kept, 12, 12);

    script_new(&s, *state, 7, late);
    assert_ok(s.ctx,
              script_run(&s, (opt_train_opts){.validation = &s.source, .keep_best = true, .epochs = 3}));
    assert_true(isnan(s.t.at[1].best_loss) && s.t.at[1].best_epoch == 0);
    assert_true(s.t.at[2].best_loss == 3 && s.t.at[2].best_epoch == 3);
    script_free(&s);
}

static void a_run_that_is_over_only_puts_back_the_best(void **state)
{
    const double losses[] = {5, 3, 4};
    script s;

    script_new(&s, *state, 3, losses);
    opt_train_opts opts = {.validation = &s.source, .keep_best = true, .patience = 2};

    for (int i = 0; i < 3; i++) {
        assert_ok(s.ctx, script_run(&s, opts));
        assert_int_equal(s.t.n, 4);
        assert_close(s.w, STEPS * 2, 0);
        s.w = -1;
    }
    opts.keep_best = false;
    assert_ok(s.ctx, script_run(&s, opts));
    assert_close(s.w, -1, 0);
    opts.epochs = 4;
    opts.patience = 9;
    opts.keep_best = true;
    assert_ok(s.ctx, script_run(&s, opts));
    assert_close(s.w, STEPS * 2, 0);
    assert_int_equal(s.t.n, 4);
    script_free(&s);
}

/* Nor is it after an error; in the end it is all the same. After the last epoch there is nothing to stop. */
static void stopped_by_a_callback_nothing_is_put_back(void **state)
{
    const double losses[] = {5, 3, 4};

    for (int64_t epoch = 1; epoch <= 6; epoch++)
        for (int failing = 0; failing < 2; failing++) {
            script s;

            script_new(&s, *state, 3, losses);
            const opt_train_opts opts = {
                .validation = &s.source, .keep_best = true, .patience = 4, .epochs = 6};

            s.t = (trace){.epoch = epoch, .answer = failing ? OPT_EIO : OPT_STOP};
            assert_int_equal(script_run(&s, opts), failing ? OPT_EIO : OPT_OK);
            assert_close(s.w, (double)(STEPS * (epoch == 6 && !failing ? 2 : epoch)), 0);
            assert_int_equal(s.t.n, epoch);
            s.t.epoch = 0;
            assert_ok(s.ctx, script_run(&s, opts));
            assert_close(s.w, STEPS * 2, 0);
            assert_int_equal(s.t.n, 6);
            script_free(&s);
        }
}

/* Epochs trained without patience do not count, nor is a best epoch whose weights were not kept put back. */
static void what_was_not_asked_for_before_counts_from_now(void **state)
{
    const double losses[] = {1, 2, 3, 4, 6, 5, 7, 8, 9};
    script s;

    script_new(&s, *state, 9, losses);
    assert_ok(s.ctx, script_run(&s, (opt_train_opts){.validation = &s.source, .epochs = 3}));
    assert_ok(s.ctx, script_run(&s, (opt_train_opts){.validation = &s.source, .patience = 2, .epochs = 4}));
    assert_int_equal(s.t.at[3].best_epoch, 4);
    assert_ok(s.ctx,
              script_run(&s, (opt_train_opts){.validation = &s.source, .patience = 2, .keep_best = true}));
    assert_int_equal(s.t.n, 8);
    assert_int_equal(s.t.at[7].best_epoch, 6);
    assert_close(s.w, STEPS * 6, 0);
    assert_ok(s.ctx, script_run(&s, (opt_train_opts){.epochs = 9})); /* not asked for any more: not told */
    assert_int_equal(s.t.at[8].best_epoch, 0);
    assert_true(isnan(s.t.at[8].best_loss));
    script_free(&s);
}

/* ---- Going slower -------------------------------------------------------------------------------------- */

/* The learning rate of each epoch, of which the second is the best. */
static void check_rates(opt_ctx *ctx, opt_train_opts opts, int n, const double *rate)
{
    script s;

    script_new(&s, ctx, 4, (double[]){5, 4, 4, 4.5});
    opts.epochs = n;
    opts.reduce_factor = 0.5;
    assert_ok(ctx, script_run(&s, opts));
    assert_int_equal(s.t.n, n);
    for (int e = 0; e < n; e++)
        assert_close(s.t.at[e].lr, rate[e], 0);
    script_free(&s);
}

static void a_plateau_lowers_the_learning_rate(void **state)
{
    check_rates(*state, (opt_train_opts){.reduce_patience = 1}, 6, (double[]){1, 1, 1, 0.5, 0.25, 0.125});
    check_rates(*state, (opt_train_opts){.reduce_patience = 2}, 7, (double[]){1, 1, 1, 1, 0.5, 0.5, 0.25});
    check_rates(*state, (opt_train_opts){.reduce_patience = 2, .reduce_floor = 0.375}, 9,
                (double[]){1, 1, 1, 1, 0.5, 0.5, 0.375, 0.375, 0.375});
    check_rates(*state, (opt_train_opts){.reduce_patience = 1, .reduce_floor = 2}, 4,
                (double[]){1, 1, 1, 1}); /* never raised */
    check_rates(*state, (opt_train_opts){0}, 12, (double[]){1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
}

static void a_plateau_goes_on_in_a_run_resumed(void **state)
{
    const opt_train_opts opts = {.reduce_factor = 0.5, .reduce_patience = 3, .epochs = 9};
    opt_train_opts first = opts;
    script never, a, b;

    script_new(&never, *state, 2, (double[]){5, 4});
    assert_ok(*state, script_run(&never, opts));
    assert_close(never.t.at[8].lr, 0.25, 0);
    for (int64_t stop = 1; stop < 9; stop++) {
        script_new(&a, *state, 2, (double[]){5, 4});
        script_new(&b, *state, 2, (double[]){5, 4});
        first.epochs = stop;
        assert_ok(*state, script_run(&a, first));
        assert_ok(*state, opt_save(*state, "test_train_best.tmp", a.model.params, a.optim, a.batches));
        assert_ok(*state, opt_load(*state, "test_train_best.tmp", b.model.params, b.optim, b.batches));
        b.steps = a.steps;
        assert_ok(*state, script_run(&b, opts));
        assert_close(b.t.at[b.t.n - 1].lr, 0.25, 0);
        assert_close(b.w, never.w, 0);
        script_free(&a);
        script_free(&b);
    }
    remove("test_train_best.tmp");
    remove("test_train_best.tmp.bak");
    script_free(&never);
}

/* While no loss is finite either, whatever it is that counts: the epochs before a run was stopped, with its
 * objects or from a file, were forgotten. */
static void check_resumed(opt_ctx *ctx, opt_train_opts opts, bool from_file)
{
    const char *const path = "test_train_best.tmp";
    script never, a, b;

    script_new(&never, ctx, 1, &nan_);
    opts.validation = &never.source;
    assert_ok(ctx, script_run(&never, opts));
    for (int64_t stop = 1; stop < never.t.n; stop++) {
        script *s = from_file ? &b : &a;

        script_new(&a, ctx, 1, &nan_);
        script_new(&b, ctx, 1, &nan_);
        a.t = (trace){.epoch = stop, .answer = OPT_STOP};
        assert_ok(ctx, script_run(&a, opts));
        assert_int_equal(a.t.n, stop);
        assert_ok(ctx, opt_save(ctx, path, a.model.params, a.optim, a.batches));
        assert_ok(ctx, opt_load(ctx, path, b.model.params, b.optim, b.batches));
        s->t.epoch = 0;
        assert_ok(ctx, script_run(s, opts));
        assert_int_equal(opt_batches_completed(s->batches), never.t.n);
        assert_close(s->t.at[s->t.n - 1].lr, never.t.at[never.t.n - 1].lr, 0);
        assert_close(s->w, never.w, 0);
        script_free(&a);
        script_free(&b);
    }
    remove(path);
    remove("test_train_best.tmp.bak");
    script_free(&never);
}

static void so_does_patience_while_no_loss_is_finite(void **state)
{
    for (int from_file = 0; from_file < 2; from_file++) {
        check_resumed(*state, (opt_train_opts){.reduce_factor = 0.5, .reduce_patience = 3}, from_file);
        check_resumed(*state, (opt_train_opts){.patience = 5}, from_file);
        check_resumed(*state, (opt_train_opts){.patience = 5, .keep_best = true}, from_file);
    }
}

/* Patience for three epochs with no finite loss, after two that nobody asked about; again after two more; and
 * from the first epoch on, which is begun again. */
static void patience_begins_when_it_is_asked_for(void **state)
{
    script s;

    script_new(&s, *state, 1, &nan_);
    const opt_train_opts patient = {.validation = &s.source, .patience = 3};

    for (int64_t epoch = 0; epoch <= 5; epoch += 5) {
        assert_ok(*state, script_run(&s, (opt_train_opts){.epochs = epoch + 2}));
        assert_ok(*state, script_run(&s, patient));
        assert_int_equal(opt_batches_completed(s.batches), epoch + 5);
    }
    s.steps = 0;
    s.tried = 0;
    assert_ok(*state, opt_batches_begin(s.batches, 1));
    assert_ok(*state, script_run(&s, patient));
    assert_int_equal(opt_batches_completed(s.batches), 3);
    script_free(&s);
}

static void reductions_that_are_none_are_refused(void **state)
{
    static const struct {
        opt_train_opts opts;
        const char *message;
    } cases[] = {{{.reduce_factor = 1}, "train: reduce_factor = 1 is outside [0, 1)"},
                 {{.reduce_factor = -0.5}, "train: reduce_factor = -0.5"},
                 {{.reduce_factor = (double)NAN}, "train: reduce_factor = nan"},
                 {{.reduce_patience = -1}, "train: reduce_patience = -1 is below 0"},
                 {{.reduce_floor = -1}, "train: reduce_floor = -1 is outside [0, inf)"},
                 {{.reduce_floor = HUGE_VAL}, "train: reduce_floor = inf"}};
    script s;

    script_new(&s, *state, 1, (double[]){1});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(*state, script_run(&s, cases[i].opts), OPT_EINVAL, cases[i].message);
    assert_int_equal(s.steps, 0);
    script_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(training_ends_when_patience_does),
        TEST(a_gain_must_be_more_than_the_least),
        TEST(the_best_weights_are_put_back),
        TEST(progress_tells_the_best_epoch),
        TEST(a_loss_that_is_not_finite_is_never_the_best),
        TEST(a_run_that_is_over_only_puts_back_the_best),
        TEST(stopped_by_a_callback_nothing_is_put_back),
        TEST(what_was_not_asked_for_before_counts_from_now),
        TEST(a_plateau_lowers_the_learning_rate),
        TEST(a_plateau_goes_on_in_a_run_resumed),
        TEST(so_does_patience_while_no_loss_is_finite),
        TEST(patience_begins_when_it_is_asked_for),
        TEST(reductions_that_are_none_are_refused),
    };

    return cmocka_run_group_tests_name("train, best", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Validation, and that it leaves the training alone; the memory that all options take.
 */
#include "problem.h"

#include <math.h>
#include <stdio.h>

static const double nan_ = (double)NAN;

/* Other examples for the network of job_new. */
static opt_table held_out(opt_ctx *ctx)
{
    opt_table t;

    assert_ok(ctx, opt_moons(ctx, 300, 0.2, 5, &t));
    return t;
}

static void free_table(opt_ctx *ctx, opt_table *t)
{
    opt_tensor_free(ctx, &t->x);
    opt_tensor_free(ctx, &t->y);
}

typedef struct comparison {
    const job *j;
    const opt_source *source;
    int64_t epochs;
} comparison;

static opt_status compare(const opt_progress *p, void *ud)
{
    comparison *c = ud;
    opt_evaluation e;

    assert_ok(c->j->p.ctx, opt_evaluate(c->j->p.ctx, &c->j->model, c->source, &e, NULL));
    assert_close(p->val_loss, e.loss, 0);
    assert_close(p->val_accuracy, e.accuracy, 0);
    assert_true(e.accuracy > 0 && e.accuracy < 1);
    c->epochs++;
    return OPT_OK;
}

static opt_status compare_nothing(const opt_progress *p, void *ud)
{
    (void)ud;
    assert_true(isnan(p->val_loss) && isnan(p->val_accuracy));
    return OPT_OK;
}

static void validation_is_opt_evaluate_after_the_epoch(void **state)
{
    opt_ctx *ctx = *state;
    opt_table table = held_out(ctx);
    const opt_source source = opt_source_table(&table);
    job j;
    comparison c = {&j, &source, 0};

    job_new(&j, ctx, &opt_adam, NULL, NULL);
    assert_ok(ctx, opt_train(ctx, &j.model, j.optim, j.batches,
                             &(opt_train_opts){.epochs = 5,
                                               .validation = &source,
                                               .on_epoch = compare,
                                               .on_step = compare_nothing,
                                               .ud = &c}));
    assert_int_equal(c.epochs, 5);
    job_free(&j);
    free_table(ctx, &table);
}

static void validation_changes_no_bit_of_the_training(void **state)
{
    opt_ctx *ctx = *state;
    opt_table table = held_out(ctx);
    const opt_source source = opt_source_table(&table);
    trace with = {0}, without = {0};
    job a, b;

    job_new(&a, ctx, &opt_adam, NULL, NULL);
    job_new(&b, ctx, &opt_adam, NULL, NULL);
    assert_ok(
        ctx, job_train_with(&a, (opt_train_opts){.epochs = 5, .validation = &source, .patience = 99}, &with));
    assert_ok(ctx, job_train(&b, 5, &without));
    const snapshot sa = job_snapshot(&a), sb = job_snapshot(&b);

    assert_memory_equal(&sa, &sb, sizeof sa);
    for (int i = 0; i < with.n; i++) {
        with.at[i].val_loss = with.at[i].val_accuracy = with.at[i].best_loss = nan_;
        with.at[i].best_epoch = 0;
    }
    assert_true(same_trace(&with, &without));
    job_free(&a);
    job_free(&b);
    free_table(ctx, &table);
}

/* With all that an epoch's end can ask for, a run stopped at any step goes on as if never stopped. */
static void stopped_anywhere_a_run_has_the_same_best_epoch(void **state)
{
    opt_ctx *ctx = *state;
    opt_table table = held_out(ctx);
    const opt_source source = opt_source_table(&table);
    const opt_train_opts opts = {
        .epochs = 9, .validation = &source, .patience = 2, .min_gain = 0.004, .keep_best = true};
    trace whole = {0};
    job j;

    job_new(&j, ctx, &opt_adam, NULL, NULL);
    assert_ok(ctx, job_train_with(&j, opts, &whole));
    const snapshot end = job_snapshot(&j);
    const int64_t steps = end.steps;

    assert_true(steps < 3 * 9); /* patience ended it, so there is something to see */
    job_free(&j);
    for (int64_t step = 1; step <= steps; step++) {
        trace t = {.step = step, .answer = OPT_STOP};

        job_new(&j, ctx, &opt_adam, NULL, NULL);
        assert_ok(ctx, job_train_with(&j, opts, &t));
        assert_int_equal(opt_optim_steps(j.optim), step);
        assert_ok(ctx, job_train_with(&j, opts, &t));
        const snapshot s = job_snapshot(&j);

        assert_memory_equal(&s, &end, sizeof s);
        assert_true(same_trace(&t, &whole));
        job_free(&j);
    }
    free_table(ctx, &table);
}

/* ---- Errors -------------------------------------------------------------------------------------------- */

typedef struct flaky {
    opt_source table;
    int reads, fail_at;
} flaky;

static opt_status flaky_read(void *ud, const int64_t *row, int64_t n, opt_tensor *x, opt_tensor *y)
{
    flaky *f = ud;

    return f->reads++ == f->fail_at ? OPT_EFORMAT : f->table.read(f->table.ud, row, n, x, y);
}

/* The 300 rows are read twice an epoch. The epoch that could not be validated is, by the next call. */
static void a_validation_that_fails_is_done_again(void **state)
{
    opt_ctx *ctx = *state;
    opt_table table = held_out(ctx);
    const opt_source sound = opt_source_table(&table);
    trace whole = {0};
    job j;

    job_new(&j, ctx, &opt_adam, NULL, NULL);
    assert_ok(ctx,
              job_train_with(&j, (opt_train_opts){.epochs = 3, .validation = &sound, .patience = 9}, &whole));
    const snapshot end = job_snapshot(&j);

    job_free(&j);
    for (int n = 0; n < 6; n++) {
        flaky f = {.table = sound, .fail_at = n};
        opt_source source = sound;
        char part[96];
        trace t = {0};

        source.read = flaky_read;
        source.ud = &f;
        job_new(&j, ctx, &opt_adam, NULL, NULL);
        const opt_train_opts opts = {.epochs = 3, .validation = &source, .patience = 9};

        snprintf(part, sizeof part,
                 "train: validation after epoch %d: batches: reading batch %d of epoch %d failed", n / 2 + 1,
                 n % 2 + 1, n / 2 + 1);
        assert_fails(ctx, job_train_with(&j, opts, &t), OPT_EFORMAT, part);
        assert_int_equal(opt_optim_steps(j.optim), 3 * (n / 2 + 1));
        assert_ok(ctx, job_train_with(&j, opts, &t));
        const snapshot s = job_snapshot(&j);

        assert_memory_equal(&s, &end, sizeof s);
        assert_true(same_trace(&t, &whole));
        job_free(&j);
    }
    free_table(ctx, &table);
}

static void refused(job *j, opt_train_opts opts, opt_status status, const char *part)
{
    const snapshot before = job_snapshot(j);
    trace t = {0};

    opts.epochs = 1;
    assert_fails(j->p.ctx, job_train_with(j, opts, &t), status, part);
    const snapshot after = job_snapshot(j);

    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(t.n, 0);
}

static void options_out_of_range_are_refused(void **state)
{
    job j;

    job_new(&j, *state, &opt_gd, NULL, NULL);
    refused(&j, (opt_train_opts){.patience = -1}, OPT_EINVAL, "train: patience = -1 is below 0");
    refused(&j, (opt_train_opts){.min_gain = -0.5}, OPT_EINVAL, "train: min_gain = -0.5 is outside [0, inf)");
    refused(&j, (opt_train_opts){.min_gain = nan_}, OPT_EINVAL, "train: min_gain = nan");
    refused(&j, (opt_train_opts){.min_gain = HUGE_VAL}, OPT_EINVAL, "train: min_gain = inf");
    refused(&j, (opt_train_opts){.checkpoint_every = -1}, OPT_EINVAL, "train: checkpoint_every = -1");
    refused(&j, (opt_train_opts){.checkpoint_seconds = -1}, OPT_EINVAL, "train: checkpoint_seconds = -1");
    refused(&j, (opt_train_opts){.checkpoint_seconds = nan_}, OPT_EINVAL, "train: checkpoint_seconds = nan");
    job_free(&j);
}

static void validation_that_does_not_fit_is_refused(void **state)
{
    opt_ctx *ctx = *state;
    opt_table table = held_out(ctx);
    const opt_source sound = opt_source_table(&table);
    opt_source source = sound;
    job j;

    job_new(&j, ctx, &opt_gd, NULL, NULL);
    const opt_model model = j.model;
    const opt_train_opts opts = {.validation = &source};

    j.model.predict = NULL;
    refused(&j, opts, OPT_EINVAL, "train: validation is given, but the model has no predict");
    j.model = model;
    source.read = NULL;
    refused(&j, opts, OPT_EINVAL, "train: validation: batches: the source has no read");
    source.read = flaky_read;
    source.x_cols = 3;
    refused(&j, opts, OPT_ESHAPE, "train: validation: x and y have 3 and 1 columns, the batches 2 and 1");
    source.x_cols = 2;
    source.dtype = OPT_F32;
    refused(&j, opts, OPT_EDTYPE, "train: validation is f32 where the batches are f64");
    source.dtype = OPT_F64;
    source.y_cols = 0;
    refused(&j, opts, OPT_ESHAPE, "train: validation: labels have 0 columns where the model has 2 classes");
    j.model.classes = 0;
    refused(&j, opts, OPT_ESHAPE, "train: validation: x and y have 2 and 0 columns, the batches 2 and 1");
    source.y_cols = 1;
    source.rows = 0;
    refused(&j, opts, OPT_EINVAL, "train: validation: batches: the source has no rows");
    j.model.classes = -1;
    source = sound;
    refused(&j, opts, OPT_EINVAL, "train: validation: the model's classes = -1 is below 2");
    job_free(&j);
    free_table(ctx, &table);
}

/* ---- Memory -------------------------------------------------------------------------------------------- */

static const double weights[] = {1, 2};

/* All that takes memory before the first step. */
static opt_status train_with_everything(job *j, const opt_source *source, count *c, opt_progress_fn callback)
{
    const opt_train_opts opts = {.epochs = 3,
                                 .validation = source,
                                 .class_weight = weights,
                                 .keep_best = true,
                                 .patience = 3,
                                 .on_step = callback,
                                 .on_epoch = callback,
                                 .ud = c};

    return opt_train(j->p.ctx, &j->model, j->optim, j->batches, &opts);
}

static opt_status nothing_new(const opt_progress *p, void *ud)
{
    count *c = ud;

    if (p->step == 1 && isnan(p->val_loss))
        c->fail_from = c->calls; /* from here on no allocation would do */
    assert_true(c->fail_from < 0 || c->calls == c->fail_from);
    return OPT_OK;
}

static void all_memory_is_taken_before_the_first_step(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 3; threads += 2) {
        count c;
        job j;

        count_init(&c);
        opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator, .threads = threads});
        opt_table table = held_out(ctx);
        const opt_source source = opt_source_table(&table);

        job_new(&j, ctx, &opt_adam, NULL, NULL);
        assert_ok(ctx, train_with_everything(&j, &source, &c, nothing_new));
        assert_int_equal(c.calls, c.fail_from);
        job_free(&j);
        free_table(ctx, &table);
        opt_ctx_free(ctx);
        assert_int_equal(c.live, 0);
    }
}

static void any_allocation_may_fail(void **state)
{
    long calls = 1;

    (void)state;
    for (int all = 0; all < 2; all++)
        for (long n = 0; n < calls; n++) {
            count c;
            job j;

            count_init(&c);
            opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
            opt_table table = held_out(ctx);
            const opt_source source = opt_source_table(&table);

            job_new(&j, ctx, &opt_adam, NULL, NULL);
            const snapshot before = job_snapshot(&j);
            const long so_far = c.calls;

            c.fail_from = c.calls + n;
            c.fail_all = all;
            assert_fails(ctx, train_with_everything(&j, &source, NULL, NULL), OPT_ENOMEM, "memory");
            const snapshot after = job_snapshot(&j);

            assert_memory_equal(&before, &after, sizeof before);
            c.fail_from = -1;
            const long again = c.calls;

            assert_ok(ctx, train_with_everything(&j, &source, NULL, NULL));
            calls = n == 0 ? c.calls - again : calls;
            assert_true(so_far < again);
            job_free(&j);
            free_table(ctx, &table);
            opt_ctx_free(ctx);
            assert_int_equal(c.live, 0);
            assert_int_equal(c.bytes, 0);
        }
    assert_true(calls > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(validation_is_opt_evaluate_after_the_epoch),
        TEST(validation_changes_no_bit_of_the_training),
        TEST(stopped_anywhere_a_run_has_the_same_best_epoch),
        TEST(a_validation_that_fails_is_done_again),
        TEST(options_out_of_range_are_refused),
        TEST(validation_that_does_not_fit_is_refused),
        TEST(all_memory_is_taken_before_the_first_step),
        TEST(any_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("train, validation", tests, NULL, NULL);
}

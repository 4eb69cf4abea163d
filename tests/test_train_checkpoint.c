/* SPDX-License-Identifier: MIT
 *
 * Checkpoints that training writes: when, what is in them, and that a run taken up from one is a run never
 * stopped.
 */
#define _XOPEN_SOURCE 700

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "problem.h"

#define CHECKPOINT "test_train_checkpoint.safetensors"
#define BACKUP     CHECKPOINT ".bak"
#define LOG        "test_train_checkpoint.csv"

static void clean_up(void)
{
    remove(CHECKPOINT);
    remove(BACKUP);
    remove(LOG);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* ---- When ---------------------------------------------------------------------------------------------- */

/* After which steps a checkpoint was written, seen by the next callback, which removes it; `epoch_ends`
 * counts those written after an epoch's last callback. */
typedef struct watch {
    bool after_step[32], at_end_of_epoch[32];
    int64_t step, epoch; /* that the callback before was called for */
    bool end;            /* and whether that was on_epoch */
    int64_t stop_at;
    opt_status answer;
} watch;

static void look(watch *w)
{
    const bool there = exists(CHECKPOINT);

    assert_false(exists(BACKUP)); /* never two in one place */
    if (w->end)
        w->at_end_of_epoch[w->epoch] = there;
    else
        w->after_step[w->step] = there;
    remove(CHECKPOINT);
}

static opt_status watch_step(const opt_progress *p, void *ud)
{
    watch *w = ud;

    look(w);
    w->step = p->step;
    w->end = false;
    return p->step == w->stop_at ? w->answer : OPT_OK;
}

static opt_status watch_epoch(const opt_progress *p, void *ud)
{
    watch *w = ud;

    look(w);
    w->epoch = p->epoch;
    w->end = true;
    return OPT_OK;
}

/* Three steps an epoch. */
static watch watch_run(opt_ctx *ctx, int64_t every, double seconds, int64_t epochs, int64_t stop_at,
                       opt_status answer)
{
    watch w = {.stop_at = stop_at, .answer = answer};
    job j;

    clean_up();
    job_new(&j, ctx, &opt_adam, NULL, NULL);
    const opt_train_opts opts = {.epochs = epochs,
                                 .on_step = watch_step,
                                 .on_epoch = watch_epoch,
                                 .ud = &w,
                                 .checkpoint = CHECKPOINT,
                                 .checkpoint_every = every,
                                 .checkpoint_seconds = seconds};
    const opt_status s = opt_train(ctx, &j.model, j.optim, j.batches, &opts);

    assert_int_equal(s, answer == OPT_STOP ? OPT_OK : answer);
    look(&w);
    job_free(&j);
    clean_up();
    return w;
}

static void checkpoints_are_written_after_epochs(void **state)
{
    for (int every = 0; every <= 5; every++) {
        const watch w = watch_run(*state, every, 0, 4, 0, OPT_OK);

        for (int step = 1; step <= 12; step++)
            assert_false(w.after_step[step]);
        for (int epoch = 1; epoch <= 4; epoch++)
            assert_int_equal(w.at_end_of_epoch[epoch], every == 0 || epoch % every == 0 || epoch == 4);
    }
}

/* Where so little time is asked for, each step is late; where so much, none is. */
static void checkpoints_are_written_as_time_passes(void **state)
{
    const watch often = watch_run(*state, 0, 1e-12, 3, 0, OPT_OK),
                never = watch_run(*state, 0, 1e9, 3, 0, OPT_OK);
    const watch both = watch_run(*state, 2, 1e-12, 3, 0, OPT_OK);

    for (int step = 1; step <= 9; step++) {
        assert_true(often.after_step[step] && both.after_step[step]);
        assert_false(never.after_step[step]);
    }
    for (int epoch = 1; epoch <= 3; epoch++) {
        assert_int_equal(often.at_end_of_epoch[epoch], epoch == 3);
        assert_int_equal(never.at_end_of_epoch[epoch], epoch == 3);
        assert_int_equal(both.at_end_of_epoch[epoch], epoch >= 2);
    }
}

static opt_status slow_step(const opt_progress *p, void *ud)
{
    if (p->step == 4)
        nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 100000000}, NULL);
    return watch_step(p, ud);
}

/* The second passes within step 4 alone, and is then counted anew. */
static void time_is_counted_from_the_last_checkpoint(void **state)
{
    watch w = {0};
    job j;

    clean_up();
    job_new(&j, *state, &opt_adam, NULL, NULL);
    const opt_train_opts opts = {.epochs = 3,
                                 .on_step = slow_step,
                                 .on_epoch = watch_epoch,
                                 .ud = &w,
                                 .checkpoint = CHECKPOINT,
                                 .checkpoint_seconds = 1};

    assert_ok(*state, opt_train(*state, &j.model, j.optim, j.batches, &opts));
    for (int step = 1; step <= 9; step++)
        assert_int_equal(w.after_step[step], step == 4);
    job_free(&j);
    clean_up();
}

static void a_stop_writes_a_checkpoint_and_an_error_none(void **state)
{
    for (int step = 1; step <= 6; step++) {
        const watch stopped = watch_run(*state, 9, 0, 2, step, OPT_STOP);
        const watch often = watch_run(*state, 0, 1e-12, 2, step, OPT_STOP);
        const watch failed = watch_run(*state, 9, 0, 2, step, OPT_EIO);

        assert_true(stopped.after_step[step]);
        assert_true(often.after_step[step]);
        assert_false(failed.after_step[step]);
    }
}

/* ---- What ---------------------------------------------------------------------------------------------- */

/* Other examples than those that are learnt. */
static opt_table held_out(opt_ctx *ctx)
{
    opt_table t;

    assert_ok(ctx, opt_moons(ctx, 60, 0.2, 5, &t));
    return t;
}

static void free_table(opt_ctx *ctx, opt_table *t)
{
    opt_tensor_free(ctx, &t->x);
    opt_tensor_free(ctx, &t->y);
}

/* Everything on; patience ends it. */
static opt_train_opts all_on(const opt_source *validation)
{
    static const double weight[] = {1, 1.5};

    return (opt_train_opts){.epochs = 12,
                            .checkpoint = CHECKPOINT,
                            .validation = validation,
                            .class_weight = weight,
                            .patience = 3,
                            .min_gain = 0.004,
                            .keep_best = true,
                            .log = LOG};
}

/* The lines of the log but for their seconds, the column after the sixth comma; to be freed. */
static char *log_without_time(void)
{
    FILE *f = fopen(LOG, "rb");
    char *text = calloc(1, 1 << 16);
    int commas = 0, c;
    size_t n = 0;

    assert_non_null(f);
    assert_non_null(text);
    while ((c = getc(f)) != EOF) {
        commas = c == '\n' ? 0 : commas + (c == ',');
        if (commas != 6 || c == ',')
            text[n++] = (char)c;
    }
    fclose(f);
    return text;
}

/* A run stopped after any step and taken up, by objects made anew, from what was written then: all that is
 * told, the log, the weights put back in the end and the last checkpoint are those of a run never stopped. */
static void taken_up_from_a_checkpoint_a_run_is_one_never_stopped(void **state)
{
    opt_ctx *ctx = *state;
    opt_table table = held_out(ctx);
    const opt_source source = opt_source_table(&table);
    const opt_train_opts opts = all_on(&source);
    trace whole = {0};
    job j, last;

    clean_up();
    job_new(&j, ctx, &opt_adam, NULL, NULL);
    assert_ok(ctx, job_train_with(&j, opts, &whole));
    const snapshot end = job_snapshot(&j);
    char *whole_log = log_without_time();

    assert_true(end.steps < 3 * 12 && end.steps > 3 * 4);
    job_free(&j);
    job_new(&last, ctx, &opt_adam, NULL, NULL);
    assert_ok(ctx, opt_load(ctx, CHECKPOINT, last.model.params, last.optim, last.batches));
    const snapshot last_weights = job_snapshot(&last);

    job_free(&last);
    for (int64_t step = 1; step <= end.steps; step++) {
        trace t = {.step = step, .answer = OPT_STOP};

        clean_up();
        job_new(&j, ctx, &opt_adam, NULL, NULL);
        assert_ok(ctx, job_train_with(&j, opts, &t));
        job_free(&j);

        job_new(&j, ctx, &opt_adam, NULL, NULL);
        assert_ok(ctx, opt_load(ctx, CHECKPOINT, j.model.params, j.optim, j.batches));
        assert_int_equal(opt_optim_steps(j.optim), step);
        assert_ok(ctx, job_train_with(&j, opts, &t));
        const snapshot s = job_snapshot(&j);

        assert_memory_equal(&s, &end, sizeof s);
        assert_true(same_trace(&t, &whole));
        char *log = log_without_time();

        assert_string_equal(log, whole_log);
        free(log);
        assert_ok(ctx, opt_load(ctx, CHECKPOINT, j.model.params, j.optim, j.batches));
        const snapshot loaded = job_snapshot(&j);

        assert_memory_equal(&loaded, &last_weights, sizeof loaded);
        job_free(&j);
    }
    free(whole_log);
    free_table(ctx, &table);
    clean_up();
}

static opt_status keep_last(const opt_progress *p, void *ud)
{
    job *const *pair = ud; /* the one that trains, and one that its weights are copied to */

    (void)p;
    for (int i = 0; i < pair[0]->model.params.n; i++)
        assert_ok(pair[0]->p.ctx, opt_tensor_copy(pair[0]->p.ctx, &pair[0]->model.params.at[i].value,
                                                  &pair[1]->model.params.at[i].value));
    return OPT_OK;
}

/* The last weights, from which training goes on, and the best ones, which a finished run puts back: whether
 * the checkpoint is the last epoch's or, every being 99, the run's. */
static void a_checkpoint_holds_the_last_weights_and_the_best(void **state)
{
    opt_ctx *ctx = *state;
    opt_table table = held_out(ctx);
    const opt_source source = opt_source_table(&table);

    for (int64_t every = 0; every <= 99; every += 99) {
        opt_train_opts opts = all_on(&source);
        job trained, last, fresh;
        job *pair[] = {&trained, &last};

        clean_up();
        job_new(&trained, ctx, &opt_adam, NULL, NULL);
        job_new(&last, ctx, &opt_adam, NULL, NULL);
        job_new(&fresh, ctx, &opt_adam, NULL, NULL);
        opts.on_epoch = keep_last;
        opts.ud = pair;
        opts.checkpoint_every = every;
        assert_ok(ctx, opt_train(ctx, &trained.model, trained.optim, trained.batches, &opts));
        assert_false(same_bits(trained.model.params, last.model.params));
        assert_ok(ctx, opt_load(ctx, CHECKPOINT, fresh.model.params, fresh.optim, fresh.batches));
        assert_true(same_bits(fresh.model.params, last.model.params));
        opts.on_epoch = NULL;
        assert_ok(ctx, opt_train(ctx, &fresh.model, fresh.optim, fresh.batches, &opts));
        assert_true(same_bits(fresh.model.params, trained.model.params));
        job_free(&trained);
        job_free(&last);
        job_free(&fresh);
    }
    free_table(ctx, &table);
    clean_up();
}

/* ---- Errors and ranks ---------------------------------------------------------------------------------- */

static void a_checkpoint_that_cannot_be_written_loses_nothing(void **state)
{
    trace whole = {0}, t = {0};
    job j;

    job_new(&j, *state, &opt_adam, NULL, NULL);
    assert_ok(*state, job_train(&j, 3, &whole));
    const snapshot end = job_snapshot(&j);

    job_free(&j);
    job_new(&j, *state, &opt_adam, NULL, NULL);
    for (int i = 1; i <= 3; i++) {
        const opt_train_opts opts = {.epochs = 3, .checkpoint = "no such folder/x.safetensors"};

        assert_fails(*state, job_train_with(&j, opts, &t), OPT_EIO,
                     "train: the checkpoint: no such folder/x.safetensors");
        assert_int_equal(opt_optim_steps(j.optim), 3 * i);
    }
    const snapshot s = job_snapshot(&j);

    assert_memory_equal(&s, &end, sizeof s);
    assert_true(same_trace(&t, &whole));
    job_free(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(checkpoints_are_written_after_epochs),
        TEST(checkpoints_are_written_as_time_passes),
        TEST(time_is_counted_from_the_last_checkpoint),
        TEST(a_stop_writes_a_checkpoint_and_an_error_none),
        TEST(taken_up_from_a_checkpoint_a_run_is_one_never_stopped),
        TEST(a_checkpoint_holds_the_last_weights_and_the_best),
        TEST(a_checkpoint_that_cannot_be_written_loses_nothing),
    };

    return cmocka_run_group_tests_name("train, checkpoint", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * A run taken up again from a file, by fresh objects, comes to the bits of one never stopped: wherever it was
 * stopped, with whatever threads and instructions it goes on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"
#include "tensor_file.h"

#define FILE_NAME "test_checkpoint_resume.tmp"

enum { EPOCHS = 4, STEPS = 3 * EPOCHS };

static void clean(void)
{
    remove(FILE_NAME);
    remove(FILE_NAME ".bak");
}

/* A job that has done other things before it loads. */
static void used_job(job *j, opt_ctx *ctx, const opt_method *method, const opt_optim_opts *opts)
{
    trace t = {.step = 2, .answer = OPT_STOP};

    job_new(j, ctx, method, opts, NULL);
    for (int p = 0; p < j->model.params.n; p++)
        opt_tensor_fill(&j->model.params.at[p].value, 0.5);
    assert_ok(ctx, job_train(j, EPOCHS, &t));
}

/* What the callbacks were told from step `from` on, and after it. */
static trace tail(const trace *t, int64_t from)
{
    trace out = {0};
    int i = 0;

    while (i < t->n && t->at[i].step < from)
        i++;
    while (i < t->n)
        out.at[out.n++] = t->at[i++];
    return out;
}

static void stop_and_go_on(opt_ctx *ctx, const opt_method *method, const opt_optim_opts *opts)
{
    trace whole = {0};
    snapshot end;
    job a;

    job_new(&a, ctx, method, opts, NULL);
    assert_ok(ctx, job_train(&a, EPOCHS, &whole));
    end = job_snapshot(&a);
    job_free(&a);
    for (int64_t stop = 1; stop <= STEPS; stop++) {
        trace first = {.step = stop, .answer = OPT_STOP}, second = {0}, expected = tail(&whole, stop);
        snapshot resumed;
        job b;

        job_new(&a, ctx, method, opts, NULL);
        used_job(&b, ctx, method, opts);
        assert_ok(ctx, job_train(&a, EPOCHS, &first));
        assert_ok(ctx, opt_save(ctx, FILE_NAME, a.model.params, a.optim, a.batches));
        assert_ok(ctx, opt_load(ctx, FILE_NAME, b.model.params, b.optim, b.batches));
        assert_ok(ctx, job_train(&b, EPOCHS, &second));
        resumed = job_snapshot(&b);
        assert_memory_equal(&resumed, &end, sizeof end);
        memmove(expected.at, expected.at + 1, sizeof expected.at - sizeof *expected.at);
        expected.n--; /* the step it was stopped by */
        assert_true(same_trace(&second, &expected));
        job_free(&a);
        job_free(&b);
    }
    clean();
}

static void stopping_anywhere_changes_nothing(void **state)
{
    static const opt_cosine_arg cosine = {.warmup = 3, .total = STEPS, .final_fraction = 0.1};
    static const opt_method *const methods[] = {&opt_gd, &opt_momentum, &opt_adam};
    const opt_optim_opts opts[] = {{.lr = 0.1},
                                   {.lr = 0.1,
                                    .schedule = opt_lr_cosine,
                                    .schedule_arg = &cosine,
                                    .clip_norm = 0.1,
                                    .weight_decay = 0.1}};

    for (int m = 0; m < 3; m++)
        for (int k = 0; k < 2; k++)
            stop_and_go_on(*state, methods[m], &opts[k]);
}

/* ---- Another machine ----------------------------------------------------------------------------------- */

/* Large enough to be shared among threads; batches of three chunks and a part. */
typedef struct wide {
    problem p;
    opt_model model;
    opt_optim *optim;
    opt_batches *batches;
} wide;

static void wide_new(wide *w, opt_ctx *ctx, opt_dtype dtype)
{
    const opt_mlp_opts net = {.size = {300, 100, 20}, .loss = OPT_SOFTMAX_CE, .dtype = dtype, .seed = 3};
    opt_source source;

    problem_new(&w->p, ctx, &net, 510);
    source = opt_source_table(&w->p.data);
    w->model = opt_mlp_model(w->p.net);
    assert_ok(ctx, opt_optim_new(ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 0.01, .clip_norm = 1},
                                 w->model.params, &w->optim));
    assert_ok(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = 205, .seed = 4}, &w->batches));
}

static void wide_free(wide *w)
{
    opt_batches_free(w->batches);
    opt_optim_free(w->optim);
    problem_free(&w->p);
}

static opt_status stop_at_four(const opt_progress *p, void *ud)
{
    (void)ud;
    return p->step == 4 ? OPT_STOP : OPT_OK;
}

static void wide_train(wide *w, opt_progress_fn on_step)
{
    assert_ok(w->p.ctx, opt_train(w->p.ctx, &w->model, w->optim, w->batches,
                                  &(opt_train_opts){.epochs = 3, .on_step = on_step}));
}

static void check_elsewhere(const wide *end, opt_dtype dtype, opt_isa isa, int threads)
{
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.isa = isa, .threads = threads});
    wide w;

    if (*opt_errmsg(ctx) == '\0') {
        wide_new(&w, ctx, dtype);
        for (int p = 0; p < w.model.params.n; p++)
            opt_tensor_fill(&w.model.params.at[p].value, 1);
        assert_ok(ctx, opt_load(ctx, FILE_NAME, w.model.params, w.optim, w.batches));
        wide_train(&w, NULL);
        assert_true(same_bits(w.model.params, end->model.params));
        wide_free(&w);
    }
    opt_ctx_free(ctx);
}

static void any_machine_may_go_on(void **state)
{
    for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
        wide end, stopped;

        wide_new(&end, *state, dtype);
        wide_train(&end, NULL);
        wide_new(&stopped, *state, dtype);
        wide_train(&stopped, stop_at_four);
        assert_false(same_bits(end.model.params, stopped.model.params));
        assert_ok(*state, opt_save(*state, FILE_NAME, stopped.model.params, stopped.optim, stopped.batches));
        for (int isa = OPT_ISA_BEST; isa <= OPT_ISA_NEON; isa++)
            for (int threads = 1; threads <= 3; threads++)
                check_elsewhere(&end, dtype, (opt_isa)isa, threads);
        wide_free(&end);
        wide_free(&stopped);
        clean();
    }
}

/* ---- The best weights ---------------------------------------------------------------------------------- */

static opt_status note_best_epoch(const opt_progress *p, void *ud)
{
    *(int64_t *)ud = p->best_epoch;
    return OPT_OK;
}

/* The validation data is other data, so that the best epoch, which is returned, is not the last one. */
static int64_t train_for_best(job *j, const opt_table *validation, opt_progress_fn on_step)
{
    const opt_source source = opt_source_table(validation);
    int64_t best = 0;
    const opt_train_opts opts = {.epochs = 40,
                                 .validation = &source,
                                 .keep_best = true,
                                 .on_step = on_step,
                                 .on_epoch = note_best_epoch,
                                 .ud = &best};

    assert_ok(j->p.ctx, opt_train(j->p.ctx, &j->model, j->optim, j->batches, &opts));
    return best;
}

static opt_status stop_at_hundred(const opt_progress *p, void *ud)
{
    (void)ud;
    return p->step == 100 ? OPT_STOP : OPT_OK;
}

static void the_best_weights_come_back(void **state)
{
    const opt_mlp_opts net = {.size = {2, 3, 1}, .act = OPT_TANH, .seed = 9};
    problem other;
    job whole, a, b;
    bytes file;

    problem_new(&other, *state, &net, 10);
    job_new(&whole, *state, &opt_adam, NULL, NULL);
    assert_in_range(train_for_best(&whole, &other.data, NULL), 1, 32); /* before step 100 */
    job_new(&a, *state, &opt_adam, NULL, NULL);
    (void)train_for_best(&a, &other.data, stop_at_hundred);
    assert_ok(*state, opt_save(*state, FILE_NAME, a.model.params, a.optim, a.batches));
    job_new(&b, *state, &opt_adam, NULL, NULL);
    assert_ok(*state, opt_load(*state, FILE_NAME, b.model.params, b.optim, b.batches));
    (void)train_for_best(&b, &other.data, NULL);
    assert_true(same_bits(b.model.params, whole.model.params));
    file = slurp(FILE_NAME);
    edit_tensor_file(FILE_NAME, &file, "\"best.W2\"", "\"best.W9\"");
    assert_fails(*state, opt_load(*state, FILE_NAME, b.model.params, b.optim, b.batches), OPT_EFORMAT,
                 "missing: best.W2; left over: best.W9");
    assert_ok(*state, opt_load(*state, FILE_NAME, b.model.params, NULL, NULL));
    free(file.at);
    job_free(&whole);
    job_free(&a);
    job_free(&b);
    problem_free(&other);
    clean();
}

/* A file without best weights makes those of the optimizer that loads it void. */
static void best_weights_of_before_are_forgotten(void **state)
{
    job a, b;

    job_new(&a, *state, &opt_adam, NULL, NULL);
    job_new(&b, *state, &opt_adam, NULL, NULL);
    (void)train_for_best(&b, &b.p.data, NULL);
    assert_ok(*state, opt_save(*state, FILE_NAME, a.model.params, a.optim, a.batches));
    assert_ok(*state, opt_load(*state, FILE_NAME, b.model.params, b.optim, b.batches));
    assert_ok(*state, opt_save(*state, FILE_NAME, b.model.params, b.optim, b.batches));
    assert_true(same_file(FILE_NAME, FILE_NAME ".bak"));
    job_free(&a);
    job_free(&b);
    clean();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stopping_anywhere_changes_nothing),
        TEST(any_machine_may_go_on),
        TEST(the_best_weights_come_back),
        TEST(best_weights_of_before_are_forgotten),
    };

    clean();
    return cmocka_run_group_tests_name("checkpoint resumed", tests, NULL, NULL);
}

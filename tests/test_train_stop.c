/* SPDX-License-Identifier: MIT
 *
 * How training ends before its end, by a callback or an error, and goes on as if it never had.
 */
#include "problem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { EPOCHS = 3, STEPS = 3 * EPOCHS };

static const opt_method *const methods[] = {&opt_gd, &opt_momentum, &opt_adam};

/* A run never stopped, to compare others with. */
typedef struct whole_run {
    trace t;
    snapshot end, at[STEPS + 1]; /* at[i]: after i steps */
} whole_run;

static whole_run run_whole(opt_ctx *ctx, const opt_method *method, const opt_batches_opts *batches)
{
    whole_run r = {0};
    job j;

    job_new(&j, ctx, method, NULL, batches);
    assert_ok(ctx, job_train(&j, EPOCHS, &r.t));
    r.end = job_snapshot(&j);
    job_free(&j);

    job_new(&j, ctx, method, NULL, batches);
    for (int64_t e = 1; e <= EPOCHS; e++) {
        opt_batch b;
        double loss;

        assert_ok(ctx, opt_batches_begin(j.batches, e));
        while (opt_batches_next(j.batches, &b) == OPT_OK) {
            r.at[opt_optim_steps(j.optim)] = job_snapshot(&j);
            assert_ok(ctx, opt_mlp_grad(j.p.net, &b.x, &b.y, &loss));
            assert_ok(ctx, opt_optim_step(j.optim));
        }
    }
    r.at[STEPS] = job_snapshot(&j);
    assert_memory_equal(&r.at[STEPS], &r.end, sizeof r.end);
    job_free(&j);
    return r;
}

static void assert_state(const job *j, const snapshot *expected)
{
    const snapshot s = job_snapshot(j);

    assert_memory_equal(&s, expected, sizeof s);
}

/* ---- Callbacks ----------------------------------------------------------------------------------------- */

/* Stops where t says, which must be after so many steps, and goes on to the end. */
static void stop_then_go_on(opt_ctx *ctx, const opt_method *method, trace t, int64_t steps)
{
    const whole_run whole = run_whole(ctx, method, NULL);
    job j;

    job_new(&j, ctx, method, NULL, NULL);
    assert_ok(ctx, job_train(&j, EPOCHS, &t));
    assert_state(&j, &whole.at[steps]);
    assert_ok(ctx, job_train(&j, EPOCHS, &t));
    assert_state(&j, &whole.end);
    assert_true(same_trace(&t, &whole.t));
    job_free(&j);
}

/* After every single step, those that end an epoch and the very last included. */
static void stopped_at_any_step_a_run_goes_on_as_if_never_stopped(void **state)
{
    for (int m = 0; m < 3; m++)
        for (int64_t step = 1; step <= STEPS; step++)
            stop_then_go_on(*state, methods[m], (trace){.step = step, .answer = OPT_STOP}, step);
}

static void stopped_after_any_epoch_a_run_goes_on_as_if_never_stopped(void **state)
{
    for (int m = 0; m < 3; m++)
        for (int64_t epoch = 1; epoch <= EPOCHS; epoch++)
            stop_then_go_on(*state, methods[m], (trace){.epoch = epoch, .answer = OPT_STOP}, 3 * epoch);
}

static opt_status stop_always(const opt_progress *p, void *ud)
{
    trace *t = ud;

    t->at[t->n++] = *p;
    return OPT_STOP;
}

static void stopped_at_every_step_a_run_is_the_same(void **state)
{
    const whole_run whole = run_whole(*state, &opt_adam, NULL);
    trace t = {0};
    const opt_train_opts opts = {.epochs = EPOCHS, .on_step = stop_always, .on_epoch = stop_always, .ud = &t};
    job j;

    job_new(&j, *state, &opt_adam, NULL, NULL);
    for (int i = 0; i < whole.t.n; i++) {
        assert_ok(j.p.ctx, opt_train(j.p.ctx, &j.model, j.optim, j.batches, &opts));
        assert_int_equal(t.n, i + 1);
    }
    assert_state(&j, &whole.end);
    assert_true(same_trace(&t, &whole.t));
    job_free(&j);
}

static void another_status_of_a_callback_is_returned(void **state)
{
    const whole_run whole = run_whole(*state, &opt_adam, NULL);
    job j;
    trace t = {.step = 5, .answer = OPT_EIO};

    job_new(&j, *state, &opt_adam, NULL, NULL);
    assert_fails(j.p.ctx, job_train(&j, EPOCHS, &t), OPT_EIO, "train: on_step ended training in epoch 2");
    assert_state(&j, &whole.at[5]);
    t.epoch = 2;
    assert_fails(j.p.ctx, job_train(&j, EPOCHS, &t), OPT_EIO, "train: on_epoch ended training in epoch 2");
    assert_state(&j, &whole.at[6]);
    assert_ok(j.p.ctx, job_train(&j, EPOCHS, &t));
    assert_state(&j, &whole.end);
    assert_true(same_trace(&t, &whole.t));
    job_free(&j);
}

static void more_epochs_later_are_the_same_run(void **state)
{
    const whole_run whole = run_whole(*state, &opt_momentum, NULL);
    job j;
    trace t = {0};

    job_new(&j, *state, &opt_momentum, NULL, NULL);
    for (int64_t epochs = 1; epochs <= EPOCHS; epochs++) {
        assert_ok(j.p.ctx, job_train(&j, epochs, &t));
        assert_state(&j, &whole.at[3 * epochs]);
    }
    for (int i = 0; i < t.n; i++) /* what it was asked for is all that differs */
        t.at[i].epochs = EPOCHS;
    assert_true(same_trace(&t, &whole.t));
    job_free(&j);
}

static void epochs_already_done_are_not_done_again(void **state)
{
    job j;
    trace t = {0};
    snapshot s;

    job_new(&j, *state, &opt_adam, NULL, NULL);
    assert_ok(j.p.ctx, job_train(&j, 2, &t));
    s = job_snapshot(&j);
    t.n = 0;
    assert_ok(j.p.ctx, job_train(&j, 2, &t));
    assert_ok(j.p.ctx, job_train(&j, 1, &t));
    assert_int_equal(t.n, 0);
    assert_state(&j, &s);
    job_free(&j);
}

/* ---- Not finite ---------------------------------------------------------------------------------------- */

/* Trains with *where set to `poison` from the start of epoch 2; in the given order rows 4 to 7 are batch 2.
 * The refused step must leave no trace, and the run, mended, must take the same batch again. */
static void refuse_then_mend(opt_ctx *ctx, const opt_method *method, bool x, int64_t element, double poison,
                             int64_t steps, const char *part)
{
    const opt_batches_opts in_order = {.size = 4, .in_order = true};
    const whole_run whole = run_whole(ctx, method, &in_order);
    opt_tensor *where;
    double old;
    snapshot before;
    job j;
    trace t = {.epoch = 1, .answer = OPT_STOP};

    job_new(&j, ctx, method, NULL, &in_order);
    assert_ok(ctx, job_train(&j, EPOCHS, &t));
    where = x ? &j.p.data.x : &j.model.params.at[2].value;
    old = opt_get(where, element);
    opt_set(where, element, poison);
    before = x ? whole.at[steps] : job_snapshot(&j);
    for (int i = 0; i < 2; i++) {
        assert_fails(ctx, job_train(&j, EPOCHS, &t), OPT_ENONFINITE, part);
        assert_state(&j, &before);
    }
    opt_set(where, element, old);
    assert_ok(ctx, job_train(&j, EPOCHS, &t));
    assert_state(&j, &whole.end);
    assert_true(same_trace(&t, &whole.t));
    job_free(&j);
}

static void a_loss_that_is_not_finite_ends_training_before_the_step(void **state)
{
    for (int m = 0; m < 3; m++) {
        refuse_then_mend(*state, methods[m], true, 2 * 5 + 1, (double)NAN, 4,
                         "train: epoch 2, batch 2: the batch's x is nan in element 3");
        refuse_then_mend(*state, methods[m], true, 2 * 9, (double)NAN, 5,
                         "train: epoch 2, batch 3: the batch's x is nan in element 2");
        refuse_then_mend(*state, methods[m], false, 1, HUGE_VAL, 3,
                         "train: epoch 2, batch 1: W2 is inf in element 1");
        refuse_then_mend(*state, methods[m], false, 0, (double)NAN, 3,
                         "train: epoch 2, batch 1: W2 is nan in element 0");
    }
}

/* The network, spoilt in epoch 2 for the batch of index 1. */
typedef struct spoilt {
    opt_model net;
    opt_status answer; /* unless OPT_OK: given at once */
    double loss;       /* unless 0: instead of the loss */
    double gradient;   /* unless 0: instead of element 2 of b1's gradient */
    int64_t epoch;     /* counted as they begin */
} spoilt;

static opt_status spoilt_grad(void *self, const opt_batch *part, double *loss)
{
    spoilt *s = self;
    opt_status status;

    s->epoch += part->index == 0;
    if (s->answer && s->epoch == 2 && part->index == 1)
        return s->answer;
    status = s->net.grad(s->net.self, part, loss);
    if (s->epoch == 2 && part->index == 1) {
        *loss = s->loss != 0 ? s->loss : *loss;
        if (s->gradient != 0)
            opt_set(&s->net.params.at[1].grad, 2, s->gradient);
    }
    return status;
}

/* Trains with a spoilt model until it fails, mends it, and goes on to the end. */
static void spoil_then_mend(opt_ctx *ctx, const opt_method *method, spoilt s, opt_status status,
                            const char *part)
{
    const whole_run whole = run_whole(ctx, method, NULL);
    job j;
    trace t = {0};

    job_new(&j, ctx, method, NULL, NULL);
    s.net = j.model;
    j.model = (opt_model){.self = &s, .params = s.net.params, .grad = spoilt_grad};
    for (int i = 0; i < 2; i++) {
        assert_fails(ctx, job_train(&j, EPOCHS, &t), status, part);
        assert_state(&j, &whole.at[4]);
    }
    j.model = s.net;
    assert_ok(ctx, job_train(&j, EPOCHS, &t));
    assert_state(&j, &whole.end);
    assert_true(same_trace(&t, &whole.t));
    job_free(&j);
}

static void a_gradient_that_is_not_finite_ends_training_before_the_step(void **state)
{
    static const double poison[] = {(double)NAN, HUGE_VAL, -HUGE_VAL};

    for (int m = 0; m < 3; m++)
        for (int i = 0; i < 3; i++)
            spoil_then_mend(*state, methods[m], (spoilt){.gradient = poison[i]}, OPT_ENONFINITE,
                            "train: epoch 2, batch 2: ");
    spoil_then_mend(*state, &opt_adam, (spoilt){.gradient = -HUGE_VAL}, OPT_ENONFINITE,
                    "element 2 of the gradient of b1 is -inf");
}

static void a_models_loss_that_is_not_finite_is_named(void **state)
{
    spoil_then_mend(*state, &opt_adam, (spoilt){.loss = -HUGE_VAL}, OPT_ENONFINITE,
                    "train: epoch 2, batch 2: the loss is -inf, though every tensor is finite");
    spoil_then_mend(*state, &opt_adam, (spoilt){.loss = HUGE_VAL, .gradient = (double)NAN}, OPT_ENONFINITE,
                    "train: epoch 2, batch 2: the gradient of b1 is nan in element 2");
}

/* ---- Other errors -------------------------------------------------------------------------------------- */

static void an_error_of_the_model_is_passed_on(void **state)
{
    spoil_then_mend(*state, &opt_adam, (spoilt){.answer = OPT_EIO}, OPT_EIO, "train: epoch 2, batch 2: ");
}

/* A model of one's own cannot set the message; that of an earlier failure is not its. */
static void an_error_of_the_model_does_not_repeat_an_older_message(void **state)
{
    spoilt s = {.answer = OPT_EIO, .epoch = 1};
    job j;
    trace t = {0};

    job_new(&j, *state, &opt_gd, NULL, NULL);
    s.net = j.model;
    j.model = (opt_model){.self = &s, .params = s.net.params, .grad = spoilt_grad};
    assert_fails(j.p.ctx, job_train(&j, 0, &t), OPT_EINVAL, "epochs = 0");
    assert_fails(j.p.ctx, job_train(&j, 1, &t), OPT_EIO, "epoch 1, batch 2: ");
    assert_null(strstr(opt_errmsg(j.p.ctx), "epochs = 0"));
    assert_fails(j.p.ctx, job_train(&j, 1, &t), OPT_EIO, "epoch 1, batch 2: ");
    assert_null(strstr(strstr(opt_errmsg(j.p.ctx), "batch 2") + 1, "batch 2"));
    job_free(&j);
}

/* The table, with a source in front that fails once. */
typedef struct flaky {
    opt_source table;
    int reads, fail_at;
} flaky;

static opt_status flaky_read(void *ud, const int64_t *row, int64_t n, opt_tensor *x, opt_tensor *y)
{
    flaky *f = ud;

    return f->reads++ == f->fail_at ? OPT_EIO : f->table.read(f->table.ud, row, n, x, y);
}

static void a_source_that_fails_is_asked_again_for_the_same_batch(void **state)
{
    const whole_run whole = run_whole(*state, &opt_adam, NULL);

    for (int n = 0; n < STEPS; n++) {
        opt_source source;
        flaky f = {.fail_at = n};
        char part[64];
        job j;
        trace t = {0};

        job_new(&j, *state, &opt_adam, NULL, NULL);
        opt_batches_free(j.batches);
        source = f.table = opt_source_table(&j.p.data);
        source.read = flaky_read;
        source.ud = &f;
        assert_ok(j.p.ctx,
                  opt_batches_new(j.p.ctx, &source, &(opt_batches_opts){.size = 4, .seed = 2}, &j.batches));
        snprintf(part, sizeof part, "batch %d of epoch %d failed", n % 3 + 1, n / 3 + 1);
        assert_fails(j.p.ctx, job_train(&j, EPOCHS, &t), OPT_EIO, part);
        assert_state(&j, &whole.at[n]);
        assert_ok(j.p.ctx, job_train(&j, EPOCHS, &t));
        assert_state(&j, &whole.end);
        assert_true(same_trace(&t, &whole.t));
        job_free(&j);
    }
}

static void a_rate_that_makes_no_sense_ends_training(void **state)
{
    const whole_run whole = run_whole(*state, &opt_adam, NULL);
    job j;
    trace t = {.step = 4, .answer = OPT_STOP};

    job_new(&j, *state, &opt_adam, NULL, NULL);
    assert_ok(j.p.ctx, job_train(&j, EPOCHS, &t));
    opt_optim_set_lr(j.optim, -1);
    assert_fails(j.p.ctx, job_train(&j, EPOCHS, &t), OPT_EINVAL, "train: epoch 2, batch 2: adam: the lear");
    assert_state(&j, &whole.at[4]);
    opt_optim_set_lr(j.optim, 0.1);
    assert_ok(j.p.ctx, job_train(&j, EPOCHS, &t));
    assert_state(&j, &whole.end);
    assert_true(same_trace(&t, &whole.t));
    job_free(&j);
}

static void arguments_that_make_no_sense_are_refused(void **state)
{
    const opt_train_opts one = {.epochs = 1}, none = {0}, negative = {.epochs = -1};
    const char *const other = "train: the optimizer was made for other parameters than the model's";
    opt_ctx *ctx = *state, *second = opt_ctx_new(NULL);
    opt_model no_grad, no_params, fewer;
    snapshot before;
    job j, k, foreign;

    job_new(&j, ctx, &opt_gd, NULL, NULL);
    job_new(&k, ctx, &opt_gd, NULL, NULL);
    job_new(&foreign, second, &opt_gd, NULL, NULL);
    before = job_snapshot(&j);
    no_grad = no_params = fewer = j.model;
    no_grad.grad = NULL;
    no_params.params.n = 0;
    fewer.params.n--;
    assert_int_equal(opt_train(NULL, &j.model, j.optim, j.batches, &one), OPT_EINVAL);
    assert_fails(ctx, opt_train(ctx, NULL, j.optim, j.batches, &one), OPT_EINVAL, "train: model is NULL");
    assert_fails(ctx, opt_train(ctx, &j.model, NULL, j.batches, &one), OPT_EINVAL, "train: optim is NULL");
    assert_fails(ctx, opt_train(ctx, &j.model, j.optim, NULL, &one), OPT_EINVAL, "train: batches is NULL");
    assert_fails(ctx, opt_train(ctx, &j.model, j.optim, j.batches, NULL), OPT_EINVAL, "train: opts is NULL");
    assert_fails(ctx, opt_train(ctx, &no_grad, j.optim, j.batches, &one), OPT_EINVAL, "model has no grad");
    assert_fails(ctx, opt_train(ctx, &no_params, j.optim, j.batches, &one), OPT_EINVAL, "no parameters");
    assert_fails(ctx, opt_train(ctx, &fewer, j.optim, j.batches, &one), OPT_EINVAL, other);
    assert_fails(ctx, opt_train(ctx, &k.model, j.optim, j.batches, &one), OPT_EINVAL, other);
    assert_fails(ctx, opt_train(ctx, &foreign.model, foreign.optim, j.batches, &one), OPT_EINVAL, other);
    assert_fails(ctx, opt_train(ctx, &j.model, j.optim, foreign.batches, &one), OPT_EINVAL,
                 "the batches were made by another context");
    assert_fails(ctx, opt_train(ctx, &j.model, j.optim, j.batches, &none), OPT_EINVAL, "epochs = 0 is below");
    assert_fails(ctx, opt_train(ctx, &j.model, j.optim, j.batches, &negative), OPT_EINVAL, "epochs = -1 is");
    assert_null(opt_mlp_model(NULL).grad);
    assert_state(&j, &before);
    job_free(&j);
    job_free(&k);
    job_free(&foreign);
    opt_ctx_free(second);
}

static void data_that_do_not_fit_the_network_are_refused(void **state)
{
    static const double zeros[20] = {0};
    const opt_train_opts opts = {.epochs = 1};
    opt_batches *batches = NULL;
    opt_table table = {.x = matrix(*state, OPT_F64, 4, 5, zeros)};
    opt_source source = opt_source_table(&table);
    snapshot before;
    job j;

    job_new(&j, *state, &opt_gd, NULL, NULL);
    before = job_snapshot(&j);
    assert_ok(j.p.ctx, opt_batches_new(j.p.ctx, &source, NULL, &batches));
    assert_fails(j.p.ctx, opt_train(j.p.ctx, &j.model, j.optim, batches, &opts), OPT_ESHAPE,
                 "train: epoch 1, batch 1: mlp: x is [4, 5], not rows of 2");
    opt_batches_free(batches);
    table.x.dim[1] = 2;
    source = opt_source_table(&table);
    assert_ok(j.p.ctx, opt_batches_new(j.p.ctx, &source, NULL, &batches));
    assert_fails(j.p.ctx, opt_train(j.p.ctx, &j.model, j.optim, batches, &opts), OPT_EINVAL,
                 "train: epoch 1, batch 1: mlp: y has no data");
    opt_batches_free(batches);
    assert_state(&j, &before);
    opt_tensor_free(j.p.ctx, &table.x);
    job_free(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stopped_at_any_step_a_run_goes_on_as_if_never_stopped),
        TEST(stopped_after_any_epoch_a_run_goes_on_as_if_never_stopped),
        TEST(stopped_at_every_step_a_run_is_the_same),
        TEST(another_status_of_a_callback_is_returned),
        TEST(more_epochs_later_are_the_same_run),
        TEST(epochs_already_done_are_not_done_again),
        TEST(a_loss_that_is_not_finite_ends_training_before_the_step),
        TEST(a_gradient_that_is_not_finite_ends_training_before_the_step),
        TEST(a_models_loss_that_is_not_finite_is_named),
        TEST(an_error_of_the_model_is_passed_on),
        TEST(an_error_of_the_model_does_not_repeat_an_older_message),
        TEST(a_source_that_fails_is_asked_again_for_the_same_batch),
        TEST(a_rate_that_makes_no_sense_ends_training),
        TEST(arguments_that_make_no_sense_are_refused),
        TEST(data_that_do_not_fit_the_network_are_refused),
    };

    return cmocka_run_group_tests_name("train, stopped", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Training by a method that evaluates a batch more than once.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "problem.h"

static const opt_optim_opts plain = {.lr = 1}, decaying = {.lr = 1, .l2 = 0.05};
static const opt_batches_opts whole = {.size = JOB_ROWS, .seed = 2}, parts = {.size = 4, .seed = 2};

/* A model as it is, but for what a test does with its calls. */
typedef struct watched {
    opt_model whole;
    int calls;
    int fails; /* this call, from 0, comes to `status`; below 0: none */
    opt_status status;
    double least;        /* below this weight the loss is NaN */
    const double *class; /* weights that each call's examples are to have; NULL: none */
} watched;

static opt_status watched_grad(void *self, const opt_batch *part, double *loss)
{
    watched *w = self;

    if (w->calls++ == w->fails)
        return w->status;
    assert_int_equal(part->weight.data != NULL, w->class != NULL);
    for (int64_t i = 0; w->class != NULL && i < opt_tensor_len(&part->weight); i++)
        assert_true(opt_get(&part->weight, i) == w->class[opt_get(&part->y, i) > 0.5]);
    for (int p = 0; p < w->whole.params.n; p++)
        for (int64_t i = 0; i < opt_tensor_len(&w->whole.params.at[p].value); i++)
            if (opt_get(&w->whole.params.at[p].value, i) < w->least) {
                *loss = (double)NAN;
                return OPT_OK;
            }
    return w->whole.grad(w->whole.self, part, loss);
}

static void watch(job *j, watched *w)
{
    *w = (watched){.whole = j->model, .fails = -1, .least = -HUGE_VAL};
    j->model.self = w;
    j->model.grad = watched_grad;
}

/* ---- What it learns ------------------------------------------------------------------------------------ */

/* The loss before step `steps` of a network on all 300 moons. */
static double moons(opt_ctx *ctx, const opt_method *method, double lr, int64_t steps)
{
    trace t = {.epoch = -1, .step = -1};
    job j = {.p = {.ctx = ctx}};
    opt_source source;

    assert_ok(ctx, opt_moons(ctx, 300, 0.2, 3, &j.p.data));
    source = opt_source_table(&j.p.data);
    assert_ok(ctx,
              opt_mlp_new(ctx, &(opt_mlp_opts){.size = {2, 5, 2, 1}, .act = OPT_TANH, .seed = 3}, &j.p.net));
    j.model = opt_mlp_model(j.p.net);
    assert_ok(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = 300}, &j.batches));
    assert_ok(ctx, opt_optim_new(ctx, method, NULL, &(opt_optim_opts){.lr = lr}, j.model.params, &j.optim));
    for (int64_t done = 0; done < steps; done += 25) {
        t.n = 0;
        assert_ok(ctx, job_train(&j, done + 25, &t));
    }
    job_free(&j);
    return t.at[t.n - 1].loss;
}

/* A tenth of the epochs for a loss that Adam, at a rate that suits it, has not reached. */
static void it_needs_fewer_epochs_than_adam(void **state)
{
    const double lbfgs = moons(*state, &opt_lbfgs, 1, 100);

    assert_true(lbfgs < 0.12);
    assert_true(lbfgs < moons(*state, &opt_adam, 0.01, 1000));
}

/* opt_train is opt_optim_search over all examples: the same weights, and the losses are those before. */
typedef struct all {
    const opt_model *model;
    opt_batch batch;
} all;

static opt_status evaluate_all(void *ud, double *loss)
{
    const all *a = ud;

    return a->model->grad(a->model->self, &a->batch, loss);
}

static void training_is_a_search_an_epoch(void **state)
{
    const opt_batches_opts ordered = {.size = JOB_ROWS, .in_order = true};
    trace t = {.epoch = -1, .step = -1};
    double loss = (double)NAN;
    watched w;
    job a, b;
    all data;

    job_new(&a, *state, &opt_lbfgs, &decaying, &ordered);
    job_new(&b, *state, &opt_lbfgs, &decaying, &ordered);
    watch(&a, &w);
    data.model = &b.model;
    assert_ok(*state, opt_batches_begin(b.batches, 1));
    assert_ok(*state, opt_batches_next(b.batches, &data.batch));
    for (int i = 1; i <= 12; i++) {
        double before = loss;

        assert_ok(*state, job_train(&a, i, &t));
        if (i == 1)
            assert_ok(*state, evaluate_all(&data, &before));
        assert_ok(*state, opt_optim_search(b.optim, evaluate_all, &data, &loss));
        assert_true(same_bits(a.model.params, b.model.params));
        assert_true(t.at[t.n - 1].loss == before && t.at[t.n - 1].last_loss == before);
        assert_int_equal(t.at[t.n - 1].step, i);
    }
    assert_in_range(w.calls, 24, 36); /* at the start of each epoch, and then once or twice more */
    job_free(&a);
    job_free(&b);
}

static void class_weights_hold_in_every_evaluation(void **state)
{
    static const double class[] = {0.5, 3};
    trace t = {.epoch = -1, .step = -1};
    watched w;
    job j;

    job_new(&j, *state, &opt_lbfgs, &decaying, &whole);
    watch(&j, &w);
    w.class = class;
    assert_ok(*state, job_train_with(&j, (opt_train_opts){.epochs = 10, .class_weight = class}, &t));
    assert_in_range(w.calls, 20, 40);
    assert_true(t.at[t.n - 1].loss < 0.9 * t.at[0].loss);
    job_free(&j);
}

/* ---- Its end ------------------------------------------------------------------------------------------- */

/* The epoch in which no lower loss is found is the last, and ends as any other; the next call does no more
 * than one like it. */
static void it_ends_where_no_lower_loss_is_found(void **state)
{
    static const char path[] = "test_train_search.tmp", log[] = "test_train_search.csv";
    const opt_train_opts opts = {.epochs = 1000, .checkpoint = path, .log = log};
    int64_t last = 0;
    snapshot before, after;
    job j, loaded;

    remove(log);
    job_new(&j, *state, &opt_lbfgs, &decaying, &whole);
    for (int i = 0; i < 2; i++) {
        static trace t;
        opt_train_opts o = opts;

        for (bool more = true; more; o.epochs += 20) { /* as many as there is room for in a trace */
            t = (trace){.epoch = -1, .step = -1};
            o.epochs = opt_batches_completed(j.batches) + 20;
            assert_ok(*state, job_train_with(&j, o, &t));
            more = opt_batches_completed(j.batches) == o.epochs;
        }
        assert_in_range(opt_batches_completed(j.batches), i ? last + 1 : 10, i ? last + 1 : 200);
        assert_int_equal(t.at[t.n - 1].epoch, opt_batches_completed(j.batches));
        if (i > 0) {
            assert_int_equal(t.n, 2);
            after = job_snapshot(&j);
            assert_memory_equal(&before, &after, sizeof before);
        }
        before = job_snapshot(&j);
        last = opt_batches_completed(j.batches);
    }
    job_new(&loaded, *state, &opt_lbfgs, &decaying, &whole);
    assert_ok(*state, opt_load(*state, path, loaded.model.params, loaded.optim, loaded.batches));
    assert_int_equal(opt_batches_completed(loaded.batches), last);
    assert_true(same_bits(j.model.params, loaded.model.params));
    remove(path);
    remove("test_train_search.tmp.bak");
    remove(log);
    job_free(&j);
    job_free(&loaded);
}

static opt_status flat(void *self, const opt_batch *part, double *loss)
{
    const opt_params *p = self;

    (void)part;
    *loss = 1;
    for (int k = 0; k < p->n; k++)
        opt_tensor_fill(&p->at[k].grad, 0);
    return OPT_OK;
}

/* Then there is no average yet to judge the epoch by. */
static void it_may_end_before_the_first_step(void **state)
{
    trace t = {.epoch = -1, .step = -1};
    job j;

    job_new(&j, *state, &opt_lbfgs, &(opt_optim_opts){.lr = 1, .average = 0.5}, &whole);
    j.model.self = &j.model.params;
    j.model.grad = flat;
    assert_ok(*state, job_train(&j, 3, &t));
    assert_int_equal(opt_batches_completed(j.batches), 1);
    assert_int_equal(opt_optim_steps(j.optim), 0);
    assert_true(t.n == 2 && t.at[1].loss == 1);
    job_free(&j);
}

static opt_status parabola(void *self, const opt_batch *part, double *loss)
{
    const opt_params *p = self;

    (void)part;
    *loss = 0;
    for (int k = 0; k < p->n; k++)
        for (int64_t i = 0; i < opt_tensor_len(&p->at[k].value); i++) {
            const double x = opt_get(&p->at[k].value, i) - 3;

            *loss += (double)(i + 1) * x * x / 4;
            opt_set(&p->at[k].grad, i, (double)(i + 1) * x / 2);
        }
    return OPT_OK;
}

static opt_status stop_in(const opt_progress *p, void *ud)
{
    return p->epoch == *(const int64_t *)ud ? OPT_STOP : OPT_OK;
}

/* Of the first epoch, whose gain no other has. A callback may say stop when all is over, but not before. */
static void the_best_weights_are_put_back_at_its_end(void **state)
{
    int64_t last = -1;
    job first, j;

    job_new(&first, *state, &opt_lbfgs, &decaying, &whole);
    assert_ok(*state,
              opt_train(*state, &first.model, first.optim, first.batches, &(opt_train_opts){.epochs = 1}));
    for (int how = 0; how < 3; how++) {
        const opt_train_opts opts = {.epochs = 1000,
                                     .keep_best = true,
                                     .min_gain = 1e9,
                                     .on_epoch = how == 1 ? stop_in : NULL,
                                     .on_step = how == 2 ? stop_in : NULL,
                                     .ud = &last};

        job_new(&j, *state, &opt_lbfgs, &decaying, &whole);
        assert_ok(*state, opt_train(*state, &j.model, j.optim, j.batches, &opts));
        last = how == 0 ? opt_batches_completed(j.batches) : last;
        assert_in_range(last, 2, 200);
        assert_int_equal(opt_batches_completed(j.batches), how == 2 ? last - 1 : last);
        assert_true(same_bits(j.model.params, first.model.params) == (how < 2));
        job_free(&j);
    }
    job_free(&first);
}

/* Of several batches one that finds nothing is passed over, and another goes on. */
static opt_status first_batch_is_flat(void *self, const opt_batch *part, double *loss)
{
    const opt_params *p = self;
    const opt_status s = parabola(self, part, loss);

    for (int k = 0; part->index == 0 && k < p->n; k++)
        opt_tensor_fill(&p->at[k].grad, 0);
    return s;
}

static void another_batch_goes_on(void **state)
{
    trace t = {.epoch = -1, .step = -1};
    job j;

    job_new(&j, *state, &opt_lbfgs, &plain, &parts);
    j.model.self = &j.model.params;
    j.model.grad = first_batch_is_flat;
    assert_ok(*state, job_train(&j, 3, &t));
    assert_int_equal(opt_batches_completed(j.batches), 3);
    assert_int_equal(t.n, 12); /* three batches and the epoch */
    assert_int_equal(opt_optim_steps(j.optim), 6);
    job_free(&j);
}

/* ---- Going on ------------------------------------------------------------------------------------------ */

static void a_run_taken_up_from_a_file_comes_to_the_same(void **state)
{
    static const char path[] = "test_train_search.tmp";
    const opt_batches_opts *const batches[] = {&whole, &parts};

    for (int i = 0; i < 2; i++) {
        trace never = {.epoch = -1, .step = -1}, t = {.epoch = -1, .step = 5, .answer = OPT_STOP},
              rest = never;
        job a, b, c;

        job_new(&a, *state, &opt_lbfgs, &decaying, batches[i]);
        job_new(&b, *state, &opt_lbfgs, &decaying, batches[i]);
        job_new(&c, *state, &opt_lbfgs, &decaying, batches[i]);
        assert_ok(*state, job_train(&a, 12, &never));
        assert_ok(*state, job_train(&b, 12, &t));
        assert_int_equal(opt_optim_steps(b.optim), 5);
        assert_ok(*state, opt_save(*state, path, b.model.params, b.optim, b.batches));
        assert_ok(*state, opt_load(*state, path, c.model.params, c.optim, c.batches));
        assert_ok(*state, job_train(&c, 12, &rest));
        assert_true(same_bits(a.model.params, c.model.params));
        assert_true(never.at[never.n - 1].loss == rest.at[rest.n - 1].loss);
        job_free(&a);
        job_free(&b);
        job_free(&c);
    }
    remove(path);
    remove("test_train_search.tmp.bak");
}

/* ---- What goes wrong ----------------------------------------------------------------------------------- */

/* Not finite at a trial is too far; at the start it is an error, as ever. */
static void a_trial_need_not_be_finite(void **state)
{
    trace t = {.epoch = -1, .step = -1};
    watched w;
    job j;

    job_new(&j, *state, &opt_lbfgs, &(opt_optim_opts){.lr = 100}, &whole);
    watch(&j, &w);
    w.least = -4;
    assert_ok(*state, job_train(&j, 10, &t));
    assert_true(w.calls > 25);
    assert_true(t.at[t.n - 1].loss < t.at[0].loss);
    w.least = 4;
    assert_fails(*state, job_train(&j, 20, &t), OPT_ENONFINITE, "train: epoch 11, batch 1: ");
    job_free(&j);
}

/* The model's errors end training, its OPT_STOP like the others; the same batch is then tried again. */
static void a_failing_trial_ends_training_before_the_step(void **state)
{
    static const opt_status statuses[] = {OPT_EIO, OPT_STOP, OPT_END};
    trace never = {.epoch = -1, .step = -1};
    watched w;
    job a;

    job_new(&a, *state, &opt_lbfgs, &decaying, &whole);
    watch(&a, &w);
    assert_ok(*state, job_train(&a, 8, &never));
    for (int fails = 0; fails < w.calls; fails++) {
        trace t = {.epoch = -1, .step = -1};
        watched other;
        snapshot before, after;
        opt_status s;
        job b;

        job_new(&b, *state, &opt_lbfgs, &decaying, &whole);
        watch(&b, &other);
        other.fails = fails;
        other.status = statuses[fails % 3];
        do {
            before = job_snapshot(&b);
            s = job_train(&b, opt_batches_completed(b.batches) + 1, &t);
        } while (s == OPT_OK);
        assert_fails(*state, s, other.status, ", batch 1: ");
        after = job_snapshot(&b);
        assert_memory_equal(&before, &after, sizeof before);
        assert_ok(*state, job_train(&b, 8, &t));
        assert_true(same_bits(a.model.params, b.model.params));
        job_free(&b);
    }
    job_free(&a);
}

/* Whatever the method. */
static void a_models_end_is_not_that_of_the_epoch(void **state)
{
    static const opt_method *const methods[] = {&opt_lbfgs, &opt_adam};

    for (int i = 0; i < 2; i++) {
        trace t = {.epoch = -1, .step = -1};
        watched w;
        job j;

        job_new(&j, *state, methods[i], &plain, &parts);
        watch(&j, &w);
        w.fails = 0;
        w.status = OPT_END;
        assert_fails(*state, job_train(&j, 1, &t), OPT_END, "train: epoch 1, batch 1: ");
        assert_int_equal(t.n, 0);
        assert_int_equal(opt_batches_completed(j.batches), 0);
        job_free(&j);
    }
}

static void batches_are_not_gathered(void **state)
{
    trace t = {0};
    job j;

    job_new(&j, *state, &opt_lbfgs, &plain, &parts);
    assert_fails(*state, job_train_with(&j, (opt_train_opts){.epochs = 1, .accumulate = 2}, &t), OPT_EINVAL,
                 "train: accumulate = 2, but lbfgs evaluates a batch more than once");
    assert_ok(*state, job_train_with(&j, (opt_train_opts){.epochs = 1, .accumulate = 1}, &t));
    job_free(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_needs_fewer_epochs_than_adam),
        TEST(training_is_a_search_an_epoch),
        TEST(class_weights_hold_in_every_evaluation),
        TEST(it_ends_where_no_lower_loss_is_found),
        TEST(the_best_weights_are_put_back_at_its_end),
        TEST(it_may_end_before_the_first_step),
        TEST(another_batch_goes_on),
        TEST(a_run_taken_up_from_a_file_comes_to_the_same),
        TEST(a_trial_need_not_be_finite),
        TEST(a_failing_trial_ends_training_before_the_step),
        TEST(a_models_end_is_not_that_of_the_epoch),
        TEST(batches_are_not_gathered),
    };
    return cmocka_run_group_tests_name("train search", tests, NULL, NULL);
}

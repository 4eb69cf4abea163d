/* SPDX-License-Identifier: MIT
 *
 * What training does and reports, for the network and for a model of one's own, alone and over ranks.
 */
#include "problem.h"

#include <math.h>
#include <string.h>

static const opt_method *const methods[] = {&opt_gd, &opt_momentum, &opt_adam};

/* ---- A model of one's own ------------------------------------------------------------------------------ */

/* y = x . w by least squares. */
typedef struct line {
    double w[2], grad[2];
    opt_param param;
} line;

static opt_status line_grad(void *self, const opt_batch *part, double *loss)
{
    line *l = self;

    memset(l->grad, 0, sizeof l->grad);
    *loss = 0;
    for (int64_t i = 0; i < part->x.dim[0]; i++) {
        const double a = opt_get(&part->x, 2 * i), b = opt_get(&part->x, 2 * i + 1);
        const double off = a * l->w[0] + b * l->w[1] - opt_get(&part->y, i);

        *loss += off * off / (double)part->global_rows;
        l->grad[0] += 2 * off * a / (double)part->global_rows;
        l->grad[1] += 2 * off * b / (double)part->global_rows;
    }
    return OPT_OK;
}

static opt_model line_model(line *l)
{
    l->param = (opt_param){.name = "w",
                           .value = opt_tensor_view(OPT_F64, l->w, 1, (int64_t[]){2}),
                           .grad = opt_tensor_view(OPT_F64, l->grad, 1, (int64_t[]){2})};
    return (opt_model){.self = l, .params = {&l->param, 1}, .grad = line_grad};
}

static void a_model_of_ones_own_is_fitted(void **state)
{
    opt_ctx *ctx = *state;
    line l = {.w = {0, 0}};
    const opt_model model = line_model(&l);
    opt_optim *optim = NULL;
    job j;

    job_new(&j, ctx, &opt_gd, NULL, NULL);
    for (int64_t i = 0; i < JOB_ROWS; i++)
        opt_set(&j.p.data.y, i, 2 * opt_get(&j.p.data.x, 2 * i) - 3 * opt_get(&j.p.data.x, 2 * i + 1));
    assert_ok(ctx, opt_optim_new(ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 0.1}, model.params, &optim));
    assert_ok(ctx, opt_train(ctx, &model, optim, j.batches, &(opt_train_opts){.epochs = 300}));
    assert_close(l.w[0], 2, 1e-12);
    assert_close(l.w[1], -3, 1e-12);
    opt_optim_free(optim);
    job_free(&j);
}

/* ---- What is reported ---------------------------------------------------------------------------------- */

static void progress_says_where_training_is(void **state)
{
    static const opt_inverse_arg decay = {.decay = 1, .every = 2};
    job j;
    trace t = {0};

    job_new(&j, *state, &opt_adam,
            &(opt_optim_opts){.lr = 0.5, .schedule = opt_lr_inverse, .schedule_arg = &decay}, NULL);
    assert_ok(j.p.ctx, job_train(&j, 3, &t));
    assert_int_equal(t.n, 3 * (3 + 1));
    for (int i = 0; i < t.n; i++) {
        const opt_progress *p = &t.at[i];
        const int64_t epoch = i / 4, step = i % 4 < 3 ? i % 4 : 2; /* on_epoch follows the last step */

        assert_int_equal(p->epoch, epoch + 1);
        assert_int_equal(p->epochs, 3);
        assert_int_equal(p->step, 3 * epoch + step + 1);
        assert_close(p->lr, opt_lr_inverse(0.5, 3 * epoch + step, &decay), 0);
        assert_true(p->loss > 0 && p->last_loss > 0 && p->grad_norm > 0);
        assert_true(isnan(p->val_loss));
        assert_true(p->seconds >= 0 && p->seconds < 60);
        if (i % 4 == 3) {
            assert_close(p->loss, t.at[i - 1].loss, 0);
            assert_close(p->last_loss, t.at[i - 1].last_loss, 0);
        }
    }
    job_free(&j);
}

/* With frozen weights an epoch's mean cost is the loss over all rows, the last two weighing as much as any.
 */
static void losses_are_means_over_examples(void **state)
{
    static const int64_t rows[] = {4, 4, 2};
    job j;
    trace t = {0};
    double loss = 0, sum = 0;

    job_new(&j, *state, &opt_gd, NULL, &(opt_batches_opts){.size = 4, .in_order = true});
    opt_optim_set_lr(j.optim, 0);
    assert_ok(j.p.ctx, job_train(&j, 2, &t));
    for (int i = 0; i < 3; i++) {
        const opt_tensor x = opt_tensor_rows(&j.p.data.x, 4 * i, rows[i]),
                         y = opt_tensor_rows(&j.p.data.y, 4 * i, rows[i]);

        assert_ok(j.p.ctx, opt_mlp_loss(j.p.net, &x, &y, &loss));
        sum += loss * (double)rows[i];
        assert_close(t.at[i].last_loss, loss, 1e-15);
        assert_close(t.at[i].loss, sum / (double)(4 * i + rows[i]), 1e-15);
    }
    assert_ok(j.p.ctx, opt_mlp_loss(j.p.net, &j.p.data.x, &j.p.data.y, &loss));
    assert_close(t.at[3].loss, loss, 1e-14);
    assert_close(t.at[7].loss, loss, 1e-14); /* the next epoch begins anew */
    job_free(&j);
}

/* A batch left out for being short counts neither as a step nor in the mean. */
static void a_dropped_batch_is_not_in_the_mean(void **state)
{
    const opt_batches_opts opts = {.size = 4, .in_order = true, .drop_last = true};
    job j;
    trace t = {0};
    double loss = 0;

    job_new(&j, *state, &opt_gd, NULL, &opts);
    opt_optim_set_lr(j.optim, 0);
    assert_ok(j.p.ctx, job_train(&j, 1, &t));
    assert_int_equal(t.n, 3);
    const opt_tensor x = opt_tensor_rows(&j.p.data.x, 0, 8), y = opt_tensor_rows(&j.p.data.y, 0, 8);

    assert_ok(j.p.ctx, opt_mlp_loss(j.p.net, &x, &y, &loss));
    assert_close(t.at[2].loss, loss, 1e-14);
    job_free(&j);
}

static opt_status compare_norm(const opt_progress *p, void *ud)
{
    const job *j = ud;

    assert_close(p->grad_norm, opt_grad_norm(j->p.ctx, j->model.params), 0);
    return OPT_OK;
}

static void grad_norm_is_that_of_the_step_before_clipping(void **state)
{
    job j;
    trace t = {0};
    const opt_train_opts opts = {.epochs = 2, .on_step = compare_norm, .ud = &j};

    job_new(&j, *state, &opt_gd, &(opt_optim_opts){.lr = 0.1, .clip_norm = 1e-3, .clip_value = 1e-3}, NULL);
    assert_ok(j.p.ctx, opt_train(j.p.ctx, &j.model, j.optim, j.batches, &opts));
    job_free(&j);

    job_new(&j, *state, &opt_gd, &(opt_optim_opts){.lr = 0.1, .unchecked = true}, NULL);
    assert_ok(j.p.ctx, job_train(&j, 1, &t));
    for (int i = 0; i < t.n; i++)
        assert_true(isnan(t.at[i].grad_norm));
    job_free(&j);
}

static opt_status record(const opt_progress *p, void *ud)
{
    trace *t = ud;

    t->at[t->n++] = *p;
    return OPT_OK;
}

/* Each is told what it is told beside the other. */
static void either_callback_may_be_left_out(void **state)
{
    for (int epochs_only = 0; epochs_only < 2; epochs_only++) {
        trace both = {0}, expected = {0}, t = {0};
        const opt_train_opts opts = {.epochs = 2,
                                     .on_epoch = epochs_only ? record : NULL,
                                     .on_step = epochs_only ? NULL : record,
                                     .ud = &t};
        job j, k;

        job_new(&j, *state, &opt_adam, NULL, NULL);
        job_new(&k, *state, &opt_adam, NULL, NULL);
        assert_ok(j.p.ctx, job_train(&j, 2, &both));
        assert_ok(k.p.ctx, opt_train(k.p.ctx, &k.model, k.optim, k.batches, &opts));
        for (int i = 0; i < both.n; i++)
            if ((i % 4 == 3) == epochs_only) /* three steps, then the epoch's end */
                expected.at[expected.n++] = both.at[i];
        assert_true(same_trace(&t, &expected));
        job_free(&j);
        job_free(&k);
    }
}

/* ---- What is done -------------------------------------------------------------------------------------- */

/* The loop as a user would write it without opt_train. */
static void train_by_hand(job *j, int64_t epochs)
{
    for (int64_t e = 1; e <= epochs; e++) {
        opt_batch b;
        double loss;

        assert_ok(j->p.ctx, opt_batches_begin(j->batches, e));
        while (opt_batches_next(j->batches, &b) == OPT_OK) {
            assert_ok(j->p.ctx, opt_mlp_grad(j->p.net, &b.x, &b.y, &loss));
            assert_ok(j->p.ctx, opt_optim_step(j->optim));
        }
    }
}

static void training_is_the_loop_written_out(void **state)
{
    static const int64_t sizes[] = {1, 3, 4, JOB_ROWS};

    for (int m = 0; m < 3; m++)
        for (int s = 0; s < 4; s++) {
            const opt_batches_opts opts = {.size = sizes[s], .seed = 2};
            job trained, by_hand;
            trace t = {0};

            job_new(&trained, *state, methods[m], NULL, &opts);
            job_new(&by_hand, *state, methods[m], NULL, &opts);
            assert_ok(trained.p.ctx, job_train(&trained, 3, &t));
            train_by_hand(&by_hand, 3);
            const snapshot a = job_snapshot(&trained), b = job_snapshot(&by_hand);

            assert_memory_equal(&a, &b, sizeof a);
            assert_int_equal(a.steps, 3 * opt_batches_count(trained.batches));
            job_free(&trained);
            job_free(&by_hand);
        }
}

static void batches_of_one_row_and_of_all_lower_the_loss(void **state)
{
    static const int64_t sizes[] = {1, JOB_ROWS};

    for (int s = 0; s < 2; s++) {
        const opt_train_opts opts = {.epochs = 500};
        double before = 0, after = 0;
        job j;

        job_new(&j, *state, &opt_gd, NULL, &(opt_batches_opts){.size = sizes[s]});
        assert_ok(j.p.ctx, opt_mlp_loss(j.p.net, &j.p.data.x, &j.p.data.y, &before));
        assert_ok(j.p.ctx, opt_train(j.p.ctx, &j.model, j.optim, j.batches, &opts));
        assert_ok(j.p.ctx, opt_mlp_loss(j.p.net, &j.p.data.x, &j.p.data.y, &after));
        assert_true(after < 0.9 * before);
        job_free(&j);
    }
}

static void two_runs_give_the_same_bits(void **state)
{
    for (int m = 0; m < 3; m++) {
        job a, b;
        trace ta = {0}, tb = {0};

        job_new(&a, *state, methods[m], NULL, NULL);
        assert_ok(a.p.ctx, job_train(&a, 5, &ta));
        job_new(&b, *state, methods[m], NULL, NULL);
        assert_ok(b.p.ctx, job_train(&b, 5, &tb));
        assert_true(same_bits(a.model.params, b.model.params));
        assert_true(same_trace(&ta, &tb));
        job_free(&a);
        job_free(&b);
    }
}

static void nothing_on_the_way_allocates(void **state)
{
    const opt_optim_opts all_on = {
        .lr = 0.1, .clip_value = 1, .clip_norm = 1, .l2 = 0.01, .weight_decay = 0.01};

    (void)state;
    for (int m = 0; m < 3; m++) {
        count c;
        job j;
        trace t = {0};
        opt_batch b;
        opt_tensor out;
        double loss;
        long calls;

        count_init(&c);
        opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
        job_new(&j, ctx, methods[m], &all_on, NULL);
        out = matrix(ctx, OPT_F64, JOB_ROWS, 1, (double[JOB_ROWS]){0});
        calls = c.calls;
        assert_ok(ctx, job_train(&j, 3, &t));
        assert_ok(ctx, opt_batches_begin(j.batches, 4));
        assert_ok(ctx, opt_batches_next(j.batches, &b));
        assert_ok(ctx, opt_mlp_grad(j.p.net, &b.x, &b.y, &loss));
        assert_ok(ctx, opt_mlp_loss(j.p.net, &j.p.data.x, &j.p.data.y, &loss));
        assert_ok(ctx, opt_mlp_predict(j.p.net, &j.p.data.x, &out));
        assert_ok(ctx, opt_optim_step(j.optim));
        assert_int_equal(c.calls, calls);
        assert_int_equal(c.peak, c.bytes);
        opt_tensor_free(ctx, &out);
        job_free(&j);
        opt_ctx_free(ctx);
        assert_int_equal(c.live, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_model_of_ones_own_is_fitted),
        TEST(progress_says_where_training_is),
        TEST(losses_are_means_over_examples),
        TEST(a_dropped_batch_is_not_in_the_mean),
        TEST(grad_norm_is_that_of_the_step_before_clipping),
        TEST(either_callback_may_be_left_out),
        TEST(training_is_the_loop_written_out),
        TEST(batches_of_one_row_and_of_all_lower_the_loss),
        TEST(two_runs_give_the_same_bits),
        TEST(nothing_on_the_way_allocates),
    };

    return cmocka_run_group_tests_name("train", tests, NULL, NULL);
}

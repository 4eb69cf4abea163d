/* SPDX-License-Identifier: MIT
 *
 * The whole job, from the context to the predictions, with each of its allocations failing in turn: it ends
 * with OPT_ENOMEM, with nothing written where the failing call's result would have gone, and nothing leaked.
 */
#include "support.h"

#include <math.h>
#include <string.h>

enum { ROWS = 100 };

/* Every field but ctx is written by the step that makes it, and garbage before. */
typedef struct work {
    opt_ctx *ctx;
    const opt_method *method;
    opt_table data;
    opt_mlp *net;
    opt_batches *batches;
    opt_optim *optim, *copy;
    opt_tensor out;
    double err; /* of the gradient */
} work;

/* Clipping takes room for the gradient as clipped. */
static const opt_optim_opts optim_opts = {.lr = 0.01, .clip_norm = 1};

static double loss_of(void *ud)
{
    const work *w = ud;
    double loss = (double)NAN;

    assert_ok(w->ctx, opt_mlp_loss(w->net, &w->data.x, &w->data.y, &loss));
    return loss;
}

static opt_status make_moons(work *w)
{
    return opt_moons(w->ctx, ROWS, 0.2, 3, &w->data);
}

static opt_status make_net(work *w)
{
    return opt_mlp_new(w->ctx, &(opt_mlp_opts){.size = {2, 5, 2, 1}, .act = OPT_TANH, .seed = 3}, &w->net);
}

static opt_status make_batches(work *w)
{
    const opt_source source = opt_source_table(&w->data);

    return opt_batches_new(w->ctx, &source, &(opt_batches_opts){.size = 16, .seed = 10}, &w->batches);
}

static opt_status make_optim(work *w)
{
    return opt_optim_new(w->ctx, w->method, NULL, &optim_opts, opt_mlp_params(w->net), &w->optim);
}

static opt_status make_copy(work *w)
{
    return opt_optim_new(w->ctx, w->method, NULL, &optim_opts, opt_mlp_params(w->net), &w->copy);
}

static opt_status make_out(work *w)
{
    return opt_tensor_new(w->ctx, OPT_F64, 2, (int64_t[]){ROWS, 1}, &w->out);
}

static opt_status train_and_predict(work *w)
{
    const opt_model model = opt_mlp_model(w->net);
    opt_status s = opt_train(w->ctx, &model, w->optim, w->batches, &(opt_train_opts){.epochs = 3});

    if (!s)
        s = opt_optim_copy_state(w->optim, w->copy);
    return s ? s : opt_mlp_predict(w->net, &w->data.x, &w->out);
}

static opt_status check_gradient(work *w)
{
    assert_true(loss_of(w) > 0);
    return opt_grad_check(w->ctx, loss_of, w, opt_mlp_params(w->net), &w->err);
}

static opt_status (*const steps[])(work *) = {make_moons, make_net, make_batches,      make_optim,
                                              make_copy,  make_out, train_and_predict, check_gradient};
enum { STEPS = sizeof steps / sizeof *steps };

/* Runs the job with the counter's failures; returns whether one was met. */
static bool meets_failure(count *c, const opt_method *method)
{
    work w, before;
    opt_status s = OPT_OK;
    int done = 0;

    memset(&w, 0x5a, sizeof w);
    w.ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c->allocator});
    w.method = method;
    while (w.ctx != NULL && done < STEPS) {
        memcpy(&before, &w, sizeof w);
        s = steps[done](&w);
        if (s != OPT_OK) {
            assert_fails(w.ctx, s, OPT_ENOMEM, "memory");
            assert_memory_equal(&w, &before, sizeof w);
            break;
        }
        done++;
    }
    if (done > 5)
        opt_tensor_free(w.ctx, &w.out);
    if (done > 4)
        opt_optim_free(w.copy);
    if (done > 3)
        opt_optim_free(w.optim);
    if (done > 2)
        opt_batches_free(w.batches);
    if (done > 1)
        opt_mlp_free(w.net);
    if (done > 0) {
        opt_tensor_free(w.ctx, &w.data.x);
        opt_tensor_free(w.ctx, &w.data.y);
    }
    opt_ctx_free(w.ctx);
    assert_int_equal(c->live, 0);
    assert_int_equal(c->bytes, 0);
    return done < STEPS;
}

static void fail_each_allocation(bool and_all_after)
{
    static const opt_method *const methods[] = {&opt_gd, &opt_momentum, &opt_adam};

    for (int m = 0; m < 3; m++) {
        count c;

        count_init(&c);
        assert_false(meets_failure(&c, methods[m]));
        const long calls = c.calls;

        assert_true(calls > 20);
        for (long n = 0; n <= calls; n++) {
            count_init(&c);
            c.fail_from = n;
            c.fail_all = and_all_after;
            assert_int_equal(meets_failure(&c, methods[m]), n < calls);
        }
    }
}

static void any_single_allocation_may_fail(void **state)
{
    (void)state;
    fail_each_allocation(false);
}

static void memory_may_run_out_at_any_point(void **state)
{
    (void)state;
    fail_each_allocation(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_single_allocation_may_fail),
        cmocka_unit_test(memory_may_run_out_at_any_point),
    };

    return cmocka_run_group_tests_name("no memory", tests, NULL, NULL);
}

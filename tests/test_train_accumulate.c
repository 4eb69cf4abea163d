/* SPDX-License-Identifier: MIT
 *
 * Steps of several batches.
 */
#include "problem.h"

static void train(job *j, int64_t accumulate, int64_t epochs, trace *t)
{
    const opt_train_opts opts = {.epochs = epochs, .accumulate = accumulate};

    assert_ok(j->p.ctx, job_train_with(j, opts, t));
}

/* A network on 300 rows, trained for 3 epochs by steps of `accumulate` batches of `size` rows. */
static void trained(problem *p, opt_ctx *ctx, opt_dtype dtype, int64_t size, int64_t accumulate, double *loss)
{
    const opt_mlp_opts net = {.size = {20, 17, 3}, .loss = OPT_SOFTMAX_CE, .seed = 1, .dtype = dtype};
    opt_source source;
    opt_batches *batches;
    opt_optim *adam;
    opt_model model;
    trace t = {0};

    problem_new(p, ctx, &net, 300);
    source = opt_source_table(&p->data);
    model = opt_mlp_model(p->net);
    assert_ok(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = size}, &batches));
    assert_ok(ctx, opt_optim_new(ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 0.01}, model.params, &adam));
    job j = {.p = *p, .model = model, .optim = adam, .batches = batches};
    train(&j, accumulate, 3, &t);
    assert_int_equal(opt_optim_steps(adam), 9);
    *loss = t.at[t.n - 1].loss;
    opt_optim_free(adam);
    opt_batches_free(batches);
}

/* Chunks of 64 rows are what the library's sums are made of: two batches of one are a batch of two. */
static void two_batches_are_one_twice_as_large_bit_for_bit(void **state)
{
    static const opt_dtype dtypes[] = {OPT_F32, OPT_F64};

    for (int i = 0; i < 2; i++) {
        problem a, b;
        double a_loss, b_loss;

        trained(&a, *state, dtypes[i], 128, 0, &a_loss);
        trained(&b, *state, dtypes[i], 64, 2, &b_loss);
        assert_true(same_bits(opt_mlp_params(a.net), opt_mlp_params(b.net)));
        assert_close(a_loss, b_loss, 1e-15);
        problem_free(&a);
        problem_free(&b);
    }
}

/* Batches of 4, 4 and 2 rows make steps of 8 and 2, or of all 10. */
static void the_last_step_takes_what_is_left(void **state)
{
    static const struct {
        int64_t accumulate;
        int steps;
    } cases[] = {{0, 3}, {1, 3}, {2, 2}, {3, 1}, {4, 1}, {INT64_MAX, 1}};
    const opt_batches_opts all = {.size = JOB_ROWS};
    snapshot whole, s;
    trace t = {0};
    job j;

    job_new(&j, *state, &opt_momentum, NULL, &all);
    train(&j, 0, 5, &t);
    whole = job_snapshot(&j);
    job_free(&j);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        t = (trace){0};
        job_new(&j, *state, &opt_momentum, NULL, NULL);
        train(&j, cases[i].accumulate, 5, &t);
        assert_int_equal(opt_optim_steps(j.optim), 5 * cases[i].steps);
        s = job_snapshot(&j);
        for (int k = 0; cases[i].steps == 1 && k < JOB_VALUES; k++)
            assert_close(s.value[k], whole.value[k], 1e-14);
        job_free(&j);
    }
}

static void a_run_stopped_between_steps_goes_on(void **state)
{
    trace never = {0}, t = {.step = 3, .answer = OPT_STOP};
    job a, b;
    snapshot x, y;

    job_new(&a, *state, &opt_adam, NULL, NULL);
    job_new(&b, *state, &opt_adam, NULL, NULL);
    train(&a, 2, 4, &never);
    train(&b, 2, 4, &t);
    assert_int_equal(opt_optim_steps(b.optim), 3);
    t.step = -1;
    train(&b, 2, 4, &t);
    assert_true(same_trace(&never, &t));
    x = job_snapshot(&a);
    y = job_snapshot(&b);
    assert_memory_equal(&x, &y, sizeof x);
    job_free(&a);
    job_free(&b);
}

/* A model whose gradient fails at one of its calls. */
typedef struct fragile {
    opt_model whole;
    int calls, fails;
} fragile;

static opt_status fragile_grad(void *self, const opt_batch *part, double *loss)
{
    fragile *f = self;

    return f->calls++ == f->fails ? OPT_EIO : f->whole.grad(f->whole.self, part, loss);
}

static void batches_of_a_step_that_fails_are_handed_out_again(void **state)
{
    trace never = {0}, t = {0};
    snapshot before, after;
    fragile f = {.fails = 1}; /* the second batch, in the middle of a step of two */
    opt_model model;
    job a, b;

    job_new(&a, *state, &opt_adam, NULL, NULL);
    job_new(&b, *state, &opt_adam, NULL, NULL);
    train(&a, 2, 2, &never);
    train(&b, 2, 1, &t);
    before = job_snapshot(&b);
    f.whole = b.model;
    model = b.model;
    model.self = &f;
    model.grad = fragile_grad;
    b.model = model;
    assert_fails(*state, job_train_with(&b, (opt_train_opts){.epochs = 2, .accumulate = 2}, &t), OPT_EIO,
                 "train: epoch 2, batch 2: ");
    after = job_snapshot(&b);
    assert_memory_equal(&before, &after, sizeof before);
    train(&b, 2, 2, &t);
    before = job_snapshot(&a);
    after = job_snapshot(&b);
    assert_memory_equal(&before, &after, sizeof before);
    job_free(&a);
    job_free(&b);
}

static void memory_is_taken_before_the_first_step(void **state)
{
    opt_ctx *ctx;
    count c;
    job j;

    (void)state;
    count_init(&c);
    ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
    job_new(&j, ctx, &opt_adam, NULL, NULL);
    for (long n = 0;; n++) {
        const snapshot before = job_snapshot(&j);
        const long live = c.live;
        trace t = {0};
        opt_status s;

        c.fail_from = c.calls + n;
        s = job_train_with(&j, (opt_train_opts){.epochs = 1, .accumulate = 3}, &t);
        assert_int_equal(c.live, live);
        if (s == OPT_OK) {
            assert_int_equal(n, 5); /* the list and its four tensors */
            break;
        }
        const snapshot after = job_snapshot(&j);
        assert_fails(ctx, s, OPT_ENOMEM, "memory");
        assert_memory_equal(&before, &after, sizeof before);
    }
    job_free(&j);
    opt_ctx_free(ctx);
}

static void fewer_than_none_are_refused(void **state)
{
    trace t = {0};
    job j;

    job_new(&j, *state, &opt_gd, NULL, NULL);
    assert_fails(*state, job_train_with(&j, (opt_train_opts){.epochs = 1, .accumulate = -1}, &t), OPT_EINVAL,
                 "train: accumulate = -1 is below 0");
    job_free(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_batches_are_one_twice_as_large_bit_for_bit),
        TEST(the_last_step_takes_what_is_left),
        TEST(a_run_stopped_between_steps_goes_on),
        TEST(batches_of_a_step_that_fails_are_handed_out_again),
        TEST(memory_is_taken_before_the_first_step),
        TEST(fewer_than_none_are_refused),
    };

    return cmocka_run_group_tests_name("train accumulate", tests, NULL, NULL);
}

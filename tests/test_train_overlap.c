/* SPDX-License-Identifier: MIT
 *
 * Gradients that are summed over ranks layer by layer, while those of other layers are computed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ranks.h"
#include "support.h"

enum { ROWS = 40, INPUTS = 16, WIDE = 190, OUTPUTS = 3, EPOCHS = 2, BATCHES = 2, PIECES = 3 };
enum { VALUES = INPUTS * WIDE + WIDE + 2 * (WIDE * WIDE + WIDE) + WIDE * OUTPUTS + OUTPUTS };

typedef struct work {
    int threads;
    int64_t chunk;
    bool plain; /* the model says nothing of use of when a gradient is ready */
    opt_status status[RANKS_MOST];
    char message[RANKS_MOST][200];
    double *weights[RANKS_MOST]; /* [VALUES] */
} work;

static opt_status grad_without_saying(void *self, const opt_batch *part, double *loss)
{
    const opt_model *net = self;
    opt_batch quiet = *part;
    opt_status s;

    quiet.ready = NULL;
    if (part->ready != NULL)
        part->ready(part->ready_ud, 1000); /* none */
    s = net->grad(net->self, &quiet, loss);
    if (part->ready != NULL && !s)
        part->ready(part->ready_ud, -1); /* all */
    return s;
}

static void train(opt_comm comm, void *arg)
{
    work *w = arg;
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.comm = comm, .threads = w->threads});
    const opt_mlp_opts shape = {
        .size = {INPUTS, WIDE, WIDE, WIDE, OUTPUTS}, .loss = OPT_SOFTMAX_CE, .dtype = OPT_F64};
    const opt_batches_opts cut = {.size = ROWS / BATCHES, .seed = 3, .chunk = w->chunk};
    opt_table table = {0};
    opt_source source;
    opt_mlp *net = NULL;
    opt_optim *optim = NULL;
    opt_batches *batches = NULL;
    opt_model model, of_net;
    opt_rng rng;
    opt_status s;

    opt_rng_seed(&rng, 5);
    s = opt_tensor_new(ctx, OPT_F64, 2, (int64_t[]){ROWS, INPUTS}, &table.x);
    if (!s)
        s = opt_tensor_new(ctx, OPT_F64, 2, (int64_t[]){ROWS, OUTPUTS}, &table.y);
    for (int64_t i = 0; !s && i < ROWS * INPUTS; i++)
        opt_set(&table.x, i, opt_rng_normal(&rng));
    for (int64_t i = 0; !s && i < ROWS; i++)
        opt_set(&table.y, OUTPUTS * i + i % OUTPUTS, 1);
    source = opt_source_table(&table);
    if (!s)
        s = opt_mlp_new(ctx, &shape, &net);
    if (!s)
        s = opt_batches_new(ctx, &source, &cut, &batches);
    if (!s)
        s = opt_optim_new(ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 1e-3}, opt_mlp_params(net), &optim);
    model = of_net = opt_mlp_model(net);
    if (w->plain) {
        model.self = &of_net;
        model.grad = grad_without_saying;
    }
    if (!s)
        s = opt_train(ctx, &model, optim, batches, &(opt_train_opts){.epochs = EPOCHS});
    w->status[comm.rank] = s;
    snprintf(w->message[comm.rank], sizeof w->message[0], "%s", opt_errmsg(ctx));
    for (int64_t p = 0, k = 0; net != NULL && p < model.params.n; p++)
        for (int64_t i = 0; i < opt_tensor_len(&model.params.at[p].value); i++)
            w->weights[comm.rank][k++] = opt_get(&model.params.at[p].value, i);
    opt_optim_free(optim);
    opt_batches_free(batches);
    opt_mlp_free(net);
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
    opt_ctx_free(ctx);
}

static void work_new(work *w)
{
    *w = (work){.threads = 1, .chunk = 1};
    for (int r = 0; r < RANKS_MOST; r++)
        assert_non_null(w->weights[r] = calloc(VALUES, sizeof(double)));
}

static void work_free(work *w)
{
    for (int r = 0; r < RANKS_MOST; r++)
        free(w->weights[r]);
}

static void check_same(const work *w, int ranks, const work *alone)
{
    for (int r = 0; r < ranks; r++) {
        assert_string_equal(w->message[r], "");
        assert_int_equal(w->status[r], OPT_OK);
        assert_memory_equal(w->weights[r], alone->weights[0], VALUES * sizeof(double));
    }
}

/* With every depth of a rank's own tree of chunks, and ranks that have no rows. */
static void weights_are_those_of_one_rank(void **state)
{
    static const int64_t chunks[] = {1, 3, 8, 20};
    int begun, polls;
    work alone, w;

    (void)state;
    work_new(&alone);
    work_new(&w);
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        alone.chunk = w.chunk = chunks[i];
        train((opt_comm){0}, &alone);
        check_same(&alone, 1, &alone);
        for (int ranks = 2; ranks <= 5; ranks++) {
            w.threads = ranks % 2 ? 3 : 1;
            ranks_run(ranks, -1, train, &w);
            check_same(&w, ranks, &alone);
            ranks_run_begun(ranks, -1, train, &w, &begun, &polls);
            check_same(&w, ranks, &alone);
            assert_int_equal(begun, ranks * EPOCHS * BATCHES * PIECES);
        }
    }
    work_free(&alone);
    work_free(&w);
}

/* Between the first layer that is ready and the last there are parts of others to compute; a model that says
 * nothing has its gradients summed when it has returned. */
static void sums_go_on_meanwhile(void **state)
{
    int begun, polls;
    work alone, w;

    (void)state;
    work_new(&alone);
    work_new(&w);
    train((opt_comm){0}, &alone);
    ranks_run_begun(2, -1, train, &w, &begun, &polls);
    check_same(&w, 2, &alone);
    assert_true(polls >= 2 * EPOCHS * BATCHES * PIECES);
    w.plain = true;
    ranks_run_begun(2, -1, train, &w, &begun, &polls);
    check_same(&w, 2, &alone);
    assert_int_equal(begun, 2 * EPOCHS * BATCHES * PIECES);
    assert_int_equal(polls, 0);
    work_free(&alone);
    work_free(&w);
}

static void check_failed(const work *w, const work *before)
{
    for (int r = 0; r < 2; r++) {
        assert_int_equal(w->status[r], OPT_ECOMM);
        assert_non_null(strstr(w->message[r], "over ranks failed: as it was told to"));
        assert_memory_equal(w->weights[r], before->weights[r], VALUES * sizeof(double));
    }
}

/* Wherever a sum fails, begun in mid-gradient or made at once: the step is not made. */
static void a_sum_that_fails_ends_training(void **state)
{
    int begun, polls, sums, at_start = 0;
    work w, before;

    (void)state;
    work_new(&w);
    work_new(&before);
    sums = ranks_run_begun(2, -1, train, &w, &begun, &polls);
    assert_int_equal(ranks_run(2, -1, train, &w), sums);
    for (int n = 0; n < sums; n++) { /* those by which ranks are compared come first, then four steps' sums */
        ranks_run_begun(2, n, train, &w, &begun, &polls);
        if (w.status[0] == OPT_OK)
            fail_msg("sum %d failed and training went on", n);
        at_start += begun == 0;
        ranks_run(2, n, train, &before);
        check_failed(&w, &before);
    }
    assert_true(at_start > 0 && at_start < sums);
    work_free(&w);
    work_free(&before);
}

static opt_status begin_nothing(void *ud, void *buf, size_t n, opt_dtype t)
{
    (void)ud, (void)buf, (void)n, (void)t;
    return OPT_OK;
}

static void poll_nothing(void *ud)
{
    (void)ud;
}

static void a_hook_that_is_not_whole_is_refused(void **state)
{
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.comm = {.size = 1, .begin = begin_nothing}});
    opt_tensor t;

    (void)state;
    assert_non_null(ctx);
    assert_string_equal(opt_errmsg(ctx), "context: of comm's begin, poll and finish there are some, not all");
    assert_int_equal(opt_tensor_new(ctx, OPT_F64, 1, (int64_t[]){1}, &t), OPT_EINVAL);
    opt_ctx_free(ctx);
    ctx = opt_ctx_new(&(opt_ctx_opts){.comm = {.size = 1, .begin = begin_nothing, .poll = poll_nothing}});
    assert_non_null(strstr(opt_errmsg(ctx), "some, not all"));
    opt_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_those_of_one_rank),
        cmocka_unit_test(sums_go_on_meanwhile),
        cmocka_unit_test(a_sum_that_fails_ends_training),
        cmocka_unit_test(a_hook_that_is_not_whole_is_refused),
    };

    return cmocka_run_group_tests_name("train, sums while computing", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * What opt_evaluate refuses, and that its results are untouched then.
 */
#include "problem.h"

#include <string.h>

static const opt_mlp_opts three_classes = {
    .size = {4, 7, 3}, .act = OPT_TANH, .loss = OPT_SOFTMAX_CE, .seed = 4};

/* Zeros; fails when rows above fail_at are asked for. */
static opt_status read_until(void *ud, const int64_t *row, int64_t n, opt_tensor *x, opt_tensor *y)
{
    opt_tensor_fill(x, 0);
    opt_tensor_fill(y, 0);
    return row[n - 1] > *(const int64_t *)ud ? OPT_EFORMAT : OPT_OK;
}

static opt_status answer(void *self, const opt_batch *part, double *loss, opt_tensor *out)
{
    (void)part;
    opt_tensor_fill(out, 0);
    *loss = 0;
    return *(const opt_status *)self;
}

static opt_status fine = OPT_OK;

/* Refused with this status and message, and the results untouched. */
static void refused(opt_ctx *ctx, opt_model model, opt_source source, int64_t counts_rows, opt_status status,
                    const char *part)
{
    opt_tensor counts = matrix(ctx, OPT_F64, counts_rows, 2, (double[6]){7, 7, 7, 7, 7, 7});
    opt_evaluation e = {.rows = -7};

    assert_fails(ctx, opt_evaluate(ctx, &model, &source, &e, &counts), status, part);
    assert_int_equal(e.rows, -7);
    for (int64_t i = 0; i < opt_tensor_len(&counts); i++)
        assert_close(opt_get(&counts, i), 7, 0);
    opt_tensor_free(ctx, &counts);
}

static void errors_leave_the_results_untouched(void **state)
{
    opt_ctx *ctx = *state;
    int64_t fail_at = 255;
    const opt_source source = {600, 1, 1, OPT_F64, read_until, &fail_at}, empty = {.read = read_until};
    const opt_model two = {.predict = answer, .self = &fine, .classes = 2}, none = {.classes = 2};
    const opt_model one = {.predict = answer, .self = &fine, .classes = 1},
                    three = {.predict = answer, .self = &fine, .classes = 3};
    opt_model failing = {.predict = answer, .classes = 2};
    static const opt_status answers[] = {OPT_EIO, OPT_END, OPT_STOP};
    opt_tensor broken;
    opt_evaluation e;

    refused(ctx, none, source, 2, OPT_EINVAL, "evaluate: the model has no predict");
    refused(ctx, two, empty, 2, OPT_EINVAL, "evaluate: batches: the source has no rows");
    refused(ctx, two, source, 3, OPT_ESHAPE, "evaluate: confusion is [3, 2] where the model has 2 classes");
    refused(ctx, three, source, 3, OPT_ESHAPE, "evaluate: confusion is [3, 2] where the model has 3 classes");
    broken = matrix(ctx, OPT_F64, 2, 3, (double[6]){0});
    assert_fails(ctx, opt_evaluate(ctx, &two, &source, &e, &broken), OPT_ESHAPE, "confusion is [2, 3]");
    broken.ndim = 1;
    assert_fails(ctx, opt_evaluate(ctx, &two, &source, &e, &broken), OPT_ESHAPE, "confusion is [2]");
    opt_tensor_free(ctx, &broken);
    assert_fails(ctx, opt_evaluate(ctx, &two, &source, &e, &broken), OPT_EINVAL, "confusion has no data");
    refused(ctx, two, source, 2, OPT_EFORMAT, "evaluate: batches: reading batch 2 of epoch 1 failed");
    for (int i = 0; i < 3; i++) {
        opt_status s = answers[i];

        failing.self = &s;
        refused(ctx, failing, source, 2, answers[i], "evaluate: batch 1: ");
        assert_non_null(strstr(opt_errmsg(ctx), opt_strerror(answers[i])));
    }
    const opt_source wide = {600, 1, 2, OPT_F64, read_until, &fail_at};

    assert_fails(ctx, opt_evaluate(ctx, &one, &source, &e, NULL), OPT_EINVAL, "classes = 1 is below 2");
    assert_fails(ctx, opt_evaluate(ctx, &three, &wide, &e, NULL), OPT_ESHAPE,
                 "evaluate: labels have 2 columns where the model has 3 classes");
}

static void arguments_that_are_not_there_are_refused(void **state)
{
    opt_ctx *ctx = *state;
    const opt_model model = {.predict = answer, .self = &fine};
    const opt_source source = {.read = read_until};
    opt_evaluation e;

    assert_int_equal(opt_evaluate(NULL, &model, &source, &e, NULL), OPT_EINVAL);
    assert_fails(ctx, opt_evaluate(ctx, NULL, &source, &e, NULL), OPT_EINVAL, "evaluate: model is NULL");
    assert_fails(ctx, opt_evaluate(ctx, &model, NULL, &e, NULL), OPT_EINVAL, "evaluate: source is NULL");
    assert_fails(ctx, opt_evaluate(ctx, &model, &source, NULL, NULL), OPT_EINVAL, "evaluate: out is NULL");
}

/* Labels that the loss does not know, and data that do not fit the network. */
static void a_networks_errors_are_passed_on(void **state)
{
    opt_ctx *ctx = *state;
    opt_evaluation e = {.rows = -7};
    opt_table narrow;
    problem p;

    problem_new(&p, ctx, &three_classes, 10);
    const opt_source source = opt_source_table(&p.data);
    const opt_model model = opt_mlp_model(p.net);

    opt_set(&p.data.y, 3 * 4 + 1, 0.5);
    assert_fails(ctx, opt_evaluate(ctx, &model, &source, &e, NULL), OPT_EINVAL,
                 "mlp: row 4 of y is not one-hot");
    narrow = (opt_table){matrix(ctx, OPT_F64, 10, 2, (double[20]){0}), p.data.y};
    const opt_source narrow_source = opt_source_table(&narrow);

    assert_fails(ctx, opt_evaluate(ctx, &model, &narrow_source, &e, NULL), OPT_ESHAPE,
                 "evaluate: batch 1: mlp: x is [10, 2], not rows of 4");
    assert_int_equal(e.rows, -7);
    opt_tensor_free(ctx, &narrow.x);
    problem_free(&p);
}

static void any_allocation_may_fail(void **state)
{
    long calls = 1;

    (void)state;
    for (long n = 0; n < calls; n++) {
        count c;
        problem p;
        opt_evaluation e = {.rows = -7};

        count_init(&c);
        opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
        problem_new(&p, ctx, &three_classes, 10);
        const opt_source source = opt_source_table(&p.data);
        const opt_model model = opt_mlp_model(p.net);
        opt_tensor counts = matrix(ctx, OPT_F64, 3, 3, (double[9]){0});
        const long before = c.calls, live = c.live;

        assert_ok(ctx, opt_evaluate(ctx, &model, &source, &e, &counts));
        calls = c.calls - before;
        e.rows = -7;
        c.fail_from = c.calls + n;
        assert_fails(ctx, opt_evaluate(ctx, &model, &source, &e, &counts), OPT_ENOMEM, "evaluate: ");
        assert_int_equal(e.rows, -7);
        assert_int_equal(c.live, live);
        opt_tensor_free(ctx, &counts);
        problem_free(&p);
        opt_ctx_free(ctx);
        assert_int_equal(c.live, 0);
    }
    assert_true(calls > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(errors_leave_the_results_untouched),
        TEST(arguments_that_are_not_there_are_refused),
        TEST(a_networks_errors_are_passed_on),
        TEST(any_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("train, evaluate refused", tests, NULL, NULL);
}

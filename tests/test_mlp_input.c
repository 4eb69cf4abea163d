/* SPDX-License-Identifier: MIT
 *
 * What a network refuses: options, shapes and labels; and that nothing has changed after it.
 */
#include "problem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 70, INPUTS = 3, OUTPUTS = 2, VALUES = 3 * 4 + 4 + 4 * 2 + 2 };

/* ---- Options ------------------------------------------------------------------------------------------- */

static void options_out_of_range_are_refused_by_name(void **state)
{
    static const struct {
        opt_mlp_opts opts;
        const char *part;
    } bad[] = {
        {{.seed = 1}, "mlp: size has 0 entries"},
        {{.size = {2}}, "mlp: size has 1 entries"},
        {{.size = {0, 2, 1}}, "mlp: size[1] = 2 follows a 0"},
        {{.size = {2, -5, 1}}, "mlp: size[1] = -5 is below 1"},
        {{.size = {-1}}, "mlp: size[0] = -1 is below 1"},
        {{.size = {2, 1, 0, 0, 4}}, "mlp: size[4] = 4 follows a 0"},
        {{.size = {2, 1, 0, -4}}, "mlp: size[3] = -4 is below 1"},
        {{.size = {2, 1, [OPT_MLP_MAX_SIZES - 1] = 1}}, "mlp: size[31] = 1 follows a 0"},
        {{.size = {INT64_MAX, INT64_MAX}}, "mlp: size[0] = 9223372036854775807 times size[1]"},
        {{.size = {1, INT64_MAX}}, "overflows"},
        {{.size = {INT64_MAX / 8, 1}}, "overflows"},
        {{.size = {2, 3, (int64_t)1 << BY_WIDTH(31, 16), (int64_t)1 << 31}},
         BY_WIDTH("mlp: size[2] = 2147483648 times size[3]", "mlp: size[2] = 65536 times size[3]")},
        {{.size = {(int64_t)1 << 32, (int64_t)1 << 32}}, "overflows"},
        {{.size = {2, 3}, .act = (opt_act)3}, "mlp: act = 3 is unknown"},
        {{.size = {2, 3}, .loss = (opt_loss)3}, "mlp: loss = 3 is unknown"},
        {{.size = {2, 3, 1}, .loss = OPT_SOFTMAX_CE}, "mlp: softmax needs 2 outputs or more, size[2] = 1"},
    };
    opt_ctx *ctx = *state;
    opt_mlp *const untouched = (opt_mlp *)(void *)ctx;
    opt_mlp *net = untouched;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_fails(ctx, opt_mlp_new(ctx, &bad[i].opts, &net), OPT_EINVAL, bad[i].part);
        assert_ptr_equal(net, untouched);
    }
    assert_fails(ctx, opt_mlp_new(ctx, &(opt_mlp_opts){.size = {2, 3}, .dtype = (opt_dtype)3}, &net),
                 OPT_EDTYPE, "mlp: dtype = 3 is neither OPT_F32 nor OPT_F64");
    assert_ptr_equal(net, untouched);
}

static void *refuse_much(void *ud, void *p, size_t old_size, size_t new_size)
{
    (void)ud;
    (void)old_size;
    if (new_size == 0 || new_size > (size_t)1 << 20) {
        free(p);
        return NULL;
    }
    return malloc(new_size);
}

/* Sizes that no memory holds, though their bytes can be counted. */
static void sizes_beyond_memory_are_out_of_memory(void **state)
{
    static const opt_mlp_opts large[] = {
        {.size = {2, (int64_t)1 << BY_WIDTH(40, 18), 1}},
        {.size = {(int64_t)1 << BY_WIDTH(50, 18), 1}},
        {.size = {(int64_t)1 << BY_WIDTH(25, 9), (int64_t)1 << BY_WIDTH(25, 10), 3}}};
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = {refuse_much, NULL}});
    opt_mlp *net = NULL;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_fails(ctx, opt_mlp_new(ctx, &large[i], &net), OPT_ENOMEM, "mlp: out of memory");
    assert_null(net);
    opt_ctx_free(ctx);
}

static void null_arguments_are_refused(void **state)
{
    const opt_mlp_opts opts = {.size = {2, 1}};
    opt_ctx *ctx = *state;
    opt_mlp *net = NULL;
    opt_tensor x = matrix(ctx, OPT_F64, 1, 2, (double[]){1, 2}),
               y = matrix(ctx, OPT_F64, 1, 1, (double[]){1});
    double loss = 42;

    assert_int_equal(opt_mlp_new(NULL, &opts, &net), OPT_EINVAL);
    assert_fails(ctx, opt_mlp_new(ctx, NULL, &net), OPT_EINVAL, "mlp: opts is NULL");
    assert_null(net);
    assert_fails(ctx, opt_mlp_new(ctx, &opts, NULL), OPT_EINVAL, "mlp: out is NULL");
    assert_int_equal(opt_mlp_loss(NULL, &x, &y, &loss), OPT_EINVAL);
    assert_int_equal(opt_mlp_grad(NULL, &x, &y, &loss), OPT_EINVAL);
    assert_int_equal(opt_mlp_predict(NULL, &x, &y), OPT_EINVAL);
    assert_close(loss, 42, 0);
    assert_int_equal(opt_mlp_params(NULL).n, 0);
    opt_mlp_free(NULL);

    assert_ok(ctx, opt_mlp_new(ctx, &opts, &net));
    assert_fails(ctx, opt_mlp_loss(net, &x, &y, NULL), OPT_EINVAL, "mlp: mean_loss is NULL");
    assert_fails(ctx, opt_mlp_grad(net, &x, &y, NULL), OPT_EINVAL, "mlp: mean_loss is NULL");
    opt_mlp_free(net);
    opt_tensor_free(ctx, &x);
    opt_tensor_free(ctx, &y);
}

static void a_context_with_bad_options_refuses(void **state)
{
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.threads = -1});
    opt_mlp *net = NULL;

    (void)state;
    assert_fails(ctx, opt_mlp_new(ctx, &(opt_mlp_opts){.size = {2, 1}}, &net), OPT_EINVAL, "threads = -1");
    assert_null(net);
    opt_ctx_free(ctx);
}

/* ---- Data ---------------------------------------------------------------------------------------------- */

/* Fails unless loss and grad both refuse these data, and leave weights, gradients and loss as they are. */
static void assert_refused(const problem *p, const opt_tensor *x, const opt_tensor *y, opt_status status,
                           const char *part)
{
    const opt_param *first = &opt_mlp_params(p->net).at[0];
    const double before = -0.0;
    double values[VALUES], grads[VALUES], loss = before;

    for (int64_t i = 0; i < VALUES; i++)
        ((double *)first->grad.data)[i] = (double)i + 0.5;
    memcpy(values, first->value.data, sizeof values);
    memcpy(grads, first->grad.data, sizeof grads);
    assert_fails(p->ctx, opt_mlp_loss(p->net, x, y, &loss), status, part);
    assert_fails(p->ctx, opt_mlp_grad(p->net, x, y, &loss), status, part);
    assert_memory_equal(&loss, &before, sizeof loss);
    assert_memory_equal(first->value.data, values, sizeof values);
    assert_memory_equal(first->grad.data, grads, sizeof grads);
}

static void assert_predict_refused(const problem *p, const opt_tensor *x, opt_tensor *out, opt_status status,
                                   const char *part)
{
    double before[ROWS * OUTPUTS];
    const size_t size = out && out->data ? sizeof before : 0;

    if (size > 0)
        memcpy(before, out->data, size);
    assert_fails(p->ctx, opt_mlp_predict(p->net, x, out), status, part);
    if (size > 0)
        assert_memory_equal(out->data, before, size);
}

static void new_net(problem *p, opt_ctx *ctx, opt_loss loss)
{
    problem_new(p, ctx, &(opt_mlp_opts){.size = {INPUTS, 4, OUTPUTS}, .loss = loss, .seed = 1}, ROWS);
}

/* Another view of a tensor's memory, of which it may use less. */
static opt_tensor as(const opt_tensor *t, opt_dtype dtype, int ndim, int64_t rows, int64_t cols)
{
    return opt_tensor_view(dtype, t->data, ndim, (int64_t[]){rows, cols});
}

static void x_that_does_not_fit_is_refused(void **state)
{
    problem p;

    new_net(&p, *state, OPT_MSE);
    const opt_tensor x = p.data.x;
    opt_tensor out = matrix(p.ctx, OPT_F64, ROWS, OUTPUTS, (double[ROWS * OUTPUTS]){7, 8, 9});
    const struct {
        opt_tensor x;
        opt_status status;
        const char *part;
    } bad[] = {
        {{0}, OPT_EINVAL, "mlp: x has no data"},
        {as(&x, OPT_F64, 2, ROWS, 2), OPT_ESHAPE, "mlp: x is [70, 2], not rows of 3"},
        {as(&x, OPT_F64, 2, ROWS / 2, 4), OPT_ESHAPE, "mlp: x is [35, 4], not rows of 3"},
        {as(&x, OPT_F64, 1, ROWS, 0), OPT_ESHAPE, "mlp: x is [70], not rows of 3"},
        {as(&x, OPT_F64, 0, 0, 0), OPT_ESHAPE, "mlp: x is [], not rows of 3"},
        {as(&x, OPT_F32, 2, ROWS, 3), OPT_EDTYPE, "mlp: x is f32 where the network is f64"},
        {{x.data, (opt_dtype)9, 2, {ROWS, 3}}, OPT_EDTYPE, "mlp: x: dtype = 9"},
        {{x.data, OPT_F64, 2, {0, 3}}, OPT_ESHAPE, "mlp: x: dim[0] = 0 is below 1"},
        {{x.data, OPT_F64, 5, {ROWS, 3}}, OPT_ESHAPE, "mlp: x: ndim = 5"},
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_refused(&p, &bad[i].x, &p.data.y, bad[i].status, bad[i].part);
        assert_predict_refused(&p, &bad[i].x, &out, bad[i].status, bad[i].part);
    }
    assert_refused(&p, NULL, &p.data.y, OPT_EINVAL, "mlp: x is NULL");
    assert_predict_refused(&p, NULL, &out, OPT_EINVAL, "mlp: x is NULL");
    opt_tensor_free(p.ctx, &out);
    problem_free(&p);
}

static void y_and_out_that_do_not_fit_are_refused(void **state)
{
    problem p;

    new_net(&p, *state, OPT_MSE);
    const opt_tensor y = p.data.y;
    const struct {
        opt_tensor t;
        opt_status status;
        const char *y, *out;
    } bad[] = {
        {{0}, OPT_EINVAL, "mlp: y has no data", "mlp: out has no data"},
        {as(&y, OPT_F64, 2, ROWS - 1, 2), OPT_ESHAPE, "mlp: y is [69, 2] where x has 70 rows",
         "mlp: out is [69, 2] where x has 70 rows"},
        {as(&y, OPT_F64, 2, ROWS, 1), OPT_ESHAPE, "mlp: y is [70, 1], not rows of 2",
         "mlp: out is [70, 1], not rows of 2"},
        {as(&y, OPT_F64, 1, ROWS, 0), OPT_ESHAPE, "mlp: y is [70], not", "mlp: out is [70], not"},
        {as(&y, OPT_F64, 0, 0, 0), OPT_ESHAPE, "mlp: y is [], not", "mlp: out is [], not"},
        {as(&y, OPT_F32, 2, ROWS, 2), OPT_EDTYPE, "mlp: y is f32 where the network is f64",
         "mlp: out is f32 where the network is f64"},
        {{y.data, (opt_dtype)0, 2, {ROWS, 2}}, OPT_EDTYPE, "mlp: y: dtype = 0", "mlp: out: dtype = 0"},
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        opt_tensor out = bad[i].t;

        assert_refused(&p, &p.data.x, &bad[i].t, bad[i].status, bad[i].y);
        assert_predict_refused(&p, &p.data.x, &out, bad[i].status, bad[i].out);
    }
    const opt_tensor x = opt_tensor_rows(&p.data.x, 0, ROWS - 1);
    opt_tensor out = y;

    assert_refused(&p, &x, &y, OPT_ESHAPE, "mlp: y is [70, 2] where x has 69 rows");
    assert_predict_refused(&p, &x, &out, OPT_ESHAPE, "mlp: out is [70, 2] where x has 69 rows");
    assert_refused(&p, &p.data.x, NULL, OPT_EINVAL, "mlp: y is NULL");
    assert_predict_refused(&p, &p.data.x, NULL, OPT_EINVAL, "mlp: out is NULL");
    problem_free(&p);
}

/* In the first chunk of rows and beyond. */
static void labels_that_the_loss_does_not_know_are_refused_by_row(void **state)
{
    static const struct {
        opt_loss loss;
        double label[OUTPUTS];
    } bad[] = {
        {OPT_BCE, {0, 1.0001}},
        {OPT_BCE, {-1e-6, 1}},
        {OPT_BCE, {0, (double)NAN}},
        {OPT_BCE, {HUGE_VAL, 0}},
        {OPT_SOFTMAX_CE, {1, 1}},
        {OPT_SOFTMAX_CE, {0, 0}},
        {OPT_SOFTMAX_CE, {0.5, 0.5}},
        {OPT_SOFTMAX_CE, {(double)NAN, 1}},
        {OPT_SOFTMAX_CE, {0, (double)NAN}},
        {OPT_SOFTMAX_CE, {2, -1}},
    };
    static const int rows[] = {0, 69};

    for (size_t i = 0; i < 2 * sizeof bad / sizeof *bad; i++) {
        const char *want = bad[i / 2].loss == OPT_BCE ? "within [0, 1]" : "one-hot: one 1 among zeros";
        const int row = rows[i % 2];
        char part[64];
        problem p;

        new_net(&p, *state, bad[i / 2].loss);
        for (int64_t j = 0; j < OUTPUTS; j++)
            opt_set(&p.data.y, row * OUTPUTS + j, bad[i / 2].label[j]);
        snprintf(part, sizeof part, "mlp: row %d of y is not %s", row, want);
        assert_refused(&p, &p.data.x, &p.data.y, OPT_EINVAL, part);
        problem_free(&p);
    }
}

static void f32_labels_are_checked_too(void **state)
{
    double loss = 42;
    problem p;

    problem_new(&p, *state, &(opt_mlp_opts){.size = {3, 1}, .dtype = OPT_F32}, 5);
    opt_set(&p.data.y, 3, (double)NAN);
    assert_fails(p.ctx, opt_mlp_loss(p.net, &p.data.x, &p.data.y, &loss), OPT_EINVAL,
                 "mlp: row 3 of y is not within [0, 1]");
    assert_close(loss, 42, 0);
    problem_free(&p);
}

static void boundary_labels_are_taken(void **state)
{
    static const double labels[] = {0, 1, -0.0, 0.5, 1e-300};
    problem p;
    double loss = (double)NAN;

    problem_new(&p, *state, &(opt_mlp_opts){.size = {3, 1}}, 5);
    memcpy(p.data.y.data, labels, sizeof labels);
    assert_ok(p.ctx, opt_mlp_loss(p.net, &p.data.x, &p.data.y, &loss));
    assert_true(loss > 0);
    problem_free(&p);
}

static void more_units_than_memory_has_are_refused(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_mlp *net;

    (void)state;
    assert_fails(ctx, opt_mlp_new(ctx, &(opt_mlp_opts){.size = {1, INT64_C(1) << 54, 1}}, &net), OPT_EINVAL,
                 "size[0] = 1 times size[1] = 18014398509481984 overflows");
    assert_fails(ctx, opt_mlp_new(ctx, &(opt_mlp_opts){.size = {INT64_C(1) << 54, 1}}, &net), OPT_EINVAL,
                 "size[0] = 18014398509481984 times size[1] = 1 overflows");
    opt_ctx_free(ctx);
}

/* As a model sees them. */
static void parts_that_do_not_fit_are_refused(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_model model;
    opt_batch part;
    double loss;
    problem p;

    (void)state;
    problem_new(&p, ctx, &(opt_mlp_opts){.size = {2, 3, 2}, .loss = OPT_MSE}, 4);
    model = opt_mlp_model(p.net);
    part = (opt_batch){.x = p.data.x, .y = p.data.y, .global_rows = 4, .weight = p.data.x};
    part.weight.dtype = (opt_dtype)9;
    assert_fails(ctx, model.grad(model.self, &part, &loss), OPT_EDTYPE, "mlp: weight: dtype = 9");
    assert_fails(ctx, model.predict(model.self, &part, &loss, &p.data.x), OPT_EINVAL, "mlp: out overlaps x");
    assert_fails(ctx, model.predict(model.self, &part, &loss, &p.data.y), OPT_EINVAL, "mlp: out overlaps y");
    for (part.chunk = -1; part.chunk < 100; part.chunk += 66) {
        assert_fails(ctx, model.grad(model.self, &part, &loss), OPT_EINVAL, "mlp: the batch's chunk = ");
        assert_fails(ctx, model.predict(model.self, &part, &loss, &p.data.y), OPT_EINVAL, "outside [0, 64]");
    }
    problem_free(&p);
    opt_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(options_out_of_range_are_refused_by_name),
        TEST(sizes_beyond_memory_are_out_of_memory),
        TEST(null_arguments_are_refused),
        TEST(a_context_with_bad_options_refuses),
        TEST(x_that_does_not_fit_is_refused),
        TEST(y_and_out_that_do_not_fit_are_refused),
        TEST(labels_that_the_loss_does_not_know_are_refused_by_row),
        TEST(f32_labels_are_checked_too),
        TEST(boundary_labels_are_taken),
        TEST(more_units_than_memory_has_are_refused),
        TEST(parts_that_do_not_fit_are_refused),
    };

    return cmocka_run_group_tests_name("mlp input", tests, NULL, NULL);
}

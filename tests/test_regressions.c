/* SPDX-License-Identifier: MIT
 *
 * Defects that the library once had. Each test failed before its cause was mended.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "posix.h"
#include "support.h"

static double flat_loss(void *ud)
{
    return *(const double *)ud;
}

/* The largest error was taken with fmax, which drops a NaN. */
static void a_gradient_check_does_not_pass_what_is_not_finite(void **state)
{
    double w = 1, g = (double)NAN, loss = 2, err = 5;
    opt_param p = {"w", opt_tensor_view(OPT_F64, &w, 0, NULL), opt_tensor_view(OPT_F64, &g, 0, NULL), false};
    opt_ctx *ctx = opt_ctx_new(NULL);
    const opt_params params = {&p, 1};

    (void)state;
    assert_fails(ctx, opt_grad_check(ctx, flat_loss, &loss, params, &err), OPT_ENONFINITE,
                 "grad_check: element 0 of the gradient of w is nan");
    g = 0;
    w = HUGE_VAL;
    assert_fails(ctx, opt_grad_check(ctx, flat_loss, &loss, params, &err), OPT_ENONFINITE,
                 "grad_check: element 0 of w is inf");
    assert_close(err, 5, 0);
    opt_ctx_free(ctx);
}

/* A source kept the row count of a table that had since become shorter, and read beyond its end. */
static void a_source_must_fit_its_table(void **state)
{
    double x[20] = {0};
    opt_table table = {opt_tensor_view(OPT_F64, x, 2, (int64_t[]){10, 2}), {0}};
    opt_source source = opt_source_table(&table), wide = source, fewer = source;
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_batches *b = NULL;

    (void)state;
    wide.x_cols = 1;
    assert_fails(ctx, opt_batches_new(ctx, &wide, NULL, &b), OPT_ESHAPE, "another shape");
    fewer.rows = 7; /* leaves the last three out */
    assert_ok(ctx, opt_batches_new(ctx, &fewer, NULL, &b));
    opt_batches_free(b);
    b = NULL;
    table.x.dim[0] = 5;
    assert_fails(ctx, opt_batches_new(ctx, &source, NULL, &b), OPT_ESHAPE, "another shape");
    assert_null(b);
    opt_ctx_free(ctx);
}

/* Valid in f64, these became 0, 1 or infinite when rounded to f32, and the weights NaN. */
static void options_must_make_sense_in_f32_too(void **state)
{
    float w = 0, g = 0;
    opt_param p = {"w", opt_tensor_view(OPT_F32, &w, 0, NULL), opt_tensor_view(OPT_F32, &g, 0, NULL), false};
    const opt_params params = {&p, 1};
    const opt_optim_opts fine = {.lr = 1}, fast = {.lr = 1e39}, heavy = {.lr = 1, .l2 = 1e39};
    const opt_adam_opts tiny = {.eps = 1e-50}, near = {.beta1 = 1 - 1e-9}, none = {.eps = OPT_ZERO};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_optim *o = NULL;

    (void)state;
    assert_fails(ctx, opt_optim_new(ctx, &opt_adam, &tiny, &fine, params, &o), OPT_EINVAL,
                 "adam: eps = 1e-50");
    assert_fails(ctx, opt_optim_new(ctx, &opt_adam, &near, &fine, params, &o), OPT_EINVAL,
                 "adam: beta1 = 1 is");
    assert_fails(ctx, opt_optim_new(ctx, &opt_adam, &none, &fine, params, &o), OPT_EINVAL, "adam: eps = 0");
    assert_fails(ctx, opt_optim_new(ctx, &opt_gd, NULL, &fast, params, &o), OPT_EINVAL, "gd: lr = 1e+39");
    assert_fails(ctx, opt_optim_new(ctx, &opt_gd, NULL, &heavy, params, &o), OPT_EINVAL, "gd: l2 = 1e+39");
    assert_null(o);
    opt_ctx_free(ctx);
}

/* A learning rate set later, or made by a schedule, must fit f32 as well. */
static void rates_must_make_sense_in_f32_too(void **state)
{
    float w = 1, g = 0;
    opt_param p = {"w", opt_tensor_view(OPT_F32, &w, 0, NULL), opt_tensor_view(OPT_F32, &g, 0, NULL), false};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_optim *o;

    (void)state;
    assert_ok(ctx, opt_optim_new(ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 1}, (opt_params){&p, 1}, &o));
    opt_optim_set_lr(o, 1e39);
    assert_fails(ctx, opt_optim_step(o), OPT_EINVAL, "learning rate of step 1");
    assert_true(w == 1);
    opt_optim_free(o);
    opt_ctx_free(ctx);
}

static void a_gradient_may_not_share_memory_with_its_value(void **state)
{
    double w[3] = {0};
    opt_param p = {"w", opt_tensor_view(OPT_F64, w, 1, (int64_t[]){2}),
                   opt_tensor_view(OPT_F64, w + 1, 1, (int64_t[]){2}), false};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_optim *o = NULL;

    (void)state;
    assert_fails(ctx, opt_optim_new(ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 1}, (opt_params){&p, 1}, &o),
                 OPT_EINVAL, "gd: the gradient of w shares memory with the value");
    opt_ctx_free(ctx);
}

/* Schedules without their argument crashed; OPT_ZERO in it was taken for -1; a warm-up of INT64_MIN
 * overflowed. */
static void schedules_cope_with_odd_arguments(void **state)
{
    (void)state;
    assert_true(isnan(opt_lr_inverse(1, 0, NULL)));
    assert_true(isnan(opt_lr_step(1, 0, NULL)));
    assert_true(isnan(opt_lr_cosine(1, 0, NULL)));
    assert_true(isnan(opt_lr_exponential(1, 0, NULL)));
    assert_true(isnan(opt_lr_polynomial(1, 0, NULL)));
    assert_true(isnan(opt_lr_one_cycle(1, 0, NULL)));
    assert_true(isnan(opt_lr_warmup(1, 0, NULL)));
    assert_close(opt_lr_cosine(1, 9, &(opt_cosine_arg){.total = 3, .final_fraction = OPT_ZERO}), 0, 0);
    assert_close(opt_lr_inverse(1, 9, &(opt_inverse_arg){.decay = OPT_ZERO}), 1, 0);
    assert_close(opt_lr_step(1, 0, &(opt_step_arg){.factor = OPT_ZERO}), 1, 0);
    assert_close(opt_lr_step(1, 1, &(opt_step_arg){.factor = OPT_ZERO}), 0, 0);
    assert_close(opt_lr_cosine(1, 0, &(opt_cosine_arg){.warmup = INT64_MIN, .total = 10}), 1, 0);
}

/* Permuting INT64_MIN elements wrote out of bounds. */
static void nothing_is_permuted_when_there_is_nothing(void **state)
{
    opt_rng r;
    int64_t one = 7;

    (void)state;
    opt_rng_seed(&r, 1);
    opt_rng_permutation(&r, INT64_MIN, &one);
    assert_int_equal(one, 7);
}

/* beta is rounded to the matrices' dtype, where 1e300 is infinite. */
static void a_products_beta_must_fit_its_dtype(void **state)
{
    float a = 1, b = 1, c = 0;
    opt_tensor ta = opt_tensor_view(OPT_F32, &a, 2, (int64_t[]){1, 1}), tb = ta, tc = ta;
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    tb.data = &b;
    tc.data = &c;
    assert_fails(ctx, opt_matmul(ctx, false, &ta, false, &tb, 1e300, &tc), OPT_EINVAL, "beta = 1e+300");
    assert_true(c == 0);
    opt_ctx_free(ctx);
}

static opt_status scribble(void *ud, const int64_t *row, int64_t n, opt_tensor *x, opt_tensor *y)
{
    (void)ud;
    (void)row;
    (void)n;
    opt_tensor_fill(x, 3);
    x->data = NULL; /* not its own to change */
    y->dim[0] = 99;
    return OPT_OK;
}

static void a_source_cannot_change_the_batchs_shape(void **state)
{
    const opt_source source = {.rows = 4, .x_cols = 2, .y_cols = 1, .dtype = OPT_F64, .read = scribble};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_batches *b;
    opt_batch part;

    (void)state;
    assert_ok(ctx, opt_batches_new(ctx, &source, NULL, &b));
    assert_ok(ctx, opt_batches_begin(b, 1));
    assert_ok(ctx, opt_batches_next(b, &part));
    assert_true(opt_get(&part.x, 7) == 3);
    assert_int_equal(part.y.dim[0], 4);
    opt_batches_free(b);
    opt_ctx_free(ctx);
}

static void out_of_predict_may_not_overlap_x(void **state)
{
    double memory[6] = {0};
    opt_tensor x = opt_tensor_view(OPT_F64, memory, 2, (int64_t[]){2, 2});
    opt_tensor out = opt_tensor_view(OPT_F64, memory + 3, 2, (int64_t[]){2, 1});
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_mlp *net;

    (void)state;
    assert_ok(ctx, opt_mlp_new(ctx, &(opt_mlp_opts){.size = {2, 1}}, &net));
    assert_fails(ctx, opt_mlp_predict(net, &x, &out), OPT_EINVAL, "mlp: out overlaps x");
    opt_mlp_free(net);
    opt_ctx_free(ctx);
}

/* opt_train went by the last epoch completed, whatever had been begun since. */
static void beginning_an_epoch_again_trains_it_again(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_table table;
    opt_mlp *net;
    opt_batches *b;
    opt_optim *o;
    opt_model model;
    opt_source source;

    (void)state;
    assert_ok(ctx, opt_moons(ctx, 20, 0.1, 1, &table));
    source = opt_source_table(&table);
    assert_ok(ctx, opt_mlp_new(ctx, &(opt_mlp_opts){.size = {2, 1}}, &net));
    assert_ok(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = 10}, &b));
    assert_ok(ctx, opt_optim_new(ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 0.1}, opt_mlp_params(net), &o));
    model = opt_mlp_model(net);
    assert_ok(ctx, opt_train(ctx, &model, o, b, &(opt_train_opts){.epochs = 3}));
    assert_int_equal(opt_optim_steps(o), 6);
    assert_ok(ctx, opt_batches_begin(b, 2));
    assert_ok(ctx, opt_train(ctx, &model, o, b, &(opt_train_opts){.epochs = 3}));
    assert_int_equal(opt_optim_steps(o), 10);
    assert_ok(ctx, opt_batches_begin(b, 7));
    assert_ok(ctx, opt_train(ctx, &model, o, b, &(opt_train_opts){.epochs = 3}));
    assert_int_equal(opt_optim_steps(o), 10);
    opt_optim_free(o);
    opt_batches_free(b);
    opt_mlp_free(net);
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
    opt_ctx_free(ctx);
}

/* In f32 the difference of two logits overflowed. */
static void softmax_of_the_largest_floats_is_finite(void **state)
{
    float x[] = {1}, y[] = {1, 0};
    opt_tensor tx = opt_tensor_view(OPT_F32, x, 2, (int64_t[]){1, 1});
    opt_tensor ty = opt_tensor_view(OPT_F32, y, 2, (int64_t[]){1, 2});
    opt_ctx *ctx = opt_ctx_new(NULL);
    double loss;
    opt_mlp *net;

    (void)state;
    assert_ok(ctx, opt_mlp_new(ctx, &(opt_mlp_opts){.size = {1, 2}, .loss = OPT_SOFTMAX_CE, .dtype = OPT_F32},
                               &net));
    opt_set(&opt_mlp_params(net).at[0].value, 0, -2e38);
    opt_set(&opt_mlp_params(net).at[0].value, 1, 2e38);
    assert_ok(ctx, opt_mlp_grad(net, &tx, &ty, &loss));
    assert_close(loss / 4e38, 1, 1e-6);
    opt_mlp_free(net);
    opt_ctx_free(ctx);
}

/* An unknown number was taken for the best instruction set. */
static void an_instruction_set_must_be_the_machines(void **state)
{
#ifdef __aarch64__
    const opt_isa bad[] = {OPT_ISA_AVX2, OPT_ISA_AVX512, (opt_isa)99};
#else
    const opt_isa bad[] = {OPT_ISA_NEON, (opt_isa)99, (opt_isa)5};
#endif
    opt_tensor t = {0};

    (void)state;
    for (int i = 0; i < 3; i++) {
        opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.isa = bad[i]});

        assert_fails(ctx, opt_tensor_new(ctx, OPT_F64, 0, NULL, &t), OPT_EINVAL, "is not of this machine");
        assert_null(t.data);
        opt_ctx_free(ctx);
    }
}

/* Columns in which there is no example were worked out with x = 0, where this network's units are infinite,
 * and met gradients of 0. */
static void columns_without_examples_spoil_nothing(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_params params;
    opt_mlp *net;

    (void)state;
    assert_ok(ctx, opt_mlp_new(ctx, &(opt_mlp_opts){.size = {1, 1, 1, 1}, .loss = OPT_MSE, .dtype = OPT_F32},
                               &net));
    params = opt_mlp_params(net);
    opt_tensor_fill(&params.at[0].value, 1e30);
    opt_tensor_fill(&params.at[1].value, 1e30);
    opt_tensor_fill(&params.at[2].value, 1e30);
    opt_tensor_fill(&params.at[4].value, 1);
    for (int64_t rows = 1; rows <= 3; rows++) {
        float copy[2][3];
        opt_tensor tx = opt_tensor_view(OPT_F32, copy[0], 2, (int64_t[]){rows, 1});
        opt_tensor ty = opt_tensor_view(OPT_F32, copy[1], 2, (int64_t[]){rows, 1});
        double loss;

        for (int64_t i = 0; i < rows; i++) {
            copy[0][i] = -1.5F;
            copy[1][i] = 0;
        }
        assert_ok(ctx, opt_mlp_grad(net, &tx, &ty, &loss));
        for (int i = 0; i < params.n; i++)
            assert_true(isfinite(opt_get(&params.at[i].grad, 0)));
    }
    opt_mlp_free(net);
    opt_ctx_free(ctx);
}

static opt_status odd_status(const opt_update *u)
{
    (void)u;
    return (opt_status)65536;
}

/* Of an update's status only 16 bits were passed on: 65536 counted as OPT_OK. */
static void any_status_of_an_update_is_passed_on(void **state)
{
    static const opt_method method = {.name = "odd", .update = odd_status};
    double w = 1, g = 1;
    opt_param p = {"w", opt_tensor_view(OPT_F64, &w, 0, NULL), opt_tensor_view(OPT_F64, &g, 0, NULL), false};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_optim *o;

    (void)state;
    assert_ok(ctx, opt_optim_new(ctx, &method, NULL, &(opt_optim_opts){.lr = 1}, (opt_params){&p, 1}, &o));
    assert_int_equal(opt_optim_step(o), 65536);
    assert_int_equal(opt_optim_steps(o), 0);
    opt_optim_free(o);
    opt_ctx_free(ctx);
}

/* A NaN may have a sign, which depends on the instruction set, and "-nan" was shown. */
static void a_nan_is_shown_without_sign(void **state)
{
    double w = 1, g = -(double)NAN;
    opt_param p = {"w", opt_tensor_view(OPT_F64, &w, 0, NULL), opt_tensor_view(OPT_F64, &g, 0, NULL), false};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_optim *o;

    (void)state;
    assert_ok(ctx, opt_optim_new(ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 1}, (opt_params){&p, 1}, &o));
    g = copysign(g, -1);
    assert_fails(ctx, opt_optim_step(o), OPT_ENONFINITE, "gradient of w is nan");
    opt_optim_free(o);
    opt_ctx_free(ctx);
}

/* 0.01, in the range that methods.h has, became less than that when rounded to f32. */
static void the_least_of_a_range_is_allowed_in_f32_too(void **state)
{
    float w = 0, g = 0;
    opt_param p = {"w", opt_tensor_view(OPT_F32, &w, 0, NULL), opt_tensor_view(OPT_F32, &g, 0, NULL), false};
    const opt_schedule_free_opts least = {.beta1 = 0.01}, less = {.beta1 = 0.0099};
    const opt_optim_opts opts = {.lr = 1};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_optim *o = NULL;

    (void)state;
    assert_fails(ctx, opt_optim_new(ctx, &opt_schedule_free, &less, &opts, (opt_params){&p, 1}, &o),
                 OPT_EINVAL, "schedule_free: beta1 = 0.0099 is outside [0.01, 1)");
    assert_ok(ctx, opt_optim_new(ctx, &opt_schedule_free, &least, &opts, (opt_params){&p, 1}, &o));
    opt_optim_free(o);
    opt_ctx_free(ctx);
}

#ifdef _WIN32
static int inherited_handles(void)
{
    int n = 0;

    for (uintptr_t h = 4; h < 4096; h += 4) {
        DWORD flags;

        n += GetHandleInformation((HANDLE)h, &flags) && (flags & HANDLE_FLAG_INHERIT) != 0;
    }
    return n;
}

/* Programs that were started meanwhile kept its files open. */
static void a_streams_files_are_not_inherited(void **state)
{
    const char *const path = "test_regressions.tmp";
    const int before = inherited_handles();
    double x = 1;
    const opt_tensor t = opt_tensor_view(OPT_F64, &x, 2, (int64_t[]){1, 1});
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_stream *stream = NULL;

    (void)state;
    assert_ok(ctx, opt_write_npy(ctx, path, &t));
    assert_ok(ctx, opt_stream_open(ctx, path, NULL, NULL, &stream));
    assert_int_equal(inherited_handles(), before);
    opt_stream_close(stream);
    assert_int_equal(remove(path), 0);
    opt_ctx_free(ctx);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gradient_check_does_not_pass_what_is_not_finite),
        cmocka_unit_test(a_source_must_fit_its_table),
        cmocka_unit_test(options_must_make_sense_in_f32_too),
        cmocka_unit_test(rates_must_make_sense_in_f32_too),
        cmocka_unit_test(a_gradient_may_not_share_memory_with_its_value),
        cmocka_unit_test(schedules_cope_with_odd_arguments),
        cmocka_unit_test(nothing_is_permuted_when_there_is_nothing),
        cmocka_unit_test(a_products_beta_must_fit_its_dtype),
        cmocka_unit_test(a_source_cannot_change_the_batchs_shape),
        cmocka_unit_test(out_of_predict_may_not_overlap_x),
        cmocka_unit_test(beginning_an_epoch_again_trains_it_again),
        cmocka_unit_test(softmax_of_the_largest_floats_is_finite),
        cmocka_unit_test(an_instruction_set_must_be_the_machines),
        cmocka_unit_test(columns_without_examples_spoil_nothing),
        cmocka_unit_test(any_status_of_an_update_is_passed_on),
        cmocka_unit_test(a_nan_is_shown_without_sign),
        cmocka_unit_test(the_least_of_a_range_is_allowed_in_f32_too),
#ifdef _WIN32
        cmocka_unit_test(a_streams_files_are_not_inherited),
#endif
    };
    return cmocka_run_group_tests_name("regressions", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Muon and the driver: what goes to Adam, state and scratch, clipping and decay, threads, checkpoints, and a
 * network that it trains.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "problem.h"
#include "single.h"

static const opt_optim_opts usual = {.lr = 0.02}, no_decay = {.lr = 0.02, .weight_decay = OPT_ZERO};

static single start(opt_dtype dtype, int64_t rows, int64_t cols, const opt_optim_opts *opts)
{
    return single_shaped(&opt_muon, NULL, dtype, 2, (int64_t[]){rows, cols}, opts, 1);
}

static void set_gradient(const single *p, int t, double scale)
{
    for (int64_t i = 0; i < opt_tensor_len(&p->param.grad); i++)
        opt_set(&p->param.grad, i, scale * sin((double)(i * i + i * t + t)));
}

static void step_along(single *p, int from, int to)
{
    for (int t = from; t < to; t++) {
        set_gradient(p, t, 1);
        single_step(p);
    }
}

static void fill_with_cosines(const opt_tensor *x)
{
    for (int64_t i = 0; i < opt_tensor_len(x); i++)
        opt_set(x, i, cos((double)i));
}

/* ---- What is Adam's, what is Muon's ---------------------------------------------------------------------
 */

static void all_but_matrices_go_to_adam(void **state)
{
    static const int64_t dim[] = {6, 5, 2, 3};
    static const opt_muon_opts tuned = {.beta1 = 0.8, .beta2 = 0.9, .adam_eps = 1e-3};
    static const opt_adam_opts adams = {0.8, 0.9, 1e-3};
    const opt_optim_opts opts = {.lr = 0.1, .weight_decay = 0.1, .l2 = 0.2, .clip_value = 0.9};

    (void)state;
    for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++)
        for (int ndim = 0; ndim <= 4; ndim++)
            for (int own = 0; own < 2; own++) {
                single a = single_shaped(&opt_muon, own ? &tuned : NULL, dtype, ndim, dim, &opts, 1);
                single b = single_shaped(&opt_adam, own ? &adams : NULL, dtype, ndim, dim, &opts, 1);

                fill_with_cosines(&a.param.value);
                fill_with_cosines(&b.param.value);
                step_along(&a, 0, 6);
                step_along(&b, 0, 6);
                assert_true(single_same_bits(&a, &b) == (ndim != 2));
                assert_true((opt_optim_slot(a.optim, 0, "v") != NULL) == (ndim != 2));
                single_free(&a);
                single_free(&b);
            }
}

static void a_matrix_has_momentum_alone(void **state)
{
    single p = start(OPT_F32, 3, 4, &usual);
    const opt_tensor *m = opt_optim_slot(p.optim, 0, "m");

    (void)state;
    assert_non_null(m);
    assert_null(opt_optim_slot(p.optim, 0, "v"));
    assert_int_equal(m->dtype, OPT_F32);
    assert_int_equal(m->ndim, 2);
    assert_int_equal(m->dim[0], 3);
    assert_int_equal(m->dim[1], 4);
    set_gradient(&p, 1, 1);
    single_step(&p);
    for (int64_t i = 0; i < 12; i++)
        assert_close(opt_get(m, i), 0.05 * opt_get(&p.param.grad, i), 1e-8);
    single_free(&p);
}

/* m is as large as w, and there is room for 2 r (r + c) numbers: for a longer side longer by 64, w, g and m
 * grow by 64 r, and that by 128 r. A step allocates nothing. */
static void memory_is_what_is_documented(void **state)
{
    enum { R = 32 };

    (void)state;
    for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
        const size_t size = dtype == OPT_F32 ? 4 : 8;
        single a = start(dtype, R, R, &usual), b = start(dtype, R, R + 64, &usual);
        single c = start(dtype, R + 64, R, &usual);
        const long calls = b.count->calls;

        assert_int_equal(b.count->bytes - a.count->bytes, size * R * 64 * (3 + 2));
        assert_int_equal(b.count->bytes, c.count->bytes);
        assert_true(a.count->bytes > size * R * R * (3 + 4));
        assert_true(a.count->bytes < size * R * R * (3 + 4) + 4096);
        single_step(&b);
        assert_int_equal(b.count->calls, calls);
        single_free(&a);
        single_free(&b);
        single_free(&c);
    }
}

/* One parameter of each kind, of both dtypes, end to end where that can be. */
typedef struct mixture {
    opt_ctx *ctx;
    opt_param param[5];
    opt_optim *optim;
} mixture;

static mixture mix(opt_ctx *ctx, int frozen)
{
    static const char *const names[] = {"wide", "bias", "tall", "number", "block"};
    static const int64_t dim[][3] = {{4, 9}, {7}, {9, 2}, {0}, {2, 3, 2}};
    static const int ndim[] = {2, 1, 2, 0, 3};
    mixture x = {.ctx = ctx};

    for (int p = 0; p < 5; p++) {
        x.param[p] = (opt_param){.name = names[p], .frozen = p == frozen, .lr_factor = p == 2 ? 0.5 : 0};
        assert_ok(ctx, opt_tensor_new(ctx, p % 2 ? OPT_F32 : OPT_F64, ndim[p], dim[p], &x.param[p].value));
        assert_ok(ctx, opt_tensor_new(ctx, p % 2 ? OPT_F32 : OPT_F64, ndim[p], dim[p], &x.param[p].grad));
        fill_with_cosines(&x.param[p].value);
    }
    assert_ok(ctx, opt_optim_new(ctx, &opt_muon, NULL, &usual, (opt_params){x.param, 5}, &x.optim));
    return x;
}

static void unmix(mixture *x)
{
    opt_optim_free(x->optim);
    for (int p = 0; p < 5; p++) {
        opt_tensor_free(x->ctx, &x->param[p].value);
        opt_tensor_free(x->ctx, &x->param[p].grad);
    }
}

static void step_mixture(mixture *x, int from, int to)
{
    for (int t = from; t < to; t++) {
        for (int p = 0; p < 5; p++)
            for (int64_t i = 0; i < opt_tensor_len(&x->param[p].grad); i++)
                opt_set(&x->param[p].grad, i, sin((double)(i * i + 3 * t + p)));
        assert_ok(x->ctx, opt_optim_step(x->optim));
    }
}

/* Each moves as it would on its own, with its own rate, and as if a frozen one were not there. */
static void parameters_do_not_see_each_other(void **state)
{
    for (int frozen = -1; frozen < 5; frozen++) {
        mixture x = mix(*state, frozen);

        step_mixture(&x, 0, 5);
        for (int p = 0; p < 5; p++) {
            const opt_param *param = &x.param[p];
            const opt_optim_opts opts = {.lr = param->lr_factor > 0 ? 0.01 : 0.02};
            single alone = single_shaped(&opt_muon, NULL, param->value.dtype, param->value.ndim,
                                         param->value.dim, &opts, 1);

            fill_with_cosines(&alone.param.value);
            for (int t = 0; t < 5 && p != frozen; t++) {
                for (int64_t i = 0; i < opt_tensor_len(&param->grad); i++)
                    opt_set(&alone.param.grad, i, sin((double)(i * i + 3 * t + p)));
                single_step(&alone);
            }
            assert_true(same_bytes(&alone.param.value, &param->value));
            assert_true((opt_optim_slot(x.optim, p, "m") == NULL) == (p == frozen));
            single_free(&alone);
        }
        unmix(&x);
    }
}

/* ---- Decay and clipping ---------------------------------------------------------------------------------
 */

static void without_a_gradient_there_is_decay_alone(void **state)
{
    static const struct {
        opt_optim_opts opts;
        double factor;
    } cases[] = {{{.lr = 0.25}, 1 - 0.25 * 0.1},
                 {{.lr = 0.25, .weight_decay = 0.5}, 1 - 0.25 * 0.5},
                 {{.lr = 0.25, .weight_decay = OPT_ZERO}, 1}};

    (void)state;
    for (int k = 0; k < 3; k++) {
        single p = start(OPT_F64, 5, 3, &cases[k].opts);
        double w = -0.3;

        opt_tensor_fill(&p.param.value, w);
        for (int t = 0; t < 4; t++) {
            single_step(&p);
            w *= cases[k].factor;
        }
        for (int64_t i = 0; i < 15; i++)
            assert_true(opt_get(&p.param.value, i) == w);
        single_free(&p);
    }
}

/* By value, by norm, l2: what reaches the momentum is the gradient after them. */
static void the_gradient_is_clipped_and_has_l2_added(void **state)
{
    const opt_optim_opts opts = {.lr = 0.02, .clip_value = 0.8, .clip_norm = 1.5, .l2 = 0.3};
    single a = start(OPT_F64, 4, 6, &opts), b = start(OPT_F64, 4, 6, &usual);

    (void)state;
    fill_with_cosines(&a.param.value);
    fill_with_cosines(&b.param.value);
    for (int t = 0; t < 5; t++) {
        double norm = 0;

        set_gradient(&a, t, 2);
        for (int64_t i = 0; i < 24; i++) {
            const double g = fmin(fmax(opt_get(&a.param.grad, i), -0.8), 0.8);

            norm += g * g;
            opt_set(&b.param.grad, i, g);
        }
        norm = sqrt(norm);
        assert_true(norm > 1.5);
        for (int64_t i = 0; i < 24; i++)
            opt_set(&b.param.grad, i,
                    opt_get(&b.param.grad, i) * (1.5 / norm) + 0.3 * opt_get(&b.param.value, i));
        single_step(&a);
        single_step(&b);
        assert_close(largest_difference(opt_optim_slot(a.optim, 0, "m"), opt_optim_slot(b.optim, 0, "m")), 0,
                     1e-14);
        assert_close(largest_difference(&a.param.value, &b.param.value), 0, 1e-12);
    }
    single_free(&a);
    single_free(&b);
}

/* Nobody has looked, so nobody can say; but nothing else may happen than with other methods. */
static void an_unchecked_nan_makes_weights_nan(void **state)
{
    single p = single_shaped(&opt_muon, NULL, OPT_F32, 2, (int64_t[]){3, 3},
                             &(opt_optim_opts){.lr = 1, .unchecked = true}, 1);

    (void)state;
    opt_set(&p.param.grad, 4, (double)NAN);
    single_step(&p);
    for (int64_t i = 0; i < 9; i++)
        assert_true(isnan(opt_get(&p.param.value, i)));
    single_free(&p);
}

/* ---- Threads, copies, files ------------------------------------------------------------------------------
 */

/* Large enough for products to be shared. */
static void threads_do_not_change_a_bit(void **state)
{
    static const int64_t dim[][2] = {{150, 210}, {210, 150}, {3, 9000}};

    (void)state;
    for (int k = 0; k < 3; k++)
        for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
            single a = single_shaped(&opt_muon, NULL, dtype, 2, dim[k], &usual, 1);
            single b = single_shaped(&opt_muon, NULL, dtype, 2, dim[k], &usual, 3);

            step_along(&a, 0, 3);
            step_along(&b, 0, 3);
            assert_true(single_same_bits(&a, &b));
            single_free(&a);
            single_free(&b);
        }
}

static void a_copy_of_the_state_goes_on_to_the_same_bits(void **state)
{
    mixture a = mix(*state, 2), b = mix(*state, 2);

    step_mixture(&a, 0, 6);
    for (int p = 0; p < 5; p++)
        assert_ok(*state, opt_tensor_copy(*state, &a.param[p].value, &b.param[p].value));
    assert_ok(*state, opt_optim_copy_state(a.optim, b.optim));
    step_mixture(&a, 6, 12);
    step_mixture(&b, 6, 12);
    assert_true(same_bits((opt_params){a.param, 5}, (opt_params){b.param, 5}));
    unmix(&a);
    unmix(&b);
}

static void a_checkpoint_goes_on_to_the_same_bits(void **state)
{
    static const char path[] = "test_optim_muon.tmp";

    for (int frozen = -1; frozen < 2; frozen++) {
        mixture a = mix(*state, frozen), b = mix(*state, frozen);
        const opt_params params[] = {{a.param, 5}, {b.param, 5}};

        step_mixture(&a, 0, 6);
        assert_ok(*state, opt_save(*state, path, params[0], a.optim, NULL));
        assert_ok(*state, opt_load(*state, path, params[1], b.optim, NULL));
        assert_int_equal(opt_optim_steps(b.optim), 6);
        step_mixture(&a, 6, 12);
        step_mixture(&b, 6, 12);
        assert_true(same_bits(params[0], params[1]));
        unmix(&a);
        unmix(&b);
    }
    remove(path);
    remove("test_optim_muon.tmp.bak");
}

/* ---- What is refused -------------------------------------------------------------------------------------
 */

static void every_allocation_may_fail(void **state)
{
    const opt_optim_opts opts = {.lr = 1, .clip_norm = 1};
    single p = start(OPT_F64, 4, 3, &usual);
    const long live = p.count->live;
    opt_status s = OPT_ENOMEM;
    opt_optim *o = NULL;
    long n = 0;

    (void)state;
    for (; s == OPT_ENOMEM; n++) {
        p.count->fail_from = p.count->calls + n;
        s = opt_optim_new(p.ctx, &opt_muon, NULL, &opts, (opt_params){&p.param, 1}, &o);
        if (s) {
            assert_int_equal(s, OPT_ENOMEM);
            assert_non_null(strstr(opt_errmsg(p.ctx), "muon: out of memory"));
            assert_null(o);
            assert_int_equal(p.count->live, live);
        }
    }
    assert_int_equal(s, OPT_OK);
    assert_true(n > 6);
    opt_optim_free(o);
    single_free(&p);
}

/* An update is called by drivers of others' making, too, which may not know what it asks for. */
static void an_update_needs_its_context_and_scratch(void **state)
{
    const opt_muon_opts h = {0.95, 1, 5, 1e-7, 0, 0.9, 0.999, 1e-8};
    double w[2] = {1, 2}, g[2] = {1, 1}, m[2] = {0}, v[2] = {0}, scratch[64];
    opt_update u = {.hyper = &h, .t = 1, .lr = 0.5};

    u.w = opt_tensor_view(OPT_F64, w, 2, (int64_t[]){1, 2});
    u.g = opt_tensor_view(OPT_F64, g, 2, (int64_t[]){1, 2});
    u.slot[0] = opt_tensor_view(OPT_F64, m, 2, (int64_t[]){1, 2});
    assert_true(opt_muon.scratch(&h, &u.w) <= (int64_t)sizeof scratch);
    u.ctx = *state;
    assert_int_equal(opt_muon.update(&u), OPT_EINVAL);
    u.ctx = NULL;
    u.scratch = scratch;
    assert_int_equal(opt_muon.update(&u), OPT_EINVAL);
    assert_true(w[0] == 1 && m[0] == 0);
    u.ctx = *state;
    assert_int_equal(opt_muon.update(&u), OPT_OK);
    assert_true(w[0] < 1 && m[0] > 0);
    u = (opt_update){.hyper = &h, .t = 1, .lr = 0.5};
    u.w = opt_tensor_view(OPT_F64, w, 1, (int64_t[]){2});
    u.g = opt_tensor_view(OPT_F64, g, 1, (int64_t[]){2});
    u.slot[0] = opt_tensor_view(OPT_F64, m, 1, (int64_t[]){2});
    u.slot[1] = opt_tensor_view(OPT_F64, v, 1, (int64_t[]){2});
    assert_int_equal(opt_muon.update(&u), OPT_OK); /* Adam's needs neither */
    assert_true(v[0] > 0);
}

/* The size of scratch overflows; steps are 100 in f32. */
static void what_is_too_large_is_refused(void **state)
{
    static const opt_muon_opts nearly = {.steps = 99.9999999999};
    float w[1] = {0}, g[1] = {0};
    opt_param p = {.name = "w"};
    opt_optim *o;

    p.value = opt_tensor_view(OPT_F32, w, 2,
                              (int64_t[]){INT64_C(1) << BY_WIDTH(30, 14), INT64_C(1) << BY_WIDTH(29, 13)});
    assert_int_equal(opt_muon.scratch(NULL, &p.value), -1);
    p.value = opt_tensor_view(OPT_F32, w, 2, (int64_t[]){1, 1});
    p.grad = opt_tensor_view(OPT_F32, g, 2, (int64_t[]){1, 1});
    assert_fails(*state, opt_optim_new(*state, &opt_muon, &nearly, &usual, (opt_params){&p, 1}, &o),
                 OPT_EINVAL, "muon: steps = ");
}

/* ---- A network -------------------------------------------------------------------------------------------
 */

/* Biases get a tenth of the rate, by Adam. */
static void it_trains_a_network(void **state)
{
    const opt_mlp_opts shape = {.size = {2, 16, 16, 1}, .seed = 3};
    opt_table data;
    opt_mlp *net;
    opt_batches *batches;
    opt_optim *o;
    opt_evaluation result;

    assert_ok(*state, opt_moons(*state, 300, 0.2, 3, &data));
    const opt_source source = opt_source_table(&data);
    assert_ok(*state, opt_mlp_new(*state, &shape, &net));
    const opt_params params = opt_mlp_params(net);
    for (int i = 1; i < params.n; i += 2) {
        params.at[i].lr_factor = 0.1;
        params.at[i].no_decay = true;
    }
    assert_ok(*state,
              opt_batches_new(*state, &source, &(opt_batches_opts){.size = 64, .seed = 10}, &batches));
    assert_ok(*state, opt_optim_new(*state, &opt_muon, NULL, &no_decay, params, &o));
    const opt_model model = opt_mlp_model(net);
    assert_ok(*state, opt_train(*state, &model, o, batches, &(opt_train_opts){.epochs = 240}));
    assert_ok(*state, opt_evaluate(*state, &model, &source, &result, NULL));
    assert_true(result.loss < 0.1 && result.accuracy > 0.96);
    opt_optim_free(o);
    opt_batches_free(batches);
    opt_mlp_free(net);
    opt_tensor_free(*state, &data.x);
    opt_tensor_free(*state, &data.y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_but_matrices_go_to_adam),
        cmocka_unit_test(a_matrix_has_momentum_alone),
        cmocka_unit_test(memory_is_what_is_documented),
        TEST(parameters_do_not_see_each_other),
        cmocka_unit_test(without_a_gradient_there_is_decay_alone),
        cmocka_unit_test(the_gradient_is_clipped_and_has_l2_added),
        cmocka_unit_test(an_unchecked_nan_makes_weights_nan),
        cmocka_unit_test(threads_do_not_change_a_bit),
        TEST(a_copy_of_the_state_goes_on_to_the_same_bits),
        TEST(a_checkpoint_goes_on_to_the_same_bits),
        cmocka_unit_test(every_allocation_may_fail),
        TEST(an_update_needs_its_context_and_scratch),
        TEST(what_is_too_large_is_refused),
        TEST(it_trains_a_network),
    };
    return cmocka_run_group_tests_name("muon_state", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * A network's first weights and its gradients.
 */
#include "problem.h"

#include <math.h>
#include <stdio.h>

static const opt_act acts[] = {OPT_RELU, OPT_TANH, OPT_SIGMOID};
static const opt_loss losses[] = {OPT_BCE, OPT_SOFTMAX_CE, OPT_MSE};
static const opt_dtype dtypes[] = {OPT_F32, OPT_F64};

static opt_params params_of(const problem *p)
{
    return opt_mlp_params(p->net);
}

static double loss_of(void *ud)
{
    const problem *p = ud;
    double loss = (double)NAN;

    assert_ok(p->ctx, opt_mlp_loss(p->net, &p->data.x, &p->data.y, &loss));
    return loss;
}

static double grad_of(const problem *p)
{
    double loss = (double)NAN;

    assert_ok(p->ctx, opt_mlp_grad(p->net, &p->data.x, &p->data.y, &loss));
    return loss;
}

/* ---- First weights ------------------------------------------------------------------------------------- */

static void first_weights_are_the_courses(void **state)
{
    static const char *const name[] = {"W1", "b1", "W2", "b2", "W3", "b3"};
    opt_ctx *ctx = *state;
    opt_mlp *net = NULL;
    opt_params params;

    assert_ok(ctx, opt_mlp_new(ctx, &(opt_mlp_opts){.size = {2, 5, 2, 1}, .seed = 3}, &net));
    params = opt_mlp_params(net);
    assert_int_equal(params.n, 6);
    for (int i = 0; i < params.n; i++) {
        opt_tensor g = golden(ctx, "moons/init/%s.npy", name[i]);

        assert_string_equal(params.at[i].name, name[i]);
        assert_close(largest_difference(&params.at[i].value, &g), 0, 1e-14);
        opt_tensor_free(ctx, &g);
    }
    opt_mlp_free(net);
}

static void first_weights_are_scaled_by_he_for_relu_and_xavier_otherwise(void **state)
{
    static const int64_t size[] = {7, 4, 3};
    opt_ctx *ctx = *state;

    for (int a = 0; a < 3; a++)
        for (int d = 0; d < 2; d++) {
            opt_mlp *net = NULL;
            opt_rng rng;

            assert_ok(
                ctx,
                opt_mlp_new(
                    ctx,
                    &(opt_mlp_opts){
                        .size = {7, 4, 3}, .act = acts[a], .loss = OPT_MSE, .dtype = dtypes[d], .seed = 11},
                    &net));
            opt_rng_seed(&rng, 11);
            for (int l = 0; l < 2; l++) {
                const opt_param *w = &opt_mlp_params(net).at[2 * l], *b = w + 1;
                const double scale = sqrt((acts[a] == OPT_RELU ? 2.0 : 1.0) / (double)size[l]);

                for (int64_t i = 0; i < size[l + 1] * size[l]; i++) {
                    const double x = opt_rng_normal(&rng) * scale;
                    assert_close(opt_get(&w->value, i), x, dtypes[d] == OPT_F32 ? fabs(x) * 6e-8 : 1e-15);
                }
                for (int64_t i = 0; i < size[l + 1]; i++)
                    assert_close(opt_get(&b->value, i), 0, 0);
            }
            opt_mlp_free(net);
        }
}

static void dtype_is_f64_unless_set(void **state)
{
    opt_ctx *ctx = *state;
    opt_mlp *net = NULL;

    assert_ok(ctx, opt_mlp_new(ctx, &(opt_mlp_opts){.size = {1, 1}}, &net));
    assert_int_equal(opt_mlp_params(net).at[0].value.dtype, OPT_F64);
    opt_mlp_free(net);
}

static void parameters_lie_end_to_end(void **state)
{
    static const int64_t size[] = {3, 4, 1, 2};

    for (int d = 0; d < 2; d++) {
        const size_t bytes = dtypes[d] == OPT_F32 ? sizeof(float) : sizeof(double);
        problem p;
        char name[16], *value, *grad;

        problem_new(&p, *state, &(opt_mlp_opts){.size = {3, 4, 1, 2}, .dtype = dtypes[d]}, 1);
        assert_int_equal(params_of(&p).n, 6);
        value = params_of(&p).at[0].value.data;
        grad = params_of(&p).at[0].grad.data;
        for (int i = 0; i < 6; i++) {
            const opt_param *q = &params_of(&p).at[i];

            snprintf(name, sizeof name, "%c%d", i % 2 ? 'b' : 'W', i / 2 + 1);
            assert_string_equal(q->name, name);
            assert_false(q->no_decay);
            assert_int_equal(q->value.ndim, i % 2 ? 1 : 2);
            assert_int_equal(q->value.dim[0], size[i / 2 + 1]);
            assert_true(i % 2 == 1 || q->value.dim[1] == size[i / 2]);
            assert_ptr_equal(q->value.data, value);
            assert_ptr_equal(q->grad.data, grad);
            value += bytes * (size_t)opt_tensor_len(&q->value);
            grad += bytes * (size_t)opt_tensor_len(&q->grad);
        }
        problem_free(&p);
    }
}

/* ---- Gradients ----------------------------------------------------------------------------------------- */

static void first_gradient_is_the_courses(void **state)
{
    opt_ctx *ctx = *state;
    opt_tensor columns = golden(ctx, "moons/X.npy"), labels = golden(ctx, "moons/Y.npy"), x = {0};
    const opt_tensor y = opt_tensor_view(OPT_F64, labels.data, 2, (int64_t[]){300, 1});
    opt_mlp *net = NULL;
    double loss;

    assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, 2, (int64_t[]){300, 2}, &x));
    for (int64_t i = 0; i < 600; i++) /* the notebook has one example a column */
        opt_set(&x, i, opt_get(&columns, i % 2 * 300 + i / 2));
    assert_ok(ctx, opt_mlp_new(ctx, &(opt_mlp_opts){.size = {2, 5, 2, 1}, .seed = 3}, &net));
    assert_ok(ctx, opt_mlp_grad(net, &x, &y, &loss));
    for (int i = 0; i < 6; i++) {
        const opt_param *p = &opt_mlp_params(net).at[i];
        opt_tensor g = golden(ctx, "moons/first_full_batch_gradient/%s.npy", p->name);

        assert_close(largest_difference(&p->grad, &g), 0, 1e-14);
        opt_tensor_free(ctx, &g);
    }
    opt_mlp_free(net);
    opt_tensor_free(ctx, &x);
    opt_tensor_free(ctx, &columns);
    opt_tensor_free(ctx, &labels);
}

/* Fails unless every gradient agrees with central differences. A gradient near 0 would pass whatever it was,
 * within the rounding of the differences. */
static void check_gradient(problem *p)
{
    double err = (double)NAN;

    grad_of(p);
    for (int i = 0; i < params_of(p).n; i++)
        assert_true(opt_grad_norm(p->ctx, (opt_params){&params_of(p).at[i], 1}) > 1e-4);
    assert_ok(p->ctx, opt_grad_check(p->ctx, loss_of, p, params_of(p), &err));
    assert_close(err, 0, 1e-7);
}

/* 67 rows are two chunks. The seeds are such that no relu layer is dead, and no z within a difference's step
 * of the kink: where one is, the check reports up to 6e-3, and with a step 50 times as short 0. */
static void gradients_agree_with_differences(void **state)
{
    static const opt_mlp_opts shapes[] = {
        {.size = {3, 2}, .seed = 1},          {.size = {1, 1, 2}, .seed = 5},
        {.size = {2, 1, 9, 3}, .seed = 3},    {.size = {9, 70, 2}, .seed = 3},
        {.size = {70, 9, 3}, .seed = 4},      {.size = {2, 9, 70, 1, 2}, .seed = 3},
        {.size = {1, 5, 5, 5, 5}, .seed = 7},
    };

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int a = 0; a < 3; a++)
            for (int l = 0; l < 3; l++) {
                opt_mlp_opts opts = shapes[i];
                problem p;

                opts.act = acts[a];
                opts.loss = losses[l];
                problem_new(&p, *state, &opts, 67);
                check_gradient(&p);
                problem_free(&p);
            }
}

static void one_output_has_a_right_gradient(void **state)
{
    static const opt_loss one[] = {OPT_BCE, OPT_MSE};

    for (int l = 0; l < 2; l++) {
        problem p;

        problem_new(&p, *state, &(opt_mlp_opts){.size = {2, 9, 1}, .loss = one[l], .seed = 8}, 5);
        check_gradient(&p);
        problem_free(&p);
    }
}

/* Weights near the identity, or gradients would vanish on their way through so many layers. */
static void as_many_layers_as_fit_work(void **state)
{
    opt_mlp_opts opts = {.act = OPT_TANH, .seed = 1};
    problem p;

    for (int i = 0; i < OPT_MLP_MAX_SIZES; i++)
        opts.size[i] = 3;
    problem_new(&p, *state, &opts, 4);
    assert_int_equal(params_of(&p).n, 62);
    assert_string_equal(params_of(&p).at[61].name, "b31");
    for (int i = 0; i < 62; i++) {
        opt_tensor *t = &params_of(&p).at[i].value;

        for (int64_t k = 0; k < opt_tensor_len(t); k++)
            opt_set(t, k, (i % 2 == 0 && k % 4 == 0) + 0.1 * opt_get(t, k));
    }
    check_gradient(&p);
    problem_free(&p);
}

/* Both networks have the same weights and data, to the bit, so that only rounding differs. */
static void f32_gradients_are_near_those_in_f64(void **state)
{
    opt_ctx *ctx = *state;

    for (int a = 0; a < 3; a++)
        for (int l = 0; l < 3; l++) {
            opt_mlp_opts opts = {.size = {6, 9, 70, 3}, .act = acts[a], .loss = losses[l], .seed = 9};
            problem exact, p;

            problem_new(&exact, ctx, &opts, 67);
            opts.dtype = OPT_F32;
            problem_new(&p, ctx, &opts, 67);
            assert_ok(ctx, opt_tensor_copy(ctx, &p.data.x, &exact.data.x));
            assert_ok(ctx, opt_tensor_copy(ctx, &p.data.y, &exact.data.y));
            for (int i = 0; i < params_of(&p).n; i++)
                assert_ok(ctx,
                          opt_tensor_copy(ctx, &params_of(&p).at[i].value, &params_of(&exact).at[i].value));
            assert_close(grad_of(&p), grad_of(&exact), 2e-6);
            for (int i = 0; i < params_of(&p).n; i++) {
                const opt_tensor *g = &params_of(&exact).at[i].grad;
                const double norm = opt_grad_norm(ctx, (opt_params){&params_of(&exact).at[i], 1});

                assert_close(largest_difference(&params_of(&p).at[i].grad, g) / norm, 0, 2e-6);
            }
            problem_free(&exact);
            problem_free(&p);
        }
}

static void a_gradient_overwrites_the_one_before(void **state)
{
    problem a, b;
    const opt_mlp_opts opts = {.size = {3, 4, 2}, .seed = 1};

    problem_new(&a, *state, &opts, 70);
    problem_new(&b, *state, &opts, 70);
    for (int i = 0; i < params_of(&a).n; i++)
        opt_tensor_fill(&params_of(&a).at[i].grad, (double)NAN);
    assert_close(grad_of(&a), grad_of(&b), 0);
    for (int i = 0; i < params_of(&a).n; i++)
        assert_true(same_bytes(&params_of(&a).at[i].grad, &params_of(&b).at[i].grad));
    assert_true(same_bits(params_of(&a), params_of(&b)));
    problem_free(&a);
    problem_free(&b);
}

/* 200 rows are four chunks, the last one short. */
static void loss_and_gradient_are_means_over_rows(void **state)
{
    enum { ROWS = 200, VALUES = 4 * 3 + 4 + 2 * 4 + 2 };

    for (int l = 0; l < 3; l++) {
        double loss = 0, mean[VALUES] = {0}, one = 0;
        const opt_tensor expected = opt_tensor_view(OPT_F64, mean, 1, (int64_t[]){VALUES});
        problem p;

        problem_new(&p, *state, &(opt_mlp_opts){.size = {3, 4, 2}, .loss = losses[l], .seed = 2}, ROWS);
        const opt_tensor all = opt_tensor_view(OPT_F64, params_of(&p).at[0].grad.data, 1, expected.dim);

        for (int64_t i = 0; i < ROWS; i++) {
            const opt_tensor x = opt_tensor_rows(&p.data.x, i, 1), y = opt_tensor_rows(&p.data.y, i, 1);

            assert_ok(p.ctx, opt_mlp_grad(p.net, &x, &y, &one));
            loss += one / ROWS;
            for (int64_t k = 0; k < VALUES; k++)
                mean[k] += opt_get(&all, k) / ROWS;
        }
        assert_close(loss_of(&p), loss, 1e-13);
        assert_close(grad_of(&p), loss, 1e-13);
        assert_close(largest_difference(&all, &expected), 0, 1e-13);
        problem_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_weights_are_the_courses),
        TEST(first_weights_are_scaled_by_he_for_relu_and_xavier_otherwise),
        TEST(dtype_is_f64_unless_set),
        TEST(parameters_lie_end_to_end),
        TEST(first_gradient_is_the_courses),
        TEST(gradients_agree_with_differences),
        TEST(one_output_has_a_right_gradient),
        TEST(as_many_layers_as_fit_work),
        TEST(f32_gradients_are_near_those_in_f64),
        TEST(a_gradient_overwrites_the_one_before),
        TEST(loss_and_gradient_are_means_over_rows),
    };

    return cmocka_run_group_tests_name("mlp", tests, NULL, NULL);
}

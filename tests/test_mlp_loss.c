/* SPDX-License-Identifier: MIT
 *
 * A network's losses and predictions: closed forms, extremes, NaN, and one row at a time.
 */
#include "problem.h"

#include <float.h>
#include <math.h>

static const opt_act acts[] = {OPT_RELU, OPT_TANH, OPT_SIGMOID};
static const opt_loss losses[] = {OPT_BCE, OPT_SOFTMAX_CE, OPT_MSE};
static const opt_dtype dtypes[] = {OPT_F32, OPT_F64};

/* Everything the network says of k logits and labels a row: one layer with the identity for weights and no
 * bias, so that z is x. */
typedef struct logits {
    opt_ctx *ctx;
    opt_mlp *net;
    opt_tensor z, y, out;
    double loss;
} logits;

static void logits_new(logits *p, opt_ctx *ctx, opt_loss loss, opt_dtype dtype, int64_t rows, int64_t k,
                       const double *z, const double *y)
{
    const opt_mlp_opts opts = {.size = {k, k}, .loss = loss, .dtype = dtype};
    opt_tensor *w;

    *p = (logits){.ctx = ctx, .loss = (double)NAN};
    assert_ok(ctx, opt_mlp_new(ctx, &opts, &p->net));
    w = &opt_mlp_params(p->net).at[0].value;
    opt_tensor_fill(w, 0);
    for (int64_t i = 0; i < k; i++)
        opt_set(w, i * k + i, 1);
    p->z = matrix(ctx, dtype, rows, k, z);
    p->y = matrix(ctx, dtype, rows, k, y);
    p->out = matrix(ctx, dtype, rows, k, z);
    assert_ok(ctx, opt_mlp_grad(p->net, &p->z, &p->y, &p->loss));
    assert_ok(ctx, opt_mlp_predict(p->net, &p->z, &p->out));
}

static void logits_free(logits *p)
{
    opt_tensor_free(p->ctx, &p->z);
    opt_tensor_free(p->ctx, &p->y);
    opt_tensor_free(p->ctx, &p->out);
    opt_mlp_free(p->net);
}

/* The gradient by bias j, which is the mean over rows of that by z_j. */
static double bias_gradient(const logits *p, int64_t j)
{
    return opt_get(&opt_mlp_params(p->net).at[1].grad, j);
}

/* ---- Closed forms -------------------------------------------------------------------------------------- */

/* The cross-entropy of one logit as the notebook writes it. */
static double textbook_bce(double z, double y)
{
    const double a = 1 / (1 + exp(-z));

    return -(y * log(a) + (1 - y) * log(1 - a));
}

static double textbook_softmax(const double *z, const double *y, int k)
{
    double sum = 0, loss = 0;

    for (int j = 0; j < k; j++)
        sum += exp(z[j]);
    for (int j = 0; j < k; j++)
        loss -= y[j] * log(exp(z[j]) / sum);
    return loss;
}

enum { N = 90, K = 3 };

/* Logits in [-5, 5). Labels: of softmax one-hot, otherwise in [0, 1). */
static void draw(opt_loss loss, double *z, double *y)
{
    opt_rng rng;

    opt_rng_seed(&rng, 5);
    for (int i = 0; i < N * K; i++) {
        z[i] = 10 * opt_rng_uniform(&rng) - 5;
        y[i] = loss == OPT_SOFTMAX_CE ? i / K % K == i % K : opt_rng_uniform(&rng);
    }
}

static void bce_is_the_mean_over_rows_and_outputs_of_the_notebooks(void **state)
{
    double z[N * K], y[N * K], sum = 0;
    logits p;

    draw(OPT_BCE, z, y);
    for (int i = 0; i < N * K; i++)
        sum += textbook_bce(z[i], y[i]);
    logits_new(&p, *state, OPT_BCE, OPT_F64, N, K, z, y);
    assert_close(p.loss, sum / (N * K), 1e-14);
    logits_free(&p);
}

static void softmax_is_the_mean_over_rows(void **state)
{
    double z[N * K], y[N * K], sum = 0;
    logits p;

    draw(OPT_SOFTMAX_CE, z, y);
    for (int i = 0; i < N; i++)
        sum += textbook_softmax(z + K * i, y + K * i, K);
    logits_new(&p, *state, OPT_SOFTMAX_CE, OPT_F64, N, K, z, y);
    assert_close(p.loss, sum / N, 1e-14);
    logits_free(&p);
}

static void mse_is_the_mean_over_rows_and_outputs(void **state)
{
    double z[N * K], y[N * K], sum = 0;
    logits p;

    draw(OPT_MSE, z, y);
    for (int i = 0; i < N * K; i++)
        sum += (z[i] - y[i]) * (z[i] - y[i]);
    logits_new(&p, *state, OPT_MSE, OPT_F64, N, K, z, y);
    assert_close(p.loss, sum / (N * K), 1e-13);
    logits_free(&p);
}

static void predictions_are_sigmoid_softmax_or_z(void **state)
{
    for (int d = 0; d < 2; d++)
        for (int l = 0; l < 3; l++) {
            const double tol = 2 * (dtypes[d] == OPT_F32 ? (double)FLT_EPSILON : DBL_EPSILON);
            double z[N * K], y[N * K];
            logits p;

            draw(losses[l], z, y);
            logits_new(&p, *state, losses[l], dtypes[d], N, K, z, y);
            for (int i = 0; i < N * K; i++) {
                const double z_i = opt_get(&p.z, i);
                double row = 0;

                for (int j = 0; j < K; j++)
                    row += exp(opt_get(&p.z, i / K * K + j));
                assert_close(opt_get(&p.out, i),
                             losses[l] == OPT_BCE          ? 1 / (1 + exp(-z_i))
                             : losses[l] == OPT_SOFTMAX_CE ? exp(z_i) / row
                                                           : z_i,
                             losses[l] == OPT_MSE ? 0 : tol);
            }
            for (int i = 0; losses[l] == OPT_SOFTMAX_CE && i < N * K; i += K)
                assert_close(opt_get(&p.out, i) + opt_get(&p.out, i + 1) + opt_get(&p.out, i + 2), 1, tol);
            logits_free(&p);
        }
}

/* To the last bit: a training loop's loss and one evaluated later must compare equal. */
static void loss_and_grad_give_the_same_loss(void **state)
{
    for (int64_t rows = 1; rows <= 70; rows++) {
        double loss = 0, beside_gradient = 1;
        problem p;

        problem_new(&p, *state, &(opt_mlp_opts){.size = {2, 4, 3}, .loss = losses[rows % 3], .seed = 1},
                    rows);
        assert_ok(p.ctx, opt_mlp_loss(p.net, &p.data.x, &p.data.y, &loss));
        assert_ok(p.ctx, opt_mlp_grad(p.net, &p.data.x, &p.data.y, &beside_gradient));
        assert_close(beside_gradient, loss, 0);
        problem_free(&p);
    }
}

/* ---- Extremes ------------------------------------------------------------------------------------------ */

/* Where the notebook's formula is inf * 0 or inf, the loss is |z| or 0, and its gradient a - y. */
static void bce_is_exact_for_logits_of_10000(void **state)
{
    static const double z[] = {1e4, -1e4}, y[] = {0, 1, 0.25};

    for (int d = 0; d < 2; d++)
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 3; j++) {
                const double a = z[i] > 0 ? 1 : 0;
                logits p;

                assert_true(!isfinite(textbook_bce(z[i], y[j])));
                logits_new(&p, *state, OPT_BCE, dtypes[d], 1, 1, &z[i], &y[j]);
                assert_close(p.loss, 1e4 * fabs(a - y[j]), 0);
                assert_close(bias_gradient(&p, 0), a - y[j], 0);
                assert_close(opt_get(&p.out, 0), a, 0);
                logits_free(&p);
            }
}

static void softmax_is_exact_for_logits_of_10000(void **state)
{
    static const double z[][2] = {{1e4, -1e4}, {-1e4, 1e4}}, y[][2] = {{1, 0}, {0, 1}};

    for (int d = 0; d < 2; d++)
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++) {
                logits p;

                assert_true(!isfinite(textbook_softmax(z[i], y[j], 2)));
                logits_new(&p, *state, OPT_SOFTMAX_CE, dtypes[d], 1, 2, z[i], y[j]);
                assert_close(p.loss, i == j ? 0 : 2e4, 0);
                assert_close(bias_gradient(&p, 0), y[i][0] - y[j][0], 0);
                assert_close(bias_gradient(&p, 1), y[i][1] - y[j][1], 0);
                assert_close(opt_get(&p.out, 0), y[i][0], 0);
                assert_close(opt_get(&p.out, 1), y[i][1], 0);
                logits_free(&p);
            }
}

/* Adding the same to all logits changes nothing: log k must not drown in it. */
static void softmax_keeps_its_digits_beside_large_logits(void **state)
{
    static const double y[] = {0, 1}, offset[] = {1e4, -1e4, 1e15};

    for (int d = 0; d < 2; d++)
        for (int i = 0; i < 3; i++) {
            logits p;

            logits_new(&p, *state, OPT_SOFTMAX_CE, dtypes[d], 1, 2, (double[]){offset[i], offset[i]}, y);
            assert_close(p.loss, log(2), 1e-7);
            logits_free(&p);
        }
}

static void huge_weights_give_finite_losses_and_gradients(void **state)
{
    for (int d = 0; d < 2; d++)
        for (int a = 0; a < 3; a++)
            for (int l = 0; l < 3; l++) {
                const opt_mlp_opts opts = {
                    .size = {2, 9, 2}, .act = acts[a], .loss = losses[l], .dtype = dtypes[d], .seed = 4};
                double loss = (double)NAN;
                problem p;
                opt_params params;

                problem_new(&p, *state, &opts, 20);
                params = opt_mlp_params(p.net);
                for (int64_t i = 0; i < 9 * 2; i++)
                    opt_set(&params.at[2].value, i, i % 2 ? -1e4 : 1e4);
                assert_ok(p.ctx, opt_mlp_grad(p.net, &p.data.x, &p.data.y, &loss));
                assert_true(isfinite(loss) && loss > 100);
                assert_true(opt_grad_norm(p.ctx, params) < HUGE_VAL);
                problem_free(&p);
            }
}

/* A maximum taken with > passes over NaN, and so does relu written as z > 0 ? z : 0. */
static void a_nan_anywhere_in_x_or_weights_gives_a_nan_loss(void **state)
{
    for (int d = 0; d < 2; d++)
        for (int a = 0; a < 3; a++)
            for (int l = 0; l < 3; l++) {
                const opt_mlp_opts opts = {
                    .size = {2, 9, 3}, .act = acts[a], .loss = losses[l], .dtype = dtypes[d], .seed = 4};
                problem p;

                problem_new(&p, *state, &opts, 3);
                for (int t = 0; t < 5; t++) {
                    opt_tensor *where = t < 4 ? &opt_mlp_params(p.net).at[t].value : &p.data.x;
                    double loss = 0;

                    for (int64_t i = 0; i < opt_tensor_len(where); i++) {
                        const double old = opt_get(where, i);

                        opt_set(where, i, (double)NAN);
                        assert_ok(p.ctx, opt_mlp_loss(p.net, &p.data.x, &p.data.y, &loss));
                        assert_true(isnan(loss));
                        assert_ok(p.ctx, opt_mlp_grad(p.net, &p.data.x, &p.data.y, &loss));
                        assert_true(isnan(loss));
                        opt_set(where, i, old);
                    }
                }
                problem_free(&p);
            }
}

static void an_infinite_logit_never_gives_a_finite_loss(void **state)
{
    static const double y[] = {0, 1};

    for (int d = 0; d < 2; d++)
        for (int l = 0; l < 3; l++)
            for (int sign = -1; sign <= 1; sign += 2) {
                logits p;

                /* -inf in place of the right class, or +inf anywhere, is infinitely wrong */
                logits_new(&p, *state, losses[l], dtypes[d], 1, 2, (double[]){0.5, sign * HUGE_VAL}, y);
                assert_true(!isfinite(p.loss));
                logits_free(&p);
            }
}

/* ---- One row at a time --------------------------------------------------------------------------------- */

static void predict(problem *p, const opt_tensor *x, opt_tensor *out)
{
    assert_ok(p->ctx, opt_mlp_predict(p->net, x, out));
}

/* 64 rows go through the network together. */
static void predictions_of_a_row_do_not_depend_on_how_many_there_are(void **state)
{
    static const int64_t counts[] = {1, 63, 64, 65, 200};

    for (int d = 0; d < 2; d++)
        for (int a = 0; a < 3; a++)
            for (int n = 0; n < 5; n++) {
                const opt_mlp_opts opts = {
                    .size = {3, 9, 70, 3}, .act = acts[a], .loss = losses[n % 3], .dtype = dtypes[d]};
                opt_tensor all, one;
                problem p;

                problem_new(&p, *state, &opts, counts[n]);
                all = matrix(p.ctx, dtypes[d], counts[n], 3, (double[600]){0});
                one = matrix(p.ctx, dtypes[d], 1, 3, (double[3]){0});
                predict(&p, &p.data.x, &all);
                for (int64_t i = 0; i < counts[n]; i++) {
                    const opt_tensor x = opt_tensor_rows(&p.data.x, i, 1), row = opt_tensor_rows(&all, i, 1);

                    predict(&p, &x, &one);
                    assert_true(same_bytes(&row, &one));
                }
                opt_tensor_free(p.ctx, &all);
                opt_tensor_free(p.ctx, &one);
                problem_free(&p);
            }
}

static void predictions_of_a_row_do_not_depend_on_other_rows(void **state)
{
    problem p;
    opt_tensor before, after;

    problem_new(&p, *state, &(opt_mlp_opts){.size = {3, 9, 2}}, 70);
    before = matrix(p.ctx, OPT_F64, 70, 2, (double[140]){0});
    after = matrix(p.ctx, OPT_F64, 70, 2, (double[140]){0});
    predict(&p, &p.data.x, &before);
    for (int64_t i = 0; i < 210; i++)
        if (i / 3 != 66)
            opt_set(&p.data.x, i, (double)NAN);
    predict(&p, &p.data.x, &after);
    const opt_tensor row = opt_tensor_rows(&before, 66, 1), same = opt_tensor_rows(&after, 66, 1);

    assert_true(same_bytes(&row, &same));
    assert_true(isnan(opt_get(&after, 0)));
    opt_tensor_free(p.ctx, &before);
    opt_tensor_free(p.ctx, &after);
    problem_free(&p);
}

/* One input and one output a row need no second dimension. */
static void single_columns_may_be_vectors(void **state)
{
    double matrices = 0, vectors = 1;
    problem p;
    opt_tensor out;

    problem_new(&p, *state, &(opt_mlp_opts){.size = {1, 4, 1}, .seed = 1}, 5);
    out = matrix(p.ctx, OPT_F64, 5, 1, (double[5]){0});
    const opt_tensor x = opt_tensor_view(OPT_F64, p.data.x.data, 1, (int64_t[]){5}),
                     y = opt_tensor_view(OPT_F64, p.data.y.data, 1, (int64_t[]){5});
    opt_tensor flat = opt_tensor_view(OPT_F64, out.data, 1, (int64_t[]){5});

    assert_ok(p.ctx, opt_mlp_loss(p.net, &p.data.x, &p.data.y, &matrices));
    assert_ok(p.ctx, opt_mlp_loss(p.net, &x, &y, &vectors));
    assert_close(vectors, matrices, 0);
    assert_ok(p.ctx, opt_mlp_grad(p.net, &p.data.x, &p.data.y, &matrices));
    assert_ok(p.ctx, opt_mlp_grad(p.net, &x, &y, &vectors));
    assert_close(vectors, matrices, 0);
    predict(&p, &x, &flat);
    assert_true(opt_get(&out, 4) > 0);
    opt_tensor_free(p.ctx, &out);
    problem_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bce_is_the_mean_over_rows_and_outputs_of_the_notebooks),
        TEST(softmax_is_the_mean_over_rows),
        TEST(mse_is_the_mean_over_rows_and_outputs),
        TEST(predictions_are_sigmoid_softmax_or_z),
        TEST(loss_and_grad_give_the_same_loss),
        TEST(bce_is_exact_for_logits_of_10000),
        TEST(softmax_is_exact_for_logits_of_10000),
        TEST(softmax_keeps_its_digits_beside_large_logits),
        TEST(huge_weights_give_finite_losses_and_gradients),
        TEST(a_nan_anywhere_in_x_or_weights_gives_a_nan_loss),
        TEST(an_infinite_logit_never_gives_a_finite_loss),
        TEST(predictions_of_a_row_do_not_depend_on_how_many_there_are),
        TEST(predictions_of_a_row_do_not_depend_on_other_rows),
        TEST(single_columns_may_be_vectors),
    };

    return cmocka_run_group_tests_name("mlp losses", tests, NULL, NULL);
}

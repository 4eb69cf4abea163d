/* SPDX-License-Identifier: MIT
 *
 * What must hold of any network: gradients of random ones, symmetries of training, and inputs that ask for
 * trouble.
 */
#include <math.h>
#include <string.h>

#include "problem.h"

static int below(opt_rng *r, int n)
{
    return (int)(opt_rng_uniform(r) * n);
}

/* ---- A thousand networks ------------------------------------------------------------------------------- */

static double loss_of(void *ud)
{
    const problem *p = ud;
    double loss;

    assert_ok(p->ctx, opt_mlp_loss(p->net, &p->data.x, &p->data.y, &loss));
    return loss;
}

/* Of 1 to 4 layers, 1 to 6 units each, any activation and loss, 1 to 9 rows. At a kink of relu differences
 * mean nothing, so it is left to others. */
static void gradients_of_a_thousand_networks_agree_with_differences(void **state)
{
    opt_rng r;
    double worst = 0;

    opt_rng_seed(&r, 11);
    for (uint32_t k = 0; k < 1000; k++) {
        opt_mlp_opts opts = {.act = k % 2 ? OPT_TANH : OPT_SIGMOID, .loss = (opt_loss)(k % 3), .seed = k};
        const int layers = 1 + below(&r, 4);
        double error, loss;
        problem p;

        for (int l = 0; l <= layers; l++)
            opts.size[l] = 1 + below(&r, 6);
        if (opts.loss == OPT_SOFTMAX_CE)
            opts.size[layers]++;
        problem_new(&p, *state, &opts, 1 + below(&r, 9));
        assert_ok(p.ctx, opt_mlp_grad(p.net, &p.data.x, &p.data.y, &loss));
        assert_ok(p.ctx, opt_grad_check(p.ctx, loss_of, &p, opt_mlp_params(p.net), &error));
        worst = fmax(worst, error);
        problem_free(&p);
    }
    assert_close(worst, 0, 1e-6);
}

/* ---- Symmetries ---------------------------------------------------------------------------------------- */

enum { IN = 3, HIDDEN = 7, OUT = 2, ROWS = 20 };

/* Exchanges hidden unit i with unit HIDDEN - 1 - i. */
static void turn_hidden_round(opt_params params)
{
    const opt_tensor *w1 = &params.at[0].value, *b1 = &params.at[1].value, *w2 = &params.at[2].value;

    for (int64_t i = 0; i < HIDDEN / 2; i++) {
        const int64_t j = HIDDEN - 1 - i;
        const struct {
            const opt_tensor *t;
            int64_t i, j, n, step;
        } swap[] = {{w1, i * IN, j * IN, IN, 1}, {b1, i, j, 1, 1}, {w2, i, j, OUT, HIDDEN}};

        for (int s = 0; s < 3; s++)
            for (int64_t k = 0; k < swap[s].n; k++) {
                const int64_t a = swap[s].i + k * swap[s].step, b = swap[s].j + k * swap[s].step;
                const double x = opt_get(swap[s].t, a);

                opt_set(swap[s].t, a, opt_get(swap[s].t, b));
                opt_set(swap[s].t, b, x);
            }
    }
}

/* Trains on all rows by a method; what comes of it is in p's weights. */
static void train(problem *p, const opt_method *method, double lr, const double *class_weight, int64_t epochs)
{
    const opt_source source = opt_source_table(&p->data);
    const opt_model model = opt_mlp_model(p->net);
    opt_batches *batches;
    opt_optim *o;

    assert_ok(p->ctx, opt_batches_new(p->ctx, &source, &(opt_batches_opts){.size = ROWS / 2}, &batches));
    assert_ok(p->ctx, opt_optim_new(p->ctx, method, NULL, &(opt_optim_opts){.lr = lr}, model.params, &o));
    assert_ok(p->ctx, opt_train(p->ctx, &model, o, batches,
                                &(opt_train_opts){.epochs = epochs, .class_weight = class_weight}));
    opt_optim_free(o);
    opt_batches_free(batches);
}

/* Units have no order: exchanging two and training comes to the same as training and exchanging, but for the
 * order in which products are summed. */
static void hidden_units_may_be_exchanged(void **state)
{
    static const opt_method *const methods[] = {&opt_gd, &opt_adam, &opt_rmsprop};
    const opt_mlp_opts opts = {.size = {IN, HIDDEN, OUT}, .loss = OPT_SOFTMAX_CE, .seed = 5};

    for (int m = 0; m < 3; m++) {
        problem a, b;

        problem_new(&a, *state, &opts, ROWS);
        problem_new(&b, *state, &opts, ROWS);
        turn_hidden_round(opt_mlp_params(b.net));
        train(&a, methods[m], 0.01, NULL, 50);
        train(&b, methods[m], 0.01, NULL, 50);
        turn_hidden_round(opt_mlp_params(b.net));
        for (int i = 0; i < 4; i++)
            assert_close(
                largest_difference(&opt_mlp_params(a.net).at[i].value, &opt_mlp_params(b.net).at[i].value), 0,
                1e-10);
        problem_free(&a);
        problem_free(&b);
    }
}

/* Four times the loss and a quarter of the rate is the same run, to the last bit; and Adam's step does not
 * know the loss's unit, but for eps. */
static void the_losss_unit_does_not_matter(void **state)
{
    static const double four[] = {4, 4};
    const opt_mlp_opts opts = {.size = {IN, HIDDEN, OUT}, .loss = OPT_SOFTMAX_CE, .seed = 5};
    problem a, b;

    for (int adam = 0; adam < 2; adam++) {
        problem_new(&a, *state, &opts, ROWS);
        problem_new(&b, *state, &opts, ROWS);
        train(&a, adam ? &opt_adam : &opt_momentum, 0.01, NULL, 50);
        train(&b, adam ? &opt_adam : &opt_momentum, adam ? 0.01 : 0.0025, four, 50);
        if (adam)
            for (int i = 0; i < 4; i++)
                assert_close(largest_difference(&opt_mlp_params(a.net).at[i].value,
                                                &opt_mlp_params(b.net).at[i].value),
                             0, 1e-5);
        else
            assert_true(same_bits(opt_mlp_params(a.net), opt_mlp_params(b.net)));
        problem_free(&a);
        problem_free(&b);
    }
}

/* ---- Inputs that ask for trouble ----------------------------------------------------------------------- */

/* Trains on what is in p; either all ends finite, or in a status that says what is not. */
static void check_end(problem *p, const opt_method *method, double lr)
{
    const opt_source source = opt_source_table(&p->data);
    const opt_model model = opt_mlp_model(p->net);
    opt_batches *batches;
    opt_optim *o;
    opt_status s;

    assert_ok(p->ctx, opt_batches_new(p->ctx, &source, &(opt_batches_opts){.size = 8}, &batches));
    assert_ok(p->ctx, opt_optim_new(p->ctx, method, NULL, &(opt_optim_opts){.lr = lr}, model.params, &o));
    s = opt_train(p->ctx, &model, o, batches, &(opt_train_opts){.epochs = 30});
    if (s) {
        assert_int_equal(s, OPT_ENONFINITE);
        assert_non_null(strstr(opt_errmsg(p->ctx), "epoch"));
    }
    for (int i = 0; !s && i < model.params.n; i++)
        for (int64_t k = 0; k < opt_tensor_len(&model.params.at[i].value); k++)
            assert_true(isfinite(opt_get(&model.params.at[i].value, k)));
    opt_optim_free(o);
    opt_batches_free(batches);
}

/* Constant and huge features, ones too small to be normal, labels that are all the same. */
static void trouble_ends_in_a_status_or_finite(void **state)
{
    static const opt_method *const methods[] = {&opt_gd, &opt_adam, &opt_adagrad, &opt_lion};
    static const double features[] = {0, 1, 1e4, -1e38, 1e38, 1e-40, -1e-310};

    for (int k = 0; k < 7 * 3 * 2 * 4; k++) {
        const opt_mlp_opts opts = {.size = {IN, HIDDEN, OUT},
                                   .act = k % 3 ? OPT_RELU : OPT_TANH,
                                   .loss = (opt_loss)(k % 3),
                                   .dtype = k % 2 ? OPT_F32 : OPT_F64,
                                   .seed = (uint32_t)k};
        problem p;

        problem_new(&p, *state, &opts, ROWS);
        opt_tensor_fill(&p.data.x, features[k % 7]);
        for (int64_t i = 0; k % 5 == 0 && i < ROWS * IN; i += 2) /* not all of them */
            opt_set(&p.data.x, i, 1);
        for (int64_t i = 0; k % 4 < 2 && i < ROWS * OUT; i++)
            opt_set(&p.data.y, i, i % OUT == 0);
        check_end(&p, methods[k / 2 % 4], k % 8 < 4 ? 0.1 : 1e4);
        problem_free(&p);
    }
}

/* Weights of any size the type has. */
static void extreme_weights_end_in_a_status_or_finite(void **state)
{
    static const double sizes[] = {0, 1e-45, 1e-30, 1e4, 1e19, 3e38};

    for (int k = 0; k < 6 * 3 * 2; k++) {
        const opt_mlp_opts opts = {.size = {IN, HIDDEN, OUT},
                                   .act = (opt_act)(k % 3),
                                   .loss = (opt_loss)(k % 3),
                                   .dtype = k % 2 ? OPT_F32 : OPT_F64,
                                   .seed = 1};
        problem p;

        problem_new(&p, *state, &opts, ROWS);
        for (int i = 0; i < 4; i++)
            for (int64_t j = 0; j < opt_tensor_len(&opt_mlp_params(p.net).at[i].value); j++)
                opt_set(&opt_mlp_params(p.net).at[i].value, j, (j % 2 ? -1 : 1) * sizes[k % 6]);
        check_end(&p, &opt_adam, 0.01);
        problem_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gradients_of_a_thousand_networks_agree_with_differences),
        TEST(hidden_units_may_be_exchanged),
        TEST(the_losss_unit_does_not_matter),
        TEST(trouble_ends_in_a_status_or_finite),
        TEST(extreme_weights_end_in_a_status_or_finite),
    };
    return cmocka_run_group_tests_name("invariants", tests, NULL, NULL);
}

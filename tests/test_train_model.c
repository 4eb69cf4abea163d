/* SPDX-License-Identifier: MIT
 *
 * Models of one's own whose answers are odd: what is said of them, and what the log makes of it.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "problem.h"

#define LOG "test_train_model.csv"

/* One weight; the loss and the gradient are what the test says. */
typedef struct odd {
    double w, g, loss, val_loss;
    opt_param param;
    double x[4], y[4];
    opt_table table;
    opt_model model;
    opt_optim *optim;
    opt_batches *batches;
} odd;

static opt_status odd_grad(void *self, const opt_batch *part, double *loss)
{
    odd *o = self;

    (void)part;
    o->g = 0;
    *loss = o->loss;
    return OPT_OK;
}

static opt_status odd_predict(void *self, const opt_batch *part, double *loss, opt_tensor *out)
{
    (void)part, (void)out;
    *loss = ((odd *)self)->val_loss;
    return OPT_OK;
}

static void odd_new(odd *o, opt_ctx *ctx, const opt_method *method, bool labels)
{
    opt_source source;

    *o = (odd){.w = 1};
    o->param = (opt_param){.name = "w",
                           .value = opt_tensor_view(OPT_F64, &o->w, 0, NULL),
                           .grad = opt_tensor_view(OPT_F64, &o->g, 0, NULL)};
    o->table.x = opt_tensor_view(OPT_F64, o->x, 2, (int64_t[]){4, 1});
    if (labels)
        o->table.y = opt_tensor_view(OPT_F64, o->y, 2, (int64_t[]){4, 1});
    source = opt_source_table(&o->table);
    o->model = (opt_model){.self = o, .params = {&o->param, 1}, .grad = odd_grad, .predict = odd_predict};
    assert_ok(ctx, opt_optim_new(ctx, method, NULL, &(opt_optim_opts){.lr = 1}, o->model.params, &o->optim));
    assert_ok(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.in_order = true}, &o->batches));
}

static void odd_free(odd *o)
{
    opt_optim_free(o->optim);
    opt_batches_free(o->batches);
}

static opt_status odd_train(odd *o, opt_ctx *ctx, opt_train_opts opts)
{
    opts.epochs = opts.epochs > 0 ? opts.epochs : 1;
    return opt_train(ctx, &o->model, o->optim, o->batches, &opts);
}

static void what_spoilt_the_loss_is_named(void **state)
{
    odd o;

    for (int labels = 0; labels < 2; labels++) {
        odd_new(&o, *state, &opt_gd, labels);
        o.loss = (double)NAN;
        assert_fails(*state, odd_train(&o, *state, (opt_train_opts){0}), OPT_ENONFINITE,
                     "train: epoch 1, batch 1: the loss is nan, though every tensor is finite");
        o.y[2] = HUGE_VAL;
        assert_fails(*state, odd_train(&o, *state, (opt_train_opts){0}), OPT_ENONFINITE,
                     labels ? "the batch's y is inf in element 2" : "though every tensor is finite");
        o.x[3] = -HUGE_VAL;
        assert_fails(*state, odd_train(&o, *state, (opt_train_opts){0}), OPT_ENONFINITE,
                     "the batch's x is -inf in element 3");
        odd_free(&o);
    }
}

/* Nobody computes the gradient of a frozen parameter, so it spoils nothing; its value may. */
static void a_frozen_gradient_is_not_blamed(void **state)
{
    double w[1] = {1}, g[1] = {(double)NAN};
    opt_param params[2] = {{.name = "fixed",
                            .value = opt_tensor_view(OPT_F64, w, 0, NULL),
                            .grad = opt_tensor_view(OPT_F64, g, 0, NULL),
                            .frozen = true}};
    odd o;

    odd_new(&o, *state, &opt_gd, true);
    opt_optim_free(o.optim);
    params[1] = o.param;
    o.model.params = (opt_params){params, 2};
    assert_ok(*state,
              opt_optim_new(*state, &opt_gd, NULL, &(opt_optim_opts){.lr = 1}, o.model.params, &o.optim));
    o.loss = HUGE_VAL;
    assert_fails(*state, odd_train(&o, *state, (opt_train_opts){0}), OPT_ENONFINITE,
                 "the loss is inf, though every tensor is finite");
    w[0] = HUGE_VAL;
    assert_fails(*state, odd_train(&o, *state, (opt_train_opts){0}), OPT_ENONFINITE,
                 "fixed is inf in element 0");
    odd_free(&o);
}

static void time_has_an_end(void **state)
{
    odd o;

    odd_new(&o, *state, &opt_gd, true);
    assert_fails(*state, odd_train(&o, *state, (opt_train_opts){.checkpoint_seconds = HUGE_VAL}), OPT_EINVAL,
                 "train: checkpoint_seconds = inf is outside [0, inf)");
    odd_free(&o);
}

/* The same values with other gradients, or seen in another shape, are other parameters. */
static void an_optimizer_of_other_gradients_is_refused(void **state)
{
    static const int64_t one = 1;
    double other = 0;
    odd o;

    odd_new(&o, *state, &opt_gd, true);
    o.param.grad = opt_tensor_view(OPT_F64, &other, 0, NULL);
    assert_fails(*state, odd_train(&o, *state, (opt_train_opts){0}), OPT_EINVAL, "made for other parameters");
    o.param.grad = opt_tensor_view(OPT_F64, &o.g, 1, &one);
    o.param.value = opt_tensor_view(OPT_F64, &o.w, 1, &one);
    assert_fails(*state, odd_train(&o, *state, (opt_train_opts){0}), OPT_EINVAL, "made for other parameters");
    odd_free(&o);
}

static void infinite_validation_losses_are_logged(void **state)
{
    static const double losses[] = {HUGE_VAL, -HUGE_VAL};
    char line[256];
    opt_source source;
    FILE *f;
    odd o;

    remove(LOG);
    odd_new(&o, *state, &opt_gd, true);
    source = opt_source_table(&o.table);
    for (int i = 0; i < 2; i++) {
        o.val_loss = losses[i];
        assert_ok(*state, odd_train(&o, *state,
                                    (opt_train_opts){.epochs = i + 1, .validation = &source, .log = LOG}));
    }
    f = fopen(LOG, "r");
    assert_non_null(f);
    for (int i = 0; i < 3; i++) {
        assert_non_null(fgets(line, sizeof line, f));
        if (i > 0)
            assert_non_null(strstr(line, i == 1 ? ",inf,nan\n" : ",-inf,nan\n"));
    }
    fclose(f);
    remove(LOG);
    odd_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_frozen_gradient_is_not_blamed),
        TEST(what_spoilt_the_loss_is_named),
        TEST(time_has_an_end),
        TEST(an_optimizer_of_other_gradients_is_refused),
        TEST(infinite_validation_losses_are_logged),
    };

    return cmocka_run_group_tests_name("train model", tests, NULL, NULL);
}

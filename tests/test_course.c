/* SPDX-License-Identifier: MIT
 *
 * The course's runs, from the data to the accuracy: a 2-5-2-1 network on 300 points of the two moons, seed 3,
 * in batches of 64, seed 10, against NumPy's figures.
 */
#include "support.h"

#include <math.h>

enum { ROWS = 300, STEPS_AN_EPOCH = 5 };

typedef struct course {
    const char *golden; /* folder with costs_every_100.npy and the final parameters; NULL: not compared */
    const opt_method *method;
    opt_dtype dtype;
    int64_t epochs;
    double lr;
    const opt_inverse_arg *decay; /* NULL: none */
    double cost_tol, param_tol;
    int right, right_tol; /* examples of 300 told apart at the end */
} course;

/* The course's epochs count from 0, and its decay takes effect an epoch late: in epoch i the rate is that
 * for max(0, i - 1). */
static double course_rate(double lr0, int64_t t, const void *arg)
{
    const int64_t epoch = t / STEPS_AN_EPOCH;

    return opt_lr_inverse(lr0, epoch > 0 ? epoch - 1 : 0, arg);
}

/* Compares the cost of epochs 0, 100, 200, ... as the course counts them. */
typedef struct comparison {
    opt_tensor costs;
    double worst;
    int64_t compared;
} comparison;

static opt_status compare_cost(const opt_progress *p, void *ud)
{
    comparison *c = ud;

    if (c->costs.data != NULL && (p->epoch - 1) % 100 == 0)
        c->worst = fmax(c->worst, fabs(p->loss - opt_get(&c->costs, c->compared++)));
    return isnan(p->loss) ? OPT_EINVAL : OPT_OK;
}

/* The moons in the network's dtype. */
static opt_table new_moons(opt_ctx *ctx, opt_dtype dtype)
{
    opt_table exact = {0}, t = {0};

    assert_ok(ctx, opt_moons(ctx, ROWS, 0.2, 3, &exact));
    if (dtype == OPT_F64)
        return exact;
    assert_ok(ctx, opt_tensor_new(ctx, dtype, 2, exact.x.dim, &t.x));
    assert_ok(ctx, opt_tensor_new(ctx, dtype, 2, exact.y.dim, &t.y));
    assert_ok(ctx, opt_tensor_copy(ctx, &exact.x, &t.x));
    assert_ok(ctx, opt_tensor_copy(ctx, &exact.y, &t.y));
    opt_tensor_free(ctx, &exact.x);
    opt_tensor_free(ctx, &exact.y);
    return t;
}

/* How many examples lie on their side of 0.5. */
static int count_right(opt_ctx *ctx, opt_mlp *net, const opt_table *data)
{
    opt_tensor out = {0};
    int right = 0;

    assert_ok(ctx, opt_tensor_new(ctx, data->y.dtype, 2, data->y.dim, &out));
    assert_ok(ctx, opt_mlp_predict(net, &data->x, &out));
    for (int64_t i = 0; i < ROWS; i++)
        right += (opt_get(&out, i) > 0.5) == (opt_get(&data->y, i) > 0.5);
    opt_tensor_free(ctx, &out);
    return right;
}

static void run_course(const course *c)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_table data = new_moons(ctx, c->dtype);
    const opt_source source = opt_source_table(&data);
    comparison compared = {0};
    const opt_train_opts opts = {.epochs = c->epochs, .on_epoch = compare_cost, .ud = &compared};
    opt_mlp *net = NULL;
    opt_batches *batches = NULL;
    opt_optim *optim = NULL;
    opt_model model;

    assert_ok(ctx,
              opt_mlp_new(ctx, &(opt_mlp_opts){.size = {2, 5, 2, 1}, .dtype = c->dtype, .seed = 3}, &net));
    assert_ok(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = 64, .seed = 10}, &batches));
    assert_ok(ctx, opt_optim_new(ctx, c->method, NULL,
                                 &(opt_optim_opts){.lr = c->lr,
                                                   .schedule = c->decay ? course_rate : NULL,
                                                   .schedule_arg = c->decay},
                                 opt_mlp_params(net), &optim));
    model = opt_mlp_model(net);
    if (c->golden != NULL)
        compared.costs = golden(ctx, "%s/costs_every_100.npy", c->golden);
    assert_ok(ctx, opt_train(ctx, &model, optim, batches, &opts));
    assert_int_equal(opt_optim_steps(optim), c->epochs * STEPS_AN_EPOCH);
    assert_close(count_right(ctx, net, &data), c->right, c->right_tol);
    if (c->golden != NULL) {
        assert_int_equal(compared.compared, opt_tensor_len(&compared.costs));
        assert_int_equal(compared.compared, c->epochs / 100);
        assert_close(compared.worst, 0, c->cost_tol);
        for (int i = 0; i < model.params.n; i++) {
            opt_tensor g = golden(ctx, "%s/%s.npy", c->golden, model.params.at[i].name);

            assert_close(largest_difference(&model.params.at[i].value, &g), 0, c->param_tol);
            opt_tensor_free(ctx, &g);
        }
    }
    opt_tensor_free(ctx, &compared.costs);
    opt_optim_free(optim);
    opt_batches_free(batches);
    opt_mlp_free(net);
    opt_tensor_free(ctx, &data.x);
    opt_tensor_free(ctx, &data.y);
    opt_ctx_free(ctx);
}

static const opt_inverse_arg every_epoch = {.decay = 1, .every = 1}, every_1000 = {.decay = 1, .every = 1000};

static void costs_and_parameters_are_the_courses(void **state)
{
    static const course runs[] = {
        {"moons/gd", &opt_gd, OPT_F64, 10000, 7e-4, NULL, 1e-11, 1e-10, 239, 0},
        {"moons/momentum", &opt_momentum, OPT_F64, 10000, 7e-4, NULL, 1e-11, 1e-10, 239, 0},
        {"moons/adam", &opt_adam, OPT_F64, 10000, 7e-4, NULL, 1e-11, 1e-10, 282, 0},
    };

    (void)state;
    for (int i = 0; i < 3; i++)
        run_course(&runs[i]);
}

static void costs_and_parameters_with_decay_are_the_courses(void **state)
{
    static const course runs[] = {
        {"moons_decay_inverse/gd", &opt_gd, OPT_F64, 5000, 0.1, &every_epoch, 1e-9, 1e-9, 196, 0},
        {"moons_decay_interval/gd", &opt_gd, OPT_F64, 5000, 0.1, &every_1000, 1e-9, 1e-9, 283, 0},
        {"moons_decay_interval/momentum", &opt_momentum, OPT_F64, 5000, 0.1, &every_1000, 1e-9, 1e-9, 286, 0},
        {"moons_decay_interval/adam", &opt_adam, OPT_F64, 5000, 0.1, &every_1000, 1e-9, 1e-9, 281, 0},
    };

    (void)state;
    for (int i = 0; i < 4; i++)
        run_course(&runs[i]);
}

/* Within 0.01. */
static void f32_is_as_accurate(void **state)
{
    static const course runs[] = {
        {NULL, &opt_gd, OPT_F32, 10000, 7e-4, NULL, 0, 0, 239, 3},
        {NULL, &opt_momentum, OPT_F32, 10000, 7e-4, NULL, 0, 0, 239, 3},
        {NULL, &opt_adam, OPT_F32, 10000, 7e-4, NULL, 0, 0, 282, 3},
        {NULL, &opt_gd, OPT_F32, 5000, 0.1, &every_epoch, 0, 0, 196, 3},
        {NULL, &opt_gd, OPT_F32, 5000, 0.1, &every_1000, 0, 0, 283, 3},
        {NULL, &opt_momentum, OPT_F32, 5000, 0.1, &every_1000, 0, 0, 286, 3},
        {NULL, &opt_adam, OPT_F32, 5000, 0.1, &every_1000, 0, 0, 281, 3},
    };

    (void)state;
    for (int i = 0; i < 7; i++)
        run_course(&runs[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(costs_and_parameters_are_the_courses),
        cmocka_unit_test(costs_and_parameters_with_decay_are_the_courses),
        cmocka_unit_test(f32_is_as_accurate),
    };

    return cmocka_run_group_tests_name("course", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Methods against figures from elsewhere: the notebook's own test case, PyTorch's trajectories, and others by
 * NumPy (golden/make_methods.py).
 */
#include <string.h>

#include "support.h"

#define UPDATE_PARAMS 4
static const char *const update_names[UPDATE_PARAMS] = {"W1", "b1", "W2", "b2"};

/* The notebook's own check of an update rule: one step at step number t, compared with the golden folder. */
static void check_update_case(const opt_method *m, const char *folder, int t, const char *const *slots,
                              const char *const *prefixes)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_param p[UPDATE_PARAMS];
    opt_optim *o;

    for (int i = 0; i < UPDATE_PARAMS; i++) {
        p[i] = (opt_param){.name = update_names[i],
                           .value = golden(ctx, "update_case/param/%s.npy", update_names[i])};
        assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, p[i].value.ndim, p[i].value.dim, &p[i].grad));
    }
    assert_ok(ctx,
              opt_optim_new(ctx, m, NULL, &(opt_optim_opts){.lr = 0.01}, (opt_params){p, UPDATE_PARAMS}, &o));
    for (int i = 1; i < t; i++)
        assert_ok(ctx, opt_optim_step(o)); /* without gradient: counts, and changes nothing else */
    for (int i = 0; i < UPDATE_PARAMS; i++) {
        opt_tensor g = golden(ctx, "update_case/grad/%s.npy", update_names[i]);
        assert_ok(ctx, opt_tensor_copy(ctx, &g, &p[i].grad));
        opt_tensor_free(ctx, &g);
    }
    assert_ok(ctx, opt_optim_step(o));
    for (int i = 0; i < UPDATE_PARAMS; i++) {
        opt_tensor want = golden(ctx, "update_case/%s/%s.npy", folder, update_names[i]);

        assert_close(largest_difference(&p[i].value, &want), 0, 1e-15);
        opt_tensor_free(ctx, &want);
        for (int s = 0; slots[s] != NULL; s++) {
            want = golden(ctx, "update_case/%s/%s_%s.npy", folder, prefixes[s], update_names[i]);
            assert_close(largest_difference(opt_optim_slot(o, i, slots[s]), &want), 0, 1e-15);
            opt_tensor_free(ctx, &want);
        }
    }
    opt_optim_free(o);
    for (int i = 0; i < UPDATE_PARAMS; i++) {
        opt_tensor_free(ctx, &p[i].value);
        opt_tensor_free(ctx, &p[i].grad);
    }
    opt_ctx_free(ctx);
}

static void updates_are_the_notebooks(void **state)
{
    (void)state;
    check_update_case(&opt_gd, "gd_lr0.01", 1, (const char *const[]){NULL}, NULL);
    check_update_case(&opt_momentum, "momentum_beta0.9_lr0.01", 1, (const char *const[]){"v", NULL},
                      (const char *const[]){"v"});
    check_update_case(&opt_adam, "adam_t2_lr0.01", 2, (const char *const[]){"m", "v", NULL},
                      (const char *const[]){"v", "s"}); /* the course's names for m and v */
}

typedef struct trajectory {
    const char *file;
    const opt_method *method;
    const void *hyper;
    opt_optim_opts opts;
    int64_t rows, cols;     /* 0: a vector */
    const char *predicting; /* the file of the weights that predict; NULL: the same */
} trajectory;

static const opt_adam_opts tuned_adam = {0.8, 0.99, 1e-6}, tuned_radam = {0.8, 0.9, 1e-6};
static const opt_rmsprop_opts heavy = {.momentum = 0.9}, centred = {.centered = 1},
                              both = {.momentum = 0.9, .centered = 1};
static const opt_adagrad_opts late = {.lr_decay = 0.1, .initial_sum = 0.5};
static const opt_nadam_opts soon = {.beta1 = 0.95, .momentum_decay = 0.5};
static const opt_lion_opts long_lion = {0.95, 0.98};
static const opt_schedule_free_opts slow = {0.95, 0.99, 1e-6, 50.5};
static const opt_muon_opts rms = {.match_rms = 1}, other = {0.9, OPT_ZERO, .match_rms = 1},
                           plain = {.nesterov = OPT_ZERO, .steps = 3.9},
                           thorough = {.momentum = 0.5, .steps = 9, .eps = 20},
                           muons_adam = {.beta1 = 0.8, .beta2 = 0.99, .adam_eps = 1e-6};
static const opt_rprop_opts bold = {0.4, 1.5, 1e-3, 0.1};

static const trajectory trajectories[] = {
    {"sgd_lr0.01", &opt_gd, NULL, {.lr = 0.01}},
    {"sgd_lr0.01_wd0.1", &opt_gd, NULL, {.lr = 0.01, .l2 = 0.1}},
    {"sgd_lr0.01_momentum0.9", &opt_heavy_ball, NULL, {.lr = 0.01}},
    {"sgd_lr0.01_momentum0.9_nesterov", &opt_nesterov, NULL, {.lr = 0.01}},
    {"rmsprop_lr0.001", &opt_rmsprop, NULL, {.lr = 0.001}},
    {"rmsprop_lr0.001_momentum0.9", &opt_rmsprop, &heavy, {.lr = 0.001}},
    {"rmsprop_lr0.001_centered", &opt_rmsprop, &centred, {.lr = 0.001}},
    {"rmsprop_lr0.001_momentum0.9_centered", &opt_rmsprop, &both, {.lr = 0.001}},
    {"adagrad_lr0.01", &opt_adagrad, NULL, {.lr = 0.01}},
    {"adagrad_lr0.01_decay0.1_start0.5", &opt_adagrad, &late, {.lr = 0.01}},
    {"adam_lr0.001", &opt_adam, NULL, {.lr = 0.001}},
    {"adam_lr0.01_b0.8_0.99_eps1e-6", &opt_adam, &tuned_adam, {.lr = 0.01}},
    {"adamw_lr0.001_wd0.01", &opt_adam, NULL, {.lr = 0.001, .weight_decay = 0.01}},
    {"adamw_lr0.001_wd0.01", &opt_adamw, NULL, {.lr = 0.001}},
    {"adam_lr0.001_amsgrad", &opt_amsgrad, NULL, {.lr = 0.001}},
    {"nadam_lr0.002", &opt_nadam, NULL, {.lr = 0.002}},
    {"nadam_lr0.002_b0.95_decay0.5", &opt_nadam, &soon, {.lr = 0.002}},
    {"radam_lr0.001", &opt_radam, NULL, {.lr = 0.001}},
    {"radam_lr0.01_b0.8_0.9_eps1e-6", &opt_radam, &tuned_radam, {.lr = 0.01}},
    {"lion_lr0.0001", &opt_lion, NULL, {.lr = 1e-4}},
    {"lion_lr0.001_b0.95_0.98_wd0.1", &opt_lion, &long_lion, {.lr = 1e-3, .weight_decay = 0.1}},
    {"muon_8x5_lr0.02", &opt_muon, NULL, {.lr = 0.02}, 8, 5},
    {"muon_5x8_lr0.02", &opt_muon, NULL, {.lr = 0.02}, 5, 8},
    {"muon_6x6_lr0.02", &opt_muon, NULL, {.lr = 0.02}, 6, 6},
    {"muon_1x17_lr0.02", &opt_muon, NULL, {.lr = 0.02}, 1, 17},
    {"muon_17x1_lr0.02", &opt_muon, NULL, {.lr = 0.02}, 17, 1},
    {"muon_8x5_lr0.001_rms", &opt_muon, &rms, {.lr = 1e-3}, 8, 5},
    {"muon_5x8_lr0.001_rms_mu0.9_plain_wd0", &opt_muon, &other, {1e-3, .weight_decay = OPT_ZERO}, 5, 8},
    {"muon_6x6_lr0.02_plain_steps3", &opt_muon, &plain, {.lr = 0.02}, 6, 6},
    {"muon_8x5_lr0.02_mu0.5_steps9_eps20", &opt_muon, &thorough, {.lr = 0.02}, 8, 5},
    {"adamw_lr0.001_wd0.01", &opt_muon, NULL, {.lr = 1e-3, .weight_decay = 0.01}},
    {"adam_lr0.01_b0.8_0.99_eps1e-6", &opt_muon, &muons_adam, {.lr = 0.01, .weight_decay = OPT_ZERO}},
    {"rprop_lr0.01", &opt_rprop, NULL, {.lr = 0.01}},
    {"rprop_lr0.02_etas0.4_1.5_steps1e-3_0.1", &opt_rprop, &bold, {.lr = 0.02}},
    {"schedule_free_lr0.0025", &opt_schedule_free, NULL, {.lr = 0.0025}, 0, 0, "schedule_free_lr0.0025_x"},
    {"schedule_free_lr0.01_b0.95_0.99_warmup50.5_wd0.1",
     &opt_schedule_free,
     &slow,
     {.lr = 0.01, .weight_decay = 0.1},
     0,
     0,
     "schedule_free_lr0.01_b0.95_0.99_warmup50.5_wd0.1_x"},
};

/* Whether the parameter, or what predicts in its place, is row `number` of those that are wanted. */
static void check_row(opt_ctx *ctx, opt_optim *o, const opt_param *p, const opt_tensor *want, bool predicting,
                      int number)
{
    const opt_tensor then = opt_tensor_rows(want, number, 1);

    if (predicting)
        assert_ok(ctx, opt_optim_predicting(o, true));
    assert_close(largest_difference(&p->value, &then), 0, 1e-12);
    if (predicting)
        assert_ok(ctx, opt_optim_predicting(o, false));
}

/* The parameters after 1, 2, 10, 100 and 500 steps along a fixed sequence of gradients; matrices, which take
 * more of its numbers at a time, after 200 at the end. */
static void check_trajectory(opt_ctx *ctx, const trajectory *c)
{
    const int64_t last = c->rows > 0 ? 200 : 500, saved[] = {1, 2, 10, 100, last};
    opt_tensor grads = golden(ctx, "torch/grads.npy"), want = golden(ctx, "torch/%s.npy", c->file);
    opt_tensor best = golden(ctx, "torch/%s.npy", c->predicting ? c->predicting : c->file);
    opt_tensor p0 = golden(ctx, "torch/p0.npy");
    opt_param p = {.name = "p"};
    const int64_t dim[] = {c->rows > 0 ? c->rows : opt_tensor_len(&p0), c->cols};
    const int ndim = c->rows > 0 ? 2 : 1;
    opt_optim *o;
    int next = 0;

    assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, ndim, dim, &p.value));
    assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, ndim, dim, &p.grad));
    const int64_t n = opt_tensor_len(&p.value);
    for (int64_t i = 0; i < n; i++)
        opt_set(&p.value, i, opt_get(&p0, i % opt_tensor_len(&p0)));
    assert_ok(ctx, opt_optim_new(ctx, c->method, c->hyper, &c->opts, (opt_params){&p, 1}, &o));
    for (int64_t t = 1; t <= last; t++) {
        memcpy(p.grad.data, (const double *)grads.data + (t - 1) * n, (size_t)n * sizeof(double));
        assert_ok(ctx, opt_optim_step(o));
        if (next < 5 && t == saved[next]) {
            check_row(ctx, o, &p, &want, false, next);
            check_row(ctx, o, &p, &best, c->predicting != NULL, next);
            next++;
        }
    }
    assert_int_equal(next, 5);
    opt_optim_free(o);
    opt_tensor_free(ctx, &grads);
    opt_tensor_free(ctx, &want);
    opt_tensor_free(ctx, &best);
    opt_tensor_free(ctx, &p0);
    opt_tensor_free(ctx, &p.value);
    opt_tensor_free(ctx, &p.grad);
}

static void trajectories_are_those_of_others(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    for (size_t i = 0; i < sizeof trajectories / sizeof *trajectories; i++)
        check_trajectory(ctx, &trajectories[i]);
    opt_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updates_are_the_notebooks),
        cmocka_unit_test(trajectories_are_those_of_others),
    };
    return cmocka_run_group_tests_name("trajectories", tests, NULL, NULL);
}

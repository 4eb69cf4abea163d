/* SPDX-License-Identifier: MIT
 *
 * The methods' tables: names, defaults and ranges of hyper-parameters are those of methods.h, which
 * checkpoints rely on too.
 */
#include <float.h>
#include <math.h>

#include "support.h"

typedef struct row {
    const opt_method *method;
    double weight_decay;
    opt_hyper hyper[8];
} row;

#define ADAM                                                                                                 \
    {"beta1", 0.9, 0, 1}, {"beta2", 0.999, 0, 1},                                                            \
    {                                                                                                        \
        "eps", 1e-8, DBL_MIN, HUGE_VAL                                                                       \
    }

static const row rows[] = {
    {&opt_gd, 0},
    {&opt_momentum, 0, {{"beta", 0.9, 0, 1}}},
    {&opt_heavy_ball, 0, {{"mu", 0.9, 0, 1}}},
    {&opt_nesterov, 0, {{"mu", 0.9, 0, 1}}},
    {&opt_rmsprop,
     0,
     {{"alpha", 0.99, 0, 1}, {"eps", 1e-8, DBL_MIN, HUGE_VAL}, {"momentum", 0, 0, 1}, {"centered", 0, 0, 2}}},
    {&opt_adagrad,
     0,
     {{"lr_decay", 0, 0, HUGE_VAL}, {"initial_sum", 0, 0, HUGE_VAL}, {"eps", 1e-10, DBL_MIN, HUGE_VAL}}},
    {&opt_adam, 0, {ADAM}},
    {&opt_adamw, 0.01, {ADAM}},
    {&opt_amsgrad, 0, {ADAM}},
    {&opt_adam_bf16, 0, {ADAM}},
    {&opt_nadam, 0, {ADAM, {"momentum_decay", 4e-3, 0, HUGE_VAL}}},
    {&opt_radam, 0, {ADAM}},
    {&opt_schedule_free,
     0,
     {{"beta1", 0.9, (double)0.01F, 1},
      {"beta2", 0.999, 0, 1},
      {"eps", 1e-8, DBL_MIN, HUGE_VAL},
      {"warmup", 0, 0, 0x1p53}}},
    {&opt_lion, 0, {{"beta1", 0.9, 0, 1}, {"beta2", 0.99, 0, 1}}},
    {&opt_muon,
     0.1,
     {{"momentum", 0.95, 0, 1},
      {"nesterov", 1, 0, 2},
      {"steps", 5, 1, 100},
      {"eps", 1e-7, 1e-30, HUGE_VAL},
      {"match_rms", 0, 0, 2},
      {"beta1", 0.9, 0, 1},
      {"beta2", 0.999, 0, 1},
      {"adam_eps", 1e-8, DBL_MIN, HUGE_VAL}}},
    {&opt_rprop,
     0,
     {{"eta_minus", 0.5, DBL_MIN, 1},
      {"eta_plus", 1.2, 1, HUGE_VAL},
      {"step_min", 1e-6, DBL_MIN, HUGE_VAL},
      {"step_max", 50, DBL_MIN, HUGE_VAL}}},
    {&opt_lbfgs,
     0,
     {{"history", 10, 1, 101},
      {"max_evals", 25, 1, 1e6},
      {"c1", 1e-4, DBL_MIN, 0.5},
      {"c2", 0.9, DBL_MIN, 1}}},
};

static void hyper_parameters_are_the_manuals(void **state)
{
    (void)state;
    for (const row *r = rows; r < rows + sizeof rows / sizeof *rows; r++) {
        int n = 0;

        for (; n < 8 && r->hyper[n].name != NULL; n++) {
            assert_true(n < r->method->nhyper);
            assert_string_equal(r->method->hyper[n].name, r->hyper[n].name);
            assert_true(r->method->hyper[n].dflt == r->hyper[n].dflt);
            assert_true(r->method->hyper[n].min == r->hyper[n].min);
            assert_true(r->method->hyper[n].max == r->hyper[n].max);
        }
        assert_int_equal(r->method->nhyper, n);
        assert_true(r->method->weight_decay == r->weight_decay);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hyper_parameters_are_the_manuals)};

    return cmocka_run_group_tests_name("optim_tables", tests, NULL, NULL);
}

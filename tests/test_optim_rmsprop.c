/* SPDX-License-Identifier: MIT
 *
 * RMSProp's variants: the slots that each needs, and a variance that stays one.
 */
#include <math.h>
#include <stdio.h>

#include "single.h"

/* Under a constant gradient the variance tends to 0, which rounding may not turn into the root of less. */
static void a_variance_is_never_negative(void **state)
{
    static const opt_rmsprop_opts hyper = {.alpha = 0.5, .centered = 1};

    (void)state;
    for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
        single p = single_new(&opt_rmsprop, &hyper, dtype, 40, 1e-9);

        for (int64_t i = 0; i < 40; i++)
            opt_set(&p.param.grad, i, sin((double)i));
        for (int t = 0; t < 200; t++)
            single_step(&p);
        for (int64_t i = 0; i < 40; i++)
            assert_true(isfinite(opt_get(&p.param.value, i)));
        single_free(&p);
    }
}

static const opt_rmsprop_opts rmsprops[] = {
    {0}, {.momentum = 0.8}, {.centered = 1}, {.momentum = 0.8, .centered = 1}};

/* Memory for the slots that the settings need; through a copy and a file with them alone. */
static void rmsprop_has_the_slots_it_needs(void **state)
{
    static const char path[] = "test_optim_rmsprop.tmp";

    (void)state;
    for (int k = 0; k < 4; k++) {
        const bool m = rmsprops[k].centered != 0, b = rmsprops[k].momentum != 0;
        single p = single_new(&opt_rmsprop, &rmsprops[k], OPT_F64, 1000, 0.01),
               q = single_new(&opt_rmsprop, &rmsprops[k], OPT_F64, 2000, 0.01),
               r = single_new(&opt_rmsprop, &rmsprops[k], OPT_F64, 1000, 0.01);

        assert_non_null(opt_optim_slot(p.optim, 0, "v"));
        assert_int_equal(opt_optim_slot(p.optim, 0, "m") != NULL, m);
        assert_int_equal(opt_optim_slot(p.optim, 0, "b") != NULL, b);
        assert_int_equal(q.count->bytes - p.count->bytes, 8000 * (3 + m + b));
        single_step_down(&p);
        assert_ok(p.ctx, opt_save(p.ctx, path, (opt_params){&p.param, 1}, p.optim, NULL));
        assert_ok(r.ctx, opt_load(r.ctx, path, (opt_params){&r.param, 1}, r.optim, NULL));
        single_check_same_path(&p, &r, 5);
        assert_ok(r.ctx, opt_optim_copy_state(p.optim, r.optim));
        single_check_same_path(&p, &r, 5);
        single_free(&p);
        single_free(&q);
        single_free(&r);
    }
    remove(path);
    remove("test_optim_rmsprop.tmp.bak");
}

static void settings_that_need_other_slots_are_no_copy(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++)
        for (int l = 0; l < 4; l++) {
            single p = single_new(&opt_rmsprop, &rmsprops[k], OPT_F64, 3, 0.01),
                   q = single_new(&opt_rmsprop, &rmsprops[l], OPT_F64, 3, 0.01);

            if (k == l)
                assert_ok(q.ctx, opt_optim_copy_state(p.optim, q.optim));
            else
                assert_fails(q.ctx, opt_optim_copy_state(p.optim, q.optim), OPT_EINVAL,
                             "copy_state: settings of rmsprop that need other slots");
            single_free(&p);
            single_free(&q);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_variance_is_never_negative),
        cmocka_unit_test(rmsprop_has_the_slots_it_needs),
        cmocka_unit_test(settings_that_need_other_slots_are_no_copy),
    };
    return cmocka_run_group_tests_name("rmsprop", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "update_case.h"
#include "print.h"

#include <stdio.h>

static opt_param wrap(const char *name, double *value, double *grad, int64_t rows, int64_t cols)
{
    const int64_t dim[] = {rows, cols};
    return (opt_param){.name = name,
                       .value = opt_tensor_view(OPT_F64, value, 2, dim),
                       .grad = opt_tensor_view(OPT_F64, grad, 2, dim)};
}

/* t = np.random.randn(*t.shape) */
static void randn(opt_rng *r, opt_tensor *t)
{
    for (int64_t i = 0; i < opt_tensor_len(t); i++)
        opt_set(t, i, opt_rng_normal(r));
}

opt_params update_case_draw(update_case *c)
{
    c->param[0] = wrap("W1", c->value.W1, c->grad.W1, 2, 3);
    c->param[1] = wrap("b1", c->value.b1, c->grad.b1, 2, 1);
    c->param[2] = wrap("W2", c->value.W2, c->grad.W2, 3, 3);
    c->param[3] = wrap("b2", c->value.b2, c->grad.b2, 3, 1);

    opt_rng r;
    opt_rng_seed(&r, 1);
    for (int i = 0; i < UPDATE_CASE_PARAMS; i++)
        randn(&r, &c->param[i].value);
    for (int i = 0; i < UPDATE_CASE_PARAMS; i++)
        randn(&r, &c->param[i].grad);
    return (opt_params){c->param, UPDATE_CASE_PARAMS};
}

static bool show(const char *name, const opt_tensor *t, const double *expected)
{
    print_matrix(name, t);
    return check_matrix(name, t, expected);
}

bool update_case_show_params(opt_params params, const update_arrays *expected)
{
    const double *const array[] = {expected->W1, expected->b1, expected->W2, expected->b2};
    bool ok = true;
    for (int i = 0; i < params.n; i++)
        ok = show(params.at[i].name, &params.at[i].value, array[i]) && ok;
    return ok;
}

bool update_case_show_slots(opt_params params, opt_optim *optim, const char *slot, const char *course_name,
                            const update_arrays *expected)
{
    const double *const array[] = {expected->W1, expected->b1, expected->W2, expected->b2};
    bool ok = true;
    for (int i = 0; i < params.n; i++) {
        char name[16];
        snprintf(name, sizeof name, "%s[\"d%s\"]", course_name, params.at[i].name);
        ok = show(name, opt_optim_slot(optim, i, slot), array[i]) && ok;
    }
    return ok;
}

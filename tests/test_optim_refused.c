/* SPDX-License-Identifier: MIT
 *
 * What opt_optim_new and its kin refuse: a status, a message that says what and where, outputs untouched,
 * nothing leaked.
 */
#include <math.h>
#include <string.h>

#include "support.h"

typedef struct fixture {
    count count;
    opt_ctx *ctx;
    double w[4], g[4];
    opt_param param[2];
} fixture;

static opt_tensor wrap(double *p, int64_t n)
{
    return opt_tensor_view(OPT_F64, p, 1, &n);
}

static void fixture_init(fixture *f)
{
    memset(f, 0, sizeof *f);
    count_init(&f->count);
    f->ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = f->count.allocator});
    f->param[0] = (opt_param){"a", wrap(f->w, 2), wrap(f->g, 2), false};
    f->param[1] = (opt_param){"b", wrap(f->w + 2, 2), wrap(f->g + 2, 2), false};
}

static void fixture_free(fixture *f)
{
    opt_ctx_free(f->ctx);
    assert_int_equal(f->count.live, 0);
}

/* Making an optimizer fails with `status` and a message with `part`, and *out is not touched. */
#define assert_refused(f, method, hyper, opts, params, status, part)                                         \
    do {                                                                                                     \
        opt_optim *const before_ = (opt_optim *)(f);                                                         \
        opt_optim *after_ = before_;                                                                         \
        assert_fails((f)->ctx, opt_optim_new((f)->ctx, method, hyper, opts, params, &after_), status, part); \
        assert_ptr_equal(after_, before_);                                                                   \
        assert_int_equal((f)->count.live, 1); /* the context */                                              \
    } while (0)

static const opt_optim_opts fine = {.lr = 0.1};

static void options_out_of_range(void **state)
{
    const double bad[] = {-0.5, (double)NAN, HUGE_VAL};
    fixture f;

    (void)state;
    fixture_init(&f);
    const opt_params both = {f.param, 2};
    for (int i = 0; i < 3; i++) {
        const double x = bad[i];

        assert_refused(&f, &opt_gd, NULL, (&(opt_optim_opts){.lr = x}), both, OPT_EINVAL, "gd: lr = ");
        assert_refused(&f, &opt_gd, NULL, (&(opt_optim_opts){.lr = 1, .clip_value = x}), both, OPT_EINVAL,
                       "gd: clip_value = ");
        assert_refused(&f, &opt_gd, NULL, (&(opt_optim_opts){.lr = 1, .clip_norm = x}), both, OPT_EINVAL,
                       "gd: clip_norm = ");
        assert_refused(&f, &opt_gd, NULL, (&(opt_optim_opts){.lr = 1, .l2 = x}), both, OPT_EINVAL,
                       "gd: l2 = ");
        assert_refused(&f, &opt_gd, NULL, (&(opt_optim_opts){.lr = 1, .weight_decay = x}), both, OPT_EINVAL,
                       "gd: weight_decay = ");
    }
    assert_refused(&f, &opt_gd, NULL, &(opt_optim_opts){0}, both, OPT_EINVAL,
                   "gd: lr = 0 is outside (0, inf)");
    assert_refused(&f, &opt_gd, NULL, (&(opt_optim_opts){.lr = OPT_ZERO}), both, OPT_EINVAL, "gd: lr = -1");
    assert_refused(&f, &opt_gd, NULL, NULL, both, OPT_EINVAL, "gd: opts is NULL");
    assert_refused(&f, &opt_adam, &(opt_adam_opts){.beta1 = 1.2}, &fine, both, OPT_EINVAL,
                   "adam: beta1 = 1.2 is outside [0, 1)");
    fixture_free(&f);
}

static opt_status nothing(const opt_update *u)
{
    (void)u;
    return OPT_OK;
}

static void methods_that_make_no_sense(void **state)
{
    static const opt_hyper no_name[] = {{NULL, 0, 0, 1}}, empty[] = {{"x", 0, 1, 1}};
    static const opt_hyper twice[] = {{"a", 0, 0, 1}, {"b", 0, 0, 1}, {"a", 0, 0, 1}};
    fixture f;

    (void)state;
    fixture_init(&f);
    const opt_params both = {f.param, 2};
    assert_refused(&f, NULL, NULL, &fine, both, OPT_EINVAL, "the method is NULL");
    assert_refused(&f, (&(opt_method){.name = "mine"}), NULL, &fine, both, OPT_EINVAL,
                   "mine: the method has no update");
    assert_refused(&f, (&(opt_method){.update = nothing}), NULL, &fine, both, OPT_EINVAL,
                   "the method has no name");
    assert_refused(&f, (&(opt_method){.name = "", .update = nothing}), NULL, &fine, both, OPT_EINVAL,
                   "the method has no name");
    assert_refused(&f, (&(opt_method){.name = "mine", .update = nothing, .nhyper = 1}), NULL, &fine, both,
                   OPT_EINVAL, "mine: nhyper = 1");
    assert_refused(&f, (&(opt_method){.name = "mine", .update = nothing, .nhyper = -1}), NULL, &fine, both,
                   OPT_EINVAL, "mine: nhyper = -1");
    assert_refused(&f, (&(opt_method){.name = "mine", .update = nothing, .hyper = no_name, .nhyper = 1}),
                   NULL, &fine, both, OPT_EINVAL, "mine: hyper-parameter 0");
    assert_refused(&f, (&(opt_method){.name = "mine", .update = nothing, .hyper = empty, .nhyper = 1}), NULL,
                   &fine, both, OPT_EINVAL, "mine: hyper-parameter 0");
    assert_refused(&f, (&(opt_method){.name = "mine", .update = nothing, .hyper = twice, .nhyper = 3}), NULL,
                   &fine, both, OPT_EINVAL, "mine: two hyper-parameters are named a");
    assert_refused(&f, (&(opt_method){.name = "mine", .update = nothing, .slot = {"m", "m"}}), NULL, &fine,
                   both, OPT_EINVAL, "mine: two slots are named m");
    assert_refused(&f, (&(opt_method){.name = "mine", .update = nothing, .slot = {"m", NULL, "v"}}), NULL,
                   &fine, both, OPT_EINVAL, "mine: slot 2, v, follows an empty one");
    assert_refused(&f, (&(opt_method){.name = "mine", .update = nothing, .slot = {""}}), NULL, &fine, both,
                   OPT_EINVAL, "mine: slot 0 has an empty name");
    assert_refused(&f, (&(opt_method){.name = "mine", .update = nothing, .weight_decay = (double)NAN}), NULL,
                   &fine, both, OPT_EINVAL, "mine: weight_decay = nan is outside [0, inf)");
    fixture_free(&f);
}

static void parameters_that_do_not_fit(void **state)
{
    float single[2] = {0};
    fixture f;

    (void)state;
    fixture_init(&f);
    opt_param p[2];
    const opt_params both = {p, 2};

    assert_refused(&f, &opt_gd, NULL, &fine, (opt_params){0}, OPT_EINVAL, "gd: there are no parameters");
    assert_refused(&f, &opt_gd, NULL, &fine, ((opt_params){p, 0}), OPT_EINVAL, "gd: there are no parameters");
    assert_refused(&f, &opt_gd, NULL, &fine, ((opt_params){p, -3}), OPT_EINVAL,
                   "gd: there are no parameters");
    memcpy(p, f.param, sizeof p);
    p[1].name = NULL;
    assert_refused(&f, &opt_gd, NULL, &fine, both, OPT_EINVAL, "gd: parameter 1 has no name");
    p[1].name = "a";
    assert_refused(&f, &opt_gd, NULL, &fine, both, OPT_EINVAL, "gd: parameters 0 and 1 are both named a");
    memcpy(p, f.param, sizeof p);
    p[1].value.data = NULL;
    assert_refused(&f, &opt_gd, NULL, &fine, both, OPT_EINVAL, "gd: b has no data");
    memcpy(p, f.param, sizeof p);
    p[1].grad.data = NULL;
    assert_refused(&f, &opt_gd, NULL, &fine, both, OPT_EINVAL, "gd: the gradient of b has no data");
    memcpy(p, f.param, sizeof p);
    p[1].grad.dim[0] = 1;
    assert_refused(&f, &opt_gd, NULL, &fine, both, OPT_ESHAPE,
                   "gd: the gradient of b is [1] where the value is [2]");
    memcpy(p, f.param, sizeof p);
    p[1].grad = opt_tensor_view(OPT_F32, single, 1, (int64_t[]){2});
    assert_refused(&f, &opt_gd, NULL, &fine, both, OPT_EDTYPE,
                   "gd: the gradient of b is f32 where the value is f64");
    memcpy(p, f.param, sizeof p);
    p[0].value.dim[0] = p[0].grad.dim[0] = 0;
    assert_refused(&f, &opt_gd, NULL, &fine, both, OPT_ESHAPE, "gd: a: dim[0] = 0 is below 1");
    memcpy(p, f.param, sizeof p);
    for (int i = 0; i < 2; i++) { /* each fits in memory, both do not; the gradients are somewhere far away */
        p[i].value.dim[0] = p[i].grad.dim[0] = PTRDIFF_MAX / 16 + 1;
        p[i].grad.data = (void *)(UINTPTR_MAX / 2 + 1); /* NOLINT(performance-no-int-to-ptr) */
    }
    assert_refused(&f, &opt_adam, NULL, &fine, both, OPT_ESHAPE,
                   "adam: the size of all parameters overflows");
    fixture_free(&f);
}

static opt_status fails_on_b(const opt_update *u)
{
    return opt_get(&u->g, 0) > 1 ? OPT_EIO : OPT_OK;
}

static void an_update_that_fails_is_passed_on(void **state)
{
    const opt_method m = {.name = "mine", .whole_tensor = true, .update = fails_on_b};
    opt_optim *o;
    fixture f;

    (void)state;
    fixture_init(&f);
    assert_ok(f.ctx, opt_optim_new(f.ctx, &m, NULL, &fine, (opt_params){f.param, 2}, &o));
    f.g[2] = 2;
    assert_fails(f.ctx, opt_optim_step(o), OPT_EIO, "mine: the update of b failed");
    assert_int_equal(opt_optim_steps(o), 0);
    opt_optim_free(o);
    fixture_free(&f);
}

static void null_is_harmless(void **state)
{
    opt_optim *o = NULL;
    fixture f;

    (void)state;
    fixture_init(&f);
    assert_int_equal(opt_optim_new(NULL, &opt_gd, NULL, &fine, (opt_params){f.param, 2}, &o), OPT_EINVAL);
    assert_fails(f.ctx, opt_optim_new(f.ctx, &opt_gd, NULL, &fine, (opt_params){f.param, 2}, NULL),
                 OPT_EINVAL, "out is NULL");
    assert_int_equal(opt_optim_step(NULL), OPT_EINVAL);
    assert_int_equal(opt_optim_copy_state(NULL, NULL), OPT_EINVAL);
    assert_true(isnan(opt_optim_lr(NULL)));
    assert_int_equal(opt_optim_steps(NULL), 0);
    opt_optim_set_lr(NULL, 1);
    assert_null(opt_optim_slot(NULL, 0, "m"));
    opt_optim_free(NULL);
    assert_ok(f.ctx, opt_optim_new(f.ctx, &opt_adam, NULL, &fine, (opt_params){f.param, 2}, &o));
    assert_fails(f.ctx, opt_optim_copy_state(NULL, o), OPT_EINVAL, "copy_state: src is NULL");
    assert_ok(f.ctx, opt_optim_copy_state(o, o));
    assert_null(opt_optim_slot(o, 0, NULL));
    assert_null(opt_optim_slot(o, -1, "m"));
    assert_null(opt_optim_slot(o, 2, "m"));
    opt_optim_free(o);
    fixture_free(&f);
}

/* copy_state: another method, another number of parameters, another shape, another dtype. */
static void state_of_another_kind_is_not_copied(void **state)
{
    float w[2] = {0}, g[2] = {0};
    opt_param shorter[2], single[2];
    opt_optim *adam, *other;
    fixture f;

    (void)state;
    fixture_init(&f);
    memcpy(shorter, f.param, sizeof shorter);
    memcpy(single, f.param, sizeof single);
    shorter[1].value.dim[0] = shorter[1].grad.dim[0] = 1;
    single[1].value = opt_tensor_view(OPT_F32, w, 1, (int64_t[]){2});
    single[1].grad = opt_tensor_view(OPT_F32, g, 1, (int64_t[]){2});
    const struct {
        const opt_method *method;
        opt_params params;
        opt_status status;
        const char *part;
    } other_kind[] = {
        {&opt_momentum, {f.param, 2}, OPT_EINVAL, "from adam to momentum"},
        {&opt_adam, {f.param, 1}, OPT_ESHAPE, "from 2 parameters to 1"},
        {&opt_adam, {shorter, 2}, OPT_ESHAPE, "b is [2], b is [1]"},
        {&opt_adam, {single, 2}, OPT_EDTYPE, "b is f64, b is f32"},
    };

    assert_ok(f.ctx, opt_optim_new(f.ctx, &opt_adam, NULL, &fine, (opt_params){f.param, 2}, &adam));
    opt_tensor_fill(opt_optim_slot(adam, 0, "m"), 3);
    assert_ok(f.ctx, opt_optim_step(adam));
    for (int i = 0; i < 4; i++) {
        assert_ok(f.ctx,
                  opt_optim_new(f.ctx, other_kind[i].method, NULL, &fine, other_kind[i].params, &other));
        assert_fails(f.ctx, opt_optim_copy_state(adam, other), other_kind[i].status, other_kind[i].part);
        assert_int_equal(opt_optim_steps(other), 0);
        assert_true(opt_get(opt_optim_slot(other, 0, i ? "m" : "v"), 0) == 0);
        opt_optim_free(other);
    }
    opt_optim_free(adam);
    fixture_free(&f);
}

static void every_allocation_may_fail(void **state)
{
    const opt_optim_opts opts = {.lr = 1, .clip_norm = 1};
    opt_status s = OPT_ENOMEM;
    opt_optim *o = NULL;
    fixture f;
    long n = 0;

    (void)state;
    fixture_init(&f);
    for (; s == OPT_ENOMEM; n++) {
        f.count.fail_from = f.count.calls + n;
        s = opt_optim_new(f.ctx, &opt_adam, NULL, &opts, (opt_params){f.param, 2}, &o);
        if (s) {
            assert_int_equal(s, OPT_ENOMEM);
            assert_non_null(strstr(opt_errmsg(f.ctx), "adam: out of memory"));
            assert_null(o);
            assert_int_equal(f.count.live, 1);
        }
    }
    assert_int_equal(s, OPT_OK);
    assert_true(n > 5);
    opt_optim_free(o);
    fixture_free(&f);
}

/* A constant that is not 0, and would be in f32. */
static void a_constant_may_not_vanish(void **state)
{
    static const opt_hyper any[] = {{"x", 1, -1, 2}};
    const opt_method mine = {.name = "mine", .update = nothing, .hyper = any, .nhyper = 1};
    float w = 0, g = 0;
    opt_param p = {.name = "w",
                   .value = opt_tensor_view(OPT_F32, &w, 0, NULL),
                   .grad = opt_tensor_view(OPT_F32, &g, 0, NULL)};
    const double tiny = 1e-60;
    fixture f;

    (void)state;
    fixture_init(&f);
    assert_refused(&f, &mine, &tiny, &fine, ((opt_params){&p, 1}), OPT_EINVAL,
                   "mine: x = 1e-60 is out of range once");
    p.name = "";
    assert_refused(&f, &mine, NULL, &fine, ((opt_params){&p, 1}), OPT_EINVAL, "parameter 0 has no name");
    fixture_free(&f);
}

/* Whichever of two is frozen, and whichever holds the weights that predict. */
static void unequal_copies_are_refused(void **state)
{
    const opt_optim_opts averaged = {.lr = 0.1, .average = 0.9};
    opt_optim *free_one, *frozen, *a, *b;
    fixture f;

    (void)state;
    fixture_init(&f);
    assert_ok(f.ctx, opt_optim_new(f.ctx, &opt_gd, NULL, &fine, (opt_params){f.param, 2}, &free_one));
    f.param[0].frozen = true;
    assert_ok(f.ctx, opt_optim_new(f.ctx, &opt_gd, NULL, &fine, (opt_params){f.param, 2}, &frozen));
    f.param[0].frozen = false;
    assert_fails(f.ctx, opt_optim_copy_state(free_one, frozen), OPT_EINVAL, "a is not frozen, a is frozen");
    assert_fails(f.ctx, opt_optim_copy_state(frozen, free_one), OPT_EINVAL, "a is frozen, a is not frozen");
    assert_ok(f.ctx, opt_optim_new(f.ctx, &opt_gd, NULL, &averaged, (opt_params){f.param, 2}, &a));
    assert_ok(f.ctx, opt_optim_new(f.ctx, &opt_gd, NULL, &averaged, (opt_params){f.param, 2}, &b));
    assert_ok(f.ctx, opt_optim_step(b));
    assert_ok(f.ctx, opt_optim_predicting(b, true));
    assert_fails(f.ctx, opt_optim_copy_state(a, b), OPT_EINVAL, "the weights are those that predict");
    opt_optim_free(free_one);
    opt_optim_free(frozen);
    opt_optim_free(a);
    opt_optim_free(b);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_out_of_range),       cmocka_unit_test(methods_that_make_no_sense),
        cmocka_unit_test(parameters_that_do_not_fit), cmocka_unit_test(an_update_that_fails_is_passed_on),
        cmocka_unit_test(null_is_harmless),           cmocka_unit_test(state_of_another_kind_is_not_copied),
        cmocka_unit_test(every_allocation_may_fail),  cmocka_unit_test(a_constant_may_not_vanish),
        cmocka_unit_test(unequal_copies_are_refused),
    };
    return cmocka_run_group_tests_name("refused", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * How the driver feeds a method: runs, chunks, whole tensors, mixed dtypes.
 */
#include <string.h>
#include <math.h>
#include <stdio.h>

#include "support.h"

static opt_tensor wrap(double *p, int64_t n)
{
    return opt_tensor_view(OPT_F64, p, 1, &n);
}

/* The same 9001 elements as one parameter, as many that lie end to end, and as many that do not. */
static void how_parameters_lie_in_memory_does_not_matter(void **state)
{
    enum { N = 9001, PARTS = 7 };
    static double w[3][2 * N], g[3][2 * N];
    static const int cut[PARTS + 1] = {0, 1, 4, 4096, 4097, 5000, 8999, N};
    const opt_optim_opts opts = {.lr = 0.01, .clip_value = 0.5, .l2 = 0.1, .weight_decay = 0.2};
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    for (int layout = 0; layout < 3; layout++) {
        const int parts = layout == 0 ? 1 : PARTS, gap = layout == 2 ? 3 : 0;
        opt_param p[PARTS];
        char names[PARTS][16];
        opt_optim *o;

        for (int k = 0; k < parts; k++) {
            const int from = layout == 0 ? 0 : cut[k], to = layout == 0 ? N : cut[k + 1];
            double *const wk = w[layout] + from + k * gap, *const gk = g[layout] + from + k * gap;

            snprintf(names[k], sizeof names[k], "p%d", k);
            p[k] = (opt_param){names[k], wrap(wk, to - from), wrap(gk, to - from), false};
            for (int i = from; i < to; i++) {
                wk[i - from] = sin(i);
                gk[i - from] = cos(3 * i);
            }
        }
        assert_ok(ctx, opt_optim_new(ctx, &opt_adam, NULL, &opts, (opt_params){p, parts}, &o));
        for (int t = 0; t < 3; t++)
            assert_ok(ctx, opt_optim_step(o));
        for (int k = 0; layout > 0 && k < parts; k++)
            assert_memory_equal(p[k].value.data, w[0] + cut[k],
                                (size_t)(cut[k + 1] - cut[k]) * sizeof(double));
        opt_optim_free(o);
    }
    opt_ctx_free(ctx);
}

static void dtypes_may_be_mixed(void **state)
{
    float wf[3] = {1, 2, 3}, gf[3] = {1, 1, 1};
    double wd[2] = {1, 2}, gd[2] = {1, 1};
    opt_param p[] = {{"f", opt_tensor_view(OPT_F32, wf, 1, (int64_t[]){3}),
                      opt_tensor_view(OPT_F32, gf, 1, (int64_t[]){3}), false},
                     {"d", wrap(wd, 2), wrap(gd, 2), false}};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_optim *o;

    (void)state;
    assert_ok(ctx, opt_optim_new(ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 0.5}, (opt_params){p, 2}, &o));
    assert_ok(ctx, opt_optim_step(o));
    for (int i = 0; i < 3; i++)
        assert_close((double)wf[i], i + 0.5, 1e-6);
    for (int i = 0; i < 2; i++)
        assert_close(wd[i], i + 0.5, 1e-7);
    assert_int_equal((uintptr_t)opt_optim_slot(o, 1, "m")->data % sizeof(double), 0);
    opt_optim_free(o);
    opt_ctx_free(ctx);
}

/* Sets the last element of w to the number of dimensions it sees. */
static int whole_calls;
static opt_status whole_update(const opt_update *u)
{
    whole_calls++;
    opt_set(&u->w, 4999, u->w.ndim);
    assert_int_equal(u->g.ndim, 2);
    assert_int_equal(u->slot[0].ndim, 2);
    assert_close(opt_get(&u->g, 4999), 0.5, 0);
    return OPT_OK;
}

/* A method that needs the parameter as it is gets it undivided, clipped all the same. */
static void whole_tensor_methods_get_whole_tensors(void **state)
{
    const opt_method whole = {.name = "whole", .slot = {"s"}, .whole_tensor = true, .update = whole_update};
    const int64_t dim[] = {50, 100};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_param p[2] = {{.name = "a"}, {.name = "b"}};
    opt_optim *o;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, 2, dim, &p[i].value));
        assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, 2, dim, &p[i].grad));
        opt_tensor_fill(&p[i].grad, 7);
    }
    whole_calls = 0;
    assert_ok(ctx, opt_optim_new(ctx, &whole, NULL, &(opt_optim_opts){.lr = 1, .clip_value = 0.5},
                                 (opt_params){p, 2}, &o));
    assert_ok(ctx, opt_optim_step(o));
    assert_int_equal(whole_calls, 2);
    assert_close(opt_get(&p[1].value, 4999), 2, 0);
    opt_optim_free(o);
    for (int i = 0; i < 2; i++) {
        opt_tensor_free(ctx, &p[i].value);
        opt_tensor_free(ctx, &p[i].grad);
    }
    opt_ctx_free(ctx);
}

/* Fails for the parameter whose gradient is 3. */
static int calls;
static opt_status count_update(const opt_update *u)
{
    static const int64_t length[] = {1, 3, 2}, first[] = {0, 1, 4};

    assert_int_equal(opt_tensor_len(&u->w), length[calls]);
    assert_int_equal(opt_tensor_len(&u->g), length[calls]);
    assert_int_equal(u->first, first[calls++]);
    return opt_get(&u->g, 0) == 3 ? OPT_EFORMAT : OPT_OK;
}

/* Though they lie end to end in memory: so it can be said which one an update fails for. */
static void a_method_of_ones_own_gets_a_parameter_at_a_time(void **state)
{
    const opt_method counting = {.name = "counting", .update = count_update};
    double w[6] = {0}, g[6] = {0};
    opt_param p[] = {{.name = "a", .value = wrap(w, 1), .grad = wrap(g, 1)},
                     {.name = "b", .value = wrap(w + 1, 3), .grad = wrap(g + 1, 3)},
                     {.name = "c", .value = wrap(w + 4, 2), .grad = wrap(g + 4, 2)}};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_optim *o;

    (void)state;
    calls = 0;
    assert_ok(ctx, opt_optim_new(ctx, &counting, NULL, &(opt_optim_opts){.lr = 1}, (opt_params){p, 3}, &o));
    assert_ok(ctx, opt_optim_step(o));
    assert_int_equal(calls, 3);
    calls = 0;
    g[4] = 3;
    assert_fails(ctx, opt_optim_step(o), OPT_EFORMAT, "counting: the update of c failed");
    assert_int_equal(calls, 3);
    opt_optim_free(o);
    opt_ctx_free(ctx);
}

/* Values end to end, gradients not: no run goes over both. */
static void gradients_may_lie_apart(void **state)
{
    double w[4] = {1, 2, 3, 4}, g[5] = {1, 2, 100, 3, 4};
    opt_param p[] = {{.name = "a", .value = wrap(w, 2), .grad = wrap(g, 2)},
                     {.name = "b", .value = wrap(w + 2, 2), .grad = wrap(g + 3, 2)}};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_optim *o;

    (void)state;
    assert_ok(ctx, opt_optim_new(ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 0.5}, (opt_params){p, 2}, &o));
    assert_ok(ctx, opt_optim_step(o));
    for (int i = 0; i < 4; i++)
        assert_true(w[i] == (i + 1) / 2.0);
    opt_optim_free(o);
    opt_ctx_free(ctx);
}

static opt_status plain_update(const opt_update *u)
{
    for (int64_t i = 0; i < opt_tensor_len(&u->w); i++)
        opt_set(&u->w, i, opt_get(&u->w, i) - u->lr * opt_get(&u->g, i));
    return OPT_OK;
}

/* A method of one's own is handed the gradient with l2 w added, which may be all there is to add. */
static void l2_alone_reaches_a_method_of_ones_own(void **state)
{
    const opt_method mine = {.name = "mine", .update = plain_update};
    double w[2] = {1, 2}, g[2] = {3, 4};
    opt_param p = {.name = "a", .value = wrap(w, 2), .grad = wrap(g, 2)};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_optim *o;

    (void)state;
    assert_ok(ctx, opt_optim_new(ctx, &mine, NULL, &(opt_optim_opts){.lr = 0.5, .l2 = 0.5},
                                 (opt_params){&p, 1}, &o));
    assert_ok(ctx, opt_optim_step(o));
    assert_true(w[0] == 1 - 0.5 * 3.5 && w[1] == 2 - 0.5 * 5 && g[0] == 3);
    opt_optim_free(o);
    opt_ctx_free(ctx);
}

/* Both norms, of the gradient and of it clipped by value, are the same for any number of threads, over blocks
 * and pieces of them; clip_norm compares with the second. */
static void threads_agree_on_clipped_norms(void **state)
{
    enum { N = 20000 };
    static double w[N], g[N], first[N];

    (void)state;
    for (int threads = 1; threads < 4; threads++) {
        opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.threads = threads});
        const opt_optim_opts opts = {.lr = 1, .clip_value = 0.5, .clip_norm = 1};
        opt_param p = {.name = "a", .value = wrap(w, N), .grad = wrap(g, N)};
        double norm = 0;
        opt_optim *o;

        for (int i = 0; i < N; i++) {
            w[i] = 0;
            g[i] = sin(i);
            norm += fmin(fabs(g[i]), 0.5) * fmin(fabs(g[i]), 0.5);
        }
        assert_ok(ctx, opt_optim_new(ctx, &opt_gd, NULL, &opts, (opt_params){&p, 1}, &o));
        assert_ok(ctx, opt_optim_step(o));
        assert_close(w[1], -0.5 / sqrt(norm), 1e-15);
        if (threads == 1)
            memcpy(first, w, sizeof w);
        assert_memory_equal(first, w, sizeof w);
        opt_optim_free(o);
        opt_ctx_free(ctx);
    }
}

/* The gradient named is the first that is not finite, of those that are used. */
static void the_gradient_at_fault_is_named(void **state)
{
    double w[4] = {0}, g[4] = {0, 0, 0, (double)NAN};
    opt_param p[] = {{.name = "frozen", .value = wrap(w, 1), .grad = wrap(g + 3, 1), .frozen = true},
                     {.name = "fine", .value = wrap(w + 1, 1), .grad = wrap(g + 1, 1)},
                     {.name = "bad", .value = wrap(w + 2, 1), .grad = wrap(g + 3, 1)}};
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    assert_true(isnan(opt_grad_norm(ctx, (opt_params){p, 3})));
    assert_non_null(strstr(opt_errmsg(ctx), "grad_norm: element 0 of the gradient of bad is nan"));
    opt_ctx_free(ctx);
}

/* The gradient with l2 w added, of a tensor that no memory could hold. */
static void what_no_memory_holds_is_refused(void **state)
{
    const int64_t n = BY_WIDTH(INT64_C(1) << 60, (INT64_C(1) << 29) - 1);
    const opt_method mine = {.name = "mine", .update = plain_update, .whole_tensor = true};
    char w[1];
    opt_param p = {.name = "a",
                   .value = opt_tensor_view(OPT_F32, w, 1, &n),
                   .grad = opt_tensor_view(OPT_F32, (void *)((uintptr_t)w + 4 * (uintptr_t)n), 1, &n)};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_optim *o;

    (void)state;
    assert_fails(
        ctx, opt_optim_new(ctx, &mine, NULL, &(opt_optim_opts){.lr = 1, .l2 = 1}, (opt_params){&p, 1}, &o),
        OPT_ENOMEM, "mine: out of memory");
    opt_ctx_free(ctx);
}

static void not_for_one(const void *hyper, int slot, opt_tensor *like)
{
    (void)hyper, (void)slot;
    if (like->dim[0] == 1)
        *like = (opt_tensor){0};
}

static opt_status count_elements(const opt_update *u)
{
    for (int64_t i = 0; i < opt_tensor_len(&u->w); i++) {
        opt_set(&u->w, i, opt_get(&u->w, i) + opt_get(&u->g, i));
        if (u->slot[0].data != NULL)
            opt_set(&u->slot[0], i, 1);
    }
    return OPT_OK;
}

/* Parameters that lie end to end, of which only some need a slot. */
static void check_slots_left_out(opt_method mine)
{
    double w[6] = {0}, g[6] = {1, 2, 3, 4, 5, 6};
    opt_param p[] = {{.name = "a", .value = wrap(w, 2), .grad = wrap(g, 2)},
                     {.name = "b", .value = wrap(w + 2, 1), .grad = wrap(g + 2, 1)},
                     {.name = "c", .value = wrap(w + 3, 1), .grad = wrap(g + 3, 1)},
                     {.name = "d", .value = wrap(w + 4, 2), .grad = wrap(g + 4, 2)}};
    const bool own = mine.update == count_elements;
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_optim *o;

    assert_ok(ctx, opt_optim_new(ctx, &mine, NULL, &(opt_optim_opts){.lr = 1}, (opt_params){p, 4}, &o));
    assert_ok(ctx, opt_optim_step(o));
    for (int i = 0; i < 6; i++)
        assert_true(w[i] == (own ? g[i] : -g[i]));
    for (int i = 0; i < 4; i++) {
        const opt_tensor *slot = opt_optim_slot(o, i, "s");

        assert_int_equal(slot != NULL, i % 3 == 0);
        if (slot != NULL)
            assert_true(opt_get(slot, 0) == own && opt_get(slot, 1) == own);
    }
    opt_optim_free(o);
    opt_ctx_free(ctx);
}

/* By an update of one's own, and by one of the library's, which may be made to get whole tensors. */
static void slots_may_be_left_out(void **state)
{
    opt_method mine = {.name = "mine", .update = count_elements, .slot = {"s"}, .shape_slot = not_for_one};

    (void)state;
    check_slots_left_out(mine);
    mine.update = opt_gd.update;
    check_slots_left_out(mine);
    mine.whole_tensor = true;
    check_slots_left_out(mine);
}

/* Sets every element of w to its number. */
static opt_status number(const opt_update *u)
{
    for (int64_t i = 0; i < opt_tensor_len(&u->w); i++)
        opt_set(&u->w, i, (double)(u->first + i));
    return OPT_OK;
}

/* A frozen parameter counts, though what is before and behind it in the list may lie end to end. */
static void elements_are_numbered_in_the_order_of_the_list(void **state)
{
    const opt_method numbering = {.name = "numbering", .update = number};
    double w[7] = {0}, g[7] = {0};
    opt_param p[] = {{.name = "a", .value = wrap(w, 2), .grad = wrap(g, 2)},
                     {.name = "b", .value = wrap(w + 4, 3), .grad = wrap(g + 4, 3), .frozen = true},
                     {.name = "c", .value = wrap(w + 2, 2), .grad = wrap(g + 2, 2)}};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_optim *o;

    (void)state;
    assert_ok(ctx, opt_optim_new(ctx, &numbering, NULL, &(opt_optim_opts){.lr = 1}, (opt_params){p, 3}, &o));
    assert_ok(ctx, opt_optim_step(o));
    assert_memory_equal(w, ((double[]){0, 1, 5, 6, 0, 0, 0}), sizeof w);
    opt_optim_free(o);
    opt_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(how_parameters_lie_in_memory_does_not_matter),
        cmocka_unit_test(dtypes_may_be_mixed),
        cmocka_unit_test(elements_are_numbered_in_the_order_of_the_list),
        cmocka_unit_test(whole_tensor_methods_get_whole_tensors),
        cmocka_unit_test(a_method_of_ones_own_gets_a_parameter_at_a_time),
        cmocka_unit_test(gradients_may_lie_apart),
        cmocka_unit_test(l2_alone_reaches_a_method_of_ones_own),
        cmocka_unit_test(threads_agree_on_clipped_norms),
        cmocka_unit_test(the_gradient_at_fault_is_named),
        cmocka_unit_test(what_no_memory_holds_is_refused),
        cmocka_unit_test(slots_may_be_left_out),
    };
    return cmocka_run_group_tests_name("optim_layout", tests, NULL, NULL);
}

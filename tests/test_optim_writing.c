/* SPDX-License-Identifier: MIT
 *
 * Methods of one's own, through the public interface alone: state of other shapes, scratch, products, weights
 * that predict. (Searches: test_optim_lbfgs.c.)
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support.h"

/* Two parameters, a matrix "A" [20, 30] and a vector "b" [7]. */
typedef struct two {
    count count;
    opt_ctx *ctx;
    opt_param param[2];
    opt_params params;
} two;

static void two_init(two *f, int threads)
{
    count_init(&f->count);
    f->ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = f->count.allocator, .threads = threads});
    for (int p = 0; p < 2; p++) {
        const int64_t dim[] = {p ? 7 : 20, 30};

        f->param[p] = (opt_param){.name = p ? "b" : "A"};
        assert_ok(f->ctx, opt_tensor_new(f->ctx, OPT_F64, p ? 1 : 2, dim, &f->param[p].value));
        assert_ok(f->ctx, opt_tensor_new(f->ctx, OPT_F64, p ? 1 : 2, dim, &f->param[p].grad));
        for (int64_t i = 0; i < opt_tensor_len(&f->param[p].grad); i++)
            opt_set(&f->param[p].grad, i, sin((double)(i + p)));
    }
    f->params = (opt_params){f->param, 2};
}

static void two_free(two *f)
{
    for (int p = 0; p < 2; p++) {
        opt_tensor_free(f->ctx, &f->param[p].value);
        opt_tensor_free(f->ctx, &f->param[p].grad);
    }
    opt_ctx_free(f->ctx);
    assert_int_equal(f->count.live, 0);
}

static const opt_optim_opts fine = {.lr = 0.5};

/* ---- Whitened gradient descent: w <- w - lr (sum of g g^T + I)^-1 g, roughly, for matrices --------------
 */

/* "gram" [rows, rows] of a matrix; a vector has "sum", shaped like it, in bf16. */
static void whiten_shape(const void *hyper, int slot, opt_tensor *like)
{
    (void)hyper;
    if ((slot == 0) != (like->ndim == 2))
        like->dtype = 0;
    else if (slot == 0)
        like->dim[1] = like->dim[0];
    else
        like->dtype = OPT_BF16;
}

static int64_t whiten_scratch(const void *hyper, const opt_tensor *w)
{
    (void)hyper;
    return w->ndim == 2 ? (int64_t)sizeof(double) * opt_tensor_len(w) : 0;
}

/* Matrices: gram <- gram + g g^T; w <- w - lr 1e-3 gram g. Vectors: sum <- sum + g; w <- w - lr sum. */
static opt_status whiten_update(const opt_update *u)
{
    opt_tensor step = u->w, gram = u->slot[0];
    opt_status s;

    if (u->w.ndim != 2) {
        for (int64_t i = 0; i < opt_tensor_len(&u->w); i++) {
            opt_set(&u->slot[1], i, opt_get(&u->slot[1], i) + opt_get(&u->g, i));
            opt_set(&u->w, i, opt_get(&u->w, i) - u->lr * opt_get(&u->slot[1], i));
        }
        return u->slot[0].data == NULL && u->first == 600 ? OPT_OK : OPT_EINVAL;
    }
    step.data = u->scratch;
    s = opt_matmul(u->ctx, false, &u->g, true, &u->g, 1, &gram);
    if (!s)
        s = opt_matmul(u->ctx, false, &gram, false, &u->g, 0, &step);
    for (int64_t i = 0; !s && i < opt_tensor_len(&u->w); i++)
        opt_set(&u->w, i, opt_get(&u->w, i) - u->lr * 1e-3 * opt_get(&step, i));
    return s ? s : u->slot[1].data == NULL && u->first == 0 ? OPT_OK : OPT_EINVAL;
}

static const opt_method whiten = {.name = "whiten",
                                  .slot = {"gram", "sum"},
                                  .whole_tensor = true,
                                  .update = whiten_update,
                                  .shape_slot = whiten_shape,
                                  .scratch = whiten_scratch};

static void slots_have_the_shapes_asked_for(void **state)
{
    const opt_tensor *gram, *sum;
    opt_optim *o;
    two f;

    (void)state;
    two_init(&f, 2);
    assert_ok(f.ctx, opt_optim_new(f.ctx, &whiten, NULL, &fine, f.params, &o));
    gram = opt_optim_slot(o, 0, "gram");
    sum = opt_optim_slot(o, 1, "sum");
    assert_null(opt_optim_slot(o, 0, "sum"));
    assert_null(opt_optim_slot(o, 1, "gram"));
    assert_int_equal(gram->ndim, 2);
    assert_int_equal(gram->dim[0], 20);
    assert_int_equal(gram->dim[1], 20);
    assert_int_equal(gram->dtype, OPT_F64);
    assert_int_equal(sum->dim[0], 7);
    assert_int_equal(sum->dtype, OPT_BF16);
    assert_ok(f.ctx, opt_optim_step(o));
    for (int64_t i = 0; i < 20; i++) { /* the diagonal is the rows' squares */
        double squares = 0;

        for (int64_t j = 0; j < 30; j++)
            squares += pow(opt_get(&f.param[0].grad, 30 * i + j), 2);
        assert_close(opt_get(gram, 21 * i), squares, 1e-12);
    }
    opt_optim_free(o);
    two_free(&f);
}

static const char path[] = "test_optim_writing.tmp";

/* Such state goes into a file, is copied, and is gone on from to the same bits. */
static void such_state_survives(void **state)
{
    opt_optim *a, *b, *c;
    two f, g, h;

    (void)state;
    two_init(&f, 1);
    two_init(&g, 2);
    two_init(&h, 3);
    assert_ok(f.ctx, opt_optim_new(f.ctx, &whiten, NULL, &fine, f.params, &a));
    assert_ok(g.ctx, opt_optim_new(g.ctx, &whiten, NULL, &fine, g.params, &b));
    assert_ok(h.ctx, opt_optim_new(h.ctx, &whiten, NULL, &fine, h.params, &c));
    for (int t = 0; t < 3; t++)
        assert_ok(f.ctx, opt_optim_step(a));
    assert_ok(f.ctx, opt_save(f.ctx, path, f.params, a, NULL));
    assert_ok(g.ctx, opt_load(g.ctx, path, g.params, b, NULL));
    assert_ok(h.ctx, opt_optim_copy_state(a, c));
    for (int p = 0; p < 2; p++)
        assert_ok(h.ctx, opt_tensor_copy(h.ctx, &f.param[p].value, &h.param[p].value));
    for (int t = 0; t < 3; t++) {
        assert_ok(f.ctx, opt_optim_step(a));
        assert_ok(g.ctx, opt_optim_step(b));
        assert_ok(h.ctx, opt_optim_step(c));
    }
    assert_true(same_bits(f.params, g.params));
    assert_true(same_bits(f.params, h.params));
    opt_optim_free(a);
    opt_optim_free(b);
    opt_optim_free(c);
    two_free(&f);
    two_free(&g);
    two_free(&h);
    remove(path);
}

static void no_allocation_that_fails_is_lost(void **state)
{
    opt_optim *o = NULL;
    two f;

    (void)state;
    two_init(&f, 2);
    for (long k = 0;; k++) {
        const long live = f.count.live;
        opt_status s;

        f.count.fail_from = f.count.calls + k;
        s = opt_optim_new(f.ctx, &whiten, NULL, &fine, f.params, &o);
        f.count.fail_from = -1;
        if (s == OPT_OK) {
            assert_true(k > 5);
            break;
        }
        assert_int_equal(s, OPT_ENOMEM);
        assert_int_equal(f.count.live, live);
    }
    opt_optim_free(o);
    two_free(&f);
}

/* ---- What makes no sense ------------------------------------------------------------------------------- */

static void two_dimensions(const void *hyper, int slot, opt_tensor *like)
{
    (void)hyper;
    (void)slot;
    like->ndim = 2;
    like->dim[0] = like->dim[1] = 3;
}

static void no_dimension(const void *hyper, int slot, opt_tensor *like)
{
    (void)hyper;
    (void)slot;
    like->ndim = 1;
    like->dim[0] = 0;
}

static void no_dtype(const void *hyper, int slot, opt_tensor *like)
{
    (void)hyper;
    (void)slot;
    like->dtype = (opt_dtype)9;
}

static int64_t too_much(const void *hyper, const opt_tensor *w)
{
    (void)hyper;
    (void)w;
    return -1;
}

static opt_status search(const opt_search *s)
{
    (void)s;
    return OPT_STOP;
}

static void predict(const opt_update *u)
{
    for (int64_t i = 0; i < opt_tensor_len(&u->w); i++)
        opt_set(&u->w, i, (double)(100 * u->t + u->first + i) + u->lr);
}

static opt_status nothing(const opt_update *u)
{
    (void)u;
    return OPT_OK;
}

static void what_makes_no_sense_is_refused(void **state)
{
    const struct {
        opt_method method;
        opt_optim_opts opts;
        opt_status status;
        const char *message;
    } cases[] = {
        {{.name = "mine", .slot = {"s"}, .update = nothing, .shape_slot = two_dimensions},
         fine,
         OPT_ESHAPE,
         "mine: slot s of A is to be [3, 3] where that is [20, 30]"},
        {{.name = "mine", .slot = {"s"}, .update = nothing, .whole_tensor = true, .shape_slot = no_dimension},
         fine,
         OPT_ESHAPE,
         "mine: slot s of A is to have no possible shape"},
        {{.name = "mine", .slot = {"s"}, .update = nothing, .shape_slot = no_dtype},
         fine,
         OPT_ESHAPE,
         "mine: slot s of A is to have no possible shape or dtype"},
        {{.name = "mine", .update = nothing, .scratch = whiten_scratch},
         fine,
         OPT_EINVAL,
         "mine: scratch is for methods with whole_tensor"},
        {{.name = "mine", .update = nothing, .whole_tensor = true, .scratch = too_much},
         fine,
         OPT_ESHAPE,
         "mine: the size of what A needs overflows"},
        {{.name = "mine", .update = nothing, .search = search},
         fine,
         OPT_EINVAL,
         "mine: the method has both an update and a search"},
        {{.name = "mine", .update = nothing, .predict = predict},
         {.lr = 0.5, .average = 0.9},
         OPT_EINVAL,
         "mine: average = 0.9, but it predicts by weights of its own"},
    };
    two f;

    (void)state;
    two_init(&f, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        opt_optim *o = NULL;

        assert_fails(f.ctx, opt_optim_new(f.ctx, &cases[i].method, NULL, &cases[i].opts, f.params, &o),
                     cases[i].status, cases[i].message);
        assert_null(o);
    }
    two_free(&f);
}

/* ---- Weights that predict ------------------------------------------------------------------------------ */

/* predict sees the step, rate and numbers of its elements; afterwards everything is as it was. */
static void other_weights_predict(void **state)
{
    const opt_method mine = {.name = "mine", .update = nothing, .predict = predict};
    double before[607];
    opt_optim *o;
    two f;

    (void)state;
    two_init(&f, 1);
    for (int i = 0; i < 607; i++)
        opt_set(&f.param[i >= 600].value, i % 600, before[i] = 1.0 / (i + 3));
    f.param[1].lr_factor = 0.25;
    assert_ok(f.ctx, opt_optim_new(f.ctx, &mine, NULL, &fine, f.params, &o));
    assert_fails(f.ctx, opt_optim_predicting(o, true), OPT_EINVAL, "before the first step");
    for (int t = 0; t < 3; t++)
        assert_ok(f.ctx, opt_optim_step(o));
    for (int k = 0; k < 2; k++) {
        assert_ok(f.ctx, opt_optim_predicting(o, true));
        assert_ok(f.ctx, opt_optim_predicting(o, true)); /* which changes nothing more */
        for (int i = 0; i < 607; i++)
            assert_true(opt_get(&f.param[i >= 600].value, i % 600) == 300 + i + (i < 600 ? 0.5 : 0.125));
        assert_fails(f.ctx, opt_optim_step(o), OPT_EINVAL, "mine: a step from the weights that predict");
        assert_fails(f.ctx, opt_save(f.ctx, path, f.params, o, NULL), OPT_EINVAL, "weights are those that");
        assert_ok(f.ctx, opt_optim_predicting(o, false));
        for (int i = 0; i < 607; i++)
            assert_true(opt_get(&f.param[i >= 600].value, i % 600) == before[i]);
    }
    opt_optim_free(o);
    two_free(&f);
}

/* What it says in <opt/optim.h> that an update of a whole tensor gets. */
static void predict_by_product(const opt_update *u)
{
    opt_tensor square = u->w;

    if (u->w.ndim != 2 || u->ctx == NULL || u->scratch == NULL)
        return;
    square.data = u->scratch;
    square.dim[1] = square.dim[0];
    if (!opt_matmul(u->ctx, false, &u->w, true, &u->w, 0, &square))
        opt_set(&u->w, 0, opt_get(&square, 0));
}

static void predict_may_use_products_and_scratch(void **state)
{
    const opt_method mine = {.name = "mine",
                             .whole_tensor = true,
                             .update = nothing,
                             .scratch = whiten_scratch,
                             .predict = predict_by_product};
    opt_optim *o;
    two f;

    (void)state;
    two_init(&f, 2);
    opt_tensor_fill(&f.param[0].value, 0.5);
    assert_ok(f.ctx, opt_optim_new(f.ctx, &mine, NULL, &fine, f.params, &o));
    assert_ok(f.ctx, opt_optim_step(o));
    assert_ok(f.ctx, opt_optim_predicting(o, true));
    assert_true(opt_get(&f.param[0].value, 0) == 30 * 0.25);
    opt_optim_free(o);
    two_free(&f);
}

/* The rate that predict sees is that of the step done, and a copy's too. */
static void a_copy_predicts_alike(void **state)
{
    const opt_method mine = {.name = "mine", .update = nothing, .predict = predict};
    opt_optim *a, *b;
    two f, g;

    (void)state;
    two_init(&f, 1);
    two_init(&g, 1);
    assert_ok(f.ctx, opt_optim_new(f.ctx, &mine, NULL, &fine, f.params, &a));
    assert_ok(g.ctx, opt_optim_new(g.ctx, &mine, NULL, &(opt_optim_opts){.lr = 3}, g.params, &b));
    assert_ok(f.ctx, opt_optim_step(a));
    assert_ok(g.ctx, opt_optim_copy_state(a, b));
    assert_ok(f.ctx, opt_optim_predicting(a, true));
    assert_ok(g.ctx, opt_optim_predicting(b, true));
    assert_true(same_bits(f.params, g.params));
    opt_optim_free(a);
    opt_optim_free(b);
    two_free(&f);
    two_free(&g);
}

static void bf16_slot(const void *hyper, int slot, opt_tensor *like)
{
    (void)hyper, (void)slot;
    like->dtype = OPT_BF16;
}

/* Of two versions of a method, say. */
static void a_state_of_another_dtype_is_not_copied(void **state)
{
    const opt_method mine = {.name = "mine", .slot = {"s"}, .update = nothing};
    opt_method other = mine;
    opt_optim *a, *b;
    two f;

    (void)state;
    other.shape_slot = bf16_slot;
    two_init(&f, 1);
    assert_ok(f.ctx, opt_optim_new(f.ctx, &mine, NULL, &fine, f.params, &a));
    assert_ok(f.ctx, opt_optim_new(f.ctx, &other, NULL, &fine, f.params, &b));
    assert_fails(f.ctx, opt_optim_copy_state(a, b), OPT_EINVAL,
                 "copy_state: settings of mine that need another slot s of A");
    opt_optim_free(a);
    opt_optim_free(b);
    two_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_have_the_shapes_asked_for),
        cmocka_unit_test(such_state_survives),
        cmocka_unit_test(no_allocation_that_fails_is_lost),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(other_weights_predict),
        cmocka_unit_test(predict_may_use_products_and_scratch),
        cmocka_unit_test(a_copy_predicts_alike),
        cmocka_unit_test(a_state_of_another_dtype_is_not_copied),
    };
    return cmocka_run_group_tests_name("writing", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * opt_optim_search, and a method of one's own that searches, by nothing but the public interface.
 */
#include <math.h>
#include <string.h>

#include "objective.h"

static const part three[] = {{OPT_F64, 2, false}, {OPT_F64, 1, true}, {OPT_F64, 1, false}};
static const part two[] = {{OPT_F64, 2, false}, {0}};
static const double start[] = {-1.2, 1, 0.3, 0.5};

/* ---- A method of one's own ----------------------------------------------------------------------------- */

/* Down the gradient by lr, or that halved until the loss falls by half of what the slope promises. Slots: the
 * weights and the gradient at first, and the length of the step. */
enum { W, G, LENGTH };

static opt_status back_track(const opt_search *s)
{
    const double before = *s->loss;
    double a = s->lr, square = 0;
    opt_status status = OPT_OK;

    for (int p = 0; p < s->params.n; p++) {
        opt_tensor_copy(s->ctx, &s->params.at[p].value, &s->slot[p * OPT_MAX_SLOTS + W]);
        opt_tensor_copy(s->ctx, &s->params.at[p].grad, &s->slot[p * OPT_MAX_SLOTS + G]);
        square += pow(opt_grad_norm(s->ctx, (opt_params){&s->params.at[p], 1}), 2);
    }
    for (int k = 0; !status && k < 40; k++, a /= 2) {
        for (int p = 0; p < s->params.n; p++)
            for (int64_t i = 0; i < opt_tensor_len(&s->params.at[p].value); i++)
                opt_set(&s->params.at[p].value, i,
                        opt_get(&s->slot[p * OPT_MAX_SLOTS + W], i) -
                            a * opt_get(&s->slot[p * OPT_MAX_SLOTS + G], i));
        status = s->evaluate(s);
        if (!status && *s->loss < before - a * square / 2) {
            opt_set(&s->slot[LENGTH], 0, a);
            return OPT_OK;
        }
    }
    for (int p = 0; p < s->params.n; p++)
        opt_tensor_copy(s->ctx, &s->slot[p * OPT_MAX_SLOTS + W], &s->params.at[p].value);
    return status ? status : OPT_STOP;
}

static void shape_slot(const void *hyper, int slot, opt_tensor *like)
{
    (void)hyper;
    if (slot == LENGTH)
        *like = (opt_tensor){.dtype = OPT_F64};
}

static const opt_method mine = {.name = "mine",
                                .slot = {[W] = "w", [G] = "g", [LENGTH] = "length"},
                                .search = back_track,
                                .shape_slot = shape_slot};

static void a_method_of_ones_own_searches(void **state)
{
    double x[4], g[4];
    objective o;

    (void)state;
    objective_new(&o, rosenbrock, three, start);
    objective_optimize(&o, &mine, NULL, NULL);
    for (double before = HUGE_VAL; o.loss >= 0.6 || isnan(o.loss); before = o.loss) {
        assert_ok(o.ctx, objective_search(&o));
        assert_true(o.loss < before);
        assert_true(o.loss == rosenbrock(objective_values(&o, x), x, g));
        assert_in_range(1e6 * opt_get(opt_optim_slot(o.optim, 0, "length"), 0), 1, 1000000);
    }
    assert_true(x[2] == 0.3);
    assert_null(opt_optim_slot(o.optim, 1, "w"));
    assert_int_equal(opt_optim_slot(o.optim, 2, "length")->ndim, 0);
    objective_free(&o);
}

static void its_minimum_is_that_with_l2(void **state)
{
    static const part parts[] = {{OPT_F64, 2, false}, {OPT_F64, 1, false}, {OPT_F64, 1, false}};
    double x[4], g[4];
    objective o;

    (void)state;
    objective_new(&o, quadratic, parts, start);
    o.param[1].decay_factor = 2;
    o.param[2].no_decay = true;
    objective_optimize(&o, &mine, NULL, &(opt_optim_opts){.lr = 1, .l2 = 0.25});
    objective_settle(&o);
    assert_true(o.loss == quadratic(objective_values(&o, x), x, g));
    for (int i = 0; i < 4; i++)
        assert_close(g[i] + (i < 2 ? 0.25 : i < 3 ? 0.5 : 0) * x[i], 0, 1e-6);
    objective_free(&o);
}

/* ---- The driver ---------------------------------------------------------------------------------------- */

/* A method with an update makes its step, and the loss is that after it. */
static void other_methods_step(void **state)
{
    double x[2], y[2], g[2];
    objective a, b;

    (void)state;
    objective_new(&a, rosenbrock, two, start);
    objective_new(&b, rosenbrock, two, start);
    objective_optimize(&a, &opt_adam, NULL, NULL);
    objective_optimize(&b, &opt_adam, NULL, NULL);
    for (int t = 1; t <= 10; t++) {
        assert_ok(a.ctx, objective_search(&a));
        rosenbrock(objective_values(&b, y), y, b.param[0].grad.data);
        assert_ok(b.ctx, opt_optim_step(b.optim));
        objective_values(&a, x);
        objective_values(&b, y);
        assert_memory_equal(x, y, sizeof x);
        assert_true(a.loss == rosenbrock(2, x, g));
        assert_int_equal(a.calls, t + 1);
        assert_int_equal(opt_optim_steps(a.optim), t);
    }
    objective_free(&a);
    objective_free(&b);
}

/* Two ranks, of which the other has the same share: twice what there is. The call of number *ud, from 0,
 * fails. */
static opt_status doubled(void *ud, void *buf, size_t n, opt_dtype t)
{
    int *fails = ud;

    for (size_t i = 0; i < n; i++)
        if (t == OPT_F64)
            ((double *)buf)[i] *= 2;
    return (*fails)-- == 0 ? OPT_EIO : OPT_OK;
}

static double half_of_it(int n, const double *x, double *g)
{
    const double f = rosenbrock(n, x, g);

    for (int i = 0; i < n; i++)
        g[i] /= 2;
    return f / 2;
}

static void ranks_sum_loss_and_gradient_once(void **state)
{
    static const opt_method *const methods[] = {&mine, &opt_lbfgs, &opt_adam};

    (void)state;
    for (int i = 0; i < 3; i++) {
        const opt_optim_opts opts = {.lr = 1, .l2 = 0.01};
        int never = -1;
        objective a, b;

        objective_new(&a, rosenbrock, three, start);
        objective_new_with(&b, half_of_it, three, start,
                           (opt_ctx_opts){.comm = {.size = 2, .sum = doubled, .ud = &never}});
        objective_optimize(&a, methods[i], NULL, &opts);
        objective_optimize(&b, methods[i], NULL, &opts);
        objective_check_same_path(&a, &b, 15);
        objective_free(&a);
        objective_free(&b);
    }
}

/* Of the loss, or of a gradient, whichever call it is; and then all goes on. */
static void a_sum_over_ranks_may_fail(void **state)
{
    static const opt_method *const methods[] = {&mine, &opt_lbfgs};

    (void)state;
    for (int i = 0; i < 2; i++)
        for (int n = 0; n < 30; n++) {
            double x[4];
            const bool of_loss =
                n == 0 || (n > 1 && n % 3 == 1); /* sum 1 is about how gradients are summed */
            int fails = n;
            objective o;

            objective_new_with(&o, half_of_it, three, start,
                               (opt_ctx_opts){.comm = {.size = 2, .sum = doubled, .ud = &fails}});
            objective_optimize(&o, methods[i], NULL, NULL);
            while (fails >= 0) { /* doubled counts them down */
                double before[4];
                opt_status s;

                objective_values(&o, before);
                s = objective_search(&o);
                if (fails >= 0)
                    assert_ok(o.ctx, s);
                else
                    assert_fails(o.ctx, s, OPT_ECOMM,
                                 of_loss ? ": evaluating the loss: agreeing over ranks failed"
                                         : ": summing gradients over ranks failed");
                objective_values(&o, x);
                assert_true(s == OPT_OK || memcmp(x, before, sizeof x) == 0);
            }
            o.loss = (double)NAN;
            assert_ok(o.ctx, objective_search(&o));
            objective_free(&o);
        }
}

static opt_status fails_without_a_word(const opt_search *s)
{
    (void)s;
    return OPT_EIO;
}

static opt_status stops_at_once(const opt_search *s)
{
    (void)s;
    return OPT_STOP;
}

/* Looks at what is not finite: only the gradient, by the loss's leave. */
static opt_status sees_infinity(const opt_search *s)
{
    const opt_status status = s->evaluate(s);

    return status ? status : *s->loss == HUGE_VAL ? OPT_EFORMAT : OPT_ESHAPE;
}

static double nan_gradient_later(int n, const double *x, double *g)
{
    static int calls;
    const double f = rosenbrock(n, x, g);

    if (calls++ > 0)
        g[n - 1] = (double)NAN;
    return f;
}

static void what_a_search_comes_to_is_passed_on(void **state)
{
    const opt_method fails = {.name = "mine", .search = fails_without_a_word};
    const opt_method stops = {.name = "mine", .search = stops_at_once};
    const opt_method sees = {.name = "mine", .search = sees_infinity};
    double x[4], g[4];
    objective o;

    (void)state;
    objective_new(&o, rosenbrock, three, start);
    objective_optimize(&o, &fails, NULL, NULL);
    assert_fails(o.ctx, objective_search(&o), OPT_EIO, "mine: the search failed: ");
    assert_true(isnan(o.loss));
    objective_free(&o);

    objective_new(&o, rosenbrock, three, start);
    objective_optimize(&o, &stops, NULL, NULL);
    assert_int_equal(objective_search(&o), OPT_STOP);
    assert_int_equal(o.calls, 1);
    assert_true(o.loss == rosenbrock(objective_values(&o, x), x, g));
    objective_free(&o);

    objective_new(&o, nan_gradient_later, three, start);
    objective_optimize(&o, &sees, NULL, NULL);
    assert_fails(o.ctx, objective_search(&o), OPT_EFORMAT, "mine: the search failed: ");
    objective_free(&o);
}

/* Looks at 1e10 in each weight's place. */
static opt_status leaps(const opt_search *s)
{
    opt_status status;

    for (int p = 0; p < s->params.n; p++)
        opt_tensor_fill(&s->params.at[p].value, 1e10);
    status = s->evaluate(s);
    for (int p = 0; p < s->params.n; p++)
        opt_tensor_fill(&s->params.at[p].value, 0);
    return status ? status : *s->loss == HUGE_VAL ? OPT_STOP : OPT_EFORMAT;
}

static double constant(int n, const double *x, double *g)
{
    (void)x;
    for (int i = 0; i < n; i++)
        g[i] = 0;
    return 1;
}

/* l2 w overflows in f32, and what it adds to the loss, in f64, does not. */
static void a_gradient_that_l2_makes_infinite_is_found(void **state)
{
    static const part singles[] = {{OPT_F32, 2, false}, {OPT_F32, 1, false}, {0}};
    const opt_method leaping = {.name = "leaping", .search = leaps};
    const opt_optim_opts opts = {.lr = 1, .l2 = 1e30};
    objective o;

    (void)state;
    objective_new(&o, constant, singles, (const double[]){0, 0, 0});
    objective_optimize(&o, &leaping, NULL, &opts);
    assert_int_equal(objective_search(&o), OPT_STOP);
    opt_set(&o.param[1].value, 0, 1e10);
    o.loss = (double)NAN;
    assert_fails(o.ctx, objective_search(&o), OPT_ENONFINITE,
                 "leaping: element 0 of the gradient of b is inf");
    objective_free(&o);
}

static opt_status forgets_the_loss(void *ud, double *loss)
{
    (void)ud;
    (void)loss;
    return OPT_OK;
}

static opt_status update(const opt_update *u)
{
    (void)u;
    return OPT_OK;
}

static void what_makes_no_sense_is_refused(void **state)
{
    const opt_method both = {.name = "mine", .update = update, .search = stops_at_once};
    opt_optim *none = NULL;
    double loss = (double)NAN;
    objective o;

    (void)state;
    objective_new(&o, rosenbrock, three, start);
    assert_fails(o.ctx, opt_optim_new(o.ctx, &both, NULL, &(opt_optim_opts){.lr = 1}, o.params, &none),
                 OPT_EINVAL, "mine: the method has both an update and a search");
    objective_optimize(&o, &mine, NULL, NULL);
    assert_int_equal(opt_optim_search(NULL, forgets_the_loss, NULL, &loss), OPT_EINVAL);
    assert_fails(o.ctx, opt_optim_search(o.optim, NULL, NULL, &loss), OPT_EINVAL, "mine: f is NULL");
    assert_fails(o.ctx, opt_optim_search(o.optim, forgets_the_loss, NULL, NULL), OPT_EINVAL,
                 "mine: loss is NULL");
    assert_fails(o.ctx, opt_optim_search(o.optim, forgets_the_loss, NULL, &loss), OPT_ENONFINITE,
                 "mine: the loss before step 1 is nan");
    assert_fails(o.ctx, opt_optim_step(o.optim), OPT_EINVAL, "mine: it needs the loss, by opt_optim_search");
    objective_free(&o);
}

/* Leaves a message of its own, by a call that fails. */
static opt_status fails_with_a_word(void *ud, double *loss)
{
    opt_ctx *ctx = ud;

    (void)loss;
    return opt_tensor_new(ctx, OPT_F64, -1, NULL, &(opt_tensor){0});
}

/* The gradient is NaN from the start. */
static double nan_gradient(int n, const double *x, double *g)
{
    const double f = rosenbrock(n, x, g);

    g[0] = (double)NAN;
    return f;
}

static opt_status infinite(void *ud, double *loss)
{
    (void)ud;
    *loss = HUGE_VAL;
    return OPT_OK;
}

/* The loss before the step, the step, and the loss after it. */
static void what_fails_around_a_step_is_passed_on(void **state)
{
    double loss = (double)NAN, x[MOST_NUMBERS];
    objective o;

    (void)state;
    objective_new(&o, rosenbrock, three, start);
    objective_optimize(&o, &opt_gd, NULL, NULL);
    assert_fails(o.ctx, opt_optim_search(o.optim, fails_with_a_word, o.ctx, &loss), OPT_ESHAPE,
                 "gd: evaluating the loss: tensor: ndim = -1");
    assert_true(isnan(loss));
    objective_free(&o);

    objective_new(&o, nan_gradient, three, start);
    objective_optimize(&o, &opt_gd, NULL, NULL);
    assert_fails(o.ctx, objective_search(&o), OPT_ENONFINITE, "gd: element 0 of the gradient of a is nan");
    assert_int_equal(o.calls, 1);
    assert_true(isnan(o.loss));
    objective_free(&o);

    objective_new(&o, rosenbrock, three, start);
    objective_optimize(&o, &opt_gd, NULL, NULL);
    assert_fails(o.ctx, opt_optim_search(o.optim, infinite, NULL, &loss), OPT_ENONFINITE,
                 "gd: the loss before step 1 is inf");
    objective_values(&o, x);
    assert_memory_equal(x, start, sizeof start);
    objective_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_method_of_ones_own_searches),
        cmocka_unit_test(its_minimum_is_that_with_l2),
        cmocka_unit_test(other_methods_step),
        cmocka_unit_test(ranks_sum_loss_and_gradient_once),
        cmocka_unit_test(a_sum_over_ranks_may_fail),
        cmocka_unit_test(what_a_search_comes_to_is_passed_on),
        cmocka_unit_test(a_gradient_that_l2_makes_infinite_is_found),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(what_fails_around_a_step_is_passed_on),
    };
    return cmocka_run_group_tests_name("search", tests, NULL, NULL);
}

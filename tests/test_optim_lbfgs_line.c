/* SPDX-License-Identifier: MIT
 *
 * opt_lbfgs: the lengths that its search along a line tries, one by one, and the pair that it then keeps.
 */
#include <math.h>

#include "objective.h"

enum { MOST = 8 };

/* What the loss and the slope of one number are to be in each evaluation, and where those were. */
typedef struct script {
    double f[MOST], g[MOST], at[MOST];
    opt_status status;
    double end; /* where the search left it */
    double y;   /* the pair's, scaled; 0: none */
} script;

static script *playing;
static int played;

static double play(int n, const double *x, double *g)
{
    assert_int_equal(n, 1);
    assert_true(played < MOST);
    playing->at[played] = *x;
    *g = playing->g[played];
    return playing->f[played++];
}

/* One search from 0. Where the first slope is -1, a length is a place. */
static script search(script s, function *f, double lr, const opt_lbfgs_opts *hyper, opt_dtype dtype)
{
    const part one[] = {{dtype, 1, false}, {0}};
    const double zero = 0;
    objective o;

    playing = &s;
    played = 0;
    objective_new(&o, f, one, &zero);
    objective_optimize(&o, &opt_lbfgs, hyper, &(opt_optim_opts){.lr = lr});
    s.status = objective_search(&o);
    objective_values(&o, &s.end);
    s.y = opt_get(opt_optim_slot(o.optim, 0, "y"), 0);
    objective_free(&o);
    return s;
}

static script search_script(script s, const opt_lbfgs_opts *hyper)
{
    return search(s, play, 1, hyper, OPT_F64);
}

/* ---- Interpolation ------------------------------------------------------------------------------------- */

/* x^3 / 3 - x, whose minimum is at 1: a cubic through any two points has it there. */
static double cubic(int n, const double *x, double *g)
{
    play(n, x, g);
    *g = *x * *x - 1;
    return *x * *x * *x / 3 - *x;
}

static void a_cubic_is_known_by_two_points(void **state)
{
    static const struct {
        double lr, at[4];
    } cases[] = {
        {1.8, {0, 1.8, 1}},          /* too far, */
        {1.2, {0, 1.2, 1}},          /* past the minimum but lower, */
        {0.3, {0, 0.3, 1}},          /* not far enough */
        {0.05, {0, 0.05, 0.5, 1}},   /* by far: ten times as far */
        {1.05, {0, 1.05, 0.945, 1}}, /* not within a tenth of the width of an end */
        {0.95, {0, 0.95, 1.995}},    /* nor less than 1.1 widths beyond */
        {9.9, {0, 9.9, 1}},
    };
    const opt_lbfgs_opts exact = {.c2 = 1e-9};

    (void)state;
    for (int i = 0; i < 7; i++) {
        const script s = search((script){0}, cubic, cases[i].lr, &exact, OPT_F64);

        assert_int_equal(s.status, OPT_OK);
        for (int k = 1; k < 4 && cases[i].at[k] != 0; k++)
            assert_close(s.at[k], cases[i].at[k], 1e-9);
        assert_close(s.end, 1, 1e-8);
    }
}

/* The first length is 1, the slope -1. */
static void between_where_it_is_lower_and_too_far(void **state)
{
    /* too far, for a tenth; that is lower, but leaves nine: half of what is left */
    const script slow = search_script((script){{0, 20, -0.05, -0.06}, {-1, 20, -0.95, 0}}, NULL);
    /* low but steep, so on to 10; lower than at first, but higher than at 1 */
    const script hill = search_script((script){{0, -1, -0.5, -2}, {-1, -2, -3, 0}}, NULL);
    /* lower by less than c1 asks for */
    const script shallow =
        search_script((script){{0, -0.05, -0.2}, {-1, 0, 0}}, &(opt_lbfgs_opts){.c1 = 0.1});
    /* not finite: half */
    const script infinite = search_script((script){{0, (double)NAN, HUGE_VAL, -0.1}, {-1, 0, 0, 0}}, NULL);

    (void)state;
    assert_int_equal(slow.status, OPT_OK);
    assert_close(slow.at[1], 1, 0);
    assert_close(slow.at[2], 0.1, 1e-15);
    assert_close(slow.at[3], 0.55, 1e-15);
    assert_int_equal(hill.status, OPT_OK);
    assert_close(hill.at[2], 10, 1e-14);
    assert_close(hill.at[3], 5.5, 3.6);
    assert_int_equal(shallow.status, OPT_OK);
    assert_close(shallow.at[2], 0.5, 0.4);
    assert_close(shallow.end, shallow.at[2], 0);
    assert_int_equal(infinite.status, OPT_OK);
    assert_close(infinite.at[2], 0.5, 0);
    assert_close(infinite.at[3], 0.25, 0);
}

/* ---- The end of evaluations ---------------------------------------------------------------------------- */

static void the_lowest_is_gone_back_to(void **state)
{
    const opt_lbfgs_opts three = {.max_evals = 3};
    const script low = search_script((script){{0, -1, 5, 6, -1}, {-1, -2, 1, 1, -2}}, &three);
    const script last = search_script((script){{0, 5, 5, -0.1}, {-1, 1, 1, -0.95}}, &three);
    const script none = search_script((script){{0, 5, 5, 5, 0}, {-1, 1, 1, 1, -1}}, &three);
    /* a loss that is another when it is evaluated again */
    const script moody = search_script((script){{0, -1, 5, 6, 7, 0}, {-1, -2, 1, 1, -2, -1}}, &three);

    (void)state;
    assert_int_equal(low.status, OPT_OK);
    assert_close(low.at[4], 1, 0);
    assert_close(low.end, 1, 0);
    assert_int_equal(last.status, OPT_OK);
    assert_close(last.end, last.at[3], 0);
    assert_int_equal(none.status, OPT_STOP);
    assert_close(none.end, 0, 0);
    assert_close(none.at[4], 0, 0);
    assert_int_equal(moody.status, OPT_STOP);
    assert_close(moody.end, 0, 0);
    assert_close(moody.at[5], 0, 0);
}

/* Where no length differs from the last any more, though there are evaluations left. */
static double level(int n, const double *x, double *g)
{
    (void)n;
    (void)x;
    *g = -1;
    played++;
    return 0;
}

static void it_ends_when_lengths_do_not_differ(void **state)
{
    const opt_lbfgs_opts many = {.max_evals = 1e5};

    (void)state;
    assert_int_equal(search((script){0}, level, 1, &many, OPT_F64).status, OPT_STOP);
    assert_in_range(played, 3, 8000);
}

/* ---- Pairs --------------------------------------------------------------------------------------------- */

static void curvature_makes_a_pair(void **state)
{
    const opt_lbfgs_opts one = {.max_evals = 1};
    const script convex = search_script((script){{0, -0.5}, {-1, -0.75}}, &one);
    const script straight = search_script((script){{0, -1}, {-1, -1}}, &one);
    const script concave = search_script((script){{0, -1.5}, {-1, -2}}, &one);

    (void)state;
    assert_int_equal(convex.status, OPT_OK);
    assert_close(convex.y, 0.5, 1e-15); /* s = 1, y = 1/4 */
    assert_int_equal(straight.status, OPT_OK);
    assert_true(straight.y == 0);
    assert_int_equal(concave.status, OPT_OK);
    assert_true(concave.y == 0);
}

/* The change of the gradient is all but at right angles to the step. */
static double sideways(int n, const double *x, double *g)
{
    (void)n;
    g[0] = x[0] > 0 ? -0.5 : -1;
    g[1] = x[0] > 0 ? 1e17 : 0;
    return x[0] > 0 ? -0.75 : 0;
}

static void a_pair_lost_in_rounding_is_none(void **state)
{
    static const part two[] = {{OPT_F64, 2, false}, {0}};
    objective o;

    (void)state;
    objective_new(&o, sideways, two, (const double[]){0, 0});
    objective_optimize(&o, &opt_lbfgs, NULL, NULL);
    assert_ok(o.ctx, objective_search(&o));
    assert_true(opt_get(opt_optim_slot(o.optim, 0, "y"), 0) == 0);
    assert_true(opt_get(opt_optim_slot(o.optim, 0, "y"), 1) == 0);
    objective_free(&o);
}

/* So small that the factor by which it is scaled is no f32. */
static double tiny(int n, const double *x, double *g)
{
    (void)n;
    *g = *x - 1e-39;
    return *g * *g / 2;
}

static void a_tiny_pair_does_not_overflow(void **state)
{
    (void)state;
    assert_true(search((script){0}, tiny, 1, NULL, OPT_F32).y == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cubic_is_known_by_two_points),
        cmocka_unit_test(between_where_it_is_lower_and_too_far),
        cmocka_unit_test(the_lowest_is_gone_back_to),
        cmocka_unit_test(it_ends_when_lengths_do_not_differ),
        cmocka_unit_test(curvature_makes_a_pair),
        cmocka_unit_test(a_pair_lost_in_rounding_is_none),
        cmocka_unit_test(a_tiny_pair_does_not_overflow),
    };
    return cmocka_run_group_tests_name("lbfgs line", tests, NULL, NULL);
}

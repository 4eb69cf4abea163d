/* SPDX-License-Identifier: MIT
 *
 * L-BFGS: a direction by the pairs of the last steps, and a search along it.
 *
 * The pair of step t is in row (t - 1) mod (history + 1) of the slots, scaled so that s.y = 1: then no place
 * is needed for that product, and a row of zeros is no pair and has no effect. That is a row more than there
 * are pairs in use. In a step it holds the weights and the gradient that the step began with, and no other
 * row is written before the step has succeeded: one that fails leaves all that the next depends on as it was.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "optim/method.h"
#include "optim/optim.h"

/* A step in progress. */
typedef struct step {
    const opt_search *search;
    const opt_lbfgs_opts *opts;
    int64_t rows, row; /* of the slots; of this step */
    int64_t n, chunk;  /* elements of all parameters; those that are worked on at a time */
    double f, slope;   /* at the start; the slope along D */
    double tried;      /* the last length */
} step;

/* ---- Vectors of all parameters' elements --------------------------------------------------------------- */

typedef enum kind { S, Y, D, WEIGHTS, GRADIENT } kind; /* the slots first */

typedef struct vector {
    kind which;
    int64_t row; /* of S and Y */
} vector;

static const vector d = {D, 0}, weights = {WEIGHTS, 0}, gradient = {GRADIENT, 0};

/* What a pass does to x, by y and a. */
typedef enum operation {
    COPY,    /* x <- y */
    CLEAR,   /* x <- 0 */
    SCALE,   /* x <- a x */
    ADD,     /* x <- x + a y */
    PRODUCT, /* the sum of x y */
} operation;

/* As chunks do not depend on the threads, nor do sums. */
#define OPT__HISTORY 100 /* the most pairs */
#define CHUNKS       64  /* at most, of a vector */

typedef struct pass {
    const step *step;
    operation what;
    double a;
    vector x, y;
    double sum[CHUNKS];
} pass;

static void *address(const step *t, vector v, int p, int64_t i)
{
    const opt_param *param = &t->search->params.at[p];
    const opt_tensor *of = v.which == WEIGHTS    ? &param->value
                           : v.which == GRADIENT ? &param->grad
                                                 : &t->search->slot[p * OPT_MAX_SLOTS + (int)v.which];

    return opt__at(of, v.row * opt_tensor_len(&param->value) + i);
}

/* Elements [i, i + n) of parameter p; `lane` is the next of lanes. */
static void run_piece(const pass *w, int p, int64_t i, int64_t n, int lane, double *lanes)
{
    const opt_dtype dtype = w->step->search->params.at[p].value.dtype;
    const opt__kernels *k = opt__kernels_of(w->step->search->ctx, dtype);
    void *x = address(w->step, w->x, p, i);
    const void *y = address(w->step, w->y, p, i);

    switch (w->what) { /* GCOVR_EXCL_BR_LINE: there is no other */
    case COPY:
        memcpy(x, y, (size_t)n * opt__size(dtype));
        break;
    case CLEAR:
        memset(x, 0, (size_t)n * opt__size(dtype));
        break;
    case SCALE:
        k->scale(n, x, w->a);
        break;
    case ADD:
        k->add_scaled(n, x, w->a, y);
        break;
    case PRODUCT:
        k->add_products(n, x, y, lane, lanes);
        break;
    }
}

static void run_chunk(void *arg, int64_t chunk, int thread)
{
    pass *w = arg;
    const opt_params params = w->step->search->params;
    const int64_t start = chunk * w->step->chunk, end = start + w->step->chunk;
    double lanes[OPT__SUM_LANES] = {0};
    int64_t first = 0;

    (void)thread;
    for (int p = 0; p < params.n && first < end; p++) {
        const int64_t next = first + opt_tensor_len(&params.at[p].value);
        const int64_t from = start > first ? start : first, to = end < next ? end : next;

        if (from < to)
            run_piece(w, p, from - first, to - from, (int)((from - start) % OPT__SUM_LANES), lanes);
        first = next;
    }
    w->sum[chunk] = w->step->search->ctx->kernels->sum_lanes(lanes);
}

/* Returns the sum, of a PRODUCT. */
static double run(const step *t, operation what, vector x, double a, vector y)
{
    pass w = {.step = t, .what = what, .a = a, .x = x, .y = y};
    const int64_t chunks = (t->n - 1) / t->chunk + 1;
    double sum = 0;

    if (t->n >= OPT__SHARED)
        opt__parallel(t->search->ctx, chunks, run_chunk, &w);
    else
        for (int64_t i = 0; i < chunks; i++)
            run_chunk(&w, i, 0);
    for (int64_t i = 0; i < chunks; i++)
        sum += w.sum[i];
    return sum;
}

static void copy(const step *t, vector x, vector y)
{
    run(t, COPY, x, 0, y);
}

static void clear(const step *t, vector x)
{
    run(t, CLEAR, x, 0, x);
}

static void scale(const step *t, vector x, double a)
{
    run(t, SCALE, x, a, x);
}

static void add(const step *t, vector x, double a, vector y)
{
    run(t, ADD, x, a, y);
}

static double product(const step *t, vector x, vector y)
{
    return run(t, PRODUCT, x, 0, y);
}

/* ---- Pairs --------------------------------------------------------------------------------------------- */

/* Of the step so many before this one. */
static vector pair(const step *t, kind which, int64_t before)
{
    return (vector){which, (t->row + t->rows - before) % t->rows};
}

/* D <- the direction by the pairs, by two loops over them (Nocedal & Wright, Algorithm 7.4); false: there are
 * none. */
static bool find_direction(const step *t)
{
    const int64_t pairs = t->rows - 1;
    double alpha[OPT__HISTORY + 1], square = 0;

    copy(t, d, pair(t, Y, 0));
    scale(t, d, -1);
    for (int64_t k = 1; k <= pairs; k++) {
        alpha[k] = product(t, pair(t, S, k), d);
        add(t, d, -alpha[k], pair(t, Y, k));
        if (!(square > 0))
            square = product(t, pair(t, Y, k), pair(t, Y, k));
    }
    if (!(square > 0))
        return false;
    scale(t, d, 1 / square); /* s.y / y.y of the last pair */
    for (int64_t k = pairs; k > 0; k--)
        add(t, d, alpha[k] - product(t, pair(t, Y, k), d), pair(t, S, k));
    return true;
}

/* Makes the pair of this step of what it began with and where it has come to; or none, where the curvature
 * along the step is not positive or lost in rounding, by L-BFGS-B's bound. */
static void keep_pair(const step *t)
{
    const vector s = pair(t, S, 0), y = pair(t, Y, 0);
    double sy, factor;

    scale(t, s, -1);
    add(t, s, 1, weights);
    scale(t, y, -1);
    add(t, y, 1, gradient);
    sy = product(t, s, y);
    factor = 1 / sqrt(sy);
    if (sy > DBL_EPSILON * product(t, y, y) && factor <= (double)FLT_MAX) {
        scale(t, s, factor);
        scale(t, y, factor);
    } else {
        clear(t, s);
        clear(t, y);
    }
}

static void forget_pairs(const step *t)
{
    for (int64_t k = 1; k < t->rows; k++) {
        clear(t, pair(t, S, k));
        clear(t, pair(t, Y, k));
    }
}

/* ---- The search along D -------------------------------------------------------------------------------- */

typedef struct point {
    double a; /* length */
    double f; /* HUGE_VAL where it or the slope is not finite */
    double slope;
} point;

static opt_status try(step *t, double a, point *p)
{
    const opt_search *search = t->search;
    opt_status s;

    copy(t, weights, pair(t, S, 0));
    add(t, weights, a, d);
    t->tried = a;
    s = search->evaluate(search);
    *p = (point){a, *search->loss, 0};
    if (!s && isfinite(p->f))
        p->slope = product(t, gradient, d);
    if (!isfinite(p->f + p->slope))
        p->f = HUGE_VAL;
    return s;
}

/* The length at which the cubic through both points has its minimum; not finite where it has none. */
static double cubic_minimum(const point *p, const point *q)
{
    const double theta = p->slope + q->slope - 3 * (p->f - q->f) / (p->a - q->a);
    const double root = copysign(sqrt(theta * theta - p->slope * q->slope), q->a - p->a);

    return q->a - (q->a - p->a) * ((q->slope + root - theta) / (q->slope - p->slope + 2 * root));
}

/* A length between the two, not too near to either. */
static double inside(const point *lo, const point *hi, bool halve)
{
    const double width = hi->a - lo->a, share = (cubic_minimum(lo, hi) - lo->a) / width;

    return lo->a + (halve || !isfinite(share) ? 0.5 : fmin(fmax(share, 0.1), 0.9)) * width;
}

/* A length beyond p, which follows `before`. */
static double beyond(const point *before, const point *p)
{
    const double width = p->a - before->a, share = (cubic_minimum(before, p) - p->a) / width;

    return p->a + (share > 0 && share < 9 ? fmax(share, 1.1) : 9) * width;
}

/* Looks for a length where the strong Wolfe conditions hold (Nocedal & Wright, Algorithms 3.5 and 3.6 in one
 * loop), and ends at it, or at the lowest that decreases the loss enough; *lower: there is one. `lo` is the
 * lowest so far, and there are lengths that will do between it and `hi`, once that is known. */
static opt_status search_along(step *t, double first, bool *lower)
{
    const int64_t evaluations = (int64_t)t->opts->max_evals;
    point lo = {0, t->f, t->slope}, hi = {HUGE_VAL, HUGE_VAL, 0}, before = lo, p;
    double a = first, width = HUGE_VAL;
    opt_status s = OPT_OK;

    for (int64_t i = 0; i < evaluations; i++) {
        const double was = width;

        s = try(t, a, &p);
        if (s)
            return s;
        if (p.f > t->f + t->opts->c1 * a * t->slope || p.f >= lo.f) {
            hi = p;
        } else if (fabs(p.slope) <= -t->opts->c2 * t->slope) {
            *lower = true;
            return OPT_OK;
        } else {
            if ((p.slope >= 0) == (hi.a > lo.a))
                hi = lo;
            before = lo;
            lo = p;
        }
        width = fabs(hi.a - lo.a);
        if (fabs(lo.slope) * width <= DBL_EPSILON * fabs(lo.f))
            break; /* rounding would hide any difference */
        a = isfinite(hi.a) ? inside(&lo, &hi, width > 0.7 * was) : beyond(&before, &lo);
    }
    if (lo.a > 0 && t->tried != lo.a)
        s = try(t, lo.a, &lo);
    *lower = lo.a > 0 && lo.f < t->f;
    return s;
}

/* ---- The step ------------------------------------------------------------------------------------------ */

/* Along the direction by the pairs or, where that fails, down the gradient, whose square this is. */
static opt_status go_down(step *t, double square, bool *lower)
{
    const double lr = t->search->lr;
    opt_status s = OPT_OK;

    if (find_direction(t)) {
        t->slope = product(t, pair(t, Y, 0), d);
        if (t->slope < 0)
            s = search_along(t, lr, lower);
        if (s || *lower)
            return s;
    }
    copy(t, d, pair(t, Y, 0));
    scale(t, d, -1);
    t->slope = -square;
    s = search_along(t, lr * fmin(1, 1 / sqrt(square)), lower);
    if (!s && *lower)
        forget_pairs(t);
    return s;
}

static opt_status search(const opt_search *search)
{
    const opt_lbfgs_opts *opts = search->hyper;
    step t = {.search = search, .opts = opts, .rows = (int64_t)opts->history + 1, .f = *search->loss};
    bool lower = false;
    double square;
    opt_status s;

    t.row = (search->t - 1) % t.rows;
    for (int p = 0; p < search->params.n; p++)
        t.n += opt_tensor_len(&search->params.at[p].value);
    t.chunk = ((t.n - 1) / CHUNKS / OPT__SUM_BLOCK + 1) * OPT__SUM_BLOCK;
    square = product(&t, gradient, gradient);
    if (!isfinite(square)) {
        s = opt__blame_nonfinite(search->ctx, opt_lbfgs.name, search->params);
        return s ? s : opt__fail(search->ctx, OPT_ENONFINITE, "lbfgs: the square of the gradient overflows");
    }
    if (square == 0)
        return OPT_STOP;
    if (search->lr == 0) { /* the weights are frozen, and there is no pair of this step */
        clear(&t, pair(&t, S, 0));
        clear(&t, pair(&t, Y, 0));
        return OPT_OK;
    }
    copy(&t, pair(&t, S, 0), weights);
    copy(&t, pair(&t, Y, 0), gradient);
    s = go_down(&t, square, &lower);
    if (!s && lower)
        keep_pair(&t);
    else
        copy(&t, weights, pair(&t, S, 0));
    return s ? s : lower ? OPT_OK : OPT_STOP;
}

static void shape_slot(const void *hyper, int slot, opt_tensor *like)
{
    const opt_lbfgs_opts *opts = hyper;

    if (slot == D)
        return;
    *like = (opt_tensor){
        .dtype = like->dtype, .ndim = 2, .dim = {(int64_t)opts->history + 1, opt_tensor_len(like)}};
}

static const opt_hyper hyper[] = {{"history", 10, 1, OPT__HISTORY + 1},
                                  {"max_evals", 25, 1, 1e6},
                                  {"c1", 1e-4, DBL_MIN, 0.5},
                                  {"c2", 0.9, DBL_MIN, 1}};

const opt_method opt_lbfgs = {.name = "lbfgs",
                              .hyper = hyper,
                              .nhyper = 4,
                              .slot = {[S] = "s", [Y] = "y", [D] = "d"},
                              .search = search,
                              .shape_slot = shape_slot};

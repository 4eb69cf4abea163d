/* SPDX-License-Identifier: MIT
 *
 * Muon: matrices step by the orthogonal factor of their momentum, the rest goes to Adam.
 *
 * An iteration of Newton-Schulz is X <- (a + b A + c A^2) X with A = X X^T. As it stands that is three
 * products and passes over memory that scale and copy. Two identities leave the products alone:
 *
 *   - Z = c^(1/4) X in X's place makes c's factor 1: with D = Z Z^T = sqrt(c) A the bracket is
 *     a + 2 h D + D^2, h = b / (2 sqrt(c)). Z comes from the scaling that divides by the norm anyway, and
 *     X is got back by the factor of the step.
 *   - The square is completed: a + 2 h D + D^2 = (D + h)^2 + (a - h^2). So D and then its square have a
 *     number added along their diagonals. Both terms are positive, so nothing cancels, either.
 *
 * Of a matrix with more rows than columns the transpose is meant, X X^T for X^T and so on: products take the
 * operands the other way round, and nothing is transposed.
 */
#include <float.h>
#include <math.h>

#include "optim/method.h"
#include "optim/params.h"
#include "tensor/tensor.h"

enum { M, V }; /* its slots */

#define NS_A 3.4445
#define NS_B (-4.7750)
#define NS_C 2.0315

static bool goes_to_adam(const opt_tensor *w)
{
    return w->ndim != 2;
}

static void shape_slot(const void *hyper, int slot, opt_tensor *like)
{
    (void)hyper;
    if (slot == V && !goes_to_adam(like))
        like->dtype = 0;
}

/* ---- Scratch ------------------------------------------------------------------------------------------- */

/* The bytes of each part, whole cache lines. */
typedef struct sizes {
    int64_t whole, square, sums;
} sizes;

static int64_t lines(int64_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static int64_t shorter(const opt_tensor *w)
{
    return w->dim[0] < w->dim[1] ? w->dim[0] : w->dim[1];
}

static sizes sizes_for(const opt_tensor *w)
{
    const int64_t size = (int64_t)opt__size(w->dtype), side = shorter(w);
    const opt__stretch all = {*w, 0};

    return (sizes){lines(opt_tensor_len(w) * size), lines(side * side * size),
                   lines(opt__sum_blocks(&all, 1) * 2 * (int64_t)sizeof(double))};
}

static int64_t scratch(const void *hyper, const opt_tensor *w)
{
    sizes s;

    (void)hyper;
    if (goes_to_adam(w))
        return 0;
    if (opt_tensor_len(w) > PTRDIFF_MAX / 8 / (int64_t)sizeof(double)) /* there are four parts and a bit */
        return -1;
    s = sizes_for(w);
    return 2 * (s.whole + s.square) + s.sums;
}

typedef struct room {
    opt_tensor z, next;    /* shaped like w */
    opt_tensor gram, poly; /* of its shorter side */
    double *sums;          /* for opt__norm */
} room;

static room divide(const opt_update *u)
{
    const sizes s = sizes_for(&u->w);
    const int64_t side = shorter(&u->w);
    char *const at = u->scratch;

    return (room){.z = opt_tensor_view(u->w.dtype, at, 2, u->w.dim),
                  .next = opt_tensor_view(u->w.dtype, at + s.whole, 2, u->w.dim),
                  .gram = opt_tensor_view(u->w.dtype, at + 2 * s.whole, 2, (int64_t[]){side, side}),
                  .poly =
                      opt_tensor_view(u->w.dtype, at + 2 * s.whole + s.square, 2, (int64_t[]){side, side}),
                  .sums = (void *)(at + 2 * (s.whole + s.square))};
}

/* ---- The step ------------------------------------------------------------------------------------------ */

/* The momentum moves, and z <- what is to be orthogonal. */
static void look_ahead(const opt_update *u, const opt_tensor *z)
{
    const opt_muon_opts *h = u->hyper;
    const double mu = h->momentum, rest = 1 - mu;
    const double c[OPT__CONSTANTS] = {mu, rest, h->nesterov != 0 ? rest : 0, h->nesterov != 0 ? mu : 1};
    opt_update v = *u;

    v.w = *z;
    (void)opt__apply(OPT__MUON, &v, c); /* which does not fail */
}

/* z <- factor z / max(|z|, eps). NaN, in a gradient that nobody checks, stays NaN. */
static void normalise(const opt_update *u, const room *r, double factor)
{
    const opt_muon_opts *h = u->hyper;
    const opt__stretch all = {r->z, 0};
    double norm[2] = {(double)NAN};

    (void)opt__norm(u->ctx, &all, 1, HUGE_VAL, r->sums, norm);
    opt__kernels_of(u->ctx, r->z.dtype)
        ->scale(opt_tensor_len(&r->z), r->z.data, factor / (norm[0] < h->eps ? h->eps : norm[0]));
}

static void add_to_diagonal(const opt_tensor *square, double x)
{
    for (int64_t i = 0, n = square->dim[0]; i < n; i++)
        opt_set(square, i * (n + 1), opt_get(square, i * (n + 1)) + x);
}

/* One iteration: z <- its bracket times z; or z times it, where there are more rows than columns. */
static opt_status iterate(opt_ctx *ctx, room *r)
{
    const bool tall = r->z.dim[0] > r->z.dim[1];
    const double h = NS_B / (2 * sqrt(NS_C));
    const opt_tensor z = r->z;
    opt_status s = opt_matmul(ctx, tall, &z, !tall, &z, 0, &r->gram);

    if (!s) {
        add_to_diagonal(&r->gram, h);
        s = opt_matmul(ctx, false, &r->gram, false, &r->gram, 0, &r->poly);
    }
    if (s)
        return s;
    add_to_diagonal(&r->poly, NS_A - h * h);
    s = opt_matmul(ctx, false, tall ? &z : &r->poly, false, tall ? &r->poly : &z, 0, &r->next);
    r->z = r->next;
    r->next = z;
    return s;
}

/* The factor of the learning rate for a matrix's shape. */
static double shape_factor(const opt_muon_opts *h, const opt_tensor *w)
{
    const double rows = (double)w->dim[0], cols = (double)w->dim[1];

    return h->match_rms != 0 ? 0.2 * sqrt(fmax(rows, cols)) : sqrt(fmax(1, rows / cols));
}

static opt_status update_matrix(const opt_update *u)
{
    const opt_muon_opts *h = u->hyper;
    const double root = sqrt(sqrt(NS_C)), c[OPT__CONSTANTS] = {u->lr * shape_factor(h, &u->w) / root};
    opt_update v = *u;
    opt_status s = OPT_OK;
    room r;

    if (u->ctx == NULL || u->scratch == NULL)
        return OPT_EINVAL;
    r = divide(u);
    look_ahead(u, &r.z);
    normalise(u, &r, root);
    for (int i = 1; !s && i <= (int)h->steps; i++)
        s = iterate(u->ctx, &r);
    v.g = r.z;
    return s ? s : opt__apply(OPT__GD, &v, c);
}

static opt_status update(const opt_update *u)
{
    const opt_muon_opts *h = u->hyper;
    const opt_adam_opts adam = {h->beta1, h->beta2, h->adam_eps};
    opt_update v = *u;

    if (!goes_to_adam(&u->w))
        return update_matrix(u);
    v.hyper = &adam;
    return opt_adam.update(&v);
}

/* The norm's inverse is to be finite in f32, so eps is not any number above 0. */
static const opt_hyper hyper[] = {{"momentum", 0.95, 0, 1}, {"nesterov", 1, 0, 2},
                                  {"steps", 5, 1, 100},     {"eps", 1e-7, 1e-30, HUGE_VAL},
                                  {"match_rms", 0, 0, 2},   {"beta1", 0.9, 0, 1},
                                  {"beta2", 0.999, 0, 1},   {"adam_eps", 1e-8, DBL_MIN, HUGE_VAL}};

const opt_method opt_muon = {.name = "muon",
                             .hyper = hyper,
                             .nhyper = 8,
                             .slot = {[M] = "m", [V] = "v"},
                             .whole_tensor = true,
                             .update = update,
                             .weight_decay = 0.1,
                             .shape_slot = shape_slot,
                             .scratch = scratch};

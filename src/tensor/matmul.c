/* SPDX-License-Identifier: MIT
 *
 * The checks of a matrix product, and its division among threads: each computes a block of c's rows or
 * columns, whose elements do not depend on the others.
 *
 * With OPT_BLAS, which is off unless the build asks for it, the largest f32 products go to a CBLAS: faster on
 * machines without AVX-512 (tests/bench/RESULTS.md), and no longer the same bits everywhere.
 */
#include <math.h>
#ifdef OPT__BLAS
#include <cblas.h>
#include <limits.h>
#endif

#include "tensor/tensor.h"

#define ROW_STEP    48 /* a multiple of the rows of every instruction set's tile */
#define COLUMN_STEP 64 /* and of their columns */

/* OPT_OK when t is a matrix of the dtype wanted. */
static opt_status check_matrix(opt_ctx *ctx, const char *what, const opt_tensor *t, opt_dtype dtype)
{
    opt_status s = opt__check_tensor(ctx, what, t);

    if (s)
        return s;
    if (t->ndim != 2)
        return opt__fail(ctx, OPT_ESHAPE, "%s is %s, not a matrix", what, opt__shape_of(t).text);
    if (t->dtype != dtype)
        return opt__fail(ctx, OPT_EDTYPE, "%s is %s where a is %s", what, opt__dtype_name(t->dtype),
                         opt__dtype_name(dtype));
    return OPT_OK;
}

typedef struct product {
    const opt__kernels *kernels;
    bool ta, tb, by_rows;
    int64_t m, n, k, block; /* rows or columns of a part */
    const opt_tensor *a, *b;
    double beta;
    opt_tensor *c;
} product;

static void multiply_part(void *arg, int64_t part, int thread)
{
    const product *p = arg;
    const int64_t start = part * p->block, rest = (p->by_rows ? p->m : p->n) - start;
    const int64_t size = rest < p->block ? rest : p->block, lda = p->a->dim[1], ldb = p->b->dim[1];
    const int64_t row = p->by_rows ? start : 0, column = p->by_rows ? 0 : start;

    (void)thread;
    p->kernels->matmul(p->ta, p->tb, p->by_rows ? size : p->m, p->by_rows ? p->n : size, p->k,
                       opt__at(p->a, p->ta ? row : row * lda), lda,
                       opt__at(p->b, p->tb ? column * ldb : column), ldb, p->beta,
                       opt__at(p->c, row * p->n + column), p->n);
}

/* Whether a CBLAS has computed the product. */
static bool by_blas(const product *p)
{
#ifdef OPT__BLAS
    const int64_t lda = p->a->dim[1], ldb = p->b->dim[1];

    if (p->a->dtype != OPT_F32 || 2.0 * (double)p->m * (double)p->n * (double)p->k < 2e9 || p->m > INT_MAX ||
        p->n > INT_MAX || p->k > INT_MAX)
        return false;
    cblas_sgemm(CblasRowMajor, p->ta ? CblasTrans : CblasNoTrans, p->tb ? CblasTrans : CblasNoTrans,
                (int)p->m, (int)p->n, (int)p->k, 1, p->a->data, (int)lda, p->b->data, (int)ldb,
                (float)p->beta, p->c->data, (int)p->n);
    return true;
#else
    (void)p;
    return false;
#endif
}

/* Parts have a million operations or more, a fraction of a millisecond, and the longer side is divided. */
static void multiply(const opt_ctx *ctx, product *p)
{
    const double operations = 2.0 * (double)p->m * (double)p->n * (double)p->k;
    const double most = fmin(operations / 1e6, 4.0 * ctx->threads);
    const int64_t parts = ctx->threads > 1 && most > 1 ? (int64_t)most : 1;
    int64_t size, step;

    p->by_rows = p->m >= p->n;
    size = p->by_rows ? p->m : p->n;
    step = p->by_rows ? ROW_STEP : COLUMN_STEP;
    p->block = parts > 1 ? ((size - 1) / parts / step + 1) * step : size;
    opt__parallel(ctx, (size + p->block - 1) / p->block, multiply_part, p);
}

opt_status opt_matmul(opt_ctx *ctx, bool ta, const opt_tensor *a, bool tb, const opt_tensor *b, double beta,
                      opt_tensor *c)
{
    opt_status s = opt__enter(ctx);
    product p = {.ta = ta, .tb = tb, .a = a, .b = b, .beta = beta, .c = c};
    int64_t m, n, k;

    if (!s)
        s = opt__check_tensor(ctx, "matmul: a", a);
    if (!s)
        s = check_matrix(ctx, "matmul: a", a, a->dtype);
    if (!s)
        s = check_matrix(ctx, "matmul: b", b, a->dtype);
    if (!s)
        s = check_matrix(ctx, "matmul: c", c, a->dtype);
    if (s)
        return s;
    m = a->dim[ta ? 1 : 0];
    k = a->dim[ta ? 0 : 1];
    n = b->dim[tb ? 0 : 1];
    if (b->dim[tb ? 1 : 0] != k || c->dim[0] != m || c->dim[1] != n)
        return opt__fail(ctx, OPT_ESHAPE, "matmul: %s%s times %s%s does not make %s", opt__shape_of(a).text,
                         ta ? "^T" : "", opt__shape_of(b).text, tb ? "^T" : "", opt__shape_of(c).text);
    if (opt__overlap(a, c) || opt__overlap(b, c))
        return opt__fail(ctx, OPT_EINVAL, "matmul: c overlaps %s", opt__overlap(a, c) ? "a" : "b");
    if (!isfinite(a->dtype == OPT_F32 ? (double)(float)beta : beta))
        return opt__fail(ctx, OPT_EINVAL, "matmul: beta = %g is not finite", beta);
    p.kernels = opt__kernels_of(ctx, a->dtype);
    p.m = m;
    p.n = n;
    p.k = k;
    if (!by_blas(&p)) /* GCOVR_EXCL_BR_LINE: only in a build with OPT_BLAS */
        multiply(ctx, &p);
    return OPT_OK;
}

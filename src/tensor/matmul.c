/* SPDX-License-Identifier: MIT
 *
 * The checks of a matrix product.
 */
#include <math.h>

#include "tensor/tensor.h"

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

opt_status opt_matmul(opt_ctx *ctx, bool ta, const opt_tensor *a, bool tb, const opt_tensor *b, double beta,
                      opt_tensor *c)
{
    opt_status s = opt__enter(ctx);
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
    opt__kernels_of(ctx, a->dtype)
        ->matmul(ta, tb, m, n, k, a->data, a->dim[1], b->data, b->dim[1], beta, c->data, n);
    return OPT_OK;
}

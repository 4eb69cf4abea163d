/* SPDX-License-Identifier: MIT
 *
 * Making, viewing, converting and checking tensors.
 */
#include "tensor/tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *opt__dtype_name(opt_dtype dtype)
{
    return dtype == OPT_F32 ? "f32" : "f64";
}

opt__shape opt__shape_of(const opt_tensor *t)
{
    opt__shape s = {"["};
    size_t used = 1;

    for (int d = 0; d < t->ndim; d++)
        used += (size_t)snprintf(s.text + used, sizeof s.text - used, d ? ", %lld" : "%lld",
                                 (long long)t->dim[d]);
    snprintf(s.text + used, sizeof s.text - used, "]");
    return s;
}

bool opt__same_shape(const opt_tensor *a, const opt_tensor *b)
{
    return a->ndim == b->ndim && memcmp(a->dim, b->dim, (size_t)a->ndim * sizeof a->dim[0]) == 0;
}

int64_t opt__count(opt_dtype dtype, int ndim, const int64_t *dim)
{
    int64_t n = 1;
    const int64_t most = PTRDIFF_MAX / (int64_t)opt__size(dtype);

    if (ndim < 0 || ndim > OPT_MAX_DIMS || (ndim > 0 && dim == NULL))
        return -1;
    for (int d = 0; d < ndim; d++) {
        if (dim[d] < 1 || n > most / dim[d])
            return -1;
        n *= dim[d];
    }
    return n;
}

/* Says what is wrong with a shape for which opt__count is -1. */
static opt_status bad_shape(opt_ctx *ctx, const char *what, int ndim, const int64_t *dim)
{
    if (ndim < 0 || ndim > OPT_MAX_DIMS)
        return opt__fail(ctx, OPT_ESHAPE, "%s: ndim = %d is outside [0, %d]", what, ndim, OPT_MAX_DIMS);
    if (dim == NULL)
        return opt__fail(ctx, OPT_EINVAL, "%s: dim is NULL", what);
    for (int d = 0; d < ndim; d++)
        if (dim[d] < 1)
            return opt__fail(ctx, OPT_ESHAPE, "%s: dim[%d] = %lld is below 1", what, d, (long long)dim[d]);
    return opt__fail(ctx, OPT_ESHAPE, "%s: the size overflows", what);
}

opt_status opt__check_tensor(opt_ctx *ctx, const char *what, const opt_tensor *t)
{
    if (t == NULL)
        return opt__fail(ctx, OPT_EINVAL, "%s is NULL", what);
    if (t->data == NULL)
        return opt__fail(ctx, OPT_EINVAL, "%s has no data", what);
    if (t->dtype != OPT_F32 && t->dtype != OPT_F64)
        return opt__fail(ctx, OPT_EDTYPE, "%s: dtype = %d is neither OPT_F32 nor OPT_F64", what,
                         (int)t->dtype);
    if (opt__count(t->dtype, t->ndim, t->dim) < 0)
        return bad_shape(ctx, what, t->ndim, t->dim);
    return OPT_OK;
}

opt_status opt_tensor_new(opt_ctx *ctx, opt_dtype dtype, int ndim, const int64_t *dim, opt_tensor *out)
{
    opt_status s = opt__enter(ctx);
    opt_tensor t = {.dtype = dtype, .ndim = ndim};
    int64_t n;

    if (s)
        return s;
    if (out == NULL)
        return opt__fail(ctx, OPT_EINVAL, "tensor: out is NULL");
    if (dtype != OPT_F32 && dtype != OPT_F64)
        return opt__fail(ctx, OPT_EDTYPE, "tensor: dtype = %d is neither OPT_F32 nor OPT_F64", (int)dtype);
    n = opt__count(dtype, ndim, dim);
    if (n < 0)
        return bad_shape(ctx, "tensor", ndim, dim);
    if (ndim > 0)
        memcpy(t.dim, dim, (size_t)ndim * sizeof *dim);
    t.data = opt__alloc(ctx, n, opt__size(dtype));
    if (t.data == NULL)
        return opt__fail(ctx, OPT_ENOMEM, "tensor: no memory for %s of %s", opt__shape_of(&t).text,
                         opt__dtype_name(dtype));
    *out = t;
    return OPT_OK;
}

void opt_tensor_free(opt_ctx *ctx, opt_tensor *t)
{
    if (ctx != NULL && t != NULL) {
        opt__free(ctx, t->data);
        *t = (opt_tensor){0};
    }
}

opt_tensor opt_tensor_view(opt_dtype dtype, void *data, int ndim, const int64_t *dim)
{
    opt_tensor t = {.data = data, .dtype = dtype, .ndim = ndim};

    if ((dtype != OPT_F32 && dtype != OPT_F64) || opt__count(dtype, ndim, dim) < 0)
        return (opt_tensor){0};
    if (ndim > 0)
        memcpy(t.dim, dim, (size_t)ndim * sizeof *dim);
    return t;
}

opt_tensor opt_tensor_rows(const opt_tensor *t, int64_t first, int64_t n)
{
    opt_tensor view;

    if (t == NULL || t->data == NULL || t->ndim < 1 || first < 0 || n < 1 || n > t->dim[0] - first)
        return (opt_tensor){0};
    view = *t;
    view.data = opt__at(t, first * opt__cols(t));
    view.dim[0] = n;
    return view;
}

int64_t opt_tensor_len(const opt_tensor *t)
{
    int64_t n = 1;

    for (int d = 0; d < t->ndim; d++)
        n *= t->dim[d];
    return n;
}

int64_t opt__cols(const opt_tensor *t)
{
    int64_t n = 1;

    for (int d = 1; d < t->ndim; d++)
        n *= t->dim[d];
    return n;
}

void *opt__at(const opt_tensor *t, int64_t i)
{
    return (char *)t->data + i * (int64_t)opt__size(t->dtype);
}

static void convert(const opt_tensor *src, opt_tensor *dst, int64_t n)
{
    if (src->dtype == OPT_F32) {
        const float *restrict from = src->data;
        double *restrict to = dst->data;
        for (int64_t i = 0; i < n; i++)
            to[i] = (double)from[i];
    } else {
        const double *restrict from = src->data;
        float *restrict to = dst->data;
        for (int64_t i = 0; i < n; i++)
            to[i] = (float)from[i];
    }
}

opt_status opt_tensor_copy(opt_ctx *ctx, const opt_tensor *src, opt_tensor *dst)
{
    opt_status s = opt__enter(ctx);
    int64_t n;

    if (!s)
        s = opt__check_tensor(ctx, "copy: src", src);
    if (!s)
        s = opt__check_tensor(ctx, "copy: dst", dst);
    if (s)
        return s;
    if (!opt__same_shape(src, dst))
        return opt__fail(ctx, OPT_ESHAPE, "copy: src is %s, dst is %s", opt__shape_of(src).text,
                         opt__shape_of(dst).text);
    n = opt_tensor_len(src);
    if (src->dtype != dst->dtype)
        convert(src, dst, n);
    else if (src->data != dst->data)
        memcpy(dst->data, src->data, (size_t)n * opt__size(src->dtype));
    return OPT_OK;
}

void opt_tensor_fill(opt_tensor *t, double x)
{
    const int64_t n = t->data ? opt_tensor_len(t) : 0;

    if (t->dtype == OPT_F32) {
        float *p = t->data;
        for (int64_t i = 0; i < n; i++)
            p[i] = (float)x;
    } else if (t->dtype == OPT_BF16) {
        for (int64_t i = 0; i < n; i++)
            opt_set(t, i, x);
    } else {
        double *p = t->data;
        for (int64_t i = 0; i < n; i++)
            p[i] = x;
    }
}

static float from_bf16(uint16_t upper)
{
    const uint32_t bits = (uint32_t)upper << 16;
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

/* To the nearest; of two, to the even one. */
static uint16_t to_bf16(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    if (isnan(x))
        return (uint16_t)(bits >> 16 | 0x40); /* whose lower half alone may have said so */
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

double opt_get(const opt_tensor *t, int64_t i)
{
    if (t->dtype == OPT_BF16)
        return (double)from_bf16(((const uint16_t *)t->data)[i]);
    return t->dtype == OPT_F32 ? (double)((const float *)t->data)[i] : ((const double *)t->data)[i];
}

void opt_set(const opt_tensor *t, int64_t i, double x)
{
    if (t->dtype == OPT_F32)
        ((float *)t->data)[i] = (float)x;
    else if (t->dtype == OPT_BF16)
        ((uint16_t *)t->data)[i] = to_bf16((float)x);
    else
        ((double *)t->data)[i] = x;
}

bool opt__overlap(const opt_tensor *a, const opt_tensor *b)
{
    const uintptr_t pa = (uintptr_t)a->data, pb = (uintptr_t)b->data;

    return pa < (uintptr_t)opt__at(b, opt_tensor_len(b)) && pb < (uintptr_t)opt__at(a, opt_tensor_len(a));
}

int64_t opt__find_nonfinite(const opt_tensor *t)
{
    const int64_t n = opt_tensor_len(t);

    for (int64_t i = 0; i < n; i++)
        if (!isfinite(opt_get(t, i)))
            return i;
    return -1;
}

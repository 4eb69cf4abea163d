/* SPDX-License-Identifier: MIT
 *
 * What is done to data before training: parts held back, standardising, labels as rows of zeros and a one.
 */
#include <math.h>
#include <string.h>

#include <opt/data.h>
#include <opt/rng.h>

#include "batch/batches.h"
#include "tensor/tensor.h"

/* ---- Holding back -------------------------------------------------------------------------------------- */

/* *to <- rows row[0..n) of from, in a tensor of its own; nothing for a `from` without data. */
static opt_status pick(opt_ctx *ctx, const opt_tensor *from, const int64_t *row, int64_t n, opt_tensor *to)
{
    const size_t bytes = from->data ? (size_t)opt__cols(from) * opt__size(from->dtype) : 0;
    int64_t dim[OPT_MAX_DIMS];
    opt_status s;

    *to = (opt_tensor){0};
    if (bytes == 0)
        return OPT_OK;
    memcpy(dim, from->dim, sizeof dim);
    dim[0] = n;
    s = opt_tensor_new(ctx, from->dtype, from->ndim, dim, to);
    for (int64_t i = 0; !s && i < n; i++)
        memcpy((char *)to->data + (size_t)i * bytes, (const char *)from->data + (size_t)row[i] * bytes,
               bytes);
    return s;
}

static opt_status pick_table(opt_ctx *ctx, const opt_table *from, const int64_t *row, int64_t n,
                             opt_table *to)
{
    opt_status s = pick(ctx, &from->x, row, n, &to->x);

    return s ? s : pick(ctx, &from->y, row, n, &to->y);
}

static void free_table(opt_ctx *ctx, opt_table *t)
{
    opt_tensor_free(ctx, &t->x);
    opt_tensor_free(ctx, &t->y);
}

opt_status opt_split(opt_ctx *ctx, const opt_table *all, double fraction, uint32_t seed, opt_table *train,
                     opt_table *held)
{
    opt_table parts[2] = {0};
    opt_status s = opt__enter(ctx);
    int64_t rows, held_rows, *order;
    opt_rng rng;

    if (s)
        return s;
    if (train == NULL || held == NULL)
        return opt__fail(ctx, OPT_EINVAL, "split: %s is NULL", train ? "held" : "train");
    s = opt__check_table(ctx, all);
    if (s)
        return s;
    rows = opt__rows(&all->x);
    held_rows = fraction > 0 && fraction < 1 ? (int64_t)floor(fraction * (double)rows + 0.5) : 0;
    if (held_rows < 1 || held_rows >= rows)
        return opt__fail(ctx, OPT_EINVAL, "split: fraction = %g of %lld rows leaves one part empty", fraction,
                         (long long)rows);
    order = opt__alloc(ctx, rows, sizeof *order);
    if (order == NULL)
        return opt__no_memory(ctx, "split");
    opt_rng_seed(&rng, seed);
    opt_rng_permutation(&rng, rows, order);
    s = pick_table(ctx, all, order, held_rows, &parts[1]);
    if (!s)
        s = pick_table(ctx, all, order + held_rows, rows - held_rows, &parts[0]);
    opt__free(ctx, order);
    if (s) {
        free_table(ctx, &parts[0]);
        free_table(ctx, &parts[1]);
        return s;
    }
    *train = parts[0];
    *held = parts[1];
    return OPT_OK;
}

/* ---- Standardising ------------------------------------------------------------------------------------- */

static opt_status check_rows(opt_ctx *ctx, const char *what, const opt_tensor *x)
{
    opt_status s = opt__check_tensor(ctx, what, x);

    if (s)
        return s;
    return x->ndim > 0 ? OPT_OK : opt__fail(ctx, OPT_ESHAPE, "%s is a single number, not rows", what);
}

/* Column c's mean and deviation; two passes, so that no digits cancel. */
static void column_moments(const opt_tensor *x, int64_t c, double *mean, double *deviation)
{
    const int64_t rows = opt__rows(x), cols = opt__cols(x);
    double sum = 0, squares = 0;

    for (int64_t r = 0; r < rows; r++)
        sum += opt_get(x, r * cols + c);
    *mean = sum / (double)rows;
    for (int64_t r = 0; r < rows; r++) {
        const double d = opt_get(x, r * cols + c) - *mean;

        squares += d * d;
    }
    *deviation = sqrt(squares / (double)rows);
}

opt_status opt_moments(opt_ctx *ctx, const opt_tensor *x, opt_tensor *mean, opt_tensor *deviation)
{
    opt_tensor moment[2] = {0};
    opt_status s = opt__enter(ctx);
    int64_t cols, at;

    if (!s)
        s = check_rows(ctx, "moments: x", x);
    if (s)
        return s;
    if (mean == NULL || deviation == NULL)
        return opt__fail(ctx, OPT_EINVAL, "moments: %s is NULL", mean ? "deviation" : "mean");
    at = opt__find_nonfinite(x);
    if (at >= 0)
        return opt__fail(ctx, OPT_ENONFINITE, "moments: element %lld of x is %g", (long long)at,
                         opt_get(x, at));
    cols = opt__cols(x);
    for (int k = 0; !s && k < 2; k++)
        s = opt_tensor_new(ctx, OPT_F64, 1, &cols, &moment[k]);
    if (s) {
        opt_tensor_free(ctx, &moment[0]);
        return s;
    }
    for (int64_t c = 0; c < cols; c++)
        column_moments(x, c, (double *)moment[0].data + c, (double *)moment[1].data + c);
    *mean = moment[0];
    *deviation = moment[1];
    return OPT_OK;
}

opt_status opt_standardise(opt_ctx *ctx, const opt_tensor *mean, const opt_tensor *deviation, opt_tensor *x)
{
    opt_status s = opt__enter(ctx);
    int64_t cols;

    if (!s)
        s = check_rows(ctx, "standardise: x", x);
    if (!s)
        s = opt__check_tensor(ctx, "standardise: mean", mean);
    if (!s)
        s = opt__check_tensor(ctx, "standardise: deviation", deviation);
    if (s)
        return s;
    cols = opt__cols(x);
    if (opt_tensor_len(mean) != cols || opt_tensor_len(deviation) != cols)
        return opt__fail(ctx, OPT_ESHAPE, "standardise: %s is %s where x has %lld columns",
                         opt_tensor_len(mean) != cols ? "mean" : "deviation",
                         opt__shape_of(opt_tensor_len(mean) != cols ? mean : deviation).text,
                         (long long)cols);
    for (int64_t c = 0; c < cols; c++)
        if (!(opt_get(deviation, c) >= 0 && isfinite(opt_get(deviation, c)) && isfinite(opt_get(mean, c))))
            return opt__fail(ctx, OPT_EINVAL, "standardise: column %lld has mean %g and deviation %g",
                             (long long)c, opt_get(mean, c), opt_get(deviation, c));
    if (opt__overlap(x, mean) || opt__overlap(x, deviation))
        return opt__fail(ctx, OPT_EINVAL, "standardise: x overlaps mean or deviation");
    for (int64_t i = 0, n = opt_tensor_len(x); i < n; i++) {
        const double d = opt_get(deviation, i % cols);

        opt_set(x, i, (opt_get(x, i) - opt_get(mean, i % cols)) / (d > 0 ? d : 1));
    }
    return OPT_OK;
}

/* ---- Labels -------------------------------------------------------------------------------------------- */

opt_status opt_one_hot(opt_ctx *ctx, const opt_tensor *labels, int64_t classes, opt_tensor *out)
{
    opt_status s = opt__enter(ctx);
    int64_t n, most = classes > 0 ? classes : 1;
    opt_tensor t;

    if (!s)
        s = opt__check_tensor(ctx, "one_hot: labels", labels);
    if (s)
        return s;
    if (out == NULL)
        return opt__fail(ctx, OPT_EINVAL, "one_hot: out is NULL");
    if (classes < 0)
        return opt__fail(ctx, OPT_EINVAL, "one_hot: classes = %lld is below 0", (long long)classes);
    n = opt_tensor_len(labels);
    for (int64_t i = 0; i < n; i++) {
        const double label = opt_get(labels, i);

        if (!(label >= 0 && label < (classes > 0 ? (double)classes : 0x1p31) && label == floor(label)))
            return opt__fail(ctx, OPT_EINVAL, "one_hot: label %lld is %g, not one of %lld classes",
                             (long long)i, label, (long long)(classes > 0 ? classes : (int64_t)1 << 31));
        most = classes == 0 && (int64_t)label >= most ? (int64_t)label + 1 : most;
    }
    s = opt_tensor_new(ctx, labels->dtype, 2, (int64_t[]){n, most}, &t);
    if (s)
        return s;
    for (int64_t i = 0; i < n; i++)
        opt_set(&t, i * most + (int64_t)opt_get(labels, i), 1);
    *out = t;
    return OPT_OK;
}

/* SPDX-License-Identifier: MIT
 *
 * A source over tensors in memory.
 */
#include <string.h>

#include "batch/batches.h"
#include "tensor/tensor.h"

/* to [n, cols] <- rows row[0..n) of from. Rows of a few numbers are not worth a call of memcpy each. */
static void gather(const opt_tensor *from, const int64_t *row, int64_t n, opt_tensor *to)
{
    const int64_t bytes = opt__cols(from) * (int64_t)opt__size(from->dtype);
    const char *source = from->data;
    char *target = to->data;

    if (bytes == 8)
        for (int64_t i = 0; i < n; i++)
            memcpy(target + i * 8, source + row[i] * 8, 8);
    else if (bytes == 16)
        for (int64_t i = 0; i < n; i++)
            memcpy(target + i * 16, source + row[i] * 16, 16);
    else
        for (int64_t i = 0; i < n; i++)
            memcpy(target + i * bytes, source + row[i] * bytes, (size_t)bytes);
}

static opt_status read_table(void *ud, const int64_t *row, int64_t n, opt_tensor *x, opt_tensor *y)
{
    const opt_table *table = ud;

    gather(&table->x, row, n, x);
    if (y->data != NULL)
        gather(&table->y, row, n, y);
    return OPT_OK;
}

bool opt__is_table(const opt_source *source)
{
    return source->read == read_table;
}

opt_status opt__check_table(opt_ctx *ctx, const opt_table *table)
{
    opt_status s;

    if (table == NULL)
        return opt__fail(ctx, OPT_EINVAL, "batches: the table is NULL");
    s = opt__check_tensor(ctx, "batches: the table's x", &table->x);
    if (!s && (table->y.data != NULL || table->y.dtype != 0)) /* memory that was not had is not no labels */
        s = opt__check_tensor(ctx, "batches: the table's y", &table->y);
    if (s)
        return s;
    if (table->x.ndim < 1 || (table->y.data != NULL && table->y.ndim < 1))
        return opt__fail(ctx, OPT_ESHAPE, "batches: the table's %s is a single number, not rows",
                         table->x.ndim < 1 ? "x" : "y");
    if (table->y.data == NULL)
        return OPT_OK;
    if (opt__rows(&table->x) != opt__rows(&table->y))
        return opt__fail(ctx, OPT_ESHAPE, "batches: the table's x is %s and y %s: not as many rows",
                         opt__shape_of(&table->x).text, opt__shape_of(&table->y).text);
    if (table->x.dtype != table->y.dtype)
        return opt__fail(ctx, OPT_EDTYPE, "batches: the table's x is %s and y %s",
                         opt__dtype_name(table->x.dtype), opt__dtype_name(table->y.dtype));
    return OPT_OK;
}

/* A table that is not sound gives a source without rows; opt_batches_new looks at the table to say why. */
opt_source opt_source_table(const opt_table *table)
{
    opt_source s = {.read = read_table};

    memcpy(&s.ud, &table, sizeof s.ud); /* read only, but ud is for any source */
    if (opt__check_table(NULL, table))
        return s;
    s.rows = opt__rows(&table->x);
    s.x_cols = opt__cols(&table->x);
    s.y_cols = table->y.data ? opt__cols(&table->y) : 0;
    s.dtype = table->x.dtype;
    return s;
}

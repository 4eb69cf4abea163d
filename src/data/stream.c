/* SPDX-License-Identifier: MIT
 *
 * A source over files larger than memory.
 */
#include <math.h>
#include <string.h>

#include <opt/data.h>

#include "base/sort.h"
#include "data/mapping.h"
#include "tensor/tensor.h"

enum {
    BLOCK = 4096,     /* rows that are put in order at a time */
    BUFFER = 1 << 16, /* bytes of a row that are converted at a time */
    AHEAD = 16 << 20  /* bytes that the disk is told of before they are needed */
};

struct opt_stream {
    opt_ctx *ctx;
    opt_stream_opts opts; /* dtype and x_scale filled in */
    opt__mapping x, y;    /* y.bytes NULL: no labels */
    uint32_t order[BLOCK], room[BLOCK];
    unsigned char buffer[BUFFER];
};

/* ---- Opening and closing ------------------------------------------------------------------------------- */

static opt_status check_opts(opt_ctx *ctx, const opt_stream_opts *o, bool labelled)
{
    if (o->dtype != 0 && o->dtype != OPT_F32 && o->dtype != OPT_F64)
        return opt__fail(ctx, OPT_EDTYPE, "stream: dtype = %d is neither OPT_F32 nor OPT_F64", (int)o->dtype);
    if (!(o->x_scale >= 0) || isinf(o->x_scale))
        return opt__fail(ctx, OPT_EINVAL, "stream: x_scale = %g is not a positive number",
                         opt__shown(o->x_scale));
    if (o->classes < 0)
        return opt__fail(ctx, OPT_EINVAL, "stream: classes = %lld is below 0", (long long)o->classes);
    if (o->classes > 0 && !labelled)
        return opt__fail(ctx, OPT_EINVAL, "stream: classes = %lld without labels", (long long)o->classes);
    return OPT_OK;
}

static opt_status open_files(opt_stream *stream, const char *x_path, const char *y_path)
{
    opt__mapping *x = &stream->x, *y = &stream->y;
    opt_status s = opt__mapping_open(stream->ctx, x_path, x);

    if (!s && y_path != NULL)
        s = opt__mapping_open(stream->ctx, y_path, y);
    if (s || y_path == NULL)
        return s;
    if (x->rows != y->rows)
        return opt__fail(stream->ctx, OPT_ESHAPE, "stream: x has %lld rows and y %lld: %s, %s",
                         (long long)x->rows, (long long)y->rows, x_path, y_path);
    if (stream->opts.classes > 0 && y->cols != 1)
        return opt__fail(stream->ctx, OPT_ESHAPE, "%s: %lld columns where labels have one", y_path,
                         (long long)y->cols);
    return OPT_OK;
}

opt_status opt_stream_open(opt_ctx *ctx, const char *x_path, const char *y_path, const opt_stream_opts *opts,
                           opt_stream **out)
{
    const opt_stream_opts given = opts ? *opts : (opt_stream_opts){0};
    opt_status s = opt__enter(ctx);
    opt_stream *stream;

    if (s)
        return s;
    if (x_path == NULL || out == NULL)
        return opt__fail(ctx, OPT_EINVAL, "stream: %s is NULL", x_path ? "out" : "x_path");
    s = check_opts(ctx, &given, y_path != NULL);
    if (s)
        return s;
    stream = opt__alloc(ctx, 1, sizeof *stream);
    if (stream == NULL)
        return opt__no_memory(ctx, "stream");
    stream->ctx = ctx;
    stream->opts = given;
    s = open_files(stream, x_path, y_path);
    if (s) {
        opt_stream_close(stream);
        return s;
    }
    if (given.dtype == 0)
        stream->opts.dtype = stream->x.dtype;
    if (given.x_scale == 0)
        stream->opts.x_scale = 1;
    *out = stream;
    return OPT_OK;
}

void opt_stream_close(opt_stream *stream)
{
    if (stream == NULL)
        return;
    if (stream->x.bytes != NULL)
        opt__mapping_close(&stream->x);
    if (stream->y.bytes != NULL)
        opt__mapping_close(&stream->y);
    opt__free(stream->ctx, stream);
}

/* ---- The order of the file ----------------------------------------------------------------------------- */

static bool is_before(const void *arg, uint32_t a, uint32_t b)
{
    const int64_t *row = arg;

    return row[a] < row[b];
}

/* 0..n-1, n at most BLOCK, in ascending order of row[]. */
static const uint32_t *file_order(opt_stream *stream, const int64_t *row, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        stream->order[i] = (uint32_t)i;
    opt__sort(stream->order, stream->room, n, is_before, row);
    return stream->order;
}

/* ---- Reading ------------------------------------------------------------------------------------------- */

/* A row of the file -> to [cols]. */
static opt_status read_row(opt_stream *stream, opt__mapping *m, const opt__conversion *c, int64_t row,
                           void *to)
{
    const int64_t most = BUFFER / m->elements.bytes;

    for (int64_t i = 0; i < m->cols; i += most) {
        const int64_t n = m->cols - i < most ? m->cols - i : most;
        const unsigned char *from;
        opt_status s = opt__mapping_fetch(m, row, i, n, stream->buffer, &from);

        if (!s)
            s = opt__convert(c, from, row * m->cols + i, n, (char *)to + (size_t)i * opt__size(c->dtype));
        if (s)
            return s;
    }
    return OPT_OK;
}

/* A label of the file -> to [classes], zeroed but for a 1 in the label's column. */
static opt_status read_label(opt_stream *stream, const opt__conversion *c, int64_t row, opt_tensor *to)
{
    const int64_t classes = stream->opts.classes;
    double label = -1;
    opt_status s = read_row(stream, &stream->y, c, row, &label);

    if (s)
        return s;
    if (!(label >= 0 && label < (double)classes && label == floor(label)))
        return opt__malformed(&stream->y.file, "row %lld has %g, not one of %lld classes", (long long)row,
                              opt__shown(label), (long long)classes);
    opt_tensor_fill(to, 0);
    opt_set(to, (int64_t)label, 1);
    return OPT_OK;
}

/* to [n, columns] <- rows row[0..n) of a file, which are visited in the order given. */
static opt_status gather(opt_stream *stream, opt__mapping *m, const int64_t *row, const uint32_t *order,
                         int64_t n, opt_tensor *to)
{
    const bool labels = m == &stream->y && stream->opts.classes > 0;
    const opt__conversion c = {.file = &m->file,
                               .elements = &m->elements,
                               .scale = m == &stream->x ? stream->opts.x_scale : 1,
                               .dtype = labels ? OPT_F64 : to->dtype};
    const int64_t most = AHEAD / (m->cols * m->elements.bytes);
    opt_status s = opt__mapping_expect(m, row, order, n);

    for (int64_t i = 0, ahead = 0; !s && i < n; i++) {
        opt_tensor place = opt_tensor_rows(to, order[i], 1);

        for (; ahead < n && ahead <= i + most; ahead++)
            opt__mapping_hint(m, row[order[ahead]]);
        s = labels ? read_label(stream, &c, row[order[i]], &place)
                   : read_row(stream, m, &c, row[order[i]], place.data);
    }
    return s;
}

static opt_status read_stream(void *ud, const int64_t *row, int64_t n, opt_tensor *x, opt_tensor *y)
{
    opt_stream *stream = ud;
    opt_status s = OPT_OK;

    for (int64_t i = 0; !s && i < n; i += BLOCK) {
        const int64_t len = n - i < BLOCK ? n - i : BLOCK;
        const uint32_t *order = file_order(stream, row + i, len);
        opt_tensor part = opt_tensor_rows(x, i, len);

        s = gather(stream, &stream->x, row + i, order, len, &part);
        if (!s && y->data != NULL) {
            part = opt_tensor_rows(y, i, len);
            s = gather(stream, &stream->y, row + i, order, len, &part);
        }
    }
    return s;
}

opt_source opt_source_stream(opt_stream *stream)
{
    opt_source s = {.read = read_stream, .ud = stream};

    if (stream == NULL) /* a source without rows, which opt_batches_new refuses */
        return s;
    s.rows = stream->x.rows;
    s.x_cols = stream->x.cols;
    s.y_cols = stream->y.bytes == NULL ? 0 : stream->opts.classes > 0 ? stream->opts.classes : stream->y.cols;
    s.dtype = stream->opts.dtype;
    return s;
}

/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

#include "stream_file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void stream_spill(const char *path, const idx_file *f)
{
    FILE *stream;

    remove(path); /* a file that is cut to nothing and written again may be flushed to the disk */
    stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(f->bytes, 1, f->n, stream), f->n);
    assert_int_equal(fclose(stream), 0);
}

/* f <- an .npy file with n bytes of these elements. */
void stream_make_npy(idx_file *f, const char *descr, const char *order, const char *shape,
                     const void *elements, size_t n)
{
    char text[200];
    const int length = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }\n",
                                descr, order, shape);

    f->n = 0;
    idx_put(f, 0x934e554d505901, 7);
    idx_put(f, 0, 1);
    idx_put(f, (uint64_t)length, 1);
    idx_put(f, 0, 1);
    for (int i = 0; i < length; i++)
        idx_put(f, (unsigned char)text[i], 1);
    for (size_t i = 0; i < n; i++)
        idx_put(f, ((const unsigned char *)elements)[i], 1);
}

/* [3, 2] */
void stream_make_small(idx_file *f)
{
    stream_make_npy(f, "<i2", "False", "(3, 2)", "\x01\x00\x02\x00\x03\x00\x04\x00\x05\x00\xff\xff", 12);
}

stream_result stream_got;

static opt_status read_all(opt_ctx *ctx, const opt_source *source)
{
    const opt_batches_opts all = {.size = source->rows, .in_order = true};
    opt_batches *batches = NULL;
    opt_batch batch;
    opt_status s;

    assert_ok(ctx, opt_batches_new(ctx, source, &all, &batches));
    assert_ok(ctx, opt_batches_begin(batches, 1));
    s = opt_batches_next(batches, &batch);
    stream_got.rows = source->rows;
    stream_got.x_cols = source->x_cols;
    stream_got.y_cols = source->y_cols;
    assert_true(stream_got.rows * stream_got.x_cols <= 1000 && stream_got.rows * stream_got.y_cols <= 1000);
    for (int64_t i = 0; !s && i < stream_got.rows * stream_got.x_cols; i++)
        stream_got.x[i] = opt_get(&batch.x, i);
    for (int64_t i = 0; !s && i < stream_got.rows * stream_got.y_cols; i++)
        stream_got.y[i] = opt_get(&batch.y, i);
    snprintf(stream_got.message, sizeof stream_got.message, "%s", opt_errmsg(ctx));
    opt_batches_free(batches);
    return s;
}

/* Opens a stream over the files and reads all rows. *out is untouched when it cannot be opened; nothing is
 * allocated when it is read, and nothing stays. */
opt_status stream_attempt(const char *x, const char *y, const opt_stream_opts *opts)
{
    const int lowest = dup(1);
    opt_stream *stream, *before;
    opt_status s;
    opt_ctx *ctx;
    count c;

    close(lowest);
    count_init(&c);
    ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
    memset(&stream, 0x5a, sizeof stream);
    before = stream;
    s = opt_stream_open(ctx, x, y, opts, &stream);
    snprintf(stream_got.message, sizeof stream_got.message, "%s", opt_errmsg(ctx));
    if (s) {
        assert_ptr_equal(stream, before);
    } else {
        const opt_source source = opt_source_stream(stream);

        s = read_all(ctx, &source);
        opt_stream_close(stream);
    }
    assert_int_equal(c.live, 1);
    assert_true(c.peak < 300000);
    opt_ctx_free(ctx);
    assert_int_equal(dup(1), lowest); /* no descriptor is left open */
    close(lowest);
    return s;
}

void stream_check(opt_status s, opt_status want, const char *part)
{
    if (s != want || strstr(stream_got.message, part) == NULL)
        fail_msg("%s: '%s', not %s with '%s'", opt_strerror(s), stream_got.message, opt_strerror(want), part);
}

void stream_assert_same(const opt_tensor *a, const opt_tensor *b)
{
    const size_t size = a->dtype == OPT_F32 ? sizeof(float) : sizeof(double);

    assert_int_equal(a->data == NULL, b->data == NULL);
    if (a->data == NULL)
        return;
    assert_true(a->dtype == b->dtype && a->ndim == b->ndim);
    assert_memory_equal(a->dim, b->dim, (size_t)a->ndim * sizeof *a->dim);
    assert_int_equal(memcmp(a->data, b->data, (size_t)opt_tensor_len(a) * size), 0);
}

void stream_compare_epochs(opt_ctx *ctx, const opt_source *a, const opt_source *b,
                           const opt_batches_opts *opts, int64_t epochs)
{
    opt_batches *of_a = NULL, *of_b = NULL;
    opt_batch part_a, part_b;

    assert_ok(ctx, opt_batches_new(ctx, a, opts, &of_a));
    assert_ok(ctx, opt_batches_new(ctx, b, opts, &of_b));
    assert_int_equal(opt_batches_count(of_a), opt_batches_count(of_b));
    for (int64_t epoch = 1; epoch <= epochs; epoch++) {
        assert_ok(ctx, opt_batches_begin(of_a, epoch));
        assert_ok(ctx, opt_batches_begin(of_b, epoch));
        for (int64_t i = 0; i < opt_batches_count(of_a); i++) {
            assert_ok(ctx, opt_batches_next(of_a, &part_a));
            assert_ok(ctx, opt_batches_next(of_b, &part_b));
            stream_assert_same(&part_a.x, &part_b.x);
            stream_assert_same(&part_a.y, &part_b.y);
        }
        assert_int_equal(opt_batches_next(of_a, &part_a), OPT_END);
    }
    opt_batches_free(of_a);
    opt_batches_free(of_b);
}

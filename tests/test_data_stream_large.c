/* SPDX-License-Identifier: MIT
 *
 * Streams over files too large to be mapped whole; and files that shrink.
 */
#define _POSIX_C_SOURCE 200809L /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "stream_file.h"

#define X_NAME "test_data_stream_large_x.tmp"
#define Y_NAME "test_data_stream_large_y.tmp"

/* An IDX file's, of bytes. */
static void put_header(FILE *f, int64_t rows, int64_t cols)
{
    const int64_t word[] = {0x0802, rows, cols};

    for (int i = 0; i < 12; i++)
        assert_true(fputc((int)(word[i / 4] >> (24 - 8 * (i % 4)) & 255), f) != EOF);
}

/* Zeros, which take no space on the disk. */
static void make_zeros(const char *path, int64_t rows, int64_t cols)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    put_header(f, rows, cols);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(truncate(path, 12 + rows * cols), 0);
}

/* ---- Files too large to be mapped whole ---------------------------------------------------------------- */

enum { ROWS = 1100, COLS = 70001 }; /* u1: 77 MB, with rows larger than the stream's buffer */

static unsigned char element(int64_t row, int64_t col)
{
    return (unsigned char)(row * 7 + (row >> 8) + col * 3 + (col >> 8) + (col >> 16));
}

static opt_status compute(void *ud, const int64_t *row, int64_t n, opt_tensor *x, opt_tensor *y)
{
    (void)ud, (void)y;
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < COLS; c++)
            ((float *)x->data)[i * COLS + c] = (float)element(row[i], c);
    return OPT_OK;
}

static void large_files_are_streamed(void **state)
{
    static unsigned char one[COLS];
    const opt_source computed = {ROWS, COLS, 0, OPT_F32, compute, NULL};
    static const int64_t sizes[] = {1, 50, 256};
    FILE *f = fopen(X_NAME, "wb");
    opt_ctx *ctx = *state;
    opt_stream *stream = NULL;
    opt_source streamed;

    assert_non_null(f);
    put_header(f, ROWS, COLS);
    for (int64_t r = 0; r < ROWS; r++) {
        for (int64_t c = 0; c < COLS; c++)
            one[c] = element(r, c);
        assert_int_equal(fwrite(one, 1, sizeof one, f), sizeof one);
    }
    assert_int_equal(fclose(f), 0);
    assert_ok(ctx, opt_stream_open(ctx, X_NAME, NULL, NULL, &stream));
    streamed = opt_source_stream(stream);
    for (int i = 0; i < 6; i++)
        stream_compare_epochs(ctx, &streamed, &computed,
                              &(opt_batches_opts){.size = sizes[i / 2], .in_order = i & 1}, 1);
    opt_stream_close(stream);
    remove(X_NAME);
}

/* One that shrinks, x or y, mapped in whole or not. */
static void a_file_that_shrinks_fails_the_next_read(void **state)
{
    enum { LARGE = 66 << 20 };
    opt_ctx *ctx = *state;

    for (int i = 0; i < 4; i++) {
        const char *const path = i & 1 ? Y_NAME : X_NAME;
        const int64_t row = 1, columns = i & 2 ? LARGE : 4;
        opt_tensor x = {0}, y = {0};
        opt_stream *stream = NULL;
        opt_source source;

        make_zeros(X_NAME, 3, columns);
        make_zeros(Y_NAME, 3, columns);
        assert_ok(ctx, opt_stream_open(ctx, X_NAME, Y_NAME, NULL, &stream));
        source = opt_source_stream(stream);
        assert_ok(ctx, opt_tensor_new(ctx, OPT_F32, 2, (int64_t[]){1, columns}, &x));
        assert_ok(ctx, opt_tensor_new(ctx, OPT_F32, 2, (int64_t[]){1, columns}, &y));
        assert_ok(ctx, source.read(source.ud, &row, 1, &x, &y));
#ifdef _WIN32 /* which keeps whole what is mapped */
        assert_int_equal(truncate(path, 12), -1);
        assert_ok(ctx, source.read(source.ud, &row, 1, &x, &y));
#else
        assert_int_equal(truncate(path, 12), 0);
        assert_fails(ctx, source.read(source.ud, &row, 1, &x, &y), OPT_EIO,
                     ": the file has shrunk since it was opened");
        assert_ptr_equal(strstr(opt_errmsg(ctx), path), opt_errmsg(ctx));
#endif
        opt_tensor_free(ctx, &x);
        opt_tensor_free(ctx, &y);
        opt_stream_close(stream);
    }
}

static int make_context(void **state)
{
    *state = opt_ctx_new(NULL);
    return *state == NULL;
}

static int free_context(void **state)
{
    opt_ctx_free(*state);
    remove(X_NAME);
    remove(Y_NAME);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_files_are_streamed),
        cmocka_unit_test(a_file_that_shrinks_fails_the_next_read),
    };

    return cmocka_run_group_tests_name("data_stream_large", tests, make_context, free_context);
}

/* SPDX-License-Identifier: MIT
 *
 * .npy files of every kind of element, either byte order, C and Fortran order.
 */
#define _POSIX_C_SOURCE 200809L

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "posix.h"
#include "support.h"

#define FILE_NAME "test_data_npy.tmp"

/* Writes a file of version 1 with this header and these elements, and reads it. */
static opt_tensor read_made(opt_ctx *ctx, const char *descr, const char *order, const char *shape,
                            const void *elements, size_t n)
{
    char text[256];
    const int length = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }\n",
                                descr, order, shape);
    FILE *f = fopen(FILE_NAME, "wb");
    opt_tensor t = {0};

    assert_non_null(f);
    assert_int_equal(fwrite("\x93NUMPY\x01\x00", 1, 8, f), 8);
    fputc(length & 255, f);
    fputc(length >> 8, f);
    assert_int_equal(fwrite(text, 1, (size_t)length, f), length);
    assert_int_equal(fwrite(elements, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    assert_ok(ctx, opt_read_npy(ctx, FILE_NAME, &t));
    remove(FILE_NAME);
    return t;
}

/* Two elements of this type are read as these values of dtype. */
static void check_pair(const char *descr, const char *bytes, opt_dtype dtype, double first, double second)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t = read_made(ctx, descr, "False", "(2,)", bytes, 2 * (size_t)(descr[2] - '0'));

    assert_int_equal(t.dtype, dtype);
    assert_close(opt_get(&t, 0), first, 0);
    assert_close(opt_get(&t, 1), second, 0);
    opt_tensor_free(ctx, &t);
    opt_ctx_free(ctx);
}

static void big_endian_elements_are_read(void **state)
{
    (void)state;
    check_pair(">f8", "\x3f\xf0\x00\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x01", OPT_F64, 1,
               -0x1.0000000000001p+1);
    check_pair(">f4", "\x3f\x80\x00\x00\xbf\x80\x00\x01", OPT_F32, 1, -0x1.000002p+0);
    check_pair(">f2", "\x3c\x00\xbc\x01", OPT_F32, 1, -0x1.004p+0);
    check_pair(">i2", "\x80\x00\xff\xfe", OPT_F64, -32768, -2);
    check_pair(">u4", "\x80\x00\x00\x00\x00\x00\x01\x02", OPT_F64, 2147483648.0, 258);
    check_pair(">i8", "\xff\xff\xff\xff\xff\xff\xff\xff\x00\x20\x00\x00\x00\x00\x00\x00", OPT_F64, -1,
               0x1p53);
}

/* One, the largest, the least, the least normal, zeros of both signs. */
static void halves_are_exact(void **state)
{
    (void)state;
    check_pair("<f2", "\x00\x3c\xff\x7b", OPT_F32, 1, 65504);
    check_pair("<f2", "\x01\x00\x00\x04", OPT_F32, 0x1p-24, 0x1p-14);
    check_pair("<f2", "\xff\x03\xff\x83", OPT_F32, 0x3ffp-24, -0x3ffp-24);
    check_pair("<f2", "\x00\xc0\x55\x35", OPT_F32, -2, 0x1.554p-2);
}

static void halves_that_are_not_finite_stay_so(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t = read_made(ctx, "<f2", "False", "(4,)", "\x00\x7c\x00\xfc\x01\x7c\x00\x80", 8);

    (void)state;
    assert_true(opt_get(&t, 0) == HUGE_VAL);
    assert_true(opt_get(&t, 1) == -HUGE_VAL);
    assert_true(isnan(opt_get(&t, 2)));
    assert_true(opt_get(&t, 3) == 0 && signbit(opt_get(&t, 3)));
    opt_tensor_free(ctx, &t);
    opt_ctx_free(ctx);
}

/* Element (i, j, k) is 100 i + 10 j + k, written with the first index fastest. */
static void fortran_order_becomes_c_order(void **state)
{
    enum { A = 2, B = 3, C = 4 };
    unsigned char bytes[A * B * C];
    opt_ctx *ctx = opt_ctx_new(NULL);
    size_t at = 0;
    opt_tensor t;

    (void)state;
    for (int k = 0; k < C; k++)
        for (int j = 0; j < B; j++)
            for (int i = 0; i < A; i++)
                bytes[at++] = (unsigned char)(100 * i + 10 * j + k);
    t = read_made(ctx, "|u1", "True", "(2, 3, 4)", bytes, sizeof bytes);
    assert_int_equal(t.ndim, 3);
    for (int i = 0; i < A; i++)
        for (int j = 0; j < B; j++)
            for (int k = 0; k < C; k++)
                assert_true(opt_get(&t, (i * B + j) * C + k) == 100 * i + 10 * j + k);
    opt_tensor_free(ctx, &t);
    opt_ctx_free(ctx);
}

/* Longer than the reader's buffer; and of one dimension, where the order makes no difference. */
static void fortran_order_of_any_size(void **state)
{
    enum { ROWS = 700, COLS = 3 };
    static unsigned char bytes[2 * ROWS * COLS];
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t;

    (void)state;
    for (int i = 0; i < ROWS * COLS; i++) {
        bytes[2 * i] = (unsigned char)(i & 255);
        bytes[2 * i + 1] = (unsigned char)(i >> 8);
    }
    t = read_made(ctx, "<u2", "True", "(700, 3)", bytes, sizeof bytes);
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLS; c++)
            assert_true(opt_get(&t, r * COLS + c) == c * ROWS + r);
    opt_tensor_free(ctx, &t);
    t = read_made(ctx, "<u2", "True", "(2100,)", bytes, sizeof bytes);
    for (int i = 0; i < ROWS * COLS; i++)
        assert_true(opt_get(&t, i) == i);
    opt_tensor_free(ctx, &t);
    opt_ctx_free(ctx);
}

/* As Python 2 writes shapes on Windows; and with spaces where there usually are none. */
static void long_integers_in_a_shape_are_read(void **state)
{
    static const char *const shapes[] = {"(2L, 1L)", "(2L ,1L)", "(2, 1L)", "( 2L, 1 )"};
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        opt_tensor t = read_made(ctx, "|u1", "True ", shapes[i], "\x07\x08", 2);

        assert_int_equal(t.ndim, 2);
        assert_int_equal(t.dim[0], 2);
        assert_int_equal(t.dim[1], 1);
        assert_close(opt_get(&t, 1), 8, 0);
        opt_tensor_free(ctx, &t);
    }
    opt_ctx_free(ctx);
}

/* None of these keeps the reader waiting, or reading. */
static void what_is_no_regular_file_is_refused(void **state)
{
    static const char *const paths[] = {"/", "/dev/zero", "/dev/null", FILE_NAME};
    opt_tensor out, before;
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    assert_int_equal(mkfifo(FILE_NAME, 0600), 0);
    memset(&out, 0x5a, sizeof out);
    before = out;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct stat about;

        if (stat(paths[i], &about) != 0)
            continue;
        assert_fails(ctx, opt_read_npy(ctx, paths[i], &out), OPT_EIO, "not a regular file");
        assert_non_null(strstr(opt_errmsg(ctx), paths[i]));
        assert_memory_equal(&out, &before, sizeof out);
    }
    remove(FILE_NAME);
    opt_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(big_endian_elements_are_read),
        cmocka_unit_test(halves_are_exact),
        cmocka_unit_test(halves_that_are_not_finite_stay_so),
        cmocka_unit_test(fortran_order_becomes_c_order),
        cmocka_unit_test(fortran_order_of_any_size),
        cmocka_unit_test(long_integers_in_a_shape_are_read),
        cmocka_unit_test(what_is_no_regular_file_is_refused),
    };

    remove(FILE_NAME);
    return cmocka_run_group_tests_name("data_npy", tests, NULL, NULL);
}

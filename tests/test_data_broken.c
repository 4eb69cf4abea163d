/* SPDX-License-Identifier: MIT
 *
 * Files that are not what they should be, and places where none can be read or written.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#define FILE_NAME "test_data_broken.tmp"

/* A small file that is whole: three numbers. */
static const char whole_dict[] = "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }\n";
#define WHOLE_ELEMENTS 24

typedef struct file {
    unsigned char bytes[8192];
    size_t n;
} file;

/* A file of version 1 with this dict and n bytes of zeros. */
static file file_of(const char *dict, size_t n)
{
    const size_t length = strlen(dict);
    file f = {.bytes = "\x93NUMPY\x01"};

    assert_true(10 + length + n <= sizeof f.bytes);
    f.bytes[8] = (unsigned char)(length & 255);
    f.bytes[9] = (unsigned char)(length >> 8);
    memcpy(f.bytes + 10, dict, length);
    f.n = 10 + length + n;
    return f;
}

static file whole_file(void)
{
    return file_of(whole_dict, WHOLE_ELEMENTS);
}

static void spill(const char *path, const void *from, size_t n)
{
    FILE *f;

    remove(path); /* some file systems flush a file that is written over, and take their time */
    f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(from, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* The file is refused with this status and a message that names it and says `part`; *out is what it was, and
 * no memory was taken but the context. */
static void check_refused_with(const file *f, opt_status status, const char *part)
{
    opt_tensor out, before;
    opt_ctx *ctx;
    count c;

    memset(&out, 0x5a, sizeof out);
    memcpy(&before, &out, sizeof out);
    count_init(&c);
    ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
    spill(FILE_NAME, f->bytes, f->n);
    assert_fails(ctx, opt_read_npy(ctx, FILE_NAME, &out), status, part);
    assert_fails(ctx, opt_read_npy(ctx, FILE_NAME, &out), status, FILE_NAME);
    assert_memory_equal(&out, &before, sizeof out);
    assert_int_equal(c.live, 1);
    assert_true(c.peak < 10000);
    opt_ctx_free(ctx);
    remove(FILE_NAME);
}

static void check_refused(const file *f, const char *part)
{
    check_refused_with(f, OPT_EFORMAT, part);
}

static void check_dict(const char *dict, size_t n, const char *part)
{
    const file f = file_of(dict, n);

    check_refused(&f, part);
}

/* ---- Damaged files ------------------------------------------------------------------------------------- */

static void the_whole_file_is_read(void **state)
{
    const file f = whole_file();
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t = {0};

    (void)state;
    spill(FILE_NAME, f.bytes, f.n);
    assert_ok(ctx, opt_read_npy(ctx, FILE_NAME, &t));
    assert_int_equal(opt_tensor_len(&t), 3);
    opt_tensor_free(ctx, &t);
    opt_ctx_free(ctx);
    remove(FILE_NAME);
}

static void files_cut_short_anywhere_are_refused(void **state)
{
    file f = whole_file();

    (void)state;
    for (f.n--; f.n > 0; f.n--)
        check_refused(&f, f.n < 10 + sizeof whole_dict - 1 ? "the file ends within the header"
                                                           : "bytes of elements where the shape says 24");
    check_refused(&f, "the file ends within the header"); /* empty */
}

static void bytes_behind_the_last_element_are_refused(void **state)
{
    file f = whole_file();

    (void)state;
    f.n++;
    check_refused(&f, "25 bytes of elements where the shape says 24");
    f.n += 7;
    check_refused(&f, "32 bytes of elements where the shape says 24");
}

/* With one byte changed, to any value, the file is refused, or read as a tensor that it has the bytes for. */
static void any_byte_may_be_wrong(void **state)
{
    const file f = whole_file();
    opt_ctx *ctx = opt_ctx_new(NULL);
    int refused = 0;

    (void)state;
    for (size_t at = 0; at < f.n - WHOLE_ELEMENTS; at++)
        for (unsigned value = 0; value < 256; value++) {
            opt_tensor out, before;
            file g = f;

            memset(&out, 0x5a, sizeof out);
            memcpy(&before, &out, sizeof out);
            g.bytes[at] = (unsigned char)value;
            spill(FILE_NAME, g.bytes, g.n);
            if (opt_read_npy(ctx, FILE_NAME, &out) == OPT_OK) {
                opt_tensor copy = {0};

                assert_in_range(opt_tensor_len(&out), 1, WHOLE_ELEMENTS);
                assert_ok(ctx, opt_tensor_new(ctx, out.dtype, out.ndim, out.dim, &copy));
                assert_ok(ctx, opt_tensor_copy(ctx, &out, &copy)); /* it is whole */
                opt_tensor_free(ctx, &copy);
                opt_tensor_free(ctx, &out);
            } else {
                assert_memory_equal(&out, &before, sizeof out);
                assert_non_null(strstr(opt_errmsg(ctx), FILE_NAME));
                refused++;
            }
        }
    assert_true(refused > 8 * 255); /* magic, version, and more */
    opt_ctx_free(ctx);
    remove(FILE_NAME);
}

/* ---- Headers ------------------------------------------------------------------------------------------- */

static void what_is_no_npy_file_is_refused(void **state)
{
    file f = whole_file();

    (void)state;
    f.bytes[0] = 0x92;
    check_refused(&f, "not an .npy file");
    f = whole_file();
    f.bytes[5] = 'X';
    check_refused(&f, "not an .npy file");
    f.n = (size_t)snprintf((char *)f.bytes, sizeof f.bytes, "x,y\n1,2\n3,4\n");
    check_refused(&f, "not an .npy file");
}

static void unknown_versions_are_refused(void **state)
{
    file f = whole_file();

    (void)state;
    f.bytes[6] = 0;
    check_refused(&f, ".npy version 0 is unknown");
    f.bytes[6] = 4;
    check_refused(&f, ".npy version 4 is unknown");
    f.bytes[6] = 255;
    check_refused(&f, ".npy version 255 is unknown");
}

static void a_header_length_beyond_reason_is_refused(void **state)
{
    file f = whole_file();

    (void)state;
    f.bytes[8] = f.bytes[9] = 0xff;
    check_refused(&f, "");
    for (int version = 2; version <= 3; version++) {
        f.bytes[6] = (unsigned char)version; /* here the length has four bytes */
        memset(f.bytes + 8, 0xff, 4);
        check_refused(&f, "the header is too long");
    }
    f = whole_file();
    f.bytes[8] = 0;
    check_refused(&f, "the header has no");
}

/* Longer than the reader has room for, but all there. */
static void a_long_header_is_refused_or_read(void **state)
{
    static char dict[8000];
    file f;

    (void)state;
    memset(dict, ' ', sizeof dict - 1);
    memcpy(dict, whole_dict, sizeof whole_dict - 2);
    f = file_of(dict, WHOLE_ELEMENTS);
    check_refused(&f, "the header is too long");
}

static void shapes_that_make_no_sense_are_refused(void **state)
{
    static const char *const cases[][2] = {
        {"(-3,)", "the 'shape' in the header cannot be read"},
        {"(0,)", "the array is empty"},
        {"(3, 0)", "the array is empty"},
        {"(1, 1, 1, 1, 3)", "the array has more than 4 dimensions"},
        {"(1099511627776, 1099511627776)", "the size of the array overflows"},
        {"(1073741824, 1073741824)", "the size of the array overflows"},
        {"(4294967296, 4294967296)", "the size of the array overflows"},
        {"(9223372036854775807,)", "the "},
        {"(9223372036854775808,)", "the 'shape' in the header cannot be read"},
        {"(18446744073709551619,)", "the 'shape' in the header cannot be read"},
        {"(99999999999999999999999999999,)", "the 'shape' in the header cannot be read"},
        {"(1000000000,)",
         BY_WIDTH("24 bytes of elements where the shape says 8000000000", "the size of the array overflows")},
        {"(4,)", "24 bytes of elements where the shape says 32"},
        {"(2,)", "24 bytes of elements where the shape says 16"},
        {"()", "24 bytes of elements where the shape says 8"},
        {"(3 1)", "the 'shape' in the header cannot be read"},
        {"(,)", "the 'shape' in the header cannot be read"},
        {"(3,,)", "the 'shape' in the header cannot be read"},
        {"(3.0,)", "the 'shape' in the header cannot be read"},
        {"(3LL,)", "the 'shape' in the header cannot be read"},
        {"(L,)", "the 'shape' in the header cannot be read"},
        {"(x,)", "the 'shape' in the header cannot be read"},
        {"(3", "the 'shape' in the header cannot be read"},
        {"[3]", "the header has no 'shape'"},
        {"3", "the header has no 'shape'"},
    };
    char dict[256];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(dict, sizeof dict, "{'descr': '<f8', 'fortran_order': False, 'shape': %s, }\n", cases[i][0]);
        check_dict(dict, WHOLE_ELEMENTS, cases[i][1]);
    }
    /* The shape may also be cut off by the end of the header. */
    check_dict("{'descr': '<f8', 'fortran_order': False, 'shape': (3,", WHOLE_ELEMENTS, "'shape'");
    check_dict("{'descr': '<f8', 'fortran_order': False, 'shape': (3", WHOLE_ELEMENTS, "'shape'");
    check_dict("{'descr': '<f8', 'fortran_order': False, 'shape':", WHOLE_ELEMENTS, "'shape'");
}

static void missing_keys_are_refused(void **state)
{
    (void)state;
    check_dict("{'fortran_order': False, 'shape': (3,), }", 24, "the header has no 'descr'");
    check_dict("{'descr': '<f8', 'shape': (3,), }", 24, "the header has no 'fortran_order'");
    check_dict("{'descr': '<f8', 'fortran_order': False, }", 24, "the header has no 'shape'");
    check_dict("{'descr' '<f8', 'fortran_order': False, 'shape': (3,), }", 24, "the header has no 'descr'");
    check_dict("", 24, "the header has no");
}

static void types_that_cannot_be_read_are_refused(void **state)
{
    static const char *const cases[][2] = {
        {"'=f8'", "byte order"},
        {"'|f8'", "byte order"},
        {"'<f1'", "elements of type '<f1' cannot be read"},
        {"'<f3'", "elements of type '<f3' cannot be read"},
        {"'<c8'", "elements of type '<c8' cannot be read"},
        {"'<i3'", "elements of type '<i3' cannot be read"},
        {"'<i0'", "elements of type '<i0' cannot be read"},
        {"'<u9'", "elements of type '<u9' cannot be read"},
        {"'<b2'", "elements of type '<b2' cannot be read"},
        {"'|S1'", "elements of type '|S1' cannot be read"},
        {"'<f16'", "plain type"},
        {"'|O'", "plain type"},
        {"'<M8[ns]'", "plain type"},
        {"[('a', '<f8')]", "plain type"},
        {"'<f", "plain type"},
        {"'", "plain type"},
    };
    char dict[256];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(dict, sizeof dict, "{'descr': %s, 'fortran_order': False, 'shape': (3,), }\n", cases[i][0]);
        check_dict(dict, WHOLE_ELEMENTS, cases[i][1]);
    }
    check_dict("{'fortran_order': False, 'shape': (3,), 'descr': '<f", WHOLE_ELEMENTS, "plain type");
    check_dict("{'fortran_order': False, 'shape': (3,), 'descr': '<", WHOLE_ELEMENTS, "plain type");
    check_dict("{'fortran_order': False, 'shape': (3,), 'descr': '", WHOLE_ELEMENTS, "plain type");
}

static void an_order_that_is_neither_is_refused(void **state)
{
    (void)state;
    check_dict("{'descr': '<f8', 'fortran_order': 1, 'shape': (3, 1), }", 24, "no 'fortran_order'");
    check_dict("{'descr': '<f8', 'fortran_order': Tru, 'shape': (3, 1), }", 24, "no 'fortran_order'");
    check_dict("{'descr': '<f8', 'fortran_order': Falsehood, 'shape': (3, 1), }", 24, "no 'fortran_order'");
    check_dict("{'descr': '<f8', 'fortran_order': True 1, 'shape': (3, 1), }", 24, "no 'fortran_order'");
    check_dict("{'descr': '<f8', 'shape': (3, 1), 'fortran_order': False", 24, "no 'fortran_order'");
}

static void keys_given_twice_are_refused(void **state)
{
    (void)state;
    check_dict("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), 'shape': (1, 3)}", 24,
               "has 'shape' twice");
    check_dict("{'descr': '<f8', 'descr': '<i8', 'fortran_order': False, 'shape': (3,)}", 24,
               "has 'descr' twice");
    check_dict("{'fortran_order': False, 'descr': '<f8', 'shape': (3,), 'fortran_order': True}", 24,
               "has 'fortran_order' twice");
}

/* The first integer that a double cannot hold is 2^53 + 1. */
static void integers_that_do_not_fit_are_refused(void **state)
{
    static const struct {
        const char *descr;
        unsigned char bits[8];
    } cases[] = {
        {"<i8", {1, 0, 0, 0, 0, 0, 0x20, 0}},                      /* 2^53 + 1 */
        {"<i8", {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xdf, 0xff}}, /* -2^53 - 1 */
        {"<i8", {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}}, /* 2^63 - 1 */
        {"<u8", {1, 0, 0, 0, 0, 0, 0x20, 0}},                      /* 2^53 + 1 */
        {"<u8", {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}, /* 2^64 - 1 */
    };
    enum { N = 700 };
    char dict[128];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t at = 0; at < N; at += 233) { /* first, last and in between */
            file f;

            snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': (%d,), }",
                     cases[i].descr, N);
            f = file_of(dict, 8 * (size_t)N);
            memcpy(f.bytes + f.n - 8 * (N - at), cases[i].bits, 8);
            if (cases[i].descr[1] == 'i' && at < N - 1) /* -1 next: one that fits does not make up for it */
                memset(f.bytes + f.n - 8 * (N - at - 1), 0xff, 8);
            check_refused(&f, "is beyond 2^53");
        }
}

/* ---- Places -------------------------------------------------------------------------------------------- */

static void check_path(const char *path, const char *part)
{
    double x = 1;
    const opt_tensor t = opt_tensor_view(OPT_F64, &x, 0, NULL);
    opt_tensor out, before;
    opt_ctx *ctx = opt_ctx_new(NULL);

    memset(&out, 0x5a, sizeof out);
    memcpy(&before, &out, sizeof out);
    assert_fails(ctx, opt_read_npy(ctx, path, &out), OPT_EIO, part);
    assert_memory_equal(&out, &before, sizeof out);
    assert_fails(ctx, opt_write_npy(ctx, path, &t), OPT_EIO, part);
    opt_ctx_free(ctx);
}

static void files_that_cannot_be_read_or_written(void **state)
{
    (void)state;
    check_path("no such folder/x.npy", "no such folder/x.npy");
    check_path(".", ".");                   /* a folder */
    assert_null(fopen("..opt-tmp0", "rb")); /* what was written beside it is gone again */
    check_path("", "");
    spill(FILE_NAME, "", 0);
    check_path(FILE_NAME "/x.npy", FILE_NAME "/x.npy"); /* a file is not a folder */
    remove(FILE_NAME);
}

static void a_missing_file_is_named(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t = {0};

    (void)state;
    assert_fails(ctx, opt_read_npy(ctx, "no such file.npy", &t), OPT_EIO, "no such file.npy");
    assert_null(t.data);
    opt_ctx_free(ctx);
}

static void missing_arguments_are_refused(void **state)
{
    double x = 1;
    opt_tensor t = opt_tensor_view(OPT_F64, &x, 0, NULL), bad = t;
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    spill(FILE_NAME, "x", 1);
    assert_fails(ctx, opt_read_npy(ctx, NULL, &t), OPT_EINVAL, "read_npy: path is NULL");
    assert_fails(ctx, opt_read_npy(ctx, FILE_NAME, NULL), OPT_EINVAL, "read_npy: out is NULL");
    assert_fails(ctx, opt_write_npy(ctx, NULL, &t), OPT_EINVAL, "write_npy: path is NULL");
    assert_fails(ctx, opt_write_npy(ctx, FILE_NAME, NULL), OPT_EINVAL, "write_npy: the tensor is NULL");
    bad.data = NULL;
    assert_fails(ctx, opt_write_npy(ctx, FILE_NAME, &bad), OPT_EINVAL, "write_npy: the tensor has no data");
    bad = t;
    bad.dtype = (opt_dtype)7;
    assert_fails(ctx, opt_write_npy(ctx, FILE_NAME, &bad), OPT_EDTYPE, "write_npy: the tensor: dtype = 7");
    bad = t;
    bad.ndim = 5;
    assert_fails(ctx, opt_write_npy(ctx, FILE_NAME, &bad), OPT_ESHAPE, "write_npy: the tensor: ndim = 5");
    assert_fails(ctx, opt_read_npy(ctx, FILE_NAME, &t), OPT_EFORMAT,
                 "ends within"); /* the old file is there */
    opt_ctx_free(ctx);
    remove(FILE_NAME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_file_is_read),
        cmocka_unit_test(files_cut_short_anywhere_are_refused),
        cmocka_unit_test(bytes_behind_the_last_element_are_refused),
        cmocka_unit_test(any_byte_may_be_wrong),
        cmocka_unit_test(what_is_no_npy_file_is_refused),
        cmocka_unit_test(unknown_versions_are_refused),
        cmocka_unit_test(a_header_length_beyond_reason_is_refused),
        cmocka_unit_test(a_long_header_is_refused_or_read),
        cmocka_unit_test(shapes_that_make_no_sense_are_refused),
        cmocka_unit_test(missing_keys_are_refused),
        cmocka_unit_test(types_that_cannot_be_read_are_refused),
        cmocka_unit_test(an_order_that_is_neither_is_refused),
        cmocka_unit_test(keys_given_twice_are_refused),
        cmocka_unit_test(integers_that_do_not_fit_are_refused),
        cmocka_unit_test(files_that_cannot_be_read_or_written),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(missing_arguments_are_refused),
    };

    remove(FILE_NAME);
    return cmocka_run_group_tests_name("data_broken", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * IDX files, plain and compressed: what they hold is read, and what is wrong with them is said. A build
 * without zlib runs the same tests: there every compressed file must be refused for want of it.
 */
#define _POSIX_C_SOURCE 200809L /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "idx_file.h"
#include "posix.h"
#include "support.h"

#define FILE_NAME "test_data_idx.tmp"
#define CONTEXT   2000 /* more than the bytes of a context and of what aligns a tensor */

static bool has_zlib; /* the library that is tested */

/* ---- Reading them -------------------------------------------------------------------------------------- */

/* What the last attempt came to. */
static struct {
    char message[512];
    opt_tensor t; /* without its data, which is here: */
    double at[1 << 16];
} got;

/* Writes f to disk and reads it. On failure *out must be what it was; and never is more memory taken than for
 * the context and eight times the file's size, or any kept. */
static opt_status attempt(const idx_file *f, opt_dtype dtype, long fail_from)
{
    FILE *stream = fopen(FILE_NAME, "wb");
    opt_tensor out, before;
    opt_status s;
    opt_ctx *ctx;
    count c;

    assert_non_null(stream);
    assert_int_equal(fwrite(f->bytes, 1, f->n, stream), f->n);
    assert_int_equal(fclose(stream), 0);
    memset(&out, 0x5a, sizeof out);
    memcpy(&before, &out, sizeof out);
    count_init(&c);
    c.fail_from = fail_from;
    ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
    s = opt_read_idx(ctx, FILE_NAME, dtype, &out);
    remove(FILE_NAME);
    snprintf(got.message, sizeof got.message, "%s", opt_errmsg(ctx));
    if (s == OPT_OK) {
        got.t = out;
        assert_true(opt_tensor_len(&out) <= 1 << 16);
        for (int64_t i = 0; i < opt_tensor_len(&out); i++)
            got.at[i] = opt_get(&out, i);
        opt_tensor_free(ctx, &out);
    } else {
        assert_memory_equal(&out, &before, sizeof out);
        assert_true(s == OPT_ENOMEM || strncmp(got.message, FILE_NAME ": ", sizeof FILE_NAME + 1) == 0);
    }
    assert_true(c.live == 1 && c.peak < CONTEXT + 8 * f->n);
    opt_ctx_free(ctx);
    return s;
}

static void check_refused(const idx_file *f, opt_dtype dtype, const char *part)
{
    for (; f != NULL; f = idx_next_form(f)) {
        assert_int_equal(attempt(f, dtype, -1), OPT_EFORMAT);
        if (strstr(got.message, idx_is_compressed(f) && !has_zlib ? "this build has no zlib" : part) == NULL)
            fail_msg("'%s' says nothing of '%s'", got.message, part);
    }
}

/* Element i is want[i % period], rounded to dtype. */
static void check_read(const idx_file *f, opt_dtype dtype, int ndim, const int64_t *dim, const double *want,
                       int period)
{
    for (; f != NULL; f = idx_next_form(f)) {
        if (idx_is_compressed(f) && !has_zlib) {
            check_refused(f, dtype, "");
            continue;
        }
        assert_int_equal(attempt(f, dtype, -1), OPT_OK);
        assert_true(got.t.dtype == dtype && got.t.ndim == ndim);
        assert_memory_equal(got.t.dim, dim, (size_t)ndim * sizeof *dim);
        for (int64_t i = 0; i < opt_tensor_len(&got.t); i++) {
            const double x = want[i % period], y = dtype == OPT_F32 ? (double)(float)x : x;
            assert_true(got.at[i] == y || (isnan(y) && isnan(got.at[i])));
        }
    }
}

/* ---- Whole files --------------------------------------------------------------------------------------- */

typedef struct sample {
    int type, bytes;
    uint64_t bits[4];
    double want[4];
} sample;

static const sample samples[] = {
    {U8, 1, {1, 127, 128, 255}, {1, 127, 128, 255}},
    {I8, 1, {1, 127, 128, 255}, {1, 127, -128, -1}},
    {I16, 2, {0x0102, 0x7fff, 0x8000, 0xffff}, {258, 32767, -32768, -1}},
    {I32, 4, {0x01020300, 0x7fffff80, 0x80000000, 0xffffffff}, {16909056, 2147483520, -2147483648.0, -1}},
    {F32, 4, {0xff7fffff, 1, 0xff800000, 0x7fc00000}, {-(double)FLT_MAX, 0x1p-149, -HUGE_VAL, (double)NAN}},
    {F64, 8, {0xbfb999999999999a, 1, 0x7ff0000000000000}, {-0.1, 0x1p-1074, HUGE_VAL}},
    {F64, 8, {0x47efffffefffffff}, {0x1.fffffefffffffp+127}}, /* the greatest that rounds to FLT_MAX */
};

static void every_type_is_read_as_either_dtype(void **state)
{
    idx_file *f = *state;

    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const sample *s = &samples[i];

        idx_make(f, s->type, s->bytes, 1, (int64_t[]){4}, s->bits, 4);
        check_read(f, OPT_F32, 1, (int64_t[]){4}, s->want, 4);
        check_read(f, OPT_F64, 1, (int64_t[]){4}, s->want, 4);
    }
}

static void one_to_four_dimensions_are_read_in_row_major_order(void **state)
{
    static const int64_t dims[][4] = {{7}, {3, 2}, {2, 3, 4}, {2, 3, 4, 5}, {1, 1, 1, 1}, {1, 300, 1, 2}};
    static const int ndims[] = {1, 2, 3, 4, 4, 4};
    uint64_t bits[600];
    double want[600];
    idx_file *f = *state;

    for (int i = 0; i < 600; i++)
        want[i] = (double)(bits[i] = (uint64_t)i);
    for (size_t i = 0; i < sizeof ndims / sizeof *ndims; i++) {
        idx_make(f, I16, 2, ndims[i], dims[i], bits, 600);
        check_read(f, OPT_F32, ndims[i], dims[i], want, 600);
    }
}

/* Buffers end at powers of two. */
static void files_of_any_length_are_read_to_the_byte(void **state)
{
    idx_file *f = *state;

    for (int power = 9; power <= 15; power++)
        for (int64_t n = (1 << power) - 13; n <= (1 << power) + 1; n++) {
            idx_make(f, U8, 1, 1, &n, (const uint64_t[]){3, 1, 4, 1, 5, 9, 2}, 7);
            check_read(f, OPT_F32, 1, &n, (const double[]){3, 1, 4, 1, 5, 9, 2}, 7);
            f->n--; /* "bytes of elements where", or "the file ends within the elements" */
            check_refused(f, OPT_F32, "elements");
            f->n += 2; /* or "there is more after the last element" */
            check_refused(f, OPT_F32, " element");
        }
}

static void what_gzip_makes_is_read(void **state)
{
    static const idx_file by_gzip = {32, {0x1f, 0x8b, 8,    0,    0,    0,    0,    0,    2,    3,
                                          0x63, 0x60, 0xe0, 0x60, 0x62, 0x60, 0x60, 0x60, 0x06, 0x61,
                                          0x76, 0x18, 0x00, 0x00, 0xfb, 0xb6, 0xbc, 0x97, 0x15}};
    idx_file *f = *state;

    check_read(&by_gzip, OPT_F32, 2, (int64_t[]){3, 3}, (double[]){7}, 1);
    idx_make_small(f);
    const idx_file plain = *f;

    f->n = 0; /* cat a.gz b.gz is one idx_file */
    idx_put_compressed(f, plain.bytes, 3);
    idx_put_compressed(f, plain.bytes + 3, plain.n - 3);
    check_read(f, OPT_F64, 2, (int64_t[]){2, 3}, (double[]){1, 2, -3, 4}, 4);
}

static void elements_that_f32_cannot_hold_are_named(void **state)
{
    enum { N = 1500 };
    static const int ats[] = {0, 511, 512, 1023, 1024, N - 1};
    static const sample cases[] = {{I32, 4, {0x01000001}, {16777217}},
                                   {I32, 4, {0x80000001}, {-2147483647}},
                                   {I32, 4, {0x7fffffff}, {2147483647}},
                                   {F64, 8, {0xc8078287f49c4a1d}, {-1e39}},
                                   {F64, 8, {0x7fefffffffffffff}, {DBL_MAX}},
                                   {F64, 8, {0x47effffff0000000}, {0x1.ffffffp+127}}}; /* the least */
    idx_file *f = *state;
    char part[100];

    for (size_t i = 0; i < 36; i++) {
        const sample *s = &cases[i / 6];
        const int at = ats[i % 6];
        double want[N] = {0};

        want[at] = s->want[0];
        idx_make(f, s->type, s->bytes, 1, (int64_t[]){N}, (uint64_t[]){0}, 1);
        f->n = 8 + (size_t)at * (size_t)s->bytes;
        idx_put(f, s->bits[0], s->bytes);
        f->n = 8 + N * (size_t)s->bytes;
        check_read(f, OPT_F64, 1, (int64_t[]){N}, want, N);
        if (s->type == I32)
            snprintf(part, sizeof part, "element %d, %.0f, is not exact in f32", at, want[at]);
        else
            snprintf(part, sizeof part, "element %d, %g, is beyond f32", at, want[at]);
        check_refused(f, OPT_F32, part);
    }
}

/* ---- Damaged files ------------------------------------------------------------------------------------- */

static void headers_that_lie_are_refused(void **state)
{
    static const struct {
        unsigned char bytes[100]; /* zeros behind */
        const char *part;
    } cases[] = {
        {{0, 0, 8, 0}, "0 dimensions where 1 to 4 can be read"},
        {{0, 0, 8, 5}, "5 dimensions where 1 to 4 can be read"},
        {{0, 0, 8, 255}, "255 dimensions where 1 to 4 can be read"},
        {{0, 0, 8, 1}, "the array is empty"},
        {{0, 0, 8, 2, 0, 0, 0, 1}, "the array is empty"},
        {{0, 0, 10, 1, 0, 0, 0, 92}, "elements of type 0x0a are unknown"},
        {{1, 0, 8, 1, 0, 0, 0, 92}, "not an IDX file"},
        {{0, 1, 8, 1, 0, 0, 0, 92}, "not an IDX file"},
        {{0, 0, 14, 2, 255, 255, 255, 255, 255, 255, 255, 255}, "the size of the array overflows"},
        {{0, 0, 8, 3, 64, 0, 0, 0, 64, 0, 0, 0, 64}, "the size of the array overflows"},
        {{0, 0, 8, 1, 15, 255, 255, 255}, "elements"}, /* "end within", or "of which there are 92" */
        {{0, 0, 14, 1, 15, 255, 255, 255}, "elements"},
        {{0, 0, 8, 2, 1, 0, 0, 0, 0, 0, 0, 8}, "elements"},
    };
    idx_file *f = *state;

    f->n = 100;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memcpy(f->bytes, cases[i].bytes, f->n);
        check_refused(f, OPT_F64, cases[i].part);
    }
}

static void files_cut_short_anywhere_are_refused(void **state)
{
    idx_file *f = *state;

    idx_make_small(f);
    for (f->n--; f->n > 0; f->n--)
        check_refused(f, OPT_F32, f->n < 12 ? "the file ends within the header" : "elements");
    idx_make_small(f);
    *f = *idx_next_form(f);
    for (f->n--; f->n > 1; f->n--)
        check_refused(f, OPT_F32, "the compressed data ends or is damaged within");
    for (f->n = 2; f->n-- > 0;)
        check_refused(f, OPT_F32, "the file ends within the header");
}

/* One changed byte is noticed, but for those of a plain file's elements and those that gzip ignores. */
static void any_byte_may_be_wrong(void **state)
{
    static idx_file whole;
    idx_file *f = *state;

    idx_make_small(&whole);
    for (int form = 0; form < 2; form++) {
        if (form == 1)
            whole = *idx_next_form(&whole);
        *f = whole;
        for (size_t at = 0; at < whole.n; f->bytes[at] = whole.bytes[at], at++)
            for (int value = 0; value < 256; value++) {
                f->bytes[at] = (unsigned char)value;
                if (attempt(f, OPT_F64, -1) != OPT_OK)
                    continue;
                assert_int_equal(opt_tensor_len(&got.t), 6);
                assert_true(form == 1 || at >= 12 || value == whole.bytes[at]);
                assert_true(form == 0 || (got.at[0] == 1 && got.at[2] == -3 && got.at[5] == 2));
            }
    }
}

static void bombs_take_no_memory(void **state)
{
    idx_make_bomb(*state, (const unsigned char[]){0, 0, 8, 1, 0, 0, 0, 1, 0}, 9);
    check_refused(*state, OPT_F32, "there is more after the last element");
    idx_make_bomb(*state, (const unsigned char[]){0, 0, 8, 1, 15, 255, 255, 255, 0}, 9);
    check_refused(*state, OPT_F32, "the compressed data ends or is damaged within the elements");
}

static void memory_may_run_out_at_any_point(void **state)
{
    idx_make_small(*state);
    for (const idx_file *f = *state; f != NULL; f = has_zlib ? idx_next_form(f) : NULL) {
        long n = 1; /* allocation 0 is the context */

        for (; attempt(f, OPT_F64, n) != OPT_OK; n++)
            assert_non_null(strstr(got.message, "memory"));
        assert_int_equal(n, 2);
    }
}

#ifndef _WIN32
/* A compressed file needs two. */
static void descriptors_may_run_out(void **state)
{
    const int lowest = lowest_descriptor();
    opt_status s;

    if (lowest < 0)
        skip();
    idx_make_small(*state);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)lowest + 1, 64});
    s = attempt(idx_next_form(*state), OPT_F32, -1);
    few_descriptors();
    assert_int_equal(s, has_zlib ? OPT_EIO : OPT_EFORMAT);
}
#endif

/* ---- Places and arguments ------------------------------------------------------------------------------ */

static void what_is_no_regular_file_is_refused_at_once(void **state)
{
    static const char *const paths[] = {FILE_NAME, ".", "/dev/zero", "no such file", "", "no such folder/x"};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t = {0};

    (void)state;
    assert_int_equal(mkfifo(FILE_NAME, 0600), 0);
    alarm(60); /* rather than wait for ever */
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_fails(ctx, opt_read_idx(ctx, paths[i], OPT_F32, &t), OPT_EIO, ": cannot be ");
        assert_ptr_equal(strstr(opt_errmsg(ctx), paths[i]), opt_errmsg(ctx));
        assert_null(t.data);
    }
    alarm(0);
    remove(FILE_NAME);
    opt_ctx_free(ctx);
}

static void arguments_that_make_no_sense_are_refused(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t = {0};

    (void)state;
    assert_int_equal(opt_read_idx(NULL, FILE_NAME, OPT_F32, &t), OPT_EINVAL);
    assert_fails(ctx, opt_read_idx(ctx, NULL, OPT_F32, &t), OPT_EINVAL, "read_idx: path is NULL");
    assert_fails(ctx, opt_read_idx(ctx, FILE_NAME, OPT_F32, NULL), OPT_EINVAL, "read_idx: out is NULL");
    assert_fails(ctx, opt_read_idx(ctx, FILE_NAME, (opt_dtype)0, &t), OPT_EDTYPE, "read_idx: dtype = 0 is");
    assert_fails(ctx, opt_read_idx(ctx, FILE_NAME, (opt_dtype)3, &t), OPT_EDTYPE, "read_idx: dtype = 3 is");
    assert_null(t.data);
    opt_ctx_free(ctx);
}

/* A file that gzip can read says whether the library was built with zlib. */
static int find_zlib(void **state)
{
    static idx_file f;

    *state = &f;
    idx_make_small(&f);
    has_zlib = attempt(idx_next_form(&f), OPT_F32, -1) == OPT_OK;
    return !has_zlib && strstr(got.message, "compressed, and this build has no zlib") == NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_read_as_either_dtype),
        cmocka_unit_test(one_to_four_dimensions_are_read_in_row_major_order),
        cmocka_unit_test(files_of_any_length_are_read_to_the_byte),
        cmocka_unit_test(what_gzip_makes_is_read),
        cmocka_unit_test(elements_that_f32_cannot_hold_are_named),
        cmocka_unit_test(headers_that_lie_are_refused),
        cmocka_unit_test(files_cut_short_anywhere_are_refused),
        cmocka_unit_test(any_byte_may_be_wrong),
        cmocka_unit_test(bombs_take_no_memory),
        cmocka_unit_test(memory_may_run_out_at_any_point),
#ifndef _WIN32
        cmocka_unit_test(descriptors_may_run_out),
#endif
        cmocka_unit_test(what_is_no_regular_file_is_refused_at_once),
        cmocka_unit_test(arguments_that_make_no_sense_are_refused),
    };

    remove(FILE_NAME);
    few_descriptors();
    return cmocka_run_group_tests_name("data_idx", tests, find_zlib, NULL);
}

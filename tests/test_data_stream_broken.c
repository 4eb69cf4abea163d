/* SPDX-License-Identifier: MIT
 *
 * Streams over files that are not what they should be: what opt_read_npy and opt_read_idx refuse is refused,
 * when the stream is opened or when the row is read, and nothing is left open or allocated.
 */
#define _POSIX_C_SOURCE 200809L /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "posix.h"
#include "stream_file.h"

#define X_NAME "test_data_stream_broken_x.tmp"
#define Y_NAME "test_data_stream_broken_y.tmp"

/* ---- Damaged files ------------------------------------------------------------------------------------- */

/* Reads the file with the reader for it too: both take it, with the same elements, or neither. */
static opt_status compare_with_reader(const idx_file *f, bool npy)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t = {0};
    opt_status s, want;

    stream_spill(X_NAME, f);
    want = npy ? opt_read_npy(ctx, X_NAME, &t) : opt_read_idx(ctx, X_NAME, OPT_F64, &t);
    s = stream_attempt(X_NAME, NULL, &(opt_stream_opts){.dtype = want ? OPT_F64 : t.dtype});
    if (want == OPT_OK && t.ndim == 0)
        stream_check(s, OPT_EFORMAT, "a single number, not rows");
    else if (want == OPT_OK && s != OPT_OK)
        stream_check(s, OPT_EFORMAT, "in Fortran order");
    else
        assert_int_equal(s, want);
    for (int64_t i = 0; s == OPT_OK && i < opt_tensor_len(&t); i++)
        assert_true(stream_got.x[i] == opt_get(&t, i) || (isnan(stream_got.x[i]) && isnan(opt_get(&t, i))));
    assert_true(s == OPT_OK || strstr(stream_got.message, X_NAME ": ") != NULL);
    opt_tensor_free(ctx, &t);
    opt_ctx_free(ctx);
    return s;
}

static void files_cut_short_anywhere_are_refused(void **state)
{
    idx_file *f = *state;

    for (int npy = 0; npy < 2; npy++) {
        npy ? stream_make_small(f) : idx_make_small(f);
        for (f->n--; f->n > 0; f->n--)
            assert_int_equal(compare_with_reader(f, npy), OPT_EFORMAT);
        stream_spill(X_NAME, f);
        stream_check(stream_attempt(X_NAME, NULL, NULL), OPT_EFORMAT,
                     X_NAME ": neither an .npy nor an IDX file");
    }
}

static void bytes_behind_the_last_element_are_refused(void **state)
{
    idx_file *f = *state;

    for (int npy = 0; npy < 2; npy++) {
        npy ? stream_make_small(f) : idx_make_small(f);
        idx_put(f, 0, 1);
        stream_spill(X_NAME, f);
        stream_check(stream_attempt(X_NAME, NULL, NULL), OPT_EFORMAT, "13 bytes of elements where");
    }
}

static void any_byte_may_be_wrong(void **state)
{
    idx_file *f = *state;

    for (int npy = 0; npy < 2; npy++) {
        int taken = 0;

        npy ? stream_make_small(f) : idx_make_small(f);
        for (size_t at = 0; at < f->n; at++) {
            const unsigned char whole = f->bytes[at];

            for (int value = 0; value < 256; value += at < 20 ? 1 : 3) {
                f->bytes[at] = (unsigned char)value;
                taken += compare_with_reader(f, npy) == OPT_OK;
            }
            f->bytes[at] = whole;
        }
        assert_true(taken > 12 * 256 / 3);
    }
}

static void headers_that_lie_are_refused(void **state)
{
    static const struct {
        const char *descr, *order, *shape, *part;
    } cases[] = {
        {"<f8", "False", "(1000000000000, 1000)",
         BY_WIDTH("12 bytes of elements where the shape says", "the size of the array overflows")},
        {"<f8", "False", "(4000000000, 4000000000)", "the size of the array overflows"},
        {"<f8", "False", "(3, 0)", "the array is empty"},
        {"<f8", "False", "(0,)", "the array is empty"},
        {"<i4", "False", "(1, 1, 1, 1, 3)", "more than 4 dimensions"},
        {"<c8", "False", "(3,)", "elements of type '<c8' cannot be read"},
        {"<i4", "False", "(2,)", "12 bytes of elements where the shape says 8"},
        {"<i4", "False", "()", "12 bytes of elements where the shape says 4"},
        {"<i2", "True", "(2, 3)",
         "in Fortran order, where rows are scattered: only opt_read_npy can read it"},
        {"<i2", "True", "(1, 2, 3)", "in Fortran order"},
    };
    idx_file *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stream_make_npy(f, cases[i].descr, cases[i].order, cases[i].shape, "0123456789ab", 12);
        stream_spill(X_NAME, f);
        stream_check(stream_attempt(X_NAME, NULL, NULL), OPT_EFORMAT, cases[i].part);
    }
    stream_make_npy(f, "<i4", "False", "()", "0123", 4);
    stream_spill(X_NAME, f);
    stream_check(stream_attempt(X_NAME, NULL, NULL), OPT_EFORMAT, "a single number, not rows");
}

static void columns_alone_are_rows_in_either_order(void **state)
{
    static const char *const shapes[] = {"(6,)", "(6, 1)", "(1, 6)", "(1, 6, 1)"};
    idx_file *f = *state;

    for (int i = 0; i < 4; i++) {
        stream_make_npy(f, "<i2", "True", shapes[i], "\x01\x00\x02\x00\x03\x00\x04\x00\x05\x00\xff\xff", 12);
        assert_int_equal(compare_with_reader(f, true), OPT_OK);
        assert_true(stream_got.x[5] == -1);
    }
}

static void compressed_files_are_refused(void **state)
{
    idx_file *f = *state;

    idx_make_small(f);
    stream_spill(X_NAME, idx_next_form(f));
    stream_check(stream_attempt(X_NAME, NULL, NULL), OPT_EFORMAT,
                 X_NAME ": compressed by gzip: only opt_read_idx can read it");
}

static void what_is_no_regular_file_is_refused_at_once(void **state)
{
    static const char *const paths[] = {X_NAME, ".", "/dev/zero", "/dev/null", "no such file", ""};

    idx_make_small(*state);
    stream_spill(Y_NAME, *state);
    remove(X_NAME);
    assert_int_equal(mkfifo(X_NAME, 0600), 0);
    alarm(60); /* rather than wait for ever */
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        stream_check(stream_attempt(paths[i], Y_NAME, NULL), OPT_EIO, ": cannot be ");
        assert_ptr_equal(strstr(stream_got.message, paths[i]), stream_got.message);
        stream_check(stream_attempt(Y_NAME, paths[i], NULL), OPT_EIO, ": cannot be ");
    }
    alarm(0);
    remove(X_NAME);
}

/* ---- Files that do not fit each other ------------------------------------------------------------------ */

static void x_and_y_must_fit(void **state)
{
    idx_file *f = *state;

    stream_make_small(f);
    stream_spill(X_NAME, f);
    idx_make_small(f); /* [2, 3] */
    stream_spill(Y_NAME, f);
    stream_check(stream_attempt(X_NAME, Y_NAME, NULL), OPT_ESHAPE,
                 "stream: x has 3 rows and y 2: " X_NAME ", " Y_NAME);
    stream_check(stream_attempt(X_NAME, X_NAME, &(opt_stream_opts){.classes = 4}), OPT_ESHAPE,
                 X_NAME ": 2 columns where labels have one");
    assert_int_equal(stream_attempt(X_NAME, X_NAME, NULL), OPT_OK);
    assert_true(stream_got.x[5] == -1 && stream_got.y[5] == -1);
}

/* ---- Arguments and memory ------------------------------------------------------------------------------ */

static void arguments_that_make_no_sense_are_refused(void **state)
{
    static const double scales[] = {-1, HUGE_VAL, (double)NAN};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_stream *stream = NULL;
    opt_batches *batches = NULL;
    opt_source none = opt_source_stream(NULL);

    stream_make_small(*state);
    stream_spill(X_NAME, *state);
    assert_int_equal(opt_stream_open(NULL, X_NAME, NULL, NULL, &stream), OPT_EINVAL);
    assert_fails(ctx, opt_stream_open(ctx, NULL, NULL, NULL, &stream), OPT_EINVAL, "x_path is NULL");
    assert_fails(ctx, opt_stream_open(ctx, X_NAME, NULL, NULL, NULL), OPT_EINVAL, "out is NULL");
    stream_check(stream_attempt(X_NAME, NULL, &(opt_stream_opts){.dtype = (opt_dtype)3}), OPT_EDTYPE,
                 "dtype = 3");
    for (int i = 0; i < 3; i++)
        stream_check(stream_attempt(X_NAME, NULL, &(opt_stream_opts){.x_scale = scales[i]}), OPT_EINVAL,
                     "is not a positive number");
    stream_check(stream_attempt(X_NAME, X_NAME, &(opt_stream_opts){.classes = -1}), OPT_EINVAL,
                 "classes = -1 is below");
    stream_check(stream_attempt(X_NAME, NULL, &(opt_stream_opts){.classes = 4}), OPT_EINVAL,
                 "without labels");
    assert_fails(ctx, opt_batches_new(ctx, &none, NULL, &batches), OPT_EINVAL, "the source has no rows");
    opt_stream_close(NULL);
    opt_ctx_free(ctx);
}

static void memory_may_run_out_at_any_point(void **state)
{
    opt_status s = OPT_ENOMEM;
    long n;

    stream_make_small(*state);
    stream_spill(X_NAME, *state);
    for (n = 1; s != OPT_OK; n++) { /* allocation 0 is the context */
        const int lowest = dup(1);
        opt_stream *stream = NULL;
        opt_ctx *ctx;
        count c;

        close(lowest);
        count_init(&c);
        c.fail_from = n;
        ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
        s = opt_stream_open(ctx, X_NAME, X_NAME, NULL, &stream);
        assert_int_equal(stream == NULL, s == OPT_ENOMEM);
        assert_true(s == OPT_OK || strstr(opt_errmsg(ctx), "memory") != NULL);
        opt_stream_close(stream);
        assert_int_equal(c.live, 1);
        opt_ctx_free(ctx);
        assert_int_equal(dup(1), lowest);
        close(lowest);
    }
    assert_int_equal(n, 5); /* the stream and two paths failed */
}

#ifndef _WIN32
/* A stream has one for each file, and needs one more to open it. */
static void descriptors_may_run_out(void **state)
{
    const int lowest = lowest_descriptor();

    if (lowest < 0)
        skip();
    stream_make_small(*state);
    stream_spill(X_NAME, *state);
    for (int more = 0; more < 4; more++) {
        opt_status s;

        setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)lowest + (rlim_t)more, 64});
        s = stream_attempt(X_NAME, X_NAME, NULL);
        few_descriptors();
        if (more < 3)
            stream_check(s, OPT_EIO, X_NAME ": cannot be opened");
        else
            assert_int_equal(s, OPT_OK);
    }
}
#endif

static int make_room(void **state)
{
    static idx_file f;

    *state = &f;
    return 0;
}

static int tidy(void **state)
{
    (void)state;
    remove(X_NAME);
    remove(Y_NAME);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_cut_short_anywhere_are_refused),
        cmocka_unit_test(bytes_behind_the_last_element_are_refused),
        cmocka_unit_test(any_byte_may_be_wrong),
        cmocka_unit_test(headers_that_lie_are_refused),
        cmocka_unit_test(columns_alone_are_rows_in_either_order),
        cmocka_unit_test(compressed_files_are_refused),
        cmocka_unit_test(what_is_no_regular_file_is_refused_at_once),
        cmocka_unit_test(x_and_y_must_fit),
        cmocka_unit_test(arguments_that_make_no_sense_are_refused),
        cmocka_unit_test(memory_may_run_out_at_any_point),
#ifndef _WIN32
        cmocka_unit_test(descriptors_may_run_out),
#endif
    };

    few_descriptors();
    return cmocka_run_group_tests_name("data_stream_broken", tests, make_room, tidy);
}

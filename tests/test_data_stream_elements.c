/* SPDX-License-Identifier: MIT
 *
 * Streams over elements and labels that cannot be what they should: said when their row is read.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "stream_file.h"

#define X_NAME "test_data_stream_elements_x.tmp"
#define Y_NAME "test_data_stream_elements_y.tmp"

/* Elements 0 to 4, the last of which is what dtype cannot hold. */
static void check_element(idx_file *f, const char *descr, uint64_t bits, const opt_stream_opts *opts,
                          const char *part)
{
    const int bytes = descr[2] - '0';
    unsigned char elements[40] = {0};
    char text[200];

    for (int i = 0; i < bytes; i++)
        elements[5 * bytes - 1 - i] = (unsigned char)(bits >> (8 * i));
    stream_make_npy(f, descr, "False", "(5,)", elements, 5 * (size_t)bytes);
    stream_spill(X_NAME, f);
    snprintf(text, sizeof text, "batches: reading batch 1 of epoch 1 failed: %s: element 4, %s", X_NAME,
             part);
    stream_check(stream_attempt(X_NAME, NULL, opts), OPT_EFORMAT, text);
}

static void elements_that_do_not_fit_are_named(void **state)
{
    static const opt_stream_opts f32 = {.dtype = OPT_F32}, f64 = {.dtype = OPT_F64};
    static const opt_stream_opts small = {OPT_F32, 0.1, 0}, big = {OPT_F64, 1e300, 0},
                                 huge = {OPT_F32, 2e36, 0};
    idx_file *f = *state;

    check_element(f, ">i8", (UINT64_C(1) << 53) + 1, NULL, "an integer, is beyond 2^53");
    check_element(f, ">i8", (UINT64_C(1) << 53) + 1, &small, "an integer, is beyond 2^53");
    check_element(f, ">i8", 0xffdfffffffffffff, &small, "an integer, is beyond 2^53");
    check_element(f, ">u8", UINT64_MAX, &f64, "an integer, is beyond 2^53");
    check_element(f, ">u8", UINT64_C(1) << 63 | 1, &small, "an integer, is beyond 2^53");
    check_element(f, ">i4", 16777217, &f32, "16777217, is not exact in f32");
    check_element(f, ">i4", 0x80000001, &f32, "-2147483647, is not exact in f32");
    check_element(f, ">f8", 0x7fefffffffffffff, &f32, "1.79769e+308, is beyond f32");
    check_element(f, ">f8", 0xc8078287f49c4a1d, &f32, "-1e+39, is beyond f32");
    check_element(f, ">f8", 0x41cdcd6500000000, &big, "1e+09, times 1e+300 is beyond f64");
    check_element(f, ">f4", 0x43480000, &huge, "200, times 2e+36 is beyond f32");
    check_element(f, "|u1", 200, &huge, "200, times 2e+36 is beyond f32");
}

static void infinities_and_the_largest_integers_fit(void **state)
{
    static const unsigned char real[] = {0x7f, 0xf0, 0, 0, 0, 0, 0, 0, 0xff, 0xf0, 0, 0, 0, 0, 0, 0};
    static const unsigned char whole[] = {0, 0x20, 0, 0, 0, 0, 0, 0, 0xff, 0xe0, 0, 0, 0, 0, 0, 0};
    idx_file *f = *state;

    stream_make_npy(f, ">f8", "False", "(2,)", real, 16);
    stream_spill(X_NAME, f);
    assert_int_equal(stream_attempt(X_NAME, NULL, &(opt_stream_opts){OPT_F32, 0.5, 0}), OPT_OK);
    assert_true(stream_got.x[0] == HUGE_VAL && stream_got.x[1] == -HUGE_VAL);
    stream_make_npy(f, ">i8", "False", "(2,)", whole, 16);
    stream_spill(X_NAME, f);
    assert_int_equal(stream_attempt(X_NAME, NULL, &(opt_stream_opts){.dtype = OPT_F32}), OPT_OK);
    assert_true(stream_got.x[0] == 0x1p53 && stream_got.x[1] == -0x1p53);
}

static void labels_that_are_none_are_named(void **state)
{
    static const struct {
        const char *descr;
        unsigned char bytes[8];
        const char *part;
    } cases[] = {{"|i1", {255}, "row 2 has -1, not one of 4 classes"},
                 {"|u1", {4}, "row 2 has 4, not one of 4 classes"},
                 {">f4", {0x3f, 0x80, 0, 1}, "row 2 has 1, not one of 4 classes"}, /* and a little more */
                 {">f4", {0x7f, 0xc0, 0, 0}, "row 2 has nan, not one of 4 classes"},
                 {">f8", {0x7f, 0xf0, 0, 0, 0, 0, 0, 0}, "row 2 has inf, not one of 4 classes"},
                 {">u8", {0x80, 0, 0, 0, 0, 0, 0, 1}, "element 2, an integer, is beyond 2^53"}};
    idx_file *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t bytes = (size_t)(cases[i].descr[2] - '0');
        unsigned char elements[24] = {0};

        stream_make_small(f);
        stream_spill(X_NAME, f);
        memcpy(elements + 2 * bytes, cases[i].bytes, bytes);
        stream_make_npy(f, cases[i].descr, "False", "(3,)", elements, 3 * bytes);
        stream_spill(Y_NAME, f);
        stream_check(stream_attempt(X_NAME, Y_NAME, &(opt_stream_opts){.classes = 4}), OPT_EFORMAT,
                     cases[i].part);
        assert_non_null(strstr(stream_got.message, Y_NAME));
    }
    stream_make_npy(f, "|u1", "False", "(3, 1)", "\x03\x00\x02", 3);
    stream_spill(Y_NAME, f);
    assert_int_equal(stream_attempt(X_NAME, Y_NAME, &(opt_stream_opts){.classes = 4}), OPT_OK);
    assert_true(stream_got.y_cols == 4 && stream_got.y[3] == 1 && stream_got.y[4] == 1 &&
                stream_got.y[10] == 1 && stream_got.y[11] == 0);
}

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
        cmocka_unit_test(elements_that_do_not_fit_are_named),
        cmocka_unit_test(infinities_and_the_largest_integers_fit),
        cmocka_unit_test(labels_that_are_none_are_named),
    };

    return cmocka_run_group_tests_name("data_stream_elements", tests, make_room, tidy);
}

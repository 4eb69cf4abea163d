/* SPDX-License-Identifier: MIT
 *
 * The numbers in comma-separated values: exact, decimal, and the same in every locale.
 */
#define _POSIX_C_SOURCE 200809L /* uselocale; NOLINT: reserved, and meant to be defined */

#include <fenv.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#define FILE_NAME    "test_data_csv_numbers.tmp"
#define COUNT(array) ((int64_t)(sizeof(array) / sizeof *(array)))

static const opt_csv_opts f64 = {.dtype = OPT_F64}, f32 = {.dtype = OPT_F32};

static void spill(const char *text)
{
    FILE *f = fopen(FILE_NAME, "wb");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* The text is read as one row or one column of these numbers, to the last bit. */
static void check(const char *text, const opt_csv_opts *opts, int64_t n, const double *expected)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t = {0};

    spill(text);
    assert_ok(ctx, opt_read_csv(ctx, FILE_NAME, opts, &t));
    assert_int_equal(t.ndim, 2);
    assert_int_equal(t.dtype, opts->dtype ? opts->dtype : OPT_F64);
    assert_int_equal(opt_tensor_len(&t), n);
    for (int64_t i = 0; i < n; i++) {
        const double x = opt_get(&t, i);

        if (isnan(x) ? !isnan(expected[i]) : x != expected[i] || !signbit(x) != !signbit(expected[i]))
            fail_msg("number %d of \"%.99s\" is %a, not %a", (int)i, text, x, expected[i]);
    }
    opt_tensor_free(ctx, &t);
    opt_ctx_free(ctx);
    remove(FILE_NAME);
}

static void check_number(const char *text, const opt_csv_opts *opts, double expected)
{
    check(text, opts, 1, &expected);
}

static void check_refused(const char *text, const opt_csv_opts *opts, const char *part)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t = {0};

    spill(text);
    assert_fails(ctx, opt_read_csv(ctx, FILE_NAME, opts, &t), OPT_EFORMAT, part);
    assert_null(t.data);
    opt_ctx_free(ctx);
    remove(FILE_NAME);
}

static void check_no_number(const char *text, const opt_csv_opts *opts)
{
    char part[128];

    snprintf(part, sizeof part, "line 1, field 1: \"%.32s\" is not a number that %s can hold", text,
             opts->dtype == OPT_F32 ? "f32" : "f64");
    check_refused(text, opts, part);
}

/* ---- What is a number ---------------------------------------------------------------------------------- */

static void numbers_are_decimal(void **state)
{
    static const char text[] = "0,-0,+1,.5,5.,1e2,1E+2,1.e-2,007,-.25e1\n";

    (void)state;
    check(text, &f64, 10, (double[]){0, -0.0, 1, 0.5, 5, 100, 100, 0.01, 7, -2.5});
    check(text, &f32, 10, (double[]){0, -0.0, 1, 0.5, 5, 100, 100, (double)0.01f, 7, -2.5});
}

static void what_is_no_number_is_refused(void **state)
{
    static const char *const texts[] = {
        "1abc", "abc",  "1e", "1e+", "e1", ".",   "+",  "--1", "1-",   "1..2", "1.2.", "1_000", "nan(1)",
        "NAN(", "infi", "na", "n a", "1f", "1d0", "0x", "1/2", "true", "\xb2", "$1",   "(1)",   "1e1.5"};

    (void)state;
    for (int64_t i = 0; i < COUNT(texts); i++) {
        check_no_number(texts[i], &f64);
        check_no_number(texts[i], &f32);
    }
}

static void hexadecimal_is_refused(void **state)
{
    static const char *const texts[] = {"0x10", "0X10", "-0x1p3", "0x.8", "0xp0", "+0x1.8P-2"};

    (void)state;
    for (int64_t i = 0; i < COUNT(texts); i++)
        check_no_number(texts[i], &f64);
}

static void infinities_and_nan_count(void **state)
{
    static const char text[] = "inf,-inf,+INF,Inf,infinity,-Infinity,nan,NaN,-nan\n";
    const double inf = (double)INFINITY, nan = (double)NAN;

    (void)state;
    check(text, &f64, 9, (double[]){inf, -inf, inf, inf, inf, -inf, nan, nan, nan});
    check(text, &f32, 9, (double[]){inf, -inf, inf, inf, inf, -inf, nan, nan, nan});
}

static void what_overflows_is_refused(void **state)
{
    static const char *const both[] = {"1e999", "-1e999", "1e309", "1.8e308", "1e99999999999999999999"};
    static const char *const only_f32[] = {"1e39", "-1e308", "3.4028236e38",
                                           "3.40282356779733661637539395458142568448e38"}; /* rounds up */

    (void)state;
    for (int64_t i = 0; i < COUNT(both); i++) {
        check_no_number(both[i], &f64);
        check_no_number(both[i], &f32);
    }
    for (int64_t i = 0; i < COUNT(only_f32); i++) {
        check_no_number(only_f32[i], &f32);
        check_number(only_f32[i], &f64, strtod(only_f32[i], NULL));
    }
    check_number("1.7976931348623158e308", &f64, DBL_MAX);
    check_number("-3.4028235e38", &f32, -(double)FLT_MAX);
    check_number("3.40282356779733661637539395458142568447e38", &f32, (double)FLT_MAX);
}

#ifdef FE_DOWNWARD
/* Where the program has numbers rounded down, the largest number is no stand-in for one beyond it. */
static void what_overflows_is_refused_however_numbers_are_rounded(void **state)
{
    (void)state;
    assert_int_equal(fesetround(FE_DOWNWARD), 0);
    check_no_number("1e999", &f64);
    check_no_number("1e39", &f32);
    assert_int_equal(fesetround(FE_TONEAREST), 0);
}
#endif

static void spaces_around_numbers_are_passed_over(void **state)
{
    (void)state;
    check(" 1,2 ,\t3 , \t4\t\n", &f64, 4, (double[]){1, 2, 3, 4});
    check("\" 5\"\n\"6\t\"\n", &f64, 2, (double[]){5, 6});
    check("1  \t2 \n", &(opt_csv_opts){.delimiter = '\t'}, 2, (double[]){1, 2});
    check_no_number("1 2", &f64);
    check_no_number("- 1", &f64);
}

/* What else strtod would pass over, in front only. */
static void other_white_space_is_no_space(void **state)
{
    static const char *const texts[] = {"\"\n1\"", "\"1\n\"", "\v1",       "1\v",
                                        "\f1",     "\r1",     "\"\r\n1\"", " \f 1"};

    (void)state;
    for (int64_t i = 0; i < COUNT(texts); i++)
        check_refused(texts[i], &f64, "line 1, field 1: \"");
}

/* ---- Which number -------------------------------------------------------------------------------------- */

static void hard_numbers_are_rounded_correctly(void **state)
{
    static const struct {
        const char *text;
        double x;
    } cases[] = {
        {"0.1", 0x1.999999999999ap-4},
        {"1e23", 0x1.52d02c7e14af6p+76},
        {"1e308", 0x1.1ccf385ebc8ap+1023},
        {"8.5e-5", 0x1.64840e1719f8p-14},
        {"9007199254740993", 0x1p53},
        {"9007199254740993.00000000000000000000000000000000001", 0x1.0000000000001p53},
        {"1.00000000000000011102230246251565404236316680908203125", 1},
        {"1.00000000000000011102230246251565404236316680908203126", 0x1.0000000000001p0},
        {"1.00000000000000011102230246251565404236316680908203124", 1},
        {"2.2250738585072011e-308", 0x0.fffffffffffffp-1022},
        {"2.2250738585072012e-308", 0x1p-1022},
        {"4.9406564584124654e-324", 0x1p-1074},
        {"2.4703282292062328e-324", 0x1p-1074},
        {"2.4703282292062327e-324", 0},
        {"1.2345678901234567e-320", 0x0.00000000009c3p-1022},
        {"-1e-400", -0.0},
        {"0e999999999", 0},
        {"123456789012345678901234567890123456789012345678901234567890e-50", 0x1.26580b487e6b7p+30},
    };

    (void)state;
    for (int64_t i = 0; i < COUNT(cases); i++) {
        check_number(cases[i].text, &f64, cases[i].x);
        check_number(cases[i].text, &f64, strtod(cases[i].text, NULL));
    }
}

/* Rounded to f64 and then to f32, each of these would be a neighbour of the nearest f32. */
static void f32_is_rounded_once(void **state)
{
    static const struct {
        const char *text;
        float x;
    } cases[] = {
        {"1.00000005960464477540", 0x1.000002p0F},
        {"1.000000059604644775390625", 1},
        {"1.00000017881393432616", 0x1.000002p0F},
        {"16777217.0000000001", 16777218.0F},
        {"16777217", 16777216.0F},
        {"7.0064923216240853547e-46", 0x1p-149F},
        {"7.0064923216240853546e-46", 0},
        {"1.17549435e-38", FLT_MIN},
        {"0.1", 0.1F},
    };

    (void)state;
    for (int64_t i = 0; i < COUNT(cases); i++) {
        check_number(cases[i].text, &f32, (double)cases[i].x);
        check_number(cases[i].text, &f32, (double)strtof(cases[i].text, NULL));
    }
}

enum { NUMBERS = 2000, DIGITS = 45 };

/* Random bits as numbers, with any number of digits, whose logarithm to base 10 is between -most and most. */
static void write_numbers(char *text, size_t room, double most)
{
    uint64_t bits = 88172645463325252U;

    for (int i = 0; i < NUMBERS;) {
        double x;
        int used;

        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        memcpy(&x, &bits, sizeof x);
        if (!isfinite(x) || fabs(log10(fabs(x))) > most)
            continue;
        used = snprintf(text, room, "%.*e\n", i % DIGITS, x);
        text += used;
        room -= (size_t)used;
        i++;
    }
}

static void random_numbers_are_those_of_strtod(void **state)
{
    static char text[NUMBERS * (DIGITS + 16)];
    static double expected[NUMBERS];
    char *at = text;

    (void)state;
    write_numbers(text, sizeof text, 308);
    for (int i = 0; i < NUMBERS; i++)
        expected[i] = strtod(at, &at);
    check(text, &f64, NUMBERS, expected);
    write_numbers(text, sizeof text, 38);
    at = text;
    for (int i = 0; i < NUMBERS; i++)
        expected[i] = (double)strtof(at, &at);
    check(text, &f32, NUMBERS, expected);
}

/* ---- Locales ------------------------------------------------------------------------------------------- */

static void check_point_and_no_comma(void)
{
    check(" 1.5;-2.25e1;\"0.1\"\n", &(opt_csv_opts){.delimiter = ';'}, 3, (double[]){1.5, -22.5, 0.1});
    check("1.5;0.1\n", &(opt_csv_opts){.delimiter = ';', .dtype = OPT_F32}, 2, (double[]){1.5, (double)0.1F});
    check("1,5\n", &f64, 2, (double[]){1, 5});
    check_refused("1,5;2\n", &(opt_csv_opts){.delimiter = ';'}, "field 1: \"1,5\" is not a number");
    check_refused("\"1,5\"\n", &f64, "line 1, field 1: \"1,5\" is not a number");
    check_refused("1.500,5\n", &(opt_csv_opts){.delimiter = ';'}, "\"1.500,5\" is not a number");
}

/* musl has a locale of every name, with a point in each. */
static bool is_german(void)
{
    return strcmp(localeconv()->decimal_point, ",") == 0;
}

static void the_programs_locale_makes_no_difference(void **state)
{
    (void)state;
    check_point_and_no_comma();
    if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL || !is_german())
        skip();
    check_point_and_no_comma();
    assert_true(is_german());
    setlocale(LC_ALL, "C");
}

#ifndef _WIN32
/* A thread may have one of its own, and has it still afterwards, whether the file was read or refused. */
static void the_threads_locale_is_left_alone(void **state)
{
    const locale_t before = uselocale((locale_t)0);
    locale_t german;
    bool comma;

    (void)state;
    check_point_and_no_comma();
    assert_true(uselocale((locale_t)0) == before);
    german = newlocale(LC_ALL_MASK, "de_DE.UTF-8", (locale_t)0);
    if (german == (locale_t)0)
        skip();
    uselocale(german);
    comma = is_german();
    check_point_and_no_comma();
    assert_true(uselocale((locale_t)0) == german);
    assert_true(is_german() == comma);
    uselocale(before);
    freelocale(german);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_decimal),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(hexadecimal_is_refused),
        cmocka_unit_test(infinities_and_nan_count),
        cmocka_unit_test(what_overflows_is_refused),
#ifdef FE_DOWNWARD
        cmocka_unit_test(what_overflows_is_refused_however_numbers_are_rounded),
#endif
        cmocka_unit_test(spaces_around_numbers_are_passed_over),
        cmocka_unit_test(other_white_space_is_no_space),
        cmocka_unit_test(hard_numbers_are_rounded_correctly),
        cmocka_unit_test(f32_is_rounded_once),
        cmocka_unit_test(random_numbers_are_those_of_strtod),
        cmocka_unit_test(the_programs_locale_makes_no_difference),
#ifndef _WIN32
        cmocka_unit_test(the_threads_locale_is_left_alone),
#endif
    };

    remove(FILE_NAME);
    return cmocka_run_group_tests_name("data_csv_numbers", tests, NULL, NULL);
}

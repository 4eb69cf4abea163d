/* SPDX-License-Identifier: MIT
 *
 * Comma-separated values: records, columns, and what is asked of them that makes no sense. Numbers are in
 * test_data_csv_numbers.c, broken files in test_data_csv_broken.c.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support.h"

#define FILE_NAME    "test_data_csv.tmp"
#define BOM          "\xef\xbb\xbf"
#define COUNT(array) ((int64_t)(sizeof(array) / sizeof *(array)))

static void spill(const void *from, size_t n)
{
    FILE *f = fopen(FILE_NAME, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(from, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* What n bytes are read as; to be freed with opt_tensor_free. */
static opt_tensor read_bytes(opt_ctx *ctx, const void *bytes, size_t n, const opt_csv_opts *opts)
{
    opt_tensor t = {0};

    spill(bytes, n);
    assert_ok(ctx, opt_read_csv(ctx, FILE_NAME, opts, &t));
    assert_int_equal(t.ndim, 2);
    assert_int_equal(t.dtype, opts && opts->dtype ? opts->dtype : OPT_F64);
    remove(FILE_NAME);
    return t;
}

static void check_bytes(const void *bytes, size_t n, const opt_csv_opts *opts, int64_t rows, int64_t columns,
                        const double *expected)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t = read_bytes(ctx, bytes, n, opts);

    assert_int_equal(t.dim[0], rows);
    assert_int_equal(t.dim[1], columns);
    for (int64_t i = 0; i < rows * columns; i++) {
        const double x = opt_get(&t, i);

        if (isnan(x) ? !isnan(expected[i]) : x != expected[i] || !signbit(x) != !signbit(expected[i]))
            fail_msg("element %d is %.17g, not %.17g", (int)i, x, expected[i]);
    }
    opt_tensor_free(ctx, &t);
    opt_ctx_free(ctx);
}

static void check(const char *text, const opt_csv_opts *opts, int64_t rows, int64_t columns,
                  const double *expected)
{
    check_bytes(text, strlen(text), opts, rows, columns, expected);
}

/* Refused with this status and a message that says `part`, and *out is what it was. */
static void check_bytes_refused(const void *bytes, size_t n, const opt_csv_opts *opts, opt_status status,
                                const char *part)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor out, before;

    memset(&out, 0x5a, sizeof out);
    memcpy(&before, &out, sizeof out);
    spill(bytes, n);
    assert_fails(ctx, opt_read_csv(ctx, FILE_NAME, opts, &out), status, part);
    assert_fails(ctx, OPT_EFORMAT, OPT_EFORMAT, status == OPT_EFORMAT ? FILE_NAME ": " : "read_csv: ");
    assert_memory_equal(&out, &before, sizeof out);
    opt_ctx_free(ctx);
    remove(FILE_NAME);
}

static void check_refused(const char *text, const opt_csv_opts *opts, opt_status status, const char *part)
{
    check_bytes_refused(text, strlen(text), opts, status, part);
}

static opt_csv_opts by_names(const char *const *names, int64_t n)
{
    return (opt_csv_opts){.header = true, .names = names, .ncolumns = n};
}

static opt_csv_opts by_numbers(const int64_t *columns, int64_t n)
{
    return (opt_csv_opts){.columns = columns, .ncolumns = n};
}

/* ---- Records ------------------------------------------------------------------------------------------- */

static const double one_to_six[] = {1, 2, 3, 4, 5, 6};

static void without_options_every_field_is_a_number(void **state)
{
    (void)state;
    check("1,2\n3,4\n5,6\n", NULL, 3, 2, one_to_six);
    check("1,2\n3,4\n5,6\n", &(opt_csv_opts){0}, 3, 2, one_to_six);
    check("1,2,3,4,5,6\n", NULL, 1, 6, one_to_six);
    check("1\n2\n3\n4\n5\n6\n", NULL, 6, 1, one_to_six);
}

static void lines_end_in_crlf_or_lf(void **state)
{
    (void)state;
    check("1,2\r\n3,4\r\n5,6\r\n", NULL, 3, 2, one_to_six);
    check("1,2\r\n3,4\n5,6\r\n", NULL, 3, 2, one_to_six);
    check("\"1\",\"2\"\r\n\"3\",4\r\n5,\"6\"\r\n", NULL, 3, 2, one_to_six);
    check_refused("1,2\r3,4\r", NULL, OPT_EFORMAT, "line 1, field 2: \"2?3\" is not a number");
    check_refused("1\r", NULL, OPT_EFORMAT, "line 1, field 1: \"1?\" is not a number");
    check_refused("\"1\"\r2\n", NULL, OPT_EFORMAT, "line 1, field 1: there is something between closing");
}

static void the_last_line_may_end_with_the_file(void **state)
{
    (void)state;
    check("1,2\n3,4\n5,6", NULL, 3, 2, one_to_six);
    check("1,2\n3,4\n5,\"6\"", NULL, 3, 2, one_to_six);
    check("1", NULL, 1, 1, one_to_six);
    check("x,y\n1,2", &(opt_csv_opts){.header = true}, 1, 2, one_to_six);
}

static void blank_lines_are_passed_over(void **state)
{
    (void)state;
    check("\n\r\n1,2\n\n3,4\r\n\r\n\n5,6\n\n\n", NULL, 3, 2, one_to_six);
    check("\n\nx,y\n\n1,2\n", &(opt_csv_opts){.header = true}, 1, 2, one_to_six);
    check_refused("\n\n1,2\n\n3,x\n", NULL, OPT_EFORMAT, "line 5, field 2: \"x\" is not a number");
}

/* Nothing within quotes is an empty field, not a blank line. */
static void empty_quotes_are_no_blank_line(void **state)
{
    const opt_csv_opts o = {.missing_ok = true, .missing = 7};

    (void)state;
    check("1\n\"\"\n\n3\n\"\"", &o, 4, 1, (double[]){1, 7, 3, 7});
    check_refused("1\n\"\"\n", NULL, OPT_EFORMAT, "line 2, field 1: missing");
}

static void a_byte_order_mark_is_passed_over(void **state)
{
    static const char *const names[] = {"x"};
    const opt_csv_opts o = by_names(names, 1);

    (void)state;
    check(BOM "1,2\n3,4\n5,6\n", NULL, 3, 2, one_to_six);
    check(BOM "\"1\",2\n", NULL, 1, 2, one_to_six);
    check(BOM "x,y\n1,z\n", &o, 1, 1, one_to_six);
    check(BOM "\"x\",y\n1,z\n", &o, 1, 1, one_to_six);
    check_refused(BOM BOM "1\n", NULL, OPT_EFORMAT, "line 1, field 1");
    check_refused("1\n" BOM "2\n", NULL, OPT_EFORMAT, "line 2, field 1");
    check_refused("\xef\xbb"
                  "1\n",
                  NULL, OPT_EFORMAT, "line 1, field 1");
}

static void quoted_fields_hold_delimiters_line_ends_and_doubled_quotes(void **state)
{
    static const int64_t last[] = {2, 0};
    const opt_csv_opts o = by_numbers(last, 2);

    (void)state;
    check("2,\"a,b\",1\n4,\"a\nb\",3\n6,\"a\r\nb,\"\"c\"\"\n\n\",5\r\n", &o, 3, 2, one_to_six);
    check("2,\"\"\"\",1\n4,\"\",3\n6,\"\"\",\"\"\n\",5\n", &o, 3, 2, one_to_six);
    check("\"1\",\" 2 \"\r\n\"3\",\"4\"\n\"5\",\"6\"", NULL, 3, 2, one_to_six);
}

static void delimiters_may_be_others(void **state)
{
    const char delimiters[] = {';', '\t', '|', ' ', ':', '\xa7', '\x01', '\''};

    (void)state;
    for (int64_t i = 0; i < COUNT(delimiters); i++) {
        const opt_csv_opts o = {.delimiter = delimiters[i]};
        char text[64];

        snprintf(text, sizeof text, "1%c2\n\"3\"%c4\r\n5%c\"6\"\n", o.delimiter, o.delimiter, o.delimiter);
        check(text, &o, 3, 2, one_to_six);
        check_refused("1,2\n", &o, OPT_EFORMAT, "line 1, field 1: \"1,2\" is not a number");
    }
}

/* ---- Columns ------------------------------------------------------------------------------------------- */

static void a_header_is_one_only_when_asked_for(void **state)
{
    const opt_csv_opts header = {.header = true};

    (void)state;
    check("x,y\n1,2\n3,4\n", &header, 2, 2, one_to_six);
    check("9,\"8\n\"\n1,2\n3,4\n", &header, 2, 2, one_to_six);
    check_refused("x,y\n1,2\n", NULL, OPT_EFORMAT, "line 1, field 1: \"x\" is not a number");
}

static void columns_are_asked_for_by_name_in_any_order(void **state)
{
    static const char *const names[] = {"c", "a", "b"};
    const opt_csv_opts three = by_names(names, 3), two = by_names(names, 2);

    (void)state;
    check("a,b,c\n2,3,1\n5,6,4\n", &three, 2, 3, one_to_six);
    check("c,d,a,d,b\n1,x,2,,3\n4,\xff,5,\"\"\"\",6\n", &three, 2, 3, one_to_six);
    check("a,b,c\n2,what,1\n4,,3\n", &two, 2, 2, one_to_six);
}

static void columns_are_asked_for_by_number_in_any_order(void **state)
{
    static const int64_t columns[] = {2, 0, 1};
    const opt_csv_opts three = by_numbers(columns, 3), two = by_numbers(columns, 2);
    opt_csv_opts header = three;

    (void)state;
    header.header = true;
    check("2,3,1\n5,6,4\n", &three, 2, 3, one_to_six);
    check("2,x,1,\n4,,3,y\n", &two, 2, 2, one_to_six);
    check("a,a,a\n2,3,1\n", &header, 1, 3, one_to_six);
}

static void names_are_as_the_header_has_them(void **state)
{
    static const char *const names[] = {" b", "a,\"a\"", "c\r\nc", "", "c\nc", "\xc3\xa4"};
    const opt_csv_opts o = by_names(names, 6);

    (void)state;
    check("b, b,\"a,\"\"a\"\"\",\"c\r\nc\",,\"c\nc\",\xc3\xa4\n0,1,2,3,4,5,6\n", &o, 1, 6, one_to_six);
}

/* Also where only their beginning is the same, up to a zero byte or as far as there is room. */
static void names_are_compared_whole(void **state)
{
    static const char *const names[] = {"a"};
    static const char with_zero[] = "a\0b,c\n1,2\n";
    char long_name[1025], text[1100];
    const char *const cut[] = {long_name};
    const opt_csv_opts short_one = by_names(names, 1), long_one = by_names(cut, 1);

    (void)state;
    check_refused("ab,A,a \n1,2,3\n", &short_one, OPT_EFORMAT, "there is no column \"a\"");
    check_bytes_refused(with_zero, sizeof with_zero - 1, &short_one, OPT_EFORMAT, "there is no column \"a\"");
    memset(long_name, 'n', 1024);
    long_name[1024] = '\0';
    snprintf(text, sizeof text, "%s,b\n1,2\n", long_name);
    check(text, &long_one, 1, 1, one_to_six);
    snprintf(text, sizeof text, "%sn,b\n1,2\n", long_name);
    check_refused(text, &long_one, OPT_EFORMAT, "there is no column \"nnn");
}

static void columns_that_are_not_there_are_named(void **state)
{
    static const char *const names[] = {"a", "b", "missing"};
    static const int64_t columns[] = {0, 3};
    const opt_csv_opts named = by_names(names, 3), numbered = by_numbers(columns, 2);

    (void)state;
    check_refused("b,a\n1,2\n", &named, OPT_EFORMAT, "there is no column \"missing\"");
    check_refused("b,a\n1,2\n\"missing\",1\n", &named, OPT_EFORMAT, "there is no column \"missing\"");
    check_refused("1,2,3\n", &numbered, OPT_EFORMAT, "there is no column 3, only 3");
}

static void columns_asked_for_twice_are_named(void **state)
{
    static const char *const names[] = {"a", "b", "a"};
    static const int64_t columns[] = {1, 0, 1};
    const opt_csv_opts named = by_names(names, 3), numbered = by_numbers(columns, 3);

    (void)state;
    check_refused("a,b,c\n1,2,3\n", &named, OPT_EINVAL, "column \"a\" is asked for twice");
    check_refused("1,2,3\n", &numbered, OPT_EINVAL, "column 1 is asked for twice");
}

/* Two of the same name are no fault until it is asked for. */
static void wanted_columns_of_the_same_name_are_named(void **state)
{
    static const char *const names[] = {"b", "a"};
    const opt_csv_opts both = by_names(names, 2), one = by_names(names, 1);

    (void)state;
    check_refused("a,b,a\n1,2,3\n", &both, OPT_EFORMAT, "two columns are named \"a\"");
    check("a,b,a\n2,1,3\n", &one, 1, 1, one_to_six);
}

/* ---- Fields -------------------------------------------------------------------------------------------- */

static void missing_values_are_an_error_or_a_number(void **state)
{
    const opt_csv_opts seven = {.missing_ok = true, .missing = 7};
    const opt_csv_opts none = {.missing_ok = true, .missing = (double)NAN, .dtype = OPT_F32};

    (void)state;
    check(",1\n2,\n \t,\"\"\n,", &seven, 4, 2, (double[]){7, 1, 2, 7, 7, 7, 7, 7});
    check("1,\n", &none, 1, 2, (double[]){1, (double)NAN});
    check("1,\n", &(opt_csv_opts){.missing_ok = true}, 1, 2, (double[]){1, 0});
    check_refused("1,2\n3,\n", NULL, OPT_EFORMAT, "line 2, field 2: missing");
    check_refused("1,2\n,4\n", &(opt_csv_opts){.missing = 7}, OPT_EFORMAT, "line 2, field 1: missing");
    check_refused("1,\"  \"\n", NULL, OPT_EFORMAT, "line 1, field 2: missing");
    check_refused("1,NA\n", &seven, OPT_EFORMAT, "line 1, field 2: \"NA\" is not a number");
}

static void lines_and_fields_are_named(void **state)
{
    static const int64_t columns[] = {0, 2};
    const opt_csv_opts o = by_numbers(columns, 2);

    (void)state;
    check_refused("1,\"a\nb\r\nc\",x\n", &o, OPT_EFORMAT, "line 3, field 3: \"x\"");
    check_refused("1,\"\n\n\"\"\n\",2\r\n3,4,x\r\n", &o, OPT_EFORMAT, "line 5, field 3: \"x\"");
    check_refused("1,\"\n\",2\n\nx,4,5\n", &o, OPT_EFORMAT, "line 4, field 1: \"x\"");
    check_refused("1,2,3\n4,5,\"\nx\"\n", &o, OPT_EFORMAT, "line 2, field 3: \"?x\"");
    check_refused("1,\"\n\",3\n4,5\n", &o, OPT_EFORMAT,
                  "line 3, field 2: there are fewer fields than in the");
    check_refused("1,2,3\n\n4,5,6,7\n", &o, OPT_EFORMAT,
                  "line 3, field 4: there are more fields than in the");
    check_refused("1,2,3\n4,5,6,\n", &o, OPT_EFORMAT, "line 2, field 4: there are more fields than in the");
    check_refused("1,2,3\n ", &o, OPT_EFORMAT, "line 2, field 1: there are fewer fields than in the");
}

/* ---- Options ------------------------------------------------------------------------------------------- */

static void delimiters_that_part_no_numbers_are_refused(void **state)
{
    static const char bad[] = "\"\r\n0123456789.+-eEinfaxINFAX";

    (void)state;
    for (const char *b = bad; *b != '\0'; b++)
        check_refused("1\n", &(opt_csv_opts){.delimiter = *b}, OPT_EINVAL, "cannot part numbers");
}

static void options_that_make_no_sense_are_refused(void **state)
{
    static const char *const names[] = {"a", NULL};
    static const int64_t columns[] = {0, -1};
    opt_csv_opts o = by_names(names, 1);

    (void)state;
    check_refused("1\n", &(opt_csv_opts){.dtype = (opt_dtype)7}, OPT_EDTYPE, "dtype = 7 is neither");
    check_refused("1\n", &(opt_csv_opts){.ncolumns = -1}, OPT_EINVAL, "ncolumns = -1 needs either");
    check_refused("1\n", &(opt_csv_opts){.ncolumns = 2}, OPT_EINVAL, "ncolumns = 2 needs either");
    o.columns = columns;
    check_refused("a\n1\n", &o, OPT_EINVAL, "ncolumns = 1 needs either names or columns");
    o = by_names(names, 2);
    check_refused("a,b\n1,2\n", &o, OPT_EINVAL, "name 1 is NULL");
    o.header = false;
    check_refused("a,b\n1,2\n", &o, OPT_EINVAL, "names without a header");
    o = by_numbers(columns, 2);
    check_refused("1,2\n", &o, OPT_EINVAL, "column -1 is below 0");
}

static void missing_arguments_are_refused(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t = {0};

    (void)state;
    assert_int_equal(opt_read_csv(NULL, FILE_NAME, NULL, &t), OPT_EINVAL);
    assert_fails(ctx, opt_read_csv(ctx, NULL, NULL, &t), OPT_EINVAL, "read_csv: path is NULL");
    assert_fails(ctx, opt_read_csv(ctx, FILE_NAME, NULL, NULL), OPT_EINVAL, "read_csv: out is NULL");
    assert_null(t.data);
    opt_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_every_field_is_a_number),
        cmocka_unit_test(lines_end_in_crlf_or_lf),
        cmocka_unit_test(the_last_line_may_end_with_the_file),
        cmocka_unit_test(blank_lines_are_passed_over),
        cmocka_unit_test(empty_quotes_are_no_blank_line),
        cmocka_unit_test(a_byte_order_mark_is_passed_over),
        cmocka_unit_test(quoted_fields_hold_delimiters_line_ends_and_doubled_quotes),
        cmocka_unit_test(delimiters_may_be_others),
        cmocka_unit_test(a_header_is_one_only_when_asked_for),
        cmocka_unit_test(columns_are_asked_for_by_name_in_any_order),
        cmocka_unit_test(columns_are_asked_for_by_number_in_any_order),
        cmocka_unit_test(names_are_as_the_header_has_them),
        cmocka_unit_test(names_are_compared_whole),
        cmocka_unit_test(columns_that_are_not_there_are_named),
        cmocka_unit_test(columns_asked_for_twice_are_named),
        cmocka_unit_test(wanted_columns_of_the_same_name_are_named),
        cmocka_unit_test(missing_values_are_an_error_or_a_number),
        cmocka_unit_test(lines_and_fields_are_named),
        cmocka_unit_test(delimiters_that_part_no_numbers_are_refused),
        cmocka_unit_test(options_that_make_no_sense_are_refused),
        cmocka_unit_test(missing_arguments_are_refused),
    };

    remove(FILE_NAME);
    return cmocka_run_group_tests_name("data_csv", tests, NULL, NULL);
}

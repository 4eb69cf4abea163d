/* SPDX-License-Identifier: MIT
 *
 * Weights from safetensors files of other programs, by name.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"
#include "tensor_file.h"

#define FILE_NAME "test_load_named.tmp"

/* One parameter "w" of n elements, each -1 before. */
typedef struct one {
    double d[8], gd[8];
    float f[8], gf[8];
    opt_param at;
    opt_params params;
} one;

static void one_init(one *o, opt_dtype dtype, int ndim, const int64_t *dim)
{
    *o = (one){.params = {&o->at, 1}};
    o->at = (opt_param){.name = "w",
                        .value = opt_tensor_view(dtype, dtype == OPT_F32 ? (void *)o->f : o->d, ndim, dim),
                        .grad = opt_tensor_view(dtype, dtype == OPT_F32 ? (void *)o->gf : o->gd, ndim, dim)};
    opt_tensor_fill(&o->at.value, -1);
}

/* ---- Types --------------------------------------------------------------------------------------------- */

static const struct {
    const char *dtype;
    int bytes, rank; /* a type of a lower rank may be loaded into one of a higher */
} types[] = {{"F16", 2, 0}, {"BF16", 2, 0}, {"F32", 4, 1}, {"F64", 8, 2}};

/* 1.5, -0, infinity, NaN and the smallest number above 0, in each type; lowest byte first. */
static const unsigned char f16[] = {0x00, 0x3e, 0x00, 0x80, 0x00, 0x7c, 0x01, 0xfe, 0x01, 0x00};
static const unsigned char bf16[] = {0xc0, 0x3f, 0x00, 0x80, 0x80, 0x7f, 0xc1, 0xff, 0x01, 0x00};
static const unsigned char f32[] = {0,    0,    0xc0, 0x3f, 0,    0,    0, 0x80, 0, 0,
                                    0x80, 0x7f, 1,    0,    0xc0, 0xff, 1, 0,    0, 0};
static const unsigned char f64[] = {0, 0,    0,    0,    0, 0, 0xf8, 0x3f, 0,    0,    0, 0, 0, 0,
                                    0, 0x80, 0,    0,    0, 0, 0,    0,    0xf0, 0x7f, 1, 0, 0, 0,
                                    0, 0,    0xf8, 0xff, 1, 0, 0,    0,    0,    0,    0, 0};
static const unsigned char *const numbers[] = {f16, bf16, f32, f64};
static const double smallest[] = {0x1p-24, 0x1p-133, 0x1p-149, 4.9e-324};

static void write_five(int type)
{
    char header[128];

    snprintf(header, sizeof header, "{\"w\":{\"dtype\":\"%s\",\"shape\":[5],\"data_offsets\":[0,%d]}}",
             types[type].dtype, 5 * types[type].bytes);
    write_tensor_file(FILE_NAME, header, numbers[type], 5 * (size_t)types[type].bytes);
}

static void narrower_types_are_widened(void **state)
{
    for (int type = 0; type < 4; type++)
        for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
            one o;

            write_five(type);
            one_init(&o, dtype, 1, (int64_t[]){5});
            if (types[type].rank > (int)dtype) {
                assert_fails(*state, opt_load_named(*state, FILE_NAME, o.params, NULL), OPT_EDTYPE,
                             FILE_NAME ": w is F64 in the file and F32 here");
                for (int i = 0; i < 5; i++)
                    assert_close(opt_get(&o.at.value, i), -1, 0);
                continue;
            }
            assert_ok(*state, opt_load_named(*state, FILE_NAME, o.params, NULL));
            assert_close(opt_get(&o.at.value, 0), 1.5, 0);
            assert_close(opt_get(&o.at.value, 1), 0, 0);
            assert_true(signbit(opt_get(&o.at.value, 1)) != 0);
            assert_true(opt_get(&o.at.value, 2) == HUGE_VAL);
            assert_true(isnan(opt_get(&o.at.value, 3)));
            assert_true(opt_get(&o.at.value, 4) == smallest[type]);
        }
    remove(FILE_NAME);
}

/* Every number that half precision has, by its definition. */
static void every_half_is_right(void **state)
{
    enum { N = 65536 };
    unsigned char *data = malloc(2 * N);
    opt_tensor value = {0}, grad = {0};
    opt_param p;

    assert_non_null(data);
    for (int i = 0; i < N; i++) {
        data[2 * i] = (unsigned char)(i & 255);
        data[2 * i + 1] = (unsigned char)(i >> 8);
    }
    write_tensor_file(FILE_NAME,
                      "{\"w\":{\"dtype\":\"F16\",\"shape\":[256,256],\"data_offsets\":[0,131072]}}", data,
                      2 * N);
    assert_ok(*state, opt_tensor_new(*state, OPT_F32, 2, (int64_t[]){256, 256}, &value));
    assert_ok(*state, opt_tensor_new(*state, OPT_F32, 2, (int64_t[]){256, 256}, &grad));
    p = (opt_param){.name = "w", .value = value, .grad = grad};
    assert_ok(*state, opt_load_named(*state, FILE_NAME, (opt_params){&p, 1}, NULL));
    for (int i = 0; i < N; i++) {
        const int e = i >> 10 & 31, m = i & 1023;
        const double x = opt_get(&value, i), sign = i >> 15 ? -1 : 1;

        if (e == 31)
            assert_true(m ? isnan(x) : x == sign * HUGE_VAL);
        else
            assert_true(x == sign * (e ? 1 + m / 1024.0 : m / 1024.0) * pow(2, e ? e - 15 : -14));
    }
    opt_tensor_free(*state, &value);
    opt_tensor_free(*state, &grad);
    free(data);
    remove(FILE_NAME);
}

static void types_that_are_no_real_numbers_are_refused(void **state)
{
    static const struct {
        const char *text;
        int bits;
    } others[] = {{"BOOL", 8},    {"U8", 8},          {"I8", 8},         {"U16", 16},    {"I16", 16},
                  {"U32", 32},    {"I32", 32},        {"U64", 64},       {"I64", 64},    {"C64", 64},
                  {"F4", 4},      {"F6_E2M3", 6},     {"F6_E3M2", 6},    {"F8_E5M2", 8}, {"F8_E4M3", 8},
                  {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}};
    const char data[64] = {0};
    char header[128];

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        one o;

        snprintf(header, sizeof header, "{\"w\":{\"dtype\":\"%s\",\"shape\":[8],\"data_offsets\":[0,%d]}}",
                 others[i].text, others[i].bits);
        write_tensor_file(FILE_NAME, header, data, (size_t)others[i].bits);
        one_init(&o, OPT_F64, 1, (int64_t[]){8});
        assert_fails(*state, opt_load_named(*state, FILE_NAME, o.params, NULL), OPT_EDTYPE, others[i].text);
        assert_close(o.d[0], -1, 0);
    }
    remove(FILE_NAME);
}

/* opt_load does not widen. */
static void a_checkpoint_keeps_its_types(void **state)
{
    for (int type = 0; type < 3; type++) {
        one o;

        write_five(type);
        one_init(&o, OPT_F64, 1, (int64_t[]){5});
        assert_fails(*state, opt_load(*state, FILE_NAME, o.params, NULL, NULL), OPT_EDTYPE,
                     " in the file and F64 here");
        assert_close(o.d[0], -1, 0);
    }
    remove(FILE_NAME);
}

/* ---- Shapes -------------------------------------------------------------------------------------------- */

static void shapes_must_agree(void **state)
{
    static const struct {
        const char *there, *message;
        int ndim;
        int64_t here[4];
    } cases[] = {{"5", "[5] in the file and [1, 5] here", 2, {1, 5}},
                 {"5", "[5] in the file and [5, 1] here", 2, {5, 1}},
                 {"5", "[5] in the file and [4] here", 1, {4}},
                 {"1,5", "[1, 5] in the file and [5, 1] here", 2, {5, 1}},
                 {"1,1,1,1,5", "[1, 1, 1, 1] and more in the file and [5] here", 1, {5}},
                 {"5,1,1,1,1", "[5, 1, 1, 1] and more in the file and [5, 1, 1, 1] here", 4, {5, 1, 1, 1}}};
    char header[128];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        one o;

        snprintf(header, sizeof header, "{\"w\":{\"dtype\":\"F64\",\"shape\":[%s],\"data_offsets\":[0,40]}}",
                 cases[i].there);
        write_tensor_file(FILE_NAME, header, f64, 40);
        one_init(&o, OPT_F64, cases[i].ndim, cases[i].here);
        assert_fails(*state, opt_load_named(*state, FILE_NAME, o.params, NULL), OPT_ESHAPE, cases[i].message);
        assert_close(o.d[0], -1, 0);
    }
    write_tensor_file(FILE_NAME, "{\"w\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]}}", f64, 8);
    {
        one o;

        one_init(&o, OPT_F64, 1, (int64_t[]){1});
        assert_fails(*state, opt_load_named(*state, FILE_NAME, o.params, NULL), OPT_ESHAPE,
                     "w is [] in the file and [1] here");
        one_init(&o, OPT_F64, 0, NULL);
        assert_ok(*state, opt_load_named(*state, FILE_NAME, o.params, NULL));
        assert_close(o.d[0], 1.5, 0);
    }
    write_tensor_file(FILE_NAME, "{\"w\":{\"dtype\":\"F64\",\"shape\":[0],\"data_offsets\":[0,0]}}", "", 0);
    {
        one o;

        one_init(&o, OPT_F64, 1, (int64_t[]){1});
        assert_fails(*state, opt_load_named(*state, FILE_NAME, o.params, NULL), OPT_ESHAPE,
                     "w is [0] in the file and [1] here");
    }
    remove(FILE_NAME);
}

/* Be it a single byte, before what is wanted. */
static void what_is_not_wanted_is_passed_over(void **state)
{
    for (int before = 0; before <= 3; before++) {
        unsigned char data[16] = {0xaa, 0xaa, 0xaa};
        char header[256];
        one o;

        snprintf(header, sizeof header,
                 "{\"a\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[0,%d]},"
                 "\"w\":{\"dtype\":\"F16\",\"shape\":[5],\"data_offsets\":[%d,%d]}}",
                 before, before, before, before + 10);
        memcpy(data + before, f16, sizeof f16);
        write_tensor_file(FILE_NAME, header, data, (size_t)before + sizeof f16);
        one_init(&o, OPT_F64, 1, (int64_t[]){5});
        assert_ok(*state, opt_load_named(*state, FILE_NAME, o.params, NULL));
        assert_close(opt_get(&o.at.value, 0), 1.5, 0);
        assert_close(opt_get(&o.at.value, 4), 0x1p-24, 0);
    }
    remove(FILE_NAME);
}

/* ---- The report ---------------------------------------------------------------------------------------- */

static void check_report(opt_ctx *ctx, opt_params params, int loaded, int missing, int left_over,
                         const char *names)
{
    opt_load_report r;

    memset(&r, 0x5a, sizeof r);
    assert_ok(ctx, opt_load_named(ctx, FILE_NAME, params, &r));
    assert_int_equal(r.loaded, loaded);
    assert_int_equal(r.missing, missing);
    assert_int_equal(r.left_over, left_over);
    assert_string_equal(r.names, names);
}

static void what_is_found_is_loaded_and_the_rest_reported(void **state)
{
    mixed from, to, before;

    mixed_new(&from, *state, 1);
    mixed_new(&to, *state, 2);
    mixed_new(&before, *state, 2);
    assert_ok(*state, opt_save(*state, FILE_NAME, from.params, NULL, NULL));
    to.at[0].name = "x";
    to.at[3].name = "y";
    check_report(*state, to.params, 3, 2, 2, "missing: x, y; left over: column, scalar");
    for (int p = 0; p < MIXED; p++)
        assert_true(same_bytes(&to.at[p].value, &(p % 3 ? &from : &before)->at[p].value));
    check_report(*state, (opt_params){to.at, 1}, 0, 1, 5,
                 "missing: x; left over: row, column, scalar, four, three");
    to.at[0].name = "scalar";
    to.at[3].name = "column";
    check_report(*state, to.params, 5, 0, 0, "");
    assert_true(same_bits(to.params, from.params));
    mixed_free(&from);
    mixed_free(&to);
    mixed_free(&before);
    remove(FILE_NAME);
}

/* A checkpoint's slots are not left over: they are not weights. Another file's may be. */
static void slots_are_not_left_over(void **state)
{
    opt_optim *o = NULL;
    mixed m;
    one w;

    mixed_new(&m, *state, 1);
    assert_ok(*state, opt_optim_new(*state, &opt_adam, NULL, &(opt_optim_opts){.lr = 1}, m.params, &o));
    assert_ok(*state, opt_save(*state, FILE_NAME, m.params, o, NULL));
    check_report(*state, m.params, 5, 0, 0, "");
    write_tensor_file(FILE_NAME, "{\"slot.m.w\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}",
                      "abcd", 4);
    one_init(&w, OPT_F64, 0, NULL);
    check_report(*state, w.params, 0, 1, 1, "missing: w; left over: slot.m.w");
    opt_optim_free(o);
    mixed_free(&m);
    remove(FILE_NAME);
}

/* A report of so many names of `length` characters, each of these bytes, is cut between characters. */
static void check_long_names(opt_ctx *ctx, const char *character, int length, int names)
{
    char *header = malloc((size_t)names * (strlen(character) * (size_t)length + 100)), *to = header;
    size_t n, part = 0; /* bytes that are not ASCII at the end */
    opt_load_report r;
    one o;

    assert_non_null(header);
    for (int i = 0; i < names; i++) {
        to += sprintf(to, "%s\"%d", i ? "," : "{", i);
        for (int k = 0; k < length; k++)
            to += sprintf(to, "%s", character);
        to += sprintf(to, "\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}");
    }
    sprintf(to, "}");
    write_tensor_file(FILE_NAME, header, "", 0);
    one_init(&o, OPT_F64, 0, NULL);
    memset(&r, 0x5a, sizeof r);
    assert_ok(ctx, opt_load_named(ctx, FILE_NAME, o.params, &r));
    assert_int_equal(r.missing, 1);
    assert_int_equal(r.left_over, names);
    assert_memory_equal(r.names, "missing: w; left over: 0", 24);
    n = strlen(r.names);
    assert_in_range(n, sizeof r.names - 7, sizeof r.names - 1);
    while (part < n && (unsigned char)r.names[n - 1 - part] >= 0x80)
        part++;
    assert_int_equal(part % strlen(character) * (strlen(character) > 1), 0);
    free(header);
}

static void long_reports_are_cut_short(void **state)
{
    static const char *const characters[] = {"a", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};

    for (int c = 0; c < 4; c++)
        for (int length = 1; length < 20; length++)
            check_long_names(*state, characters[c], length, 300);
    for (int c = 0; c < 4; c++)
        for (int length = 440; length < 460; length++)
            check_long_names(*state, characters[c], length, 2);
    remove(FILE_NAME);
}

/* What a terminal would obey is not in the report, nor in a message. */
static void control_characters_are_not_passed_on(void **state)
{
    one o;

    write_tensor_file(
        FILE_NAME, "{\"\\u001b[2J\\u007f\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", "", 0);
    one_init(&o, OPT_F64, 0, NULL);
    check_report(*state, o.params, 0, 1, 1, "missing: w; left over: ?[2J?");
    assert_fails(*state, opt_load(*state, FILE_NAME, o.params, NULL, NULL), OPT_EFORMAT, "left over: ?[2J?");
    remove(FILE_NAME);
}

/* Nor the control characters from 0x80 on, be they UTF-8 or single bytes. What is none stays, in UTF-8 or
 * not. */
static void control_characters_of_other_kinds_are_not_passed_on(void **state)
{
    static const char *const paths[][2] = {
        {"a\x9bm", "a?m"},
        {"a\xc2\x80\xc2\x9bm", "a????m"},
        {"\xe6\x97\xa5\xe6\x9c\xac \xc3\xa9\xc2\xa0 \xf0\x9f\x98\x80",
         "\xe6\x97\xa5\xe6\x9c\xac \xc3\xa9\xc2\xa0 \xf0\x9f\x98\x80"},
        {"\xe9t\xe9 \xa0", "\xe9t\xe9 \xa0"},
        {"\xe6\x97 \xc0\x9b \x1f\x7f", "\xe6? \xc0? ??"},
    };
    one o;

    one_init(&o, OPT_F64, 0, NULL);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_fails(*state, opt_load_named(*state, paths[i][0], o.params, NULL), OPT_EIO, paths[i][1]);
        assert_memory_equal(opt_errmsg(*state), paths[i][1], strlen(paths[i][1]));
    }
    write_tensor_file(
        FILE_NAME, "{\"\\u009b2J\xc2\x9b\xc3\xa9\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
        "", 0);
    check_report(*state, o.params, 0, 1, 1, "missing: w; left over: ??2J??\xc3\xa9");
    assert_fails(*state, opt_load(*state, FILE_NAME, o.params, NULL, NULL), OPT_EFORMAT,
                 "left over: ??2J??\xc3\xa9");
    remove(FILE_NAME);
}

/* Escapes of one to four bytes. */
static void escaped_names_are_found(void **state)
{
    static const struct {
        const char *escaped, *name;
    } cases[] = {
        {"\\u0077\\u00FC\\u20ac\\uff21\\uD83D\\uDE00", "w\xc3\xbc\xe2\x82\xac\xef\xbc\xa1\xf0\x9f\x98\x80"},
        {"\\u007f\\u0080\\u07ff\\u0800\\uffff",
         "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"},                     /* the last of each length, */
        {"\\ud800\\udc00\\udbff\\udfff", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"}, /* and the first */
    };
    static const unsigned char two[8] = {[7] = 0x40};
    char header[128];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        one o;

        snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]}}",
                 cases[i].escaped);
        write_tensor_file(FILE_NAME, header, two, sizeof two);
        one_init(&o, OPT_F64, 0, NULL);
        o.at.name = cases[i].name;
        assert_ok(*state, opt_load_named(*state, FILE_NAME, o.params, NULL));
        assert_true(o.d[0] == 2);
    }
    remove(FILE_NAME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(narrower_types_are_widened),
        TEST(every_half_is_right),
        TEST(types_that_are_no_real_numbers_are_refused),
        TEST(a_checkpoint_keeps_its_types),
        TEST(shapes_must_agree),
        TEST(what_is_found_is_loaded_and_the_rest_reported),
        TEST(slots_are_not_left_over),
        TEST(what_is_not_wanted_is_passed_over),
        TEST(long_reports_are_cut_short),
        TEST(control_characters_are_not_passed_on),
        TEST(control_characters_of_other_kinds_are_not_passed_on),
        TEST(escaped_names_are_found),
    };

    remove(FILE_NAME);
    remove(FILE_NAME ".bak");
    return cmocka_run_group_tests_name("load named", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Safetensors files whose header is not what it should be. Each is refused with a message that names it, by
 * opt_load and opt_load_named alike, nothing has changed then, and no more memory was taken than the file is
 * large.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor_file.h"

#define FILE_NAME "test_checkpoint_broken.tmp"

#define W  "\"w\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]}"
#define V  "\"v\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[16,20]}"
#define WV "{" W "," V "}"

enum { DATA = 20 };

/* w, f64 [2], and v, f32 [1]. */
typedef struct pair {
    double w[2], gw[2];
    float v, gv;
    opt_param at[2];
    opt_params params;
} pair;

static void pair_init(pair *p)
{
    *p = (pair){.w = {1, 2}, .v = 3, .params = {p->at, 2}};
    p->at[0] = (opt_param){.name = "w",
                           .value = opt_tensor_view(OPT_F64, p->w, 1, (int64_t[]){2}),
                           .grad = opt_tensor_view(OPT_F64, p->gw, 1, (int64_t[]){2})};
    p->at[1] = (opt_param){.name = "v",
                           .value = opt_tensor_view(OPT_F32, &p->v, 1, (int64_t[]){1}),
                           .grad = opt_tensor_view(OPT_F32, &p->gv, 1, (int64_t[]){1})};
}

/* 4, 5 and 6, the lowest byte first. */
static const unsigned char data[DATA + 1] = {0, 0, 0, 0, 0,    0,    0x10, 0x40, 0,    0,
                                             0, 0, 0, 0, 0x14, 0x40, 0,    0,    0xc0, 0x40};

static void check_refused_by(opt_ctx *ctx, bool named, const char *part)
{
    opt_load_report report, before;
    pair p;

    pair_init(&p);
    memset(&report, 0x5a, sizeof report);
    memcpy(&before, &report, sizeof report);
    if (named)
        assert_fails(ctx, opt_load_named(ctx, FILE_NAME, p.params, &report), OPT_EFORMAT, part);
    else
        assert_fails(ctx, opt_load(ctx, FILE_NAME, p.params, NULL, NULL), OPT_EFORMAT, part);
    assert_memory_equal(opt_errmsg(ctx), FILE_NAME ": ", sizeof FILE_NAME + 1);
    assert_true(p.w[0] == 1 && p.w[1] == 2 && p.v == 3);
    assert_memory_equal(&report, &before, sizeof report);
}

/* The file that is there is refused. */
static void check_refused(const char *part)
{
    opt_ctx *ctx;
    bytes file = slurp(FILE_NAME);
    count c;

    count_init(&c);
    ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
    check_refused_by(ctx, false, part);
    check_refused_by(ctx, true, part);
    assert_int_equal(c.live, 1);
    assert_true(c.peak < 10000 + 2 * file.n);
    opt_ctx_free(ctx);
    free(file.at);
    remove(FILE_NAME);
}

static void check_header(const char *header, const char *part)
{
    write_tensor_file(FILE_NAME, header, data, DATA);
    check_refused(part);
}

/* A list of headers, each with what the message must say, ended by NULL. */
static void check_headers(const char *const (*cases)[2])
{
    for (; (*cases)[0] != NULL; cases++)
        check_header((*cases)[0], (*cases)[1]);
}

/* ---- Files that are whole ------------------------------------------------------------------------------ */

static void check_accepted(const char *header)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    pair p;

    write_tensor_file(FILE_NAME, header, data, DATA);
    pair_init(&p);
    assert_ok(ctx, opt_load(ctx, FILE_NAME, p.params, NULL, NULL));
    assert_true(p.w[0] == 4 && p.w[1] == 5 && p.v == 6);
    pair_init(&p);
    assert_ok(ctx, opt_load_named(ctx, FILE_NAME, p.params, NULL));
    assert_true(p.w[0] == 4 && p.w[1] == 5 && p.v == 6);
    opt_ctx_free(ctx);
    remove(FILE_NAME);
}

static void whole_files_of_others_are_read(void **state)
{
    (void)state;
    check_accepted(WV);
    check_accepted("{" V "," W "}"); /* in any order */
    check_accepted(WV "      \n\t\r");
    check_accepted("{\"__metadata__\":{}," W "," V "}");
    check_accepted("{\"__metadata__\":{\"a\":\"\xe0\xa0\x80\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"}," W
                   "," V "}");
    check_accepted("{" W ",\"__metadata__\":{\"format\":\"pt\",\"version\":\"9\",\"\":\"\"}," V "}");
    check_accepted("{\"__metadata__\":null," W "," V "}");
    check_accepted("{" W ", \"__metadata__\" : null , " V "}");
    /* A sum is ours in files of ours alone. */
    check_accepted("{\"__metadata__\":{\"format\":\"pt\",\"crc32\":\"none\"}," W "," V "}");
    check_accepted("{\"__metadata__\":{\"format\":\"pt\",\"crc32\":\"cafebabe\"}," W "," V "}");
    check_accepted("{\"__metadata__\":{\"crc32\":\"cafebabe\",\"format\":\"pt\"}," W "," V "}");
    check_accepted(
        "{ \"\\u0077\" : { \"data_offsets\" : [ 0 , 16 ] , \"shape\" : [ 2 ] , \"dtype\" : "
        "\"\\u00466\\u0034\" } , \"v\" : {\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[16,20]} }");
}

/* Tensors of no elements, and types of less than a byte, have their place as well. */
static void others_of_any_type_are_passed_over(void **state)
{
    static const char *const types[][2] = {{"F16", "2"},
                                           {"BF16", "2"},
                                           {"BOOL", "4"},
                                           {"U8", "4"},
                                           {"I8", "4"},
                                           {"U16", "2"},
                                           {"I16", "2"},
                                           {"U32", "1"},
                                           {"I32", "1"},
                                           {"F8_E5M2", "4"},
                                           {"F8_E4M3", "4"},
                                           {"F8_E8M0", "4"},
                                           {"F8_E4M3FNUZ", "4"},
                                           {"F8_E5M2FNUZ", "4"},
                                           {"F4", "8"},
                                           {"F4", "2,1,4"},
                                           {"F32", "1,1,1,1,1,1,1"}};
    opt_ctx *ctx = opt_ctx_new(NULL);
    char header[512];

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        opt_load_report report;
        pair p;

        snprintf(header, sizeof header,
                 "{\"none\":{\"dtype\":\"I64\",\"shape\":[3,0,9],\"data_offsets\":[16,16]}," W
                 ",\"x\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[16,20]}}",
                 types[i][0], types[i][1]);
        write_tensor_file(FILE_NAME, header, data, DATA);
        pair_init(&p);
        assert_ok(ctx, opt_load_named(ctx, FILE_NAME, p.params, &report));
        assert_string_equal(report.names, "missing: v; left over: none, x");
        assert_true(p.w[0] == 4 && p.w[1] == 5 && p.v == 3);
    }
    opt_ctx_free(ctx);
    remove(FILE_NAME);
}

/* ---- JSON ---------------------------------------------------------------------------------------------- */

static void what_is_no_json_is_refused(void **state)
{
    static const char *const cases[][2] = {
        {"", "byte 0 of the header: no '{' to begin with"},
        {" " WV, "byte 0 of the header: no '{' to begin with"},
        {"\xef\xbb\xbf" WV, "byte 0 of the header: no '{' to begin with"},
        {"[]", "no '{' to begin with"},
        {"null", "no '{' to begin with"},
        {"{", "'\"' is missing"},
        {"{" W, "'}' is missing"},
        {"{" W ",", "'\"' is missing"},
        {"{" W "," V, "'}' is missing"},
        {"{" W "," V ",}", "'\"' is missing"},
        {"{," W "," V "}", "'\"' is missing"},
        {"{" W " " V "}", "'}' is missing"},
        {"{" W ";" V "}", "'}' is missing"},
        {WV "x", "there is more behind the end"},
        {WV "{}", "there is more behind the end"},
        {WV "\v", "there is more behind the end"},
        {"{w:{}}", "'\"' is missing"},
        {"{'w':{}}", "'\"' is missing"},
        {"{\"w\"}", "':' is missing"},
        {"{\"w\":}", "'{' is missing"},
        {"{\"w\":null}", "'{' is missing"},
        {"{\"w\":3}", "'{' is missing"},
        {"{\"w\":\"x\"}", "'{' is missing"},
        {"{\"w\":[]}", "'{' is missing"},
        {"{/**/" W "," V "}", "'\"' is missing"},
        {"{\"__metadata__\":nul," W "," V "}", "'{' is missing"},
        {"{\"__metadata__\":nulls," W "," V "}", "'}' is missing"},
        {"{\"__metadata__\":null", "'}' is missing"},
        {"{\"w\":{\"dtype\":\"F64\",}}", "'\"' is missing"},
        {"{\"w\":{\"dtype\":F64}}", "'\"' is missing"},
        {"{\"w\":{\"dtype\":\"F64\",\"shape\":2}}", "'[' is missing"},
        {"{\"w\":{\"dtype\":\"F64\",\"shape\":[2}}", "']' is missing"},
        {"{\"w\":{\"dtype\":\"F64\",\"shape\":[,2]}}", "a whole number is missing"},
        {"{\"w\":{\"dtype\":\"F64\",\"shape\":[2,]}}", "a whole number is missing"},
        {"{\"w\":{\"dtype\":\"F64\",\"shape\":[[2]]}}", "a whole number is missing"},
        {NULL, NULL},
    };

    (void)state;
    check_headers(cases);
}

#define NUMBER(shape, offsets)                                                                               \
    "{\"w\":{\"dtype\":\"F64\",\"shape\":[" shape "],\"data_offsets\":[" offsets "]}," V "}"

static void numbers_that_are_no_counts_are_refused(void **state)
{
    static const char *const cases[][2] = {
        {NUMBER("-2", "0,16"), "a whole number is missing"},
        {NUMBER("+2", "0,16"), "a whole number is missing"},
        {NUMBER("02", "0,16"), "a number begins with 0"},
        {NUMBER("00", "0,16"), "a number begins with 0"},
        {NUMBER("2.0", "0,16"), "']' is missing"},
        {NUMBER("2e0", "0,16"), "']' is missing"},
        {NUMBER("0x2", "0,16"), "']' is missing"},
        {NUMBER("2 0", "0,16"), "']' is missing"},
        {NUMBER("\"2\"", "0,16"), "a whole number is missing"},
        {NUMBER("true", "0,16"), "a whole number is missing"},
        {NUMBER("NaN", "0,16"), "a whole number is missing"},
        {NUMBER("9223372036854775808", "0,16"), "a number is too large"},
        {NUMBER("18446744073709551618", "0,16"), "a number is too large"},
        {NUMBER("99999999999999999999999999", "0,16"), "a number is too large"},
        {NUMBER("9223372036854775807", "0,16"), "the size of a tensor overflows"},
        {NUMBER("4294967296,4294967296,2", "0,16"), "the size of a tensor overflows"},
        {NUMBER("2305843009213693954", "0,16"), "the size of a tensor overflows"}, /* times 8: 16 mod 2^64 */
        {NUMBER("288230376151711746", "0,16"), "the size of a tensor overflows"},  /* times 64: 128 */
        {NUMBER("4294967296,4294967296,0", "0,0"), "the size of a tensor overflows"},
        {NUMBER("2", "-0,16"), "a whole number is missing"},
        {NUMBER("2", "0.0,16"), "',' is missing"},
        {NUMBER("2", "0,16.0"), "']' is missing"},
        {NUMBER("2", "00,16"), "a number begins with 0"},
        {NUMBER("2", "0,016"), "a number begins with 0"},
        {NUMBER("2", "0"), "',' is missing"},
        {NUMBER("2", "0,16,20"), "']' is missing"},
        {NUMBER("2", ""), "a whole number is missing"},
        {NUMBER("2", "9223372036854775792,9223372036854775808"), "a number is too large"},
        {NULL, NULL},
    };

    (void)state;
    check_headers(cases);
}

#define NAME(name) "{\"" name "\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]}," V "}"

static void strings_that_are_none_are_refused(void **state)
{
    static const char *const cases[][2] = {
        {"{\"w", "a string has no end"},
        {"{\"w\\", "an escape is unknown"},
        {"{\"w\\\"", "a string has no end"},
        {"{\"w\\u", "an escape is unknown"},
        {"{\"w\\u00", "an escape is unknown"},
        {"{\"w\\ud800", "half of a surrogate pair is missing"},
        {"{\"w\\ud800\\", "half of a surrogate pair is missing"},
        {"{\"w\\ud800\\u", "half of a surrogate pair is missing"},
        {"{\"w\\ud800\\ue000", "half of a surrogate pair is missing"},
        {"{\"w\xe0\x80\x80", "not UTF-8"},
        {"{\"w\":{\"dtype\":\"F64\",\"shape\":[2", "']' is missing"},
        {"{\"w\\ud800\\udc0", "half of a surrogate pair is missing"},
        {NAME("\\x41"), "an escape is unknown"},
        {NAME("\\'"), "an escape is unknown"},
        {NAME("\\0"), "an escape is unknown"},
        {NAME("\\U0041"), "an escape is unknown"},
        {NAME("\\u004g"), "an escape is unknown"},
        {NAME("\\u 041"), "an escape is unknown"},
        {NAME("\\u+041"), "an escape is unknown"},
        {NAME("\\ud800"), "half of a surrogate pair is missing"},
        {NAME("\\ud800x"), "half of a surrogate pair is missing"},
        {NAME("\\udc00"), "half of a surrogate pair is missing"},
        {NAME("\\udc00\\ud800"), "half of a surrogate pair is missing"},
        {NAME("\\ud800\\ud800"), "half of a surrogate pair is missing"},
        {NAME("\\ud800\\u0041"), "half of a surrogate pair is missing"},
        {NAME("\\u0000"), "a string holds a NUL"},
        {NAME("w\\u0000"), "a string holds a NUL"},
        {NAME("a\nb"), "a control character in a string"},
        {NAME("a\x1f"), "a control character in a string"},
        {NAME("\xff"), "not UTF-8"},
        {NAME("\x80"), "not UTF-8"},
        {NAME("\xc0\x80"), "not UTF-8"},
        {NAME("\xc3"), "not UTF-8"},
        {NAME("\xe2\x82"), "not UTF-8"},
        {NAME("\xed\xa0\x80"), "not UTF-8"},
        {NAME("\xf4\x90\x80\x80"), "not UTF-8"},
        {NAME("\xf8\x88\x80\x80\x80"), "not UTF-8"},
        {"{\"\xe2\x82", "not UTF-8"},
        {"{\"__metadata__\":{\"a\":\"\\q\"}," W "," V "}", "an escape is unknown"},
        {"{\"__metadata__\":{\"\\q\":\"a\"}," W "," V "}", "an escape is unknown"},
        {NULL, NULL},
    };

    (void)state;
    check_headers(cases);
    write_tensor_file(FILE_NAME, WV, data, DATA); /* and a NUL as it is */
    {
        bytes file = slurp(FILE_NAME);

        file.at[8 + 2] = '\0';
        spill(FILE_NAME, file.at, file.n);
        free(file.at);
    }
    check_refused("a control character in a string");
}

/* ---- Tensors ------------------------------------------------------------------------------------------- */

#define MEMBERS(members) "{\"w\":{" members "}," V "}"
#define DTYPE            "\"dtype\":\"F64\""
#define SHAPE            "\"shape\":[2]"
#define OFFSETS          "\"data_offsets\":[0,16]"

static void members_are_three(void **state)
{
    static const char *const cases[][2] = {
        {MEMBERS(""), "'\"' is missing"},
        {MEMBERS(SHAPE "," OFFSETS), "w: dtype, shape or data_offsets is missing"},
        {MEMBERS(DTYPE "," OFFSETS), "w: dtype, shape or data_offsets is missing"},
        {MEMBERS(DTYPE "," SHAPE), "w: dtype, shape or data_offsets is missing"},
        {MEMBERS(DTYPE "," SHAPE "," OFFSETS "," DTYPE), "w: member dtype is there twice"},
        {MEMBERS(DTYPE "," SHAPE "," SHAPE "," OFFSETS), "w: member shape is there twice"},
        {MEMBERS(DTYPE "," OFFSETS "," SHAPE "," OFFSETS), "w: member data_offsets is there twice"},
        {MEMBERS(DTYPE "," SHAPE "," OFFSETS ",\"\\u0064type\":\"F64\""), "w: member dtype is there twice"},
        {MEMBERS(DTYPE "," SHAPE "," OFFSETS ",\"strides\":[1]"), "w: member strides is unknown"},
        {MEMBERS("\"Dtype\":\"F64\"," SHAPE "," OFFSETS), "w: member Dtype is unknown"},
        {MEMBERS("\"\":\"F64\"," SHAPE "," OFFSETS), "w: member  is unknown"},
        {MEMBERS("\"dtype\":\"f64\"," SHAPE "," OFFSETS), "w: elements of type f64 are unknown"},
        {MEMBERS("\"dtype\":\"F64 \"," SHAPE "," OFFSETS), "w: elements of type F64  are unknown"},
        {MEMBERS("\"dtype\":\"\"," SHAPE "," OFFSETS), "w: elements of type  are unknown"},
        {MEMBERS("\"dtype\":\"F128\"," SHAPE "," OFFSETS), "w: elements of type F128 are unknown"},
        {MEMBERS("\"dtype\":\"F32\"," SHAPE "," OFFSETS), "w: data_offsets do not fit its shape"},
        {MEMBERS("\"dtype\":\"F4\",\"shape\":[33]," OFFSETS), "w: data_offsets do not fit its shape"},
        {MEMBERS("\"dtype\":\"F6_E2M3\",\"shape\":[21]," OFFSETS), "w: data_offsets do not fit its shape"},
        {MEMBERS(DTYPE ",\"shape\":[3]," OFFSETS), "w: data_offsets do not fit its shape"},
        {MEMBERS(DTYPE ",\"shape\":[]," OFFSETS), "w: data_offsets do not fit its shape"},
        {MEMBERS(DTYPE ",\"shape\":[2,0]," OFFSETS), "w: data_offsets do not fit its shape"},
        {MEMBERS(DTYPE "," SHAPE ",\"data_offsets\":[16,0]"), "w: data_offsets do not fit its shape"},
        {NULL, NULL},
    };

    (void)state;
    check_headers(cases);
}

#define OTHER(name, shape, from, to)                                                                         \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" from "," to "]}"

static void data_is_used_once_and_wholly(void **state)
{
    static const char *const cases[][2] = {
        {"{" W "}", "20 bytes of data where the header says 16"},
        {"{}", "20 bytes of data where the header says 0"},
        {"{" OTHER("v", "1", "16", "20") "}", "v: its data begins at 16, that before it ends at 0"},
        {"{" W "," OTHER("v", "1", "12", "16") "}", "v: its data begins at 12, that before it ends at 16"},
        {"{" W "," OTHER("v", "1", "17", "21") "}", "v: its data begins at 17, that before it ends at 16"},
        {"{" W "," OTHER("v", "2", "16", "24") "}", "20 bytes of data where the header says 24"},
        {"{" W "," OTHER("a", "4", "0", "16") "," V "}", "its data begins at 0, that before it ends at 16"},
        {"{" W "," OTHER("a", "0", "8", "8") "," V "}", "its data begins at 8, that before it ends at 16"},
        {"{" W "," V "," OTHER("z", "1", "9223372036854775800", "9223372036854775804") "}",
         "z: its data begins at 9223372036854775800, that before it ends at 20"},
        {"{" W "," V "," OTHER("z", "0", "24", "24") "}", "z: its data begins at 24"},
        {NULL, NULL},
    };

    (void)state;
    check_headers(cases);
}

static void two_of_a_kind_are_refused(void **state)
{
    static const char *const cases[][2] = {
        {"{" W "," OTHER("w", "1", "16", "20") "}", "two tensors of the name w"},
        {"{" W "," OTHER("\\u0077", "1", "16", "20") "}", "two tensors of the name w"},
        {"{" W "," V "," OTHER("v", "0", "20", "20") "}", "two tensors of the name v"},
        {"{\"__metadata__\":{}," W ",\"__metadata__\":{}," V "}", "a second __metadata__"},
        {"{\"__metadata__\":{}," W ",\"\\u005f_metadata__\":{}," V "}", "a second __metadata__"},
        {"{\"__metadata__\":{\"a\":\"1\",\"b\":\"2\",\"a\":\"1\"}," W "," V "}",
         "two texts under a in the metadata"},
        {"{\"__metadata__\":{\"a\":\"1\",\"b\":\"2\",\"\\u0061\":\"3\"}," W "," V "}",
         "two texts under a in the metadata"},
        {NULL, NULL},
    };

    (void)state;
    check_headers(cases);
}

static void metadata_is_text(void **state)
{
    static const char *const cases[][2] = {
        {"{\"__metadata__\":true," W "," V "}", "'{' is missing"},
        {"{\"__metadata__\":[]," W "," V "}", "'{' is missing"},
        {"{\"__metadata__\":\"a\"," W "," V "}", "'{' is missing"},
        {"{\"__metadata__\":{\"a\":1}," W "," V "}", "'\"' is missing"},
        {"{\"__metadata__\":{\"a\":null}," W "," V "}", "'\"' is missing"},
        {"{\"__metadata__\":{\"a\":{\"b\":\"c\"}}," W "," V "}", "'\"' is missing"},
        {"{\"__metadata__\":{\"a\":[\"b\"]}," W "," V "}", "'\"' is missing"},
        {"{\"__metadata__\":{\"a\"}," W "," V "}", "':' is missing"},
        {"{\"__metadata__\":{\"a\":\"b\",}," W "," V "}", "'\"' is missing"},
        {"{\"__metadata__\":{\"a\":\"b\"", "'}' is missing"},
        {"{\"__metadata__\":{", "'\"' is missing"},
        {"{" W "," V ",\"__metadata__\":", "'{' is missing"},
        {NULL, NULL},
    };

    (void)state;
    check_headers(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_files_of_others_are_read),
        cmocka_unit_test(others_of_any_type_are_passed_over),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(numbers_that_are_no_counts_are_refused),
        cmocka_unit_test(strings_that_are_none_are_refused),
        cmocka_unit_test(members_are_three),
        cmocka_unit_test(data_is_used_once_and_wholly),
        cmocka_unit_test(two_of_a_kind_are_refused),
        cmocka_unit_test(metadata_is_text),
    };

    remove(FILE_NAME);
    return cmocka_run_group_tests_name("checkpoint broken", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Comma-separated values that are not, and files that cannot be read: always a status, with the tensor
 * untouched unless it is OPT_OK, nothing leaked, and no more allocated than the file's size warrants.
 */
#define _POSIX_C_SOURCE 200809L /* mkfifo, alarm; NOLINT: reserved, and meant to be defined */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "posix.h"
#include "support.h"

#define FILE_NAME    "test_data_csv_broken.tmp"
#define COUNT(array) ((int64_t)(sizeof(array) / sizeof *(array)))

/* Two columns wanted of four. */
static const char *const names[] = {"c", "a"};
static const opt_csv_opts plain = {0}, named = {.header = true, .names = names, .ncolumns = 2},
                          lenient = {.header = true, .missing_ok = true, .dtype = OPT_F32};

static const char whole[] = "\xef\xbb\xbf"
                            "a,\"b\"\"\",c\r\n1,\"x\r\n,\",-.5e1\n\n\"2\", ,inf";
#define WHOLE (sizeof whole - 1)

static void spill(const void *from, size_t n)
{
    FILE *f = fopen(FILE_NAME, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(from, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* Reads a file of `size` bytes with an allocator that counts. OPT_OK: as many numbers as could be in the file
 * are there and all can be read; otherwise the message has the path and says `part`. */
static opt_status read_counted(const char *path, size_t size, const opt_csv_opts *opts, const char *part)
{
    opt_tensor out, before;
    opt_ctx *ctx;
    opt_status s;
    count c;

    memset(&out, 0x5a, sizeof out);
    memcpy(&before, &out, sizeof out);
    count_init(&c);
    ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
    s = opt_read_csv(ctx, path, opts, &out);
    assert_true(c.peak < 10000 + 17 * size);
    if (s == OPT_OK) {
        double sum = 0;

        assert_in_range(opt_tensor_len(&out), 1, size + 1); /* n commas part n + 1 fields */
        for (int64_t i = 0; i < opt_tensor_len(&out); i++)
            sum += opt_get(&out, i);
        assert_true(sum < 1 || sum >= 1 || sum != sum);
        opt_tensor_free(ctx, &out);
    } else {
        assert_memory_equal(&out, &before, sizeof out);
        assert_fails(ctx, s, s, path);
        assert_fails(ctx, s, s, part);
    }
    assert_int_equal(c.live, 1);
    opt_ctx_free(ctx);
    assert_int_equal(c.live, 0);
    return s;
}

static opt_status read_bytes(const void *bytes, size_t n, const opt_csv_opts *opts, const char *part)
{
    opt_status s;

    spill(bytes, n);
    s = read_counted(FILE_NAME, n, opts, part);
    remove(FILE_NAME);
    return s;
}

/* Reads the file in three ways; returns how many of them came to OPT_OK. */
static int read_all_ways(size_t n)
{
    return (read_counted(FILE_NAME, n, &named, "") == OPT_OK) +
           (read_counted(FILE_NAME, n, &lenient, "") == OPT_OK) +
           (read_counted(FILE_NAME, n, &plain, "") == OPT_OK);
}

/* Does so with every byte changed to every value. */
static int read_changed(const char *bytes, size_t n)
{
    int read = 0;
    FILE *f;

    spill(bytes, n);
    f = fopen(FILE_NAME, "r+b");
    assert_non_null(f);
    setbuf(f, NULL);
    for (size_t at = 0; at < n; at++) {
        for (int value = 0; value <= 256; value++) {
            fseek(f, (long)at, SEEK_SET);
            fputc(value < 256 ? value : bytes[at], f);
            read += value < 256 ? read_all_ways(n) : 0;
        }
    }
    fclose(f);
    remove(FILE_NAME);
    return read;
}

static void check_refused(const char *text, const opt_csv_opts *opts, const char *part)
{
    assert_int_equal(read_bytes(text, strlen(text), opts, part), OPT_EFORMAT);
}

/* ---- Damaged files ------------------------------------------------------------------------------------- */

static void a_whole_file_is_read(void **state)
{
    (void)state;
    assert_int_equal(read_bytes(whole, WHOLE, &named, ""), OPT_OK);
    check_refused(whole, &lenient, "line 2, field 2: \"x??,\" is not a number that f32 can hold");
    check_refused(whole, &plain, "line 1, field 1: \"a\" is not a number");
}

/* What is left is refused, unless it has a record that looks whole. */
static void files_may_be_cut_short_anywhere(void **state)
{
    const size_t first_record = (size_t)(strstr(whole, "-.5") - whole) + 2;

    (void)state;
    for (size_t n = 0; n < WHOLE; n++) {
        spill(whole, n);
        if (read_all_ways(n) > 0)
            assert_true(n > first_record);
        remove(FILE_NAME);
    }
}

static void any_byte_may_be_wrong(void **state)
{
    static const char numbers[] = "1,2.5e1\r\n\"3\",-4\n";
    const int read_whole = read_changed(whole, WHOLE), n = sizeof numbers - 1,
              read_numbers = read_changed(numbers, sizeof numbers - 1);

    (void)state;
    assert_in_range(read_whole, 256, 512 * WHOLE);
    assert_in_range(read_numbers, 256, 512 * n);
}

/* Pieces that matter, in any order. */
static void random_pieces_are_refused_or_read(void **state)
{
    static const char *const pieces[] = {"\"", ",", ",",    ",",    "\n",    "\n",  "\r\n", "\r",
                                         "1",  "1", "\xff", "-2e3", "\"2\"", "inf", " ",    "\"\"\n"};
    uint32_t random = 1;
    int read = 0;

    (void)state;
    for (int n = 0; n < 2000; n++) {
        char text[256];
        size_t used = (size_t)snprintf(text, sizeof text, "%s", n % 2 ? "a,b,c\n" : "1,2\n3");

        for (int i = n % 16; i >= 0; i--) {
            random = random * 1664525U + 1013904223U;
            used += (size_t)snprintf(text + used, sizeof text - used, "%s", pieces[random >> 28]);
        }
        spill(text, used);
        read += read_all_ways(used);
        remove(FILE_NAME);
    }
    assert_in_range(read, 20, 1000);
}

static void files_without_records_are_refused(void **state)
{
    static const char *const texts[] = {"", "\n", "\r\n\n\n", "\xef\xbb\xbf", "\xef\xbb\xbf\r\n"};
    static const char *const headers[] = {"a,b,c", "a,b,c\n", "\n\na,b,c\r\n\r\n", "\"a\n\",b", "\"\""};

    (void)state;
    for (int64_t i = 0; i < COUNT(texts); i++) {
        check_refused(texts[i], &plain, "there are no records");
        check_refused(texts[i], &named, "there are no records");
    }
    for (int64_t i = 0; i < COUNT(headers); i++)
        check_refused(headers[i], &named, "there are no records but the header");
}

static void quotes_that_are_never_closed_are_refused(void **state)
{
    (void)state;
    check_refused("1,2\n3,\"4\n5,6\n", &plain, "line 2, field 2: the quotes that open here are never closed");
    check_refused("\"", &plain, "line 1, field 1: the quotes that open here are never closed");
    check_refused("1\n\n\"\"\"", &plain, "line 3, field 1: the quotes that open here are never closed");
    check_refused("a,b,c\n1,2,3\n1,\"\n\n,3\n", &named, "line 3, field 2: the quotes that open here");
}

static void quotes_within_a_field_are_refused(void **state)
{
    (void)state;
    check_refused("1\n2,3\"\n", &plain, "line 2, field 2: there are quotes within a field");
    check_refused("a,b,c\n1,x\"y\",2\n", &named, "line 2, field 2: there are quotes within a field");
    check_refused(" \"1\"\n", &plain, "line 1, field 1: there are quotes within a field");
}

static void text_behind_closing_quotes_is_refused(void **state)
{
    (void)state;
    check_refused("1\n\"2\"3\n", &plain, "line 2, field 1: there is something between closing quotes");
    check_refused("\"1\" \n", &plain, "line 1, field 1: there is something between closing quotes");
    check_refused("a,b,c\n1,\"\n\"\"\"x,2\n", &named, "line 2, field 2: there is something between closing");
}

static void ragged_records_are_refused(void **state)
{
    (void)state;
    check_refused("1,2\n3\n", &plain, "line 2, field 1: there are fewer fields than in the first record");
    check_refused("1,2\n3,4,5\n", &plain, "line 2, field 3: there are more fields than in the first record");
    check_refused("1,2\n3,4\n5", &plain, "line 3, field 1: there are fewer fields than in the first record");
    check_refused("1\n2,", &plain, "line 2, field 2: there are more fields than in the first record");
    check_refused("a,b,c\n1,2\n", &named, "line 2, field 2: there are fewer fields than in the first record");
}

static void only_unwanted_columns_may_hold_anything(void **state)
{
    static const char zero[] = "a,b,c\n1,\0,2\n", within[] = "a,b,c\n1,2,3\n1,2,3\0\n",
                      utf8[] = "a,\xff\xfe,c\n1,\xc3\x28\x80,2\n1,\"\xf8\n\",2\n",
                      wanted[] = "a,b,c\n1,2,\xff\n", all_zero[] = "\0\0\0";

    (void)state;
    assert_int_equal(read_bytes(zero, sizeof zero - 1, &named, ""), OPT_OK);
    assert_int_equal(read_bytes(within, sizeof within - 1, &named, "line 3, field 3: "), OPT_EFORMAT);
    assert_int_equal(read_bytes(utf8, sizeof utf8 - 1, &named, ""), OPT_OK);
    assert_int_equal(read_bytes(wanted, sizeof wanted - 1, &named, "line 2, field 3: "), OPT_EFORMAT);
    assert_int_equal(read_bytes(all_zero, sizeof all_zero - 1, &plain, "line 1, field 1: "), OPT_EFORMAT);
}

/* A record whose first, second and third field are filled up to so many bytes. */
static opt_status read_long(size_t a, size_t b, size_t c, const char *part)
{
    char *text = malloc(a + b + c + 32);
    size_t n = 6;
    opt_status s;

    assert_non_null(text);
    memcpy(text, "a,b,c\n", n);
    memset(text + n, '0', a);
    text[n += a] = ',';
    memset(text + ++n, 'x', b);
    text[n += b] = ',';
    memset(text + ++n, '1', c);
    n += c;
    s = read_bytes(text, n, &named, part);
    free(text);
    return s;
}

static void only_unwanted_fields_may_be_very_long(void **state)
{
    (void)state;
    assert_int_equal(read_long(1024, 1 << 20, 100, ""), OPT_OK);
    assert_int_equal(read_long(1025, 1, 1, "line 2, field 1: a number has more than 1024"), OPT_EFORMAT);
    assert_int_equal(read_long(1, 1025, 1 << 20, "line 2, field 3: a number has more than 1024"),
                     OPT_EFORMAT);
    assert_int_equal(read_long(1, 1, 1024, "line 2, field 3: \"1111"), OPT_EFORMAT); /* it overflows */
}

/* The dearest file there is: every byte a field. */
static void memory_stays_within_the_files_size(void **state)
{
    enum { N = 100000 };
    char *text = malloc(N);
    const opt_csv_opts o = {.missing_ok = true};

    (void)state;
    assert_non_null(text);
    memset(text, ',', N);
    assert_int_equal(read_bytes(text, N, &o, ""), OPT_OK);
    text[1] = '\n';
    assert_int_equal(read_bytes(text, N, &o, "line 2, field 3: there are more fields"), OPT_EFORMAT);
    for (size_t i = 0; i < N; i++)
        text[i] = i % 2 ? '\n' : '1';
    assert_int_equal(read_bytes(text, N, &o, ""), OPT_OK);
    free(text);
}

/* ---- Places -------------------------------------------------------------------------------------------- */

static void what_is_no_regular_file_is_refused(void **state)
{
    (void)state;
#ifndef _WIN32
    remove(FILE_NAME);
    assert_int_equal(mkfifo(FILE_NAME, 0600), 0);
    alarm(20); /* which ends the program if the FIFO makes us wait for a writer */
    assert_int_equal(read_counted(FILE_NAME, 0, &plain, "not a regular file"), OPT_EIO);
    alarm(0);
    remove(FILE_NAME);
#endif
    assert_int_equal(read_counted(".", 0, &plain, "not a regular file"), OPT_EIO);
    assert_int_equal(read_counted("/dev/zero", 0, &plain, "/dev/zero"), OPT_EIO);
    assert_int_equal(read_counted("/dev/null", 0, &plain, "/dev/null"), OPT_EIO);
}

static void what_cannot_be_opened_or_read_is_named(void **state)
{
    FILE *unreadable = fopen("/proc/self/mem", "rb");

    (void)state;
    assert_int_equal(read_counted("no such file.csv", 0, NULL, "cannot be opened"), OPT_EIO);
    assert_int_equal(read_counted("", 0, NULL, "cannot be opened"), OPT_EIO);
    assert_int_equal(read_counted("no such folder/x.csv", 0, NULL, "cannot be opened"), OPT_EIO);
    if (unreadable == NULL)
        return;
    fclose(unreadable);
    assert_int_equal(read_counted("/proc/self/mem", 0, NULL, "reading failed"), OPT_EIO); /* page 0 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_file_is_read),
        cmocka_unit_test(files_may_be_cut_short_anywhere),
        cmocka_unit_test(any_byte_may_be_wrong),
        cmocka_unit_test(random_pieces_are_refused_or_read),
        cmocka_unit_test(files_without_records_are_refused),
        cmocka_unit_test(quotes_that_are_never_closed_are_refused),
        cmocka_unit_test(quotes_within_a_field_are_refused),
        cmocka_unit_test(text_behind_closing_quotes_is_refused),
        cmocka_unit_test(ragged_records_are_refused),
        cmocka_unit_test(only_unwanted_columns_may_hold_anything),
        cmocka_unit_test(only_unwanted_fields_may_be_very_long),
        cmocka_unit_test(memory_stays_within_the_files_size),
        cmocka_unit_test(what_is_no_regular_file_is_refused),
        cmocka_unit_test(what_cannot_be_opened_or_read_is_named),
    };

    remove(FILE_NAME);
    return cmocka_run_group_tests_name("data_csv_broken", tests, NULL, NULL);
}

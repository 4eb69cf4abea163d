/* SPDX-License-Identifier: MIT
 *
 * Comma-separated values where memory is short, or while something else writes to the file: a status, with
 * the tensor untouched and nothing leaked.
 */
#include <stdio.h>
#include <string.h>

#include "support.h"

#define FILE_NAME "test_data_csv_memory.tmp"

static const char *const names[] = {"c", "a"};
static const opt_csv_opts named = {.header = true, .names = names, .ncolumns = 2};

static void write_records(const char *record, int times)
{
    FILE *f = fopen(FILE_NAME, "wb");

    assert_non_null(f);
    fputs("a,b,c\n", f);
    for (int i = 0; i < times; i++)
        fputs(record, f);
    assert_int_equal(fclose(f), 0);
}

/* Whether the read fails for want of memory when allocation number n, from 0, does. */
static bool meets_failure(long n, const opt_csv_opts *opts)
{
    opt_tensor out, before;
    opt_status s;
    opt_ctx *ctx;
    count c;

    memset(&out, 0x5a, sizeof out);
    memcpy(&before, &out, sizeof out);
    count_init(&c);
    ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
    c.fail_from = c.calls + n;
    s = opt_read_csv(ctx, FILE_NAME, opts, &out);
    if (s == OPT_OK) {
        opt_tensor_free(ctx, &out);
    } else {
        assert_fails(ctx, s, OPT_ENOMEM, "memory");
        assert_memory_equal(&out, &before, sizeof out);
    }
    assert_int_equal(c.live, 1);
    opt_ctx_free(ctx);
    return s != OPT_OK;
}

static void check_every_failure(const opt_csv_opts *opts)
{
    long n = 0;

    write_records("1,\"2\",3\n", 3);
    while (meets_failure(n, opts))
        n++;
    assert_in_range(n, 1, 10);
    remove(FILE_NAME);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    check_every_failure(&named);
    check_every_failure(&(opt_csv_opts){.header = true, .columns = (int64_t[]){2, 0}, .ncolumns = 2});
}

/* An allocator that writes the file anew when asked for block number `when`, which is after it was looked at
 * for its shape. */
typedef struct meddler {
    count c;
    long when;
    const char *record; /* repeated `times` times */
    int times;
} meddler;

static void *meddle(void *ud, void *p, size_t old_size, size_t new_size)
{
    meddler *m = ud;

    if (new_size > 0 && m->c.calls == m->when)
        write_records(m->record, m->times);
    return m->c.allocator.alloc(&m->c, p, old_size, new_size);
}

static void check_meddled(long when, const char *record, int times, const char *part)
{
    meddler m = {.when = when, .record = record, .times = times};
    opt_tensor t = {0};
    opt_ctx *ctx;

    count_init(&m.c);
    write_records("1,2,3\n", 10000); /* more than stdio keeps */
    ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = {meddle, &m}});
    assert_fails(ctx, opt_read_csv(ctx, FILE_NAME, &named, &t), OPT_EFORMAT, part);
    assert_null(t.data);
    assert_int_equal(m.c.live, 1);
    opt_ctx_free(ctx);
    remove(FILE_NAME);
}

static void files_may_change_while_they_are_read(void **state)
{
    (void)state;
    for (long when = 1; when <= 2; when++) { /* before the columns are chosen, or the numbers read */
        check_meddled(when, "1,2,3\n", 10001, "the file has grown");
        check_meddled(when, "1,2,3\n", 9999, "the file has shrunk");
        check_meddled(when, "", 0, "");
        check_meddled(when, "1,2,3,4\n", 10000, "there are more fields than in the first record");
        check_meddled(when, "1,2\n", 10000, "there are fewer fields than in the first record");
        check_meddled(when, "1,2,x\n", 10000, "is not a number");
        check_meddled(when, "1,\",3\n", 10000, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(files_may_change_while_they_are_read),
    };

    remove(FILE_NAME);
    return cmocka_run_group_tests_name("data_csv_memory", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Checkpoints that were damaged, cut short or made up: whatever their bytes, opt_load comes back with a
 * status, in time and with no more memory than the file is large, and nothing has changed.
 */
#define _POSIX_C_SOURCE 200809L /* ftruncate; NOLINT: reserved, and meant to be defined */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "problem.h"
#include "tensor_file.h"

#define FILE_NAME "test_checkpoint_damaged.tmp"
#define BEFORE    "test_checkpoint_damaged_before.tmp"
#define AFTER     "test_checkpoint_damaged_after.tmp"

#ifndef MANY
#define MANY 1000000 /* tensors; fewer where a sanitizer takes its time */
#endif

static void clean(void)
{
    remove(FILE_NAME);
    remove(FILE_NAME ".bak");
    remove(BEFORE);
    remove(AFTER);
}

/* A checkpoint with all there can be, and a job that another one is to be loaded into. */
static bytes make_file(opt_ctx *ctx, job *into)
{
    trace t = {.step = 5, .answer = OPT_STOP};
    bytes file;
    job j;

    job_new(&j, ctx, &opt_adam, NULL, NULL);
    assert_ok(ctx, job_train(&j, 4, &t));
    assert_ok(ctx, opt_save(ctx, FILE_NAME, j.model.params, j.optim, j.batches));
    job_free(&j);
    file = slurp(FILE_NAME);
    job_new(into, ctx, &opt_adam, NULL, NULL);
    t = (trace){.step = 2, .answer = OPT_STOP};
    assert_ok(ctx, job_train(into, 4, &t));
    write_state(ctx, BEFORE, into->model.params, into->optim, into->batches);
    return file;
}

/* The job refuses the file that is there, all of it or its weights alone. */
static void check_refused(job *j, bool settings_may_differ)
{
    opt_ctx *ctx = j->p.ctx;
    const snapshot before = job_snapshot(j);
    snapshot after;
    opt_status s = opt_load(ctx, FILE_NAME, j->model.params, j->optim, j->batches);

    if (!settings_may_differ || s != OPT_EINVAL)
        assert_true(s == OPT_EFORMAT || s == OPT_ESHAPE || s == OPT_EDTYPE);
    assert_memory_equal(opt_errmsg(ctx), FILE_NAME ": ", sizeof FILE_NAME + 1);
    s = opt_load(ctx, FILE_NAME, j->model.params, NULL, NULL);
    assert_true(s == OPT_EFORMAT || s == OPT_ESHAPE || s == OPT_EDTYPE);
    s = opt_load_named(ctx, FILE_NAME, j->model.params, NULL);
    assert_true(s == OPT_EFORMAT || s == OPT_ESHAPE || s == OPT_EDTYPE);
    after = job_snapshot(j);
    assert_memory_equal(&before, &after, sizeof before);
}

static void check_unchanged(job *j)
{
    write_state(j->p.ctx, AFTER, j->model.params, j->optim, j->batches);
    assert_true(same_file(BEFORE, AFTER));
}

/* ---- Damage -------------------------------------------------------------------------------------------- */

static void any_byte_may_be_wrong(void **state)
{
    static const unsigned char masks[] = {1, 0x80, 0xff};
    job j;
    bytes file = make_file(*state, &j);

    for (size_t at = 0; at < file.n; at++)
        for (size_t k = 0; k < sizeof masks; k++) {
            file.at[at] ^= masks[k];
            spill(FILE_NAME, file.at, file.n);
            check_refused(&j, true);
            file.at[at] ^= masks[k];
        }
    check_unchanged(&j);
    spill(FILE_NAME, file.at, file.n);
    assert_ok(*state, opt_load(*state, FILE_NAME, j.model.params, j.optim, j.batches));
    free(file.at);
    job_free(&j);
    clean();
}

static void files_cut_short_anywhere_are_refused(void **state)
{
    job j;
    bytes file = make_file(*state, &j);

    for (size_t n = 0; n < file.n; n++) {
        spill(FILE_NAME, file.at, n);
        check_refused(&j, false);
    }
    check_unchanged(&j);
    free(file.at);
    job_free(&j);
    clean();
}

static void bytes_behind_the_end_are_refused(void **state)
{
    job j;
    bytes file = make_file(*state, &j);

    for (size_t more = 1; more < 100; more++) {
        unsigned char *longer = calloc(file.n + more, 1);

        assert_non_null(longer);
        memcpy(longer, file.at, file.n);
        spill(FILE_NAME, longer, file.n + more);
        check_refused(&j, false);
        free(longer);
    }
    check_unchanged(&j);
    free(file.at);
    job_free(&j);
    clean();
}

/* Two bytes of data that change places are both there, but not what they were. */
static void the_sum_is_checked(void **state)
{
    job j;
    bytes file = make_file(*state, &j);
    const unsigned char last = file.at[file.n - 1];
    bytes moved;
    char *at;

    file.at[file.n - 1] = file.at[file.n - 2];
    file.at[file.n - 2] = last;
    spill(FILE_NAME, file.at, file.n);
    assert_fails(*state, opt_load(*state, FILE_NAME, j.model.params, j.optim, j.batches), OPT_EFORMAT,
                 FILE_NAME ": damaged: the sum of its bytes is ");
    assert_fails(*state, opt_load_named(*state, FILE_NAME, j.model.params, NULL), OPT_EFORMAT, "damaged");
    file.at[file.n - 2] = file.at[file.n - 1]; /* as it was, but for the mark of our files, or its place */
    file.at[file.n - 1] = last;
    at = strstr((char *)file.at + 8, "libopt");
    assert_non_null(at);
    at[0] = 'L';
    spill(FILE_NAME, file.at, file.n);
    assert_fails(*state, opt_load_named(*state, FILE_NAME, j.model.params, NULL), OPT_EFORMAT, "damaged");
    at[0] = 'l';
    edit_tensor_file(FILE_NAME, &file, "\"format\":\"libopt\",\"crc32\":\"00000000\"",
                     "\"crc32\":\"00000000\",\"format\":\"libopt\"");
    moved = slurp(FILE_NAME);
    moved.at[moved.n - 1] ^= 1;
    spill(FILE_NAME, moved.at, moved.n);
    assert_fails(*state, opt_load_named(*state, FILE_NAME, j.model.params, NULL), OPT_EFORMAT, "damaged");
    free(moved.at);
    edit_tensor_file(FILE_NAME, &file, "\"crc32\":\"00000000\",", "");
    assert_fails(*state, opt_load(*state, FILE_NAME, j.model.params, NULL, NULL), OPT_EFORMAT,
                 FILE_NAME ": the sum is missing in the metadata");
    check_unchanged(&j);
    free(file.at);
    job_free(&j);
    clean();
}

/* ---- Lengths ------------------------------------------------------------------------------------------- */

/* A file of this size that begins with these bytes and has zeros, which take no room, behind them; false
 * where there is none so large. */
static bool make_sparse(uint64_t header_length, const char *header, off_t size)
{
    unsigned char length[8];
    FILE *f = fopen(FILE_NAME, "wb");
    bool made;

    assert_non_null(f);
    for (int k = 0; k < 8; k++)
        length[k] = (unsigned char)(header_length >> (8 * k));
    assert_int_equal(fwrite(length, 1, 8, f), 8);
    assert_int_equal(fwrite(header, 1, strlen(header), f), strlen(header));
    assert_int_equal(fflush(f), 0);
    made = ftruncate(fileno(f), size) == 0;
    fclose(f);
    return made;
}

/* One parameter "w", f64 [2], is wanted of the file that is there; no more than `most` bytes are taken. */
static void load_w(bool named, size_t most, opt_status status, const char *part)
{
    double w[2] = {1, 2}, g[2] = {0};
    opt_param p = {.name = "w",
                   .value = opt_tensor_view(OPT_F64, w, 1, (int64_t[]){2}),
                   .grad = opt_tensor_view(OPT_F64, g, 1, (int64_t[]){2})};
    const opt_params params = {&p, 1};
    opt_ctx *ctx;
    opt_status s;
    count c;

    count_init(&c);
    ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
    s = named ? opt_load_named(ctx, FILE_NAME, params, NULL) : opt_load(ctx, FILE_NAME, params, NULL, NULL);
    if (status)
        assert_fails(ctx, s, status, part);
    else
        assert_ok(ctx, s);
    assert_true(c.peak < most + 10000);
    assert_int_equal(c.live, 1);
    assert_true(w[0] == (status ? 1 : 0));
    opt_ctx_free(ctx);
}

static void a_length_is_not_believed(void **state)
{
    static const uint64_t lengths[] = {
        9,         100, 100000000, 100000001, UINT32_MAX, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX - 7,
        UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (int named = 0; named < 2; named++) {
            assert_true(make_sparse(lengths[i], "{}", 16));
            load_w(named, 0, OPT_EFORMAT, "not a safetensors file, or cut short");
        }
    for (int named = 0; named < 2; named++) { /* as long as it says, but of zeros; and longer than may be */
        if (make_sparse(100000000, "", 100000008))
            load_w(named, 100000008, OPT_EFORMAT, "no '{' to begin with");
        if (make_sparse(100000001, "{", 100000009))
            load_w(named, 0, OPT_EFORMAT, "a header of 100000001 bytes");
    }
    clean();
}

/* A tebibyte of data takes neither memory nor time, unless it is wanted. */
static void data_that_is_not_wanted_is_passed_over(void **state)
{
    static const char header[] =
        "{\"a\":{\"dtype\":\"F64\",\"shape\":[137438953472],\"data_offsets\":[0,1099511627776]},"
        "\"w\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[1099511627776,1099511627792]}}";
    const off_t size = (off_t)(8 + sizeof header - 1 + 16) + ((off_t)1 << 40);

    (void)state;
    if (make_sparse(sizeof header - 1, header, size)) {
        load_w(true, 0, OPT_OK, "");
        load_w(false, 0, OPT_EFORMAT, "left over: a");
    }
    if (make_sparse(sizeof header - 1, header, size - 1))
        load_w(true, 0, OPT_EFORMAT, "bytes of data where the header says");
    clean();
}

static void a_tensor_larger_than_wanted_takes_no_memory(void **state)
{
    static const char header[] =
        "{\"w\":{\"dtype\":\"F64\",\"shape\":[137438953472],\"data_offsets\":[0,1099511627776]}}";

    (void)state;
    if (make_sparse(sizeof header - 1, header, (off_t)(8 + sizeof header - 1) + ((off_t)1 << 40)))
        for (int named = 0; named < 2; named++)
            load_w(named, 0, OPT_ESHAPE, "w is [137438953472] in the file and [2] here");
    clean();
}

/* ---- Depth and width ----------------------------------------------------------------------------------- */

static void check_deep(const char *start, char c)
{
    enum { DEEP = 1000000 };
    const size_t used = strlen(start);
    char *header = malloc(used + DEEP + 1);

    assert_non_null(header);
    memcpy(header, start, used);
    memset(header + used, c, DEEP);
    header[used + DEEP] = '\0';
    write_tensor_file(FILE_NAME, header, "", 0);
    for (int named = 0; named < 2; named++)
        load_w(named, used + DEEP, OPT_EFORMAT, "of the header: ");
    free(header);
}

static void nesting_may_be_deep(void **state)
{
    (void)state;
    check_deep("", '[');
    check_deep("", '{');
    check_deep("{\"w\":", '[');
    check_deep("{\"w\":", '{');
    check_deep("{\"w\":{\"dtype\":\"F64\",\"shape\":", '[');
    check_deep("{\"w\":{\"dtype\":\"F64\",\"data_offsets\":", '[');
    check_deep("{\"__metadata__\":", '{');
    check_deep("{\"__metadata__\":{\"a\":", '[');
    check_deep("{\"", '\\');
    check_deep("{\"w", ' ');
    clean();
}

/* Tensors by the million, found and sorted in a few seconds. */
static void tensors_may_be_many(void **state)
{
    const int64_t step = 370537, place_step = 611953; /* without a divisor that MANY has */
    char *header = malloc((size_t)MANY * 80 + 200), *to = header;
    const clock_t start = clock();

    (void)state;
    assert_non_null(header);
    to += sprintf(to, "{\"w\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]}");
    for (int i = 0; i < MANY; i++) {
        const int place = (int)(i * place_step % MANY); /* not in order */

        to += sprintf(to, ",\"t%07d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
                      (int)(i * step % MANY), 16 + place, 17 + place);
    }
    sprintf(to, "}");
    {
        unsigned char *zeros = calloc(MANY + 16, 1);

        assert_non_null(zeros);
        write_tensor_file(FILE_NAME, header, zeros, MANY + 16);
        free(zeros);
    }
    load_w(true, (size_t)(to - header) * 2, OPT_OK, "");
    load_w(false, (size_t)(to - header) * 2, OPT_EFORMAT, "left over: t0000000, ");
    assert_true(clock() - start < 60 * CLOCKS_PER_SEC); /* two without a sanitizer: not n squared steps */
    free(header);
    clean();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(any_byte_may_be_wrong),
        TEST(files_cut_short_anywhere_are_refused),
        TEST(bytes_behind_the_end_are_refused),
        TEST(the_sum_is_checked),
        cmocka_unit_test(a_length_is_not_believed),
        cmocka_unit_test(data_that_is_not_wanted_is_passed_over),
        cmocka_unit_test(a_tensor_larger_than_wanted_takes_no_memory),
        cmocka_unit_test(nesting_may_be_deep),
        cmocka_unit_test(tensors_may_be_many),
    };

    clean();
    return cmocka_run_group_tests_name("checkpoint damaged", tests, NULL, NULL);
}

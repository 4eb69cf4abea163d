/* SPDX-License-Identifier: MIT
 *
 * Data files, logs and threads with each of the system's calls failing in turn, and checkpoints where what
 * fails says why in other words. It is either of no importance, or comes to a status, and nothing is kept.
 */
#define _XOPEN_SOURCE 700 /* NOLINT: reserved, and meant to be defined */

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failing.h"
#include "idx_file.h"
#include "problem.h"
#include "tensor_file.h"

#define FILE_NAME "failing_elsewhere.tmp"

typedef opt_status job_of(opt_ctx *ctx);

/* A call of `f` with the n-th call failing; returns whether there was such a call. */
static bool fails_once(job_of *f, failing_how how, long n, opt_status *s)
{
    opt_ctx *ctx;
    long calls;
    count c;

    count_init(&c);
    ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
    assert_non_null(ctx);
    failing_begin(how, n);
    *s = f(ctx);
    calls = failing_end();
    if (*s != OPT_OK)
        assert_true(strlen(opt_errmsg(ctx)) > 10);
    assert_int_equal(c.live, 1);
    opt_ctx_free(ctx);
    return n < calls;
}

/* Each call fails in turn, for the reason `error`; returns how many came to OPT_EIO or OPT_ENOMEM. What comes
 * to `other` is let pass as well. */
static int fail_each(job_of *f, failing_how how, int error, opt_status other)
{
    opt_status s;
    int failed = 0;

    failing_with(error);
    for (long n = 0; fails_once(f, how, n, &s); n++) {
        assert_true(s == OPT_OK || s == OPT_EIO || s == OPT_ENOMEM || s == other);
        failed += s != OPT_OK;
        assert_in_range(n, 0, 5000);
    }
    assert_int_equal(s, OPT_OK);
    failing_with(EIO);
    return failed;
}

/* ---- Data files ---------------------------------------------------------------------------------------- */

static opt_status write_npy(opt_ctx *ctx)
{
    static const double x[] = {1, 2, 3};
    opt_tensor t = opt_tensor_view(OPT_F64, (void *)(uintptr_t)x, 1, (int64_t[]){3});

    return opt_write_npy(ctx, FILE_NAME, &t);
}

static opt_status read_npy(opt_ctx *ctx)
{
    opt_tensor t;
    const opt_status s = opt_read_npy(ctx, FILE_NAME, &t);

    if (!s) {
        assert_true(opt_tensor_len(&t) == 3 && opt_get(&t, 2) == 3);
        opt_tensor_free(ctx, &t);
    }
    return s;
}

static void npy_files_fail_with_a_status(void **state)
{
    (void)state;
    assert_in_range(fail_each(write_npy, FAIL_ONE, EIO, OPT_EIO), 8, 100);
    assert_in_range(fail_each(write_npy, FAIL_ALL, EIO, OPT_EIO), 8, 100);
    assert_in_range(fail_each(read_npy, FAIL_ONE, EIO, OPT_EIO), 4, 100);
    remove(FILE_NAME);
}

static opt_status read_csv(opt_ctx *ctx)
{
    static const char *const columns[] = {"b", "a"};
    opt_tensor t;
    const opt_status s =
        opt_read_csv(ctx, FILE_NAME, &(opt_csv_opts){.header = true, .names = columns, .ncolumns = 2}, &t);

    if (!s) {
        assert_true(opt_tensor_len(&t) == 4 && opt_get(&t, 0) == 2 && opt_get(&t, 3) == 3);
        opt_tensor_free(ctx, &t);
    }
    return s;
}

static void csv_files_fail_with_a_status(void **state)
{
    static const char text[] = "a,\"b\"\n1,2\r\n\"3\",4\n";

    (void)state;
    spill(FILE_NAME, text, sizeof text - 1);
    assert_in_range(fail_each(read_csv, FAIL_ONE, EIO, OPT_EFORMAT), 40, 200);
    assert_in_range(fail_each(read_csv, FAIL_ALL, EIO, OPT_EFORMAT), 40, 200);
    remove(FILE_NAME);
}

static opt_status read_idx(opt_ctx *ctx)
{
    opt_tensor t;
    const opt_status s = opt_read_idx(ctx, FILE_NAME, OPT_F32, &t);

    if (!s)
        opt_tensor_free(ctx, &t);
    return s;
}

static void compressed_files_fail_with_a_status(void **state)
{
    static idx_file f;
    opt_tensor t;

    idx_make_small(&f);
    for (const idx_file *form = &f; form != NULL; form = idx_next_form(form)) {
        spill(FILE_NAME, form->bytes, form->n);
        if (opt_read_idx(*state, FILE_NAME, OPT_F32, &t) != OPT_OK)
            break; /* built without zlib */
        opt_tensor_free(*state, &t);
        assert_in_range(fail_each(read_idx, FAIL_ONE, EIO, OPT_EIO), 5, 100);
        assert_in_range(fail_each(read_idx, FAIL_ONE, ENOMEM, OPT_EIO), 5, 100);
    }
    remove(FILE_NAME);
}

/* ---- Streams ------------------------------------------------------------------------------------------- */

/* Opens, and reads the two rows asked for. */
static opt_status stream(opt_ctx *ctx)
{
    float two[2];
    opt_tensor x = opt_tensor_view(OPT_F32, two, 2, (int64_t[]){2, 1}), y = {0};
    opt_stream *opened;
    opt_status s = opt_stream_open(ctx, FILE_NAME, NULL, NULL, &opened);
    opt_source source;

    if (s)
        return s;
    source = opt_source_stream(opened);
    s = source.read(source.ud, (int64_t[]){source.rows - 1, 0}, 2, &x, &y);
    if (!s)
        assert_true(two[0] == 0 && two[1] == 0);
    opt_stream_close(opened);
    return s;
}

/* Of zeros, which take no space on the disk. */
static void make_column(int64_t rows)
{
    idx_file f = {0};

    idx_put(&f, 0x0802, 4);
    idx_put(&f, (uint64_t)rows, 4);
    idx_put(&f, 1, 4);
    spill(FILE_NAME, f.bytes, f.n);
    assert_int_equal(truncate(FILE_NAME, 12 + rows), 0);
}

/* Small files are mapped; of large ones, rows here and there are read. */
static void streams_fail_with_a_status(void **state)
{
    static const int64_t rows[] = {2, 80 << 20};

    (void)state;
    for (int i = 0; i < 2; i++) {
        make_column(rows[i]);
        assert_in_range(fail_each(stream, FAIL_ONE, EIO, OPT_EIO), 6, 100);
        assert_in_range(fail_each(stream, FAIL_ONE, EINTR, OPT_EIO), 6, 100);
        assert_int_equal(fail_each(stream, ENDS, EIO, OPT_EIO), i == 0 ? 0 : 2);
    }
    remove(FILE_NAME);
}

/* ---- The log ------------------------------------------------------------------------------------------- */

static opt_status train_with_log(opt_ctx *ctx)
{
    opt_status s;
    trace t = {0};
    job j;

    remove(FILE_NAME);
    job_new(&j, ctx, &opt_adam, NULL, NULL);
    s = job_train_with(&j, (opt_train_opts){.epochs = 2, .log = FILE_NAME}, &t);
    job_free(&j);
    return s;
}

/* The lines are whole, but for a message that says otherwise. */
static void logs_fail_with_a_status(void **state)
{
    static const failing_how how[] = {FAIL_ONE, FAIL_ALL};
    static const int error[] = {EIO, EINTR};

    (void)state;
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < (i == 0 ? 2 : 1); k++)
            assert_in_range(fail_each(train_with_log, how[i], error[k], OPT_EIO), 3, 100);
    remove(FILE_NAME);
}

/* ---- Threads ------------------------------------------------------------------------------------------- */

static double gradient_with(int threads, long n, long *calls)
{
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.threads = threads});
    problem p;
    double loss, norm;

    problem_new(&p, ctx, &(opt_mlp_opts){.size = {3, 200, 60, 1}, .act = OPT_TANH}, 300);
    failing_begin(FAIL_ALL, n);
    assert_ok(ctx, opt_mlp_grad(p.net, &p.data.x, &p.data.y, &loss));
    *calls = failing_end();
    norm = opt_grad_norm(ctx, opt_mlp_params(p.net));
    problem_free(&p);
    opt_ctx_free(ctx);
    return norm;
}

static void where_there_are_no_threads_fewer_will_do(void **state)
{
    long calls;
    const double norm = gradient_with(1, -1, &calls);

    (void)state;
    for (long n = 0; n < 4; n++) {
        assert_true(gradient_with(4, n, &calls) == norm);
        assert_int_equal(calls, n < 3 ? n + 1 : 3);
    }
}

/* ---- Checkpoints --------------------------------------------------------------------------------------- */

static opt_status save(opt_ctx *ctx)
{
    double w[] = {1, 2}, g[2];
    opt_param param = {.name = "w",
                       .value = opt_tensor_view(OPT_F64, w, 1, (int64_t[]){2}),
                       .grad = opt_tensor_view(OPT_F64, g, 1, (int64_t[]){2})};

    return opt_save(ctx, FILE_NAME, (opt_params){&param, 1}, NULL, NULL);
}

/* With nothing beside, as there is after a lock that was not to be had. */
static opt_status save_alone(opt_ctx *ctx)
{
    unlink(FILE_NAME ".opt-tmp0");
    return save(ctx);
}

static opt_status load(opt_ctx *ctx)
{
    double w[] = {0, 0}, g[2];
    opt_param param = {.name = "w",
                       .value = opt_tensor_view(OPT_F64, w, 1, (int64_t[]){2}),
                       .grad = opt_tensor_view(OPT_F64, g, 1, (int64_t[]){2})};
    const opt_status s = opt_load_named(ctx, FILE_NAME, (opt_params){&param, 1}, NULL);

    assert_true(s ? w[0] == 0 && w[1] == 0 : w[0] == 1 && w[1] == 2);
    return s;
}

/* Calls that are not to be had, or not for us, are done without; those that are interrupted, done again. */
static void saving_heeds_the_reason(void **state)
{
    static const struct {
        int error, fewer; /* failures than where a call just failed */
    } reason[] = {{ENOSYS, 0}, {EOPNOTSUPP, 0}, {ENOLCK, 0}, {EINVAL, 1},
                  {EROFS, 1},  {EINTR, 2},      {EACCES, 1}};
    int most;

    assert_ok(*state, save(*state));
    assert_ok(*state, save(*state)); /* so that there is a .bak */
    most = fail_each(save_alone, FAIL_ONE, EIO, OPT_EIO);
    for (int i = 0; i < 7; i++)
        assert_int_equal(fail_each(save_alone, FAIL_ONE, reason[i].error, OPT_EIO), most - reason[i].fewer);
    assert_ok(*state, load(*state));
    remove(FILE_NAME);
    remove(FILE_NAME ".bak");
    remove(FILE_NAME ".opt-tmp0");
}

/* Where there are no locks the file beside is taken all the same; otherwise it is another's. */
static void locks_may_be_missing(void **state)
{
    static const int error[] = {EIO, ENOSYS, EOPNOTSUPP, ENOLCK};
    enum { LOCK = 2 };
    opt_status s;

    for (int i = 0; i < 4; i++) {
        failing_with(error[i]);
        assert_true(fails_once(save, FAIL_ONE, LOCK, &s));
        failing_with(EIO);
        assert_int_equal(s, OPT_OK);
        assert_string_equal(failing_first(), "flock");
        assert_int_equal(is_there(FILE_NAME ".opt-tmp0"), i == 0);
        remove(FILE_NAME ".opt-tmp0");
        assert_ok(*state, load(*state));
    }
    remove(FILE_NAME);
    remove(FILE_NAME ".bak");
}

static void not_regular(struct stat *about)
{
    about->st_mode = S_IFIFO | 0600;
}

static void of_two_names(struct stat *about)
{
    about->st_nlink = 2;
}

static void of_another_user(struct stat *about)
{
    about->st_uid++;
}

static void of_another_number(struct stat *about)
{
    about->st_ino++;
}

static void of_another_disk(struct stat *about)
{
    about->st_dev++;
}

/* What stands beside is left alone unless it is ours alone: the next name is taken. So it is when a new file
 * has another name already. */
static void what_is_not_ours_is_left_alone(void **state)
{
    static void (*const alter[])(struct stat *) = {not_regular, of_two_names, of_another_user,
                                                   of_another_number, of_another_disk};
    opt_status s;

    for (int i = 0; i < 5; i++) {
        bool more = true;
        int left = 0;

        failing_alter = alter[i];
        for (long n = 0; more; n++) {
            spill(FILE_NAME ".opt-tmp0", "left", 4);
            more = fails_once(save, ALTER, n, &s);
            assert_int_equal(s, OPT_OK);
            assert_ok(*state, load(*state));
            left += is_there(FILE_NAME ".opt-tmp0");
            remove(FILE_NAME ".opt-tmp0");
        }
        assert_int_equal(left, i == 0 || i == 2 ? 1 : 2);
    }
    remove(FILE_NAME);
    remove(FILE_NAME ".bak");
}

/* Then no group has what the old one had. */
static void a_group_may_not_be_had(void **state)
{
    bool met = false, more = true;
    struct stat about;
    opt_status s;

    if (geteuid() != 0) /* who alone may give a file any group */
        skip();
    for (long n = 0; more; n++) {
        assert_ok(*state, save_alone(*state));
        assert_int_equal(chown(FILE_NAME, 0, 12345), 0);
        assert_int_equal(chmod(FILE_NAME, 0664), 0);
        more = fails_once(save_alone, FAIL_ONE, n, &s);
        assert_int_equal(stat(FILE_NAME, &about), 0);
        if (strcmp(failing_first(), "fchown") == 0) {
            met = true;
            assert_int_equal(s, OPT_OK);
            assert_int_equal(about.st_mode & 0777, 0604);
        }
        remove(FILE_NAME);
    }
    assert_true(met);
    assert_int_equal(about.st_gid, 12345);
    assert_int_equal(about.st_mode & 0777, 0664);
    remove(FILE_NAME ".bak");
    remove(FILE_NAME ".opt-tmp0");
}

static void a_link_to_itself_is_replaced(void **state)
{
    assert_int_equal(symlink(FILE_NAME, FILE_NAME), 0);
    assert_ok(*state, save(*state));
    assert_ok(*state, load(*state));
    remove(FILE_NAME);
    remove(FILE_NAME ".bak");
}

/* A file of another program, of whose tensors the first is not wanted. */
static void passing_over_fails_with_a_status(void **state)
{
    static const unsigned char data[24] = {[14] = 0xf0, [15] = 0x3f, [23] = 0x40};

    (void)state;
    write_tensor_file(FILE_NAME,
                      "{\"v\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]},"
                      "\"w\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[8,24]}}",
                      data, sizeof data);
    assert_in_range(fail_each(load, FAIL_ONE, EIO, OPT_EIO), 5, 20);
    remove(FILE_NAME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(npy_files_fail_with_a_status),
        TEST(csv_files_fail_with_a_status),
        TEST(compressed_files_fail_with_a_status),
        TEST(streams_fail_with_a_status),
        TEST(logs_fail_with_a_status),
        TEST(where_there_are_no_threads_fewer_will_do),
        TEST(saving_heeds_the_reason),
        TEST(locks_may_be_missing),
        TEST(what_is_not_ours_is_left_alone),
        TEST(a_group_may_not_be_had),
        TEST(a_link_to_itself_is_replaced),
        TEST(passing_over_fails_with_a_status),
    };

    return cmocka_run_group_tests_name("failing elsewhere", tests, NULL, NULL);
}

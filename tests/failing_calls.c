/* SPDX-License-Identifier: MIT
 *
 * Saving and loading with each of the system's calls failing in turn, with all of them failing from one on,
 * and with the process ending at each. Whichever it is, the file or the one before it can be loaded and is
 * whole.
 */
#define _POSIX_C_SOURCE 200809L /* fork; NOLINT: reserved, and meant to be defined */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failing.h"
#include "problem.h"
#include "tensor_file.h"

#define FILE_NAME "failing_calls.tmp"

/* Steps done, by which the states are told apart. */
enum { NONE = -1, OLDER = 1, OLD = 2, NEW = 5 };

static void clean(void)
{
    char beside[64];

    remove(FILE_NAME);
    remove(FILE_NAME ".bak");
    for (int i = 0; i < 3; i++) {
        snprintf(beside, sizeof beside, FILE_NAME ".opt-tmp%d", i);
        remove(beside);
        snprintf(beside, sizeof beside, FILE_NAME ".opt-bak%d", i);
        remove(beside);
    }
}

static void job_at(job *j, opt_ctx *ctx, int64_t steps)
{
    trace t = {.step = steps, .answer = OPT_STOP};

    job_new(j, ctx, &opt_adam, NULL, NULL);
    assert_ok(ctx, job_train(j, 4, &t));
}

static opt_status save(job *j)
{
    return opt_save(j->p.ctx, FILE_NAME, j->model.params, j->optim, j->batches);
}

static void save_at(opt_ctx *ctx, int64_t steps)
{
    job j;

    job_at(&j, ctx, steps);
    assert_ok(ctx, save(&j));
    job_free(&j);
}

/* The file that was at FILE_NAME is damaged, and the program has gone on from the kept one. */
static bool damaged;

/* The steps of the state in a file, which must be whole, or damaged as it was; NONE: there is no such file.
 */
static int64_t steps_in(opt_ctx *ctx, const char *path)
{
    int64_t steps = NONE;

    if (is_there(path)) {
        snapshot loaded, expected;
        opt_status s;
        job j, same;

        job_new(&j, ctx, &opt_adam, NULL, NULL);
        s = opt_load(ctx, path, j.model.params, j.optim, j.batches);
        if (damaged && s == OPT_EFORMAT) {
            job_free(&j);
            return NONE;
        }
        assert_ok(ctx, s);
        steps = opt_optim_steps(j.optim);
        job_at(&same, ctx, steps);
        loaded = job_snapshot(&j);
        expected = job_snapshot(&same);
        assert_memory_equal(&loaded, &expected, sizeof loaded);
        job_free(&j);
        job_free(&same);
    }
    return steps;
}

/* The steps of the state that a program would go on from. */
static int64_t steps_found(opt_ctx *ctx)
{
    const int64_t steps = steps_in(ctx, FILE_NAME);

    return steps != NONE ? steps : steps_in(ctx, FILE_NAME ".bak");
}

/* Nothing, one file, or two are there before, or two of which the newer is damaged. Returns what would be
 * gone on from. */
static int64_t prepare(opt_ctx *ctx, int files)
{
    damaged = files == 3;
    clean();
    if (files > 1)
        save_at(ctx, OLDER);
    if (files > 0)
        save_at(ctx, OLD);
    if (damaged)
        spill(FILE_NAME, "not a checkpoint", 16);
    if (files > 0)
        assert_int_equal(chmod(FILE_NAME, 0600), 0);
    return damaged ? OLDER : files > 0 ? OLD : NONE;
}

/* After a failure, saving goes and nothing is left beside. */
static void check_next(opt_ctx *ctx)
{
    save_at(ctx, NEW);
    assert_int_equal(steps_in(ctx, FILE_NAME), NEW);
    for (int i = 0; i < 3; i++) {
        char beside[64];

        snprintf(beside, sizeof beside, FILE_NAME ".opt-tmp%d", i);
        assert_false(is_there(beside));
        snprintf(beside, sizeof beside, FILE_NAME ".opt-bak%d", i);
        assert_false(is_there(beside));
    }
}

static void check_mode(int files)
{
    struct stat about;

    assert_int_equal(stat(FILE_NAME, &about), 0);
    assert_true(files == 0 || (about.st_mode & 0777) == 0600);
}

/* ---- Saving -------------------------------------------------------------------------------------------- */

/* Saves with call n failing; returns whether there was such a call. */
static bool save_fails(opt_ctx *ctx, int files, failing_how how, long n)
{
    const int64_t before = prepare(ctx, files), at_path = damaged ? NONE : before;
    opt_status s;
    long calls;
    job j;

    job_at(&j, ctx, NEW);
    failing_begin(how, n);
    s = save(&j);
    calls = failing_end();
    job_free(&j);
    if (s == OPT_OK) {
        assert_int_equal(steps_in(ctx, FILE_NAME), NEW);
        assert_int_equal(steps_in(ctx, FILE_NAME ".bak"), at_path);
        check_mode(files);
    } else {
        const bool put_there = strstr(opt_errmsg(ctx), FILE_NAME ": written, but ") != NULL;

        assert_fails(ctx, s, OPT_EIO, FILE_NAME ": ");
        assert_int_equal(steps_found(ctx), put_there ? NEW : before);
        if (how != FAIL_ALL && !put_there)
            assert_int_equal(steps_in(ctx, FILE_NAME), at_path); /* as it was */
    }
    if (how != FAIL_ALL && !strcmp(failing_first(), "fdopen"))
        assert_false(is_there(FILE_NAME ".opt-tmp0"));
    check_next(ctx);
    return n < calls;
}

static void saving_survives_calls_that_fail(void **state)
{
    for (int files = 0; files <= 3; files++)
        for (int how = FAIL_ONE; how <= NO_LINKS; how++) {
            long n = 0;

            while (save_fails(*state, files, (failing_how)how, n))
                n++;
            assert_in_range(n, 20, 400);
        }
    clean();
}

/* What is renamed is on the disk by then, and the folder behind it: a machine may stop at any time as well.
 */
static void what_is_renamed_is_on_the_disk(void **state)
{
    static const char order[] =
        " fwrite fflush fsync lstat remove linkat rename open fsync close rename remove fclose";
    const char *made;
    job j;

    prepare(*state, 1);
    job_at(&j, *state, NEW);
    failing_begin(FAIL_ONE, -1);
    assert_ok(*state, save(&j));
    failing_end();
    made = failing_calls_made();
    assert_string_equal(made + strlen(made) - strlen(order), order);
    job_free(&j);
    clean();
}

/* ---- Being killed -------------------------------------------------------------------------------------- */

static bool save_dies(opt_ctx *ctx, int files, long n)
{
    const int64_t before = prepare(ctx, files);
    int64_t after;
    int status;
    pid_t child;
    job j;

    job_at(&j, ctx, NEW);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        failing_begin(DIE, n);
        _exit(save(&j) != OPT_OK);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    job_free(&j);
    assert_true(WIFEXITED(status));
    after = steps_found(ctx);
    if (WEXITSTATUS(status) == DEAD) {
        assert_true(after == before || after == NEW);
    } else {
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_int_equal(after, NEW);
    }
    check_next(ctx);
    return WEXITSTATUS(status) == DEAD;
}

static void saving_survives_being_killed(void **state)
{
    for (int files = 0; files <= 3; files++) {
        long n = 0;

        while (save_dies(*state, files, n))
            n++;
        assert_in_range(n, 20, 400);
    }
    clean();
}

/* ---- Loading ------------------------------------------------------------------------------------------- */

static opt_status load(job *j, bool named)
{
    return named ? opt_load_named(j->p.ctx, FILE_NAME, j->model.params, NULL)
                 : opt_load(j->p.ctx, FILE_NAME, j->model.params, j->optim, j->batches);
}

static bool load_fails(opt_ctx *ctx, bool named, failing_how how, long n)
{
    snapshot before, after, loaded;
    opt_batch part;
    opt_status s;
    long calls;
    job j;

    job_new(&j, ctx, &opt_adam, NULL, NULL);
    before = job_snapshot(&j);
    failing_begin(how, n);
    s = load(&j, named);
    calls = failing_end();
    after = job_snapshot(&j);
    if (s != OPT_OK) {
        assert_true(s == OPT_EIO || s == OPT_ENOMEM);
        assert_memory_equal(&before, &after, sizeof before);
        assert_fails(ctx, opt_batches_next(j.batches, &part), OPT_EINVAL, "begin comes first");
    }
    assert_ok(ctx, load(&j, named));
    loaded = job_snapshot(&j);
    if (s == OPT_OK)
        assert_memory_equal(&after, &loaded, sizeof after);
    job_free(&j);
    return n < calls;
}

static void loading_survives_calls_that_fail(void **state)
{
    save_at(*state, NEW);
    for (int named = 0; named < 2; named++)
        for (int how = FAIL_ONE; how <= FAIL_ALL; how++) {
            long n = 0;

            while (load_fails(*state, named, (failing_how)how, n))
                n++;
            assert_in_range(n, 10, 400);
        }
    clean();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(saving_survives_calls_that_fail),
        TEST(what_is_renamed_is_on_the_disk),
        TEST(saving_survives_being_killed),
        TEST(loading_survives_calls_that_fail),
    };

    clean();
    return cmocka_run_group_tests_name("failing calls", tests, NULL, NULL);
}

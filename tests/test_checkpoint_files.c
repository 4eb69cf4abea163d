/* SPDX-License-Identifier: MIT
 *
 * Where checkpoints are written: what stands there, and whose it is.
 */
#define _POSIX_C_SOURCE 200809L /* symlink, mkfifo; NOLINT: reserved, and meant to be defined */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "posix.h"
#include "problem.h"
#include "tensor_file.h"

#define FILE_NAME "test_checkpoint_files.tmp"
#define OLD       "test_checkpoint_files_old.tmp"
#define FOLDER    "test_checkpoint_files_folder.tmp"

static void clean(void)
{
    remove(FILE_NAME);
    remove(FILE_NAME ".bak");
    remove(FILE_NAME ".opt-tmp0");
    remove(FILE_NAME ".opt-bak0");
    remove(OLD);
    remove(FOLDER);
}

/* Parameters of which the first element says which they are. */
static void save_numbered(opt_ctx *ctx, const char *path, double number)
{
    mixed m;

    mixed_new(&m, ctx, 1);
    opt_set(&m.at[1].value, 0, number);
    assert_ok(ctx, opt_save(ctx, path, m.params, NULL, NULL));
    assert_false(is_there(FILE_NAME ".opt-tmp0"));
    assert_false(is_there(FILE_NAME ".opt-bak0"));
    mixed_free(&m);
}

static double number_in(opt_ctx *ctx, const char *path)
{
    double number;
    mixed m;

    mixed_new(&m, ctx, 2);
    assert_ok(ctx, opt_load(ctx, path, m.params, NULL, NULL));
    number = opt_get(&m.at[1].value, 0);
    mixed_free(&m);
    return number;
}

/* ---- The file before ----------------------------------------------------------------------------------- */

static void the_file_before_is_kept(void **state)
{
    save_numbered(*state, FILE_NAME, 1);
    assert_false(is_there(FILE_NAME ".bak"));
    for (int i = 2; i < 5; i++) {
        bytes before = slurp(FILE_NAME);

        save_numbered(*state, FILE_NAME, i);
        assert_close(number_in(*state, FILE_NAME), i, 0);
        spill(OLD, before.at, before.n);
        assert_true(same_file(OLD, FILE_NAME ".bak"));
        free(before.at);
    }
    clean();
}

/* Even one that is no checkpoint. */
static void any_file_before_is_kept(void **state)
{
    bytes kept;

    spill(FILE_NAME, "anything", 8);
    save_numbered(*state, FILE_NAME, 1);
    kept = slurp(FILE_NAME ".bak");
    assert_int_equal(kept.n, 8);
    assert_memory_equal(kept.at, "anything", 8);
    free(kept.at);
    clean();
}

/* When the file itself is gone, the one that was kept stays until there is another to keep. */
static void a_kept_file_outlives_the_other(void **state)
{
    save_numbered(*state, FILE_NAME, 1);
    save_numbered(*state, FILE_NAME, 2);
    remove(FILE_NAME);
    save_numbered(*state, FILE_NAME, 3);
    assert_close(number_in(*state, FILE_NAME ".bak"), 1, 0);
    assert_close(number_in(*state, FILE_NAME), 3, 0);
    clean();
}

/* As a process leaves them that was stopped between any two steps of saving. */
static void leftovers_are_used_again(void **state)
{
    save_numbered(*state, FILE_NAME, 1);
    save_numbered(*state, FILE_NAME, 2);
    spill(FILE_NAME ".opt-tmp0", "half of a very long file", 24);
    assert_int_equal(link(FILE_NAME, FILE_NAME ".opt-bak0"), 0);
    save_numbered(*state, FILE_NAME, 3);
    assert_close(number_in(*state, FILE_NAME ".bak"), 2, 0);
    assert_int_equal(remove(FILE_NAME ".bak"), 0);
    assert_int_equal(link(FILE_NAME, FILE_NAME ".bak"), 0); /* the kept one is the file itself */
    save_numbered(*state, FILE_NAME, 4);
    assert_close(number_in(*state, FILE_NAME ".bak"), 3, 0);
    assert_close(number_in(*state, FILE_NAME), 4, 0);
    clean();
}

/* ---- Permissions and links ----------------------------------------------------------------------------- */

#ifndef _WIN32
static int mode_of(const char *path)
{
    struct stat about;

    assert_int_equal(lstat(path, &about), 0);
    assert_true(S_ISREG(about.st_mode));
    return (int)(about.st_mode & 07777);
}

static void permissions_are_kept(void **state)
{
    static const mode_t modes[] = {0600, 0644, 0660, 0400, 0666, 0755};
    const mode_t mask = umask(0027);

    save_numbered(*state, FILE_NAME, 1);
    assert_int_equal(mode_of(FILE_NAME), 0640);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(FILE_NAME, modes[i]), 0);
        save_numbered(*state, FILE_NAME, 2);
        assert_int_equal(mode_of(FILE_NAME), modes[i]);
        assert_int_equal(mode_of(FILE_NAME ".bak"), modes[i]);
    }
    umask(mask);
    clean();
}

/* Whatever a process that died has left, a new file has new permissions. */
static void leftovers_lend_no_permissions(void **state)
{
    const mode_t mask = umask(0077);

    spill(FILE_NAME ".opt-tmp0", "left", 4);
    assert_int_equal(chmod(FILE_NAME ".opt-tmp0", 0666), 0);
    save_numbered(*state, FILE_NAME, 1);
    assert_int_equal(mode_of(FILE_NAME), 0600);
    umask(mask);
    assert_int_equal(chmod(FILE_NAME, 0), 0);
    if (geteuid() == 0) { /* who alone can look at it then */
        save_numbered(*state, FILE_NAME, 2);
        assert_int_equal(mode_of(FILE_NAME), 0);
    }
    clean();
}

/* A group that the new file cannot have is not replaced by one that could not read the old one. */
static void a_group_is_kept_or_none_has_its_permissions(void **state)
{
    struct stat about;

    if (geteuid() != 0)
        skip();
    save_numbered(*state, FILE_NAME, 1);
    assert_int_equal(chown(FILE_NAME, 0, 12345), 0);
    assert_int_equal(chmod(FILE_NAME, 0640), 0);
    save_numbered(*state, FILE_NAME, 2);
    assert_int_equal(stat(FILE_NAME, &about), 0);
    assert_int_equal(about.st_gid, 12345);
    assert_int_equal(about.st_mode & 0777, 0640);
    clean();
}

/* A link may even lead to the kept file. */
static void a_link_to_the_kept_file_does_it_no_harm(void **state)
{
    save_numbered(*state, FILE_NAME ".bak", 1);
    assert_int_equal(symlink(FILE_NAME ".bak", FILE_NAME), 0);
    save_numbered(*state, FILE_NAME, 2);
    (void)mode_of(FILE_NAME ".bak"); /* it is a file */
    assert_close(number_in(*state, FILE_NAME ".bak"), 1, 0);
    assert_close(number_in(*state, FILE_NAME), 2, 0);
    clean();
}

static void a_link_is_replaced(void **state)
{
    save_numbered(*state, OLD, 1);
    assert_int_equal(symlink(OLD, FILE_NAME), 0);
    save_numbered(*state, FILE_NAME, 2);
    (void)mode_of(FILE_NAME); /* it is a file */
    assert_close(number_in(*state, FILE_NAME), 2, 0);
    assert_close(number_in(*state, FILE_NAME ".bak"), 1, 0);
    assert_close(number_in(*state, OLD), 1, 0);
    remove(FILE_NAME);
    assert_int_equal(symlink("nowhere", FILE_NAME), 0);
    save_numbered(*state, FILE_NAME, 3);
    assert_close(number_in(*state, FILE_NAME), 3, 0);
    assert_false(is_there("nowhere"));
    clean();
}
#endif

/* Someone else may have put a link where the file beside is to be made. */
static void a_link_beside_is_not_followed(void **state)
{
    bytes left;

    spill(OLD, "precious", 8);
    assert_int_equal(symlink(OLD, FILE_NAME ".opt-tmp0"), 0);
    assert_int_equal(link(OLD, FILE_NAME ".opt-tmp1"), 0);
    {
        mixed m;

        mixed_new(&m, *state, 1);
        assert_ok(*state, opt_save(*state, FILE_NAME, m.params, NULL, NULL));
        mixed_free(&m);
    }
    left = slurp(OLD);
    assert_int_equal(left.n, 8);
    assert_memory_equal(left.at, "precious", 8);
    free(left.at);
    remove(FILE_NAME ".opt-tmp1");
    clean();
}

/* ---- What is no place for a file ----------------------------------------------------------------------- */

static void check_no_place(opt_ctx *ctx, const char *path)
{
    char beside[128];
    mixed m;

    mixed_new(&m, ctx, 1);
    assert_fails(ctx, opt_save(ctx, path, m.params, NULL, NULL), OPT_EIO, path);
    assert_fails(ctx, opt_load(ctx, path, m.params, NULL, NULL), OPT_EIO, path);
    assert_fails(ctx, opt_load_named(ctx, path, m.params, NULL), OPT_EIO, path);
    snprintf(beside, sizeof beside, "%s.opt-tmp0", path);
    assert_false(is_there(beside));
    mixed_free(&m);
}

static void what_is_no_file_is_refused(void **state)
{
    check_no_place(*state, "");
    check_no_place(*state, ".");
    check_no_place(*state, "/dev/null");
    check_no_place(*state, "/dev/zero");
    check_no_place(*state, "no such folder/x");
    check_no_place(*state, "/proc/x");
    spill(OLD, "", 0);
    check_no_place(*state, OLD "/x");
    clean();
}

#ifndef _WIN32
static void neither_pipes_nor_devices_are_written_to(void **state)
{
    struct stat about;

    assert_int_equal(mkfifo(FILE_NAME, 0600), 0);
    check_no_place(*state, FILE_NAME); /* and nothing waits for its other end */
    assert_int_equal(lstat(FILE_NAME, &about), 0);
    assert_true(S_ISFIFO(about.st_mode));
    remove(FILE_NAME);
    assert_int_equal(symlink("/dev/null", FILE_NAME), 0);
    check_no_place(*state, FILE_NAME);
    assert_int_equal(lstat(FILE_NAME, &about), 0);
    assert_true(S_ISLNK(about.st_mode));
    assert_int_equal(lstat("/dev/null", &about), 0);
    assert_true(S_ISCHR(about.st_mode));
    clean();
}
#endif

static void a_missing_file_is_named(void **state)
{
    mixed m;

    mixed_new(&m, *state, 1);
    assert_fails(*state, opt_load(*state, "no such file", m.params, NULL, NULL), OPT_EIO, "no such file: ");
    mixed_free(&m);
}

/* Then there is no place for the one before. */
static void a_folder_called_bak_is_in_the_way(void **state)
{
    mixed m;

    save_numbered(*state, FILE_NAME, 1);
    assert_int_equal(mkdir(FILE_NAME ".bak", 0700), 0);
    mixed_new(&m, *state, 1);
    assert_fails(*state, opt_save(*state, FILE_NAME, m.params, NULL, NULL), OPT_EIO,
                 "the old file cannot be kept as " FILE_NAME ".bak");
    assert_close(number_in(*state, FILE_NAME), 1, 0);
    assert_false(is_there(FILE_NAME ".opt-tmp0"));
    assert_false(is_there(FILE_NAME ".opt-bak0"));
    assert_int_equal(rmdir(FILE_NAME ".bak"), 0);
    mixed_free(&m);
    clean();
}

/* ---- A full disk --------------------------------------------------------------------------------------- */

#ifndef _WIN32
/* Files may not grow beyond so many bytes, from none to one less than needed. */
static void a_full_disk_leaves_what_was_there(void **state)
{
    struct rlimit unlimited;
    rlim_t size;
    bytes whole;
    mixed m;

    save_numbered(*state, FILE_NAME, 1);
    whole = slurp(FILE_NAME);
    size = whole.n;
    free(whole.at);
    mixed_new(&m, *state, 1);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    for (rlim_t room = 0; room < size; room += room + 37 < size || room == size - 1 ? 37 : size - 1 - room) {
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){room, unlimited.rlim_max}), 0);
        assert_fails(*state, opt_save(*state, FILE_NAME, m.params, NULL, NULL), OPT_EIO,
                     FILE_NAME ": writing failed");
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
        assert_close(number_in(*state, FILE_NAME), 1, 0);
        assert_false(is_there(FILE_NAME ".opt-tmp0"));
        assert_false(is_there(FILE_NAME ".bak"));
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){size, unlimited.rlim_max}), 0);
    assert_ok(*state, opt_save(*state, FILE_NAME, m.params, NULL, NULL));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
    mixed_free(&m);
    clean();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_file_before_is_kept),
        TEST(any_file_before_is_kept),
        TEST(a_kept_file_outlives_the_other),
        TEST(leftovers_are_used_again),
#ifndef _WIN32
        TEST(permissions_are_kept),
        TEST(leftovers_lend_no_permissions),
        TEST(a_group_is_kept_or_none_has_its_permissions),
        TEST(a_link_to_the_kept_file_does_it_no_harm),
        TEST(a_link_is_replaced),
        TEST(neither_pipes_nor_devices_are_written_to),
        TEST(a_full_disk_leaves_what_was_there),
#endif
        TEST(a_link_beside_is_not_followed),
        TEST(what_is_no_file_is_refused),
        TEST(a_missing_file_is_named),
        TEST(a_folder_called_bak_is_in_the_way),
    };

    clean();
    return cmocka_run_group_tests_name("checkpoint files", tests, NULL, NULL);
}

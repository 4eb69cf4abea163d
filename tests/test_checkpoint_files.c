/* SPDX-License-Identifier: MIT
 *
 * Where checkpoints are written: what stands there, what it is called, what is in it by which name.
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
    remove(FILE_NAME ".opt-tmp0.bak");
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
    assert_false(is_there(FILE_NAME ".opt-tmp0.bak"));
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
    assert_int_equal(link(FILE_NAME, FILE_NAME ".opt-tmp0.bak"), 0);
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
    assert_false(is_there(FILE_NAME ".opt-tmp0.bak"));
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

/* ---- Names --------------------------------------------------------------------------------------------- */

static opt_status save_named(opt_ctx *ctx, const char *name)
{
    opt_optim *o = NULL;
    opt_status s;
    mixed m;

    mixed_new(&m, ctx, 1);
    m.at[2].name = name;
    assert_ok(ctx, opt_optim_new(ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 1}, m.params, &o));
    s = opt_save(ctx, FILE_NAME, m.params, o, NULL);
    if (!s) {
        mixed to;

        mixed_new(&to, ctx, 2);
        to.at[2].name = name;
        assert_ok(ctx, opt_load(ctx, FILE_NAME, to.params, NULL, NULL));
        assert_true(same_bits(m.params, to.params));
        assert_ok(ctx, opt_load(ctx, FILE_NAME, m.params, o, NULL));
        mixed_free(&to);
    }
    opt_optim_free(o);
    mixed_free(&m);
    return s;
}

static void any_name_comes_back(void **state)
{
    static const char *const names[] = {"\"",
                                        "\\",
                                        "\\\"\\",
                                        "\\u0041",
                                        "a\"b\\c/d",
                                        "\b\f\n\r\t\x01\x1f\x7f",
                                        "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80",
                                        "\xed\x9f\xbf\xee\x80\x80",
                                        "\xf4\x8f\xbf\xbf",
                                        "\xc2\x80",
                                        " ",
                                        "{}[],:",
                                        "dtype",
                                        "__metadata",
                                        "best.W1",
                                        "best.scalar",
                                        "slot",
                                        "slot.",
                                        "slot.m.other",
                                        "crc32"};
    char every[256], longest[5000];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_ok(*state, save_named(*state, names[i]));
    for (int c = 1; c < 128; c++)
        every[c - 1] = (char)c;
    every[127] = '\0';
    assert_ok(*state, save_named(*state, every));
    memset(longest, '"', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_ok(*state, save_named(*state, longest));
    clean();
}

static void names_that_are_not_utf8_are_refused(void **state)
{
    static const char *const names[] = {"\xff",
                                        "\x80",
                                        "a\xc3",
                                        "\xc3(",
                                        "\xc0\x80",
                                        "\xc1\xbf",
                                        "\xe2\x82",
                                        "\xe0\x9f\xbf",
                                        "\xed\xa0\x80",
                                        "\xed\xbf\xbf",
                                        "\xf0\x8f\xbf\xbf",
                                        "\xf4\x90\x80\x80",
                                        "\xf5\x80\x80\x80",
                                        "\xf0\x9f\x98"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_fails(*state, save_named(*state, names[i]), OPT_EINVAL, "is not UTF-8");
        assert_fails(*state, save_named(*state, names[i]), OPT_EINVAL, FILE_NAME ": the tensor name ");
    }
    assert_false(is_there(FILE_NAME));
}

static void names_that_others_have_are_refused(void **state)
{
    assert_fails(*state, save_named(*state, "slot.m.scalar"), OPT_EINVAL,
                 FILE_NAME ": two tensors would have the name slot.m.scalar");
    assert_fails(*state, save_named(*state, "__metadata__"), OPT_EINVAL,
                 "the tensor name __metadata__ has another meaning in this format");
    assert_false(is_there(FILE_NAME));
}

/* As a tensor's name, so that of a method or hyper-parameter. */
static void other_names_come_back_or_are_refused(void **state)
{
    char longest[1000];
    opt_hyper hyper[] = {{longest, 0.5, 0, 1}};
    opt_method method = four_slots;
    opt_optim *o = NULL;
    mixed m;

    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    method.hyper = hyper;
    method.nhyper = 1;
    method.name = "a\n\"name\"";
    mixed_new(&m, *state, 1);
    assert_ok(*state, opt_optim_new(*state, &method, NULL, &(opt_optim_opts){.lr = 1}, m.params, &o));
    assert_ok(*state, opt_save(*state, FILE_NAME, m.params, o, NULL));
    assert_ok(*state, opt_load(*state, FILE_NAME, m.params, o, NULL));
    remove(FILE_NAME);
    longest[500] = '\xff';
    assert_fails(*state, opt_save(*state, FILE_NAME, m.params, o, NULL), OPT_EINVAL, "is not UTF-8");
    assert_false(is_there(FILE_NAME));
    opt_optim_free(o);
    mixed_free(&m);
    clean();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_file_before_is_kept),
        TEST(any_file_before_is_kept),
        TEST(a_kept_file_outlives_the_other),
        TEST(leftovers_are_used_again),
#ifndef _WIN32
        TEST(permissions_are_kept),
        TEST(a_link_is_replaced),
        TEST(neither_pipes_nor_devices_are_written_to),
        TEST(a_full_disk_leaves_what_was_there),
#endif
        TEST(a_link_beside_is_not_followed),
        TEST(what_is_no_file_is_refused),
        TEST(a_missing_file_is_named),
        TEST(a_folder_called_bak_is_in_the_way),
        TEST(any_name_comes_back),
        TEST(names_that_are_not_utf8_are_refused),
        TEST(names_that_others_have_are_refused),
        TEST(other_names_come_back_or_are_refused),
    };

    clean();
    return cmocka_run_group_tests_name("checkpoint files", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * The log: what is in it, where it can be and where not.
 */
#define _XOPEN_SOURCE 700

#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "posix.h"
#include "problem.h"

#define CSV  "test_train_log.csv"
#define JSON "test_train_log.jsonl"

enum { EPOCHS = 4, COLUMNS = 9 };

static const char header[] = "epoch,step,loss,last_loss,lr,grad_norm,seconds,val_loss,val_accuracy\n";

/* The whole file, to be freed. */
static char *contents(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = calloc(1, 1 << 16);

    assert_non_null(f);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 16) - 1, f) > 0 || feof(f));
    fclose(f);
    return text;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int lines_in(const char *path)
{
    char *text = contents(path);
    int n = 0;

    for (const char *p = text; *p != '\0'; p++)
        n += *p == '\n';
    free(text);
    return n;
}

static void columns_of(const opt_progress *p, double *x)
{
    const double all[COLUMNS] = {(double)p->epoch, (double)p->step, p->loss,     p->last_loss,   p->lr,
                                 p->grad_norm,     p->seconds,      p->val_loss, p->val_accuracy};

    memcpy(x, all, sizeof all);
}

/* Only the epochs' ends. */
static trace ends_of(const trace *t)
{
    trace ends = {0};

    for (int i = 0; i < t->n; i++)
        if (i % 4 == 3)
            ends.at[ends.n++] = t->at[i];
    return ends;
}

static void assert_same_number(double read, double expected)
{
    if (isnan(expected))
        assert_true(isnan(read));
    else
        assert_close(read, expected, 0);
}

/* The library's own reader finds the very numbers that on_epoch was told. */
static void assert_csv(opt_ctx *ctx, const trace *t)
{
    const trace ends = ends_of(t);
    opt_tensor read = {0};

    assert_ok(ctx, opt_read_csv(ctx, CSV, &(opt_csv_opts){.header = true}, &read));
    assert_int_equal(read.dim[0], ends.n);
    assert_int_equal(read.dim[1], COLUMNS);
    for (int i = 0; i < ends.n; i++) {
        double x[COLUMNS];

        columns_of(&ends.at[i], x);
        for (int k = 0; k < COLUMNS; k++)
            assert_same_number(opt_get(&read, i * COLUMNS + k), x[k]);
    }
    opt_tensor_free(ctx, &read);
}

/* Each line is an object of these keys in this order. Numbers are read by strtod, in the C locale. */
static void assert_json(const trace *t)
{
    const trace ends = ends_of(t);
    char *text = contents(JSON), *p = text, names[sizeof header];

    memcpy(names, header, sizeof header);
    for (int i = 0; i < ends.n; i++) {
        double x[COLUMNS];
        const char *name = names;

        columns_of(&ends.at[i], x);
        for (int k = 0; k < COLUMNS; k++, name += strcspn(name, ",\n") + 1) {
            char key[64];
            const int length = snprintf(key, sizeof key, "%s\"%.*s\": ", k == 0 ? "{" : ", ",
                                        (int)strcspn(name, ",\n"), name);

            assert_memory_equal(p, key, (size_t)length);
            p += length;
            if (!isfinite(x[k])) {
                assert_memory_equal(p, "null", 4);
                p += 4;
            } else {
                assert_close(strtod(p, &p), x[k], 0);
            }
        }
        assert_memory_equal(p, "}\n", 2);
        p += 2;
    }
    assert_int_equal(*p, '\0');
    free(text);
}

static void train(opt_ctx *ctx, bool validated, const char *log, trace *t)
{
    opt_source source;
    job j;

    job_new(&j, ctx, &opt_adam, &(opt_optim_opts){.lr = 1.0 / 3, .unchecked = !validated}, NULL);
    source = opt_source_table(&j.p.data);
    assert_ok(
        ctx,
        job_train_with(
            &j, (opt_train_opts){.epochs = EPOCHS, .validation = validated ? &source : NULL, .log = log}, t));
    job_free(&j);
}

/* ---- Contents ------------------------------------------------------------------------------------------ */

static void the_log_holds_what_on_epoch_is_told(void **state)
{
    for (int validated = 0; validated < 2; validated++) {
        trace csv = {0}, json = {0};

        remove(CSV);
        remove(JSON);
        train(*state, validated, CSV, &csv);
        train(*state, validated, JSON, &json);
        assert_int_equal(ends_of(&csv).n, EPOCHS);
        assert_true((isnan(csv.at[3].val_loss) != 0) == !validated);
        assert_true((isnan(csv.at[3].grad_norm) != 0) == !validated);
        assert_csv(*state, &csv);
        assert_json(&json);
        remove(CSV);
        remove(JSON);
    }
}

/* Sets a locale whose decimal point is a comma, if there is one. */
static bool set_comma_locale(void)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE", "ru_RU.UTF-8"};

    for (int i = 0; i < 5; i++)
        if (setlocale(LC_NUMERIC, names[i]) != NULL && strcmp(localeconv()->decimal_point, ",") == 0)
            return true;
    return false;
}

static void numbers_have_a_point_whatever_the_locale(void **state)
{
    trace csv = {0}, json = {0};

    if (!set_comma_locale()) {
        setlocale(LC_NUMERIC, "C");
        skip();
    }
    remove(CSV);
    remove(JSON);
    train(*state, true, CSV, &csv);
    train(*state, true, JSON, &json);
    setlocale(LC_NUMERIC, "C");
    assert_csv(*state, &csv);
    assert_json(&json);
    remove(CSV);
    remove(JSON);
}

/* Whatever is there stays; a header is for a new or an empty file. */
static void lines_are_added(void **state)
{
    for (int empty = 0; empty < 2; empty++) {
        trace t = {.epoch = 2, .answer = OPT_STOP};
        job j;

        remove(CSV);
        if (empty)
            write_file(CSV, "");
        job_new(&j, *state, &opt_adam, NULL, NULL);
        for (int i = 0; i < 2; i++)
            assert_ok(*state, job_train_with(&j, (opt_train_opts){.epochs = EPOCHS, .log = CSV}, &t));
        assert_csv(*state, &t);
        assert_ok(*state, job_train_with(&j, (opt_train_opts){.epochs = EPOCHS, .log = CSV}, &t));
        assert_int_equal(lines_in(CSV), 1 + EPOCHS); /* a run that is over adds nothing */
        job_free(&j);
    }
    trace t = {0};

    write_file(CSV, "# mine\n");
    train(*state, true, CSV, &t);
    char *text = contents(CSV);

    assert_memory_equal(text, "# mine\n1,3,", 11);
    free(text);
    remove(CSV);
}

static opt_status count_lines(const opt_progress *p, void *ud)
{
    (void)ud;
    assert_int_equal(lines_in(CSV), 1 + p->epoch);
    return OPT_OK;
}

static void lines_are_there_at_once(void **state)
{
    job j;

    remove(CSV);
    job_new(&j, *state, &opt_adam, NULL, NULL);
    assert_ok(*state, opt_train(*state, &j.model, j.optim, j.batches,
                                &(opt_train_opts){.epochs = EPOCHS, .on_epoch = count_lines, .log = CSV}));
    job_free(&j);
    remove(CSV);
}

/* ---- Places -------------------------------------------------------------------------------------------- */

/* Refused before the first step, and the job is as it was. */
static void refused(opt_ctx *ctx, const char *log, const char *part)
{
    snapshot before, after;
    trace t = {0};
    job j;

    job_new(&j, ctx, &opt_adam, NULL, NULL);
    before = job_snapshot(&j);
    assert_fails(ctx, job_train_with(&j, (opt_train_opts){.epochs = 1, .log = log}, &t), OPT_EIO, part);
    after = job_snapshot(&j);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(t.n, 0);
    job_free(&j);
}

static void places_that_cannot_be_added_to_are_refused(void **state)
{
    refused(*state, "no such folder/log.csv", "train: the log: no such folder/log.csv: cannot be opened");
    refused(*state, ".", "train: the log: .: cannot be opened");
    refused(*state, "", "train: the log: : cannot be opened");
}

#ifndef _WIN32
static void pipes_and_full_devices_are_refused(void **state)
{
    const char *const fifo = "test_train_log.fifo";
    int reader;

    remove(fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    refused(*state, fifo, "cannot be opened"); /* nobody reads it: we do not wait */
    reader = open(fifo, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    refused(*state, fifo, "neither a regular file nor a device");
    close(reader);
    remove(fifo);
    refused(*state, "/dev/full", "train: the log: /dev/full: a line could not be written");
}
#endif

static void a_device_will_do(void **state)
{
    trace t = {0};

#ifdef _WIN32
    train(*state, true, "NUL", &t);
#else
    train(*state, true, "/dev/null", &t);
#endif
    assert_int_equal(t.n, 4 * EPOCHS);
}

#ifndef _WIN32
/* The epoch that could not be logged ends, log line and all, in the next call. */
static void an_epoch_that_cannot_be_logged_has_not_ended(void **state)
{
    trace t = {0}, whole = {0};
    job j;

    train(*state, true, NULL, &whole);
    remove(JSON);
    assert_int_equal(symlink("/dev/full", JSON), 0);
    job_new(&j, *state, &opt_adam, &(opt_optim_opts){.lr = 1.0 / 3}, NULL);
    const opt_source source = opt_source_table(&j.p.data);
    const opt_train_opts opts = {.epochs = EPOCHS, .validation = &source, .log = JSON};

    for (int i = 0; i < 2; i++) {
        assert_fails(*state, job_train_with(&j, opts, &t), OPT_EIO,
                     "train: the log after epoch 1: " JSON ": a line could not be written");
        assert_int_equal(t.n, 3);
    }
    remove(JSON);
    assert_ok(*state, job_train_with(&j, opts, &t));
    assert_true(same_trace(&t, &whole));
    assert_json(&t);
    job_free(&j);
    remove(JSON);
}

static void assert_contents(const char *path, const char *expected)
{
    char *text = contents(path);

    assert_string_equal(text, expected);
    free(text);
}

/* A disk that is full in the middle of a line: the part that was written is cut off again. */
static void a_line_is_added_whole_or_not_at_all(void **state)
{
    struct rlimit old, limit;
    trace t = {.epoch = 1, .answer = OPT_STOP};
    job j;

    remove(CSV);
    job_new(&j, *state, &opt_adam, NULL, NULL);
    const opt_train_opts opts = {.epochs = EPOCHS, .log = CSV};

    assert_ok(*state, job_train_with(&j, opts, &t));
    char *before = contents(CSV);

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = (struct rlimit){strlen(before) + 10, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const opt_status s = job_train_with(&j, opts, &t);

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_fails(*state, s, OPT_EIO, "train: the log after epoch 2: " CSV ": a line could not be written");
    assert_contents(CSV, before);
    free(before);
    assert_ok(*state, job_train_with(&j, opts, &t));
    assert_csv(*state, &t);
    job_free(&j);
    remove(CSV);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_log_holds_what_on_epoch_is_told),
        TEST(numbers_have_a_point_whatever_the_locale),
        TEST(lines_are_added),
        TEST(lines_are_there_at_once),
        TEST(places_that_cannot_be_added_to_are_refused),
        TEST(a_device_will_do),
#ifndef _WIN32
        TEST(pipes_and_full_devices_are_refused),
        TEST(an_epoch_that_cannot_be_logged_has_not_ended),
        TEST(a_line_is_added_whole_or_not_at_all),
#endif
    };

    return cmocka_run_group_tests_name("train, log", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L /* open, pread; NOLINT: reserved, and meant to be defined */
#include "search_results.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

enum { BAD_USAGE = 2, LINE = 1024, FIGURES = 7, SETTINGS = 8 };

/* The columns that are numbers: FIGURES of the trial, and SETTINGS. */
static const char *const columns[] = {"trial",    "lr",         "beta1",  "beta2",  "val_loss",
                                      "accuracy", "epoch",      "seed",   "epochs", "patience",
                                      "batch",    "validation", "lr_min", "lr_max", "fingerprint"};

static const char header[] = "trial,lr,beta1,beta2,val_loss,accuracy,epoch,seed,epochs,patience,batch,"
                             "validation,lr_min,lr_max,fingerprint,optimizer,layers\n";

static void settings_of(const search *s, uint32_t fingerprint, double out[static SETTINGS])
{
    const double all[SETTINGS] = {s->seed,       (double)s->epochs, (double)s->patience, (double)s->batch,
                                  s->validation, s->lr_min,         s->lr_max,           fingerprint};
    memcpy(out, all, sizeof all);
}

/* ---- The fingerprint ----------------------------------------------------------------------------------- */

static uint64_t hash_word(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15;
    return hash ^ hash >> 32;
}

static uint64_t hash_tensor(uint64_t hash, const opt_tensor *t)
{
    for (int64_t i = 0, n = opt_tensor_len(t); i < n; i++) {
        double x = opt_get(t, i);
        uint64_t bits;
        memcpy(&bits, &x, sizeof bits);
        hash = hash_word(hash, bits);
    }
    return hash;
}

static uint32_t fingerprint_of(const search *s)
{
    const opt_tensor *const data[] = {&s->train.x, &s->train.y, &s->held.x, &s->held.y};
    uint64_t hash = hash_word(0, (uint64_t)s->betas); /* which tell the optimizer */
    for (int i = 0; i < OPT_MLP_MAX_SIZES; i++)
        hash = hash_word(hash, (uint64_t)s->net.size[i]);
    for (int i = 0; i < 4; i++)
        hash = hash_tensor(hash, data[i]);
    return (uint32_t)hash;
}

/* ---- Writing ------------------------------------------------------------------------------------------- */

typedef struct line {
    char text[LINE];
    size_t length;
} line;

static void add_text(line *l, const char *text)
{
    const size_t n = strlen(text);
    if (n < LINE - l->length) { /* as any line that there can be */
        memcpy(l->text + l->length, text, n + 1);
        l->length += n;
    }
}

/* In as few digits as read back as the same number. */
static void add_number(line *l, double x)
{
    char text[40] = "nan";
    for (int digits = 15; !isnan(x) && digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    add_text(l, text);
    add_text(l, ",");
}

static bool write_all(int descriptor, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t written = write(descriptor, text, n);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            text += written;
            n -= (size_t)written;
        }
    }
    return true;
}

bool search_results_add(const search_results *r, const search *s, const trial *t)
{
    double number[FIGURES + SETTINGS] = {(double)t->number, t->lr,       t->beta1,        t->beta2,
                                         t->loss,           t->accuracy, (double)t->epoch};
    line l = {.length = 0};
    settings_of(s, r->fingerprint, number + FIGURES);
    for (int i = 0; i < FIGURES + SETTINGS; i++)
        add_number(&l, number[i]);
    add_text(&l, s->optimizer);
    for (int i = 0; i < OPT_MLP_MAX_SIZES && s->net.size[i] != 0; i++) {
        char size[32];
        snprintf(size, sizeof size, "%s%" PRId64, i == 0 ? ",\"" : ",", s->net.size[i]);
        add_text(&l, size);
    }
    add_text(&l, "\"\n");
    return write_all(r->descriptor, l.text, l.length);
}

/* ---- Reading ------------------------------------------------------------------------------------------- */

static bool same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* Is the line, columns of numbers, one of this search? Ends the program if not. */
static void check_line(const search_results *r, const search *s, const double *number)
{
    double mine[SETTINGS];
    settings_of(s, r->fingerprint, mine);
    for (int i = 0; i < SETTINGS - 1; i++)
        if (number[FIGURES + i] != mine[i])
            cli_fail(BAD_USAGE, "--results: '%s' is of another search: its %s is %.15g, not %.15g", r->path,
                     columns[FIGURES + i], number[FIGURES + i], mine[i]);
    if (number[FIGURES + SETTINGS - 1] != mine[SETTINGS - 1])
        cli_fail(BAD_USAGE,
                 "--results: '%s' is of another search: its optimizer, layers or data are not these",
                 r->path);
}

/* A line's figures to the trial that they are of, unless that is beyond n. */
static void take_line(const search_results *r, const search *s, const double *number, int64_t n, trial *all)
{
    check_line(r, s, number);
    if (!(number[0] >= 1 && number[0] <= 1e15 && number[0] == floor(number[0])))
        cli_fail(EXIT_FAILURE, "%s: %g is no trial's number", r->path, number[0]);
    trial t = search_draw(s, (int64_t)number[0]);
    if (!same(t.lr, number[1]) || !same(t.beta1, number[2]) || !same(t.beta2, number[3]))
        cli_fail(EXIT_FAILURE, "%s: trial %" PRId64 " has other hyper-parameters than it should have",
                 r->path, t.number);
    const bool none = isnan(number[4]) && number[6] == 0;
    if (!none && !(isfinite(number[4]) && number[6] >= 1 && number[6] <= (double)s->epochs))
        cli_fail(EXIT_FAILURE, "%s: trial %" PRId64 " has a loss or epoch that cannot be", r->path, t.number);
    t.loss = number[4];
    t.accuracy = number[5];
    t.epoch = (int64_t)number[6];
    t.done = true;
    if (t.number <= n)
        all[t.number - 1] = t;
}

static void read_lines(opt_ctx *ctx, const search_results *r, const search *s, int64_t n, trial *all)
{
    const opt_csv_opts opts = {.names = columns, .ncolumns = FIGURES + SETTINGS, .header = true};
    opt_tensor t;
    cli_check(ctx, opt_read_csv(ctx, r->path, &opts, &t));
    for (int64_t i = 0; i < t.dim[0]; i++) {
        double number[FIGURES + SETTINGS];
        for (int j = 0; j < FIGURES + SETTINGS; j++)
            number[j] = opt_get(&t, (FIGURES + SETTINGS) * i + j);
        take_line(r, s, number, n, all);
    }
    opt_tensor_free(ctx, &t);
}

/* ---- Opening ------------------------------------------------------------------------------------------- */

static _Noreturn void fail(const char *path)
{
    cli_fail(BAD_USAGE, "--results: cannot write '%s': %s", path, strerror(errno));
}

/* Where the last whole line ends. */
static off_t whole_lines(int descriptor, off_t size)
{
    char last;
    while (size > 0 && pread(descriptor, &last, 1, size - 1) == 1 && last != '\n')
        size--;
    return size;
}

search_results search_results_open(opt_ctx *ctx, const char *path, const search *s, int64_t n, trial *all)
{
    const off_t headed = sizeof header - 1;
    search_results r = {.path = path, .fingerprint = fingerprint_of(s)};
    struct stat about;
    char begins[sizeof header];

    r.descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (r.descriptor < 0 || fstat(r.descriptor, &about) != 0)
        fail(path);
    if (!S_ISREG(about.st_mode))
        cli_fail(BAD_USAGE, "--results: '%s' is not a regular file", path);
    const ssize_t got = pread(r.descriptor, begins, sizeof header - 1, 0);
    if (got < 0)
        fail(path);
    if (memcmp(begins, header, (size_t)got) !=
        0) /* an empty file will do, and one stopped within the header */
        cli_fail(BAD_USAGE, "--results: '%s' is there, but not a file of search's", path);
    const off_t whole = whole_lines(r.descriptor, about.st_size);
    if (whole < about.st_size && ftruncate(r.descriptor, whole) != 0)
        fail(path);
    if (whole == 0 && !write_all(r.descriptor, header, sizeof header - 1))
        fail(path);
    if (whole > headed)
        read_lines(ctx, &r, s, n, all);
    return r;
}

void search_results_close(const search_results *r)
{
    if (close(r->descriptor) != 0)
        cli_fail(EXIT_FAILURE, "cannot write %s: some of it was lost", r->path);
}

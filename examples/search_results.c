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

enum { BAD_USAGE = 2, LINE = 1024, RESULTS = 3, SETTINGS = 8 };
enum { COLUMNS = 2 + SEARCH_MAX_HYPER + RESULTS + SETTINGS };

/* The columns that are numbers: the trial and its hyper-parameters, then RESULTS and SETTINGS. */
typedef struct row {
    int n;
    const char *name[COLUMNS];
    double x[COLUMNS];
} row;

static void add(row *r, const char *name, double x)
{
    r->name[r->n] = name;
    r->x[r->n++] = x;
}

static row row_of(const search *s, uint32_t fingerprint, const trial *t)
{
    row r = {.n = 0};
    add(&r, "trial", (double)t->number);
    add(&r, "lr", t->lr);
    for (int i = 0; i < s->ndecays; i++)
        add(&r, s->decay[i].name, t->decay[i]);
    add(&r, "val_loss", t->loss);
    add(&r, "accuracy", t->accuracy);
    add(&r, "epoch", (double)t->epoch);

    add(&r, "seed", s->seed);
    add(&r, "epochs", (double)s->epochs);
    add(&r, "patience", (double)s->patience);
    add(&r, "batch", (double)s->batch);
    add(&r, "validation", s->validation);
    add(&r, "lr_min", s->lr_min);
    add(&r, "lr_max", s->lr_max);
    add(&r, "fingerprint", fingerprint);
    return r;
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
    uint64_t hash = hash_word(0, (uint64_t)s->number);
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

static line header_of(const row *r)
{
    line l = {.length = 0};
    for (int i = 0; i < r->n; i++) {
        add_text(&l, r->name[i]);
        add_text(&l, ",");
    }
    add_text(&l, "optimizer,layers\n");
    return l;
}

bool search_results_add(const search_results *r, const search *s, const trial *t)
{
    const row numbers = row_of(s, r->fingerprint, t);
    line l = {.length = 0};
    for (int i = 0; i < numbers.n; i++)
        add_number(&l, numbers.x[i]);
    add_text(&l, s->method->name);
    for (int i = 0; i < OPT_MLP_MAX_SIZES && s->net.size[i] != 0; i++) {
        char size[32];
        snprintf(size, sizeof size, "%s%" PRId64, i == 0 ? ",\"" : ",", s->net.size[i]);
        add_text(&l, size);
    }
    add_text(&l, "\"\n");
    return write_all(r->descriptor, l.text, l.length);
}

/* ---- Reading ------------------------------------------------------------------------------------------- */

/* The trial that a line is of, as it is before it has begun. Ends the program if the line is not one of this
 * search. */
static trial check_line(const search_results *r, const search *s, const double *number)
{
    if (!(number[0] >= 1 && number[0] <= 1e15 && number[0] == floor(number[0])))
        cli_fail(EXIT_FAILURE, "%s: %g is no trial's number", r->path, number[0]);
    const trial t = search_draw(s, (int64_t)number[0]);
    const row mine = row_of(s, r->fingerprint, &t);
    const int last = mine.n - 1, settings = mine.n - SETTINGS;
    for (int i = settings; i < last; i++)
        if (number[i] != mine.x[i])
            cli_fail(BAD_USAGE, "--results: '%s' is of another search: its %s is %.15g, not %.15g", r->path,
                     mine.name[i], number[i], mine.x[i]);
    if (number[last] != mine.x[last])
        cli_fail(BAD_USAGE,
                 "--results: '%s' is of another search: its optimizer, layers or data are not these",
                 r->path);
    for (int i = 1; i < settings - RESULTS; i++)
        if (number[i] != mine.x[i])
            cli_fail(EXIT_FAILURE, "%s: trial %" PRId64 " has other hyper-parameters than it should have",
                     r->path, t.number);
    return t;
}

/* A line's results to the trial that they are of, unless that is beyond n. */
static void take_line(const search_results *r, const search *s, const double *number, int64_t n, trial *all)
{
    trial t = check_line(r, s, number);
    const double *result = number + 2 + s->ndecays;
    t.loss = result[0];
    t.accuracy = result[1];
    const bool none = isnan(t.loss) && result[2] == 0;
    if (!none && !(isfinite(t.loss) && result[2] >= 1 && result[2] <= (double)s->epochs))
        cli_fail(EXIT_FAILURE, "%s: trial %" PRId64 " has a loss or epoch that cannot be", r->path, t.number);
    t.epoch = (int64_t)result[2];
    t.done = true;
    if (t.number <= n)
        all[t.number - 1] = t;
}

static void read_lines(opt_ctx *ctx, const search_results *r, const search *s, int64_t n, trial *all)
{
    const row columns = row_of(s, r->fingerprint, &all[0]);
    const opt_csv_opts opts = {.names = columns.name, .ncolumns = columns.n, .header = true};
    opt_tensor t;
    cli_check(ctx, opt_read_csv(ctx, r->path, &opts, &t));
    for (int64_t i = 0; i < t.dim[0]; i++)
        take_line(r, s, (const double *)t.data + i * columns.n, n, all);
    opt_tensor_free(ctx, &t);
}

/* ---- Opening ------------------------------------------------------------------------------------------- */

static _Noreturn void fail(const char *path)
{
    cli_fail(BAD_USAGE, "--results: cannot write '%s': %s", path, strerror(errno));
}

/* Ends the program unless a file that begins so has this header, or less of it: an empty one will do, and one
 * stopped within it. */
static void check_header(const char *path, const search *s, const line *header, const char *begins, size_t n)
{
    static const char always[] = "trial,lr,";
    const size_t length = sizeof always - 1;
    if (memcmp(begins, header->text, n) == 0)
        return;
    if (n >= length && memcmp(begins, always, length) == 0)
        cli_fail(BAD_USAGE, "--results: '%s' is of another search: its hyper-parameters are not those of %s",
                 path, s->method->name);
    cli_fail(BAD_USAGE, "--results: '%s' is there, but not a file of search's", path);
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
    search_results r = {.path = path, .fingerprint = fingerprint_of(s)};
    const row columns = row_of(s, r.fingerprint, &all[0]);
    const line header = header_of(&columns);
    struct stat about;
    char begins[LINE];

    r.descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (r.descriptor < 0 || fstat(r.descriptor, &about) != 0)
        fail(path);
    if (!S_ISREG(about.st_mode))
        cli_fail(BAD_USAGE, "--results: '%s' is not a regular file", path);
    const ssize_t got = pread(r.descriptor, begins, header.length, 0);
    if (got < 0)
        fail(path);
    check_header(path, s, &header, begins, (size_t)got);
    const off_t whole = whole_lines(r.descriptor, about.st_size);
    if (whole < about.st_size && ftruncate(r.descriptor, whole) != 0)
        fail(path);
    if (whole == 0 && !write_all(r.descriptor, header.text, header.length))
        fail(path);
    if (whole > (off_t)header.length)
        read_lines(ctx, &r, s, n, all);
    return r;
}

void search_results_close(const search_results *r)
{
    if (close(r->descriptor) != 0)
        cli_fail(EXIT_FAILURE, "cannot write %s: some of it was lost", r->path);
}

/* SPDX-License-Identifier: MIT
 *
 * The log: each line is one write at the file's end, so that whoever reads or adds to the file beside us
 * finds whole lines only.
 */
#define _POSIX_C_SOURCE 200809L /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

#include "train/log.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/context.h"
#include "base/system.h"

/* ---- Lines --------------------------------------------------------------------------------------------- */

enum { COLUMNS = 9, WIDTH = 48 }; /* characters of a name and its number, at most */

typedef struct column {
    const char *name;
    char text[32];
} column;

/* Enough digits to read back the same number. The decimal point, which is the locale's and may be several
 * bytes, becomes '.'. What is not finite is called so in CSV; JSON has no word for it. */
static void print_number(double x, bool json, char to[static 32])
{
    char text[32];
    size_t n = 0;

    if (!isfinite(x)) {
        snprintf(to, 32, "%s", json ? "null" : isnan(x) ? "nan" : x > 0 ? "inf" : "-inf");
        return;
    }
    snprintf(text, sizeof text, "%.17g", x);
    for (const char *p = text; *p != '\0'; p++) {
        if (strchr("+-0123456789e", *p) != NULL)
            to[n++] = *p;
        else if (to[n - 1] != '.') /* GCOVR_EXCL_BR_LINE: where no locale has several bytes */
            to[n++] = '.';
    }
    to[n] = '\0';
}

static void fill_columns(const opt_progress *p, bool json, column *c)
{
    const struct {
        const char *name;
        double x;
    } number[] = {{"loss", p->loss},
                  {"last_loss", p->last_loss},
                  {"lr", p->lr},
                  {"grad_norm", p->grad_norm},
                  {"seconds", p->seconds},
                  {"val_loss", p->val_loss},
                  {"val_accuracy", p->val_accuracy}};

    c[0].name = "epoch";
    snprintf(c[0].text, sizeof c[0].text, "%" PRId64, p->epoch);
    c[1].name = "step";
    snprintf(c[1].text, sizeof c[1].text, "%" PRId64, p->step);
    for (int i = 2; i < COLUMNS; i++) {
        c[i].name = number[i - 2].name;
        print_number(number[i - 2].x, json, c[i].text);
    }
}

/* Adds a line at the file's end, whole or not at all. */
static opt_status add_line(opt__run_log *log, const char *line, size_t n)
{
    const off_t end = log->regular ? lseek(log->descriptor, 0, SEEK_END) : 0;
    size_t done = 0;

    while (done < n) {
        const ssize_t k = write(log->descriptor, line + done, n - done);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0) {
            if (log->regular && done > 0 && ftruncate(log->descriptor, end) != 0)
                return opt__fail(log->ctx, OPT_EIO, "%s: a line was written only in part", log->path);
            return opt__fail(log->ctx, OPT_EIO, "%s: a line could not be written", log->path);
        }
        done += (size_t)k;
    }
    return OPT_OK;
}

static opt_status add_header(opt__run_log *log)
{
    char line[COLUMNS * WIDTH];
    column c[COLUMNS];
    size_t n = 0;

    fill_columns(&(opt_progress){0}, false, c);
    for (int i = 0; i < COLUMNS; i++)
        n += (size_t)snprintf(line + n, sizeof line - n, "%s%s", i > 0 ? "," : "", c[i].name);
    line[n++] = '\n';
    return add_line(log, line, n);
}

opt_status opt__log_add(opt__run_log *log, const opt_progress *p)
{
    char line[COLUMNS * WIDTH];
    column c[COLUMNS];
    size_t n = 0;

    if (log->path == NULL)
        return OPT_OK;
    fill_columns(p, log->json, c);
    for (int i = 0; i < COLUMNS; i++)
        n += log->json ? (size_t)snprintf(line + n, sizeof line - n, "%s\"%s\": %s", i > 0 ? ", " : "{",
                                          c[i].name, c[i].text)
                       : (size_t)snprintf(line + n, sizeof line - n, "%s%s", i > 0 ? "," : "", c[i].text);
    n += (size_t)snprintf(line + n, sizeof line - n, "%s\n", log->json ? "}" : "");
    return add_line(log, line, n);
}

/* ---- The file ------------------------------------------------------------------------------------------ */

static bool ends_in(const char *path, const char *end)
{
    const size_t n = strlen(path), m = strlen(end);

    return n >= m && strcmp(path + n - m, end) == 0;
}

opt_status opt__log_open(opt_ctx *ctx, const char *path, opt__run_log *out)
{
    /* Nothing keeps us waiting, nor does a terminal become ours. A pipe is refused: its reader may go, and
     * writing to it then ends the program. */
    const int descriptor =
        open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
    opt__run_log log = {.ctx = ctx, .path = path, .descriptor = descriptor, .json = ends_in(path, ".jsonl")};
    struct stat about;
    opt_status s = OPT_OK;

    if (descriptor < 0)
        return opt__fail(ctx, OPT_EIO, "%s: cannot be opened to add to it", path);
    if (fstat(descriptor, &about) != 0 || !(S_ISREG(about.st_mode) || S_ISCHR(about.st_mode)) ||
        fcntl(descriptor, F_SETFL, O_APPEND) != 0) {
        close(descriptor);
        return opt__fail(ctx, OPT_EIO, "%s: cannot be added to: neither a regular file nor a device", path);
    }
    log.regular = S_ISREG(about.st_mode);
    if (!log.json && about.st_size == 0)
        s = add_header(&log);
    if (s) {
        close(descriptor);
        return s;
    }
    *out = log;
    return OPT_OK;
}

void opt__log_close(opt__run_log *log)
{
    if (log->path != NULL)
        close(log->descriptor);
}

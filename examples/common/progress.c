/* SPDX-License-Identifier: MIT */
#ifndef _WIN32
#define _POSIX_C_SOURCE 200809L /* isatty, fileno; NOLINT: reserved, and meant to be defined */
#endif
#include "progress.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#ifdef _WIN32
#include <io.h>
#define on_terminal(file) _isatty(_fileno(file))
#else
#include <unistd.h>
#define on_terminal(file) isatty(fileno(file))
#endif

enum { LONG_BAR = 30, SHORT_BAR = 10, LINE = 79 };

progress progress_start(const char *label)
{
    return (progress){
        .label = label, .on_terminal = on_terminal(stderr), .accuracy = (double)NAN, .before = -1};
}

/* Whether to draw again. */
static bool is_time(progress *bar, double seconds)
{
    if (!bar->on_terminal || seconds - bar->drawn < 0.1)
        return false;
    bar->drawn = seconds;
    bar->visible = true;
    return true;
}

static void draw(const char *label, int width, double done, const char *figures)
{
    int filled = (int)(done * width);
    char cells[LONG_BAR + 1];
    for (int i = 0; i < width; i++)
        cells[i] = i < filled ? '#' : '-';
    cells[width] = '\0';
    int used = fprintf(stderr, "\r%-9s [%s] ", label, cells) - 1;
    int rest = used < LINE ? LINE - used : 0;
    fprintf(stderr, "%-*.*s", rest, rest, figures);
    fflush(stderr);
}

void progress_update(progress *bar, const opt_progress *p)
{
    if (!is_time(bar, p->seconds))
        return;
    double done = (double)p->epoch / (double)p->epochs, rate = (double)p->epoch / p->seconds;
    char figures[LINE];
    snprintf(figures, sizeof figures, "%3.0f%%  %.0f epochs/s  %.1f s left", 100 * done, rate,
             (double)(p->epochs - p->epoch) / rate);
    draw(bar->label, LONG_BAR, done, figures);
}

void progress_step(progress *bar, const opt_progress *p, int64_t steps, int64_t examples)
{
    if (bar->before < 0)
        bar->before = p->step - 1;
    if (!is_time(bar, p->seconds))
        return;
    double rate = (double)(p->step - bar->before) / p->seconds; /* steps a second, validation counted */
    double left = (double)(p->epochs * steps - p->step) / rate;
    char label[32], figures[LINE], accuracy[32] = "";
    if (!isnan(bar->accuracy))
        snprintf(accuracy, sizeof accuracy, "acc %.1f%%  ", 100 * bar->accuracy);
    snprintf(label, sizeof label, "epoch %2" PRId64 "/%" PRId64, p->epoch, p->epochs);
    snprintf(figures, sizeof figures, " loss %.4f  %s%.0f examples/s  %.0f s left", p->loss, accuracy,
             rate * (double)examples / (double)steps, left);
    draw(label, SHORT_BAR, (double)p->step / (double)(p->epochs * steps), figures);
}

void progress_clear(progress *bar)
{
    if (bar->visible)
        fprintf(stderr, "\r%*s\r", LINE, "");
    bar->visible = false;
}

/* SPDX-License-Identifier: MIT */
#ifndef _WIN32
#define _POSIX_C_SOURCE 200809L /* isatty, fileno; NOLINT: reserved, and meant to be defined */
#endif
#include "progress.h"

#include <stdio.h>
#ifdef _WIN32
#include <io.h>
#define on_terminal(file) _isatty(_fileno(file))
#else
#include <unistd.h>
#define on_terminal(file) isatty(fileno(file))
#endif

enum { BAR = 30, LINE = 79 };

progress progress_start(const char *label)
{
    return (progress){.label = label, .on_terminal = on_terminal(stderr)};
}

void progress_update(progress *bar, const opt_progress *p)
{
    if (!bar->on_terminal || p->seconds - bar->drawn < 0.1)
        return;
    bar->drawn = p->seconds;
    bar->visible = true;

    double done = (double)p->epoch / (double)p->epochs, rate = (double)p->epoch / p->seconds;
    int filled = (int)(done * BAR);
    char cells[BAR + 1];
    for (int i = 0; i < BAR; i++)
        cells[i] = i < filled ? '#' : '-';
    cells[BAR] = '\0';
    char line[LINE + 1];
    snprintf(line, sizeof line, "%-9s [%s] %3.0f%%  %.0f epochs/s  %.1f s left", bar->label, cells,
             100 * done, rate, (double)(p->epochs - p->epoch) / rate);
    fprintf(stderr, "\r%-*s", LINE, line);
    fflush(stderr);
}

void progress_clear(progress *bar)
{
    if (bar->visible)
        fprintf(stderr, "\r%*s\r", LINE, "");
    bar->visible = false;
}

/* SPDX-License-Identifier: MIT
 *
 * A progress bar on standard error: only on a terminal, where it leaves no trace.
 *
 *     adam      [############------------------]  41%  61000 epochs/s  0.1 s left
 */
#ifndef EXAMPLES_PROGRESS_H
#define EXAMPLES_PROGRESS_H

#include "opt.h"

typedef struct progress {
    const char *label;
    bool on_terminal;
    bool visible; /* the bar stands on the terminal's last line */
    double drawn; /* when, in seconds of opt_train's clock */
} progress;

progress progress_start(const char *label);

/* For on_epoch. Draws at most ten times a second. */
void progress_update(progress *bar, const opt_progress *p);

/* Clears the line. Call it before printing anything else, and at the end. */
void progress_clear(progress *bar);

#endif

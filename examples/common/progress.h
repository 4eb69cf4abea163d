/* SPDX-License-Identifier: MIT
 *
 * A progress bar on standard error: only on a terminal, where it leaves no trace.
 *
 *     adam      [############------------------]  41%  61000 epochs/s  0.1 s left
 *     epoch  7/15 [####------]  loss 0.2541  acc 88.7%  74300 examples/s  6 s left
 */
#ifndef EXAMPLES_PROGRESS_H
#define EXAMPLES_PROGRESS_H

#include "opt.h"

typedef struct progress {
    const char *label;
    bool on_terminal;
    bool visible;    /* the bar stands on the terminal's last line */
    double drawn;    /* when, in seconds of opt_train's clock */
    double accuracy; /* for progress_step to show, NaN: none; the last epoch's may be set here */
    int64_t before;  /* steps done before this run; -1: not known yet */
} progress;

progress progress_start(const char *label);

/* For on_epoch, where an epoch takes no time. Draws at most ten times a second. */
void progress_update(progress *bar, const opt_progress *p);

/* For on_step, where it does: `examples` are seen an epoch, in `steps` steps. */
void progress_step(progress *bar, const opt_progress *p, int64_t steps, int64_t examples);

/* Clears the line. Call it before printing anything else, and at the end. */
void progress_clear(progress *bar);

#endif

/* SPDX-License-Identifier: MIT
 *
 * What moons writes to its folder: the costs as numbers and as curves, and each network's decision regions.
 */
#ifndef EXAMPLES_MOONS_FIGURES_H
#define EXAMPLES_MOONS_FIGURES_H

#include "opt.h"

/* What one method's training came to. */
typedef struct moons_run {
    const char *name; /* "gd" */
    double *cost;     /* [epochs] */
    double accuracy;  /* share of the training examples that it gets right */
} moons_run;

/* FOLDER/costs.csv: a column for the epoch and one for each run, a row an epoch, every digit. */
void write_costs(const char *folder, const moons_run *run, int nruns, int64_t epochs);

/* FOLDER/costs.svg: all runs in one frame. */
void draw_costs(const char *folder, const moons_run *run, int nruns, int64_t epochs);

/* FOLDER/boundary-NAME.svg: where the network's probability is above a half, and the examples. */
void draw_boundary(opt_ctx *ctx, const char *folder, const moons_run *run, opt_mlp *net,
                   const opt_table *examples);

#endif

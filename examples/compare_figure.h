/* SPDX-License-Identifier: MIT
 *
 * What compare writes to its folder.
 */
#ifndef EXAMPLES_COMPARE_FIGURE_H
#define EXAMPLES_COMPARE_FIGURE_H

#include "compare_tasks.h"

/* FOLDER/compare.svg: a frame for each task with the costs of its n runs, run[task][0..n). */
void draw_comparison(const char *folder, int ntasks, const compare_task *task, int n,
                     const compare_run *const *run);

/* FOLDER/compare.csv: the points of these curves, with the accuracies there. */
void write_comparison(const char *folder, int ntasks, const compare_task *task, int n,
                      const compare_run *const *run);

#endif

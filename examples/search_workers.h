/* SPDX-License-Identifier: MIT
 *
 * Many trials at a time, a thread each.
 */
#ifndef EXAMPLES_SEARCH_WORKERS_H
#define EXAMPLES_SEARCH_WORKERS_H

#include "search_results.h"
#include "search_trials.h"

/* Runs all trials [n] that are not done, as many at a time as --threads says, and adds each to the file as it
 * ends. Returns how many are done: less than n after a signal, upon which those in hand are abandoned. Other
 * failures end the program. */
int64_t search_run(const search *s, int64_t n, trial *all, const search_results *file);

#endif

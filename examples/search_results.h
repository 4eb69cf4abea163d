/* SPDX-License-Identifier: MIT
 *
 * The file of finished trials: comma-separated values, a header and a line a trial in the order in which they
 * ended. Each line also has the settings that it depends on, so that files of several searches with a
 * method can be put together, and that a file is not gone on with by another search.
 */
#ifndef EXAMPLES_SEARCH_RESULTS_H
#define EXAMPLES_SEARCH_RESULTS_H

#include "search_trials.h"

typedef struct search_results {
    const char *path;
    int descriptor;
    uint32_t fingerprint; /* of what is not a number: optimizer, layers and data */
} search_results;

/* Opens the file, or begins one, and fills in those of all[n] that it has. A last line cut short by a kill is
 * taken away. A file of other settings, or one that is not search's, ends the program. */
search_results search_results_open(opt_ctx *ctx, const char *path, const search *s, int64_t n, trial *all);

/* Adds a line in one write: it is there at once, whatever then happens to the program. */
bool search_results_add(const search_results *r, const search *s, const trial *t);

void search_results_close(const search_results *r);

#endif

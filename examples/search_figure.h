/* SPDX-License-Identifier: MIT
 *
 * What search draws into its folder.
 */
#ifndef EXAMPLES_SEARCH_FIGURE_H
#define EXAMPLES_SEARCH_FIGURE_H

#include "search_trials.h"

/* FOLDER/search.svg: the loss of each trial against its learning rate, by shapes that tell the method's first
 * decay, the first `top` in another colour. Those with a loss far above the best one, or none, stand at the
 * upper edge. sorted[n]: the best first. */
void draw_search(const char *folder, const search *s, int64_t n, const trial *sorted, int64_t top);

#endif

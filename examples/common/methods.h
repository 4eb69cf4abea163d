/* SPDX-License-Identifier: MIT
 *
 * The library's methods by name, for --optimizer.
 */
#ifndef EXAMPLES_METHODS_H
#define EXAMPLES_METHODS_H

#include "opt.h"

/* The number of the method of that name, or -1; and the method of a number. A method's number never changes.
 */
int methods_find(const char *name);
const opt_method *methods_at(int number);

/* Their names, with commas between them, into text[size]. */
void methods_list(char *text, size_t size);

/* Whether it needs all examples at once: the noise of mini-batches turns signs and bends curvatures. */
bool methods_full_batch(const opt_method *m);

#endif

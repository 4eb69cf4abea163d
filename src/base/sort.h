/* SPDX-License-Identifier: MIT */
#ifndef OPT_BASE_SORT_H
#define OPT_BASE_SORT_H

#include <stdbool.h>
#include <stdint.h>

/* Sorts x[0..n) so that none is above one after it, in n log n steps whatever they are; room [n] is for its
 * use. The C library's qsort may take memory. */
void opt__sort(uint32_t *x, uint32_t *room, int64_t n, bool (*below)(const void *arg, uint32_t a, uint32_t b),
               const void *arg);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Merge sort, from the bottom up.
 */
#include "base/sort.h"

#include <string.h>

typedef bool order(const void *arg, uint32_t a, uint32_t b);

/* Brings x[0..middle) and x[middle..n), each in order, together. */
static void merge(uint32_t *x, uint32_t *room, int64_t middle, int64_t n, order *below, const void *arg)
{
    int64_t left = 0, right = middle, to = 0;

    if (!below(arg, x[middle], x[middle - 1]))
        return; /* they are in order as it is, as in most files */
    memcpy(room, x, (size_t)middle * sizeof *x);
    while (left < middle && right < n)
        x[to++] = below(arg, x[right], room[left]) ? x[right++] : room[left++];
    while (left < middle)
        x[to++] = room[left++];
}

void opt__sort(uint32_t *x, uint32_t *room, int64_t n, order *below, const void *arg)
{
    for (int64_t width = 1; width < n; width *= 2)
        for (int64_t i = 0; i + width < n; i += 2 * width)
            merge(x + i, room, width, n - i < 2 * width ? n - i : 2 * width, below, arg);
}

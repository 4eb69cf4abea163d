/* SPDX-License-Identifier: MIT
 *
 * The memory traffic of optimizer steps with next to nothing to compute: what a step can at best reach.
 * Compiled at -O3 for the machine it is built on.
 */
#ifndef OPT_BENCH_STREAM_H
#define OPT_BENCH_STREAM_H

#include <opt.h>

/* Reads g, and reads and writes w and `slots` more arrays, up to the slot[3] there is room for, of n elements
 * each. */
void stream(opt_dtype dtype, int slots, int64_t n, void *w, const void *g, void *const *slot);

#endif

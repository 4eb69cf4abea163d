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

/* The same for w and g in f32 and an array of 32 bits. */
void stream_words(int64_t n, float *restrict w, const float *restrict g, uint32_t *restrict words);

#endif

/* SPDX-License-Identifier: MIT
 *
 * What one writes first: plain scalar C, one loop for each formula, libm's functions. The bench's yardstick.
 */
#ifndef BENCH_NAIVE_H
#define BENCH_NAIVE_H

#include <opt.h>

/* Trains the 2-5-2-1 net on the moons with Adam for so many epochs of batches of 64; returns the last epoch's
 * cost. */
double naive_moons(const opt_table *moons, int64_t epochs);

#endif

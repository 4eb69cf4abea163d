/* SPDX-License-Identifier: MIT */
#ifndef OPT_RNG_RNG_H
#define OPT_RNG_RNG_H

#include <opt/rng.h>

#define OPT__ABREAST 8

/* opt_rng_seed(&r[i], first + i) for i < OPT__ABREAST. A seed is 624 multiplications, each waiting for the
 * one before: eight at a time take little longer than one. */
void opt__rng_seed_abreast(opt_rng *r, uint32_t first);

#endif

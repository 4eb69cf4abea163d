/* SPDX-License-Identifier: MIT
 *
 * Random streams equal to NumPy's legacy np.random (RandomState over MT19937), bit for bit, but for normals,
 * which may differ by 2 units in the last place:
 *
 *     np.random.seed(s)              opt_rng_seed(&r, s)
 *     np.random.random_sample()      opt_rng_uniform(&r)
 *     np.random.randn()              opt_rng_normal(&r)
 *     np.random.permutation(n)       opt_rng_permutation(&r, n, out)
 *
 * Sources: Matsumoto & Nishimura 1998 (MT19937); Marsaglia & Bray 1964 (polar normals).
 */
#ifndef OPT_RNG_H
#define OPT_RNG_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Owned by the caller; a copy of the struct forks the stream. Seed it before use. */
typedef struct opt_rng {
    uint32_t key[624];
    int pos;        /* next word of key; 624 means the block is used up */
    bool has_gauss; /* normals come in pairs: `gauss` is the one not handed out yet */
    double gauss;
} opt_rng;

/* Starts the stream of a seed: the same seed, the same stream. Any will do. */
void opt_rng_seed(opt_rng *r, uint32_t seed);

/* 32 uniformly distributed bits. */
uint32_t opt_rng_u32(opt_rng *r);

/* Uniform in [0, 1), 53 bits, from two words. */
double opt_rng_uniform(opt_rng *r);

/* Standard normal. */
double opt_rng_normal(opt_rng *r);

/* out[0..n) <- a random order of 0 .. n-1. n below 1 writes nothing. */
void opt_rng_permutation(opt_rng *r, int64_t n, int64_t *out);

#ifdef __cplusplus
}
#endif
#endif

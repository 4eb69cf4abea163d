/* SPDX-License-Identifier: MIT
 *
 * MT19937 and what NumPy's legacy RandomState draws from it.
 */
#include <opt/rng.h>

#include <math.h>

#include "kernel/elementary.h"

#define WORDS 624
#define SHIFT 397

void opt_rng_seed(opt_rng *r, uint32_t seed)
{
    for (int i = 0; i < WORDS; i++) {
        r->key[i] = seed;
        seed = 1812433253u * (seed ^ (seed >> 30)) + (uint32_t)i + 1;
    }
    r->pos = WORDS;
    r->has_gauss = false;
    r->gauss = 0;
}

/* Word k of the next block from words k, k + 1 and k + SHIFT of this one (indices modulo WORDS). */
static uint32_t twist(uint32_t k0, uint32_t k1, uint32_t shifted)
{
    const uint32_t y = (k0 & 0x80000000u) | (k1 & 0x7fffffffu);

    return shifted ^ (y >> 1) ^ ((0u - (y & 1u)) & 0x9908b0dfu);
}

static void next_block(opt_rng *r)
{
    uint32_t *key = r->key;
    int k = 0;

    for (; k < WORDS - SHIFT; k++)
        key[k] = twist(key[k], key[k + 1], key[k + SHIFT]);
    for (; k < WORDS - 1; k++)
        key[k] = twist(key[k], key[k + 1], key[k + SHIFT - WORDS]);
    key[WORDS - 1] = twist(key[WORDS - 1], key[0], key[SHIFT - 1]);
    r->pos = 0;
}

uint32_t opt_rng_u32(opt_rng *r)
{
    uint32_t y;

    if (r->pos >= WORDS)
        next_block(r);
    y = r->key[r->pos++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

double opt_rng_uniform(opt_rng *r)
{
    const uint32_t high = opt_rng_u32(r) >> 5, low = opt_rng_u32(r) >> 6;

    return (high * 67108864.0 + low) / 9007199254740992.0;
}

double opt_rng_normal(opt_rng *r)
{
    double x1, x2, square, factor;

    if (r->has_gauss) {
        const double second = r->gauss;
        r->has_gauss = false;
        r->gauss = 0;
        return second;
    }
    do {
        x1 = 2.0 * opt_rng_uniform(r) - 1.0;
        x2 = 2.0 * opt_rng_uniform(r) - 1.0;
        square = x1 * x1 + x2 * x2;
    } while (square >= 1.0 || square == 0.0);
    factor = sqrt(-2.0 * opt__log(square) / square);
    r->gauss = factor * x1;
    r->has_gauss = true;
    return factor * x2;
}

/* Uniform in [0, max]: words masked to max's bits, those above max rejected. */
static uint64_t bounded(opt_rng *r, uint64_t max)
{
    uint64_t mask = max, x;

    mask |= mask >> 1;
    mask |= mask >> 2;
    mask |= mask >> 4;
    mask |= mask >> 8;
    mask |= mask >> 16;
    mask |= mask >> 32;
    do {
        x = opt_rng_u32(r);
        if (max > UINT32_MAX)
            x = x << 32 | opt_rng_u32(r);
        x &= mask;
    } while (x > max);
    return x;
}

void opt_rng_permutation(opt_rng *r, int64_t n, int64_t *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = i;
    for (int64_t left = n; left > 1; left--) {
        const int64_t last = left - 1;
        const int64_t j = (int64_t)bounded(r, (uint64_t)last), swapped = out[last];
        out[last] = out[j];
        out[j] = swapped;
    }
}

/* SPDX-License-Identifier: MIT
 *
 * MT19937 and what NumPy's legacy RandomState draws from it.
 */
#include "rng/rng.h"

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

void opt__rng_seed_abreast(opt_rng *r, uint32_t first)
{
    uint32_t seed[OPT__ABREAST];

    for (int j = 0; j < OPT__ABREAST; j++)
        seed[j] = first + (uint32_t)j;
    for (int i = 0; i < WORDS; i++)
        for (int j = 0; j < OPT__ABREAST; j++) {
            r[j].key[i] = seed[j];
            seed[j] = 1812433253u * (seed[j] ^ (seed[j] >> 30)) + (uint32_t)i + 1;
        }
    for (int j = 0; j < OPT__ABREAST; j++) {
        r[j].pos = WORDS;
        r[j].has_gauss = false;
        r[j].gauss = 0;
    }
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

static inline uint32_t temper(uint32_t y)
{
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

uint32_t opt_rng_u32(opt_rng *r)
{
    if (r->pos >= WORDS)
        next_block(r);
    return temper(r->key[r->pos++]);
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

/* The bits that max needs. */
static uint64_t mask_of(uint64_t max)
{
    uint64_t mask = max;

    for (int shift = 1; shift < 64; shift *= 2)
        mask |= mask >> shift;
    return mask;
}

/* GCOVR_EXCL_START: only for more elements than memory has held where this was tested */

/* Uniform in [0, max]: words masked to max's bits, those above max rejected. */
static uint64_t bounded(opt_rng *r, uint64_t max)
{
    const uint64_t mask = mask_of(max);
    uint64_t x;

    do {
        x = opt_rng_u32(r);
        if (max > UINT32_MAX)
            x = x << 32 | opt_rng_u32(r);
        x &= mask;
    } while (x > max);
    return x;
}

/* GCOVR_EXCL_STOP */

static void swap(int64_t *out, int64_t i, int64_t j)
{
    const int64_t swapped = out[i];

    out[i] = out[j];
    out[j] = swapped;
}

/* The same draws and swaps as bounded and swap for i = *last down to 1, for as long as words[0..n) last;
 * returns how many were used. A rejected word swaps an element with itself and moves nothing, which takes no
 * branch that could be mispredicted. */
static int shuffle_with(const uint32_t *words, int n, int64_t *last, int64_t *out)
{
    int64_t i = *last;
    int used = 0;

    while (i > 0 && used < n) {
        const int64_t mask = (int64_t)mask_of((uint64_t)i),
                      floor = mask >> 1; /* below floor + 1 the mask changes */
        const int64_t most = i - floor < n - used ? i - floor : n - used;
        const uint32_t *w = words + used;

        for (int64_t k = 0; k < most; k++) {
            const int64_t j = w[k] & mask;
            const bool accepted = j <= i;

            swap(out, i, accepted ? j : i);
            i -= accepted;
        }
        used += (int)most;
    }
    *last = i;
    return used;
}

void opt_rng_permutation(opt_rng *r, int64_t n, int64_t *out)
{
    int64_t last = n < 1 ? 0 : n - 1;

    for (int64_t i = 0; i < n; i++)
        out[i] = i;
    for (; last > UINT32_MAX; last--)                         /* GCOVR_EXCL_BR_LINE: as above */
        swap(out, last, (int64_t)bounded(r, (uint64_t)last)); /* GCOVR_EXCL_LINE: as above */
    while (last > 0) {
        uint32_t words[WORDS];

        if (r->pos >= WORDS)
            next_block(r);
        for (int k = r->pos; k < WORDS; k++)
            words[k] = temper(r->key[k]);
        r->pos += shuffle_with(words + r->pos, WORDS - r->pos, &last, out);
    }
}

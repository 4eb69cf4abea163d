/* SPDX-License-Identifier: MIT
 *
 * Elements of any type and byte order as f32 or f64: loaded, decoded, scaled, rounded and checked, a piece at
 * a time.
 */
#include "data/elements.h"

#include <math.h>
#include <string.h>

#include "tensor/tensor.h"

/* ---- Decoding ------------------------------------------------------------------------------------------ */

static uint32_t two_bytes(const unsigned char *p, bool big_endian)
{
    return big_endian ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t four_bytes(const unsigned char *p, bool big_endian)
{
    return big_endian ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
                      : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static uint64_t eight_bytes(const unsigned char *p, bool big_endian)
{
    const uint64_t first = four_bytes(p, big_endian), second = four_bytes(p + 4, big_endian);

    return big_endian ? first << 32 | second : second << 32 | first;
}

/* The bits of n elements, as numbers. */
static void load(const opt__elements *e, const unsigned char *p, int64_t n, uint64_t *bits)
{
    if (e->bytes == 1)
        for (int64_t i = 0; i < n; i++)
            bits[i] = p[i];
    else if (e->bytes == 2)
        for (int64_t i = 0; i < n; i++)
            bits[i] = two_bytes(p + 2 * i, e->big_endian);
    else if (e->bytes == 4)
        for (int64_t i = 0; i < n; i++)
            bits[i] = four_bytes(p + 4 * i, e->big_endian);
    else
        for (int64_t i = 0; i < n; i++)
            bits[i] = eight_bytes(p + 8 * i, e->big_endian);
}

static double single_of(uint64_t bits)
{
    const uint32_t low = (uint32_t)bits;
    float x;

    memcpy(&x, &low, sizeof x);
    return (double)x;
}

/* An integer of `bytes` bytes; NaN for one beyond 2^53. */
static double integer_of(uint64_t bits, int bytes, bool negative)
{
    const uint64_t magnitude = negative ? (~bits & (UINT64_MAX >> (64 - 8 * bytes))) + 1 : bits;
    const double x = magnitude <= UINT64_C(1) << 53 ? (double)(int64_t)magnitude : (double)NAN;

    return negative ? -x : x;
}

static void decode(const opt__elements *e, const uint64_t *bits, int64_t n, double *to)
{
    if (e->kind == 'f' && e->bytes == 8)
        memcpy(to, bits, (size_t)n * sizeof *to);
    else if (e->kind == 'f' && e->bytes == 4)
        for (int64_t i = 0; i < n; i++)
            to[i] = single_of(bits[i]);
    else if (e->kind == 'f')
        for (int64_t i = 0; i < n; i++)
            to[i] = opt__from_half((uint32_t)bits[i]);
    else
        for (int64_t i = 0; i < n; i++)
            to[i] = integer_of(bits[i], e->bytes, e->kind == 'i' && bits[i] >> (8 * e->bytes - 1) != 0);
}

/* ---- Storing ------------------------------------------------------------------------------------------- */

/* Whether an element may become this number. */
static bool fits(const opt__conversion *c, double element, double stored)
{
    if (isinf(stored) && !isinf(element))
        return false;
    return c->elements->kind == 'f' || (c->scale == 1 ? stored == element : !isnan(element));
}

static opt_status misfit(const opt__conversion *c, int64_t at, double element, double stored)
{
    const char *dtype = opt__dtype_name(c->dtype);

    if (c->elements->kind != 'f' && isnan(element))
        return opt__malformed(c->file, "element %lld, an integer, is beyond 2^53", (long long)at);
    if (!isinf(stored))
        return opt__malformed(c->file, "element %lld, %.0f, is not exact in %s", (long long)at, element,
                              dtype);
    return c->scale == 1
               ? opt__malformed(c->file, "element %lld, %g, is beyond %s", (long long)at, element, dtype)
               : opt__malformed(c->file, "element %lld, %g, times %g is beyond %s", (long long)at, element,
                                c->scale, dtype);
}

/* to[0..n) <- the elements, scaled; `first` is the number of the first in the file. */
static opt_status store(const opt__conversion *c, const double *element, int64_t first, int64_t n, void *to)
{
    float *singles = to;
    double *doubles = to;
    bool all_fit = true;

    if (c->dtype == OPT_F32)
        for (int64_t i = 0; i < n; i++) {
            singles[i] = (float)(element[i] * c->scale);
            all_fit &= fits(c, element[i], (double)singles[i]);
        }
    else
        for (int64_t i = 0; i < n; i++) {
            doubles[i] = element[i] * c->scale;
            all_fit &= fits(c, element[i], doubles[i]);
        }
    for (int64_t i = 0; !all_fit && i < n; i++) { /* GCOVR_EXCL_BR_LINE: one does not fit, and ends it */
        const double stored = c->dtype == OPT_F32 ? (double)singles[i] : doubles[i];

        if (!fits(c, element[i], stored))
            return misfit(c, first + i, element[i], stored);
    }
    return OPT_OK;
}

/* ---- The commonest elements ---------------------------------------------------------------------------- */

/* Whether the elements' bytes are what this machine has in memory for the dtype. */
static bool is_copy(const opt__conversion *c)
{
    const uint16_t one = 1;
    unsigned char first;

    memcpy(&first, &one, 1);
    return c->elements->kind == 'f' && c->elements->bytes == (int)opt__size(c->dtype) && c->scale == 1 &&
           c->elements->big_endian == (first == 0);
}

/* Whether they are bytes, of which not even the largest can become infinite. */
static bool is_bytes(const opt__conversion *c)
{
    return c->elements->kind == 'u' && c->elements->bytes == 1 && isfinite((float)(255 * c->scale));
}

static void scale_bytes(const unsigned char *from, int64_t n, double scale, opt_dtype dtype, void *to)
{
    float *singles = to;
    double *doubles = to;

    if (dtype == OPT_F32)
        for (int64_t i = 0; i < n; i++)
            singles[i] = (float)(from[i] * scale);
    else
        for (int64_t i = 0; i < n; i++)
            doubles[i] = from[i] * scale;
}

opt_status opt__convert(const opt__conversion *c, const unsigned char *from, int64_t first, int64_t n,
                        void *to)
{
    enum { PIECE = 256 };
    uint64_t bits[PIECE];
    double element[PIECE];

    if (is_copy(c)) {
        memcpy(to, from, (size_t)n * opt__size(c->dtype));
        return OPT_OK;
    }
    if (is_bytes(c)) {
        scale_bytes(from, n, c->scale, c->dtype, to);
        return OPT_OK;
    }
    for (int64_t i = 0; i < n; i += PIECE) {
        const int64_t len = n - i < PIECE ? n - i : PIECE;
        opt_status s;

        load(c->elements, from + i * c->elements->bytes, len, bits);
        decode(c->elements, bits, len, element);
        s = store(c, element, first + i, len, (char *)to + (size_t)i * opt__size(c->dtype));
        if (s)
            return s;
    }
    return OPT_OK;
}

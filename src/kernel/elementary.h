/* SPDX-License-Identifier: MIT
 *
 * exp, log, log1p, tanh, sigmoid, sin and cos of our own: the same bits on every machine, which no two C
 * libraries promise. Straight-line code that compilers vectorise: no branches, tables or conversions to
 * integers; where a function needs the integer n of a float, it adds 1.5 2^52, which leaves n in the low
 * bits.
 *
 * The polynomials are Chebyshev fits made for these intervals. Worst error over millions of points, in units
 * of the last place, as tests/internal_elementary.c measures it against a 113-bit reference: in the line
 * above each. f32 goes through f64 and is rounded once.
 */
#ifndef OPT_KERNEL_ELEMENTARY_H
#define OPT_KERNEL_ELEMENTARY_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/strict.h"

#define OPT__MAGIC  0x1.8p52
#define OPT__LN2_HI 0x1.62e42fefp-1       /* 32 bits: times any exponent it is exact */
#define OPT__LN2_LO 0x1.473de6af278edp-34 /* ln 2 - LN2_HI */
#define OPT__LOG2E  0x1.71547652b82fep+0  /* 1 / ln 2 */

static inline uint64_t opt__bits(double x)
{
    uint64_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}

static inline double opt__from_bits(uint64_t b)
{
    double x;
    memcpy(&x, &b, sizeof x);
    return x;
}

/* The integer nearest to x, |x| < 2^51. */
static inline double opt__nearest(double x)
{
    return (x + OPT__MAGIC) - OPT__MAGIC;
}

/* 2^n for an integer n in [-1022, 1023]. */
static inline double opt__power_of_2(double n)
{
    return opt__from_bits(opt__bits(n + (OPT__MAGIC + 1023)) << 52);
}

/* e^r - 1 for |r| <= ln 2 / 2. */
static inline double opt__expm1_reduced(double r)
{
    const double r2 = r * r, r4 = r2 * r2;
    const double p01 = 0.5 + r * 0x1.5555555555557p-3;
    const double p23 = 0x1.5555555555556p-5 + r * 0x1.11111111100bep-7;
    const double p45 = 0x1.6c16c16c162c3p-10 + r * 0x1.a01a01abf85abp-13;
    const double p67 = 0x1.a01a01a6e1e2ap-16 + r * 0x1.71de01fdbf9cap-19;
    const double p89 = 0x1.27e4db46cddd1p-22 + r * 0x1.af4e554377204p-26;
    const double low = p01 + r2 * p23, middle = p45 + r2 * p67, high = p89 + r2 * 0x1.1f7340dbc337ep-29;

    return r + r2 * (low + r4 * (middle + r4 * high));
}

/* At most 0.96 units of the last place; underflows gradually. */
static inline double opt__exp(double x)
{
    const double c = x < -746 ? -746 : x > 710 ? 710 : x;
    const double n = opt__nearest(c * OPT__LOG2E);
    const double r = (c - n * OPT__LN2_HI) - n * OPT__LN2_LO;
    const double half = opt__nearest(0.5 * n); /* 2^n may be out of range where the result is not */

    return (1 + opt__expm1_reduced(r)) * opt__power_of_2(half) * opt__power_of_2(n - half);
}

/* The same for x <= 0, in fewer operations: 0 where the result would be below e^-708 = 3e-308. */
static inline double opt__exp_negative(double x)
{
    const double c = x < -708 ? -708 : x;
    const double n = opt__nearest(c * OPT__LOG2E);
    const double r = (c - n * OPT__LN2_HI) - n * OPT__LN2_LO;
    const double y = (1 + opt__expm1_reduced(r)) * opt__power_of_2(n);

    return x < -708 ? 0 : y;
}

/* (log(1 + f) - 2 s) / s for s = f / (2 + f), z = s^2, 1 + f in [sqrt(1/2), sqrt(2)]: log(1 + f) = 2
 * atanh(s). */
static inline double opt__log_tail(double z)
{
    const double z2 = z * z;
    const double p01 = 0x1.5555555555555p-1 + z * 0x1.9999999999a43p-2;
    const double p23 = 0x1.249249247513dp-2 + z * 0x1.c71c7204621fep-3;
    const double p45 = 0x1.745cf7c1d5dafp-3 + z * 0x1.3b1c79943fca2p-3;
    const double p67 = 0x1.0fb77bcdefa76p-3 + z * 0x1.0c4d8297b1431p-3;

    return z * ((p01 + z2 * p23) + (z2 * z2) * (p45 + z2 * p67));
}

/* At most 0.79. */
static inline double opt__log(double x)
{
    const double y = x < 0x1p-1022 ? x * 0x1p54 : x;
    const uint64_t bits = opt__bits(y), over = bits - 0x3fe6a09e667f3bcdu; /* the bits of sqrt(1/2) */
    const uint64_t exponent = (over + ((uint64_t)1024 << 52)) >> 52;       /* k + 1024: y = 2^k (1 + f) */
    const double f = opt__from_bits(bits - (over & 0xfff0000000000000u)) - 1;
    const double k =
        opt__from_bits(0x4330000000000000u | exponent) - (0x1p52 + 1024) - (x < 0x1p-1022 ? 54 : 0);

    /* 2 s = f - s f */
    const double s = f / (2 + f), square = 0.5 * f * f, tail = opt__log_tail(s * s);
    const double result = k * OPT__LN2_HI - ((square - (s * (square + tail) + k * OPT__LN2_LO)) - f);
    const double infinity = opt__from_bits(0x7ff0000000000000u), nan = opt__from_bits(0x7ff8000000000000u);

    return x > 0 ? (x < infinity ? result : x) : x == 0 ? -infinity : nan;
}

/* At most 1.5. */
static inline double opt__log1p(double x)
{
    const double u = 1 + x, lost = x > 1 ? 1 - (u - x) : x - (u - 1); /* of x when 1 was added */
    const double infinity = opt__from_bits(0x7ff0000000000000u);

    return opt__log(u) + (((x < infinity) & (u > 0)) ? lost / u : 0);
}

/* At most 2.5. */
static inline double opt__tanh(double x)
{
    const double a = x < 0 ? -x : x, c = a > 20 ? 20 : a, y = 2 * c;
    const double n = opt__nearest(y * OPT__LOG2E);
    const double r = (y - n * OPT__LN2_HI) - n * OPT__LN2_LO;
    const double scale = opt__power_of_2(n);
    const double e = scale * opt__expm1_reduced(r) + (scale - 1), t = e / (e + 2); /* e = e^2|x| - 1 */

    return x < 0 ? -t : x > 0 ? t : x;
}

/* At most 2.2. */
static inline double opt__sigmoid(double x)
{
    const double e = opt__exp(x < 0 ? x : -x); /* never overflows */

    return (x < 0 ? e : 1) / (1 + e);
}

/* log(1 + e) for e in [0, 1], and *inverse <- 1 / (1 + e), for one division: at most 3.8 and 3.0. */
static inline double opt__log1p_and_inverse(double e, double *inverse)
{
    const bool halve = e > 0x1.a827999fcef32p-2; /* sqrt(2) - 1: from here on log((1 + e) / 2) + log(2) */
    const double f = halve ? e - 1 : e, f2 = halve ? e + 3 : e + 2, u = 1 + e, r = 1 / (f2 * u);
    const double s = (f * u) * r, log = 2 * s + s * opt__log_tail(s * s);

    *inverse = f2 * r;
    return halve ? OPT__LN2_HI + (OPT__LN2_LO + log) : log;
}

/* sin and cos of r for |r| <= pi / 4. */
static inline double opt__sin_reduced(double r)
{
    const double z = r * r;
    double p = -0x1.ab16f5caa198ap-41;

    p = p * z + 0x1.61217d9252c03p-33;
    p = p * z - 0x1.ae645410e937bp-26;
    p = p * z + 0x1.71de3a545f836p-19;
    p = p * z - 0x1.a01a01a01992fp-13;
    p = p * z + 0x1.1111111111110p-7;
    p = p * z - 0x1.5555555555555p-3;
    return r + r * z * p;
}

static inline double opt__cos_reduced(double r)
{
    const double z = r * r, half = 0.5 * z, w = 1 - half;
    double p = 0x1.ab779550c8d9bp-45;

    p = p * z - 0x1.9394b8bd50ae1p-37;
    p = p * z + 0x1.1eed8deac3dfep-29;
    p = p * z - 0x1.27e4fb77125c5p-22;
    p = p * z + 0x1.a01a01a019d06p-16;
    p = p * z - 0x1.6c16c16c16c16p-10;
    p = p * z + 0x1.5555555555555p-5;
    return w + (((1 - w) - half) + z * z * p);
}

/* sin(x + quarter pi / 2) for |x| <= 1e5. */
static inline double opt__sin_turned(double x, int quarter)
{
    const double n = opt__nearest(x * 0x1.45f306dc9c883p-1);
    const double r = ((x - n * 0x1.921fb544p+0) - n * 0x1.0b4611a6p-34) - n * 0x1.3198a2e037073p-69;
    const uint64_t q =
        opt__bits(n + OPT__MAGIC) + (uint64_t)quarter; /* n's low bits: which quarter of the circle */
    const double y = q & 1 ? opt__cos_reduced(r) : opt__sin_reduced(r);

    return q & 2 ? -y : y;
}

/* |x| <= 1e5: at most 2.4, and 1.4 within a turn of 0. */
static inline double opt__sin(double x)
{
    return opt__sin_turned(x, 0);
}

/* |x| <= 1e5: at most 2.4, and 1.4 within a turn of 0. */
static inline double opt__cos(double x)
{
    return opt__sin_turned(x, 1);
}

#endif

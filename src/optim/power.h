/* SPDX-License-Identifier: MIT */
#ifndef OPT_OPTIM_POWER_H
#define OPT_OPTIM_POWER_H

#include <stdint.h>

/* x^n for n >= 0 by repeated squaring: the same bits everywhere, unlike pow. Below 2^-500, 0: a power of that
 * size is only ever compared with 1, and arithmetic on denormal numbers is slow. */
static inline double opt__power(double x, int64_t n)
{
    double y = 1;

    for (; n > 0; n /= 2) {
        y *= n & 1 ? x : 1;
        x *= x;
        if (x < 0x1p-500)
            return n > 1 ? 0 : y;
    }
    return y;
}

/* y[i] <- 1 - x[i]^n for two x in [0, 1], side by side: each squaring waits for the one before. */
static inline void opt__one_minus_powers(const double x[2], int64_t n, double y[2])
{
    double a = x[0], b = x[1], a_n = 1, b_n = 1;

    for (; n > 0; n /= 2) {
        a_n *= n & 1 ? a : 1;
        b_n *= n & 1 ? b : 1;
        a *= a;
        b *= b;
    }
    y[0] = 1 - a_n;
    y[1] = 1 - b_n;
}

#endif

/* SPDX-License-Identifier: MIT */
#ifndef OPT_OPTIM_POWER_H
#define OPT_OPTIM_POWER_H

#include <stdint.h>

/* x^n for n >= 0 by repeated squaring: the same bits everywhere, unlike pow. */
static inline double opt__power(double x, int64_t n)
{
    double y = 1;

    for (; n > 0; n /= 2) {
        if (n % 2 == 1)
            y *= x;
        x *= x;
    }
    return y;
}

#endif

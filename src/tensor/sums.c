/* SPDX-License-Identifier: MIT
 *
 * Sums in a fixed order: one copy of sums.inc a dtype.
 */
#include "tensor/sums.h"

#include "tensor/tensor.h"

#define LANES 8
#define BLOCK 4096

static double combine(const double *lane)
{
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

#define REAL    float
#define NAME(x) x##_f32
#include "tensor/sums.inc"
#undef REAL
#undef NAME
#define REAL    double
#define NAME(x) x##_f64
#include "tensor/sums.inc"

double opt__sum_squares(opt_dtype dtype, const void *x, int64_t n, double limit)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i += BLOCK) {
        const int64_t len = n - i < BLOCK ? n - i : BLOCK;

        if (dtype == OPT_F32)
            sum += block_squares_f32((const float *)x + i, len, limit);
        else
            sum += block_squares_f64((const double *)x + i, len, limit);
    }
    return sum;
}

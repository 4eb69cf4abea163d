/* SPDX-License-Identifier: MIT
 *
 * The library's own exp, log and so on against a 113-bit reference, libquadmath's. Sees the library's
 * insides: these functions are not public.
 *
 * usage: internal_elementary [POINTS]      prints the worst error of each; fails above 4 units of the last
 * place
 */
#include <inttypes.h>
#include <math.h>
#include <quadmath.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel/elementary.h"

#define BOUND 4.0

static uint64_t random_state = 1;

/* splitmix64 */
static uint64_t random_bits(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static double uniform(double min, double max)
{
    return min + (max - min) * (double)(random_bits() >> 11) * 0x1p-53;
}

static __float128 sigmoidq(__float128 x)
{
    return 1 / (1 + expq(-x));
}

static double log1p_of_pair(double e)
{
    double inverse;
    return opt__log1p_and_inverse(e, &inverse);
}

static double inverse_of_pair(double e)
{
    double inverse;
    opt__log1p_and_inverse(e, &inverse);
    return inverse;
}

static __float128 inverseq(__float128 e)
{
    return 1 / (1 + e);
}

/* |y - exact| in units of the last place of exact. */
static double ulps(double y, __float128 exact)
{
    const double rounded = (double)exact;
    int exponent;

    if (isnan(rounded) || isnan(y))
        return isnan(rounded) && isnan(y) ? 0 : HUGE_VAL;
    if (isinf(rounded) || rounded == 0)
        return y == rounded ? 0 : HUGE_VAL;
    frexp(rounded, &exponent);
    exponent = exponent < -1021 ? -1021 : exponent; /* below, units no longer shrink */
    return (double)(fabsq((__float128)y - exact) / ldexpq(1, exponent - 53));
}

typedef struct function {
    const char *name;
    double (*ours)(double);
    __float128 (*exact)(__float128);
    double min, max; /* the interval that matters most; any bits are tried too, where `all` */
    int all;
} function;

static const function functions[] = {
    {"exp", opt__exp, expq, -746, 710, 1},
    {"exp near 0", opt__exp, expq, -1, 1, 0},
    {"exp, x <= 0", opt__exp_negative, expq, -708, 0, 0},
    {"log", opt__log, logq, 0, 10, 1},
    {"log near 1", opt__log, logq, 0.9, 1.1, 0},
    {"log1p", opt__log1p, log1pq, 0, 1, 1},
    {"log1p near 0", opt__log1p, log1pq, -0.01, 0.01, 0},
    {"log1p of pair", log1p_of_pair, log1pq, 0, 1, 0},
    {"log1p, small", log1p_of_pair, log1pq, 0, 1e-6, 0},
    {"inverse of pair", inverse_of_pair, inverseq, 0, 1, 0},
    {"tanh", opt__tanh, tanhq, -22, 22, 1},
    {"tanh near 0", opt__tanh, tanhq, -1, 1, 0},
    {"sigmoid", opt__sigmoid, sigmoidq, -40, 40, 1},
    {"sigmoid near 0", opt__sigmoid, sigmoidq, -1, 1, 0},
    {"sin", opt__sin, sinq, -7, 7, 0},
    {"sin far away", opt__sin, sinq, -1e5, 1e5, 0},
    {"cos", opt__cos, cosq, -7, 7, 0},
    {"cos far away", opt__cos, cosq, -1e5, 1e5, 0},
};

static void consider(const function *f, double x, double *worst, double *at)
{
    const double error = ulps(f->ours(x), f->exact((__float128)x));

    if (!(error <= *worst)) {
        *worst = error;
        *at = x;
    }
}

int main(int argc, char **argv)
{
    static const double special[] = {0.0,       -0.0,  1,      -1,       0x1p-1074, -0x1p-1074,
                                     0x1p-1022, 1e300, -1e300, HUGE_VAL, -HUGE_VAL};
    const long points = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
    int failed = 0;

    for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) {
        const function *f = &functions[k];
        double worst = 0, at = 0;

        for (long i = 0; i < points; i++) {
            consider(f, uniform(f->min, f->max), &worst, &at);
            if (f->all)
                consider(f, opt__from_bits(random_bits()), &worst, &at);
        }
        for (size_t i = 0; f->all && i < sizeof special / sizeof *special; i++)
            consider(f, special[i], &worst, &at);
        if (f->all)
            consider(f, (double)NAN, &worst, &at);
        printf("%-15s %6.3f ulp at %a\n", f->name, worst, at);
        failed |= !(worst <= BOUND);
    }
    return failed;
}

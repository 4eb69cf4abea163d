/* SPDX-License-Identifier: MIT
 *
 * Learning rates as functions of the step.
 */
#include <math.h>

#include <opt/optim.h>

#include "kernel/elementary.h"
#include "optim/power.h"

static int64_t periods(int64_t t, int64_t every)
{
    return t / (every < 1 ? 1 : every);
}

static double option(double x)
{
    return x == OPT_ZERO ? 0 : x;
}

/* Without an argument, or one whose length or factor was left out, the rate is NaN, of which the optimizer
 * makes an error: a rate of 0 would go unnoticed. */
static const double none = (double)NAN;

double opt_lr_inverse(double lr0, int64_t t, const void *arg)
{
    const opt_inverse_arg *a = arg;

    return a ? lr0 / (1 + option(a->decay) * (double)periods(t, a->every)) : none;
}

double opt_lr_step(double lr0, int64_t t, const void *arg)
{
    const opt_step_arg *a = arg;

    return a && a->factor != 0 ? lr0 * opt__power(option(a->factor), periods(t, a->every)) : none;
}

double opt_lr_cosine(double lr0, int64_t t, const void *arg)
{
    const opt_cosine_arg *a = arg;
    const double pi = 3.14159265358979323846;
    double last, done;
    int64_t warmup;

    if (a == NULL || a->total < 1)
        return none;
    warmup = a->warmup < 0 ? 0 : a->warmup;
    last = option(a->final_fraction);
    if (t < warmup)
        return lr0 * ((double)t + 1) / (double)warmup;
    if (t >= a->total)
        return lr0 * last;
    done = (double)(t - warmup) / (double)(a->total - warmup);
    return lr0 * (last + (1 - last) * 0.5 * (1 + opt__cos(pi * done)));
}

double opt_lr_exponential(double lr0, int64_t t, const void *arg)
{
    const opt_exponential_arg *a = arg;
    double factor;

    if (a == NULL || a->factor == 0)
        return none;
    factor = option(a->factor);
    if (!(factor >= 0))
        return none;
    if (t == 0 || factor == 0)
        return t == 0 ? lr0 : 0;
    return lr0 * opt__exp(opt__log(factor) * ((double)t / (double)(a->every < 1 ? 1 : a->every)));
}

/* x^power for x in (0, 1] and a power of 0 or more. */
static double power_of(double x, double power)
{
    const bool whole = power <= 1e6 && power == (double)(int64_t)power;

    return whole ? opt__power(x, (int64_t)power) : opt__exp(power * opt__log(x));
}

double opt_lr_polynomial(double lr0, int64_t t, const void *arg)
{
    const opt_polynomial_arg *a = arg;
    double last;

    if (a == NULL || a->total < 1 || !(a->power >= 0))
        return none;
    last = option(a->final_fraction);
    if (t >= a->total)
        return lr0 * last;
    return lr0 *
           (last + (1 - last) * power_of(1 - (double)t / (double)a->total, a->power == 0 ? 1 : a->power));
}

/* From `start` at 0 to `end` at 1 and beyond, along half a cosine wave. */
static double half_wave(double start, double end, double x)
{
    const double pi = 3.14159265358979323846;

    return x >= 1 ? end : end + (start - end) * 0.5 * (1 + opt__cos(pi * x));
}

double opt_lr_one_cycle(double lr0, int64_t t, const void *arg)
{
    const opt_one_cycle_arg *a = arg;
    double up, first, last, top, end;

    if (a == NULL)
        return none;
    up = a->up == 0 ? 0.3 : a->up;
    first = a->start_fraction == 0 ? 1.0 / 25 : option(a->start_fraction);
    last = a->final_fraction == 0 ? 1.0 / 250000 : option(a->final_fraction);
    if (!(up > 0 && up < 1) || a->total < 1)
        return none;
    end = (double)(a->total - 1);
    top = up * (double)a->total - 1;
    if ((double)t <= top)
        return lr0 * half_wave(first, 1, top > 0 ? (double)t / top : 1);
    return lr0 * half_wave(1, last, ((double)t - top) / (end - top));
}

double opt_lr_warmup(double lr0, int64_t t, const void *arg)
{
    const opt_warmup_arg *a = arg;

    if (a == NULL)
        return none;
    if (t < a->warmup)
        return lr0 * ((double)t + 1) / (double)a->warmup;
    return a->then ? a->then(lr0, t - (a->warmup < 0 ? 0 : a->warmup), a->then_arg) : lr0;
}

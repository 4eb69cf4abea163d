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

/* Without an argument the rate is NaN, of which the optimizer makes an error. */
static const double none = (double)NAN;

double opt_lr_inverse(double lr0, int64_t t, const void *arg)
{
    const opt_inverse_arg *a = arg;

    return a ? lr0 / (1 + option(a->decay) * (double)periods(t, a->every)) : none;
}

double opt_lr_step(double lr0, int64_t t, const void *arg)
{
    const opt_step_arg *a = arg;

    return a ? lr0 * opt__power(option(a->factor), periods(t, a->every)) : none;
}

double opt_lr_cosine(double lr0, int64_t t, const void *arg)
{
    const opt_cosine_arg *a = arg;
    const double pi = 3.14159265358979323846;
    double last, done;
    int64_t warmup;

    if (a == NULL)
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

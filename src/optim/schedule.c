/* SPDX-License-Identifier: MIT
 *
 * Learning rates as functions of the step.
 */
#include <opt/optim.h>

#include "kernel/elementary.h"
#include "optim/power.h"

static int64_t periods(int64_t t, int64_t every)
{
    return t / (every < 1 ? 1 : every);
}

double opt_lr_inverse(double lr0, int64_t t, const void *arg)
{
    const opt_inverse_arg *a = arg;

    return lr0 / (1 + a->decay * (double)periods(t, a->every));
}

double opt_lr_step(double lr0, int64_t t, const void *arg)
{
    const opt_step_arg *a = arg;

    return lr0 * opt__power(a->factor, periods(t, a->every));
}

double opt_lr_cosine(double lr0, int64_t t, const void *arg)
{
    const opt_cosine_arg *a = arg;
    const double pi = 3.14159265358979323846;
    double done;

    if (t < a->warmup)
        return lr0 * ((double)t + 1) / (double)a->warmup;
    if (t >= a->total)
        return lr0 * a->final_fraction;
    done = (double)(t - a->warmup) / (double)(a->total - a->warmup);
    return lr0 * (a->final_fraction + (1 - a->final_fraction) * 0.5 * (1 + opt__cos(pi * done)));
}

/* SPDX-License-Identifier: MIT
 *
 * Schedule-Free AdamW. The parameters are y; x, which predicts, is worked out from y and z when it is wanted:
 *
 *     y = (1 - beta1) z + beta1 x        x <- (1 - c) x + c z        z <- z - d
 *
 * which leaves y <- y + c (z - y) - (1 - beta1 (1 - c)) d, all of the step there is.
 */
#include <float.h>
#include <math.h>

#include "optim/method.h"
#include "optim/power.h"

enum { Z, V }; /* its slots */

/* The part of the whole rate that step i has. */
static double warm(const opt_schedule_free_opts *h, int64_t i)
{
    return (double)i < h->warmup ? (double)i / h->warmup : 1;
}

/* warm(1)^2 + ... + warm(t)^2 */
static double sum_of_squares(const opt_schedule_free_opts *h, int64_t t)
{
    const double rising = floor(fmin((double)t, h->warmup)), flat = (double)t - rising;

    return flat + (rising > 0 ? rising * (rising + 1) * (2 * rising + 1) / 6 / (h->warmup * h->warmup) : 0);
}

static opt_status update(const opt_update *u)
{
    const opt_schedule_free_opts *h = u->hyper;
    const opt__adjust *given = u->adjust;
    const double part = warm(h, u->t);
    const double c = u->t == 1 ? 1 : u->lr == 0 ? 0 : part * part / sum_of_squares(h, u->t);
    const double constants[OPT__CONSTANTS] = {u->lr * part,
                                              h->beta2,
                                              1 - h->beta2,
                                              1 / sqrt(1 - opt__power(h->beta2, u->t)),
                                              h->eps,
                                              given ? given->decay * part : 0,
                                              c,
                                              1 - h->beta1 * (1 - c)};
    opt__adjust adjust;
    opt_update mine = *u;

    if (given != NULL) {
        adjust = *given;
        adjust.decay = 0; /* which goes with the gradient, into z */
        mine.adjust = &adjust;
    }
    return opt__apply(OPT__SCHEDULE_FREE, &mine, constants);
}

static void predict(const opt_update *u)
{
    const opt_schedule_free_opts *h = u->hyper;
    const double beyond = 1 / h->beta1 - 1;

    for (int64_t i = 0, n = opt_tensor_len(&u->w); i < n; i++) {
        const double y = opt_get(&u->w, i);

        opt_set(&u->w, i, y + beyond * (y - opt_get(&u->slot[Z], i)));
    }
}

/* 0.01 is allowed in f32 too, where it is a little less. */
static const opt_hyper hyper[] = {{"beta1", 0.9, (double)0.01f, 1},
                                  {"beta2", 0.999, 0, 1},
                                  {"eps", 1e-8, DBL_MIN, HUGE_VAL},
                                  {"warmup", 0, 0, 0x1p53}};

const opt_method opt_schedule_free = {.name = "schedule_free",
                                      .hyper = hyper,
                                      .nhyper = 4,
                                      .slot = {[Z] = "z", [V] = "v"},
                                      .update = update,
                                      .predict = predict};

/* SPDX-License-Identifier: MIT
 *
 * Adagrad.
 */
#include <float.h>
#include <math.h>

#include "optim/method.h"

static opt_status update(const opt_update *u)
{
    const opt_adagrad_opts *h = u->hyper;
    const double lr = u->lr / (1 + (double)(u->t - 1) * h->lr_decay);

    return opt__apply(OPT__ADAGRAD, u,
                      (const double[OPT__CONSTANTS]){lr, h->eps, u->t == 1 ? h->initial_sum : 0});
}

static const opt_hyper hyper[] = {
    {"lr_decay", 0, 0, HUGE_VAL}, {"initial_sum", 0, 0, HUGE_VAL}, {"eps", 1e-10, DBL_MIN, HUGE_VAL}};

const opt_method opt_adagrad = {
    .name = "adagrad", .hyper = hyper, .nhyper = 3, .slot = {"sum"}, .update = update};

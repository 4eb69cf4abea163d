/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "optim/steps.h"

static opt_status update(const opt_update *u)
{
    const opt_adam_opts *h = u->hyper;

    opt__step_adam(u, h->beta1, h->beta2, h->eps);
    return OPT_OK;
}

static const opt_hyper hyper[] = {{"beta1", 0.9, 0, 1}, {"beta2", 0.999, 0, 1}, {"eps", 1e-8, 0, HUGE_VAL}};

const opt_method opt_adam = {
    .name = "adam", .hyper = hyper, .nhyper = 3, .slot = {"m", "v"}, .update = update};

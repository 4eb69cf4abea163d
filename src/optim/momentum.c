/* SPDX-License-Identifier: MIT */
#include "optim/steps.h"

static opt_status update(const opt_update *u)
{
    const opt_momentum_opts *h = u->hyper;

    opt__step_momentum(u, h->beta);
    return OPT_OK;
}

static const opt_hyper hyper[] = {{"beta", 0.9, 0, 1}};

const opt_method opt_momentum = {
    .name = "momentum", .hyper = hyper, .nhyper = 1, .slot = {"v"}, .update = update};

/* SPDX-License-Identifier: MIT
 *
 * Gradient descent, and the methods that add momentum to it.
 */
#include "optim/method.h"

static opt_status update_gd(const opt_update *u)
{
    return opt__apply(OPT__GD, u, (const double[OPT__CONSTANTS]){u->lr});
}

const opt_method opt_gd = {.name = "gd", .update = update_gd};

static opt_status update_momentum(const opt_update *u)
{
    const opt_momentum_opts *h = u->hyper;

    return opt__apply(OPT__MOMENTUM, u, (const double[OPT__CONSTANTS]){u->lr, h->beta, 1 - h->beta});
}

static const opt_hyper momentum_hyper[] = {{"beta", 0.9, 0, 1}};

const opt_method opt_momentum = {
    .name = "momentum", .hyper = momentum_hyper, .nhyper = 1, .slot = {"v"}, .update = update_momentum};

static opt_status update_heavy_ball(const opt_update *u)
{
    const opt_heavy_ball_opts *h = u->hyper;

    return opt__apply(OPT__MOMENTUM, u, (const double[OPT__CONSTANTS]){u->lr, h->mu, 1});
}

static const opt_hyper mu_hyper[] = {{"mu", 0.9, 0, 1}};

const opt_method opt_heavy_ball = {
    .name = "heavy_ball", .hyper = mu_hyper, .nhyper = 1, .slot = {"v"}, .update = update_heavy_ball};

static opt_status update_nesterov(const opt_update *u)
{
    const opt_nesterov_opts *h = u->hyper;

    return opt__apply(OPT__NESTEROV, u, (const double[OPT__CONSTANTS]){u->lr, h->mu});
}

const opt_method opt_nesterov = {
    .name = "nesterov", .hyper = mu_hyper, .nhyper = 1, .slot = {"v"}, .update = update_nesterov};

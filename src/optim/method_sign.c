/* SPDX-License-Identifier: MIT
 *
 * Lion and Rprop, which go by the sign and not by the size.
 */
#include <float.h>
#include <math.h>

#include "optim/method.h"

static opt_status update_lion(const opt_update *u)
{
    const opt_lion_opts *h = u->hyper;
    const double c[OPT__CONSTANTS] = {u->lr, h->beta1, 1 - h->beta1, h->beta2, 1 - h->beta2};

    return opt__apply(OPT__LION, u, c);
}

static const opt_hyper lion_hyper[] = {{"beta1", 0.9, 0, 1}, {"beta2", 0.99, 0, 1}};

const opt_method opt_lion = {
    .name = "lion", .hyper = lion_hyper, .nhyper = 2, .slot = {"m"}, .update = update_lion};

static opt_status update_rprop(const opt_update *u)
{
    const opt_rprop_opts *h = u->hyper;
    const double c[OPT__CONSTANTS] = {h->eta_minus, h->eta_plus, h->step_min, h->step_max,
                                      u->t == 1 ? u->lr : 0};

    if (u->lr == 0) /* which moves no weights of any method's */
        return OPT_OK;
    return opt__apply(OPT__RPROP, u, c);
}

static const opt_hyper rprop_hyper[] = {{"eta_minus", 0.5, DBL_MIN, 1},
                                        {"eta_plus", 1.2, 1, HUGE_VAL},
                                        {"step_min", 1e-6, DBL_MIN, HUGE_VAL},
                                        {"step_max", 50, DBL_MIN, HUGE_VAL}};

const opt_method opt_rprop = {
    .name = "rprop", .hyper = rprop_hyper, .nhyper = 4, .slot = {"prev", "step"}, .update = update_rprop};

/* SPDX-License-Identifier: MIT
 *
 * RMSProp, whose settings decide which slots it has.
 */
#include <float.h>
#include <math.h>

#include "optim/method.h"

enum { V, M, B }; /* its slots */

static void shape_slot(const void *hyper, int slot, opt_tensor *like)
{
    const opt_rmsprop_opts *h = hyper;

    if ((slot == M && h->centered == 0) || (slot == B && h->momentum == 0))
        like->dtype = 0;
}

static opt_status update(const opt_update *u)
{
    static const opt__step steps[2][2] = {{OPT__RMSPROP, OPT__RMSPROP_MOMENTUM},
                                          {OPT__RMSPROP_CENTRED, OPT__RMSPROP_CENTRED_MOMENTUM}};
    const opt_rmsprop_opts *h = u->hyper;
    const double c[OPT__CONSTANTS] = {u->lr, h->alpha, 1 - h->alpha, h->eps, h->momentum};

    return opt__apply(steps[h->centered != 0][h->momentum != 0], u, c);
}

static const opt_hyper hyper[] = {
    {"alpha", 0.99, 0, 1}, {"eps", 1e-8, DBL_MIN, HUGE_VAL}, {"momentum", 0, 0, 1}, {"centered", 0, 0, 2}};

const opt_method opt_rmsprop = {.name = "rmsprop",
                                .hyper = hyper,
                                .nhyper = 4,
                                .slot = {[V] = "v", [M] = "m", [B] = "b"},
                                .update = update,
                                .shape_slot = shape_slot};

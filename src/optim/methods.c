/* SPDX-License-Identifier: MIT
 *
 * The built-in methods. Their loops are in kernel/steps.inc.
 */
#include <float.h>
#include <math.h>

#include <opt/optim.h>

#include "kernel/kernels.h"
#include "optim/method.h"
#include "optim/power.h"

/* A caller may hand an opt_update of its own making to a built-in method: then the loops every machine has
 * will do. */
static const opt__kernels *kernels_of(const opt_update *u)
{
    const opt__kernels *k = u->kernels ? u->kernels : opt__kernels_for(OPT_ISA_BASELINE);

    return &k[u->w.dtype == OPT_F64];
}

static opt_status update_gd(const opt_update *u)
{
    kernels_of(u)->gd(opt_tensor_len(&u->w), u->w.data, u->g.data, u->lr, u->adjust);
    return OPT_OK;
}

const opt_method opt_gd = {.name = "gd", .update = update_gd};

static opt_status update_momentum(const opt_update *u)
{
    const opt_momentum_opts *h = u->hyper;

    kernels_of(u)->momentum(opt_tensor_len(&u->w), u->w.data, u->g.data, u->slot[0].data, u->lr, h->beta,
                            u->adjust);
    return OPT_OK;
}

static const opt_hyper momentum_hyper[] = {{"beta", 0.9, 0, 1}};

const opt_method opt_momentum = {
    .name = "momentum", .hyper = momentum_hyper, .nhyper = 1, .slot = {"v"}, .update = update_momentum};

static opt_status update_adam(const opt_update *u)
{
    const opt_adam_opts *h = u->hyper;
    opt__adam c = {.beta1 = h->beta1, .beta2 = h->beta2, .eps = h->eps};
    double correction[2];

    opt__one_minus_powers((double[]){h->beta1, h->beta2}, u->t, correction);
    c.rate = u->lr / correction[0];
    c.root_scale = 1 / sqrt(correction[1]);
    kernels_of(u)->adam(opt_tensor_len(&u->w), u->w.data, u->g.data, u->slot[0].data, u->slot[1].data, &c,
                        u->adjust);
    return OPT_OK;
}

static const opt_hyper adam_hyper[] = {
    {"beta1", 0.9, 0, 1}, {"beta2", 0.999, 0, 1}, {"eps", 1e-8, DBL_MIN, HUGE_VAL}};

const opt_method opt_adam = {
    .name = "adam", .hyper = adam_hyper, .nhyper = 3, .slot = {"m", "v"}, .update = update_adam};

bool opt__adjusts(const opt_method *m)
{
    return m->update == update_gd || m->update == update_momentum || m->update == update_adam;
}

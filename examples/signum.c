/* SPDX-License-Identifier: MIT
 *
 * An optimizer of one's own: Signum, signSGD with momentum (Bernstein et al. 2018, arXiv:1802.04434,
 * Algorithm 2). This is all it takes; state, checks, clipping, decay, files and the training loop are the
 * library's. tests/test_optim_methods.c holds it to what the library's own methods must do.
 */
#include "signum.h"

/* Slot "m", zero at first:
 *
 *     m <- beta m + (1 - beta) g        w <- w - lr sign(m)
 *
 * The paper's weight decay is the decoupled one that the driver does for every method, so not our affair. */
static const opt_hyper signum_hyper[] = {{"beta", 0.9, 0, 1}};

static opt_status signum_update(const opt_update *u)
{
    const signum_opts *h = u->hyper;
    for (int64_t i = 0; i < opt_tensor_len(&u->w); i++) {
        double m = h->beta * opt_get(&u->slot[0], i) + (1 - h->beta) * opt_get(&u->g, i);
        double sign = m > 0 ? 1 : m < 0 ? -1 : 0;
        opt_set(&u->slot[0], i, m);
        opt_set(&u->w, i, opt_get(&u->w, i) - u->lr * sign);
    }
    return OPT_OK;
}

const opt_method signum = {
    .name = "signum", .hyper = signum_hyper, .nhyper = 1, .slot = {"m"}, .update = signum_update};

/* SPDX-License-Identifier: MIT
 *
 * Checks of a method and its hyper-parameters; what the library's own share.
 */
#include "optim/method.h"

#include <string.h>

int opt__slot_count(const opt_method *m)
{
    int n = 0;

    while (n < OPT_MAX_SLOTS && m->slot[n] != NULL)
        n++;
    return n;
}

static opt_status check_slots(opt_ctx *ctx, const opt_method *m)
{
    const int n = opt__slot_count(m);

    for (int i = n; i < OPT_MAX_SLOTS; i++)
        if (m->slot[i] != NULL)
            return opt__fail(ctx, OPT_EINVAL, "%s: slot %d, %s, follows an empty one", m->name, i,
                             m->slot[i]);
    for (int i = 0; i < n; i++) {
        if (m->slot[i][0] == '\0')
            return opt__fail(ctx, OPT_EINVAL, "%s: slot %d has an empty name", m->name, i);
        for (int j = 0; j < i; j++)
            if (strcmp(m->slot[i], m->slot[j]) == 0)
                return opt__fail(ctx, OPT_EINVAL, "%s: two slots are named %s", m->name, m->slot[i]);
    }
    return OPT_OK;
}

static opt_status check_hyper(opt_ctx *ctx, const opt_method *m)
{
    for (int i = 0; i < m->nhyper; i++) {
        if (m->hyper[i].name == NULL || !(m->hyper[i].min < m->hyper[i].max))
            return opt__fail(ctx, OPT_EINVAL, "%s: hyper-parameter %d has no name or an empty range", m->name,
                             i);
        for (int j = 0; j < i; j++)
            if (strcmp(m->hyper[i].name, m->hyper[j].name) == 0)
                return opt__fail(ctx, OPT_EINVAL, "%s: two hyper-parameters are named %s", m->name,
                                 m->hyper[i].name);
    }
    return check_slots(ctx, m);
}

opt_status opt__check_method(opt_ctx *ctx, const opt_method *m)
{
    if (m == NULL)
        return opt__fail(ctx, OPT_EINVAL, "optim: the method is NULL");
    if (m->name == NULL || m->name[0] == '\0')
        return opt__fail(ctx, OPT_EINVAL, "optim: the method has no name");
    if (m->update == NULL && m->search == NULL)
        return opt__fail(ctx, OPT_EINVAL, "%s: the method has no update", m->name);
    if (m->update != NULL && m->search != NULL)
        return opt__fail(ctx, OPT_EINVAL, "%s: the method has both an update and a search", m->name);
    if (m->scratch != NULL && !m->whole_tensor)
        return opt__fail(ctx, OPT_EINVAL, "%s: scratch is for methods with whole_tensor", m->name);
    if (m->nhyper < 0 || (m->nhyper > 0 && m->hyper == NULL))
        return opt__fail(ctx, OPT_EINVAL, "%s: nhyper = %d does not fit its table of hyper-parameters",
                         m->name, m->nhyper);
    return check_hyper(ctx, m);
}

opt_status opt__read_hyper(opt_ctx *ctx, const opt_method *m, const void *given, double *out)
{
    for (int i = 0; i < m->nhyper; i++) {
        const opt_hyper *h = &m->hyper[i];
        double x = 0;

        if (given != NULL)
            memcpy(&x, (const char *)given + (size_t)i * sizeof x, sizeof x);
        x = x == 0 ? h->dflt : x == OPT_ZERO ? 0 : x;
        if (!(x >= h->min && x < h->max))
            return opt__fail(ctx, OPT_EINVAL, "%s: %s = %g is outside [%g, %g)", m->name, h->name, x, h->min,
                             h->max);
        out[i] = x;
    }
    return OPT_OK;
}

/* ---- The library's own --------------------------------------------------------------------------------- */

/* Those that take an adjustment into their own pass. Muon does not, and L-BFGS has none. */
static const opt_method *const adjusting[] = {&opt_gd,    &opt_momentum,  &opt_heavy_ball,    &opt_nesterov,
                                              &opt_adam,  &opt_adamw,     &opt_amsgrad,       &opt_nadam,
                                              &opt_radam, &opt_rmsprop,   &opt_adagrad,       &opt_lion,
                                              &opt_rprop, &opt_adam_bf16, &opt_schedule_free, NULL};

bool opt__adjusts(const opt_method *m)
{
    for (const opt_method *const *known = adjusting; *known != NULL; known++)
        if (m->update == (*known)->update)
            return true;
    return false;
}

bool opt__never_fails(const opt_method *m)
{
    return opt__adjusts(m) || (m->update == opt_muon.update && m->scratch == opt_muon.scratch);
}

const opt__kernels *opt__kernels_at(const opt_update *u)
{
    /* A caller may hand an opt_update of its own making to a built-in method: then the loops every machine
     * has will do. */
    const opt__kernels *k = u->kernels ? u->kernels : opt__kernels_for(OPT_ISA_BASELINE);

    return &k[u->w.dtype == OPT_F64];
}

opt_status opt__apply(opt__step step, const opt_update *u, const double *c)
{
    void *slot[OPT_MAX_SLOTS];
    int n = 0;

    for (int s = 0; s < OPT_MAX_SLOTS; s++) {
        slot[n] = u->slot[s].data;
        n += slot[n] != NULL;
    }
    opt__kernels_at(u)->step[step](opt_tensor_len(&u->w), u->w.data, u->g.data, slot, c, u->adjust);
    return OPT_OK;
}

/* SPDX-License-Identifier: MIT
 *
 * The driver: making an optimizer.
 */
#include "optim/optim.h"

#include <math.h>
#include <string.h>

#include "optim/method.h"
#include "optim/params.h"

static opt_status check_option(opt_ctx *ctx, const char *method, const char *name, double *x)
{
    if (*x == OPT_ZERO)
        *x = 0;
    if (!(*x >= 0 && isfinite(*x)))
        return opt__fail(ctx, OPT_EINVAL, "%s: %s = %g is outside [0, inf)", method, name, *x);
    return OPT_OK;
}

/* What would make a lower loss of another one, or a search along another line. */
static opt_status check_search_options(opt_ctx *ctx, const opt_method *m, const opt_optim_opts *o)
{
    const char *wrong = o->clip_value > 0     ? "clip_value"
                        : o->clip_norm > 0    ? "clip_norm"
                        : o->weight_decay > 0 ? "weight_decay"
                                              : NULL;

    return wrong ? opt__fail(ctx, OPT_EINVAL, "%s: it searches along a line, and has no %s", m->name, wrong)
                 : OPT_OK;
}

static opt_status check_options(opt_ctx *ctx, const opt_method *m, opt_optim_opts *o)
{
    opt_status s;

    if (!(o->lr > 0 && isfinite(o->lr)))
        return opt__fail(ctx, OPT_EINVAL, "%s: lr = %g is outside (0, inf)", m->name, o->lr);
    if (o->weight_decay == 0)
        o->weight_decay = m->weight_decay;
    s = check_option(ctx, m->name, "clip_value", &o->clip_value);
    if (!s)
        s = check_option(ctx, m->name, "clip_norm", &o->clip_norm);
    if (!s)
        s = check_option(ctx, m->name, "l2", &o->l2);
    if (!s)
        s = check_option(ctx, m->name, "weight_decay", &o->weight_decay);
    if (!s)
        s = check_option(ctx, m->name, "average", &o->average);
    if (!s && !(o->average < 1))
        s = opt__fail(ctx, OPT_EINVAL, "%s: average = %g is outside [0, 1)", m->name, o->average);
    if (!s && o->average > 0 && m->predict != NULL)
        s = opt__fail(ctx, OPT_EINVAL, "%s: average = %g, but it predicts by weights of its own", m->name,
                      o->average);
    if (!s && m->search != NULL)
        s = check_search_options(ctx, m, o);
    return s;
}

/* With f32 parameters every option is rounded to f32 before use, and has to make sense then as well. */
static opt_status check_single(opt_optim *o)
{
    const opt_method *m = &o->method;
    const struct {
        const char *name;
        double x;
    } option[] = {{"lr", o->opts.lr},
                  {"clip_value", o->opts.clip_value},
                  {"clip_norm", o->opts.clip_norm},
                  {"l2", o->opts.l2},
                  {"weight_decay", o->opts.weight_decay}};

    for (int p = 0; p < o->nparams; p++)
        o->single = o->single || o->params[p].value.dtype == OPT_F32;
    for (int i = 0; o->single && i < m->nhyper; i++) {
        const double x = o->hyper[i], rounded = (double)(float)x;

        if (!(rounded >= m->hyper[i].min && rounded < m->hyper[i].max) || (x != 0 && rounded == 0))
            return opt__fail(o->ctx, OPT_EINVAL, "%s: %s = %g is out of range once rounded to f32", m->name,
                             m->hyper[i].name, x);
    }
    for (int i = 0; o->single && i < 5; i++)
        if (!isfinite((float)option[i].x))
            return opt__fail(o->ctx, OPT_EINVAL, "%s: %s = %g is out of range once rounded to f32", m->name,
                             option[i].name, option[i].x);
    for (int p = 0; o->single && p < o->nparams; p++) {
        const opt_param *param = &o->params[p];
        const double decay = param->decay_factor * fmax(fmax(o->opts.l2, o->opts.weight_decay), 1);

        if (!isfinite((float)param->lr_factor) || !isfinite((float)decay))
            return opt__fail(o->ctx, OPT_EINVAL, "%s: %s_factor of %s is out of range once rounded to f32",
                             m->name, isfinite((float)decay) ? "lr" : "decay", param->name);
        o->largest_factor = fmax(o->largest_factor, param->lr_factor);
    }
    if (o->single && !((float)o->opts.average < 1))
        return opt__fail(o->ctx, OPT_EINVAL, "%s: average = %g is out of range once rounded to f32", m->name,
                         o->opts.average);
    return OPT_OK;
}

/* Fills in the parameters' factors; no_decay becomes a factor of 0. */
static opt_status check_groups(opt_optim *o)
{
    int frozen = 0;

    for (int p = 0; p < o->nparams; p++) {
        opt_param *param = &o->params[p];
        double *const factor[] = {&param->lr_factor, &param->decay_factor};

        for (int i = 0; i < 2; i++) {
            const double x = *factor[i];

            *factor[i] = x == 0 ? 1 : x == OPT_ZERO ? 0 : x;
            if (!(*factor[i] >= 0 && isfinite(*factor[i])))
                return opt__fail(o->ctx, OPT_EINVAL, "%s: %s of %s = %g is outside [0, inf)", o->method.name,
                                 i == 0 ? "lr_factor" : "decay_factor", param->name, x);
        }
        if (param->no_decay)
            param->decay_factor = 0;
        if (o->method.search != NULL && !param->frozen && param->lr_factor != 1)
            return opt__fail(o->ctx, OPT_EINVAL, "%s: it searches along a line, and has no lr_factor (%s)",
                             o->method.name, param->name);
        frozen += param->frozen;
    }
    return frozen < o->nparams
               ? OPT_OK
               : opt__fail(o->ctx, OPT_EINVAL, "%s: every parameter is frozen", o->method.name);
}

/* Whether w and g, of parameter p, the first element number `first` among all, go on where the run ends, and
 * so do their slots. Only the library's own updates may see more than one parameter at a time. */
static bool continues(const opt_optim *o, const opt__run *r, int p, int64_t first, const opt_tensor *w,
                      const opt_tensor *g)
{
    if (!o->adjusts || o->method.whole_tensor || r->first + opt_tensor_len(&r->w) != first ||
        r->lr_factor != o->params[p].lr_factor || r->decay_factor != o->params[p].decay_factor ||
        !opt__joins(&r->w, w) || !opt__joins(&r->g, g))
        return false;
    for (int s = 0; s < o->nslots; s++)
        if (!opt__joins(&r->slot[s], &o->slots[p * o->nslots + s]))
            return false;
    return true;
}

static opt_tensor flat(const opt_tensor *t)
{
    return (opt_tensor){t->data, t->dtype, 1, {opt_tensor_len(t)}};
}

/* Adds n elements, with their slots, to the end of a run. */
static void extend(const opt_optim *o, opt__run *r, int64_t n)
{
    r->w.dim[0] += n;
    r->g.dim[0] += n;
    for (int s = 0; s < o->nslots; s++)
        r->slot[s].dim[0] += n;
}

/* Cuts the parameters, or what this rank has of them, into runs. */
static void find_runs(opt_optim *o)
{
    int64_t first = 0;

    for (int p = 0; p < o->nparams; p++) {
        const opt_param *param = &o->params[p];
        const opt_tensor w = opt__own(o, p, &param->value);
        const int64_t number = first + (o->sharded ? o->share[p].first : 0);
        opt__run *r = o->runs + o->nruns;
        opt_tensor g;

        first += opt_tensor_len(&param->value);
        if (param->frozen || opt_tensor_len(&w) == 0)
            continue;
        g = opt__own(o, p, &param->grad);
        if (o->nruns > 0 && continues(o, r - 1, p, number, &w, &g)) {
            extend(o, r - 1, opt_tensor_len(&w));
            continue;
        }
        *r = (opt__run){.w = w,
                        .g = g,
                        .lr_factor = param->lr_factor,
                        .decay_factor = param->decay_factor,
                        .param = p,
                        .first = number};
        for (int s = 0; s < o->nslots; s++)
            r->slot[s] = o->slots[p * o->nslots + s];
        if (!o->method.whole_tensor) {
            r->w = flat(&r->w);
            r->g = flat(&r->g);
            for (int s = 0; s < o->nslots; s++)
                if (!opt__is_wide(&r->slot[s], &w))
                    r->slot[s] = flat(&r->slot[s]);
        }
        o->nruns++;
    }
}

static bool needs_effective(const opt_optim *o)
{
    return !o->adjusts && o->method.update != NULL &&
           (o->opts.clip_value > 0 || o->opts.clip_norm > 0 || o->opts.l2 > 0);
}

/* Divides the runs into chunks. Without work beside the update's own there is no need to stay in the
 * first-level cache, and chunks are only as small as sharing them among threads asks for. */
static opt_status cut_into_chunks(opt_optim *o)
{
    const int threads = o->method.whole_tensor ? 1 : o->ctx->threads;
    int64_t largest = 0, all = 0;

    for (int i = 0; i < o->nruns; i++)
        all += opt_tensor_len(&o->runs[i].w);
    o->shared = threads > 1 && all >= OPT__SHARED;
    o->chunk = needs_effective(o) || (!o->adjusts && o->opts.weight_decay > 0) || o->opts.average > 0
                   ? OPT__CHUNK
               : o->shared ? OPT__CHUNK
                           : INT64_MAX;
    for (int i = 0; i < o->nruns; i++) {
        opt__run *r = &o->runs[i];
        const int64_t n = opt_tensor_len(&r->w), chunk = opt__chunk(o, r);

        r->first_part = o->parts;
        o->parts += (n - 1) / chunk + 1;
        largest = chunk > largest ? chunk : largest;
    }
    if (!needs_effective(o) || largest == 0) /* a rank may have nothing */
        return OPT_OK;
    if (largest > PTRDIFF_MAX / (int64_t)sizeof(double) / threads)
        return opt__no_memory(o->ctx, o->method.name);
    o->effective_size = largest * (int64_t)sizeof(double);
    o->effective = opt__alloc(o->ctx, threads, (size_t)o->effective_size);
    return o->effective ? OPT_OK : opt__no_memory(o->ctx, o->method.name);
}

/* The scratch that the most demanding parameter's update asks for. */
static opt_status reserve_scratch(opt_optim *o)
{
    int64_t most = 0;

    for (int p = 0; o->method.scratch != NULL && p < o->nparams; p++) {
        const opt_tensor *w = &o->params[p].value;
        const int64_t bytes = o->params[p].frozen ? 0 : o->method.scratch(o->hyper, w);

        if (bytes < 0)
            return opt__fail(o->ctx, OPT_ESHAPE, "%s: the size of what %s needs overflows", o->method.name,
                             o->params[p].name);
        most = bytes > most ? bytes : most;
    }
    if (most > 0)
        o->scratch = opt__alloc(o->ctx, most, 1);
    return most == 0 || o->scratch ? OPT_OK : opt__no_memory(o->ctx, o->method.name);
}

/* Cuts the gradients into as few stretches as will do, and makes room for their sums. */
static opt_status find_gradients(opt_optim *o)
{
    o->gradients = opt__alloc(o->ctx, o->nparams, sizeof *o->gradients);
    if (o->gradients == NULL)
        return opt__no_memory(o->ctx, o->method.name);
    for (int p = 0; p < o->nparams; p++) {
        const opt_tensor g = flat(&o->params[p].grad);
        opt__stretch *last = o->gradients + o->ngradients;
        const bool first = o->ngradients == 0;

        if (o->params[p].frozen)
            continue;
        if (!first && opt__joins(&last[-1].g, &g)) {
            last[-1].g.dim[0] += g.dim[0];
            continue;
        }
        *last = (opt__stretch){g, first ? 0 : last[-1].first + last[-1].g.dim[0]};
        o->ngradients++;
    }
    if (o->ctx->threads == 1)
        return OPT_OK;
    o->sums = opt__alloc(o->ctx, opt__sum_blocks(o->gradients, o->ngradients), 2 * sizeof *o->sums);
    return o->sums ? OPT_OK : opt__no_memory(o->ctx, o->method.name);
}

static opt_status fill_in(opt_optim *o, const void *hyper, opt_params params)
{
    opt_status s;

    o->hyper = opt__alloc(o->ctx, o->method.nhyper + 1, sizeof *o->hyper);
    o->params = opt__alloc(o->ctx, params.n, sizeof *o->params);
    o->slots = opt__alloc(o->ctx, (int64_t)params.n * OPT__SLOTS, sizeof *o->slots);
    o->runs = opt__alloc(o->ctx, params.n, sizeof *o->runs);
    if (!o->hyper || !o->params || !o->slots || !o->runs)
        return opt__no_memory(o->ctx, o->method.name);
    memcpy(o->params, params.at, (size_t)params.n * sizeof *o->params);
    o->nparams = o->unsummed = params.n;
    s = check_groups(o);
    if (!s)
        s = opt__read_hyper(o->ctx, &o->method, hyper, o->hyper);
    if (!s)
        s = check_single(o);
    if (!s)
        s = opt__share_out(o);
    if (!s)
        s = opt__reserve_cuts(o);
    if (!s)
        s = opt__make_slots(o);
    if (s)
        return s;
    find_runs(o);
    s = cut_into_chunks(o);
    if (!s)
        s = reserve_scratch(o);
    if (!s && o->method.predict != NULL)
        s = opt__make_copies(o, &o->aside);
    if (!s && o->method.search != NULL)
        s = opt__prepare_search(o);
    return s ? s : find_gradients(o);
}

opt_status opt_optim_new(opt_ctx *ctx, const opt_method *method, const void *hyper,
                         const opt_optim_opts *opts, opt_params params, opt_optim **out)
{
    opt_status s = opt__enter(ctx);
    opt_optim_opts given;
    opt_optim *o;

    if (!s)
        s = opt__check_method(ctx, method);
    if (s)
        return s;
    if (opts == NULL || out == NULL)
        return opt__fail(ctx, OPT_EINVAL, "%s: %s is NULL", method->name, opts ? "out" : "opts");
    given = *opts;
    s = check_options(ctx, method, &given);
    if (!s)
        s = opt__check_params(ctx, method->name, params);
    if (s)
        return s;

    o = opt__alloc(ctx, 1, sizeof *o);
    if (o == NULL)
        return opt__no_memory(ctx, method->name);
    o->ctx = ctx;
    o->method = *method;
    o->adjusts = opt__adjusts(method);
    o->fails = !opt__never_fails(method);
    o->opts = given;
    o->last_lr = given.lr;
    o->grad_norm = (double)NAN;
    s = fill_in(o, hyper, params);
    if (s) {
        opt_optim_free(o);
        return s;
    }
    *out = o;
    return OPT_OK;
}

void opt_optim_free(opt_optim *o)
{
    if (o != NULL) {
        opt__free_copies(o, o->best.value);
        opt__free_copies(o, o->aside);
        opt__end_search(o);
        for (int s = 0; s < OPT__SLOTS; s++)
            opt__free(o->ctx, o->slot_memory[s]);
        opt__free(o->ctx, o->sums);
        opt__free(o->ctx, o->gradients);
        opt__free(o->ctx, o->scratch);
        opt__free(o->ctx, o->effective);
        opt__free(o->ctx, o->runs);
        opt__free(o->ctx, o->slots);
        opt__free(o->ctx, o->bound);
        opt__free(o->ctx, o->cut);
        opt__free(o->ctx, o->share);
        opt__free(o->ctx, o->params);
        opt__free(o->ctx, o->hyper);
        opt__free(o->ctx, o);
    }
}

/* SPDX-License-Identifier: MIT */
#include "search_trials.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "methods.h"

/* ---- Methods ------------------------------------------------------------------------------------------- */

/* An average of gradients is over 2 to 100 steps, also where it is off by default; one of squares, and all
 * else with a default of 0.99 or more, over 10 to 10000. */
static search_decay decay_of(const opt_hyper *h, int place)
{
    search_decay d = h->dflt < 0.99
                         ? (search_decay){.min = 0.01, .max = 0.5, .third = {0.86, 0.96}, .width = 6}
                         : (search_decay){.min = 0.0001, .max = 0.1, .third = {0.99, 0.999}, .width = 7};
    const int length = (int)strlen(h->name);
    d.name = h->name;
    d.place = place;
    d.width = d.width > length ? d.width : length;
    return d;
}

void search_set_method(search *s, int number)
{
    const opt_method *m = methods_at(number);
    if (m->nhyper > SEARCH_MAX_HYPER)
        cli_fail(EXIT_FAILURE, "%s has more than %d hyper-parameters", m->name, SEARCH_MAX_HYPER);
    s->method = m;
    s->number = number;
    s->full_batch = methods_full_batch(m);
    for (int j = 0; j < m->nhyper; j++)
        if (m->hyper[j].min == 0 && m->hyper[j].max == 1)
            s->decay[s->ndecays++] = decay_of(&m->hyper[j], j);
}

/* ---- Drawing ------------------------------------------------------------------------------------------- */

/* To so many significant digits: what is printed is then exactly what was used, and the same whatever the
 * last bits of this machine's exp and log. */
static double rounded(double x, int digits)
{
    char text[32];
    snprintf(text, sizeof text, "%.*g", digits, x);
    return strtod(text, NULL);
}

static double log_uniform(opt_rng *r, double min, double max)
{
    return min * exp(opt_rng_uniform(r) * log(max / min));
}

/* Two numbers to one that looks like neither (the end of SplitMix64): neighbouring seeds share no trials. */
static uint32_t mix(uint32_t seed, int64_t number)
{
    uint64_t z = ((uint64_t)seed << 32) + (uint64_t)number * 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (uint32_t)(z ^ z >> 31);
}

trial search_draw(const search *s, int64_t number)
{
    opt_rng r;
    opt_rng_seed(&r, mix(s->seed, number));
    /* The learning rate comes first: a trial has the same one by every method. A decay is as likely between
     * 0.9 and 0.99 as between 0.99 and 0.999. */
    const double lr = rounded(log_uniform(&r, s->lr_min, s->lr_max), 3);
    trial t = {.number = number,
               .lr = fmin(fmax(lr, s->lr_min), s->lr_max),
               .loss = (double)NAN,
               .accuracy = (double)NAN};
    for (int i = 0; i < s->ndecays; i++)
        t.decay[i] = rounded(1 - rounded(log_uniform(&r, s->decay[i].min, s->decay[i].max), 2), 6);
    return t;
}

bool search_better(const trial *a, const trial *b)
{
    if (isnan(a->loss) || isnan(b->loss) || a->loss == b->loss)
        return isnan(a->loss) == isnan(b->loss) ? a->number < b->number : isnan(b->loss);
    return a->loss < b->loss;
}

/* ---- Training ------------------------------------------------------------------------------------------ */

typedef struct watch {
    const atomic_bool *stop;
    trial *best;
} watch;

static opt_status on_step(const opt_progress *p, void *ud)
{
    const watch *w = ud;
    (void)p;
    return atomic_load_explicit(w->stop, memory_order_relaxed) ? OPT_STOP : OPT_OK;
}

/* Keeps what opt_train calls the best epoch. Once training has met something that is not finite, that is what
 * the trial has come to. */
static opt_status on_epoch(const opt_progress *p, void *ud)
{
    const watch *w = ud;
    if (isfinite(p->val_loss) && !(p->val_loss >= w->best->loss)) {
        w->best->loss = p->val_loss;
        w->best->accuracy = p->val_accuracy;
        w->best->epoch = p->epoch;
    }
    return OPT_OK;
}

/* The examples are another context's, but only read: views of them may be used in any number of threads. */
static opt_table view_of(const opt_table *t)
{
    return (opt_table){opt_tensor_view(t->x.dtype, t->x.data, t->x.ndim, t->x.dim),
                       opt_tensor_view(t->y.dtype, t->y.data, t->y.ndim, t->y.dim)};
}

opt_status search_try(opt_ctx *ctx, const search *s, const atomic_bool *stop, trial *t)
{
    const opt_table train = view_of(&s->train), held = view_of(&s->held);
    const opt_source source = opt_source_table(&train), validation = opt_source_table(&held);
    double hyper[SEARCH_MAX_HYPER] = {0}; /* the method's options; 0: the default */
    trial best = *t;
    watch w = {stop, &best};
    const opt_train_opts how = {.epochs = s->epochs,
                                .on_epoch = on_epoch,
                                .on_step = on_step,
                                .ud = &w,
                                .validation = &validation,
                                .patience = s->patience};
    opt_mlp *net = NULL;
    opt_batches *batches = NULL;
    opt_optim *optim = NULL;

    for (int i = 0; i < s->ndecays; i++)
        hyper[s->decay[i].place] = t->decay[i];
    opt_status status = opt_mlp_new(ctx, &s->net, &net);
    if (!status)
        status =
            opt_batches_new(ctx, &source, &(opt_batches_opts){.size = s->batch, .seed = s->seed}, &batches);
    if (!status)
        status =
            opt_optim_new(ctx, s->method, hyper, &(opt_optim_opts){.lr = t->lr}, opt_mlp_params(net), &optim);
    if (!status) {
        const opt_model model = opt_mlp_model(net);
        status = opt_train(ctx, &model, optim, batches, &how);
    }
    opt_optim_free(optim);
    opt_batches_free(batches);
    opt_mlp_free(net);
    if (status == OPT_ENONFINITE)
        status = OPT_OK;
    if (!status && atomic_load(stop))
        return OPT_STOP; /* maybe before its end */
    if (!status) {
        *t = best;
        t->done = true;
    }
    return status;
}

/* SPDX-License-Identifier: MIT */
#include "search_trials.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void search_set_method(search *s, const char *name)
{
    static const opt_method *const method[] = {&opt_gd, &opt_momentum, &opt_adam};
    static const char *const names[] = {"gd", "momentum", "adam"};
    for (int i = 0; i < 3; i++)
        if (strcmp(names[i], name) == 0) {
            s->method = method[i];
            s->betas = i;
        }
    s->optimizer = name;
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
    /* All three are drawn in any case: a trial has the same learning rate by every method. A beta is as
     * likely between 0.9 and 0.99 as between 0.99 and 0.999. */
    const double lr = rounded(log_uniform(&r, s->lr_min, s->lr_max), 3);
    const double beta1 = 1 - rounded(log_uniform(&r, 0.01, 0.5), 2);
    const double beta2 = 1 - rounded(log_uniform(&r, 0.0001, 0.1), 2);
    return (trial){.number = number,
                   .lr = fmin(fmax(lr, s->lr_min), s->lr_max),
                   .beta1 = s->betas > 0 ? rounded(beta1, 6) : (double)NAN,
                   .beta2 = s->betas > 1 ? rounded(beta2, 6) : (double)NAN,
                   .loss = (double)NAN,
                   .accuracy = (double)NAN};
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
    const double hyper[] = {t->beta1, t->beta2, 1e-8}; /* in any method's order */
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

/* SPDX-License-Identifier: MIT */
#include "timing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

options opts = {.threads = 2};

const isa isas[ISAS] = {{"baseline", OPT_ISA_BASELINE}, {"avx2", OPT_ISA_AVX2}, {"avx512", OPT_ISA_AVX512}};

double now(void)
{
    struct timespec t;

    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int turns(void)
{
    return opts.quick ? 1 : 5;
}

void add(timing *t, double seconds)
{
    if (t->n < MAX_TURNS)
        t->seconds[t->n++] = seconds;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The k-th smallest of n. */
static double ranked(const timing *t, int k)
{
    timing sorted = *t;

    if (t->n == 0)
        return (double)NAN;
    qsort(sorted.seconds, (size_t)sorted.n, sizeof *sorted.seconds, ascending);
    return sorted.seconds[k];
}

double least(const timing *t)
{
    return ranked(t, 0);
}

double median(const timing *t)
{
    return ranked(t, t->n / 2);
}

double spread(const timing *t)
{
    return (ranked(t, t->n - 1) - least(t)) / median(t);
}

const timing *best(const timing *ours)
{
    int k = ISAS - 1;

    while (k > 0 && ours[k].n == 0)
        k--;
    return &ours[k];
}

static const char *in_section = "";

void section(const char *name, const char *text)
{
    in_section = name;
    printf("\n%s: %s\n  %-44s %10s %10s %7s  %-11s %s\n", name, text, "", "median", "least", "spread", "",
           "ratio");
}

static void write_json(const char *what, const timing *t, double units, const char *unit, double ratio,
                       const char *of)
{
    FILE *f = opts.json ? fopen(opts.json, "a") : NULL;

    if (f == NULL)
        return;
    fprintf(f, "{\"section\": \"%s\", \"row\": \"%s\", \"unit\": \"%s\", \"median\": %.6g, \"min\": %.6g, ",
            in_section, what, unit, median(t) * units, least(t) * units);
    fprintf(f, "\"max\": %.6g, \"n\": %d", ranked(t, t->n - 1) * units, t->n);
    if (!isnan(ratio))
        fprintf(f, ", \"ratio\": %.4g, \"of\": \"%s\"", ratio, of);
    fprintf(f, "}\n");
    fclose(f);
}

void row(const char *what, const timing *t, double units, const char *unit, double ratio, const char *of)
{
    if (t->n == 0)
        return;
    printf("  %-44s %10.4g %10.4g %6.0f%%  %-11s", what, median(t) * units, least(t) * units, 100 * spread(t),
           unit);
    if (!isnan(ratio))
        printf(" %.2f %s", ratio, of);
    printf("\n");
    write_json(what, t, units, unit, ratio, of);
}

opt_ctx *context(opt_isa set, int threads)
{
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.isa = set, .threads = threads});

    if (ctx != NULL && *opt_errmsg(ctx) != '\0') {
        opt_ctx_free(ctx);
        return NULL;
    }
    return ctx;
}

void check(const opt_ctx *ctx, opt_status s)
{
    if (s) {
        fprintf(stderr, "bench: %s\n", opt_errmsg(ctx));
        exit(EXIT_FAILURE);
    }
}

opt_tensor make(opt_ctx *ctx, opt_dtype dtype, int64_t rows, int64_t cols)
{
    opt_tensor t;

    check(ctx, opt_tensor_new(ctx, dtype, 2, (int64_t[]){rows, cols}, &t));
    return t;
}

void fill(opt_tensor *t, double scale)
{
    uint32_t x = 1;

    for (int64_t i = 0; i < opt_tensor_len(t); i++) {
        x = x * 1664525u + 1013904223u;
        opt_set(t, i, scale * ((double)(x >> 8) / 16777216.0 - 0.5));
    }
}

const char *name_of(opt_dtype dtype)
{
    return dtype == OPT_F32 ? "f32" : "f64";
}

static opt_status keep_loss(const opt_progress *p, void *ud)
{
    *(double *)ud = p->loss;
    return OPT_OK;
}

double train(opt_ctx *ctx, const opt_mlp_opts *net_opts, const opt_table *table, int64_t batch,
             int64_t epochs, bool warm_up, double *loss)
{
    opt_source source = opt_source_table(table);
    opt_train_opts run = {.epochs = 1, .on_epoch = keep_loss};
    opt_batches *batches;
    opt_model model;
    opt_optim *adam;
    opt_mlp *net;
    double start, last;

    run.ud = &last;
    check(ctx, opt_mlp_new(ctx, net_opts, &net));
    check(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = batch, .seed = 10}, &batches));
    check(ctx,
          opt_optim_new(ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 7e-4}, opt_mlp_params(net), &adam));
    model = opt_mlp_model(net);
    if (warm_up)
        check(ctx, opt_train(ctx, &model, adam, batches, &run));
    start = now();
    run.epochs = epochs + warm_up;
    check(ctx, opt_train(ctx, &model, adam, batches, &run));
    start = now() - start;
    if (loss != NULL)
        *loss = last;
    opt_optim_free(adam);
    opt_batches_free(batches);
    opt_mlp_free(net);
    return start;
}

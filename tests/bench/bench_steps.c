/* SPDX-License-Identifier: MIT
 *
 * Optimizer steps: beside the stream of their own shape, with threads, and with clipping and decay.
 */
#include <math.h>
#include <stdio.h>

#include "stream.h"
#include "timing.h"

static const struct {
    const opt_method *method;
    int slots;
    const char *slot[2];
} methods[] = {{&opt_adam, 2, {"m", "v"}}, {&opt_momentum, 1, {"v", NULL}}, {&opt_gd, 0, {NULL, NULL}}};

static int64_t repeats_for(int64_t n)
{
    return opts.quick ? 1 : n > 10000000 ? 1 : 20000000 / n;
}

static double time_steps(opt_ctx *ctx, opt_optim *o, int64_t repeats)
{
    const double start = now();

    for (int64_t i = 0; i < repeats; i++)
        check(ctx, opt_optim_step(o));
    return (now() - start) / (double)repeats;
}

static void *slot(opt_optim *o, const char *name)
{
    return name ? opt_optim_slot(o, 0, name)->data : NULL;
}

/* One method and size on every instruction set, in turn with the stream over the same memory. */
static void beside_stream(int which, opt_dtype dtype, int64_t n)
{
    const opt_method *method = methods[which].method;
    const double size = dtype == OPT_F32 ? 4 : 8, bytes = size * (3 + 2 * methods[which].slots) * (double)n;
    timing ours[ISAS] = {0}, limit = {0};
    opt_ctx *own = opt_ctx_new(NULL), *ctx[ISAS];
    opt_param p = {.name = "w", .value = make(own, dtype, n, 1), .grad = make(own, dtype, n, 1)};
    opt_optim *o[ISAS] = {0};
    char what[64];

    fill(&p.grad, 1e-3);
    for (int k = 0; k < ISAS; k++) {
        ctx[k] = context(isas[k].isa, 1);
        if (ctx[k] != NULL)
            check(ctx[k],
                  opt_optim_new(ctx[k], method, NULL, &(opt_optim_opts){.lr = 1e-3, .unchecked = true},
                                (opt_params){&p, 1}, &o[k]));
    }
    for (int turn = 0; turn <= turns(); turn++)
        for (int k = 0; k < ISAS; k++) {
            double start, seconds;

            if (o[k] == NULL)
                continue;
            seconds = time_steps(ctx[k], o[k], repeats_for(n));
            start = now();
            for (int64_t i = 0; i < repeats_for(n); i++)
                stream(dtype, methods[which].slots, n, p.value.data, p.grad.data,
                       slot(o[k], methods[which].slot[0]), slot(o[k], methods[which].slot[1]));
            start = (now() - start) / (double)repeats_for(n);
            opt_tensor_fill(&p.value, 0); /* the stream has left nonsense */
            for (int s = 0; s < methods[which].slots; s++)
                opt_tensor_fill(opt_optim_slot(o[k], 0, methods[which].slot[s]), 0.1);
            if (turn == 0) /* the first meets memory for the first time */
                continue;
            add(&ours[k], seconds);
            add(&limit, start);
        }
    snprintf(what, sizeof what, "%s %s %lld, stream", method->name, name_of(dtype), (long long)n);
    row(what, &limit, 1e6, "us", 1e-9 * bytes / median(&limit), "GB/s");
    for (int k = 0; k < ISAS; k++) {
        snprintf(what, sizeof what, "%s %s %lld, %s: %.0f GB/s", method->name, name_of(dtype), (long long)n,
                 isas[k].name, 1e-9 * bytes / median(&ours[k]));
        row(what, &ours[k], 1e6, "us", median(&limit) / median(&ours[k]), "of the stream");
        opt_optim_free(o[k]);
        opt_ctx_free(ctx[k]);
    }
    opt_tensor_free(own, &p.value);
    opt_tensor_free(own, &p.grad);
    opt_ctx_free(own);
}

/* Adam f32 with other options or more threads than plain Adam's one, in turn with it. */
static void beside_plain(int64_t n)
{
    const struct {
        const char *name;
        int threads;
        opt_optim_opts opts;
    } variant[] = {{"plain", 1, {.lr = 1e-3, .unchecked = true}},
                   {"more threads", opts.threads, {.lr = 1e-3, .unchecked = true}},
                   {"clip_value, l2, decay",
                    1,
                    {.lr = 1e-3, .unchecked = true, .clip_value = 1, .l2 = 1e-4, .weight_decay = 1e-2}},
                   {"clip_norm, decay", 1, {.lr = 1e-3, .clip_norm = 1e6, .weight_decay = 1e-2}},
                   {"checked", 1, {.lr = 1e-3}}};
    enum { VARIANTS = sizeof variant / sizeof *variant };
    timing t[VARIANTS] = {0};
    opt_ctx *own = opt_ctx_new(NULL), *ctx[VARIANTS];
    opt_param p = {.name = "w", .value = make(own, OPT_F32, n, 1), .grad = make(own, OPT_F32, n, 1)};
    opt_optim *o[VARIANTS];
    char what[64];

    fill(&p.grad, 1e-3);
    for (int k = 0; k < VARIANTS; k++) {
        ctx[k] = context(OPT_ISA_BEST, variant[k].threads);
        check(ctx[k], opt_optim_new(ctx[k], &opt_adam, NULL, &variant[k].opts, (opt_params){&p, 1}, &o[k]));
        time_steps(ctx[k], o[k], 1);
    }
    for (int turn = 0; turn < turns(); turn++)
        for (int k = 0; k < VARIANTS; k++)
            add(&t[k], time_steps(ctx[k], o[k], repeats_for(n)));
    for (int k = 0; k < VARIANTS; k++) {
        snprintf(what, sizeof what, "adam f32 %lld, %s", (long long)n, variant[k].name);
        if (k == 1)
            row(what, &t[k], 1e6, "us", median(&t[0]) / median(&t[k]), "x one thread");
        else
            row(what, &t[k], 1e6, "us", median(&t[k]) / median(&t[0]), "of plain's time");
        opt_optim_free(o[k]);
        opt_ctx_free(ctx[k]);
    }
    opt_tensor_free(own, &p.value);
    opt_tensor_free(own, &p.grad);
    opt_ctx_free(own);
}

void bench_steps(void)
{
    const int64_t sizes[] = {1000, 16000, 256000, 4000000, 50000000};

    section("steps", "one step over so many parameters; the stream reads and writes the same memory");
    for (int i = 0; i < (opts.quick ? 2 : 5); i++)
        for (int k = 0; k < (sizes[i] == 16000 || sizes[i] == 50000000 ? 3 : 1); k++)
            beside_stream(k, OPT_F32, sizes[i]);
    for (int k = 0; k < (opts.quick ? 1 : 3); k++)
        beside_stream(k, OPT_F64, opts.quick ? 1000 : 50000000);
    for (int i = 0; i < (opts.quick ? 2 : 5); i++)
        beside_plain(sizes[i]);
}

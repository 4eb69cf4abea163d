/* SPDX-License-Identifier: MIT
 *
 * Matrix products beside OpenBLAS's.
 */
#include <math.h>
#include <stdio.h>

#include "blas.h"
#include "timing.h"

typedef struct shape {
    int64_t m, n, k;
    bool ta, tb, twice; /* twice: with several threads as well */
} shape;

static const shape shapes[] = {{64, 128, 784, 0, 0, 0},    {64, 128, 784, 0, 1, 0},  {128, 64, 784, 0, 0, 0},
                               {128, 784, 64, 0, 0, 0},    {128, 784, 64, 1, 0, 0},  {64, 64, 128, 0, 0, 0},
                               {64, 10, 64, 0, 0, 0},      {10, 64, 64, 0, 1, 0},    {10, 64, 64, 0, 0, 0},
                               {256, 512, 512, 0, 0, 1},   {256, 512, 512, 1, 0, 0}, {256, 512, 512, 0, 1, 0},
                               {1024, 1024, 1024, 0, 0, 1}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static double time_ours(opt_ctx *ctx, const shape *s, const opt_tensor *a, const opt_tensor *b, opt_tensor *c,
                        int64_t repeats)
{
    const double start = now();

    for (int64_t i = 0; i < repeats; i++)
        check(ctx, opt_matmul(ctx, s->ta, a, s->tb, b, 0, c));
    return (now() - start) / (double)repeats;
}

static void compare(const shape *s, opt_dtype dtype)
{
    const double flop = 2.0 * (double)s->m * (double)s->n * (double)s->k;
    const int64_t repeats = opts.quick ? 1 : (int64_t)(1e9 / flop) + 1;
    timing ours[ISAS] = {0}, blas = {0}, threaded = {0};
    opt_ctx *own = opt_ctx_new(NULL), *ctx[ISAS + 1];
    opt_tensor a = make(own, dtype, s->ta ? s->k : s->m, s->ta ? s->m : s->k);
    opt_tensor b = make(own, dtype, s->tb ? s->n : s->k, s->tb ? s->k : s->n);
    opt_tensor c = make(own, dtype, s->m, s->n);
    char what[64], name[64];

    fill(&a, 1);
    fill(&b, 1);
    for (int k = 0; k <= ISAS; k++)
        ctx[k] = k < ISAS ? context(isas[k].isa, 1) : s->twice ? context(OPT_ISA_BEST, opts.threads) : NULL;
    for (int turn = 0; turn < turns(); turn++) {
        const double start = now();
        bool there = true;

        for (int64_t i = 0; i < repeats; i++)
            there = blas_matmul(s->ta, &a, s->tb, &b, &c);
        if (there)
            add(&blas, (now() - start) / (double)repeats);
        for (int k = 0; k <= ISAS; k++)
            if (ctx[k] != NULL)
                add(k < ISAS ? &ours[k] : &threaded, time_ours(ctx[k], s, &a, &b, &c, repeats));
    }
    snprintf(name, sizeof name, "%s %s%s %lldx%lldx%lld", name_of(dtype), s->ta ? "T" : "N",
             s->tb ? "T" : "N", (long long)s->m, (long long)s->n, (long long)s->k);
    snprintf(what, sizeof what, "%.30s, OpenBLAS: %.0f GFLOP/s", name, 1e-9 * flop / median(&blas));
    row(what, &blas, 1e6, "us", (double)NAN, "");
    for (int k = 0; k < ISAS; k++) {
        snprintf(what, sizeof what, "%.30s, %s: %.0f GFLOP/s", name, isas[k].name,
                 1e-9 * flop / median(&ours[k]));
        row(what, &ours[k], 1e6, "us", median(&blas) / median(&ours[k]), "x OpenBLAS");
    }
    snprintf(what, sizeof what, "%.30s, best, %d threads", name, opts.threads);
    row(what, &threaded, 1e6, "us", median(best(ours)) / median(&threaded), "x one thread");
    for (int k = 0; k <= ISAS; k++)
        opt_ctx_free(ctx[k]);
    opt_tensor_free(own, &a);
    opt_tensor_free(own, &b);
    opt_tensor_free(own, &c);
    opt_ctx_free(own);
}

void bench_matmul(void)
{
    section("matmul", "c [m, n] = op(a) op(b), m x n x k");
    for (int i = 0; i < (opts.quick ? 5 : SHAPES); i++)
        for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++)
            compare(&shapes[i], dtype);
}

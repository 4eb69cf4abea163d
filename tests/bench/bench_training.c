/* SPDX-License-Identifier: MIT
 *
 * Whole training: the moons and a wide network.
 */
#include <math.h>
#include <stdio.h>

#include "blas.h"
#include "naive.h"
#include "timing.h"

void bench_moons(void)
{
    const int64_t epochs = opts.quick ? 20 : 10000;
    const opt_mlp_opts net = {.size = {2, 5, 2, 1}, .seed = 3};
    timing naive = {0}, ours[ISAS] = {0};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_table table;

    check(ctx, opt_moons(ctx, 300, 0.2, 3, &table));
    for (int turn = 0; turn < turns(); turn++) {
        const double start = now();

        naive_moons(&table, epochs);
        add(&naive, now() - start);
        for (int k = 0; k < ISAS; k++) {
            opt_ctx *c = context(isas[k].isa, 1);

            if (c != NULL)
                add(&ours[k], train(c, &net, &table, 64, epochs, false, NULL));
            opt_ctx_free(c);
        }
    }
    section("moons", "2-5-2-1, Adam, f64, 10,000 epochs of batches of 64");
    row("naive C, -O2", &naive, 1e3, "ms", (double)NAN, "");
    for (int k = 0; k < ISAS; k++)
        row(isas[k].name, &ours[k], 1e3, "ms", median(&naive) / median(&ours[k]), "x naive");
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
    opt_ctx_free(ctx);
}

/* One dtype and batch size: every instruction set, several threads, and the BLAS program in turn. */
static void wide_rows(const opt_table *table, opt_dtype dtype, int64_t batch, int64_t rows)
{
    const opt_mlp_opts net = {.size = {784, 128, 64, 10}, .loss = OPT_SOFTMAX_CE, .dtype = dtype, .seed = 3};
    const opt_table part = {opt_tensor_rows(&table->x, 0, rows), opt_tensor_rows(&table->y, 0, rows)};
    const double units = 60000 / (double)rows;
    timing ours[ISAS] = {0}, threaded = {0}, blas = {0};
    double loss = (double)NAN, blas_loss = (double)NAN;
    char what[64];
    opt_ctx *c;

    for (int turn = 0; turn < turns(); turn++) {
        double seconds = blas_wide(&part, batch, &blas_loss);

        if (seconds > 0)
            add(&blas, seconds);
        for (int k = 0; k < ISAS; k++) {
            c = context(isas[k].isa, 1);
            if (c != NULL)
                add(&ours[k], train(c, &net, &part, batch, 1, true, &loss));
            opt_ctx_free(c);
        }
        c = context(OPT_ISA_BEST, opts.threads);
        add(&threaded, train(c, &net, &part, batch, 1, true, NULL));
        opt_ctx_free(c);
    }
    snprintf(what, sizeof what, "%s batch %lld, plain C on OpenBLAS (loss %.4f)", name_of(dtype),
             (long long)batch, blas_loss);
    row(what, &blas, units, "s", (double)NAN, "");
    for (int k = 0; k < ISAS; k++) {
        snprintf(what, sizeof what, "%s batch %lld, %s (loss %.4f)", name_of(dtype), (long long)batch,
                 isas[k].name, loss);
        row(what, &ours[k], units, "s", median(&blas) / median(&ours[k]), "x OpenBLAS");
    }
    snprintf(what, sizeof what, "%s batch %lld, best, %d threads", name_of(dtype), (long long)batch,
             opts.threads);
    row(what, &threaded, units, "s", median(best(ours)) / median(&threaded), "x one thread");
}

void bench_wide(void)
{
    section("wide", "784-128-64-10, Adam, seconds an epoch of 60,000 (at batch 1, ten epochs of 6,000)");
    for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
        const int64_t rows = opts.quick ? 640 : 60000;
        opt_ctx *ctx = opt_ctx_new(NULL);
        opt_table table = {make(ctx, dtype, rows, 784), make(ctx, dtype, rows, 10)};

        fill(&table.x, 1);
        for (int64_t i = 0; i < rows; i++)
            opt_set(&table.y, 10 * i + i % 10, 1);
        if (dtype == OPT_F32)
            wide_rows(&table, dtype, 1, rows / 10);
        for (int64_t batch = 64; batch <= (dtype == OPT_F32 ? 1024 : 64) && batch <= rows; batch *= 4)
            wide_rows(&table, dtype, batch, rows);
        opt_tensor_free(ctx, &table.x);
        opt_tensor_free(ctx, &table.y);
        opt_ctx_free(ctx);
    }
}

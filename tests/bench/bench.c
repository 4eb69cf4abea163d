/* SPDX-License-Identifier: MIT
 *
 * How fast, as ratios taken in one run: the moons beside plain C, an epoch of a wide network, optimizer steps
 * beside the stream of their own shape, matrix products. Each row is the median of several turns, with its
 * spread.
 *
 * usage: bench [moons] [wide] [steps] [matmul] [--quick]       no name: all; --quick: once and small, to see
 * that it runs
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "naive.h"

enum { TURNS = 5 };

static bool quick;

/* ---- Timing ---------------------------------------------------------------------------------------------
 */

static double now(void)
{
    struct timespec t;

    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

typedef struct timing {
    double seconds[TURNS];
    int n;
} timing;

static void add(timing *t, double seconds)
{
    t->seconds[t->n++] = seconds;
}

static double median(timing *t)
{
    qsort(t->seconds, (size_t)t->n, sizeof *t->seconds, ascending);
    return t->seconds[t->n / 2];
}

/* (max - min) / median, after median. */
static double spread(const timing *t)
{
    return (t->seconds[t->n - 1] - t->seconds[0]) / t->seconds[t->n / 2];
}

static int turns(void)
{
    return quick ? 1 : TURNS;
}

static void check(const opt_ctx *ctx, opt_status s)
{
    if (s) {
        fprintf(stderr, "bench: %s\n", opt_errmsg(ctx));
        exit(EXIT_FAILURE);
    }
}

/* ---- Instruction sets -----------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    opt_isa isa;
} isas[] = {{"baseline", OPT_ISA_BASELINE}, {"avx2", OPT_ISA_AVX2}, {"avx512", OPT_ISA_AVX512}};
enum { ISAS = sizeof isas / sizeof *isas };

/* NULL when the machine lacks it. */
static opt_ctx *context(opt_isa isa)
{
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.isa = isa});

    if (ctx != NULL && *opt_errmsg(ctx) != '\0') {
        opt_ctx_free(ctx);
        return NULL;
    }
    return ctx;
}

static opt_tensor make(opt_ctx *ctx, opt_dtype dtype, int64_t rows, int64_t cols)
{
    opt_tensor t;

    check(ctx, opt_tensor_new(ctx, dtype, 2, (int64_t[]){rows, cols}, &t));
    return t;
}

static void fill(opt_tensor *t, double scale)
{
    uint32_t x = 1;

    for (int64_t i = 0; i < opt_tensor_len(t); i++) {
        x = x * 1664525u + 1013904223u;
        opt_set(t, i, scale * ((double)(x >> 8) / 16777216.0 - 0.5));
    }
}

/* ---- Training -------------------------------------------------------------------------------------------
 */

/* Seconds for `epochs` epochs of Adam; a warm-up epoch first, if asked for. */
static double train(opt_ctx *ctx, const opt_mlp_opts *opts, const opt_table *table, int64_t batch,
                    int64_t epochs, bool warm_up)
{
    opt_source source = opt_source_table(table);
    opt_batches *batches;
    opt_model model;
    opt_optim *adam;
    opt_mlp *net;
    double start;

    check(ctx, opt_mlp_new(ctx, opts, &net));
    check(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = batch, .seed = 10}, &batches));
    check(ctx,
          opt_optim_new(ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 7e-4}, opt_mlp_params(net), &adam));
    model = opt_mlp_model(net);
    if (warm_up)
        check(ctx, opt_train(ctx, &model, adam, batches, &(opt_train_opts){.epochs = 1}));
    start = now();
    check(ctx, opt_train(ctx, &model, adam, batches, &(opt_train_opts){.epochs = epochs + warm_up}));
    start = now() - start;
    opt_optim_free(adam);
    opt_batches_free(batches);
    opt_mlp_free(net);
    return start;
}

static void bench_moons(void)
{
    const int64_t epochs = quick ? 100 : 10000;
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
            opt_ctx *c = context(isas[k].isa);

            if (c != NULL)
                add(&ours[k], train(c, &net, &table, 64, epochs, false));
            opt_ctx_free(c);
        }
    }
    printf("\nmoons: 2-5-2-1, Adam, f64, %lld epochs of batches of 64\n", (long long)epochs);
    printf("  %-10s %9s %8s %9s %12s\n", "", "ms", "spread", "us/step", "naive/this");
    printf("  %-10s %9.1f", "naive C", 1e3 * median(&naive));
    printf(" %7.0f%% %9.2f %12.2f\n", 100 * spread(&naive), 1e6 * median(&naive) / (5.0 * (double)epochs),
           1.0);
    for (int k = 0; k < ISAS; k++)
        if (ours[k].n > 0) {
            const double m = median(&ours[k]);
            printf("  %-10s %9.1f %7.0f%% %9.2f %12.2f\n", isas[k].name, 1e3 * m, 100 * spread(&ours[k]),
                   1e6 * m / (5.0 * (double)epochs), median(&naive) / m);
        }
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
    opt_ctx_free(ctx);
}

static void bench_wide(void)
{
    const int64_t rows = quick ? 640 : 60000;

    printf("\nwide: 784-128-64-10, Adam, seconds an epoch of %lld\n", (long long)rows);
    printf("  %-10s %-5s %6s %9s %8s\n", "", "", "batch", "seconds", "spread");
    for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
        const opt_mlp_opts net = {
            .size = {784, 128, 64, 10}, .loss = OPT_SOFTMAX_CE, .dtype = dtype, .seed = 3};
        opt_ctx *ctx = opt_ctx_new(NULL);
        opt_table table = {make(ctx, dtype, rows, 784), make(ctx, dtype, rows, 10)};

        fill(&table.x, 1);
        for (int64_t i = 0; i < rows; i++)
            opt_set(&table.y, 10 * i + i % 10, 1);
        for (int k = 0; k < ISAS; k++)
            for (int64_t batch = dtype == OPT_F32 ? 1 : 64; batch <= (dtype == OPT_F32 ? 256 : 64);
                 batch = batch == 1 ? 64 : 4 * batch) {
                opt_ctx *c = context(isas[k].isa);
                timing t = {0};

                for (int turn = 0; c && turn < (batch == 1 ? 1 : turns()); turn++)
                    add(&t, train(c, &net, &table, batch, 1, batch > 1));
                opt_ctx_free(c);
                if (t.n > 0) {
                    const double m = median(&t);
                    printf("  %-10s %-5s %6lld %9.3f %7.0f%%\n", isas[k].name,
                           dtype == OPT_F32 ? "f32" : "f64", (long long)batch, m, 100 * spread(&t));
                }
            }
        opt_tensor_free(ctx, &table.x);
        opt_tensor_free(ctx, &table.y);
        opt_ctx_free(ctx);
    }
}

/* ---- Steps ----------------------------------------------------------------------------------------------
 */

/* The memory traffic of an Adam step, and of gradient descent's, with nothing to compute. */
static void stream_adam(int64_t n, float *restrict p, const float *restrict g, float *restrict m,
                        float *restrict v)
{
    for (int64_t i = 0; i < n; i++) {
        p[i] += g[i];
        m[i] += g[i];
        v[i] += g[i];
    }
}

static void stream_gd(int64_t n, float *restrict p, const float *restrict g)
{
    for (int64_t i = 0; i < n; i++)
        p[i] += g[i];
}

/* Seconds for one step of a method over n f32 parameters, or of its stream. */
static void time_steps(opt_isa isa, const opt_method *method, int64_t n, bool adam)
{
    const int64_t repeats = quick ? 1 : n > 10000000 ? 3 : 100000000 / n;
    opt_ctx *ctx = context(isa);
    opt_param p = {.name = "w"};
    timing ours = {0}, stream = {0};
    opt_optim *o;

    if (ctx == NULL)
        return;
    p.value = make(ctx, OPT_F32, n, 1);
    p.grad = make(ctx, OPT_F32, n, 1);
    fill(&p.value, 1);
    fill(&p.grad, 1e-3);
    check(ctx, opt_optim_new(ctx, method, NULL, &(opt_optim_opts){.lr = 1e-3, .unchecked = true},
                             (opt_params){&p, 1}, &o));
    check(ctx, opt_optim_step(o));
    for (int turn = 0; turn < turns(); turn++) {
        double start = now();

        for (int64_t i = 0; i < repeats; i++)
            check(ctx, opt_optim_step(o));
        add(&ours, (now() - start) / (double)repeats);
        start = now();
        for (int64_t i = 0; i < repeats; i++) {
            if (adam)
                stream_adam(n, p.value.data, p.grad.data, opt_optim_slot(o, 0, "m")->data,
                            opt_optim_slot(o, 0, "v")->data);
            else
                stream_gd(n, p.value.data, p.grad.data);
        }
        add(&stream, (now() - start) / (double)repeats);
        fill(&p.grad, 1e-3);
    }
    {
        const double m = median(&ours), s = median(&stream), bytes = (adam ? 28.0 : 12.0) * (double)n;
        const char *name = isa == OPT_ISA_BASELINE ? "baseline" : isa == OPT_ISA_AVX2 ? "avx2" : "avx512";

        printf("  %-10s %-5s %10lld %9.3f %7.0f%% %8.0f %13.2f\n", name, method->name, (long long)n,
               1e9 * m / (double)n, 100 * spread(&ours), 1e-9 * bytes / m, s / m);
    }
    opt_optim_free(o);
    opt_tensor_free(ctx, &p.value);
    opt_tensor_free(ctx, &p.grad);
    opt_ctx_free(ctx);
}

static void bench_steps(void)
{
    const int64_t sizes[] = {1000, 16000, 256000, 4000000, 50000000};

    printf("\nsteps: f32, unchecked; the stream reads and writes the same memory, vectorised for the "
           "baseline\n");
    printf("  %-10s %-5s %10s %9s %8s %8s %13s\n", "", "", "parameters", "ns each", "spread", "GB/s",
           "stream/this");
    for (int k = 0; k < ISAS; k++)
        for (int i = 0; i < (quick ? 2 : 5); i++) {
            time_steps(isas[k].isa, &opt_adam, sizes[i], true);
            time_steps(isas[k].isa, &opt_gd, sizes[i], false);
        }
}

/* ---- Products -------------------------------------------------------------------------------------------
 */

static void time_product(opt_isa isa, const char *name, opt_dtype dtype, int64_t m, int64_t n, int64_t k,
                         bool ta, bool tb)
{
    const double flop = 2.0 * (double)m * (double)n * (double)k;
    const int64_t repeats = quick ? 1 : (int64_t)(2e9 / flop) + 1;
    opt_ctx *ctx = context(isa);
    opt_tensor a, b, c;
    timing t = {0};

    if (ctx == NULL)
        return;
    a = make(ctx, dtype, ta ? k : m, ta ? m : k);
    b = make(ctx, dtype, tb ? n : k, tb ? k : n);
    c = make(ctx, dtype, m, n);
    fill(&a, 1);
    fill(&b, 1);
    for (int turn = 0; turn < turns(); turn++) {
        const double start = now();

        for (int64_t i = 0; i < repeats; i++)
            check(ctx, opt_matmul(ctx, ta, &a, tb, &b, 0, &c));
        add(&t, (now() - start) / (double)repeats);
    }
    {
        const double seconds = median(&t);
        printf("  %-10s %-5s %s%s %5lld %5lld %5lld %9.1f %7.0f%%\n", name, dtype == OPT_F32 ? "f32" : "f64",
               ta ? "T" : "N", tb ? "T" : "N", (long long)m, (long long)n, (long long)k,
               1e-9 * flop / seconds, 100 * spread(&t));
    }
    opt_tensor_free(ctx, &a);
    opt_tensor_free(ctx, &b);
    opt_tensor_free(ctx, &c);
    opt_ctx_free(ctx);
}

static void bench_matmul(void)
{
    static const struct {
        int64_t m, n, k;
        bool ta, tb;
    } shape[] = {{64, 128, 784, 0, 0},  {128, 784, 64, 0, 0},    {64, 64, 128, 0, 0},
                 {64, 10, 64, 0, 0},    {10, 64, 64, 0, 1},      {256, 512, 512, 0, 0},
                 {256, 512, 512, 1, 0}, {1024, 1024, 1024, 0, 0}};

    printf("\nmatmul: GFLOP/s\n  %-10s %-5s %-2s %5s %5s %5s %9s %8s\n", "", "", "", "m", "n", "k", "GFLOP/s",
           "spread");
    for (int k = 0; k < ISAS; k++)
        for (size_t i = 0; i < (quick ? 5 : sizeof shape / sizeof *shape); i++)
            for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++)
                time_product(isas[k].isa, isas[k].name, dtype, shape[i].m, shape[i].n, shape[i].k,
                             shape[i].ta, shape[i].tb);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } section[] = {
        {"moons", bench_moons}, {"wide", bench_wide}, {"steps", bench_steps}, {"matmul", bench_matmul}};
    bool chosen = false;

    for (int i = 1; i < argc; i++) {
        bool known = strcmp(argv[i], "--quick") == 0;

        quick = quick || known;
        for (int k = 0; k < 4; k++)
            known = known || strcmp(argv[i], section[k].name) == 0;
        chosen = chosen || argv[i][0] != '-';
        if (!known) {
            fprintf(stderr, "usage: bench [moons] [wide] [steps] [matmul] [--quick]\n");
            return 2;
        }
    }
    for (int k = 0; k < 4; k++) {
        bool wanted = !chosen;

        for (int i = 1; i < argc; i++)
            wanted = wanted || strcmp(argv[i], section[k].name) == 0;
        if (wanted)
            section[k].run();
    }
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * One job of the bench by itself, for peers.sh to run beside other programs: prints its seconds.
 *
 * usage: job moons                   10,000 epochs of the course's job, Adam, f64
 *        job wide BATCH THREADS      an epoch of 60,000 examples, 784-128-64-10, Adam, f32 (of 6,000, times
 * ten, for batches below 16) job adam COUNT THREADS      a step of Adam over so many f32 parameters
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timing.h"

static double moons(void)
{
    const opt_mlp_opts net = {.size = {2, 5, 2, 1}, .seed = 3};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_table table;
    double seconds;

    check(ctx, opt_moons(ctx, 300, 0.2, 3, &table));
    seconds = train(ctx, &net, &table, 64, 10000, false, NULL);
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
    opt_ctx_free(ctx);
    return seconds;
}

static double wide(int64_t batch, int threads)
{
    const opt_mlp_opts net = {
        .size = {784, 128, 64, 10}, .loss = OPT_SOFTMAX_CE, .dtype = OPT_F32, .seed = 3};
    const int64_t rows = batch < 16 ? 6000 : 60000;
    opt_ctx *ctx = context(OPT_ISA_BEST, threads);
    opt_table table = {make(ctx, OPT_F32, rows, 784), make(ctx, OPT_F32, rows, 10)};
    double seconds;

    fill(&table.x, 1);
    for (int64_t i = 0; i < rows; i++)
        opt_set(&table.y, 10 * i + i % 10, 1);
    seconds = train(ctx, &net, &table, batch, 1, true, NULL) * (60000 / (double)rows);
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
    opt_ctx_free(ctx);
    return seconds;
}

static double adam(int64_t n, int threads)
{
    const int64_t steps = n < 10000000 ? 20000000 / n : 3;
    opt_ctx *ctx = context(OPT_ISA_BEST, threads);
    opt_param p = {.name = "w", .value = make(ctx, OPT_F32, n, 1), .grad = make(ctx, OPT_F32, n, 1)};
    opt_optim *o;
    double start = 0;

    fill(&p.grad, 1e-3);
    check(ctx, opt_optim_new(ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 1e-3}, (opt_params){&p, 1}, &o));
    for (int64_t i = -1; i < steps; i++) { /* the first meets memory for the first time */
        check(ctx, opt_optim_step(o));
        start = i < 0 ? now() : start;
    }
    start = (now() - start) / (double)steps;
    opt_optim_free(o);
    opt_tensor_free(ctx, &p.value);
    opt_tensor_free(ctx, &p.grad);
    opt_ctx_free(ctx);
    return start;
}

int main(int argc, char **argv)
{
    const long long first = argc > 2 ? atoll(argv[2]) : 0;
    const int threads = argc > 3 ? atoi(argv[3]) : 1;
    double seconds = 0;

    if (argc > 1 && strcmp(argv[1], "moons") == 0)
        seconds = moons();
    else if (first > 0 && threads > 0 && strcmp(argv[1], "wide") == 0)
        seconds = wide(first, threads);
    else if (first > 0 && threads > 0 && strcmp(argv[1], "adam") == 0)
        seconds = adam(first, threads);
    if (seconds > 0)
        printf("seconds %.6g\n", seconds);
    else
        fprintf(stderr, "usage: job moons | wide BATCH THREADS | adam COUNT THREADS\n");
    return seconds > 0 ? EXIT_SUCCESS : 2;
}

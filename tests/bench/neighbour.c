/* SPDX-License-Identifier: MIT
 *
 * Two threads when another program wants one of the cores: how long single products of 256x256x256 take, the
 * usual ones and the slowest, alone and beside a child process that spins. A pool that spins without bound,
 * or waits for a thread that is not running, shows here as products of several milliseconds.
 *
 * usage: neighbour [PRODUCTS]       Linux and other Unix
 */
#define _POSIX_C_SOURCE 200809L

#include <opt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

static void measure(int threads, bool neighbour, int products)
{
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.threads = threads});
    double sum = 0, *seconds = calloc((size_t)products, sizeof *seconds);
    opt_tensor a, b, c;
    opt_status s = opt_tensor_new(ctx, OPT_F32, 2, (int64_t[]){256, 256}, &a);

    if (!s)
        s = opt_tensor_new(ctx, OPT_F32, 2, (int64_t[]){256, 256}, &b);
    if (!s)
        s = opt_tensor_new(ctx, OPT_F32, 2, (int64_t[]){256, 256}, &c);
    for (int i = 0; !s && seconds && i < products; i++) {
        const double start = now();

        s = opt_matmul(ctx, false, &a, false, &b, 0, &c);
        seconds[i] = 1e6 * (now() - start);
        sum += seconds[i];
    }
    if (s || !seconds) {
        fprintf(stderr, "neighbour: %s\n", opt_errmsg(ctx));
        exit(EXIT_FAILURE);
    }
    qsort(seconds, (size_t)products, sizeof *seconds, ascending);
    printf("%d thread%s, %-16s mean %6.0f us, median %6.0f us, 99%% %6.0f, 99.9%% %6.0f, most %6.0f\n",
           threads, threads > 1 ? "s" : " ", neighbour ? "busy neighbour:" : "alone:", sum / products,
           seconds[products / 2], seconds[products - 1 - products / 100],
           seconds[products - 1 - products / 1000], seconds[products - 1]);
    opt_tensor_free(ctx, &a);
    opt_tensor_free(ctx, &b);
    opt_tensor_free(ctx, &c);
    opt_ctx_free(ctx);
    free(seconds);
}

int main(int argc, char **argv)
{
    const int products = argc > 1 && atoi(argv[1]) > 0 ? atoi(argv[1]) : 20000;

    for (int neighbour = 0; neighbour < 2; neighbour++) {
        const pid_t child = neighbour ? fork() : 0;

        if (neighbour && child == 0)
            for (volatile unsigned turn = 0;; turn = turn + 1)
                continue;
        measure(1, neighbour, products);
        measure(2, neighbour, products);
        if (child > 0) {
            kill(child, SIGKILL);
            waitpid(child, NULL, 0);
        }
    }
    return 0;
}

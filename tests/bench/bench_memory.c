/* SPDX-License-Identifier: MIT
 *
 * Heap and resident memory of training.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "timing.h"

#if defined(__linux__)
#include <sys/wait.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#endif

static const opt_mlp_opts moons_net = {.size = {2, 5, 2, 1}, .dtype = OPT_F64, .seed = 3};

/* ---- Heap ---------------------------------------------------------------------------------------------- */

typedef struct heap {
    size_t current, peak; /* bytes */
} heap;

static void *counted(void *ud, void *p, size_t old_size, size_t new_size)
{
    heap *h = ud;
    void *got = NULL;

    if (new_size == 0)
        free(p);
    else
        got = realloc(p, new_size);
    if (new_size == 0 || got != NULL)
        h->current = h->current - old_size + new_size;
    if (h->peak < h->current)
        h->peak = h->current;
    return got;
}

static opt_ctx *counting_context(heap *h)
{
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = {counted, h}});

    check(ctx, ctx ? OPT_OK : OPT_ENOMEM);
    return ctx;
}

/* Bytes of a network's weights, gradients and Adam's two slots. */
static size_t bytes_of(const opt_mlp_opts *net)
{
    int64_t n = 0;

    for (int l = 1; l < OPT_MLP_MAX_SIZES && net->size[l] != 0; l++)
        n += (net->size[l - 1] + 1) * net->size[l];
    return (net->dtype == OPT_F32 ? 16U : 32U) * (size_t)n;
}

static void heap_rows(const char *name, const heap *h, const opt_mlp_opts *net)
{
    const double peak = (double)h->peak, floor = (double)bytes_of(net);
    char what[64];

    snprintf(what, sizeof what, "%s, peak of the heap: %.0f bytes", name, peak);
    row(what, &(timing){{peak}, 1}, 1 / 1024.0, "KiB", peak / floor, "x weights, gradients, slots");
    snprintf(what, sizeof what, "%s, weights, gradients, slots: %.0f", name, floor);
    row(what, &(timing){{floor}, 1}, 1 / 1024.0, "KiB", (double)NAN, "");
}

/* Data, network, optimizer and batches. */
static void train_moons(opt_ctx *ctx, int64_t epochs)
{
    opt_table table;

    check(ctx, opt_moons(ctx, 300, 0.2, 3, &table));
    train(ctx, &moons_net, &table, 64, epochs, false, NULL);
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
}

static void moons_heap(void)
{
    heap h = {0};
    opt_ctx *ctx = counting_context(&h);

    train_moons(ctx, 2);
    opt_ctx_free(ctx);
    heap_rows("moons", &h, &moons_net);
}

/* The examples are the program's own. */
static void wide_heap(void)
{
    enum { ROWS = 640, INPUTS = 784, OUTPUTS = 10 };
    static float x[ROWS * INPUTS], y[ROWS * OUTPUTS];
    const opt_mlp_opts net = {
        .size = {INPUTS, 128, 64, OUTPUTS}, .loss = OPT_SOFTMAX_CE, .dtype = OPT_F32, .seed = 3};
    opt_table table = {opt_tensor_view(OPT_F32, x, 2, (int64_t[]){ROWS, INPUTS}),
                       opt_tensor_view(OPT_F32, y, 2, (int64_t[]){ROWS, OUTPUTS})};
    heap h = {0};
    opt_ctx *ctx = counting_context(&h);

    fill(&table.x, 1);
    for (int i = 0; i < ROWS; i++)
        y[OUTPUTS * i + i % OUTPUTS] = 1;
    train(ctx, &net, &table, 64, 2, false, NULL);
    opt_ctx_free(ctx);
    heap_rows("wide", &h, &net);
}

/* ---- Resident memory ----------------------------------------------------------------------------------- */

#if defined(__linux__)

/* The most memory that this process has had resident, in KiB; -1: unknown. */
static long most_resident(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long kib = -1;

    if (f == NULL)
        return -1;
    while (kib < 0 && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "VmHWM: %ld", &kib) != 1)
            kib = -1;
    fclose(f);
    return kib;
}

/* The same of a child that trains the moons for so many epochs, or does nothing if 0. */
static long child_resident(int64_t epochs)
{
    long kib = -1;
    int ends[2];
    pid_t child;

    if (pipe(ends) != 0)
        return -1;
    fflush(NULL);
    child = fork();
    if (child == 0) {
        opt_ctx *ctx = epochs > 0 ? opt_ctx_new(NULL) : NULL;

        if (epochs > 0)
            train_moons(ctx, epochs);
        opt_ctx_free(ctx);
        kib = most_resident();
        _exit(write(ends[1], &kib, sizeof kib) == (ssize_t)sizeof kib ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    close(ends[1]);
    if (child < 0 || read(ends[0], &kib, sizeof kib) != (ssize_t)sizeof kib)
        kib = -1;
    close(ends[0]);
    if (child > 0)
        waitpid(child, NULL, 0);
    return kib;
}

static void resident(void)
{
    timing t = {0};

#if defined(__GLIBC__)
    malloc_trim(0); /* or the child would train in what the sections before have freed */
#endif
    for (int turn = 0; turn < turns(); turn++) {
        const long empty = child_resident(0), moons = child_resident(100);

        if (empty < 0 || moons < 0) {
            printf("  resident memory: not measured, /proc/self/status does not say\n");
            return;
        }
        add(&t, (double)(moons - empty));
    }
    row("moons, resident above an empty program", &t, 1, "KiB", (double)NAN, "");
}

#else

static void resident(void)
{
    printf("  resident memory: not measured on this system\n");
}

#endif

void bench_memory(void)
{
    section("memory", "with Adam at batch 64: moons, data included; wide (784-128-64-10, f32), without");
    moons_heap();
    wide_heap();
    resident();
}

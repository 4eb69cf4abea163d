/* SPDX-License-Identifier: MIT
 *
 * Under load: many contexts at once, many objects one after the other, many steps of one.
 *
 * usage: load contexts N     N threads, each with a context of two threads of its own, train at the same
 * time, each as one alone does to the last bit; to be built with -fsanitize=thread load cycles N creates,
 * trains, saves, loads and destroys N times, and memory does not grow load steps N        N steps of Adam on
 * 16 parameters come to where they should, in even time
 */
#define _POSIX_C_SOURCE 200809L /* NOLINT: reserved, and meant to be defined */

#include <math.h>
#include <opt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void check(const opt_ctx *ctx, opt_status s)
{
    if (s) {
        fprintf(stderr, "%s: %s\n", opt_strerror(s), opt_errmsg(ctx));
        exit(1);
    }
}

static void require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        exit(1);
    }
}

/* ---- A network that is trained ------------------------------------------------------------------------- */

enum { WEIGHTS = 2 * 40 + 40 + 40 * 30 + 30 + 30 + 1 };

/* Trains for some epochs, with the file in between if there is one, and copies the weights. */
static void train(const opt_ctx_opts *how, const char *file, int64_t epochs, double weights[WEIGHTS])
{
    opt_ctx *ctx = opt_ctx_new(how);
    opt_table table;
    opt_mlp *net;
    opt_batches *batches;
    opt_optim *optim;

    check(ctx, opt_moons(ctx, 300, 0.2, 3, &table));
    const opt_source source = opt_source_table(&table);
    check(ctx, opt_mlp_new(ctx, &(opt_mlp_opts){.size = {2, 40, 30, 1}, .act = OPT_TANH, .seed = 3}, &net));
    check(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = 128, .seed = 10}, &batches));
    const opt_model model = opt_mlp_model(net);
    check(ctx, opt_optim_new(ctx, &opt_adamw, NULL, &(opt_optim_opts){.lr = 0.01, .clip_norm = 1},
                             model.params, &optim));
    check(ctx, opt_train(ctx, &model, optim, batches, &(opt_train_opts){.epochs = epochs}));
    if (file != NULL) {
        check(ctx, opt_save(ctx, file, model.params, optim, batches));
        check(ctx, opt_load(ctx, file, model.params, optim, batches));
        check(ctx, opt_train(ctx, &model, optim, batches, &(opt_train_opts){.epochs = epochs + 1}));
    }
    memcpy(weights, model.params.at[0].value.data, WEIGHTS * sizeof *weights); /* they lie end to end */
    opt_optim_free(optim);
    opt_batches_free(batches);
    opt_mlp_free(net);
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
    opt_ctx_free(ctx);
}

/* ---- Many contexts ------------------------------------------------------------------------------------- */

static void *train_one(void *weights)
{
    train(&(opt_ctx_opts){.threads = 2}, NULL, 20, weights);
    return NULL;
}

static void many_contexts(long n)
{
    double(*weights)[WEIGHTS] = calloc((size_t)n + 1, sizeof *weights);
    pthread_t *thread = calloc((size_t)n, sizeof *thread);

    require(weights && thread, "out of memory");
    train_one(weights[n]);
    for (long i = 0; i < n; i++)
        require(pthread_create(&thread[i], NULL, train_one, weights[i]) == 0, "no thread to be had");
    for (long i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    for (long i = 0; i < n; i++)
        require(memcmp(weights[i], weights[n], sizeof weights[n]) == 0, "one among many comes elsewhere");
    printf("%ld contexts at once: each as one alone\n", n);
    free(thread);
    free(weights);
}

/* ---- Many cycles --------------------------------------------------------------------------------------- */

typedef struct count {
    size_t bytes, peak;
} count;

static void *counting(void *ud, void *p, size_t old_size, size_t new_size)
{
    count *c = ud;

    if (new_size == 0) {
        free(p);
        c->bytes -= p ? old_size : 0;
        return NULL;
    }
    c->bytes += new_size;
    c->peak = c->bytes > c->peak ? c->bytes : c->peak;
    return malloc(new_size);
}

/* In pages; 0 where the system does not tell, or tells of an emulator's own: that of qemu grows with every
 * thread that has been. */
static long resident(void)
{
#ifdef EMULATED
    FILE *f = NULL;
#else
    FILE *f = fopen("/proc/self/statm", "r");
#endif
    long all, pages = 0;

    if (f == NULL || fscanf(f, "%ld %ld", &all, &pages) != 2)
        pages = 0;
    if (f != NULL)
        fclose(f);
    return pages;
}

static void many_cycles(long n)
{
    static double weights[2][WEIGHTS];
    long early = 0;
    size_t peak = 0;

    for (long i = 0; i < n; i++) {
        count c = {0};
        const opt_ctx_opts how = {.allocator = {counting, &c}, .threads = 1 + (int)(i % 2)};

        train(&how, "load.tmp", 1, weights[i > 0]);
        require(c.bytes == 0, "a cycle has left memory behind");
        require(memcmp(weights[0], weights[i > 0], sizeof weights[0]) == 0, "a cycle comes elsewhere");
        if (how.threads == 1) {
            require(peak == 0 || c.peak == peak, "a cycle needs more memory than the first");
            peak = c.peak;
        }
        if (i == n / 10)
            early = resident();
    }
    remove("load.tmp");
    remove("load.tmp.bak");
    require(resident() - early <= (1 << 20) / sysconf(_SC_PAGESIZE), "memory grows");
    printf("%ld cycles: %ld pages resident after a tenth, %ld at the end\n", n, early, resident());
}

/* ---- Many steps ---------------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Under a constant gradient both corrected averages are exact, and each step is lr g / (|g| + eps). */
static void many_steps(long n)
{
    double w[16] = {0}, g[16], tenth[10];
    const int64_t len = 16;
    const double lr = 1.0 / (double)n;
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_param p = {.name = "w",
                   .value = opt_tensor_view(OPT_F64, w, 1, &len),
                   .grad = opt_tensor_view(OPT_F64, g, 1, &len)};
    opt_optim *o;

    for (int i = 0; i < 16; i++)
        g[i] = (i % 2 ? -1 : 1) * pow(10, i - 8);
    check(ctx, opt_optim_new(ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = lr}, (opt_params){&p, 1}, &o));
    for (int k = 0; k < 10; k++) {
        const double start = now();

        for (long t = n / 10; t > 0; t--)
            check(ctx, opt_optim_step(o));
        tenth[k] = now() - start;
    }
    require(opt_optim_steps(o) == n / 10 * 10, "steps are not counted right");
    for (int i = 0; i < 16; i++)
        require(fabs(w[i] + g[i] / (fabs(g[i]) + 1e-8)) < 1e-6, "Adam has lost its way");
    printf("%ld steps: %.1f s in the first tenth, %.1f s in the last\n", n, tenth[0], tenth[9]);
    opt_optim_free(o);
    opt_ctx_free(ctx);
}

int main(int argc, char **argv)
{
    const long n = argc == 3 ? strtol(argv[2], NULL, 10) : 0;

    if (n < 1) {
        fputs("usage: load contexts|cycles|steps N\n", stderr);
        return 2;
    }
    if (strcmp(argv[1], "contexts") == 0)
        many_contexts(n);
    else if (strcmp(argv[1], "cycles") == 0)
        many_cycles(n);
    else
        many_steps(n);
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * The same bits everywhere: hashes of what the library computes, for each instruction set that the machine
 * has and several numbers of threads, compared with golden/bits.txt. Needs no test framework, so that it runs
 * wherever a C compiler's output does. Sees the library's insides, for its elementary functions.
 *
 * usage: internal_bits FILE [THREADS ... [f32 | quick] [ISA]]
 *                                          compares; fails, and says what differs, when a hash is not FILE's;
 *                                          with f32 those of f64 are left out, with quick the long training
 *                                          runs and most methods' steps too; with an ISA, say avx512, only
 *                                          its are compared, and the machine must have it
 *        internal_bits -- FOLDER            prints the hashes of the baseline, as FILE has them
 *        internal_bits --half-way FOLDER    writes the checkpoints that are taken up, to be beside FILE
 *
 * The checkpoints of other machines that it takes up are in FOLDER, which is FILE's.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal_bits.h"
#include "kernel/elementary.h"
#include "kernel/kernels.h"

#define MAX_LINES 96

typedef struct line {
    char name[40];
    uint64_t hash;
} line;

static line lines[MAX_LINES];
static int nlines;
static opt_dtype last_dtype = OPT_F64;
static bool quick; /* without what takes longest */
static const char *const isas[] = {"best", "baseline", "avx2", "avx512", "neon"};

/* ---- Hashing ------------------------------------------------------------------------------------------- */

/* FNV-1a over numbers, lowest byte first whatever the machine's order; every NaN counts as the same. */
static uint64_t hash_tensor(uint64_t hash, const opt_tensor *t)
{
    for (int64_t i = 0; i < opt_tensor_len(t); i++) {
        const double x = opt_get(t, i);
        const uint64_t bits = isnan(x) ? 0x7ff8000000000000u : opt__bits(x);

        for (int k = 0; k < 8; k++)
            hash = (hash ^ (bits >> (8 * k) & 0xff)) * 0x100000001b3u;
    }
    return hash;
}

static const uint64_t empty = 0xcbf29ce484222325u;

uint64_t hash_params(opt_params params)
{
    uint64_t hash = empty;

    for (int i = 0; i < params.n; i++)
        hash = hash_tensor(hash, &params.at[i].value);
    return hash;
}

void note(const char *name, const char *part, opt_dtype dtype, uint64_t hash)
{
    if (nlines == MAX_LINES)
        exit(2);
    snprintf(lines[nlines].name, sizeof lines[nlines].name, "%s%s%s", name, part,
             dtype == OPT_F32 ? "-f32" : "-f64");
    lines[nlines++].hash = hash;
}

void check(const opt_ctx *ctx, opt_status s)
{
    if (s) {
        fprintf(stderr, "%s\n", opt_errmsg(ctx));
        exit(2);
    }
}

/* ---- What is computed ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const opt_method *method;
} methods[] = {{"gd", &opt_gd}, {"momentum", &opt_momentum}, {"adam", &opt_adam}};
enum { METHODS = sizeof methods / sizeof *methods };

opt_tensor make(opt_ctx *ctx, opt_dtype dtype, int64_t rows, int64_t cols)
{
    opt_tensor t;

    check(ctx, opt_tensor_new(ctx, dtype, 2, (int64_t[]){rows, cols}, &t));
    return t;
}

void draw(opt_rng *r, opt_tensor *t, double scale)
{
    for (int64_t i = 0; i < opt_tensor_len(t); i++)
        opt_set(t, i, scale * opt_rng_normal(r));
}

typedef struct run {
    opt_batches *batches;
    opt_model model;
    opt_optim *optim;
    opt_mlp *net;
} run;

static run start(opt_ctx *ctx, const opt_mlp_opts *net_opts, const opt_table *table, int64_t batch,
                 int method, double lr)
{
    opt_source source = opt_source_table(table);
    run r;

    check(ctx, opt_mlp_new(ctx, net_opts, &r.net));
    check(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = batch, .seed = 10}, &r.batches));
    check(ctx, opt_optim_new(ctx, methods[method].method, NULL, &(opt_optim_opts){.lr = lr, .clip_norm = 10},
                             opt_mlp_params(r.net), &r.optim));
    r.model = opt_mlp_model(r.net);
    return r;
}

static void end(run *r)
{
    opt_optim_free(r->optim);
    opt_batches_free(r->batches);
    opt_mlp_free(r->net);
}

/* The final weights of a network trained on a table. */
static void train(opt_ctx *ctx, const char *name, const opt_mlp_opts *net_opts, const opt_table *table,
                  int64_t batch, int method, double lr, int64_t epochs)
{
    run r = start(ctx, net_opts, table, batch, method, lr);

    check(ctx, opt_train(ctx, &r.model, r.optim, r.batches, &(opt_train_opts){.epochs = epochs}));
    note(name, methods[method].name, net_opts->dtype, hash_params(opt_mlp_params(r.net)));
    end(&r);
}

opt_table moons_table(opt_ctx *ctx, opt_dtype dtype)
{
    opt_table drawn, table = {make(ctx, dtype, 300, 2), make(ctx, dtype, 300, 1)};

    check(ctx, opt_moons(ctx, 300, 0.2, 3, &drawn));
    check(ctx, opt_tensor_copy(ctx, &drawn.x, &table.x));
    check(ctx, opt_tensor_copy(ctx, &drawn.y, &table.y));
    opt_tensor_free(ctx, &drawn.x);
    opt_tensor_free(ctx, &drawn.y);
    return table;
}

static void moons(opt_ctx *ctx, opt_dtype dtype)
{
    static const opt_act acts[METHODS] = {OPT_RELU, OPT_TANH, OPT_SIGMOID};
    opt_table table = moons_table(ctx, dtype);

    for (int k = 0; k < METHODS; k++) {
        train(ctx, "moons-relu-", &(opt_mlp_opts){.size = {2, 5, 2, 1}, .dtype = dtype, .seed = 3}, &table,
              64, k, 7e-4, 2000);
        train(ctx, "moons-other-",
              &(opt_mlp_opts){.size = {2, 5, 2, 1}, .act = acts[k], .dtype = dtype, .seed = 3}, &table, 64, k,
              7e-4, 500);
    }
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
}

/* ---- A checkpoint of another machine ------------------------------------------------------------------- */

static opt_status stop_half_way(const opt_progress *p, void *ud)
{
    (void)ud;
    return p->step == 4998 ? OPT_STOP : OPT_OK; /* of 10000: behind batch 3 of epoch 1000 */
}

/* The run moons-relu-adam, taken up half way from the file in that folder; it comes to the same hash. Or, if
 * `save`, that file is written. */
static void half_way(opt_ctx *ctx, opt_dtype dtype, const char *folder, bool save)
{
    const opt_mlp_opts opts = {.size = {2, 5, 2, 1}, .dtype = dtype, .seed = save ? 3 : 4};
    opt_table table = moons_table(ctx, dtype);
    run r = start(ctx, &opts, &table, 64, METHODS - 1, 7e-4);
    const opt_params params = opt_mlp_params(r.net);
    char path[1024];

    snprintf(path, sizeof path, "%s/half_way_%s.safetensors", folder, dtype == OPT_F32 ? "f32" : "f64");
    if (save) {
        check(ctx, opt_train(ctx, &r.model, r.optim, r.batches,
                             &(opt_train_opts){.epochs = 2000, .on_step = stop_half_way}));
        check(ctx, opt_save(ctx, path, params, r.optim, r.batches));
    } else {
        check(ctx, opt_load(ctx, path, params, r.optim, r.batches));
        check(ctx, opt_train(ctx, &r.model, r.optim, r.batches, &(opt_train_opts){.epochs = 2000}));
        note("resume-", "adam", dtype, hash_params(params));
    }
    end(&r);
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
}

static void digits(opt_ctx *ctx, opt_dtype dtype)
{
    opt_table table = {make(ctx, dtype, 1000, 64), make(ctx, dtype, 1000, 10)};
    opt_rng r;

    opt_rng_seed(&r, 1);
    draw(&r, &table.x, 1);
    for (int64_t i = 0; i < 1000; i++)
        opt_set(&table.y, 10 * i + (int64_t)(10 * opt_rng_uniform(&r)), 1);
    for (int k = 0; k < METHODS; k++)
        train(ctx, "digits-",
              &(opt_mlp_opts){
                  .size = {64, 48, 10}, .act = OPT_TANH, .loss = OPT_SOFTMAX_CE, .dtype = dtype, .seed = 3},
              &table, 64, k, 0.01, 3);
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
}

/* Large enough for threads, in batches of three chunks and 13 rows, and a last one of 100. */
static void wide(opt_ctx *ctx, opt_dtype dtype)
{
    static const opt_loss losses[METHODS] = {OPT_BCE, OPT_MSE, OPT_SOFTMAX_CE};
    opt_table table = {make(ctx, dtype, 510, 300), make(ctx, dtype, 510, 20)};
    opt_rng r;

    opt_rng_seed(&r, 4);
    draw(&r, &table.x, 1);
    for (int64_t i = 0; i < 510; i++)
        opt_set(&table.y, 20 * i + (int64_t)(20 * opt_rng_uniform(&r)), 1);
    for (int k = 0; k < METHODS; k++)
        train(ctx, "wide-",
              &(opt_mlp_opts){.size = {300, 200, 70, 20}, .loss = losses[k], .dtype = dtype, .seed = 3},
              &table, 205, k, 0.01, 2);
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
}

static void products(opt_ctx *ctx, opt_dtype dtype)
{
    static const char *const names[] = {"nn", "nt", "tn"};
    opt_rng r;

    for (int form = 0; form < 3; form++) {
        const bool ta = form == 2, tb = form == 1;
        uint64_t hash = empty;

        opt_rng_seed(&r, 5);
        for (int shape = 0; shape < 300; shape++) {
            const int64_t most = shape % 50 == 0 ? 300 : 40;
            const int64_t m = 1 + (int64_t)(opt_rng_uniform(&r) * (double)most);
            const int64_t n = 1 + (int64_t)(opt_rng_uniform(&r) * (double)most);
            const int64_t k = 1 + (int64_t)(opt_rng_uniform(&r) * (double)most);
            opt_tensor a = make(ctx, dtype, ta ? k : m, ta ? m : k),
                       b = make(ctx, dtype, tb ? n : k, tb ? k : n);
            opt_tensor c = make(ctx, dtype, m, n);

            draw(&r, &a, 1);
            draw(&r, &b, 1);
            draw(&r, &c, 1);
            check(ctx, opt_matmul(ctx, ta, &a, tb, &b, shape % 3 * 0.5, &c));
            hash = hash_tensor(hash, &c);
            opt_tensor_free(ctx, &a);
            opt_tensor_free(ctx, &b);
            opt_tensor_free(ctx, &c);
        }
        note("matmul-", names[form], dtype, hash);
    }
}

/* The gradient norm is the library's sum of squares. */
static void sums(opt_ctx *ctx, opt_dtype dtype)
{
    uint64_t hash = empty;
    opt_rng r;

    opt_rng_seed(&r, 9);
    for (int64_t n = 1; n < 20000; n = n * 5 / 4 + 1) {
        opt_param p = {.name = "w", .value = make(ctx, dtype, n, 1), .grad = make(ctx, dtype, n, 1)};
        double norm;

        draw(&r, &p.grad, 1);
        norm = opt_grad_norm(ctx, (opt_params){&p, 1});
        hash = hash_tensor(hash, &(opt_tensor){.data = &norm, .dtype = OPT_F64});
        opt_tensor_free(ctx, &p.value);
        opt_tensor_free(ctx, &p.grad);
    }
    note("sums", "", dtype, hash);
}

static void functions(void)
{
    static double (*const f[])(double) = {opt__exp,     opt__log, opt__log1p, opt__tanh,
                                          opt__sigmoid, opt__sin, opt__cos};
    static const char *const names[] = {"exp", "log", "log1p", "tanh", "sigmoid", "sin", "cos"};

    for (int k = 0; k < 7; k++) {
        uint64_t hash = empty;

        for (int i = -200000; i <= 200000; i++) {
            const double y = f[k](i * 0.00390625 + i * 1e-7);
            hash = hash_tensor(hash, &(opt_tensor){.data = &(double){y}, .dtype = OPT_F64});
        }
        note(names[k], "", OPT_F64, hash);
    }
}

static void compute(opt_isa isa, int threads, const char *folder)
{
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.isa = isa, .threads = threads});

    nlines = 0;
    functions();
    for (opt_dtype dtype = OPT_F32; dtype <= last_dtype; dtype++) {
        if (!quick)
            moons(ctx, dtype);
        half_way(ctx, dtype, folder, false);
        digits(ctx, dtype);
        if (!quick) {
            wide(ctx, dtype);
            steps_of_methods(ctx, dtype);
        }
        steps_of_muon(ctx, dtype);
        products(ctx, dtype);
        sums(ctx, dtype);
        search_wide(ctx, dtype);
        search_moons(ctx, dtype);
    }
    opt_ctx_free(ctx);
}

/* ---- Comparing ----------------------------------------------------------------------------------------- */

/* Number of lines that differ from the file's, or are missing there. */
static int compare(FILE *file, const char *isa, int threads)
{
    int wrong = 0;

    for (int i = 0; i < nlines; i++) {
        char name[40] = "";
        uint64_t hash = 0;
        bool there = true;

        do
            there = fscanf(file, "%39s %" SCNx64, name, &hash) == 2;
        while (quick && there && strcmp(name, lines[i].name) != 0);
        if (!there || strcmp(name, lines[i].name) != 0 || hash != lines[i].hash) {
            printf("%s, %d threads: %s is %016" PRIx64 "\n", isa, threads, lines[i].name, lines[i].hash);
            wrong++;
        }
    }
    rewind(file);
    printf("%s, %d threads: %d hashes compared\n", isa, threads, nlines);
    return wrong;
}

static int isa_named(const char *name)
{
    for (int isa = OPT_ISA_BASELINE; isa <= OPT_ISA_NEON; isa++) {
        opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.isa = (opt_isa)isa});
        const bool here = *opt_errmsg(ctx) == '\0';

        opt_ctx_free(ctx);
        if (here && strcmp(name, isas[isa]) == 0)
            return isa;
    }
    fprintf(stderr, "%s: this machine has no such instruction set\n", name);
    exit(2);
}

static int compare_all(FILE *file, const char *folder, int isa, const int *threads, int n)
{
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.isa = (opt_isa)isa});
    /* where NEON is the baseline once is enough */
    const bool again =
        isa != OPT_ISA_BASELINE && opt__kernels_for((opt_isa)isa) == opt__kernels_for(OPT_ISA_BASELINE);
    const bool here = *opt_errmsg(ctx) == '\0' && !again;
    int wrong = 0;

    opt_ctx_free(ctx);
    for (int i = 0; here && i < n; i++) {
        compute((opt_isa)isa, threads[i], folder);
        wrong += compare(file, isas[isa], threads[i]);
    }
    return wrong;
}

static void print_all(const char *folder)
{
    compute(OPT_ISA_BASELINE, 1, folder);
    for (int i = 0; i < nlines; i++)
        printf("%s %016" PRIx64 "\n", lines[i].name, lines[i].hash);
}

static void write_half_way(const char *folder)
{
    opt_ctx *ctx = opt_ctx_new(NULL);

    half_way(ctx, OPT_F32, folder, true);
    half_way(ctx, OPT_F64, folder, true);
    opt_ctx_free(ctx);
}

int main(int argc, char **argv)
{
    int threads[16] = {1, 2, 3, 7}, n = 4, wrong = 0, first = OPT_ISA_BASELINE, last = OPT_ISA_NEON;
    const char *slash;
    char folder[512];
    FILE *file;

    if (argc == 3 && strncmp(argv[1], "--", 2) == 0) {
        (strcmp(argv[1], "--") == 0 ? print_all : write_half_way)(argv[2]);
        return 0;
    }
    file = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (file == NULL) {
        fprintf(stderr, "%s: cannot be opened\n", argc > 1 ? argv[1] : "FILE");
        return 2;
    }
    slash = strrchr(argv[1], '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - argv[1]) : 1, slash ? argv[1] : ".");
    for (; argc > 3 && *argv[argc - 1] > '9'; argc--)
        if (strcmp(argv[argc - 1], "f32") == 0 || strcmp(argv[argc - 1], "quick") == 0) {
            last_dtype = OPT_F32;
            quick = *argv[argc - 1] == 'q';
        } else
            first = last = isa_named(argv[argc - 1]);
    if (argc > 2)
        for (n = 0; n < 16 && n + 2 < argc; n++)
            threads[n] = atoi(argv[n + 2]);
    for (int isa = first; isa <= last; isa++)
        wrong += compare_all(file, folder, isa, threads, n);
    fclose(file);
    return wrong > 0;
}

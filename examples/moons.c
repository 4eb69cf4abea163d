/* SPDX-License-Identifier: MIT
 *
 * The course's assignment: a small network learns to tell two noisy moons apart, by gradient descent, by
 * momentum and by Adam. Same data, same first weights, same batches; only the optimizer differs.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "hash.h"
#include "moons_figures.h"
#include "opt.h"
#include "output.h"
#include "progress.h"
#include "ranks.h"

enum { BAD_USAGE = 2, BATCH_SEED = 10 /* the course's */, MAX_EPOCHS = 100000000, SPARK_CELLS = 40 };

static const struct {
    const char *name;
    const opt_method *method;
} methods[] = {{"gd", &opt_gd}, {"momentum", &opt_momentum}, {"adam", &opt_adam}};

enum { METHODS = sizeof methods / sizeof methods[0] };

typedef struct settings {
    const char *optimizer, *layers, *decay, *dtype, *out;
    int64_t epochs, batch, chunk, examples;
    double lr, noise;
    uint32_t seed;
    bool quiet, hash;
    opt_mlp_opts net; /* from layers, dtype and seed */
} settings;

/* ---- The command line ---------------------------------------------------------------------------------- */

static void check_settings(settings *s)
{
    if (s->epochs < 1 || s->epochs > MAX_EPOCHS)
        cli_fail(BAD_USAGE, "--epochs: %" PRId64 " is outside [1, %d]", s->epochs, MAX_EPOCHS);
    if (!(s->lr > 0))
        cli_fail(BAD_USAGE, "--lr: %g is not above 0", s->lr);
    if (s->examples < 1 || s->examples > INT32_MAX)
        cli_fail(BAD_USAGE, "--examples: %" PRId64 " is outside [1, %d]", s->examples, INT32_MAX);
    if (s->batch < 1 || s->batch > s->examples)
        cli_fail(BAD_USAGE, "--batch: %" PRId64 " is outside [1, %" PRId64 "], the number of examples",
                 s->batch, s->examples);
    if (s->chunk < 1 || s->chunk > 64)
        cli_fail(BAD_USAGE, "--chunk: %" PRId64 " is outside [1, 64]", s->chunk);
    if (s->noise < 0)
        cli_fail(BAD_USAGE, "--noise: %g is below 0", s->noise);
    s->net.dtype = strcmp(s->dtype, "f32") == 0 ? OPT_F32 : OPT_F64;
    s->net.seed = s->seed;
    int n = cli_layers(s->layers, s->net.size);
    if (s->net.size[0] != 2 || s->net.size[n - 1] != 1)
        cli_fail(BAD_USAGE, "--layers: '%s' does not start with 2, the coordinates, and end with 1",
                 s->layers);
}

static settings parse_settings(int argc, char **argv)
{
    settings s = {.optimizer = "all",
                  .layers = "2,5,2,1",
                  .decay = "none",
                  .dtype = "f64",
                  .epochs = 10000,
                  .batch = 64,
                  .chunk = 64,
                  .examples = 300,
                  .lr = 0.0007,
                  .noise = 0.2,
                  .seed = 3};
    const cli_option options[] = {
        {"optimizer", "gd|momentum|adam|all", "train with this one", CLI_TEXT, &s.optimizer},
        {"epochs", "N", "visits to every example", CLI_INT, &s.epochs},
        {"lr", "RATE", "learning rate", CLI_REAL, &s.lr},
        {"decay", "none|inverse|interval", "lr / (1 + epoch), or the same by thousands of epochs", CLI_TEXT,
         &s.decay},
        {"batch", "N", "examples a step", CLI_INT, &s.batch},
        {"chunk", "N", "of which a batch's sums are a tree; ranks share chunks", CLI_INT, &s.chunk},
        {"layers", "LIST", "sizes from the coordinates to the output", CLI_TEXT, &s.layers},
        {"examples", "N", "points in both moons", CLI_INT, &s.examples},
        {"noise", "SIGMA", "deviation of the points from their half circles", CLI_REAL, &s.noise},
        {"seed", "N", "of the data and the first weights", CLI_UINT32, &s.seed},
        {"dtype", "f32|f64", "type of all numbers", CLI_TEXT, &s.dtype},
        {"out", "DIR", "write costs.csv, costs.svg and boundary-*.svg there", CLI_TEXT, &s.out},
        {"quiet", NULL, "print the accuracies only", CLI_FLAG, &s.quiet},
        {"hash", NULL, "print a checksum of the final weights", CLI_FLAG, &s.hash},
        {0}};
    cli_parse(argc, argv, "Trains a network on two noisy moons with three optimizers.", options);
    check_settings(&s);
    return s;
}

/* ---- Learning rate ------------------------------------------------------------------------------------- */

typedef struct epoch_decay {
    int64_t batches; /* an epoch */
    opt_inverse_arg inverse;
} epoch_decay;

/* The course sets the rate at the end of each epoch from that epoch's number, counted from 0: epoch 1 still
 * has the first rate, and every later one the rate that its predecessor's number gives. */
static double decayed(double lr0, int64_t t, const void *arg)
{
    const epoch_decay *d = arg;
    int64_t epoch = t / d->batches;
    return opt_lr_inverse(lr0, epoch > 0 ? epoch - 1 : 0, &d->inverse);
}

/* ---- Data ---------------------------------------------------------------------------------------------- */

static void convert(opt_ctx *ctx, opt_dtype dtype, opt_tensor *t)
{
    opt_tensor converted;
    cli_check(ctx, opt_tensor_new(ctx, dtype, t->ndim, t->dim, &converted));
    cli_check(ctx, opt_tensor_copy(ctx, t, &converted));
    opt_tensor_free(ctx, t);
    *t = converted;
}

static opt_table make_examples(opt_ctx *ctx, const settings *s)
{
    opt_table examples;
    cli_check(ctx, opt_moons(ctx, s->examples, s->noise, s->seed, &examples));
    if (s->net.dtype != OPT_F64) {
        convert(ctx, s->net.dtype, &examples.x);
        convert(ctx, s->net.dtype, &examples.y);
    }
    return examples;
}

/* ---- Training ------------------------------------------------------------------------------------------ */

typedef struct report {
    moons_run *run;
    progress bar;
    bool quiet;
} report;

static opt_status on_epoch(const opt_progress *p, void *ud)
{
    report *r = ud;
    int64_t epoch = p->epoch - 1; /* printed from 0, as in the course */
    r->run->cost[epoch] = p->loss;
    if (r->quiet)
        return OPT_OK;
    if (epoch % 1000 == 0) {
        progress_clear(&r->bar);
        printf("Cost after epoch %" PRId64 ": %f\n", epoch, p->loss);
    }
    progress_update(&r->bar, p);
    return OPT_OK;
}

static void train(opt_ctx *ctx, const settings *s, const opt_method *method, const opt_table *examples,
                  opt_mlp *net, moons_run *run)
{
    opt_source source = opt_source_table(examples);
    opt_batches *batches;
    opt_optim *optim;
    cli_check(ctx,
              opt_batches_new(ctx, &source,
                              &(opt_batches_opts){.size = s->batch, .chunk = s->chunk, .seed = BATCH_SEED},
                              &batches));

    epoch_decay decay = {opt_batches_count(batches), {.decay = 1}};
    if (strcmp(s->decay, "interval") == 0)
        decay.inverse.every = 1000;
    opt_optim_opts opts = {.lr = s->lr, .schedule_arg = &decay, .sharded = ranks_sharded()};
    if (strcmp(s->decay, "none") != 0)
        opts.schedule = decayed;
    cli_check(ctx, opt_optim_new(ctx, method, NULL, &opts, opt_mlp_params(net), &optim));

    report r = {run, progress_start(run->name), s->quiet};
    opt_model model = opt_mlp_model(net);
    opt_status status = opt_train(ctx, &model, optim, batches,
                                  &(opt_train_opts){.epochs = s->epochs, .on_epoch = on_epoch, .ud = &r});
    progress_clear(&r.bar);
    cli_check(ctx, status);
    opt_optim_free(optim);
    opt_batches_free(batches);
}

static double accuracy(opt_ctx *ctx, opt_mlp *net, const opt_table *examples)
{
    int64_t n = examples->x.dim[0], right = 0;
    opt_tensor probability;
    cli_check(ctx, opt_tensor_new(ctx, examples->x.dtype, 2, (int64_t[]){n, 1}, &probability));
    cli_check(ctx, opt_mlp_predict(net, &examples->x, &probability));
    for (int64_t i = 0; i < n; i++)
        right += (opt_get(&probability, i) > 0.5) == (opt_get(&examples->y, i) > 0.5);
    opt_tensor_free(ctx, &probability);
    return (double)right / (double)n;
}

static void do_run(opt_ctx *ctx, const settings *s, const opt_method *method, const opt_table *examples,
                   moons_run *run)
{
    opt_mlp *net;
    cli_check(ctx, opt_mlp_new(ctx, &s->net, &net));
    run->cost = malloc((size_t)s->epochs * sizeof *run->cost);
    if (!run->cost)
        cli_fail(EXIT_FAILURE, "out of memory");
    if (!s->quiet)
        printf("%s\n", run->name);
    train(ctx, s, method, examples, net, run);
    run->accuracy = accuracy(ctx, net, examples);
    printf("Accuracy: %f\n", run->accuracy);
    if (s->hash)
        printf("weights %s %016" PRIx64 "\n", run->name, hash_weights(opt_mlp_params(net)));
    if (!s->quiet)
        printf("\n");
    if (s->out)
        draw_boundary(ctx, s->out, run, net, examples);
    opt_mlp_free(net);
}

/* ---- Summary ------------------------------------------------------------------------------------------- */

static void print_sparkline(const double *cost, int64_t epochs, double top)
{
    static const char *const block[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    for (int i = 0; i < SPARK_CELLS; i++) {
        int level = (int)(cost[i * (epochs - 1) / (SPARK_CELLS - 1)] / top * 8);
        fputs(block[level < 0 ? 0 : level > 7 ? 7 : level], stdout);
    }
}

/* The cost's shape in three figures: by how much it falls, the epoch by which it has fallen half of that, and
 * the share of epochs that end with a higher cost than the one before. */
static void print_shape(const double *cost, int64_t epochs)
{
    const double fall = cost[0] - cost[epochs - 1];
    int64_t half = 0, rises = 0;
    while (half < epochs - 1 && cost[0] - cost[half] < fall / 2)
        half++;
    for (int64_t e = 1; e < epochs; e++)
        rises += cost[e] > cost[e - 1];
    printf("%6.1f%%  %13" PRId64 "  %5.1f%%", 100 * fall / cost[0], half,
           epochs > 1 ? 100 * (double)rises / (double)(epochs - 1) : 0);
}

static void print_summary(const moons_run *run, int nruns, int64_t epochs)
{
    double top = 0;
    for (int i = 0; i < nruns; i++)
        for (int64_t e = 0; e < epochs; e++)
            top = fmax(top, run[i].cost[e]);

    printf("method    accuracy  cost falls  half by epoch  rises  cost shape, from 0 to %.3f\n", top);
    for (int i = 0; i < nruns; i++) {
        printf("%-8s  %f     ", run[i].name, run[i].accuracy);
        print_shape(run[i].cost, epochs);
        printf("  ");
        print_sparkline(run[i].cost, epochs, top);
        printf("\n");
    }
    printf("\nrises: the share of epochs with a higher cost than the one before\n");
}

int main(int argc, char **argv)
{
    settings s = parse_settings(argc, argv);
    if (ranks_number() > 0)
        s.out = NULL; /* the first writes */
    if (s.out)
        output_folder(s.out);
    opt_ctx *ctx = cli_context();
    opt_table examples = make_examples(ctx, &s);
    moons_run run[METHODS] = {0};
    int nruns = 0;

    for (int i = 0; i < METHODS; i++)
        if (strcmp(s.optimizer, "all") == 0 || strcmp(s.optimizer, methods[i].name) == 0) {
            run[nruns].name = methods[i].name;
            do_run(ctx, &s, methods[i].method, &examples, &run[nruns++]);
        }
    if (!s.quiet)
        print_summary(run, nruns, s.epochs);
    if (s.out) {
        write_costs(s.out, run, nruns, s.epochs);
        draw_costs(s.out, run, nruns, s.epochs);
    }

    for (int i = 0; i < nruns; i++)
        free(run[i].cost);
    opt_tensor_free(ctx, &examples.y);
    opt_tensor_free(ctx, &examples.x);
    opt_ctx_free(ctx);
    output_close(stdout, "standard output");
    return EXIT_SUCCESS;
}

/* SPDX-License-Identifier: MIT
 *
 * A random search for good hyper-parameters (Bergstra & Bengio 2012): the learning rate, and those
 * of a method's hyper-parameters that are in [0, 1), by which averages and sums forget; all others have their
 * defaults. Several trials run at a time, a thread and a context each. What each comes to is a function of
 * the settings and its number alone, so that the table at the end is the same bytes whatever --threads, and
 * whether the search was stopped, killed and run again or not.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "images_data.h"
#include "interrupt.h"
#include "methods.h"
#include "opt.h"
#include "output.h"
#include "search_figure.h"
#include "search_results.h"
#include "search_trials.h"
#include "search_workers.h"

enum { BAD_USAGE = 2, MAX_EPOCHS = 1000000, MAX_TRIALS = 1000000 };

static const double least_lr = 1e-100; /* and its inverse the most */

typedef struct settings {
    const char *optimizer, *layers, *data, *results, *out;
    int64_t trials, top, examples;
    double noise;
    search search;
} settings;

/* ---- The command line ---------------------------------------------------------------------------------- */

static void check_range(const char *option, int64_t x, int64_t min, int64_t max)
{
    if (x < min || x > max)
        cli_fail(BAD_USAGE, "--%s: %" PRId64 " is outside [%" PRId64 ", %" PRId64 "]", option, x, min, max);
}

static void check_settings(const settings *s)
{
    const search *what = &s->search;
    check_range("trials", s->trials, 1, MAX_TRIALS);
    check_range("top", s->top, 1, MAX_TRIALS);
    check_range("epochs", what->epochs, 1, MAX_EPOCHS);
    check_range("patience", what->patience, 0, MAX_EPOCHS);
    check_range("batch", what->batch, 0, INT32_MAX);
    check_range("examples", s->examples, 2, INT32_MAX);
    if (what->lr_min < least_lr)
        cli_fail(BAD_USAGE, "--lr-min: %g is below %g", what->lr_min, least_lr);
    if (!(what->lr_max > what->lr_min && what->lr_max <= 1 / least_lr))
        cli_fail(BAD_USAGE, "--lr-max: %g is not between --lr-min, %g, and %g", what->lr_max, what->lr_min,
                 1 / least_lr);
    if (!(what->validation > 0 && what->validation < 1))
        cli_fail(BAD_USAGE, "--validation: %g is not between 0 and 1", what->validation);
    if (s->noise < 0)
        cli_fail(BAD_USAGE, "--noise: %g is below 0", s->noise);
}

static void set_network(settings *s)
{
    opt_mlp_opts *net = &s->search.net;
    if (!s->layers)
        s->layers = s->data ? "784,128,10" : "2,16,16,1";
    const int n = cli_layers(s->layers, net->size);
    if (!s->data && (net->size[0] != 2 || net->size[n - 1] != 1))
        cli_fail(BAD_USAGE, "--layers: '%s' does not start with 2, the coordinates, and end with 1",
                 s->layers);
    if (s->data && net->size[n - 1] < 2)
        cli_fail(BAD_USAGE, "--layers: '%s' does not end with 2 classes or more", s->layers);
    net->loss = s->data ? OPT_SOFTMAX_CE : OPT_BCE;
    net->dtype = s->data ? OPT_F32 : OPT_F64;
    net->seed = s->search.seed;
}

static settings parse_settings(int argc, char **argv)
{
    char methods[1024];
    methods_list(methods, sizeof methods);
    settings s = {.optimizer = "adam",
                  .results = "search.csv",
                  .trials = 50,
                  .top = 10,
                  .examples = 500,
                  .noise = 0.2,
                  .search = {.lr_min = 1e-4,
                             .lr_max = 1,
                             .epochs = 100,
                             .patience = 20,
                             .batch = 64,
                             .validation = 0.3,
                             .seed = 1}};
    search *what = &s.search;
    const cli_option options[] = {
        {"optimizer", "NAME", methods, CLI_TEXT, &s.optimizer},
        {"trials", "N", "how many; more of them later go on from those there are", CLI_INT, &s.trials},
        {"lr-min", "RATE", "learning rates are drawn from here", CLI_REAL, &what->lr_min},
        {"lr-max", "RATE", "to here, each factor as likely as another", CLI_REAL, &what->lr_max},
        {"epochs", "N", "visits to every example, at most", CLI_INT, &what->epochs},
        {"patience", "N", "end a trial after so many epochs that are not its best; 0: never", CLI_INT,
         &what->patience},
        {"batch", "N", "examples a step; 0: all, as some optimizers need", CLI_INT, &what->batch},
        {"validation", "SHARE", "of the examples, held back to compare trials by", CLI_REAL,
         &what->validation},
        {"seed", "N", "of the trials, the data, the first weights and the batches", CLI_UINT32, &what->seed},
        {"examples", "N", "points in both moons", CLI_INT, &s.examples},
        {"noise", "SIGMA", "deviation of the points from their half circles", CLI_REAL, &s.noise},
        {"data", "DIR", "images instead of moons: a folder as the example images takes it", CLI_TEXT,
         &s.data},
        {"layers", "LIST", "sizes from inputs to outputs (default 2,16,16,1, with --data 784,128,10)",
         CLI_TEXT, &s.layers},
        {"results", "FILE", "finished trials are added here, and not run again", CLI_TEXT, &s.results},
        {"top", "N", "rows of the table", CLI_INT, &s.top},
        {"out", "DIR", "write search.svg there", CLI_TEXT, &s.out},
        {0}};
    cli_parse(
        argc, argv,
        "Searches for hyper-parameters at random. --threads N runs N trials at a time. Ctrl-C abandons\n"
        "those in hand; the same command then runs these and all that are missing.",
        options);
    check_settings(&s);
    set_network(&s);
    if (methods_find(s.optimizer) < 0)
        cli_fail(BAD_USAGE, "--optimizer: '%s' is not one of %s", s.optimizer, methods);
    search_set_method(what, methods_find(s.optimizer));
    return s;
}

/* ---- Data ---------------------------------------------------------------------------------------------- */

static void free_table(opt_ctx *ctx, opt_table *t)
{
    opt_tensor_free(ctx, &t->y);
    opt_tensor_free(ctx, &t->x);
}

static void load_data(opt_ctx *ctx, settings *s)
{
    search *what = &s->search;
    if (s->data) {
        images all = images_load(ctx, s->data, &what->net, what->validation, what->seed);
        what->train = all.train;
        what->held = all.validation;
        free_table(ctx, &all.test); /* a search must not see it */
    } else {
        opt_table all;
        cli_check(ctx, opt_moons(ctx, s->examples, s->noise, what->seed, &all));
        if (opt_split(ctx, &all, what->validation, what->seed, &what->train, &what->held))
            cli_fail(BAD_USAGE, "--validation: %s", opt_errmsg(ctx));
        free_table(ctx, &all);
    }
    const int64_t rows = what->train.x.dim[0];
    what->batch = what->batch > 0 ? what->batch : rows;
    if (what->batch > rows)
        cli_fail(BAD_USAGE, "--batch: %" PRId64 " is more than the %" PRId64 " training examples",
                 what->batch, rows);
    if (what->full_batch && what->batch < rows)
        cli_fail(BAD_USAGE, "--batch: %" PRId64 " will not do for %s, which needs all examples: give 0",
                 what->batch, what->method->name);
}

/* ---- The table ----------------------------------------------------------------------------------------- */

/* Losses stand under each other as long as they are of an ordinary size. */
static const char *loss_text(double loss, char room[static 32])
{
    snprintf(room, 32, loss < 1000 ? "%.4f" : "%.3e", loss);
    return isnan(loss) ? "none" : room;
}

static void print_row(const search *s, int64_t rank, const trial *t)
{
    char loss[32];
    printf("%4" PRId64 "  %6" PRId64 "  %9g", rank, t->number, t->lr);
    for (int i = 0; i < s->ndecays; i++)
        printf("  %*g", s->decay[i].width, t->decay[i]);
    printf("  %15s", loss_text(t->loss, loss));
    if (t->epoch > 0)
        printf("  %8.4f  %5" PRId64, t->accuracy, t->epoch);
    printf("\n");
}

static void print_table(const search *s, int64_t n, const trial *sorted, int64_t top)
{
    int64_t lost = 0;
    printf("%s, %" PRId64 " trials: %" PRId64 " examples to learn from, %" PRId64 " to compare by\n\n",
           s->method->name, n, s->train.x.dim[0], s->held.x.dim[0]);
    printf("rank   trial         lr");
    for (int i = 0; i < s->ndecays; i++)
        printf("  %*s", s->decay[i].width, s->decay[i].name);
    printf("  validation loss  accuracy  epoch\n");
    for (int64_t i = 0; i < top; i++)
        print_row(s, i + 1, &sorted[i]);
    for (int64_t i = 0; i < n; i++)
        lost += sorted[i].epoch == 0;
    if (lost > 0)
        printf("\n%" PRId64 " of the trials had no epoch that ended with a finite validation loss\n", lost);
}

static void print_best(const search *s, const trial *best)
{
    char loss[32];
    if (best->epoch == 0) {
        printf("\nBest: none\n");
        return;
    }
    printf("\nBest: trial %" PRId64 ": lr %g", best->number, best->lr);
    for (int i = 0; i < s->ndecays; i++)
        printf(", %s %g", s->decay[i].name, best->decay[i]);
    printf(", validation loss %s\n", loss_text(best->loss, loss));
}

/* ---- The search ---------------------------------------------------------------------------------------- */

static int by_rank(const void *a, const void *b)
{
    return search_better(a, b) ? -1 : 1; /* no two trials have the same number */
}

static trial *run_trials(opt_ctx *ctx, const settings *s)
{
    const int64_t n = s->trials;
    trial *all = malloc((size_t)n * sizeof *all);
    if (!all)
        cli_fail(EXIT_FAILURE, "out of memory");
    for (int64_t i = 0; i < n; i++)
        all[i] = search_draw(&s->search, i + 1);
    const search_results file = search_results_open(ctx, s->results, &s->search, n, all);
    const int64_t done = search_run(&s->search, n, all, &file);
    search_results_close(&file);
    if (done < n)
        cli_fail(128 + interrupt_signal(),
                 "stopped after %" PRId64 " of %" PRId64 " trials; the same command goes on from %s", done, n,
                 s->results);
    qsort(all, (size_t)n, sizeof *all, by_rank);
    return all;
}

int main(int argc, char **argv)
{
    settings s = parse_settings(argc, argv);
    if (s.out)
        output_folder(s.out);
    opt_ctx *ctx = cli_context_of(1);
    load_data(ctx, &s);
    trial *sorted = run_trials(ctx, &s);
    const int64_t top = s.top < s.trials ? s.top : s.trials;
    print_table(&s.search, s.trials, sorted, top);
    print_best(&s.search, &sorted[0]);
    if (s.out)
        draw_search(s.out, &s.search, s.trials, sorted, top);
    free(sorted);
    free_table(ctx, &s.search.held);
    free_table(ctx, &s.search.train);
    opt_ctx_free(ctx);
    output_close(stdout, "standard output");
    return EXIT_SUCCESS;
}

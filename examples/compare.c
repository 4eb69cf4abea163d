/* SPDX-License-Identifier: MIT
 *
 * Every method of the library on two tasks, with its default hyper-parameters: the course's moons, and real
 * digits, of which a fifth is held back. The first weights and the mini-batches are the same for all. Only
 * the learning rates differ, and those are one a family, not searched for: PyTorch 1.13's default where it
 * has one. Where it has none:
 *
 *   - Schedule-Free AdamW and Muon have their authors';
 *   - Lion's weights move by the rate itself, and its authors advise a tenth to a third of Adam's;
 *   - heavy ball and Nesterov have Keras's default for SGD. They sum ten gradients or so, momentum averages
 *     them and gradient descent takes one, so the latter have ten times the rate: a gradient that stays the
 *     same moves the weights as far by all four. Momentum's path is then heavy ball's own.
 *
 * So the tables say what each method does out of the box on two small tasks, not which is best: for that,
 * each one's rate would have to be searched for, as the example search does.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "compare_figure.h"
#include "compare_tasks.h"
#include "interrupt.h"
#include "output.h"

/* The rates come from the text above. */
static const compare_method methods[] = {
    {&opt_gd, 0.1},               /* ten times heavy ball's */
    {&opt_momentum, 0.1},         /* likewise */
    {&opt_heavy_ball, 0.01},      /* Keras's */
    {&opt_nesterov, 0.01},        /* Keras's */
    {&opt_adagrad, 0.01},         /* PyTorch's */
    {&opt_rmsprop, 0.01},         /* PyTorch's */
    {&opt_adam, 0.001},           /* PyTorch's */
    {&opt_adam_bf16, 0.001},      /* PyTorch's for Adam */
    {&opt_adamw, 0.001},          /* PyTorch's */
    {&opt_amsgrad, 0.001},        /* PyTorch's */
    {&opt_nadam, 0.002},          /* PyTorch's */
    {&opt_radam, 0.001},          /* PyTorch's */
    {&opt_schedule_free, 0.0025}, /* its authors' */
    {&opt_lion, 0.0003},          /* a third of Adam's */
    {&opt_muon, 0.02},            /* its author's */
    {&opt_rprop, 0.01},           /* PyTorch's */
    {&opt_lbfgs, 1},              /* PyTorch's: the whole step is tried first */
};

enum { BAD_USAGE = 2, MAX_EPOCHS = 100000, METHODS = sizeof methods / sizeof *methods, TASKS = 2 };

typedef struct settings {
    const char *data, *layers, *out;
    int64_t moons_epochs, digits_epochs;
    bool no_times;
} settings;

/* ---- The command line ---------------------------------------------------------------------------------- */

static void check_epochs(const char *option, int64_t epochs)
{
    if (epochs < 1 || epochs > MAX_EPOCHS)
        cli_fail(BAD_USAGE, "--%s: %" PRId64 " is outside [1, %d]", option, epochs, MAX_EPOCHS);
}

static settings parse_settings(int argc, char **argv)
{
    settings s = {
        .data = "tests/data/digits", .layers = "64,128,64,10", .moons_epochs = 5000, .digits_epochs = 30};
    const cli_option options[] = {
        {"moons-epochs", "N", "visits to every point of the moons", CLI_INT, &s.moons_epochs},
        {"digits-epochs", "N", "visits to every digit", CLI_INT, &s.digits_epochs},
        {"data", "DIR", "the digits: a folder as the example images takes it", CLI_TEXT, &s.data},
        {"layers", "LIST", "for the digits, sizes from an image's pixels to the classes", CLI_TEXT,
         &s.layers},
        {"out", "DIR", "write compare.svg and compare.csv there", CLI_TEXT, &s.out},
        {"no-times", NULL, "print none: the rest is the same bytes every time", CLI_FLAG, &s.no_times},
        {0}};
    cli_parse(argc, argv, "Trains two small networks by every method of the library, and compares.", options);
    check_epochs("moons-epochs", s.moons_epochs);
    check_epochs("digits-epochs", s.digits_epochs);
    return s;
}

/* ---- The tables ---------------------------------------------------------------------------------------- */

static void print_notes(void)
{
    printf("cost: mean over the last epoch's examples, each at the weights of its step\n"
           "90%%: the first epoch that ends with such an accuracy\n"
           "us a step: microseconds for batch, gradient and update, the quickest epoch's mean; update: its "
           "part\n"
           "bytes: a parameter's share of what is allocated for values, gradients and the method's slots\n");
}

static void print_head(const compare_task *t)
{
    printf("\n%s: %" PRId64 " examples, network %s, %s, %" PRId64 " epochs; ", t->name, t->train.x.dim[0],
           t->layers, t->dtype, t->epochs);
    if (t->held.x.data)
        printf("accuracy on %" PRId64 " others\n\n", t->held.x.dim[0]);
    else
        printf("accuracy on the same\n\n");
    printf("method             lr  batch       cost  accuracy    90%%  us a step  update  bytes\n");
}

static void print_row(const settings *s, const compare_task *t, const compare_method *m,
                      const compare_run *run)
{
    int64_t first = 0;
    while (first < run->epochs && !(run->accuracy[first] >= 0.9))
        first++;
    printf("%-13s  %6g  %5" PRId64 "  %#9.4g  %8.4f", run->name, m->lr, run->batch,
           run->cost[run->epochs - 1], run->accuracy[run->epochs - 1]);
    if (first < run->epochs)
        printf("  %5" PRId64, first + 1);
    else
        printf("  %5s", "-");
    if (s->no_times)
        printf("  %9s  %6s", "-", "-");
    else
        printf("  %9.2f  %6.2f", 1e6 * run->step, 1e6 * run->update);
    printf("  %5.4g", run->bytes);
    if (run->epochs < t->epochs)
        printf("  nothing lower after epoch %" PRId64, run->epochs);
    printf("\n");
    fflush(stdout); /* for whoever waits for it at the other end of a pipe */
}

static void compare(opt_ctx *ctx, const settings *s, const compare_task *task, compare_run *run)
{
    print_head(task);
    for (int m = 0; m < METHODS; m++) {
        run[m] = compare_train(ctx, task, &methods[m]);
        if (interrupt_signal())
            cli_fail(128 + interrupt_signal(), "stopped while it trained the %s by %s; nothing is drawn",
                     task->name, run[m].name);
        print_row(s, task, &methods[m], &run[m]);
    }
}

int main(int argc, char **argv)
{
    const settings s = parse_settings(argc, argv);
    if (s.out)
        output_folder(s.out);
    opt_ctx *ctx = cli_context();
    compare_task task[TASKS] = {compare_moons(ctx, s.moons_epochs),
                                compare_digits(ctx, s.data, s.layers, s.digits_epochs)};
    compare_run run[TASKS][METHODS];
    const compare_run *const runs[TASKS] = {run[0], run[1]};

    print_notes();
    interrupt_catch();
    for (int t = 0; t < TASKS; t++)
        compare(ctx, &s, &task[t], run[t]);
    interrupt_release();
    if (s.out) {
        draw_comparison(s.out, TASKS, task, METHODS, runs);
        write_comparison(s.out, TASKS, task, METHODS, runs);
    }

    for (int t = 0; t < TASKS; t++) {
        for (int m = 0; m < METHODS; m++)
            compare_run_free(&run[t][m]);
        compare_task_free(ctx, &task[t]);
    }
    opt_ctx_free(ctx);
    output_close(stdout, "standard output");
    return EXIT_SUCCESS;
}

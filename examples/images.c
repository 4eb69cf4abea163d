/* SPDX-License-Identifier: MIT
 *
 * Images told apart by a fully connected network: Fashion-MNIST, MNIST, or any data set in files like theirs.
 * A part of the training images is held back, and the weights are kept that do best on it; the test images
 * are looked at once, at the end. The same command prints the same bytes, whatever --threads and --isa.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "hash.h"
#include "images_data.h"
#include "images_figures.h"
#include "interrupt.h"
#include "methods.h"
#include "opt.h"
#include "output.h"
#include "progress.h"
#include "ranks.h"

enum { BAD_USAGE = 2, MAX_EPOCHS = 1000000, MAX_CLASSES = 256 /* labels are bytes */ };

typedef struct settings {
    const char *data, *layers, *dtype, *out, *checkpoint, *log, *predict, *labels, *optimizer;
    int64_t epochs, batch, chunk, patience;
    double lr, weight_decay, validation;
    uint32_t seed;
    bool resume, hash, own_log; /* own_log: it is a part of --out */
    opt_mlp_opts net;           /* from layers, dtype and seed */
} settings;

/* ---- The command line ---------------------------------------------------------------------------------- */

/* FOLDER/NAME */
static const char *in_folder(const char *folder, const char *name, char path[static FILENAME_MAX])
{
    int length = snprintf(path, FILENAME_MAX, "%s/%s", folder, name);
    if (length < 0 || length >= FILENAME_MAX)
        cli_fail(BAD_USAGE, "--out: the path is too long");
    return path;
}

static void check_settings(settings *s)
{
    if (s->epochs < 1 || s->epochs > MAX_EPOCHS)
        cli_fail(BAD_USAGE, "--epochs: %" PRId64 " is outside [1, %d]", s->epochs, MAX_EPOCHS);
    if (s->batch < 1 || s->batch > INT32_MAX)
        cli_fail(BAD_USAGE, "--batch: %" PRId64 " is outside [1, %d]", s->batch, INT32_MAX);
    if (s->chunk < 1 || s->chunk > 64)
        cli_fail(BAD_USAGE, "--chunk: %" PRId64 " is outside [1, 64]", s->chunk);
    if (s->patience < 0)
        cli_fail(BAD_USAGE, "--patience: %" PRId64 " is below 0", s->patience);
    if (!(s->lr > 0))
        cli_fail(BAD_USAGE, "--lr: %g is not above 0", s->lr);
    if (s->weight_decay < 0)
        cli_fail(BAD_USAGE, "--weight-decay: %g is below 0", s->weight_decay);
    if (!(s->validation > 0 && s->validation < 1))
        cli_fail(BAD_USAGE, "--validation: %g is not between 0 and 1", s->validation);
    if (s->labels && !s->predict)
        cli_fail(BAD_USAGE, "--labels: only with --predict");
    if (s->resume && s->predict)
        cli_fail(BAD_USAGE, "--resume: not with --predict");
    int n = cli_layers(s->layers, s->net.size);
    if (s->net.size[n - 1] < 2 || s->net.size[n - 1] > MAX_CLASSES)
        cli_fail(BAD_USAGE, "--layers: ends with %" PRId64 ", not with 2 to %d classes", s->net.size[n - 1],
                 MAX_CLASSES);
    s->net.loss = OPT_SOFTMAX_CE;
    s->net.dtype = strcmp(s->dtype, "f32") == 0 ? OPT_F32 : OPT_F64;
    s->net.seed = s->seed;
}

static settings parse_settings(int argc, char **argv)
{
    char methods[1024];
    methods_list(methods, sizeof methods);
    settings s = {.data = "/usr/share/datasets/fashion-mnist",
                  .optimizer = "adam",
                  .layers = "784,128,64,10",
                  .dtype = "f32",
                  .epochs = 15,
                  .batch = 64,
                  .chunk = 64,
                  .patience = 5,
                  .lr = 0.002,
                  .weight_decay = 0.1,
                  .validation = 0.1,
                  .seed = 1};
    const cli_option options[] = {
        {"data", "DIR", "folder with train-images-idx3-ubyte and so on, or these with .gz", CLI_TEXT,
         &s.data},
        {"layers", "LIST", "sizes from an image's pixels to the classes", CLI_TEXT, &s.layers},
        {"epochs", "N", "visits to every example; over all of them the learning rate falls to 0", CLI_INT,
         &s.epochs},
        {"batch", "N", "examples a step", CLI_INT, &s.batch},
        {"chunk", "N", "of which a batch's sums are a tree; ranks share chunks", CLI_INT, &s.chunk},
        {"optimizer", "NAME", methods, CLI_TEXT, &s.optimizer},
        {"lr", "RATE", "learning rate at the start", CLI_REAL, &s.lr},
        {"weight-decay", "RATE", "times the learning rate: by what weights shrink at each step", CLI_REAL,
         &s.weight_decay},
        {"validation", "SHARE", "of the training examples, held back to tell which epoch is best", CLI_REAL,
         &s.validation},
        {"patience", "N", "stop after so many epochs that are not the best; 0: never", CLI_INT, &s.patience},
        {"seed", "N", "of the first weights, the batches and what is held back", CLI_UINT32, &s.seed},
        {"dtype", "f32|f64", "type of all numbers", CLI_TEXT, &s.dtype},
        {"checkpoint", "FILE", "written after each epoch (default images.safetensors, in --out's folder)",
         CLI_TEXT, &s.checkpoint},
        {"resume", NULL, "go on from the checkpoint; repeat the other options", CLI_FLAG, &s.resume},
        {"log", "FILE", "add a line an epoch to this .csv or .jsonl (default log.csv in --out's folder)",
         CLI_TEXT, &s.log},
        {"out", "DIR", "write curves.svg, confusion.svg and weights.svg there", CLI_TEXT, &s.out},
        {"hash", NULL, "print a checksum of the final weights", CLI_FLAG, &s.hash},
        {"predict", "FILE", "do not train: print the class of each image of this file", CLI_TEXT, &s.predict},
        {"labels", "FILE", "with --predict: the true classes, to count how many are right", CLI_TEXT,
         &s.labels},
        {0}};
    cli_parse(argc, argv, "Trains a network on images, keeps the best weights, and tests them.", options);
    check_settings(&s);
    if (methods_find(s.optimizer) < 0)
        cli_fail(BAD_USAGE, "--optimizer: '%s' is not one of %s", s.optimizer, methods);
    return s;
}

/* ---- What is kept of each epoch ------------------------------------------------------------------------ */

static images_history new_history(int64_t epochs)
{
    images_history h = {.epochs = epochs};
    double **const column[] = {&h.loss, &h.val_loss, &h.val_accuracy};
    for (int c = 0; c < 3; c++) {
        *column[c] = malloc((size_t)epochs * sizeof(double));
        if (!*column[c])
            cli_fail(EXIT_FAILURE, "out of memory");
        for (int64_t e = 0; e < epochs; e++)
            (*column[c])[e] = (double)NAN;
    }
    return h;
}

static void free_history(images_history *h)
{
    free(h->val_accuracy);
    free(h->val_loss);
    free(h->loss);
}

/* The epochs before a resumed run, from the log that it will add to. */
static void read_history(opt_ctx *ctx, const char *log, images_history *h)
{
    const char *const names[] = {"epoch", "loss", "val_loss", "val_accuracy"};
    const opt_csv_opts opts = {.names = names, .ncolumns = 4, .header = true};
    const char *end = strrchr(log, '.');
    FILE *file = end && strcmp(end, ".jsonl") == 0 ? NULL : fopen(log, "rb");
    if (!file)
        return; /* the curves begin here */
    fclose(file);
    opt_tensor t;
    cli_check(ctx, opt_read_csv(ctx, log, &opts, &t));
    for (int64_t i = 0; i < t.dim[0]; i++) {
        double epoch = opt_get(&t, 4 * i);
        if (!(epoch >= 1 && epoch <= (double)h->epochs))
            continue;
        h->loss[(int64_t)epoch - 1] = opt_get(&t, 4 * i + 1);
        h->val_loss[(int64_t)epoch - 1] = opt_get(&t, 4 * i + 2);
        h->val_accuracy[(int64_t)epoch - 1] = opt_get(&t, 4 * i + 3);
    }
    opt_tensor_free(ctx, &t);
}

/* ---- Training ------------------------------------------------------------------------------------------ */

typedef struct report {
    images_history *history;
    progress bar;
    int64_t steps, examples; /* an epoch */
} report;

static opt_status on_step(const opt_progress *p, void *ud)
{
    report *r = ud;
    progress_step(&r->bar, p, r->steps, r->examples);
    return interrupt_stop(p, NULL);
}

static opt_status on_epoch(const opt_progress *p, void *ud)
{
    report *r = ud;
    images_history *h = r->history;
    h->loss[p->epoch - 1] = p->loss;
    h->val_loss[p->epoch - 1] = p->val_loss;
    h->val_accuracy[p->epoch - 1] = r->bar.accuracy = p->val_accuracy;
    progress_clear(&r->bar);
    printf("%5" PRId64 "  %8.4f  %15.4f  %8.4f%s\n", p->epoch, p->loss, p->val_loss, p->val_accuracy,
           p->best_epoch == p->epoch ? "  best" : "");
    fflush(stdout); /* for whoever follows it through a pipe */
    return interrupt_stop(p, NULL);
}

/* Biases do not shrink. */
static opt_optim *new_optim(opt_ctx *ctx, const settings *s, opt_mlp *net, const opt_cosine_arg *fall)
{
    const opt_optim_opts opts = {.lr = s->lr,
                                 .schedule = opt_lr_cosine,
                                 .schedule_arg = fall,
                                 .weight_decay = s->weight_decay > 0 ? s->weight_decay : OPT_ZERO,
                                 .sharded = ranks_sharded()};
    opt_params params = opt_mlp_params(net);
    opt_optim *optim;
    for (int i = 1; i < params.n; i += 2) /* W1, b1, W2, b2, ... */
        params.at[i].no_decay = true;
    cli_check(ctx, opt_optim_new(ctx, methods_at(methods_find(s->optimizer)), NULL, &opts, params, &optim));
    return optim;
}

/* Loads the checkpoint and refuses another learning rate than its own; opt_load checks all else. */
static void resume(opt_ctx *ctx, const settings *s, opt_mlp *net, opt_optim *optim, opt_batches *batches,
                   const opt_cosine_arg *fall)
{
    cli_check(ctx, opt_load(ctx, s->checkpoint, opt_mlp_params(net), optim, batches));
    if (opt_optim_lr(optim) != opt_lr_cosine(s->lr, opt_optim_steps(optim), fall))
        cli_fail(BAD_USAGE, "--lr: '%s' was made with another learning rate than %g", s->checkpoint, s->lr);
}

static void train(opt_ctx *ctx, const settings *s, const images *data, opt_mlp *net, images_history *history)
{
    opt_source training = opt_source_table(&data->train), validation = opt_source_table(&data->validation);
    opt_batches *batches;
    if (s->batch > training.rows)
        cli_fail(BAD_USAGE, "--batch: %" PRId64 " is more than the %" PRId64 " training images", s->batch,
                 training.rows);
    if (methods_full_batch(methods_at(methods_find(s->optimizer))) && s->batch < training.rows)
        cli_fail(BAD_USAGE, "--batch: %s needs all %" PRId64 " training images at once", s->optimizer,
                 training.rows);
    cli_check(ctx, opt_batches_new(ctx, &training,
                                   &(opt_batches_opts){.size = s->batch, .chunk = s->chunk, .seed = s->seed},
                                   &batches));
    const opt_cosine_arg fall = {.total = s->epochs * opt_batches_count(batches)};
    opt_optim *optim = new_optim(ctx, s, net, &fall);
    if (s->resume)
        resume(ctx, s, net, optim, batches, &fall);

    report r = {.history = history,
                .bar = progress_start(""),
                .steps = opt_batches_count(batches),
                .examples = training.rows};
    const opt_model model = opt_mlp_model(net);
    const opt_train_opts how = {.epochs = s->epochs,
                                .on_epoch = on_epoch,
                                .on_step = on_step,
                                .ud = &r,
                                .checkpoint = s->checkpoint,
                                .validation = &validation,
                                .patience = s->patience,
                                .keep_best = true,
                                .log = s->log};
    printf("epoch      loss  validation loss  accuracy\n");
    interrupt_catch();
    opt_status status = opt_train(ctx, &model, optim, batches, &how);
    progress_clear(&r.bar);
    cli_check(ctx, status);
    if (interrupt_signal())
        cli_fail(128 + interrupt_signal(),
                 "stopped after step %" PRId64 "; the same command with --resume goes on from %s",
                 opt_optim_steps(optim), s->checkpoint);
    interrupt_release();
    opt_optim_free(optim);
    opt_batches_free(batches);
}

/* ---- Testing ------------------------------------------------------------------------------------------- */

/* A row a class: how many there are, the share that is found, what the others are most often taken for. */
static void print_classes(const opt_tensor *confusion, const char *const *names)
{
    const int64_t n = confusion->dim[0];
    char room[24];
    printf("\n%-12s  %6s  %6s  %s\n", "class", "images", "right", "most often taken for");
    for (int64_t i = 0; i < n; i++) {
        int64_t worst = -1;
        double total = 0, most = 0;
        for (int64_t j = 0; j < n; j++) {
            double count = opt_get(confusion, i * n + j);
            total += count;
            if (j != i && count > most) {
                most = count;
                worst = j;
            }
        }
        printf("%-12s  %6.0f  ", images_class(names, i, room), total);
        if (total > 0)
            printf("%5.1f%%", 100 * opt_get(confusion, i * n + i) / total);
        if (worst >= 0)
            printf("  %s (%.0f)", images_class(names, worst, room), most);
        printf("\n");
    }
}

static void test(opt_ctx *ctx, const settings *s, const images *data, opt_mlp *net)
{
    const opt_model model = opt_mlp_model(net);
    const opt_source source = opt_source_table(&data->test);
    opt_evaluation result;
    opt_tensor confusion;
    cli_check(ctx, opt_tensor_new(ctx, OPT_F64, 2, (int64_t[]){model.classes, model.classes}, &confusion));
    cli_check(ctx, opt_evaluate(ctx, &model, &source, &result, &confusion));
    print_classes(&confusion, data->names);
    printf("\nTest loss: %.4f\nTest accuracy: %.4f\n", result.loss, result.accuracy);
    if (s->out) {
        draw_confusion(s->out, &confusion, data->names);
        draw_weights(s->out, &model.params.at[0].value, data->height, data->width);
    }
    opt_tensor_free(ctx, &confusion);
}

static void train_and_test(opt_ctx *ctx, const settings *s, opt_mlp *net)
{
    images data = images_load(ctx, s->data, &s->net, s->validation, s->seed);
    images_history history = new_history(s->epochs);
    printf("%" PRId64 " images of %" PRId64 "x%" PRId64 " to learn from, %" PRId64 " held back, %" PRId64
           " to test with\n\n",
           data.train.x.dim[0], data.height, data.width, data.validation.x.dim[0], data.test.x.dim[0]);
    if (s->out && s->resume)
        read_history(ctx, s->log, &history);
    if (s->own_log && !s->resume)
        remove(s->log); /* of another run */
    train(ctx, s, &data, net, &history);
    test(ctx, s, &data, net);
    if (s->hash)
        printf("weights %016" PRIx64 "\n", hash_weights(opt_mlp_params(net)));
    if (s->out)
        draw_curves(s->out, &history);
    free_history(&history);
    images_free(ctx, &data);
}

/* ---- Predicting ---------------------------------------------------------------------------------------- */

/* The best epoch's weights, which a checkpoint has as "best.W1" and so on; without these, W1 and so on. */
static void load_weights(opt_ctx *ctx, const char *path, opt_params params)
{
    enum { MOST = 2 * OPT_MLP_MAX_SIZES };
    char name[MOST][24];
    opt_param best[MOST];
    opt_load_report found;
    for (int i = 0; i < params.n; i++) {
        snprintf(name[i], sizeof name[i], "best.%s", params.at[i].name);
        best[i] = params.at[i];
        best[i].name = name[i];
    }
    cli_check(ctx, opt_load_named(ctx, path, (opt_params){best, params.n}, &found));
    if (found.missing > 0)
        cli_check(ctx, opt_load_named(ctx, path, params, &found));
    if (found.missing > 0)
        cli_fail(EXIT_FAILURE, "%s: %s", path, found.names);
}

static int64_t largest(const opt_tensor *t, int64_t row)
{
    const int64_t n = t->dim[1];
    int64_t best = 0;
    for (int64_t j = 1; j < n; j++)
        if (opt_get(t, row * n + j) > opt_get(t, row * n + best))
            best = j;
    return best;
}

static void predict(opt_ctx *ctx, const settings *s, opt_mlp *net)
{
    int64_t height, width, right = 0;
    load_weights(ctx, s->checkpoint, opt_mlp_params(net));
    opt_tensor x = images_read(ctx, s->predict, &s->net, &height, &width), out, y = {0};
    const int64_t n = x.dim[0];
    if (s->labels)
        y = images_read_labels(ctx, s->labels, &s->net, n);
    cli_check(ctx, opt_tensor_new(ctx, s->net.dtype, 2, (int64_t[]){n, images_outputs(&s->net)}, &out));
    cli_check(ctx, opt_mlp_predict(net, &x, &out));
    for (int64_t i = 0; i < n; i++) {
        const int64_t class = largest(&out, i);
        printf("%" PRId64 "\n", class);
        right += s->labels && largest(&y, i) == class;
    }
    if (s->labels)
        printf("Accuracy: %.4f\n", (double)right / (double)n);
    opt_tensor_free(ctx, &y);
    opt_tensor_free(ctx, &out);
    opt_tensor_free(ctx, &x);
}

int main(int argc, char **argv)
{
    char checkpoint[FILENAME_MAX], log[FILENAME_MAX];
    settings s = parse_settings(argc, argv);
    if (s.out && ranks_number() == 0)
        output_folder(s.out);
    if (!s.checkpoint)
        s.checkpoint = s.out ? in_folder(s.out, "images.safetensors", checkpoint) : "images.safetensors";
    s.own_log = s.out && !s.log;
    if (s.own_log)
        s.log = in_folder(s.out, "log.csv", log);
    if (ranks_number() > 0) { /* the first writes */
        s.out = NULL;
        s.own_log = false;
    }
    opt_ctx *ctx = cli_context();
    opt_mlp *net;
    cli_check(ctx, opt_mlp_new(ctx, &s.net, &net));
    if (s.predict)
        predict(ctx, &s, net);
    else
        train_and_test(ctx, &s, net);
    opt_mlp_free(net);
    opt_ctx_free(ctx);
    output_close(stdout, "standard output");
    return EXIT_SUCCESS;
}

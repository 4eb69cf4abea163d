/* SPDX-License-Identifier: MIT */
#include "compare_tasks.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "cli.h"
#include "images_data.h"
#include "interrupt.h"
#include "methods.h"
#include "progress.h"

enum { BAD_USAGE = 2, BATCH = 64 };

/* ---- The tasks ----------------------------------------------------------------------------------------- */

compare_task compare_moons(opt_ctx *ctx, int64_t epochs)
{
    compare_task task = {.name = "moons",
                         .layers = "2,5,2,1",
                         .dtype = "f64",
                         .net = {.dtype = OPT_F64, .loss = OPT_BCE, .seed = 3},
                         .seed = 10,
                         .epochs = epochs};
    cli_layers(task.layers, task.net.size);
    cli_check(ctx, opt_moons(ctx, 300, 0.2, 3, &task.train));
    return task;
}

compare_task compare_digits(opt_ctx *ctx, const char *folder, const char *layers, int64_t epochs)
{
    compare_task task = {.name = "digits",
                         .layers = layers,
                         .dtype = "f32",
                         .net = {.dtype = OPT_F32, .loss = OPT_SOFTMAX_CE, .seed = 1},
                         .seed = 1,
                         .epochs = epochs};
    const int n = cli_layers(layers, task.net.size);
    if (task.net.size[n - 1] < 2)
        cli_fail(BAD_USAGE, "--layers: '%s' does not end with 2 classes or more", layers);
    const images all = images_load(ctx, folder, &task.net, 0, 0);
    task.train = all.train;
    task.held = all.test;
    return task;
}

void compare_task_free(opt_ctx *ctx, compare_task *task)
{
    opt_tensor_free(ctx, &task->held.y);
    opt_tensor_free(ctx, &task->held.x);
    opt_tensor_free(ctx, &task->train.y);
    opt_tensor_free(ctx, &task->train.x);
}

/* ---- Time ---------------------------------------------------------------------------------------------- */

/* Trains as the network does and notes when a gradient is there: what follows is the optimizer's. */
typedef struct watch {
    opt_model net;
    compare_run *run;
    progress bar;
    struct timespec start;
    double epoch_began, gradient_there, step_done; /* seconds since start */
    double updates;                                /* the epoch's so far, in seconds */
    int64_t steps;                                 /* likewise */
} watch;

/* Since the start: seconds since 1970 would leave a double a quarter of a microsecond. */
static double seconds(const watch *w)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)(t.tv_sec - w->start.tv_sec) + 1e-9 * (double)(t.tv_nsec - w->start.tv_nsec);
}

static opt_status watched_grad(void *self, const opt_batch *part, double *loss)
{
    watch *w = self;
    opt_status status = w->net.grad(w->net.self, part, loss);
    w->gradient_there = seconds(w);
    return status;
}

static opt_status watched_predict(void *self, const opt_batch *part, double *loss, opt_tensor *out)
{
    const watch *w = self;
    return w->net.predict(w->net.self, part, loss, out);
}

static opt_model watched(watch *w)
{
    opt_model model = w->net;
    model.self = w;
    model.grad = watched_grad;
    model.predict = watched_predict;
    return model;
}

static opt_status on_step(const opt_progress *p, void *ud)
{
    watch *w = ud;
    w->step_done = seconds(w);
    w->updates += w->step_done - w->gradient_there;
    w->steps++;
    return interrupt_stop(p, NULL);
}

static opt_status on_epoch(const opt_progress *p, void *ud)
{
    watch *w = ud;
    const int64_t e = p->epoch - 1;
    w->run->cost[e] = p->loss;
    w->run->accuracy[e] = p->val_accuracy;
    w->run->step = fmin(w->run->step, (w->step_done - w->epoch_began) / (double)w->steps);
    w->run->update = fmin(w->run->update, w->updates / (double)w->steps);
    progress_update(&w->bar, p);
    w->updates = 0;
    w->steps = 0;
    w->epoch_began = seconds(w); /* trying the weights is not the method's time */
    return OPT_OK;
}

/* ---- Memory -------------------------------------------------------------------------------------------- */

static double bytes_of(const opt_tensor *t)
{
    int bytes = 0;
    switch (t->dtype) {
    case OPT_F32:
        bytes = 4;
        break;
    case OPT_F64:
        bytes = 8;
        break;
    case OPT_BF16:
        bytes = 2;
        break;
    }
    return (double)opt_tensor_len(t) * bytes;
}

static double bytes_a_parameter(opt_optim *optim, const opt_method *method, opt_params params)
{
    double bytes = 0, n = 0;
    for (int i = 0; i < params.n; i++) {
        const opt_param *p = &params.at[i];
        n += (double)opt_tensor_len(&p->value);
        bytes += bytes_of(&p->value) + bytes_of(&p->grad);
        for (int s = 0; s < OPT_MAX_SLOTS && method->slot[s]; s++) {
            const opt_tensor *slot = opt_optim_slot(optim, i, method->slot[s]);
            if (slot) /* not every setting needs every one */
                bytes += bytes_of(slot);
        }
    }
    return bytes / n;
}

/* ---- Training ------------------------------------------------------------------------------------------ */

static double *new_curve(int64_t epochs)
{
    double *curve = malloc((size_t)epochs * sizeof *curve);
    if (!curve)
        cli_fail(EXIT_FAILURE, "out of memory");
    return curve;
}

compare_run compare_train(opt_ctx *ctx, const compare_task *task, const compare_method *by)
{
    const int64_t rows = task->train.x.dim[0];
    const opt_source source = opt_source_table(&task->train);
    const opt_source tried = opt_source_table(task->held.x.data ? &task->held : &task->train);
    compare_run run = {.name = by->method->name,
                       .batch = methods_full_batch(by->method) || rows < BATCH ? rows : BATCH,
                       .cost = new_curve(task->epochs),
                       .accuracy = new_curve(task->epochs),
                       .step = HUGE_VAL,
                       .update = HUGE_VAL};
    watch w = {.run = &run, .bar = progress_start(run.name)};
    const opt_train_opts how = {
        .epochs = task->epochs, .on_epoch = on_epoch, .on_step = on_step, .ud = &w, .validation = &tried};
    opt_mlp *net;
    opt_batches *batches;
    opt_optim *optim;
    cli_check(ctx, opt_mlp_new(ctx, &task->net, &net));
    cli_check(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = run.batch, .seed = task->seed},
                                   &batches));
    cli_check(ctx, opt_optim_new(ctx, by->method, NULL, &(opt_optim_opts){.lr = by->lr}, opt_mlp_params(net),
                                 &optim));

    w.net = opt_mlp_model(net);
    const opt_model model = watched(&w);
    timespec_get(&w.start, TIME_UTC);
    opt_status status = opt_train(ctx, &model, optim, batches, &how);
    progress_clear(&w.bar);
    cli_check(ctx, status);
    run.epochs = opt_batches_completed(batches);
    run.bytes = bytes_a_parameter(optim, by->method, model.params);
    opt_optim_free(optim);
    opt_batches_free(batches);
    opt_mlp_free(net);
    return run;
}

void compare_run_free(compare_run *run)
{
    free(run->accuracy);
    free(run->cost);
}

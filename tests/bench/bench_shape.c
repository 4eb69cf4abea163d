/* SPDX-License-Identifier: MIT
 *
 * What a training step costs against parameters, batch, width and depth: tables, and with --svg a drawing.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "timing.h"

enum { MAX_POINTS = 18, CURVES = 4 };

/* The cost of a step, and a unit's share of it, at several sizes of one thing. */
typedef struct curve {
    const char *text, *what;                                 /* headline, and what is varied */
    const char *title, *x_axis;                              /* in the drawing */
    double (*time)(opt_ctx *ctx, int64_t at, double *units); /* seconds for a step, which has so many units */
    double scale; /* from seconds to the share's unit, with its name */
    const char *share;
    int64_t at[MAX_POINTS]; /* ends at the first 0 */
    double cost[MAX_POINTS];
    int n;
} curve;

/* ---- Measuring ----------------------------------------------------------------------------------------- */

typedef struct job {
    opt_ctx *ctx;
    opt_mlp *net; /* NULL: the gradient stays */
    opt_tensor x, y;
    opt_optim *adam;
} job;

static void step(const job *j)
{
    double loss;

    if (j->net != NULL)
        check(j->ctx, opt_mlp_grad(j->net, &j->x, &j->y, &loss));
    check(j->ctx, opt_optim_step(j->adam));
}

/* Seconds a step, over at least 20 ms. */
static double time_steps(const job *j)
{
    step(j); /* meets memory for the first time */
    for (int64_t repeats = 1;; repeats *= 2) {
        const double start = now();
        double seconds;

        for (int64_t i = 0; i < repeats; i++)
            step(j);
        seconds = now() - start;
        if (opts.quick || seconds >= 0.02)
            return seconds / (double)repeats;
    }
}

static double time_adam(opt_ctx *ctx, int64_t n, double *units)
{
    opt_param p = {.name = "w", .value = make(ctx, OPT_F32, n, 1), .grad = make(ctx, OPT_F32, n, 1)};
    const opt_optim_opts unchecked = {.lr = 1e-3, .unchecked = true};
    job j = {.ctx = ctx};
    double seconds;

    fill(&p.grad, 1e-3);
    check(ctx, opt_optim_new(ctx, &opt_adam, NULL, &unchecked, (opt_params){&p, 1}, &j.adam));
    seconds = time_steps(&j);
    *units = (double)n;
    opt_optim_free(j.adam);
    opt_tensor_free(ctx, &p.value);
    opt_tensor_free(ctx, &p.grad);
    return seconds;
}

/* *weights: how many the network has, biases too; may be NULL. */
static double time_net(opt_ctx *ctx, const opt_mlp_opts *net, int64_t batch, double *weights)
{
    const int64_t inputs = net->size[0], outputs = 10;
    job j = {.ctx = ctx, .x = make(ctx, OPT_F32, batch, inputs), .y = make(ctx, OPT_F32, batch, outputs)};
    opt_params params;
    double seconds;

    fill(&j.x, 1);
    for (int64_t i = 0; i < batch; i++)
        opt_set(&j.y, outputs * i + i % outputs, 1);
    check(ctx, opt_mlp_new(ctx, net, &j.net));
    params = opt_mlp_params(j.net);
    /* So low a rate that the last steps find what the first did: no example learnt by heart. */
    check(ctx, opt_optim_new(ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 1e-6}, params, &j.adam));
    seconds = time_steps(&j);
    if (weights != NULL) {
        *weights = 0;
        for (int i = 0; i < params.n; i++)
            *weights += (double)opt_tensor_len(&params.at[i].value);
    }
    opt_optim_free(j.adam);
    opt_mlp_free(j.net);
    opt_tensor_free(ctx, &j.x);
    opt_tensor_free(ctx, &j.y);
    return seconds;
}

static double time_batch(opt_ctx *ctx, int64_t batch, double *units)
{
    const opt_mlp_opts net = {.size = {784, 128, 64, 10}, .loss = OPT_SOFTMAX_CE, .dtype = OPT_F32};

    *units = (double)batch;
    return time_net(ctx, &net, batch, NULL);
}

static double time_width(opt_ctx *ctx, int64_t w, double *units)
{
    const opt_mlp_opts net = {.size = {64, w, w, 10}, .loss = OPT_SOFTMAX_CE, .dtype = OPT_F32};

    return time_net(ctx, &net, 64, units);
}

static double time_depth(opt_ctx *ctx, int64_t hidden, double *units)
{
    opt_mlp_opts net = {.size = {64}, .loss = OPT_SOFTMAX_CE, .dtype = OPT_F32};

    for (int64_t l = 1; l <= hidden; l++)
        net.size[l] = 32;
    net.size[hidden + 1] = 10;
    *units = (double)(hidden + 1);
    return time_net(ctx, &net, 64, NULL);
}

/* The points take turns. */
static void measure(curve *c)
{
    opt_ctx *ctx = context(OPT_ISA_BEST, 1);
    timing t[MAX_POINTS] = {0};
    double units[MAX_POINTS];
    char what[64];

    while (c->n < (opts.quick ? 3 : MAX_POINTS) && c->at[c->n] != 0)
        c->n++;
    for (int turn = 0; turn < turns(); turn++)
        for (int i = 0; i < c->n; i++)
            add(&t[i], c->time(ctx, c->at[i], &units[i]));
    section("shape", c->text);
    for (int i = 0; i < c->n; i++) {
        c->cost[i] = c->scale * median(&t[i]) / units[i];
        snprintf(what, sizeof what, "%s %lld", c->what, (long long)c->at[i]);
        row(what, &t[i], 1e6, "us", c->cost[i], c->share);
    }
    opt_ctx_free(ctx);
}

/* ---- Drawing ------------------------------------------------------------------------------------------- */

enum {
    WIDTH = 860,
    HEIGHT = 640,
    PANEL_W = 430,
    PANEL_H = 320,
    LEFT = 64,
    TOP = 42,
    PLOT_W = 340,
    PLOT_H = 216
};

/* A logarithmic axis from `from` to `to`, which is `length` away. */
typedef struct axis {
    double from, to, length;
} axis;

static double place(const axis *a, double x)
{
    return a->length * log(x / a->from) / log(a->to / a->from);
}

/* The tick after x, of ..., 1, 2, 5, 10, ... */
static double next_tick(double x)
{
    const double power = pow(10, floor(log10(x) + 1e-9)), digit = x / power;

    return power * (digit < 1.5 ? 2 : digit < 3 ? 5 : 10);
}

/* From tick to tick around the n values, and at least a power of ten. */
static axis axis_around(int n, const double *x, double length)
{
    axis a = {.length = length};
    double least = x[0], most = x[0];

    for (int i = 1; i < n; i++) {
        least = fmin(least, x[i]);
        most = fmax(most, x[i]);
    }
    a.from = pow(10, floor(log10(least) + 1e-9));
    while (next_tick(a.from) <= least * (1 + 1e-9))
        a.from = next_tick(a.from);
    a.to = a.from;
    while (a.to < fmax(most, a.from * 10) * (1 - 1e-9))
        a.to = next_tick(a.to);
    return a;
}

/* Writes "20", "50K" or "1M". */
static void label(FILE *f, double x)
{
    if (x > 0.999e6)
        fprintf(f, "%.3gM</text>\n", 1e-6 * x);
    else if (x > 0.999e3)
        fprintf(f, "%.3gK</text>\n", 1e-3 * x);
    else
        fprintf(f, "%.3g</text>\n", x);
}

/* Lines across the plot at the ticks, with labels at powers of ten and, on an axis of few of them, at all. */
static void ticks(FILE *f, const axis *a, bool upright)
{
    const bool few = a->to < 150 * a->from;

    for (double x = a->from; x < a->to * 1.001; x = next_tick(x)) {
        const double at = place(a, x), power = log10(x);
        const bool major = fabs(power - round(power)) < 1e-6;

        if (!major && !few)
            continue;
        fprintf(f, "<path stroke=\"%s\" d=\"", major ? "#c4c8cc" : "#eceef0");
        if (upright)
            fprintf(f, "M0 %.1fh%d\"/>\n<text x=\"-8\" y=\"%.1f\" text-anchor=\"end\">", PLOT_H - at, PLOT_W,
                    PLOT_H - at + 4);
        else
            fprintf(f, "M%.1f 0v%d\"/>\n<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", at, PLOT_H, at,
                    PLOT_H + 18);
        label(f, x);
    }
}

static void draw_panel(FILE *f, const curve *c, int left, int top)
{
    double at[MAX_POINTS];
    axis x, y;

    for (int i = 0; i < c->n; i++)
        at[i] = (double)c->at[i];
    x = axis_around(c->n, at, PLOT_W);
    y = axis_around(c->n, c->cost, PLOT_H);
    fprintf(f, "<g transform=\"translate(%d %d)\">\n", left + LEFT, top + TOP);
    fprintf(f, "<text x=\"0\" y=\"-14\" font-size=\"14\" font-weight=\"bold\">%s</text>\n", c->title);
    ticks(f, &x, false);
    ticks(f, &y, true);
    fprintf(f, "<path stroke=\"#222\" d=\"M0 0v%dh%d\"/>\n", PLOT_H, PLOT_W);
    fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", PLOT_W / 2, PLOT_H + 38,
            c->x_axis);
    fprintf(f, "<polyline stroke=\"#1f5fa8\" stroke-width=\"1.6\" points=\"");
    for (int i = 0; i < c->n; i++)
        fprintf(f, "%.1f,%.1f ", place(&x, at[i]), PLOT_H - place(&y, c->cost[i]));
    fprintf(f, "\"/>\n");
    for (int i = 0; i < c->n; i++)
        fprintf(f, "<circle r=\"3\" fill=\"#1f5fa8\" stroke=\"none\" cx=\"%.1f\" cy=\"%.1f\"/>\n",
                place(&x, at[i]), PLOT_H - place(&y, c->cost[i]));
    fprintf(f, "</g>\n");
}

static void draw(const char *path, const curve *c)
{
    FILE *f = fopen(path, "w");
    bool written = f != NULL;

    if (written) {
        fprintf(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
        fprintf(f, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", WIDTH, HEIGHT);
        fprintf(f, "<style>text { font: 12px system-ui, sans-serif; fill: #222; stroke: none }</style>\n");
        fprintf(f, "<g fill=\"none\">\n");
        for (int i = 0; i < CURVES; i++)
            draw_panel(f, &c[i], i % 2 * PANEL_W, i / 2 * PANEL_H);
        fprintf(f, "</g>\n</svg>\n");
        written = !ferror(f);
        written = fclose(f) == 0 && written;
    }
    if (!written) {
        fprintf(stderr, "bench: cannot write %s\n", path);
        exit(EXIT_FAILURE);
    }
}

void bench_shape(void)
{
    curve c[CURVES] = {
        {"a step of Adam alone, unchecked, f32, one thread", "parameters", "Adam's step: ns per parameter",
         "parameters", time_adam, 1e9, "ns a parameter",
         .at = {1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000, 1000000, 5000000, 50000000}},
        {"a training step of 784-128-64-10 against the batch, f32, one thread", "batch",
         "784-128-64-10: ns per example", "examples in a batch", time_batch, 1e9, "ns an example",
         .at = {1, 2, 4, 8, 16, 32, 64, 100, 128, 256, 512, 1024}},
        {"a training step of 64-w-w-10 at batch 64 against w, f32, one thread; biases are weights", "width",
         "64-w-w-10, batch 64: ns per weight", "width w", time_width, 1e9, "ns a weight",
         .at = {4, 8, 12, 15, 16, 17, 24, 31, 32, 33, 48, 64, 65, 96, 128, 256, 512, 1024}},
        {"a training step of 64 inputs, so many layers of 32, 10 outputs at batch 64, f32, one thread",
         "hidden layers", "Layers of 32, batch 64: \302\265s per layer", "hidden layers", time_depth, 1e6,
         "us a layer, outputs too", .at = {1, 2, 3, 4, 6, 8, 12, 16, 20, 25, 29}}};

    for (int i = 0; i < CURVES; i++)
        measure(&c[i]);
    if (opts.svg != NULL)
        draw(opts.svg, c);
}

/* SPDX-License-Identifier: MIT
 *
 * Five ways down a ravine, in one picture: a line is fitted to a few points, so the loss has two parameters
 * and can be drawn as a map. It also shows how a model of one's own is trained: descend() is all there is.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "contour.h"
#include "opt.h"
#include "output.h"
#include "plot.h"
#include "svg.h"

enum { EXAMPLES = 40, MAX_STEPS = 100000 };

static const double start[2] = {-3.6, 0.7};

/* The same rate for mini-batches with and without momentum, so that only momentum makes the difference. Its
 * beta is smaller than usual: 0.9 averages over more steps than this way down has bends. */
static const opt_momentum_opts short_memory = {.beta = 0.6};

static const struct {
    const char *label;
    const opt_method *method;
    const void *hyper;
    int64_t batch; /* examples a step */
    double lr;
} ways[] = {
    {"batch GD", &opt_gd, NULL, EXAMPLES, 1.85}, {"stochastic", &opt_gd, NULL, 1, 0.4},
    {"mini-batch", &opt_gd, NULL, 8, 1.2},       {"momentum", &opt_momentum, &short_memory, 8, 1.2},
    {"Adam", &opt_adam, NULL, 8, 0.15},
};

enum { WAYS = sizeof ways / sizeof ways[0] };

/* ---- The model: y is about w[0] x[0] + w[1] x[1] ------------------------------------------------------- */

typedef struct line_model {
    double w[2], grad[2];
} line_model;

/* The loss is half the mean squared residual. */
static opt_status line_grad(void *self, const opt_batch *part, double *loss)
{
    line_model *m = self;
    const double share = 1 / (double)part->global_rows;
    const int64_t rows = part->x.data ? part->x.dim[0] : 0;
    m->grad[0] = m->grad[1] = *loss = 0;
    for (int64_t i = 0; i < rows; i++) {
        double x0 = opt_get(&part->x, 2 * i), x1 = opt_get(&part->x, 2 * i + 1);
        double residual = m->w[0] * x0 + m->w[1] * x1 - opt_get(&part->y, i);
        *loss += share * residual * residual / 2;
        m->grad[0] += share * residual * x0;
        m->grad[1] += share * residual * x1;
    }
    return OPT_OK;
}

/* ---- Data ---------------------------------------------------------------------------------------------- */

typedef struct data {
    double x[EXAMPLES][2], y[EXAMPLES];
} data;

/* The inputs are spread five times as wide across the ravine as along it, which makes the loss 25 times as
 * steep across. Across, they are evenly spaced, so that the steepness, and with it the rate that gradient
 * descent can bear, is about 1 for every seed. */
static data make_data(uint32_t seed)
{
    const double across = sqrt(3), along = across / 5, turn = 0.15; /* turn: radians */
    data d;
    opt_rng rng;
    opt_rng_seed(&rng, seed);
    for (int i = 0; i < EXAMPLES; i++) {
        double a = along * (2 * opt_rng_uniform(&rng) - 1), b = across * ((2 * i + 1.0) / EXAMPLES - 1);
        d.x[i][0] = a * cos(turn) - b * sin(turn);
        d.x[i][1] = a * sin(turn) + b * cos(turn);
        d.y[i] = 0.2 * opt_rng_normal(&rng);
    }
    return d;
}

static double loss_at(const data *d, double w0, double w1)
{
    double sum = 0;
    for (int i = 0; i < EXAMPLES; i++) {
        double residual = w0 * d->x[i][0] + w1 * d->x[i][1] - d->y[i];
        sum += residual * residual;
    }
    return sum / (2 * EXAMPLES);
}

/* The minimum, from the normal equations: X^T X w = X^T y. */
static void find_minimum(const data *d, double *w)
{
    double a = 0, b = 0, c = 0, u = 0, v = 0;
    for (int i = 0; i < EXAMPLES; i++) {
        const double *x = d->x[i];
        a += x[0] * x[0];
        b += x[0] * x[1];
        c += x[1] * x[1];
        u += x[0] * d->y[i];
        v += x[1] * d->y[i];
    }
    w[0] = (c * u - b * v) / (a * c - b * b);
    w[1] = (a * v - b * u) / (a * c - b * b);
}

/* ---- The way down -------------------------------------------------------------------------------------- */

typedef struct path {
    const line_model *model;
    int64_t steps;   /* wanted */
    double *w0, *w1; /* [steps + 1] */
} path;

static opt_status on_step(const opt_progress *p, void *ud)
{
    path *way = ud;
    way->w0[p->step] = way->model->w[0];
    way->w1[p->step] = way->model->w[1];
    return p->step < way->steps ? OPT_OK : OPT_STOP;
}

static void descend(opt_ctx *ctx, const data *d, int which, uint32_t seed, path *way)
{
    line_model m = {{start[0], start[1]}, {0}};
    opt_param w = {.name = "w",
                   .value = opt_tensor_view(OPT_F64, m.w, 1, (int64_t[]){2}),
                   .grad = opt_tensor_view(OPT_F64, m.grad, 1, (int64_t[]){2})};
    opt_model model = {.self = &m, .params = {&w, 1}, .grad = line_grad};

    data copy = *d; /* views are not const, even of what is only read */
    opt_table table = {opt_tensor_view(OPT_F64, copy.x, 2, (int64_t[]){EXAMPLES, 2}),
                       opt_tensor_view(OPT_F64, copy.y, 1, (int64_t[]){EXAMPLES})};
    opt_source source = opt_source_table(&table);
    opt_batches_opts batches_opts = {.size = ways[which].batch, .seed = seed};
    opt_batches *batches;
    opt_optim *optim;
    cli_check(ctx, opt_batches_new(ctx, &source, &batches_opts, &batches));
    cli_check(ctx, opt_optim_new(ctx, ways[which].method, ways[which].hyper,
                                 &(opt_optim_opts){.lr = ways[which].lr}, model.params, &optim));

    way->model = &m;
    way->w0[0] = start[0];
    way->w1[0] = start[1];
    /* An epoch is a step or more; on_step ends the last one early. */
    opt_train_opts train_opts = {.epochs = way->steps, .on_step = on_step, .ud = way};
    cli_check(ctx, opt_train(ctx, &model, optim, batches, &train_opts));
    opt_optim_free(optim);
    opt_batches_free(batches);
}

/* ---- The picture --------------------------------------------------------------------------------------- */

static const plot_axis w1_axis = {"w1", -4, 1}, w2_axis = {"w2", -1.8, 1.8};

static contour_grid make_map(const data *d)
{
    contour_grid g = contour_grid_new(w1_axis, w2_axis, 201, 121);
    for (int r = 0; r < g.rows; r++)
        for (int c = 0; c < g.cols; c++)
            g.value[r * g.cols + c] = loss_at(d, contour_x(&g, c), contour_y(&g, r));
    return g;
}

/* Level lines, each three times as high above the minimum as the one inside it. */
static void draw_levels(plot *p, const data *d, const contour_grid *map, const double *minimum)
{
    const double height[] = {0.004, 0.012, 0.036, 0.108, 0.324, 0.972};
    double lowest = loss_at(d, minimum[0], minimum[1]);
    for (int i = 0; i < 6; i++)
        contour_draw(p, map, lowest + height[i], "fill=\"none\" stroke=\"#a8a8a8\"");
}

static void draw_way(plot *p, int which, const path *way, const double *minimum)
{
    const plot_style at_start = {.color = "#000000", .marker = PLOT_SQUARE};
    const plot_style at_minimum = {.color = "#e69f00", .marker = PLOT_STAR};
    plot_style style = plot_series[which];
    style.width = 1.5;
    style.dash = NULL;
    style.mark_every = 1;
    plot_line(p, ways[which].label, style, (int)way->steps + 1, way->w0, way->w1);
    plot_points(p, "start", at_start, 1, &start[0], &start[1]);
    plot_points(p, "minimum", at_minimum, 1, &minimum[0], &minimum[1]);
}

/* One map a way, below each other, so that how far each has come shows at a glance; on one map the paths hide
 * each other. */
static void draw(const char *file, const data *d, const double *minimum, const path *way)
{
    plot panel = {.x = w1_axis, .y = w2_axis, .width = 660, .height = 150};
    const double distance = panel.height + 36, head = 40;
    char title[80];
    snprintf(title, sizeof title, "%" PRId64 " steps down a ravine", way->steps);

    contour_grid map = make_map(d);
    double width = plot_total_width(&panel);
    double height = head + (WAYS - 1) * distance + plot_total_height(&panel);
    FILE *svg = svg_open(file, width, height, title);
    svg_text(svg, width / 2, 30, "middle", "font-size=\"17\" font-weight=\"bold\"", title);
    for (int i = 0; i < WAYS; i++) {
        fprintf(svg, "<g transform=\"translate(0 %.2f)\">\n", head + i * distance);
        panel.x.label = i == WAYS - 1 ? w1_axis.label : NULL;
        plot_begin(&panel, svg);
        draw_levels(&panel, d, &map, minimum);
        draw_way(&panel, i, &way[i], minimum);
        plot_end(&panel);
        fputs("</g>\n", svg);
    }
    svg_close(svg, file);
    contour_grid_free(&map);
}

int main(int argc, char **argv)
{
    const char *file = "descent_paths.svg";
    int64_t steps = 80;
    uint32_t seed = 1;
    const cli_option options[] = {{"steps", "N", "steps of each method", CLI_INT, &steps},
                                  {"seed", "N", "of the points and the batches", CLI_UINT32, &seed},
                                  {"out", "FILE", "where the picture goes", CLI_TEXT, &file},
                                  {0}};
    cli_parse(argc, argv, "Draws five ways of descent on the map of a loss with two parameters.", options);
    if (steps < 1 || steps > MAX_STEPS)
        cli_fail(2, "--steps: %" PRId64 " is outside [1, %d]", steps, MAX_STEPS);

    opt_ctx *ctx = cli_context();
    data d = make_data(seed);
    double minimum[2];
    path way[WAYS];
    find_minimum(&d, minimum);
    printf("method        batch    lr  steps  distance to the minimum\n");
    for (int i = 0; i < WAYS; i++) {
        size_t bytes = ((size_t)steps + 1) * sizeof(double);
        way[i] = (path){.steps = steps, .w0 = malloc(bytes), .w1 = malloc(bytes)};
        if (!way[i].w0 || !way[i].w1)
            cli_fail(EXIT_FAILURE, "out of memory");
        descend(ctx, &d, i, seed, &way[i]);
        double distance = hypot(way[i].w0[steps] - minimum[0], way[i].w1[steps] - minimum[1]);
        printf("%-12s  %5" PRId64 "  %4.2f  %5" PRId64 "  %.6f\n", ways[i].label, ways[i].batch, ways[i].lr,
               steps, distance);
    }
    draw(file, &d, minimum, way);

    for (int i = 0; i < WAYS; i++) {
        free(way[i].w0);
        free(way[i].w1);
    }
    opt_ctx_free(ctx);
    output_close(stdout, "standard output");
    return EXIT_SUCCESS;
}

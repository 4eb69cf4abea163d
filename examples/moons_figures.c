/* SPDX-License-Identifier: MIT */
#include "moons_figures.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "cli.h"
#include "contour.h"
#include "output.h"
#include "plot.h"

enum { MAX_POINTS = 500 }; /* of a drawn curve */

/* ---- Costs --------------------------------------------------------------------------------------------- */

void write_costs(const char *folder, const moons_run *run, int nruns, int64_t epochs)
{
    char path[FILENAME_MAX];
    snprintf(path, sizeof path, "%s/costs.csv", folder);
    FILE *csv = output_open(path);
    fputs("epoch", csv);
    for (int i = 0; i < nruns; i++)
        fprintf(csv, ",%s", run[i].name);
    fputc('\n', csv);
    for (int64_t e = 0; e < epochs; e++) {
        fprintf(csv, "%" PRId64, e);
        for (int i = 0; i < nruns; i++)
            fprintf(csv, ",%.17g", run[i].cost[e]);
        fputc('\n', csv);
    }
    output_close(csv, path);
}

/* From 0 to a round number above every cost. */
static plot_axis cost_axis(const moons_run *run, int nruns, int64_t epochs)
{
    double top = 0;
    for (int i = 0; i < nruns; i++)
        for (int64_t e = 0; e < epochs; e++)
            top = fmax(top, run[i].cost[e]);
    if (top <= 0)
        top = 1;
    double step = plot_tick_step(0, top, 8);
    return (plot_axis){"cost (mean over the epoch's examples)", 0, step * ceil(top / step)};
}

void draw_costs(const char *folder, const moons_run *run, int nruns, int64_t epochs)
{
    char path[FILENAME_MAX], label[80];
    double x[MAX_POINTS + 1], y[MAX_POINTS + 1];
    int64_t every = (int64_t)fmax(1, plot_tick_step(0, (double)epochs, MAX_POINTS));

    snprintf(path, sizeof path, "%s/costs.svg", folder);
    if (every == 1)
        snprintf(label, sizeof label, "epoch");
    else
        snprintf(label, sizeof label, "epoch (one in %" PRId64 " is drawn)", every);
    plot p = {.title = "Cost of the two moons",
              .x = {label, 0, (double)epochs},
              .y = cost_axis(run, nruns, epochs),
              .width = 640,
              .height = 400};
    plot_open(&p, path);
    for (int i = 0; i < nruns; i++) {
        int n = 0;
        for (int64_t e = 0; e < epochs; e += every, n++) {
            x[n] = (double)e;
            y[n] = run[i].cost[e];
        }
        /* Each curve's markers are further on than those of the one before: two curves may coincide. */
        plot_style style = plot_series[i % PLOT_SERIES];
        style.mark_every = n < 10 ? 1 : n / 10;
        style.mark_first = style.mark_every * i / nruns;
        plot_line(&p, run[i].name, style, n, x, y);
    }
    plot_close(&p);
}

/* ---- Decision regions ---------------------------------------------------------------------------------- */

/* Column `column` of the examples, with room around them. */
static plot_axis axis_around(const opt_tensor *x, int column, const char *label)
{
    const double room = 0.3;
    double min = opt_get(x, column), max = min;
    for (int64_t i = 1; i < x->dim[0]; i++) {
        min = fmin(min, opt_get(x, 2 * i + column));
        max = fmax(max, opt_get(x, 2 * i + column));
    }
    return (plot_axis){label, min - room, max + room};
}

/* The log-odds of class 1, log(p / (1 - p)), at every node of the grid: 0 where p is a half, and for relu
 * made of planes, so that the boundary between nodes is straight where p itself would bend it. */
static void evaluate(opt_ctx *ctx, opt_mlp *net, opt_dtype dtype, contour_grid *g)
{
    const int64_t n = (int64_t)g->cols * g->rows;
    opt_tensor x, probability;
    cli_check(ctx, opt_tensor_new(ctx, dtype, 2, (int64_t[]){n, 2}, &x));
    cli_check(ctx, opt_tensor_new(ctx, dtype, 2, (int64_t[]){n, 1}, &probability));
    for (int64_t i = 0; i < n; i++) {
        opt_set(&x, 2 * i, contour_x(g, (int)(i % g->cols)));
        opt_set(&x, 2 * i + 1, contour_y(g, (int)(i / g->cols)));
    }
    cli_check(ctx, opt_mlp_predict(net, &x, &probability));
    for (int64_t i = 0; i < n; i++) {
        double p = fmin(fmax(opt_get(&probability, i), 1e-12), 1 - 1e-12); /* a certain network: p = 1 */
        g->value[i] = log(p / (1 - p));
    }
    opt_tensor_free(ctx, &probability);
    opt_tensor_free(ctx, &x);
}

static void draw_class(plot *p, const char *label, plot_style style, const opt_table *examples, bool inner)
{
    size_t n = (size_t)examples->x.dim[0];
    double *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
    if (!x || !y)
        cli_fail(EXIT_FAILURE, "out of memory");
    int count = 0;
    for (int64_t i = 0; i < (int64_t)n; i++)
        if ((opt_get(&examples->y, i) > 0.5) == inner) {
            x[count] = opt_get(&examples->x, 2 * i);
            y[count] = opt_get(&examples->x, 2 * i + 1);
            count++;
        }
    plot_points(p, label, style, count, x, y);
    free(y);
    free(x);
}

void draw_boundary(opt_ctx *ctx, const char *folder, const moons_run *run, opt_mlp *net,
                   const opt_table *examples)
{
    const plot_style outer = {.color = "#0072b2", .marker = PLOT_CIRCLE};
    const plot_style inner = {.color = "#d55e00", .marker = PLOT_TRIANGLE};
    char path[FILENAME_MAX], title[80];

    snprintf(path, sizeof path, "%s/boundary-%s.svg", folder, run->name);
    snprintf(title, sizeof title, "Decision regions of %s: accuracy %.6f", run->name, run->accuracy);
    plot p = {.title = title,
              .x = axis_around(&examples->x, 0, "x1"),
              .y = axis_around(&examples->x, 1, "x2"),
              .width = 640};
    p.height = p.width * (p.y.max - p.y.min) / (p.x.max - p.x.min); /* both axes to one scale */

    contour_grid g = contour_grid_new(p.x, p.y, 161, 121);
    evaluate(ctx, net, examples->x.dtype, &g);
    plot_open(&p, path);
    plot_fill(&p, "#dcebf5");
    contour_draw(&p, &g, 0, "fill=\"#fbe3d3\" fill-rule=\"evenodd\" stroke=\"black\" stroke-width=\"1.5\"");
    draw_class(&p, "class 0", outer, examples, false);
    draw_class(&p, "class 1", inner, examples, true);
    plot_close(&p);
    contour_grid_free(&g);
}

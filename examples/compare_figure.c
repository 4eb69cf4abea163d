/* SPDX-License-Identifier: MIT */
#include "compare_figure.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "output.h"
#include "plot.h"
#include "svg.h"

enum { POINTS = 121, MARK_EVERY = 12 };

/* The epoch of a curve's point number i, from 1 to the last, each as many times the one before: evenly spread
 * on the axis. Rounded, so that the first ones come several times. */
static int64_t epoch_of(int64_t epochs, int i)
{
    return llround(pow((double)epochs, (double)i / (POINTS - 1)));
}

/* ---- The curves ---------------------------------------------------------------------------------------- */

static plot_axis cost_axis(int n, const compare_run *run)
{
    const char *const label = "cost (mean over the epoch's examples)";
    double min = HUGE_VAL, max = 0;
    for (int r = 0; r < n; r++)
        for (int i = 0; i < POINTS; i++) {
            const double cost = run[r].cost[epoch_of(run[r].epochs, i) - 1];
            max = fmax(max, cost);
            min = cost > 0 ? fmin(min, cost) : min;
        }
    if (!(max > 0))
        return (plot_axis){label, 0.1, 1};
    return (plot_axis){label, plot_round(min / 1.02, false), plot_round(max * 1.02, true)};
}

static void draw_run(plot *p, int which, int n, const compare_run *run)
{
    double x[POINTS], y[POINTS];
    for (int i = 0; i < POINTS; i++) {
        const int64_t epoch = epoch_of(run->epochs, i);
        x[i] = (double)epoch;
        y[i] = fmax(run->cost[epoch - 1], p->y.min); /* a cost of 0 has no place on the axis */
    }
    /* Each curve's markers are further on than those of the one before: two curves may coincide. */
    plot_style style = plot_nth(which);
    style.width = 1.6;
    style.mark_every = MARK_EVERY;
    style.mark_first = MARK_EVERY * which / n;
    plot_line(p, run->name, style, POINTS, x, y);
}

static plot panel_of(const compare_task *task, int n, const compare_run *run)
{
    return (plot){.x = {"epoch", 1, fmax(2, (double)task->epochs)},
                  .y = cost_axis(n, run),
                  .log_x = true,
                  .log_y = true,
                  .labels_at_ends = true,
                  .width = 640,
                  .height = 400};
}

void draw_comparison(const char *folder, int ntasks, const compare_task *task, int n,
                     const compare_run *const *run)
{
    char path[FILENAME_MAX], title[160];
    plot panel = {.title = title, .x = {.label = "epoch"}, .width = 640, .height = 400};
    const double height = plot_total_height(&panel);
    snprintf(path, sizeof path, "%s/compare.svg", folder);
    FILE *svg = svg_open(path, plot_total_width(&panel), ntasks * height, "Costs by every method");
    for (int t = 0; t < ntasks; t++) {
        snprintf(title, sizeof title, "Cost of the %s, network %s", task[t].name, task[t].layers);
        panel = panel_of(&task[t], n, run[t]);
        panel.title = title;
        fprintf(svg, "<g transform=\"translate(0 %.2f)\">\n", t * height);
        plot_begin(&panel, svg);
        for (int r = 0; r < n; r++)
            draw_run(&panel, r, n, &run[t][r]);
        plot_end(&panel);
        fputs("</g>\n", svg);
    }
    svg_close(svg, path);
}

/* ---- Their points -------------------------------------------------------------------------------------- */

static void write_run(FILE *csv, const compare_task *task, const compare_run *run)
{
    int64_t before = 0;
    for (int i = 0; i < POINTS; i++) {
        const int64_t epoch = epoch_of(run->epochs, i);
        if (epoch != before)
            fprintf(csv, "%s,%s,%" PRId64 ",%.17g,%.17g\n", task->name, run->name, epoch,
                    run->cost[epoch - 1], run->accuracy[epoch - 1]);
        before = epoch;
    }
}

void write_comparison(const char *folder, int ntasks, const compare_task *task, int n,
                      const compare_run *const *run)
{
    char path[FILENAME_MAX];
    snprintf(path, sizeof path, "%s/compare.csv", folder);
    FILE *csv = output_open(path);
    fputs("task,method,epoch,cost,accuracy\n", csv);
    for (int t = 0; t < ntasks; t++)
        for (int r = 0; r < n; r++)
            write_run(csv, &task[t], &run[t][r]);
    output_close(csv, path);
}

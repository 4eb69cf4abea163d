/* SPDX-License-Identifier: MIT */
#include "search_figure.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "plot.h"

/* Dark for the best, light for the others: grey prints tell them apart as well. */
static const char *const dark = "#0072b2", *const light = "#a3b0ba";

/* Trials by their first decay, about as many in each; all are in the first where there is no decay. */
enum { BANDS = 3 };
static const plot_marker markers[BANDS] = {PLOT_CIRCLE, PLOT_SQUARE, PLOT_TRIANGLE};

static int band_of(const search *s, const trial *t)
{
    const double *third = s->decay[0].third;
    return s->ndecays == 0 ? 0 : (t->decay[0] >= third[0]) + (t->decay[0] >= third[1]);
}

/* ---- The axis of losses -------------------------------------------------------------------------------- */

/* From the best loss on up to a thousand times that: a few that are far worse would squeeze all others. */
static plot_axis loss_axis(int64_t n, const trial *sorted)
{
    double min = 0, max = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!(sorted[i].loss > 0))
            continue;
        min = min > 0 ? min : sorted[i].loss;
        max = fmin(fmax(max, sorted[i].loss), 1000 * min);
    }
    if (!(min > 0))
        return (plot_axis){"validation loss", 0.1, 1};
    return (plot_axis){"validation loss", plot_round(min / 1.05, false), plot_round(max * 1.05, true)};
}

/* ---- Points -------------------------------------------------------------------------------------------- */

/* Those of trials[count] that are chosen: of a band, or -1: those that the axis has no room for. */
static void draw_points(plot *p, const search *s, const char *label, const char *color, int band,
                        int64_t count, const trial *trials)
{
    double *at = malloc((size_t)(count + 1) * 2 * sizeof *at);
    const plot_style style = {.color = color, .marker = band < 0 ? PLOT_CROSS : markers[band]};
    int n = 0;
    if (!at)
        cli_fail(EXIT_FAILURE, "out of memory");
    double *y = at + (count + 1);
    for (const trial *t = trials; t < trials + count; t++) {
        const bool beyond = !(t->loss <= p->y.max);
        if (band < 0 ? !beyond : beyond || band_of(s, t) != band)
            continue;
        at[n] = t->lr;
        y[n++] = beyond ? p->y.max * pow(p->y.min / p->y.max, 0.02) : fmax(t->loss, p->y.min);
    }
    if (n > 0 || band >= 0) /* the legend has every band, whichever are among the best */
        plot_points(p, label, style, n, at, y);
    free(at);
}

void draw_search(const char *folder, const search *s, int64_t n, const trial *sorted, int64_t top)
{
    char path[FILENAME_MAX], label[BANDS][64] = {"others"}, among[48], best[48], title[96];
    const int bands = s->ndecays > 0 ? BANDS : 1;
    const plot_style star = {.color = "#d55e00", .marker = PLOT_STAR};
    plot p = {.title = title,
              .x = {"learning rate", s->lr_min / 1.1, s->lr_max * 1.1},
              .y = loss_axis(n, sorted),
              .log_x = true,
              .log_y = true,
              .width = 640,
              .height = 400};
    snprintf(path, sizeof path, "%s/search.svg", folder);
    snprintf(title, sizeof title, "%" PRId64 " trials of %s", n, s->method->name);
    for (int i = 0; i < BANDS && s->ndecays > 0; i++)
        snprintf(label[i], sizeof label[i], i < 2 ? "%s < %g" : "%s ≥ %g", s->decay[0].name,
                 s->decay[0].third[i < 2 ? i : 1]);
    snprintf(among, sizeof among, "the best %" PRId64, top);
    snprintf(best, sizeof best, "best: trial %" PRId64, sorted[0].number);

    const double lowest = fmax(sorted[0].loss, p.y.min);
    plot_open(&p, path);
    for (int i = 0; i < bands; i++)
        draw_points(&p, s, label[i], light, i, n - top, sorted + top);
    draw_points(&p, s, "off the scale", "#000000", -1, n, sorted);
    for (int i = 0; i < bands; i++)
        draw_points(&p, s, i == 0 && top > 1 ? among : NULL, dark, i, top - 1, sorted + 1);
    if (sorted[0].loss <= p.y.max)
        plot_points(&p, best, star, 1, &sorted[0].lr, &lowest);
    plot_close(&p);
}

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

enum { BANDS = 3 };

/* Each about a third of what there is of beta1, as it is drawn. */
static const struct {
    double from, below;
    const char *label;
    plot_marker marker;
} bands[BANDS] = {{0, 0.86, " < 0.86", PLOT_CIRCLE},
                  {0.86, 0.96, " < 0.96", PLOT_SQUARE},
                  {0.96, 1, " ≥ 0.96", PLOT_TRIANGLE}};

static bool in_band(const trial *t, int band)
{
    if (isnan(t->beta1))
        return band == 0;
    return t->beta1 >= bands[band].from && t->beta1 < bands[band].below;
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

/* Those of sorted[from..to) that are chosen: of a band, or -1: those that the axis has no room for. */
static void draw_points(plot *p, const char *label, const char *color, int band, int64_t from, int64_t to,
                        const trial *sorted)
{
    double *at = malloc((size_t)(to - from + 1) * 2 * sizeof *at), *const y = at + (to - from + 1);
    const plot_style style = {.color = color, .marker = band < 0 ? PLOT_CROSS : bands[band].marker};
    int n = 0;
    if (!at)
        cli_fail(EXIT_FAILURE, "out of memory");
    for (int64_t i = from; i < to; i++) {
        const bool beyond = !(sorted[i].loss <= p->y.max);
        if (band < 0 ? !beyond : beyond || !in_band(&sorted[i], band))
            continue;
        at[n] = sorted[i].lr;
        y[n++] = beyond ? p->y.max * pow(p->y.min / p->y.max, 0.02) : fmax(sorted[i].loss, p->y.min);
    }
    if (n > 0 || band >= 0) /* the legend has every band, whichever are among the best */
        plot_points(p, label, style, n, at, y);
    free(at);
}

void draw_search(const char *folder, const search *s, int64_t n, const trial *sorted, int64_t top)
{
    char path[FILENAME_MAX], label[BANDS][32], among[48], best[48], title[96];
    const char *const name = s->betas == 0 ? "gradient descent" : s->betas == 1 ? "momentum" : "Adam";
    const plot_style star = {.color = "#d55e00", .marker = PLOT_STAR};
    plot p = {.title = title,
              .x = {"learning rate", s->lr_min / 1.1, s->lr_max * 1.1},
              .y = loss_axis(n, sorted),
              .log_x = true,
              .log_y = true,
              .width = 640,
              .height = 400};
    snprintf(path, sizeof path, "%s/search.svg", folder);
    snprintf(title, sizeof title, "%" PRId64 " trials of %s", n, name);
    for (int i = 0; i < BANDS; i++)
        snprintf(label[i], sizeof label[i], "%s%s", s->betas > 1 ? "β₁" : "β", bands[i].label);
    snprintf(among, sizeof among, "the best %" PRId64, top);
    snprintf(best, sizeof best, "best: trial %" PRId64, sorted[0].number);

    plot_open(&p, path);
    for (int i = 0; i < BANDS; i++)
        draw_points(&p, s->betas > 0 ? label[i] : "others", light, i, top, n, sorted);
    draw_points(&p, "off the scale", "#000000", -1, 0, n, sorted);
    for (int i = 0; i < BANDS; i++)
        draw_points(&p, i == 0 && top > 1 ? among : NULL, dark, i, 1, top, sorted);
    if (sorted[0].loss <= p.y.max)
        plot_points(&p, best, star, 1, &sorted[0].lr, &(double){fmax(sorted[0].loss, p.y.min)});
    plot_close(&p);
}

/* SPDX-License-Identifier: MIT */
#include "images_figures.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "plot.h"
#include "svg.h"

/* ---- Learning curves ----------------------------------------------------------------------------------- */

/* The range of what is known of up to two curves, to round numbers; from 0 on if wanted. */
static plot_axis axis_of(const char *label, int64_t n, const double *a, const double *b, bool from_zero)
{
    double min = HUGE_VAL, max = -HUGE_VAL;
    for (int64_t i = 0; i < n; i++) {
        min = fmin(min, fmin(a[i], b[i])); /* of a NaN and a number, these are the number */
        max = fmax(max, fmax(a[i], b[i]));
    }
    if (!(min <= max && isfinite(max)))
        return (plot_axis){label, 0, 1};
    if (from_zero)
        min = 0;
    if (!(max - min > 1e-6))
        max = min + 1e-6; /* a curve of one value has room around it, too */
    double step = plot_tick_step(min, max, 6);
    return (plot_axis){label, step * floor(min / step), step * ceil(max / step)};
}

/* A curve through what is known of y, a value an epoch. */
static void draw_curve(plot *p, const char *label, int which, int64_t epochs, const double *y)
{
    double *at = malloc((size_t)epochs * 2 * sizeof *at);
    if (!at)
        cli_fail(EXIT_FAILURE, "out of memory");
    int n = 0;
    for (int64_t e = 0; e < epochs; e++)
        if (isfinite(y[e])) {
            at[n] = (double)e + 1;
            at[epochs + n++] = y[e];
        }
    plot_style style = plot_series[which];
    style.mark_every = n < 30 ? 1 : n / 15;
    if (n > 0)
        plot_line(p, label, style, n, at, at + epochs);
    free(at);
}

static void draw_best(plot *p, int64_t best, const double *y)
{
    const plot_style style = {.color = "#e69f00", .marker = PLOT_STAR};
    double x = (double)best + 1;
    if (best >= 0)
        plot_points(p, "weights kept", style, 1, &x, &y[best]);
}

/* The epoch, from 0, whose weights opt_train keeps: the first with the lowest loss; -1: not known. */
static int64_t best_epoch(const images_history *h)
{
    int64_t best = -1;
    for (int64_t e = 0; e < h->epochs; e++)
        if (isfinite(h->val_loss[e]) && (best < 0 || h->val_loss[e] < h->val_loss[best]))
            best = e;
    return best;
}

void draw_curves(const char *folder, const images_history *h)
{
    const double head = 36;
    char path[FILENAME_MAX];
    snprintf(path, sizeof path, "%s/curves.svg", folder);
    const int64_t best = best_epoch(h);
    plot loss = {.x = {NULL, 0, (double)h->epochs + 0.5},
                 .y = axis_of("loss", h->epochs, h->loss, h->val_loss, true),
                 .width = 640,
                 .height = 260};
    plot accuracy = loss;
    accuracy.x.label = "epoch";
    accuracy.y = axis_of("accuracy", h->epochs, h->val_accuracy, h->val_accuracy, false);

    double width = plot_total_width(&loss), height = plot_total_height(&loss);
    FILE *svg = svg_open(path, width, head + height + plot_total_height(&accuracy), "Learning curves");
    svg_text(svg, 74 + loss.width / 2, 28, "middle", "font-size=\"17\" font-weight=\"bold\"",
             "Learning curves");
    fprintf(svg, "<g transform=\"translate(0 %.2f)\">\n", head);
    plot_begin(&loss, svg);
    draw_curve(&loss, "training", 0, h->epochs, h->loss);
    draw_curve(&loss, "validation", 1, h->epochs, h->val_loss);
    draw_best(&loss, best, h->val_loss);
    plot_end(&loss);
    fprintf(svg, "</g>\n<g transform=\"translate(0 %.2f)\">\n", head + height);
    plot_begin(&accuracy, svg);
    draw_curve(&accuracy, "validation", 1, h->epochs, h->val_accuracy);
    draw_best(&accuracy, best, h->val_accuracy);
    plot_end(&accuracy);
    fputs("</g>\n", svg);
    svg_close(svg, path);
}

/* ---- Colours ------------------------------------------------------------------------------------------- */

static const int blue[3] = {0x00, 0x72, 0xb2}, orange[3] = {0xd5, 0x5e, 0x00};

/* "#rrggbb" of a colour mixed with white: 0 gives white, 1 the colour. */
static const char *shade(const int color[3], double strength, char out[static 8])
{
    int mixed[3];
    for (int i = 0; i < 3; i++)
        mixed[i] = (int)lround(255 + (color[i] - 255) * strength) & 0xff;
    snprintf(out, 8, "#%02x%02x%02x", (unsigned)mixed[0], (unsigned)mixed[1], (unsigned)mixed[2]);
    return out;
}

/* ---- Confusion ----------------------------------------------------------------------------------------- */

enum { CELL_WIDTH = 66, CELL_HEIGHT = 34, NAMES_WIDTH = 122, TOP = 96 };

static void draw_cell(FILE *svg, double x, double y, bool right, double count, double share)
{
    char color[8], text[32];
    /* Shares are spread by their root: an error of one in a hundred can still be seen. */
    fprintf(svg, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%d\" height=\"%d\" fill=\"%s\" stroke=\"#e4e4e4\"/>\n",
            x, y, CELL_WIDTH, CELL_HEIGHT, shade(right ? blue : orange, sqrt(share), color));
    snprintf(text, sizeof text, "%.0f", count);
    svg_text(svg, x + CELL_WIDTH / 2.0, y + CELL_HEIGHT / 2.0 + 5, "middle",
             count == 0   ? "fill=\"#b0b0b0\""
             : share > .5 ? "fill=\"white\" font-weight=\"bold\""
                          : "",
             text);
}

static void draw_row(FILE *svg, const opt_tensor *confusion, int64_t i, const char *name)
{
    const int64_t n = confusion->dim[0];
    const double y = TOP + (double)i * CELL_HEIGHT;
    double total = 0;
    char text[32];
    for (int64_t j = 0; j < n; j++)
        total += opt_get(confusion, i * n + j);
    for (int64_t j = 0; j < n; j++) {
        double count = opt_get(confusion, i * n + j);
        draw_cell(svg, NAMES_WIDTH + (double)j * CELL_WIDTH, y, i == j, count, total > 0 ? count / total : 0);
    }
    svg_text(svg, NAMES_WIDTH - 8, y + 22, "end", "", name);
    snprintf(text, sizeof text, "%.1f%%", total > 0 ? 100 * opt_get(confusion, i * n + i) / total : 0);
    svg_text(svg, NAMES_WIDTH + (double)n * CELL_WIDTH + 62, y + 22, "end", "", text);
}

void draw_confusion(const char *folder, const opt_tensor *confusion, const char *const *names)
{
    const int64_t n = confusion->dim[0];
    const double right = NAMES_WIDTH + (double)n * CELL_WIDTH, bottom = TOP + (double)n * CELL_HEIGHT;
    char path[FILENAME_MAX], room[24], turned[64];
    snprintf(path, sizeof path, "%s/confusion.svg", folder);
    FILE *svg = svg_open(path, right + 80, bottom + 34, "Confusion of the classes of the test images");
    svg_text(svg, (NAMES_WIDTH + right) / 2, 28, "middle", "font-size=\"17\" font-weight=\"bold\"",
             "Test images: what they are, and what they were taken for");
    svg_text(svg, (NAMES_WIDTH + right) / 2, 58, "middle", "font-style=\"italic\"", "taken for");
    snprintf(turned, sizeof turned, "font-style=\"italic\" transform=\"rotate(-90 20 %.2f)\"",
             (TOP + bottom) / 2);
    svg_text(svg, 20, (TOP + bottom) / 2, "middle", turned, "class");
    svg_text(svg, right + 62, TOP - 12, "end", "font-size=\"12\"", "right");
    for (int64_t i = 0; i < n; i++) {
        const char *name = images_class(names, i, room);
        svg_text(svg, NAMES_WIDTH + ((double)i + 0.5) * CELL_WIDTH, TOP - 12, "middle", "font-size=\"12\"",
                 name);
        draw_row(svg, confusion, i, name);
    }
    svg_text(svg, (NAMES_WIDTH + right) / 2, bottom + 22, "middle", "font-size=\"12\"",
             "blue: right; orange: wrong; the darker, the larger the share of the class");
    svg_close(svg, path);
}

/* ---- Weights ------------------------------------------------------------------------------------------- */

enum { LEVELS = 10 /* shades of each colour */, TILES = 16 /* a row */, MAX_TILES = 256, TILE = 56, GAP = 6 };
enum { WEIGHTS_LEFT = 24, WEIGHTS_TOP = 48 };

/* From -LEVELS to LEVELS; 0 is white. */
static int level_of(double w, double full)
{
    double level = round(w / full * LEVELS);
    return (int)fmax(-LEVELS, fmin(LEVELS, level));
}

static const char *level_color(int level, char out[static 8])
{
    return shade(level < 0 ? blue : orange, abs(level) / (double)LEVELS, out);
}

/* All pixels of one level as one path, of runs along the rows. */
static void draw_level(FILE *svg, const opt_tensor *w, int64_t first, int64_t height, int64_t width,
                       int level, double full)
{
    char color[8];
    bool any = false;
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0, end; x < width; x = end) {
            const int64_t row = first + y * width;
            end = x + 1;
            if (level_of(opt_get(w, row + x), full) != level)
                continue;
            while (end < width && level_of(opt_get(w, row + end), full) == level)
                end++;
            if (!any)
                fprintf(svg, "<path stroke=\"%s\" d=\"", level_color(level, color));
            any = true;
            fprintf(svg, "M%" PRId64 " %" PRId64 "h%" PRId64, x, y, end - x);
        }
    if (any)
        fputs("\"/>\n", svg);
}

static void draw_tile(FILE *svg, const opt_tensor *w, int64_t unit, int64_t height, int64_t width,
                      double full)
{
    const double scale = TILE / (double)(height > width ? height : width);
    const int64_t row = unit / TILES, column = unit % TILES;
    const double x = WEIGHTS_LEFT + (double)column * (TILE + GAP);
    const double y = WEIGHTS_TOP + (double)row * (TILE + GAP);
    fprintf(svg,
            "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"white\" "
            "stroke=\"#b0b0b0\"/>\n",
            x - 0.5, y - 0.5, (double)width * scale + 1, (double)height * scale + 1);
    /* A row of pixels is a line as thick as they are high, half a pixel below its coordinate. */
    fprintf(svg, "<g transform=\"translate(%.2f %.2f) scale(%.4f)\" shape-rendering=\"crispEdges\">\n", x,
            y + scale / 2, scale);
    for (int level = -LEVELS; level <= LEVELS; level++)
        if (level != 0)
            draw_level(svg, w, unit * height * width, height, width, level, full);
    fputs("</g>\n", svg);
}

/* The colours and what they stand for. */
static void draw_scale(FILE *svg, double y, double full)
{
    const double swatch = 16, middle = WEIGHTS_LEFT + TILES * (TILE + GAP) / 2.0;
    char color[8], text[64];
    for (int level = -LEVELS; level <= LEVELS; level++)
        fprintf(svg, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"14\" fill=\"%s\"/>\n",
                middle + (level - 0.5) * swatch, y, swatch, level_color(level, color));
    svg_text(svg, middle, y + 30, "middle", "", "0");
    snprintf(text, sizeof text, "\u2212%.3f or less", full);
    svg_text(svg, middle - (LEVELS + 1) * swatch, y + 12, "end", "", text);
    snprintf(text, sizeof text, "%.3f or more", full);
    svg_text(svg, middle + (LEVELS + 1) * swatch, y + 12, "start", "", text);
}

void draw_weights(const char *folder, const opt_tensor *w, int64_t height, int64_t width)
{
    const int64_t units = w->dim[0], shown = units < MAX_TILES ? units : MAX_TILES,
                  n = shown * height * width;
    const int64_t rows = (shown + TILES - 1) / TILES;
    const double bottom = WEIGHTS_TOP + (double)rows * (TILE + GAP);
    char path[FILENAME_MAX], title[128];
    double squares = 0;
    for (int64_t i = 0; i < n; i++)
        squares += opt_get(w, i) * opt_get(w, i);
    /* A few weights are far larger than all others and would leave these white. */
    const double full = squares > 0 ? 3 * sqrt(squares / (double)n) : 1;

    snprintf(path, sizeof path, "%s/weights.svg", folder);
    if (shown < units)
        snprintf(title, sizeof title,
                 "Weights of the first %" PRId64 " of %" PRId64 " units of the first layer", shown, units);
    else
        snprintf(title, sizeof title, "Weights of the %" PRId64 " units of the first layer", units);
    FILE *svg = svg_open(path, 2 * WEIGHTS_LEFT + TILES * (TILE + GAP) - GAP, bottom + 48, title);
    svg_text(svg, WEIGHTS_LEFT + TILES * (TILE + GAP) / 2.0, 30, "middle",
             "font-size=\"17\" font-weight=\"bold\"", title);
    for (int64_t unit = 0; unit < shown; unit++)
        draw_tile(svg, w, unit, height, width, full);
    draw_scale(svg, bottom + 8, full);
    svg_close(svg, path);
}

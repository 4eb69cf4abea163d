/* SPDX-License-Identifier: MIT */
#include "plot.h"

#include <math.h>

#include "svg.h"

/* Beside the frame, in pixels. */
enum { LEFT = 74, RIGHT = 170 };

/* Above and below it, where what is not there needs no room. */
static double top_of(const plot *p)
{
    return p->title ? 48 : 14;
}

static double bottom_of(const plot *p)
{
    return top_of(p) + p->height;
}

double plot_total_width(const plot *p)
{
    return LEFT + p->width + RIGHT;
}

double plot_total_height(const plot *p)
{
    return bottom_of(p) + (p->x.label ? 62 : 28);
}

const plot_style plot_series[PLOT_SERIES] = {
    {.color = "#0072b2", .width = 2.5, .marker = PLOT_CIRCLE},
    {.color = "#d55e00", .width = 2.5, .marker = PLOT_SQUARE, .dash = "9 6"},
    {.color = "#009e73", .width = 2.5, .marker = PLOT_TRIANGLE, .dash = "14 4 3 4"},
    {.color = "#cc79a7", .width = 2.5, .marker = PLOT_DIAMOND, .dash = "3 4"},
    {.color = "#000000", .width = 2.5, .marker = PLOT_CROSS, .dash = "20 5"},
};

plot_style plot_nth(int i)
{
    /* As many as have no divisor in common with PLOT_SERIES. */
    static const plot_marker marker[] = {PLOT_CIRCLE,  PLOT_SQUARE, PLOT_TRIANGLE,
                                         PLOT_DIAMOND, PLOT_CROSS,  PLOT_TRIANGLE_DOWN};
    plot_style style = plot_series[i % PLOT_SERIES];
    style.marker = marker[i % 6];
    return style;
}

/* ---- Data to pixels ------------------------------------------------------------------------------------ */

/* Where x stands between min and max: 0 at min, 1 at max. */
static double log_share(double min, double max, double x)
{
    return log10(x / min) / log10(max / min);
}

static double to_px(const plot *p, double x)
{
    if (p->log_x)
        return LEFT + log_share(p->x.min, p->x.max, x) * p->width;
    return LEFT + (x - p->x.min) / (p->x.max - p->x.min) * p->width;
}

static double to_py(const plot *p, double y)
{
    if (p->log_y)
        return top_of(p) + log_share(p->y.max, p->y.min, y) * p->height;
    return top_of(p) + (p->y.max - y) / (p->y.max - p->y.min) * p->height;
}

/* ---- Axes ---------------------------------------------------------------------------------------------- */

double plot_tick_step(double min, double max, int most)
{
    double least = (max - min) / most;
    double power = pow(10.0, floor(log10(least)));
    const double round[] = {1, 2, 5};
    /* The tolerance keeps a range of exactly `most` steps from falling to the next size by rounding. */
    for (int i = 0; i < 3; i++)
        if (round[i] * power >= least * (1 - 1e-9))
            return round[i] * power;
    return 10 * power;
}

double plot_round(double x, bool up)
{
    const double power = pow(10.0, floor(log10(x)));
    const double at[] = {power, 2 * power, 5 * power, 10 * power};
    double below = at[0];
    for (int i = 0; i < 4; i++) {
        if (at[i] >= x && up)
            return at[i];
        if (at[i] <= x)
            below = at[i];
    }
    return below;
}

static void x_tick(const plot *p, double x, const char *label)
{
    double px = to_px(p, x), bottom = bottom_of(p);
    fprintf(p->svg, "<path d=\"M%.2f %.2fv%.2f\" stroke=\"#e4e4e4\"/>\n", px, bottom, -p->height);
    fprintf(p->svg, "<path d=\"M%.2f %.2fv5\" stroke=\"black\"/>\n", px, bottom);
    svg_text(p->svg, px, bottom + 21, "middle", "", label);
}

static void y_tick(const plot *p, double y, const char *label)
{
    double py = to_py(p, y);
    fprintf(p->svg, "<path d=\"M%d %.2fh%.2f\" stroke=\"#e4e4e4\"/>\n", LEFT, py, p->width);
    fprintf(p->svg, "<path d=\"M%d %.2fh-5\" stroke=\"black\"/>\n", LEFT, py);
    svg_text(p->svg, LEFT - 9, py + 5, "end", "", label);
}

static void draw_ticks(const plot *p, const plot_axis *axis, int most,
                       void (*draw)(const plot *p, double at, const char *label))
{
    double step = plot_tick_step(axis->min, axis->max, most);
    int decimals = step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;
    /* Counted in steps: adding up would let rounding errors grow. */
    int first = (int)ceil(axis->min / step - 1e-9), last = (int)floor(axis->max / step + 1e-9);
    for (int i = first; i <= last; i++) {
        char label[32];
        snprintf(label, sizeof label, "%.*f", decimals, i * step);
        draw(p, i * step, label);
    }
}

/* At the powers of ten, of which some are left out where they come within `room` pixels of each other, and at
 * 2 and 5 times these, without a label where that would. */
static void draw_log_ticks(const plot *p, const plot_axis *axis, double pixels, double room,
                           void (*draw)(const plot *p, double at, const char *label))
{
    const double decade = pixels / log10(axis->max / axis->min), times[] = {1, 2, 5};
    const int first = (int)floor(log10(axis->min)), last = (int)ceil(log10(axis->max));
    const int every = (int)ceil(room / decade);
    for (int i = 0; i <= 3 * (last - first); i++) {
        const int power = first + i / 3, which = i % 3;
        const double at = times[which] * pow(10.0, power);
        const bool outside = at < axis->min * (1 - 1e-9) || at > axis->max * (1 + 1e-9);
        char label[32] = "";
        if (outside || power % every != 0 || (which > 0 && every > 1))
            continue;
        if (which == 0 || decade * log10(2) >= room)
            snprintf(label, sizeof label, "%g", at);
        draw(p, at, label);
    }
}

static void draw_axes(const plot *p)
{
    if (p->log_x)
        draw_log_ticks(p, &p->x, p->width, 60, x_tick);
    else
        draw_ticks(p, &p->x, (int)(p->width / 60) + 1, x_tick);
    if (p->log_y)
        draw_log_ticks(p, &p->y, p->height, 24, y_tick);
    else
        draw_ticks(p, &p->y, (int)(p->height / 50) + 1, y_tick);
}

static void draw_titles(const plot *p)
{
    double middle = LEFT + p->width / 2, center = top_of(p) + p->height / 2;
    char turned[64];
    snprintf(turned, sizeof turned, "transform=\"rotate(-90 14 %.2f)\"", center);
    if (p->title)
        svg_text(p->svg, middle, top_of(p) - 18, "middle", "font-size=\"17\" font-weight=\"bold\"", p->title);
    if (p->x.label)
        svg_text(p->svg, middle, bottom_of(p) + 46, "middle", "", p->x.label);
    if (p->y.label)
        svg_text(p->svg, 14, center, "middle", turned, p->y.label);
}

void plot_begin(plot *p, FILE *svg)
{
    p->svg = svg;
    p->nlegend = 0;
    draw_titles(p);
    draw_axes(p);

    /* A picture in the picture, with the same coordinates, cuts off whatever is outside the frame. */
    fprintf(svg, "<svg x=\"%d\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" viewBox=\"%d %.2f %.2f %.2f\">\n",
            LEFT, top_of(p), p->width, p->height, LEFT, top_of(p), p->width, p->height);
}

void plot_open(plot *p, const char *path)
{
    p->path = path;
    plot_begin(p, svg_open(path, plot_total_width(p), plot_total_height(p), p->title));
}

/* ---- Marks, in pixels ---------------------------------------------------------------------------------- */

static void draw_marker(FILE *svg, plot_style style, double px, double py)
{
    /* Drawn around (0, 0), about as large as each other to the eye. */
    static const char *const shape[] = {
        [PLOT_CIRCLE] = "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
        [PLOT_SQUARE] = "M-3.6 -3.6h7.2v7.2h-7.2z",
        [PLOT_TRIANGLE] = "M0 -4.8L4.6 3.4h-9.2z",
        [PLOT_TRIANGLE_DOWN] = "M0 4.8L4.6 -3.4h-9.2z",
        [PLOT_DIAMOND] = "M0 -5.2L5.2 0L0 5.2L-5.2 0z",
        [PLOT_CROSS] = "M-3.6 -3.6L3.6 3.6M-3.6 3.6L3.6 -3.6",
        [PLOT_STAR] = "M0 -10L2.9 -3.1L9.5 -3.1L4.3 1.4L6.2 8.1L0 4.4L-6.2 8.1L-4.3 1.4L-9.5 -3.1L-2.9 -3.1z",
    };
    if (style.marker == PLOT_NO_MARKER)
        return;
    bool open = style.marker == PLOT_CROSS;
    fprintf(
        svg,
        "<path transform=\"translate(%.2f %.2f)\" d=\"%s\" fill=\"%s\" stroke=\"%s\" stroke-width=\"%s\"/>\n",
        px, py, shape[style.marker], open ? "none" : style.color, open ? style.color : "white",
        open ? "2" : "0.8");
}

static void line_attributes(FILE *svg, plot_style style)
{
    fprintf(svg, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"%.1f\" stroke-linejoin=\"round\"",
            style.color, style.width);
    if (style.dash)
        fprintf(svg, " stroke-dasharray=\"%s\"", style.dash);
    fputs("/>\n", svg);
}

/* ---- Data ---------------------------------------------------------------------------------------------- */

/* `end`: where the entry belongs if p->labels_at_ends. */
static void add_legend(plot *p, const char *label, plot_style style, double end)
{
    if (!label || p->nlegend == PLOT_MAX_LEGEND)
        return;
    end = fmin(fmax(end, top_of(p)), bottom_of(p)); /* the line may leave the frame */
    p->legend[p->nlegend] = (plot_entry){label, style, end, top_of(p) + 14 + 26 * p->nlegend};
    p->nlegend++;
}

static void frame(const plot *p, const char *fill, const char *stroke)
{
    fprintf(p->svg, "<rect x=\"%d\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\" stroke=\"%s\"/>\n",
            LEFT, top_of(p), p->width, p->height, fill, stroke);
}

void plot_fill(plot *p, const char *color)
{
    frame(p, color, "none");
}

void plot_line(plot *p, const char *label, plot_style style, int n, const double *x, const double *y)
{
    add_legend(p, label, style, n > 0 ? to_py(p, y[n - 1]) : bottom_of(p));
    fputs("<path d=\"", p->svg);
    for (int i = 0; i < n; i++)
        fprintf(p->svg, "%c%.2f %.2f", i ? 'L' : 'M', to_px(p, x[i]), to_py(p, y[i]));
    line_attributes(p->svg, style);
    for (int i = style.mark_first; style.mark_every > 0 && i < n; i += style.mark_every)
        draw_marker(p->svg, style, to_px(p, x[i]), to_py(p, y[i]));
}

void plot_points(plot *p, const char *label, plot_style style, int n, const double *x, const double *y)
{
    style.width = 0;
    style.mark_every = 1;
    add_legend(p, label, style, n > 0 ? to_py(p, y[n - 1]) : bottom_of(p));
    for (int i = 0; i < n; i++)
        draw_marker(p->svg, style, to_px(p, x[i]), to_py(p, y[i]));
}

void plot_area_start(plot *p)
{
    fputs("<path d=\"", p->svg);
}

void plot_area_to(plot *p, bool first, double x, double y)
{
    fprintf(p->svg, "%s%.2f %.2f", first ? "M" : "L", to_px(p, x), to_py(p, y));
}

void plot_area_end(plot *p, const char *attributes)
{
    fprintf(p->svg, "\" %s/>\n", attributes);
}

/* ---- The end ------------------------------------------------------------------------------------------- */

/* Entries in the order of their lines' ends, each at its own, or next to it where two would touch. */
static void spread_legend(plot *p)
{
    const int n = p->nlegend;
    const double room = fmin(20, p->height / n);
    double below = bottom_of(p) + room / 2;
    for (int i = 1; i < n; i++) {
        const plot_entry entry = p->legend[i];
        int at = i;
        for (; at > 0 && p->legend[at - 1].end > entry.end; at--)
            p->legend[at] = p->legend[at - 1];
        p->legend[at] = entry;
    }
    for (int i = 0; i < n; i++)
        p->legend[i].y = fmax(p->legend[i].end, i > 0 ? p->legend[i - 1].y + room : top_of(p));
    for (int i = n - 1; i >= 0; i--)
        below = p->legend[i].y = fmin(p->legend[i].y, below - room);
}

static void draw_legend(const plot *p)
{
    double left = LEFT + p->width + (p->labels_at_ends ? 22 : 16);
    for (int i = 0; i < p->nlegend; i++) {
        plot_style style = p->legend[i].style;
        double y = p->legend[i].y;
        if (p->labels_at_ends)
            fprintf(p->svg, "<path d=\"M%.2f %.2fL%.2f %.2f\" stroke=\"#808080\"/>\n", LEFT + p->width,
                    p->legend[i].end, left - 3, y);
        if (style.width > 0) {
            fprintf(p->svg, "<path d=\"M%.2f %.2fh40", left, y);
            line_attributes(p->svg, style);
        }
        if (style.mark_every > 0)
            draw_marker(p->svg, style, left + 20, y);
        svg_text(p->svg, left + 49, y + 5, "start", "", p->legend[i].label);
    }
}

void plot_end(plot *p)
{
    fputs("</svg>\n", p->svg);
    frame(p, "none", "black");
    if (p->labels_at_ends)
        spread_legend(p);
    draw_legend(p);
}

void plot_close(plot *p)
{
    plot_end(p);
    svg_close(p->svg, p->path);
    p->svg = NULL;
}

/* SPDX-License-Identifier: MIT
 *
 * A plot of curves, points and regions over two axes, linear or logarithmic, as one SVG file:
 *
 *     plot p = {.title = "Cost", .x = {"epoch", 0, 100}, .y = {"cost", 0, 1}, .width = 640, .height = 400};
 *     plot_open(&p, "cost.svg");
 *     plot_line(&p, "adam", plot_series[0], n, epoch, cost);
 *     plot_close(&p);
 *
 * Whatever is drawn is cut at the frame. The legend stands to the right of it and can hide nothing.
 */
#ifndef EXAMPLES_PLOT_H
#define EXAMPLES_PLOT_H

#include <stdbool.h>
#include <stdio.h>

typedef enum plot_marker {
    PLOT_NO_MARKER,
    PLOT_CIRCLE,
    PLOT_SQUARE,
    PLOT_TRIANGLE,
    PLOT_TRIANGLE_DOWN,
    PLOT_DIAMOND,
    PLOT_CROSS,
    PLOT_STAR
} plot_marker;

/* Never colour alone: a dash pattern or a marker has to tell things apart too. */
typedef struct plot_style {
    const char *color; /* "#rrggbb" */
    double width;      /* of the line, in pixels; 0: no line */
    const char *dash;  /* as in SVG's stroke-dasharray; NULL: solid */
    plot_marker marker;
    int mark_every; /* plot_line puts a marker on each so many-th point, from mark_first on; 0: none */
    int mark_first;
} plot_style;

/* Styles for things that belong together, in the colours of Okabe & Ito, which colour-blind people can tell
 * apart as well. */
#define PLOT_SERIES 5
extern const plot_style plot_series[PLOT_SERIES];

/* Style number i, of thirty that differ in dashes, marker or both: plot_series' with markers of their own. */
plot_style plot_nth(int i);

typedef struct plot_axis {
    const char *label; /* may be NULL */
    double min, max;   /* min < max */
} plot_axis;

/* Of the legend: plot.c's own. */
#define PLOT_MAX_LEGEND 24
typedef struct plot_entry {
    const char *label;
    plot_style style;
    double end, y; /* the height at which the line ends, and the entry's, in pixels */
} plot_entry;

typedef struct plot {
    /* Set these. */
    const char *title; /* may be NULL between plot_begin and plot_end */
    plot_axis x, y;
    bool log_x, log_y;    /* the axis is logarithmic: its min, and all that is drawn, above 0 */
    double width, height; /* of the frame, in pixels */
    bool labels_at_ends;  /* the legend's entries stand by the ends of their lines, as far as they have room:
                             for more lines than one can look up */

    /* The rest is plot.c's own. */
    FILE *svg;
    const char *path;
    int nlegend;
    plot_entry legend[PLOT_MAX_LEGEND];
} plot;

/* Starts a file with the title, axes and grid. path and labels must stay until plot_close. */
void plot_open(plot *p, const char *path);

/* Draws frame and legend and closes the file; fails the program if any of it could not be written. */
void plot_close(plot *p);

/* Colours the whole frame: the ground for an area drawn on it. */
void plot_fill(plot *p, const char *color);

/* A curve through n points. label goes to the legend; NULL: not there. */
void plot_line(plot *p, const char *label, plot_style style, int n, const double *x, const double *y);

/* A marker on each of n points. */
void plot_points(plot *p, const char *label, plot_style style, int n, const double *x, const double *y);

/* An area from any number of outlines: plot_area_start, then plot_area_to for every corner, `first` for each
 * outline's first one, then plot_area_end with the SVG attributes of the whole. */
void plot_area_start(plot *p);
void plot_area_to(plot *p, bool first, double x, double y);
void plot_area_end(plot *p, const char *attributes);

/* The same for a plot that is part of a picture already open; its top left corner is the picture's, or that
 * of the <g transform> it stands in. It takes plot_total_width by plot_total_height pixels. */
void plot_begin(plot *p, FILE *svg);
void plot_end(plot *p);
double plot_total_width(const plot *p);
double plot_total_height(const plot *p);

/* The distance between ticks, 1, 2 or 5 times a power of ten, that gives at most `most` steps from min to
 * max. */
double plot_tick_step(double min, double max, int most);

/* The next of 1, 2 and 5 times the powers of ten, upwards or downwards: where a logarithmic axis may end. */
double plot_round(double x, bool up);

#endif

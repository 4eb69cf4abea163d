/* SPDX-License-Identifier: MIT
 *
 * Regions and level lines of a function of two variables, by marching squares (Lorensen & Cline 1987, in two
 * dimensions).
 */
#ifndef EXAMPLES_CONTOUR_H
#define EXAMPLES_CONTOUR_H

#include "plot.h"

/* A function sampled on a grid that covers a plot's frame: node (c, r) lies c / (cols - 1) of the way from
 * x.min to x.max and r / (rows - 1) of the way from y.min to y.max. */
typedef struct contour_grid {
    plot_axis x, y;
    int cols, rows;      /* at least 2 */
    double *value;       /* [rows, cols] */
    unsigned char *mark; /* [rows, cols], for contour_draw */
} contour_grid;

/* Takes memory for a grid over the axes; fails the program when there is none. */
contour_grid contour_grid_new(plot_axis x, plot_axis y, int cols, int rows);
void contour_grid_free(contour_grid *g);

double contour_x(const contour_grid *g, int c);
double contour_y(const contour_grid *g, int r);

/* Draws where the function is above `level`, filled or outlined as the SVG attributes say. Outlines are
 * closed outside the frame, where they are cut off. */
void contour_draw(plot *p, const contour_grid *g, double level, const char *attributes);

#endif

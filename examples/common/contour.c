/* SPDX-License-Identifier: MIT */
#include "contour.h"

#include <stdlib.h>
#include <string.h>

#include "cli.h"

typedef struct node {
    int c, r;
} node;

contour_grid contour_grid_new(plot_axis x, plot_axis y, int cols, int rows)
{
    size_t n = (size_t)cols * (size_t)rows;
    contour_grid g = {x, y, cols, rows, malloc(n * sizeof *g.value), malloc(n)};
    if (!g.value || !g.mark)
        cli_fail(EXIT_FAILURE, "out of memory");
    return g;
}

void contour_grid_free(contour_grid *g)
{
    free(g->value);
    free(g->mark);
    g->value = NULL;
    g->mark = NULL;
}

double contour_x(const contour_grid *g, int c)
{
    return g->x.min + (g->x.max - g->x.min) * c / (g->cols - 1);
}

double contour_y(const contour_grid *g, int r)
{
    return g->y.min + (g->y.max - g->y.min) * r / (g->rows - 1);
}

static size_t index_of(const contour_grid *g, node a)
{
    return (size_t)a.r * (size_t)g->cols + (size_t)a.c;
}

/* All around the grid the function counts as below any level, so every outline is closed. */
static bool on_grid(const contour_grid *g, node a)
{
    return a.c >= 0 && a.c < g->cols && a.r >= 0 && a.r < g->rows;
}

static bool is_above(const contour_grid *g, node a, double level)
{
    return on_grid(g, a) && g->value[index_of(g, a)] > level;
}

/* A corner of the outline: where the function, taken as linear, crosses the level between two neighbours. */
static void add_corner(plot *p, const contour_grid *g, double level, node in, node out, bool first)
{
    double t = 1;
    if (on_grid(g, out)) {
        double a = g->value[index_of(g, in)], b = g->value[index_of(g, out)];
        t = (a - level) / (a - b);
    }
    plot_area_to(p, first, contour_x(g, in.c) + t * (contour_x(g, out.c) - contour_x(g, in.c)),
                 contour_y(g, in.r) + t * (contour_y(g, out.r) - contour_y(g, in.r)));
}

/* Follows one outline round, from cell to cell. It enters a cell through the edge between `in`, above the
 * level, and `out`, not above; the cell lies to the left as one looks from in to out. The cell's other two
 * corners, one step to the left of these, say which edge it leaves by:
 *
 *     in_left  --- out_left
 *        |            |
 *       in    ---    out
 */
static void follow(plot *p, contour_grid g, double level, node in, node out)
{
    const node start_in = in, start_out = out;
    bool first = true;
    do {
        add_corner(p, &g, level, in, out, first);
        first = false;
        int dc = out.c - in.c, dr = out.r - in.r;
        if (dc == -1)
            g.mark[index_of(&g, in)] = 1;
        node in_left = {in.c - dr, in.r + dc}, out_left = {out.c - dr, out.r + dc};
        if (!is_above(&g, in_left, level)) {
            out = in_left;
        } else if (!is_above(&g, out_left, level)) {
            in = in_left;
            out = out_left;
        } else {
            in = out_left;
        }
    } while (in.c != start_in.c || in.r != start_in.r || out.c != start_out.c || out.r != start_out.r);
    fputs("Z", p->svg);
}

void contour_draw(plot *p, const contour_grid *g, double level, const char *attributes)
{
    memset(g->mark, 0, (size_t)g->cols * (size_t)g->rows);
    plot_area_start(p);
    /* Every outline, of a hole too, somewhere has a node above the level to the right of one that is not; the
     * mark says that the outline there is drawn. */
    for (int r = 0; r < g->rows; r++)
        for (int c = 0; c < g->cols; c++) {
            node in = {c, r}, out = {c - 1, r};
            if (is_above(g, in, level) && !is_above(g, out, level) && !g->mark[index_of(g, in)])
                follow(p, *g, level, in, out);
        }
    plot_area_end(p, attributes);
}

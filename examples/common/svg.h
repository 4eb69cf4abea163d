/* SPDX-License-Identifier: MIT
 *
 * Scalable Vector Graphics, written with stdio. An open picture is a file: whoever draws prints elements to
 * it with fprintf, in pixels from the top left corner, with a fixed number of decimals, so that the same
 * drawing gives the same bytes.
 */
#ifndef EXAMPLES_SVG_H
#define EXAMPLES_SVG_H

#include <stdio.h>

/* Starts a picture on a white ground. title is what viewers and screen readers call it. Fails the program if
 * the file cannot be opened. */
FILE *svg_open(const char *path, double width, double height, const char *title);

/* Text at (x, y), the base line's start, middle or end as `anchor` says, with further attributes, for example
 * "font-weight=\"bold\"", or "". */
void svg_text(FILE *svg, double x, double y, const char *anchor, const char *attributes, const char *text);

/* Ends the picture; fails the program if any of it could not be written. */
void svg_close(FILE *svg, const char *path);

#endif

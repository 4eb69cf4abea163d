/* SPDX-License-Identifier: MIT */
#include "svg.h"

#include "output.h"

/* The three characters that mean something to XML between tags. */
static void put_escaped(FILE *svg, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", svg);
            break;
        case '<':
            fputs("&lt;", svg);
            break;
        case '>':
            fputs("&gt;", svg);
            break;
        default:
            fputc(*text, svg);
        }
    }
}

FILE *svg_open(const char *path, double width, double height, const char *title)
{
    FILE *svg = output_open(path);
    fprintf(svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
            "height=\"%.0f\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"14\">\n<title>",
            width, height, width, height);
    put_escaped(svg, title);
    fputs("</title>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n", svg);
    return svg;
}

void svg_text(FILE *svg, double x, double y, const char *anchor, const char *attributes, const char *text)
{
    fprintf(svg, "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"%s\" %s>", x, y, anchor, attributes);
    put_escaped(svg, text);
    fputs("</text>\n", svg);
}

void svg_close(FILE *svg, const char *path)
{
    fputs("</svg>\n", svg);
    output_close(svg, path);
}

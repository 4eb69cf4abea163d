/* SPDX-License-Identifier: MIT
 *
 * UTF-8, and text that is fit for a terminal.
 */
#include "base/text.h"

#include <stdbool.h>
#include <string.h>

int opt__utf8_sequence(const char *p, int64_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    const int length = (u[0] >= 0x80 && u[0] < 0xc2) || u[0] > 0xf4 ? 0
                       : u[0] < 0x80                                ? 1
                       : u[0] < 0xe0                                ? 2
                       : u[0] < 0xf0                                ? 3
                                                                    : 4;

    if (length > n)
        return 0;
    for (int i = 1; i < length; i++)
        if ((u[i] & 0xc0) != 0x80)
            return 0;
    if (length > 2 && ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) ||
                       (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f)))
        return 0; /* longer than need be, half of a pair, or beyond U+10FFFF */
    return length;
}

void opt__hide_controls(char *text)
{
    int64_t left = (int64_t)strlen(text);

    while (left > 0) {
        const unsigned char *u = (const unsigned char *)text;
        const int n = opt__utf8_sequence(text, left), step = n > 0 ? n : 1;
        const bool obeyed =
            n > 1 ? u[0] == 0xc2 && u[1] < 0xa0 : u[0] < 0x20 || u[0] == 0x7f || (u[0] & 0xe0) == 0x80;

        if (obeyed)
            memset(text, '?', (size_t)step);
        text += step;
        left -= step;
    }
}

/* SPDX-License-Identifier: MIT
 *
 * Text that may hold anything: names and messages with what files say.
 */
#ifndef OPT_BASE_TEXT_H
#define OPT_BASE_TEXT_H

#include <stdint.h>

/* The length of the UTF-8 sequence at the start of p[0..n), n at least 1, or 0 when there is no right one. */
int opt__utf8_sequence(const char *p, int64_t n);

/* Puts question marks over what a terminal would obey: the control characters below 0x20, 0x7f, and those of
 * 0x80 to 0x9f, as UTF-8 and as single bytes. Other text stays, in UTF-8 or not. */
void opt__hide_controls(char *text);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The pieces of JSON (RFC 8259) that a safetensors header is made of: strings, whole numbers and punctuation.
 * What the header nests is known, so nothing here calls itself, however deep a file pretends to go.
 *
 * A text is read twice. The first time strings are decoded where they stand: their escapes are resolved, and
 * a NUL and spaces put over the rest, up to and with the closing quote. The second time they are found so.
 */
#ifndef OPT_SAFETENSORS_JSON_H
#define OPT_SAFETENSORS_JSON_H

#include "file/file.h"

typedef struct opt__json {
    const opt__file *file; /* for messages */
    char *text;            /* [len], and a NUL behind it */
    int64_t len, at;
    bool decoded; /* read once already */
} opt__json;

/* Passes over white space, and over `c` if it follows. */
bool opt__json_accept(opt__json *j, char c);

/* Passes over white space, and over null if it follows. */
bool opt__json_null(opt__json *j);

/* OPT_EFORMAT, with the place in the header, unless `c` follows. */
opt_status opt__json_expect(opt__json *j, char c);

/* *start <- where the string that must follow is in the text, decoded. A NUL in it is not allowed. */
opt_status opt__json_string(opt__json *j, const char **start);

/* A whole number from 0 to 2^63 - 1. */
opt_status opt__json_count(opt__json *j, int64_t *out);

/* OPT_EFORMAT: what is wrong at the place in hand. */
opt_status opt__json_wrong(const opt__json *j, const char *what);

#endif

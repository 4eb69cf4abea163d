/* SPDX-License-Identifier: MIT
 *
 * The pieces of JSON that a safetensors header is made of.
 */
#include "safetensors/json.h"

#include <string.h>

#include "base/text.h"

opt_status opt__json_wrong(const opt__json *j, const char *what)
{
    return opt__malformed(j->file, "byte %lld of the header: %s", (long long)j->at, what);
}

static void skip_space(opt__json *j)
{
    while (j->at < j->len && (j->text[j->at] == ' ' || j->text[j->at] == '\t' || j->text[j->at] == '\n' ||
                              j->text[j->at] == '\r'))
        j->at++;
}

bool opt__json_accept(opt__json *j, char c)
{
    skip_space(j);
    if (j->at == j->len || j->text[j->at] != c)
        return false;
    j->at++;
    return true;
}

opt_status opt__json_expect(opt__json *j, char c)
{
    char what[] = "'?' is missing";

    what[1] = c;
    return opt__json_accept(j, c) ? OPT_OK : opt__json_wrong(j, what);
}

bool opt__json_null(opt__json *j)
{
    skip_space(j);
    if (strncmp(j->text + j->at, "null", 4) != 0) /* a NUL stands behind the text */
        return false;
    j->at += 4;
    return true;
}

opt_status opt__json_count(opt__json *j, int64_t *out)
{
    int64_t n = 0;
    int digits = 0;

    skip_space(j);
    for (; j->at < j->len && j->text[j->at] >= '0' && j->text[j->at] <= '9'; j->at++, digits++) {
        const int digit = j->text[j->at] - '0';

        if (n > (INT64_MAX - digit) / 10)
            return opt__json_wrong(j, "a number is too large");
        if (digits == 1 && n == 0)
            return opt__json_wrong(j, "a number begins with 0");
        n = n * 10 + digit;
    }
    if (digits == 0)
        return opt__json_wrong(j, "a whole number is missing");
    *out = n;
    return OPT_OK;
}

/* ---- Strings ------------------------------------------------------------------------------------------- */

/* Four hexadecimal digits at p, or -1. */
static int32_t hex4(const char *p)
{
    int32_t x = 0;

    for (int i = 0; i < 4; i++) {
        const char c = p[i];
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;

        if (digit < 0)
            return -1; /* a NUL behind the text as well */
        x = x * 16 + digit;
    }
    return x;
}

/* Writes code point x as UTF-8; returns its length. */
static int64_t encode(int32_t x, char *to)
{
    if (x < 0x80) {
        to[0] = (char)x;
        return 1;
    }
    if (x < 0x800) {
        to[0] = (char)(0xc0 | x >> 6);
        to[1] = (char)(0x80 | (x & 63));
        return 2;
    }
    if (x < 0x10000) {
        to[0] = (char)(0xe0 | x >> 12);
        to[1] = (char)(0x80 | (x >> 6 & 63));
        to[2] = (char)(0x80 | (x & 63));
        return 3;
    }
    to[0] = (char)(0xf0 | x >> 18);
    to[1] = (char)(0x80 | (x >> 12 & 63));
    to[2] = (char)(0x80 | (x >> 6 & 63));
    to[3] = (char)(0x80 | (x & 63));
    return 4;
}

/* The escape that j->at, behind the backslash, begins; *to moves behind what it stands for. */
static opt_status unescape(opt__json *j, int64_t *to)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const char letter = j->text[j->at];
    const char *found = letter ? strchr(letters, letter) : NULL;
    int32_t x, low;

    if (found != NULL) {
        j->text[(*to)++] = meanings[found - letters];
        j->at++;
        return OPT_OK;
    }
    x = letter == 'u' ? hex4(j->text + j->at + 1) : -1;
    if (x < 0)
        return opt__json_wrong(j, "an escape is unknown");
    j->at += 5;
    if (x >= 0xd800 && x < 0xdc00) {
        low = j->text[j->at] == '\\' && j->text[j->at + 1] == 'u' ? hex4(j->text + j->at + 2) : -1;
        if (low < 0xdc00 || low > 0xdfff)
            return opt__json_wrong(j, "half of a surrogate pair is missing");
        x = 0x10000 + (x - 0xd800) * 0x400 + (low - 0xdc00);
        j->at += 6;
    } else if (x >= 0xdc00 && x < 0xe000) {
        return opt__json_wrong(j, "half of a surrogate pair is missing");
    }
    if (x == 0)
        return opt__json_wrong(j, "a string holds a NUL");
    *to += encode(x, j->text + *to);
    return OPT_OK;
}

/* From behind the opening quote to behind the closing one. */
static opt_status decode(opt__json *j)
{
    int64_t to = j->at;

    while (j->at < j->len && j->text[j->at] != '"') {
        const unsigned char c = (unsigned char)j->text[j->at];

        if (c < 0x20)
            return opt__json_wrong(j, "a control character in a string");
        if (c == '\\') {
            opt_status s;

            j->at++;
            s = unescape(j, &to);
            if (s)
                return s;
        } else {
            const int n = opt__utf8_sequence(j->text + j->at, j->len - j->at);

            if (n == 0)
                return opt__json_wrong(j, "not UTF-8");
            memmove(j->text + to, j->text + j->at, (size_t)n);
            to += n;
            j->at += n;
        }
    }
    if (j->at == j->len)
        return opt__json_wrong(j, "a string has no end");
    j->text[to++] = '\0';
    j->at++;
    memset(j->text + to, ' ', (size_t)(j->at - to));
    return OPT_OK;
}

opt_status opt__json_string(opt__json *j, const char **start)
{
    opt_status s = opt__json_expect(j, '"');

    if (s)
        return s;
    *start = j->text + j->at;
    if (!j->decoded)
        return decode(j);
    j->at += (int64_t)strlen(*start) + 1;
    return OPT_OK;
}

/* SPDX-License-Identifier: MIT
 *
 * Reading files that may be anything.
 */
#define _POSIX_C_SOURCE 200809L /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

#include "file/file.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/system.h"

opt_status opt__file_open(opt_ctx *ctx, const char *path, opt__file *out)
{
    /* A FIFO does not keep us waiting, nor does a terminal become ours. */
    const int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat about;
    FILE *stream;

    if (descriptor < 0)
        return opt__fail(ctx, OPT_EIO, "%s: cannot be opened", path);
    if (fstat(descriptor, &about) != 0 || !S_ISREG(about.st_mode)) {
        close(descriptor);
        return opt__fail(ctx, OPT_EIO, "%s: cannot be read: not a regular file", path);
    }
    stream = fdopen(descriptor, "rb");
    if (stream == NULL) {
        close(descriptor);
        return opt__no_memory(ctx, path);
    }
    *out = (opt__file){.ctx = ctx, .path = path, .stream = stream, .size = about.st_size};
    return OPT_OK;
}

void opt__file_close(opt__file *f)
{
    fclose(f->stream);
}

opt_status opt__file_peek(const opt__file *f, int first[static 2])
{
    first[0] = getc(f->stream);
    first[1] = getc(f->stream);
    if (ferror(f->stream))
        return opt__fail(f->ctx, OPT_EIO, "%s: reading its beginning failed", f->path);
    rewind(f->stream);
    return OPT_OK;
}

opt_status opt__file_read(opt__file *f, void *to, size_t n, const char *what)
{
    if (fread(to, 1, n, f->stream) != n) {
        if (ferror(f->stream))
            return opt__fail(f->ctx, OPT_EIO, "%s: reading %s failed", f->path, what);
        return opt__malformed(f, "the file ends within %s", what);
    }
    f->at += (int64_t)n;
    return OPT_OK;
}

opt_status opt__malformed(const opt__file *f, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return opt__fail(f->ctx, OPT_EFORMAT, "%s: %s", f->path, text);
}

uint64_t opt__from_little_endian(const unsigned char *p, int bytes)
{
    uint64_t x = 0;

    for (int i = bytes; i > 0; i--)
        x = x << 8 | p[i - 1];
    return x;
}

uint64_t opt__from_big_endian(const unsigned char *p, int bytes)
{
    uint64_t x = 0;

    for (int i = 0; i < bytes; i++)
        x = x << 8 | p[i];
    return x;
}

/* In these loops compilers see, where the lowest byte comes first in memory too, that it is a copy. */

void opt__f32_to_bytes(int64_t n, const float *x, unsigned char *p)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;

        memcpy(&bits, x + i, sizeof bits);
        for (int k = 0; k < 4; k++)
            p[4 * i + k] = (unsigned char)(bits >> (8 * k));
    }
}

void opt__f64_to_bytes(int64_t n, const double *x, unsigned char *p)
{
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits;

        memcpy(&bits, x + i, sizeof bits);
        for (int k = 0; k < 8; k++)
            p[8 * i + k] = (unsigned char)(bits >> (8 * k));
    }
}

void opt__u16_to_bytes(int64_t n, const uint16_t *x, unsigned char *p)
{
    for (int64_t i = 0; i < n; i++) {
        p[2 * i] = (unsigned char)x[i];
        p[2 * i + 1] = (unsigned char)(x[i] >> 8);
    }
}

void opt__f32_from_bytes(int64_t n, const unsigned char *p, float *x)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = 0;

        for (int k = 0; k < 4; k++)
            bits |= (uint32_t)p[4 * i + k] << (8 * k);
        memcpy(x + i, &bits, sizeof bits);
    }
}

void opt__f64_from_bytes(int64_t n, const unsigned char *p, double *x)
{
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits = 0;

        for (int k = 0; k < 8; k++)
            bits |= (uint64_t)p[8 * i + k] << (8 * k);
        memcpy(x + i, &bits, sizeof bits);
    }
}

/* Sign, 5 bits of exponent, 10 of mantissa. */
double opt__from_half(uint32_t bits)
{
    const int exponent = (int)(bits >> 10 & 31), mantissa = (int)(bits & 1023);
    const double magnitude = exponent == 31  ? (mantissa ? (double)NAN : HUGE_VAL)
                             : exponent == 0 ? ldexp(mantissa, -24)
                                             : ldexp(mantissa + 1024, exponent - 25);

    return bits >> 15 ? -magnitude : magnitude;
}

/* SPDX-License-Identifier: MIT
 *
 * Reading files that may be anything: only regular ones are opened, so that nothing waits for a writer or
 * reads without end, and their size is known, so that no one need believe what a header says of it. Messages
 * begin with the path.
 */
#ifndef OPT_FILE_FILE_H
#define OPT_FILE_FILE_H

#include <stdio.h>

#include "base/context.h"

typedef struct opt__file {
    opt_ctx *ctx;
    const char *path;
    FILE *stream;
    int64_t size, at; /* bytes in all, and those read */
} opt__file;

/* OPT_EIO when there is no such file, or none that can be read to its end. */
opt_status opt__file_open(opt_ctx *ctx, const char *path, opt__file *out);
void opt__file_close(opt__file *f);

/* The first two bytes, EOF where the file has none; the next read begins with them again. OPT_EIO. */
opt_status opt__file_peek(const opt__file *f, int first[static 2]);

/* Reads n bytes, of `what` (for messages): OPT_EFORMAT when the file ends before, OPT_EIO. */
opt_status opt__file_read(opt__file *f, void *to, size_t n, const char *what);

/* OPT_EFORMAT: the path, and what is wrong with the file. */
opt_status opt__malformed(const opt__file *f, const char *format, ...) OPT__PRINTF(2, 3);

/* Bytes as a number, the lowest first, or the highest first. */
uint64_t opt__from_little_endian(const unsigned char *p, int bytes);
uint64_t opt__from_big_endian(const unsigned char *p, int bytes);

/* n numbers to and from their bytes, the lowest of each first; bit by bit. */
void opt__f32_to_bytes(int64_t n, const float *x, unsigned char *p);
void opt__f64_to_bytes(int64_t n, const double *x, unsigned char *p);
void opt__u16_to_bytes(int64_t n, const uint16_t *x, unsigned char *p);
void opt__f32_from_bytes(int64_t n, const unsigned char *p, float *x);
void opt__f64_from_bytes(int64_t n, const unsigned char *p, double *x);

/* A half-precision number (IEEE 754 binary16), from its bits. */
double opt__from_half(uint32_t bits);

#endif

/* SPDX-License-Identifier: MIT
 *
 * IDX files made in memory, plain and compressed, for tests to write, damage and read.
 */
#ifndef TESTS_IDX_FILE_H
#define TESTS_IDX_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { U8 = 0x08, I8 = 0x09, I16 = 0x0b, I32 = 0x0c, F32 = 0x0d, F64 = 0x0e };

typedef struct idx_file {
    size_t n;
    unsigned char bytes[1 << 17];
} idx_file;

/* Appends a number, the highest byte first. */
void idx_put(idx_file *f, uint64_t x, int bytes);

/* A file whose elements, of this type, repeat bits[0..period). */
void idx_make(idx_file *f, int type, int bytes, int ndim, const int64_t *dim, const uint64_t *bits,
              int period);

/* Twelve bytes of header, twelve of elements. */
void idx_make_small(idx_file *f);

/* 16 MB of zeros, compressed, behind a header that ends in one. */
void idx_make_bomb(idx_file *f, const unsigned char *header, size_t n);

/* Appends n bytes as a .gz file of one stored block. */
void idx_put_compressed(idx_file *f, const unsigned char *p, size_t n);
bool idx_is_compressed(const idx_file *f);

/* After a plain file, the same one compressed; then NULL. */
const idx_file *idx_next_form(const idx_file *f);

#endif

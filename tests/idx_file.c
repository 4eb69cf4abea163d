/* SPDX-License-Identifier: MIT */
#include "idx_file.h"

#include "support.h"

/* Appends a number, the highest byte first. */
void idx_put(idx_file *f, uint64_t x, int bytes)
{
    assert_true(f->n + (size_t)bytes <= sizeof f->bytes);
    for (int i = bytes - 1; i >= 0; i--)
        f->bytes[f->n++] = (unsigned char)(x >> (8 * i));
}

static void put_lowest_first(idx_file *f, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++)
        idx_put(f, x >> (8 * i) & 255, 1);
}

/* The elements repeat bits[0..period). */
void idx_make(idx_file *f, int type, int bytes, int ndim, const int64_t *dim, const uint64_t *bits,
              int period)
{
    int64_t n = 1;

    f->n = 0;
    idx_put(f, (uint64_t)(type << 8 | ndim), 4);
    for (int d = 0; d < ndim; n *= dim[d++])
        idx_put(f, (uint64_t)dim[d], 4);
    for (int64_t i = 0; i < n; i++)
        idx_put(f, bits[i % period], bytes);
}

/* Twelve bytes of header, twelve of elements. */
void idx_make_small(idx_file *f)
{
    idx_make(f, I16, 2, 2, (int64_t[]){2, 3}, (const uint64_t[]){1, 2, 0xfffd, 4}, 4);
}

/* The head of a .gz file, and a block that holds n bytes as they are. */
static void put_stored(idx_file *f, const unsigned char *p, size_t n, bool last)
{
    assert_true(n < 65536);
    idx_put(f, 0x1f8b0800, 4);
    idx_put(f, 0xff, 6);
    idx_put(f, last, 1);
    put_lowest_first(f, n, 2);
    put_lowest_first(f, ~n, 2);
    for (size_t i = 0; i < n; i++)
        idx_put(f, p[i], 1);
}

void idx_put_compressed(idx_file *f, const unsigned char *p, size_t n)
{
    uint32_t crc = 0xffffffff;

    put_stored(f, p, n, true);
    for (size_t i = 0; i < 8 * n; i++) {
        crc ^= i % 8 ? 0 : p[i / 8];
        crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    put_lowest_first(f, ~crc, 4);
    put_lowest_first(f, n, 4);
}

bool idx_is_compressed(const idx_file *f)
{
    return f->n > 1 && f->bytes[0] == 0x1f && f->bytes[1] == 0x8b;
}

/* After a plain file, the same one compressed; then NULL. */
const idx_file *idx_next_form(const idx_file *f)
{
    static idx_file next;

    if (idx_is_compressed(f))
        return NULL;
    next.n = 0;
    idx_put_compressed(&next, f->bytes, f->n);
    return &next;
}

/* 16 MB of zeros behind a header that ends in one: matches of 258 bytes, 13 bits each. */
void idx_make_bomb(idx_file *f, const unsigned char *header, size_t n)
{
    static const unsigned char eight[] = {24, 5, 163, 96, 20, 140, 130, 81, 48, 10, 70, 193, 40};
    size_t at;

    f->n = 0;
    put_stored(f, header, n, false);
    at = f->n;
    for (size_t i = 0; i < 8192 * sizeof eight; i++)
        idx_put(f, eight[i % sizeof eight], 1);
    f->bytes[at] |= 3; /* the last block, of fixed Huffman codes */
    idx_put(f, 0, 8);
}

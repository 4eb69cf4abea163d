/* SPDX-License-Identifier: MIT
 *
 * Reading a safetensors file's elements.
 */
#include <limits.h>
#include <string.h>

#include "file/crc32.h"
#include "safetensors/safetensors.h"
#include "tensor/tensor.h"

#define BUFFER 16384

/* The entry's bytes, to where they are wanted if they are, and into the sum. */
static opt_status read_entry(opt__safetensors *st, const opt__entry *e, opt__crc32 *crc)
{
    unsigned char unwanted[BUFFER], *to = e->to ? e->to : unwanted;

    for (int64_t left = e->end - e->begin; left > 0;) {
        const size_t n = left < BUFFER ? (size_t)left : BUFFER;
        opt_status s = opt__file_read(&st->file, to, n, e->name);

        if (s)
            return s;
        opt__crc32_add(crc, to, n);
        to += e->to ? n : 0;
        left -= (int64_t)n;
    }
    return OPT_OK;
}

/* Passes over n bytes. */
static opt_status skip(opt__safetensors *st, int64_t n)
{
    while (n > 0) {
        const long step = n < LONG_MAX ? (long)n : LONG_MAX;

        if (fseek(st->file.stream, step, SEEK_CUR) != 0)
            return opt__fail(st->file.ctx, OPT_EIO, "%s: passing over what is not wanted failed",
                             st->file.path);
        n -= step;
    }
    return OPT_OK;
}

opt_status opt__safetensors_read(opt__safetensors *st)
{
    int64_t unread = 0;
    opt__crc32 crc;

    opt__crc32_start(&crc);
    crc.state = st->header_sum;
    for (int64_t i = 0; i < st->n; i++) {
        const opt__entry *e = &st->entry[st->by_place[i]];
        opt_status s;

        if (e->to == NULL && !st->has_sum) {
            unread += e->end - e->begin;
            continue;
        }
        s = skip(st, unread);
        if (!s)
            s = read_entry(st, e, &crc);
        if (s)
            return s;
        unread = 0;
    }
    if (st->has_sum && opt__crc32_value(&crc) != st->sum)
        return opt__malformed(&st->file, "damaged: the sum of its bytes is %08lx, not %08lx",
                              (unsigned long)opt__crc32_value(&crc), (unsigned long)st->sum);
    return OPT_OK;
}

/* One element of four bytes or fewer. */
static double element(uint32_t dtype, const unsigned char *p)
{
    uint32_t low = (uint32_t)opt__from_little_endian(p, opt__dtype_size(dtype));
    float f;

    if (dtype == OPT__ST_F16)
        return opt__from_half(low);
    if (dtype == OPT__ST_BF16)
        low <<= 16; /* the upper half of an f32 */
    memcpy(&f, &low, sizeof f);
    return (double)f;
}

void opt__entry_copy(const opt__entry *e, int64_t first, const opt_tensor *t)
{
    const int64_t n = opt_tensor_len(t), size = opt__dtype_size(e->dtype);
    const unsigned char *from = (const unsigned char *)e->to + size * first;

    if (e->dtype == OPT__ST_F64) /* which goes into an f64 only */
        opt__f64_from_bytes(n, from, t->data);
    else if (e->dtype == OPT__ST_F32 && t->dtype == OPT_F32)
        opt__f32_from_bytes(n, from, t->data);
    else
        for (int64_t i = 0; i < n; i++)
            opt_set(t, i, element(e->dtype, from + size * i));
}

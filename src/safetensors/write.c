/* SPDX-License-Identifier: MIT
 *
 * Writing safetensors files. The header, which is before the elements, holds a sum over them: it is written
 * with 0 for the sum, and that is put in at the end, so that memory is read once.
 */
#include <inttypes.h>
#include <string.h>

#include "base/sort.h"
#include "base/text.h"
#include "file/crc32.h"
#include "file/replace.h"
#include "safetensors/json.h"
#include "safetensors/safetensors.h"
#include "tensor/tensor.h"

/* ---- Text ---------------------------------------------------------------------------------------------- */

static void put(opt__text *t, const char *text)
{
    const size_t n = strlen(text);

    if (t->to != NULL)
        memcpy(t->to + t->len, text, n);
    t->len += (int64_t)n;
}

/* The text as it stands in a JSON string. */
static void put_escaped(opt__text *t, const char *text)
{
    for (; *text; text++) {
        char one[8] = {*text, '\0'};

        if (*text == '"' || *text == '\\')
            snprintf(one, sizeof one, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            snprintf(one, sizeof one, "\\u%04x", (unsigned)*text);
        put(t, one);
    }
}

void opt__text_pair(opt__text *t, const char *group, const char *name, const char *value)
{
    put(t, ",\"");
    put_escaped(t, group);
    put_escaped(t, name);
    put(t, "\":\"");
    put_escaped(t, value);
    put(t, "\"");
}

static int64_t bytes_of(const opt_tensor *t)
{
    return opt_tensor_len(t) * (int64_t)opt__size(t->dtype);
}

/* "name":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]} */
static void put_entry(opt__text *t, const opt__named *tensor, int64_t begin)
{
    char room[64];

    put(t, ",\"");
    put_escaped(t, tensor->name);
    put(t, "\":{\"dtype\":\"");
    put(t, tensor->t.dtype == OPT_F64 ? "F64" : tensor->t.dtype == OPT_F32 ? "F32" : "BF16");
    put(t, "\",\"shape\":[");
    for (int d = 0; d < tensor->t.ndim; d++) {
        snprintf(room, sizeof room, d > 0 ? ",%" PRId64 : "%" PRId64, tensor->t.dim[d]);
        put(t, room);
    }
    snprintf(room, sizeof room, "],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}", begin,
             begin + bytes_of(&tensor->t));
    put(t, room);
}

/* What is to be written. */
typedef struct job {
    const opt__named *tensors;
    int64_t n;
    void (*describe)(opt__text *t, const void *arg);
    const void *arg;
} job;

/* The header; its length is a multiple of 8, so that elements of every size are where they should be: the
 * largest first. */
static void put_header(opt__text *t, const job *j)
{
    int64_t begin = 0;

    put(t, OPT__ST_BEFORE_SUM "00000000\"");
    j->describe(t, j->arg);
    put(t, "}");
    for (size_t size = 8; size > 1; size /= 2)
        for (int64_t i = 0; i < j->n; i++)
            if (opt__size(j->tensors[i].t.dtype) == size) {
                put_entry(t, &j->tensors[i], begin);
                begin += bytes_of(&j->tensors[i].t);
            }
    put(t, "}");
    while (t->len % 8 != 0)
        put(t, " ");
}

/* ---- Checks -------------------------------------------------------------------------------------------- */

static bool is_named_before(const void *arg, uint32_t a, uint32_t b)
{
    const opt__named *tensors = arg;

    return strcmp(tensors[a].name, tensors[b].name) < 0;
}

static bool is_utf8(const char *text, int64_t n)
{
    int step = 1;

    for (; step > 0 && n > 0; n -= step, text += step)
        step = opt__utf8_sequence(text, n);
    return step > 0;
}

static opt_status check_names(opt_ctx *ctx, const char *path, const job *j)
{
    uint32_t *order = opt__alloc(ctx, j->n, 2 * sizeof *order);
    opt_status s = OPT_OK;

    if (order == NULL)
        return opt__no_memory(ctx, path);
    for (int64_t i = 0; !s && i < j->n; i++) {
        const char *name = j->tensors[i].name;
        const bool utf8 = is_utf8(name, (int64_t)strlen(name));

        order[i] = (uint32_t)i;
        if (!utf8 || strcmp(name, "__metadata__") == 0)
            s = opt__fail(ctx, OPT_EINVAL, "%s: the tensor name %s %s", path, name,
                          utf8 ? "has another meaning in this format" : "is not UTF-8");
    }
    if (!s)
        opt__sort(order, order + j->n, j->n, is_named_before, j->tensors);
    for (int64_t i = 1; !s && i < j->n; i++)
        if (!is_named_before(j->tensors, order[i - 1], order[i]))
            s = opt__fail(ctx, OPT_EINVAL, "%s: two tensors would have the name %s", path,
                          j->tensors[order[i]].name);
    opt__free(ctx, order);
    return s;
}

/* ---- Bytes --------------------------------------------------------------------------------------------- */

static bool put_bytes(FILE *f, opt__crc32 *crc, const void *bytes, size_t n)
{
    opt__crc32_add(crc, bytes, n);
    return fwrite(bytes, 1, n, f) == n;
}

/* Elements, the lowest byte first. */
static bool put_elements(FILE *f, opt__crc32 *crc, const opt_tensor *t)
{
    enum { MOST = 4096 };
    unsigned char buffer[MOST * 8];
    const size_t size = opt__size(t->dtype);

    for (int64_t i = 0, n = opt_tensor_len(t); i < n; i += MOST) {
        const int64_t len = n - i < MOST ? n - i : MOST;

        if (t->dtype == OPT_F32)
            opt__f32_to_bytes(len, opt__at(t, i), buffer);
        else if (t->dtype == OPT_BF16)
            opt__u16_to_bytes(len, opt__at(t, i), buffer);
        else
            opt__f64_to_bytes(len, opt__at(t, i), buffer);
        if (!put_bytes(f, crc, buffer, (size_t)len * size))
            return false;
    }
    return true;
}

static bool write_all(FILE *f, const job *j, const opt__text *header)
{
    unsigned char length[8];
    char digits[9];
    opt__crc32 crc;
    bool good;

    for (int k = 0; k < 8; k++)
        length[k] = (unsigned char)(header->len >> (8 * k));
    opt__crc32_start(&crc);
    good = put_bytes(f, &crc, length, sizeof length) && put_bytes(f, &crc, header->to, (size_t)header->len);
    for (size_t size = 8; size > 1; size /= 2)
        for (int64_t i = 0; good && i < j->n; i++)
            if (opt__size(j->tensors[i].t.dtype) == size)
                good = put_elements(f, &crc, &j->tensors[i].t);
    snprintf(digits, sizeof digits, "%08lx", (unsigned long)opt__crc32_value(&crc));
    return good && fseek(f, (long)(sizeof length + strlen(OPT__ST_BEFORE_SUM)), SEEK_SET) == 0 &&
           fwrite(digits, 1, 8, f) == 8;
}

opt_status opt__safetensors_write(opt_ctx *ctx, const char *path, const opt__named *tensors, int64_t n,
                                  void (*describe)(opt__text *t, const void *arg), const void *arg)
{
    const job j = {tensors, n, describe, arg};
    opt__text header = {0};
    opt_status s = check_names(ctx, path, &j);
    opt__replacement r;

    if (s)
        return s;
    put_header(&header, &j);
    if (header.len > OPT__ST_MAX_HEADER)
        return opt__fail(ctx, OPT_EINVAL, "%s: names of %lld bytes are too much for the format", path,
                         (long long)header.len);
    header.to = opt__alloc(ctx, header.len, 1);
    if (header.to == NULL)
        return opt__no_memory(ctx, path);
    header.len = 0;
    put_header(&header, &j);
    if (!is_utf8(header.to, header.len)) {
        s = opt__fail(ctx, OPT_EINVAL, "%s: the name of the method or a hyper-parameter is not UTF-8", path);
    } else {
        s = opt__replace_begin(ctx, path, &r);
        if (!s)
            s = opt__replace_end(&r, write_all(r.stream, &j, &header), true);
    }
    opt__free(ctx, header.to);
    return s;
}

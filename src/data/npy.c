/* SPDX-License-Identifier: MIT
 *
 * NumPy's .npy format: "\x93NUMPY", version, header length (2 bytes in version 1, 4 later, little-endian), a
 * Python dict literal with 'descr', 'fortran_order' and 'shape', padding, then the elements. NumPy's
 * format.py is the source.
 */
#include <stdio.h>
#include <string.h>

#include <opt/data.h>

#include "data/elements.h"
#include "file/replace.h"
#include "tensor/tensor.h"

#define MAX_HEADER 4096 /* a shape of four numbers needs about a hundred bytes */

/* ---- The header ---------------------------------------------------------------------------------------- */

static const char *skip_spaces(const char *p)
{
    while (*p == ' ')
        p++;
    return p;
}

/* The text after 'key': in the dict, or NULL. */
static const char *value_of(const char *text, const char *key)
{
    const char *p = strstr(text, key);

    if (p == NULL)
        return NULL;
    p = skip_spaces(p + strlen(key));
    return *p == ':' ? skip_spaces(p + 1) : NULL;
}

/* '<f8' and the like. */
static opt_status parse_descr(const opt__file *f, const char *text, opt__elements *e)
{
    const char *p = value_of(text, "'descr'");

    if (p == NULL || p[0] != '\'' || p[1] == '\0' || p[2] == '\0' || p[3] == '\0' || p[4] != '\'')
        return opt__malformed(f, "the header has no 'descr' of a plain type");
    e->kind = p[2];
    e->bytes = p[3] - '0';
    e->big_endian = p[1] == '>';
    if (p[1] != '<' && p[1] != '>' && !(p[1] == '|' && e->bytes == 1))
        return opt__malformed(f, "the byte order in 'descr' is not '<' or '>'");
    if ((e->kind == 'f' && (e->bytes == 2 || e->bytes == 4 || e->bytes == 8)) ||
        (e->kind == 'b' && e->bytes == 1) ||
        ((e->kind == 'i' || e->kind == 'u') &&
         (e->bytes == 1 || e->bytes == 2 || e->bytes == 4 || e->bytes == 8)))
        return OPT_OK;
    return opt__malformed(f, "elements of type '%.3s' cannot be read", p + 1);
}

/* One dimension, perhaps with the L of Python 2's long; *p is moved behind it. -1 when it is not a number or
 * does not fit. */
static int64_t parse_dim(const char **p)
{
    int64_t n = 0;

    if (**p < '0' || **p > '9')
        return -1;
    for (; **p >= '0' && **p <= '9'; ++*p) {
        if (n > (INT64_MAX - 9) / 10)
            return -1;
        n = n * 10 + (**p - '0');
    }
    if (**p == 'L')
        ++*p;
    return n;
}

/* (2, 3), (5,) or (); with Python 2 on Windows (2L, 3L). */
static opt_status parse_shape(const opt__file *f, const char *text, opt__elements *e)
{
    const char *p = value_of(text, "'shape'");

    if (p == NULL || *p != '(')
        return opt__malformed(f, "the header has no 'shape'");
    p = skip_spaces(p + 1);
    while (*p != ')') {
        if (e->ndim == OPT_MAX_DIMS)
            return opt__malformed(f, "the array has more than 4 dimensions");
        e->dim[e->ndim] = parse_dim(&p);
        if (e->dim[e->ndim] < 0)
            return opt__malformed(f, "the 'shape' in the header cannot be read");
        if (e->dim[e->ndim++] == 0)
            return opt__malformed(f, "the array is empty");
        p = skip_spaces(p);
        if (*p == ',')
            p = skip_spaces(p + 1);
        else if (*p != ')')
            return opt__malformed(f, "the 'shape' in the header cannot be read");
    }
    if (opt__count(OPT_F64, e->ndim, e->dim) < 0)
        return opt__malformed(f, "the size of the array overflows");
    return OPT_OK;
}

/* True or False. */
static opt_status parse_order(const opt__file *f, const char *text, opt__elements *e)
{
    const char *p = value_of(text, "'fortran_order'");

    e->fortran_order = p != NULL && strncmp(p, "True", 4) == 0;
    if (p == NULL || (!e->fortran_order && strncmp(p, "False", 5) != 0))
        return opt__malformed(f, "the header has no 'fortran_order'");
    p = skip_spaces(p + (e->fortran_order ? 4 : 5));
    if (*p != ',' && *p != '}')
        return opt__malformed(f, "the header has no 'fortran_order'");
    return OPT_OK;
}

/* Of two values for a key Python takes the last, others the first. */
static opt_status check_keys(const opt__file *f, const char *text)
{
    static const char *const keys[] = {"'descr'", "'fortran_order'", "'shape'"};

    for (int i = 0; i < 3; i++) {
        const char *p = strstr(text, keys[i]);

        if (p != NULL && strstr(p + 1, keys[i]) != NULL)
            return opt__malformed(f, "the header has %s twice", keys[i]);
    }
    return OPT_OK;
}

opt_status opt__npy_header(opt__file *f, opt__elements *e)
{
    unsigned char start[12];
    char text[MAX_HEADER + 1];
    uint64_t length;
    int64_t want;
    opt_status s = opt__file_read(f, start, 8, "the header");

    *e = (opt__elements){0};
    if (s)
        return s;
    if (memcmp(start, "\x93NUMPY", 6) != 0)
        return opt__malformed(f, "not an .npy file");
    if (start[6] < 1 || start[6] > 3)
        return opt__malformed(f, ".npy version %d is unknown", start[6]);
    s = opt__file_read(f, start + 8, start[6] == 1 ? 2 : 4, "the header");
    if (s)
        return s;
    length = opt__from_little_endian(start + 8, start[6] == 1 ? 2 : 4);
    if (length > MAX_HEADER)
        return opt__malformed(f, "the header is too long");
    s = opt__file_read(f, text, (size_t)length, "the header");
    if (s)
        return s;
    text[length] = '\0';
    s = check_keys(f, text);
    if (!s)
        s = parse_order(f, text, e);
    if (!s)
        s = parse_descr(f, text, e);
    if (!s)
        s = parse_shape(f, text, e);
    if (s)
        return s;
    want = opt__count(OPT_F64, e->ndim, e->dim) * e->bytes;
    if (f->size - f->at != want)
        return opt__malformed(f, "%lld bytes of elements where the shape says %lld",
                              (long long)(f->size - f->at), (long long)want);
    if (e->kind == 'b')
        e->kind = 'u';
    e->start = f->at;
    return OPT_OK;
}

opt_dtype opt__npy_dtype(const opt__elements *e)
{
    return e->kind == 'f' && e->bytes <= 4 ? OPT_F32 : OPT_F64;
}

/* ---- The elements -------------------------------------------------------------------------------------- */

/* Where the elements of a file in Fortran order go, one after the other. */
typedef struct place {
    const opt__elements *elements;
    int64_t index[OPT_MAX_DIMS], stride[OPT_MAX_DIMS], at;
} place;

static place first_place(const opt__elements *e)
{
    place p = {.elements = e};
    int64_t stride = 1;

    for (int d = e->ndim - 1; d >= 0; d--) {
        p.stride[d] = stride;
        stride *= e->dim[d];
    }
    return p;
}

/* Dimensions that the array lacks have a size and a stride of 0: past its last element, nothing is added. */
static void advance(place *p)
{
    for (int d = 0; d < OPT_MAX_DIMS; d++) {
        p->at += p->stride[d];
        if (++p->index[d] < p->elements->dim[d])
            return;
        p->index[d] = 0;
        p->at -= p->stride[d] * p->elements->dim[d];
    }
}

static opt_status read_elements(opt__file *f, const opt__elements *e, opt_tensor *t)
{
    enum { MOST = 512 };
    const opt__conversion conversion = {.file = f, .elements = e, .scale = 1, .dtype = t->dtype};
    const int64_t n = opt_tensor_len(t);
    const size_t size = opt__size(t->dtype);
    unsigned char buffer[MOST * 8];
    double ready[MOST]; /* or floats */
    place p = first_place(e);

    for (int64_t i = 0; i < n; i += MOST) {
        const int64_t len = n - i < MOST ? n - i : MOST;
        void *to = e->fortran_order ? &ready[0] : opt__at(t, i);
        opt_status s = opt__file_read(f, buffer, (size_t)(len * e->bytes), "the elements");

        if (!s)
            s = opt__convert(&conversion, buffer, i, len, to);
        if (s)
            return s;
        for (int64_t k = 0; e->fortran_order && k < len; k++) {
            memcpy(opt__at(t, p.at), (const char *)to + (size_t)k * size, size);
            advance(&p);
        }
    }
    return OPT_OK;
}

opt_status opt_read_npy(opt_ctx *ctx, const char *path, opt_tensor *out)
{
    opt_status s = opt__enter(ctx);
    opt_tensor t = {0};
    opt__elements e;
    opt__file f;

    if (s)
        return s;
    if (path == NULL || out == NULL)
        return opt__fail(ctx, OPT_EINVAL, "read_npy: %s is NULL", path ? "out" : "path");
    s = opt__file_open(ctx, path, &f);
    if (s)
        return s;
    s = opt__npy_header(&f, &e);
    if (!s)
        s = opt_tensor_new(ctx, opt__npy_dtype(&e), e.ndim, e.dim, &t);
    if (!s)
        s = read_elements(&f, &e, &t);
    opt__file_close(&f);
    if (s)
        opt_tensor_free(ctx, &t);
    else
        *out = t;
    return s;
}

/* ---- Writing ------------------------------------------------------------------------------------------- */

/* Magic, version 1, and the dict padded with spaces so that the elements start at a multiple of 64. */
static bool write_header(FILE *f, const opt_tensor *t)
{
    char text[192], shape[96] = "";
    size_t used = 0;
    int length;

    for (int d = 0; d < t->ndim; d++)
        used += (size_t)snprintf(shape + used, sizeof shape - used, d == 0 ? "%lld" : ", %lld",
                                 (long long)t->dim[d]);
    length = snprintf(text, sizeof text, "{'descr': '<f%d', 'fortran_order': False, 'shape': (%s%s), }",
                      (int)opt__size(t->dtype), shape, t->ndim == 1 ? "," : "");
    while ((10 + length + 1) % 64 != 0)
        text[length++] = ' ';
    text[length++] = '\n';
    return fwrite("\x93NUMPY\x01\x00", 1, 8, f) == 8 && fputc(length & 255, f) != EOF &&
           fputc(length >> 8, f) != EOF && fwrite(text, 1, (size_t)length, f) == (size_t)length;
}

static bool write_elements(FILE *f, const opt_tensor *t)
{
    enum { MOST = 512 };
    unsigned char buffer[MOST * 8];
    const size_t size = opt__size(t->dtype);

    for (int64_t i = 0, n = opt_tensor_len(t); i < n; i += MOST) {
        const int64_t len = n - i < MOST ? n - i : MOST;

        if (t->dtype == OPT_F32)
            opt__f32_to_bytes(len, opt__at(t, i), buffer);
        else
            opt__f64_to_bytes(len, opt__at(t, i), buffer);
        if (fwrite(buffer, size, (size_t)len, f) != (size_t)len)
            return false;
    }
    return true;
}

opt_status opt_write_npy(opt_ctx *ctx, const char *path, const opt_tensor *t)
{
    opt_status s = opt__enter(ctx);
    opt__replacement r;

    if (s)
        return s;
    if (path == NULL)
        return opt__fail(ctx, OPT_EINVAL, "write_npy: path is NULL");
    s = opt__check_tensor(ctx, "write_npy: the tensor", t);
    if (!s)
        s = opt__replace_begin(ctx, path, &r);
    if (s)
        return s;
    return opt__replace_end(&r, write_header(r.stream, t) && write_elements(r.stream, t), false);
}

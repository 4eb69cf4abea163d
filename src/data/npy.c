/* SPDX-License-Identifier: MIT
 *
 * NumPy's .npy format: "\x93NUMPY", version, header length (2 bytes in version 1, 4 later, little-endian), a
 * Python dict literal with 'descr', 'fortran_order' and 'shape', padding, then the elements. NumPy's
 * format.py is the source.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <opt/data.h>

#include "data/file.h"
#include "tensor/tensor.h"

#define MAX_HEADER 4096 /* a shape of four numbers needs about a hundred bytes */

typedef struct header {
    char kind; /* 'f', 'i', 'u' or 'b' */
    int bytes; /* an element */
    bool big_endian, fortran_order;
    int ndim;
    int64_t dim[OPT_MAX_DIMS];
} header;

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
static opt_status parse_descr(const opt__file *f, const char *text, header *h)
{
    const char *p = value_of(text, "'descr'");

    if (p == NULL || p[0] != '\'' || p[1] == '\0' || p[2] == '\0' || p[3] == '\0' || p[4] != '\'')
        return opt__malformed(f, "the header has no 'descr' of a plain type");
    h->kind = p[2];
    h->bytes = p[3] - '0';
    h->big_endian = p[1] == '>';
    if (p[1] != '<' && p[1] != '>' && !(p[1] == '|' && h->bytes == 1))
        return opt__malformed(f, "the byte order in 'descr' is not '<' or '>'");
    if ((h->kind == 'f' && (h->bytes == 2 || h->bytes == 4 || h->bytes == 8)) ||
        (h->kind == 'b' && h->bytes == 1) ||
        ((h->kind == 'i' || h->kind == 'u') &&
         (h->bytes == 1 || h->bytes == 2 || h->bytes == 4 || h->bytes == 8)))
        return OPT_OK;
    return opt__malformed(f, "elements of type '%.3s' cannot be read", p + 1);
}

/* One dimension; *p is moved behind it. -1 when it is not a number or does not fit. */
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
    return n;
}

/* (2, 3), (5,) or (). */
static opt_status parse_shape(const opt__file *f, const char *text, header *h)
{
    const char *p = value_of(text, "'shape'");

    if (p == NULL || *p != '(')
        return opt__malformed(f, "the header has no 'shape'");
    p = skip_spaces(p + 1);
    while (*p != ')') {
        if (h->ndim == OPT_MAX_DIMS)
            return opt__malformed(f, "the array has more than 4 dimensions");
        h->dim[h->ndim] = parse_dim(&p);
        if (h->dim[h->ndim] < 0)
            return opt__malformed(f, "the 'shape' in the header cannot be read");
        if (h->dim[h->ndim++] == 0)
            return opt__malformed(f, "the array is empty");
        p = skip_spaces(p);
        if (*p == ',')
            p = skip_spaces(p + 1);
        else if (*p != ')')
            return opt__malformed(f, "the 'shape' in the header cannot be read");
    }
    if (opt__count(OPT_F64, h->ndim, h->dim) < 0)
        return opt__malformed(f, "the size of the array overflows");
    return OPT_OK;
}

/* True or False. */
static opt_status parse_order(const opt__file *f, const char *text, header *h)
{
    const char *p = value_of(text, "'fortran_order'");

    h->fortran_order = p != NULL && strncmp(p, "True", 4) == 0;
    if (p == NULL || (!h->fortran_order && strncmp(p, "False", 5) != 0))
        return opt__malformed(f, "the header has no 'fortran_order'");
    return OPT_OK;
}

/* Reads the header; *h is complete, and the file as long as it says, when all is well. */
static opt_status read_header(opt__file *f, header *h)
{
    unsigned char start[12];
    char text[MAX_HEADER + 1];
    uint64_t length;
    int64_t want;
    opt_status s = opt__file_read(f, start, 8, "the header");

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
    s = parse_order(f, text, h);
    if (!s)
        s = parse_descr(f, text, h);
    if (!s)
        s = parse_shape(f, text, h);
    if (s)
        return s;
    want = opt__count(OPT_F64, h->ndim, h->dim) * h->bytes;
    if (f->size - f->at != want)
        return opt__malformed(f, "%lld bytes of elements where the shape says %lld",
                              (long long)(f->size - f->at), (long long)want);
    return OPT_OK;
}

/* ---- The elements -------------------------------------------------------------------------------------- */

/* A half-precision number: sign, 5 bits of exponent, 10 of mantissa. */
static double from_half(uint64_t bits)
{
    const int exponent = (int)(bits >> 10 & 31), mantissa = (int)(bits & 1023);
    const double magnitude = exponent == 31  ? (mantissa ? (double)NAN : HUGE_VAL)
                             : exponent == 0 ? ldexp(mantissa, -24)
                                             : ldexp(mantissa + 1024, exponent - 25);

    return bits >> 15 ? -magnitude : magnitude;
}

/* One element as a double; *exact is cleared when it does not fit. */
static double decode(const header *h, const unsigned char *p, bool *exact)
{
    const uint64_t bits =
        h->big_endian ? opt__from_big_endian(p, h->bytes) : opt__from_little_endian(p, h->bytes);
    double x;

    if (h->kind == 'f' && h->bytes == 8) {
        memcpy(&x, &bits, sizeof x);
        return x;
    }
    if (h->kind == 'f' && h->bytes == 4) {
        const uint32_t single = (uint32_t)bits;
        float f;
        memcpy(&f, &single, sizeof f);
        return (double)f;
    }
    if (h->kind == 'f')
        return from_half(bits);
    if (h->kind == 'i' && bits >> (8 * h->bytes - 1)) {
        const uint64_t magnitude = (~bits & (UINT64_MAX >> (64 - 8 * h->bytes))) + 1;
        *exact = *exact && magnitude <= UINT64_C(1) << 53;
        return -(double)magnitude;
    }
    *exact = *exact && bits <= UINT64_C(1) << 53;
    return (double)bits;
}

/* Where the elements of a file go, one after the other: in Fortran order the first index changes fastest. */
typedef struct place {
    bool fortran_order;
    int ndim;
    const int64_t *dim;
    int64_t index[OPT_MAX_DIMS], stride[OPT_MAX_DIMS], at;
} place;

static place first_place(const header *h)
{
    place p = {.fortran_order = h->fortran_order && h->ndim > 1, .ndim = h->ndim, .dim = h->dim};
    int64_t stride = 1;

    for (int d = h->ndim - 1; d >= 0; d--) {
        p.stride[d] = stride;
        stride *= h->dim[d];
    }
    return p;
}

static void advance(place *p)
{
    if (!p->fortran_order) {
        p->at++;
        return;
    }
    for (int d = 0; d < p->ndim; d++) {
        p->at += p->stride[d];
        if (++p->index[d] < p->dim[d])
            return;
        p->index[d] = 0;
        p->at -= p->stride[d] * p->dim[d];
    }
}

static opt_status read_elements(opt__file *f, const header *h, opt_tensor *t)
{
    enum { MOST = 512 };
    unsigned char buffer[MOST * 8];
    const int64_t n = opt_tensor_len(t);
    place p = first_place(h);

    for (int64_t i = 0; i < n; i += MOST) {
        const int64_t len = n - i < MOST ? n - i : MOST;
        bool exact = true;
        opt_status s = opt__file_read(f, buffer, (size_t)(len * h->bytes), "the elements");

        if (s)
            return s;
        for (int64_t k = 0; k < len; k++) {
            opt_set(t, p.at, decode(h, buffer + k * h->bytes, &exact));
            advance(&p);
        }
        if (!exact)
            return opt__malformed(f, "an integer among elements %lld to %lld is beyond 2^53", (long long)i,
                                  (long long)(i + len - 1));
    }
    return OPT_OK;
}

opt_status opt_read_npy(opt_ctx *ctx, const char *path, opt_tensor *out)
{
    opt_status s = opt__enter(ctx);
    opt_tensor t = {0};
    header h = {0};
    opt__file f;

    if (s)
        return s;
    if (path == NULL || out == NULL)
        return opt__fail(ctx, OPT_EINVAL, "read_npy: %s is NULL", path ? "out" : "path");
    s = opt__file_open(ctx, path, &f);
    if (s)
        return s;
    s = read_header(&f, &h);
    if (!s)
        s = opt_tensor_new(ctx, h.kind == 'f' && h.bytes <= 4 ? OPT_F32 : OPT_F64, h.ndim, h.dim, &t);
    if (!s)
        s = read_elements(&f, &h, &t);
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
        used += (size_t)snprintf(shape + used, sizeof shape - used,
                                 d == 0 || t->ndim == 1 ? "%lld" : ", %lld", (long long)t->dim[d]);
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
    const size_t size = opt__size(t->dtype);

    for (int64_t i = 0, n = opt_tensor_len(t); i < n; i++) {
        unsigned char bytes[8];
        uint64_t bits = 0;

        if (t->dtype == OPT_F32) {
            uint32_t half;
            memcpy(&half, opt__at(t, i), sizeof half);
            bits = half;
        } else {
            memcpy(&bits, opt__at(t, i), sizeof bits);
        }
        for (size_t k = 0; k < size; k++)
            bytes[k] = (unsigned char)(bits >> (8 * k));
        if (fwrite(bytes, 1, size, f) != size)
            return false;
    }
    return true;
}

/* Creates a file beside path that was not there before; its name goes to `beside`, which has room for 16
 * characters more than path. NULL when that cannot be done. */
static FILE *create_beside(const char *path, char *beside)
{
    FILE *f = NULL;

    for (int i = 0; f == NULL && i < 100; i++) {
        snprintf(beside, strlen(path) + 16, "%s.tmp%d", path, i);
        f = fopen(beside, "wbx");
    }
    return f;
}

opt_status opt_write_npy(opt_ctx *ctx, const char *path, const opt_tensor *t)
{
    opt_status s = opt__enter(ctx);
    char *beside;
    bool written;
    FILE *f;

    if (s)
        return s;
    if (path == NULL)
        return opt__fail(ctx, OPT_EINVAL, "write_npy: path is NULL");
    s = opt__check_tensor(ctx, "write_npy: the tensor", t);
    if (s)
        return s;
    beside = opt__alloc(ctx, (int64_t)strlen(path) + 16, 1);
    if (beside == NULL)
        return opt__no_memory(ctx, "write_npy");
    f = create_beside(path, beside);
    if (f == NULL) {
        s = opt__fail(ctx, OPT_EIO, "%s: cannot be created", beside);
    } else {
        written = write_header(f, t) && write_elements(f, t);
        if (fclose(f) != 0 || !written || rename(beside, path) != 0) {
            remove(beside);
            s = opt__fail(ctx, OPT_EIO, "%s: writing failed", path);
        }
    }
    opt__free(ctx, beside);
    return s;
}

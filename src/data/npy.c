/* SPDX-License-Identifier: MIT
 *
 * NumPy's .npy format: "\x93NUMPY", version, header length (2 bytes in version 1, 4 later, little-endian), a
 * Python dict literal with 'descr', 'fortran_order' and 'shape', padding, then the elements. NumPy's
 * format.py is the source.
 */
#include <stdio.h>
#include <string.h>

#include <opt/data.h>

#include "tensor/tensor.h"

#define MAX_HEADER 4096 /* a shape of four numbers needs about a hundred bytes */

typedef struct header {
    char kind; /* 'f', 'i', 'u' or 'b' */
    int bytes; /* an element */
    int ndim;
    int64_t dim[OPT_MAX_DIMS];
} header;

typedef struct reader {
    opt_ctx *ctx;
    const char *path;
    FILE *file;
} reader;

static opt_status malformed(const reader *r, const char *what)
{
    return opt__fail(r->ctx, OPT_EFORMAT, "%s: %s", r->path, what);
}

static opt_status read_bytes(const reader *r, void *to, size_t n, const char *what)
{
    if (fread(to, 1, n, r->file) == n)
        return OPT_OK;
    if (ferror(r->file))
        return opt__fail(r->ctx, OPT_EIO, "%s: reading %s failed", r->path, what);
    return opt__fail(r->ctx, OPT_EFORMAT, "%s: the file ends within %s", r->path, what);
}

/* Little-endian bytes as a number, whatever this machine's order. */
static uint64_t from_little_endian(const unsigned char *p, int bytes)
{
    uint64_t x = 0;

    for (int i = bytes; i > 0; i--)
        x = x << 8 | p[i - 1];
    return x;
}

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
static opt_status parse_descr(const reader *r, const char *text, header *h)
{
    const char *p = value_of(text, "'descr'");

    if (p == NULL || p[0] != '\'' || p[1] == '\0' || p[2] == '\0' || p[3] == '\0' || p[4] != '\'')
        return malformed(r, "the header has no 'descr' of a plain type");
    h->kind = p[2];
    h->bytes = p[3] - '0';
    if (p[1] == '>')
        return malformed(r, "big-endian data cannot be read");
    if (p[1] != '<' && p[1] != '|')
        return malformed(r, "the byte order in 'descr' is neither '<' nor '|'");
    if ((h->kind == 'f' && (h->bytes == 4 || h->bytes == 8)) || (h->kind == 'b' && h->bytes == 1) ||
        ((h->kind == 'i' || h->kind == 'u') &&
         (h->bytes == 1 || h->bytes == 2 || h->bytes == 4 || h->bytes == 8)))
        return OPT_OK;
    return opt__fail(r->ctx, OPT_EFORMAT, "%s: elements of type '%.3s' cannot be read", r->path, p + 1);
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
static opt_status parse_shape(const reader *r, const char *text, header *h)
{
    const char *p = value_of(text, "'shape'");

    if (p == NULL || *p != '(')
        return malformed(r, "the header has no 'shape'");
    p = skip_spaces(p + 1);
    while (*p != ')') {
        if (h->ndim == OPT_MAX_DIMS)
            return malformed(r, "the array has more than 4 dimensions");
        h->dim[h->ndim] = parse_dim(&p);
        if (h->dim[h->ndim] < 0)
            return malformed(r, "the 'shape' in the header cannot be read");
        if (h->dim[h->ndim++] == 0)
            return malformed(r, "the array is empty");
        p = skip_spaces(p);
        if (*p == ',')
            p = skip_spaces(p + 1);
        else if (*p != ')')
            return malformed(r, "the 'shape' in the header cannot be read");
    }
    if (opt__count(OPT_F64, h->ndim, h->dim) < 0)
        return malformed(r, "the size of the array overflows");
    return OPT_OK;
}

static opt_status read_header(const reader *r, header *h)
{
    unsigned char start[12];
    char text[MAX_HEADER + 1];
    const char *order;
    uint64_t length;
    opt_status s = read_bytes(r, start, 8, "the header");

    if (s)
        return s;
    if (memcmp(start, "\x93NUMPY", 6) != 0)
        return malformed(r, "not an .npy file");
    if (start[6] < 1 || start[6] > 3)
        return opt__fail(r->ctx, OPT_EFORMAT, "%s: .npy version %d is unknown", r->path, start[6]);
    s = read_bytes(r, start + 8, start[6] == 1 ? 2 : 4, "the header");
    if (s)
        return s;
    length = from_little_endian(start + 8, start[6] == 1 ? 2 : 4);
    if (length > MAX_HEADER)
        return malformed(r, "the header is too long");
    s = read_bytes(r, text, (size_t)length, "the header");
    if (s)
        return s;
    text[length] = '\0';
    order = value_of(text, "'fortran_order'");
    if (order == NULL)
        return malformed(r, "the header has no 'fortran_order'");
    if (strncmp(order, "False", 5) != 0)
        return malformed(r, "arrays in Fortran order cannot be read");
    s = parse_descr(r, text, h);
    return s ? s : parse_shape(r, text, h);
}

/* ---- The elements -------------------------------------------------------------------------------------- */

/* One element as a double; *exact is cleared when it does not fit. */
static double decode(const header *h, const unsigned char *p, bool *exact)
{
    uint64_t bits = from_little_endian(p, h->bytes);
    double x;

    if (h->kind == 'f' && h->bytes == 8) {
        memcpy(&x, &bits, sizeof x);
        return x;
    }
    if (h->kind == 'f') {
        const uint32_t half = (uint32_t)bits;
        float f;
        memcpy(&f, &half, sizeof f);
        return (double)f;
    }
    if (h->kind == 'i' && bits >> (8 * h->bytes - 1)) {
        const uint64_t magnitude = (~bits & (UINT64_MAX >> (64 - 8 * h->bytes))) + 1;
        *exact = *exact && magnitude <= UINT64_C(1) << 53;
        return -(double)magnitude;
    }
    *exact = *exact && bits <= UINT64_C(1) << 53;
    return (double)bits;
}

static opt_status read_elements(const reader *r, const header *h, opt_tensor *t)
{
    enum { MOST = 512 };
    unsigned char buffer[MOST * 8];
    const int64_t n = opt_tensor_len(t);

    for (int64_t i = 0; i < n; i += MOST) {
        const int64_t len = n - i < MOST ? n - i : MOST;
        bool exact = true;
        opt_status s = read_bytes(r, buffer, (size_t)(len * h->bytes), "the elements");

        if (s)
            return s;
        for (int64_t k = 0; k < len; k++)
            opt_set(t, i + k, decode(h, buffer + k * h->bytes, &exact));
        if (!exact)
            return opt__fail(r->ctx, OPT_EFORMAT, "%s: an integer among elements %lld to %lld is beyond 2^53",
                             r->path, (long long)i, (long long)(i + len - 1));
    }
    if (fgetc(r->file) != EOF)
        return malformed(r, "there is more after the last element");
    return OPT_OK;
}

/* OPT_OK when the file, whose header has been read, holds as many bytes as its shape says. */
static opt_status check_size(const reader *r, const header *h)
{
    const int64_t want = opt__count(OPT_F64, h->ndim, h->dim) * h->bytes;
    const long start = ftell(r->file);
    long end;

    if (start < 0 || fseek(r->file, 0, SEEK_END) != 0)
        return opt__fail(r->ctx, OPT_EIO, "%s: cannot tell the file's size", r->path);
    end = ftell(r->file);
    if (end < 0 || fseek(r->file, start, SEEK_SET) != 0)
        return opt__fail(r->ctx, OPT_EIO, "%s: cannot tell the file's size", r->path);
    if (end - start != want)
        return opt__fail(r->ctx, OPT_EFORMAT, "%s: %lld bytes of elements where the shape says %lld", r->path,
                         (long long)(end - start), (long long)want);
    return OPT_OK;
}

opt_status opt_read_npy(opt_ctx *ctx, const char *path, opt_tensor *out)
{
    reader r = {ctx, path, NULL};
    opt_status s = opt__enter(ctx);
    opt_tensor t = {0};
    header h = {0};

    if (s)
        return s;
    if (path == NULL || out == NULL)
        return opt__fail(ctx, OPT_EINVAL, "read_npy: %s is NULL", path ? "out" : "path");
    r.file = fopen(path, "rb");
    if (r.file == NULL)
        return opt__fail(ctx, OPT_EIO, "%s: cannot be opened", path);
    s = read_header(&r, &h);
    if (!s)
        s = check_size(&r, &h);
    if (!s)
        s = opt_tensor_new(ctx, h.kind == 'f' && h.bytes == 4 ? OPT_F32 : OPT_F64, h.ndim, h.dim, &t);
    if (!s)
        s = read_elements(&r, &h, &t);
    fclose(r.file);
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

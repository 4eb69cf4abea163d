/* SPDX-License-Identifier: MIT
 *
 * The IDX format of MNIST (yann.lecun.com/exdb/mnist): two zero bytes, the elements' type, the number of
 * dimensions, these as 32-bit integers, the elements; the highest byte first. Files compressed by gzip are
 * read where the build has found zlib; twice, so that nothing is allocated that they do not hold.
 */
#define _POSIX_C_SOURCE 200809L /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

#include <string.h>
#ifdef OPT__ZLIB
#include <zlib.h>
#endif

#include <opt/data.h>

#include "base/system.h"
#include "data/elements.h"
#include "tensor/tensor.h"

#define BUFFER 4096

typedef struct idx {
    opt__file file;
    void *gz; /* a gzFile; NULL: the file is not compressed */
    opt__elements elements;
} idx;

/* ---- Bytes, compressed or not -------------------------------------------------------------------------- */

#ifdef OPT__ZLIB

static opt_status start_decompressing(idx *x)
{
    const int descriptor = fcntl(fileno(x->file.stream), F_DUPFD_CLOEXEC, 0); /* gzclose closes it */

    if (descriptor < 0 || lseek(descriptor, 0, SEEK_SET) != 0) {
        if (descriptor >= 0)
            close(descriptor);
        return opt__fail(x->file.ctx, OPT_EIO, "%s: cannot be opened once more", x->file.path);
    }
    x->gz = gzdopen(descriptor, "rb");
    if (x->gz == NULL) {
        close(descriptor);
        return opt__no_memory(x->file.ctx, x->file.path);
    }
    return OPT_OK;
}

static void stop_decompressing(idx *x)
{
    if (x->gz != NULL)
        gzclose(x->gz);
}

/* Reads n bytes of `what`, or fewer at the end; *got says how many. */
static opt_status decompress(idx *x, void *to, size_t n, const char *what, size_t *got)
{
    const int len = gzread(x->gz, to, (unsigned)n);
    int error = Z_OK;

    if (len < 0 || (size_t)len < n)
        (void)gzerror(x->gz, &error);
    *got = len < 0 ? 0 : (size_t)len;
    if (error == Z_MEM_ERROR) /* zlib takes its memory at the first byte */
        return opt__no_memory(x->file.ctx, x->file.path);
    if (error == Z_ERRNO)
        return opt__fail(x->file.ctx, OPT_EIO, "%s: reading %s failed", x->file.path, what);
    if (len < 0 || error != Z_OK)
        return opt__malformed(&x->file, "the compressed data ends or is damaged within %s", what);
    return OPT_OK;
}

static bool decompress_again(idx *x)
{
    return gzrewind(x->gz) == 0;
}

#else

static opt_status start_decompressing(idx *x)
{
    return opt__malformed(&x->file, "compressed, and this build has no zlib to read it with");
}

static void stop_decompressing(idx *x)
{
    (void)x;
}

static opt_status decompress(idx *x, void *to, size_t n, const char *what, size_t *got)
{
    (void)x, (void)to, (void)n, (void)what;
    *got = 0;
    return OPT_EFORMAT; /* never called */
}

static bool decompress_again(idx *x)
{
    (void)x;
    return false;
}

#endif

static opt_status read_bytes(idx *x, void *to, size_t n, const char *what)
{
    size_t got = 0;
    opt_status s;

    if (x->gz == NULL)
        return opt__file_read(&x->file, to, n, what);
    s = decompress(x, to, n, what, &got);
    if (s)
        return s;
    return got == n ? OPT_OK : opt__malformed(&x->file, "the file ends within %s", what);
}

/* ---- The header ---------------------------------------------------------------------------------------- */

static opt_status set_type(idx *x, int type)
{
    static const struct {
        int type;
        char kind;
        int bytes;
    } types[] = {{0x08, 'u', 1}, {0x09, 'i', 1}, {0x0b, 'i', 2},
                 {0x0c, 'i', 4}, {0x0d, 'f', 4}, {0x0e, 'f', 8}};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == type) {
            x->elements.kind = types[i].kind;
            x->elements.bytes = types[i].bytes;
            return OPT_OK;
        }
    return opt__malformed(&x->file, "elements of type 0x%02x are unknown", (unsigned)type);
}

static opt_status read_header(idx *x)
{
    opt__elements *e = &x->elements;
    unsigned char start[4], size[4];
    opt_status s = read_bytes(x, start, sizeof start, "the header");

    if (s)
        return s;
    if (start[0] != 0 || start[1] != 0)
        return opt__malformed(&x->file, "not an IDX file");
    s = set_type(x, start[2]);
    if (s)
        return s;
    e->big_endian = true;
    e->ndim = start[3];
    e->start = 4 + 4 * (int64_t)e->ndim;
    if (e->ndim < 1 || e->ndim > OPT_MAX_DIMS)
        return opt__malformed(&x->file, "%d dimensions where 1 to 4 can be read", e->ndim);
    for (int d = 0; d < e->ndim; d++) {
        s = read_bytes(x, size, sizeof size, "the header");
        if (s)
            return s;
        e->dim[d] = (int64_t)opt__from_big_endian(size, 4);
        if (e->dim[d] == 0)
            return opt__malformed(&x->file, "the array is empty");
    }
    return opt__count(OPT_F64, e->ndim, e->dim) < 0
               ? opt__malformed(&x->file, "the size of the array overflows")
               : OPT_OK;
}

/* ---- The elements -------------------------------------------------------------------------------------- */

/* Reads compressed data to its end and goes back to the first element. */
static opt_status check_compressed(idx *x, int64_t left)
{
    unsigned char buffer[BUFFER];
    size_t got;

    do {
        opt_status s = decompress(x, buffer, sizeof buffer, "the elements", &got);

        if (s)
            return s;
        left -= (int64_t)got;
        if (left < 0)
            return opt__malformed(&x->file, "there is more after the last element");
    } while (got > 0);
    if (left > 0)
        return opt__malformed(&x->file, "the file ends within the elements");
    return decompress_again(x) ? read_bytes(x, buffer, (size_t)x->elements.start, "the header")
                               : opt__fail(x->file.ctx, OPT_EIO, "%s: cannot be read again", x->file.path);
}

/* OPT_OK when the file, whose header has been read, holds as many bytes as that says. */
static opt_status check_size(idx *x)
{
    const int64_t want = opt__count(OPT_F64, x->elements.ndim, x->elements.dim) * x->elements.bytes;

    if (x->gz != NULL)
        return check_compressed(x, want);
    return x->file.size - x->file.at == want
               ? OPT_OK
               : opt__malformed(&x->file, "%lld bytes of elements where the header says %lld",
                                (long long)(x->file.size - x->file.at), (long long)want);
}

opt_status opt__idx_header(opt__file *f, opt__elements *e)
{
    idx x = {.file = *f};
    opt_status s = read_header(&x);

    *e = x.elements;
    return s ? s : check_size(&x);
}

static opt_status read_elements(idx *x, opt_tensor *t)
{
    const opt__conversion conversion = {
        .file = &x->file, .elements = &x->elements, .scale = 1, .dtype = t->dtype};
    unsigned char buffer[BUFFER];
    const int64_t n = opt_tensor_len(t), most = BUFFER / x->elements.bytes;

    for (int64_t i = 0; i < n; i += most) {
        const int64_t len = n - i < most ? n - i : most;
        opt_status s = read_bytes(x, buffer, (size_t)(len * x->elements.bytes), "the elements");

        if (!s)
            s = opt__convert(&conversion, buffer, i, len, opt__at(t, i));
        if (s)
            return s;
    }
    return OPT_OK;
}

static opt_status read_idx(idx *x, opt_dtype dtype, opt_tensor *t)
{
    int first[2];
    opt_status s = opt__file_peek(&x->file, first);

    if (!s && first[0] == 0x1f && first[1] == 0x8b)
        s = start_decompressing(x);
    if (!s)
        s = read_header(x);
    if (!s)
        s = check_size(x);
    if (!s)
        s = opt_tensor_new(x->file.ctx, dtype, x->elements.ndim, x->elements.dim, t);
    return s ? s : read_elements(x, t);
}

opt_status opt_read_idx(opt_ctx *ctx, const char *path, opt_dtype dtype, opt_tensor *out)
{
    opt_status s = opt__enter(ctx);
    opt_tensor t = {0};
    idx x = {0};

    if (s)
        return s;
    if (path == NULL || out == NULL)
        return opt__fail(ctx, OPT_EINVAL, "read_idx: %s is NULL", path ? "out" : "path");
    if (dtype != OPT_F32 && dtype != OPT_F64)
        return opt__fail(ctx, OPT_EDTYPE, "read_idx: dtype = %d is neither OPT_F32 nor OPT_F64", (int)dtype);
    s = opt__file_open(ctx, path, &x.file);
    if (s)
        return s;
    s = read_idx(&x, dtype, &t);
    stop_decompressing(&x);
    opt__file_close(&x.file);
    if (s)
        opt_tensor_free(ctx, &t);
    else
        *out = t;
    return s;
}

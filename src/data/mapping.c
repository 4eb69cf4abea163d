/* SPDX-License-Identifier: MIT
 *
 * Files of rows, mapped or read.
 */
#define _DEFAULT_SOURCE /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) madvise */

#include "data/mapping.h"

#include <errno.h>
#include <string.h>

#include "base/system.h"

#define RESIDENT     ((int64_t)64 << 20) /* bytes of a mapping, before its pages are given back */
#define LARGEST_PAGE ((int64_t)2 << 20)

/* ---- Opening ------------------------------------------------------------------------------------------- */

/* Whether rows lie one behind the other: in Fortran order, only where one dimension at most is not 1. */
static bool has_rows(const opt__elements *e)
{
    int larger = 0;

    for (int d = 0; d < e->ndim; d++)
        larger += e->dim[d] > 1;
    return !e->fortran_order || larger <= 1;
}

static opt_status read_header(opt__mapping *m)
{
    opt__file *f = &m->file;
    opt__elements *e = &m->elements;
    int first[2];
    opt_status s = opt__file_peek(f, first);
    bool npy;

    if (s)
        return s;
    npy = first[0] == 0x93;
    if (first[0] == 0x1f && first[1] == 0x8b)
        return opt__malformed(f, "compressed by gzip: only opt_read_idx can read it");
    if (!npy && (first[0] != 0 || first[1] != 0))
        return opt__malformed(f, "neither an .npy nor an IDX file");
    s = npy ? opt__npy_header(f, e) : opt__idx_header(f, e);
    if (s)
        return s;
    if (e->ndim == 0)
        return opt__malformed(f, "a single number, not rows");
    if (!has_rows(e))
        return opt__malformed(f, "in Fortran order, where rows are scattered: only opt_read_npy can read it");
    m->dtype = npy ? opt__npy_dtype(e) : e->bytes <= (e->kind == 'f' ? 4 : 2) ? OPT_F32 : OPT_F64;
    m->rows = e->dim[0];
    m->cols = 1;
    for (int d = 1; d < e->ndim; d++)
        m->cols *= e->dim[d];
    return OPT_OK;
}

static opt_status keep_path(opt__mapping *m, const char *path)
{
    const size_t n = strlen(path) + 1;

    m->path = opt__alloc(m->file.ctx, (int64_t)n, 1);
    if (m->path == NULL)
        return opt__no_memory(m->file.ctx, "stream");
    memcpy(m->path, path, n);
    m->file.path = m->path;
    return OPT_OK;
}

static opt_status map(opt__mapping *m)
{
    const size_t size = (size_t)m->file.size;
    void *bytes = MAP_FAILED;

    if ((int64_t)size == m->file.size) /* GCOVR_EXCL_BR_LINE: always where a size_t has 64 bits */
        bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, m->descriptor, 0);
    if (bytes == MAP_FAILED)
        return opt__fail(m->file.ctx, OPT_EIO, "%s: %lld bytes cannot be mapped", m->file.path,
                         (long long)m->file.size);
    m->bytes = bytes;
    if (m->file.size > RESIDENT)
        (void)madvise(bytes, size, MADV_SEQUENTIAL); /* only a hint */
    return OPT_OK;
}

opt_status opt__mapping_open(opt_ctx *ctx, const char *path, opt__mapping *out)
{
    opt__mapping m = {.descriptor = -1};
    opt_status s = opt__file_open(ctx, path, &m.file);

    if (s)
        return s;
    s = read_header(&m);
    if (!s) {
        m.descriptor = fcntl(fileno(m.file.stream), F_DUPFD_CLOEXEC, 0);
        if (m.descriptor < 0)
            s = opt__fail(ctx, OPT_EIO, "%s: cannot be opened once more", path);
    }
    opt__file_close(&m.file);
    m.file.stream = NULL;
    if (!s)
        s = keep_path(&m, path);
    if (!s)
        s = map(&m);
    if (s)
        opt__mapping_close(&m);
    else
        *out = m;
    return s;
}

void opt__mapping_close(opt__mapping *m)
{
    if (m->bytes != NULL)
        munmap(m->bytes, (size_t)m->file.size);
    if (m->descriptor >= 0)
        close(m->descriptor);
    opt__free(m->file.ctx, m->path);
}

/* ---- Rows ---------------------------------------------------------------------------------------------- */

static opt_status shrunk(const opt__mapping *m)
{
    return opt__fail(m->file.ctx, OPT_EIO, "%s: the file has shrunk since it was opened", m->file.path);
}

opt_status opt__mapping_expect(opt__mapping *m, const int64_t *row, const uint32_t *order, int64_t n)
{
    const int64_t first = row[order[0]], last = row[order[n - 1]];
    const bool follows = first == m->next;
    bool in_order = follows || n > 1;
    struct stat about;

    if (fstat(m->descriptor, &about) != 0 || about.st_size < m->file.size)
        return shrunk(m);
    for (int64_t i = 1; in_order && i < n; i++)
        in_order = row[order[i]] == first + i;
    m->use_bytes = in_order || m->file.size <= RESIDENT;
    if (m->use_bytes && !follows)
        m->touched += 2 * LARGEST_PAGE; /* those in which the rows begin and end */
    m->next = last + 1;
    return OPT_OK;
}

void opt__mapping_hint(const opt__mapping *m, int64_t row)
{
#ifdef POSIX_FADV_WILLNEED
    const int64_t bytes = m->cols * m->elements.bytes;

    if (!m->use_bytes)
        (void)posix_fadvise(m->descriptor, m->elements.start + row * bytes, bytes, POSIX_FADV_WILLNEED);
#else
    (void)m, (void)row;
#endif
}

static opt_status read_at(const opt__mapping *m, int64_t at, int64_t n, unsigned char *to)
{
    while (n > 0) {
        const ssize_t got = pread(m->descriptor, to, (size_t)n, at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return opt__fail(m->file.ctx, OPT_EIO, "%s: reading the elements failed", m->file.path);
        if (got == 0)
            return shrunk(m);
        to += got;
        at += got;
        n -= got;
    }
    return OPT_OK;
}

opt_status opt__mapping_fetch(opt__mapping *m, int64_t row, int64_t first, int64_t n, unsigned char *buffer,
                              const unsigned char **p)
{
    const int64_t at = m->elements.start + (row * m->cols + first) * m->elements.bytes;

    n *= m->elements.bytes;
    if (!m->use_bytes) {
        *p = buffer;
        return read_at(m, at, n, buffer);
    }
    m->touched += n;
    if (m->touched > RESIDENT && m->file.size > RESIDENT) {
        (void)madvise(m->bytes, (size_t)m->file.size, MADV_DONTNEED); /* shared: read again when needed */
        m->touched = n;
    }
    *p = m->bytes + at;
    return OPT_OK;
}

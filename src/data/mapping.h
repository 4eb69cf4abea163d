/* SPDX-License-Identifier: MIT
 *
 * A file of rows on disk, whose bytes are had in the cheapest way. A file of up to 64 MiB is mapped into
 * memory, and so are rows in order of a larger one, the pages behind being given back. Rows here and there of
 * a larger one are read instead: a page of a mapping may be 2 MiB, resident in whole for the sake of one row.
 */
#ifndef OPT_DATA_MAPPING_H
#define OPT_DATA_MAPPING_H

#include "data/elements.h"

typedef struct opt__mapping {
    opt__file file; /* its stream is closed */
    char *path;     /* the file's, a copy */
    opt__elements elements;
    opt_dtype dtype; /* that holds every element of this type; of an .npy file, opt_read_npy's */
    int64_t rows, cols;
    int descriptor;
    unsigned char *bytes; /* [file.size]; NULL: not open */
    bool use_bytes;       /* for the rows expected, or else the descriptor */
    int64_t next;         /* the row after those last expected */
    int64_t touched;      /* bytes that may be resident */
} opt__mapping;

/* Opens an .npy or IDX file, told by its first bytes. OPT_EIO, OPT_EFORMAT, OPT_ENOMEM; then there is nothing
 * to close. */
opt_status opt__mapping_open(opt_ctx *ctx, const char *path, opt__mapping *out);
void opt__mapping_close(opt__mapping *m);

/* Says which rows will be fetched: row[order[0..n)], which ascend. OPT_EIO when the file has shrunk. */
opt_status opt__mapping_expect(opt__mapping *m, const int64_t *row, const uint32_t *order, int64_t n);

/* Has the disk begin to read one of them, where that would not happen by itself. */
void opt__mapping_hint(const opt__mapping *m, int64_t row);

/* *p <- where cols [first, first + n) of one of them are: in the mapping, or in buffer, which has room for
 * them. OPT_EIO. */
opt_status opt__mapping_fetch(opt__mapping *m, int64_t row, int64_t first, int64_t n, unsigned char *buffer,
                              const unsigned char **p);

#endif

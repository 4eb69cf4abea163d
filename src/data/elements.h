/* SPDX-License-Identifier: MIT
 *
 * What .npy and IDX files have in common: behind a header, elements of one type, one after the other.
 */
#ifndef OPT_DATA_ELEMENTS_H
#define OPT_DATA_ELEMENTS_H

#include <opt/tensor.h>

#include "file/file.h"

typedef struct opt__elements {
    char kind; /* 'f', 'i' or 'u' */
    int bytes; /* of one */
    bool big_endian;
    bool fortran_order; /* the first index changes fastest */
    int ndim;
    int64_t dim[OPT_MAX_DIMS];
    int64_t start; /* bytes of the file before the first */
} opt__elements;

/* Read the header of a file just opened; *e is complete, and the file as long as it says, when all is well.
 * opt__idx_header takes a file that is not compressed. */
opt_status opt__npy_header(opt__file *f, opt__elements *e);
opt_status opt__idx_header(opt__file *f, opt__elements *e);

/* What opt_read_npy reads them as. */
opt_dtype opt__npy_dtype(const opt__elements *e);

/* How elements become numbers of a tensor. */
typedef struct opt__conversion {
    const opt__file *file; /* for messages */
    const opt__elements *elements;
    double scale; /* what every one is multiplied by */
    opt_dtype dtype;
} opt__conversion;

/* to[0..n), of the dtype, <- n elements at `from`, the first of which is number `first` of the file. Each is
 * decoded exactly, multiplied in f64 and rounded. OPT_EFORMAT names one that is an integer beyond 2^53 or,
 * where the scale is 1, not exact in the dtype, and one that becomes infinite. */
opt_status opt__convert(const opt__conversion *c, const unsigned char *from, int64_t first, int64_t n,
                        void *to);

#endif

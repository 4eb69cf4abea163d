/* SPDX-License-Identifier: MIT
 *
 * Data to try things on, and arrays in files.
 */
#ifndef OPT_DATA_H
#define OPT_DATA_H

#include "batch.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Two interleaving half circles with normal noise of deviation `noise`: x [n, 2] and y [n, 1] (0 outer, 1
 * inner), f64. Equal, within 1e-14, to scikit-learn's make_moons(n, noise=noise) after
 * np.random.seed(seed). Release both tensors with opt_tensor_free. OPT_EINVAL for n below 1 or a noise that
 * is negative or not finite; OPT_ESHAPE when the size overflows; OPT_ENOMEM. */
opt_status opt_moons(opt_ctx *ctx, int64_t n, double noise, uint32_t seed, opt_table *out);

/* Readers. Files may be anything: what is wrong with one is said in the message, which begins with the path,
 * and *out is then untouched. OPT_EFORMAT: it is not what its format says; OPT_EIO: it cannot be read, or is
 * not a regular file. They allocate no more than the file's size warrants. Release *out with opt_tensor_free.
 */

/* NumPy's .npy format, version 1 to 3, either byte order, C or Fortran order (*out is always in C order): f2
 * and f4 as OPT_F32, f8 as OPT_F64, and booleans and integers of any width as OPT_F64, provided that no
 * magnitude is above 2^53. */
opt_status opt_read_npy(opt_ctx *ctx, const char *path, opt_tensor *out);

/* How to read comma-separated values. {0}: every field is a number, there is no header. */
typedef struct opt_csv_opts {
    const char *const *names; /* [ncolumns]: the columns wanted, as the header has them, in this order; or */
    const int64_t *columns;   /* [ncolumns]: their numbers, from 0 */
    int64_t ncolumns;         /* 0: all columns */
    double missing;           /* what an empty field counts as, when it is */
    bool missing_ok;          /* no error */
    bool header;              /* the first record has names, not numbers */
    char delimiter;           /* 0 means ',' */
    opt_dtype dtype;          /* 0 means OPT_F64 */
} opt_csv_opts;

/* Comma-separated values (RFC 4180: fields may be quoted, and then hold delimiters, line ends and doubled
 * quotes; there is nothing between the quotes and the delimiters), as [records, columns]. Lines end in CRLF
 * or LF; blank ones, a UTF-8 byte order mark and spaces around numbers are passed over. Numbers are decimal,
 * with a point whatever the locale, rounded correctly; "inf" and "nan" count. Columns not wanted may hold
 * anything; a name has up to 1024 bytes. OPT_EFORMAT names the line, and the field from 1: every record must
 * have as many fields as the first. OPT_EINVAL, OPT_EDTYPE: opts make no sense. opts may be NULL. */
opt_status opt_read_csv(opt_ctx *ctx, const char *path, const opt_csv_opts *opts, opt_tensor *out);

/* MNIST's IDX format, up to four dimensions, as dtype: its bytes as 0 to 255, and so on; OPT_EFORMAT also
 * when dtype cannot hold an element exactly (integers) or at all. Files compressed by gzip are read where the
 * library was built with zlib, and refused with a message otherwise. */
opt_status opt_read_idx(opt_ctx *ctx, const char *path, opt_dtype dtype, opt_tensor *out);

/* Writes t as .npy version 1, <f4 or <f8. A file beside path (path.opt-tmp0 or the like) is written, flushed
 * to the disk and renamed, so that on failure (OPT_EIO) whatever stood at path is still there; a link at path
 * is replaced, not followed; a device or folder is not replaced. */
opt_status opt_write_npy(opt_ctx *ctx, const char *path, const opt_tensor *t);

/* Streams: examples in files larger than memory, for opt_batches. The batches are those of opt_source_table
 * over the same files read into memory, bit for bit; less than 200 MB of them are ever resident. */
typedef struct opt_stream_opts {
    opt_dtype dtype; /* of x and y. 0: of an .npy file of x, opt_read_npy's; of an IDX file, OPT_F32 for
                        integers of up to 16 bits and f4, OPT_F64 otherwise */
    double x_scale;  /* every element of x is multiplied by it, 1.0 / 255 for images of bytes; 0 means 1 */
    int64_t classes; /* y holds labels 0 to classes - 1, and each becomes a row with a 1 in its column, as
                        opt_one_hot has it; 0: y as it is */
} opt_stream_opts;

/* Files of examples, open. */
typedef struct opt_stream opt_stream;

/* Opens .npy and IDX files, told by their first bytes, with as many rows (the first dimension) in x as in y;
 * y_path NULL: no labels. All that opt_read_npy and opt_read_idx take can be streamed, but for compressed
 * files and Fortran order. Each element is decoded, multiplied in f64 and rounded to dtype, when its row is
 * read: then OPT_EFORMAT names an integer beyond 2^53 or, unless scaled, not exact in dtype, an element that
 * becomes infinite, or a label that is none. OPT_ESHAPE when x and y do not fit, OPT_EINVAL, OPT_EDTYPE,
 * OPT_ENOMEM; OPT_EIO and OPT_EFORMAT as above. opts may be NULL.
 *
 * The files stay open, and must not be changed meanwhile. One that has become shorter fails the next read
 * with OPT_EIO; if that happens in the middle of a read, or the disk fails then, the system may send SIGBUS.
 */
opt_status opt_stream_open(opt_ctx *ctx, const char *x_path, const char *y_path, const opt_stream_opts *opts,
                           opt_stream **out);

/* NULL is allowed. */
void opt_stream_close(opt_stream *stream);

/* A source over the stream, which must outlive it. Nothing is allocated when it is read. */
opt_source opt_source_stream(opt_stream *stream);

/* ---- Before training ----------------------------------------------------------------------------------- */

/* Deals a table's rows out at random, the order being np.random.permutation's after np.random.seed(seed):
 * the first fraction of it, rounded to whole rows, to *held, for validation, and the rest to *train. Both get
 * tensors of their own. OPT_EINVAL when one would be empty; OPT_ENOMEM. */
opt_status opt_split(opt_ctx *ctx, const opt_table *all, double fraction, uint32_t seed, opt_table *train,
                     opt_table *held);

/* The mean and the standard deviation (divided by n) of each column of x [rows, columns], as f64 of
 * [columns]. OPT_ENONFINITE names an element that is not finite. Release both with opt_tensor_free. */
opt_status opt_moments(opt_ctx *ctx, const opt_tensor *x, opt_tensor *mean, opt_tensor *deviation);

/* x <- (x - mean) / deviation, column by column; a deviation of 0 counts as 1. Give what opt_moments found in
 * the training data to validation and new data alike. OPT_ESHAPE; OPT_EINVAL for moments that are none. */
opt_status opt_standardise(opt_ctx *ctx, const opt_tensor *mean, const opt_tensor *deviation, opt_tensor *x);

/* *out [n, classes] <- a row for each of n labels 0, 1, ..., with a 1 in the label's column and zeros, of the
 * labels' dtype: what softmax's loss wants. classes 0: as many as the largest label asks for. OPT_EINVAL
 * names a label that is none. */
opt_status opt_one_hot(opt_ctx *ctx, const opt_tensor *labels, int64_t classes, opt_tensor *out);

#ifdef __cplusplus
}
#endif
#endif

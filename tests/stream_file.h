/* SPDX-License-Identifier: MIT
 *
 * Small files that are streamed, and what came of it.
 */
#ifndef TESTS_STREAM_FILE_H
#define TESTS_STREAM_FILE_H

#include "idx_file.h"
#include "support.h"

/* Writes f to disk, as a new file. */
void stream_spill(const char *path, const idx_file *f);

/* f <- an .npy file with n bytes of these elements; or a small one, <i2 [3, 2]: 1, 2, 3, 4, 5, -1. */
void stream_make_npy(idx_file *f, const char *descr, const char *order, const char *shape,
                     const void *elements, size_t n);
void stream_make_small(idx_file *f);

/* What the last attempt came to; the elements when all went well. */
typedef struct stream_result {
    char message[512];
    int64_t rows, x_cols, y_cols;
    double x[1000], y[1000];
} stream_result;
extern stream_result stream_got;

/* Opens a stream over the files and reads all rows. *out is untouched when it cannot be opened; nothing is
 * allocated when it is read, and neither memory nor a descriptor is kept. */
opt_status stream_attempt(const char *x, const char *y, const opt_stream_opts *opts);

/* Fails unless a and b have the same shape and bytes; or no data, both. */
void stream_assert_same(const opt_tensor *a, const opt_tensor *b);

/* Fails unless two sources give the same batches in so many epochs, to the last bit. */
void stream_compare_epochs(opt_ctx *ctx, const opt_source *a, const opt_source *b,
                           const opt_batches_opts *opts, int64_t epochs);

/* Fails unless an attempt came to `want` with `part` in its message. */
void stream_check(opt_status s, opt_status want, const char *part);

#endif

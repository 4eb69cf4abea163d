/* SPDX-License-Identifier: MIT
 *
 * Mini-batches: an epoch visits every example once, in a random or the given order, cut into batches. The
 * order of epoch e is np.random.permutation(rows) after np.random.seed(seed + e): a function of seed + e
 * alone, so any epoch can be begun at any time and a run can be taken up where it was left.
 *
 * size 1 is stochastic gradient descent, size = rows is batch gradient descent.
 */
#ifndef OPT_BATCH_H
#define OPT_BATCH_H

#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where examples come from: a table in memory (opt_source_table), or anything that can fill in rows.
 *
 * read fills x [n, x_cols] and y [n, y_cols], both of `dtype`, with the examples row[0..n), each in [0,
 * rows), and returns OPT_OK, or any status but OPT_END and OPT_STOP, which opt_batches_next passes on. With
 * y_cols 0 (no labels) y is a zeroed tensor. */
typedef struct opt_source {
    int64_t rows, x_cols, y_cols;
    opt_dtype dtype;
    opt_status (*read)(void *ud, const int64_t *row, int64_t n, opt_tensor *x, opt_tensor *y);
    void *ud;
} opt_source;

/* Examples in memory: row i of x belongs to row i of y. A tensor of one dimension counts as one column, one
 * of more than two as dim[1] * dim[2] * ... columns. y may be zeroed: no labels. One with a dtype but without
 * data is refused. */
typedef struct opt_table {
    opt_tensor x, y;
} opt_table;

typedef struct opt_batches_opts {
    int64_t size;   /* examples a batch; 0 means 64, or all of them if there are fewer */
    uint32_t seed;  /* epoch e is shuffled by seed + e (mod 2^32) */
    bool in_order;  /* do not shuffle */
    bool drop_last; /* leave out a last batch smaller than size */
    int64_t chunk;  /* rows that the network takes at a time, in [1, 64]; 0 means 64. A batch's loss and
                       gradient are a tree over its chunks, and no chunk is split among ranks: so that 8 ranks
                       may share batches of 64, it is 8 */
} opt_batches_opts;

/* One batch, valid until the next call with the same opt_batches. x is [n, x_cols], y [n, y_cols]; with
 * several ranks, these are this rank's rows of it (data NULL when there are none).
 *
 * Ranks share a batch's tree of chunks: the left half, which is of the first 2^k chunks, k as large as can be
 * with one left, belongs to the first half of the ranks, of an odd number the larger one, and so on down; the
 * last chunk may be smaller. Batches of 2^k chunks on 2^j ranks are shared evenly. */
typedef struct opt_batch {
    opt_tensor x, y;
    int64_t index;       /* from 0 within the epoch */
    int64_t global_rows; /* rows of the batch over all ranks */
    opt_tensor weight;   /* [n], f64: how often each loss counts; set by opt_train; data NULL: once each */
    int64_t chunk;       /* rows of each chunk but perhaps the last, at most 64; 0 means 64 */

    /* To be called by a model, if it likes, when the gradients of its parameters from the first-th on are
     * what grad will leave in them, on the thread that called grad: their sums over ranks may then begin.
     * NULL: no one waits for them. */
    void (*ready)(void *ready_ud, int first);
    void *ready_ud;
} opt_batch;

/* A source cut into batches, epoch by epoch: the order, the place in it, and room for one batch. */
typedef struct opt_batches opt_batches;

/* A source over *table, which must outlive it, tensors included; its `rows` may be lowered to leave the last
 * ones out. It is only read, by as many batches as there may be, of other contexts and threads too.
 * opt_batches_new checks the table. After that the tensors may change their elements, not their
 * shapes. */
opt_source opt_source_table(const opt_table *table);

/* opts may be NULL. The source is copied; its ud must outlive *out. Takes all memory: one batch and
 * 8 bytes a row. OPT_EINVAL for an empty source, no read, or a size below 1 or above the rows; OPT_ESHAPE or
 * OPT_EDTYPE for a table whose x and y do not fit; OPT_ENOMEM. */
opt_status opt_batches_new(opt_ctx *ctx, const opt_source *source, const opt_batches_opts *opts,
                           opt_batches **out);
void opt_batches_free(opt_batches *b);

/* Starts epoch `epoch`, from 1, at its first batch; opt_train then goes on from there. OPT_EINVAL. */
opt_status opt_batches_begin(opt_batches *b, int64_t epoch);

/* The next batch; OPT_END after the last one. When the source fails, its status is returned with a message
 * that names epoch and batch, and the next call tries the same batch again. OPT_EINVAL before
 * opt_batches_begin. */
opt_status opt_batches_next(opt_batches *b, opt_batch *out);

/* Batches an epoch. */
int64_t opt_batches_count(const opt_batches *b);

/* The last epoch that has been handed out to its end, 0 before the first: how far training has come. */
int64_t opt_batches_completed(const opt_batches *b);

#ifdef __cplusplus
}
#endif
#endif

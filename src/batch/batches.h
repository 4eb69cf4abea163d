/* SPDX-License-Identifier: MIT
 *
 * What the training loop sees of mini-batches, and the table source.
 */
#ifndef OPT_BATCH_BATCHES_H
#define OPT_BATCH_BATCHES_H

#include <opt/batch.h>

#include "base/context.h"
#include "rng/rng.h"

#define OPT__BATCH_CHUNK INT64_C(64) /* rows that a network takes at a time at most */

struct opt_batches {
    opt_ctx *ctx;
    opt_source source;
    opt_batches_opts opts; /* size and chunk filled in */
    int rank, ranks;       /* that share each batch */
    opt_tensor x, y;       /* room for the largest part of a batch; y zeroed when there are no labels */
    int64_t *order;        /* [rows] of the epoch begun */
    opt_rng *ahead; /* [OPT__ABREAST] streams for the epochs from first_ahead on; first_ahead 0: none yet */
    int64_t first_ahead;
    int64_t epoch;     /* begun; 0: none yet */
    int64_t next;      /* index of the next batch, or their count when the epoch is over */
    int64_t completed; /* epoch, when it has been handed out to its end, or the one before */

    /* The epoch's reported loss so far belongs to the place in the epoch: kept here by opt_train, so that a
     * run stopped in the middle goes on as if it had not been. */
    double loss_sum, last_loss;
    int64_t loss_rows;
};

/* opt_batches_new where each rank gets whole batches. */
opt_status opt__batches_new_whole(opt_ctx *ctx, const opt_source *source, const opt_batches_opts *opts,
                                  opt_batches **out);

/* Rows of batch `index`, over all ranks. */
int64_t opt__batch_rows(const opt_batches *b, int64_t index);

/* Whether a source reads from an opt_table, and whether that table is sound. */
bool opt__is_table(const opt_source *source);
opt_status opt__check_table(opt_ctx *ctx, const opt_table *table);

#endif

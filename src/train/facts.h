/* SPDX-License-Identifier: MIT
 *
 * What a checkpoint says beside tensors: lines of text in the metadata. Settings must be those of the objects
 * that are loaded into; the rest, counts and real numbers, is put back. Real numbers are hexadecimal
 * (0x1.8p+0), which is exact, the same in every locale, and read by C's strtod and Python's float.fromhex.
 */
#ifndef OPT_TRAIN_FACTS_H
#define OPT_TRAIN_FACTS_H

#include "base/ranks.h"
#include "batch/batches.h"
#include "optim/optim.h"
#include "safetensors/safetensors.h"

/* Where a run stands. */
typedef struct opt__place {
    double lr, last_lr, grad_norm, best_loss, loss_sum, last_loss;
    int64_t steps, best_epoch, best_from, reduced_epoch, best_kept, epoch, next, completed, loss_rows;
} opt__place;

/* Of optim and batches, which may be NULL. */
opt__place opt__place_of(const opt_optim *optim, const opt_batches *batches);

/* Adds what there is to say of optim and batches, which may be NULL, to the metadata. */
void opt__put_facts(opt__text *t, const opt_optim *optim, const opt_batches *batches);

/* The same for ranks to compare. */
void opt__list_facts(opt__lines *l, const opt_optim *optim, const opt_batches *batches);

/* A number in the fewest decimals, of 15 to 17, that say which it is. */
typedef struct opt__real_text {
    char text[40];
} opt__real_text;
opt__real_text opt__decimals(double x);

/* *place <- what a file's metadata says of it. OPT_EFORMAT when something is missing or makes no sense,
 * OPT_EINVAL when a setting is another one than that of optim or batches. */
opt_status opt__read_facts(const opt__safetensors *st, const opt_optim *optim, const opt_batches *batches,
                           opt__place *place);

#endif

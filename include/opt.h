/* SPDX-License-Identifier: MIT
 *
 * libopt: optimizers, mini-batches and small networks in C11.
 *
 * The headers are the manual. Read them in this order; each uses only those above it:
 *
 *     base.h     context, status codes, allocator
 *     tensor.h   dense arrays, matrix product, named parameters
 *     rng.h      random streams equal to NumPy's legacy ones
 *     batch.h    shuffled mini-batches over a table or any source
 *     methods.h  the optimizers there are: gradient descent, momentum, Adam, L-BFGS, ...
 *     optim.h    what applies them, or one of your own, to parameters
 *     mlp.h      a fully connected network of L layers
 *     train.h    the training loop, for any model; evaluation, models and checkpoints in files
 *     data.h     the two moons; NPY, CSV and IDX files; preparing data
 *     mpi.h      several machines: ranks of MPI (not included here; in libopt_mpi.a)
 *
 * Rules that hold everywhere:
 *   - A function that can fail returns opt_status; opt_errmsg(ctx) then says what and where, and every
 *     output argument is as it was before the call.
 *   - The library never prints, exits or aborts, and keeps no state outside a context.
 *   - In an options struct 0 (or NULL) means the default. In those of methods, optimizers, parameters and
 *     schedules OPT_ZERO means exactly 0.
 *   - One example a row. Memory is taken when an object is made, none by a training step (but by a network's
 *     first of more than 128 rows).
 */
#ifndef OPT_H
#define OPT_H

#include "opt/base.h"
#include "opt/tensor.h"
#include "opt/rng.h"
#include "opt/batch.h"
#include "opt/methods.h"
#include "opt/optim.h"
#include "opt/mlp.h"
#include "opt/train.h"
#include "opt/data.h"

#endif

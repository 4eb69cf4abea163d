/* SPDX-License-Identifier: MIT
 *
 * Training on several machines: ranks of MPI for opt_ctx_opts.comm. In libopt_mpi.a, which is built where MPI
 * is found; link it before libopt.a, by mpicc. Not part of opt.h, as it needs <mpi.h>.
 *
 *     MPI_Init(&argc, &argv);
 *     opt_mpi_new(MPI_COMM_WORLD, NULL, &mpi);
 *     ctx = opt_ctx_new(&(opt_ctx_opts){.comm = opt_mpi_comm(mpi)});
 *     ... the same calls on every rank, as if there were one ...
 *     opt_ctx_free(ctx);
 *     opt_mpi_free(mpi);
 *     MPI_Finalize();
 *
 * All ranks must build the same model, optimizer and batches; opt_train begins by comparing them. Their
 * results are the same bits as those of one rank, however many there are (opt_batches_opts.chunk says how far
 * a batch can be shared). On an error a program should end by MPI_Abort, which ends the other ranks too.
 */
#ifndef OPT_MPI_H
#define OPT_MPI_H

#include <mpi.h>

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct opt_mpi_opts {
    double timeout; /* seconds that a sum waits for the other ranks, which may be writing a checkpoint or
                       reading; 0: for ever */
    bool any_order; /* sum by MPI_Allreduce, in whatever order it likes: the bits then depend on the number of
                       ranks and on MPI */
} opt_mpi_opts;

/* A communicator for sums: of as many ranks as take part, with room for the parts they exchange. */
typedef struct opt_mpi opt_mpi;

/* Called by all ranks of `comm`, which is duplicated, after MPI_Init. opts may be NULL. OPT_EINVAL when out
 * is NULL, a timeout below 0 or not finite, or the options not the same on all ranks; OPT_ENOMEM; OPT_ECOMM.
 * What goes wrong on one rank is returned on all. */
opt_status opt_mpi_new(MPI_Comm comm, const opt_mpi_opts *opts, opt_mpi **out);

/* After the contexts that use it and before MPI_Finalize; NULL is allowed. After a sum that failed its memory
 * is left alone, since MPI may still write to it. */
void opt_mpi_free(opt_mpi *mpi);

/* For contexts of the thread that called MPI_Init, one at a time. A sum that fails says which rank it waited
 * for; all later ones fail too. Gradients are summed while others are computed, which takes a network that
 * does not take the cores' time; with begin, poll and finish set to NULL they are not. */
opt_comm opt_mpi_comm(opt_mpi *mpi);

#ifdef __cplusplus
}
#endif
#endif

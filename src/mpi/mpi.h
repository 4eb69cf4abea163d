/* SPDX-License-Identifier: MIT
 *
 * What the files of libopt_mpi share.
 */
#ifndef OPT_MPI_MPI_H
#define OPT_MPI_MPI_H

#include <opt/mpi.h>

#include "base/strict.h"

enum { OPT__PARTS, OPT__QUESTION, OPT__ANSWER }; /* tags */

/* An array that is to be summed. */
typedef struct opt__mpi_sum {
    char *buf;
    size_t n;
    opt_dtype dtype;
} opt__mpi_sum;

enum { OPT__MPI_SUMS = 64 };

struct opt_mpi {
    MPI_Comm comm;
    opt_mpi_opts opts;
    int rank, size;
    MPI_Request *request; /* [2 * size]: receives from each rank, then sends to each */
    MPI_Status *status;   /* [2 * size], not looked at: MPICH's MPI_STATUSES_IGNORE is too small for gcc */
    void **part;          /* [size] */
    int *number;          /* [size]: 0, 1, ..., answers that do not change while they are sent */
    char *room;           /* for other ranks' parts of a bucket, each rounded up, or for a small array */

    /* A ring of sums that have begun. They are made one after the other, a bucket at a time. */
    opt__mpi_sum sums[OPT__MPI_SUMS];
    int first, begun;
    size_t summed; /* elements of the first */
    enum { OPT__MPI_IDLE, OPT__MPI_PARTS, OPT__MPI_SUMMED, OPT__MPI_ANY_ORDER } exchanging;

    bool crowded; /* more ranks on this machine than cores: who waits lets others have its core */
    bool broken;
    char message[160];
};

/* Until requests [0, n) are done: all of them, with the rank that is missed named, or the first alone.
 * OPT_ECOMM with a message when one fails or time is up, and for all sums that follow. */
opt_status opt__mpi_finish(opt_mpi *m, int n);

/* Whether requests [0, n) are done, without waiting. */
opt_status opt__mpi_look(opt_mpi *m, int n, bool *done);

/* OPT_ECOMM with MPI's words for an error. */
opt_status opt__mpi_failed(opt_mpi *m, int error);

#endif

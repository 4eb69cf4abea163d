/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L /* nanosleep; NOLINT: reserved, and meant to be defined */
#include <opt/mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ranks.h"

static opt_mpi *ranks;
static double timeout = 60;
static bool any_order, sharded;

const cli_option ranks_options[] = {
    {"timeout", "SECONDS", "wait for another rank no longer; 0: for ever", CLI_REAL, &timeout},
    {"any-order", NULL, "sum faster, to bits that depend on the number of ranks", CLI_FLAG, &any_order},
    {"sharded", NULL, "each rank keeps its share of the optimizer's state only", CLI_FLAG, &sharded},
    {0}};

/* The program has come to its end on this rank, as it does on the others. */
static void end(void)
{
    opt_mpi_free(ranks);
    MPI_Finalize();
}

void ranks_begin(void)
{
    int provided, rank;

    setvbuf(stderr, NULL, _IOLBF, BUFSIZ); /* so that lines of several ranks do not mix */
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank > 0 && freopen("/dev/null", "w", stdout) == NULL)
        ranks_exit(EXIT_FAILURE);
    atexit(end);
}

void ranks_check_options(void)
{
    const opt_mpi_opts opts = {.timeout = timeout, .any_order = any_order};
    const opt_status s = timeout < 0 ? OPT_EINVAL : opt_mpi_new(MPI_COMM_WORLD, &opts, &ranks);

    if (timeout < 0)
        cli_fail(2, "--timeout: %g is below 0", timeout);
    if (s)
        cli_fail(EXIT_FAILURE, "%s",
                 s == OPT_EINVAL ? "--timeout or --any-order differ among ranks" : opt_strerror(s));
}

opt_comm ranks_comm(void)
{
    return opt_mpi_comm(ranks);
}

int ranks_number(void)
{
    int rank;

    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return rank;
}

int ranks_count(void)
{
    int size;

    MPI_Comm_size(MPI_COMM_WORLD, &size);
    return size;
}

bool ranks_sharded(void)
{
    return sharded;
}

/* MPICH's mpirun kills the other ranks at once, which may be about to say why they failed too, and may not
 * even pass on what this one has just said. */
void ranks_exit(int status)
{
    const struct timespec pause = {.tv_nsec = 200000000};

    fflush(stdout);
    nanosleep(&pause, NULL);
    MPI_Abort(MPI_COMM_WORLD, status);
    abort(); /* which is not reached */
}

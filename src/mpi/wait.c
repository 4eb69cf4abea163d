/* SPDX-License-Identifier: MIT
 *
 * Waiting for other ranks, and finding out which of them is missed. Who waits in vain is often waiting for
 * one that waits in vain itself, as sums follow one another: so it asks, and is told, for whom the other
 * waits, and so on to the rank that does not answer.
 */
#define _POSIX_C_SOURCE 200809L /* sched_yield; NOLINT: reserved, and meant to be defined */
#include "mpi/mpi.h"

#include <sched.h>
#include <stdio.h>

opt_status opt__mpi_failed(opt_mpi *m, int error)
{
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;

    MPI_Error_string(error, text, &length);
    snprintf(m->message, sizeof m->message, "%.*s", length, text);
    m->broken = true;
    return OPT_ECOMM;
}

/* Which rank a request is still waiting for, receives first; -1 when none is. */
static int waiting_for(const opt_mpi *m)
{
    for (int i = 0; i < 2 * m->size; i++)
        if (m->request[i] != MPI_REQUEST_NULL)
            return i % m->size;
    return -1;
}

/* So that what is left is what is waited for: MPI_Testall leaves all until all are done. */
static int drop_done(opt_mpi *m)
{
    int done, error = MPI_SUCCESS;

    for (int i = 0; error == MPI_SUCCESS && i < 2 * m->size; i++)
        error = MPI_Test(&m->request[i], &done, MPI_STATUS_IGNORE);
    return error;
}

/* ---- Questions and answers ----------------------------------------------------------------------------- */

static void post(const opt_mpi *m, int to, int tag, const int *word)
{
    MPI_Request sent;

    if (MPI_Isend(word, word != NULL, MPI_INT, to, tag, m->comm, &sent) == MPI_SUCCESS)
        MPI_Request_free(&sent);
} /* NOLINT(clang-analyzer-optin.mpi.MPI-Checker): who hangs may never receive it, so no one waits for it */

/* Whether there was a message with that tag from that rank, or MPI_ANY_SOURCE; it is received. */
static bool took(const opt_mpi *m, int from, int tag, int *sender, int *word)
{
    MPI_Status status;
    int there = 0;

    if (MPI_Iprobe(from, tag, m->comm, &there, &status) != MPI_SUCCESS || !there)
        return false;
    *sender = status.MPI_SOURCE;
    return MPI_Recv(word, tag == OPT__ANSWER, MPI_INT, *sender, tag, m->comm, MPI_STATUS_IGNORE) ==
           MPI_SUCCESS;
}

/* Tells who asks for whom this rank waits. */
static int answer(opt_mpi *m)
{
    int sender, nothing, error = MPI_SUCCESS;

    while (error == MPI_SUCCESS && took(m, MPI_ANY_SOURCE, OPT__QUESTION, &sender, &nothing)) {
        error = drop_done(m);
        if (waiting_for(m) >= 0)
            post(m, sender, OPT__ANSWER, &m->number[waiting_for(m)]);
    }
    return error;
}

/* For whom `asked` waits; -1 when it does not answer for half this rank's patience or a second. */
static int ask(opt_mpi *m, int asked)
{
    const double patience = m->opts.timeout < 2 ? m->opts.timeout / 2 : 1, start = MPI_Wtime();
    int sender, next = -1;

    post(m, asked, OPT__QUESTION, NULL);
    while (MPI_Wtime() - start < patience) {
        if (answer(m) != MPI_SUCCESS || took(m, asked, OPT__ANSWER, &sender, &next))
            break;
        sched_yield();
    }
    return next;
}

/* The rank for which all wait that this one waits for. */
static int last_of_chain(opt_mpi *m)
{
    int last = waiting_for(m), next;

    for (int asked = 0; asked < m->size; asked++) {
        next = ask(m, last);
        if (next < 0 || next == m->rank)
            break;
        last = next;
    }
    return last;
}

/* ---- Waiting ------------------------------------------------------------------------------------------- */

static opt_status time_is_up(opt_mpi *m, bool all)
{
    const double seconds = m->opts.timeout;
    const int error = drop_done(m);

    if (error != MPI_SUCCESS)
        return opt__mpi_failed(m, error);
    if (waiting_for(m) < 0)
        return OPT_OK;
    if (all)
        snprintf(m->message, sizeof m->message, "rank %d has not answered for %g seconds", last_of_chain(m),
                 seconds);
    else
        snprintf(m->message, sizeof m->message, "some rank has not answered for %g seconds", seconds);
    m->broken = true;
    return OPT_ECOMM;
}

opt_status opt__mpi_look(opt_mpi *m, int n, bool *done)
{
    int flag = 0;
    const int error = MPI_Testall(n, m->request, &flag, m->status);

    *done = flag;
    return error == MPI_SUCCESS ? OPT_OK : opt__mpi_failed(m, error);
}

opt_status opt__mpi_finish(opt_mpi *m, int n)
{
    const bool all = n == 2 * m->size;
    const double start = MPI_Wtime();
    int done = 0, error = MPI_Testall(n, m->request, &done, m->status);

    while (error == MPI_SUCCESS && !done) {
        const double waited = m->opts.timeout > 0 ? MPI_Wtime() - start : 0;

        if (waited > m->opts.timeout)
            return time_is_up(m, all);
        if (all && waited > 0.1) /* longer than a sum takes that goes well */
            error = answer(m);
        if (m->crowded)
            sched_yield();
        if (error == MPI_SUCCESS)
            error = MPI_Testall(n, m->request, &done, m->status);
    }
    return error == MPI_SUCCESS ? OPT_OK : opt__mpi_failed(m, error);
}

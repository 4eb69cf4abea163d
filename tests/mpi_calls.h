/* SPDX-License-Identifier: MIT
 *
 * The calls of MPI and of malloc that libopt_mpi makes, counted, and failed when told to: by MPI's profiling
 * interface and the linker's --wrap, so that the library's files are part of the test program. What is said
 * here is of this rank alone.
 */
#ifndef TESTS_MPI_CALLS_H
#define TESTS_MPI_CALLS_H

#include <stdatomic.h>
#include <stdbool.h>

#include <mpi.h>

typedef enum call {
    CALL_NONE,
    CALL_MALLOC, /* and calloc */
    CALL_COMM_DUP,
    CALL_SPLIT_TYPE,
    CALL_ALLREDUCE,
    CALL_IALLREDUCE,
    CALL_IRECV,
    CALL_ISEND,
    CALL_TESTALL,
    CALL_TEST,
    CALL_IPROBE,
    CALL_RECV,
    CALLS
} call;

/* Counts from 0. Call number `at`, from 1, of that kind is to fail. A collective call is made all the same,
 * so that other ranks do not wait in it. */
void calls_begin(call which, int at);

/* The same, but the call only seems to do well: a message that is lost. */
void calls_lose_message(int at);

/* Until calls_begin, MPI_Testall is to say that requests are not done. */
void calls_deny_done(void);

/* How many of one kind, or of all but CALL_NONE, were made since then; and whether one has failed. */
int calls_made(call which);
int calls_made_of_mpi(void);
bool calls_failed(void);

/* The communicator that was duplicated last; how many are there, and how many blocks of memory. */
MPI_Comm calls_duplicate(void);
long calls_communicators(void);
long calls_blocks(void);

/* From when a call fails until calls_begin, MPI_Wtime is to go faster on all ranks, so that nobody waits
 * long for the one that has failed. For all ranks to call, as is calls_no_hurry at the end. */
void calls_hurry(void);
void calls_no_hurry(void);

#endif

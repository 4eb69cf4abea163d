/* SPDX-License-Identifier: MIT */
#include "mpi_calls.h"
#include "mpi_world.h"

#include <stddef.h>

static int counts[CALLS], fail_at;
static call to_fail;
static bool failed, loses, denies;
static long communicators, blocks;
static MPI_Comm duplicate = MPI_COMM_NULL;

static MPI_Win shared = MPI_WIN_NULL;
static atomic_int *hurried; /* shared by all ranks */
static double hurried_at;

void calls_begin(call which, int at)
{
    for (int i = 0; i < CALLS; i++)
        counts[i] = 0;
    to_fail = which;
    fail_at = at;
    failed = loses = denies = false;
    hurried_at = 0;
    if (hurried != NULL)
        atomic_store(hurried, 0);
}

void calls_lose_message(int at)
{
    calls_begin(CALL_ISEND, at);
    loses = true;
}

void calls_deny_done(void)
{
    calls_begin(CALL_NONE, 0);
    denies = true;
}

int calls_made(call which)
{
    return counts[which];
}

int calls_made_of_mpi(void)
{
    int sum = 0;

    for (int i = CALL_COMM_DUP; i < CALLS; i++)
        sum += counts[i];
    return sum;
}

bool calls_failed(void)
{
    return failed;
}

MPI_Comm calls_duplicate(void)
{
    return duplicate;
}

long calls_communicators(void)
{
    return communicators;
}

long calls_blocks(void)
{
    return blocks;
}

static bool fails(call which)
{
    if (++counts[which] != fail_at || which != to_fail)
        return false;
    failed = true;
    if (hurried != NULL)
        atomic_store(hurried, 1);
    return true;
}

/* ---- Time ---------------------------------------------------------------------------------------------- */

void calls_hurry(void)
{
    int rank, unit;
    MPI_Aint size;

    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    PMPI_Win_allocate_shared(rank == 0 ? sizeof *hurried : 0, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &hurried,
                             &shared);
    PMPI_Win_shared_query(shared, 0, &size, &unit, &hurried);
    calls_begin(CALL_NONE, 0);
    world_barrier();
}

void calls_no_hurry(void)
{
    PMPI_Win_free(&shared);
    hurried = NULL;
}

double MPI_Wtime(void)
{
    const double now = PMPI_Wtime();

    if (hurried == NULL || !atomic_load(hurried))
        return now;
    if (!(hurried_at > 0))
        hurried_at = now;
    return hurried_at + 500 * (now - hurried_at);
}

/* ---- Memory -------------------------------------------------------------------------------------------- */

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void __wrap_free(void *p);
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

void *__wrap_malloc(size_t size)
{
    void *p = fails(CALL_MALLOC) ? NULL : __real_malloc(size);

    blocks += p != NULL;
    return p;
}

void *__wrap_calloc(size_t n, size_t size)
{
    void *p = fails(CALL_MALLOC) ? NULL : __real_calloc(n, size);

    blocks += p != NULL;
    return p;
}

void __wrap_free(void *p)
{
    blocks -= p != NULL;
    __real_free(p);
}

/* ---- MPI ----------------------------------------------------------------------------------------------- */

static int duplicate_asleep(MPI_Comm comm, MPI_Comm *out)
{
    MPI_Request request;
    const int error = PMPI_Comm_idup(comm, out, &request);

    world_wait(request);
    return error;
}

static int made_communicator(call which, int error, MPI_Comm *out)
{
    if (fails(which)) {
        PMPI_Comm_free(out);
        return MPI_ERR_OTHER;
    }
    communicators++;
    return error;
}

int MPI_Comm_dup(MPI_Comm comm, MPI_Comm *out)
{
    const int error = made_communicator(CALL_COMM_DUP, duplicate_asleep(comm, out), out);

    duplicate = error == MPI_SUCCESS ? *out : MPI_COMM_NULL;
    return error;
}

/* Where it is made hundreds of times, it is not: that takes its time, and all ranks are on this machine. */
int MPI_Comm_split_type(MPI_Comm comm, int type, int key, MPI_Info info, MPI_Comm *out)
{
    const int error =
        hurried != NULL ? duplicate_asleep(comm, out) : PMPI_Comm_split_type(comm, type, key, info, out);

    return made_communicator(CALL_SPLIT_TYPE, error, out);
}

int MPI_Comm_free(MPI_Comm *comm)
{
    communicators--;
    return PMPI_Comm_free(comm);
}

int MPI_Allreduce(const void *from, void *to, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    MPI_Request request;
    int error = PMPI_Iallreduce(from, to, n, type, op, comm, &request);

    world_wait(request);
    return fails(CALL_ALLREDUCE) ? MPI_ERR_OTHER : error;
}

/* Not made when it fails: others do not wait in it. */
int MPI_Iallreduce(const void *from, void *to, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                   MPI_Request *request)
{
    return fails(CALL_IALLREDUCE) ? MPI_ERR_OTHER : PMPI_Iallreduce(from, to, n, type, op, comm, request);
}

int MPI_Irecv(void *buf, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Request *request)
{
    return fails(CALL_IRECV) ? MPI_ERR_OTHER : PMPI_Irecv(buf, n, type, from, tag, comm, request);
}

int MPI_Isend(const void *buf, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request)
{
    if (!fails(CALL_ISEND))
        return PMPI_Isend(buf, n, type, to, tag, comm, request);
    *request = MPI_REQUEST_NULL;
    return loses ? MPI_SUCCESS : MPI_ERR_OTHER;
}

int MPI_Testall(int n, MPI_Request *requests, int *done, MPI_Status *statuses)
{
    if (fails(CALL_TESTALL))
        return MPI_ERR_OTHER;
    if (!denies)
        return PMPI_Testall(n, requests, done, statuses);
    for (int i = 0; i < n; i++) /* messages come in all the same */
        if (requests[i] != MPI_REQUEST_NULL)
            PMPI_Request_get_status(requests[i], done, MPI_STATUS_IGNORE);
    *done = 0;
    return MPI_SUCCESS;
}

int MPI_Test(MPI_Request *request, int *done, MPI_Status *status)
{
    return fails(CALL_TEST) ? MPI_ERR_OTHER : PMPI_Test(request, done, status);
}

int MPI_Iprobe(int from, int tag, MPI_Comm comm, int *there, MPI_Status *status)
{
    return fails(CALL_IPROBE) ? MPI_ERR_OTHER : PMPI_Iprobe(from, tag, comm, there, status);
}

int MPI_Recv(void *buf, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Status *status)
{
    return fails(CALL_RECV) ? MPI_ERR_OTHER : PMPI_Recv(buf, n, type, from, tag, comm, status);
}

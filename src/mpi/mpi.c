/* SPDX-License-Identifier: MIT
 *
 * Sums over ranks by a tree that does not depend on MPI: messages only carry bytes, additions are ours.
 *
 * Of a large array every rank sums one part: it receives that part from all others, adds the parts up in the
 * tree's order and sends the sum to all. So each rank sends and receives what the fastest MPI_Allreduce
 * would, twice the array less two parts, and adds a part from each. A small array goes up the tree and down
 * again: twice its depth in messages one after the other, where the other way would send one to each rank.
 *
 * Sums that have begun stand in a ring and are made one after the other, a bucket at a time; a poll goes on
 * with them as far as messages have come, on the thread that computes. No thread waits for MPI beside it.
 */
#define _POSIX_C_SOURCE 200809L /* sysconf; NOLINT: reserved, and meant to be defined */
#include "mpi/mpi.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SMALL  4096      /* bytes */
#define BUCKET (1 << 20) /* bytes that are summed at a time */

static MPI_Datatype type_of(opt_dtype dtype)
{
    return dtype == OPT_F64 ? MPI_DOUBLE : MPI_FLOAT;
}

static size_t size_of(opt_dtype dtype)
{
    return dtype == OPT_F64 ? sizeof(double) : sizeof(float);
}

/* Starts to receive n elements from a rank, or to send them. */
static opt_status receive(opt_mpi *m, int from, void *buf, int n, opt_dtype dtype)
{
    const int error = MPI_Irecv(buf, n, type_of(dtype), from, OPT__PARTS, m->comm, &m->request[from]);

    return error == MPI_SUCCESS ? OPT_OK : opt__mpi_failed(m, error);
}

static opt_status send(opt_mpi *m, int to, const void *buf, int n, opt_dtype dtype)
{
    const int error = MPI_Isend(buf, n, type_of(dtype), to, OPT__PARTS, m->comm, &m->request[m->size + to]);

    return error == MPI_SUCCESS ? OPT_OK : opt__mpi_failed(m, error);
}

/* ---- The tree ------------------------------------------------------------------------------------------ */

static void add(void *restrict to, const void *restrict from, int n, opt_dtype dtype)
{
    double *restrict to_f64 = to;
    const double *restrict from_f64 = from;
    float *restrict to_f32 = to;
    const float *restrict from_f32 = from;

    for (int i = 0; dtype == OPT_F64 && i < n; i++)
        to_f64[i] += from_f64[i];
    for (int i = 0; dtype == OPT_F32 && i < n; i++)
        to_f32[i] += from_f32[i];
}

/* part[first] <- the sum of ranks [first, first + ranks). */
static void add_parts(void **part, int first, int ranks, int n, opt_dtype dtype)
{
    const int left = ranks - ranks / 2;

    if (ranks == 1)
        return;
    add_parts(part, first, left, n, dtype);
    add_parts(part, first + left, ranks - left, n, dtype);
    add(part[first], part[first + left], n, dtype);
}

/* ---- Small arrays -------------------------------------------------------------------------------------- */

/* The sum of ranks [first, first + ranks), of which this is one, on the first of them. */
static opt_status go_up(opt_mpi *m, int first, int ranks, void *buf, int n, opt_dtype dtype)
{
    const int left = ranks - ranks / 2, second = first + left;
    opt_status s;

    if (ranks == 1)
        return OPT_OK;
    s = m->rank < second ? go_up(m, first, left, buf, n, dtype)
                         : go_up(m, second, ranks - left, buf, n, dtype);
    if (s || (m->rank != first && m->rank != second))
        return s;
    s = m->rank == first ? receive(m, second, m->room, n, dtype) : send(m, first, buf, n, dtype);
    if (!s)
        s = opt__mpi_finish(m, 2 * m->size);
    if (!s && m->rank == first)
        add(buf, m->room, n, dtype);
    return s;
}

static opt_status go_down(opt_mpi *m, int first, int ranks, void *buf, int n, opt_dtype dtype)
{
    const int left = ranks - ranks / 2, second = first + left;
    opt_status s = OPT_OK;

    if (ranks == 1)
        return OPT_OK;
    if (m->rank == first)
        s = send(m, second, buf, n, dtype);
    else if (m->rank == second)
        s = receive(m, first, buf, n, dtype);
    if (!s && (m->rank == first || m->rank == second))
        s = opt__mpi_finish(m, 2 * m->size);
    if (s)
        return s;
    return m->rank < second ? go_down(m, first, left, buf, n, dtype)
                            : go_down(m, second, ranks - left, buf, n, dtype);
}

/* Where ranks are a power of 2, all of them come to the sum on the way up: those that are to be added swap
 * theirs. */
static opt_status swap_up(opt_mpi *m, void *buf, int n, opt_dtype dtype)
{
    opt_status s = OPT_OK;

    for (int bit = 1; !s && bit < m->size; bit *= 2) {
        s = receive(m, m->rank ^ bit, m->room, n, dtype);
        if (!s)
            s = send(m, m->rank ^ bit, buf, n, dtype);
        if (!s)
            s = opt__mpi_finish(m, 2 * m->size);
        if (!s)
            add(buf, m->room, n, dtype);
    }
    return s;
}

static opt_status sum_small(opt_mpi *m, void *buf, int n, opt_dtype dtype)
{
    opt_status s;

    if ((m->size & (m->size - 1)) == 0)
        return swap_up(m, buf, n, dtype);
    s = go_up(m, 0, m->size, buf, n, dtype);
    return s ? s : go_down(m, 0, m->size, buf, n, dtype);
}

/* ---- Large arrays -------------------------------------------------------------------------------------- */

/* Where a rank's part of n elements begins. */
static int start_of(const opt_mpi *m, int n, int rank)
{
    return (int)((int64_t)n * rank / m->size);
}

static opt_status begin_in_any_order(opt_mpi *m, char *buf, int n, opt_dtype dtype)
{
    const int error = MPI_Iallreduce(MPI_IN_PLACE, buf, n, type_of(dtype), MPI_SUM, m->comm, &m->request[0]);

    return error == MPI_SUCCESS ? OPT_OK : opt__mpi_failed(m, error);
}

/* Begins to send every other rank its part, or this one's sums, and to receive likewise. */
static opt_status exchange(opt_mpi *m, char *buf, int n, opt_dtype dtype, bool sums)
{
    const int mine = start_of(m, n, m->rank), own = start_of(m, n, m->rank + 1) - mine;
    const int64_t size = (int64_t)size_of(dtype);
    char *room = m->room;
    opt_status s = OPT_OK;

    for (int r = 0; !s && r < m->size; r++) {
        const int start = start_of(m, n, r), length = start_of(m, n, r + 1) - start;

        m->part[r] = sums || r == m->rank ? buf + size * (r == m->rank ? mine : start) : room;
        if (r == m->rank)
            continue;
        s = receive(m, r, m->part[r], sums ? length : own, dtype);
        if (!s)
            s = send(m, r, buf + size * (sums ? mine : start), sums ? own : length, dtype);
        room += sums ? 0 : size * own;
    }
    return s;
}

/* The bucket in hand of the first sum; *n elements. */
static char *bucket(const opt_mpi *m, int *n)
{
    const opt__mpi_sum *sum = &m->sums[m->first];
    const size_t most = BUCKET / size_of(sum->dtype), left = sum->n - m->summed;

    *n = (int)(left < most ? left : most);
    return sum->buf + m->summed * size_of(sum->dtype);
}

/* Goes on with the bucket in hand, what was being exchanged having arrived: first each rank gets its part of
 * all others', then all others' sums. */
static opt_status go_on(opt_mpi *m)
{
    const opt__mpi_sum *sum = &m->sums[m->first];
    int n, own;
    char *buf = bucket(m, &n);

    switch (m->exchanging) {
    case OPT__MPI_IDLE:
        m->exchanging = m->opts.any_order ? OPT__MPI_ANY_ORDER : OPT__MPI_PARTS;
        if (m->opts.any_order)
            return begin_in_any_order(m, buf, n, sum->dtype);
        return exchange(m, buf, n, sum->dtype, false);
    case OPT__MPI_PARTS:
        own = start_of(m, n, m->rank + 1) - start_of(m, n, m->rank);
        add_parts(m->part, 0, m->size, own, sum->dtype);
        if (m->rank > 0)
            memcpy(m->part[m->rank], m->part[0], (size_t)own * size_of(sum->dtype));
        m->exchanging = OPT__MPI_SUMMED;
        return exchange(m, buf, n, sum->dtype, true);
    default:
        break;
    }
    m->exchanging = OPT__MPI_IDLE;
    m->summed += (size_t)n;
    if (m->summed == sum->n) {
        m->summed = 0;
        m->first = (m->first + 1) % OPT__MPI_SUMS;
        m->begun--;
    }
    return OPT_OK;
}

/* Goes on with the sums that have begun, until all are made or, unless it is to wait, others are not as far.
 */
static opt_status advance(opt_mpi *m, bool wait)
{
    opt_status s = m->broken ? OPT_ECOMM : OPT_OK;

    while (!s && m->begun > 0) {
        const int requests = m->exchanging == OPT__MPI_ANY_ORDER ? 1 : 2 * m->size;
        bool done = true;

        if (m->exchanging != OPT__MPI_IDLE)
            s = wait ? opt__mpi_finish(m, requests) : opt__mpi_look(m, requests, &done);
        if (!s && !done)
            break;
        if (!s)
            s = go_on(m);
    }
    return s;
}

/* ---- The hook ------------------------------------------------------------------------------------------ */

static opt_status begin(void *ud, void *buf, size_t n, opt_dtype dtype)
{
    opt_mpi *m = ud;
    opt_status s = OPT_OK;

    if (n == 0)
        return OPT_OK;
    if (m->begun == OPT__MPI_SUMS)
        s = advance(m, true);
    if (s)
        return s;
    m->sums[(m->first + m->begun++) % OPT__MPI_SUMS] = (opt__mpi_sum){buf, n, dtype};
    return advance(m, false);
}

/* An error is kept for the next call that can return it. */
static void poll(void *ud)
{
    advance(ud, false);
}

static opt_status finish(void *ud)
{
    return advance(ud, true);
}

static opt_status sum(void *ud, void *buf, size_t n, opt_dtype dtype)
{
    opt_mpi *m = ud;
    opt_status s = finish(m);

    if (!s && n * size_of(dtype) <= SMALL && !m->opts.any_order)
        return sum_small(m, buf, (int)n, dtype);
    if (!s)
        s = begin(m, buf, n, dtype);
    return s ? s : finish(m);
}

/* How many elements of rank r's part are sent in the round that begins `at` elements behind its start. */
static int piece(const int64_t *start, int r, int64_t at, int64_t most)
{
    const int64_t left = start[r + 1] - start[r] - at;

    return left < 0 ? 0 : left < most ? (int)left : (int)most;
}

/* Every rank's part, at most `most` elements of each at a time, goes from it to all others. */
static opt_status gather(void *ud, void *buf, const int64_t *start, opt_dtype dtype)
{
    const int64_t size = (int64_t)size_of(dtype), most = BUCKET / size;
    opt_mpi *m = ud;
    int64_t longest = 0;
    opt_status s = finish(m);

    for (int r = 0; r < m->size; r++)
        longest = start[r + 1] - start[r] > longest ? start[r + 1] - start[r] : longest;
    for (int64_t at = 0; !s && at < longest; at += most) {
        const int own = piece(start, m->rank, at, most);

        for (int r = 0; !s && r < m->size; r++) {
            const int n = piece(start, r, at, most);

            if (r != m->rank && n > 0)
                s = receive(m, r, (char *)buf + size * (start[r] + at), n, dtype);
            if (!s && r != m->rank && own > 0)
                s = send(m, r, (char *)buf + size * (start[m->rank] + at), own, dtype);
        }
        if (!s)
            s = opt__mpi_finish(m, 2 * m->size);
    }
    return s;
}

static const char *message(void *ud)
{
    const opt_mpi *m = ud;

    return m->message;
}

/* ---- Public -------------------------------------------------------------------------------------------- */

/* Whether there are more ranks on this machine than cores. */
static bool is_crowded(MPI_Comm comm)
{
    MPI_Comm here;
    int ranks = 1;

    if (MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here) != MPI_SUCCESS)
        return false;
    MPI_Comm_size(here, &ranks);
    MPI_Comm_free(&here);
    return ranks > sysconf(_SC_NPROCESSORS_ONLN);
}

static void free_memory(opt_mpi *m)
{
    if (m == NULL)
        return;
    free(m->request);
    free(m->status);
    free(m->part);
    free(m->number);
    free(m->room);
    free(m);
}

/* One like it, with memory of its own; NULL when that is short. */
static opt_mpi *new_like(const opt_mpi *from)
{
    const size_t size = (size_t)from->size;
    opt_mpi *m = malloc(sizeof *m);

    if (m == NULL)
        return NULL;
    *m = *from;
    m->request = calloc(2 * size, sizeof(MPI_Request));
    m->status = calloc(2 * size, sizeof(MPI_Status));
    m->part = calloc(size, sizeof(void *));
    m->number = calloc(size, sizeof(int));
    m->room = malloc(BUCKET + size * sizeof(double));
    if (!m->request || !m->status || !m->part || !m->number || !m->room) {
        free_memory(m);
        return NULL;
    }
    for (int i = 0; i < 2 * m->size; i++)
        m->request[i] = MPI_REQUEST_NULL;
    for (int i = 0; i < m->size; i++)
        m->number[i] = i;
    return m;
}

/* What the ranks come to together: OPT_OK when each has options in range, the same as all others, a
 * communicator and memory. */
static opt_status agree(MPI_Comm comm, opt_mpi_opts opts, bool duplicated, bool room)
{
    const bool in_range = opts.timeout >= 0 && isfinite(opts.timeout);
    const double timeout = in_range ? opts.timeout : 0, order = opts.any_order;
    double mine[] = {in_range, timeout, -timeout, order, -order, duplicated, room}, least[7];

    if (MPI_Allreduce(mine, least, 7, MPI_DOUBLE, MPI_MIN, comm) != MPI_SUCCESS)
        return OPT_ECOMM;
    if (least[0] < 1 || least[1] < -least[2] || least[3] < -least[4])
        return OPT_EINVAL;
    return least[5] < 1 ? OPT_ECOMM : least[6] < 1 ? OPT_ENOMEM : OPT_OK;
}

/* A rank that cannot go on still makes every collective call, or the others would wait for it there. */
opt_status opt_mpi_new(MPI_Comm comm, const opt_mpi_opts *opts, opt_mpi **out)
{
    opt_mpi like = {.opts = opts ? *opts : (opt_mpi_opts){0}}, *m;
    bool duplicated;
    opt_status s;

    if (out == NULL)
        return OPT_EINVAL;
    MPI_Comm_rank(comm, &like.rank);
    MPI_Comm_size(comm, &like.size);
    like.crowded = is_crowded(comm);
    duplicated = MPI_Comm_dup(comm, &like.comm) == MPI_SUCCESS;
    m = new_like(&like);
    s = agree(comm, like.opts, duplicated, m != NULL);
    if (s) {
        if (duplicated)
            MPI_Comm_free(&like.comm);
        free_memory(m);
        return s;
    }
    MPI_Comm_set_errhandler(like.comm, MPI_ERRORS_RETURN);
    *out = m;
    return OPT_OK;
}

void opt_mpi_free(opt_mpi *m)
{
    if (m == NULL || m->broken)
        return;
    MPI_Comm_free(&m->comm);
    free_memory(m);
}

opt_comm opt_mpi_comm(opt_mpi *m)
{
    return (opt_comm){.rank = m->rank,
                      .size = m->size,
                      .sum = sum,
                      .ud = m,
                      .message = message,
                      .gather = gather,
                      .begin = begin,
                      .poll = poll,
                      .finish = finish};
}

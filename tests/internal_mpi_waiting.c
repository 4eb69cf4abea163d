/* SPDX-License-Identifier: MIT
 *
 * libopt_mpi when a rank is late, is missed, or waits for others itself: who is named, and how one finds out.
 * Run by mpirun, on any number of ranks.
 *
 * Some tests play the other ranks by hand: they speak to rank 0 over its own communicator.
 */
#include "mpi/mpi.h" /* tags */
#include "mpi_calls.h"
#include "mpi_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STOP = 77 }; /* a tag in MPI_COMM_WORLD: rank 0 has come to an end */

static const double patience = 0.3; /* half of which ranks may begin apart, on a busy machine */

/* The arrays are not freed where a sum fails, since MPI may still write to them. */
static opt_status sum_of(const opt_comm *comm, size_t n, bool *right)
{
    double *array = world_array(n, OPT_F64);
    const opt_status s = comm->sum(comm->ud, array, n, OPT_F64);

    *right = world_about_summed(array, n, OPT_F64);
    if (s == OPT_OK)
        free(array);
    return s;
}

/* ---- A rank is missed ---------------------------------------------------------------------------------- */

static bool says(const opt_comm *comm, int rank)
{
    char text[100];

    snprintf(text, sizeof text, "rank %d has not answered for %g seconds", rank, patience);
    return strcmp(comm->message(comm->ud), text) == 0;
}

static bool says_any(const opt_comm *comm)
{
    char text[100];

    snprintf(text, sizeof text, "some rank has not answered for %g seconds", patience);
    return strcmp(comm->message(comm->ud), text) == 0;
}

/* All take part but one, of which the others learn. */
static void miss(int missed, size_t n, bool any_order)
{
    opt_mpi *mpi = world_new(patience, any_order);
    const opt_comm comm = opt_mpi_comm(mpi);
    opt_status s = OPT_ECOMM, later = OPT_ECOMM;
    bool right, named = true;

    world_barrier();
    calls_begin(CALL_NONE, 0);
    if (world_rank != missed) {
        s = sum_of(&comm, n, &right);
        named = any_order ? says_any(&comm) : says(&comm, missed);
        calls_begin(CALL_NONE, 0);
        later = sum_of(&comm, n, &right);
        if (!named)
            fprintf(stderr, "rank %d: %s\n", world_rank, comm.message(comm.ud));
    }
    assert_all(s == OPT_ECOMM && later == OPT_ECOMM);
    assert_all(named);
    assert_all(calls_made_of_mpi() == 0);
    if (world_rank != missed)
        opt_mpi_free(mpi);
}

static void test_missed(void **state)
{
    opt_mpi *mpi;
    opt_comm comm;
    bool right;

    (void)state;
    if (world_size == 1)
        return;
    for (int rank = 0; rank<world_size; rank += world_size> 3 ? world_size - 1 : 1)
        miss(rank, 5, false);
    if (world_size == 2)
        miss(0, 1000, true);
    if (world_size == 3)
        miss(1, 1000, false);

    /* All go on with another. */
    mpi = world_new(60, false);
    comm = opt_mpi_comm(mpi);
    assert_all(sum_of(&comm, 5, &right) == OPT_OK && right);
    opt_mpi_free(mpi);
}

/* Of a chain of ranks that wait, the first has no patience left when the second has begun to wait. */
static void test_chain(void **state)
{
    const int missed = world_size - 1, late = world_size == 4 ? 2 : 0;
    opt_mpi *mpi;
    opt_comm comm;
    opt_status s = OPT_ECOMM;
    bool right, named = true;

    (void)state;
    if (world_size < 3)
        return;
    mpi = world_new(patience, false);
    comm = opt_mpi_comm(mpi);
    world_barrier();
    if (world_rank == late)
        world_sleep(patience / 2);
    if (world_rank != missed) {
        s = sum_of(&comm, 5, &right);
        named = says(&comm, missed);
        if (!named)
            fprintf(stderr, "rank %d: %s\n", world_rank, comm.message(comm.ud));
    }
    assert_all(s == OPT_ECOMM);
    assert_all(named);
}

/* Messages are lost, and ranks wait for each other: nobody waits for ever, or names itself. */
static void test_lost(void **state)
{
    opt_mpi *mpi;
    opt_comm comm;
    opt_status s;
    bool right;

    (void)state;
    if (world_size == 1)
        return;
    mpi = world_new(patience, false);
    comm = opt_mpi_comm(mpi);
    calls_lose_message(1);
    world_barrier();
    s = sum_of(&comm, 5, &right);
    calls_begin(CALL_NONE, 0);
    assert_all(s == OPT_ECOMM);
    assert_all(!says(&comm, world_rank) && strstr(comm.message(comm.ud), "has not answered") != NULL);
}

/* Late, but in time. */
static void test_late(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        opt_mpi *mpi = world_new(60, order == 1);
        const opt_comm comm = opt_mpi_comm(mpi);
        bool right[2];
        opt_status s[2];

        if (world_rank == world_size - 1)
            world_sleep(0.15);
        s[0] = sum_of(&comm, 5, &right[0]);
        s[1] = sum_of(&comm, 1000, &right[1]);
        assert_all(s[0] == OPT_OK && right[0]);
        assert_all(s[1] == OPT_OK && right[1]);
        opt_mpi_free(mpi);
    }
}

/* What has come when time is up counts, though MPI_Testall did not say so. */
static void test_in_time(void **state)
{
    static int64_t start[100];
    opt_mpi *mpi = world_new(0.2, false);
    const opt_comm comm = opt_mpi_comm(mpi);
    double *array = calloc((size_t)world_size, sizeof *array);
    opt_status s;
    bool right = true;

    (void)state;
    assert_non_null(array);
    assert_true(world_size < 100);
    for (int r = 0; r < world_size; r++)
        start[r + 1] = r + 1;
    array[world_rank] = world_rank + 1;
    calls_deny_done();
    world_barrier();
    s = comm.gather(comm.ud, array, start, OPT_F64);
    calls_begin(CALL_NONE, 0);
    for (int r = 0; r < world_size; r++)
        right = (int)array[r] == r + 1 && right;
    assert_all(s == OPT_OK && right);
    free(array);
    opt_mpi_free(mpi);
}

/* ---- Other ranks played by hand ------------------------------------------------------------------------ */

static bool there(int tag, MPI_Comm comm)
{
    int is = 0;

    PMPI_Iprobe(0, tag, comm, &is, MPI_STATUS_IGNORE);
    return is != 0;
}

static int take(int tag, MPI_Comm comm)
{
    int word = -1;

    PMPI_Recv(&word, 1, MPI_INT, 0, tag, comm, MPI_STATUS_IGNORE);
    return word;
}

/* To rank 0. */
static void tell(int tag, const int *word)
{
    PMPI_Send(word, word != NULL, MPI_INT, 0, tag, calls_duplicate());
}

/* What rank 0 waits for in test_pair: this rank's part of a sum of 5. */
static void send_part(void)
{
    double *part = world_array(5, OPT_F64);

    PMPI_Send(part, 5, MPI_DOUBLE, 0, OPT__PARTS, calls_duplicate());
    free(part);
}

/* The other ranks wait for each other, in a ring that rank 0, which waits for one of them, has no part in. */
static void test_ring(void **state)
{
    const int next = world_rank + 1 < world_size ? world_rank + 1 : 1;
    int questions = 0, all = 0;
    opt_status s = OPT_ECOMM;
    opt_mpi *mpi;
    opt_comm comm;
    bool right;

    (void)state;
    if (world_size == 1)
        return;
    mpi = world_new(patience, false);
    comm = opt_mpi_comm(mpi);
    if (world_rank == 0) {
        s = sum_of(&comm, 5, &right);
        for (int r = 1; r < world_size; r++)
            PMPI_Send(NULL, 0, MPI_INT, r, STOP, MPI_COMM_WORLD);
    }
    while (world_rank > 0 && !there(STOP, MPI_COMM_WORLD)) {
        if (there(OPT__QUESTION, calls_duplicate())) {
            take(OPT__QUESTION, calls_duplicate());
            questions++;
            tell(OPT__ANSWER, &next);
        }
        world_sleep(0.001);
    }
    if (world_rank > 0)
        take(STOP, MPI_COMM_WORLD);
    PMPI_Allreduce(&questions, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    assert_all(s == OPT_ECOMM && all == world_size); /* it goes round once */
    assert_all(world_rank > 0 || (!says(&comm, 0) && strstr(comm.message(comm.ud), "has not answered")));
}

/* Rank 0 waits for rank 1, which asks it twice and sends its part when it has had so many answers, or never
 * when that is below 0. On rank 0 a call fails. */
static void ask_one_that_waits(call which, int at, int answers, opt_status status)
{
    opt_mpi *mpi = world_new(60, false);
    const opt_comm comm = opt_mpi_comm(mpi);
    opt_status s = status;
    bool right = true;

    calls_begin(world_rank == 0 ? which : CALL_NONE, at);
    if (world_rank == 0)
        s = sum_of(&comm, 5, &right);
    for (int i = 0; world_rank == 1 && i < 2; i++)
        tell(OPT__QUESTION, NULL);
    for (int i = 0; world_rank == 1 && i < answers; i++)
        right = take(OPT__ANSWER, calls_duplicate()) == 1 && right;
    if (world_rank == 1 && answers >= 0)
        send_part();
    assert_all(s == status);
    assert_all(right == (world_rank == 1 || status == OPT_OK));
    assert_all(calls_failed() == (world_rank == 0 && which != CALL_NONE));
}

static void test_asked_while_waiting(void **state)
{
    (void)state;
    if (world_size != 2)
        return;
    ask_one_that_waits(CALL_NONE, 0, 2, OPT_OK);
    ask_one_that_waits(CALL_IPROBE, 1, 2, OPT_OK);
    ask_one_that_waits(CALL_RECV, 1, 2, OPT_OK);
    ask_one_that_waits(CALL_ISEND, 2, 1, OPT_OK);
    ask_one_that_waits(CALL_TEST, 1, -1, OPT_ECOMM);
}

/* Rank 0's time is up. Rank 1, when asked, sends its part after all, and asks in its turn. On rank 0 a call
 * fails; whether it then still names rank 1. */
static void part_when_asked(call which, int at, bool named)
{
    opt_mpi *mpi = world_new(patience, false);
    const opt_comm comm = opt_mpi_comm(mpi);
    opt_status s = OPT_ECOMM;
    bool right, ok = true;

    calls_begin(world_rank == 0 ? which : CALL_NONE, at);
    if (world_rank == 0) {
        s = sum_of(&comm, 5, &right);
        ok = says(&comm, 1) == named && comm.message(comm.ud)[0] != '\0';
        PMPI_Send(NULL, 0, MPI_INT, 1, STOP, MPI_COMM_WORLD);
    }
    while (world_rank == 1 && !there(STOP, MPI_COMM_WORLD)) {
        if (there(OPT__QUESTION, calls_duplicate())) {
            take(OPT__QUESTION, calls_duplicate());
            send_part();
            tell(OPT__QUESTION, NULL);
        }
        world_sleep(0.001);
    }
    if (world_rank == 1) {
        take(STOP, MPI_COMM_WORLD);
        ok = at > 0 || !there(OPT__ANSWER, calls_duplicate()); /* rank 0 waits for nobody any more */
    }
    assert_all(s == OPT_ECOMM);
    assert_all(ok);
    assert_all(calls_failed() == (world_rank == 0 && which != CALL_NONE));
}

static void test_part_when_asked(void **state)
{
    (void)state;
    if (world_size != 2)
        return;
    part_when_asked(CALL_NONE, 0, true);
    part_when_asked(CALL_ISEND, 2, true); /* it cannot ask */
    part_when_asked(CALL_TEST, 1, false); /* when it sorts out what it waits for */
    part_when_asked(CALL_TEST, 5, true);  /* when it is asked */
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_in_time),
        cmocka_unit_test(test_missed),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_asked_while_waiting),
        cmocka_unit_test(test_part_when_asked),
    };
    int failures;

    world_begin(&argc, &argv);
    failures = cmocka_run_group_tests(tests, NULL, NULL);
    return world_end(failures);
}

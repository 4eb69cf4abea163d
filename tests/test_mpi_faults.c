/* SPDX-License-Identifier: MIT
 *
 * libopt_mpi when calls of MPI or allocations fail, each in turn and on each rank in turn. Run by mpirun, on
 * any number of ranks.
 *
 * The arrays of sums that failed are not freed, since MPI may still write to them.
 */
#include "mpi_calls.h"
#include "mpi_world.h"

#include <stdlib.h>
#include <string.h>

/* Seconds that pass in a moment once a call has failed: calls_hurry. */
static const double patience = 5;

/* ---- What ranks do together ---------------------------------------------------------------------------- */

/* A way to sum; *right says whether the sums are. */
typedef struct way {
    opt_status (*run)(const opt_comm *comm, bool *right);
    bool any_order;
} way;

static opt_status sum_of(const opt_comm *comm, size_t n, opt_dtype dtype, bool *right)
{
    void *array = world_array(n, dtype);
    const opt_status s = comm->sum(comm->ud, array, n, dtype);

    *right = world_about_summed(array, n, dtype);
    if (s == OPT_OK)
        free(array);
    return s;
}

static opt_status small_sum(const opt_comm *comm, bool *right)
{
    return sum_of(comm, 3, OPT_F64, right);
}

static opt_status large_sum(const opt_comm *comm, bool *right)
{
    return sum_of(comm, 1100, OPT_F32, right);
}

static opt_status begun_sum(const opt_comm *comm, bool *right)
{
    double *array = world_array(3, OPT_F64);
    opt_status s = comm->begin(comm->ud, array, 3, OPT_F64);

    comm->poll(comm->ud);
    if (!s)
        s = comm->finish(comm->ud);
    *right = world_about_summed(array, 3, OPT_F64);
    if (s == OPT_OK)
        free(array);
    return s;
}

static opt_status gather(const opt_comm *comm, bool *right)
{
    int64_t start[100] = {0};
    double *array;
    opt_status s;

    assert_true(world_size < 100);
    for (int r = 0; r < world_size; r++)
        start[r + 1] = start[r] + 1 + r % 2;
    array = world_array((size_t)start[world_size], OPT_F64);
    s = comm->gather(comm->ud, array, start, OPT_F64);
    *right = true;
    for (int r = 0; r < world_size; r++)
        for (int64_t i = start[r]; i < start[r + 1]; i++)
            *right = array[i] == world_value(r, (size_t)i, OPT_F64) && *right;
    if (s == OPT_OK)
        free(array);
    return s;
}

static const way ways[] = {{small_sum, false}, {large_sum, false}, {begun_sum, false},
                           {gather, false},    {large_sum, true},  {begun_sum, true}};

/* ---- A call fails ------------------------------------------------------------------------------------- */

/* After a failure nothing is asked of MPI any more, and the message stays. */
static void assert_broken(const opt_comm *comm)
{
    static int64_t start[100]; /* 0: nothing */
    const char *message = comm->message(comm->ud);
    double *x = world_array(2000, OPT_F64);
    char before[200] = "";
    bool all = true;

    strncpy(before, message, sizeof before - 1);
    calls_begin(CALL_NONE, 0);
    all = comm->sum(comm->ud, x, 1, OPT_F64) == OPT_ECOMM && all;
    all = comm->sum(comm->ud, x, 2000, OPT_F64) == OPT_ECOMM && all;
    all = comm->gather(comm->ud, x, start, OPT_F64) == OPT_ECOMM && all;
    for (int i = 0; i < 70; i++) /* more than there is room for */
        all = comm->begin(comm->ud, x, 1, OPT_F64) == OPT_ECOMM && all;
    comm->poll(comm->ud);
    all = comm->finish(comm->ud) == OPT_ECOMM && all;
    assert_all(all);
    assert_all(calls_made_of_mpi() == 0);
    assert_all(before[0] != '\0' && strcmp(before, message) == 0);
    free(x);
}

/* Call number `at` fails on rank `there`; false when there are not so many. */
static bool fail_one(const way *w, call which, int at, int there)
{
    opt_mpi *mpi = world_new(patience, w->any_order);
    const opt_comm comm = opt_mpi_comm(mpi);
    bool right, later_right, any;
    opt_status s, later;

    calls_begin(world_rank == there ? which : CALL_NONE, at);
    world_barrier();
    s = w->run(&comm, &right);
    any = world_any(calls_failed());
    if (!any)
        calls_begin(CALL_NONE, 0);
    later = small_sum(&comm, &later_right);
    if (!any) {
        assert_all(s == OPT_OK && right);
        assert_all(later == OPT_OK && later_right);
        opt_mpi_free(mpi);
        return false;
    }
    assert_all(s == OPT_ECOMM || (s == OPT_OK && right));
    assert_all(world_rank != there || s == OPT_ECOMM);
    assert_all(later == OPT_ECOMM);
    assert_broken(&comm);
    opt_mpi_free(mpi); /* which leaves it alone */
    return true;
}

/* Of more than 3 ranks one each. */
static void fail_each(call which, int most)
{
    int failures = 0;

    calls_hurry();
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++)
        for (int rank = 0; rank < world_size; rank++)
            for (int at = 1; at <= most; at++) {
                if (world_size > 3 && (at + (int)w) % world_size != rank)
                    continue;
                if (!fail_one(&ways[w], which, at, rank))
                    break;
                failures++;
            }
    calls_no_hurry();
    assert_all(failures > 0 || ((which == CALL_IRECV || which == CALL_ISEND) && world_size == 1));
}

static void test_receives_fail(void **state)
{
    (void)state;
    fail_each(CALL_IRECV, 100);
}

static void test_sends_fail(void **state)
{
    (void)state;
    fail_each(CALL_ISEND, 100);
}

/* How often it is called depends on how long one waits. */
static void test_looks_fail(void **state)
{
    (void)state;
    fail_each(CALL_TESTALL, 3);
}

static void test_reductions_fail(void **state)
{
    (void)state;
    fail_each(CALL_IALLREDUCE, 100);
}

/* An error is one though time is up as well, and everything may have come. */
static void test_error_when_time_is_up(void **state)
{
    opt_mpi *mpi = world_new(1e-9, false);
    const opt_comm comm = opt_mpi_comm(mpi);
    opt_status s;
    bool right;

    (void)state;
    calls_begin(CALL_TESTALL, 1);
    s = gather(&comm, &right);
    assert_all(s == OPT_ECOMM && calls_failed());
    assert_all(strstr(comm.message(comm.ud), "has not answered") == NULL);
    assert_broken(&comm);
}

/* ---- Beginning fails ----------------------------------------------------------------------------------- */

/* Call number `at` of opt_mpi_new fails on rank `there`, or on all where there is no such rank. False when
 * there are not so many; otherwise every rank is to get that status, and nothing is left. */
static bool fail_new(call which, int at, int there, opt_status status)
{
    const bool here = world_rank == there || there == world_size;
    const long blocks = calls_blocks(), communicators = calls_communicators();
    bool right = false;
    opt_mpi *mpi = NULL;
    opt_status s;

    calls_begin(here ? which : CALL_NONE, at);
    s = opt_mpi_new(MPI_COMM_WORLD, &(opt_mpi_opts){.timeout = patience}, &mpi);
    if (!world_any(calls_failed())) {
        assert_all(s == OPT_OK);
        opt_mpi_free(mpi);
        return false;
    }
    assert_all(s == status);
    assert_all((mpi != NULL) == (status == OPT_OK));
    if (status == OPT_OK) {
        const opt_comm comm = opt_mpi_comm(mpi);

        assert_all(small_sum(&comm, &right) == OPT_OK && right);
        opt_mpi_free(mpi);
    }
    assert_all(calls_blocks() == blocks && calls_communicators() == communicators);
    return true;
}

static void test_no_memory(void **state)
{
    (void)state;
    for (int rank = 0; rank <= world_size; rank++) {
        int at = 1;

        while (fail_new(CALL_MALLOC, at, rank, OPT_ENOMEM))
            at++;
        assert_all(at > 5);
    }
}

static void test_no_communicator(void **state)
{
    (void)state;
    for (int rank = 0; rank <= world_size; rank++) {
        assert_all(fail_new(CALL_COMM_DUP, 1, rank, OPT_ECOMM));
        assert_all(fail_new(CALL_SPLIT_TYPE, 1, rank, OPT_OK)); /* it only asks how many ranks are near */
    }
}

/* Who hears that it has failed is gone; who has heard nothing waits for it no longer than its time. */
static void test_no_agreement(void **state)
{
    bool right;

    (void)state;
    calls_hurry();
    for (int rank = 0; rank < world_size; rank++) {
        opt_mpi *mpi = NULL;
        opt_status s, sum = OPT_ECOMM;

        calls_begin(world_rank == rank ? CALL_ALLREDUCE : CALL_NONE, 1);
        world_barrier();
        s = opt_mpi_new(MPI_COMM_WORLD, &(opt_mpi_opts){.timeout = patience}, &mpi);
        if (world_rank != rank) {
            const opt_comm comm = opt_mpi_comm(mpi);

            sum = small_sum(&comm, &right);
        }
        assert_all(s == (world_rank == rank ? OPT_ECOMM : OPT_OK));
        assert_all((mpi == NULL) == (world_rank == rank));
        assert_all(sum == OPT_ECOMM);
    }
    calls_no_hurry();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_memory),       cmocka_unit_test(test_no_communicator),
        cmocka_unit_test(test_no_agreement),    cmocka_unit_test(test_receives_fail),
        cmocka_unit_test(test_sends_fail),      cmocka_unit_test(test_looks_fail),
        cmocka_unit_test(test_reductions_fail), cmocka_unit_test(test_error_when_time_is_up),
    };
    int failures;

    world_begin(&argc, &argv);
    failures = cmocka_run_group_tests(tests, NULL, NULL);
    return world_end(failures);
}

/* SPDX-License-Identifier: MIT
 *
 * libopt_mpi's sums over ranks when all goes well, and the options it refuses. Run by mpirun, on any number
 * of ranks.
 */
#include "mpi_calls.h"
#include "mpi_world.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL = 4096, BUCKET = 1 << 20 }; /* bytes, as in src/mpi/mpi.c */

static const double patience = 60;

/* ---- Sums ---------------------------------------------------------------------------------------------- */

static void sum_one(const opt_comm *comm, size_t n, opt_dtype dtype)
{
    void *array = world_array(n, dtype);
    const opt_status s = comm->sum(comm->ud, array, n, dtype);

    assert_all(s == OPT_OK);
    assert_all(world_summed(array, n, dtype));
    free(array);
}

static void test_sums(void **state)
{
    static const opt_dtype types[] = {OPT_F32, OPT_F64};
    static const size_t sizes[] = {sizeof(float), sizeof(double)};
    opt_mpi *mpi = world_new(patience, false);
    const opt_comm comm = opt_mpi_comm(mpi);

    (void)state;
    assert_all(comm.rank == world_rank && comm.size == world_size);
    for (int t = 0; t < 2; t++) {
        const size_t few = SMALL / sizes[t], many = BUCKET / sizes[t];
        const size_t lengths[] = {
            0, 1, 2, 3, 7, few - 1, few, few + 1, few + 2, few + 3, (t == 0 ? 2 : 1) * many + 1};

        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
            sum_one(&comm, lengths[i], types[t]);
    }
    assert_all(strcmp(comm.message(comm.ud), "") == 0);
    opt_mpi_free(mpi);
}

/* Or else the tests would not see in which order it is added. */
static void test_order_matters(void **state)
{
    int differ = 0;

    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        const double a = world_value(0, i, OPT_F64), b = world_value(1, i, OPT_F64),
                     c = world_value(2, i, OPT_F64);

        differ += fabs((a + b) + c - (a + (b + c))) > 0;
    }
    assert_all(differ > 100);
}

/* ---- Sums that are begun ------------------------------------------------------------------------------- */

/* Of the i-th of many sums: none, few, enough for the other way, or more than a bucket. */
static size_t length_of(int i)
{
    return i == 70 ? BUCKET / sizeof(float) + 5 : i % 5 == 4 ? 1500 : (size_t)i % 7;
}

static opt_dtype type_of(int i)
{
    return i % 3 ? OPT_F32 : OPT_F64;
}

/* More than there is room for at once. */
static void test_many_begun(void **state)
{
    enum { MANY = 150 };
    opt_mpi *mpi = world_new(patience, false);
    const opt_comm comm = opt_mpi_comm(mpi);
    void *arrays[MANY], *one = world_array(3, OPT_F64);
    bool ok = true;

    (void)state;
    for (int round = 0; round < 2; round++) { /* without polls and with some */
        for (int i = 0; i < MANY; i++) {
            arrays[i] = world_array(length_of(i), type_of(i));
            ok = comm.begin(comm.ud, arrays[i], length_of(i), type_of(i)) == OPT_OK && ok;
            if (round == 1 && i % 4 == world_rank)
                comm.poll(comm.ud);
        }
        ok = comm.finish(comm.ud) == OPT_OK && ok;
        for (int i = 0; i < MANY; i++) {
            ok = world_summed(arrays[i], length_of(i), type_of(i)) && ok;
            free(arrays[i]);
        }
        assert_all(ok);
    }
    ok = comm.finish(comm.ud) == OPT_OK; /* of none */
    comm.poll(comm.ud);
    assert_all(ok && comm.sum(comm.ud, one, 3, OPT_F64) == OPT_OK && world_summed(one, 3, OPT_F64));
    free(one);
    opt_mpi_free(mpi);
}

/* Polls alone bring a sum to its end, and the one after it. */
static void test_polls(void **state)
{
    const size_t n = BUCKET / sizeof(float) + 9;
    opt_mpi *mpi = world_new(patience, false);
    const opt_comm comm = opt_mpi_comm(mpi);
    float *first = world_array(n, OPT_F32), *second = world_array(4, OPT_F32);
    const double start = PMPI_Wtime();
    bool ok, done = false;

    (void)state;
    ok = comm.begin(comm.ud, first, n, OPT_F32) == OPT_OK;
    ok = comm.begin(comm.ud, second, 4, OPT_F32) == OPT_OK && ok;
    while (!done && PMPI_Wtime() - start < 30) {
        comm.poll(comm.ud);
        done = world_summed(second, 4, OPT_F32);
        if (world_size == 1) /* whose sum is what it has */
            break;
    }
    assert_all(ok && world_summed(second, 4, OPT_F32) && world_summed(first, n, OPT_F32));
    assert_all(comm.finish(comm.ud) == OPT_OK);
    free(first);
    free(second);
    opt_mpi_free(mpi);
}

/* A sum that does not wait comes after those that have begun. */
static void test_sum_after_begin(void **state)
{
    opt_mpi *mpi = world_new(patience, false);
    const opt_comm comm = opt_mpi_comm(mpi);
    float *first = world_array(5000, OPT_F32), *second = world_array(10, OPT_F32);
    opt_status s[2];

    (void)state;
    s[0] = comm.begin(comm.ud, first, 5000, OPT_F32);
    s[1] = comm.sum(comm.ud, second, 10, OPT_F32);
    assert_all(s[0] == OPT_OK && s[1] == OPT_OK);
    assert_all(world_summed(first, 5000, OPT_F32) && world_summed(second, 10, OPT_F32));
    free(first);
    free(second);
    opt_mpi_free(mpi);
}

static void test_any_order(void **state)
{
    static const size_t lengths[] = {0, 1, 600, BUCKET / sizeof(double) + 3};
    opt_mpi *mpi = world_new(patience, true);
    const opt_comm comm = opt_mpi_comm(mpi);

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (opt_dtype type = OPT_F32; type <= OPT_F64; type++) {
            const size_t n = lengths[i];
            void *a = world_array(n, type), *b = world_array(n, type);
            bool ok = comm.begin(comm.ud, a, n, type) == OPT_OK;

            comm.poll(comm.ud);
            ok = comm.sum(comm.ud, b, n, type) == OPT_OK && ok;
            assert_all(ok && world_about_summed(a, n, type) && world_about_summed(b, n, type));
            free(a);
            free(b);
        }
    opt_mpi_free(mpi);
}

/* ---- Gathering ----------------------------------------------------------------------------------------- */

static void gather_one(const opt_comm *comm, const int64_t *start, opt_dtype dtype)
{
    const size_t size = dtype == OPT_F64 ? sizeof(double) : sizeof(float);
    const size_t n = (size_t)start[world_size], mine = (size_t)start[world_rank];
    const size_t own = (size_t)start[world_rank + 1] - mine;
    char *array = calloc(n + 1, size), *own_values = world_array(n, dtype);
    opt_status s;
    bool ok = true;

    assert_non_null(array);
    memcpy(array + mine * size, own_values + mine * size, own * size);
    s = comm->gather(comm->ud, array, start, dtype);
    for (int r = 0; r < world_size; r++)
        for (size_t i = (size_t)start[r]; i < (size_t)start[r + 1]; i++) {
            const double x =
                dtype == OPT_F64 ? ((double *)(void *)array)[i] : (double)((float *)(void *)array)[i];
            const double there = world_value(r, i, dtype);

            ok = x == there && ok;
        }
    assert_all(s == OPT_OK && ok);
    free(array);
    free(own_values);
}

static void test_gather(void **state)
{
    opt_mpi *mpi = world_new(patience, false);
    const opt_comm comm = opt_mpi_comm(mpi);
    int64_t *start = calloc((size_t)world_size + 1, sizeof *start);
    float *begun = world_array(3000, OPT_F32);

    (void)state;
    assert_non_null(start);
    assert_all(comm.begin(comm.ud, begun, 3000, OPT_F32) == OPT_OK);
    for (int way = 0; way < 6; way++)
        for (opt_dtype type = OPT_F32; type <= OPT_F64; type++) {
            for (int r = 0; r < world_size; r++) {
                const int64_t lengths[] = {
                    0, 5, r, r % 2 ? 0 : 7, r == world_size - 1 ? 270000 : r, r == 0 ? 131072 : 131073};

                start[r + 1] = start[r] + lengths[way];
            }
            gather_one(&comm, start, type);
        }
    assert_all(world_summed(begun, 3000, OPT_F32)); /* before anything was gathered */
    free(begun);
    free(start);
    opt_mpi_free(mpi);
}

/* ---- Options ------------------------------------------------------------------------------------------- */

/* Refused on all ranks, and nothing is left of it. */
static void refuse(const opt_mpi_opts *opts)
{
    const long blocks = calls_blocks(), communicators = calls_communicators();
    opt_mpi *mpi = NULL;
    const opt_status s = opt_mpi_new(MPI_COMM_WORLD, opts, &mpi);

    assert_all(s == OPT_EINVAL);
    assert_all(mpi == NULL);
    assert_all(calls_blocks() == blocks && calls_communicators() == communicators);
}

static void test_refused(void **state)
{
    static const double timeouts[] = {-1, -1e-300, (double)NAN, (double)INFINITY, -(double)INFINITY};

    (void)state;
    assert_all(opt_mpi_new(MPI_COMM_WORLD, NULL, NULL) == OPT_EINVAL);
    for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
        refuse(&(opt_mpi_opts){.timeout = timeouts[i]});
        for (int r = 0; r < world_size; r++) /* on one rank alone */
            refuse(&(opt_mpi_opts){.timeout = world_rank == r ? timeouts[i] : 5});
    }
    for (int r = 0; world_size > 1 && r < world_size; r++) {
        refuse(&(opt_mpi_opts){.timeout = world_rank == r ? 5 : 6});
        refuse(&(opt_mpi_opts){.timeout = world_rank == r ? 6 : 5});
        refuse(&(opt_mpi_opts){.any_order = world_rank == r});
        refuse(&(opt_mpi_opts){.any_order = world_rank != r});
        refuse(world_rank == r ? NULL : &(opt_mpi_opts){.timeout = 1});
    }
}

/* No options are the defaults, and all is given back. */
static void test_defaults(void **state)
{
    const long blocks = calls_blocks(), communicators = calls_communicators();
    const opt_mpi_opts defaults = {0};
    opt_mpi *mpi = NULL;
    float *array = world_array(100, OPT_F32);
    opt_status s = opt_mpi_new(MPI_COMM_WORLD, world_rank == 0 ? NULL : &defaults, &mpi);
    opt_comm comm;

    (void)state;
    assert_all(s == OPT_OK);
    comm = opt_mpi_comm(mpi);
    s = comm.sum(comm.ud, array, 100, OPT_F32);
    assert_all(s == OPT_OK && world_summed(array, 100, OPT_F32));
    free(array);
    opt_mpi_free(mpi);
    opt_mpi_free(NULL);
    assert_all(calls_blocks() == blocks && calls_communicators() == communicators);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_matters),   cmocka_unit_test(test_sums),
        cmocka_unit_test(test_many_begun),      cmocka_unit_test(test_polls),
        cmocka_unit_test(test_sum_after_begin), cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_gather),          cmocka_unit_test(test_refused),
        cmocka_unit_test(test_defaults),
    };
    int failures;

    world_begin(&argc, &argv);
    failures = cmocka_run_group_tests(tests, NULL, NULL);
    return world_end(failures);
}

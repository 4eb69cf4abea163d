/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L /* nanosleep; NOLINT: reserved, and meant to be defined */
#include "mpi_world.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int world_rank, world_size;

void world_begin(int *argc, char ***argv)
{
    MPI_Init(argc, argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &world_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &world_size);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (world_rank > 0 && freopen("/dev/null", "w", stdout) == NULL)
        fprintf(stderr, "rank %d: /dev/null cannot be opened\n", world_rank);
}

int world_end(int failed)
{
    MPI_Finalize();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

void world_sleep(double seconds)
{
    const struct timespec pause = {(time_t)seconds, (long)((seconds - floor(seconds)) * 1e9)};

    nanosleep(&pause, NULL);
}

void world_wait(MPI_Request request)
{
    int done = 0;

    PMPI_Test(&request, &done, MPI_STATUS_IGNORE);
    while (!done) {
        world_sleep(2e-5);
        PMPI_Test(&request, &done, MPI_STATUS_IGNORE);
    }
}

void world_barrier(void)
{
    MPI_Request request;

    PMPI_Ibarrier(MPI_COMM_WORLD, &request);
    world_wait(request);
}

bool world_any(bool fact)
{
    MPI_Request request;
    int mine = fact, any = 0;

    PMPI_Iallreduce(&mine, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD, &request);
    world_wait(request);
    return any != 0;
}

void world_assert(bool fact, const char *text, const char *file, int line)
{
    const bool all = !world_any(!fact);

    if (!fact)
        fprintf(stderr, "rank %d of %d: not so: %s\n", world_rank, world_size, text);
    _assert_true(all, fact ? "a fact of another rank" : text, file, line);
}

/* ---- Arrays -------------------------------------------------------------------------------------------- */

/* Both signs and 20 powers of 2, so that hardly any sum of three does not depend on its order. */
double world_value(int rank, size_t i, opt_dtype dtype)
{
    uint64_t h = ((uint64_t)i + 1) * 0x9e3779b97f4a7c15U + (uint64_t)(rank + 1) * 0xd1b54a32d192ed03U;
    double x;

    h = (h ^ h >> 31) * 0xbf58476d1ce4e5b9U;
    h ^= h >> 29;
    x = ((double)(h >> 11) / 4503599627370496.0 - 1) * (double)(1 << h % 20);
    return dtype == OPT_F32 ? (double)(float)x : x;
}

static size_t size_of(opt_dtype dtype)
{
    return dtype == OPT_F64 ? sizeof(double) : sizeof(float);
}

void *world_array(size_t n, opt_dtype dtype)
{
    void *array = calloc(n + 1, size_of(dtype));

    assert_non_null(array);
    for (size_t i = 0; i < n; i++)
        if (dtype == OPT_F64)
            ((double *)array)[i] = world_value(world_rank, i, dtype);
        else
            ((float *)array)[i] = (float)world_value(world_rank, i, dtype);
    return array;
}

/* The first half of the ranks, of an odd number the larger one, plus the others. */
static double tree(int first, int ranks, size_t i, opt_dtype dtype)
{
    const int left = ranks - ranks / 2;
    double a, b;

    if (ranks == 1)
        return world_value(first, i, dtype);
    a = tree(first, left, i, dtype);
    b = tree(first + left, ranks - left, i, dtype);
    return dtype == OPT_F32 ? (double)((float)a + (float)b) : a + b;
}

bool world_summed(const void *array, size_t n, opt_dtype dtype)
{
    for (size_t i = 0; i < n; i++) {
        const double sum = tree(0, world_size, i, dtype);
        const float narrow = (float)sum;
        const char *at = (const char *)array + i * size_of(dtype);

        if (memcmp(at, dtype == OPT_F64 ? (const void *)&sum : &narrow, size_of(dtype)) != 0)
            return false;
    }
    return true;
}

bool world_about_summed(const void *array, size_t n, opt_dtype dtype)
{
    const double tolerance = dtype == OPT_F64 ? 1e-7 : 1; /* of values up to 2^19 */

    for (size_t i = 0; i < n; i++) {
        const double sum = tree(0, world_size, i, dtype);
        const double x = dtype == OPT_F64 ? ((const double *)array)[i] : (double)((const float *)array)[i];

        if (!(fabs(x - sum) <= tolerance))
            return false;
    }
    return true;
}

opt_mpi *world_new(double timeout, bool any_order)
{
    const opt_mpi_opts opts = {.timeout = timeout, .any_order = any_order};
    opt_mpi *mpi = NULL;
    const opt_status s = opt_mpi_new(MPI_COMM_WORLD, &opts, &mpi);

    assert_all(s == OPT_OK);
    return mpi;
}

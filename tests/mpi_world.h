/* SPDX-License-Identifier: MIT
 *
 * What the tests that run as ranks of MPI share: facts on which all ranks fail together, and arrays whose sum
 * depends on the order of its additions.
 */
#ifndef TESTS_MPI_WORLD_H
#define TESTS_MPI_WORLD_H

#include <opt/mpi.h>

#include "support.h"

extern int world_rank, world_size;

/* Begins and ends MPI; between them world_run runs cmocka's tests. Only rank 0 lists them. */
void world_begin(int *argc, char ***argv);
int world_end(int failed);

/* Fails on every rank, at the same place, unless the fact holds on all; it is printed where it does not. */
#define assert_all(fact) world_assert((fact), #fact, __FILE__, __LINE__)
void world_assert(bool fact, const char *text, const char *file, int line);

/* Whether it holds on any rank. */
bool world_any(bool fact);

void world_sleep(double seconds);

/* Until the request is done, or all ranks have come here, asleep: there may be more ranks than cores, and
 * MPI's own calls may keep theirs busy. */
void world_wait(MPI_Request request);
void world_barrier(void);

/* An array of this rank's values, to be freed with free: each rank has others. */
void *world_array(size_t n, opt_dtype dtype);

/* Whether it has become the sum over all ranks: the same bits as the tree's. */
bool world_summed(const void *array, size_t n, opt_dtype dtype);

/* The same but for rounding. */
bool world_about_summed(const void *array, size_t n, opt_dtype dtype);

/* What a rank has at place i before the sum. */
double world_value(int rank, size_t i, opt_dtype dtype);

/* An opt_mpi of all ranks with that timeout. */
opt_mpi *world_new(double timeout, bool any_order);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Several ranks, each a thread of its own: for the tests of what they do together.
 */
#ifndef TESTS_RANKS_H
#define TESTS_RANKS_H

#include <opt.h>

#define RANKS_MOST 8

/* What a rank does; comm is for its context. It must not assert: only the main thread may. */
typedef void rank_job(opt_comm comm, void *arg);

/* Runs n ranks to their end. Their sums are trees, as <opt/base.h> wants them; the sum number fail_at, from
 * 0, fails on all of them, if it is not below 0, and so do all sums once a rank has come to its end. Returns
 * how many sums there were. */
int ranks_run(int n, int fail_at, rank_job *run, void *arg);

/* The same, with sums that are begun, polled and finished: they are made when they are finished, and fail
 * where what was begun has been changed meanwhile. *begun and *polls, of all ranks together. */
int ranks_run_begun(int n, int fail_at, rank_job *run, void *arg, int *begun, int *polls);

#endif

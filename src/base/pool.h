/* SPDX-License-Identifier: MIT
 *
 * The threads of a context. Work is handed out in parts that do not depend on how many threads there are, so
 * results do not either.
 */
#ifndef OPT_BASE_POOL_H
#define OPT_BASE_POOL_H

#include <opt/base.h>

#define OPT__MAX_THREADS 256

typedef struct opt__pool opt__pool;

/* A part of some work; thread is in [0, threads), and no two parts run with the same one at a time. */
typedef void opt__part(void *arg, int64_t part, int thread);

/* The pool of `threads` threads, the caller's counted; NULL when there is no memory. The others are started
 * by the first work that has parts for them. */
opt__pool *opt__pool_new(const opt_ctx *ctx, int threads);
void opt__pool_free(const opt_ctx *ctx, opt__pool *pool);

/* Runs run(arg, i, thread) for every i in [0, parts), on the caller's thread and on those of the pool that
 * are free, and returns when all have ended. Must not be called from a part. */
void opt__parallel(const opt_ctx *ctx, int64_t parts, opt__part *run, void *arg);

#endif

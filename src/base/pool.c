/* SPDX-License-Identifier: MIT
 *
 * The threads of a context.
 *
 * The parts of a piece of work are dealt out in advance, a run of consecutive parts to each thread, so that a
 * thread meets the same memory again in the next step. A thread that has done its own takes from another only
 * when that one is late: passing the memory of a part from one core to another costs as much as the part. So
 * the caller never waits for a thread that has not come: one that sleeps, or that another program keeps
 * from running, finds its parts done. The caller waits only for parts that have been taken.
 *
 * A thread without work spins for SPINS pauses, some tens of microseconds, which is longer than the gaps
 * within a training step; then it sleeps until it is woken. So does the caller when it waits: a core that
 * another program wants is given up, and the system can move the thread we wait for to a free one.
 *
 * `turn` is odd while there is work. A thread says that it is busy before it looks at `turn`, and the caller
 * ends the turn before it looks who is busy: so either the thread sees that it is too late, or the caller
 * sees that it is there. These two, and the pairs `turn` and `asleep`, `busy` and `waiting`, need one order
 * that all agree on, which is C11's default for atomics. What one thread writes and another reads is kept on
 * few cache lines: each costs a tenth of a microsecond to pass on. What is exchanged is an int, even where it
 * is true or false: riscv64 cannot exchange a byte without a library more.
 */
#define _POSIX_C_SOURCE 200809L /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

#include "base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/context.h"

#define SPINS    2000
#define GRACE    32  /* pauses that a thread is given to come for its own parts, */
#define PATIENCE 500 /* and to do them, before others take what is left */

typedef struct worker {
    _Alignas(64) atomic_llong next; /* of the parts dealt to this thread, the first that no one has taken */
    int64_t end;
    atomic_int busy; /* may be at work */
    opt__pool *pool;
    pthread_t thread;
    int index;
} worker;

struct opt__pool {
    _Alignas(64) atomic_uint turn;
    atomic_int asleep;
    const opt_ctx *ctx;
    opt__part *run;
    void *arg;
    worker *worker;     /* [threads]; 0 is the caller */
    int threads;        /* wanted; once `started`, those there are */
    atomic_int waiting; /* the caller sleeps until none is busy */
    atomic_bool quit;
    bool started;
    pid_t process; /* that started them: a child of it has none */
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
};

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The caller's thread, between two parts: lets sums over ranks get on. */
static void poll(const opt_ctx *ctx)
{
    if (ctx->summing)
        ctx->comm.poll(ctx->comm.ud);
}

/* Whether there are parts that no one has taken. */
static bool left(worker *w)
{
    return atomic_load_explicit(&w->next, memory_order_relaxed) < w->end;
}

static void wait_for_owner(opt__pool *p, worker *w)
{
    for (int i = 0; left(w) && i < PATIENCE; i++) {
        const bool here = w->index == 0 || atomic_load(&w->busy);

        if (!here && (i >= GRACE || atomic_load(&p->asleep) > 0))
            return;
        pause_briefly();
    }
}

/* Takes parts until none is left: its own, then the next thread's, and so on round. */
static void take_parts(opt__pool *p, int thread)
{
    for (int k = 0; k < p->threads; k++) {
        worker *w = &p->worker[(thread + k) % p->threads];

        if (k > 0)
            wait_for_owner(p, w);
        while (left(w)) {
            const int64_t part = atomic_fetch_add_explicit(&w->next, 1, memory_order_relaxed);

            if (part < w->end) /* GCOVR_EXCL_BR_LINE: two threads take the last at once only by chance */
                p->run(p->arg, part, thread);
            if (thread == 0)
                poll(p->ctx);
        }
    }
}

/* ---- A thread of the pool ------------------------------------------------------------------------------ */

static bool has_work(opt__pool *p, unsigned seen)
{
    const unsigned turn = atomic_load(&p->turn);

    return (turn % 2 == 1 && turn != seen) || atomic_load(&p->quit);
}

static void wait_for_work(opt__pool *p, unsigned seen)
{
    for (int i = 0; i < SPINS; i++) {
        if (has_work(p, seen))
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->asleep, 1);
    while (!has_work(p, seen))
        pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->asleep, 1);
    pthread_mutex_unlock(&p->lock);
}

static void *serve(void *arg)
{
    worker *w = arg;
    opt__pool *p = w->pool;
    unsigned seen = 0;

    for (;;) {
        wait_for_work(p, seen);
        if (atomic_load(&p->quit))
            return NULL;
        atomic_exchange(&w->busy, true);
        seen = atomic_load(&p->turn);
        if (seen % 2 == 1)
            take_parts(p, w->index);
        atomic_exchange(&w->busy, false);
        if (atomic_load(&p->waiting)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->done);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

/* Signals stay with the threads the program made itself. Where no more threads can be had, fewer will do. */
static void start(opt__pool *p)
{
    int n = 1;
#ifndef _WIN32
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
#endif
    while (n < p->threads && pthread_create(&p->worker[n].thread, NULL, serve, &p->worker[n]) == 0)
        n++;
#ifndef _WIN32
    pthread_sigmask(SIG_SETMASK, &before, NULL);
#endif
    p->threads = n;
    p->process = getpid();
    p->started = true;
}

static void make_locks(opt__pool *p)
{
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
}

/* Whether this process is a child, by fork, of the one that started the threads, and so has none of them:
 * they are forgotten, and the locks that they may have held or waited for, so that work can start others.
 * Asked only before the caller locks or sleeps: otherwise it need not know, and does all parts itself. */
static bool forked(opt__pool *p)
{
    if (!p->started || p->process == getpid())
        return false;
    for (int i = 1; i < p->threads; i++)
        atomic_store(&p->worker[i].busy, false);
    atomic_store(&p->asleep, 0);
    atomic_store(&p->turn, (atomic_load(&p->turn) + 1) / 2 * 2); /* no work is under way */
    make_locks(p);
    p->started = false;
    return true;
}

/* ---- The caller ---------------------------------------------------------------------------------------- */

static bool anyone_busy(opt__pool *p)
{
    for (int i = 1; i < p->threads; i++)
        if (atomic_load(&p->worker[i].busy))
            return true;
    return false;
}

static void wait_for_others(opt__pool *p)
{
    for (int i = 0; i < SPINS; i++) {
        if (!anyone_busy(p))
            return;
        pause_briefly();
    }
    if (forked(p))
        return;
    pthread_mutex_lock(&p->lock);
    atomic_exchange(&p->waiting, true);
    while (anyone_busy(p))
        pthread_cond_wait(&p->done, &p->lock);
    atomic_store(&p->waiting, false);
    pthread_mutex_unlock(&p->lock);
}

static void run_together(opt__pool *p, int64_t parts, opt__part *run, void *arg)
{
    if (atomic_load(&p->asleep) > 0)
        forked(p);
    if (!p->started)
        start(p);
    p->run = run;
    p->arg = arg;
    for (int i = 0; i < p->threads; i++) {
        atomic_store_explicit(&p->worker[i].next, parts * i / p->threads, memory_order_relaxed);
        p->worker[i].end = parts * (i + 1) / p->threads;
    }
    atomic_fetch_add(&p->turn, 1);
    if (atomic_load(&p->asleep) > 0) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
    take_parts(p, 0);
    atomic_fetch_add(&p->turn, 1);
    wait_for_others(p);
}

void opt__parallel(const opt_ctx *ctx, int64_t parts, opt__part *run, void *arg)
{
    if (ctx->pool != NULL && parts > 1) {
        run_together(ctx->pool, parts, run, arg);
        return;
    }
    for (int64_t i = 0; i < parts; i++) {
        run(arg, i, 0);
        poll(ctx);
    }
}

opt__pool *opt__pool_new(const opt_ctx *ctx, int threads)
{
    opt__pool *p = opt__alloc(ctx, 1, sizeof *p);

    if (p == NULL)
        return NULL;
    p->ctx = ctx;
    p->threads = threads;
    p->worker = opt__alloc(ctx, threads, sizeof *p->worker);
    if (p->worker == NULL) {
        opt__free(ctx, p);
        return NULL;
    }
    for (int i = 0; i < threads; i++) {
        p->worker[i].pool = p;
        p->worker[i].index = i;
    }
    make_locks(p);
    return p;
}

void opt__pool_free(const opt_ctx *ctx, opt__pool *p)
{
    if (p == NULL)
        return;
    forked(p);
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->quit, true);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 1; p->started && i < p->threads; i++)
        pthread_join(p->worker[i].thread, NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    opt__free(ctx, p->worker);
    opt__free(ctx, p);
}

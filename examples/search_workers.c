/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L /* clock_gettime; NOLINT: reserved, and meant to be defined */
#include "search_workers.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "interrupt.h"
#include "progress.h"

/* What the threads share. The lock guards all that changes, but for `stop`, which every step looks at. */
typedef struct crew {
    const search *search;
    const search_results *file;
    trial *all;
    int64_t n;

    atomic_bool stop;
    pthread_mutex_t lock;
    pthread_cond_t change; /* a trial or a thread has ended */
    int64_t next;          /* the first trial that nobody has taken */
    int64_t done, best;    /* trials; the index of the best one, -1: none yet */
    int working;           /* threads */
    char failure[600];     /* the first one; empty: none */
} crew;

typedef struct worker {
    crew *crew;
    opt_ctx *ctx; /* its own: a context cannot be shared */
    pthread_t thread;
} worker;

/* ---- In the threads ------------------------------------------------------------------------------------ */

/* The next trial to run, or NULL. With the lock held. */
static trial *take(crew *c)
{
    while (c->next < c->n && c->all[c->next].done)
        c->next++;
    return c->next < c->n && !atomic_load(&c->stop) ? &c->all[c->next++] : NULL;
}

/* With the lock held. */
static void count(crew *c, int64_t which)
{
    c->done++;
    if (c->best < 0 || search_better(&c->all[which], &c->all[c->best]))
        c->best = which;
}

/* The first failure is told at the end, all others follow from it. With the lock held. */
static void fail(crew *c, const trial *t, const char *doing, const char *what)
{
    if (!*c->failure)
        snprintf(c->failure, sizeof c->failure, "trial %" PRId64 ", %s: %s", t->number, doing, what);
    atomic_store(&c->stop, true);
}

static void *work(void *ud)
{
    const worker *me = ud;
    crew *c = me->crew;
    pthread_mutex_lock(&c->lock);
    for (trial *mine; (mine = take(c)) != NULL;) {
        trial t = *mine;
        pthread_mutex_unlock(&c->lock);
        opt_status status = search_try(me->ctx, c->search, &c->stop, &t);
        pthread_mutex_lock(&c->lock);
        if (status == OPT_STOP)
            break;
        if (status) {
            fail(c, &t, "training", *opt_errmsg(me->ctx) ? opt_errmsg(me->ctx) : opt_strerror(status));
            break;
        }
        if (!search_results_add(c->file, c->search, &t)) {
            fail(c, &t, "adding it to the results file", strerror(errno));
            break;
        }
        *mine = t;
        count(c, mine - c->all);
        pthread_cond_signal(&c->change);
    }
    c->working--;
    pthread_cond_signal(&c->change);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* ---- In the main thread -------------------------------------------------------------------------------- */

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void draw_progress(progress *bar, const crew *c, int64_t before, double seconds)
{
    char best[48] = "", left[48] = "";
    if (!bar->on_terminal)
        return;
    if (c->best >= 0)
        snprintf(best, sizeof best, ", best validation loss %.4g", c->all[c->best].loss);
    if (c->done > before)
        snprintf(left, sizeof left, ", %.0f s left",
                 seconds * (double)(c->n - c->done) / (double)(c->done - before));
    fprintf(stderr, "\r%" PRId64 " of %" PRId64 " trials%s%s   ", c->done, c->n, best, left);
    fflush(stderr);
    bar->visible = true;
}

/* Waits for a change, a tenth of a second at most: signals do not end the wait. With the lock held. */
static void wait_a_little(crew *c)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until); /* the one that conditions go by */
    until.tv_nsec += 100000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&c->change, &c->lock, &until);
}

/* Until every thread has ended; a signal makes them do so soon. */
static void watch_over(crew *c)
{
    progress bar = progress_start("");
    const double start = seconds_now();
    pthread_mutex_lock(&c->lock);
    const int64_t before = c->done;
    while (c->working > 0) {
        wait_a_little(c);
        if (interrupt_signal())
            atomic_store(&c->stop, true);
        draw_progress(&bar, c, before, seconds_now() - start);
    }
    pthread_mutex_unlock(&c->lock);
    progress_clear(&bar);
}

/* Starts threads that no signal goes to. Returns how many: fewer than n only if that failed. */
static int start(crew *c, worker *workers, int n)
{
    sigset_t all, before;
    int started = 0, error = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pthread_mutex_lock(&c->lock);
    while (started < n && !error) {
        error = pthread_create(&workers[started].thread, NULL, work, &workers[started]);
        started += error == 0;
    }
    if (error) {
        snprintf(c->failure, sizeof c->failure, "cannot start a thread: %s", strerror(error));
        atomic_store(&c->stop, true);
    }
    c->working = started; /* none has got beyond the lock yet */
    pthread_mutex_unlock(&c->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

int64_t search_run(const search *s, int64_t n, trial *all, const search_results *file)
{
    enum { MOST = 64 };
    worker workers[MOST];
    crew c = {.search = s, .file = file, .all = all, .n = n, .best = -1};
    for (int64_t i = 0; i < n; i++)
        if (all[i].done)
            count(&c, i);
    const int64_t missing = n - c.done;
    const int wanted = missing < cli_threads() ? (int)missing : cli_threads();

    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.change, NULL);
    for (int i = 0; i < wanted; i++)
        workers[i] = (worker){.crew = &c, .ctx = cli_context_of(1)};
    interrupt_catch();
    const int started = start(&c, workers, wanted);
    watch_over(&c);
    for (int i = 0; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    interrupt_release();
    for (int i = 0; i < wanted; i++)
        opt_ctx_free(workers[i].ctx);
    pthread_cond_destroy(&c.change);
    pthread_mutex_destroy(&c.lock);
    if (*c.failure)
        cli_fail(EXIT_FAILURE, "%s", c.failure);
    return c.done;
}

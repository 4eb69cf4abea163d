/* SPDX-License-Identifier: MIT */
#include "ranks.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

typedef struct room {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int ranks, arrived, gone, sums, fail_at;
    bool failed[2]; /* the last sum, or the one before, which some may still wait to hear of */
    size_t n;
    opt_dtype dtype;
    void *buf[RANKS_MOST];
    rank_job *run;
    void *arg;
} room;

typedef struct begun_sum {
    void *buf, *copy;
    size_t n;
    opt_dtype dtype;
} begun_sum;

enum { BEGUN_MOST = 16 };

typedef struct seat {
    room *room;
    int rank;
    bool alone;   /* when the last sum failed */
    bool defers;  /* has begin, poll and finish */
    bool changed; /* what was begun */
    begun_sum sums[BEGUN_MOST];
    int n, begun, polls;
} seat;

static void add(const room *r, void *to, const void *from)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->dtype == OPT_F64)
            ((double *)to)[i] += ((const double *)from)[i];
        else
            ((float *)to)[i] += ((const float *)from)[i];
}

/* Ranks [first, first + n) into the first one's. */
static void tree(const room *r, int first, int n)
{
    const int left = n - n / 2;

    if (n == 1)
        return;
    tree(r, first, left);
    tree(r, first + left, n - left);
    add(r, r->buf[first], r->buf[first + left]);
}

static opt_status sum(void *ud, void *buf, size_t n, opt_dtype dtype)
{
    seat *s = ud;
    room *r = s->room;
    opt_status status;
    bool *failed;
    int number;

    pthread_mutex_lock(&r->lock);
    number = r->sums;
    failed = &r->failed[number % 2];
    if (r->arrived == 0) {
        r->n = n;
        r->dtype = dtype;
        *failed = number == r->fail_at;
    }
    *failed = *failed || n != r->n || dtype != r->dtype;
    r->buf[s->rank] = buf;
    if (++r->arrived == r->ranks) {
        if (!*failed)
            tree(r, 0, r->ranks);
        for (int i = 1; !*failed && i < r->ranks; i++)
            memcpy(r->buf[i], r->buf[0], n * (dtype == OPT_F64 ? sizeof(double) : sizeof(float)));
        r->arrived = 0;
        r->sums++;
        pthread_cond_broadcast(&r->changed);
    }
    while (number == r->sums && r->gone == 0)
        pthread_cond_wait(&r->changed, &r->lock);
    s->alone = number == r->sums;
    status = s->alone || *failed ? OPT_EIO : OPT_OK;
    pthread_mutex_unlock(&r->lock);
    return status;
}

static size_t bytes_of(size_t n, opt_dtype dtype)
{
    return n * (dtype == OPT_F64 ? sizeof(double) : sizeof(float));
}

static opt_status begin(void *ud, void *buf, size_t n, opt_dtype dtype)
{
    seat *s = ud;
    begun_sum *b = &s->sums[s->n];

    if (s->n == BEGUN_MOST || (b->copy = malloc(bytes_of(n, dtype))) == NULL)
        return OPT_ENOMEM;
    memcpy(b->copy, buf, bytes_of(n, dtype));
    b->buf = buf;
    b->n = n;
    b->dtype = dtype;
    s->n++;
    s->begun++;
    return OPT_OK;
}

static void poll(void *ud)
{
    seat *s = ud;

    s->polls++;
}

static opt_status finish(void *ud)
{
    seat *s = ud;
    opt_status status = OPT_OK;

    for (int i = 0; i < s->n; i++) {
        const begun_sum *b = &s->sums[i];

        s->changed |= memcmp(b->copy, b->buf, bytes_of(b->n, b->dtype)) != 0;
        free(b->copy);
        if (!status)
            status = s->changed ? OPT_EIO : sum(ud, b->buf, b->n, b->dtype);
    }
    s->n = 0;
    return status;
}

static const char *message(void *ud)
{
    const seat *s = ud;

    return s->changed ? "what was begun was changed" : s->alone ? "a rank has gone" : "as it was told to";
}

static void *live(void *arg)
{
    seat *s = arg;
    room *r = s->room;

    opt_comm comm = {.rank = s->rank, .size = r->ranks, .sum = sum, .ud = s, .message = message};

    if (s->defers) {
        comm.begin = begin;
        comm.poll = poll;
        comm.finish = finish;
    }
    r->run(comm, r->arg);
    pthread_mutex_lock(&r->lock);
    r->gone++;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static int run_all(int n, int fail_at, rank_job *run, void *arg, bool defers, int *begun, int *polls)
{
    room r = {.ranks = n, .fail_at = fail_at, .run = run, .arg = arg};
    pthread_t thread[RANKS_MOST];
    seat seats[RANKS_MOST];

    assert_in_range(n, 1, RANKS_MOST);
    pthread_mutex_init(&r.lock, NULL);
    pthread_cond_init(&r.changed, NULL);
    for (int i = 0; i < n; i++) {
        seats[i] = (seat){.room = &r, .rank = i, .defers = defers};
        assert_int_equal(pthread_create(&thread[i], NULL, live, &seats[i]), 0);
    }
    for (int i = 0; i < n; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    *begun = *polls = 0;
    for (int i = 0; i < n; i++) {
        *begun += seats[i].begun;
        *polls += seats[i].polls;
    }
    pthread_cond_destroy(&r.changed);
    pthread_mutex_destroy(&r.lock);
    return r.sums;
}

int ranks_run(int n, int fail_at, rank_job *run, void *arg)
{
    int begun, polls;

    return run_all(n, fail_at, run, arg, false, &begun, &polls);
}

int ranks_run_begun(int n, int fail_at, rank_job *run, void *arg, int *begun, int *polls)
{
    return run_all(n, fail_at, run, arg, true, begun, polls);
}

/* SPDX-License-Identifier: MIT
 *
 * Training with an opt_comm that does not do as it should.
 */
#include <math.h>
#include <string.h>

#include "ranks_job.h"

static opt_status others_add_nothing(void *ud, void *buf, size_t n, opt_dtype t)
{
    (void)ud, (void)buf, (void)n, (void)t;
    return OPT_OK;
}

static opt_status all_is_nan(void *ud, void *buf, size_t n, opt_dtype t)
{
    (void)ud;
    for (size_t i = 0; i < n; i++)
        if (t == OPT_F64)
            ((double *)buf)[i] = (double)NAN;
        else
            ((float *)buf)[i] = NAN;
    return OPT_OK;
}

static opt_status all_is_lost(void *ud, void *buf, size_t n, opt_dtype t)
{
    const int *sums = ud;

    if (*sums > 0)
        memset(buf, 0, n * (t == OPT_F64 ? sizeof(double) : sizeof(float)));
    return OPT_OK;
}

static opt_status no_sum(void *ud, void *buf, size_t n, opt_dtype t)
{
    (void)ud, (void)buf, (void)n, (void)t;
    return OPT_EIO;
}

static opt_status never_done(void *ud)
{
    (void)ud;
    return OPT_EIO;
}

static void no_poll(void *ud)
{
    (void)ud;
}

static const char *no_words(void *ud)
{
    (void)ud;
    return "";
}

/* One rank that takes itself for the first of two. */
static void check_hook(opt_comm comm, opt_status status, const char *part)
{
    work w = work_usual;
    snapshot before;

    comm.size = 2;
    w.train.epochs = 0;
    work_train((opt_comm){0}, &w);
    before = w.end[0];
    w.train.epochs = 2;
    work_train(comm, &w);
    assert_int_equal(w.status[0], status);
    if (strstr(w.message[0], part) == NULL)
        fail_msg("\"%s\" without \"%s\"", w.message[0], part);
    assert_memory_equal(&w.end[0], &before, sizeof before);
}

static void hooks_that_fail_do_no_harm(void **state)
{
    (void)state;
    check_hook((opt_comm){.sum = no_sum}, OPT_ECOMM, "agreeing over ranks failed");
    check_hook((opt_comm){.sum = no_sum, .message = no_words}, OPT_ECOMM, "agreeing over ranks failed");
    check_hook((opt_comm){.sum = all_is_nan}, OPT_ECOMM, "sums over ranks are none");
    check_hook((opt_comm){.sum = others_add_nothing, .begin = no_sum, .poll = no_poll, .finish = never_done},
               OPT_ECOMM, "adam: summing gradients over ranks failed");
    check_hook(
        (opt_comm){
            .sum = others_add_nothing, .begin = others_add_nothing, .poll = no_poll, .finish = never_done},
        OPT_ECOMM, "adam: summing gradients over ranks failed");
}

typedef struct spoiler {
    int sums, at; /* sum number `at` is spoilt, from 0 */
    double with;
} spoiler;

static opt_status spoil_one(void *ud, void *buf, size_t n, opt_dtype t)
{
    spoiler *s = ud;

    for (size_t i = 0; s->sums == s->at && i < n; i++)
        if (t == OPT_F64)
            ((double *)buf)[i] = s->with;
        else
            ((float *)buf)[i] = (float)s->with;
    s->sums++;
    return OPT_OK;
}

/* A sum of any kind may be anything: training ends, by itself or with an error, the failure of a rank with
 * one. */
static void whatever_sums_are_training_ends(void **state)
{
    static const double with[] = {(double)NAN, (double)INFINITY, 1e300, -1e300, 1, -1, 0};

    (void)state;
    for (size_t i = 0; i < sizeof with / sizeof *with; i++)
        for (int fails = 0; fails < 2; fails++) {
            spoiler s = {.at = -1, .with = with[i]};
            int sums;

            do {
                work w = work_usual;

                w.upset = fails ? work_learn_nothing : NULL;
                s.sums = 0;
                s.at++;
                work_train((opt_comm){.size = 2, .sum = spoil_one, .ud = &s}, &w);
                sums = s.sums;
                assert_true(!fails || w.status[0] != OPT_OK);
            } while (s.at < sums);
            assert_true(sums > 10);
        }
}

static int lost;

static opt_status lose_and_fail(void *self, const opt_batch *part, double *loss)
{
    (void)self, (void)part, (void)loss;
    lost = 1;
    return OPT_EDTYPE;
}

static void lose(work *w, job *j)
{
    (void)w;
    j->model.grad = lose_and_fail;
}

/* A failure that the others do not hear of is still one. */
static void what_sums_lose_is_known_to_who_said_it(void **state)
{
    work w = work_usual;

    (void)state;
    w.upset = lose;
    w.odd = 0;
    work_train((opt_comm){.size = 2, .sum = all_is_lost, .ud = &lost}, &w);
    assert_int_equal(w.status[0], OPT_EDTYPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hooks_that_fail_do_no_harm),
        cmocka_unit_test(whatever_sums_are_training_ends),
        cmocka_unit_test(what_sums_lose_is_known_to_who_said_it),
    };

    return cmocka_run_group_tests_name("train, comm", tests, NULL, NULL);
}

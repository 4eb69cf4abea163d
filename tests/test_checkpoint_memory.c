/* SPDX-License-Identifier: MIT
 *
 * Saving and loading with each of their allocations failing in turn: OPT_ENOMEM, nothing has changed, nothing
 * leaks, and the file that was there is still there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"
#include "tensor_file.h"

#define FILE_NAME "test_checkpoint_memory.tmp"
#define OTHER     "test_checkpoint_memory_other.tmp"

static void clean(void)
{
    remove(FILE_NAME);
    remove(FILE_NAME ".bak");
    remove(OTHER);
}

typedef enum action { SAVE, LOAD, LOAD_NAMED, ACTIONS } action;

static opt_status act(action which, job *j)
{
    opt_load_report report;

    switch (which) {
    case SAVE:
        return opt_save(j->p.ctx, FILE_NAME, j->model.params, j->optim, j->batches);
    case LOAD:
        return opt_load(j->p.ctx, FILE_NAME, j->model.params, j->optim, j->batches);
    default:
        return opt_load_named(j->p.ctx, FILE_NAME, j->model.params, &report);
    }
}

/* Up to step 5, with best weights if wanted, so that the file has them. */
static void train(job *j, bool best)
{
    const opt_train_opts opts = {.epochs = 2, .keep_best = best};

    assert_ok(j->p.ctx, opt_train(j->p.ctx, &j->model, j->optim, j->batches, &opts));
}

/* The file at FILE_NAME is what it was, and nothing is left beside it. */
static void check_file(const bytes *old)
{
    bytes now = slurp(FILE_NAME);

    assert_int_equal(now.n, old->n);
    assert_memory_equal(now.at, old->at, now.n);
    assert_false(is_there(FILE_NAME ".bak"));
    assert_false(is_there(FILE_NAME ".opt-tmp0"));
    free(now.at);
}

/* Returns whether the action met a failure. */
static bool meets_failure(action which, long from, bool all, const bytes *old)
{
    snapshot before, after;
    opt_batch part;
    opt_status s;
    count c;
    job j;

    count_init(&c);
    job_new(&j, opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator}), &opt_adam, NULL, NULL);
    before = job_snapshot(&j);
    c.fail_from = c.calls + from;
    c.fail_all = all;
    s = act(which, &j);
    c.fail_from = -1;
    after = job_snapshot(&j);
    if (s != OPT_OK) {
        assert_fails(j.p.ctx, s, OPT_ENOMEM, "memory");
        assert_memory_equal(&before, &after, sizeof before);
        assert_fails(j.p.ctx, opt_batches_next(j.batches, &part), OPT_EINVAL, "begin comes first");
        check_file(old);
        assert_ok(j.p.ctx, act(which, &j)); /* and it goes another time */
    }
    job_free(&j);
    assert_int_equal(c.live, 1);
    opt_ctx_free(j.p.ctx);
    assert_int_equal(c.live, 0);
    assert_int_equal(c.bytes, 0);
    return s != OPT_OK;
}

static void put_back(const bytes *old)
{
    clean();
    spill(FILE_NAME, old->at, old->n);
}

static void any_allocation_may_fail(void **state)
{
    for (int best = 0; best < 2; best++) {
        bytes old;
        job j;

        job_new(&j, *state, &opt_adam, NULL, NULL);
        train(&j, best);
        write_state(*state, FILE_NAME, j.model.params, j.optim, j.batches);
        job_free(&j);
        old = slurp(FILE_NAME);
        for (int which = SAVE; which < ACTIONS; which++)
            for (int all = 0; all < 2; all++) {
                long n = 0;

                while (meets_failure((action)which, n, all, &old)) {
                    n++;
                    put_back(&old);
                }
                put_back(&old);
                assert_in_range(n, 4, 60);
            }
        free(old.at);
        clean();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(any_allocation_may_fail),
    };

    clean();
    return cmocka_run_group_tests_name("checkpoint memory", tests, NULL, NULL);
}

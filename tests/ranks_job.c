/* SPDX-License-Identifier: MIT */
#include "ranks_job.h"

#include <string.h>

/* Without the slots, of which a rank of a sharded optimizer has a part. */
static snapshot weights(const job *j)
{
    snapshot s = {.steps = opt_optim_steps(j->optim)};
    int k = 0;

    for (int i = 0; i < j->model.params.n; i++)
        for (int64_t e = 0; e < opt_tensor_len(&j->model.params.at[i].value); e++)
            s.value[k++] = opt_get(&j->model.params.at[i].value, e);
    return s;
}

void work_train(opt_comm comm, void *arg)
{
    work *w = arg;
    count c;
    opt_ctx *ctx;
    opt_train_opts opts = w->train;
    opt_source source;
    job j;
    long before;

    count_init(&c);
    ctx = opt_ctx_new(&(opt_ctx_opts){.comm = comm, .allocator = c.allocator});
    job_new(&j, ctx, w->method, &w->optim, &w->batches);
    source = opt_source_table(&j.p.data);
    if (w->validated)
        opts.validation = &source;
    w->t[comm.rank] = (trace){.answer = OPT_STOP, .step = comm.rank == w->odd && w->stop > 0 ? w->stop : -1};
    if (comm.rank == w->odd && w->upset != NULL)
        w->upset(w, &j);
    if (w->all != NULL)
        w->all(w, &j);
    before = c.calls;
    if (comm.rank == w->odd && w->short_of > 0)
        c.fail_from = before + w->short_of - 1;
    w->status[comm.rank] = job_train_with(&j, opts, &w->t[comm.rank]);
    if (comm.rank == w->odd)
        w->allocations = c.calls - before;
    strcpy(w->message[comm.rank], opt_errmsg(ctx));
    w->end[comm.rank] = w->optim.sharded ? weights(&j) : job_snapshot(&j);
    job_free(&j);
    opt_ctx_free(ctx);
}

void work_check_same(work w)
{
    work alone = w;

    work_train((opt_comm){0}, &alone);
    assert_int_equal(alone.status[0], OPT_OK);
    for (int ranks = 2; ranks <= RANKS_MOST; ranks++) {
        ranks_run(ranks, -1, work_train, &w);
        for (int r = 0; r < ranks; r++) {
            assert_string_equal(w.message[r], "");
            assert_int_equal(w.status[r], OPT_OK);
            assert_true(same_trace(&w.t[r], &alone.t[0]));
            assert_memory_equal(&w.end[r], &alone.end[0], sizeof(snapshot));
        }
    }
}

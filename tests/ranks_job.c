/* SPDX-License-Identifier: MIT */
#include "ranks_job.h"

#include <string.h>

const work work_usual = {.method = &opt_adam,
                         .optim = {.lr = 0.1},
                         .batches = {.size = 4, .seed = 2, .chunk = 1},
                         .train = {.epochs = 2}};

static opt_status cannot_learn(void *self, const opt_batch *part, double *loss)
{
    (void)self, (void)part, (void)loss;
    return OPT_EFORMAT;
}

void work_learn_nothing(work *w, job *j)
{
    (void)w;
    j->model.grad = cannot_learn;
}

/* Without the slots, of which a rank of a sharded optimizer has a part. */
static snapshot weights(const job *j)
{
    snapshot s = {.steps = opt_optim_steps(j->optim)};
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

    for (int i = 0; i < j->model.params.n; i++) {
        const opt_tensor *w = &j->model.params.at[i].value;
        const unsigned char *bytes = w->data;
        const size_t size = w->dtype == OPT_F32 ? sizeof(float) : sizeof(double);

        for (size_t b = 0; b < (size_t)opt_tensor_len(w) * size; b++)
            hash = (hash ^ bytes[b]) * UINT64_C(1099511628211);
    }
    memcpy(&s.value[0], &hash, sizeof hash);
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
    if (w->net.size[0] > 0)
        job_new_net(&j, ctx, &w->net, w->method, &w->optim, &w->batches);
    else
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
    w->end[comm.rank] = w->optim.sharded || w->net.size[0] > 0 ? weights(&j) : job_snapshot(&j);
    job_free(&j);
    opt_ctx_free(ctx);
    w->left[comm.rank] = c.live;
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

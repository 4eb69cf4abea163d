/* SPDX-License-Identifier: MIT */
#include "problem.h"

#include <math.h>
#include <string.h>

static void fill_normal(opt_rng *rng, opt_tensor *t)
{
    for (int64_t i = 0; i < opt_tensor_len(t); i++)
        opt_set(t, i, opt_rng_normal(rng));
}

/* Labels within [0, 1] take turns at being 0, 1 and in between. */
static void fill_labels(opt_rng *rng, opt_loss loss, opt_tensor *y)
{
    const int64_t k = y->dim[1];

    if (loss == OPT_MSE)
        fill_normal(rng, y);
    else if (loss == OPT_BCE)
        for (int64_t i = 0; i < opt_tensor_len(y); i++)
            opt_set(y, i, i % 3 < 2 ? (double)(i % 3) : opt_rng_uniform(rng));
    else
        for (int64_t i = 0; i < y->dim[0]; i++)
            opt_set(y, i * k + (int64_t)(opt_rng_u32(rng) % (uint32_t)k), 1);
}

void problem_new(problem *p, opt_ctx *ctx, const opt_mlp_opts *opts, int64_t rows)
{
    opt_params params;
    opt_rng rng;

    *p = (problem){.ctx = ctx};
    assert_ok(ctx, opt_mlp_new(ctx, opts, &p->net));
    params = opt_mlp_params(p->net);
    const opt_tensor *first = &params.at[0].value, *last = &params.at[params.n - 1].value;
    const int64_t x[] = {rows, first->dim[1]}, y[] = {rows, last->dim[0]};

    assert_ok(ctx, opt_tensor_new(ctx, first->dtype, 2, x, &p->data.x));
    assert_ok(ctx, opt_tensor_new(ctx, first->dtype, 2, y, &p->data.y));
    opt_rng_seed(&rng, opts->seed + 1);
    fill_normal(&rng, &p->data.x);
    fill_labels(&rng, opts->loss, &p->data.y);
    for (int i = 1; i < params.n; i += 2)
        fill_normal(&rng, &params.at[i].value);
}

void problem_free(problem *p)
{
    opt_tensor_free(p->ctx, &p->data.x);
    opt_tensor_free(p->ctx, &p->data.y);
    opt_mlp_free(p->net);
}

void job_new(job *j, opt_ctx *ctx, const opt_method *method, const opt_optim_opts *optim,
             const opt_batches_opts *batches)
{
    job_new_net(j, ctx, &(opt_mlp_opts){.size = {2, 3, 1}, .act = OPT_TANH, .seed = 1}, method, optim,
                batches);
}

void job_new_net(job *j, opt_ctx *ctx, const opt_mlp_opts *net, const opt_method *method,
                 const opt_optim_opts *optim, const opt_batches_opts *batches)
{
    opt_source source;

    *j = (job){0};
    problem_new(&j->p, ctx, net, JOB_ROWS);
    source = opt_source_table(&j->p.data);
    j->model = opt_mlp_model(j->p.net);
    assert_ok(ctx, opt_optim_new(ctx, method, NULL, optim ? optim : &(opt_optim_opts){.lr = 0.1},
                                 j->model.params, &j->optim));
    assert_ok(ctx,
              opt_batches_new(ctx, &source, batches ? batches : &(opt_batches_opts){.size = 4, .seed = 2},
                              &j->batches));
}

void job_free(job *j)
{
    opt_batches_free(j->batches);
    opt_optim_free(j->optim);
    problem_free(&j->p);
}

snapshot job_snapshot(const job *j)
{
    static const char *const name[][2] = {{"m", "v"}, {"v", ""}};
    snapshot s = {.steps = opt_optim_steps(j->optim)};
    const bool adam = opt_optim_slot(j->optim, 0, "m") != NULL;
    int k = 0;

    for (int i = 0; i < j->model.params.n; i++) {
        const opt_tensor *w = &j->model.params.at[i].value;

        for (int64_t e = 0; e < opt_tensor_len(w); e++, k++) {
            s.value[k] = opt_get(w, e);
            for (int slot = 0; slot < 2; slot++) {
                const opt_tensor *t = opt_optim_slot(j->optim, i, name[adam ? 0 : 1][slot]);
                s.slot[slot][k] = t ? opt_get(t, e) : 0;
            }
        }
    }
    assert_int_equal(k, JOB_VALUES);
    return s;
}

static opt_status add_to_trace(const opt_progress *p, void *ud)
{
    trace *t = ud;

    assert_true(t->n < 64);
    t->at[t->n++] = *p;
    return OPT_OK;
}

static opt_status on_step(const opt_progress *p, void *ud)
{
    const trace *t = ud;

    add_to_trace(p, ud);
    return p->step == t->step ? t->answer : OPT_OK;
}

static opt_status on_epoch(const opt_progress *p, void *ud)
{
    const trace *t = ud;

    add_to_trace(p, ud);
    return p->epoch == t->epoch ? t->answer : OPT_OK;
}

opt_status job_train(job *j, int64_t epochs, trace *t)
{
    return job_train_with(j, (opt_train_opts){.epochs = epochs}, t);
}

opt_status job_train_with(job *j, opt_train_opts opts, trace *t)
{
    opts.on_epoch = on_epoch;
    opts.on_step = on_step;
    opts.ud = t;
    return opt_train(j->p.ctx, &j->model, j->optim, j->batches, &opts);
}

static bool same_number(double x, double y)
{
    return x == y || (isnan(x) && isnan(y));
}

bool same_trace(const trace *a, const trace *b)
{
    bool same = a->n == b->n;

    for (int i = 0; same && i < a->n; i++) {
        const opt_progress *x = &a->at[i], *y = &b->at[i];

        same = x->epoch == y->epoch && x->epochs == y->epochs && x->step == y->step &&
               same_number(x->loss, y->loss) && same_number(x->last_loss, y->last_loss) &&
               same_number(x->lr, y->lr) && same_number(x->grad_norm, y->grad_norm) &&
               same_number(x->val_loss, y->val_loss) && same_number(x->val_accuracy, y->val_accuracy) &&
               same_number(x->best_loss, y->best_loss) && x->best_epoch == y->best_epoch;
    }
    return same;
}

opt_tensor matrix(opt_ctx *ctx, opt_dtype dtype, int64_t rows, int64_t cols, const double *values)
{
    const int64_t dim[] = {rows, cols};
    opt_tensor t = {0};

    assert_ok(ctx, opt_tensor_new(ctx, dtype, 2, dim, &t));
    for (int64_t i = 0; i < rows * cols; i++)
        opt_set(&t, i, values[i]);
    return t;
}

bool same_bytes(const opt_tensor *a, const opt_tensor *b)
{
    const size_t size = a->dtype == OPT_F32 ? sizeof(float) : sizeof(double);

    return a->dtype == b->dtype && opt_tensor_len(a) == opt_tensor_len(b) &&
           memcmp(a->data, b->data, (size_t)opt_tensor_len(a) * size) == 0;
}

int open_ctx(void **state)
{
    *state = opt_ctx_new(NULL);
    return *state == NULL;
}

int close_ctx(void **state)
{
    opt_ctx_free(*state);
    return 0;
}

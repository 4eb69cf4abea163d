/* SPDX-License-Identifier: MIT
 *
 * Sharded optimizers: each rank has a part of the slots.
 */
#include <stdio.h>
#include <string.h>

#include "ranks_job.h"

#define CHECKPOINT "test_train_sharded.safetensors"
#define BYTES      (1 << 16) /* more than a checkpoint has */

/* So many weights that each of 8 ranks has some, and a method of whole matrices cuts between several. */
static const opt_mlp_opts wide = {.size = {2, 24, 8, 8, 1}, .act = OPT_TANH, .seed = 1};

static opt_status no_sum(void *ud, void *buf, size_t n, opt_dtype t)
{
    (void)ud, (void)buf, (void)n, (void)t;
    return OPT_EIO;
}

/* Each keeps a part of the slots; the weights are the same, and so is the file that they write together. */
static void sharded_ranks_learn_what_one_does(void **state)
{
    static const opt_method *const methods[] = {&opt_adam,  &opt_adam_bf16,     &opt_muon, &opt_rprop,
                                                &opt_lion,  &opt_schedule_free, &opt_gd,   &opt_amsgrad,
                                                &opt_adamw, &opt_momentum};
    (void)state;
    for (size_t m = 0; m < sizeof methods / sizeof *methods; m++)
        for (int average = 0; average < 2; average++) {
            work w = {.method = methods[m],
                      .net = wide,
                      .optim = {.lr = 0.1, .sharded = true, .clip_norm = 0.5, .weight_decay = 0.01},
                      .batches = {.size = 4, .seed = 2, .chunk = 1},
                      .train = {.epochs = 3, .keep_best = true},
                      .validated = true};

            if (average && methods[m] == &opt_schedule_free)
                continue;
            w.optim.average = average ? 0.9 : 0;
            work_check_same(w);
        }
}

/* The bytes of a file. */
static int64_t contents_of(const char *path, char contents[static BYTES])
{
    FILE *f = fopen(path, "rb");
    size_t n;

    assert_non_null(f);
    n = fread(contents, 1, BYTES, f);
    assert_true(n > 0 && n < BYTES);
    fclose(f);
    return (int64_t)n;
}

static void load(work *w, job *j)
{
    if (opt_load(j->p.ctx, CHECKPOINT, j->model.params, j->optim, j->batches))
        strcpy(w->message[0], opt_errmsg(j->p.ctx));
}

/* Written by one number of ranks, or one alone, and read by another. */
static void a_checkpoint_does_not_depend_on_the_ranks(void **state)
{
    static const opt_method *const methods[] = {&opt_adam, &opt_adam_bf16, &opt_muon};
    static char mine[BYTES], theirs[BYTES];

    (void)state;
    for (int m = 0; m < 3; m++) {
        work w = {.method = methods[m],
                  .net = wide,
                  .optim = {.lr = 0.1, .average = 0.5},
                  .batches = {.size = 4, .seed = 2, .chunk = 1},
                  .train = {.epochs = 2, .checkpoint = CHECKPOINT}},
             whole = w;
        int64_t n;

        work_train((opt_comm){0}, &w);
        n = contents_of(CHECKPOINT, mine);
        whole.train.epochs = 4;
        whole.train.checkpoint = NULL;
        whole.optim.sharded = true; /* of one rank: only its weights are compared */
        work_train((opt_comm){0}, &whole);
        for (int ranks = 1; ranks <= 5; ranks++) {
            w.optim.sharded = true;
            w.train.epochs = 2;
            w.odd = -1;
            remove(CHECKPOINT);
            ranks_run(ranks, -1, work_train, &w);
            assert_int_equal(w.status[0], OPT_OK);
            assert_int_equal(contents_of(CHECKPOINT, theirs), n);
            assert_memory_equal(mine, theirs, (size_t)n);
            for (int others = 1; others <= 4; others++) {
                work rest = w;

                rest.train = (opt_train_opts){.epochs = 4};
                rest.all = load;
                ranks_run(others, -1, work_train, &rest);
                for (int r = 0; r < others; r++) {
                    assert_string_equal(rest.message[r], "");
                    assert_memory_equal(&rest.end[r], &whole.end[0], sizeof(snapshot));
                }
            }
        }
    }
    remove(CHECKPOINT);
    remove(CHECKPOINT ".bak");
}

typedef struct measured {
    bool sharded;
    long fail_at; /* an allocation of the optimizer's, from 1 */
    opt_status status[RANKS_MOST];
    int64_t bytes[RANKS_MOST];
} measured;

static void make_optimizer(opt_comm comm, void *arg)
{
    measured *m = arg;
    count c;
    const opt_mlp_opts opts = {.size = {64, 64, 10}, .seed = 1};
    opt_optim *o = NULL;
    opt_mlp *net = NULL;
    opt_ctx *ctx;
    size_t before;

    count_init(&c);
    ctx = opt_ctx_new(&(opt_ctx_opts){.comm = comm, .allocator = c.allocator});

    if (opt_mlp_new(ctx, &opts, &net) == OPT_OK) {
        before = c.bytes;
        if (m->fail_at > 0)
            c.fail_from = c.calls + m->fail_at - 1;
        m->status[comm.rank] = opt_optim_new(
            ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 1, .sharded = m->sharded}, opt_mlp_params(net), &o);
        m->bytes[comm.rank] = (int64_t)(c.bytes - before);
    }
    opt_optim_free(o);
    opt_mlp_free(net);
    opt_ctx_free(ctx);
}

/* Two slots of 4810 f64, shared by 4 ranks. */
static void slots_take_a_ranks_part_of_the_memory(void **state)
{
    measured m = {.sharded = false};
    const int64_t slots = INT64_C(2) * (64 * 64 + 64 + 64 * 10 + 10) * (int64_t)sizeof(double);
    int64_t whole;

    (void)state;
    ranks_run(4, -1, make_optimizer, &m);
    whole = m.bytes[0];
    m.sharded = true;
    ranks_run(4, -1, make_optimizer, &m);
    for (int r = 0; r < 4; r++)
        assert_in_range(whole - m.bytes[r], slots * 3 / 4 - 1024, slots * 3 / 4 + 1024);
}

static void an_optimizer_without_memory_is_none(void **state)
{
    measured m = {.sharded = true};

    (void)state;
    do {
        m.fail_at++;
        ranks_run(2, -1, make_optimizer, &m);
        for (int r = 0; r < 2; r++) {
            assert_int_equal(m.status[r], m.status[0]);
            assert_true(m.status[r] == OPT_OK || (m.status[r] == OPT_ENOMEM && m.bytes[r] == 0));
        }
    } while (m.status[0] != OPT_OK);
    assert_true(m.fail_at > 4);
}

static void a_method_that_searches_is_not_sharded(void **state)
{
    work w = {.method = &opt_adam, .optim = {.lr = 0.1, .sharded = true}};
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.comm = {.size = 2, .sum = no_sum}});
    opt_optim *o = NULL;
    problem p;

    (void)state;
    problem_new(&p, ctx, &(opt_mlp_opts){.size = {2, 1}, .seed = 1}, 4);
    assert_fails(ctx, opt_optim_new(ctx, &opt_lbfgs, NULL, &w.optim, opt_mlp_params(p.net), &o), OPT_EINVAL,
                 "lbfgs: it searches along a line, and cannot be sharded");
    assert_null(o);
    problem_free(&p);
    opt_ctx_free(ctx);
}

static work writing(const opt_method *method)
{
    work w = {.method = method,
              .net = wide,
              .optim = {.lr = 0.1, .average = 0.5, .sharded = true},
              .batches = {.size = 4, .seed = 2, .chunk = 1},
              .train = {.epochs = 2, .keep_best = true, .checkpoint = CHECKPOINT},
              .validated = true};

    return w;
}

/* Whichever allocation it is, on whichever rank, once training has begun: all hear of it. */
static void all_hear_that_one_has_no_memory(void **state)
{
    (void)state;
    for (int odd = 0; odd < 3; odd++) {
        work w = writing(odd == 1 ? &opt_adam_bf16 : &opt_adam);

        w.odd = odd;
        ranks_run(3, -1, work_train, &w);
        assert_true(w.allocations > 3);
        for (long k = 1, n = w.allocations; k <= n; k++) {
            w.short_of = k;
            ranks_run(3, -1, work_train, &w);
            for (int r = 0; r < 3; r++)
                if (w.status[r] != OPT_ENOMEM || w.left[r] != 0)
                    fail_msg("allocation %ld of rank %d, rank %d: %s", k, odd, r, w.message[r]);
        }
    }
    remove(CHECKPOINT);
    remove(CHECKPOINT ".bak");
}

static void a_sum_that_fails_ends_training(void **state)
{
    static const opt_method *const methods[] = {&opt_adam, &opt_adam_bf16};

    (void)state;
    for (int m = 0; m < 2; m++) {
        work w = writing(methods[m]);
        const int sums = ranks_run(3, -1, work_train, &w);

        for (int n = 0; n < sums; n++) {
            ranks_run(3, n, work_train, &w);
            for (int r = 0; r < 3; r++)
                if (w.status[r] != OPT_ECOMM || w.left[r] != 0)
                    fail_msg("sum %d, rank %d: %s", n, r, w.message[r]);
        }
    }
    remove(CHECKPOINT);
    remove(CHECKPOINT ".bak");
}

/* ---- Any parameters ------------------------------------------------------------------------------------ */

enum { LOOSE = 7, MOST = 60 };

/* Of several types, some frozen, some end to end in memory and others here and there. */
static const struct {
    opt_dtype dtype;
    int64_t n;
    bool frozen, follows; /* where the one before ends */
} shape[LOOSE] = {{OPT_F64, 35, false, false}, {OPT_F64, 3, true, false},  {OPT_F64, 1, false, false},
                  {OPT_F32, 40, false, false}, {OPT_F32, 22, false, true}, {OPT_F32, 14, false, false},
                  {OPT_F64, 60, false, false}};

typedef struct loose {
    const opt_method *method;
    bool sharded, gathers, gather_fails;
    char message[RANKS_MOST][128];
    opt_status status[RANKS_MOST];
    double value[RANKS_MOST][LOOSE][MOST];
} loose;

static opt_status gather_nothing(void *ud, void *buf, const int64_t *start, opt_dtype t)
{
    (void)ud, (void)buf, (void)start, (void)t;
    return OPT_EIO;
}

/* Shares of what the ranks have: by sums alone, so by what <opt/base.h> says of gather. */
static opt_status gather(void *ud, void *buf, const int64_t *start, opt_dtype t)
{
    opt_comm *c = ud;
    const size_t size = t == OPT_F64 ? sizeof(double) : sizeof(float);

    memset(buf, 0, (size_t)start[c->rank] * size);
    memset((char *)buf + (size_t)start[c->rank + 1] * size, 0,
           (size_t)(start[c->size] - start[c->rank + 1]) * size);
    return c->sum(c->ud, buf, (size_t)start[c->size], t);
}

static opt_status sum_of(void *ud, void *buf, size_t n, opt_dtype t)
{
    opt_comm *c = ud;

    return c->sum(c->ud, buf, n, t);
}

/* The tensors of p, zeros. */
static opt_status make_loose(opt_ctx *ctx, opt_param p[LOOSE])
{
    static const char *const names[LOOSE] = {"a", "b", "c", "d", "e", "f", "g"};
    opt_status s = OPT_OK;

    for (int i = 0; !s && i < LOOSE; i++) {
        int64_t n = shape[i].n;

        p[i] = (opt_param){.name = names[i], .frozen = shape[i].frozen};
        if (shape[i].follows) {
            p[i].value = opt_tensor_view(OPT_F32, (float *)p[i - 1].value.data + shape[i - 1].n, 1, &n);
            p[i].grad = opt_tensor_view(OPT_F32, (float *)p[i - 1].grad.data + shape[i - 1].n, 1, &n);
            continue;
        }
        if (i + 1 < LOOSE && shape[i + 1].follows)
            n += shape[i + 1].n;
        s = opt_tensor_new(ctx, shape[i].dtype, 1, &n, &p[i].value);
        if (!s)
            s = opt_tensor_new(ctx, shape[i].dtype, 1, &n, &p[i].grad);
        p[i].value.dim[0] = p[i].grad.dim[0] = shape[i].n;
    }
    return s;
}

static void free_loose(opt_ctx *ctx, opt_param p[LOOSE])
{
    for (int i = 0; i < LOOSE; i++)
        if (!shape[i].follows) {
            opt_tensor_free(ctx, &p[i].value);
            opt_tensor_free(ctx, &p[i].grad);
        }
}

/* Three steps, and a checkpoint. */
static opt_status step_loose(opt_ctx *ctx, const loose *l, int rank, opt_param p[LOOSE])
{
    opt_optim *o = NULL;
    opt_status s = opt_optim_new(ctx, l->method, NULL, &(opt_optim_opts){.lr = 0.1, .sharded = l->sharded},
                                 (opt_params){p, LOOSE}, &o);

    for (int step = 0; !s && step < 3; step++) {
        for (int i = 0; i < LOOSE; i++)
            for (int64_t e = 0; e < shape[i].n; e++)
                opt_set(&p[i].grad, e, rank == 0 ? (double)((i + 2) * (e + 1 + step)) : -0.0);
        s = opt_optim_step(o);
    }
    if (!s && (l->sharded || rank == 0))
        s = opt_save(ctx, CHECKPOINT, (opt_params){p, LOOSE}, o, NULL);
    opt_optim_free(o);
    return s;
}

static void work_loose(opt_comm comm, void *arg)
{
    loose *l = arg;
    opt_comm inner = comm;
    opt_ctx *ctx;
    opt_param p[LOOSE] = {{0}};
    opt_status s;

    if (l->gathers)
        comm = (opt_comm){.rank = comm.rank,
                          .size = comm.size,
                          .sum = sum_of,
                          .gather = l->gather_fails ? gather_nothing : gather,
                          .ud = &inner};
    ctx = opt_ctx_new(&(opt_ctx_opts){.comm = comm});
    s = make_loose(ctx, p);
    if (!s)
        s = step_loose(ctx, l, comm.rank, p);
    l->status[comm.rank] = s;
    snprintf(l->message[comm.rank], sizeof l->message[0], "%s", opt_errmsg(ctx));
    for (int i = 0; i < LOOSE; i++)
        for (int64_t e = 0; e < shape[i].n; e++)
            l->value[comm.rank][i][e] = opt_get(&p[i].value, e);
    free_loose(ctx, p);
    opt_ctx_free(ctx);
}

static void check_loose(const opt_method *method)
{
    static char mine[BYTES], theirs[BYTES];
    static loose alone, l;
    int64_t n;

    alone = (loose){.method = method};
    work_loose((opt_comm){0}, &alone);
    assert_int_equal(alone.status[0], OPT_OK);
    assert_true(alone.value[0][0][0] < 0 && alone.value[0][1][0] == 0);
    n = contents_of(CHECKPOINT, mine);
    for (int ranks = 1; ranks <= RANKS_MOST; ranks++)
        for (int gathers = 0; gathers < 2; gathers++) {
            l = (loose){.method = method, .sharded = true, .gathers = gathers};
            ranks_run(ranks, -1, work_loose, &l);
            for (int r = 0; r < ranks; r++) {
                assert_int_equal(l.status[r], OPT_OK);
                assert_memory_equal(l.value[r], alone.value[0], sizeof l.value[r]);
            }
            assert_int_equal(contents_of(CHECKPOINT, theirs), n);
            assert_memory_equal(mine, theirs, (size_t)n);
        }
    remove(CHECKPOINT);
    remove(CHECKPOINT ".bak");
}

static void parameters_may_be_any(void **state)
{
    (void)state;
    check_loose(&opt_adam);
    check_loose(&opt_muon); /* of which a rank has whole parameters */
}

static void what_cannot_be_gathered_is_an_error(void **state)
{
    static loose l = {.method = &opt_adam, .sharded = true, .gathers = true, .gather_fails = true};

    (void)state;
    ranks_run(2, -1, work_loose, &l);
    for (int r = 0; r < 2; r++) {
        assert_int_equal(l.status[r], OPT_ECOMM);
        assert_string_equal(l.message[r], "adam: gathering over ranks failed");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sharded_ranks_learn_what_one_does),
        cmocka_unit_test(a_checkpoint_does_not_depend_on_the_ranks),
        cmocka_unit_test(slots_take_a_ranks_part_of_the_memory),
        cmocka_unit_test(an_optimizer_without_memory_is_none),
        cmocka_unit_test(a_method_that_searches_is_not_sharded),
        cmocka_unit_test(all_hear_that_one_has_no_memory),
        cmocka_unit_test(a_sum_that_fails_ends_training),
        cmocka_unit_test(parameters_may_be_any),
        cmocka_unit_test(what_cannot_be_gathered_is_an_error),
    };

    return cmocka_run_group_tests_name("train, sharded", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * An optimizer's steps by several ranks, without opt_train.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ranks.h"
#include "support.h"

enum { PARAMS = 3, ROWS = 4, COLS = 6, EACH = ROWS * COLS, GAP = 2, STEPS = 3 };

typedef struct work {
    const opt_method *method, *odd_method; /* what the odd rank has in its place, or NULL */
    bool sharded;
    int odd;
    bool grads_apart, values_apart; /* in memory, on the odd rank */
    opt_status status[RANKS_MOST];
    char message[RANKS_MOST][200];
    int64_t steps[RANKS_MOST];
    double w[RANKS_MOST][PARAMS * EACH];
} work;

/* Steps by gradients that are rank 0's, to which the others add nothing. */
static void step(opt_comm comm, void *arg)
{
    static const char *const names[PARAMS] = {"a", "b", "c"};
    work *w = arg;
    const bool odd = comm.rank == w->odd;
    const opt_method *method = odd && w->odd_method != NULL ? w->odd_method : w->method;
    const opt_optim_opts opts = {.lr = 0.1, .sharded = w->sharded};
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.comm = comm});
    const ptrdiff_t from_grad = EACH + (odd && w->grads_apart ? GAP : 0);
    const ptrdiff_t from_value = EACH + (odd && w->values_apart ? GAP : 0);
    double g[PARAMS * (EACH + GAP)], value[PARAMS * (EACH + GAP)];
    opt_param p[PARAMS];
    opt_optim *o = NULL;
    opt_status s;

    for (int i = 0; i < PARAMS; i++) {
        p[i] =
            (opt_param){.name = names[i],
                        .value = opt_tensor_view(OPT_F64, value + i * from_value, 2, (int64_t[]){ROWS, COLS}),
                        .grad = opt_tensor_view(OPT_F64, g + i * from_grad, 2, (int64_t[]){ROWS, COLS})};
        opt_tensor_fill(&p[i].value, 1);
    }
    s = opt_optim_new(ctx, method, NULL, &opts, (opt_params){p, PARAMS}, &o);
    for (int t = 0; !s && t < STEPS; t++) {
        for (int i = 0; i < PARAMS; i++)
            for (int64_t e = 0; e < EACH; e++)
                opt_set(&p[i].grad, e, comm.rank == 0 ? (double)((i + 1) * (e * e % 7 - 3 + t)) : -0.0);
        s = opt_optim_step(o);
    }
    for (int i = 0; i < PARAMS; i++)
        memcpy(w->w[comm.rank] + (ptrdiff_t)EACH * i, p[i].value.data, EACH * sizeof(double));
    w->status[comm.rank] = s;
    w->steps[comm.rank] = opt_optim_steps(o);
    snprintf(w->message[comm.rank], sizeof w->message[0], "%s", opt_errmsg(ctx));
    opt_optim_free(o);
    opt_ctx_free(ctx);
}

/* Ranks, one of which may be odd, come to the weights of one alone; returns how many sums that took. */
static int check_same(work w, int ranks)
{
    static work alone;
    int sums;

    alone = (work){.method = w.method, .odd = -1};
    step((opt_comm){0}, &alone);
    assert_int_equal(alone.status[0], OPT_OK);
    sums = ranks_run(ranks, -1, step, &w);
    for (int r = 0; r < ranks; r++) {
        assert_string_equal(w.message[r], "");
        assert_int_equal(w.status[r], OPT_OK);
        assert_memory_equal(w.w[r], alone.w[0], sizeof w.w[r]);
    }
    return sums;
}

/* ---- Updates that fail --------------------------------------------------------------------------------- */

static opt_status update(const opt_update *u)
{
    for (int64_t i = 0; i < opt_tensor_len(&u->w); i++)
        opt_set(&u->w, i, opt_get(&u->w, i) - u->lr * opt_get(&u->g, i));
    return OPT_OK;
}

static opt_status update_that_fails(const opt_update *u)
{
    return u->t == 2 ? OPT_EFORMAT : update(u);
}

static const opt_method mine = {.name = "mine", .update = update};
static const opt_method failing = {.name = "mine", .update = update_that_fails};

/* Others waited for its weights, or for its gradients of the next step. */
static void all_hear_of_an_update_that_fails(void **state)
{
    static work w;

    (void)state;
    for (int ranks = 2; ranks <= 4; ranks++)
        for (int odd = 0; odd < ranks; odd++)
            for (int sharded = 0; sharded < 2; sharded++) {
                char said[64];

                w = (work){.method = &mine, .odd_method = &failing, .odd = odd, .sharded = sharded};
                ranks_run(ranks, -1, step, &w);
                snprintf(said, sizeof said, "rank %d: mine: the update of ", odd);
                for (int r = 0; r < ranks; r++) {
                    assert_int_equal(w.status[r], OPT_EFORMAT);
                    assert_int_equal(w.steps[r], 1);
                    assert_memory_equal(w.message[r], said, strlen(said));
                }
            }
}

static int64_t muons_scratch_and_more(const void *hyper, const opt_tensor *w)
{
    return opt_muon.scratch(hyper, w) + 64;
}

/* They do not fail, and ranks do not ask one another, once a step, whether they have. */
static void the_librarys_own_updates_take_no_sum(void **state)
{
    opt_method as_muon = opt_muon;
    static work w;

    (void)state;
    as_muon.scratch = muons_scratch_and_more;
    for (int sharded = 0; sharded < 2; sharded++) {
        w = (work){.method = &opt_adam, .odd = -1, .sharded = sharded};
        const int sums = check_same(w, 3);

        w.method = &mine;
        assert_int_equal(check_same(w, 3), sums + STEPS);
        w.method = &opt_muon;
        assert_int_equal(check_same(w, 3), sums);
        w.method = &as_muon;
        assert_int_equal(check_same(w, 3), sums + STEPS);
    }
}

/* ---- Memory -------------------------------------------------------------------------------------------- */

/* What lay end to end on one rank and not on the other was summed together by the one and not by the other.
 */
static void memory_need_not_be_the_same_on_each_rank(void **state)
{
    (void)state;
    for (int ranks = 2; ranks <= 4; ranks++)
        for (int odd = 0; odd < ranks; odd++)
            for (int how = 0; how < 8; how++)
                (void)check_same((work){.method = &opt_adam,
                                        .odd = odd,
                                        .sharded = how & 1,
                                        .grads_apart = how & 2,
                                        .values_apart = how & 4},
                                 ranks);
}

typedef struct liar {
    double says;
    size_t longest;
} liar;

static opt_status lie(void *ud, void *buf, size_t n, opt_dtype t)
{
    liar *l = ud;

    assert_int_equal(t, OPT_F64);
    l->longest = n > l->longest ? n : l->longest;
    for (size_t i = 0; i < n; i++)
        ((double *)buf)[i] = l->says;
    return OPT_OK;
}

/* A sum that is none does not make one of tensors that lie apart. */
static void sums_that_are_none_reach_no_other_memory(void **state)
{
    static const double says[] = {0, -1, 1, (double)INFINITY, (double)NAN};
    static work w;

    (void)state;
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        for (int sharded = 0; sharded < 2; sharded++) {
            liar l = {.says = says[i]};

            w = (work){.method = &opt_gd, .sharded = sharded, .grads_apart = true, .values_apart = true};
            step((opt_comm){.size = 2, .sum = lie, .ud = &l}, &w);
            assert_int_equal(w.status[0], isfinite(says[i]) ? OPT_OK : OPT_ENONFINITE);
            assert_int_equal(l.longest, EACH);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_hear_of_an_update_that_fails),
        cmocka_unit_test(memory_need_not_be_the_same_on_each_rank),
        cmocka_unit_test(sums_that_are_none_reach_no_other_memory),
        cmocka_unit_test(the_librarys_own_updates_take_no_sum),
    };

    return cmocka_run_group_tests_name("optim, ranks", tests, NULL, NULL);
}

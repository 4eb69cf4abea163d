/* SPDX-License-Identifier: MIT
 *
 * Training by several ranks: the bits of one, and an end for all when one fails.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "posix.h"
#include "ranks_job.h"

#define CHECKPOINT "test_train_ranks.safetensors"
#define LOG        "test_train_ranks.csv"

/* ---- The same bits ------------------------------------------------------------------------------------- */

/* Batches of every size, of chunks of every size, the last one ragged; some ranks have no rows. */
static void ranks_learn_what_one_does(void **state)
{
    (void)state;
    for (int64_t size = 1; size <= JOB_ROWS; size++)
        for (int64_t chunk = 1; chunk <= size; chunk++)
            work_check_same((work){.method = &opt_adam,
                                   .optim = {.lr = 0.1},
                                   .batches = {.size = size, .seed = 2, .chunk = chunk},
                                   .train = {.epochs = 2}});
}

static void so_they_do_with_every_option(void **state)
{
    static const double weight[2] = {0.5, 3};
    const opt_batches_opts batches = {.size = 4, .seed = 2, .chunk = 1};
    work w = {.method = &opt_adam, .optim = {.lr = 0.1}, .batches = batches, .validated = true};

    (void)state;
    w.train = (opt_train_opts){.epochs = 4, .accumulate = 2, .keep_best = true, .patience = 2};
    work_check_same(w);
    w.train =
        (opt_train_opts){.epochs = 4, .class_weight = weight, .reduce_factor = 0.5, .reduce_patience = 1};
    w.optim.clip_norm = 0.01;
    work_check_same(w);
    w.optim.average = 0.9;
    work_check_same(w);
    w.method = &opt_muon; /* of whose slots some parameters have one, some the other */
    work_check_same(w);
    w = (work){.method = &opt_lbfgs,
               .optim = {.lr = 1, .l2 = 0.01},
               .batches = {.size = JOB_ROWS, .chunk = 1},
               .train = {.epochs = 6}};
    work_check_same(w);
}

/* ---- The end ------------------------------------------------------------------------------------------- */

/* All ranks end with the status and a message with this in it, weights and slots as they were. */
static void check_end(work w, int ranks, opt_status status, const char *part)
{
    w.odd = ranks - 1;
    ranks_run(ranks, -1, work_train, &w);
    for (int r = 0; r < ranks; r++) {
        assert_int_equal(w.status[r], status);
        if (strstr(w.message[r], part) == NULL)
            fail_msg("rank %d of %d: \"%s\" without \"%s\"", r, ranks, w.message[r], part);
        assert_string_equal(w.message[r], w.message[0]);
        assert_memory_equal(&w.end[r], &w.end[0], sizeof(snapshot));
    }
}

static opt_status cannot_read(void *ud, const int64_t *row, int64_t n, opt_tensor *x, opt_tensor *y)
{
    (void)ud, (void)row, (void)n, (void)x, (void)y;
    return OPT_EIO;
}

static void read_nothing(work *w, job *j)
{
    const opt_source source = {
        .rows = JOB_ROWS, .x_cols = 2, .y_cols = 1, .dtype = OPT_F64, .read = cannot_read};

    opt_batches_free(j->batches);
    if (opt_batches_new(j->p.ctx, &source, &w->batches, &j->batches))
        strcpy(w->message[0], "no batches");
}

static void spoil_data(work *w, job *j)
{
    (void)w;
    for (int64_t i = 0; i < opt_tensor_len(&j->p.data.x); i++)
        opt_set(&j->p.data.x, i, (double)NAN);
}

static void the_rank_that_fails_is_named(void **state)
{
    work w = work_usual;

    (void)state;
    for (int ranks = 2; ranks <= 4; ranks++) {
        char said[64];

        snprintf(said, sizeof said, "train: epoch 1, batch 1: rank %d: batches: reading batch 1", ranks - 1);
        w.upset = read_nothing;
        check_end(w, ranks, OPT_EIO, said);
        snprintf(said, sizeof said, "batch 1: rank %d: not in the expected file format", ranks - 1);
        w.upset = work_learn_nothing;
        check_end(w, ranks, OPT_EFORMAT, said);
        snprintf(said, sizeof said, "batch 1: rank %d: the batch's x is nan in element 0", ranks - 1);
        w.upset = spoil_data;
        check_end(w, ranks, OPT_ENONFINITE, said);
    }
}

/* The model of one rank, which says stop when it is called for the `at`-th time. */
static struct {
    opt_model whole;
    int calls, at;
} stopper;

static opt_status stop_at(void *self, const opt_batch *part, double *loss)
{
    (void)self;
    if (++stopper.calls == stopper.at)
        return OPT_STOP;
    return stopper.whole.grad(stopper.whole.self, part, loss);
}

static void stop_later(work *w, job *j)
{
    (void)w;
    stopper.whole = j->model;
    stopper.calls = 0;
    j->model.grad = stop_at;
}

/* While a method searches along a line: the others took it for a search that found nothing lower, and went on
 * alone. The first call is before it; how many there are in an epoch is the search's. */
static void a_model_may_say_stop_amid_a_search(void **state)
{
    work w = {.method = &opt_lbfgs,
              .optim = {.lr = 1},
              .batches = {.size = JOB_ROWS, .chunk = 1},
              .train = {.epochs = 6},
              .upset = stop_later};

    (void)state;
    for (int ranks = 2; ranks <= 3; ranks++) {
        char said[64];

        snprintf(said, sizeof said, "batch 1: lbfgs: evaluating the loss: rank %d: ", ranks - 1);
        for (stopper.at = 2; stopper.at <= 12; stopper.at += 2)
            check_end(w, ranks, OPT_STOP, stopper.at == 2 ? said : "rank ");
    }
}

static void fall_back(work *w, job *j)
{
    (void)w;
    opt_optim_set_lr(j->optim, 0.2);
}

static void change_seed(work *w, job *j)
{
    opt_batches_opts opts = w->batches;
    const opt_source source = opt_source_table(&j->p.data);

    opts.seed++;
    opt_batches_free(j->batches);
    if (opt_batches_new(j->p.ctx, &source, &opts, &j->batches))
        strcpy(w->message[0], "no batches");
}

static void change_weight(work *w, job *j)
{
    (void)w;
    opt_set(&j->model.params.at[2].value, 1, 0.25);
}

static void lose_rows(work *w, job *j)
{
    opt_source source = opt_source_table(&j->p.data);

    source.rows--;
    opt_batches_free(j->batches);
    if (opt_batches_new(j->p.ctx, &source, &w->batches, &j->batches))
        strcpy(w->message[0], "no batches");
}

static void lose_model(work *w, job *j)
{
    (void)w;
    j->model.grad = NULL;
}

static void check_nothing(work *w, job *j)
{
    opt_optim_opts opts = w->optim;

    opts.unchecked = true;
    opt_optim_free(j->optim);
    if (opt_optim_new(j->p.ctx, w->method, NULL, &opts, j->model.params, &j->optim))
        strcpy(w->message[0], "no optimizer");
}

static void rename_bias(work *w, job *j)
{
    static opt_param other[8];
    opt_status s;

    assert_in_range(j->model.params.n, 1, 8);
    memcpy(other, j->model.params.at, (size_t)j->model.params.n * sizeof *other);
    other[1].name = "bias";
    j->model.params.at = other;
    opt_optim_free(j->optim);
    s = opt_optim_new(j->p.ctx, w->method, NULL, &w->optim, j->model.params, &j->optim);
    if (s)
        strcpy(w->message[0], "no optimizer");
}

static void ranks_that_differ_are_refused(void **state)
{
    static const struct {
        void (*upset)(work *w, job *j);
        const char *part;
    } differ[] = {
        {fall_back, "rank 2: lr is 0.2 where rank 0 has 0.1"},
        {change_seed, "rank 2: batches.seed is 3 where rank 0 has 2"},
        {lose_rows, "rank 2: batches.rows is 9 where rank 0 has 10"},
        {change_weight, "rank 2: W2 is f64 [1, 3] with checksum "},
        {lose_model, "rank 2: train: "},
        {check_nothing, "rank 2: unchecked is 1 where rank 0 has 0"},
        {rename_bias, "rank 2: \"bias\" stands where rank 0 has \"b1\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof differ / sizeof *differ; i++) {
        work w = work_usual;

        w.upset = differ[i].upset;
        w.odd = 2;
        ranks_run(3, -1, work_train, &w);
        for (int r = 0; r < 3; r++) {
            assert_int_equal(w.status[r], OPT_EINVAL);
            if (strstr(w.message[r], differ[i].part) == NULL)
                fail_msg("\"%s\" without \"%s\"", w.message[r], differ[i].part);
            assert_int_equal(w.t[r].n, 0);
        }
    }
}

/* Whichever rank is told to, and wherever in the epoch. */
static void when_one_stops_all_do(void **state)
{
    (void)state;
    for (int odd = 0; odd < 3; odd++)
        for (int64_t stop = 1; stop <= 6; stop++) {
            work w = work_usual;

            w.odd = odd;
            w.stop = stop;
            ranks_run(3, -1, work_train, &w);
            for (int r = 0; r < 3; r++) {
                assert_int_equal(w.status[r], OPT_OK);
                assert_int_equal(w.end[r].steps, stop);
                assert_memory_equal(&w.end[r], &w.end[0], sizeof(snapshot));
            }
        }
}

/* Whichever sum it is. A step is done on all ranks or on none. */
static void a_sum_that_fails_ends_training(void **state)
{
    static const opt_method *const methods[] = {&opt_adam, &opt_lbfgs};

    (void)state;
    for (int m = 0; m < 2; m++) {
        work w = work_usual;
        int sums;

        w.method = methods[m];
        w.validated = true;
        sums = ranks_run(2, -1, work_train, &w);
        assert_in_range(sums, 20, 100);
        for (int n = 0; n < sums; n++) {
            ranks_run(2, n, work_train, &w);
            for (int r = 0; r < 2; r++) {
                assert_int_equal(w.status[r], OPT_ECOMM);
                if (strstr(w.message[r], " over ranks failed: as it was told to") == NULL)
                    fail_msg("sum %d: \"%s\"", n, w.message[r]);
            }
            assert_memory_equal(&w.end[1], &w.end[0], sizeof(snapshot));
        }
    }
}

/* Nor does it matter what all were about: that a rank has failed, or which. */
static void so_does_one_by_which_a_failure_is_told(void **state)
{
    work w = work_usual;
    int sums;

    (void)state;
    w.odd = 2;
    w.upset = read_nothing;
    sums = ranks_run(3, -1, work_train, &w);
    for (int n = 0; n < sums; n++) {
        ranks_run(3, n, work_train, &w);
        for (int r = 0; r < 3; r++)
            assert_true(w.status[r] == OPT_ECOMM || (w.status[r] == OPT_EIO && r == 2));
        assert_memory_equal(&w.end[1], &w.end[0], sizeof(snapshot));
    }
}

/* ---- Files --------------------------------------------------------------------------------------------- */

static int64_t lines_of(const char *path)
{
    FILE *f = fopen(path, "r");
    int64_t lines = 0;

    assert_non_null(f);
    for (int c = fgetc(f); c != EOF; c = fgetc(f))
        lines += c == '\n';
    fclose(f);
    return lines;
}

static void of_several_ranks_the_first_writes(void **state)
{
    work w = work_usual;

    (void)state;
    remove(CHECKPOINT);
    remove(LOG);
    w.train = (opt_train_opts){.epochs = 2, .checkpoint = CHECKPOINT, .log = LOG};
    ranks_run(3, -1, work_train, &w);
    for (int r = 0; r < 3; r++)
        assert_int_equal(w.status[r], OPT_OK);
    assert_int_equal(lines_of(LOG), 3);
    assert_int_equal(access(CHECKPOINT, F_OK), 0);
    remove(CHECKPOINT);
    remove(CHECKPOINT ".bak");
    remove(LOG);
}

static void all_hear_that_a_file_cannot_be_written(void **state)
{
    work w = work_usual;

    (void)state;
    w.train = (opt_train_opts){.epochs = 2, .checkpoint = "no such folder/x"};
    check_end(w, 3, OPT_EIO, "rank 0: train: the checkpoint: no such folder/x");
    w.train = (opt_train_opts){.epochs = 2, .log = "no such folder/x"};
    check_end(w, 3, OPT_EIO, "rank 0: train: the log: no such folder/x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_learn_what_one_does),
        cmocka_unit_test(so_they_do_with_every_option),
        cmocka_unit_test(the_rank_that_fails_is_named),
        cmocka_unit_test(a_model_may_say_stop_amid_a_search),
        cmocka_unit_test(ranks_that_differ_are_refused),
        cmocka_unit_test(when_one_stops_all_do),
        cmocka_unit_test(a_sum_that_fails_ends_training),
        cmocka_unit_test(so_does_one_by_which_a_failure_is_told),
        cmocka_unit_test(of_several_ranks_the_first_writes),
        cmocka_unit_test(all_hear_that_a_file_cannot_be_written),
    };

    return cmocka_run_group_tests_name("train, ranks", tests, NULL, NULL);
}

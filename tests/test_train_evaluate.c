/* SPDX-License-Identifier: MIT
 *
 * How well a model does: loss, accuracy and confusion against figures worked out by hand, and against what
 * the network says of itself.
 */
#include "problem.h"
#include "ranks.h"

#include <math.h>
#include <string.h>

/* ---- By hand ------------------------------------------------------------------------------------------- */

/* A model whose prediction is x, and whose loss is the mean of x's first column. */
static opt_status echo(void *self, const opt_batch *part, double *loss, opt_tensor *out)
{
    const int64_t cols = part->x.data ? part->x.dim[1] : 0;

    (void)self;
    *loss = 0;
    for (int64_t i = 0; cols > 0 && i < part->x.dim[0]; i++) {
        for (int64_t k = 0; k < cols; k++)
            opt_set(out, i * cols + k, opt_get(&part->x, i * cols + k));
        *loss += opt_get(&part->x, i * cols) / (double)part->global_rows;
    }
    return OPT_OK;
}

/* Evaluates echo on x and y [rows, cols] with confusion of either dtype, against these figures. */
static void check_echo(opt_ctx *ctx, int64_t rows, int64_t cols, int64_t classes, const double *x,
                       const double *y, double accuracy, const double *confusion)
{
    const opt_model model = {.predict = echo, .classes = classes};
    opt_table table = {matrix(ctx, OPT_F64, rows, cols, x), matrix(ctx, OPT_F64, rows, cols, y)};
    const opt_source source = opt_source_table(&table);
    double mean = 0;

    for (int64_t i = 0; i < rows; i++)
        mean += x[i * cols] / (double)rows;
    for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
        opt_tensor counts = matrix(ctx, dtype, classes, classes, (double[16]){7, 7, 7, 7});
        opt_evaluation e = {0};

        assert_ok(ctx, opt_evaluate(ctx, &model, &source, &e, &counts));
        assert_int_equal(e.rows, rows);
        assert_close(e.loss, mean, 1e-15);
        assert_close(e.accuracy, accuracy, 0);
        for (int64_t i = 0; i < classes * classes; i++)
            assert_close(opt_get(&counts, i), confusion[i], 0);
        opt_tensor_free(ctx, &counts);
    }
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
}

/* Exactly 0.5 is not above it, in predictions as in labels. */
static void one_column_is_class_1_above_a_half(void **state)
{
    check_echo(*state, 8, 1, 2, (double[]){0.2, 0.5, 0.5000001, 0.9, 0.1, 1, 0.7, 0},
               (double[]){0, 1, 1, 1, 0, 0, 0.5, 0.6}, 0.5, (double[]){2, 2, 2, 2});
    check_echo(*state, 3, 1, 2, (double[]){0.9, 0.8, 0.7}, (double[]){0, 0, 1}, 1.0 / 3,
               (double[]){0, 2, 0, 1});
}

static void of_equal_columns_the_first_is_the_class(void **state)
{
    check_echo(*state, 6, 3, 3,
               (double[]){.2, .5, .3, .4, .4, .2, .1, .45, .45, 1, 1, 1, 0, 0, 1, -3, -2, -2},
               (double[]){0, 1, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 1}, 3.0 / 6,
               (double[]){1, 0, 0, 1, 1, 0, 0, 2, 1});
    check_echo(*state, 3, 2, 2, (double[]){.5, .5, .4, .6, .6, .4}, (double[]){1, 0, 1, 0, 0, 1}, 1.0 / 3,
               (double[]){1, 1, 1, 0});
}

/* Batches of 256 rows and a last one of 1 fall into place. */
static void rows_of_many_batches_are_all_counted(void **state)
{
    enum { N = 2 * 256 + 1 };
    double x[N], y[N], confusion[4] = {0}, right = 0;

    for (int i = 0; i < N; i++) {
        x[i] = (i * 37 % 100) / 100.0;
        y[i] = i % 3 == 0;
        confusion[2 * (y[i] > 0) + (x[i] > 0.5)]++;
        right += (x[i] > 0.5) == (y[i] > 0);
    }
    check_echo(*state, N, 1, 2, x, y, right / N, confusion);
}

static void a_model_without_classes_has_no_accuracy(void **state)
{
    opt_ctx *ctx = *state;
    const opt_model model = {.predict = echo};
    const opt_table table = {.x = matrix(ctx, OPT_F64, 3, 1, (double[]){1, 2, 6})};
    opt_table both = {table.x, matrix(ctx, OPT_F64, 3, 1, (double[]){1, 2, 6})};
    const opt_source source = opt_source_table(&both);
    opt_tensor counts = matrix(ctx, OPT_F64, 2, 2, (double[4]){0});
    opt_evaluation e = {0};

    assert_ok(ctx, opt_evaluate(ctx, &model, &source, &e, NULL));
    assert_true(isnan(e.accuracy));
    assert_close(e.loss, 3, 1e-15);
    assert_fails(ctx, opt_evaluate(ctx, &model, &source, &e, &counts), OPT_EINVAL,
                 "evaluate: confusion is wanted of a model without classes");
    opt_tensor_free(ctx, &counts);
    opt_tensor_free(ctx, &both.x);
    opt_tensor_free(ctx, &both.y);
}

/* ---- The network --------------------------------------------------------------------------------------- */

static const opt_mlp_opts nets[] = {{.size = {4, 7, 1}, .loss = OPT_BCE, .seed = 3},
                                    {.size = {4, 7, 3}, .act = OPT_TANH, .loss = OPT_SOFTMAX_CE, .seed = 4},
                                    {.size = {4, 7, 2}, .loss = OPT_MSE, .seed = 5}};
static const int64_t classes[] = {2, 3, 0};

/* The share of rows whose class opt_mlp_predict finds. */
static double accuracy_of(const problem *p)
{
    const int64_t rows = p->data.y.dim[0], cols = p->data.y.dim[1];
    opt_tensor out = {0};
    int64_t right = 0;

    assert_ok(p->ctx, opt_tensor_new(p->ctx, p->data.y.dtype, 2, p->data.y.dim, &out));
    assert_ok(p->ctx, opt_mlp_predict(p->net, &p->data.x, &out));
    for (int64_t i = 0; i < rows; i++) {
        int64_t is = 0, said = 0;

        for (int64_t k = 0; k < cols; k++) {
            is = opt_get(&p->data.y, i * cols + k) > opt_get(&p->data.y, i * cols + is) ? k : is;
            said = opt_get(&out, i * cols + k) > opt_get(&out, i * cols + said) ? k : said;
        }
        if (cols == 1) {
            is = opt_get(&p->data.y, i) > 0.5;
            said = opt_get(&out, i) > 0.5;
        }
        right += is == said;
    }
    opt_tensor_free(p->ctx, &out);
    return (double)right / (double)rows;
}

static void check_net(opt_ctx *ctx, int net, opt_dtype dtype, int64_t rows)
{
    opt_mlp_opts opts = nets[net];
    opt_evaluation e = {0};
    double loss = 0;
    problem p;

    opts.dtype = dtype;
    problem_new(&p, ctx, &opts, rows);
    const opt_source source = opt_source_table(&p.data);
    const opt_model model = opt_mlp_model(p.net);

    assert_int_equal(model.classes, classes[net]);
    assert_ok(ctx, opt_evaluate(ctx, &model, &source, &e, NULL));
    assert_ok(ctx, opt_mlp_loss(p.net, &p.data.x, &p.data.y, &loss));
    assert_close(e.loss, loss, rows <= 256 ? 0 : 1e-15 * loss);
    if (classes[net] > 0)
        assert_close(e.accuracy, accuracy_of(&p), 0);
    else
        assert_true(isnan(e.accuracy));
    problem_free(&p);
}

/* To the same bits where one batch holds all rows. */
static void a_networks_loss_is_its_own(void **state)
{
    static const int64_t rows[] = {1, 3, 64, 65, 200, 256, 257, 700};

    (void)state;
    for (int threads = 1; threads <= 3; threads += 2) {
        opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.threads = threads});

        for (int i = 0; i < 8; i++)
            for (int net = 0; net < 3; net++)
                for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++)
                    check_net(ctx, net, dtype, rows[i]);
        opt_ctx_free(ctx);
    }
}

/* The part as opt_evaluate hands it on: one pass gives the bits of opt_mlp_predict and opt_mlp_loss. */
static void one_pass_gives_loss_and_predictions(void **state)
{
    opt_ctx *ctx = *state;

    for (int net = 0; net < 3; net++) {
        problem p;
        opt_tensor one = {0}, two = {0};
        double loss = 0, alone = 0;

        problem_new(&p, ctx, &nets[net], 200);
        const opt_model model = opt_mlp_model(p.net);
        const opt_batch part = {.x = p.data.x, .y = p.data.y, .global_rows = 200};

        assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, 2, p.data.y.dim, &one));
        assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, 2, p.data.y.dim, &two));
        assert_ok(ctx, model.predict(model.self, &part, &loss, &one));
        assert_ok(ctx, opt_mlp_predict(p.net, &p.data.x, &two));
        assert_ok(ctx, opt_mlp_loss(p.net, &p.data.x, &p.data.y, &alone));
        assert_close(loss, alone, 0);
        assert_true(same_bytes(&one, &two));
        assert_fails(ctx, model.predict(model.self, &part, NULL, &one), OPT_EINVAL, "loss is NULL");
        assert_fails(ctx, model.predict(model.self, &part, &loss, &p.data.y), OPT_EINVAL, "overlaps y");
        opt_tensor_free(ctx, &one);
        opt_tensor_free(ctx, &two);
        problem_free(&p);
    }
}

static void a_network_with_several_independent_outputs_has_no_classes(void **state)
{
    opt_mlp *net = NULL;
    opt_model model;

    assert_ok(*state, opt_mlp_new(*state, &(opt_mlp_opts){.size = {2, 3}, .loss = OPT_BCE}, &net));
    model = opt_mlp_model(net);
    assert_int_equal(model.classes, 0);
    assert_true(model.weighs);
    opt_mlp_free(net);
    assert_null(opt_mlp_model(NULL).predict);
}

static void evaluating_changes_neither_weights_nor_gradients(void **state)
{
    opt_ctx *ctx = *state;
    opt_evaluation e;
    double loss = 0;
    problem p;

    problem_new(&p, ctx, &nets[1], 100);
    const opt_source source = opt_source_table(&p.data);
    const opt_model model = opt_mlp_model(p.net);
    const opt_param *w = &model.params.at[0];
    opt_tensor value = {0}, grad = {0};

    assert_ok(ctx, opt_mlp_grad(p.net, &p.data.x, &p.data.y, &loss));
    assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, 2, w->value.dim, &value));
    assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, 2, w->value.dim, &grad));
    assert_ok(ctx, opt_tensor_copy(ctx, &w->value, &value));
    assert_ok(ctx, opt_tensor_copy(ctx, &w->grad, &grad));
    assert_ok(ctx, opt_evaluate(ctx, &model, &source, &e, NULL));
    assert_true(same_bytes(&w->value, &value));
    assert_true(same_bytes(&w->grad, &grad));
    opt_tensor_free(ctx, &value);
    opt_tensor_free(ctx, &grad);
    problem_free(&p);
}

/* ---- Ranks --------------------------------------------------------------------------------------------- */

typedef struct work {
    int64_t rows;
    bool refuses; /* the last rank's source */
    opt_status status[RANKS_MOST];
    char message[RANKS_MOST][512];
    opt_evaluation found[RANKS_MOST];
    double confusion[RANKS_MOST][9];
} work;

static opt_status refuse(void *ud, const int64_t *row, int64_t n, opt_tensor *x, opt_tensor *y)
{
    (void)ud, (void)row, (void)n, (void)x, (void)y;
    return OPT_EIO;
}

static void try_all(opt_comm comm, void *arg)
{
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.comm = comm});
    work *w = arg;
    opt_tensor counts = opt_tensor_view(OPT_F64, w->confusion[comm.rank], 2, (int64_t[]){3, 3});
    opt_source source;
    opt_model model;
    problem p;

    problem_new(&p, ctx, &nets[1], w->rows);
    model = opt_mlp_model(p.net);
    source = opt_source_table(&p.data);
    if (w->refuses && comm.rank == comm.size - 1)
        source.read = refuse;
    w->status[comm.rank] = opt_evaluate(ctx, &model, &source, &w->found[comm.rank], &counts);
    strcpy(w->message[comm.rank], opt_errmsg(ctx));
    problem_free(&p);
    opt_ctx_free(ctx);
}

/* To the last bit. There are ranks without rows. */
static void ranks_find_what_one_does(void **state)
{
    static const int64_t rows[] = {1, 2, 257, 1500};

    (void)state;
    for (int i = 0; i < 4; i++)
        for (int ranks = 2; ranks <= RANKS_MOST; ranks += ranks / 2) {
            work alone = {.rows = rows[i]}, w = alone;

            try_all((opt_comm){0}, &alone);
            ranks_run(ranks, -1, try_all, &w);
            for (int r = 0; r < ranks; r++) {
                assert_int_equal(w.status[r], OPT_OK);
                assert_memory_equal(&w.found[r], &alone.found[0], sizeof(opt_evaluation));
                assert_memory_equal(w.confusion[r], alone.confusion[0], sizeof w.confusion[0]);
            }
        }
}

static void when_a_rank_or_a_sum_fails_all_do(void **state)
{
    work w = {.rows = 1000, .refuses = true};

    (void)state;
    ranks_run(3, -1, try_all, &w);
    for (int r = 0; r < 3; r++) {
        assert_int_equal(w.status[r], OPT_EIO);
        assert_non_null(strstr(w.message[r], "evaluate: rank 2: batches: reading batch 3 "));
    }
    w.refuses = false;
    for (int n = 0; n < 3; n++) {
        ranks_run(3, n, try_all, &w);
        for (int r = 0; r < 3; r++) {
            assert_int_equal(w.status[r], OPT_ECOMM);
            assert_non_null(strstr(w.message[r], "over ranks failed: as it was told to"));
            assert_true(w.found[r].rows == 0 && w.confusion[r][0] == 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_column_is_class_1_above_a_half),
        TEST(of_equal_columns_the_first_is_the_class),
        TEST(rows_of_many_batches_are_all_counted),
        TEST(a_model_without_classes_has_no_accuracy),
        TEST(a_networks_loss_is_its_own),
        TEST(one_pass_gives_loss_and_predictions),
        TEST(a_network_with_several_independent_outputs_has_no_classes),
        TEST(evaluating_changes_neither_weights_nor_gradients),
        cmocka_unit_test(ranks_find_what_one_does),
        cmocka_unit_test(when_a_rank_or_a_sum_fails_all_do),
    };

    return cmocka_run_group_tests_name("train, evaluate", tests, NULL, NULL);
}

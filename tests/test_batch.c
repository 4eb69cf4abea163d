/* SPDX-License-Identifier: MIT
 *
 * Mini-batches over a table: what is in them, in which order.
 */
#include <string.h>

#include "support.h"

/* A table of `rows` examples that can be told apart: row i of x is (i, i + 1/4), of y -i. */
typedef struct numbered {
    opt_ctx *ctx;
    opt_table table;
    opt_source source;
    opt_batches *batches;
} numbered;

static void numbered_init(numbered *f, opt_dtype dtype, int64_t rows)
{
    memset(f, 0, sizeof *f);
    f->ctx = opt_ctx_new(NULL);
    assert_ok(f->ctx, opt_tensor_new(f->ctx, dtype, 2, (const int64_t[]){rows, 2}, &f->table.x));
    assert_ok(f->ctx, opt_tensor_new(f->ctx, dtype, 2, (const int64_t[]){rows, 1}, &f->table.y));
    for (int64_t i = 0; i < rows; i++) {
        opt_set(&f->table.x, 2 * i, (double)i);
        opt_set(&f->table.x, 2 * i + 1, (double)i + 0.25);
        opt_set(&f->table.y, i, -(double)i);
    }
    f->source = opt_source_table(&f->table);
}

/* Batches over a table of f64, to be released by numbered_free. */
static void numbered_batches(numbered *f, int64_t rows, const opt_batches_opts *opts)
{
    numbered_init(f, OPT_F64, rows);
    assert_ok(f->ctx, opt_batches_new(f->ctx, &f->source, opts, &f->batches));
}

static void numbered_free(numbered *f)
{
    opt_batches_free(f->batches);
    opt_tensor_free(f->ctx, &f->table.x);
    opt_tensor_free(f->ctx, &f->table.y);
    opt_ctx_free(f->ctx);
}

static void assert_matrix(const opt_tensor *t, opt_dtype dtype, int64_t rows, int64_t cols)
{
    assert_int_equal(t->dtype, dtype);
    assert_int_equal(t->ndim, 2);
    assert_int_equal(t->dim[0], rows);
    assert_int_equal(t->dim[1], cols);
}

/* Runs one epoch over a numbered table and checks everything about it but its order, which is put in
 * order[0.. rows); returns the number of examples seen. */
static int64_t run_epoch(numbered *f, int64_t epoch, int64_t rows, int64_t size, int64_t *order)
{
    int64_t seen = 0, index = 0;
    opt_batch b;
    opt_status s;

    assert_ok(f->ctx, opt_batches_begin(f->batches, epoch));
    while ((s = opt_batches_next(f->batches, &b)) == OPT_OK) {
        const int64_t n = rows - seen < size ? rows - seen : size;

        assert_int_equal(opt_batches_completed(f->batches), epoch - 1);
        assert_int_equal(b.index, index++);
        assert_int_equal(b.global_rows, n);
        assert_matrix(&b.x, f->table.x.dtype, n, 2);
        assert_matrix(&b.y, f->table.x.dtype, n, 1);
        for (int64_t i = 0; i < n; i++) {
            const double row = opt_get(&b.x, 2 * i);
            assert_close(opt_get(&b.x, 2 * i + 1), row + 0.25, 0);
            assert_close(opt_get(&b.y, i), -row, 0);
            order[seen++] = (int64_t)row;
        }
    }
    assert_int_equal(s, OPT_END);
    assert_int_equal(index, opt_batches_count(f->batches));
    assert_int_equal(opt_batches_completed(f->batches), epoch);
    return seen;
}

/* Whether order[0..n) has no example twice, and all are in [0, rows). */
static bool are_distinct(const int64_t *order, int64_t n, int64_t rows)
{
    bool seen[1000] = {false};

    for (int64_t i = 0; i < n; i++) {
        if (order[i] < 0 || order[i] >= rows || seen[order[i]])
            return false;
        seen[order[i]] = true;
    }
    return true;
}

/* ---- What is in a batch -------------------------------------------------------------------------------- */

/* A golden matrix, which has one example a column, with one a row. */
static opt_tensor golden_by_rows(opt_ctx *ctx, const char *name)
{
    opt_tensor t = golden(ctx, "minibatch_case/%s.npy", name), by_rows = {0};
    const int64_t rows = t.dim[1], cols = t.dim[0];

    assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, 2, (const int64_t[]){rows, cols}, &by_rows));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            opt_set(&by_rows, i * cols + j, opt_get(&t, j * rows + i));
    opt_tensor_free(ctx, &t);
    return by_rows;
}

static void assert_same(const opt_tensor *got, opt_ctx *ctx, const char *name)
{
    opt_tensor want = golden_by_rows(ctx, name);

    assert_matrix(got, OPT_F64, want.dim[0], want.dim[1]);
    assert_memory_equal(got->data, want.data, (size_t)opt_tensor_len(&want) * sizeof(double));
    opt_tensor_free(ctx, &want);
}

/* The notebook's case: 148 examples in batches of 64, shuffled by seed 0. Epoch 1 of seed 2^32 - 1 has it. */
static void batches_are_the_notebooks(void **state)
{
    static const char *const names[][2] = {{"batch0_X_first_rows", "batch0_Y"},
                                           {"batch1_X_first_rows", "batch1_Y"},
                                           {"batch2_X_first_rows", "batch2_Y"}};
    static const int64_t rows[] = {64, 64, 20};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_table table = {golden_by_rows(ctx, "X_first_rows"), golden_by_rows(ctx, "Y")};
    const opt_source source = opt_source_table(&table);
    opt_batches *batches = NULL;
    opt_batch b;

    (void)state;
    assert_ok(ctx,
              opt_batches_new(ctx, &source, &(opt_batches_opts){.size = 64, .seed = UINT32_MAX}, &batches));
    assert_int_equal(opt_batches_count(batches), 3);
    assert_ok(ctx, opt_batches_begin(batches, 1));
    for (int i = 0; i < 3; i++) {
        assert_ok(ctx, opt_batches_next(batches, &b));
        assert_int_equal(b.index, i);
        assert_int_equal(b.global_rows, rows[i]);
        assert_same(&b.x, ctx, names[i][0]);
        assert_same(&b.y, ctx, names[i][1]);
    }
    assert_int_equal(opt_batches_next(batches, &b), OPT_END);
    opt_batches_free(batches);
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
    opt_ctx_free(ctx);
}

static void every_example_comes_once_an_epoch(void **state)
{
    const int64_t cases[][2] = {{1, 1}, {2, 1}, {2, 2},  {7, 1},   {7, 2},
                                {7, 6}, {7, 7}, {64, 8}, {65, 64}, {200, 33}};
    int64_t order[200];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int bits = 0; bits < 8; bits++) {
            const int64_t rows = cases[i][0], size = cases[i][1];
            const opt_batches_opts opts = {
                .size = size, .seed = 9, .in_order = bits & 1, .drop_last = bits & 2};
            const int64_t dropped = opts.drop_last ? rows % size : 0;
            numbered f;

            numbered_init(&f, bits & 4 ? OPT_F32 : OPT_F64, rows);
            assert_ok(f.ctx, opt_batches_new(f.ctx, &f.source, &opts, &f.batches));
            assert_int_equal(opt_batches_count(f.batches), (rows - dropped + size - 1) / size);
            for (int64_t epoch = 1; epoch <= 3; epoch++) {
                const int64_t seen = run_epoch(&f, epoch, rows, size, order);

                assert_int_equal(seen, rows - dropped);
                assert_true(are_distinct(order, seen, rows));
                for (int64_t k = 0; opts.in_order && k < seen; k++)
                    assert_int_equal(order[k], k);
            }
            numbered_free(&f);
        }
}

static void the_default_size_is_64_or_all(void **state)
{
    const int64_t cases[][2] = {{1, 1}, {63, 63}, {64, 64}, {65, 64}, {300, 64}};
    opt_batch b;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int with_opts = 0; with_opts < 2; with_opts++) {
            numbered f;

            numbered_batches(&f, cases[i][0], with_opts ? &(opt_batches_opts){.seed = 1} : NULL);
            assert_ok(f.ctx, opt_batches_begin(f.batches, 1));
            assert_ok(f.ctx, opt_batches_next(f.batches, &b));
            assert_int_equal(b.x.dim[0], cases[i][1]);
            numbered_free(&f);
        }
}

/* Columns: one for a vector, the product of the further dimensions otherwise. */
static void tables_may_have_any_number_of_dimensions(void **state)
{
    const int64_t dim[] = {5, 2, 3, 2};
    const int64_t cols[] = {0, 1, 2, 6, 12};
    float x[60], y[60];

    (void)state;
    for (int i = 0; i < 60; i++) {
        x[i] = (float)i;
        y[i] = -(float)i;
    }
    for (int xd = 1; xd <= 4; xd++)
        for (int yd = 1; yd <= 4; yd++) {
            opt_ctx *ctx = opt_ctx_new(NULL);
            const opt_table table = {opt_tensor_view(OPT_F32, x, xd, dim),
                                     opt_tensor_view(OPT_F32, y, yd, dim)};
            const opt_source source = opt_source_table(&table);
            opt_batches *batches = NULL;
            opt_batch b;

            assert_int_equal(source.rows, 5);
            assert_int_equal(source.x_cols, cols[xd]);
            assert_int_equal(source.y_cols, cols[yd]);
            assert_int_equal(source.dtype, OPT_F32);
            assert_ok(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = 2, .in_order = true},
                                           &batches));
            assert_ok(ctx, opt_batches_begin(batches, 1));
            for (int64_t k = 0; k < 3; k++) {
                const int64_t n = k == 2 ? 1 : 2;

                assert_ok(ctx, opt_batches_next(batches, &b));
                assert_matrix(&b.x, OPT_F32, n, cols[xd]);
                assert_matrix(&b.y, OPT_F32, n, cols[yd]);
                assert_memory_equal(b.x.data, x + 2 * k * cols[xd], (size_t)(n * cols[xd]) * sizeof *x);
                assert_memory_equal(b.y.data, y + 2 * k * cols[yd], (size_t)(n * cols[yd]) * sizeof *y);
            }
            opt_batches_free(batches);
            opt_ctx_free(ctx);
        }
}

static void assert_zeroed(const opt_tensor *t)
{
    const opt_tensor zero = {0};

    assert_memory_equal(t, &zero, sizeof zero);
}

static void a_table_without_labels_gives_zeroed_labels(void **state)
{
    double x[3] = {1, 2, 3};
    opt_ctx *ctx = opt_ctx_new(NULL);
    const opt_table table = {.x = opt_tensor_view(OPT_F64, x, 1, (const int64_t[]){3})};
    const opt_source source = opt_source_table(&table);
    opt_batches *batches = NULL;
    opt_batch b;

    (void)state;
    memset(&b, 0x5a, sizeof b);
    assert_int_equal(source.y_cols, 0);
    assert_ok(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.in_order = true}, &batches));
    assert_ok(ctx, opt_batches_begin(batches, 1));
    assert_ok(ctx, opt_batches_next(batches, &b));
    assert_memory_equal(b.x.data, x, sizeof x);
    assert_zeroed(&b.y);
    opt_batches_free(batches);
    opt_ctx_free(ctx);
}

/* ---- The order ----------------------------------------------------------------------------------------- */

/* np.random.permutation(rows) after np.random.seed(seed + epoch), whatever came before. */
static void the_order_is_a_function_of_seed_plus_epoch(void **state)
{
    const int64_t epochs[] = {1, 7, 3, 7, 1, INT64_C(1) << 32, (INT64_C(1) << 32) + 1, INT64_MAX};
    const uint32_t seeds[] = {0, 5, UINT32_MAX};
    int64_t order[50], want[50];
    opt_rng r;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        numbered f;

        numbered_batches(&f, 50, &(opt_batches_opts){.size = 8, .seed = seeds[i]});
        for (size_t e = 0; e < sizeof epochs / sizeof epochs[0]; e++) {
            run_epoch(&f, epochs[e], 50, 8, order);
            opt_rng_seed(&r, (uint32_t)((seeds[i] + (uint64_t)epochs[e]) % (UINT64_C(1) << 32)));
            opt_rng_permutation(&r, 50, want);
            assert_memory_equal(order, want, sizeof want);
        }
        numbered_free(&f);
    }
}

static void seed_5_epoch_7_is_seed_6_epoch_6(void **state)
{
    int64_t first[20], second[20], third[20];
    numbered f, g;

    (void)state;
    numbered_batches(&f, 20, &(opt_batches_opts){.size = 3, .seed = 5});
    numbered_batches(&g, 20, &(opt_batches_opts){.size = 7, .seed = 6}); /* the size does not matter */
    run_epoch(&f, 7, 20, 3, first);
    run_epoch(&g, 6, 20, 7, second);
    run_epoch(&g, 7, 20, 7, third);
    assert_memory_equal(first, second, sizeof first);
    assert_memory_not_equal(first, third, sizeof first);
    numbered_free(&f);
    numbered_free(&g);
}

static void an_epoch_may_be_begun_anew_at_any_time(void **state)
{
    int64_t whole[10], again[10];
    opt_batch b;
    numbered f;

    (void)state;
    numbered_batches(&f, 10, &(opt_batches_opts){.size = 4, .seed = 2});
    run_epoch(&f, 2, 10, 4, whole);
    assert_ok(f.ctx, opt_batches_begin(f.batches, 3));
    assert_ok(f.ctx, opt_batches_next(f.batches, &b));
    run_epoch(&f, 2, 10, 4, again); /* in the middle of 3 */
    assert_memory_equal(whole, again, sizeof whole);
    numbered_free(&f);
}

static void the_end_stays_the_end_and_leaves_the_output_alone(void **state)
{
    opt_batch b, before;
    numbered f;

    (void)state;
    numbered_batches(&f, 3, NULL);
    assert_ok(f.ctx, opt_batches_begin(f.batches, 1));
    assert_ok(f.ctx, opt_batches_next(f.batches, &b));
    memcpy(&before, &b, sizeof b);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(opt_batches_next(f.batches, &b), OPT_END);
        assert_memory_equal(&b, &before, sizeof b);
    }
    assert_string_equal(opt_errmsg(f.ctx), ""); /* not an error */
    numbered_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_are_the_notebooks),
        cmocka_unit_test(every_example_comes_once_an_epoch),
        cmocka_unit_test(the_default_size_is_64_or_all),
        cmocka_unit_test(tables_may_have_any_number_of_dimensions),
        cmocka_unit_test(a_table_without_labels_gives_zeroed_labels),
        cmocka_unit_test(the_order_is_a_function_of_seed_plus_epoch),
        cmocka_unit_test(seed_5_epoch_7_is_seed_6_epoch_6),
        cmocka_unit_test(an_epoch_may_be_begun_anew_at_any_time),
        cmocka_unit_test(the_end_stays_the_end_and_leaves_the_output_alone),
    };
    return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}

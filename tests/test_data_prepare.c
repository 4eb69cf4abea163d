/* SPDX-License-Identifier: MIT
 *
 * What is done to data before training: parts held back, standardising, one-hot labels.
 */
#include <math.h>
#include <string.h>

#include "support.h"

enum { ROWS = 50, COLS = 3 };

/* Row i of x is 10 i, 10 i + 1, 10 i + 2, and of y -i. */
static opt_table numbered(opt_ctx *ctx, opt_dtype dtype)
{
    opt_table t = {0};

    assert_ok(ctx, opt_tensor_new(ctx, dtype, 2, (int64_t[]){ROWS, COLS}, &t.x));
    assert_ok(ctx, opt_tensor_new(ctx, dtype, 2, (int64_t[]){ROWS, 1}, &t.y));
    for (int64_t i = 0; i < ROWS * COLS; i++)
        opt_set(&t.x, i, (double)(10 * (i / COLS) + i % COLS));
    for (int64_t i = 0; i < ROWS; i++)
        opt_set(&t.y, i, (double)-i);
    return t;
}

static void free_table(opt_ctx *ctx, opt_table *t)
{
    opt_tensor_free(ctx, &t->x);
    opt_tensor_free(ctx, &t->y);
}

/* Rows of part are those of `order`, from order[0] on. */
static void check_part(const opt_table *part, const int64_t *order, int64_t rows)
{
    assert_int_equal(part->x.dim[0], rows);
    assert_int_equal(part->x.dim[1], COLS);
    assert_int_equal(part->y.dim[0], rows);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t c = 0; c < COLS; c++)
            assert_true(opt_get(&part->x, i * COLS + c) == (double)(10 * order[i] + c));
        assert_true(opt_get(&part->y, i) == (double)-order[i]);
    }
}

static void a_split_follows_numpys_permutation(void **state)
{
    const double fractions[] = {0.2, 0.01, 0.98, 0.5, 0.25};
    const int64_t held_rows[] = {10, 1, 49, 25, 13}; /* halves are rounded up */

    (void)state;
    for (size_t k = 0; k < sizeof fractions / sizeof *fractions; k++) {
        opt_ctx *ctx = opt_ctx_new(NULL);
        opt_table all = numbered(ctx, k % 2 ? OPT_F32 : OPT_F64), train, held;
        int64_t order[ROWS];
        opt_rng rng;

        opt_rng_seed(&rng, 3);
        opt_rng_permutation(&rng, ROWS, order);
        assert_ok(ctx, opt_split(ctx, &all, fractions[k], 3, &train, &held));
        check_part(&held, order, held_rows[k]);
        check_part(&train, order + held_rows[k], ROWS - held_rows[k]);
        free_table(ctx, &all);
        free_table(ctx, &train);
        free_table(ctx, &held);
        opt_ctx_free(ctx);
    }
}

static void a_table_without_labels_is_split_too(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_table all = numbered(ctx, OPT_F64), train, held;

    (void)state;
    opt_tensor_free(ctx, &all.y);
    assert_ok(ctx, opt_split(ctx, &all, 0.5, 1, &train, &held));
    assert_null(train.y.data);
    assert_null(held.y.data);
    assert_int_equal(held.x.dim[0], 25);
    free_table(ctx, &all);
    free_table(ctx, &train);
    free_table(ctx, &held);
    opt_ctx_free(ctx);
}

static void splits_that_make_no_sense_are_refused(void **state)
{
    const double fractions[] = {0, 1, -0.5, 2, 0.001, 0.999, (double)NAN, HUGE_VAL};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_table all = numbered(ctx, OPT_F64), parts[2], before[2];

    (void)state;
    memset(parts, 0x5a, sizeof parts);
    memcpy(before, parts, sizeof parts);
    for (size_t k = 0; k < sizeof fractions / sizeof *fractions; k++)
        assert_fails(ctx, opt_split(ctx, &all, fractions[k], 3, &parts[0], &parts[1]), OPT_EINVAL,
                     "fraction");
    assert_fails(ctx, opt_split(ctx, &all, 0.5, 3, NULL, &parts[1]), OPT_EINVAL, "train is NULL");
    assert_fails(ctx, opt_split(ctx, &all, 0.5, 3, &parts[0], NULL), OPT_EINVAL, "held is NULL");
    assert_fails(ctx, opt_split(ctx, NULL, 0.5, 3, &parts[0], &parts[1]), OPT_EINVAL, "table is NULL");
    all.y.dim[0]--;
    assert_fails(ctx, opt_split(ctx, &all, 0.5, 3, &parts[0], &parts[1]), OPT_ESHAPE, "not as many rows");
    all.y.dim[0]++;
    assert_int_equal(opt_split(NULL, &all, 0.5, 3, &parts[0], &parts[1]), OPT_EINVAL);
    assert_memory_equal(parts, before, sizeof parts);
    free_table(ctx, &all);
    opt_ctx_free(ctx);
}

/* Every allocation may fail: then nothing is left behind, and nothing said to have been made. */
static void without_memory_nothing_is_split(void **state)
{
    (void)state;
    for (long n = 0, done = 0; !done; n++) {
        opt_ctx *own = opt_ctx_new(NULL), *ctx;
        opt_table all = numbered(own, OPT_F64), parts[2] = {0};
        count c;
        opt_status s;

        count_init(&c);
        ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
        c.fail_from = c.calls + n;
        s = opt_split(ctx, &all, 0.5, 3, &parts[0], &parts[1]);
        done = s == OPT_OK;
        assert_true(done || s == OPT_ENOMEM);
        assert_true(done || parts[0].x.data == NULL);
        free_table(ctx, &parts[0]);
        free_table(ctx, &parts[1]);
        opt_ctx_free(ctx);
        assert_int_equal(c.live, 0);
        free_table(own, &all);
        opt_ctx_free(own);
        assert_true(n < 20);
    }
}

static void standardised_columns_have_mean_0_and_deviation_1(void **state)
{
    (void)state;
    for (opt_dtype dtype = OPT_F32; dtype <= OPT_F64; dtype++) {
        const double tol = dtype == OPT_F32 ? 1e-6 : 1e-14;
        opt_ctx *ctx = opt_ctx_new(NULL);
        opt_table all = numbered(ctx, dtype);
        opt_tensor mean, deviation, after[2];

        for (int64_t i = 0; i < ROWS; i++)
            opt_set(&all.x, i * COLS + 2, 7); /* a column that does not vary */
        assert_ok(ctx, opt_moments(ctx, &all.x, &mean, &deviation));
        assert_int_equal(mean.dim[0], COLS);
        assert_close(opt_get(&mean, 1), 246, 0); /* 10 (0 + ... + 49) / 50 + 1 */
        assert_close(opt_get(&deviation, 0), 10 * sqrt((50.0 * 50 - 1) / 12), 1e-12);
        assert_close(opt_get(&deviation, 2), 0, 0);
        assert_ok(ctx, opt_standardise(ctx, &mean, &deviation, &all.x));
        assert_ok(ctx, opt_moments(ctx, &all.x, &after[0], &after[1]));
        for (int c = 0; c < COLS; c++) {
            assert_close(opt_get(&after[0], c), 0, tol);
            assert_close(opt_get(&after[1], c), c == 2 ? 0 : 1, tol);
        }
        assert_close(opt_get(&all.x, 2), 0, 0);
        opt_tensor_free(ctx, &mean);
        opt_tensor_free(ctx, &deviation);
        opt_tensor_free(ctx, &after[0]);
        opt_tensor_free(ctx, &after[1]);
        free_table(ctx, &all);
        opt_ctx_free(ctx);
    }
}

/* In one pass, by sums of squares, 1e9 + {0, 1, 2} would have no deviation left. */
static void digits_do_not_cancel(void **state)
{
    double x[3] = {1e9, 1e9 + 1, 1e9 + 2};
    const opt_tensor t = opt_tensor_view(OPT_F64, x, 2, (int64_t[]){3, 1});
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor mean, deviation;

    (void)state;
    assert_ok(ctx, opt_moments(ctx, &t, &mean, &deviation));
    assert_close(opt_get(&mean, 0), 1e9 + 1, 0);
    assert_close(opt_get(&deviation, 0), sqrt(2.0 / 3), 1e-15);
    opt_tensor_free(ctx, &mean);
    opt_tensor_free(ctx, &deviation);
    opt_ctx_free(ctx);
}

static void moments_that_are_none_are_refused(void **state)
{
    double x[4] = {1, 2, 3, 4}, m[2] = {0, 0}, d[2] = {1, 1};
    opt_tensor t = opt_tensor_view(OPT_F64, x, 2, (int64_t[]){2, 2});
    const opt_tensor mean = opt_tensor_view(OPT_F64, m, 1, (int64_t[]){2});
    const opt_tensor deviation = opt_tensor_view(OPT_F64, d, 1, (int64_t[]){2});
    const opt_tensor three = opt_tensor_view(OPT_F64, x, 1, (int64_t[]){3});
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor a, b;

    (void)state;
    assert_fails(ctx, opt_standardise(ctx, &three, &deviation, &t), OPT_ESHAPE, "mean is [3]");
    assert_fails(ctx, opt_standardise(ctx, &mean, &three, &t), OPT_ESHAPE, "deviation is [3]");
    d[1] = -1;
    assert_fails(ctx, opt_standardise(ctx, &mean, &deviation, &t), OPT_EINVAL, "column 1");
    d[1] = (double)NAN;
    assert_fails(ctx, opt_standardise(ctx, &mean, &deviation, &t), OPT_EINVAL, "column 1");
    d[1] = 1;
    m[0] = HUGE_VAL;
    assert_fails(ctx, opt_standardise(ctx, &mean, &deviation, &t), OPT_EINVAL, "column 0");
    m[0] = 0;
    assert_fails(ctx, opt_standardise(ctx, NULL, &deviation, &t), OPT_EINVAL, "mean");
    assert_true(x[0] == 1 && x[3] == 4);
    x[2] = (double)NAN;
    assert_fails(ctx, opt_moments(ctx, &t, &a, &b), OPT_ENONFINITE, "element 2");
    x[2] = 3;
    assert_fails(ctx, opt_moments(ctx, &t, NULL, &b), OPT_EINVAL, "mean is NULL");
    assert_fails(ctx, opt_moments(ctx, NULL, &a, &b), OPT_EINVAL, "x");
    opt_ctx_free(ctx);
}

static void labels_become_rows_with_a_one(void **state)
{
    const float label[] = {2, 0, 1, 2};
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    for (int64_t classes = 0; classes <= 5; classes += 5) {
        float copy[4];
        const opt_tensor labels = opt_tensor_view(OPT_F32, copy, 2, (int64_t[]){4, 1});
        opt_tensor out;

        memcpy(copy, label, sizeof copy);
        assert_ok(ctx, opt_one_hot(ctx, &labels, classes, &out));
        assert_int_equal(out.dtype, OPT_F32);
        assert_int_equal(out.dim[0], 4);
        assert_int_equal(out.dim[1], classes == 0 ? 3 : 5);
        for (int64_t i = 0; i < 4; i++)
            for (int64_t c = 0; c < out.dim[1]; c++)
                assert_true(opt_get(&out, i * out.dim[1] + c) == ((float)c == label[i] ? 1 : 0));
        opt_tensor_free(ctx, &out);
    }
    opt_ctx_free(ctx);
}

static void labels_that_are_none_are_refused(void **state)
{
    const double wrong[] = {-1, 0.5, 3, (double)NAN, HUGE_VAL, 1e300};
    double label[2] = {1, 0};
    const opt_tensor labels = opt_tensor_view(OPT_F64, label, 1, (int64_t[]){2});
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor out, before;

    (void)state;
    memset(&out, 0x5a, sizeof out);
    before = out;
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        label[1] = wrong[k];
        assert_fails(ctx, opt_one_hot(ctx, &labels, 3, &out), OPT_EINVAL, "label 1 is");
    }
    label[1] = 0x1p31; /* so many classes that there can be no memory for them */
    assert_fails(ctx, opt_one_hot(ctx, &labels, 0, &out), OPT_EINVAL, "label 1 is");
    label[1] = 0;
    assert_fails(ctx, opt_one_hot(ctx, &labels, -1, &out), OPT_EINVAL, "classes = -1");
    assert_fails(ctx, opt_one_hot(ctx, &labels, 2, NULL), OPT_EINVAL, "out is NULL");
    assert_fails(ctx, opt_one_hot(ctx, NULL, 2, &out), OPT_EINVAL, "labels");
    assert_memory_equal(&out, &before, sizeof out);
    opt_ctx_free(ctx);
}

static void what_cannot_be_prepared_is_refused(void **state)
{
    double x[4] = {1, 2, 3, 4}, m[4] = {0, 0, 1, 1};
    opt_tensor t = opt_tensor_view(OPT_F64, x, 2, (int64_t[]){2, 2}),
               number = opt_tensor_view(OPT_F64, x, 0, NULL);
    const opt_tensor mean = opt_tensor_view(OPT_F64, m, 1, (int64_t[]){2});
    const opt_tensor deviation = opt_tensor_view(OPT_F64, m + 2, 1, (int64_t[]){2});
    const opt_tensor row = opt_tensor_view(OPT_F64, x, 1, (int64_t[]){2});
    opt_ctx *ctx = opt_ctx_new(NULL), *bad = opt_ctx_new(&(opt_ctx_opts){.threads = -1});
    opt_tensor a, b;

    (void)state;
    assert_fails(ctx, opt_moments(ctx, &number, &a, &b), OPT_ESHAPE,
                 "moments: x is a single number, not rows");
    assert_fails(ctx, opt_moments(ctx, &t, &a, NULL), OPT_EINVAL, "deviation is NULL");
    assert_fails(ctx, opt_standardise(ctx, &row, &deviation, &t), OPT_EINVAL, "x overlaps");
    x[0] = x[1] = 1;
    assert_fails(ctx, opt_standardise(ctx, &mean, &row, &t), OPT_EINVAL, "x overlaps");
    m[3] = HUGE_VAL;
    assert_fails(ctx, opt_standardise(ctx, &mean, &deviation, &t), OPT_EINVAL, "column 1");
    assert_fails(ctx, opt_standardise(ctx, &mean, NULL, &t), OPT_EINVAL, "deviation");
    assert_fails(bad, opt_moments(bad, &t, &a, &b), OPT_EINVAL, "threads");
    assert_fails(bad, opt_standardise(bad, &mean, &deviation, &t), OPT_EINVAL, "threads");
    assert_fails(bad, opt_one_hot(bad, &row, 0, &a), OPT_EINVAL, "threads");
    opt_ctx_free(bad);
    opt_ctx_free(ctx);
}

static void without_memory_nothing_is_prepared(void **state)
{
    double x[4] = {1, 2, 3, 4};
    const opt_tensor t = opt_tensor_view(OPT_F64, x, 2, (int64_t[]){4, 1});
    opt_tensor a, b;
    opt_ctx *ctx;
    count c;

    (void)state;
    count_init(&c);
    ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
    for (int n = 0; n < 2; n++) {
        c.fail_from = c.calls + n;
        assert_fails(ctx, opt_moments(ctx, &t, &a, &b), OPT_ENOMEM, "memory");
        assert_int_equal(c.live, 1);
    }
    c.fail_from = c.calls;
    assert_fails(ctx, opt_one_hot(ctx, &t, 0, &a), OPT_ENOMEM, "memory");
    assert_int_equal(c.live, 1);
    opt_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_split_follows_numpys_permutation),
        cmocka_unit_test(a_table_without_labels_is_split_too),
        cmocka_unit_test(splits_that_make_no_sense_are_refused),
        cmocka_unit_test(without_memory_nothing_is_split),
        cmocka_unit_test(standardised_columns_have_mean_0_and_deviation_1),
        cmocka_unit_test(digits_do_not_cancel),
        cmocka_unit_test(moments_that_are_none_are_refused),
        cmocka_unit_test(labels_become_rows_with_a_one),
        cmocka_unit_test(labels_that_are_none_are_refused),
        cmocka_unit_test(what_cannot_be_prepared_is_refused),
        cmocka_unit_test(without_memory_nothing_is_prepared),
    };

    return cmocka_run_group_tests_name("data_prepare", tests, NULL, NULL);
}

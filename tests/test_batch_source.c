/* SPDX-License-Identifier: MIT
 *
 * Mini-batches from any source, and what is refused.
 */
#include <string.h>

#include "support.h"

/* A source of `rows` examples whose x is (row, row + 1/2, row + 3/4) and whose y, if any, is (-row, row). It
 * fails when told to, after it has written half of what it should. */
typedef struct made_up {
    int64_t rows, y_cols;
    opt_dtype dtype;
    int calls, fail_at; /* call number fail_at, from 1, fails; 0: none */
    opt_status fail_with;
    int64_t asked[100]; /* the rows of the last call */
    int64_t n;
} made_up;

static opt_status read_made_up(void *ud, const int64_t *row, int64_t n, opt_tensor *x, opt_tensor *y)
{
    made_up *m = ud;
    const bool fails = ++m->calls == m->fail_at;

    assert_in_range(n, 1, m->rows);
    assert_int_equal(x->dtype, m->dtype);
    assert_int_equal(x->ndim, 2);
    assert_int_equal(x->dim[0], n);
    assert_int_equal(x->dim[1], 3);
    if (m->y_cols > 0) {
        assert_int_equal(y->dtype, m->dtype);
        assert_int_equal(y->ndim, 2);
        assert_int_equal(y->dim[0], n);
        assert_int_equal(y->dim[1], m->y_cols);
    } else {
        const opt_tensor zero = {0};
        assert_memory_equal(y, &zero, sizeof zero);
    }
    for (int64_t i = 0; i < (fails ? n / 2 : n); i++) {
        const double r = (double)row[i];

        assert_true(row[i] >= 0 && row[i] < m->rows);
        m->asked[i] = row[i];
        opt_set(x, 3 * i, r);
        opt_set(x, 3 * i + 1, r + 0.5);
        opt_set(x, 3 * i + 2, r + 0.75);
        if (m->y_cols > 0) {
            opt_set(y, m->y_cols * i, -r);
            opt_set(y, m->y_cols * i + m->y_cols - 1, r);
        }
    }
    m->n = n;
    return fails ? m->fail_with : OPT_OK;
}

static opt_source source_of(made_up *m)
{
    return (opt_source){m->rows, 3, m->y_cols, m->dtype, read_made_up, m};
}

static opt_batches *batches_of(opt_ctx *ctx, made_up *m, const opt_batches_opts *opts)
{
    const opt_source source = source_of(m);
    opt_batches *b = NULL;

    assert_ok(ctx, opt_batches_new(ctx, &source, opts, &b));
    return b;
}

/* ---- Sources of one's own ------------------------------------------------------------------------------ */

static void batches_hold_what_the_source_wrote(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    for (int dtype = OPT_F32; dtype <= OPT_F64; dtype++)
        for (int64_t y_cols = 0; y_cols <= 2; y_cols++) {
            made_up m = {.rows = 10, .y_cols = y_cols, .dtype = (opt_dtype)dtype};
            opt_batches *batches = batches_of(ctx, &m, &(opt_batches_opts){.size = 4, .seed = 1});
            opt_batch b;

            assert_int_equal(m.calls, 0); /* nothing is read ahead */
            assert_ok(ctx, opt_batches_begin(batches, 1));
            for (int k = 0; k < 3; k++) {
                assert_ok(ctx, opt_batches_next(batches, &b));
                assert_int_equal(m.calls, k + 1);
                assert_int_equal(b.x.dim[0], k == 2 ? 2 : 4);
                assert_int_equal(b.x.dim[0], m.n);
                assert_int_equal(b.x.dtype, dtype);
                for (int64_t i = 0; i < m.n; i++) {
                    const double row = (double)m.asked[i];

                    assert_close(opt_get(&b.x, 3 * i), row, 0);
                    assert_close(opt_get(&b.x, 3 * i + 2), row + 0.75, 0);
                    if (y_cols > 0)
                        assert_close(opt_get(&b.y, y_cols * (i + 1) - 1), row, 0);
                }
                assert_int_equal(b.y.data == NULL, y_cols == 0);
            }
            assert_int_equal(opt_batches_next(batches, &b), OPT_END);
            opt_batches_free(batches);
        }
    opt_ctx_free(ctx);
}

/* The second batch of epoch 3 fails once; tried again it holds the same rows, and the epoch goes on. */
static void a_failed_read_is_tried_again(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    made_up m = {.rows = 10, .y_cols = 1, .dtype = OPT_F64, .fail_at = 2, .fail_with = OPT_ENONFINITE};
    opt_batches *batches = batches_of(ctx, &m, &(opt_batches_opts){.size = 4, .seed = 1});
    int64_t order[10], seen = 0;
    opt_batch b, before;
    opt_rng r;

    (void)state;
    opt_rng_seed(&r, 4);
    opt_rng_permutation(&r, 10, order);
    assert_ok(ctx, opt_batches_begin(batches, 3));
    for (int call = 1; call <= 4; call++) {
        memset(&b, 0x5a, sizeof b);
        memcpy(&before, &b, sizeof b);
        if (call == 2) {
            assert_fails(ctx, opt_batches_next(batches, &b), OPT_ENONFINITE, "batch 2 of epoch 3");
            assert_memory_equal(&b, &before, sizeof b);
            continue;
        }
        assert_ok(ctx, opt_batches_next(batches, &b));
        assert_int_equal(b.index, seen / 4);
        for (int64_t i = 0; i < b.x.dim[0]; i++, seen++) {
            assert_close(opt_get(&b.x, 3 * i), (double)order[seen], 0);
            assert_close(opt_get(&b.y, i), (double)order[seen], 0);
        }
    }
    assert_int_equal(seen, 10);
    assert_int_equal(opt_batches_next(batches, &b), OPT_END);
    opt_batches_free(batches);
    opt_ctx_free(ctx);
}

static void the_status_of_the_source_is_passed_on(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    for (int s = OPT_ENOMEM; s <= OPT_STOP; s++) {
        made_up m = {.rows = 4, .dtype = OPT_F32, .fail_at = 1, .fail_with = (opt_status)s};
        opt_batches *batches = batches_of(ctx, &m, NULL);
        opt_batch b;

        assert_ok(ctx, opt_batches_begin(batches, 2));
        /* OPT_END and OPT_STOP are not a source's to give: they would pass for the epoch's end. */
        assert_fails(ctx, opt_batches_next(batches, &b), s < OPT_END ? (opt_status)s : OPT_EIO,
                     "batch 1 of epoch 2");
        opt_batches_free(batches);
    }
    opt_ctx_free(ctx);
}

/* ---- What is refused ----------------------------------------------------------------------------------- */

/* opt_batches_new refuses; *out is what it was, nothing is read and nothing leaks. */
static void check_not_made(const opt_source *source, const opt_batches_opts *opts, opt_status status,
                           const char *part)
{
    opt_batches *const before = (opt_batches *)(void *)&status; /* any address but NULL */
    opt_batches *out = before;
    opt_ctx *ctx;
    count c;

    count_init(&c);
    ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
    assert_fails(ctx, opt_batches_new(ctx, source, opts, &out), status, part);
    assert_ptr_equal(out, before);
    opt_ctx_free(ctx);
    assert_int_equal(c.live, 0);
}

static void sizes_out_of_range_are_refused(void **state)
{
    made_up m = {.rows = 5, .dtype = OPT_F64};
    const opt_source source = source_of(&m);

    (void)state;
    check_not_made(&source, &(opt_batches_opts){.size = -1}, OPT_EINVAL, "size = -1 is outside [1, 5]");
    check_not_made(&source, &(opt_batches_opts){.size = 6}, OPT_EINVAL, "size = 6 is outside [1, 5]");
    check_not_made(&source, &(opt_batches_opts){.size = INT64_MIN}, OPT_EINVAL, "is outside [1, 5]");
    check_not_made(&source, &(opt_batches_opts){.size = INT64_MAX}, OPT_EINVAL, "is outside [1, 5]");
    check_not_made(&source, &(opt_batches_opts){.chunk = -1}, OPT_EINVAL, "chunk = -1 is outside [1, 64]");
    check_not_made(&source, &(opt_batches_opts){.chunk = 65}, OPT_EINVAL, "chunk = 65 is outside [1, 64]");
}

static void sources_that_make_no_sense_are_refused(void **state)
{
    made_up m = {.rows = 5, .y_cols = 1, .dtype = OPT_F64};
    const opt_source sound = source_of(&m);
    opt_source s = sound;
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    check_not_made(NULL, NULL, OPT_EINVAL, "batches: source is NULL");
    assert_fails(ctx, opt_batches_new(ctx, &s, NULL, NULL), OPT_EINVAL, "batches: out is NULL");
    s.read = NULL;
    check_not_made(&s, NULL, OPT_EINVAL, "the source has no read");
    s = sound;
    s.rows = 0;
    check_not_made(&s, NULL, OPT_EINVAL, "the source has no rows");
    s.rows = -3;
    check_not_made(&s, NULL, OPT_EINVAL, "the source has no rows");
    s = sound;
    s.x_cols = 0;
    check_not_made(&s, NULL, OPT_EINVAL, "x_cols = 0 is below 1");
    s = sound;
    s.y_cols = -1;
    check_not_made(&s, NULL, OPT_EINVAL, "y_cols = -1 is below 0");
    s = sound;
    s.dtype = (opt_dtype)7;
    check_not_made(&s, NULL, OPT_EDTYPE, "dtype = 7");
    opt_ctx_free(ctx);
}

/* More than any machine has: the order alone, or a batch. */
static void sources_too_large_are_refused(void **state)
{
    made_up m = {.rows = INT64_MAX, .dtype = OPT_F64};
    opt_source s = source_of(&m);

    (void)state;
    check_not_made(&s, NULL, OPT_ENOMEM, "memory");
    s.rows = 5;
    s.x_cols = INT64_MAX;
    check_not_made(&s, NULL, OPT_ESHAPE, "overflows");
    s.x_cols = 3;
    s.y_cols = INT64_MAX / 5;
    check_not_made(&s, NULL, OPT_ESHAPE, "overflows");
}

/* The source of a table that is not sound has no rows; opt_batches_new says what is wrong. */
static void check_table(const opt_table *table, opt_status status, const char *part)
{
    const opt_source source = opt_source_table(table);

    assert_int_equal(source.rows, 0);
    check_not_made(&source, NULL, status, part);
}

static void tables_that_do_not_fit_are_refused(void **state)
{
    double a[12] = {0};
    const int64_t dim[] = {4, 3}, three[] = {3, 4};
    const opt_tensor x = opt_tensor_view(OPT_F64, a, 2, dim), number = opt_tensor_view(OPT_F64, a, 0, NULL);
    opt_tensor bad = x;

    (void)state;
    check_table(NULL, OPT_EINVAL, "the table is NULL");
    check_table(&(opt_table){.y = x}, OPT_EINVAL, "the table's x has no data");
    check_table(&(opt_table){opt_tensor_view(OPT_F64, a, 2, three), x}, OPT_ESHAPE,
                "x is [3, 4] and y [4, 3]");
    check_table(&(opt_table){x, opt_tensor_view(OPT_F64, a, 2, three)}, OPT_ESHAPE,
                "x is [4, 3] and y [3, 4]");
    check_table(&(opt_table){x, opt_tensor_view(OPT_F32, a, 1, dim)}, OPT_EDTYPE, "x is f64 and y f32");
    check_table(&(opt_table){.x = number}, OPT_ESHAPE, "the table's x is a single number");
    check_table(&(opt_table){opt_tensor_view(OPT_F64, a, 1, dim), number}, OPT_ESHAPE,
                "the table's y is a single number");
    check_table(&(opt_table){x, opt_tensor_view(OPT_F64, NULL, 1, dim)}, OPT_EINVAL,
                "the table's y has no data");
    bad.dim[1] = 0;
    check_table(&(opt_table){.x = bad}, OPT_ESHAPE, "the table's x: dim[1] = 0");
    bad.ndim = 5;
    check_table(&(opt_table){x, bad}, OPT_ESHAPE, "the table's y: ndim = 5");
    bad = x;
    bad.dtype = (opt_dtype)7;
    check_table(&(opt_table){bad, x}, OPT_EDTYPE, "the table's x: dtype = 7");
}

/* A table that has changed since its source was made. */
static void a_table_of_another_dtype_is_refused(void **state)
{
    double d[4] = {0};
    opt_table table = {.x = opt_tensor_view(OPT_F64, d, 2, (int64_t[]){2, 2})};
    const opt_source source = opt_source_table(&table);
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_batches *b;

    (void)state;
    table.x.dtype = OPT_F32;
    assert_fails(ctx, opt_batches_new(ctx, &source, NULL, &b), OPT_ESHAPE, "another shape");
    table.x.dtype = OPT_F64;
    table.y = opt_tensor_view(OPT_F64, d, 1, (int64_t[]){2});
    assert_fails(ctx, opt_batches_new(ctx, &source, NULL, &b), OPT_ESHAPE, "another shape");
    assert_int_equal(opt_batches_count(NULL), 0);
    assert_int_equal(opt_batches_completed(NULL), 0);
    opt_ctx_free(ctx);
}

/* Only a table's rows are read by several threads: another source may not be made for that. */
static opt_status count_calls(void *ud, const int64_t *row, int64_t n, opt_tensor *x, opt_tensor *y)
{
    (void)row, (void)x, (void)y;
    assert_int_equal(n, 100);
    ++*(int *)ud;
    return OPT_OK;
}

static void a_source_is_read_by_the_caller(void **state)
{
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.threads = 3});
    int calls = 0;
    const opt_source source = {100, 100, 0, OPT_F64, count_calls, &calls};
    opt_batches *b;
    opt_batch part;

    (void)state;
    assert_ok(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = 100}, &b));
    assert_ok(ctx, opt_batches_begin(b, 1));
    assert_ok(ctx, opt_batches_next(b, &part));
    assert_int_equal(calls, 1);
    opt_batches_free(b);
    opt_ctx_free(ctx);
}

static void next_needs_begin_and_begin_an_epoch(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    made_up m = {.rows = 5, .dtype = OPT_F64};
    opt_batches *batches = batches_of(ctx, &m, &(opt_batches_opts){.size = 2});
    opt_batch b, before;

    (void)state;
    memset(&b, 0x5a, sizeof b);
    memcpy(&before, &b, sizeof b);
    assert_fails(ctx, opt_batches_next(batches, &b), OPT_EINVAL, "opt_batches_begin");
    assert_fails(ctx, opt_batches_begin(batches, 0), OPT_EINVAL, "epoch = 0 is below 1");
    assert_fails(ctx, opt_batches_begin(batches, -7), OPT_EINVAL, "epoch = -7 is below 1");
    assert_fails(ctx, opt_batches_next(batches, &b), OPT_EINVAL, "opt_batches_begin");
    assert_int_equal(opt_batches_begin(NULL, 1), OPT_EINVAL);
    assert_int_equal(opt_batches_next(NULL, &b), OPT_EINVAL);
    assert_memory_equal(&b, &before, sizeof b);
    assert_ok(ctx, opt_batches_begin(batches, 1));
    assert_ok(ctx, opt_batches_next(batches, &b));
    assert_fails(ctx, opt_batches_begin(batches, 0), OPT_EINVAL, "epoch = 0"); /* the epoch begun goes on */
    assert_fails(ctx, opt_batches_next(batches, NULL), OPT_EINVAL, "out is NULL");
    assert_ok(ctx, opt_batches_next(batches, &b));
    assert_int_equal(b.index, 1);
    opt_batches_free(batches);
    opt_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_hold_what_the_source_wrote),
        cmocka_unit_test(a_failed_read_is_tried_again),
        cmocka_unit_test(the_status_of_the_source_is_passed_on),
        cmocka_unit_test(sizes_out_of_range_are_refused),
        cmocka_unit_test(sources_that_make_no_sense_are_refused),
        cmocka_unit_test(sources_too_large_are_refused),
        cmocka_unit_test(tables_that_do_not_fit_are_refused),
        cmocka_unit_test(a_table_of_another_dtype_is_refused),
        cmocka_unit_test(a_source_is_read_by_the_caller),
        cmocka_unit_test(next_needs_begin_and_begin_an_epoch),
    };
    return cmocka_run_group_tests_name("batch_source", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Mini-batches over several ranks.
 */
#include "support.h"

/* x [rows, 3] and y [rows, 1], every element another. */
static opt_table table_of(opt_ctx *ctx, int64_t rows)
{
    opt_table t = {{0}, {0}};

    assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, 2, (int64_t[]){rows, 3}, &t.x));
    assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, 2, (int64_t[]){rows, 1}, &t.y));
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t c = 0; c < 3; c++)
            opt_set(&t.x, 3 * i + c, (double)i + 0.25 * (double)c);
        opt_set(&t.y, i, -1 - (double)i);
    }
    return t;
}

static void free_table(opt_ctx *ctx, opt_table t)
{
    opt_tensor_free(ctx, &t.x);
    opt_tensor_free(ctx, &t.y);
}

static opt_batches *batches_of(opt_ctx *ctx, const opt_table *table, const opt_batches_opts *opts)
{
    const opt_source source = opt_source_table(table);
    opt_batches *b = NULL;

    assert_ok(ctx, opt_batches_new(ctx, &source, opts, &b));
    return b;
}

static opt_status never_sum(void *ud, void *buf, size_t n, opt_dtype t)
{
    (void)ud, (void)buf, (void)n, (void)t;
    fail_msg("%s", "batches need no sum");
    return OPT_ECOMM;
}

/* Whether the ranks' parts of every batch, one after the other, are the batch that one rank alone has. */
static void check_ranks(int ranks, int64_t rows, int64_t size, bool drop_last)
{
    const opt_batches_opts opts = {.size = size, .seed = 8, .drop_last = drop_last, .chunk = 1 + rows % 3};
    opt_ctx *alone = opt_ctx_new(NULL), *ctx[8];
    const opt_table table = table_of(alone, rows);
    opt_batches *whole = batches_of(alone, &table, &opts), *part[8];
    opt_batch w, p;

    for (int r = 0; r < ranks; r++) {
        ctx[r] = opt_ctx_new(&(opt_ctx_opts){.comm = {r, ranks, never_sum, NULL}});
        part[r] = batches_of(ctx[r], &table, &opts);
        assert_int_equal(opt_batches_count(part[r]), opt_batches_count(whole));
        assert_ok(ctx[r], opt_batches_begin(part[r], 1));
    }
    assert_ok(alone, opt_batches_begin(whole, 1));
    while (opt_batches_next(whole, &w) == OPT_OK) {
        const double *x = w.x.data, *y = w.y.data;

        for (int r = 0; r < ranks; r++) {
            assert_ok(ctx[r], opt_batches_next(part[r], &p));
            assert_int_equal(p.index, w.index);
            assert_int_equal(p.global_rows, w.global_rows);
            assert_int_equal(p.x.data == NULL, p.y.data == NULL);
            if (p.x.data == NULL)
                continue;
            assert_int_equal(p.x.dim[0], p.y.dim[0]);
            assert_in_range(p.x.dim[0], 1, w.x.dim[0]);
            assert_memory_equal(p.x.data, x, (size_t)opt_tensor_len(&p.x) * sizeof *x);
            assert_memory_equal(p.y.data, y, (size_t)opt_tensor_len(&p.y) * sizeof *y);
            x += opt_tensor_len(&p.x);
            y += opt_tensor_len(&p.y);
        }
        assert_ptr_equal(x, (const double *)w.x.data + opt_tensor_len(&w.x));
        assert_ptr_equal(y, (const double *)w.y.data + opt_tensor_len(&w.y));
    }
    for (int r = 0; r < ranks; r++) {
        assert_int_equal(opt_batches_next(part[r], &p), OPT_END);
        opt_batches_free(part[r]);
        opt_ctx_free(ctx[r]);
    }
    opt_batches_free(whole);
    free_table(alone, table);
    opt_ctx_free(alone);
}

/* With every raggedness: batches of fewer rows than ranks, and last batches of any size. */
static void the_parts_of_the_ranks_make_up_the_batch(void **state)
{
    (void)state;
    for (int ranks = 1; ranks <= 8; ranks++)
        for (int64_t rows = 1; rows <= 20; rows++)
            for (int64_t size = 1; size <= rows; size++)
                check_ranks(ranks, rows, size, rows % 2);
    check_ranks(3, 100, 64, false);
}

/* Batches of 2^k chunks are shared evenly by 2^j ranks; by others none has more than twice its share. */
static void the_rows_are_spread_evenly(void **state)
{
    opt_ctx *owner = opt_ctx_new(NULL);
    const opt_table table = table_of(owner, 64);

    (void)state;
    for (int ranks = 1; ranks <= 8; ranks++)
        for (int r = 0; r < ranks; r++) {
            opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.comm = {r, ranks, never_sum, NULL}});
            opt_batches *batches = batches_of(ctx, &table, &(opt_batches_opts){.size = 64, .chunk = 8});
            const bool even = 8 % ranks == 0;
            opt_batch b;

            assert_ok(ctx, opt_batches_begin(batches, 1));
            assert_ok(ctx, opt_batches_next(batches, &b));
            assert_in_range(b.x.dim[0], even ? 64 / ranks : 8, even ? 64 / ranks : 2 * 64 / ranks);
            assert_int_equal(b.chunk, 8);
            opt_batches_free(batches);
            opt_ctx_free(ctx);
        }
    free_table(owner, table);
    opt_ctx_free(owner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parts_of_the_ranks_make_up_the_batch),
        cmocka_unit_test(the_rows_are_spread_evenly),
    };

    return cmocka_run_group_tests_name("batch, ranks", tests, NULL, NULL);
}

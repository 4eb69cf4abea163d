/* SPDX-License-Identifier: MIT
 *
 * Mini-batches over a table: the memory they take, and the threads that fill it.
 */
#include "support.h"

static void epochs_do_not_allocate(void **state)
{
    double x[100] = {0};
    int64_t seen = 0;
    const opt_table table = {.x = opt_tensor_view(OPT_F64, x, 2, (const int64_t[]){50, 2})};
    const opt_source source = opt_source_table(&table);
    opt_batches *batches = NULL;
    opt_ctx *ctx;
    opt_batch b;
    long calls;
    count c;

    (void)state;
    count_init(&c);
    ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
    assert_ok(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = 8}, &batches));
    calls = c.calls;
    for (int64_t epoch = 1; epoch <= 3; epoch++) {
        assert_ok(ctx, opt_batches_begin(batches, epoch));
        while (opt_batches_next(batches, &b) == OPT_OK)
            seen += b.global_rows;
    }
    assert_int_equal(seen, 150);
    assert_int_equal(c.calls, calls);
    opt_batches_free(batches);
    opt_ctx_free(ctx);
    assert_int_equal(c.live, 0);
}

static opt_status sum_nothing(void *ud, void *buf, size_t n, opt_dtype t)
{
    (void)ud, (void)buf, (void)n, (void)t;
    return OPT_OK;
}

/* The bytes that batches of 64 rows of 100 numbers take, as one of so many ranks. */
static size_t bytes_as_one_of(int ranks)
{
    static double x[6400];
    const opt_table table = {.x = opt_tensor_view(OPT_F64, x, 2, (const int64_t[]){64, 100})};
    const opt_source source = opt_source_table(&table);
    opt_batches *batches = NULL;
    size_t before, taken;
    opt_ctx *ctx;
    count c;

    count_init(&c);
    ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator, .comm = {0, ranks, sum_nothing, NULL}});
    before = c.bytes;
    assert_ok(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.chunk = 8}, &batches));
    taken = c.bytes - before;
    opt_batches_free(batches);
    opt_ctx_free(ctx);
    return taken;
}

static void a_rank_has_room_for_its_part_alone(void **state)
{
    const size_t alone = bytes_as_one_of(1);

    (void)state;
    assert_int_equal(alone - bytes_as_one_of(2), (64 - 32) * 100 * sizeof(double));
    assert_int_equal(alone - bytes_as_one_of(8), (64 - 8) * 100 * sizeof(double));
}

/* Rows so wide that threads share them, be there fewer rows than threads or more. */
static void threads_read_what_one_would(void **state)
{
    enum { ROWS = 9, COLS = 5000 };
    static double x[ROWS * COLS];
    const opt_table table = {.x = opt_tensor_view(OPT_F64, x, 2, (const int64_t[]){ROWS, COLS})};
    opt_source source = opt_source_table(&table);

    (void)state;
    for (int i = 0; i < ROWS * COLS; i++)
        x[i] = i;
    for (int threads = 1; threads <= 4; threads++)
        for (int64_t rows = 1; rows <= ROWS; rows++) {
            opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.threads = threads});
            opt_batches *batches = NULL;
            opt_batch b;

            source.rows = rows;
            assert_ok(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.in_order = true}, &batches));
            assert_ok(ctx, opt_batches_begin(batches, 1));
            assert_ok(ctx, opt_batches_next(batches, &b));
            assert_int_equal(b.x.dim[0], rows);
            assert_memory_equal(b.x.data, x, (size_t)(rows * COLS) * sizeof *x);
            opt_batches_free(batches);
            opt_ctx_free(ctx);
        }
}

/* Rows of every number of bytes up to 40 are copied whole, and what lies behind them is left alone. */
static void a_table_writes_the_rows_asked_for_and_no_more(void **state)
{
    static const int64_t rows[] = {6, 0, 3, 4};
    float from[70], to[41];

    (void)state;
    for (int i = 0; i < 70; i++)
        from[i] = (float)i * 0.1F;
    for (int64_t cols = 1; cols <= 10; cols++) {
        const opt_table table = {.x = opt_tensor_view(OPT_F32, from, 2, (const int64_t[]){7, cols})};
        const opt_source source = opt_source_table(&table);
        opt_tensor x = opt_tensor_view(OPT_F32, to, 2, (const int64_t[]){4, cols}), none = {0};

        for (int i = 0; i < 41; i++)
            to[i] = -0.1F;
        assert_int_equal(source.read(source.ud, rows, 4, &x, &none), OPT_OK);
        for (int64_t i = 0; i < 4 * cols; i++)
            assert_true(to[i] == from[rows[i / cols] * cols + i % cols]);
        for (int64_t i = 4 * cols; i < 41; i++)
            assert_true(to[i] == -0.1F);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(epochs_do_not_allocate),
        cmocka_unit_test(a_rank_has_room_for_its_part_alone),
        cmocka_unit_test(a_table_writes_the_rows_asked_for_and_no_more),
        cmocka_unit_test(threads_read_what_one_would),
    };
    return cmocka_run_group_tests_name("batch_memory", tests, NULL, NULL);
}

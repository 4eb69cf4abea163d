/* SPDX-License-Identifier: MIT
 *
 * Streams: the batches are those of the same files read into memory, bit for bit, whatever the elements, the
 * order and the size of file or batch; and so is what is trained on them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stream_file.h"

#define X_NAME "test_data_stream_x.tmp"
#define Y_NAME "test_data_stream_y.tmp"

/* ---- Files --------------------------------------------------------------------------------------------- */

/* What elements a file has; letters as in NumPy's 'descr', '|' for IDX (whose order is '>'). */
typedef struct type {
    char format, order, kind;
    int bytes, idx;
} type;

static const type types[] = {
    {'n', '<', 'f', 2, 0},    {'n', '>', 'f', 2, 0},    {'n', '<', 'f', 4, 0},    {'n', '>', 'f', 4, 0},
    {'n', '<', 'f', 8, 0},    {'n', '>', 'f', 8, 0},    {'n', '|', 'b', 1, 0},    {'n', '|', 'u', 1, 0},
    {'n', '|', 'i', 1, 0},    {'n', '<', 'u', 2, 0},    {'n', '>', 'u', 2, 0},    {'n', '<', 'i', 2, 0},
    {'n', '>', 'i', 2, 0},    {'n', '<', 'u', 4, 0},    {'n', '>', 'u', 4, 0},    {'n', '<', 'i', 4, 0},
    {'n', '>', 'i', 4, 0},    {'n', '<', 'u', 8, 0},    {'n', '>', 'u', 8, 0},    {'n', '<', 'i', 8, 0},
    {'n', '>', 'i', 8, 0},    {'i', '>', 'u', 1, 0x08}, {'i', '>', 'i', 1, 0x09}, {'i', '>', 'i', 2, 0x0b},
    {'i', '>', 'i', 4, 0x0c}, {'i', '>', 'f', 4, 0x0d}, {'i', '>', 'f', 8, 0x0e}};
enum { TYPES = sizeof types / sizeof *types };

static const type *find_type(char format, char order, char kind, int bytes)
{
    const type *t = types;

    while (t->format != format || t->order != order || t->kind != kind || t->bytes != bytes)
        assert_true(++t < types + TYPES);
    return t;
}

static void put(FILE *f, uint64_t bits, int bytes, bool big_endian)
{
    for (int i = 0; i < bytes; i++)
        assert_true(fputc((int)(bits >> (8 * (big_endian ? bytes - 1 - i : i)) & 255), f) != EOF);
}

static void put_header(FILE *f, const type *t, int ndim, const int64_t *dim)
{
    char shape[100] = "", text[256];
    size_t used = 0;
    int length;

    if (t->format == 'i') {
        put(f, (uint64_t)(t->idx << 8 | ndim), 4, true);
        for (int d = 0; d < ndim; d++)
            put(f, (uint64_t)dim[d], 4, true);
        return;
    }
    for (int d = 0; d < ndim; d++)
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%lld, ", (long long)dim[d]);
    length = snprintf(text, sizeof text,
                      "{'descr': '%c%c%d', 'fortran_order': False, 'shape': (%s), }           \n", t->order,
                      t->kind, t->bytes, shape);
    assert_int_equal(fwrite("\x93NUMPY\x01\x00", 1, 8, f), 8);
    put(f, (uint64_t)length, 2, false);
    assert_int_equal(fputs(text, f) < 0, 0);
}

/* Random elements, no NaN among them, and no integer beyond 2^53. */
static uint64_t random_bits(const type *t, opt_rng *rng)
{
    const uint64_t bits = (uint64_t)opt_rng_u32(rng) << 32 | opt_rng_u32(rng);

    if (t->kind == 'b')
        return bits & 1;
    if (t->kind == 'f' && t->bytes == 2)
        return bits & (bits >> 20 & 1 ? 0x83ff : 0xbfff); /* subnormal, or up to 2 */
    if (t->kind == 'f')                                   /* a clear bit of the exponent: up to 2 */
        return t->bytes == 4 ? bits & 0xbfffffff : bits & 0xbfffffffffffffff;
    if (t->bytes == 8)
        return t->kind == 'i' && bits >> 63 ? bits | 0xffe0000000000000 : bits & 0x1fffffffffffff;
    return bits;
}

static void make_file(const char *path, const type *t, int ndim, const int64_t *dim, uint32_t seed)
{
    FILE *f = fopen(path, "wb");
    int64_t n = 1;
    opt_rng rng;

    assert_non_null(f);
    opt_rng_seed(&rng, seed);
    put_header(f, t, ndim, dim);
    for (int d = 0; d < ndim; d++)
        n *= dim[d];
    for (int64_t i = 0; i < n; i++)
        put(f, random_bits(t, &rng), t->bytes, t->order == '>');
    assert_int_equal(fclose(f), 0);
}

/* Labels 0, 3, 6, ..., mod 10. */
static void make_labels(const char *path, const type *t, int64_t n)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    put_header(f, t, 1, &n);
    for (int64_t i = 0; i < n; i++)
        put(f, (uint64_t)(3 * i % 10), t->bytes, t->order == '>');
    assert_int_equal(fclose(f), 0);
}

/* The file as one of the readers has it, each element times scale, as dtype; 0: as a stream has it by
 * default. */
static opt_tensor read_file(opt_ctx *ctx, const char *path, const type *t, double scale, opt_dtype dtype)
{
    opt_tensor whole = {0}, out = {0};

    if (t->format == 'n')
        assert_ok(ctx, opt_read_npy(ctx, path, &whole));
    else
        assert_ok(ctx, opt_read_idx(ctx, path, OPT_F64, &whole));
    if (dtype == 0)
        dtype = t->format == 'n' ? whole.dtype : t->bytes <= (t->kind == 'f' ? 4 : 2) ? OPT_F32 : OPT_F64;
    assert_ok(ctx, opt_tensor_new(ctx, dtype, whole.ndim, whole.dim, &out));
    for (int64_t i = 0; i < opt_tensor_len(&out); i++)
        opt_set(&out, i, opt_get(&whole, i) * scale);
    opt_tensor_free(ctx, &whole);
    return out;
}

/* ---- Batches of two sources ---------------------------------------------------------------------------- */

/* Every way to cut an epoch into batches. */
static void compare(opt_ctx *ctx, opt_stream *stream, const opt_table *table)
{
    const opt_source streamed = opt_source_stream(stream), in_memory = opt_source_table(table);
    const int64_t sizes[] = {1, 7, 64, in_memory.rows};

    for (int i = 0; i < 16; i++)
        stream_compare_epochs(
            ctx, &streamed, &in_memory,
            &(opt_batches_opts){.size = sizes[i / 4] < in_memory.rows ? sizes[i / 4] : in_memory.rows,
                                .seed = 11,
                                .in_order = i & 1,
                                .drop_last = i & 2},
            3);
}

static void free_table(opt_ctx *ctx, opt_table *table)
{
    opt_tensor_free(ctx, &table->x);
    opt_tensor_free(ctx, &table->y);
    remove(X_NAME);
    remove(Y_NAME);
}

/* ---- The same as in memory ----------------------------------------------------------------------------- */

/* Of x, of y (in x's dtype), times 1 and 1/255, of the default dtype and of f64. */
static void every_type_of_element_is_streamed(void **state)
{
    opt_ctx *ctx = *state;

    for (int i = 0; i < 4 * TYPES; i++) {
        const type *of_x = &types[i / 4], *of_y = &types[(i + 5) % TYPES];
        const opt_stream_opts opts = {.dtype = i & 1 ? OPT_F64 : (opt_dtype)0,
                                      .x_scale = i & 2 ? 1.0 / 255 : 0};
        opt_stream *stream = NULL;
        opt_table table;

        if (!(i & 1)) /* a default that is f32 cannot hold them all */
            of_y = of_x->bytes <= 2 ? of_x : find_type('i', '>', 'f', 4);
        make_file(X_NAME, of_x, 2, (int64_t[]){150, 9}, (uint32_t)i);
        make_file(Y_NAME, of_y, 2, (int64_t[]){150, 2}, (uint32_t)i + 1000);
        table.x = read_file(ctx, X_NAME, of_x, i & 2 ? 1.0 / 255 : 1, opts.dtype);
        table.y = read_file(ctx, Y_NAME, of_y, 1, table.x.dtype);
        assert_ok(ctx, opt_stream_open(ctx, X_NAME, Y_NAME, &opts, &stream));
        compare(ctx, stream, &table);
        opt_stream_close(stream);
        free_table(ctx, &table);
    }
}

/* Doubles as f32 are rounded once, after scaling. */
static void doubles_are_streamed_as_singles(void **state)
{
    static const double scales[] = {0, 0x1.8p-3, 1e-3, 3};
    opt_ctx *ctx = *state;

    for (int i = 0; i < 8; i++) {
        const type *of_x = i & 1 ? find_type('n', '<', 'f', 8) : find_type('i', '>', 'f', 8);
        const double scale = scales[i / 2];
        opt_stream *stream = NULL;
        opt_table table = {0};

        make_file(X_NAME, of_x, 2, (int64_t[]){100, 9}, (uint32_t)i);
        table.x = read_file(ctx, X_NAME, of_x, scale > 0 ? scale : 1, OPT_F32);
        assert_ok(ctx, opt_stream_open(ctx, X_NAME, NULL, &(opt_stream_opts){OPT_F32, scale, 0}, &stream));
        compare(ctx, stream, &table);
        opt_stream_close(stream);
        free_table(ctx, &table);
    }
}

/* Scaled, integers need not be exact in f32; and labels are not scaled. */
static void wide_integers_are_scaled(void **state)
{
    const type *of_x = find_type('i', '>', 'i', 4), *of_y = find_type('i', '>', 'i', 2);
    opt_ctx *ctx = *state;
    opt_stream *stream = NULL;
    opt_table table;

    make_file(X_NAME, of_x, 2, (int64_t[]){100, 9}, 1);
    make_file(Y_NAME, of_y, 1, (int64_t[]){100}, 2);
    table.x = read_file(ctx, X_NAME, of_x, 0.1, OPT_F32);
    table.y = read_file(ctx, Y_NAME, of_y, 1, OPT_F32);
    assert_ok(ctx, opt_stream_open(ctx, X_NAME, Y_NAME, &(opt_stream_opts){OPT_F32, 0.1, 0}, &stream));
    compare(ctx, stream, &table);
    opt_stream_close(stream);
    free_table(ctx, &table);
}

static void one_to_four_dimensions_become_rows(void **state)
{
    static const int64_t dim[][4] = {{30}, {30, 1}, {1, 30}, {30, 2, 3}, {30, 4, 1, 5}, {1, 1, 1, 1}};
    static const int ndim[] = {1, 2, 2, 3, 4, 4};
    opt_ctx *ctx = *state;

    for (int i = 0; i < 12; i++) {
        const type *t = i & 1 ? find_type('n', '>', 'i', 2) : find_type('i', '>', 'u', 1);
        opt_stream *stream = NULL;
        opt_table table = {0};

        make_file(X_NAME, t, ndim[i / 2], dim[i / 2], (uint32_t)i);
        table.x = read_file(ctx, X_NAME, t, 1, (opt_dtype)0);
        assert_ok(ctx, opt_stream_open(ctx, X_NAME, NULL, NULL, &stream));
        assert_int_equal(opt_source_stream(stream).y_cols, 0);
        compare(ctx, stream, &table);
        opt_stream_close(stream);
        free_table(ctx, &table);
    }
}

/* Rows may be in the same batch more than once, and a batch larger than what is put in order at a time. */
static void rows_may_be_asked_for_in_any_order(void **state)
{
    enum { ROWS = 700, N = 13000 };
    static int64_t row[N];
    const type *t = find_type('n', '<', 'i', 2);
    opt_ctx *ctx = *state;
    opt_tensor got = {0}, want = {0}, none = {0};
    opt_stream *stream = NULL;
    opt_source streamed, in_memory;
    opt_table table = {0};
    opt_rng rng;

    make_file(X_NAME, t, 2, (int64_t[]){ROWS, 3}, 1);
    table.x = read_file(ctx, X_NAME, t, 1, OPT_F32);
    assert_ok(ctx, opt_stream_open(ctx, X_NAME, NULL, &(opt_stream_opts){.dtype = OPT_F32}, &stream));
    streamed = opt_source_stream(stream);
    in_memory = opt_source_table(&table);
    assert_ok(ctx, opt_tensor_new(ctx, OPT_F32, 2, (int64_t[]){N, 3}, &got));
    assert_ok(ctx, opt_tensor_new(ctx, OPT_F32, 2, (int64_t[]){N, 3}, &want));
    opt_rng_seed(&rng, 5);
    for (int kind = 0; kind < 4; kind++) { /* random, descending, ascending in pairs, all one */
        for (int64_t i = 0; i < N; i++)
            row[i] = kind == 0   ? opt_rng_u32(&rng) % ROWS
                     : kind == 1 ? (N - i) % ROWS
                     : kind == 2 ? i / 2 % ROWS
                                 : 17;
        assert_ok(ctx, streamed.read(streamed.ud, row, N, &got, &none));
        assert_ok(ctx, in_memory.read(in_memory.ud, row, N, &want, &none));
        stream_assert_same(&got, &want);
    }
    opt_tensor_free(ctx, &got);
    opt_tensor_free(ctx, &want);
    opt_stream_close(stream);
    free_table(ctx, &table);
}

static void labels_become_rows_with_a_one(void **state)
{
    static const char kinds[][4] = {"i>u1", "i>i4", "n<i8", "n|u1", "n>u2"};
    opt_ctx *ctx = *state;

    for (size_t i = 0; i < 2 * sizeof kinds / sizeof *kinds; i++) {
        const char *k = kinds[i / 2];
        const type *of_x = find_type('n', '<', 'f', i & 1 ? 4 : 8);
        const type *of_y = find_type(k[0], k[1], k[2], k[3] - '0');
        const int64_t classes = i & 1 ? 10 : 13;
        opt_stream *stream = NULL;
        opt_tensor labels;
        opt_table table;

        make_file(X_NAME, of_x, 2, (int64_t[]){150, 2}, 1);
        make_labels(Y_NAME, of_y, 150);
        table.x = read_file(ctx, X_NAME, of_x, 1, (opt_dtype)0);
        labels = read_file(ctx, Y_NAME, of_y, 1, table.x.dtype);
        assert_ok(ctx, opt_one_hot(ctx, &labels, classes, &table.y));
        assert_ok(ctx, opt_stream_open(ctx, X_NAME, Y_NAME, &(opt_stream_opts){.classes = classes}, &stream));
        compare(ctx, stream, &table);
        opt_tensor_free(ctx, &labels);
        opt_stream_close(stream);
        free_table(ctx, &table);
    }
}

static opt_status never_sum(void *ud, void *buf, size_t n, opt_dtype t)
{
    (void)ud, (void)buf, (void)n, (void)t;
    return OPT_ECOMM;
}

/* Several ranks read what is theirs of each batch. */
static void ranks_share_a_batch(void **state)
{
    const type *t = find_type('n', '<', 'f', 4);

    (void)state;
    for (int rank = 0; rank < 3; rank++) {
        opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.threads = 2, .comm = {rank, 3, never_sum, NULL}});
        opt_stream *stream = NULL;
        opt_table table = {0};

        make_file(X_NAME, t, 2, (int64_t[]){100, 3}, 4);
        table.x = read_file(ctx, X_NAME, t, 1, (opt_dtype)0);
        assert_ok(ctx, opt_stream_open(ctx, X_NAME, NULL, NULL, &stream));
        compare(ctx, stream, &table);
        opt_stream_close(stream);
        free_table(ctx, &table);
        opt_ctx_free(ctx);
    }
}

/* ---- Training ------------------------------------------------------------------------------------------ */

static opt_mlp *train(opt_ctx *ctx, opt_source source)
{
    const opt_mlp_opts shape = {.size = {12, 8, 10}, .loss = OPT_SOFTMAX_CE, .dtype = OPT_F32, .seed = 3};
    opt_batches *batches = NULL;
    opt_optim *adam = NULL;
    opt_mlp *net = NULL;
    opt_model model;

    assert_ok(ctx, opt_mlp_new(ctx, &shape, &net));
    assert_ok(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = 32, .seed = 1}, &batches));
    assert_ok(ctx,
              opt_optim_new(ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 0.01}, opt_mlp_params(net), &adam));
    model = opt_mlp_model(net);
    assert_ok(ctx, opt_train(ctx, &model, adam, batches, &(opt_train_opts){.epochs = 5}));
    opt_optim_free(adam);
    opt_batches_free(batches);
    return net;
}

static void training_comes_to_the_same_weights(void **state)
{
    const opt_stream_opts opts = {.x_scale = 1.0 / 255, .classes = 10};
    const type *bytes = find_type('i', '>', 'u', 1);
    opt_ctx *ctx = *state;
    opt_stream *stream = NULL;
    opt_tensor labels;
    opt_table table;
    opt_mlp *a, *b;

    make_file(X_NAME, bytes, 3, (int64_t[]){500, 3, 4}, 1);
    make_labels(Y_NAME, bytes, 500);
    table.x = read_file(ctx, X_NAME, bytes, 1.0 / 255, OPT_F32);
    labels = read_file(ctx, Y_NAME, bytes, 1, OPT_F32);
    assert_ok(ctx, opt_one_hot(ctx, &labels, 10, &table.y));
    assert_ok(ctx, opt_stream_open(ctx, X_NAME, Y_NAME, &opts, &stream));
    a = train(ctx, opt_source_stream(stream));
    b = train(ctx, opt_source_table(&table));
    assert_true(same_bits(opt_mlp_params(a), opt_mlp_params(b)));
    opt_mlp_free(a);
    opt_mlp_free(b);
    opt_tensor_free(ctx, &labels);
    opt_stream_close(stream);
    free_table(ctx, &table);
}

/* ---- Group --------------------------------------------------------------------------------------------- */

static int make_context(void **state)
{
    *state = opt_ctx_new(NULL);
    return *state == NULL;
}

static int free_context(void **state)
{
    opt_ctx_free(*state);
    remove(X_NAME);
    remove(Y_NAME);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_of_element_is_streamed),
        cmocka_unit_test(doubles_are_streamed_as_singles),
        cmocka_unit_test(wide_integers_are_scaled),
        cmocka_unit_test(one_to_four_dimensions_become_rows),
        cmocka_unit_test(rows_may_be_asked_for_in_any_order),
        cmocka_unit_test(labels_become_rows_with_a_one),
        cmocka_unit_test(ranks_share_a_batch),
        cmocka_unit_test(training_comes_to_the_same_weights),
    };

    return cmocka_run_group_tests_name("data_stream", tests, make_context, free_context);
}

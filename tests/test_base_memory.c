/* SPDX-License-Identifier: MIT
 *
 * Where all memory comes from, and what happens when there is none.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#define FILE_NAME "test_base_memory.tmp"

/* An allocator that holds the library to its word: blocks come with rubbish in them and with no more
 * alignment than any type needs, and go back with the size that was asked for. */
typedef struct strict {
    struct {
        char *start, *p; /* what malloc gave, what the library got */
        size_t size;
    } block[64];
    int calls, live;
} strict;

static void *strict_alloc(void *ud, void *p, size_t old_size, size_t new_size)
{
    strict *s = ud;
    int i = 0;

    while (i < 64 && s->block[i].p != p)
        i++;
    assert_in_range(i, 0, 63); /* a block that is live or, for NULL, a place that is free */
    if (p == NULL) {
        const size_t shift = _Alignof(max_align_t) * (size_t)(1 + s->calls % 4);

        assert_int_equal(old_size, 0);
        assert_int_not_equal(new_size, 0);
        s->block[i].start = malloc(shift + new_size);
        assert_non_null(s->block[i].start);
        s->block[i].p = s->block[i].start + shift;
        s->block[i].size = new_size;
        s->calls++;
        s->live++;
        return memset(s->block[i].p, 0xa5, new_size);
    }
    assert_int_equal(new_size, 0); /* never asked to resize */
    assert_int_equal(old_size, s->block[i].size);
    free(s->block[i].start);
    s->block[i].p = NULL;
    s->live--;
    return p; /* ignored */
}

static double sum_of(const opt_tensor *t)
{
    double sum = 0;

    for (int64_t i = 0; i < opt_tensor_len(t); i++)
        sum += opt_get(t, i);
    return sum;
}

static double no_loss(void *ud)
{
    (void)ud;
    return 0;
}

/* A network trained with memory from `a`: the sum of its weights. */
static double train_with(opt_allocator a)
{
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = a});
    opt_table table = {{0}, {0}};
    opt_batches *batches = NULL;
    opt_optim *optim = NULL;
    opt_mlp *net = NULL;
    opt_model model;
    opt_source source;
    double sum = 0, error = 0;

    assert_ok(ctx, opt_moons(ctx, 30, 0.2, 3, &table));
    source = opt_source_table(&table);
    assert_ok(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = 8}, &batches));
    assert_ok(ctx, opt_mlp_new(ctx, &(opt_mlp_opts){.size = {2, 5, 1}}, &net));
    model = opt_mlp_model(net);
    assert_ok(ctx, opt_optim_new(ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 0.01}, model.params, &optim));
    assert_ok(ctx, opt_train(ctx, &model, optim, batches, &(opt_train_opts){.epochs = 3}));
    assert_ok(ctx, opt_grad_check(ctx, no_loss, NULL, model.params, &error));
    assert_ok(ctx, opt_write_npy(ctx, FILE_NAME, &table.x));
    opt_tensor_free(ctx, &table.x);
    assert_ok(ctx, opt_read_npy(ctx, FILE_NAME, &table.x));
    for (int i = 0; i < model.params.n; i++)
        sum += sum_of(&model.params.at[i].value);
    sum += sum_of(&table.x);
    remove(FILE_NAME);
    opt_optim_free(optim);
    opt_mlp_free(net);
    opt_batches_free(batches);
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
    opt_ctx_free(ctx);
    return sum;
}

static void memory_comes_from_the_allocator_and_goes_back_to_it(void **state)
{
    strict s = {.calls = 0};
    double sum;

    (void)state;
    sum = train_with((opt_allocator){strict_alloc, &s});
    assert_true(s.calls > 10);
    assert_int_equal(s.live, 0);
    assert_close(sum, train_with((opt_allocator){NULL, NULL}), 0); /* the rubbish did not matter */
}

static void tensors_are_aligned_whatever_the_allocator_gives(void **state)
{
    strict s = {.calls = 0};
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = {strict_alloc, &s}});
    opt_tensor t[5];

    (void)state;
    for (int64_t i = 0; i < 5; i++) {
        assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, 1, (const int64_t[]){i + 1}, &t[i]));
        assert_int_equal((uintptr_t)t[i].data % 64, 0);
        assert_close(sum_of(&t[i]), 0, 0);
    }
    assert_int_equal(s.live, 6);
    for (int i = 0; i < 5; i++)
        opt_tensor_free(ctx, &t[i]);
    assert_int_equal(s.live, 1);
    opt_ctx_free(ctx);
    assert_int_equal(s.live, 0);
}

/* ---- Running out of it --------------------------------------------------------------------------------- */

/* Whatever a call makes. */
typedef struct made {
    opt_tensor t;
    opt_table table;
    opt_batches *batches;
} made;

static opt_status make_tensor(opt_ctx *ctx, made *m)
{
    return opt_tensor_new(ctx, OPT_F32, 1, (const int64_t[]){10}, &m->t);
}

static opt_status make_batches(opt_ctx *ctx, made *m)
{
    static double x[3] = {1, 2, 3}, y[3];
    const int64_t rows = 3;
    static opt_table table;
    opt_source source;

    table = (opt_table){opt_tensor_view(OPT_F64, x, 1, &rows), opt_tensor_view(OPT_F64, y, 1, &rows)};
    source = opt_source_table(&table);
    return opt_batches_new(ctx, &source, NULL, &m->batches);
}

static opt_status make_moons(opt_ctx *ctx, made *m)
{
    return opt_moons(ctx, 10, 0.1, 1, &m->table);
}

static opt_status make_from_file(opt_ctx *ctx, made *m)
{
    return opt_read_npy(ctx, GOLDEN_DIR "/moons/Y.npy", &m->t);
}

static opt_status make_file(opt_ctx *ctx, made *m)
{
    double x = 1;
    const opt_tensor t = opt_tensor_view(OPT_F64, &x, 0, NULL);

    (void)m;
    return opt_write_npy(ctx, FILE_NAME, &t);
}

/* Writes a file of one letter. */
static void make_old_file(void)
{
    FILE *f = fopen(FILE_NAME, "wb");

    assert_non_null(f);
    assert_int_equal(fputc('x', f), 'x');
    assert_int_equal(fclose(f), 0);
}

/* Whether that is what the file still holds. */
static bool file_is_old(void)
{
    FILE *f = fopen(FILE_NAME, "rb");
    const bool old = f != NULL && fgetc(f) == 'x' && fgetc(f) == EOF;

    if (f != NULL)
        fclose(f);
    return old;
}

/* Lets allocation number n fail, and with `all` those after it; whether there was one. */
static bool check_allocation(opt_status (*make)(opt_ctx *ctx, made *m), long n, bool all)
{
    const made before = {.batches = NULL};
    made m = before;
    opt_status s;
    opt_ctx *ctx;
    count c;

    make_old_file();
    count_init(&c);
    ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
    c.fail_from = c.calls + n;
    c.fail_all = all;
    s = make(ctx, &m);
    if (s != OPT_OK) {
        assert_fails(ctx, s, OPT_ENOMEM, "memory");
        assert_memory_equal(&m, &before, sizeof m);
        assert_int_equal(c.live, 1); /* the context */
        assert_true(file_is_old());
        assert_null(fopen(FILE_NAME ".opt-tmp0", "rb"));
    }
    opt_batches_free(m.batches);
    opt_tensor_free(ctx, &m.t);
    opt_tensor_free(ctx, &m.table.x);
    opt_tensor_free(ctx, &m.table.y);
    opt_ctx_free(ctx);
    assert_int_equal(c.live, 0);
    assert_int_equal(c.bytes, 0);
    return s != OPT_OK;
}

static void any_allocation_may_fail(void **state)
{
    opt_status (*const make[])(opt_ctx *, made *) = {make_tensor, make_batches, make_moons, make_from_file,
                                                     make_file};

    (void)state;
    for (size_t i = 0; i < sizeof make / sizeof make[0]; i++) {
        long n = 0;

        while (check_allocation(make[i], n, true))
            n++;
        assert_true(n >= 1);
        for (long k = 0; k < n; k++)
            assert_true(check_allocation(make[i], k, false));
    }
    remove(FILE_NAME);
}

static void a_context_may_fail_too(void **state)
{
    count c;

    (void)state;
    count_init(&c);
    c.fail_from = 0;
    assert_null(opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator}));
    assert_int_equal(c.live, 0);
}

/* Its threads' memory is the context's too. */
static void a_context_with_threads_may_fail_too(void **state)
{
    (void)state;
    for (long n = 0; n < 4; n++) {
        opt_ctx *ctx;
        count c;

        count_init(&c);
        c.fail_from = n;
        ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator, .threads = 2});
        assert_int_equal(ctx != NULL, n == 3);
        opt_ctx_free(ctx);
        assert_int_equal(c.live, 0);
    }
}

static void a_norm_without_memory_is_none(void **state)
{
    double w = 1, g = 3;
    opt_param p = {.name = "w",
                   .value = opt_tensor_view(OPT_F64, &w, 0, NULL),
                   .grad = opt_tensor_view(OPT_F64, &g, 0, NULL)};
    opt_ctx *ctx;
    count c;

    (void)state;
    count_init(&c);
    ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
    assert_true(opt_grad_norm(ctx, (opt_params){&p, 1}) == 3);
    c.fail_from = c.calls;
    assert_true(isnan(opt_grad_norm(ctx, (opt_params){&p, 1})));
    assert_string_equal(opt_errmsg(ctx), "grad_norm: out of memory");
    opt_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_comes_from_the_allocator_and_goes_back_to_it),
        cmocka_unit_test(tensors_are_aligned_whatever_the_allocator_gives),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(a_context_may_fail_too),
        cmocka_unit_test(a_context_with_threads_may_fail_too),
        cmocka_unit_test(a_norm_without_memory_is_none),
    };

    remove(FILE_NAME);
    return cmocka_run_group_tests_name("base_memory", tests, NULL, NULL);
}

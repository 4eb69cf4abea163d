/* SPDX-License-Identifier: MIT
 *
 * Threads: the same results and messages for any number, and the tree of chunks that makes it so. Hashes of
 * more are compared in internal_bits.c.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "support.h"

#ifdef COVERAGE /* _exit does not write counters down */
void __gcov_dump(void);
#endif

enum { IN = 96, OUT = 8, ROWS = 450 };

#ifndef MOST_THREADS /* fewer where threads run one at a time, as under valgrind */
#define MOST_THREADS 64
/* The thread sanitizer forbids a child threads, and drd that it makes anew the locks that others may have
 * held. */
#if (defined(__unix__) || defined(__APPLE__)) && !defined(__SANITIZE_THREAD__)
#define FORKS
#endif
#endif

typedef struct fixture {
    opt_ctx *ctx;
    opt_mlp *net;
    opt_tensor x, y;
} fixture;

static void draw(opt_tensor *t, uint32_t seed)
{
    opt_rng r;

    opt_rng_seed(&r, seed);
    for (int64_t i = 0; i < opt_tensor_len(t); i++)
        opt_set(t, i, opt_rng_normal(&r));
}

static fixture make_fixture(int threads)
{
    fixture f = {.ctx = opt_ctx_new(&(opt_ctx_opts){.threads = threads})};

    assert_int_equal(opt_tensor_new(f.ctx, OPT_F64, 2, (int64_t[]){ROWS, IN}, &f.x), OPT_OK);
    assert_int_equal(opt_tensor_new(f.ctx, OPT_F64, 2, (int64_t[]){ROWS, OUT}, &f.y), OPT_OK);
    draw(&f.x, 1);
    draw(&f.y, 2);
    assert_int_equal(
        opt_mlp_new(f.ctx, &(opt_mlp_opts){.size = {IN, 200, 120, OUT}, .loss = OPT_MSE, .seed = 3}, &f.net),
        OPT_OK);
    return f;
}

static void free_fixture(fixture *f)
{
    opt_mlp_free(f->net);
    opt_tensor_free(f->ctx, &f->x);
    opt_tensor_free(f->ctx, &f->y);
    opt_ctx_free(f->ctx);
}

/* The gradient of rows [first, first + n); its values lie end to end from the first parameter's on. */
static double gradient(fixture *f, int64_t first, int64_t n)
{
    const opt_tensor x = opt_tensor_rows(&f->x, first, n), y = opt_tensor_rows(&f->y, first, n);
    double loss;

    assert_int_equal(opt_mlp_grad(f->net, &x, &y, &loss), OPT_OK);
    return loss;
}

static int64_t values(const fixture *f)
{
    const opt_params p = opt_mlp_params(f->net);
    int64_t n = 0;

    for (int i = 0; i < p.n; i++)
        n += opt_tensor_len(&p.at[i].value);
    return n;
}

static const double *grads(const fixture *f)
{
    return opt_mlp_params(f->net).at[0].grad.data;
}

static void any_number_gives_the_same_gradient_and_prediction(void **state)
{
    const int64_t batches[] = {1, 3, 5, 64, 65, 128, 129, 200, ROWS};

    (void)state;
    for (int threads = 2; threads <= MOST_THREADS; threads += threads < 4 ? 1 : 15) {
        fixture one = make_fixture(1), many = make_fixture(threads);
        const size_t bytes = (size_t)values(&one) * sizeof(double);

        for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
            const double loss = gradient(&one, 0, batches[i]), other = gradient(&many, 0, batches[i]);

            assert_memory_equal(&loss, &other, sizeof loss);
            assert_memory_equal(grads(&one), grads(&many), bytes);
        }
        assert_int_equal(opt_mlp_predict(one.net, &one.x, &one.y), OPT_OK);
        assert_int_equal(opt_mlp_predict(many.net, &many.x, &many.y), OPT_OK);
        assert_memory_equal(one.y.data, many.y.data, ROWS * OUT * sizeof(double));
        free_fixture(&one);
        free_fixture(&many);
    }
}

/* to <- a + b; any may be the same */
static void plus(int64_t n, const double *a, const double *b, double *to)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = a[i] + b[i];
}

/* A mean over 256 rows is a quarter of one over 64 and exact to divide: the tree can be put together by hand.
 */
static void four_chunks_are_two_pairs(void **state)
{
    fixture f = make_fixture(2);
    const int64_t n = values(&f);
    double *chunk[4], loss[4], whole;

    (void)state;
    for (int c = 0; c < 4; c++) {
        chunk[c] = test_malloc((size_t)n * sizeof(double));
        loss[c] = gradient(&f, 64 * c, 64);
        memcpy(chunk[c], grads(&f), (size_t)n * sizeof(double));
    }
    whole = gradient(&f, 0, 256);
    plus(n, chunk[0], chunk[1], chunk[0]);
    plus(n, chunk[2], chunk[3], chunk[2]);
    plus(n, chunk[0], chunk[2], chunk[0]);
    assert_true(whole == ((loss[0] + loss[1]) + (loss[2] + loss[3])) / 4);
    for (int64_t i = 0; i < n; i++)
        assert_true(grads(&f)[i] == chunk[0][i] / 4);
    for (int c = 0; c < 4; c++)
        test_free(chunk[c]);
    free_fixture(&f);
}

static opt_status fail_on_marked(const opt_update *u)
{
    for (int64_t i = 0; i < opt_tensor_len(&u->w); i++) {
        if (opt_get(&u->g, i) == 7)
            return OPT_EIO;
        opt_set(&u->slot[0], i, opt_get(&u->slot[0], i) + 1);
        opt_set(&u->w, i, opt_get(&u->g, i));
    }
    return OPT_OK;
}

/* A method of the caller's meets every element once, with its own gradient, and the first parameter that
 * fails is named. */
static void updates_cover_every_element_once_and_fail_alike(void **state)
{
    static const opt_method method = {.name = "mine", .slot = {"count"}, .update = fail_on_marked};
    enum { N = 50000 };

    (void)state;
    for (int threads = 1; threads <= 5; threads += 2) {
        opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.threads = threads});
        opt_param p[3] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
        opt_optim *o;

        for (int i = 0; i < 3; i++) {
            assert_int_equal(opt_tensor_new(ctx, OPT_F32, 1, (int64_t[]){N}, &p[i].value), OPT_OK);
            assert_int_equal(opt_tensor_new(ctx, OPT_F32, 1, (int64_t[]){N}, &p[i].grad), OPT_OK);
            for (int64_t k = 0; k < N; k++)
                opt_set(&p[i].grad, k, (double)(i * N + k + 8));
        }
        assert_int_equal(opt_optim_new(ctx, &method, NULL, &(opt_optim_opts){.lr = 1, .clip_value = 1e7},
                                       (opt_params){p, 3}, &o),
                         OPT_OK);
        assert_int_equal(opt_optim_step(o), OPT_OK);
        for (int i = 0; i < 3; i++)
            for (int64_t k = 0; k < N; k++)
                assert_true(opt_get(opt_optim_slot(o, i, "count"), k) == 1 &&
                            opt_get(&p[i].value, k) == (double)(i * N + k + 8));
        opt_set(&p[1].grad, N - 1, 7);
        opt_set(&p[2].grad, 0, 7);
        assert_int_equal(opt_optim_step(o), OPT_EIO);
        assert_non_null(strstr(opt_errmsg(ctx), "the update of b failed"));
        opt_optim_free(o);
        for (int i = 0; i < 3; i++) {
            opt_tensor_free(ctx, &p[i].value);
            opt_tensor_free(ctx, &p[i].grad);
        }
        opt_ctx_free(ctx);
    }
}

typedef struct limited {
    int left, live; /* allocations still allowed; blocks not yet released */
} limited;

static void *limited_alloc(void *ud, void *p, size_t old_size, size_t new_size)
{
    limited *l = ud;

    (void)old_size;
    if (new_size == 0) {
        l->live--;
        free(p);
        return NULL;
    }
    if (l->left-- <= 0)
        return NULL;
    l->live++;
    return malloc(new_size);
}

/* The first large batch takes memory; without it nothing is changed; the second takes none. */
static void a_large_batch_takes_memory_once(void **state)
{
    limited l = {.left = 1000};
    fixture f = {.ctx = opt_ctx_new(&(opt_ctx_opts){.threads = 2, .allocator = {limited_alloc, &l}})};
    double loss = 5;

    (void)state;
    assert_int_equal(opt_tensor_new(f.ctx, OPT_F64, 2, (int64_t[]){ROWS, IN}, &f.x), OPT_OK);
    assert_int_equal(opt_tensor_new(f.ctx, OPT_F64, 2, (int64_t[]){ROWS, OUT}, &f.y), OPT_OK);
    draw(&f.x, 1);
    assert_int_equal(opt_mlp_new(f.ctx, &(opt_mlp_opts){.size = {IN, 9, OUT}, .loss = OPT_MSE}, &f.net),
                     OPT_OK);
    l.left = 0;
    assert_int_equal(opt_mlp_grad(f.net, &f.x, &f.y, &loss), OPT_ENOMEM);
    assert_true(loss == 5);
    for (int64_t i = 0; i < values(&f); i++)
        assert_true(grads(&f)[i] == 0);
    gradient(&f, 0, 128);
    l.left = 2; /* eight chunks: the right halves have four and two */
    gradient(&f, 0, ROWS);
    gradient(&f, 0, ROWS);
    free_fixture(&f);
    assert_int_equal(l.live, 0);
}

static void any_limit_of_threads_is_taken(void **state)
{
    fixture f = make_fixture(MOST_THREADS < 64 ? MOST_THREADS : 100000), one = make_fixture(1);

    (void)state;
    assert_true(gradient(&f, 0, 200) == gradient(&one, 0, 200));
    free_fixture(&f);
    free_fixture(&one);
}

/* The child of a fork has none of its parent's threads, whatever they were at when it was made: they are
 * left time to get from work to looking for more, and to fall asleep. */
static void a_forked_child_goes_on(void **state)
{
#ifdef FORKS
    fixture f = make_fixture(3);
    const double loss = gradient(&f, 0, 200);

    (void)state;
    for (int i = 0; i < 40; i++) {
        const clock_t start = clock();
        pid_t child;
        int result;

        while (i % 4 > 0 && clock() - start < CLOCKS_PER_SEC / 10000 * i)
            continue;
        child = fork();
        if (child == 0) {
            bool same = true;

            for (int k = 0; k < 3; k++)
                same = same && gradient(&f, 0, 200) == loss;
            free_fixture(&f);
#ifdef COVERAGE
            __gcov_dump();
#endif
            _exit(same ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &result, 0), child);
        assert_int_equal(result, 0);
        assert_true(gradient(&f, 0, 200) == loss);
    }
    free_fixture(&f);
#else
    (void)state;
    skip();
#endif
}

#ifdef FORKS
static pthread_t caller;
static pid_t made;
static atomic_bool at_work, has_forked;

/* Forks in the caller's thread, while another is at work. */
static opt_status fork_amidst(const opt_update *u)
{
    (void)u;
    if (!pthread_equal(pthread_self(), caller)) {
        atomic_store(&at_work, true);
        while (!atomic_load(&has_forked))
            continue;
    } else if (!atomic_load(&has_forked)) {
        while (!atomic_load(&at_work))
            continue;
        made = fork();
        atomic_store(&has_forked, true);
    }
    return OPT_OK;
}
#endif

/* Whatever the other thread had taken is lost to the child, but it does not wait for it. */
static void a_child_does_not_wait_for_threads_it_does_not_have(void **state)
{
#ifdef FORKS
    const opt_method mine = {.name = "mine", .update = fork_amidst};
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.threads = 2});
    const int64_t n = 1 << 17;
    opt_param p = {.name = "w"};
    opt_optim *o = NULL;
    int result;

    (void)state;
    caller = pthread_self();
    assert_ok(ctx, opt_tensor_new(ctx, OPT_F32, 1, &n, &p.value));
    assert_ok(ctx, opt_tensor_new(ctx, OPT_F32, 1, &n, &p.grad));
    assert_ok(ctx, opt_optim_new(ctx, &mine, NULL, &(opt_optim_opts){.lr = 1}, (opt_params){&p, 1}, &o));
    assert_ok(ctx, opt_optim_step(o));
    assert_true(made >= 0);
    if (made == 0) {
#ifdef COVERAGE
        __gcov_dump();
#endif
        _exit(0);
    }
    assert_int_equal(waitpid(made, &result, 0), made);
    assert_int_equal(result, 0);
    opt_optim_free(o);
    opt_tensor_free(ctx, &p.value);
    opt_tensor_free(ctx, &p.grad);
    opt_ctx_free(ctx);
#else
    (void)state;
    skip();
#endif
}

/* Values clipped first, the norm of what is left clipped then; the weights are left in w. */
static void clipped_step(int threads, float *w)
{
    enum { N = 40000 };
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.threads = threads});
    const int64_t n = N;
    opt_param p = {.name = "w", .value = opt_tensor_view(OPT_F32, w, 1, &n)};
    opt_optim *o = NULL;

    assert_ok(ctx, opt_tensor_new(ctx, OPT_F32, 1, &n, &p.grad));
    draw(&p.grad, 4);
    assert_ok(ctx,
              opt_optim_new(ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 1, .clip_value = 0.5, .clip_norm = 1},
                            (opt_params){&p, 1}, &o));
    assert_ok(ctx, opt_optim_step(o));
    opt_optim_free(o);
    opt_tensor_free(ctx, &p.grad);
    opt_ctx_free(ctx);
}

static void any_number_clips_alike(void **state)
{
    static float one[40000], many[40000];
    double square = 0;

    (void)state;
    clipped_step(1, one);
    clipped_step(3, many);
    assert_memory_equal(one, many, sizeof one);
    for (int i = 0; i < 40000; i++)
        square += (double)one[i] * (double)one[i];
    assert_close(square, 1, 1e-5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_gives_the_same_gradient_and_prediction),
        cmocka_unit_test(four_chunks_are_two_pairs),
        cmocka_unit_test(updates_cover_every_element_once_and_fail_alike),
        cmocka_unit_test(a_large_batch_takes_memory_once),
        cmocka_unit_test(any_number_clips_alike),
        cmocka_unit_test(any_limit_of_threads_is_taken),
        cmocka_unit_test(a_forked_child_goes_on),
        cmocka_unit_test(a_child_does_not_wait_for_threads_it_does_not_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

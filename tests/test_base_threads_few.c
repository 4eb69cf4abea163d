/* SPDX-License-Identifier: MIT
 *
 * Work that is too small to be worth threads starts none. How many there are Linux says.
 */
#define _POSIX_C_SOURCE 200809L /* nanosleep; NOLINT: reserved, and meant to be defined */

#ifdef __linux__
#include <dirent.h>
#include <pthread.h>
#include <time.h>
#endif

#include "support.h"

#ifdef __linux__
/* 0 where that is not to be known. */
static int count_threads(void)
{
    DIR *all = opendir("/proc/self/task");
    int n = 0;

    if (all == NULL)
        return 0;
    while (readdir(all) != NULL)
        n++;
    closedir(all);
    return n;
}

/* One that has been joined may be seen for a moment longer. Waits until there are so many, or a second is
 * over; returns how many there are then. */
static int threads_now(int wanted)
{
    int n = count_threads();

    for (int i = 0; n != wanted && i < 1000; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        n = count_threads();
    }
    return n;
}

static void *nothing(void *arg)
{
    return arg;
}

/* How many there are once a first one has come and gone, with which the thread sanitizer brings its own. */
static int threads_at_first(void)
{
    pthread_t first;
    int least;

    assert_int_equal(pthread_create(&first, NULL, nothing, NULL), 0);
    pthread_join(first, NULL);
    least = count_threads();
    for (int i = 0; i < 20; i++) {
        int n;

        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        n = count_threads();
        least = n < least ? n : least;
    }
    return least;
}

/* Whether so many threads there are after a gradient on two. */
static void check_layers(const opt_mlp_opts *opts, int wanted)
{
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.threads = 2});
    opt_mlp *net = NULL;
    opt_tensor x, y;
    double loss;

    assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, 2, (int64_t[]){64, opts->size[0]}, &x));
    assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, 2, (int64_t[]){64, 1}, &y));
    assert_ok(ctx, opt_mlp_new(ctx, opts, &net));
    assert_ok(ctx, opt_mlp_grad(net, &x, &y, &loss));
    assert_int_equal(threads_now(wanted), wanted);
    opt_mlp_free(net);
    opt_tensor_free(ctx, &x);
    opt_tensor_free(ctx, &y);
    opt_ctx_free(ctx);
}
#endif

/* A small network's gradient, a small step and a small norm start no thread; larger ones do. */
static void small_work_is_the_callers_alone(void **state)
{
#ifdef __linux__
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.threads = 3});
    const int before = threads_at_first();
    const int64_t small = 32767, large = 32768;
    opt_param p = {.name = "w"};
    opt_mlp *net = NULL;
    opt_optim *o = NULL;
    opt_tensor x, y;
    double loss;

    (void)state;
    if (before == 0)
        skip();
    assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, 2, (int64_t[]){200, 2}, &x));
    assert_ok(ctx, opt_tensor_new(ctx, OPT_F64, 2, (int64_t[]){200, 1}, &y));
    assert_ok(ctx, opt_mlp_new(ctx, &(opt_mlp_opts){.size = {2, 25, 20, 1}, .loss = OPT_MSE}, &net));
    assert_ok(ctx, opt_mlp_grad(net, &x, &y, &loss));
    for (int i = 0; i < 2; i++) {
        const int64_t n = i == 0 ? small : large;
        const int started = before + (n == small ? 0 : 2);

        assert_ok(ctx, opt_tensor_new(ctx, OPT_F32, 1, &n, &p.value));
        assert_ok(ctx, opt_tensor_new(ctx, OPT_F32, 1, &n, &p.grad));
        assert_ok(ctx, opt_optim_new(ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 1, .clip_norm = 1},
                                     (opt_params){&p, 1}, &o));
        assert_int_equal(threads_now(before), before);
        assert_ok(ctx, opt_optim_step(o));
        assert_int_equal(threads_now(started), started);
        opt_optim_free(o);
        opt_tensor_free(ctx, &p.value);
        opt_tensor_free(ctx, &p.grad);
    }
    opt_mlp_free(net);
    opt_tensor_free(ctx, &x);
    opt_tensor_free(ctx, &y);
    opt_ctx_free(ctx);

    /* A layer whose two gradients are worth a thread each, after one whose weights are worth two. */
    check_layers(&(opt_mlp_opts){.size = {100, 50, 50, 1}, .loss = OPT_MSE}, before + 1);
    check_layers(&(opt_mlp_opts){.size = {2, 50, 50, 1}, .loss = OPT_MSE}, before + 1);
#else
    (void)state;
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_work_is_the_callers_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

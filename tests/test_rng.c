/* SPDX-License-Identifier: MIT
 *
 * Streams: every figure in golden/rng was drawn by NumPy.
 */
#include <math.h>
#include <string.h>

#include "support.h"

static const uint32_t seeds[] = {0, 1, 3, 10, 11, UINT32_MAX};
#define SEEDS (sizeof seeds / sizeof seeds[0])

/* NumPy's figures for one seed; to be freed. */
static opt_tensor figures(opt_ctx *ctx, uint32_t seed, const char *what)
{
    return golden(ctx, "rng/seed%lu_%s.npy", (unsigned long)seed, what);
}

static void assert_equal(double x, double y)
{
    assert_close(x, y, 0);
}

static void words_are_numpys(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_rng r;

    (void)state;
    for (size_t s = 0; s < SEEDS; s++) {
        opt_tensor want = figures(ctx, seeds[s], "uint32");

        opt_rng_seed(&r, seeds[s]);
        assert_int_equal(opt_tensor_len(&want), 2000); /* more than three blocks of 624 */
        for (int64_t i = 0; i < opt_tensor_len(&want); i++)
            assert_equal(opt_rng_u32(&r), opt_get(&want, i));
        opt_tensor_free(ctx, &want);
    }
    opt_ctx_free(ctx);
}

/* The C++ standard, [rand.predef], gives the 10000th word of this generator for its default seed. */
static void words_are_those_of_the_cpp_standard(void **state)
{
    opt_rng r;

    (void)state;
    opt_rng_seed(&r, 5489);
    for (int i = 1; i < 10000; i++)
        opt_rng_u32(&r);
    assert_int_equal(opt_rng_u32(&r), 4123659995);
}

static void uniforms_are_numpys(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_rng r;

    (void)state;
    for (size_t s = 0; s < SEEDS; s++) {
        opt_tensor want = figures(ctx, seeds[s], "random_sample");

        opt_rng_seed(&r, seeds[s]);
        assert_int_equal(opt_tensor_len(&want), 1000);
        for (int64_t i = 0; i < opt_tensor_len(&want); i++)
            assert_equal(opt_rng_uniform(&r), opt_get(&want, i));
        opt_tensor_free(ctx, &want);
    }
    opt_ctx_free(ctx);
}

/* 53 bits, of which two words give 27 and 26. */
static void uniforms_are_multiples_of_two_to_minus_53_below_1(void **state)
{
    opt_rng r;

    (void)state;
    opt_rng_seed(&r, 7);
    for (int i = 0; i < 10000; i++) {
        const double x = opt_rng_uniform(&r), scaled = ldexp(x, 53);

        assert_true(x >= 0 && x < 1);
        assert_equal(floor(scaled), scaled);
    }
}

/* The bits of log and sqrt are the C library's, hence 2 ulp. 1001 normals: the last is the first of a pair.
 */
static void normals_are_numpys(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_rng r;

    (void)state;
    for (size_t s = 0; s < SEEDS; s++) {
        opt_tensor want = figures(ctx, seeds[s], "randn");

        opt_rng_seed(&r, seeds[s]);
        assert_int_equal(opt_tensor_len(&want), 1001);
        for (int64_t i = 0; i < opt_tensor_len(&want); i++) {
            const double w = opt_get(&want, i), ulp = nextafter(fabs(w), HUGE_VAL) - fabs(w);
            assert_close(opt_rng_normal(&r), w, 2 * ulp);
        }
        assert_true(r.has_gauss);
        (void)opt_rng_normal(&r); /* nothing is left of it, as in NumPy's state */
        assert_false(r.has_gauss);
        assert_equal(r.gauss, 0);
        opt_tensor_free(ctx, &want);
    }
    opt_ctx_free(ctx);
}

/* Three normals use two pairs of uniforms; the one that is left over waits for the next normal, and no other
 * draw takes or drops it. */
static void a_cached_normal_stays_out_of_other_draws(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    int64_t order[10];
    opt_rng r;

    (void)state;
    for (size_t s = 0; s < SEEDS; s++) {
        opt_tensor normal = figures(ctx, seeds[s], "randn");
        opt_tensor after = figures(ctx, seeds[s], "randn3_then_random_sample");
        const double fourth = opt_get(&normal, 3);

        opt_rng_seed(&r, seeds[s]);
        for (int i = 0; i < 3; i++)
            opt_rng_normal(&r);
        assert_int_equal(opt_tensor_len(&after), 5);
        for (int64_t i = 0; i < 5; i++)
            assert_equal(opt_rng_uniform(&r), opt_get(&after, i));
        opt_rng_permutation(&r, 10, order);
        assert_close(opt_rng_normal(&r), fourth, 1e-15 * fabs(fourth));
        opt_tensor_free(ctx, &normal);
        opt_tensor_free(ctx, &after);
    }
    opt_ctx_free(ctx);
}

/* Compares with golden/rng/seed<seed>_permutation<n>.npy. */
static void check_permutation(opt_ctx *ctx, uint32_t seed, int64_t n)
{
    static int64_t got[65537];
    opt_tensor want = golden(ctx, "rng/seed%lu_permutation%lld.npy", (unsigned long)seed, (long long)n);
    opt_rng r;

    assert_int_equal(opt_tensor_len(&want), n);
    opt_rng_seed(&r, seed);
    opt_rng_permutation(&r, n, got);
    for (int64_t i = 0; i < n; i++)
        assert_equal((double)got[i], opt_get(&want, i));
    opt_tensor_free(ctx, &want);
}

static void permutations_are_numpys(void **state)
{
    static const int64_t lengths[] = {1, 2, 3, 64, 148, 300, 1000};
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    for (size_t s = 0; s < SEEDS; s++)
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
            check_permutation(ctx, seeds[s], lengths[i]);
    check_permutation(ctx, 0,
                      65537); /* one more than a power of two: half of all words are rejected at first */
    opt_ctx_free(ctx);
}

/* Wherever in a block of 624 words the stream stands, they are drawn from there, one after the other. */
static void permutations_go_on_where_the_stream_is(void **state)
{
    static const int drawn[] = {1, 5, 600, 623, 624, 700};
    enum { N = 100 };
    int64_t got[N], want[N];
    opt_rng r, plain;

    (void)state;
    for (size_t d = 0; d < sizeof drawn / sizeof drawn[0]; d++) {
        opt_rng_seed(&r, 12);
        for (int i = 0; i < drawn[d]; i++)
            (void)opt_rng_u32(&r);
        plain = r;
        for (int64_t i = 0; i < N; i++)
            want[i] = i;
        for (int64_t i = N - 1; i > 0; i--) {
            int64_t j, mask = 1, swapped = want[i];

            while (mask < i)
                mask = 2 * mask + 1;
            do
                j = opt_rng_u32(&plain) & mask;
            while (j > i);
            want[i] = want[j];
            want[j] = swapped;
        }
        opt_rng_permutation(&r, N, got);
        assert_memory_equal(got, want, sizeof want);
        assert_int_equal(opt_rng_u32(&r), opt_rng_u32(&plain));
    }
}

static void permutations_shorter_than_2_draw_nothing(void **state)
{
    int64_t out[2] = {-7, -7};
    opt_rng r, before;

    (void)state;
    opt_rng_seed(&r, 3);
    opt_rng_u32(&r);
    before = r;
    opt_rng_permutation(&r, 0, out);
    opt_rng_permutation(&r, 0, NULL);
    opt_rng_permutation(&r, -1, out);
    opt_rng_permutation(&r, INT64_MIN, out);
    assert_int_equal(out[0], -7);
    opt_rng_permutation(&r, 1, out);
    assert_int_equal(out[0], 0);
    assert_int_equal(out[1], -7);
    assert_int_equal(opt_rng_u32(&r), opt_rng_u32(&before));
}

/* Copied with a normal waiting and in the middle of a block, so that every field matters. */
static void a_copy_forks_the_stream(void **state)
{
    opt_rng r, copy;

    (void)state;
    opt_rng_seed(&r, 42);
    for (int i = 0; i < 33; i++)
        opt_rng_normal(&r);
    assert_true(r.has_gauss);
    copy = r;
    for (int i = 0; i < 1000; i++) {
        const double x = opt_rng_normal(&r);
        assert_equal(opt_rng_normal(&copy), x);
    }
    opt_rng_u32(&r); /* from here on they differ */
    assert_int_not_equal(opt_rng_u32(&r), opt_rng_u32(&copy));
}

static void seeding_starts_anew(void **state)
{
    opt_rng used, fresh;

    (void)state;
    opt_rng_seed(&used, 5);
    opt_rng_normal(&used); /* leaves one waiting, which the new seed drops */
    opt_rng_seed(&used, 6);
    opt_rng_seed(&fresh, 6);
    assert_int_equal(memcmp(used.key, fresh.key, sizeof fresh.key), 0);
    assert_false(used.has_gauss);
    assert_equal(used.gauss, 0);
    assert_equal(opt_rng_normal(&used), opt_rng_normal(&fresh));
    assert_equal(opt_rng_uniform(&used), opt_rng_uniform(&fresh));
}

/* Uniforms of exactly a half make a point without direction, one of 0 and a half a point on the circle: both
 * are passed over, as by NumPy. */
static void a_normal_passes_over_the_centre_and_the_circle(void **state)
{
    const uint32_t half = 0x80102204u; /* tempered: 2^31 */

    (void)state;
    for (int circle = 0; circle < 2; circle++) {
        opt_rng r, plain;

        opt_rng_seed(&r, 1);
        (void)opt_rng_u32(&r);
        plain = r;
        r.key[1] = circle ? 0 : half;
        r.key[3] = half;
        r.key[2] = r.key[4] = 0;
        for (int i = 0; i < 4; i++)
            (void)opt_rng_u32(&plain);
        assert_true(opt_rng_normal(&r) == opt_rng_normal(&plain));
        assert_int_equal(r.pos, plain.pos);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_numpys),
        cmocka_unit_test(words_are_those_of_the_cpp_standard),
        cmocka_unit_test(uniforms_are_numpys),
        cmocka_unit_test(uniforms_are_multiples_of_two_to_minus_53_below_1),
        cmocka_unit_test(normals_are_numpys),
        cmocka_unit_test(a_cached_normal_stays_out_of_other_draws),
        cmocka_unit_test(permutations_are_numpys),
        cmocka_unit_test(permutations_go_on_where_the_stream_is),
        cmocka_unit_test(permutations_shorter_than_2_draw_nothing),
        cmocka_unit_test(a_copy_forks_the_stream),
        cmocka_unit_test(seeding_starts_anew),
        cmocka_unit_test(a_normal_passes_over_the_centre_and_the_circle),
    };
    return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}

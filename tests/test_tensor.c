/* SPDX-License-Identifier: MIT
 *
 * Making, viewing and copying arrays.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "support.h"

static const opt_dtype dtypes[] = {OPT_F32, OPT_F64};

static size_t bytes_of(const opt_tensor *t)
{
    return (size_t)opt_tensor_len(t) * (t->dtype == OPT_F32 ? sizeof(float) : sizeof(double));
}

/* The same bits; a NaN equals itself. */
static void assert_bits(double x, double y)
{
    assert_memory_equal(&x, &y, sizeof x);
}

static opt_tensor make(opt_ctx *ctx, opt_dtype dtype, int ndim, const int64_t *dim)
{
    opt_tensor t = {0};

    assert_ok(ctx, opt_tensor_new(ctx, dtype, ndim, dim, &t));
    return t;
}

static opt_tensor matrix(opt_ctx *ctx, opt_dtype dtype, int64_t rows, int64_t cols)
{
    return make(ctx, dtype, 2, (const int64_t[]){rows, cols});
}

static void fill_normal(const opt_tensor *t, opt_rng *r)
{
    for (int64_t i = 0; i < opt_tensor_len(t); i++)
        opt_set(t, i, opt_rng_normal(r));
}

/* ---- Making and viewing -------------------------------------------------------------------------------- */

static void new_tensors_are_zeroed_aligned_and_of_their_shape(void **state)
{
    const int64_t dim[] = {3, 5, 2, 7}, len[] = {1, 3, 15, 30, 210};
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    for (int d = 0; d < 2; d++)
        for (int ndim = 0; ndim <= 4; ndim++) {
            opt_tensor t = make(ctx, dtypes[d], ndim, ndim ? dim : NULL);

            assert_int_equal(t.dtype, dtypes[d]);
            assert_int_equal(t.ndim, ndim);
            assert_int_equal(opt_tensor_len(&t), len[ndim]);
            assert_int_equal((uintptr_t)t.data % 64, 0);
            for (int i = 0; i < OPT_MAX_DIMS; i++)
                assert_int_equal(t.dim[i], i < ndim ? dim[i] : 0);
            for (int64_t i = 0; i < len[ndim]; i++)
                assert_bits(opt_get(&t, i), 0);
            opt_tensor_fill(&t, 1); /* every byte is there to be written */
            opt_tensor_free(ctx, &t);
        }
    opt_ctx_free(ctx);
}

static void freeing_zeroes_the_struct_and_allows_nothing(void **state)
{
    const opt_tensor zero = {0};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t = matrix(ctx, OPT_F32, 2, 3);

    (void)state;
    for (int twice = 0; twice < 2; twice++) {
        opt_tensor_free(ctx, &t);
        assert_null(t.data);
        assert_int_equal(t.ndim, 0);
        assert_int_equal(t.dim[0], 0);
        assert_int_equal(t.dtype, zero.dtype);
    }
    opt_tensor_free(ctx, NULL);
    opt_ctx_free(ctx);
}

static void elements_lie_in_row_major_order(void **state)
{
    const int64_t dim[] = {2, 3, 4, 5};
    double a[120];
    opt_tensor t = opt_tensor_view(OPT_F64, a, 4, dim);

    (void)state;
    for (int64_t i = 0; i < 120; i++)
        opt_set(&t, i, (double)i);
    assert_ptr_equal(t.data, a);
    assert_int_equal(opt_tensor_len(&t), 120);
    assert_bits(a[((1 * 3 + 2) * 4 + 3) * 5 + 4], 119);
    assert_bits(opt_get(&t, ((1 * 3 + 0) * 4 + 2) * 5 + 3), ((1 * 3 + 0) * 4 + 2) * 5 + 3);
}

static void get_and_set_convert_to_and_from_float(void **state)
{
    float f[2] = {1, 2};
    double d = 0;
    opt_tensor tf = opt_tensor_view(OPT_F32, f, 1, (const int64_t[]){2});
    opt_tensor td = opt_tensor_view(OPT_F64, &d, 0, NULL);

    (void)state;
    opt_set(&tf, 1, 0.1);
    assert_bits((double)f[1], (double)0.1F);
    assert_bits(opt_get(&tf, 1), (double)0.1F);
    assert_bits((double)f[0], 1);
    opt_set(&td, 0, 0.1);
    assert_bits(opt_get(&td, 0), 0.1);
}

static void fill_sets_every_element_and_no_more(void **state)
{
    float f[5] = {9, 9, 9, 9, 9};
    double d[5] = {9, 9, 9, 9, 9};
    opt_tensor tf = opt_tensor_view(OPT_F32, f + 1, 1, (const int64_t[]){3});
    opt_tensor td = opt_tensor_view(OPT_F64, d + 1, 1, (const int64_t[]){3});

    (void)state;
    opt_tensor_fill(&tf, 0.1);
    opt_tensor_fill(&td, 0.1);
    for (int i = 0; i < 5; i++) {
        assert_bits((double)f[i], i % 4 ? (double)0.1F : 9);
        assert_bits(d[i], i % 4 ? 0.1 : 9);
    }
}

static void views_that_make_no_sense_have_no_data(void **state)
{
    const int64_t dim[] = {2, 2, 2, 2, 2}, zero[] = {2, 0}, negative[] = {-1},
                  huge[] = {1LL << 40, 1LL << 40};
    double a[32];

    (void)state;
    assert_null(opt_tensor_view((opt_dtype)7, a, 1, dim).data);
    assert_null(opt_tensor_view((opt_dtype)0, a, 1, dim).data);
    assert_null(opt_tensor_view(OPT_F64, NULL, 1, dim).data);
    assert_null(opt_tensor_view(OPT_F64, a, 5, dim).data);
    assert_null(opt_tensor_view(OPT_F64, a, -1, dim).data);
    assert_null(opt_tensor_view(OPT_F64, a, 1, NULL).data);
    assert_null(opt_tensor_view(OPT_F64, a, 2, zero).data);
    assert_null(opt_tensor_view(OPT_F64, a, 1, negative).data);
    assert_null(opt_tensor_view(OPT_F64, a, 2, huge).data);
    assert_non_null(opt_tensor_view(OPT_F64, a, 4, dim).data);
    assert_non_null(opt_tensor_view(OPT_F64, a, 0, NULL).data);
}

static void rows_are_views_of_the_same_memory(void **state)
{
    float a[24];
    opt_tensor t = opt_tensor_view(OPT_F32, a, 3, (const int64_t[]){4, 3, 2});
    opt_tensor r = opt_tensor_rows(&t, 1, 3), line;

    (void)state;
    assert_ptr_equal(r.data, a + 6);
    assert_int_equal(r.ndim, 3);
    assert_int_equal(r.dtype, OPT_F32);
    assert_int_equal(r.dim[0], 3);
    assert_int_equal(r.dim[1], 3);
    assert_int_equal(r.dim[2], 2);
    assert_ptr_equal(opt_tensor_rows(&t, 0, 4).data, a);
    assert_ptr_equal(opt_tensor_rows(&t, 3, 1).data, a + 18);
    line = opt_tensor_view(OPT_F32, a, 1, (const int64_t[]){24});
    assert_ptr_equal(opt_tensor_rows(&line, 23, 1).data, a + 23);
}

static void rows_that_are_not_there_have_no_data(void **state)
{
    const int64_t bad[][2] = {{0, 5},
                              {4, 1},
                              {1, 4},
                              {-1, 1},
                              {0, 0},
                              {0, -1},
                              {INT64_MAX, 1},
                              {1, INT64_MAX},
                              {INT64_MIN, 1},
                              {0, INT64_MIN},
                              {INT64_MAX, INT64_MAX}};
    double a[8];
    opt_tensor t = opt_tensor_view(OPT_F64, a, 2, (const int64_t[]){4, 2}), zero = {0};
    opt_tensor number = opt_tensor_view(OPT_F64, a, 0, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_null(opt_tensor_rows(&t, bad[i][0], bad[i][1]).data);
    assert_null(opt_tensor_rows(&number, 0, 1).data);
    assert_null(opt_tensor_rows(&zero, 0, 1).data);
    assert_null(opt_tensor_rows(NULL, 0, 1).data);
}

/* ---- Copying ------------------------------------------------------------------------------------------- */

/* What one double becomes as an f32. */
static float as_f32(double x)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    float f = 0;
    opt_tensor from = opt_tensor_view(OPT_F64, &x, 0, NULL), to = opt_tensor_view(OPT_F32, &f, 0, NULL);

    assert_ok(ctx, opt_tensor_copy(ctx, &from, &to));
    opt_ctx_free(ctx);
    return f;
}

/* Halfway cases go to the even neighbour: float has 24 bits. */
static void f64_to_f32_rounds_to_nearest(void **state)
{
    (void)state;
    assert_bits((double)as_f32(1 + ldexp(1, -24)), 1);
    assert_bits((double)as_f32(1 + ldexp(1, -24) + ldexp(1, -52)), 1 + ldexp(1, -23));
    assert_bits((double)as_f32(1 + ldexp(3, -24)), 1 + ldexp(1, -22));
    assert_bits((double)as_f32(-1 - ldexp(1, -24)), -1);
    assert_bits((double)as_f32(ldexp(1, -150)), 0);
    assert_bits((double)as_f32(ldexp(3, -150)), ldexp(1, -148));
    assert_bits((double)as_f32(-0.0), -0.0);
    assert_true(isinf(as_f32(1e300)) && isinf(as_f32((double)FLT_MAX * (1 + ldexp(1, -24)))));
    assert_bits((double)as_f32(-HUGE_VAL), -HUGE_VAL);
    assert_true(isnan(as_f32((double)NAN)));
}

static void f32_to_f64_and_back_is_exact(void **state)
{
    float from[] = {0,        -0.0F,   1,      -1,      0.1F,      FLT_MAX,
                    -FLT_MAX, FLT_MIN, 1e-45F, -1e-40F, HUGE_VALF, -HUGE_VALF};
    enum { N = sizeof from / sizeof from[0] };
    const int64_t n = N;
    float back[N];
    double wide[N];
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor a = opt_tensor_view(OPT_F32, from, 1, &n), b = opt_tensor_view(OPT_F64, wide, 1, &n);
    opt_tensor c = opt_tensor_view(OPT_F32, back, 1, &n);

    (void)state;
    assert_ok(ctx, opt_tensor_copy(ctx, &a, &b));
    assert_ok(ctx, opt_tensor_copy(ctx, &b, &c));
    for (int i = 0; i < N; i++)
        assert_bits(wide[i], (double)from[i]);
    assert_memory_equal(back, from, sizeof from);
    from[0] = NAN;
    assert_ok(ctx, opt_tensor_copy(ctx, &a, &b));
    assert_true(isnan(wide[0]));
    opt_ctx_free(ctx);
}

static void copies_of_one_dtype_keep_the_bits(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_rng r;

    (void)state;
    opt_rng_seed(&r, 1);
    for (int d = 0; d < 2; d++) {
        opt_tensor a = matrix(ctx, dtypes[d], 7, 9), b = matrix(ctx, dtypes[d], 7, 9);

        fill_normal(&a, &r);
        opt_set(&a, 5, (double)NAN);
        assert_ok(ctx, opt_tensor_copy(ctx, &a, &b));
        assert_memory_equal(a.data, b.data, bytes_of(&a));
        assert_ok(ctx, opt_tensor_copy(ctx, &a, &a)); /* onto itself: allowed */
        assert_memory_equal(a.data, b.data, bytes_of(&a));
        opt_tensor_free(ctx, &a);
        opt_tensor_free(ctx, &b);
    }
    opt_ctx_free(ctx);
}

/* ---- What is refused ----------------------------------------------------------------------------------- */

/* opt_tensor_new refuses, and *out is what it was. */
static void check_not_made(int dtype, int ndim, const int64_t *dim, opt_status status, const char *part)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor out, before;

    memset(&out, 0x5a, sizeof out);
    memset(&before, 0x5a, sizeof before);
    assert_fails(ctx, opt_tensor_new(ctx, (opt_dtype)dtype, ndim, dim, &out), status, part);
    assert_memory_equal(&out, &before, sizeof out);
    opt_ctx_free(ctx);
}

static void tensors_that_make_no_sense_are_refused(void **state)
{
    const int64_t dim[] = {2, 2, 2, 2, 2}, zero[] = {2, 1, 0}, negative[] = {2, -3}, most[] = {INT64_MAX};
    const int64_t wide[] = {INT64_C(1) << 40, INT64_C(1) << 40},
                  wraps[] = {INT64_C(1) << 32, INT64_C(1) << 32};
    const int64_t bytes[] = {INT64_C(1) << 30, INT64_C(1)
                                                   << 30}; /* 2^60 elements of 8 bytes: one bit too many */
    const int64_t quarter[] = {INT64_C(1) << 16, INT64_C(1) << 16, INT64_C(1) << 16, INT64_C(1) << 16};
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    check_not_made(OPT_F64, 3, zero, OPT_ESHAPE, "tensor: dim[2] = 0 is below 1");
    check_not_made(OPT_F64, 2, negative, OPT_ESHAPE, "tensor: dim[1] = -3 is below 1");
    check_not_made(OPT_F64, 5, dim, OPT_ESHAPE, "tensor: ndim = 5 is outside [0, 4]");
    check_not_made(OPT_F64, -1, dim, OPT_ESHAPE, "tensor: ndim = -1 is outside [0, 4]");
    check_not_made(OPT_F64, 2, wide, OPT_ESHAPE, "tensor: the size overflows");
    check_not_made(OPT_F64, 2, wraps, OPT_ESHAPE, "tensor: the size overflows");
    check_not_made(OPT_F64, 2, bytes, OPT_ESHAPE, "tensor: the size overflows");
    check_not_made(OPT_F32, 4, quarter, OPT_ESHAPE, "tensor: the size overflows");
    check_not_made(OPT_F32, 1, most, OPT_ESHAPE, "tensor: the size overflows");
    check_not_made(7, 1, dim, OPT_EDTYPE, "tensor: dtype = 7");
    check_not_made(0, 1, dim, OPT_EDTYPE, "tensor: dtype = 0");
    check_not_made(OPT_F64, 1, NULL, OPT_EINVAL, "tensor: dim is NULL");
    assert_fails(ctx, opt_tensor_new(ctx, OPT_F64, 1, dim, NULL), OPT_EINVAL, "tensor: out is NULL");
    opt_ctx_free(ctx);
}

/* The second size can be expressed, but no machine has it. */
static void memory_that_is_not_there_is_refused(void **state)
{
    count c;
    opt_ctx *ctx;
    opt_tensor out = {0};

    (void)state;
    count_init(&c);
    ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = c.allocator});
    c.fail_from = c.calls;
    assert_fails(ctx, opt_tensor_new(ctx, OPT_F32, 2, (const int64_t[]){2, 3}, &out), OPT_ENOMEM,
                 "tensor: no memory for [2, 3] of f32");
    assert_null(out.data);
    assert_fails(ctx, opt_tensor_new(ctx, OPT_F32, 1, (const int64_t[]){PTRDIFF_MAX / 4}, &out), OPT_ENOMEM,
                 BY_WIDTH("no memory for [2305843009213693951] of f32", "no memory for [536870911] of f32"));
    opt_ctx_free(ctx);
    assert_int_equal(c.live, 0);
}

/* Copying from src to dst is refused, and dst and its array are what they were. */
static void check_not_copied(const opt_tensor *src, opt_tensor *dst, double *array, opt_status status,
                             const char *part)
{
    const opt_tensor before = *dst;
    opt_ctx *ctx = opt_ctx_new(NULL);

    assert_fails(ctx, opt_tensor_copy(ctx, src, dst), status, part);
    assert_memory_equal(dst, &before, sizeof before);
    for (int i = 0; i < 6; i++)
        assert_bits(array[i], 0);
    opt_ctx_free(ctx);
}

static void copies_that_do_not_fit_are_refused(void **state)
{
    double from[6] = {1, 2, 3, 4, 5, 6}, to[6] = {0};
    const int64_t dim[] = {2, 3, 1, 1};
    const opt_tensor src = opt_tensor_view(OPT_F64, from, 2, dim),
                     whole = opt_tensor_view(OPT_F64, to, 2, dim);
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor bad = src, dst = whole;

    (void)state;
    assert_fails(ctx, opt_tensor_copy(ctx, &src, NULL), OPT_EINVAL, "copy: dst is NULL");
    check_not_copied(NULL, &dst, to, OPT_EINVAL, "copy: src is NULL");
    bad.data = NULL;
    check_not_copied(&bad, &dst, to, OPT_EINVAL, "copy: src has no data");
    bad = src;
    bad.ndim = 5;
    check_not_copied(&bad, &dst, to, OPT_ESHAPE, "copy: src: ndim = 5");
    bad = src;
    bad.dtype = (opt_dtype)7;
    check_not_copied(&bad, &dst, to, OPT_EDTYPE, "copy: src: dtype = 7");
    dst.data = NULL;
    check_not_copied(&src, &dst, to, OPT_EINVAL, "copy: dst has no data");
    dst = whole;
    dst.dim[1] = 0;
    check_not_copied(&src, &dst, to, OPT_ESHAPE, "copy: dst: dim[1] = 0");
    dst = whole;
    dst.dim[1] = 2;
    check_not_copied(&src, &dst, to, OPT_ESHAPE, "copy: src is [2, 3], dst is [2, 2]");
    dst = opt_tensor_view(OPT_F64, to, 3, dim); /* as many elements, but not the same shape */
    check_not_copied(&src, &dst, to, OPT_ESHAPE, "copy: src is [2, 3], dst is [2, 3, 1]");
    opt_ctx_free(ctx);
}

static void filling_nothing_changes_nothing(void **state)
{
    opt_tensor none = {0};
    const opt_tensor before = none;

    (void)state;
    opt_tensor_fill(&none, 1);
    assert_memory_equal(&none, &before, sizeof none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_tensors_are_zeroed_aligned_and_of_their_shape),
        cmocka_unit_test(freeing_zeroes_the_struct_and_allows_nothing),
        cmocka_unit_test(elements_lie_in_row_major_order),
        cmocka_unit_test(get_and_set_convert_to_and_from_float),
        cmocka_unit_test(fill_sets_every_element_and_no_more),
        cmocka_unit_test(views_that_make_no_sense_have_no_data),
        cmocka_unit_test(rows_are_views_of_the_same_memory),
        cmocka_unit_test(rows_that_are_not_there_have_no_data),
        cmocka_unit_test(f64_to_f32_rounds_to_nearest),
        cmocka_unit_test(f32_to_f64_and_back_is_exact),
        cmocka_unit_test(copies_of_one_dtype_keep_the_bits),
        cmocka_unit_test(tensors_that_make_no_sense_are_refused),
        cmocka_unit_test(memory_that_is_not_there_is_refused),
        cmocka_unit_test(copies_that_do_not_fit_are_refused),
        cmocka_unit_test(filling_nothing_changes_nothing),
    };
    return cmocka_run_group_tests_name("tensor", tests, NULL, NULL);
}

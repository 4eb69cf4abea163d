/* SPDX-License-Identifier: MIT
 *
 * The matrix product: its bits are those of the plain triple loop.
 */
#include <math.h>
#include <string.h>

#include "support.h"

static const opt_dtype dtypes[] = {OPT_F32, OPT_F64};

static size_t bytes_of(const opt_tensor *t)
{
    return (size_t)opt_tensor_len(t) * (t->dtype == OPT_F32 ? sizeof(float) : sizeof(double));
}

static opt_tensor matrix(opt_ctx *ctx, opt_dtype dtype, int64_t rows, int64_t cols)
{
    opt_tensor t = {0};

    assert_ok(ctx, opt_tensor_new(ctx, dtype, 2, (const int64_t[]){rows, cols}, &t));
    return t;
}

static void fill_normal(const opt_tensor *t, opt_rng *r)
{
    for (int64_t i = 0; i < opt_tensor_len(t); i++)
        opt_set(t, i, opt_rng_normal(r));
}

/* c <- op(a) op(b) + beta c, the plain way: each element starts from beta c and adds its products in order.
 */
static void multiply_plainly(bool ta, const opt_tensor *a, bool tb, const opt_tensor *b, double beta,
                             const opt_tensor *c, int64_t k)
{
    const int64_t m = c->dim[0], n = c->dim[1];

    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            const double old = opt_get(c, i * n + j);
            double sum = beta == 0 ? 0 : beta * old;
            float sum_f32 = beta == 0 ? 0 : (float)beta * (float)old;

            for (int64_t p = 0; p < k; p++) {
                const double x = opt_get(a, ta ? p * m + i : i * k + p);
                const double y = opt_get(b, tb ? j * k + p : p * n + j);
                sum += x * y;
                sum_f32 += (float)x * (float)y;
            }
            opt_set(c, i * n + j, c->dtype == OPT_F32 ? (double)sum_f32 : sum);
        }
}

/* One shape, in both dtypes, for all four transpositions and every kind of beta. */
static void check_product(opt_ctx *ctx, int64_t m, int64_t n, int64_t k, opt_rng *r)
{
    const double betas[] = {0, 1, -0.5, 0.75, -0.0};

    for (int which = 0; which < 8; which++) {
        const bool ta = which & 1, tb = which & 2;
        const opt_dtype dtype = dtypes[which / 4];
        opt_tensor a = matrix(ctx, dtype, ta ? k : m, ta ? m : k);
        opt_tensor b = matrix(ctx, dtype, tb ? n : k, tb ? k : n);
        opt_tensor start = matrix(ctx, dtype, m, n), c = matrix(ctx, dtype, m, n);
        opt_tensor want = matrix(ctx, dtype, m, n);

        fill_normal(&a, r);
        fill_normal(&b, r);
        fill_normal(&start, r);
        for (size_t i = 0; i < sizeof betas / sizeof betas[0]; i++) {
            assert_ok(ctx, opt_tensor_copy(ctx, &start, &c));
            assert_ok(ctx, opt_tensor_copy(ctx, &start, &want));
            if (betas[i] == 0)
                opt_tensor_fill(&c, (double)NAN); /* what c held must not matter */
            assert_ok(ctx, opt_matmul(ctx, ta, &a, tb, &b, betas[i], &c));
            multiply_plainly(ta, &a, tb, &b, betas[i], &want, k);
            assert_memory_equal(c.data, want.data, bytes_of(&c));
        }
        opt_tensor_free(ctx, &a);
        opt_tensor_free(ctx, &b);
        opt_tensor_free(ctx, &start);
        opt_tensor_free(ctx, &c);
        opt_tensor_free(ctx, &want);
    }
}

static void products_of_all_small_shapes_are_exact(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_rng r;

    (void)state;
    opt_rng_seed(&r, 2);
    for (int64_t m = 1; m <= 9; m++)
        for (int64_t n = 1; n <= 9; n++)
            for (int64_t k = 1; k <= 9; k++)
                check_product(ctx, m, n, k, &r);
    opt_ctx_free(ctx);
}

/* Around 64 and 128, where blocks begin and end. */
/* The last few have rows a multiple of 1 KiB long, and more rows and terms than a block. */
static void products_of_larger_shapes_are_exact(void **state)
{
    const int64_t shape[][3] = {{65, 70, 129},  {1, 64, 64},   {64, 64, 64},  {3, 63, 65}, {2, 8, 200},
                                {130, 7, 66},   {1, 1, 1000},  {129, 65, 64}, {1, 127, 1}, {5, 129, 128},
                                {9, 65, 1},     {66, 1, 129},  {40, 3, 77},   {33, 90, 2}, {25, 256, 260},
                                {250, 128, 20}, {26, 65, 256}, {30, 512, 20}};
    opt_rng r;

    (void)state;
    for (int isa = OPT_ISA_BASELINE; isa <= OPT_ISA_NEON; isa++) {
        opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.isa = (opt_isa)isa});
        const bool here = *opt_errmsg(ctx) == '\0';

        opt_rng_seed(&r, 3);
        for (size_t i = 0; here && i < sizeof shape / sizeof shape[0]; i++)
            check_product(ctx, shape[i][0], shape[i][1], shape[i][2], &r);
        opt_ctx_free(ctx);
    }
}

/* Rows whose length in bytes is a multiple of 1024 are packed, but for few rows of the result. */
static void products_of_far_rows_are_exact(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_rng r;

    (void)state;
    opt_rng_seed(&r, 5);
    check_product(ctx, 3, 256, 5, &r);
    check_product(ctx, 50, 256, 5, &r);
    opt_ctx_free(ctx);
}

/* Large enough to be divided: by rows, by columns, and where one is left over by the parts. */
static void threads_make_the_same_product(void **state)
{
    static const int64_t shape[][3] = {{300, 40, 200}, {40, 300, 200}, {97, 97, 300}, {1, 1025, 2000}};
    opt_ctx *one = opt_ctx_new(NULL), *three = opt_ctx_new(&(opt_ctx_opts){.threads = 3});
    opt_rng r;

    (void)state;
    opt_rng_seed(&r, 7);
    for (int which = 0; which < 32; which++) {
        const int64_t m = shape[which / 8][0], n = shape[which / 8][1], k = shape[which / 8][2];
        const bool ta = which & 1, tb = which & 2;
        const opt_dtype dtype = dtypes[which / 4 % 2];
        opt_tensor a = matrix(one, dtype, ta ? k : m, ta ? m : k);
        opt_tensor b = matrix(one, dtype, tb ? n : k, tb ? k : n);
        opt_tensor c = matrix(one, dtype, m, n), want = matrix(one, dtype, m, n);

        fill_normal(&a, &r);
        fill_normal(&b, &r);
        assert_ok(one, opt_matmul(one, ta, &a, tb, &b, 0, &want));
        assert_ok(three, opt_matmul(three, ta, &a, tb, &b, 0, &c));
        assert_memory_equal(c.data, want.data, bytes_of(&c));
        opt_tensor_free(one, &a);
        opt_tensor_free(one, &b);
        opt_tensor_free(one, &c);
        opt_tensor_free(one, &want);
    }
    opt_ctx_free(three);
    opt_ctx_free(one);
}

/* No product may be left out because a factor is zero: zero times infinity is not a number. */
static void zeros_do_not_hide_infinities(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    for (int64_t n = 1; n <= 70; n += 23) {
        opt_tensor a = matrix(ctx, OPT_F64, 1, 2), b = matrix(ctx, OPT_F64, 2, n),
                   c = matrix(ctx, OPT_F64, 1, n);

        opt_tensor_fill(&b, HUGE_VAL);
        assert_ok(ctx, opt_matmul(ctx, false, &a, false, &b, 0, &c));
        for (int64_t j = 0; j < n; j++)
            assert_true(isnan(opt_get(&c, j)));
        opt_tensor_free(ctx, &a);
        opt_tensor_free(ctx, &b);
        opt_tensor_free(ctx, &c);
    }
    opt_ctx_free(ctx);
}

static void factors_may_be_the_same_tensor(void **state)
{
    double a[] = {1, 2, 3, 4}, c[4];
    opt_tensor ta = opt_tensor_view(OPT_F64, a, 2, (const int64_t[]){2, 2});
    opt_tensor tc = opt_tensor_view(OPT_F64, c, 2, (const int64_t[]){2, 2});
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    assert_ok(ctx, opt_matmul(ctx, false, &ta, true, &ta, 0, &tc));
    assert_memory_equal(c, ((const double[]){5, 11, 11, 25}), sizeof c);
    opt_ctx_free(ctx);
}

/* ---- What is refused ----------------------------------------------------------------------------------- */

/* Matrices of 2 x 3 times 3 x 4 in the caller's memory, of which a test spoils one thing. */
typedef struct product {
    double a_data[6], b_data[12], c_data[8];
    opt_tensor a, b, c;
} product;

static void product_init(product *p)
{
    memset(p, 0, sizeof *p);
    p->a = opt_tensor_view(OPT_F64, p->a_data, 2, (const int64_t[]){2, 3});
    p->b = opt_tensor_view(OPT_F64, p->b_data, 2, (const int64_t[]){3, 4});
    p->c = opt_tensor_view(OPT_F64, p->c_data, 2, (const int64_t[]){2, 4});
    for (int i = 0; i < 8; i++)
        p->c_data[i] = i + 0.5;
}

/* a b refused with this status and message, and nothing written, neither numbers nor structs. */
static void check_refused_as(product *p, bool ta, bool tb, double beta, opt_status status, const char *part)
{
    const product before = *p;
    opt_ctx *ctx = opt_ctx_new(NULL);

    assert_fails(ctx, opt_matmul(ctx, ta, &p->a, tb, &p->b, beta, &p->c), status, part);
    assert_memory_equal(p, &before, sizeof before);
    opt_ctx_free(ctx);
}

static void check_refused(product *p, opt_status status, const char *part)
{
    check_refused_as(p, false, false, 0.5, status, part);
    product_init(p);
}

static void missing_matrices_are_refused(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    product p;

    (void)state;
    product_init(&p);
    assert_fails(ctx, opt_matmul(ctx, false, NULL, false, &p.b, 0, &p.c), OPT_EINVAL, "matmul: a is NULL");
    assert_fails(ctx, opt_matmul(ctx, false, &p.a, false, NULL, 0, &p.c), OPT_EINVAL, "matmul: b is NULL");
    assert_fails(ctx, opt_matmul(ctx, false, &p.a, false, &p.b, 0, NULL), OPT_EINVAL, "matmul: c is NULL");
    assert_close(p.c_data[0], 0.5, 0);
    p.a.data = NULL;
    check_refused(&p, OPT_EINVAL, "matmul: a has no data");
    p.b.data = NULL;
    check_refused(&p, OPT_EINVAL, "matmul: b has no data");
    p.c.data = NULL;
    check_refused(&p, OPT_EINVAL, "matmul: c has no data");
    p.b = (opt_tensor){0};
    check_refused(&p, OPT_EINVAL, "matmul: b has no data");
    opt_ctx_free(ctx);
}

static void broken_structs_are_refused(void **state)
{
    product p;

    (void)state;
    product_init(&p);
    p.a.dtype = (opt_dtype)7;
    check_refused(&p, OPT_EDTYPE, "matmul: a: dtype = 7");
    p.c.dtype = (opt_dtype)0;
    check_refused(&p, OPT_EDTYPE, "matmul: c: dtype = 0");
    p.a.ndim = 5;
    check_refused(&p, OPT_ESHAPE, "matmul: a: ndim = 5");
    p.b.ndim = -1;
    check_refused(&p, OPT_ESHAPE, "matmul: b: ndim = -1");
    p.b.dim[0] = 0;
    check_refused(&p, OPT_ESHAPE, "matmul: b: dim[0] = 0");
    p.c.dim[1] = -4;
    check_refused(&p, OPT_ESHAPE, "matmul: c: dim[1] = -4");
    p.a.dim[0] = p.a.dim[1] = INT64_C(1) << 40;
    check_refused(&p, OPT_ESHAPE, "matmul: a: the size overflows");
}

static void shapes_that_do_not_fit_are_refused(void **state)
{
    product p;

    (void)state;
    product_init(&p);
    p.a.ndim = 1;
    check_refused(&p, OPT_ESHAPE, "matmul: a is [2], not a matrix");
    p.c.ndim = 3;
    p.c.dim[2] = 1;
    check_refused(&p, OPT_ESHAPE, "matmul: c is [2, 4, 1], not a matrix");
    p.b.dim[0] = 2;
    check_refused(&p, OPT_ESHAPE, "matmul: [2, 3] times [2, 4] does not make [2, 4]");
    p.b.dim[1] = 3;
    check_refused(&p, OPT_ESHAPE, "[2, 3] times [3, 3]");
    p.c.dim[0] = 1;
    check_refused(&p, OPT_ESHAPE, "does not make [1, 4]");
    check_refused_as(&p, true, false, 0, OPT_ESHAPE, "[2, 3]^T times [3, 4]");
    check_refused_as(&p, false, true, 0, OPT_ESHAPE, "[2, 3] times [3, 4]^T");
    check_refused_as(&p, true, true, 0, OPT_ESHAPE, "[2, 3]^T times [3, 4]^T");
}

static void mixed_dtypes_are_refused(void **state)
{
    product p;

    (void)state;
    product_init(&p);
    p.b.dtype = OPT_F32;
    check_refused(&p, OPT_EDTYPE, "matmul: b is f32 where a is f64");
    p.c.dtype = OPT_F32;
    check_refused(&p, OPT_EDTYPE, "matmul: c is f32 where a is f64");
    p.a.dtype = OPT_F32;
    check_refused(&p, OPT_EDTYPE, "matmul: b is f64 where a is f32");
}

static void a_beta_that_is_not_finite_is_refused(void **state)
{
    product p;

    (void)state;
    product_init(&p);
    check_refused_as(&p, false, false, (double)NAN, OPT_EINVAL, "beta = ");
    check_refused_as(&p, false, false, HUGE_VAL, OPT_EINVAL, "beta = inf is not finite");
    check_refused_as(&p, false, false, -HUGE_VAL, OPT_EINVAL, "beta = -inf is not finite");
}

/* One array holds all three; c moves along it. a is elements 0 to 3, b 8 to 11. */
static void only_a_c_apart_from_a_and_b_is_allowed(void **state)
{
    double data[16] = {1, 2, 3, 4, 9, 9, 9, 9, 5, 6, 7, 8, 9, 9, 9, 9}, before[16];
    const int64_t dim[] = {2, 2};
    opt_tensor a = opt_tensor_view(OPT_F64, data, 2, dim), b = opt_tensor_view(OPT_F64, data + 8, 2, dim);
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    memcpy(before, data, sizeof data);
    for (int at = 0; at <= 12; at++) {
        opt_tensor c = opt_tensor_view(OPT_F64, data + at, 2, dim);
        const bool on_a = at<4, on_b = at> 4 && at < 12;

        if (on_a || on_b) {
            assert_fails(ctx, opt_matmul(ctx, false, &a, false, &b, 0, &c), OPT_EINVAL,
                         on_a ? "matmul: c overlaps a" : "matmul: c overlaps b");
        } else {
            assert_ok(ctx, opt_matmul(ctx, false, &a, false, &b, 0, &c));
            assert_memory_equal(data + at, ((const double[]){19, 22, 43, 50}), 4 * sizeof *data);
            memcpy(data + at, before + at, 4 * sizeof *data);
        }
        assert_memory_equal(data, before, sizeof data);
    }
    opt_ctx_free(ctx);
}

/* 2e9 operations, all at once and in strips of columns. A build with OPT_BLAS has the first from a CBLAS,
 * which sums in another order. */
static void a_very_large_product_is_that_of_its_strips(void **state)
{
    enum { N = 1024, STRIP = 128 };
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor a = matrix(ctx, OPT_F32, N, N), b = matrix(ctx, OPT_F32, N, N), c = matrix(ctx, OPT_F32, N, N);
    opt_tensor b_strip = matrix(ctx, OPT_F32, N, STRIP), c_strip = matrix(ctx, OPT_F32, N, STRIP);
    opt_rng r;

    (void)state;
    opt_rng_seed(&r, 6);
    fill_normal(&a, &r);
    fill_normal(&b, &r);
    assert_ok(ctx, opt_matmul(ctx, false, &a, false, &b, 0, &c));
    for (int64_t j = 0; j < N; j += STRIP) {
        for (int64_t i = 0; i < N; i++)
            memcpy((float *)b_strip.data + i * STRIP, (float *)b.data + i * N + j, STRIP * sizeof(float));
        assert_ok(ctx, opt_matmul(ctx, false, &a, false, &b_strip, 0, &c_strip));
        for (int64_t i = 0; i < N * STRIP; i++) {
            const double whole = opt_get(&c, i / STRIP * N + j + i % STRIP), part = opt_get(&c_strip, i);
#ifdef OPT_BLAS
            assert_close(whole, part, 1e-3);
#else
            assert_true(whole == part);
#endif
        }
    }
    opt_tensor_free(ctx, &a);
    opt_tensor_free(ctx, &b);
    opt_tensor_free(ctx, &c);
    opt_tensor_free(ctx, &b_strip);
    opt_tensor_free(ctx, &c_strip);
    opt_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_all_small_shapes_are_exact),
        cmocka_unit_test(products_of_larger_shapes_are_exact),
        cmocka_unit_test(a_very_large_product_is_that_of_its_strips),
        cmocka_unit_test(products_of_far_rows_are_exact),
        cmocka_unit_test(threads_make_the_same_product),
        cmocka_unit_test(zeros_do_not_hide_infinities),
        cmocka_unit_test(factors_may_be_the_same_tensor),
        cmocka_unit_test(missing_matrices_are_refused),
        cmocka_unit_test(broken_structs_are_refused),
        cmocka_unit_test(shapes_that_do_not_fit_are_refused),
        cmocka_unit_test(mixed_dtypes_are_refused),
        cmocka_unit_test(a_beta_that_is_not_finite_is_refused),
        cmocka_unit_test(only_a_c_apart_from_a_and_b_is_allowed),
    };
    return cmocka_run_group_tests_name("matmul", tests, NULL, NULL);
}

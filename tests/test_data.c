/* SPDX-License-Identifier: MIT
 *
 * The two moons, and arrays in .npy files that are whole. Broken ones are in test_data_broken.c.
 */
#define _POSIX_C_SOURCE 200809L /* symlink; NOLINT: reserved, and meant to be defined */

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#ifdef __linux__
#include <signal.h>
#include <sys/resource.h>
#endif

#include "support.h"

#define FILE_NAME "test_data.tmp"

/* ---- The two moons ------------------------------------------------------------------------------------- */

static opt_table moons(opt_ctx *ctx, int64_t n, double noise, uint32_t seed)
{
    opt_table t = {{0}, {0}};

    assert_ok(ctx, opt_moons(ctx, n, noise, seed, &t));
    for (int i = 0; i < 2; i++) {
        const opt_tensor *part = i ? &t.y : &t.x;
        assert_int_equal(part->dtype, OPT_F64);
        assert_int_equal(part->ndim, 2);
        assert_int_equal(part->dim[0], n);
        assert_int_equal(part->dim[1], i ? 1 : 2);
    }
    return t;
}

static void free_table(opt_ctx *ctx, opt_table *t)
{
    opt_tensor_free(ctx, &t->x);
    opt_tensor_free(ctx, &t->y);
}

/* The golden ones have one example a column. */
static void moons_are_scikit_learns(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_table t = moons(ctx, 300, 0.2, 3);
    opt_tensor x = golden(ctx, "moons/X.npy"), y = golden(ctx, "moons/Y.npy");

    (void)state;
    for (int64_t i = 0; i < 300; i++) {
        assert_close(opt_get(&t.x, 2 * i), opt_get(&x, i), 1e-14);
        assert_close(opt_get(&t.x, 2 * i + 1), opt_get(&x, 300 + i), 1e-14);
        assert_close(opt_get(&t.y, i), opt_get(&y, i), 0);
    }
    free_table(ctx, &t);
    opt_tensor_free(ctx, &x);
    opt_tensor_free(ctx, &y);
    opt_ctx_free(ctx);
}

/* Without noise, point i of the unshuffled moons: n / 2 on the outer half circle, from one end to the other,
 * and the rest on the inner one. A half circle of one point has its first end. */
static void check_moons_without_noise(opt_ctx *ctx, int64_t n, uint32_t seed)
{
    const double pi = acos(-1);
    const int64_t outer = n / 2;
    opt_table t = moons(ctx, n, 0, seed);
    int64_t order[101];
    opt_rng r;

    opt_rng_seed(&r, seed);
    opt_rng_permutation(&r, n, order);
    for (int64_t i = 0; i < n; i++) {
        const bool inner = order[i] >= outer;
        const int64_t k = inner ? order[i] - outer : order[i], last = (inner ? n - outer : outer) - 1;
        const double angle = k == 0 ? 0 : k == last ? pi : pi * (double)k / (double)last;
        const double sine =
            k > 0 && k == last ? 0x1.1a62633145c07p-53 : sin(angle); /* not all say this of pi */
        const double off = k == last ? 0 : 1e-15; /* an end is where it is, to the last bit */

        assert_close(opt_get(&t.y, i), inner, 0);
        assert_close(opt_get(&t.x, 2 * i), inner ? 1 - cos(angle) : cos(angle), off);
        assert_close(opt_get(&t.x, 2 * i + 1), inner ? 1 - sine - 0.5 : sine, off);
    }
    free_table(ctx, &t);
}

static void moons_of_any_number_lie_on_half_circles(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    for (int64_t n = 1; n <= 101; n += n < 10 ? 1 : 13)
        for (uint32_t seed = 0; seed < 3; seed++)
            check_moons_without_noise(ctx, n, seed);
    opt_ctx_free(ctx);
}

/* The stream that shuffled them goes on to their noise, point by point. */
static void noise_is_added_in_order(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_table clean = moons(ctx, 31, 0, 7), noisy = moons(ctx, 31, 0.5, 7), again = moons(ctx, 31, 0.5, 7);
    opt_table other = moons(ctx, 31, 0.5, 8);
    int64_t order[31];
    opt_rng r;

    (void)state;
    opt_rng_seed(&r, 7);
    opt_rng_permutation(&r, 31, order);
    for (int64_t i = 0; i < 62; i++)
        assert_close(opt_get(&noisy.x, i), opt_get(&clean.x, i) + 0.5 * opt_rng_normal(&r), 0);
    assert_memory_equal(noisy.x.data, again.x.data, 62 * sizeof(double));
    assert_true(largest_difference(&noisy.x, &other.x) > 0.1);
    assert_close(largest_difference(&noisy.y, &clean.y), 0, 0);
    free_table(ctx, &clean);
    free_table(ctx, &noisy);
    free_table(ctx, &again);
    free_table(ctx, &other);
    opt_ctx_free(ctx);
}

static void moons_that_make_no_sense_are_refused(void **state)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_table t, before;

    (void)state;
    memset(&t, 0x5a, sizeof t);
    memcpy(&before, &t, sizeof t);
    assert_fails(ctx, opt_moons(ctx, 0, 0.1, 0, &t), OPT_EINVAL, "moons: n = 0 is below 1");
    assert_fails(ctx, opt_moons(ctx, -5, 0.1, 0, &t), OPT_EINVAL, "moons: n = -5 is below 1");
    assert_fails(ctx, opt_moons(ctx, 5, -0.1, 0, &t), OPT_EINVAL, "moons: noise = -0.1 is outside");
    assert_fails(ctx, opt_moons(ctx, 5, (double)NAN, 0, &t), OPT_EINVAL, "moons: noise = ");
    assert_fails(ctx, opt_moons(ctx, 5, HUGE_VAL, 0, &t), OPT_EINVAL, "moons: noise = inf");
    assert_fails(ctx, opt_moons(ctx, 5, 0.1, 0, NULL), OPT_EINVAL, "moons: out is NULL");
    assert_memory_equal(&t, &before, sizeof t);
    opt_ctx_free(ctx);
}

/* ---- Arrays written and read again --------------------------------------------------------------------- */

/* The bytes of a file, at most `room`; returns their number. */
static size_t slurp(const char *path, unsigned char *to, size_t room)
{
    FILE *f = fopen(path, "rb");
    size_t n;

    assert_non_null(f);
    n = fread(to, 1, room, f);
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
    return n;
}

static void spill(const char *path, const void *from, size_t n)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(from, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void check_round_trip(opt_ctx *ctx, const opt_tensor *t)
{
    const size_t size = t->dtype == OPT_F32 ? sizeof(float) : sizeof(double);
    opt_tensor back = {0};

    assert_ok(ctx, opt_write_npy(ctx, FILE_NAME, t));
    assert_null(fopen(FILE_NAME ".opt-tmp0", "rb"));
    assert_ok(ctx, opt_read_npy(ctx, FILE_NAME, &back));
    assert_int_equal(back.dtype, t->dtype);
    assert_int_equal(back.ndim, t->ndim);
    for (int d = 0; d < OPT_MAX_DIMS; d++)
        assert_int_equal(back.dim[d], t->dim[d]);
    assert_int_equal((uintptr_t)back.data % 64, 0);
    assert_memory_equal(back.data, t->data, (size_t)opt_tensor_len(t) * size);
    opt_tensor_free(ctx, &back);
    remove(FILE_NAME);
}

static void arrays_of_any_shape_come_back(void **state)
{
    const int64_t dim[] = {3, 5, 2, 41}; /* in all more elements than fit a buffer */
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_rng r;

    (void)state;
    opt_rng_seed(&r, 1);
    for (int dtype = OPT_F32; dtype <= OPT_F64; dtype++)
        for (int ndim = 0; ndim <= 4; ndim++) {
            opt_tensor t = {0};

            assert_ok(ctx, opt_tensor_new(ctx, (opt_dtype)dtype, ndim, dim, &t));
            for (int64_t i = 0; i < opt_tensor_len(&t); i++)
                opt_set(&t, i, opt_rng_normal(&r));
            check_round_trip(ctx, &t);
            opt_tensor_free(ctx, &t);
        }
    opt_ctx_free(ctx);
}

static void numbers_of_every_kind_come_back(void **state)
{
    double d[] = {0.0, -0.0, HUGE_VAL, -HUGE_VAL, DBL_MAX, DBL_MIN, 4.9e-324, -2e-310, 0.1};
    float f[] = {0.0F, -0.0F, HUGE_VALF, -HUGE_VALF, FLT_MAX, FLT_MIN, 1e-45F, -1e-40F, 0.1F};
    double nan_d = (double)NAN;
    float nan_f = NAN;
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t = opt_tensor_view(OPT_F64, d, 1, (const int64_t[]){9}), back = {0};

    (void)state;
    check_round_trip(ctx, &t);
    t = opt_tensor_view(OPT_F32, f, 1, (const int64_t[]){9});
    check_round_trip(ctx, &t);
    for (int i = 0; i < 2; i++) { /* of a NaN only that it is one */
        t = i ? opt_tensor_view(OPT_F64, &nan_d, 0, NULL) : opt_tensor_view(OPT_F32, &nan_f, 0, NULL);
        assert_ok(ctx, opt_write_npy(ctx, FILE_NAME, &t));
        assert_ok(ctx, opt_read_npy(ctx, FILE_NAME, &back));
        assert_true(isnan(opt_get(&back, 0)));
        opt_tensor_free(ctx, &back);
    }
    remove(FILE_NAME);
    opt_ctx_free(ctx);
}

/* Every byte of what NumPy wrote. */
static void files_are_numpys(void **state)
{
    static const char *const names[] = {"rng/seed0_randn", "moons/X", "moons/init/W2", "torch/p0"};
    static unsigned char numpys[1 << 16], ours[1 << 16];
    opt_ctx *ctx = opt_ctx_new(NULL);
    char path[1024];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        opt_tensor t = golden(ctx, "%s.npy", names[i]);
        size_t n;

        snprintf(path, sizeof path, "%s/%s.npy", GOLDEN_DIR, names[i]);
        n = slurp(path, numpys, sizeof numpys);
        assert_ok(ctx, opt_write_npy(ctx, FILE_NAME, &t));
        assert_int_equal(slurp(FILE_NAME, ours, sizeof ours), n);
        assert_memory_equal(ours, numpys, n);
        opt_tensor_free(ctx, &t);
    }
    remove(FILE_NAME);
    opt_ctx_free(ctx);
}

/* The dict is NumPy's to the letter, padded with spaces and a newline to a multiple of 64. */
static void check_header(opt_dtype dtype, int ndim, const char *dict)
{
    static double zeros[120];
    unsigned char file[2048];
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t = opt_tensor_view(dtype, zeros, ndim, (const int64_t[]){2, 3, 4, 5});
    const size_t n_bytes = (size_t)opt_tensor_len(&t) * (dtype == OPT_F32 ? 4 : 8), length = strlen(dict);
    size_t n, header;

    assert_ok(ctx, opt_write_npy(ctx, FILE_NAME, &t));
    n = slurp(FILE_NAME, file, sizeof file);
    header = 10 + (size_t)file[8] + 256 * (size_t)file[9];
    assert_memory_equal(file, "\x93NUMPY\x01\x00", 8);
    assert_int_equal(header % 64, 0);
    assert_int_equal(n, header + n_bytes);
    assert_memory_equal(file + 10, dict, length);
    for (size_t i = 10 + length; i < header; i++)
        assert_int_equal(file[i], i + 1 < header ? ' ' : '\n');
    remove(FILE_NAME);
    opt_ctx_free(ctx);
}

static void headers_are_numpys(void **state)
{
    (void)state;
    check_header(OPT_F64, 0, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }");
    check_header(OPT_F64, 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }");
    check_header(OPT_F32, 2, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }");
    check_header(OPT_F32, 3, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 4), }");
    check_header(OPT_F64, 4, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3, 4, 5), }");
}

static void writing_replaces_what_was_there(void **state)
{
    char old[4000];
    double x = 3;
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t = opt_tensor_view(OPT_F64, &x, 0, NULL), back = {0};

    (void)state;
    memset(old, 'x', sizeof old);
    spill(FILE_NAME, old, sizeof old); /* longer than what comes */
    assert_ok(ctx, opt_write_npy(ctx, FILE_NAME, &t));
    assert_ok(ctx, opt_read_npy(ctx, FILE_NAME, &back));
    assert_close(opt_get(&back, 0), 3, 0);
    opt_tensor_free(ctx, &back);
    remove(FILE_NAME);
    opt_ctx_free(ctx);
}

#ifdef __linux__
/* Files may not grow beyond 64 bytes. A small array fails when the file is closed, a large one before. */
static void a_full_disk_leaves_what_was_there(void **state)
{
    static double zeros[10000];
    const int64_t lengths[] = {1, 10000};
    opt_ctx *ctx = opt_ctx_new(NULL);
    struct rlimit unlimited;
    unsigned char left[2];

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    for (int i = 0; i < 2; i++) {
        const opt_tensor t = opt_tensor_view(OPT_F64, zeros, 1, &lengths[i]);

        spill(FILE_NAME, "x", 1);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){64, unlimited.rlim_max}), 0);
        assert_fails(ctx, opt_write_npy(ctx, FILE_NAME, &t), OPT_EIO, FILE_NAME);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
        assert_int_equal(slurp(FILE_NAME, left, sizeof left), 1);
        assert_int_equal(left[0], 'x');
        assert_int_not_equal(remove(FILE_NAME ".opt-tmp0"), 0); /* the library has */
    }
    remove(FILE_NAME);
    opt_ctx_free(ctx);
}
#endif

/* ---- What others may have written ---------------------------------------------------------------------- */

/* Reads a file made of this dict and these elements, in version 1 to 3. */
static opt_tensor read_made(opt_ctx *ctx, int version, const char *dict, const void *elements, size_t n)
{
    const size_t length = strlen(dict), start = version == 1 ? 10 : 12;
    unsigned char header[12] = "\x93NUMPY";
    FILE *f = fopen(FILE_NAME, "wb");
    opt_tensor t = {0};

    header[6] = (unsigned char)version;
    header[8] = (unsigned char)(length & 255);
    header[9] = (unsigned char)(length >> 8);
    assert_non_null(f);
    assert_int_equal(fwrite(header, 1, start, f), start);
    assert_int_equal(fwrite(dict, 1, length, f), length);
    assert_int_equal(fwrite(elements, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    assert_ok(ctx, opt_read_npy(ctx, FILE_NAME, &t));
    remove(FILE_NAME);
    return t;
}

/* Two little-endian elements of this type are read as f64 of these values. */
static void check_integers(const char *descr, const char *bytes, double first, double second)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    char dict[128];
    opt_tensor t;

    snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': (2,), }\n", descr);
    t = read_made(ctx, 1, dict, bytes, 2 * (size_t)(descr[2] - '0'));
    assert_int_equal(t.dtype, OPT_F64);
    assert_int_equal(t.ndim, 1);
    assert_int_equal(t.dim[0], 2);
    assert_close(opt_get(&t, 0), first, 0);
    assert_close(opt_get(&t, 1), second, 0);
    opt_tensor_free(ctx, &t);
    opt_ctx_free(ctx);
}

static void integers_of_any_width_are_exact(void **state)
{
    (void)state;
    check_integers("|b1", "\x00\x01", 0, 1);
    check_integers("|i1", "\x80\x7f", -128, 127);
    check_integers("|u1", "\x80\xff", 128, 255);
    check_integers("<i2", "\x00\x80\xfe\xff", -32768, -2);
    check_integers("<u2", "\x00\x80\xfe\xff", 32768, 65534);
    check_integers("<i4", "\x00\x00\x00\x80\x01\x02\x03\x04", -2147483648.0, 0x04030201);
    check_integers("<u4", "\x00\x00\x00\x80\xff\xff\xff\xff", 2147483648.0, 4294967295.0);
    check_integers("<i8", "\xff\xff\xff\xff\xff\xff\xff\xff\x15\xcd\x5b\x07\x00\x00\x00\x00", -1, 123456789);
    check_integers("<i8", "\x00\x00\x00\x00\x00\x00\x20\x00\x00\x00\x00\x00\x00\x00\xe0\xff", 0x1p53,
                   -0x1p53);
    check_integers("<u8", "\x00\x00\x00\x00\x00\x00\x20\x00\xff\xff\xff\xff\xff\xff\x1f\x00", 0x1p53,
                   0x1p53 - 1);
}

/* In any order of keys, with any blanks, in versions 1 to 3. */
static void headers_may_be_laid_out_otherwise(void **state)
{
    static const char *const dicts[] = {
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }\n",
        "{'shape': (1, 2), 'fortran_order': False, 'descr': '<f8'}",
        "{'descr':'<f8','fortran_order':False,'shape':(1,2)}",
        "{ 'fortran_order' :  False , 'descr' : '<f8' , 'shape' : ( 1 , 2 , ) }      \n",
    };
    const unsigned char elements[16] = {0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0}; /* 1, -2 */
    opt_ctx *ctx = opt_ctx_new(NULL);

    (void)state;
    for (int version = 1; version <= 3; version++)
        for (size_t i = 0; i < sizeof dicts / sizeof dicts[0]; i++) {
            opt_tensor t = read_made(ctx, version, dicts[i], elements, sizeof elements);

            assert_int_equal(t.ndim, 2);
            assert_int_equal(t.dim[0], 1);
            assert_int_equal(t.dim[1], 2);
            assert_close(opt_get(&t, 0), 1, 0);
            assert_close(opt_get(&t, 1), -2, 0);
            opt_tensor_free(ctx, &t);
        }
    opt_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moons_are_scikit_learns),
        cmocka_unit_test(moons_of_any_number_lie_on_half_circles),
        cmocka_unit_test(noise_is_added_in_order),
        cmocka_unit_test(moons_that_make_no_sense_are_refused),
        cmocka_unit_test(arrays_of_any_shape_come_back),
        cmocka_unit_test(numbers_of_every_kind_come_back),
        cmocka_unit_test(files_are_numpys),
        cmocka_unit_test(headers_are_numpys),
        cmocka_unit_test(writing_replaces_what_was_there),
#ifdef __linux__
        cmocka_unit_test(a_full_disk_leaves_what_was_there),
#endif
        cmocka_unit_test(integers_of_any_width_are_exact),
        cmocka_unit_test(headers_may_be_laid_out_otherwise),
    };

    remove(FILE_NAME);
    remove(FILE_NAME ".opt-tmp0");
    return cmocka_run_group_tests_name("data", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * One instruction set's two tables. The build compiles this file once for each, with OPT__ISA naming it and
 * the compiler's own flags choosing it; the widest vector they allow is what the matrix product uses.
 */
#include "kernel/kernels.h"

#include <math.h>
#include <string.h>

#include "kernel/elementary.h"

#if defined(__i386__) && !defined(__SSE2_MATH__)
#error "the older registers of 32-bit x86 give other results: -msse2 -mfpmath=sse"
#endif

#ifndef VECTOR_BYTES /* which opt.c says itself */
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#endif
#if VECTOR_BYTES == 64
#define F32_LENGTH   16
#define F64_LENGTH   8
#define TILE_VECTORS 4
#elif VECTOR_BYTES == 32
#define F32_LENGTH   8
#define F64_LENGTH   4
#define TILE_VECTORS 2
#else
#define F32_LENGTH   4
#define F64_LENGTH   2
#define TILE_VECTORS 2
#endif
#define TILE_ROWS 6

/* Two vectors' low halves, or high halves, element by element in turn. */
#define ZIP_LOW_2   0, 2
#define ZIP_HIGH_2  1, 3
#define ZIP_LOW_4   0, 4, 1, 5
#define ZIP_HIGH_4  2, 6, 3, 7
#define ZIP_LOW_8   0, 8, 1, 9, 2, 10, 3, 11
#define ZIP_HIGH_8  4, 12, 5, 13, 6, 14, 7, 15
#define ZIP_LOW_16  0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define ZIP_HIGH_16 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31

/* Whether a word's upper half comes first in memory. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define HIGH_FIRST 1
#else
#define HIGH_FIRST 0
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)
#define QUOTE_(x)   #x
#define QUOTE(x)    QUOTE_(x)
#define TABLES      JOIN(opt__kernels_, OPT__ISA)

/* A vector of doubles. */
#define WIDE ((int)(VECTOR_BYTES / sizeof(double)))
typedef double opt__wide __attribute__((vector_size(VECTOR_BYTES)));

/* The sum of n numbers, a power of 2, by a tree. */
static inline double opt__sum_tree(int n, double *x)
{
    for (int half = n / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            x[i] += x[i + half];
    return x[0];
}

/* The sum of OPT__LANE numbers, those from n on 0. */
static double opt__sum_lanes(int64_t n, double *x)
{
    for (int64_t i = n; i < OPT__LANE; i++)
        x[i] = 0;
    return opt__sum_tree(OPT__LANE, x);
}

static double sum_lanes(double *lane)
{
    return opt__sum_tree(OPT__SUM_LANES, lane);
}

/* No label is wrong for a mean squared error. */
static int64_t bad_mse(int64_t units, int64_t n, const void *y)
{
    (void)units;
    (void)n;
    (void)y;
    return -1;
}

#define ZIP_LOW  JOIN(ZIP_LOW_, F32_LENGTH)
#define ZIP_HIGH JOIN(ZIP_HIGH_, F32_LENGTH)
#define REAL     float
#define INTEGER  int32_t
#define SQRT     sqrtf
#define NAME(x)  x##_f32
#include "kernel/table.inc"
#undef ZIP_LOW
#undef ZIP_HIGH
#undef REAL
#undef INTEGER
#undef SQRT
#undef NAME
#define ZIP_LOW  JOIN(ZIP_LOW_, F64_LENGTH)
#define ZIP_HIGH JOIN(ZIP_HIGH_, F64_LENGTH)
#define REAL     double
#define INTEGER  int64_t
#define SQRT     sqrt
#define NAME(x)  x##_f64
#include "kernel/table.inc"

#define TABLE(type)                                                                                          \
    {                                                                                                        \
        .isa = QUOTE(OPT__ISA), .effective = effective_##type, .scale = scale_##type,                        \
        .average = average_##type,                                                                           \
        .step = {[OPT__GD] = gd_##type,                                                                      \
                 [OPT__MOMENTUM] = momentum_##type,                                                          \
                 [OPT__NESTEROV] = nesterov_##type,                                                          \
                 [OPT__ADAM] = adam_##type,                                                                  \
                 [OPT__AMSGRAD] = amsgrad_##type,                                                            \
                 [OPT__NADAM] = nadam_##type,                                                                \
                 [OPT__WARM_UP] = warm_up_##type,                                                            \
                 [OPT__RMSPROP] = rmsprop_##type,                                                            \
                 [OPT__RMSPROP_MOMENTUM] = rmsprop_momentum_##type,                                          \
                 [OPT__RMSPROP_CENTRED] = rmsprop_centred_##type,                                            \
                 [OPT__RMSPROP_CENTRED_MOMENTUM] = rmsprop_centred_momentum_##type,                          \
                 [OPT__ADAGRAD] = adagrad_##type,                                                            \
                 [OPT__LION] = lion_##type,                                                                  \
                 [OPT__SCHEDULE_FREE] = schedule_free_##type,                                                \
                 [OPT__MUON] = muon_##type,                                                                  \
                 [OPT__RPROP] = rprop_##type},                                                               \
        .adam_bf16 = adam_bf16_##type, .add_squares = add_squares_##type, .sum_lanes = sum_lanes,            \
        .add_products = add_products_##type, .add_scaled = add_scaled_##type, .matmul = matmul_##type,       \
        .matmul_add = matmul_add_##type, .accumulate = accumulate_##type,                                    \
        .activate = {activate_relu_##type, activate_tanh_##type, activate_sigmoid_##type,                    \
                     activate_linear_##type},                                                                \
        .derive = {derive_relu_##type, derive_tanh_##type, derive_sigmoid_##type},                           \
        .loss = {loss_bce_##type, loss_softmax_##type, loss_mse_##type},                                     \
        .output = {output_bce_##type, output_softmax_##type, output_mse_##type},                             \
        .transpose = transpose_##type, .narrow_product = narrow_product_##type,                              \
        .narrow_gradient = narrow_gradient_##type,                                                           \
        .bad_label = {bad_bce_##type, bad_softmax_##type, bad_mse},                                          \
    }

extern const opt__kernels TABLES[2];
const opt__kernels TABLES[2] = {TABLE(f32), TABLE(f64)};

/* SPDX-License-Identifier: MIT
 *
 * Every inner loop of the library, one table for each instruction set and dtype.
 *
 * The loops are plain C, in the .inc files here. kernels.c includes them once for f32 and once for f64, and
 * is compiled once for each instruction set, so a table's results are the same to the last bit whichever it
 * is: elementwise loops cannot differ, sums are taken in an order that is spelt out, products are rounded
 * before they are added
 * (-ffp-contract=off), and no function of the C library is called but sqrt, which IEEE 754 defines exactly.
 *
 * Arrays hold n elements of the table's dtype and do not overlap, unless said otherwise.
 */
#ifndef OPT_KERNEL_KERNELS_H
#define OPT_KERNEL_KERNELS_H

#include <opt/base.h>

#include "base/strict.h"

/* What happens to a gradient before it is used, g <- clamp(g, -clip, clip) * scale + l2 w, and then to the
 * weight before its update, w <- w * (1 - decay). clip may be infinite. */
typedef struct opt__adjust {
    double clip, scale, l2, decay;
} opt__adjust;

/* The updates of the optimizers: for each its slots and then its constants c, in order; rest is 1 - beta, or
 * whatever else its method makes of it. The formulas are the rules in steps.inc, what they are good for is in
 * <opt/methods.h>. */
typedef enum opt__step {
    OPT__GD,                       /* ; lr */
    OPT__MOMENTUM,                 /* v; lr, beta, rest */
    OPT__NESTEROV,                 /* v; lr, mu */
    OPT__ADAM,                     /* m, v; beta1, rest1, beta2, rest2, rate, root_scale, eps */
    OPT__AMSGRAD,                  /* m, v, v_max; as Adam's */
    OPT__NADAM,                    /* m, v; as Adam's with rate of m, and at the end rate of g */
    OPT__WARM_UP,                  /* m, v; as Adam's up to rate: v is averaged and not used */
    OPT__RMSPROP,                  /* v; lr, alpha, rest, eps */
    OPT__RMSPROP_MOMENTUM,         /* v, b; lr, alpha, rest, eps, mu */
    OPT__RMSPROP_CENTRED,          /* v, m; as RMSProp's */
    OPT__RMSPROP_CENTRED_MOMENTUM, /* v, m, b; lr, alpha, rest, eps, mu */
    OPT__ADAGRAD,                  /* sum; lr, eps, what is added to sum before it is used */
    OPT__LION,                     /* m; lr, beta1, rest1, beta2, rest2 */
    OPT__SCHEDULE_FREE, /* z, v; rate, beta2, rest2, root_scale, eps, decay, c, what y takes of z's step */
    OPT__MUON,          /* m; mu, rest, how much of g and of m w becomes the sum of */
    OPT__RPROP, /* prev, step; eta_minus, eta_plus, step_min, step_max, what is added to step before it is
                   used */
    OPT__STEPS
} opt__step;

#define OPT__GOLDEN 0x9e3779b9u /* 2^32 over the golden ratio: its multiples are spread evenly */

#define OPT__CONSTANTS 8 /* of a step, those it does not have included */

/* What becomes of a narrow product z, and what `other` is. */
typedef enum opt__finish {
    OPT__AS_IT_IS,
    OPT__ADD_BIAS,      /* z + b; the biases [units] */
    OPT__ADD_BIAS_RELU, /* relu(z + b) */
    OPT__DERIVE_RELU    /* z where a > 0, else 0; the activations a [units, n] */
} opt__finish;

typedef struct opt__kernels {
    const char *isa; /* "baseline", "avx2", "avx512", "neon" */

    /* steps.inc: the two halves of an adjustment, out <- the gradient and w <- w * factor; and the updates,
     * for c[OPT__CONSTANTS], which take an adjustment, or NULL, into the same pass. */
    void (*effective)(int64_t n, const void *w, const void *g, void *out, const opt__adjust *adjust);
    void (*scale)(int64_t n, void *w, double factor);

    /* average <- decay average + (1 - decay) w; with decay 0, w. */
    void (*average)(int64_t n, void *average, const void *w, double decay);

    void (*step[OPT__STEPS])(int64_t n, void *w, const void *g, void *const *slot, const double *c,
                             const opt__adjust *adjust);

    /* Adam's, with constants like its and at the end the largest number in bf16, and averages mv [n, 2] in
     * bf16, m and v in turn, that are rounded up or down at random: by hashes of seed, seed + OPT__GOLDEN,
     * ... */
    void (*adam_bf16)(int64_t n, void *w, const void *g, void *mv, const double *c, const opt__adjust *adjust,
                      uint32_t seed);

    /* sums.inc: adds to lane[OPT__SUM_LANES] the squares of n elements, in f64, each first brought into
     * [-limit, limit], which may be infinite: x[0]^2 to lane[first], and so on round. Not finite when an
     * element is not or when squares overflow. sum_lanes: the lanes' sum, by a tree; overwrites them. */
    void (*add_squares)(int64_t n, const void *x, double limit, int first, double *lane);
    double (*sum_lanes)(double *lane);

    /* add_products: likewise adds x[i] y[i]. steps.inc: x <- x + a y, in f64. */
    void (*add_products)(int64_t n, const void *x, const void *y, int first, double *lane);
    void (*add_scaled)(int64_t n, void *x, double a, const void *y);

    /* matmul.inc: c [m, n] <- op(a) [m, k] op(b) [k, n] + beta c, row-major, with rows of a, b and c as
     * stored lda, ldb and ldc elements apart. Each element of c is ((beta c + a0 b0) + a1 b1) + ..., in this
     * order. */
    void (*matmul)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
                   const void *b, int64_t ldb, double beta, void *c, int64_t ldc);

    /* c <- c + op(a) op(b), where the product is summed first and then added; k is at most OPT__LANE. */
    void (*matmul_add)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
                       const void *b, int64_t ldb, void *c, int64_t ldc);

    /* network.inc, for layers' activations z, a, dz of `units` rows of n examples each, rows OPT__LANE apart;
     * the index of a function is opt_act's or opt_loss's.
     *
     * activate: z[u][i] <- act(z[u][i] + b[u]), or just z + b for the last layer's function, OPT__LINEAR.
     * derive: dz <- dz act'(z), by a = act(z).
     * loss: returns the sum over n examples of the loss of z for labels y [n, units] (rows as the caller has
     * them), each times its weight [n] unless weight is NULL, and, unless dz is NULL, as weight is then, dz
     * <- scale times the gradient of that sum by z, and 0 in the columns up to opt__padded(n). output: a [n,
     * units] <- the output activation of z, in rows. */
    void (*activate[4])(int64_t units, int64_t n, const void *b, void *z);
    void (*derive[3])(int64_t units, int64_t n, const void *a, void *dz);
    double (*loss[3])(int64_t units, int64_t n, const void *z, const void *y, const double *weight,
                      double scale, void *dz);
    void (*output[3])(int64_t units, int64_t n, const void *z, void *a);

    /* xt [cols, padded n] <- the transpose of x [n, cols], whose rows are ldx apart, and zeros in the columns
     * from n to opt__padded(n). */
    void (*transpose)(int64_t n, int64_t cols, const void *x, int64_t ldx, void *xt);

    /* z [units, n] <- W x for x [inputs, n], rows OPT__LANE apart, n a multiple of 16, and then what `how`
     * says with `other`; W's element (u, k) is at w[u * w_row + k * w_next]. The bits of matmul, sooner where
     * inputs are few. */
    void (*narrow_product)(opt__finish how, int64_t units, int64_t inputs, int64_t n, const void *w,
                           int64_t w_row, int64_t w_next, const void *x, const void *other, void *z);

    /* dw [units, inputs] <- dz a^T and db [units] <- the sums of dz's rows, or these are added to them, for
     * dz [units, n] and a [inputs, n], n a multiple of 16: lane j of 64 bytes' worth of lanes takes examples
     * j, j + lanes, ...; a tree combines them. For layers with few inputs; dw may be NULL. */
    void (*narrow_gradient)(int64_t units, int64_t inputs, int64_t n, const void *dz, const void *a, void *dw,
                            void *db, bool add);

    /* to[i] += from[i] */
    void (*accumulate)(int64_t n, void *to, const void *from);

    /* Index of the first row of labels y [n, units] that the loss does not know, or -1. */
    int64_t (*bad_label[3])(int64_t units, int64_t n, const void *y);
} opt__kernels;

#define OPT__LANE   INT64_C(64) /* examples that go through a network together */
#define OPT__LINEAR 3

#define OPT__SUM_LANES 32
#define OPT__SUM_BLOCK 4096 /* elements that lanes take before they are summed */

/* n examples rounded up to whole vectors: what is worked out in their place costs nothing and is not used. */
static inline int64_t opt__padded(int64_t n)
{
    return (n + 15) / 16 * 16;
}

/* The tables for an instruction set, f32's and then f64's; NULL when this machine or build lacks it. */
const opt__kernels *opt__kernels_for(opt_isa isa);

#endif

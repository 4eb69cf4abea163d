/* SPDX-License-Identifier: MIT
 *
 * Adam and its kin. All have averages m and v of the gradient and its square, and constants of one order.
 */
#include <float.h>
#include <math.h>

#include "kernel/elementary.h"
#include "optim/method.h"
#include "optim/power.h"

/* The constants of Adam's kernel at step t. */
typedef struct constants {
    double beta1, rest1, beta2, rest2;
    double rate;       /* lr / (1 - beta1^t) */
    double root_scale; /* 1 / sqrt(1 - beta2^t) */
    double eps;
    double last; /* NAdam's rate of g; with bf16, the largest number */
} constants;

typedef struct in_order {
    double c[OPT__CONSTANTS];
} in_order;

static in_order order(const constants *c)
{
    return (in_order){{c->beta1, c->rest1, c->beta2, c->rest2, c->rate, c->root_scale, c->eps, c->last}};
}

static opt_status apply(opt__step step, const opt_update *u, const constants *c)
{
    return opt__apply(step, u, order(c).c);
}

/* NAdam's and RAdam's options begin as Adam's do. */
static constants adam_constants(const opt_update *u)
{
    const opt_adam_opts *h = u->hyper;
    double correction[2];

    opt__one_minus_powers((double[]){h->beta1, h->beta2}, u->t, correction);
    return (constants){.beta1 = h->beta1,
                       .rest1 = 1 - h->beta1,
                       .beta2 = h->beta2,
                       .rest2 = 1 - h->beta2,
                       .rate = u->lr / correction[0],
                       .root_scale = 1 / sqrt(correction[1]),
                       .eps = h->eps};
}

static const opt_hyper adam_hyper[] = {
    {"beta1", 0.9, 0, 1}, {"beta2", 0.999, 0, 1}, {"eps", 1e-8, DBL_MIN, HUGE_VAL}};

/* ---- Adam, AdamW, AMSGrad ------------------------------------------------------------------------------ */

static opt_status update_adam(const opt_update *u)
{
    const constants c = adam_constants(u);

    return apply(OPT__ADAM, u, &c);
}

const opt_method opt_adam = {
    .name = "adam", .hyper = adam_hyper, .nhyper = 3, .slot = {"m", "v"}, .update = update_adam};

const opt_method opt_adamw = {.name = "adamw",
                              .hyper = adam_hyper,
                              .nhyper = 3,
                              .slot = {"m", "v"},
                              .update = update_adam,
                              .weight_decay = 0.01};

static opt_status update_amsgrad(const opt_update *u)
{
    const constants c = adam_constants(u);

    return apply(OPT__AMSGRAD, u, &c);
}

const opt_method opt_amsgrad = {.name = "amsgrad",
                                .hyper = adam_hyper,
                                .nhyper = 3,
                                .slot = {"m", "v", "v_max"},
                                .update = update_amsgrad};

/* ---- With averages in bf16 ----------------------------------------------------------------------------- */

static void shape_slot_bf16(const void *hyper, int slot, opt_tensor *like)
{
    (void)hyper;
    (void)slot;
    *like = (opt_tensor){.dtype = OPT_BF16, .ndim = 2, .dim = {opt_tensor_len(like), 2}};
}

/* A permutation of the 32-bit numbers that looks like chance: two rounds of xor-shift and multiply, the
 * constants of Wellons 2018 (nullprogram.com/blog/2018/07/31), who searched for the least bias. */
static uint32_t scramble(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

static opt_status update_adam_bf16(const opt_update *u)
{
    constants c = adam_constants(u);
    const uint32_t step = scramble((uint32_t)u->t ^ scramble((uint32_t)(u->t >> 32)));

    c.last = 0x1.fep127;
    opt__kernels_at(u)->adam_bf16(opt_tensor_len(&u->w), u->w.data, u->g.data, u->slot[0].data, order(&c).c,
                                  u->adjust, step + (uint32_t)u->first * OPT__GOLDEN);
    return OPT_OK;
}

const opt_method opt_adam_bf16 = {.name = "adam_bf16",
                                  .hyper = adam_hyper,
                                  .nhyper = 3,
                                  .slot = {"mv"},
                                  .update = update_adam_bf16,
                                  .shape_slot = shape_slot_bf16};

/* ---- NAdam --------------------------------------------------------------------------------------------- */

#define LOG_0_96 (-0x1.4e69ed6d80eaep-5)

static double mu_at(const opt_nadam_opts *h, int64_t t)
{
    return h->beta1 * (1 - 0.5 * opt__exp_negative(LOG_0_96 * h->momentum_decay * (double)t));
}

/* mu_1 ... mu_t, and 0 for what is below 2^-60 and so lost when 1 - product is taken. mu grows from about
 * beta1 / 2 to beta1: mostly its last factor's power is small enough already, and otherwise some sixty
 * factors are; if not, mu is soon beta1 itself. */
static double mu_product(const opt_nadam_opts *h, int64_t t)
{
    double product = opt__power(mu_at(h, t), t) < 0x1p-60 ? 0 : 1;

    for (int64_t i = 1; i <= t && product >= 0x1p-60; i++) {
        const double mu = mu_at(h, i);

        if (mu == h->beta1)
            return product * opt__power(mu, t - i + 1);
        product *= mu;
    }
    return product < 0x1p-60 ? 0 : product;
}

static opt_status update_nadam(const opt_update *u)
{
    const opt_nadam_opts *h = u->hyper;
    const double mu = mu_at(h, u->t), next = mu_at(h, u->t + 1), product = mu_product(h, u->t);
    constants c = adam_constants(u);

    c.last = u->lr * (1 - mu) / (1 - product);
    c.rate = u->lr * next / (1 - product * mu * next);
    return apply(OPT__NADAM, u, &c);
}

static const opt_hyper nadam_hyper[] = {{"beta1", 0.9, 0, 1},
                                        {"beta2", 0.999, 0, 1},
                                        {"eps", 1e-8, DBL_MIN, HUGE_VAL},
                                        {"momentum_decay", 4e-3, 0, HUGE_VAL}};

const opt_method opt_nadam = {
    .name = "nadam", .hyper = nadam_hyper, .nhyper = 4, .slot = {"m", "v"}, .update = update_nadam};

/* ---- RAdam --------------------------------------------------------------------------------------------- */

/* rho is how many gradients v is in effect an average of, at step t and in the end. */
static opt_status update_radam(const opt_update *u)
{
    const opt_adam_opts *h = u->hyper;
    const double power = opt__power(h->beta2, u->t), correction = 1 - power;
    const double in_the_end = 2 / (1 - h->beta2) - 1;
    const double rho = in_the_end - 2 * (double)u->t * power / correction;
    constants c = adam_constants(u);

    if (!(rho > 5))
        return apply(OPT__WARM_UP, u, &c);
    c.rate *= sqrt((rho - 4) * (rho - 2) * in_the_end / ((in_the_end - 4) * (in_the_end - 2) * rho)) *
              sqrt(correction);
    c.root_scale = 1; /* eps is added to the root before it is corrected */
    return apply(OPT__ADAM, u, &c);
}

const opt_method opt_radam = {
    .name = "radam", .hyper = adam_hyper, .nhyper = 3, .slot = {"m", "v"}, .update = update_radam};

/* SPDX-License-Identifier: MIT
 *
 * Of internal_bits: what each optimizer's steps come to.
 */
#include "internal_bits.h"

/* 200 steps with the same gradients, or 70 where they change after every tenth. */
static uint64_t hash_steps(opt_ctx *ctx, const opt_method *method, const void *hyper,
                           const opt_optim_opts *opts, opt_param p, bool changing)
{
    opt_optim *o;
    opt_rng r;

    opt_rng_seed(&r, 7);
    draw(&r, &p.value, 1);
    draw(&r, &p.grad, 1.3);
    check(ctx, opt_optim_new(ctx, method, hyper, opts, (opt_params){&p, 1}, &o));
    for (int t = 0; t < (changing ? 70 : 200); t++) {
        if (changing && t % 10 == 9)
            draw(&r, &p.grad, 1);
        opt_set(&p.grad, t, t);
        check(ctx, opt_optim_step(o));
    }
    opt_optim_free(o);
    return hash_params((opt_params){&p, 1});
}

/* Of those that train networks as they have always been; of the others with an adjustment and without. */
void steps_of_methods(opt_ctx *ctx, opt_dtype dtype)
{
    enum { N = 100003, FEWER = 40009, TRAINED = 3, VARIANTS = 15, ALL = 18 };
    static const opt_method *const all[ALL] = {
        &opt_gd,      &opt_momentum,      &opt_adam,      &opt_heavy_ball, &opt_nesterov, &opt_rmsprop,
        &opt_adagrad, &opt_adamw,         &opt_amsgrad,   &opt_nadam,      &opt_radam,    &opt_lion,
        &opt_rprop,   &opt_schedule_free, &opt_adam_bf16, &opt_rmsprop,    &opt_rmsprop,  &opt_rmsprop};
    static const char *const names[] = {"rmsprop-momentum", "rmsprop-centred", "rmsprop-both"};
    static const opt_rmsprop_opts variants[] = {{0, 0, 0.9, 0}, {0, 0, 0, 1}, {0, 0, 0.9, 1}};
    const opt_optim_opts plain = {.lr = 0.01}, opts = {0.01, NULL, NULL, 2, 300, 0.01, 0.02, false};
    opt_param p = {.name = "w", .value = make(ctx, dtype, N, 1), .grad = make(ctx, dtype, N, 1)};

    for (int k = 0; k < ALL; k++) {
        const void *hyper = k < VARIANTS ? NULL : &variants[k - VARIANTS];
        const bool other = k >= TRAINED;

        p.value.dim[0] = p.grad.dim[0] = other ? FEWER : N;
        note("steps-", k < VARIANTS ? all[k]->name : names[k - VARIANTS], dtype,
             hash_steps(ctx, all[k], hyper, &opts, p, other) ^
                 (other ? hash_steps(ctx, all[k], hyper, &plain, p, true) : 0));
    }
    opt_tensor_free(ctx, &p.value);
    opt_tensor_free(ctx, &p.grad);
}

/* Matrices large enough for their products to be shared, either way round, and a vector; all adjusted. */
void steps_of_muon(opt_ctx *ctx, opt_dtype dtype)
{
    static const opt_muon_opts variants[] = {{0}, {.nesterov = OPT_ZERO, .match_rms = 1}};
    const opt_optim_opts opts = {0.02, NULL, NULL, 2, 150, 0.01, 0.02, false};
    opt_param p[] = {
        {.name = "wide", .value = make(ctx, dtype, 100, 147), .grad = make(ctx, dtype, 100, 147)},
        {.name = "tall", .value = make(ctx, dtype, 151, 98), .grad = make(ctx, dtype, 151, 98)},
        {.name = "bias", .value = make(ctx, dtype, 501, 1), .grad = make(ctx, dtype, 501, 1)}};
    uint64_t hash = 0;
    opt_optim *o;
    opt_rng r;

    p[2].value.ndim = p[2].grad.ndim = 1;
    opt_rng_seed(&r, 11);
    for (int k = 0; k < 2; k++) {
        check(ctx, opt_optim_new(ctx, &opt_muon, &variants[k], &opts, (opt_params){p, 3}, &o));
        for (int i = 0; i < 3; i++)
            draw(&r, &p[i].value, 1);
        for (int t = 0; t < 3; t++) {
            for (int i = 0; i < 3; i++)
                draw(&r, &p[i].grad, 1.3);
            check(ctx, opt_optim_step(o));
        }
        opt_optim_free(o);
        hash ^= hash_params((opt_params){p, 3});
    }
    note("steps-", "muon", dtype, hash);
    for (int i = 0; i < 3; i++) {
        opt_tensor_free(ctx, &p[i].value);
        opt_tensor_free(ctx, &p[i].grad);
    }
}

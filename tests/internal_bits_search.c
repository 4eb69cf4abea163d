/* SPDX-License-Identifier: MIT
 *
 * A part of internal_bits: hashes of what opt_lbfgs comes to.
 */
#include "internal_bits.h"

#include <math.h>

/* Of a network on all of a table. */
typedef struct all {
    opt_model model;
    opt_batch batch;
} all;

static opt_status evaluate_all(void *ud, double *loss)
{
    const all *a = ud;

    return a->model.grad(a->model.self, &a->batch, loss);
}

/* With as many weights as threads share, and a history that comes round. */
void search_wide(opt_ctx *ctx, opt_dtype dtype)
{
    const opt_lbfgs_opts hyper = {.history = 3};
    const opt_optim_opts opts = {.lr = 1, .l2 = 1e-3};
    opt_table table = {make(ctx, dtype, 130, 300), make(ctx, dtype, 130, 20)};
    double loss = (double)NAN;
    opt_mlp *net;
    opt_optim *o;
    opt_rng r;
    all a;

    opt_rng_seed(&r, 4);
    draw(&r, &table.x, 1);
    for (int64_t i = 0; i < 130; i++)
        opt_set(&table.y, 20 * i + (int64_t)(20 * opt_rng_uniform(&r)), 1);
    check(ctx,
          opt_mlp_new(
              ctx,
              &(opt_mlp_opts){
                  .size = {300, 120, 20}, .act = OPT_TANH, .loss = OPT_SOFTMAX_CE, .dtype = dtype, .seed = 3},
              &net));
    a = (all){opt_mlp_model(net), {.x = table.x, .y = table.y, .global_rows = 130}};
    check(ctx, opt_optim_new(ctx, &opt_lbfgs, &hyper, &opts, a.model.params, &o));
    for (int t = 0; t < 12; t++)
        check(ctx, opt_optim_search(o, evaluate_all, &a, &loss));
    note("wide-", "lbfgs", dtype, hash_params(a.model.params));
    opt_optim_free(o);
    opt_mlp_free(net);
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
}

void search_moons(opt_ctx *ctx, opt_dtype dtype)
{
    opt_table table = moons_table(ctx, dtype);
    opt_source source = opt_source_table(&table);
    opt_batches *batches;
    opt_model model;
    opt_optim *o;
    opt_mlp *net;

    check(ctx,
          opt_mlp_new(ctx, &(opt_mlp_opts){.size = {2, 5, 2, 1}, .act = OPT_TANH, .dtype = dtype, .seed = 3},
                      &net));
    model = opt_mlp_model(net);
    check(ctx, opt_batches_new(ctx, &source, &(opt_batches_opts){.size = 300, .seed = 10}, &batches));
    check(ctx, opt_optim_new(ctx, &opt_lbfgs, NULL, &(opt_optim_opts){.lr = 1}, model.params, &o));
    check(ctx, opt_train(ctx, &model, o, batches, &(opt_train_opts){.epochs = 60}));
    note("moons-", "lbfgs", dtype, hash_params(model.params));
    opt_optim_free(o);
    opt_batches_free(batches);
    opt_mlp_free(net);
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
}

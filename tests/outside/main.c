/* SPDX-License-Identifier: MIT
 *
 * A program of somebody else's: trains for two epochs, and sees that header, library and package (VERSION)
 * agree, and that a NaN is noticed whatever the flags of the project. It calls nothing that needs zlib, and
 * so links without.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <opt.h>

static opt_status train(opt_ctx *ctx, double *loss)
{
    const opt_mlp_opts mlp_opts = {.size = {2, 5, 1}, .seed = 3};
    const opt_optim_opts optim_opts = {.lr = 0.01};
    const opt_train_opts train_opts = {.epochs = 2};
    opt_table table = {0};
    opt_source source;
    opt_model model;
    opt_mlp *net = NULL;
    opt_batches *batches = NULL;
    opt_optim *adam = NULL;

    opt_status s = opt_moons(ctx, 100, 0.2, 3, &table);
    if (!s)
        s = opt_mlp_new(ctx, &mlp_opts, &net);
    if (!s) {
        source = opt_source_table(&table);
        s = opt_batches_new(ctx, &source, NULL, &batches);
    }
    if (!s)
        s = opt_optim_new(ctx, &opt_adam, NULL, &optim_opts, opt_mlp_params(net), &adam);
    if (!s) {
        model = opt_mlp_model(net);
        s = opt_train(ctx, &model, adam, batches, &train_opts);
    }
    if (!s)
        s = opt_mlp_loss(net, &table.x, &table.y, loss);

    opt_optim_free(adam);
    opt_batches_free(batches);
    opt_mlp_free(net);
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
    return s;
}

static opt_status moments_of_a_nan(opt_ctx *ctx)
{
    double d[2] = {1, strtod("nan", NULL)};
    const opt_tensor t = opt_tensor_view(OPT_F64, d, 2, (const int64_t[]){2, 1});
    opt_tensor mean = {0}, sd = {0};
    const opt_status s = opt_moments(ctx, &t, &mean, &sd);

    opt_tensor_free(ctx, &mean);
    opt_tensor_free(ctx, &sd);
    return s;
}

int main(void)
{
    const opt_ctx_opts opts = {.threads = 2};
    opt_ctx *ctx = opt_ctx_new(&opts);
    double loss = NAN;
    const opt_status s = train(ctx, &loss);
    int bad = 0;

    if (s || !isfinite(loss)) {
        fprintf(stderr, "training: %s, loss %g\n", opt_errmsg(ctx), loss);
        bad = 1;
    }
    if (moments_of_a_nan(ctx) != OPT_ENONFINITE) {
        fprintf(stderr, "a NaN was not noticed\n");
        bad = 1;
    }
    if (strcmp(opt_version(), OPT_VERSION) != 0 || strcmp(opt_version(), VERSION) != 0) {
        fprintf(stderr, "library %s, header %s, package %s\n", opt_version(), OPT_VERSION, VERSION);
        bad = 1;
    }
    opt_ctx_free(ctx);
    return bad;
}

/* SPDX-License-Identifier: MIT
 *
 * The network: making it.
 */
#include "mlp/mlp.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <opt/rng.h>

#include "tensor/tensor.h"

#define PART_OPERATIONS 0x1p18 /* that are worth a thread's while: about 2 microseconds */

/* ---- Making one ---------------------------------------------------------------------------------------- */

static opt_status check_options(opt_ctx *ctx, const opt_mlp_opts *o, int *layers)
{
    int sizes = 0;

    while (sizes < OPT_MLP_MAX_SIZES && o->size[sizes] != 0)
        sizes++;
    for (int i = 0; i < OPT_MLP_MAX_SIZES; i++)
        if (o->size[i] < 0 || (i > sizes && o->size[i] != 0))
            return opt__fail(ctx, OPT_EINVAL, "mlp: size[%d] = %lld %s", i, (long long)o->size[i],
                             o->size[i] < 0 ? "is below 1" : "follows a 0");
    if (sizes < 2)
        return opt__fail(ctx, OPT_EINVAL, "mlp: size has %d entries, not inputs and outputs", sizes);
    if (o->act != OPT_RELU && o->act != OPT_TANH && o->act != OPT_SIGMOID)
        return opt__fail(ctx, OPT_EINVAL, "mlp: act = %d is unknown", (int)o->act);
    if (o->loss != OPT_BCE && o->loss != OPT_SOFTMAX_CE && o->loss != OPT_MSE)
        return opt__fail(ctx, OPT_EINVAL, "mlp: loss = %d is unknown", (int)o->loss);
    if (o->dtype != OPT_F32 && o->dtype != OPT_F64)
        return opt__fail(ctx, OPT_EDTYPE, "mlp: dtype = %d is neither OPT_F32 nor OPT_F64", (int)o->dtype);
    if (o->loss == OPT_SOFTMAX_CE && o->size[sizes - 1] < 2)
        return opt__fail(ctx, OPT_EINVAL, "mlp: softmax needs 2 outputs or more, size[%d] = 1", sizes - 1);
    *layers = sizes - 1;
    return OPT_OK;
}

/* The layers' shapes, and how many values and how much workspace they come to. There are at least twice as
 * many values as units, and as many as inputs: where these do not overflow, the workspace does not. */
static opt_status set_sizes(opt_mlp *net, const int64_t *size, int64_t *workspace)
{
    const int64_t most = PTRDIFF_MAX / (int64_t)sizeof(double) / (2 * OPT__LANE + 1);

    *workspace = 0;
    for (int i = 0; i < net->layers; i++) {
        opt__layer *l = &net->layer[i];
        const int64_t weights = opt__count(net->dtype, 2, (int64_t[]){size[i + 1], size[i]});

        l->in = size[i];
        l->out = size[i + 1];
        if (weights < 0 || l->out > most || weights > most - l->out - net->nvalues)
            return opt__fail(net->ctx, OPT_EINVAL, "mlp: size[%d] = %lld times size[%d] = %lld overflows", i,
                             (long long)l->in, i + 1, (long long)l->out);
        net->nvalues += weights + l->out;
        *workspace += 2 * OPT__LANE * l->out;
    }
    *workspace += OPT__LANE * size[0];
    return OPT_OK;
}

/* Parameter 'W' or 'b' of a layer, from 0. */
static void set_param(opt_mlp *net, char letter, int layer, void *value, void *grad, int ndim,
                      const int64_t *dim)
{
    const int i = 2 * layer + (letter == 'b');

    snprintf(net->name[i], sizeof net->name[i], "%c%d", letter, layer + 1);
    net->param[i] = (opt_param){.name = net->name[i],
                                .value = opt_tensor_view(net->dtype, value, ndim, dim),
                                .grad = opt_tensor_view(net->dtype, grad, ndim, dim)};
}

/* How many of `units`, each so many operations, a thread takes at a time. */
static int64_t step_of(const opt_ctx *ctx, int64_t units, int64_t operations)
{
    const double worth = (double)units * (double)operations / PART_OPERATIONS;
    const int64_t parts = worth < 2.0 * ctx->threads ? (int64_t)worth : 2 * (int64_t)ctx->threads;

    return ctx->threads == 1 || parts < 2 ? units : ((units - 1) / parts / 16 + 1) * 16;
}

/* Points layers and parameters into the three blocks of memory. */
static void lay_out(opt_mlp *net)
{
    const size_t size = opt__size(net->dtype);
    char *value = net->values, *grad = net->grads, *room = net->workspace;
    int64_t at = 0;

    net->xt = room;
    net->x_step = step_of(net->ctx, net->layer[0].in, 32 * OPT__LANE);
    room += OPT__LANE * net->layer[0].in * (int64_t)size;

    for (int i = 0; i < net->layers; i++) {
        opt__layer *l = &net->layer[i];
        const size_t weights = (size_t)(l->in * l->out) * size, biases = (size_t)l->out * size;

        l->w = value;
        l->b = value + weights;
        l->w_at = at;
        l->b_at = at + l->in * l->out;
        l->out_step = step_of(net->ctx, l->out, 2 * OPT__LANE * l->in);
        l->in_step = step_of(net->ctx, l->in, 2 * OPT__LANE * l->out);
        l->apart = 2.0 * OPT__LANE * (double)l->in * (double)l->out >= PART_OPERATIONS;
        l->a = room;
        l->dz = room + OPT__LANE * biases;
        set_param(net, 'W', i, l->w, grad, 2, (int64_t[]){l->out, l->in});
        set_param(net, 'b', i, l->b, grad + weights, 1, (int64_t[]){l->out});
        value += weights + biases;
        grad += weights + biases;
        room += 2 * OPT__LANE * biases;
        at = l->b_at + l->out;
    }
}

static void initialise(opt_mlp *net, uint32_t seed)
{
    opt_rng rng;

    opt_rng_seed(&rng, seed);
    for (int i = 0; i < net->layers; i++) {
        const opt_tensor w = opt_tensor_view(net->dtype, net->layer[i].w, 1,
                                             (int64_t[]){net->layer[i].in * net->layer[i].out});
        const double scale = sqrt((net->act == OPT_RELU ? 2.0 : 1.0) / (double)net->layer[i].in);

        for (int64_t k = 0, n = opt_tensor_len(&w); k < n; k++)
            opt_set(&w, k, opt_rng_normal(&rng) * scale);
    }
}

opt_status opt_mlp_new(opt_ctx *ctx, const opt_mlp_opts *opts, opt_mlp **out)
{
    opt_status s = opt__enter(ctx);
    opt_mlp_opts given;
    int64_t workspace;
    opt_mlp *net;
    int layers = 0;

    if (s)
        return s;
    if (opts == NULL || out == NULL)
        return opt__fail(ctx, OPT_EINVAL, "mlp: %s is NULL", opts ? "out" : "opts");
    given = *opts;
    if (given.dtype == 0)
        given.dtype = OPT_F64;
    s = check_options(ctx, &given, &layers);
    if (s)
        return s;
    net = opt__alloc(ctx, 1, sizeof *net);
    if (net == NULL)
        return opt__no_memory(ctx, "mlp");
    net->ctx = ctx;
    net->kernels = opt__kernels_of(ctx, given.dtype);
    net->act = given.act;
    net->loss = given.loss;
    net->dtype = given.dtype;
    net->layers = layers;
    s = set_sizes(net, given.size, &workspace);
    if (s)
        goto fail;
    net->values = opt__alloc(ctx, net->nvalues, opt__size(net->dtype));
    net->grads = opt__alloc(ctx, net->nvalues, opt__size(net->dtype));
    net->workspace = opt__alloc(ctx, workspace, opt__size(net->dtype));
    if (!net->values || !net->grads || !net->workspace) {
        s = opt__no_memory(ctx, "mlp");
        goto fail;
    }
    lay_out(net);
    initialise(net, given.seed);
    *out = net;
    return OPT_OK;

fail:
    opt_mlp_free(net);
    return s;
}

void opt_mlp_free(opt_mlp *net)
{
    if (net != NULL) {
        opt__free(net->ctx, net->values);
        opt__free(net->ctx, net->grads);
        opt__free(net->ctx, net->workspace);
        for (int i = 0; i < OPT__MLP_LEVELS; i++)
            opt__free(net->ctx, net->level[i]);
        opt__free(net->ctx, net);
    }
}

opt_params opt_mlp_params(opt_mlp *net)
{
    return net ? (opt_params){net->param, 2 * net->layers} : (opt_params){0};
}

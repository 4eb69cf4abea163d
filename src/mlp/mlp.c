/* SPDX-License-Identifier: MIT
 *
 * The network: making it, and passes over batches in chunks of rows.
 */
#include "mlp/mlp.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <opt/rng.h>

#include "tensor/tensor.h"

#define NARROW 16 /* inputs below which a layer is narrow */

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

/* The layers' shapes, and how many values and how much workspace they come to. */
static opt_status set_sizes(opt_mlp *net, const int64_t *size, int64_t *workspace)
{
    const int64_t most = PTRDIFF_MAX / (int64_t)sizeof(double) / (2 * OPT__LANE + 1);

    *workspace = 0;
    for (int i = 0; i < net->layers; i++) {
        opt__layer *l = &net->layer[i];
        const int64_t weights = opt__count(net->dtype, 2, (int64_t[]){size[i + 1], size[i]});

        l->in = size[i];
        l->out = size[i + 1];
        if (weights < 0 || l->out > most || weights > most - l->out - net->nvalues ||
            *workspace > PTRDIFF_MAX / (int64_t)sizeof(double) - 2 * OPT__LANE * l->out)
            return opt__fail(net->ctx, OPT_EINVAL, "mlp: size[%d] = %lld times size[%d] = %lld overflows", i,
                             (long long)l->in, i + 1, (long long)l->out);
        net->nvalues += weights + l->out;
        *workspace += 2 * OPT__LANE * l->out;
    }
    if (size[0] > PTRDIFF_MAX / (int64_t)sizeof(double) / OPT__LANE - *workspace / OPT__LANE)
        return opt__fail(net->ctx, OPT_EINVAL, "mlp: size[0] = %lld overflows", (long long)size[0]);
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

/* Points layers and parameters into the three blocks of memory. */
static void lay_out(opt_mlp *net)
{
    const size_t size = opt__size(net->dtype);
    char *value = net->values, *grad = net->grads, *room = net->workspace;

    net->xt = room;
    room += OPT__LANE * net->layer[0].in * (int64_t)size;

    for (int i = 0; i < net->layers; i++) {
        opt__layer *l = &net->layer[i];
        const size_t weights = (size_t)(l->in * l->out) * size, biases = (size_t)l->out * size;

        l->w = value;
        l->b = value + weights;
        l->dw = grad;
        l->db = grad + weights;
        l->a = room;
        l->dz = room + OPT__LANE * biases;
        value += weights + biases;
        grad += weights + biases;
        room += 2 * OPT__LANE * biases;
        set_param(net, 'W', i, l->w, l->dw, 2, (int64_t[]){l->out, l->in});
        set_param(net, 'b', i, l->b, l->db, 1, (int64_t[]){l->out});
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
        opt__free(net->ctx, net);
    }
}

opt_params opt_mlp_params(opt_mlp *net)
{
    return net ? (opt_params){net->param, 2 * net->layers} : (opt_params){0};
}

/* ---- Passes -------------------------------------------------------------------------------------------- */

/* OPT_OK when t is [rows, cols] of the network's dtype; rows below 0: any number. */
static opt_status check_rows(const opt_mlp *net, const char *what, const opt_tensor *t, int64_t rows,
                             int64_t cols)
{
    opt_status s = opt__check_tensor(net->ctx, what, t);

    if (s)
        return s;
    if (t->ndim < 1 || opt__cols(t) != cols)
        return opt__fail(net->ctx, OPT_ESHAPE, "%s is %s, not rows of %lld", what, opt__shape_of(t).text,
                         (long long)cols);
    if (rows >= 0 && opt__rows(t) != rows)
        return opt__fail(net->ctx, OPT_ESHAPE, "%s is %s where x has %lld rows", what, opt__shape_of(t).text,
                         (long long)rows);
    if (t->dtype != net->dtype)
        return opt__fail(net->ctx, OPT_EDTYPE, "%s is %s where the network is %s", what,
                         opt__dtype_name(t->dtype), opt__dtype_name(net->dtype));
    return OPT_OK;
}

static opt_status check_xy(const opt_mlp *net, const opt_tensor *x, const opt_tensor *y)
{
    const int64_t outputs = net->layer[net->layers - 1].out;
    opt_status s = check_rows(net, "mlp: x", x, -1, net->layer[0].in);
    int64_t bad;

    if (!s)
        s = check_rows(net, "mlp: y", y, opt__rows(x), outputs);
    if (s)
        return s;
    bad = net->kernels->bad_label[net->loss](outputs, opt__rows(y), y->data);
    if (bad >= 0)
        return opt__fail(net->ctx, OPT_EINVAL, "mlp: row %lld of y is not %s", (long long)bad,
                         net->loss == OPT_BCE ? "within [0, 1]" : "one-hot: one 1 among zeros");
    return OPT_OK;
}

/* Rows of the chunk that starts at `row` of n. */
static int64_t chunk_rows(int64_t n, int64_t row)
{
    return n - row < OPT__LANE ? n - row : OPT__LANE;
}

/* The activations that layer i takes in, [in, OPT__LANE]. */
static const void *input_of(const opt_mlp *net, int i)
{
    return i > 0 ? net->layer[i - 1].a : net->xt;
}

/* Leaves every layer's activations, the last one's z, in a, for x [rows, in], rows <= OPT__LANE. */
static void forward(const opt_mlp *net, const void *x, int64_t rows)
{
    const opt__kernels *k = net->kernels;
    const int last = net->layers - 1;
    const int64_t n = opt__padded(rows);

    k->transpose(rows, net->layer[0].in, x, net->layer[0].in, net->xt);
    for (int i = 0; i <= last; i++) {
        const opt__layer *l = &net->layer[i];

        if (l->in < NARROW)
            k->narrow_product(l->out, l->in, n, l->w, l->in, 1, input_of(net, i), l->a);
        else
            k->matmul(false, false, l->out, n, l->in, l->w, l->in, input_of(net, i), OPT__LANE, 0, l->a,
                      OPT__LANE);
        k->activate[i < last ? (int)net->act : OPT__LINEAR](l->out, n, l->b, l->a);
    }
}

/* Adds these rows' gradients to dw and db, after forward and once the last layer has its dz; to nothing if
 * they are the batch's first. The gradient by x itself is not wanted. */
static void backward(const opt_mlp *net, const void *x, int64_t rows, bool first)
{
    const opt__kernels *k = net->kernels;
    const int64_t n = opt__padded(rows);

    for (int i = net->layers - 1; i >= 0; i--) {
        const opt__layer *l = &net->layer[i], *before = i > 0 ? l - 1 : NULL;
        const bool narrow = l->in < NARROW;
        const double beta = first ? 0 : 1;

        if (first) {
            memset(l->db, 0, (size_t)l->out * opt__size(net->dtype));
            if (narrow)
                memset(l->dw, 0, (size_t)(l->out * l->in) * opt__size(net->dtype));
        }
        k->narrow_gradient(l->out, l->in, n, l->dz, input_of(net, i), narrow ? l->dw : NULL, l->db);
        if (!narrow && before == NULL)
            k->matmul(false, false, l->out, l->in, rows, l->dz, OPT__LANE, x, l->in, beta, l->dw, l->in);
        else if (!narrow)
            k->matmul(false, true, l->out, l->in, rows, l->dz, OPT__LANE, before->a, OPT__LANE, beta, l->dw,
                      l->in);
        if (before != NULL) {
            if (l->out < NARROW)
                k->narrow_product(l->in, l->out, n, l->w, 1, l->in, l->dz, before->dz);
            else
                k->matmul(true, false, l->in, n, l->out, l->w, l->in, l->dz, OPT__LANE, 0, before->dz,
                          OPT__LANE);
            k->derive[net->act](l->in, n, before->a, before->dz);
        }
    }
}

/* The factor that makes a sum of losses over outputs what the loss is: 1, or 1/k for a mean. */
static double loss_factor(const opt_mlp *net)
{
    return net->loss == OPT_SOFTMAX_CE ? 1 : 1 / (double)net->layer[net->layers - 1].out;
}

opt_status opt_mlp_predict(opt_mlp *net, const opt_tensor *x, opt_tensor *out)
{
    const opt__layer *last;
    opt_status s;
    int64_t n;

    if (net == NULL)
        return OPT_EINVAL;
    last = &net->layer[net->layers - 1];
    s = check_rows(net, "mlp: x", x, -1, net->layer[0].in);
    if (!s)
        s = check_rows(net, "mlp: out", out, opt__rows(x), last->out);
    if (s)
        return s;
    if (opt__overlap(x, out))
        return opt__fail(net->ctx, OPT_EINVAL, "mlp: out overlaps x");
    n = opt__rows(x);
    for (int64_t i = 0; i < n; i += OPT__LANE) {
        const int64_t rows = chunk_rows(n, i);

        forward(net, opt__at(x, i * net->layer[0].in), rows);
        net->kernels->output[net->loss](last->out, rows, last->a, opt__at(out, i * last->out));
    }
    return OPT_OK;
}

opt_status opt_mlp_loss(opt_mlp *net, const opt_tensor *x, const opt_tensor *y, double *mean_loss)
{
    const opt__layer *last;
    double sum = 0;
    opt_status s;
    int64_t n;

    if (net == NULL)
        return OPT_EINVAL;
    last = &net->layer[net->layers - 1];
    s = check_xy(net, x, y);
    if (s)
        return s;
    if (mean_loss == NULL)
        return opt__fail(net->ctx, OPT_EINVAL, "mlp: mean_loss is NULL");
    n = opt__rows(x);
    for (int64_t i = 0; i < n; i += OPT__LANE) {
        const int64_t rows = chunk_rows(n, i);

        forward(net, opt__at(x, i * net->layer[0].in), rows);
        sum += net->kernels->loss[net->loss](last->out, rows, last->a, opt__at(y, i * last->out), 0, NULL);
    }
    *mean_loss = sum * (loss_factor(net) / (double)n);
    return OPT_OK;
}

opt_status opt__mlp_grad_part(opt_mlp *net, const opt_tensor *x, const opt_tensor *y, int64_t global_rows,
                              double *loss)
{
    const opt__layer *last = &net->layer[net->layers - 1];
    const bool empty = x != NULL && x->data == NULL;
    double sum = 0, factor;
    opt_status s = empty ? OPT_OK : check_xy(net, x, y);
    int64_t n;

    if (s)
        return s;
    if (loss == NULL)
        return opt__fail(net->ctx, OPT_EINVAL, "mlp: mean_loss is NULL");
    n = empty ? 0 : opt__rows(x);
    factor = loss_factor(net) / (double)global_rows;
    if (n == 0)
        memset(net->grads, 0, (size_t)net->nvalues * opt__size(net->dtype));
    for (int64_t i = 0; i < n; i += OPT__LANE) {
        const int64_t rows = chunk_rows(n, i);
        const void *x_i = opt__at(x, i * net->layer[0].in), *y_i = opt__at(y, i * last->out);

        forward(net, x_i, rows);
        sum += net->kernels->loss[net->loss](last->out, rows, last->a, y_i, factor, last->dz);
        backward(net, x_i, rows, i == 0);
    }
    *loss = sum * factor;
    return OPT_OK;
}

opt_status opt_mlp_grad(opt_mlp *net, const opt_tensor *x, const opt_tensor *y, double *mean_loss)
{
    if (net == NULL)
        return OPT_EINVAL;
    if (x == NULL || x->data == NULL)
        return opt__fail(net->ctx, OPT_EINVAL, "mlp: x %s", x ? "has no data" : "is NULL");
    return opt__mlp_grad_part(net, x, y, x->ndim > 0 ? opt__rows(x) : 1, mean_loss);
}

/* SPDX-License-Identifier: MIT
 *
 * One chunk's way through the network, the units of each layer shared among threads.
 */
#include "mlp/mlp.h"

#include <string.h>

#define NARROW 16 /* inputs below which a layer is narrow */
#define FEW    4  /* examples that are not worth whole vectors of them */

/* The activations that layer i takes in, [in, OPT__LANE]. */
static const void *input_of(const opt_mlp *net, int i)
{
    return i > 0 ? net->layer[i - 1].a : net->xt;
}

static void transpose_part(void *arg, int64_t part, int thread)
{
    const opt__pass *p = arg;
    const opt_mlp *net = p->net;
    const int64_t inputs = net->layer[0].in, first = part * net->x_step;
    const char *x = p->x;

    (void)thread;
    net->kernels->transpose(p->rows, opt__smaller(net->x_step, inputs - first),
                            x + first * (int64_t)opt__size(net->dtype), inputs,
                            opt__mlp_at(net, net->xt, first * OPT__LANE));
}

/* a's columns from rows to n <- 0: what there is no example for takes no part in sums, even where it would
 * have been infinite. */
static void clear_padding(const opt__pass *p, int64_t units, int64_t n, void *a)
{
    for (int64_t u = 0; p->rows < n && u < units; u++)
        memset(opt__mlp_at(p->net, a, u * OPT__LANE + p->rows), 0,
               (size_t)(n - p->rows) * opt__size(p->net->dtype));
}

/* z [units, padded rows] <- op(w) x. Of one or a few examples only those are computed, and 0 left in the
 * padding, which must not hold anything that is not finite. */
static void product(const opt__pass *p, bool transposed, int64_t units, int64_t inputs, const void *w,
                    int64_t w_row, const void *x, void *z)
{
    const opt_mlp *net = p->net;
    const int64_t padded = opt__padded(p->rows), n = p->rows <= FEW ? p->rows : padded;

    net->kernels->matmul(transposed, false, units, n, inputs, w, w_row, x, OPT__LANE, 0, z, OPT__LANE);
    if (n < padded)
        clear_padding(p, units, padded, z);
}

/* Some units' activations in layer p->i. */
static void forward_part(void *arg, int64_t part, int thread)
{
    const opt__pass *p = arg;
    const opt_mlp *net = p->net;
    const opt__kernels *k = net->kernels;
    const opt__layer *l = &net->layer[p->i];
    const int64_t n = opt__padded(p->rows), first = part * l->out_step;
    const int64_t units = opt__smaller(l->out_step, l->out - first);
    const void *w = opt__mlp_at(net, l->w, first * l->in), *input = input_of(net, p->i);
    const void *b = opt__mlp_at(net, l->b, first);
    const int act = p->i < net->layers - 1 ? (int)net->act : OPT__LINEAR;
    void *a = opt__mlp_at(net, l->a, first * OPT__LANE);

    (void)thread;
    if (l->in < NARROW && (act == OPT_RELU || act == OPT__LINEAR)) {
        k->narrow_product(act == OPT_RELU ? OPT__ADD_BIAS_RELU : OPT__ADD_BIAS, units, l->in, n, w, l->in, 1,
                          input, b, a);
    } else {
        if (l->in < NARROW)
            k->narrow_product(OPT__AS_IT_IS, units, l->in, n, w, l->in, 1, input, NULL, a);
        else
            product(p, false, units, l->in, w, l->in, input, a);
        k->activate[act](units, n, b, a);
    }
    clear_padding(p, units, n, a);
}

void opt__forward(opt__pass *p)
{
    const opt_mlp *net = p->net;

    opt__parallel(net->ctx, opt__parts_of(net->layer[0].in, net->x_step), transpose_part, p);
    for (p->i = 0; p->i < net->layers; p->i++) {
        const opt__layer *l = &net->layer[p->i];

        opt__parallel(net->ctx, opt__parts_of(l->out, l->out_step), forward_part, p);
    }
}

/* Gradients of layer p->i's weights and biases for units [first, first + units). */
static void weight_gradients(const opt__pass *p, int64_t first, int64_t units)
{
    const opt_mlp *net = p->net;
    const opt__kernels *k = net->kernels;
    const opt__layer *l = &net->layer[p->i];
    const bool narrow = l->in < NARROW;
    const int64_t n = opt__padded(p->rows);
    const void *dz = opt__mlp_at(net, l->dz, first * OPT__LANE);
    void *dw = opt__mlp_at(net, p->grads, l->w_at + first * l->in),
         *db = opt__mlp_at(net, p->grads, l->b_at + first);

    k->narrow_gradient(units, l->in, n, dz, input_of(net, p->i), narrow ? dw : NULL, db, p->add);
    if (narrow)
        return;
    if (p->i == 0 && p->add)
        k->matmul_add(false, false, units, l->in, p->rows, dz, OPT__LANE, p->x, l->in, dw, l->in);
    else if (p->i == 0)
        k->matmul(false, false, units, l->in, p->rows, dz, OPT__LANE, p->x, l->in, 0, dw, l->in);
    else if (p->add)
        k->matmul_add(false, true, units, l->in, p->rows, dz, OPT__LANE, l[-1].a, OPT__LANE, dw, l->in);
    else
        k->matmul(false, true, units, l->in, p->rows, dz, OPT__LANE, l[-1].a, OPT__LANE, 0, dw, l->in);
}

/* The gradient by the z of the layer before p->i, for units [first, first + units) of that. */
static void input_gradients(const opt__pass *p, int64_t first, int64_t units)
{
    const opt_mlp *net = p->net;
    const opt__kernels *k = net->kernels;
    const opt__layer *l = &net->layer[p->i], *before = l - 1;
    const int64_t n = opt__padded(p->rows);
    const void *w = opt__mlp_at(net, l->w, first), *a = opt__mlp_at(net, before->a, first * OPT__LANE);
    void *dz = opt__mlp_at(net, before->dz, first * OPT__LANE);

    if (l->out < NARROW && net->act == OPT_RELU) {
        k->narrow_product(OPT__DERIVE_RELU, units, l->out, n, w, 1, l->in, l->dz, a, dz);
        return;
    }
    if (l->out < NARROW)
        k->narrow_product(OPT__AS_IT_IS, units, l->out, n, w, 1, l->in, l->dz, NULL, dz);
    else
        product(p, true, units, l->out, w, l->in, l->dz, dz);
    k->derive[net->act](units, n, a, dz);
}

static void backward_part(void *arg, int64_t part, int thread)
{
    const opt__pass *p = arg;
    const opt__layer *l = &p->net->layer[p->i];
    const int64_t weight_parts = opt__parts_of(l->out, l->out_step), first = part * l->out_step;
    const int64_t input = (part - weight_parts) * l->in_step;

    (void)thread;
    if (part < weight_parts)
        weight_gradients(p, first, opt__smaller(l->out_step, l->out - first));
    else
        input_gradients(p, input, opt__smaller(l->in_step, l->in - input));
}

static void backward_whole(void *arg, int64_t part, int thread)
{
    backward_part(arg, part, thread);
    backward_part(arg, part + 1, thread);
}

void opt__backward_layer(opt__pass *p)
{
    const opt__layer *l = &p->net->layer[p->i];
    const int64_t input_parts = p->i > 0 ? opt__parts_of(l->in, l->in_step) : 0;
    const int64_t parts = opt__parts_of(l->out, l->out_step) + input_parts;

    if (parts == 2 && input_parts == 1 && !l->apart)
        opt__parallel(p->net->ctx, 1, backward_whole, p);
    else
        opt__parallel(p->net->ctx, parts, backward_part, p);
}

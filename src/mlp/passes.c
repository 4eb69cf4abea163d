/* SPDX-License-Identifier: MIT
 *
 * Passes over batches: chunk by chunk, summed by a tree, the units of each layer shared among threads.
 */
#include "mlp/mlp.h"

#include <string.h>

#include "tensor/tensor.h"

#define NARROW 16 /* inputs below which a layer is narrow */
#define FEW    4  /* examples that are not worth whole vectors of them */

/* ---- Arguments ----------------------------------------------------------------------------------------- */

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

/* ---- One chunk ----------------------------------------------------------------------------------------- */

/* A chunk on its way through the network, for the threads that share it. */
typedef struct pass {
    const opt_mlp *net;
    const void *x; /* [rows, inputs] */
    int64_t rows;
    int i;       /* the layer in hand */
    void *grads; /* [nvalues] that backward adds to, or overwrites */
    bool add;
} pass;

/* The address of element i of an array of the network's dtype. */
static void *at(const opt_mlp *net, void *array, int64_t i)
{
    return (char *)array + i * (int64_t)opt__size(net->dtype);
}

static const void *look_at(const opt_mlp *net, const void *array, int64_t i)
{
    return (const char *)array + i * (int64_t)opt__size(net->dtype);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t parts_of(int64_t units, int64_t step)
{
    return (units - 1) / step + 1;
}

/* The activations that layer i takes in, [in, OPT__LANE]. */
static const void *input_of(const opt_mlp *net, int i)
{
    return i > 0 ? net->layer[i - 1].a : net->xt;
}

static void transpose_part(void *arg, int64_t part, int thread)
{
    const pass *p = arg;
    const opt_mlp *net = p->net;
    const int64_t inputs = net->layer[0].in, first = part * net->x_step;

    (void)thread;
    net->kernels->transpose(p->rows, smaller(net->x_step, inputs - first), look_at(net, p->x, first), inputs,
                            at(net, net->xt, first * OPT__LANE));
}

/* a's columns from rows to n <- 0: what there is no example for takes no part in sums, even where it would
 * have been infinite. */
static void clear_padding(const pass *p, int64_t units, int64_t n, void *a)
{
    for (int64_t u = 0; p->rows < n && u < units; u++)
        memset(at(p->net, a, u * OPT__LANE + p->rows), 0, (size_t)(n - p->rows) * opt__size(p->net->dtype));
}

/* z [units, padded rows] <- op(w) x. Of one or a few examples only those are computed, and 0 left in the
 * padding, which must not hold anything that is not finite. */
static void product(const pass *p, bool transposed, int64_t units, int64_t inputs, const void *w,
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
    const pass *p = arg;
    const opt_mlp *net = p->net;
    const opt__kernels *k = net->kernels;
    const opt__layer *l = &net->layer[p->i];
    const int64_t n = opt__padded(p->rows), first = part * l->out_step;
    const int64_t units = smaller(l->out_step, l->out - first);
    const void *w = at(net, l->w, first * l->in), *input = input_of(net, p->i);
    const void *b = at(net, l->b, first);
    const int act = p->i < net->layers - 1 ? (int)net->act : OPT__LINEAR;
    void *a = at(net, l->a, first * OPT__LANE);

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

/* Leaves every layer's activations, the last one's z, in a. */
static void forward(pass *p)
{
    const opt_mlp *net = p->net;

    opt__parallel(net->ctx, parts_of(net->layer[0].in, net->x_step), transpose_part, p);
    for (p->i = 0; p->i < net->layers; p->i++) {
        const opt__layer *l = &net->layer[p->i];

        opt__parallel(net->ctx, parts_of(l->out, l->out_step), forward_part, p);
    }
}

/* Gradients of layer p->i's weights and biases for units [first, first + units). */
static void weight_gradients(const pass *p, int64_t first, int64_t units)
{
    const opt_mlp *net = p->net;
    const opt__kernels *k = net->kernels;
    const opt__layer *l = &net->layer[p->i];
    const bool narrow = l->in < NARROW;
    const int64_t n = opt__padded(p->rows);
    const void *dz = at(net, l->dz, first * OPT__LANE);
    void *dw = at(net, p->grads, l->w_at + first * l->in), *db = at(net, p->grads, l->b_at + first);

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
static void input_gradients(const pass *p, int64_t first, int64_t units)
{
    const opt_mlp *net = p->net;
    const opt__kernels *k = net->kernels;
    const opt__layer *l = &net->layer[p->i], *before = l - 1;
    const int64_t n = opt__padded(p->rows);
    const void *w = at(net, l->w, first), *a = at(net, before->a, first * OPT__LANE);
    void *dz = at(net, before->dz, first * OPT__LANE);

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
    const pass *p = arg;
    const opt__layer *l = &p->net->layer[p->i];
    const int64_t weight_parts = parts_of(l->out, l->out_step), first = part * l->out_step;
    const int64_t input = (part - weight_parts) * l->in_step;

    (void)thread;
    if (part < weight_parts)
        weight_gradients(p, first, smaller(l->out_step, l->out - first));
    else
        input_gradients(p, input, smaller(l->in_step, l->in - input));
}

/* The gradients, after forward and once the last layer has its dz. That by x itself is not wanted. */
static void backward(pass *p)
{
    const opt_mlp *net = p->net;

    for (p->i = net->layers - 1; p->i >= 0; p->i--) {
        const opt__layer *l = &net->layer[p->i];
        const int64_t input_parts = p->i > 0 ? parts_of(l->in, l->in_step) : 0;

        opt__parallel(net->ctx, parts_of(l->out, l->out_step) + input_parts, backward_part, p);
    }
}

/* ---- Trees of chunks ----------------------------------------------------------------------------------- */

typedef struct batch {
    opt_mlp *net;
    const opt_tensor *x, *y;
    const double *weight;  /* [rows] of examples, or NULL: 1 */
    const opt_tensor *out; /* [rows, outputs] for predictions, or NULL */
    double share;          /* what makes sums over rows their share of the batch's mean */
    int64_t chunk;         /* rows */
    bool learn;            /* gradients are wanted */
} batch;

/* The loss of one chunk; its gradient is added to grads, or overwrites them. */
static double chunk(const batch *b, int64_t number, void *grads, bool add)
{
    opt_mlp *net = b->net;
    const opt__layer *last = &net->layer[net->layers - 1];
    const int64_t first = number * b->chunk, rest = opt__rows(b->x) - first;
    pass p = {.net = net,
              .x = opt__at(b->x, first * net->layer[0].in),
              .rows = smaller(rest, b->chunk),
              .grads = grads,
              .add = add};
    double loss;

    forward(&p);
    loss = net->kernels->loss[net->loss](last->out, p.rows, last->a, opt__at(b->y, first * last->out),
                                         b->weight ? b->weight + first : NULL, b->share,
                                         b->learn ? last->dz : NULL);
    if (b->out != NULL)
        net->kernels->output[net->loss](last->out, p.rows, last->a, opt__at(b->out, first * last->out));
    if (b->learn)
        backward(&p);
    return loss * b->share;
}

typedef struct addition {
    const opt_mlp *net;
    void *to, *from;
    int64_t step;
} addition;

static void add_part(void *arg, int64_t part, int thread)
{
    const addition *a = arg;
    const int64_t first = part * a->step;

    (void)thread;
    a->net->kernels->accumulate(smaller(a->step, a->net->nvalues - first), at(a->net, a->to, first),
                                at(a->net, a->from, first));
}

/* The loss of chunks [first, first + n), and their gradient in grads. */
static double tree(const batch *b, int64_t first, int64_t n, int level, void *grads)
{
    opt_mlp *net = b->net;
    int64_t left = 1;
    double loss;

    if (n == 1)
        return chunk(b, first, grads, false);
    while (2 * left < n)
        left *= 2;
    loss = tree(b, first, left, level, grads);
    if (n - left == 1)
        return loss + chunk(b, first + left, grads, true);
    loss += tree(b, first + left, n - left, level + 1, net->level[level]);
    if (b->learn) {
        addition a = {net, grads, net->level[level], net->ctx->threads > 1 ? 16384 : net->nvalues};

        opt__parallel(net->ctx, parts_of(net->nvalues, a.step), add_part, &a);
    }
    return loss;
}

/* Room for the gradients of a tree's right halves. */
static opt_status reserve(opt_mlp *net, int64_t chunks)
{
    for (int i = 0; chunks > 2; i++, chunks = (chunks + 1) / 2) {
        if (net->level[i] == NULL)
            net->level[i] = opt__alloc(net->ctx, net->nvalues, opt__size(net->dtype));
        if (net->level[i] == NULL)
            return opt__no_memory(net->ctx, "mlp");
    }
    return OPT_OK;
}

/* What makes a sum of losses over examples and outputs these rows' share of the mean over global_rows. */
static double share(const opt_mlp *net, int64_t global_rows)
{
    const double outputs = net->loss == OPT_SOFTMAX_CE ? 1 : (double)net->layer[net->layers - 1].out;

    return 1 / outputs / (double)global_rows;
}

/* ---- Public -------------------------------------------------------------------------------------------- */

opt_status opt_mlp_predict(opt_mlp *net, const opt_tensor *x, opt_tensor *out)
{
    const opt__layer *last;
    opt_status s;

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
    for (int64_t i = 0, n = opt__rows(x); i < n; i += OPT__LANE) {
        pass p = {.net = net, .x = opt__at(x, i * net->layer[0].in), .rows = smaller(n - i, OPT__LANE)};

        forward(&p);
        net->kernels->output[net->loss](last->out, p.rows, last->a, opt__at(out, i * last->out));
    }
    return OPT_OK;
}

opt_status opt_mlp_loss(opt_mlp *net, const opt_tensor *x, const opt_tensor *y, double *mean_loss)
{
    batch b = {.net = net, .x = x, .y = y, .chunk = OPT__LANE};
    opt_status s;

    if (net == NULL)
        return OPT_EINVAL;
    s = check_xy(net, x, y);
    if (s)
        return s;
    if (mean_loss == NULL)
        return opt__fail(net->ctx, OPT_EINVAL, "mlp: mean_loss is NULL");
    b.share = share(net, opt__rows(x));
    *mean_loss = tree(&b, 0, parts_of(opt__rows(x), OPT__LANE), 0, NULL);
    return OPT_OK;
}

static batch batch_of(opt_mlp *net, const opt__mlp_part *part)
{
    return (batch){
        .net = net, .x = part->x, .y = part->y, .share = share(net, part->global_rows), .chunk = part->chunk};
}

opt_status opt__mlp_predict_part(opt_mlp *net, const opt__mlp_part *part, double *loss, opt_tensor *out)
{
    const opt_tensor *x = part->x, *y = part->y;
    batch b = batch_of(net, part);
    opt_status s = check_xy(net, x, y);

    if (!s)
        s = check_rows(net, "mlp: out", out, opt__rows(x), net->layer[net->layers - 1].out);
    if (s)
        return s;
    if (opt__overlap(x, out) || opt__overlap(y, out))
        return opt__fail(net->ctx, OPT_EINVAL, "mlp: out overlaps %s", opt__overlap(x, out) ? "x" : "y");
    if (loss == NULL)
        return opt__fail(net->ctx, OPT_EINVAL, "mlp: loss is NULL");
    b.out = out;
    *loss = tree(&b, 0, parts_of(opt__rows(x), b.chunk), 0, NULL);
    return OPT_OK;
}

static opt_status check_weight(const opt_mlp *net, const opt_tensor *weight, int64_t rows)
{
    opt_status s;

    if (weight->data == NULL)
        return OPT_OK;
    s = opt__check_tensor(net->ctx, "mlp: weight", weight);
    if (s)
        return s;
    if (weight->ndim != 1 || opt__rows(weight) != rows)
        return opt__fail(net->ctx, OPT_ESHAPE, "mlp: weight is %s where x has %lld rows",
                         opt__shape_of(weight).text, (long long)rows);
    if (weight->dtype != OPT_F64)
        return opt__fail(net->ctx, OPT_EDTYPE, "mlp: weight is f32, not f64");
    return OPT_OK;
}

opt_status opt__mlp_grad_part(opt_mlp *net, const opt__mlp_part *part, double *loss)
{
    batch b = batch_of(net, part);
    opt_status s = check_xy(net, part->x, part->y);
    int64_t chunks;

    if (!s && part->weight != NULL)
        s = check_weight(net, part->weight, opt__rows(part->x));
    if (s)
        return s;
    if (loss == NULL)
        return opt__fail(net->ctx, OPT_EINVAL, "mlp: mean_loss is NULL");
    b.weight = part->weight ? part->weight->data : NULL;
    b.learn = true;
    chunks = parts_of(opt__rows(part->x), b.chunk);
    s = reserve(net, chunks);
    if (!s)
        *loss = tree(&b, 0, chunks, 0, net->grads);
    return s;
}

opt_status opt_mlp_grad(opt_mlp *net, const opt_tensor *x, const opt_tensor *y, double *mean_loss)
{
    const opt__mlp_part part = {
        .x = x, .y = y, .global_rows = x && x->ndim > 0 ? opt__rows(x) : 1, .chunk = OPT__LANE};

    if (net == NULL)
        return OPT_EINVAL;
    if (x == NULL || x->data == NULL)
        return opt__fail(net->ctx, OPT_EINVAL, "mlp: x %s", x ? "has no data" : "is NULL");
    return opt__mlp_grad_part(net, &part, mean_loss);
}

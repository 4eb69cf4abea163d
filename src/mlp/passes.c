/* SPDX-License-Identifier: MIT
 *
 * Passes over batches: chunk by chunk, summed by a tree.
 */
#include "mlp/mlp.h"

#include "tensor/tensor.h"

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

static opt_status check_part(const opt_mlp *net, const opt__mlp_part *part)
{
    if (part->chunk < 1 || part->chunk > OPT__LANE)
        return opt__fail(net->ctx, OPT_EINVAL, "mlp: the batch's chunk = %lld is outside [0, 64]",
                         (long long)part->chunk);
    return check_xy(net, part->x, part->y);
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
    int spine;             /* right halves that the last chunk is in */

    void (*ready)(void *ready_ud, int first);
    void *ready_ud;
} batch;

typedef struct addition {
    const opt_mlp *net;
    void *to, *from;
    int64_t first, end, step;
} addition;

static void add_part(void *arg, int64_t part, int thread)
{
    const addition *a = arg;
    const int64_t first = a->first + part * a->step;

    (void)thread;
    a->net->kernels->accumulate(opt__smaller(a->step, a->end - first), opt__mlp_at(a->net, a->to, first),
                                opt__mlp_at(a->net, a->from, first));
}

/* to[first..end) += from[first..end), of arrays of gradients. */
static void add_gradients(const opt_mlp *net, int64_t first, int64_t end, void *to, void *from)
{
    const bool many = net->ctx->threads > 1 && end - first >= 32768;
    addition a = {net, to, from, first, end, many ? 16384 : end - first};

    opt__parallel(net->ctx, opt__parts_of(end - first, a.step), add_part, &a);
}

/* A chunk's gradients, after forward and once the last layer has its dz. Of the last chunk each layer's are
 * added to those they belong to, and are then ready. */
static void backward(const batch *b, opt__pass *p, bool last)
{
    const opt_mlp *net = b->net;

    for (p->i = net->layers - 1; p->i >= 0; p->i--) {
        const opt__layer *l = &net->layer[p->i];

        opt__backward_layer(p);
        for (int k = b->spine - 1; last && k >= 0; k--)
            add_gradients(net, l->w_at, l->b_at + l->out, k > 0 ? net->level[k - 1] : net->grads,
                          net->level[k]);
        if (last)
            b->ready(b->ready_ud, 2 * p->i);
    }
}

/* The loss of one chunk; its gradient is added to grads, or overwrites them. */
static double chunk(const batch *b, int64_t number, void *grads, bool add, bool last)
{
    opt_mlp *net = b->net;
    const opt__layer *output = &net->layer[net->layers - 1];
    const int64_t first = number * b->chunk, rest = opt__rows(b->x) - first;
    opt__pass p = {.net = net,
                   .x = opt__at(b->x, first * net->layer[0].in),
                   .rows = opt__smaller(rest, b->chunk),
                   .grads = grads,
                   .add = add};
    double loss;

    opt__forward(&p);
    loss = net->kernels->loss[net->loss](output->out, p.rows, output->a, opt__at(b->y, first * output->out),
                                         b->weight ? b->weight + first : NULL, b->share,
                                         b->learn ? output->dz : NULL);
    if (b->out != NULL)
        net->kernels->output[net->loss](output->out, p.rows, output->a, opt__at(b->out, first * output->out));
    if (b->learn)
        backward(b, &p, last);
    return loss * b->share;
}

/* The loss of chunks [first, first + n), and their gradient in grads. The tree's last chunk ends a spine of
 * right halves, whose gradients, in level[0], level[1] and so on, it adds up itself. */
static double tree(batch *b, int64_t first, int64_t n, int level, void *grads, bool last)
{
    opt_mlp *net = b->net;
    int64_t left = 1;
    double loss;

    if (n == 1)
        return chunk(b, first, grads, false, last);
    while (2 * left < n)
        left *= 2;
    loss = tree(b, first, left, level, grads, false);
    if (n - left == 1)
        return loss + chunk(b, first + left, grads, true, last);
    if (last)
        b->spine++;
    loss += tree(b, first + left, n - left, level + 1, net->level[level], last);
    if (b->learn && !last)
        add_gradients(net, 0, net->nvalues, grads, net->level[level]);
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
        opt__pass p = {
            .net = net, .x = opt__at(x, i * net->layer[0].in), .rows = opt__smaller(n - i, OPT__LANE)};

        opt__forward(&p);
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
    *mean_loss = tree(&b, 0, opt__parts_of(opt__rows(x), OPT__LANE), 0, NULL, false);
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
    opt_status s = check_part(net, part);

    if (!s)
        s = check_rows(net, "mlp: out", out, opt__rows(x), net->layer[net->layers - 1].out);
    if (s)
        return s;
    if (opt__overlap(x, out) || opt__overlap(y, out))
        return opt__fail(net->ctx, OPT_EINVAL, "mlp: out overlaps %s", opt__overlap(x, out) ? "x" : "y");
    if (loss == NULL)
        return opt__fail(net->ctx, OPT_EINVAL, "mlp: loss is NULL");
    b.out = out;
    *loss = tree(&b, 0, opt__parts_of(opt__rows(x), b.chunk), 0, NULL, false);
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
    opt_status s = check_part(net, part);
    int64_t chunks;

    if (!s && part->weight != NULL)
        s = check_weight(net, part->weight, opt__rows(part->x));
    if (s)
        return s;
    if (loss == NULL)
        return opt__fail(net->ctx, OPT_EINVAL, "mlp: mean_loss is NULL");
    b.weight = part->weight ? part->weight->data : NULL;
    b.learn = true;
    b.ready = part->ready;
    b.ready_ud = part->ready_ud;
    chunks = opt__parts_of(opt__rows(part->x), b.chunk);
    s = reserve(net, chunks);
    if (!s)
        *loss = tree(&b, 0, chunks, 0, net->grads, b.ready != NULL);
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

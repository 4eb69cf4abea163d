/* SPDX-License-Identifier: MIT
 *
 * The network as a model.
 */
#include <opt/train.h>

#include "batch/batches.h"
#include "mlp/mlp.h"

_Static_assert(OPT__BATCH_CHUNK == OPT__LANE, "a chunk of a batch is what the network takes at a time");

static opt__mlp_part part_of(const opt_batch *b)
{
    return (opt__mlp_part){.x = &b->x,
                           .y = &b->y,
                           .weight = &b->weight,
                           .global_rows = b->global_rows,
                           .chunk = b->chunk != 0 ? b->chunk
                                                  : OPT__BATCH_CHUNK, /* 0: a batch of the caller's own */
                           .ready = b->ready,
                           .ready_ud = b->ready_ud};
}

static opt_status mlp_grad(void *self, const opt_batch *batch, double *loss)
{
    const opt__mlp_part part = part_of(batch);

    return opt__mlp_grad_part(self, &part, loss);
}

static opt_status mlp_predict(void *self, const opt_batch *batch, double *loss, opt_tensor *out)
{
    const opt__mlp_part part = part_of(batch);

    return opt__mlp_predict_part(self, &part, loss, out);
}

static int64_t classes_of(const opt_mlp *net)
{
    const int64_t outputs = net->layer[net->layers - 1].out;

    if (net->loss == OPT_SOFTMAX_CE)
        return outputs;
    return net->loss == OPT_BCE && outputs == 1 ? 2 : 0;
}

opt_model opt_mlp_model(opt_mlp *net)
{
    if (net == NULL)
        return (opt_model){0};
    return (opt_model){.self = net,
                       .params = opt_mlp_params(net),
                       .grad = mlp_grad,
                       .predict = mlp_predict,
                       .classes = classes_of(net),
                       .weighs = true};
}

/* SPDX-License-Identifier: MIT
 *
 * The network as a model.
 */
#include <opt/train.h>

#include "mlp/mlp.h"

static opt_status mlp_grad(void *self, const opt_batch *part, double *loss)
{
    return opt__mlp_grad_part(self, &part->x, &part->y, &part->weight, part->global_rows, loss);
}

static opt_status mlp_predict(void *self, const opt_batch *part, double *loss, opt_tensor *out)
{
    return opt__mlp_predict_part(self, &part->x, &part->y, part->global_rows, loss, out);
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

/* SPDX-License-Identifier: MIT
 *
 * A fully connected network (multi-layer perceptron) of L layers. For layer l = 1 .. L, with a0 = x,
 *
 *     z_l = a_(l-1) W_l^T + b_l        a_l = act(z_l)        W_l: [out, in], b_l: [out]
 *
 * one example a row. The last layer's activation goes with the loss, which is computed from z_L, so that it
 * stays finite where log(a) would not. n is the number of examples, k of outputs:
 *
 *     OPT_BCE         a = 1 / (1 + exp(-z))       -1/(nk) sum y log a + (1 - y) log(1 - a),  y in [0, 1]
 *     OPT_SOFTMAX_CE  a = exp(z) / sum exp(z)     -1/n sum y log a,  rows of y one-hot
 *     OPT_MSE         a = z                        1/(nk) sum (a - y)^2
 *
 * Weights start as He et al. 2015 (arXiv:1502.01852) say for relu, standard normal times sqrt(2 / in); for
 * tanh and sigmoid times sqrt(1 / in) (LeCun et al. 1998; the course calls it Xavier). They are drawn with
 * opt_rng_normal from `seed`, W1 first, row by row: np.random.seed(seed), then randn(out, in) for each layer.
 * Biases start at 0.
 */
#ifndef OPT_MLP_H
#define OPT_MLP_H

#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The most sizes of a network, the inputs' counted: 31 layers. */
#define OPT_MLP_MAX_SIZES 32

/* Activations: max(z, 0), tanh(z), 1 / (1 + exp(-z)). Losses: the table above. */
typedef enum opt_act { OPT_RELU, OPT_TANH, OPT_SIGMOID } opt_act;
typedef enum opt_loss { OPT_BCE, OPT_SOFTMAX_CE, OPT_MSE } opt_loss;

typedef struct opt_mlp_opts {
    int64_t size[OPT_MLP_MAX_SIZES]; /* inputs, hidden layers, outputs; ends at the first 0 */
    opt_act act;                     /* of the hidden layers; 0 is OPT_RELU */
    opt_loss loss;                   /* 0 is OPT_BCE */
    opt_dtype dtype;                 /* 0 means OPT_F64 */
    uint32_t seed;                   /* of the first weights */
} opt_mlp_opts;

/* A network: its parameters, their gradients and room to compute them. */
typedef struct opt_mlp opt_mlp;

/* Takes all memory: weights, gradients and room for 64 examples' activations. Batches may have any number of
 * rows: the first one of more than 128 to have its gradient taken adds room for another gradient or a few,
 * once. The loss and gradient of a batch are a binary tree over chunks of 64 consecutive rows, so that they
 * do not depend on the number of threads; the first 2^k chunks, k as large as can be with one left, are the
 * left half, and so on down. OPT_EINVAL for fewer than two sizes, one below 1 or after a 0, sizes whose
 * product overflows, an unknown act or loss, softmax with one output; OPT_EDTYPE for an unknown dtype;
 * OPT_ENOMEM. Release it with opt_mlp_free, which allows NULL. */
opt_status opt_mlp_new(opt_ctx *ctx, const opt_mlp_opts *opts, opt_mlp **out);
void opt_mlp_free(opt_mlp *net);

/* "W1", "b1", "W2", "b2", ...; values lie end to end in memory in this order, and so do gradients. The list
 * is the network's own and valid as long as it is; frozen, no_decay and the factors of its parameters may be
 * set before an optimizer is made. */
opt_params opt_mlp_params(opt_mlp *net);

/* out <- a_L. x is [n, inputs], out [n, outputs], of the network's dtype. OPT_ESHAPE, OPT_EDTYPE. */
opt_status opt_mlp_predict(opt_mlp *net, const opt_tensor *x, opt_tensor *out);

/* *mean_loss <- the loss above for x [n, inputs] and y [n, outputs]. OPT_EINVAL for labels that the loss does
 * not know, naming the row; OPT_ESHAPE, OPT_EDTYPE. A NaN in x gives a NaN loss; an infinite one may be lost
 * in a unit that saturates, and then shows in the gradient. */
opt_status opt_mlp_loss(opt_mlp *net, const opt_tensor *x, const opt_tensor *y, double *mean_loss);

/* The same, and overwrites the gradients of the parameters with those of *mean_loss. OPT_ENOMEM, with nothing
 * changed, when a large batch finds no room. */
opt_status opt_mlp_grad(opt_mlp *net, const opt_tensor *x, const opt_tensor *y, double *mean_loss);

#ifdef __cplusplus
}
#endif
#endif

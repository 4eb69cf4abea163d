/* SPDX-License-Identifier: MIT
 *
 * The network's insides, shared by mlp.c (layers) and loss.c, and its gradient for a part of a batch.
 */
#ifndef OPT_MLP_MLP_H
#define OPT_MLP_MLP_H

#include <opt/mlp.h>

#include "base/context.h"

#define OPT__MLP_MAX_LAYERS (OPT_MLP_MAX_SIZES - 1)

/* Rows that go through the network together. Larger batches are taken in chunks of this many consecutive
 * rows, their gradients added in order. */
#define OPT__MLP_CHUNK INT64_C(64)

typedef struct opt__layer {
    int64_t in, out;
    void *w, *b;   /* [out, in], [out] */
    void *dw, *db; /* their gradients */
    void *a;       /* [CHUNK, out], activations; of the last layer z, until the loss turns it into dz */
    void *dz;      /* [CHUNK, out], gradient of the loss by z */
} opt__layer;

struct opt_mlp {
    opt_ctx *ctx;
    opt_act act;
    opt_loss loss;
    opt_dtype dtype;
    int layers;
    opt__layer layer[OPT__MLP_MAX_LAYERS];
    opt_param param[2 * OPT__MLP_MAX_LAYERS];
    char name[2 * OPT__MLP_MAX_LAYERS][16]; /* "W1" ... "b31" */
    int64_t nvalues;
    void *values, *grads; /* [nvalues], all parameters' end to end */
    void *workspace;      /* every layer's a and dz */
};

/* opt_mlp_grad for rows that are a part of a batch of global_rows: sums over these rows divided by
 * global_rows. x->data NULL: no rows. */
opt_status opt__mlp_grad_part(opt_mlp *net, const opt_tensor *x, const opt_tensor *y, int64_t global_rows,
                              double *loss);

/* OPT_OK when labels y [n, k] are such as the loss knows. */
opt_status opt__check_labels(opt_ctx *ctx, opt_loss loss, const opt_tensor *y, int64_t k);

/* The sum over n rows of the loss of z [n, k] for labels y [n, k], not yet divided by rows or, where the loss
 * is a mean over outputs, by k. */
double opt__loss_sum(opt_loss loss, opt_dtype dtype, const void *z, const void *y, int64_t n, int64_t k);

/* dz [n, k] <- scale times the gradient of that sum by z. */
void opt__loss_gradient(opt_loss loss, opt_dtype dtype, const void *z, const void *y, double scale, int64_t n,
                        int64_t k, void *dz);

/* The factor that makes the sum a mean over outputs: 1 or 1/k. */
double opt__loss_factor(opt_loss loss, int64_t k);

/* a [n, k] <- the output activation of z; a may be z. */
void opt__output_activation(opt_loss loss, opt_dtype dtype, const void *z, int64_t n, int64_t k, void *a);

#endif

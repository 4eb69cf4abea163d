/* SPDX-License-Identifier: MIT
 *
 * The network's insides, and its gradient for a part of a batch.
 *
 * Inside, activations have a row for each unit and a column for each example, OPT__LANE examples at a time:
 * then every loop runs over examples, however narrow a layer is, and all products but two have their operands
 * as the matrix product likes them. x and y stay as callers have them, one example a row.
 */
#ifndef OPT_MLP_MLP_H
#define OPT_MLP_MLP_H

#include <opt/mlp.h>

#include "base/context.h"
#include "kernel/kernels.h"

#define OPT__MLP_MAX_LAYERS (OPT_MLP_MAX_SIZES - 1)

typedef struct opt__layer {
    int64_t in, out;
    void *w, *b;   /* [out, in], [out] */
    void *dw, *db; /* their gradients */
    void *a;       /* [out, OPT__LANE], activations; of the last layer z */
    void *dz;      /* [out, OPT__LANE], gradient of the loss by z */
} opt__layer;

struct opt_mlp {
    opt_ctx *ctx;
    const opt__kernels *kernels; /* for dtype */
    opt_act act;
    opt_loss loss;
    opt_dtype dtype;
    int layers;
    opt__layer layer[OPT__MLP_MAX_LAYERS];
    opt_param param[2 * OPT__MLP_MAX_LAYERS];
    char name[2 * OPT__MLP_MAX_LAYERS][16]; /* "W1" ... "b31" */
    int64_t nvalues;
    void *values, *grads; /* [nvalues], all parameters' end to end */
    void *workspace;      /* xt, and every layer's a and dz */
    void *xt;             /* [inputs, OPT__LANE], the examples in hand */
};

/* opt_mlp_grad for rows that are a part of a batch of global_rows: sums over these rows divided by
 * global_rows. x->data NULL: no rows. */
opt_status opt__mlp_grad_part(opt_mlp *net, const opt_tensor *x, const opt_tensor *y, int64_t global_rows,
                              double *loss);

#endif

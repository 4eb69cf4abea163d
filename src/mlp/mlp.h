/* SPDX-License-Identifier: MIT
 *
 * The network's insides, and its gradient for a part of a batch.
 *
 * Inside, activations have a row for each unit and a column for each example, OPT__LANE examples at a time:
 * then every loop runs over examples, however narrow a layer is, and all products but two have their operands
 * as the matrix product likes them. x and y stay as callers have them, one example a row.
 *
 * Such a chunk of rows is also the unit of sums. The loss and gradient of a batch of n chunks are those of
 * its first p, p the largest power of 2 below n, plus those of the others, each taken likewise: a tree that
 * depends on nothing but the number of rows. Within a chunk threads share the units of a layer, whose results
 * do not depend on each other.
 */
#ifndef OPT_MLP_MLP_H
#define OPT_MLP_MLP_H

#include <opt/mlp.h>

#include "base/context.h"
#include "kernel/kernels.h"
#include "tensor/tensor.h"

#define OPT__MLP_MAX_LAYERS (OPT_MLP_MAX_SIZES - 1)

typedef struct opt__layer {
    int64_t in, out;
    void *w, *b;               /* [out, in], [out] */
    int64_t w_at, b_at;        /* where they are among all values, and their gradients among all gradients */
    void *a;                   /* [out, OPT__LANE], activations; of the last layer z */
    void *dz;                  /* [out, OPT__LANE], gradient of the loss by z */
    int64_t out_step, in_step; /* units that a thread takes at a time; */
    bool apart; /* both gradients of the layer are worth a thread each, when neither is divided */
} opt__layer;

#define OPT__MLP_LEVELS 60

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
    void *values, *grads;         /* [nvalues], all parameters' end to end */
    void *workspace;              /* xt, and every layer's a and dz */
    void *xt;                     /* [inputs, OPT__LANE], the examples in hand */
    int64_t x_step;               /* inputs that a thread transposes at a time */
    void *level[OPT__MLP_LEVELS]; /* [nvalues] each, gradients of subtrees; NULL until a batch needs them */
};

/* ---- chunk.c ------------------------------------------------------------------------------------------- */

/* A chunk on its way through the network, for the threads that share it. */
typedef struct opt__pass {
    const opt_mlp *net;
    const void *x; /* [rows, inputs] */
    int64_t rows;
    int i;       /* the layer in hand */
    void *grads; /* [nvalues] that backward adds to, or overwrites */
    bool add;
} opt__pass;

/* Leaves every layer's activations, the last one's z, in a. */
void opt__forward(opt__pass *p);

/* The gradients of layer p->i, and by the z of the layer before it, once it has its dz. That by x itself is
 * not wanted. */
void opt__backward_layer(opt__pass *p);

/* The address of element i of an array of the network's dtype. */
static inline void *opt__mlp_at(const opt_mlp *net, void *array, int64_t i)
{
    return (char *)array + i * (int64_t)opt__size(net->dtype);
}

static inline int64_t opt__smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How many times so many units are taken. */
static inline int64_t opt__parts_of(int64_t units, int64_t step)
{
    return (units - 1) / step + 1;
}

/* ---- passes.c ------------------------------------------------------------------------------------------ */

/* Rows that are a subtree of a batch. */
typedef struct opt__mlp_part {
    const opt_tensor *x, *y;  /* x->data NULL: no rows */
    const opt_tensor *weight; /* [rows], of each example's loss; NULL, or data NULL: 1 */
    int64_t global_rows;      /* of the batch, which sums are divided by */
    int64_t chunk;            /* rows of each chunk but perhaps the last, at most OPT__LANE */

    /* Called when the gradients of the parameters from the first-th on are final; or NULL. */
    void (*ready)(void *ready_ud, int first);
    void *ready_ud;
} opt__mlp_part;

/* opt_mlp_grad for such a part. */
opt_status opt__mlp_grad_part(opt_mlp *net, const opt__mlp_part *part, double *loss);

/* opt_mlp_loss for such a part, and out <- the predictions that opt_mlp_predict makes, in one pass. */
opt_status opt__mlp_predict_part(opt_mlp *net, const opt__mlp_part *part, double *loss, opt_tensor *out);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The driver's insides, shared by optim.c and slots.c (making one), state.c, step.c and search.c, and what
 * the training loop sees of it.
 *
 * Parameters whose values and gradients lie end to end in memory are stepped as one run by the library's own
 * methods, so a network of many small tensors costs no more than one large tensor; a method of one's own gets
 * one parameter at a time. Slots of a name are one block of memory in the order of
 * the parameters, and so lie end to end wherever the parameters do. Where clipping, l2 or decay is on, a run
 * is stepped in chunks that stay in the first-level cache, where the effective gradient is made in a scratch
 * buffer. Chunks are shared among the context's threads, as are the gradients' blocks when their norm is
 * taken.
 */
#ifndef OPT_OPTIM_OPTIM_H
#define OPT_OPTIM_OPTIM_H

#include <opt/optim.h>

#include "base/context.h"
#include "optim/params.h"
#include "tensor/tensor.h"

#define OPT__CHUNK   4096 /* elements */
#define OPT__SLOTS   (OPT_MAX_SLOTS + 1)
#define OPT__AVERAGE OPT_MAX_SLOTS /* the slot that is the driver's own: the average of the weights */

/* Elements that are stepped together: a parameter's, or several's. */
typedef struct opt__run {
    opt_tensor w, g, slot[OPT__SLOTS]; /* as many as are needed; one dimension; of a whole_tensor method,
                                          the parameter's own shape */
    double lr_factor, decay_factor;    /* of its parameters, filled in */
    int param;                         /* it begins with this one */
    int64_t first;                     /* its first element's number among all parameters' */
    int64_t first_part;                /* its first chunk's number among all runs' */
} opt__run;

/* Elements of a parameter. */
typedef struct opt__share {
    int64_t first, n;
} opt__share;

struct opt_optim {
    opt_ctx *ctx;
    opt_method method;
    opt_optim_opts opts;
    bool adjusts;  /* the method takes an opt__adjust */
    bool fails;    /* its update may, on one rank alone */
    double *hyper; /* [method.nhyper] */
    opt_param *params;
    int nparams;
    int slot[OPT__SLOTS], nslots; /* which of the method's slots its settings need, and how many */
    bool sharded;                 /* among several ranks */
    bool single;                  /* some parameter is f32; */
    double largest_factor;        /* if so, the largest lr_factor */
    opt_tensor *slots;            /* [nparams * nslots], slot[s] of parameter p at p * nslots + s */
    void *slot_memory[OPT__SLOTS];
    int64_t *bound; /* [ranks + 1], where each one's elements begin, those of all parameters numbered but the
                       frozen; and room for as many again */
    opt__share *share; /* [nparams], this rank's, if sharded; slots are of these alone */
    opt_tensor *aside; /* [nparams], room for the weights while others predict; NULL: not needed */
    opt__run *runs;
    int nruns;
    bool shared;     /* their chunks are many enough to be shared among threads */
    bool predicting; /* the weights are those that predict */
    int64_t chunk;   /* elements of a run that an update gets at a time, unless whole_tensor */
    int64_t parts;   /* chunks of all runs */
    void *effective; /* [threads] chunks' effective gradients, effective_size bytes each */
    int64_t effective_size;
    void *scratch; /* the method's */
    struct {
        opt_params params; /* those that move */
        opt_tensor *slot;  /* [params.n * OPT_MAX_SLOTS] */
        bool cancelled;    /* the last one, by an OPT_STOP of its function's, on whichever rank */
    } search;
    opt__stretch *gradients; /* as few as there are gaps between them */
    int ngradients;
    double *cut;  /* [2][nparams], of several ranks: above 0 where some rank's gradients, and then weights, do
                     not go on where those of the parameter before end */
    bool agreed;  /* the ranks have told one another */
    int unsummed; /* parameters, the first ones, whose gradients' sums over ranks have not begun */
    opt_status sums_failed; /* when they began */
    double *sums;           /* [opt__sum_blocks][2]; NULL with one thread */
    int64_t t;              /* steps done */
    double last_lr;         /* of the last step, as is the next */
    double grad_norm;

    /* The weights of the epoch with the lowest loss, kept by opt_train when it is asked to. */
    struct {
        opt_tensor *value; /* [nparams]; NULL until there is room for them */
        double loss;
        int64_t epoch;   /* 0: none yet */
        int64_t from;    /* the first epoch that it has been looked for in; 0: it has not */
        bool kept;       /* value holds them */
        int64_t reduced; /* the epoch after which the learning rate was lowered last; 0: none */
    } best;
};

/* Makes room for the best weights, unless there is; OPT_ENOMEM. */
opt_status opt__optim_reserve_best(opt_optim *o);

/* Parts of making and freeing one: the slots that its settings need, zeroed; what opt_optim_search needs. */
opt_status opt__make_slots(opt_optim *o);
opt_status opt__prepare_search(opt_optim *o);
void opt__end_search(opt_optim *o);

/* What slot[s] of parameter p is on all ranks together, but for its data; dtype 0: p has none. */
opt_tensor opt__whole_slot(const opt_optim *o, int p, int s);

/* shards.c: who has what. This rank's elements of t, which is parameter p's value or gradient: t itself, or a
 * stretch of it. The weights, and whole, which is like opt__whole_slot and whose other elements are
 * overwritten,
 * <- every rank's own: all ranks call them. */
opt_status opt__share_out(opt_optim *o);
opt_tensor opt__own(const opt_optim *o, int p, const opt_tensor *t);
opt_status opt__gather_weights(opt_optim *o);
opt_status opt__gather_slot(const opt_optim *o, int p, int s, const opt_tensor *whole);

/* sums.c: what lies end to end is summed, or gathered, together if it does so on every rank, whose memory
 * need not be like the others'. Room to say so; cut <- what the ranks agree on, at first. */
opt_status opt__reserve_cuts(opt_optim *o);
opt_status opt__agree_on_cuts(opt_optim *o);

/* *out <- a tensor like each parameter's value, zeroed. */
opt_status opt__make_copies(opt_optim *o, opt_tensor **out);
void opt__free_copies(opt_optim *o, opt_tensor *copies);

/* Parts of a step. Whether one may be made, and its rate; gradients <- their sums over ranks; whether they
 * are finite, and *scale <- what clip_norm asks for; the average of the weights follows those of elements
 * [start, start + n) of a run. */
opt_status opt__begin_step(opt_optim *o, double *lr);
opt_status opt__sum_over_ranks(opt_optim *o);
opt_status opt__check_and_clip(opt_optim *o, double *scale);
void opt__average(const opt_optim *o, const opt__run *r, int64_t start, int64_t n);

/* Sums over ranks may begin, as the gradients of parameters [first, nparams) are final; opt__sum_over_ranks
 * begins the others and waits for all. A failure is said by that. */
void opt__begin_sums_over_ranks(opt_optim *o, int first);

/* opt_optim_step by gradients that have been summed over ranks. */
opt_status opt__step_by_sums(opt_optim *o);

/* Whether b begins in memory where a ends. */
static inline bool opt__joins(const opt_tensor *a, const opt_tensor *b)
{
    return a->data != NULL && a->dtype == b->dtype && opt__at(a, opt_tensor_len(a)) == b->data;
}

/* Whether opt_optim_predicting has anything to do. */
static inline bool opt__predicts_otherwise(const opt_optim *o)
{
    return o->opts.average > 0 || o->method.predict != NULL;
}

/* The name of slot s of nslots. */
static inline const char *opt__slot_name(const opt_optim *o, int s)
{
    return o->slot[s] == OPT__AVERAGE ? "average" : o->method.slot[o->slot[s]];
}

/* Whether a slot has several numbers for each element of w, in a row of its own. */
static inline bool opt__is_wide(const opt_tensor *slot, const opt_tensor *w)
{
    return slot->ndim == 2 && slot->dim[0] == opt_tensor_len(w) && !opt__same_shape(slot, w);
}

/* Elements of a run that an update gets at a time. */
static inline int64_t opt__chunk(const opt_optim *o, const opt__run *r)
{
    const int64_t n = opt_tensor_len(&r->w);

    return o->method.whole_tensor || n < o->chunk ? n : o->chunk;
}

/* The norm of the last step's gradient before clipping; NaN when it was not taken. */
double opt__optim_grad_norm(const opt_optim *o);

/* The rate the last step used. */
double opt__optim_last_lr(const opt_optim *o);

/* Whether o was made with ctx for exactly these parameters: as many, in the same memory. */
bool opt__optim_updates(const opt_optim *o, const opt_ctx *ctx, opt_params params);

#endif

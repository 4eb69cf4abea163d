/* SPDX-License-Identifier: MIT
 *
 * Optimizers over any list of named parameters.
 *
 * A method (opt_method) is a name, its hyper-parameters, its state slots and an update; it is plain data. The
 * driver (opt_optim) does the rest for every method alike: it checks options, allocates the slots and, at
 * each step, in this order:
 *
 *     1. sums gradients over ranks, when there are several;
 *     2. checks that every gradient is finite, and stops before anything changes if not;
 *     3. clips each element to [-clip_value, clip_value];
 *     4. scales the gradient so that its norm over all parameters is at most clip_norm;
 *     5. adds l2 w to it (the gradient of l2/2 |w|^2);
 *     6. shrinks w by lr weight_decay w (decoupled, Loshchilov & Hutter 2019, arXiv:1711.05101);
 *     7. calls the method's update.
 *
 * The caller's gradient is never written, but by the sum over ranks.
 */
#ifndef OPT_OPTIM_H
#define OPT_OPTIM_H

#include "methods.h"
#include "tensor.h"

#ifdef hyper /* windows.h says that it is a type; include that before this header */
#undef hyper
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Using one ----------------------------------------------------------------------------------------- */

/* A learning rate as a function of the steps done, t = 0, 1, ...; lr0 is opt_optim_opts.lr. */
typedef double (*opt_schedule)(double lr0, int64_t t, const void *arg);

typedef struct opt_optim_opts {
    double lr;                /* learning rate, > 0; required */
    opt_schedule schedule;    /* NULL: lr at every step */
    const void *schedule_arg; /* handed to schedule; must outlive the optimizer */
    double clip_value;        /* >= 0; 0: off */
    double clip_norm;         /* likewise */
    double l2;                /* likewise */
    double weight_decay;      /* likewise; 0: the method's own, off but for opt_adamw and
                                 opt_muon; OPT_ZERO: off */
    bool unchecked;           /* where clip_norm is off, skip the finite check, which saves a read of g */
    double average;           /* in [0, 1); 0: off. See opt_optim_predicting */
    bool sharded; /* of several ranks each keeps the slots of its share of the elements, steps these
                     and gets the others' weights: slots take a rank's part of the memory. Results
                     and files are the same. Not for methods that search */
} opt_optim_opts;

/* The driver: applies a method (methods.h has the library's, "Writing one" below what makes one) to
 * parameters. */
typedef struct opt_optim opt_optim;

/* Makes an optimizer for params. hyper points to the method's options (opt_adam_opts and so on), or is NULL
 * for the defaults. The list is copied; the tensors and names must outlive *out. Parameters may mix dtypes.
 * OPT_EINVAL for an option out of range, a parameter without data or name, two of one name, or a method that
 * makes no sense; OPT_ESHAPE, OPT_EDTYPE when a gradient does not fit its value; OPT_ENOMEM. Release it with
 * opt_optim_free, which allows NULL. */
opt_status opt_optim_new(opt_ctx *ctx, const opt_method *method, const void *hyper,
                         const opt_optim_opts *opts, opt_params params, opt_optim **out);
void opt_optim_free(opt_optim *o);

/* One step from the gradients as they stand. OPT_ENONFINITE names the tensor, and neither a weight, a slot
 * nor the step count has changed. OPT_EINVAL when the schedule gives a rate that is negative or not finite;
 * OPT_ECOMM. An error of a custom method's update is passed on, to all ranks whichever it was on; weights
 * that updates had got to by then stay updated. After either of the last two ranks may have weights of
 * different steps: those of a sharded optimizer or a custom method. */
opt_status opt_optim_step(opt_optim *o);

/* The rate that the next step will use. */
double opt_optim_lr(const opt_optim *o);

/* Sets lr0, which the schedule, if any, scales. 0 freezes the weights; a negative rate or NaN makes the next
 * step fail. */
void opt_optim_set_lr(opt_optim *o, double lr);

/* Computes *loss and the gradients for the parameters' values as they stand; with several ranks this rank's
 * share of both. */
typedef opt_status (*opt_loss_fn)(void *ud, double *loss);

/* A step by a method that may evaluate the loss again, as opt_lbfgs does and opt_optim_step refuses to; with
 * the others, opt_optim_step and then f. Where *loss is NaN, as it is to be at first, f is called before the
 * step; otherwise it is the loss, and the gradients are those, that the last call has left:
 *
 *     double loss = NAN;
 *     while ((status = opt_optim_search(o, f, ud, &loss)) == OPT_OK)
 *         report(loss);
 *
 * OPT_STOP: no lower loss was found, be it that this is a minimum as far as rounding can tell, or that the
 * gradients are not the loss's; the weights are as they were, and *loss and the gradients are theirs.
 * OPT_ENONFINITE when the loss before the step, or a gradient, is not finite; f's errors, and OPT_STOP if it
 * returns that, are passed on. After an error *loss is untouched, and so are the weights of a method that
 * searches and all that its next step depends on; *loss is to be NaN again before the next call. */
opt_status opt_optim_search(opt_optim *o, opt_loss_fn f, void *ud, double *loss);

/* Steps done. */
int64_t opt_optim_steps(const opt_optim *o);

/* The state `slot` ("m", "v", ...) of parameter number `param`, with that parameter's shape and dtype unless
 * the method says otherwise; the caller may read and write it. NULL when there is none, or it is not needed.
 * Of a sharded optimizer, this rank's elements alone, in one dimension. */
opt_tensor *opt_optim_slot(opt_optim *o, int param, const char *slot);

/* With opt_optim_opts.average = d the optimizer keeps, in the slot "average", an exponential moving average
 * of the weights, a <- d a + (1 - d) w after each step, which begins with the first step's weights: Polyak &
 * Juditsky 1992 in the form that is common today. It often predicts better than they do. With on, averages
 * and weights change places, so that the parameters predict by the averages; without, they change back, bit
 * for bit. In between steps and checkpoints are refused. opt_train does so for validation and the best
 * weights. Methods that train other weights than those that predict, as opt_schedule_free does, have them
 * change places in the same way. OPT_EINVAL where there is neither, or no step has been done. */
opt_status opt_optim_predicting(opt_optim *o, bool on);

/* Copies slots and step count from src to dst, made with the same method and the same needs for slots, for
 * parameters of the same shapes (OPT_EINVAL, OPT_ESHAPE, OPT_EDTYPE): with the weights, all that its steps
 * depend on but the learning rate. What opt_train knows of the best epoch is not copied. */
opt_status opt_optim_copy_state(const opt_optim *src, opt_optim *dst);

/* The Euclidean norm of all gradients together, but for frozen parameters'; NaN, with a message, when params
 * make no sense. */
double opt_grad_norm(opt_ctx *ctx, opt_params params);

/* ---- Schedules: pure functions of the step ------------------------------------------------------------- */

/* Each takes the struct before it as schedule_arg. Without one, or where total or factor are left out, the
 * rate is NaN, and the next step fails. */

/* lr0 / (1 + decay floor(t / every)), t in steps. With every = steps an epoch this is the course's
 * lr0 / (1 + decay epoch); with every = 1000 times that, its fixed-interval version. */
typedef struct opt_inverse_arg {
    double decay;
    int64_t every; /* below 1 means 1 */
} opt_inverse_arg;
double opt_lr_inverse(double lr0, int64_t t, const void *arg);

/* lr0 factor^floor(t / every). */
typedef struct opt_step_arg {
    double factor; /* OPT_ZERO: 0 */
    int64_t every; /* below 1 means 1 */
} opt_step_arg;
double opt_lr_step(double lr0, int64_t t, const void *arg);

/* Linear from lr0 / warmup at t = 0 to lr0 at t = warmup - 1, then half a cosine wave from lr0 at t = warmup
 * down to final_fraction lr0 at t = total, where it stays. Loshchilov & Hutter 2017 (arXiv:1608.03983), no
 * restarts. */
typedef struct opt_cosine_arg {
    int64_t warmup, total; /* steps */
    double final_fraction;
} opt_cosine_arg;
double opt_lr_cosine(double lr0, int64_t t, const void *arg);

/* lr0 factor^(t / every), the same as opt_lr_step after whole periods and smooth between them; with every = 1
 * both are PyTorch's ExponentialLR. */
typedef struct opt_exponential_arg {
    double factor; /* OPT_ZERO: 0 */
    int64_t every; /* below 1 means 1 */
} opt_exponential_arg;
double opt_lr_exponential(double lr0, int64_t t, const void *arg);

/* lr0 (f + (1 - f) (1 - t / total)^power) with f = final_fraction, at which it stays from t = total on:
 * linear with power 1. */
typedef struct opt_polynomial_arg {
    int64_t total; /* steps */
    double power;  /* > 0; 0 means 1 */
    double final_fraction;
} opt_polynomial_arg;
double opt_lr_polynomial(double lr0, int64_t t, const void *arg);

/* Half a cosine wave from start_fraction lr0 up to lr0 and another down to final_fraction lr0, where it
 * stays: Smith & Topin 2019 (arXiv:1708.07120), as PyTorch's OneCycleLR has it. lr0 is the largest rate; it
 * comes at t = up total - 1, and the smallest at t = total - 1. */
typedef struct opt_one_cycle_arg {
    int64_t total;         /* steps */
    double up;             /* of all steps, the part that rises, in (0, 1); 0 means 0.3 */
    double start_fraction; /* 0 means 1 / 25 */
    double final_fraction; /* 0 means 1 / 250000 */
} opt_one_cycle_arg;
double opt_lr_one_cycle(double lr0, int64_t t, const void *arg);

/* Linear from lr0 / warmup at t = 0 to lr0 at t = warmup - 1, and from t = warmup on any schedule, which sees
 * t - warmup steps; NULL: lr0. */
typedef struct opt_warmup_arg {
    int64_t warmup; /* steps */
    opt_schedule then;
    const void *then_arg;
} opt_warmup_arg;
double opt_lr_warmup(double lr0, int64_t t, const void *arg);

/* ---- Checking a gradient ------------------------------------------------------------------------------- */

/* Compares the gradients in params with central differences of f, the loss as a function of the values: f is
 * called twice an element, with one value moved by a little; every value is put back. *max_rel_err is the
 * largest over tensors of
 *
 *     |numeric - analytic| / (|numeric| + |analytic|)        (Euclidean norms)
 *
 * where differences that are within f's own rounding count as none. f64: about 1e-9 when right, and above
 * 1e-3 when wrong. f may overwrite the gradients, they are copied first and put back. Frozen parameters are
 * passed over. OPT_ENONFINITE when f, a value or a gradient is not finite, or f's differences overflow. */
opt_status opt_grad_check(opt_ctx *ctx, double (*f)(void *ud), void *ud, opt_params params,
                          double *max_rel_err);

/* ---- Writing one --------------------------------------------------------------------------------------- */

/* The most slots of a method. */
#define OPT_MAX_SLOTS 4

/* A hyper-parameter: min <= x < max. A method's options struct is its hyper-parameters as doubles, in order;
 * of those 0 is taken for dflt, and -1, which is OPT_ZERO, for 0. */
typedef struct opt_hyper {
    const char *name;
    double dflt, min, max;
} opt_hyper;

/* What an update gets: views of one chunk of one parameter (one dimension), or of the whole parameter. Chunks
 * come in any order and size, from several threads at once where the context has them, and an element's
 * update must depend on nothing but that element, its number, hyper, t and lr. With whole_tensor, parameters
 * come one after the other, and an update may depend on all of its own, and use ctx: opt_matmul has the
 * threads. When updates fail, the message names the first parameter that had one. */
typedef struct opt_update {
    const void *hyper; /* the method's options, defaults filled in */
    int64_t t;         /* number of this step, from 1 */
    double lr;
    opt_tensor w;                   /* to be updated */
    opt_tensor g;                   /* the gradient after clipping and l2; read only */
    opt_tensor slot[OPT_MAX_SLOTS]; /* the state, in the method's order; to be updated; without data where
                                       it is not needed */
    int64_t first;                  /* the number of w's first element among all parameters' */
    opt_ctx *ctx;                   /* with whole_tensor; otherwise NULL */
    void *scratch;                  /* what the method asked for, its content undefined; or NULL */
    const void *kernels, *adjust;   /* for the library's own methods */
} opt_update;

/* What a method that has to evaluate the loss again gets, for instance to search along a line. */
typedef struct opt_search {
    const void *hyper;
    int64_t t;
    double lr;
    opt_params params; /* those to be moved, with the gradients, l2 included, of *loss; read only but for the
                          values' elements */
    opt_tensor *slot;  /* [params.n * OPT_MAX_SLOTS], the state of each, in the method's order */
    double *loss;      /* of the values as they stand, l2 included; finite at first, as the gradients are */
    opt_ctx *ctx;

    /* Computes *loss and the gradients anew for the values as they stand. They may come out infinite or NaN,
     * *loss always if a gradient is. An error is to be passed on, with the values as they were at first. */
    opt_status (*evaluate)(const struct opt_search *search);
    void *driver;
} opt_search;

struct opt_method {
    const char *name; /* for messages and files */
    const opt_hyper *hyper;
    int nhyper;
    const char *slot[OPT_MAX_SLOTS]; /* names of the state tensors, each shaped like the parameter unless
                                        shape_slot says otherwise, zero at first; NULL after the last */
    bool whole_tensor;               /* update gets each parameter undivided, in its own shape */

    /* One of the two. A search leaves values of a lower loss, the last that it had evaluated, or, with
     * OPT_STOP when there is none to be found, those there were. */
    opt_status (*update)(const opt_update *u);
    opt_status (*search)(const opt_search *s);

    /* The rest may be 0. */
    double weight_decay; /* used where opt_optim_opts.weight_decay is 0 */

    /* Changes *like, which comes with a parameter's shape and dtype, to what its slot of that number is with
     * these options, whose defaults are filled in: dtype 0 where it is not needed; OPT_BF16 allowed. Of an
     * update that is not whole_tensor a slot keeps the shape, or is [elements, numbers of each], of which it
     * gets its chunk's rows. */
    void (*shape_slot)(const void *hyper, int slot, opt_tensor *like);

    /* The bytes of scratch that the update of a parameter like w asks for; whole_tensor only. */
    int64_t (*scratch)(const void *hyper, const opt_tensor *w);

    /* Sets u->w, for opt_optim_predicting, to what predicts best, from that and the slots: u as for the
     * update of step t just done, but for g. */
    void (*predict)(const opt_update *u);
};

#ifdef __cplusplus
}
#endif
#endif

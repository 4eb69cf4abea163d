/* SPDX-License-Identifier: MIT
 *
 * The methods there are, for opt_optim_new. w is a parameter, g the gradient of the loss by it, t the number
 * of the step from 1, lr the learning rate; formulas are elementwise. Slots are state, shaped like the
 * parameter unless said otherwise. The options of a method are doubles, of which 0 means the default.
 */
#ifndef OPT_METHODS_H
#define OPT_METHODS_H

#ifdef __cplusplus
extern "C" {
#endif

/* What a method is made of: optim.h, "Writing one". */
typedef struct opt_method opt_method;

/* Gradient descent:  w <- w - lr g.  No hyper-parameters, no slots. */
extern const opt_method opt_gd;

/* Momentum as an average of gradients, the course's convention; slot "v", zero at first:
 *
 *     v <- beta v + (1 - beta) g        w <- w - lr v
 *
 * Not the heavy ball v <- beta v + g of PyTorch's SGD, whose step for the same lr is 1 / (1 - beta) times as
 * long: give (1 - beta) lr there, or lr / (1 - beta) here. */
extern const opt_method opt_momentum;
typedef struct opt_momentum_opts {
    double beta; /* in [0, 1); 0 means 0.9 */
} opt_momentum_opts;

/* Adam: Kingma & Ba 2015 (arXiv:1412.6980), Algorithm 1; slots "m" and "v", zero at first:
 *
 *     m <- beta1 m + (1 - beta1) g        v <- beta2 v + (1 - beta2) g^2
 *     w <- w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
 *
 * eps stays outside the root, as in the paper and in PyTorch. With weight_decay this is AdamW. A gradient
 * whose square overflows (above 1.8e19 in f32) makes v infinite, and its weight stands still from then on:
 * clip. */
extern const opt_method opt_adam;
typedef struct opt_adam_opts {
    double beta1; /* decay of m, in [0, 1); 0 means 0.9 */
    double beta2; /* decay of v, in [0, 1); 0 means 0.999 */
    double eps;   /* > 0; 0 means 1e-8 */
} opt_adam_opts;

/* Heavy ball: Polyak 1964, as PyTorch's SGD has it; slot "v", zero at first:
 *
 *     v <- mu v + g        w <- w - lr v
 *
 * A sum of gradients where opt_momentum is an average. */
extern const opt_method opt_heavy_ball;
typedef struct opt_heavy_ball_opts {
    double mu; /* in [0, 1); 0 means 0.9 */
} opt_heavy_ball_opts;

/* Nesterov's momentum: Sutskever et al. 2013 (ICML), in the form of PyTorch's SGD, where w is the point at
 * which the gradient is taken; slot "v", zero at first:
 *
 *     v <- mu v + g        w <- w - lr (g + mu v) */
extern const opt_method opt_nesterov;
typedef struct opt_nesterov_opts {
    double mu; /* in [0, 1); 0 means 0.9 */
} opt_nesterov_opts;

/* RMSProp: Hinton's lecture 6e (2012), as PyTorch has it; slots "v" and, where they are needed, "m" and "b",
 * zero at first:
 *
 *     v <- alpha v + (1 - alpha) g^2        d = sqrt(v) + eps        w <- w - lr g / d
 *
 * Centered (Graves 2013, arXiv:1308.0850), by the gradient's deviation from its average:
 *
 *     m <- alpha m + (1 - alpha) g          d = sqrt(v - m^2) + eps
 *
 * With momentum:
 *
 *     b <- momentum b + g / d               w <- w - lr b
 *
 * eps stays outside the root. Where rounding would make v - m^2 negative it counts as 0. */
extern const opt_method opt_rmsprop;
typedef struct opt_rmsprop_opts {
    double alpha;    /* decay of v and m, in [0, 1); 0 means 0.99 */
    double eps;      /* > 0; 0 means 1e-8 */
    double momentum; /* in [0, 1); 0: no slot "b" */
    double centered; /* 1: by the deviation; 0: no slot "m" */
} opt_rmsprop_opts;

/* Adagrad: Duchi, Hazan & Singer 2011 (JMLR 12), as PyTorch has it; slot "sum", to which the first step adds
 * initial_sum:
 *
 *     sum <- sum + g^2        w <- w - lr / (1 + (t - 1) lr_decay) g / (sqrt(sum) + eps) */
extern const opt_method opt_adagrad;
typedef struct opt_adagrad_opts {
    double lr_decay;    /* >= 0 */
    double initial_sum; /* >= 0 */
    double eps;         /* > 0; 0 means 1e-10 */
} opt_adagrad_opts;

/* AdamW: Loshchilov & Hutter 2019 (arXiv:1711.05101), as PyTorch has it: Adam with a weight_decay of 0.01
 * unless opt_optim_opts has another. */
extern const opt_method opt_adamw;
typedef opt_adam_opts opt_adamw_opts;

/* AMSGrad: Reddi, Kale & Kumar 2018 (arXiv:1904.09237), as PyTorch has it: Adam with the largest v so far
 * under the root; slots "m", "v" and "v_max", zero at first:
 *
 *     v_max <- max(v_max, v)        w <- w - lr (m / (1 - beta1^t)) / (sqrt(v_max / (1 - beta2^t)) + eps) */
extern const opt_method opt_amsgrad;
typedef opt_adam_opts opt_amsgrad_opts;

/* Adam with averages in bf16, 4 bytes of state an element where Adam has 8 (f32) or 16: for large parameters,
 * whose steps take as long as their memory takes to come and go; slot "mv" [elements, 2], m and v of each.
 * They are rounded up or down at random, so that what is smaller than their last place is not lost
 * (stochastic rounding); chance is a hash of the step and the element's number. */
extern const opt_method opt_adam_bf16;
typedef opt_adam_opts opt_adam_bf16_opts;

/* NAdam: Dozat 2016 (ICLR workshop), as PyTorch 1.13 has it; Adam's slots, and Nesterov's look ahead with a
 * momentum mu that grows:
 *
 *     mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)        P_t = mu_1 mu_2 ... mu_t
 *     w <- w - lr ((1 - mu_t) / (1 - P_t) g + mu_(t+1) / (1 - P_t mu_t mu_(t+1)) m)
 *               / (sqrt(v / (1 - beta2^t)) + eps)
 *
 * The paper has P_t mu_(t+1) in the last bracket, as later versions of PyTorch do: a difference in the first
 * few steps. */
extern const opt_method opt_nadam;
typedef struct opt_nadam_opts {
    double beta1;          /* decay of m and in the end mu, in [0, 1); 0 means 0.9 */
    double beta2;          /* decay of v, in [0, 1); 0 means 0.999 */
    double eps;            /* > 0; 0 means 1e-8 */
    double momentum_decay; /* >= 0; 0 means 4e-3 */
} opt_nadam_opts;

/* RAdam: Liu et al. 2020 (arXiv:1908.03265), as PyTorch 1.13 has it; Adam's slots, and a step that is shorter
 * while v is an average of few gradients:
 *
 *     R = 2 / (1 - beta2) - 1        rho = R - 2 t beta2^t / (1 - beta2^t)
 *     r = sqrt((rho - 4) (rho - 2) R / ((R - 4) (R - 2) rho))
 *     w <- w - lr r (m / (1 - beta1^t)) sqrt(1 - beta2^t) / (sqrt(v) + eps)    where rho > 5
 *     w <- w - lr m / (1 - beta1^t)                                            before that
 *
 * With the default beta2 it is so from the sixth step on. */
extern const opt_method opt_radam;
typedef opt_adam_opts opt_radam_opts;

/* Lion: Chen et al. 2023 (arXiv:2302.06675), Algorithm 2; slot "m", zero at first:
 *
 *     w <- w - lr sign(beta1 m + (1 - beta1) g)        m <- beta2 m + (1 - beta2) g
 *
 * Every weight moves by lr, so lr is to be three to ten times as small as Adam's, and weight_decay, the
 * paper's lambda, as much larger. sign(0) is 0. */
extern const opt_method opt_lion;
typedef struct opt_lion_opts {
    double beta1; /* in [0, 1); 0 means 0.9 */
    double beta2; /* decay of m, in [0, 1); 0 means 0.99 */
} opt_lion_opts;

/* Muon: Jordan et al. 2024 (kellerjordan.github.io/posts/muon), by the conventions of PyTorch 2.9, for the
 * matrices of hidden layers; slot "m", zero at first:
 *
 *     m <- mu m + (1 - mu) g        u = (1 - mu) g + mu m, or without nesterov m
 *     X = u / max(|u|, eps)         X <- (a + b A + c A^2) X with A = X X^T, `steps` times
 *     w <- w - lr f X               f = sqrt(max(1, rows / cols)); with match_rms 0.2 sqrt(max(rows, cols))
 *
 * where |u| is the Euclidean norm, (a, b, c) = (3.4445, -4.7750, 2.0315), and of a u with more rows than
 * columns the transpose is meant. That iteration of Newton-Schulz takes every singular value of u above a
 * 600th of |u| to about 1 (0.68 to 1.21), so X is near the orthogonal factor of u, and a step has the same
 * length whatever the gradient's. PyTorch iterates in bf16, here it is done in w's dtype. match_rms (Liu et
 * al. 2025, arXiv:2502.16982) makes steps as long as Adam's: lr and weight_decay are then Adam's, too.
 * Otherwise lr is about 0.02.
 *
 * Parameters of other than two dimensions, as biases are, go to Adam with a slot "v" as well, at the same lr
 * times their lr_factor: without match_rms one of about 0.05. Embeddings and the last layer are said to do
 * better by Adam; it gets those of which value and grad are given as views of one dimension. weight_decay is
 * 0.1 unless opt_optim_opts has another, and Adam's parameters have it, too, unless they are no_decay.
 *
 * A step of a matrix with sides r <= c costs 2 r^2 (2 c + r) operations an iteration, by opt_matmul, and so
 * by all threads. The optimizer has 2 r (r + c) numbers of scratch for the one that needs the most. */
extern const opt_method opt_muon;
typedef struct opt_muon_opts {
    double momentum;  /* mu, in [0, 1); 0 means 0.95 */
    double nesterov;  /* 1, as 0 means; OPT_ZERO: off */
    double steps;     /* iterations, in [1, 100), rounded down; 0 means 5 */
    double eps;       /* >= 1e-30; 0 means 1e-7 */
    double match_rms; /* 1: on */
    double beta1;     /* Adam's, in [0, 1); 0 means 0.9 */
    double beta2;     /* likewise; 0 means 0.999 */
    double adam_eps;  /* > 0; 0 means 1e-8 */
} opt_muon_opts;

/* Rprop: Riedmiller & Braun 1993 (ICNN), as PyTorch has it, for gradients of all examples: the noise of
 * mini-batches turns signs. Slot "prev", zero at first, and "step", which is lr in the first step; later
 * rates have no effect, but that one of 0 moves nothing:
 *
 *     step <- step eta_plus where g has the sign of prev, step eta_minus where it has the other
 *     step <- min(max(step, step_min), step_max)
 *     g <- 0 where the signs differed        w <- w - sign(g) step        prev <- g */
extern const opt_method opt_rprop;
typedef struct opt_rprop_opts {
    double eta_minus; /* in (0, 1); 0 means 0.5 */
    double eta_plus;  /* >= 1; 0 means 1.2 */
    double step_min;  /* > 0; 0 means 1e-6 */
    double step_max;  /* > 0; 0 means 50 */
} opt_rprop_opts;

/* Schedule-Free AdamW: Defazio et al. 2024 (arXiv:2405.15682), Algorithm 1, as its authors' own code has it;
 * slots "z", which begins as w, and "v". The parameters are y, where the gradient is taken; x, an average of
 * z, is what to predict by:
 *
 *     v <- beta2 v + (1 - beta2) g^2
 *     z <- z - lr_t (g / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay y)
 *     x <- (1 - c) x + c z        c = lr_t^2 / (lr_1^2 + ... + lr_t^2)        lr_t = lr min(1, t / warmup)
 *     y <- (1 - beta1) z + beta1 x
 *
 * Between opt_optim_predicting(o, true) and (o, false) the parameters are x, and y is kept in room of its
 * own. It does without a schedule, and where there is one c knows nothing of it, but for rates of 0; its
 * learning rates are one to ten times Adam's. */
extern const opt_method opt_schedule_free;
typedef struct opt_schedule_free_opts {
    double beta1;  /* how near y is to x, in [0.01, 1); 0 means 0.9 */
    double beta2;  /* decay of v, in [0, 1); 0 means 0.999 */
    double eps;    /* > 0; 0 means 1e-8 */
    double warmup; /* steps, >= 0 */
} opt_schedule_free_opts;

/* L-BFGS: Nocedal 1980 (Math. Comp. 35), Liu & Nocedal 1989 (Math. Prog. 45), for small problems and all
 * examples at once: it takes the loss's curvature from how gradients change, and the noise of mini-batches
 * would drown that. Called by opt_optim_search, or by opt_train with batches of all examples; a step is
 *
 *     d = -H g        w <- w + a d
 *
 * where H, an estimate of the inverse Hessian, is what the last steps' pairs s = the change of w and y = that
 * of g make of gamma I, gamma = s.y / y.y of the last (Nocedal & Wright 2006, Algorithm 7.4). a is looked for
 * by interpolation until the strong Wolfe conditions hold (Algorithms 3.5 and 3.6):
 *
 *     f(w + a d) <= f(w) + c1 a g.d        |g(w + a d).d| <= c2 |g.d|
 *
 * and where max_evals are not enough, or rounding hides what is left, it is the lowest that the first held
 * for, which may take one evaluation more. lr, 1 as a rule, is the first a that is tried; where there is no
 * pair yet, it is lr / |g| at most. A loss or gradient that is not finite there counts as too far. Where
 * nothing lower is found along d, the pairs are forgotten for a search along -g. With an lr of 0 the weights
 * stay, and the step makes no pair.
 *
 * Slots "s" and "y", [history + 1, the parameter's elements] of each parameter, and "d": 2 history + 3
 * numbers a parameter. Step t has row (t - 1) mod (history + 1): its pair, scaled so that s.y = 1, or zeros
 * where it has none, as where s.y is not above 2^-52 y.y. The next step's row is its room to work in.
 *
 * Defaults as PyTorch has them, but for history, which is 100 there: 3 to 20 are what Nocedal & Wright found
 * to do well, and more take their time and memory in every step. Of history and max_evals the whole part
 * counts. Clipping, weight_decay and lr_factor are refused: no line search could heed them. l2 is part of the
 * loss. */
extern const opt_method opt_lbfgs;
typedef struct opt_lbfgs_opts {
    double history;   /* pairs kept, in [1, 101); 0 means 10 */
    double max_evals; /* evaluations in a search, in [1, 1e6); 0 means 25 */
    double c1;        /* in (0, 0.5); 0 means 1e-4 */
    double c2;        /* in (0, 1); above c1 there is always such an a; 0 means 0.9 */
} opt_lbfgs_opts;

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: MIT
 *
 * The inner loops of optimizer steps, dispatched on dtype. All arrays have n elements of that dtype.
 */
#ifndef OPT_OPTIM_STEPS_H
#define OPT_OPTIM_STEPS_H

#include <opt/optim.h>

/* out <- clamp(g, -clip, clip) * scale + l2 w. clip may be infinite. */
void opt__effective_gradient(opt_dtype dtype, int64_t n, const void *w, const void *g, void *out, double clip,
                             double scale, double l2);

/* w <- w * factor */
void opt__shrink(opt_dtype dtype, int64_t n, void *w, double factor);

/* The updates of opt_gd, opt_momentum and opt_adam. */
void opt__step_gd(const opt_update *u);
void opt__step_momentum(const opt_update *u, double beta);
void opt__step_adam(const opt_update *u, double beta1, double beta2, double eps);

/* x^n for n >= 0 by repeated squaring: the same bits everywhere, unlike pow. */
double opt__power(double x, int64_t n);

#endif

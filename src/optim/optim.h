/* SPDX-License-Identifier: MIT
 *
 * What the training loop sees of an optimizer.
 */
#ifndef OPT_OPTIM_OPTIM_H
#define OPT_OPTIM_OPTIM_H

#include <opt/optim.h>

/* The norm of the last step's gradient before clipping; NaN when it was not taken. */
double opt__optim_grad_norm(const opt_optim *o);

/* The rate the last step used. */
double opt__optim_last_lr(const opt_optim *o);

/* Whether o was made with ctx for exactly these parameters: as many, in the same memory. */
bool opt__optim_updates(const opt_optim *o, const opt_ctx *ctx, opt_params params);

#endif

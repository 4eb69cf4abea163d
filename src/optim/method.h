/* SPDX-License-Identifier: MIT
 *
 * Checks of a method and its hyper-parameters, and what the library's own methods (method_<name>.c) share.
 */
#ifndef OPT_OPTIM_METHOD_H
#define OPT_OPTIM_METHOD_H

#include <opt/optim.h>

#include "base/context.h"
#include "kernel/kernels.h"

/* OPT_OK when the method can be run. */
opt_status opt__check_method(opt_ctx *ctx, const opt_method *m);

/* Whether its update is one of the library's own that heed opt_update's adjust. */
bool opt__adjusts(const opt_method *m);

/* Whether its update is one of the library's own, which do not fail. */
bool opt__never_fails(const opt_method *m);

/* The loops for what u shows. */
const opt__kernels *opt__kernels_at(const opt_update *u);

/* One of the library's own updates: a kernel over what u shows, which gets the slots that the settings need,
 * in order, and c[OPT__CONSTANTS]. */
opt_status opt__apply(opt__step step, const opt_update *u, const double *c);

/* The number of state slots, needed or not. */
int opt__slot_count(const opt_method *m);

/* out[0..nhyper) <- the options given (NULL: none), 0 replaced by the default and OPT_ZERO by 0, each checked
 * against its range. */
opt_status opt__read_hyper(opt_ctx *ctx, const opt_method *m, const void *given, double *out);

#endif

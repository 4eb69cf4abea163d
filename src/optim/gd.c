/* SPDX-License-Identifier: MIT */
#include "optim/steps.h"

static opt_status update(const opt_update *u)
{
    opt__step_gd(u);
    return OPT_OK;
}

const opt_method opt_gd = {.name = "gd", .update = update};

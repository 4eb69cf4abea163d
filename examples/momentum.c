/* SPDX-License-Identifier: MIT
 *
 * Section 3 of the course notebook "Optimization methods": one step of momentum from v = 0,
 *
 *     v <- beta v + (1 - beta) g        w <- w - lr v        beta = 0.9, lr = 0.01
 *
 * on the notebook's test case. Prints what it expects, and exits with 1 when a number differs.
 */
#include "cli.h"
#include "update_case.h"

#include <stdlib.h>

/* What the course prints. */
static const update_arrays expected = {
    .W1 = {1.62544598, -0.61290114, -0.52907334, -1.07347112, 0.86450677, -2.30085497},
    .b1 = {1.74493465, -0.76027113},
    .W2 = {0.31930698, -0.24990073, 1.46279960, -2.05974396, -0.32173003, -0.38320915, 1.13444069,
           -1.09987860, -0.17131090},
    .b2 = {-0.87809283, 0.04055394, 0.58207317},
};

static const update_arrays expected_v = {
    .W1 = {-0.11006192, 0.11447237, 0.09015907, 0.05024943, 0.09008559, -0.06837279},
    .b1 = {-0.01228902, -0.09357694},
    .W2 = {-0.02678881, 0.05303555, -0.06916608, -0.03967535, -0.06871727, -0.08452056, -0.06712461,
           -0.00126646, -0.11173103},
    .b2 = {0.02344157, 0.16598022, 0.07420442},
};

int main(int argc, char **argv)
{
    cli_parse(argc, argv, "One step of momentum on the test case of the course.", NULL);
    opt_ctx *ctx = cli_context();

    update_case c;
    opt_params params = update_case_draw(&c);
    opt_optim *optim = NULL;
    const opt_momentum_opts hyper = {.beta = 0.9};
    cli_check(ctx, opt_optim_new(ctx, &opt_momentum, &hyper, &(opt_optim_opts){.lr = 0.01}, params, &optim));
    cli_check(ctx, opt_optim_step(optim));

    bool ok = update_case_show_params(params, &expected);
    ok = update_case_show_slots(params, optim, "v", "v", &expected_v) && ok;

    opt_optim_free(optim);
    opt_ctx_free(ctx);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

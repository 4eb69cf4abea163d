/* SPDX-License-Identifier: MIT
 *
 * Section 1 of the course notebook "Optimization methods": one step of gradient descent,
 *
 *     w <- w - lr g        lr = 0.01
 *
 * on the notebook's test case. Prints what it expects, and exits with 1 when a number differs.
 */
#include "cli.h"
#include "update_case.h"

#include <stdlib.h>

/* What the course prints. */
static const update_arrays expected = {
    .W1 = {1.63535156, -0.62320365, -0.53718766, -1.07799357, 0.85639907, -2.29470142},
    .b1 = {1.74604067, -0.75184921},
    .W2 = {0.32171798, -0.25467393, 1.46902454, -2.05617317, -0.31554548, -0.37560230, 1.14048190,
           -1.09976462, -0.16125510},
    .b2 = {-0.88020257, 0.02561572, 0.57539477},
};

int main(int argc, char **argv)
{
    cli_parse(argc, argv, "One step of gradient descent on the test case of the course.", NULL);
    opt_ctx *ctx = cli_context();

    update_case c;
    opt_params params = update_case_draw(&c);
    opt_optim *optim = NULL;
    cli_check(ctx, opt_optim_new(ctx, &opt_gd, NULL, &(opt_optim_opts){.lr = 0.01}, params, &optim));
    cli_check(ctx, opt_optim_step(optim));

    bool ok = update_case_show_params(params, &expected);

    opt_optim_free(optim);
    opt_ctx_free(ctx);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: MIT
 *
 * Section 4 of the course notebook "Optimization methods": one step of Adam on the notebook's test case.
 * Prints what it expects, and exits with 1 when a number differs.
 *
 * The notebook takes the step that is numbered t = 2, yet with both averages still 0. The optimizer counts
 * its steps itself, so it gets there by a first step with zero gradients: 0 averaged with 0 stays 0, and no
 * weight moves.
 */
#include "cli.h"
#include "update_case.h"

#include <stdlib.h>

/* What the course prints. */
static const update_arrays expected = {
    .W1 = {1.63178673, -0.61919778, -0.53561312, -1.08040999, 0.85796626, -2.29409733},
    .b1 = {1.75225313, -0.75376553},
    .W2 = {0.32648046, -0.25681174, 1.46954931, -2.05269934, -0.31497584, -0.37661299, 1.14121081,
           -1.09244991, -0.16498684},
    .b2 = {-0.88529979, 0.03477238, 0.57537385},
};

static const update_arrays expected_v = {
    .W1 = {-0.11006192, 0.11447237, 0.09015907, 0.05024943, 0.09008559, -0.06837279},
    .b1 = {-0.01228902, -0.09357694},
    .W2 = {-0.02678881, 0.05303555, -0.06916608, -0.03967535, -0.06871727, -0.08452056, -0.06712461,
           -0.00126646, -0.11173103},
    .b2 = {0.02344157, 0.16598022, 0.07420442},
};

static const update_arrays expected_s = {
    .W1 = {0.00121136, 0.00131039, 0.00081287, 0.00025250, 0.00081154, 0.00046748},
    .b1 = {1.51020075e-05, 8.75664434e-04},
    .W2 = {7.17640232e-05, 2.81276921e-04, 4.78394595e-04, 1.57413361e-04, 4.72206320e-04, 7.14372576e-04,
           4.50571368e-04, 1.60392066e-07, 1.24838242e-03},
    .b2 = {5.49507194e-05, 2.75494327e-03, 5.50629536e-04},
};

int main(int argc, char **argv)
{
    cli_parse(argc, argv, "Step t = 2 of Adam on the test case of the course.", NULL);
    opt_ctx *ctx = cli_context();

    update_case c;
    opt_params params = update_case_draw(&c);
    opt_optim *optim = NULL;
    cli_check(ctx, opt_optim_new(ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 0.01}, params, &optim));

    const update_arrays grad = c.grad;
    c.grad = (update_arrays){0};
    cli_check(ctx, opt_optim_step(optim)); /* t = 1 */
    c.grad = grad;
    cli_check(ctx, opt_optim_step(optim)); /* t = 2 */

    /* The course's v is the average of gradients, m in the paper and here; its s is that of their squares, v
     * here. */
    bool ok = update_case_show_params(params, &expected);
    ok = update_case_show_slots(params, optim, "m", "v", &expected_v) && ok;
    ok = update_case_show_slots(params, optim, "v", "s", &expected_s) && ok;

    opt_optim_free(optim);
    opt_ctx_free(ctx);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: MIT
 *
 * Optimizers without the network: a line y = w x + b fitted to noisy points. The weights are plain variables
 * of this program, the gradient is written by hand, and the loop is three lines. Exits with 1 when a method
 * ends further than max_distance from the least-squares solution, which is known in closed form.
 */
#include "cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { POINTS = 100 };

static const double true_w = 2, true_b = -1, noise = 0.3;
static const double max_distance = 1e-9;   /* from the least-squares solution, in the plane of w and b */
static const double max_grad_error = 1e-6; /* of opt_grad_check: a wrong gradient gives above 1e-3 */

typedef struct fit {
    double x[POINTS], y[POINTS];
    double w, b;   /* the line */
    double dw, db; /* the gradient of the loss by them */
} fit;

/* x uniform in [0, 3), y on the true line but for normal noise. */
static void draw_points(fit *f, uint32_t seed)
{
    opt_rng r;
    opt_rng_seed(&r, seed);
    for (int i = 0; i < POINTS; i++) {
        f->x[i] = 3 * opt_rng_uniform(&r);
        f->y[i] = true_w * f->x[i] + true_b + noise * opt_rng_normal(&r);
    }
}

/* The loss 1/(2n) sum (w x + b - y)^2, and its gradient into dw and db. */
static double loss_and_gradient(fit *f)
{
    double loss = 0;
    f->dw = f->db = 0;
    for (int i = 0; i < POINTS; i++) {
        double residual = f->w * f->x[i] + f->b - f->y[i];
        loss += residual * residual / (2 * POINTS);
        f->dw += residual * f->x[i] / POINTS;
        f->db += residual / POINTS;
    }
    return loss;
}

/* For opt_grad_check, which compares with differences of the loss alone. */
static double loss_only(void *ud)
{
    return loss_and_gradient(ud);
}

/* w = cov(x, y) / var(x), and the line goes through the mean point. */
static void least_squares(const fit *f, double *w, double *b)
{
    double x_mean = 0, y_mean = 0, cov = 0, var = 0;
    for (int i = 0; i < POINTS; i++) {
        x_mean += f->x[i] / POINTS;
        y_mean += f->y[i] / POINTS;
    }
    for (int i = 0; i < POINTS; i++) {
        cov += (f->x[i] - x_mean) * (f->y[i] - y_mean);
        var += (f->x[i] - x_mean) * (f->x[i] - x_mean);
    }
    *w = cov / var;
    *b = y_mean - *w * x_mean;
}

static bool gradient_is_right(opt_ctx *ctx, fit *f, opt_params params)
{
    double error;
    loss_and_gradient(f);
    cli_check(ctx, opt_grad_check(ctx, loss_only, f, params, &error));
    printf("relative error of the gradient: %.1e\n\n", error);
    return error <= max_grad_error;
}

/* Fits the line from w = b = 0. */
static void train(opt_ctx *ctx, fit *f, opt_params params, const opt_method *method, double lr, int64_t steps)
{
    opt_optim *optim = NULL;
    cli_check(ctx, opt_optim_new(ctx, method, NULL, &(opt_optim_opts){.lr = lr}, params, &optim));
    f->w = f->b = 0;
    for (int64_t i = 0; i < steps; i++) {
        loss_and_gradient(f);
        cli_check(ctx, opt_optim_step(optim));
    }
    opt_optim_free(optim);
}

int main(int argc, char **argv)
{
    int64_t steps = 2000;
    uint32_t seed = 1;
    const cli_option options[] = {
        {"steps", "N", "steps of each method", CLI_INT, &steps},
        {"seed", "N", "seed of the points", CLI_UINT32, &seed},
        {0},
    };
    cli_parse(argc, argv, "Fits a line to noisy points by three methods.", options);
    opt_ctx *ctx = cli_context();

    fit f = {0};
    draw_points(&f, seed);
    opt_param list[] = {
        {.name = "w",
         .value = opt_tensor_view(OPT_F64, &f.w, 0, NULL),
         .grad = opt_tensor_view(OPT_F64, &f.dw, 0, NULL)},
        {.name = "b",
         .value = opt_tensor_view(OPT_F64, &f.b, 0, NULL),
         .grad = opt_tensor_view(OPT_F64, &f.db, 0, NULL)},
    };
    opt_params params = {list, 2};
    bool ok = gradient_is_right(ctx, &f, params);

    double best_w, best_b;
    least_squares(&f, &best_w, &best_b);
    printf("%-14s %12s %12s %12s\n", "", "w", "b", "distance");
    printf("%-14s %12.8f %12.8f\n", "true line", true_w, true_b);
    printf("%-14s %12.8f %12.8f\n", "least squares", best_w, best_b);

    static const struct {
        const opt_method *method;
        double lr;
    } row[] = {{&opt_gd, 0.1}, {&opt_momentum, 0.1}, {&opt_adam, 0.05}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        train(ctx, &f, params, row[i].method, row[i].lr, steps);
        double distance = hypot(f.w - best_w, f.b - best_b);
        printf("%-14s %12.8f %12.8f %12.8f\n", row[i].method->name, f.w, f.b, distance);
        ok = ok && distance <= max_distance;
    }
    if (!ok)
        fprintf(stderr, "the gradient is wrong, or a method ended further than %g off\n", max_distance);
    opt_ctx_free(ctx);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

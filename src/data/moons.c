/* SPDX-License-Identifier: MIT
 *
 * Two half moons, as scikit-learn's make_moons draws them after np.random.seed.
 */
#include <math.h>

#include <opt/data.h>
#include <opt/rng.h>

#include "kernel/elementary.h"
#include "tensor/tensor.h"

/* np.linspace(0, pi, n)[i] */
static double angle(int64_t i, int64_t n)
{
    const double pi = 3.14159265358979323846;

    return i == 0 ? 0 : i == n - 1 ? pi : (double)i * (pi / (double)(n - 1));
}

/* Point i of n before shuffling: the outer half circle, then the inner one. Returns its class. */
static double place(int64_t i, int64_t n, double *x)
{
    const int64_t outer = n / 2;
    double t;

    if (i < outer) {
        t = angle(i, outer);
        x[0] = opt__cos(t);
        x[1] = opt__sin(t);
        return 0;
    }
    t = angle(i - outer, n - outer);
    x[0] = 1 - opt__cos(t);
    x[1] = 1 - opt__sin(t) - 0.5;
    return 1;
}

opt_status opt_moons(opt_ctx *ctx, int64_t n, double noise, uint32_t seed, opt_table *out)
{
    opt_table t = {{0}, {0}};
    opt_status s = opt__enter(ctx);
    int64_t *order;
    opt_rng rng;
    double *x;

    if (s)
        return s;
    if (n < 1)
        return opt__fail(ctx, OPT_EINVAL, "moons: n = %lld is below 1", (long long)n);
    if (!(noise >= 0 && isfinite(noise)))
        return opt__fail(ctx, OPT_EINVAL, "moons: noise = %g is outside [0, inf)", noise);
    if (out == NULL)
        return opt__fail(ctx, OPT_EINVAL, "moons: out is NULL");
    s = opt_tensor_new(ctx, OPT_F64, 2, (int64_t[]){n, 2}, &t.x);
    if (!s)
        s = opt_tensor_new(ctx, OPT_F64, 2, (int64_t[]){n, 1}, &t.y);
    order = s ? NULL : opt__alloc(ctx, n, sizeof *order);
    if (order == NULL) {
        opt_tensor_free(ctx, &t.x);
        opt_tensor_free(ctx, &t.y);
        return s ? s : opt__no_memory(ctx, "moons");
    }
    opt_rng_seed(&rng, seed);
    opt_rng_permutation(&rng, n, order);
    x = t.x.data;
    for (int64_t i = 0; i < n; i++)
        opt_set(&t.y, i, place(order[i], n, x + 2 * i));
    for (int64_t i = 0; i < 2 * n; i++)
        x[i] += noise * opt_rng_normal(&rng);
    opt__free(ctx, order);
    *out = t;
    return OPT_OK;
}

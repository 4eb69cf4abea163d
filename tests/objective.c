/* SPDX-License-Identifier: MIT */
#include "objective.h"

#include <math.h>

void objective_new(objective *o, function *f, const part *parts, const double *start)
{
    objective_new_with(o, f, parts, start, (opt_ctx_opts){0});
}

void objective_new_with(objective *o, function *f, const part *parts, const double *start, opt_ctx_opts opts)
{
    static const char *const names[] = {"a", "b", "c"};

    *o = (objective){.f = f, .loss = (double)NAN, .fails = -1};
    count_init(&o->count);
    opts.allocator = o->count.allocator;
    o->ctx = opt_ctx_new(&opts);
    o->params.at = o->param;
    for (; o->params.n < 3 && parts[o->params.n].n > 0; o->params.n++) {
        const part *from = &parts[o->params.n];
        opt_param *p = &o->param[o->params.n];

        p->name = names[o->params.n];
        p->frozen = from->frozen;
        assert_ok(o->ctx, opt_tensor_new(o->ctx, from->dtype, 1, &from->n, &p->value));
        assert_ok(o->ctx, opt_tensor_new(o->ctx, from->dtype, 1, &from->n, &p->grad));
        for (int64_t i = 0; i < from->n; i++)
            opt_set(&p->value, i, *start++);
    }
}

void objective_free(objective *o)
{
    opt_optim_free(o->optim);
    for (int p = 0; p < o->params.n; p++) {
        opt_tensor_free(o->ctx, &o->param[p].value);
        opt_tensor_free(o->ctx, &o->param[p].grad);
    }
    opt_ctx_free(o->ctx);
    assert_int_equal(o->count.live, 0);
}

void objective_optimize(objective *o, const opt_method *method, const void *hyper, const opt_optim_opts *opts)
{
    const opt_optim_opts plain = {.lr = 1};

    assert_ok(o->ctx, opt_optim_new(o->ctx, method, hyper, opts ? opts : &plain, o->params, &o->optim));
}

static int collect(const objective *o, bool gradients, double *x)
{
    int n = 0;

    for (int p = 0; p < o->params.n; p++) {
        const opt_tensor *t = gradients ? &o->param[p].grad : &o->param[p].value;

        for (int64_t i = 0; i < opt_tensor_len(t); i++)
            x[n++] = opt_get(t, i);
    }
    return n;
}

int objective_values(const objective *o, double *x)
{
    return collect(o, false, x);
}

int objective_gradients(const objective *o, double *g)
{
    return collect(o, true, g);
}

static opt_status evaluate(void *ud, double *loss)
{
    objective *o = ud;
    double x[MOST_NUMBERS], g[MOST_NUMBERS];
    const int n = objective_values(o, x);

    if (o->calls++ == o->fails)
        return o->status;
    *loss = o->f(n, x, g);
    for (int p = 0, k = 0; p < o->params.n; p++)
        for (int64_t i = 0; i < opt_tensor_len(&o->param[p].grad); i++)
            opt_set(&o->param[p].grad, i, g[k++]);
    return OPT_OK;
}

opt_status objective_search(objective *o)
{
    return opt_optim_search(o->optim, evaluate, o, &o->loss);
}

int objective_descend(objective *o, double loss)
{
    int searches = 0;

    do {
        assert_true(searches++ < 10000);
        assert_ok(o->ctx, objective_search(o));
    } while (!(o->loss <= loss));
    return searches;
}

int objective_settle(objective *o)
{
    int searches = 0;
    opt_status s;

    do {
        assert_true(searches++ < 10000);
        s = objective_search(o);
    } while (s == OPT_OK);
    assert_int_equal(s, OPT_STOP);
    return searches;
}

/* ---- Functions ----------------------------------------------------------------------------------------- */

const double rosenbrock_start[MOST_NUMBERS] = {-1.2, 1, -1.2, 1, -1.2, 1, -1.2, 1, -1.2, 1};

double rosenbrock(int n, const double *x, double *g)
{
    double f = 0;

    for (int i = 0; i < n; i += 2) {
        const double a = 1 - x[i], b = x[i + 1] - x[i] * x[i];

        f += a * a + 100 * b * b;
        g[i] = -2 * a - 400 * x[i] * b;
        g[i + 1] = 200 * b;
    }
    return f;
}

double quadratic(int n, const double *x, double *g)
{
    double f = 0;

    for (int i = 0; i < n; i++) {
        const double here = x[i] - i, last = i > 0 ? x[i - 1] - (i - 1) : 0,
                     next = i < n - 1 ? x[i + 1] - (i + 1) : 0;

        g[i] = (i + 1) * here * (i + 1) + here / 2 - last / 4 - next / 4;
        f += g[i] * here / 2;
    }
    return f;
}

void objective_check_same_path(objective *a, objective *b, int n)
{
    double x[MOST_NUMBERS] = {0}, y[MOST_NUMBERS] = {0};

    for (int t = 0; t < n; t++) {
        assert_ok(a->ctx, objective_search(a));
        assert_ok(b->ctx, objective_search(b));
        assert_int_equal(objective_values(a, x), objective_values(b, y));
        assert_memory_equal(x, y, sizeof x);
        assert_true(a->loss == b->loss);
    }
}

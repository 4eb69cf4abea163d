/* SPDX-License-Identifier: MIT */
#include "single.h"

#include <math.h>
#include <stdlib.h>

single single_shaped(const opt_method *m, const void *hyper, opt_dtype dtype, int ndim, const int64_t *dim,
                     const opt_optim_opts *opts, int threads)
{
    single p = {.count = malloc(sizeof *p.count), .param = {.name = "w"}};

    assert_non_null(p.count);
    count_init(p.count);
    p.ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = p.count->allocator, .threads = threads});
    assert_ok(p.ctx, opt_tensor_new(p.ctx, dtype, ndim, dim, &p.param.value));
    assert_ok(p.ctx, opt_tensor_new(p.ctx, dtype, ndim, dim, &p.param.grad));
    assert_ok(p.ctx, opt_optim_new(p.ctx, m, hyper, opts, (opt_params){&p.param, 1}, &p.optim));
    return p;
}

single single_with(const opt_method *m, const void *hyper, opt_dtype dtype, int64_t n,
                   const opt_optim_opts *opts)
{
    return single_shaped(m, hyper, dtype, 1, &n, opts, 1);
}

single single_new(const opt_method *m, const void *hyper, opt_dtype dtype, int64_t n, double lr)
{
    return single_with(m, hyper, dtype, n, &(opt_optim_opts){.lr = lr});
}

void single_free(single *p)
{
    opt_optim_free(p->optim);
    opt_tensor_free(p->ctx, &p->param.value);
    opt_tensor_free(p->ctx, &p->param.grad);
    opt_ctx_free(p->ctx);
    assert_int_equal(p->count->live, 0);
    free(p->count);
}

void single_step(single *p)
{
    assert_ok(p->ctx, opt_optim_step(p->optim));
}

void single_step_down(single *p)
{
    for (int64_t i = 0; i < opt_tensor_len(&p->param.value); i++)
        opt_set(&p->param.grad, i, (double)(i + 1) * (opt_get(&p->param.value, i) - (double)i));
    single_step(p);
}

bool single_same_bits(const single *a, const single *b)
{
    opt_param first = a->param, second = b->param;

    return same_bits((opt_params){&first, 1}, (opt_params){&second, 1});
}

void single_check_same_path(single *a, single *b, int steps)
{
    for (int t = 1; t <= steps; t++) {
        for (int64_t i = 0; i < opt_tensor_len(&a->param.grad); i++) {
            opt_set(&a->param.grad, i, sin((double)(t * (i + 1))));
            opt_set(&b->param.grad, i, sin((double)(t * (i + 1))));
        }
        single_step(a);
        single_step(b);
    }
    assert_true(single_same_bits(a, b));
}

/* SPDX-License-Identifier: MIT
 *
 * Calls in any order: the bytes choose parameters, a method, options, and what is then done with the
 * optimizer. Nothing may crash or leak, and a call that fails leaves the weights as they were.
 */
#include "fuzz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const opt_method *const methods[] = {
    &opt_gd,   &opt_momentum,      &opt_heavy_ball, &opt_nesterov, &opt_rmsprop, &opt_adagrad,
    &opt_adam, &opt_adamw,         &opt_amsgrad,    &opt_nadam,    &opt_radam,   &opt_adam_bf16,
    &opt_lion, &opt_schedule_free, &opt_muon,       &opt_lbfgs,    &opt_rprop};
enum { METHODS = sizeof methods / sizeof *methods, MOST = 4, ROOM = 4 * 96 };

/* The bytes, one by one; 0 when there are no more. */
typedef struct input {
    const uint8_t *at, *end;
} input;

static unsigned take(input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

/* Numbers of every kind. */
static double number(input *in)
{
    static const double odd[] = {0,     -0.0,  1e-45,    1e-300,    1e38,
                                 -1e38, 1e300, HUGE_VAL, -HUGE_VAL, (double)NAN};
    const unsigned byte = take(in);

    return byte < 10 ? odd[byte] : ((double)byte - 133) / 32;
}

typedef struct world {
    input in;
    opt_ctx *ctx;
    opt_param param[MOST];
    opt_params params;
    double values[2][ROOM]; /* and gradients; f32 uses half of each place */
    const opt_method *method;
    double hyper[8];
    opt_optim_opts opts;
    opt_optim *optim, *other;
    double loss;
    long fail; /* allocations until one fails; below 0: none does */
} world;

static void *allocate(void *ud, void *p, size_t old_size, size_t new_size)
{
    world *w = ud;

    (void)old_size;
    if (new_size == 0) {
        free(p);
        return NULL;
    }
    if (w->fail >= 0 && w->fail-- == 0)
        return NULL;
    return malloc(new_size);
}

static void make_params(world *w)
{
    w->params = (opt_params){w->param, 1 + (int)(take(&w->in) % MOST)};
    for (int p = 0; p < w->params.n; p++) {
        static const char *const names[] = {"a", "b", "c", "d"};
        const unsigned kind = take(&w->in), flags = take(&w->in);
        const int ndim = (int)(kind % 5);
        const opt_dtype dtype = kind & 64 ? OPT_F32 : OPT_F64;
        int64_t dim[4];

        for (int d = 0; d < 4; d++)
            dim[d] = 1 + (int64_t)(take(&w->in) % (ndim > 2 ? 3 : 9));
        w->param[p] = (opt_param){.name = names[p],
                                  .value = opt_tensor_view(dtype, w->values[0] + 96 * p, ndim, dim),
                                  .grad = opt_tensor_view(dtype, w->values[1] + 96 * p, ndim, dim),
                                  .no_decay = flags & 1,
                                  .frozen = (flags & 6) == 6,
                                  .lr_factor = flags & 8 ? number(&w->in) : 0,
                                  .decay_factor = flags & 16 ? number(&w->in) : 0};
    }
}

static void set_all(world *w, int which)
{
    for (int p = 0; p < w->params.n; p++) {
        const opt_tensor *t = which ? &w->param[p].grad : &w->param[p].value;
        const double x = number(&w->in), y = number(&w->in);

        for (int64_t i = 0; i < opt_tensor_len(t); i++)
            opt_set(t, i, i % 2 ? x : y);
    }
}

static void make_options(world *w)
{
    double *const option[] = {&w->opts.lr, &w->opts.clip_value,   &w->opts.clip_norm,
                              &w->opts.l2, &w->opts.weight_decay, &w->opts.average};
    const unsigned which = take(&w->in);

    w->method = methods[take(&w->in) % METHODS];
    w->opts = (opt_optim_opts){.lr = 0.1, .unchecked = which & 128};
    for (int i = 0; i < 6; i++)
        if (which >> i & 1)
            *option[i] = number(&w->in) / (i == 5 ? 4 : 1);
    for (int i = 0; which & 64 && i < w->method->nhyper; i++)
        w->hyper[i] = number(&w->in);
}

/* The sum over elements of (w - 1)^2 / 2, or what the bytes say. */
static opt_status evaluate(void *ud, double *loss)
{
    world *w = ud;

    *loss = 0;
    for (int p = 0; p < w->params.n; p++)
        for (int64_t i = 0; i < opt_tensor_len(&w->param[p].value); i++) {
            const double d = opt_get(&w->param[p].value, i) - 1;

            *loss += d * d / 2;
            opt_set(&w->param[p].grad, i, d);
        }
    switch (take(&w->in)) {
    case 1:
        *loss = number(&w->in);
        break;
    case 2:
        return OPT_EIO;
    case 3:
        set_all(w, 1);
        break;
    default:
        break;
    }
    return OPT_OK;
}

static void save_and_load(world *w)
{
    static char path[64];

    snprintf(path, sizeof path, "/dev/shm/libopt-fuzz-%ld", (long)getpid());
    if (opt_save(w->ctx, path, w->params, w->optim, NULL) == OPT_OK) {
        const opt_status s = opt_load(w->ctx, path, w->params, w->other, NULL);

        fuzz_require(!s || s == OPT_ENOMEM, "what was saved cannot be loaded");
    }
    remove(path);
    strcat(path, ".bak");
    remove(path);
}

/* Whether a step has failed and all the same moved a weight. */
static void step(world *w)
{
    double before[ROOM];
    const int64_t steps = opt_optim_steps(w->optim);

    memcpy(before, w->values[0], sizeof before);
    if (opt_optim_step(w->optim)) {
        fuzz_require(memcmp(before, w->values[0], sizeof before) == 0,
                     "a step that failed has moved a weight");
        fuzz_require(opt_optim_steps(w->optim) == steps, "or was counted");
    }
}

static void do_one(world *w)
{
    switch (take(&w->in) % 10) {
    case 0:
        set_all(w, 1);
        break;
    case 1:
        set_all(w, 0);
        break;
    case 2:
        opt_optim_set_lr(w->optim, number(&w->in));
        break;
    case 3:
        (void)opt_optim_predicting(w->optim, take(&w->in) % 2);
        break;
    case 4:
        (void)opt_optim_copy_state(w->optim, w->other);
        break;
    case 5:
        save_and_load(w);
        break;
    case 6:
        w->loss = (double)NAN;
        break;
    case 7:
        w->fail = take(&w->in) % 8 - 1L;
        break;
    case 8:
        (void)opt_optim_search(w->optim, evaluate, w, &w->loss);
        break;
    default:
        step(w);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world w = {.in = {data, data + size}, .loss = (double)NAN, .fail = -1};
    const unsigned first = take(&w.in);

    w.ctx = opt_ctx_new(&(opt_ctx_opts){.allocator = {allocate, &w}, .threads = 1 + (first & 1)});
    make_params(&w);
    set_all(&w, 0);
    set_all(&w, 1);
    make_options(&w);
    w.fail = first >> 1 < 60 ? (long)(first >> 1) : -1;
    (void)opt_optim_new(w.ctx, w.method, w.hyper, &w.opts, w.params, &w.optim);
    (void)opt_optim_new(w.ctx, w.method, w.hyper, &w.opts, w.params, &w.other);
    w.fail = -1;
    while (w.optim != NULL && w.other != NULL && w.in.at < w.in.end)
        do_one(&w);
    opt_optim_free(w.optim);
    opt_optim_free(w.other);
    opt_ctx_free(w.ctx);
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * Optimizer steps: beside the stream of their own shape, with threads, and with clipping and decay; Muon's
 * beside the products that it is made of.
 */
#include <math.h>
#include <stdio.h>

#include "stream.h"
#include "timing.h"

static const opt_rmsprop_opts heavy = {.momentum = 0.9}, centred = {.centered = 1},
                              both = {.momentum = 0.9, .centered = 1};

/* The first are those of the section "steps", all those of "methods". */
static const struct {
    const opt_method *method;
    const void *hyper;
    const char *name;
} methods[] = {{&opt_adam, NULL, "adam"},
               {&opt_momentum, NULL, "momentum"},
               {&opt_gd, NULL, "gd"},
               {&opt_heavy_ball, NULL, "heavy_ball"},
               {&opt_nesterov, NULL, "nesterov"},
               {&opt_rmsprop, NULL, "rmsprop"},
               {&opt_rmsprop, &heavy, "rmsprop, momentum"},
               {&opt_rmsprop, &centred, "rmsprop, centred"},
               {&opt_rmsprop, &both, "rmsprop, both"},
               {&opt_adagrad, NULL, "adagrad"},
               {&opt_adamw, NULL, "adamw"},
               {&opt_amsgrad, NULL, "amsgrad"},
               {&opt_nadam, NULL, "nadam"},
               {&opt_radam, NULL, "radam"},
               {&opt_lion, NULL, "lion"},
               {&opt_rprop, NULL, "rprop"},
               {&opt_schedule_free, NULL, "schedule_free"},
               {&opt_adam_bf16, NULL, "adam_bf16"}};
enum { FIRST = 3, METHODS = sizeof methods / sizeof *methods };

static int64_t repeats_for(int64_t n)
{
    return opts.quick ? 1 : n > 10000000 ? 1 : 20000000 / n;
}

static double time_steps(opt_ctx *ctx, opt_optim *o, int64_t repeats)
{
    const double start = now();

    for (int64_t i = 0; i < repeats; i++)
        check(ctx, opt_optim_step(o));
    return (now() - start) / (double)repeats;
}

/* slot[0], slot[1], ... <- the state that there is; returns how much. */
static int find_slots(opt_optim *o, const opt_method *m, opt_tensor *slot[OPT_MAX_SLOTS])
{
    int n = 0;

    for (int s = 0; s < OPT_MAX_SLOTS && m->slot[s] != NULL; s++) {
        slot[n] = opt_optim_slot(o, 0, m->slot[s]);
        n += slot[n] != NULL;
    }
    return n;
}

/* The bytes that a step moves. */
static double traffic(opt_optim *o, const opt_method *m, const opt_param *p)
{
    static const int size[] = {[OPT_F32] = 4, [OPT_F64] = 8, [OPT_BF16] = 2};
    opt_tensor *slot[OPT_MAX_SLOTS];
    const int slots = find_slots(o, m, slot);
    double bytes = 3 * size[p->value.dtype] * (double)opt_tensor_len(&p->value);

    for (int s = 0; s < slots; s++)
        bytes += 2 * size[slot[s]->dtype] * (double)opt_tensor_len(slot[s]);
    return bytes;
}

static double time_stream(opt_optim *o, const opt_method *m, const opt_param *p, int64_t repeats)
{
    opt_tensor *slot[OPT_MAX_SLOTS];
    const int slots = find_slots(o, m, slot);
    void *data[3] = {NULL};
    double start;

    for (int s = 0; s < slots; s++)
        data[s] = slot[s]->data;
    start = now();
    for (int64_t i = 0; i < repeats; i++)
        if (slots == 1 && slot[0]->dtype == OPT_BF16)
            stream_words(opt_tensor_len(&p->value), p->value.data, p->grad.data, data[0]);
        else
            stream(p->value.dtype, slots, opt_tensor_len(&p->value), p->value.data, p->grad.data, data);
    return (now() - start) / (double)repeats;
}

/* What the stream has left is nonsense. */
static void clean_up(opt_optim *o, const opt_method *m, opt_param *p)
{
    opt_tensor *slot[OPT_MAX_SLOTS];
    const int slots = find_slots(o, m, slot);

    opt_tensor_fill(&p->value, 0);
    for (int s = 0; s < slots; s++)
        opt_tensor_fill(slot[s], 0.1);
}

/* One method and size on every instruction set, in turn with the stream over the same memory. */
static void beside_stream(int which, opt_dtype dtype, int64_t n)
{
    const opt_method *method = methods[which].method;
    const char *name = methods[which].name;
    double bytes;
    timing ours[ISAS] = {0}, limit = {0};
    opt_ctx *own = opt_ctx_new(NULL), *ctx[ISAS];
    opt_param p = {.name = "w", .value = make(own, dtype, n, 1), .grad = make(own, dtype, n, 1)};
    opt_optim *o[ISAS] = {0};
    char what[64];

    fill(&p.grad, 1e-3);
    for (int k = 0; k < ISAS; k++) {
        ctx[k] = context(isas[k].isa, 1);
        if (ctx[k] != NULL)
            check(ctx[k], opt_optim_new(ctx[k], method, methods[which].hyper,
                                        &(opt_optim_opts){.lr = 1e-3, .unchecked = true}, (opt_params){&p, 1},
                                        &o[k]));
    }
    bytes = traffic(o[0], method, &p);
    for (int turn = 0; turn <= turns(); turn++)
        for (int k = 0; k < ISAS; k++) {
            double seconds, streamed;

            if (o[k] == NULL)
                continue;
            seconds = time_steps(ctx[k], o[k], turn == 0 && !opts.quick ? 6 : repeats_for(n));
            streamed = time_stream(o[k], method, &p, repeats_for(n));
            clean_up(o[k], method, &p);
            if (turn == 0) /* the first meets memory for the first time, and RAdam's first steps are others */
                continue;
            add(&ours[k], seconds);
            add(&limit, streamed);
        }
    snprintf(what, sizeof what, "%s %s %lld, stream", name, name_of(dtype), (long long)n);
    row(what, &limit, 1e6, "us", 1e-9 * bytes / median(&limit), "GB/s");
    for (int k = 0; k < ISAS; k++) {
        snprintf(what, sizeof what, "%s %s %lld, %s: %.0f GB/s", name, name_of(dtype), (long long)n,
                 isas[k].name, 1e-9 * bytes / median(&ours[k]));
        row(what, &ours[k], 1e6, "us", median(&limit) / median(&ours[k]), "of the stream");
        opt_optim_free(o[k]);
        opt_ctx_free(ctx[k]);
    }
    opt_tensor_free(own, &p.value);
    opt_tensor_free(own, &p.grad);
    opt_ctx_free(own);
}

/* Adam f32 with other options, averages or more threads than plain Adam's one, in turn with it. */
static void beside_plain(int64_t n)
{
    const struct {
        const char *name;
        int threads;
        opt_optim_opts opts;
        const opt_method *method; /* NULL: opt_adam */
    } variant[] = {{"plain", 1, {.lr = 1e-3, .unchecked = true}},
                   {"more threads", opts.threads, {.lr = 1e-3, .unchecked = true}},
                   {"clip_value, l2, decay",
                    1,
                    {.lr = 1e-3, .unchecked = true, .clip_value = 1, .l2 = 1e-4, .weight_decay = 1e-2}},
                   {"clip_norm, decay", 1, {.lr = 1e-3, .clip_norm = 1e6, .weight_decay = 1e-2}},
                   {"checked", 1, {.lr = 1e-3}},
                   {"bf16 averages", 1, {.lr = 1e-3, .unchecked = true}, &opt_adam_bf16},
                   {"bf16, more threads", opts.threads, {.lr = 1e-3, .unchecked = true}, &opt_adam_bf16}};
    enum { MORE_THREADS = 1, VARIANTS = sizeof variant / sizeof *variant };
    timing t[VARIANTS] = {0};
    opt_ctx *own = opt_ctx_new(NULL), *ctx[VARIANTS];
    opt_param p = {.name = "w", .value = make(own, OPT_F32, n, 1), .grad = make(own, OPT_F32, n, 1)};
    opt_optim *o[VARIANTS];
    char what[64];

    fill(&p.grad, 1e-3);
    for (int k = 0; k < VARIANTS; k++) {
        ctx[k] = context(OPT_ISA_BEST, variant[k].threads);
        check(ctx[k], opt_optim_new(ctx[k], variant[k].method ? variant[k].method : &opt_adam, NULL,
                                    &variant[k].opts, (opt_params){&p, 1}, &o[k]));
        time_steps(ctx[k], o[k], 1);
    }
    for (int turn = 0; turn < turns(); turn++)
        for (int k = 0; k < VARIANTS; k++)
            add(&t[k], time_steps(ctx[k], o[k], repeats_for(n)));
    for (int k = 0; k < VARIANTS; k++) {
        snprintf(what, sizeof what, "adam f32 %lld, %s", (long long)n, variant[k].name);
        if (k == MORE_THREADS)
            row(what, &t[k], 1e6, "us", median(&t[0]) / median(&t[k]), "x one thread");
        else if (variant[k].threads > 1)
            row(what, &t[k], 1e6, "us", median(&t[k]) / median(&t[MORE_THREADS]), "of plain's, more threads");
        else
            row(what, &t[k], 1e6, "us", median(&t[k]) / median(&t[0]), "of plain's time");
        opt_optim_free(o[k]);
        opt_ctx_free(ctx[k]);
    }
    opt_tensor_free(own, &p.value);
    opt_tensor_free(own, &p.grad);
    opt_ctx_free(own);
}

/* The products of Muon's five iterations for a matrix with sides of n, and nothing else. */
static double time_products(opt_ctx *ctx, const opt_tensor *x, opt_tensor *gram, opt_tensor *poly,
                            opt_tensor *next)
{
    const double start = now();

    for (int i = 0; i < 5; i++) {
        check(ctx, opt_matmul(ctx, false, x, true, x, 0, gram));
        check(ctx, opt_matmul(ctx, false, gram, false, gram, 0, poly));
        check(ctx, opt_matmul(ctx, false, poly, false, x, 0, next));
    }
    return now() - start;
}

/* Muon on a matrix with sides of n, with one thread and with more, in turn with its bare products. */
static void beside_products(int64_t n)
{
    enum { MANY = 2 };
    const double flop = 5 * 6.0 * (double)n * (double)n * (double)n;
    timing ours[MANY] = {0}, limit[MANY] = {0};
    opt_ctx *own = opt_ctx_new(NULL),
            *ctx[MANY] = {context(OPT_ISA_BEST, 1), context(OPT_ISA_BEST, opts.threads)};
    opt_param p = {.name = "w", .value = make(own, OPT_F32, n, n), .grad = make(own, OPT_F32, n, n)};
    opt_tensor room[3];
    opt_optim *o[MANY];
    char what[64];

    fill(&p.grad, 1e-3);
    for (int i = 0; i < 3; i++)
        room[i] = make(own, OPT_F32, n, n);
    for (int k = 0; k < MANY; k++)
        check(ctx[k], opt_optim_new(ctx[k], &opt_muon, NULL, &(opt_optim_opts){.lr = 0.02, .unchecked = true},
                                    (opt_params){&p, 1}, &o[k]));
    for (int turn = 0; turn < turns(); turn++)
        for (int k = 0; k < MANY; k++) {
            add(&ours[k], time_steps(ctx[k], o[k], 1));
            add(&limit[k], time_products(ctx[k], &p.grad, &room[0], &room[1], &room[2]));
        }
    for (int k = 0; k < MANY; k++) {
        snprintf(what, sizeof what, "muon f32 %lldx%lld, %d threads: %.0f GFLOP/s", (long long)n,
                 (long long)n, k == 0 ? 1 : opts.threads, 1e-9 * flop / median(&ours[k]));
        row(what, &ours[k], 1e3, "ms", median(&limit[k]) / median(&ours[k]), "of its products");
        opt_optim_free(o[k]);
        opt_ctx_free(ctx[k]);
    }
    for (int i = 0; i < 3; i++)
        opt_tensor_free(own, &room[i]);
    opt_tensor_free(own, &p.value);
    opt_tensor_free(own, &p.grad);
    opt_ctx_free(own);
}

void bench_steps(void)
{
    const int64_t sizes[] = {1000, 16000, 256000, 4000000, 50000000};

    section("steps", "one step over so many parameters; the stream reads and writes the same memory");
    for (int i = 0; i < (opts.quick ? 2 : 5); i++)
        for (int k = 0; k < (sizes[i] == 16000 || sizes[i] == 50000000 ? FIRST : 1); k++)
            beside_stream(k, OPT_F32, sizes[i]);
    for (int k = 0; k < (opts.quick ? 1 : FIRST); k++)
        beside_stream(k, OPT_F64, opts.quick ? 1000 : 50000000);
    for (int i = 0; i < (opts.quick ? 2 : 5); i++)
        beside_plain(sizes[i]);
}

void bench_methods(void)
{
    section("methods",
            "one step of each method, beside the stream of its own shape; Muon beside its products");
    for (int k = 0; k < METHODS; k++)
        beside_stream(k, OPT_F32, opts.quick ? 1000 : 50000000);
    beside_products(opts.quick ? 64 : 2048);
}

/* SPDX-License-Identifier: MIT
 *
 * What a checkpoint says beside tensors. One list of facts serves writing and reading alike.
 */
#include "train/facts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST    (INT64_C(1) << 53) /* of any count: nothing done with one overflows */
#define VERSION "1"

/* One of text, count and real; the key is group and name end to end. */
typedef struct fact {
    const char *group, *name;
    const char *text;
    int64_t *count;
    double *real;
    bool setting;
    bool optional; /* 0 where the file does not have it */
} fact;

typedef opt_status visitor(void *arg, const fact *f);

/* ---- The list ------------------------------------------------------------------------------------------ */

opt__place opt__place_of(const opt_optim *optim, const opt_batches *batches)
{
    opt__place p = {0};

    if (optim != NULL) {
        p.lr = optim->opts.lr;
        p.last_lr = optim->last_lr;
        p.grad_norm = optim->grad_norm;
        p.steps = optim->t;
        p.best_loss = optim->best.loss;
        p.best_epoch = optim->best.epoch;
        p.best_from = optim->best.from;
        p.reduced_epoch = optim->best.reduced;
        p.best_kept = optim->best.kept;
    }
    if (batches != NULL) {
        p.epoch = batches->epoch;
        p.next = batches->next;
        p.completed = batches->completed;
        p.loss_sum = batches->loss_sum;
        p.last_loss = batches->last_loss;
        p.loss_rows = batches->loss_rows;
    }
    return p;
}

static opt_status visit_optim(const opt_optim *o, opt__place *p, visitor *visit, void *arg)
{
    opt_optim_opts opts = o->opts;
    const fact facts[] = {{"", "clip_value", .real = &opts.clip_value, .setting = true},
                          {"", "clip_norm", .real = &opts.clip_norm, .setting = true},
                          {"", "l2", .real = &opts.l2, .setting = true},
                          {"", "weight_decay", .real = &opts.weight_decay, .setting = true},
                          {"", "average", .real = &opts.average, .setting = true, .optional = true},
                          {"", "lr", .real = &p->lr},
                          {"", "last_lr", .real = &p->last_lr},
                          {"", "grad_norm", .real = &p->grad_norm},
                          {"", "steps", .count = &p->steps},
                          {"", "best_kept", .count = &p->best_kept},
                          {"", "best_epoch", .count = &p->best_epoch},
                          {"", "best_loss", .real = &p->best_loss},
                          {"", "best_from", .count = &p->best_from, .optional = true},
                          {"", "reduced_epoch", .count = &p->reduced_epoch, .optional = true}};
    opt_status s = visit(arg, &(fact){"", "method", .text = o->method.name, .setting = true});

    for (int i = 0; !s && i < o->method.nhyper; i++) {
        double x = o->hyper[i];

        s = visit(arg, &(fact){"hyper.", o->method.hyper[i].name, .real = &x, .setting = true});
    }
    for (size_t i = 0; !s && i < sizeof facts / sizeof *facts; i++)
        s = visit(arg, &facts[i]);
    return s;
}

static opt_status visit_batches(const opt_batches *b, opt__place *p, visitor *visit, void *arg)
{
    int64_t rows = b->source.rows, size = b->opts.size, seed = b->opts.seed;
    int64_t in_order = b->opts.in_order, drop_last = b->opts.drop_last;
    int64_t chunk =
        b->opts.chunk == OPT__BATCH_CHUNK ? 0 : b->opts.chunk; /* as in files from before there was one */
    const fact facts[] = {{"batches.", "rows", .count = &rows, .setting = true},
                          {"batches.", "size", .count = &size, .setting = true},
                          {"batches.", "seed", .count = &seed, .setting = true},
                          {"batches.", "in_order", .count = &in_order, .setting = true},
                          {"batches.", "drop_last", .count = &drop_last, .setting = true},
                          {"batches.", "chunk", .count = &chunk, .setting = true, .optional = true},
                          {"batches.", "epoch", .count = &p->epoch},
                          {"batches.", "next", .count = &p->next},
                          {"batches.", "completed", .count = &p->completed},
                          {"batches.", "loss_sum", .real = &p->loss_sum},
                          {"batches.", "loss_rows", .count = &p->loss_rows},
                          {"batches.", "last_loss", .real = &p->last_loss}};
    opt_status s = OPT_OK;

    for (size_t i = 0; !s && i < sizeof facts / sizeof *facts; i++)
        s = visit(arg, &facts[i]);
    return s;
}

/* Facts about the version, then about optim and batches, which may be NULL, until one visit fails. */
static opt_status visit_all(const opt_optim *optim, const opt_batches *batches, opt__place *p, visitor *visit,
                            void *arg)
{
    opt_status s = visit(arg, &(fact){"", "version", .text = VERSION, .setting = true});

    if (!s && optim != NULL)
        s = visit_optim(optim, p, visit, arg);
    if (!s && batches != NULL)
        s = visit_batches(batches, p, visit, arg);
    return s;
}

/* ---- Writing ------------------------------------------------------------------------------------------- */

static opt__real_text real_text(double x)
{
    uint64_t bits, mantissa;
    int exponent;
    opt__real_text v;

    memcpy(&bits, &x, sizeof bits);
    mantissa = bits & ((UINT64_C(1) << 52) - 1);
    exponent = (int)(bits >> 52 & 2047);
    if (exponent == 2047)
        snprintf(v.text, sizeof v.text, "%s", mantissa ? "nan" : bits >> 63 ? "-inf" : "inf");
    else
        snprintf(v.text, sizeof v.text, "%s0x%d.%013" PRIx64 "p%+d", bits >> 63 ? "-" : "", exponent > 0,
                 mantissa,
                 exponent > 0 ? exponent - 1023
                 : mantissa   ? -1022
                              : 0);
    return v;
}

static opt__real_text text_of(const fact *f)
{
    opt__real_text v = {""};

    if (f->real != NULL)
        return real_text(*f->real);
    if (f->count != NULL)
        snprintf(v.text, sizeof v.text, "%" PRId64, *f->count);
    return v;
}

static opt_status put_fact(void *arg, const fact *f)
{
    opt__text_pair(arg, f->group, f->name, f->text ? f->text : text_of(f).text);
    return OPT_OK;
}

opt__real_text opt__decimals(double x)
{
    opt__real_text v;

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(v.text, sizeof v.text, "%.*g", digits, x);
        if (strtod(v.text, NULL) == x)
            break;
    }
    return v;
}

static opt_status list_fact(void *arg, const fact *f)
{
    const opt__real_text v = f->real ? opt__decimals(*f->real) : text_of(f);

    opt__add_line(arg, f->group, f->name, f->text ? f->text : v.text);
    return OPT_OK;
}

void opt__put_facts(opt__text *t, const opt_optim *optim, const opt_batches *batches)
{
    opt__place p = opt__place_of(optim, batches);

    (void)visit_all(optim, batches, &p, put_fact, t);
}

void opt__list_facts(opt__lines *l, const opt_optim *optim, const opt_batches *batches)
{
    opt__place p = opt__place_of(optim, batches);

    (void)visit_all(optim, batches, &p, list_fact, l);
}

/* ---- Reading ------------------------------------------------------------------------------------------- */

static bool parse_count(const char *text, int64_t *out)
{
    int64_t n = 0;
    const char *p = text;

    for (; *p >= '0' && *p <= '9' && n <= MOST; p++)
        n = n * 10 + (*p - '0');
    *out = n;
    return p > text && *p == '\0' && n <= MOST;
}

/* What real_text wrote. */
static bool parse_real(const char *text, double *out)
{
    static const char digits[] = "0123456789abcdef";
    const bool minus = *text == '-';
    const char *p = text + minus;
    int64_t mantissa, exponent;
    double x;

    if (strcmp(p, "inf") == 0 || strcmp(text, "nan") == 0) {
        x = *p == 'i' ? HUGE_VAL : (double)NAN;
        *out = minus ? -x : x;
        return true;
    }
    if (strncmp(p, "0x", 2) != 0 || (p[2] != '0' && p[2] != '1') || p[3] != '.')
        return false;
    mantissa = p[2] - '0';
    p += 4;
    for (int i = 0; i < 13; i++, p++) {
        const char *digit = *p ? strchr(digits, *p) : NULL;

        if (digit == NULL)
            return false;
        mantissa = mantissa * 16 + (digit - digits);
    }
    if (p[0] != 'p' || (p[1] != '+' && p[1] != '-') || !parse_count(p + 2, &exponent) || exponent > 1023)
        return false;
    x = ldexp((double)mantissa, (int)(p[1] == '-' ? -exponent : exponent) - 52);
    *out = minus ? -x : x;
    return true;
}

/* A setting is not what it is here. */
static opt_status differs(const opt__safetensors *st, const fact *f, const char *there, const char *here)
{
    return opt__fail(st->file.ctx, OPT_EINVAL, "%s: %s%s is %s in the file and %s here", st->file.path,
                     f->group, f->name, there, here);
}

static opt_status unreadable(const opt__safetensors *st, const fact *f, const char *there)
{
    return opt__malformed(&st->file, "%s%s = %s cannot be read", f->group, f->name, there);
}

static opt_status read_count(const opt__safetensors *st, const fact *f, const char *there)
{
    char here[24];
    int64_t count;

    if (!parse_count(there, &count))
        return unreadable(st, f, there);
    if (f->setting && count != *f->count) {
        snprintf(here, sizeof here, "%" PRId64, *f->count);
        return differs(st, f, there, here);
    }
    *f->count = count;
    return OPT_OK;
}

static opt_status read_real(const opt__safetensors *st, const fact *f, const char *there)
{
    char decimal[32], here[32];
    double real;

    if (!parse_real(there, &real))
        return unreadable(st, f, there);
    if (f->setting && real != *f->real) {
        snprintf(decimal, sizeof decimal, "%.17g", real);
        snprintf(here, sizeof here, "%.17g", *f->real);
        return differs(st, f, decimal, here);
    }
    *f->real = real;
    return OPT_OK;
}

static opt_status read_fact(void *arg, const fact *f)
{
    const opt__safetensors *st = arg;
    const char *there = opt__safetensors_text(st, f->group, f->name);

    if (there == NULL && f->optional)
        there = f->real ? "0x0.0000000000000p+0" : "0";
    if (there == NULL)
        return opt__malformed(&st->file, "the metadata does not have %s%s", f->group, f->name);
    if (f->count != NULL)
        return read_count(st, f, there);
    if (f->real != NULL)
        return read_real(st, f, there);
    return strcmp(f->text, there) == 0 ? OPT_OK : differs(st, f, there, f->text);
}

/* Whether the batches can stand there. */
static bool is_place_of(const opt__place *p, const opt_batches *b)
{
    const int64_t count = opt_batches_count(b);

    return p->next <= count && p->loss_rows <= b->source.rows &&
           (p->epoch == 0 ? p->completed == 0 && p->next == 0
                          : p->completed == p->epoch - 1 || (p->completed == p->epoch && p->next == count));
}

opt_status opt__read_facts(const opt__safetensors *st, const opt_optim *optim, const opt_batches *batches,
                           opt__place *place)
{
    const char *version = opt__safetensors_text(st, "", "version");
    opt__safetensors readable = *st; /* visitors get no const */
    opt__place p = {0};
    opt_status s;

    if (version != NULL && strcmp(version, VERSION) != 0)
        return opt__malformed(&st->file, "a checkpoint of version %s, where this library knows " VERSION,
                              version);
    if (optim != NULL && opt__safetensors_text(st, "", "method") == NULL)
        return opt__malformed(&st->file, "the file has no optimizer's state");
    if (batches != NULL && opt__safetensors_text(st, "batches.", "epoch") == NULL)
        return opt__malformed(&st->file, "the file has no batches' state");
    s = visit_all(optim, batches, &p, read_fact, &readable);
    if (!s && batches != NULL && !is_place_of(&p, batches))
        s = opt__malformed(&st->file, "batch %" PRId64 " of epoch %" PRId64 " is no place to stand", p.next,
                           p.epoch);
    if (!s)
        *place = p;
    return s;
}

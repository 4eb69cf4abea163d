/* SPDX-License-Identifier: MIT
 *
 * What ranks that train together must have in common.
 */
#include "train/ranks.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/ranks.h"
#include "file/crc32.h"
#include "tensor/tensor.h"
#include "train/facts.h"

typedef struct word {
    char text[24];
} word;

static void add_count(opt__lines *lines, const char *group, const char *name, int64_t count)
{
    word w;

    snprintf(w.text, sizeof w.text, "%" PRId64, count);
    opt__add_line(lines, group, name, w.text);
}

static void add_real(opt__lines *lines, const char *group, const char *name, double x)
{
    opt__add_line(lines, group, name, opt__decimals(x).text);
}

static word checksum_of(const void *bytes, size_t n)
{
    opt__crc32 c;
    word w;

    opt__crc32_start(&c);
    opt__crc32_add(&c, bytes, n);
    snprintf(w.text, sizeof w.text, "%08" PRIx32, opt__crc32_value(&c));
    return w;
}

/* A tensor's type and shape, and a checksum of its elements. */
static void add_tensor(opt__lines *lines, const char *group, const char *name, const opt_tensor *t)
{
    char text[160];

    snprintf(text, sizeof text, "%s %s with checksum %s", opt__dtype_name(t->dtype), opt__shape_of(t).text,
             lines->to ? checksum_of(t->data, (size_t)opt_tensor_len(t) * opt__size(t->dtype)).text
                       : "........");
    opt__add_line(lines, group, name, text);
}

static void add_params(opt__lines *lines, const opt_optim *o)
{
    for (int p = 0; p < o->nparams; p++) {
        const opt_param *param = &o->params[p];

        add_tensor(lines, "", param->name, &param->value);
        add_count(lines, param->name, ".frozen", param->frozen);
        add_real(lines, param->name, ".lr_factor", param->lr_factor);
        add_real(lines, param->name, ".decay_factor", param->decay_factor);
        for (int s = 0; !o->sharded && s < o->nslots; s++)
            if (o->slots[p * o->nslots + s].data != NULL)
                add_tensor(lines, param->name, opt__slot_name(o, s), &o->slots[p * o->nslots + s]);
    }
}

static void add_options(opt__lines *lines, const opt__loop *l)
{
    const opt_train_opts *o = l->opts;

    add_count(lines, "train.", "epochs", o->epochs);
    add_count(lines, "train.", "accumulate", o->accumulate);
    add_count(lines, "train.", "validation rows", o->validation ? o->validation->rows : 0);
    add_count(lines, "train.", "patience", o->patience);
    add_real(lines, "train.", "min_gain", o->min_gain);
    add_count(lines, "train.", "keep_best", o->keep_best);
    /* else some ranks would refuse what the others step by */
    add_count(lines, "", "unchecked", l->optim->opts.unchecked);
    add_count(lines, "", "sharded", l->optim->opts.sharded);
    if (l->optim->opts.sharded) { /* then all save together */
        add_count(lines, "train.", "checkpoint", o->checkpoint != NULL);
        add_count(lines, "train.", "checkpoint_every", o->checkpoint_every);
        add_count(lines, "train.", "checkpoint_seconds", o->checkpoint_seconds > 0);
    }
    add_real(lines, "train.", "reduce_factor", o->reduce_factor);
    add_count(lines, "train.", "reduce_patience", o->reduce_patience);
    add_real(lines, "train.", "reduce_floor", o->reduce_floor);
    for (int64_t c = 0; o->class_weight != NULL && c < l->model->classes; c++)
        add_real(lines, "train.", "class_weight", o->class_weight[c]);
}

static void list(opt__lines *lines, const void *arg)
{
    const opt__loop *l = arg;
    const opt_source *source = &l->batches->source;

    opt__add_line(lines, "", "libopt", opt_version());
    add_options(lines, l);
    add_count(lines, "source.", "x_cols", source->x_cols);
    add_count(lines, "source.", "y_cols", source->y_cols);
    opt__add_line(lines, "source.", "dtype", opt__dtype_name(source->dtype));
    opt__list_facts(lines, l->optim, l->batches);
    add_params(lines, l->optim);
}

opt_status opt__check_ranks(const opt__loop *l)
{
    return opt__same_on_all(l->ctx, list, l);
}

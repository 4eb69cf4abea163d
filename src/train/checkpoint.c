/* SPDX-License-Identifier: MIT
 *
 * What a checkpoint holds, and putting it back. Its tensors are the parameters under their own names, the
 * optimizer's slots as "slot.m.W1", the best weights as "best.W1"; facts.c has the rest.
 *
 * Loading takes everything from the file into memory of its own and checks it all before anything changes.
 */
#include <stdio.h>
#include <string.h>

#include <opt/train.h>

#include "base/ranks.h"
#include "base/text.h"
#include "optim/params.h"
#include "tensor/tensor.h"
#include "train/facts.h"

/* ---- The list of tensors ------------------------------------------------------------------------------- */

typedef struct list {
    opt__named *at;
    int64_t n;
    char *names;   /* those that are not parameters' own */
    int64_t slots; /* the first of them */
} list;

/* The shape of a slot of parameter p, and where it lies, if this rank has all of it. */
static opt_tensor slot_of(const opt_optim *o, int p, int s)
{
    return o->sharded ? opt__whole_slot(o, p, s) : o->slots[p * o->nslots + s];
}

static void free_list(const opt_ctx *ctx, list *l)
{
    opt__free(ctx, l->at);
    opt__free(ctx, l->names);
}

/* Adds the tensor "group.name" or "group.slot.name", which is written to *room; moves that behind it. */
static void add(list *l, char **room, const char *group, const char *slot, const char *name, opt_tensor t)
{
    const int n = slot ? sprintf(*room, "%s.%s.%s", group, slot, name) : sprintf(*room, "%s.%s", group, name);

    l->at[l->n++] = (opt__named){*room, t};
    *room += n + 1;
}

/* Parameters, and of optim, which may be NULL, the slots, and the best weights if asked for. */
static opt_status make_list(opt_ctx *ctx, opt_params params, const opt_optim *optim, bool best, list *out)
{
    const int slots = optim ? optim->nslots : 0;
    size_t bytes = 1;
    char *room;
    list l = {0};

    for (int p = 0; p < params.n; p++) {
        const size_t own = strlen(params.at[p].name) + 1;

        bytes += best ? own + strlen("best.") : 0;
        for (int s = 0; s < slots; s++)
            bytes += own + strlen(opt__slot_name(optim, s)) + strlen("slot..");
    }
    l.at = opt__alloc(ctx, (int64_t)params.n * (slots + 2), sizeof *l.at);
    l.names = room = opt__alloc(ctx, (int64_t)bytes, 1);
    if (l.at == NULL || l.names == NULL) {
        free_list(ctx, &l);
        return opt__no_memory(ctx, "a list of tensors");
    }
    for (int p = 0; p < params.n; p++)
        l.at[l.n++] = (opt__named){params.at[p].name, params.at[p].value};
    l.slots = l.n;
    for (int s = 0; s < slots; s++)
        for (int p = 0; p < params.n; p++)
            if (slot_of(optim, p, s).dtype != 0) /* some parameters have none */
                add(&l, &room, "slot", opt__slot_name(optim, s), params.at[p].name, slot_of(optim, p, s));
    for (int p = 0; best && p < params.n; p++)
        add(&l, &room, "best", NULL, params.at[p].name, optim->best.value[p]);
    *out = l;
    return OPT_OK;
}

static opt_status check_arguments(opt_ctx *ctx, const char *who, const char *path, opt_params params,
                                  const opt_optim *optim, const opt_batches *batches)
{
    opt_status s = opt__enter(ctx);

    if (s)
        return s;
    if (path == NULL)
        return opt__fail(ctx, OPT_EINVAL, "%s: path is NULL", who);
    s = opt__check_params(ctx, who, params);
    if (s)
        return s;
    if (optim != NULL && !opt__optim_updates(optim, ctx, params))
        return opt__fail(ctx, OPT_EINVAL,
                         "%s: the optimizer was made for other parameters, or by another context", who);
    if (optim != NULL && optim->predicting)
        return opt__fail(ctx, OPT_EINVAL, "%s: the weights are those that predict", who);
    if (batches != NULL && batches->ctx != ctx)
        return opt__fail(ctx, OPT_EINVAL, "%s: the batches were made by another context", who);
    return OPT_OK;
}

/* ---- Saving -------------------------------------------------------------------------------------------- */

typedef struct saved {
    const opt_optim *optim;
    const opt_batches *batches;
} saved;

static void describe(opt__text *t, const void *arg)
{
    const saved *what = arg;

    opt__put_facts(t, what->optim, what->batches);
}

/* The slots of a sharded optimizer's list, whole, for the first rank; the others only give theirs. */
static opt_status gather_slots(opt_ctx *ctx, const opt_optim *o, list *l)
{
    int64_t i = l->slots;
    opt_status status = OPT_OK;

    for (int s = 0; !status && s < o->nslots; s++)
        for (int p = 0; !status && p < o->nparams; p++) {
            opt_tensor *whole = &l->at[i].t;

            if (opt__whole_slot(o, p, s).dtype == 0)
                continue;
            whole->data = opt__alloc(ctx, opt_tensor_len(whole), opt__size(whole->dtype));
            status = opt__agree(ctx, whole->data ? OPT_OK : opt__no_memory(ctx, "save"), NULL, 0);
            if (!status && whole->data != NULL) /* GCOVR_EXCL_BR_LINE: it is there, as was agreed */
                status = opt__gather_slot(o, p, s, whole);
            if (ctx->comm.rank > 0) {
                opt__free(ctx, whole->data);
                whole->data = NULL;
            }
            i++;
        }
    return status;
}

static void free_slots(opt_ctx *ctx, const opt_optim *o, list *l)
{
    int64_t i = l->slots;

    for (int s = 0; s < o->nslots; s++)
        for (int p = 0; p < o->nparams; p++)
            if (opt__whole_slot(o, p, s).dtype != 0)
                opt__free(ctx, l->at[i++].t.data);
}

/* All ranks together; the first one writes. */
static opt_status save_sharded(opt_ctx *ctx, const char *path, const saved *what, list *l)
{
    opt_status s = gather_slots(ctx, what->optim, l);

    if (!s)
        s = opt__agree(
            ctx, ctx->comm.rank > 0 ? OPT_OK : opt__safetensors_write(ctx, path, l->at, l->n, describe, what),
            NULL, 0);
    free_slots(ctx, what->optim, l);
    return s;
}

opt_status opt_save(opt_ctx *ctx, const char *path, opt_params params, const opt_optim *optim,
                    const opt_batches *batches)
{
    const bool sharded = ctx != NULL && optim != NULL && optim->sharded;
    const saved what = {optim, batches};
    opt_status s = check_arguments(ctx, "save", path, params, optim, batches);
    list l = {0};

    if (!s)
        s = make_list(ctx, params, optim, optim && optim->best.kept, &l);
    if (sharded)
        s = opt__agree(ctx, s, NULL, 0);
    if (!s && l.at != NULL) /* GCOVR_EXCL_BR_LINE: it is there, as was agreed */
        s = sharded ? save_sharded(ctx, path, &what, &l)
                    : opt__safetensors_write(ctx, path, l.at, l.n, describe, &what);
    free_list(ctx, &l);
    return s;
}

/* ---- Which tensors of a file go where ------------------------------------------------------------------ */

typedef struct loading {
    opt_ctx *ctx;
    opt__safetensors st;
    list list;
    opt__entry **entry; /* [list.n], the file's tensor for each; NULL: it has none */
    unsigned char *stage;
    bool widen; /* a file's type may be narrower than the tensor's */
    bool ours;  /* the file was written by opt_save */
    opt_load_report report;
} loading;

/* Adds a name to the report, after "missing: " or the like if it is the first of its kind. A name is cut
 * between characters, and what a terminal would obey is left out. */
static void report_name(opt_load_report *r, const char *kind, int nth, const char *name)
{
    const size_t used = strlen(r->names);
    const char *const join = nth > 0 ? ", " : used > 0 ? "; " : "";
    size_t end;

    if (used + 8 > sizeof r->names)
        return; /* it has been cut short */
    snprintf(r->names + used, sizeof r->names - used, "%s%s%s", join, nth > 0 ? "" : kind, name);
    end = strlen(r->names);
    if (end == sizeof r->names - 1) {
        while ((r->names[end - 1] & 0xc0) == 0x80)
            end--;
        r->names[(r->names[end - 1] & 0x80) ? end - 1 : end] = '\0';
    }
    opt__hide_controls(r->names + used);
}

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* Finds every tensor of the list in the file, and what is in neither. A checkpoint's slots and best weights
 * are passed over by those who ask for weights alone. */
static void match(loading *l, bool weights_alone)
{
    for (int64_t i = 0; i < l->list.n; i++) {
        l->entry[i] = opt__safetensors_find(&l->st, l->list.at[i].name);
        if (l->entry[i] == NULL) {
            report_name(&l->report, "missing: ", l->report.missing++, l->list.at[i].name);
            continue;
        }
        l->entry[i]->to = l; /* wanted: not NULL, until it is known where to */
        l->report.loaded++;
    }
    for (int64_t i = 0; i < l->st.n; i++) {
        const opt__entry *e = &l->st.entry[i];
        const bool state = begins_with(e->name, "slot.") || begins_with(e->name, "best.");

        if (e->to == NULL && !(state && l->ours && weights_alone))
            report_name(&l->report, "left over: ", l->report.left_over++, e->name);
    }
}

static opt_status check_fit(const loading *l, const opt__named *target, const opt__entry *e)
{
    const char *path = l->st.file.path;
    const uint32_t same = target->t.dtype == OPT_F64   ? OPT__ST_F64
                          : target->t.dtype == OPT_F32 ? OPT__ST_F32
                                                       : OPT__ST_BF16;
    opt_tensor there = {.ndim = 0};
    int64_t ndim;

    opt__entry_shape(&l->st, e, &ndim, there.dim);
    there.ndim = ndim <= OPT_MAX_DIMS ? (int)ndim : OPT_MAX_DIMS;
    if (ndim != target->t.ndim || !opt__same_shape(&there, &target->t))
        return opt__fail(l->ctx, OPT_ESHAPE, "%s: %s is %s%s in the file and %s here", path, target->name,
                         opt__shape_of(&there).text, ndim > OPT_MAX_DIMS ? " and more" : "",
                         opt__shape_of(&target->t).text);
    if (e->dtype != same && !(l->widen && e->dtype < same))
        return opt__fail(l->ctx, OPT_EDTYPE, "%s: %s is %s in the file and %s here", path, target->name,
                         opt__dtype_text(e->dtype), opt__dtype_text(same));
    return OPT_OK;
}

/* Checks shapes and types, and finds room for what is wanted. */
static opt_status make_stage(loading *l)
{
    int64_t bytes = 0;

    for (int64_t i = 0; i < l->list.n; i++) {
        const opt__entry *e = l->entry[i];
        opt_status s = e ? check_fit(l, &l->list.at[i], e) : OPT_OK;

        if (s)
            return s;
        bytes += e ? e->end - e->begin : 0;
    }
    l->stage = opt__alloc(l->ctx, bytes, 1);
    if (l->stage == NULL)
        return opt__no_memory(l->ctx, l->st.file.path);
    bytes = 0;
    for (int64_t i = 0; i < l->list.n; i++)
        if (l->entry[i] != NULL) {
            l->entry[i]->to = l->stage + bytes;
            bytes += l->entry[i]->end - l->entry[i]->begin;
        }
    return OPT_OK;
}

static opt_status start_loading(opt_ctx *ctx, const char *path, loading *l)
{
    opt_status s = opt__safetensors_open(ctx, path, &l->st);
    const char *format;

    if (s)
        return s;
    l->ctx = ctx;
    format = opt__safetensors_text(&l->st, "", "format");
    l->ours = format != NULL && strcmp(format, "libopt") == 0;
    if (l->ours && !l->st.has_sum)
        return opt__malformed(&l->st.file, "the sum is missing in the metadata");
    return OPT_OK;
}

/* The file's tensors into the stage. */
static opt_status stage(loading *l, opt_params params, opt_optim *optim, bool best, bool all)
{
    opt_status s = make_list(l->ctx, params, optim, best, &l->list);

    if (s)
        return s;
    l->entry = opt__alloc(l->ctx, l->list.n, sizeof(opt__entry *));
    if (l->entry == NULL)
        return opt__no_memory(l->ctx, l->st.file.path);
    match(l, optim == NULL);
    if (all && l->report.missing + l->report.left_over > 0)
        return opt__malformed(&l->st.file, "%s", l->report.names);
    s = make_stage(l);
    return s ? s : opt__safetensors_read(&l->st);
}

/* Of a sharded optimizer's slots only this rank's elements. */
static void commit_slots(const loading *l, const opt_optim *o)
{
    int64_t i = l->list.slots;

    for (int s = 0; s < o->nslots; s++)
        for (int p = 0; p < o->nparams; p++) {
            const opt_tensor whole = opt__whole_slot(o, p, s), *own = &o->slots[p * o->nslots + s];
            const int64_t width =
                whole.dtype ? opt_tensor_len(&whole) / opt_tensor_len(&o->params[p].value) : 0;

            if (whole.dtype == 0)
                continue;
            if (own->data != NULL)
                opt__entry_copy(l->entry[i], o->share[p].first * width, own);
            i++;
        }
}

static void commit(const loading *l, const opt_optim *o)
{
    for (int64_t i = 0; i < l->list.n; i++)
        if (l->entry[i] != NULL && l->list.at[i].t.data != NULL)
            opt__entry_copy(l->entry[i], 0, &l->list.at[i].t);
    if (o != NULL && o->sharded)
        commit_slots(l, o);
}

static void end_loading(loading *l)
{
    if (l->ctx == NULL)
        return; /* it never started */
    opt__safetensors_close(&l->st);
    free_list(l->ctx, &l->list);
    opt__free(l->ctx, l->entry);
    opt__free(l->ctx, l->stage);
}

/* ---- Loading ------------------------------------------------------------------------------------------- */

static void put_back(const opt__place *place, opt_optim *optim, opt_batches *batches)
{
    if (optim != NULL) {
        optim->opts.lr = place->lr;
        optim->last_lr = place->last_lr;
        optim->grad_norm = place->grad_norm;
        optim->t = place->steps;
        optim->best.loss = place->best_loss;
        optim->best.epoch = place->best_epoch;
        optim->best.from = place->best_from;
        optim->best.kept = place->best_kept > 0;
        optim->best.reduced = place->reduced_epoch;
    }
    if (batches != NULL) {
        if (place->epoch > 0)
            (void)opt_batches_begin(batches, place->epoch);
        batches->epoch = place->epoch;
        batches->next = place->next;
        batches->completed = place->completed;
        batches->loss_sum = place->loss_sum;
        batches->last_loss = place->last_loss;
        batches->loss_rows = place->loss_rows;
    }
}

opt_status opt_load(opt_ctx *ctx, const char *path, opt_params params, opt_optim *optim, opt_batches *batches)
{
    opt_status s = check_arguments(ctx, "load", path, params, optim, batches);
    loading l = {0};
    opt__place place = {0};

    if (!s)
        s = start_loading(ctx, path, &l);
    if (!s && (l.ours || optim != NULL || batches != NULL))
        s = opt__read_facts(&l.st, optim, batches, &place);
    if (!s && place.best_kept > 0)
        s = opt__optim_reserve_best(optim);
    if (!s)
        s = stage(&l, params, optim, place.best_kept > 0, true);
    if (!s) {
        commit(&l, optim);
        put_back(&place, optim, batches);
    }
    end_loading(&l);
    return s;
}

opt_status opt_load_named(opt_ctx *ctx, const char *path, opt_params params, opt_load_report *report)
{
    opt_status s = check_arguments(ctx, "load_named", path, params, NULL, NULL);
    loading l = {.widen = true};

    if (!s)
        s = start_loading(ctx, path, &l);
    if (!s)
        s = stage(&l, params, NULL, false, false);
    if (!s) {
        commit(&l, NULL);
        if (report != NULL)
            *report = l.report;
    }
    end_loading(&l);
    return s;
}

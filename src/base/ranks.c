/* SPDX-License-Identifier: MIT
 *
 * What ranks do together is said by sums alone, the one thing a context's opt_comm can do: a rank that has
 * something to tell adds it to the others' -0.
 */
#include "base/ranks.h"

#include <limits.h>
#include <string.h>

#define MOST 4 /* numbers that come with a status */

opt_status opt__comm_failed(opt_ctx *ctx, const char *what)
{
    const opt_comm *c = &ctx->comm;
    const char *why = c->message ? c->message(c->ud) : NULL;

    return opt__fail(ctx, OPT_ECOMM, "%s over ranks failed%s%s", what, why && *why ? ": " : "",
                     why && *why ? why : "");
}

opt_status opt__sum(opt_ctx *ctx, const char *what, void *buf, int64_t n, opt_dtype dtype)
{
    const opt_comm *c = &ctx->comm;

    if (c->size < 2 || c->sum(c->ud, buf, (size_t)n, dtype) == OPT_OK)
        return OPT_OK;
    return opt__comm_failed(ctx, what);
}

opt_status opt__begin_sum(opt_ctx *ctx, const char *what, void *buf, int64_t n, opt_dtype dtype)
{
    const opt_comm *c = &ctx->comm;

    if (c->begin == NULL)
        return opt__sum(ctx, what, buf, n, dtype);
    ctx->summing = true;
    return c->begin(c->ud, buf, (size_t)n, dtype) == OPT_OK ? OPT_OK : opt__comm_failed(ctx, what);
}

opt_status opt__finish_sums(opt_ctx *ctx, const char *what)
{
    const bool any = ctx->summing;

    ctx->summing = false;
    return !any || ctx->comm.finish(ctx->comm.ud) == OPT_OK ? OPT_OK : opt__comm_failed(ctx, what);
}

/* *first <- the first rank that has failed, of which there is one. */
static opt_status find_failed(opt_ctx *ctx, bool failed, int *first)
{
    int low = 0, high = ctx->comm.size - 1;

    while (low < high) {
        const int middle = low + (high - low) / 2;
        double below = failed && ctx->comm.rank <= middle; /* below `low` none has */
        const opt_status s = opt__sum(ctx, "agreeing", &below, 1, OPT_F64);

        if (s)
            return s;
        if (below > 0)
            high = middle;
        else
            low = middle + 1;
    }
    *first = low;
    return OPT_OK;
}

/* What a rank has said, which a sum that is none may have spoilt. */
static int heard(double x, int most)
{
    return x >= 0 && x <= most ? (int)x : most;
}

/* The status and message of a rank that has failed, for all of them. */
static opt_status hear(opt_ctx *ctx, int rank, opt_status mine)
{
    enum { LENGTH = sizeof ctx->message };
    double said[1 + LENGTH];
    char message[LENGTH];
    opt_status s;

    for (int i = 0; i <= LENGTH; i++)
        said[i] = OPT__NOTHING;
    if (rank == ctx->comm.rank) {
        const char *text = ctx->message[0] ? ctx->message : opt_strerror(mine);

        said[0] = mine;
        for (int i = 0; text[i] != '\0'; i++)
            said[1 + i] = (unsigned char)text[i];
    }
    s = opt__sum(ctx, "agreeing", said, 1 + LENGTH, OPT_F64);
    if (s)
        return s;
    for (int i = 0; i < LENGTH; i++)
        message[i] = (char)heard(said[1 + i], UCHAR_MAX);
    message[LENGTH - 1] = '\0';
    return opt__fail(ctx, (opt_status)heard(said[0], OPT_STOP), "rank %d: %s", rank, message);
}

opt_status opt__agree(opt_ctx *ctx, opt_status mine, double *x, int n)
{
    double said[MOST + 1] = {mine ? 1 : 0};
    opt_status s;
    int first = 0;

    if (ctx->comm.size < 2)
        return mine;
    if (n > 0)
        memcpy(said + 1, x, (size_t)n * sizeof *x);
    s = opt__sum(ctx, "agreeing", said, 1 + n, OPT_F64);
    if (s)
        return mine ? mine : s;
    if (!(said[0] > 0) && mine) /* a sum that is none */
        return mine;
    if (said[0] > 0) {
        s = find_failed(ctx, mine != OPT_OK, &first);
        return s ? s : hear(ctx, first, mine);
    }
    if (n > 0)
        memcpy(x, said + 1, (size_t)n * sizeof *x);
    return OPT_OK;
}

/* ---- The same lines ------------------------------------------------------------------------------------ */

static void add(opt__lines *l, const char *text)
{
    const size_t n = strlen(text);

    if (l->to != NULL)
        memcpy(l->to + l->length, text, n + 1);
    l->length += n;
}

void opt__add_line(opt__lines *l, const char *group, const char *name, const char *value)
{
    add(l, group);
    add(l, name);
    add(l, "\t");
    add(l, value);
    add(l, "\n");
}

/* theirs[0..length] <- rank 0's text. */
static opt_status hear_first(opt_ctx *ctx, const char *mine, size_t length, char *theirs)
{
    enum { PIECE = 256 };
    opt_status s = OPT_OK;

    for (size_t at = 0; !s && at < length; at += PIECE) {
        const size_t n = length - at < PIECE ? length - at : PIECE;
        double said[PIECE];

        for (size_t i = 0; i < n; i++)
            said[i] = ctx->comm.rank == 0 ? (double)(unsigned char)mine[at + i] : OPT__NOTHING;
        s = opt__sum(ctx, "comparing settings", said, (int64_t)n, OPT_F64);
        for (size_t i = 0; !s && i < n; i++)
            theirs[at + i] = (char)heard(said[i], UCHAR_MAX);
    }
    theirs[length] = '\0';
    return s;
}

/* OPT_OK when the texts are the same; otherwise a message about the first line that is not. */
static opt_status compare(opt_ctx *ctx, const char *mine, const char *theirs)
{
    size_t line = 0, name, here, there;

    if (strcmp(mine, theirs) == 0)
        return OPT_OK;
    for (size_t i = 0; mine[i] == theirs[i]; i++)
        if (mine[i] == '\n')
            line = i + 1;
    mine += line;
    theirs += line;
    name = strcspn(theirs, "\t");
    here = strcspn(mine, "\n");
    there = strcspn(theirs, "\n");
    if (strncmp(mine, theirs, name + 1) != 0) /* another line altogether, or none */
        return opt__fail(ctx, OPT_EINVAL, "\"%.*s\" stands where rank 0 has \"%.*s\"",
                         (int)strcspn(mine, "\t\n"), mine, (int)strcspn(theirs, "\t\n"), theirs);
    return opt__fail(ctx, OPT_EINVAL, "%.*s is %.*s where rank 0 has %.*s", (int)name, theirs,
                     (int)(here - name - 1), mine + name + 1, (int)(there - name - 1), theirs + name + 1);
}

opt_status opt__same_on_all(opt_ctx *ctx, void (*list)(opt__lines *l, const void *arg), const void *arg)
{
    opt__lines l = {0};
    char *theirs = NULL;
    double length;
    opt_status s;

    if (ctx->comm.size < 2)
        return OPT_OK;
    list(&l, arg);
    length = ctx->comm.rank == 0 ? (double)l.length : OPT__NOTHING;
    s = opt__sum(ctx, "comparing settings", &length, 1, OPT_F64);
    if (!s && !(length >= 0 && length < INT_MAX))
        s = opt__fail(ctx, OPT_ECOMM, "comparing settings: sums over ranks are none");
    if (s)
        return s;
    l.to = opt__alloc(ctx, (int64_t)l.length + 1, 1);
    l.length = 0;
    theirs = opt__alloc(ctx, (int64_t)length + 1, 1);
    s = opt__agree(ctx, l.to && theirs ? OPT_OK : opt__no_memory(ctx, "comparing settings"), NULL, 0);
    if (!s && l.to && theirs) { /* GCOVR_EXCL_BR_LINE: they are there, as was agreed */
        list(&l, arg);
        s = hear_first(ctx, l.to, (size_t)length, theirs);
        if (!s)
            s = opt__agree(ctx, compare(ctx, l.to, theirs), NULL, 0);
    }
    opt__free(ctx, l.to);
    opt__free(ctx, theirs);
    return s;
}

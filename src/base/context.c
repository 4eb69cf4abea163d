/* SPDX-License-Identifier: MIT
 *
 * Contexts, messages and memory.
 */
#define _DEFAULT_SOURCE /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

#include "base/context.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "base/text.h"

#define ALIGNMENT 64
#define HUGE_PAGE ((size_t)2 << 20)

/* Stands before every block, in the last bytes before its aligned start. */
typedef struct block {
    void *start;
    size_t size;
} block;

static void *default_alloc(void *ud, void *p, size_t old_size, size_t new_size)
{
    (void)ud;
    (void)old_size;
    if (new_size == 0) {
        free(p);
        return NULL;
    }
    return malloc(new_size);
}

static void check_options(opt_ctx *ctx, opt_isa isa)
{
    const opt_comm *c = &ctx->comm;

    if (ctx->threads < 0)
        ctx->status = opt__fail(ctx, OPT_EINVAL, "context: threads = %d is below 0", ctx->threads);
    else if (c->size < 0)
        ctx->status = opt__fail(ctx, OPT_EINVAL, "context: comm.size = %d is below 0", c->size);
    else if (c->rank < 0 || c->rank >= c->size)
        ctx->status =
            opt__fail(ctx, OPT_EINVAL, "context: comm.rank = %d is outside [0, %d)", c->rank, c->size);
    else if (c->size > 1 && c->sum == NULL)
        ctx->status = opt__fail(ctx, OPT_EINVAL, "context: comm.sum is NULL with %d ranks", c->size);
    else if ((c->begin == NULL) != (c->poll == NULL) || (c->begin == NULL) != (c->finish == NULL))
        ctx->status =
            opt__fail(ctx, OPT_EINVAL, "context: of comm's begin, poll and finish there are some, not all");
    else if (ctx->kernels == NULL)
        ctx->status = opt__fail(ctx, OPT_EINVAL, "context: isa = %d is not of this machine", (int)isa);
}

opt_ctx *opt_ctx_new(const opt_ctx_opts *opts)
{
    opt_ctx_opts given = opts ? *opts : (opt_ctx_opts){0};
    opt_ctx *ctx;

    if (given.allocator.alloc == NULL)
        given.allocator = (opt_allocator){.alloc = default_alloc};
    ctx = given.allocator.alloc(given.allocator.ud, NULL, 0, sizeof *ctx);
    if (ctx == NULL)
        return NULL;
    *ctx = (opt_ctx){.allocator = given.allocator, .threads = given.threads, .comm = given.comm};
    ctx->kernels = opt__kernels_for(given.isa);
    if (ctx->threads == 0)
        ctx->threads = 1;
    if (ctx->comm.size == 0)
        ctx->comm.size = 1;
    check_options(ctx, given.isa);
    if (ctx->threads > OPT__MAX_THREADS)
        ctx->threads = OPT__MAX_THREADS;
    if (ctx->threads > 1 && (ctx->pool = opt__pool_new(ctx, ctx->threads)) == NULL) {
        opt_ctx_free(ctx);
        return NULL;
    }
    return ctx;
}

void opt_ctx_free(opt_ctx *ctx)
{
    if (ctx != NULL) {
        opt_allocator a = ctx->allocator;

        opt__pool_free(ctx, ctx->pool);
        a.alloc(a.ud, ctx, sizeof *ctx, 0);
    }
}

const char *opt_errmsg(const opt_ctx *ctx)
{
    return ctx ? ctx->message : "out of memory";
}

const char *opt_strerror(opt_status status)
{
    switch (status) {
    case OPT_OK:
        return "ok";
    case OPT_ENOMEM:
        return "out of memory";
    case OPT_EINVAL:
        return "invalid argument";
    case OPT_ESHAPE:
        return "shapes do not fit";
    case OPT_EDTYPE:
        return "element types do not fit";
    case OPT_EIO:
        return "input or output failed";
    case OPT_EFORMAT:
        return "not in the expected file format";
    case OPT_ENONFINITE:
        return "not a finite number";
    case OPT_ECOMM:
        return "summing over ranks failed";
    case OPT_END:
        return "no more batches";
    case OPT_STOP:
        return "stopped";
    }
    return "unknown status";
}

const char *opt_version(void)
{
    return OPT_VERSION;
}

opt_status opt__enter(const opt_ctx *ctx)
{
    return ctx ? ctx->status : OPT_EINVAL;
}

opt_status opt__fail(opt_ctx *ctx, opt_status status, const char *format, ...)
{
    if (ctx != NULL) {
        char text[sizeof ctx->message];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        opt__hide_controls(text); /* which names and texts from files may hold */
        memcpy(ctx->message, text, sizeof text);
    }
    return status;
}

/* Asks for huge pages: a step over hundreds of megabytes then misses fewer address translations. It is only
 * advice, and for the C library's own memory, which comes fresh from the system when there is so much of it.
 */
static void advise(const opt_ctx *ctx, char *p, size_t size)
{
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    char *start = p + (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;

    if (ctx->allocator.alloc == default_alloc && size >= 4 * HUGE_PAGE)
        madvise(start, (size_t)(p + size - start) / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#else
    (void)ctx, (void)p, (void)size;
#endif
}

void *opt__alloc(const opt_ctx *ctx, int64_t count, size_t size)
{
    const size_t extra = sizeof(block) + ALIGNMENT;
    size_t total;
    char *start, *p;
    block b;

    if ((uint64_t)count > (SIZE_MAX / 2 - extra) / size) /* or below 0 */
        return NULL;
    total = (size_t)count * size + extra;
    start = ctx->allocator.alloc(ctx->allocator.ud, NULL, 0, total);
    if (start == NULL)
        return NULL;
    p = start + sizeof(block);
    p += (ALIGNMENT - (uintptr_t)p % ALIGNMENT) % ALIGNMENT;
    b = (block){.start = start, .size = total};
    memcpy(p - sizeof b, &b, sizeof b);
    advise(ctx, p, (size_t)count * size);
    memset(p, 0, (size_t)count * size);
    return p;
}

void opt__free(const opt_ctx *ctx, void *p)
{
    if (p != NULL) {
        block b;
        memcpy(&b, (char *)p - sizeof b, sizeof b);
        ctx->allocator.alloc(ctx->allocator.ud, b.start, b.size, 0);
    }
}

opt_status opt__no_memory(opt_ctx *ctx, const char *what)
{
    return opt__fail(ctx, OPT_ENOMEM, "%s: out of memory", what);
}

/* SPDX-License-Identifier: MIT
 *
 * What every module needs of a context: messages, the sticky error and memory. Names that are not public
 * start with opt__.
 */
#ifndef OPT_BASE_CONTEXT_H
#define OPT_BASE_CONTEXT_H

#include <opt/base.h>

#include "base/pool.h"
#include "kernel/kernels.h"

#if defined(__GNUC__)
#define OPT__PRINTF(string, first) __attribute__((__format__(__printf__, string, first)))
#else
#define OPT__PRINTF(string, first)
#endif

struct opt_ctx {
    opt_allocator allocator;
    int threads;
    opt__pool *pool; /* NULL with one thread */
    opt_comm comm;
    bool summing;                /* sums over ranks are under way, to be polled */
    const opt__kernels *kernels; /* f32's and f64's */
    opt_status status; /* not OPT_OK: the context was made with bad options, and every call says so */
    char message[512];
};

/* The status every public function with a context begins with: OPT_EINVAL when ctx is NULL or bad. */
opt_status opt__enter(const opt_ctx *ctx);

/* The inner loops for a dtype. */
static inline const opt__kernels *opt__kernels_of(const opt_ctx *ctx, opt_dtype dtype)
{
    return &ctx->kernels[dtype == OPT_F64];
}

/* Sets the message and returns status. A NULL ctx only returns. The arguments may include the message itself.
 */
opt_status opt__fail(opt_ctx *ctx, opt_status status, const char *format, ...) OPT__PRINTF(3, 4);

/* Zeroed memory for count items of size bytes, aligned to 64 bytes; NULL, with no message, when there is none
 * or the product overflows. Released by opt__free, which allows NULL. */
void *opt__alloc(const opt_ctx *ctx, int64_t count, size_t size);
void opt__free(const opt_ctx *ctx, void *p);

/* OPT_ENOMEM with a message that says what for. */
opt_status opt__no_memory(opt_ctx *ctx, const char *what);

#endif

/* SPDX-License-Identifier: MIT
 *
 * What the tests share: comparisons that fail on NaN, golden files, allocators that fail or count.
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <opt.h>

/* What depends on how large an object can be: where pointers have 64 bits, and where they have 32. */
#if SIZE_MAX > UINT32_MAX
#define BY_WIDTH(wide, narrow) wide
#else
#define BY_WIDTH(wide, narrow) narrow
#endif

/* Fails unless |x - y| <= tol; a NaN on either side fails. */
#define assert_close(x, y, tol) support_assert_close((x), (y), (tol), #x, __FILE__, __LINE__)
void support_assert_close(double x, double y, double tol, const char *what, const char *file, int line);

/* Fails, with the library's message, unless the call came to OPT_OK. */
#define assert_ok(ctx, call) support_assert_ok((ctx), (call), #call, __FILE__, __LINE__)
void support_assert_ok(const opt_ctx *ctx, opt_status s, const char *what, const char *file, int line);

/* Fails unless the call came to `status` with a message that contains `part`. */
#define assert_fails(ctx, call, status, part)                                                                \
    support_assert_fails((ctx), (call), (status), (part), #call, __FILE__, __LINE__)
void support_assert_fails(const opt_ctx *ctx, opt_status s, opt_status status, const char *part,
                          const char *what, const char *file, int line);

/* Reads tests/golden/<name>, a printf format; to be freed with opt_tensor_free. */
#if defined(__GNUC__)
__attribute__((__format__(__printf__, 2, 3)))
#endif
opt_tensor
golden(opt_ctx *ctx, const char *name, ...);

/* The largest |a - b| over all elements, compared in row-major order; the lengths must agree. NaN counts as
 * infinite. */
double largest_difference(const opt_tensor *a, const opt_tensor *b);

/* Whether the bytes of all values (not gradients) agree. */
bool same_bits(opt_params a, opt_params b);

/* An allocator that counts, and fails when told to. Put `count.allocator` into opt_ctx_opts after
 * count_init(&count). */
typedef struct count {
    opt_allocator allocator;
    long calls;     /* allocations asked for */
    long live;      /* blocks not released */
    size_t bytes;   /* in them */
    size_t peak;    /* most bytes ever live */
    long fail_from; /* allocation number fail_from (from 0) fails; below 0: none */
    bool fail_all;  /* and so do all after it */
} count;
void count_init(count *c);

#endif

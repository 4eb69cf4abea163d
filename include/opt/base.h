/* SPDX-License-Identifier: MIT
 *
 * Contexts, status codes and the allocator: what every other header builds on.
 */
#ifndef OPT_BASE_H
#define OPT_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header: major, minor and patch, as semver.org has them. */
#define OPT_VERSION "0.1.0"

/* What a call came to. The numbers never change. */
typedef enum opt_status {
    OPT_OK = 0,
    OPT_ENOMEM,     /* the allocator gave no memory */
    OPT_EINVAL,     /* an argument or option outside its range */
    OPT_ESHAPE,     /* an impossible shape, or shapes that do not fit each other */
    OPT_EDTYPE,     /* an unknown element type, or types that do not fit each other */
    OPT_EIO,        /* a file or source could not be read or written */
    OPT_EFORMAT,    /* a file is not what its format says */
    OPT_ENONFINITE, /* a loss or gradient is infinite or not a number */
    OPT_ECOMM,      /* summing over ranks failed */
    OPT_END,        /* no more batches in this epoch: not an error */
    OPT_STOP        /* a callback ends training, or opt_optim_search finds nothing lower: not an error */
} opt_status;

/* Element types. OPT_BF16, the upper half of an OPT_F32, is for an optimizer's state alone: opt_get, opt_set
 * and opt_tensor_fill know it, and no other function takes it. */
typedef enum opt_dtype { OPT_F32 = 1, OPT_F64 = 2, OPT_BF16 = 3 } opt_dtype;

/* In an options struct 0 means "the default". In those of methods, optimizers, parameters and schedules
 * OPT_ZERO means exactly 0. */
#define OPT_ZERO (-1.0)

/* One function does it all. p is NULL for new memory; new_size is 0 to release p (the result is ignored).
 * old_size is what p was asked for with. Returns memory aligned for any type, or NULL when there is none.
 * The library never asks to resize. */
typedef struct opt_allocator {
    void *(*alloc)(void *ud, void *p, size_t old_size, size_t new_size);
    void *ud;
} opt_allocator;

/* Data-parallel training: `sum` replaces buf[0..n) of every rank by the sum over all ranks, the same bits on
 * each, and returns OPT_OK; any other status ends what was going on with OPT_ECOMM. rank is in [0, size).
 * size 0 or 1: alone, sum is never called. The ranks must make the same calls, in the same order; where their
 * tensors lie in memory is each one's own affair.
 *
 * For the same bits on any number of ranks the sum must be a tree: that of the first half of the ranks, of an
 * odd number the larger one, plus that of the others, and so on down. <opt/mpi.h> has one. */
typedef struct opt_comm {
    int rank, size;
    opt_status (*sum)(void *ud, void *buf, size_t n, opt_dtype t);
    void *ud;
    const char *(*message)(void *ud); /* why the last call failed; may be NULL */

    /* For sharded optimizers: elements [start[r], start[r + 1]) of buf, which rank r has, go to all the
     * others; start [size + 1] is the same on each. NULL: it is done by sums. */
    opt_status (*gather)(void *ud, void *buf, const int64_t *start, opt_dtype t);

    /* For sums that go on while gradients of other layers are computed; all three or none. begin: buf[0..n)
     * is to become its sum, and is left alone until finish; all ranks begin the same sums in the same order.
     * poll is called now and then meanwhile, so that they get on, from the thread that uses the context.
     * finish waits for all of them. */
    opt_status (*begin)(void *ud, void *buf, size_t n, opt_dtype t);
    void (*poll)(void *ud);
    opt_status (*finish)(void *ud);
} opt_comm;

/* Which instructions the inner loops use. Results do not depend on it, to the last bit; speed does. */
typedef enum opt_isa {
    OPT_ISA_BEST = 0, /* the best that the machine has */
    OPT_ISA_BASELINE, /* what every machine of this architecture has: SSE2 on x86-64, NEON on arm64 */
    OPT_ISA_AVX2,
    OPT_ISA_AVX512, /* F, VL and DQ */
    OPT_ISA_NEON
} opt_isa;

typedef struct opt_ctx_opts {
    opt_allocator allocator; /* {0}: malloc and free */
    int threads;             /* at most, the caller's counted; 0: one. Results do not depend on it */
    opt_comm comm;           /* {0}: alone */
    opt_isa isa;             /* one that the machine lacks counts as out of range */
} opt_ctx_opts;

/* A context holds the allocator, the last error message and the threads that large work is shared with. Use
 * it, and the objects made with it, from one thread at a time; contexts share nothing, so any number of
 * threads may each have their own. Its own threads are started by the first work large enough to gain from
 * them, sleep when there is none, and block all signals. A child made by fork between two calls may go on
 * with its copy of the context and its objects. */
typedef struct opt_ctx opt_ctx;

/* opts may be NULL. Returns NULL only when memory is short. With options out of range the context is still
 * made: opt_errmsg says what is wrong, and every call that takes the context returns OPT_EINVAL. */
opt_ctx *opt_ctx_new(const opt_ctx_opts *opts);

/* Free every object made with ctx first. NULL is allowed. */
void opt_ctx_free(opt_ctx *ctx);

/* What went wrong in the call that has just failed, for example "adam: beta1 = 1.2 is outside [0, 1)"; valid
 * until the next call with ctx. A call that was given NULL for its object leaves none of its own. Empty
 * while nothing has gone wrong. A NULL context gives "out of memory". */
const char *opt_errmsg(const opt_ctx *ctx);

/* The status in words, for example "shapes do not fit". Never NULL. */
const char *opt_strerror(opt_status status);

/* The library's version; equal to OPT_VERSION of the header it was built with. */
const char *opt_version(void);

#ifdef __cplusplus
}
#endif
#endif

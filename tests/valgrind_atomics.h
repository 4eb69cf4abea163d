/* SPDX-License-Identifier: MIT
 *
 * C11's atomics for helgrind and drd, which know locks alone: what one thread did before it writes an atomic
 * has happened before what another does after it has read it there, and atomics themselves are no race. gcc
 * includes this before every source (-include). Relaxed operations order nothing.
 */
#ifndef VALGRIND_ATOMICS_H
#define VALGRIND_ATOMICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <valgrind/drd.h>
#include <valgrind/helgrind.h> /* some macros again, otherwise; only the requests' numbers are used */

#define VALGRIND_TELL(request, p, n) VALGRIND_DO_CLIENT_REQUEST_STMT(request, p, n, 0, 0, 0)

static inline void valgrind_no_race(const volatile void *p, size_t n)
{
    VALGRIND_TELL(VG_USERREQ__DRD_START_SUPPRESSION, p, n);
    VALGRIND_TELL(_VG_USERREQ__HG_ARANGE_MAKE_UNTRACKED, p, n);
}

static inline void valgrind_release(const volatile void *p)
{
    VALGRIND_TELL(VG_USERREQ__DRD_ANNOTATE_HAPPENS_BEFORE, p, 0);
    VALGRIND_TELL(_VG_USERREQ__HG_USERSO_SEND_PRE, p, 0);
}

static inline void valgrind_acquire(const volatile void *p)
{
    VALGRIND_TELL(VG_USERREQ__DRD_ANNOTATE_HAPPENS_AFTER, p, 0);
    VALGRIND_TELL(_VG_USERREQ__HG_USERSO_RECV_POST, p, 0);
}

/* operation(valgrind_at, value, __ATOMIC_SEQ_CST), in the order that is asked for. */
#define VALGRIND_ATOMIC(p, order, releases, acquires, operation)                                             \
    __extension__({                                                                                          \
        __auto_type valgrind_at = (p);                                                                       \
        valgrind_no_race(valgrind_at, sizeof *valgrind_at);                                                  \
        if ((releases) && (order) != memory_order_relaxed)                                                   \
            valgrind_release(valgrind_at);                                                                   \
        __auto_type valgrind_got = (operation);                                                              \
        if ((acquires) && (order) != memory_order_relaxed)                                                   \
            valgrind_acquire(valgrind_at);                                                                   \
        valgrind_got;                                                                                        \
    })

#undef atomic_load_explicit
#undef atomic_load
#undef atomic_store_explicit
#undef atomic_store
#undef atomic_exchange
#undef atomic_fetch_add_explicit
#undef atomic_fetch_add
#undef atomic_fetch_sub
#undef atomic_compare_exchange_weak

#define atomic_load_explicit(p, order)                                                                       \
    VALGRIND_ATOMIC(p, order, 0, 1, __atomic_load_n(valgrind_at, __ATOMIC_SEQ_CST))
#define atomic_store_explicit(p, value, order)                                                               \
    ((void)VALGRIND_ATOMIC(p, order, 1, 0, (__atomic_store_n(valgrind_at, value, __ATOMIC_SEQ_CST), 0)))
#define atomic_fetch_add_explicit(p, value, order)                                                           \
    VALGRIND_ATOMIC(p, order, 1, 1, __atomic_fetch_add(valgrind_at, value, __ATOMIC_SEQ_CST))
#define atomic_load(p)         atomic_load_explicit(p, memory_order_seq_cst)
#define atomic_store(p, value) atomic_store_explicit(p, value, memory_order_seq_cst)
#define atomic_exchange(p, value)                                                                            \
    VALGRIND_ATOMIC(p, memory_order_seq_cst, 1, 1, __atomic_exchange_n(valgrind_at, value, __ATOMIC_SEQ_CST))
#define atomic_fetch_add(p, value) atomic_fetch_add_explicit(p, value, memory_order_seq_cst)
#define atomic_fetch_sub(p, value)                                                                           \
    VALGRIND_ATOMIC(p, memory_order_seq_cst, 1, 1, __atomic_fetch_sub(valgrind_at, value, __ATOMIC_SEQ_CST))
#define atomic_compare_exchange_weak(p, expected, value)                                                     \
    VALGRIND_ATOMIC(                                                                                         \
        p, memory_order_seq_cst, 1, 1,                                                                       \
        __atomic_compare_exchange_n(valgrind_at, expected, value, 1, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))

#endif

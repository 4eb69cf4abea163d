/* SPDX-License-Identifier: MIT
 *
 * Loaded into a program by LD_PRELOAD: its allocation number FAIL_AT, from 1, fails, and with FAIL_ALL set
 * all that follow. To the descriptor FAIL_TO goes a letter for the first failure: L when the C library asked,
 * P when the program or another library did; and when the program exits the number of allocations.
 */
#define _GNU_SOURCE /* RTLD_NEXT, dladdr; NOLINT: reserved, and meant to be defined */

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_long calls;

/* A number of the environment; 0 if it is not there. */
static long setting(const char *name)
{
    const char *text = getenv(name);

    return text == NULL ? 0 : strtol(text, NULL, 10);
}

static void tell(const char *text, size_t n)
{
    if (write((int)setting("FAIL_TO"), text, n) < 0)
        abort();
}

/* Of the C library are its loader and threads too. */
static bool in_libc(const void *caller)
{
    Dl_info about;

    if (dladdr(caller, &about) == 0 || about.dli_fname == NULL)
        return false;
    return strstr(about.dli_fname, "/libc.") != NULL || strstr(about.dli_fname, "/ld-") != NULL;
}

static bool fails(const void *caller)
{
    const long call = atomic_fetch_add(&calls, 1) + 1, at = setting("FAIL_AT");

    if (at == 0 || call < at || (call > at && setting("FAIL_ALL") == 0))
        return false;
    if (call == at)
        tell(in_libc(caller) ? "L" : "P", 1);
    errno = ENOMEM;
    return true;
}

__attribute__((destructor)) static void report(void)
{
    char text[32];
    const int n = snprintf(text, sizeof text, "%ld", atomic_load(&calls));

    tell(text, (size_t)n);
}

/* The C library's own function of that name. */
static void find(const char *name, void *function)
{
    void *const found = dlsym(RTLD_NEXT, name);

    memcpy(function, &found, sizeof found);
}

#define REPLACE(name, parameters, arguments)                                                                 \
    void *name parameters                                                                                    \
    {                                                                                                        \
        static void *(*real)parameters;                                                                      \
                                                                                                             \
        if (fails(__builtin_return_address(0)))                                                              \
            return NULL;                                                                                     \
        if (real == NULL)                                                                                    \
            find(#name, &real);                                                                              \
        return real arguments;                                                                               \
    }

REPLACE(malloc, (size_t n), (n))
REPLACE(calloc, (size_t count, size_t size), (count, size))
REPLACE(realloc, (void *p, size_t n), (p, n))
REPLACE(aligned_alloc, (size_t alignment, size_t n), (alignment, n))

/* SPDX-License-Identifier: MIT
 *
 * What several tests ask of POSIX, and of Windows in its stead. A test that wants more is left out there, by
 * #ifndef _WIN32.
 */
#ifndef TESTS_POSIX_H
#define TESTS_POSIX_H

#include <sys/stat.h>
#include <unistd.h>

#ifndef _WIN32
#include <sys/resource.h>

/* So that one left open by each of many files is soon missed. */
static inline void few_descriptors(void)
{
    (void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){64, 64});
}

/* The lowest descriptor that is free, or -1 where the soft limit of them does not hold, as under valgrind. */
static inline int lowest_descriptor(void)
{
    const int lowest = dup(1);
    int next;

    close(lowest);
    (void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)lowest, 64});
    next = dup(1);
    few_descriptors();
    if (next >= 0)
        close(next);
    return next < 0 ? lowest : -1;
}
#else
#define WIN32_LEAN_AND_MEAN /* the rest makes macros of words such as small */
#include <windows.h>
#undef near
#undef far

#define mkdir(path, mode)  mkdir(path)
#define mkfifo(path, mode) ((void)(path), 0) /* nothing is there then */
#define alarm(seconds)     ((void)(seconds))
#define link(from, to)     (CreateHardLinkA(to, from, NULL) ? 0 : -1)
#define symlink(from, to)  link(from, to) /* not every user may make another */
#define few_descriptors()  ((void)0)      /* there is no such limit */
#endif

#endif

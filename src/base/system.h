/* SPDX-License-Identifier: MIT
 *
 * What the library asks of the system beyond C. It is written for POSIX; what Windows lacks of that is made
 * in windows.c of what it has, under the names of POSIX and no further than the library goes.
 */
#ifndef OPT_BASE_SYSTEM_H
#define OPT_BASE_SYSTEM_H

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef _WIN32
#include <sys/file.h>
#include <sys/mman.h>
#else
#include <stddef.h>
#include <sys/types.h>

/* Of files: descriptors never outlive exec, text is bytes, and what is open may be renamed and removed. */
#define O_CLOEXEC       0
#define O_NOCTTY        0
#define O_NOFOLLOW      0
#define O_NONBLOCK      0
#define O_DIRECTORY     0
#define F_SETFL         1 /* nothing is to be set */
#define F_DUPFD_CLOEXEC 2
#define open            opt__open
#define rename          opt__rename
#define remove          opt__remove
#define lstat           stat
#define geteuid()       0
#define fchmod(d, mode) ((void)(d), (void)(mode), 0)
int opt__open(const char *path, int flags, ...);
int opt__rename(const char *from, const char *to);
int opt__remove(const char *path);
int fcntl(int descriptor, int command, int argument);
int link(const char *from, const char *to);
int fsync(int descriptor);
ssize_t pread(int descriptor, void *to, size_t n, off_t at);

#define LOCK_EX 1
#define LOCK_NB 2
int flock(int descriptor, int operation); /* as if both were said */

#define PROT_READ                      1
#define MAP_SHARED                     1
#define MAP_FAILED                     ((void *)-1)
#define MADV_SEQUENTIAL                0
#define MADV_DONTNEED                  1
#define madvise(address, size, advice) ((void)(address), (void)(size), (void)(advice), 0)
void *mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t at);
int munmap(void *address, size_t size);
#endif

#endif

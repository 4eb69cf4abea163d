/* SPDX-License-Identifier: MIT
 *
 * What the library asks of the system beyond C. It is written for POSIX; what Windows lacks of that is made
 * in windows.c of what it has, under the names of POSIX (in the sources: a library's functions of these names
 * would be the program's too) and no further than the library goes.
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
#include <stdint.h>
#include <sys/types.h>

/* Of files: descriptors never outlive exec, text is bytes, and what is open may be renamed and removed. */
#undef O_EXCL
#define O_EXCL          0x4000000
#define O_CLOEXEC       0
#define O_NOCTTY        0
#define O_NOFOLLOW      0x1000000 /* a bit that no other flag has */
#define O_NONBLOCK      0
#define O_DIRECTORY     0x2000000
#define F_SETFL         1 /* nothing is to be set */
#define F_DUPFD_CLOEXEC 2
#define open            opt__open
#define rename          opt__rename
#define remove          opt__remove
#define fcntl           opt__fcntl
#define fsync           opt__fsync
#define pread           opt__pread
#define write(d, p, n)  write(d, p, (unsigned)(n)) /* lines of a log */
#define geteuid()       0
#define fchmod(d, mode) ((void)(d), (void)(mode), 0)
#define fchown(d, u, g) ((void)(d), 0)

#define linkat(from_folder, from, to_folder, to, flags) opt__link(from, to)

int opt__open(const char *path, int flags, ...); /* a link not to be followed is opened itself */
int opt__rename(const char *from, const char *to);
int opt__remove(const char *path);
int opt__fcntl(int descriptor, int command, int argument);
int opt__link(const char *from, const char *to);
int opt__fsync(int descriptor);
ssize_t opt__pread(int descriptor, void *to, size_t n, off_t at);

/* Windows's own says neither which file it is nor how many names it has. A link is no regular file. */
struct opt__stat {
    unsigned st_mode, st_nlink, st_uid, st_gid;
    uint64_t st_dev, st_ino;
    int64_t st_size;
};
#undef stat
#undef fstat
#define stat  opt__stat
#define fstat opt__fstat
#define lstat opt__lstat
int opt__stat(const char *path, struct opt__stat *about);
int opt__fstat(int descriptor, struct opt__stat *about);
int opt__lstat(const char *path, struct opt__stat *about);

#define LOCK_EX 1
#define LOCK_NB 2
#define flock   opt__flock
int opt__flock(int descriptor, int operation); /* as if both were said */

#define PROT_READ                      1
#define MAP_SHARED                     1
#define MAP_FAILED                     ((void *)-1)
#define MADV_SEQUENTIAL                0
#define MADV_DONTNEED                  1
#define madvise(address, size, advice) ((void)(address), (void)(size), (void)(advice), 0)
#define mmap                           opt__mmap
#define munmap                         opt__munmap
void *opt__mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t at);
int opt__munmap(void *address, size_t size);
#endif

#endif

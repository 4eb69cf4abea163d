/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE /* NOLINT: reserved, and meant to be defined */

#include "failing.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void (*failing_alter)(struct stat *about);

static bool counting, closing, read_failed;
static failing_how how_to_fail;
static long calls, fail_at;
static int error = EIO;
static char made[10000];
static const char *first;

void failing_with(int wanted)
{
    error = wanted;
}

void failing_begin(failing_how how, long n)
{
    counting = true;
    how_to_fail = how;
    fail_at = n;
    calls = 0;
    read_failed = false;
    made[0] = '\0';
    first = "";
}

long failing_end(void)
{
    counting = false;
    return calls;
}

const char *failing_calls_made(void)
{
    return made;
}

const char *failing_first(void)
{
    return first;
}

/* Whether the call in hand is to fail; errno then says so. */
static bool fails(const char *name)
{
    const size_t used = strlen(made);
    const bool now = counting && (calls == fail_at || (how_to_fail == FAIL_ALL && calls > fail_at));

    if (!counting || closing)
        return false;
    calls++;
    snprintf(made + used, sizeof made - used, " %s", name);
    if (now && how_to_fail == DIE)
        _exit(DEAD);
    if (now && *first == '\0')
        first = name;
    if (now)
        errno = error;
    return now && how_to_fail != ALTER && how_to_fail != ENDS;
}

/* Whether the call in hand, which does not fail, is to be answered otherwise. */
static bool is_other(failing_how how)
{
    return counting && how_to_fail == how && calls == fail_at;
}

/* The linker has the library call __wrap_x where it says x, and finds x itself under __real_x. */
#define WRAP(type, name, parameters, arguments) WRAP_AS(#name, type, name, parameters, arguments)
#define WRAP_AS(shown, type, name, parameters, arguments)                                                    \
    type __real_##name parameters;                                                                           \
    type __wrap_##name parameters;                                                                           \
    type __wrap_##name parameters                                                                            \
    {                                                                                                        \
        return fails(shown) ? -1 : __real_##name arguments;                                                  \
    }

WRAP(int, stat, (const char *path, struct stat *about), (path, about))
WRAP(int, flock, (int d, int operation), (d, operation))
WRAP(int, ftruncate, (int d, off_t size), (d, size))
WRAP(int, fchmod, (int d, mode_t mode), (d, mode))
WRAP(int, fchown, (int d, uid_t user, gid_t group), (d, user, group))
WRAP(int, fflush, (FILE * f), (f))
WRAP(int, fseek, (FILE * f, long offset, int from), (f, offset, from))
WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, remove, (const char *path), (path))
WRAP(off_t, lseek, (int d, off_t offset, int from), (d, offset, from))
WRAP(int, pthread_create, (pthread_t * thread, const pthread_attr_t *how, void *(*run)(void *), void *arg),
     (thread, how, run, arg))
WRAP(int, fputc, (int c, FILE *f), (c, f))

#define WRAP_STAT(shown, name, parameters, arguments)                                                        \
    int __real_##name parameters;                                                                            \
    int __wrap_##name parameters;                                                                            \
    int __wrap_##name parameters                                                                             \
    {                                                                                                        \
        const bool other = is_other(ALTER);                                                                  \
        const int result = fails(shown) ? -1 : __real_##name arguments;                                      \
                                                                                                             \
        if (result == 0 && other)                                                                            \
            failing_alter(about);                                                                            \
        return result;                                                                                       \
    }

WRAP_STAT("fstat", fstat, (int d, struct stat *about), (d, about))
WRAP_STAT("lstat", lstat, (const char *path, struct stat *about), (path, about))

/* With _FILE_OFFSET_BITS 64, for files of any size, glibc has these under other names. */
#ifdef __GLIBC__
WRAP_STAT("fstat", fstat64, (int d, struct stat *about), (d, about))
WRAP_STAT("lstat", lstat64, (const char *path, struct stat *about), (path, about))
WRAP_AS("stat", int, stat64, (const char *path, struct stat *about), (path, about))
WRAP_AS("lseek", off_t, lseek64, (int d, off_t offset, int from), (d, offset, from))
WRAP_AS("ftruncate", int, ftruncate64, (int d, off_t size), (d, size))
#endif

int __real_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags);
int __wrap_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags);
int __wrap_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    if (fails("linkat"))
        return -1;
    if (counting && how_to_fail == NO_LINKS && access(from, F_OK) == 0) {
        errno = EPERM;
        return -1;
    }
    return __real_linkat(from_folder, from, to_folder, to, flags);
}

/* Flushing to the disk, which takes its time, is left out: no machine stops here. */
int __wrap_fsync(int d);
int __wrap_fsync(int d)
{
    (void)d;
    return fails("fsync") ? -1 : 0;
}

/* With O_CREAT there is a mode as well, which is harmless without. */
#define WRAP_OPEN(name)                                                                                      \
    int __real_##name(const char *path, int flags, ...);                                                     \
    int __wrap_##name(const char *path, int flags, ...);                                                     \
    int __wrap_##name(const char *path, int flags, ...)                                                      \
    {                                                                                                        \
        va_list args;                                                                                        \
        mode_t mode = 0;                                                                                     \
                                                                                                             \
        va_start(args, flags);                                                                               \
        if (flags & O_CREAT)                                                                                 \
            mode = va_arg(args, mode_t);                                                                     \
        va_end(args);                                                                                        \
        return fails("open") ? -1 : __real_##name(path, flags, mode);                                        \
    }

WRAP_OPEN(open)
#ifdef __GLIBC__
WRAP_OPEN(open64)
#endif

/* What is closed is closed, even when that comes to an error. */
int __real_close(int d);
int __wrap_close(int d);
int __wrap_close(int d)
{
    const bool now = fails("close");
    const int result = __real_close(d);

    return now ? -1 : result;
}

/* What the C library calls itself meanwhile comes here as well where it is linked statically. */
int __real_fclose(FILE *f);
int __wrap_fclose(FILE *f);
int __wrap_fclose(FILE *f)
{
    const bool now = fails("fclose");
    int result;

    closing = true;
    result = __real_fclose(f);
    closing = false;
    return now ? EOF : result;
}

FILE *__real_fdopen(int d, const char *mode);
FILE *__wrap_fdopen(int d, const char *mode);
FILE *__wrap_fdopen(int d, const char *mode)
{
    return fails("fdopen") ? NULL : __real_fdopen(d, mode);
}

/* Half of what was to be written is. */
size_t __real_fwrite(const void *from, size_t size, size_t n, FILE *f);
size_t __wrap_fwrite(const void *from, size_t size, size_t n, FILE *f);
size_t __wrap_fwrite(const void *from, size_t size, size_t n, FILE *f)
{
    if (counting && calls == fail_at && how_to_fail != ALTER && how_to_fail != ENDS) {
        const size_t written = __real_fwrite(from, size, n / 2, f);

        __real_fflush(f);
        (void)fails("fwrite");
        return written;
    }
    return fails("fwrite") ? 0 : __real_fwrite(from, size, n, f);
}

size_t __real_fread(void *to, size_t size, size_t n, FILE *f);
size_t __wrap_fread(void *to, size_t size, size_t n, FILE *f);
size_t __wrap_fread(void *to, size_t size, size_t n, FILE *f)
{
    read_failed = fails("fread");
    return read_failed ? 0 : __real_fread(to, size, n, f);
}

int __real_ferror(FILE *f);
int __wrap_ferror(FILE *f);
int __wrap_ferror(FILE *f)
{
    return read_failed ? 1 : __real_ferror(f);
}

int __real_getc(FILE *f);
int __wrap_getc(FILE *f);
int __wrap_getc(FILE *f)
{
    if (!fails("getc"))
        return __real_getc(f);
    read_failed = true;
    return EOF;
}

locale_t __real_newlocale(int mask, const char *name, locale_t base);
locale_t __wrap_newlocale(int mask, const char *name, locale_t base);
locale_t __wrap_newlocale(int mask, const char *name, locale_t base)
{
    return fails("newlocale") ? (locale_t)0 : __real_newlocale(mask, name, base);
}

/* ---- Descriptors --------------------------------------------------------------------------------------- */

#define WRAP_DESCRIPTOR(fcntl, mmap, pread)                                                                  \
    int __real_##fcntl(int d, int command, ...);                                                             \
    int __wrap_##fcntl(int d, int command, ...);                                                             \
    int __wrap_##fcntl(int d, int command, ...)                                                              \
    {                                                                                                        \
        va_list args;                                                                                        \
        int arg;                                                                                             \
                                                                                                             \
        va_start(args, command);                                                                             \
        arg = va_arg(args, int);                                                                             \
        va_end(args);                                                                                        \
        return fails("fcntl") ? -1 : __real_##fcntl(d, command, arg);                                        \
    }                                                                                                        \
                                                                                                             \
    void *__real_##mmap(void *at, size_t n, int protection, int flags, int d, off_t offset);                 \
    void *__wrap_##mmap(void *at, size_t n, int protection, int flags, int d, off_t offset);                 \
    void *__wrap_##mmap(void *at, size_t n, int protection, int flags, int d, off_t offset)                  \
    {                                                                                                        \
        return fails("mmap") ? MAP_FAILED : __real_##mmap(at, n, protection, flags, d, offset);              \
    }                                                                                                        \
                                                                                                             \
    ssize_t __real_##pread(int d, void *to, size_t n, off_t offset);                                         \
    ssize_t __wrap_##pread(int d, void *to, size_t n, off_t offset);                                         \
    ssize_t __wrap_##pread(int d, void *to, size_t n, off_t offset)                                          \
    {                                                                                                        \
        const bool ends = is_other(ENDS);                                                                    \
                                                                                                             \
        return fails("pread") ? -1 : ends ? 0 : __real_##pread(d, to, n, offset);                            \
    }

WRAP_DESCRIPTOR(fcntl, mmap, pread)
#ifdef __GLIBC__
WRAP_DESCRIPTOR(fcntl64, mmap64, pread64)
#endif

/* Unless it is interrupted before that, half of what was to be written is. */
ssize_t __real_write(int d, const void *from, size_t n);
ssize_t __wrap_write(int d, const void *from, size_t n);
ssize_t __wrap_write(int d, const void *from, size_t n)
{
    const bool half = counting && calls == fail_at && error != EINTR;

    if (!fails("write"))
        return __real_write(d, from, n);
    return half ? __real_write(d, from, n / 2) : -1;
}

/* ---- zlib ---------------------------------------------------------------------------------------------- */

#ifdef HAS_ZLIB
#include <zlib.h>

static bool gz_failed;

gzFile __real_gzdopen(int d, const char *mode);
gzFile __wrap_gzdopen(int d, const char *mode);
gzFile __wrap_gzdopen(int d, const char *mode)
{
    gz_failed = false;
    return fails("gzdopen") ? NULL : __real_gzdopen(d, mode);
}

int __real_gzread(gzFile f, void *to, unsigned n);
int __wrap_gzread(gzFile f, void *to, unsigned n);
int __wrap_gzread(gzFile f, void *to, unsigned n)
{
    gz_failed = fails("gzread");
    return gz_failed ? -1 : __real_gzread(f, to, n);
}

const char *__real_gzerror(gzFile f, int *why);
const char *__wrap_gzerror(gzFile f, int *why);
const char *__wrap_gzerror(gzFile f, int *why)
{
    const char *text = __real_gzerror(f, why);

    if (gz_failed)
        *why = error == ENOMEM ? Z_MEM_ERROR : Z_ERRNO;
    return text;
}

WRAP(int, gzrewind, (gzFile f), (f))
#endif

/* SPDX-License-Identifier: MIT
 *
 * What the library asks of POSIX, made of what Windows has; elsewhere nothing.
 */
#include "base/system.h"

#ifdef _WIN32

#include <errno.h>
#include <io.h>
#include <stdbool.h>
#include <stdint.h>
#include <windows.h>

static HANDLE handle_of(int descriptor)
{
    return (HANDLE)_get_osfhandle(descriptor);
}

/* errno for the last error; those that the library asks for have their own. */
static int failed(void)
{
    const DWORD error = GetLastError();

    errno = error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND ? ENOENT
            : error == ERROR_ACCESS_DENIED                                 ? EACCES
                                                                           : EIO;
    return -1;
}

int opt__open(const char *path, int flags, ...)
{
    const bool writes = (flags & O_WRONLY) != 0;
    const HANDLE h = CreateFileA(path, writes ? GENERIC_WRITE : GENERIC_READ,
                                 FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                                 flags & O_CREAT ? OPEN_ALWAYS : OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    int descriptor;

    if (h == INVALID_HANDLE_VALUE)
        return failed();
    descriptor = _open_osfhandle((intptr_t)h, (flags & (O_WRONLY | O_APPEND)) | _O_BINARY | _O_NOINHERIT);
    if (descriptor < 0)
        CloseHandle(h);
    return descriptor;
}

int opt__rename(const char *from, const char *to)
{
    return MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH) ? 0 : failed();
}

int opt__remove(const char *path)
{
    return DeleteFileA(path) ? 0 : failed();
}

int fcntl(int descriptor, int command, int argument)
{
    (void)argument;
    return command == F_DUPFD_CLOEXEC ? _dup(descriptor) : 0;
}

int link(const char *from, const char *to)
{
    return CreateHardLinkA(to, from, NULL) ? 0 : failed();
}

int fsync(int descriptor)
{
    return FlushFileBuffers(handle_of(descriptor)) ? 0 : failed();
}

/* At a place of its own: files cannot be written where they are locked. */
int flock(int descriptor, int operation)
{
    OVERLAPPED place = {.OffsetHigh = 0x40000000};

    (void)operation;
    return LockFileEx(handle_of(descriptor), LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0,
                      &place)
               ? 0
               : failed();
}

ssize_t pread(int descriptor, void *to, size_t n, off_t at)
{
    OVERLAPPED place = {.Offset = (DWORD)at, .OffsetHigh = (DWORD)((uint64_t)at >> 32)};
    DWORD got = 0;

    if (!ReadFile(handle_of(descriptor), to, n < 1 << 30 ? (DWORD)n : 1 << 30, &got, &place) &&
        GetLastError() != ERROR_HANDLE_EOF)
        return failed();
    return (ssize_t)got;
}

void *mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t at)
{
    const HANDLE mapping = CreateFileMappingA(handle_of(descriptor), NULL, PAGE_READONLY, 0, 0, NULL);
    void *bytes = NULL;

    (void)address, (void)protection, (void)flags, (void)at;
    if (mapping != NULL) {
        bytes = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, size);
        CloseHandle(mapping);
    }
    return bytes != NULL ? bytes : MAP_FAILED;
}

int munmap(void *address, size_t size)
{
    (void)size;
    return UnmapViewOfFile(address) ? 0 : failed();
}

#endif

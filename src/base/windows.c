/* SPDX-License-Identifier: MIT
 *
 * What the library asks of POSIX, made of what Windows has; elsewhere nothing. Of windows.h only the lean
 * part: the rest makes words such as hyper mean something else in the files that opt.c has behind this.
 */
#include "base/system.h"

#ifdef _WIN32

#include <errno.h>
#include <io.h>
#include <stdbool.h>
#include <stdint.h>

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

static HANDLE handle_of(int descriptor)
{
    return (HANDLE)_get_osfhandle(descriptor);
}

/* errno for the last error; those that the library asks for have their own. */
static int failed(void)
{
    switch (GetLastError()) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_INVALID_NAME:
        errno = ENOENT;
        break;
    case ERROR_FILE_EXISTS:
        errno = EEXIST;
        break;
    case ERROR_ACCESS_DENIED:
        errno = EACCES;
        break;
    case ERROR_INVALID_FUNCTION:
    case ERROR_NOT_SUPPORTED:
        errno = EOPNOTSUPP;
        break;
    default:
        errno = EIO;
    }
    return -1;
}

/* What is open may be renamed and removed. No child inherits it. */
static HANDLE open_handle(const char *path, DWORD access, DWORD creation, DWORD flags)
{
    return CreateFileA(path, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, creation,
                       flags, NULL);
}

static int descriptor_of(HANDLE h, int flags)
{
    const int descriptor = _open_osfhandle((intptr_t)h, flags | _O_BINARY | _O_NOINHERIT);

    if (descriptor < 0)
        CloseHandle(h);
    return descriptor;
}

/* Folders too are opened, by FILE_FLAG_BACKUP_SEMANTICS, so that it can be said that they are no files. But
 * none to flush it: that is asked for where renaming has done so. */
int opt__open(const char *path, int flags, ...)
{
    const bool writes = (flags & O_WRONLY) != 0;
    const DWORD link_flag = flags & O_NOFOLLOW ? FILE_FLAG_OPEN_REPARSE_POINT : 0;
    HANDLE h;

    if (flags & O_DIRECTORY) {
        errno = EACCES;
        return -1;
    }
    h = open_handle(path, writes ? GENERIC_WRITE : GENERIC_READ,
                    flags & O_EXCL    ? CREATE_NEW
                    : flags & O_CREAT ? OPEN_ALWAYS
                                      : OPEN_EXISTING,
                    link_flag | (writes ? FILE_ATTRIBUTE_NORMAL : FILE_FLAG_BACKUP_SEMANTICS));
    return h != INVALID_HANDLE_VALUE ? descriptor_of(h, flags & (O_WRONLY | O_APPEND)) : failed();
}

/* Of reparse points only some stand for another file; the others are files that are kept in another way. */
static bool is_link(HANDLE h, DWORD attributes)
{
    FILE_ATTRIBUTE_TAG_INFO info;

    return (attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0 &&
           GetFileInformationByHandleEx(h, FileAttributeTagInfo, &info, sizeof info) &&
           IsReparseTagNameSurrogate(info.ReparseTag);
}

static int look_at(HANDLE h, struct opt__stat *about)
{
    BY_HANDLE_FILE_INFORMATION info;
    const DWORD type = GetFileType(h);

    *about = (struct opt__stat){.st_mode = type == FILE_TYPE_CHAR ? S_IFCHR : S_IFIFO, .st_nlink = 1};
    if (type == FILE_TYPE_CHAR || type == FILE_TYPE_PIPE)
        return 0;
    if (!GetFileInformationByHandle(h, &info))
        return failed();
    about->st_mode = is_link(h, info.dwFileAttributes)                  ? 0
                     : info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY ? S_IFDIR
                                                                        : S_IFREG | 0666;
    about->st_nlink = info.nNumberOfLinks;
    about->st_dev = info.dwVolumeSerialNumber;
    about->st_ino = (uint64_t)info.nFileIndexHigh << 32 | info.nFileIndexLow;
    about->st_size = (int64_t)((uint64_t)info.nFileSizeHigh << 32 | info.nFileSizeLow);
    return 0;
}

int opt__fstat(int descriptor, struct opt__stat *about)
{
    return look_at(handle_of(descriptor), about);
}

static int look_at_path(const char *path, DWORD flags, struct opt__stat *about)
{
    const HANDLE h =
        open_handle(path, FILE_READ_ATTRIBUTES, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | flags);
    int result;

    if (h == INVALID_HANDLE_VALUE)
        return failed();
    result = look_at(h, about);
    CloseHandle(h);
    return result;
}

int opt__stat(const char *path, struct opt__stat *about)
{
    return look_at_path(path, 0, about);
}

int opt__lstat(const char *path, struct opt__stat *about)
{
    return look_at_path(path, FILE_FLAG_OPEN_REPARSE_POINT, about);
}

int opt__rename(const char *from, const char *to)
{
    return MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH) ? 0 : failed();
}

int opt__remove(const char *path)
{
    return DeleteFileA(path) ? 0 : failed();
}

/* _dup would let children inherit it. */
int opt__fcntl(int descriptor, int command, int argument)
{
    HANDLE h;

    (void)argument;
    if (command != F_DUPFD_CLOEXEC)
        return 0;
    if (!DuplicateHandle(GetCurrentProcess(), handle_of(descriptor), GetCurrentProcess(), &h, 0, FALSE,
                         DUPLICATE_SAME_ACCESS))
        return failed();
    return descriptor_of(h, 0);
}

int opt__link(const char *from, const char *to)
{
    return CreateHardLinkA(to, from, NULL) ? 0 : failed();
}

int opt__fsync(int descriptor)
{
    return FlushFileBuffers(handle_of(descriptor)) ? 0 : failed();
}

/* At a place of its own: files cannot be written where they are locked. */
int opt__flock(int descriptor, int operation)
{
    OVERLAPPED place = {.OffsetHigh = 0x40000000};

    (void)operation;
    return LockFileEx(handle_of(descriptor), LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0,
                      &place)
               ? 0
               : failed();
}

ssize_t opt__pread(int descriptor, void *to, size_t n, off_t at)
{
    OVERLAPPED place = {.Offset = (DWORD)at, .OffsetHigh = (DWORD)((uint64_t)at >> 32)};
    DWORD got = 0;

    if (!ReadFile(handle_of(descriptor), to, n < 1 << 30 ? (DWORD)n : 1 << 30, &got, &place) &&
        GetLastError() != ERROR_HANDLE_EOF)
        return failed();
    return (ssize_t)got;
}

void *opt__mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t at)
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

int opt__munmap(void *address, size_t size)
{
    (void)size;
    return UnmapViewOfFile(address) ? 0 : failed();
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * Writing files so that nothing is lost.
 */
#define _DEFAULT_SOURCE /* flock; NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

#include "file/replace.h"

#include <errno.h>
#include <string.h>

#include "base/system.h"

#define MOST_WRITERS 100 /* of one path at a time */

/* ---- Beginning ----------------------------------------------------------------------------------------- */

/* Where files cannot be locked at all we do without: then one process at a time may write a path. */
static bool lock(int descriptor)
{
    return flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno == ENOSYS || errno == EOPNOTSUPP ||
           errno == ENOLCK;
}

/* Whether descriptor is a file of this user's that no other name leads to, locked by us, and still what
 * `name` stands for: the one who had the lock before may have renamed it. */
static bool is_ours(int descriptor, const char *name)
{
    struct stat file, there;

    return lock(descriptor) && fstat(descriptor, &file) == 0 && S_ISREG(file.st_mode) && file.st_nlink == 1 &&
           file.st_uid == geteuid() && lstat(name, &there) == 0 && there.st_ino == file.st_ino &&
           there.st_dev == file.st_dev;
}

enum { HOW = O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };

/* Removes a file that a process which died has left; false when it is in use, or not ours. */
static bool remove_left(const char *name)
{
    const int descriptor = open(name, HOW);
    bool removed;

    if (descriptor < 0)
        return false;
    removed = is_ours(descriptor, name) && remove(name) == 0;
    close(descriptor);
    return removed;
}

/* Opens r->beside, a new file, whose owner may be another than we where the system has it so; NULL when the
 * name is in use, or no file can be had. Before we have the lock another process may have taken the file for
 * one that was left, and then it has no name any more. */
static FILE *open_beside(const opt__replacement *r)
{
    int descriptor = open(r->beside, HOW | O_CREAT | O_EXCL, 0666);
    struct stat file;
    FILE *stream;

    if (descriptor < 0 && errno == EEXIST && remove_left(r->beside))
        descriptor = open(r->beside, HOW | O_CREAT | O_EXCL, 0666);
    if (descriptor < 0)
        return NULL;
    if (!lock(descriptor) || (fstat(descriptor, &file) == 0 && file.st_nlink != 1)) {
        close(descriptor);
        return NULL;
    }
    stream = fdopen(descriptor, "wb");
    if (stream == NULL) {
        remove(r->beside);
        close(descriptor);
    }
    return stream;
}

/* Whether the file at path, *old if *there is one, may be replaced: a device or a folder may not, nor may a
 * link to one, nor what cannot be looked at. */
static bool may_replace(const char *path, struct stat *old, bool *there)
{
    *there = stat(path, old) == 0;
    if (!*there)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP; /* nothing, or a link to nothing */
    return S_ISREG(old->st_mode);
}

/* Gives the new file the old one's permissions and group, and where it may not have that, none for its own.
 */
static bool take_permissions(int descriptor, const struct stat *old)
{
    mode_t mode = old->st_mode & 0777;
    struct stat now;

    if (fstat(descriptor, &now) != 0)
        return false;
    if (now.st_gid != old->st_gid && fchown(descriptor, (uid_t)-1, old->st_gid) != 0)
        mode &= 0707;
    return (now.st_mode & 0777) == mode || fchmod(descriptor, mode) == 0;
}

static opt_status make_names(opt__replacement *r)
{
    r->name_size = strlen(r->path) + 32;
    r->beside = opt__alloc(r->ctx, 3, r->name_size);
    if (r->beside == NULL)
        return opt__no_memory(r->ctx, r->path);
    r->backup = r->beside + r->name_size;
    r->room = r->backup + r->name_size;
    snprintf(r->backup, r->name_size, "%s.bak", r->path);
    return OPT_OK;
}

/* Ends the replacement, and removes the file beside if it is still there under that name. */
static void finish(opt__replacement *r, bool renamed)
{
    if (!renamed)
        remove(r->beside);
    fclose(r->stream);
    opt__free(r->ctx, r->beside);
}

opt_status opt__replace_begin(opt_ctx *ctx, const char *path, opt__replacement *out)
{
    opt__replacement r = {.ctx = ctx, .path = path};
    struct stat old;
    opt_status s;
    bool there;

    if (!may_replace(path, &old, &there))
        return opt__fail(ctx, OPT_EIO, "%s: cannot be replaced: not a regular file", path);
    s = make_names(&r);
    if (s)
        return s;
    for (int i = 0; r.stream == NULL && i < MOST_WRITERS; i++) {
        snprintf(r.beside, r.name_size, "%s.opt-tmp%d", path, i);
        r.stream = open_beside(&r);
    }
    if (r.stream == NULL) {
        opt__free(ctx, r.beside);
        return opt__fail(ctx, OPT_EIO, "%s: no file can be created beside it", path);
    }
    if (there && !take_permissions(fileno(r.stream), &old)) {
        finish(&r, false);
        return opt__fail(ctx, OPT_EIO, "%s: the new file cannot have the old one's permissions", path);
    }
    *out = r;
    return OPT_OK;
}

/* ---- Ending -------------------------------------------------------------------------------------------- */

static bool flush_to_disk(int descriptor)
{
    int result;

    do
        result = fsync(descriptor);
    while (result != 0 && errno == EINTR);
    return result == 0;
}

/* Gives the old file, if there is one, another name, *aside: the one that is to become path.bak only when the
 * new file is in its place, for until then the path.bak there is may be all that can be loaded. What a link
 * leads to is meant, where that is on the same disk. Where files cannot have two names it is *moved, and for
 * a moment nothing is at path: to path.bak, if there is none. */
static bool set_aside(const opt__replacement *r, const char **aside, bool *moved)
{
    struct stat backup;
    const bool there = lstat(r->backup, &backup) == 0;
    const char *to = there || errno != ENOENT ? r->room : r->backup;

    snprintf(r->room, r->name_size, "%s", r->beside); /* with the lock on that file this is ours too */
    memcpy(r->room + strlen(r->path), ".opt-bak", 8);
    remove(r->room);
    if (linkat(AT_FDCWD, r->path, AT_FDCWD, r->room, AT_SYMLINK_FOLLOW) == 0 ||
        (errno != ENOENT && linkat(AT_FDCWD, r->path, AT_FDCWD, r->room, 0) == 0)) {
        *aside = r->room;
        return !(there && S_ISDIR(backup.st_mode)); /* which cannot be replaced */
    }
    if (errno == ENOENT)
        return true;
    *moved = rename(r->path, to) == 0;
    *aside = *moved ? to : NULL;
    return *moved;
}

/* Flushes the folder that the path is in; true where that is not to be had. The name beside has served. */
static bool flush_folder(const opt__replacement *r)
{
    const char *slash = strrchr(r->path, '/');
    int folder;
    bool flushed;

    if (slash == NULL)
        snprintf(r->beside, r->name_size, ".");
    else
        snprintf(r->beside, r->name_size, "%.*s", (int)(slash - r->path) + 1, r->path);
    folder = open(r->beside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return errno == EACCES; /* one may write there, but not read */
    flushed = flush_to_disk(folder) || errno == EINVAL || errno == EROFS;
    close(folder);
    return flushed;
}

/* The new file is at path, and on the disk unless s says otherwise: the old one's other name becomes
 * path.bak, or, where that cannot be, path again. */
static opt_status keep_old_file(const opt__replacement *r, opt_status s)
{
    if (rename(r->room, r->backup) == 0) {
        remove(r->room); /* renaming leaves it where path.bak was the same file already */
        return s;
    }
    if (rename(r->room, r->path) == 0)
        return opt__fail(r->ctx, OPT_EIO, "%s: the old file cannot be kept as %s", r->path, r->backup);
    return s ? s
             : opt__fail(r->ctx, OPT_EIO, "%s: written, but the old file cannot be kept as %s", r->path,
                         r->backup);
}

opt_status opt__replace_end(opt__replacement *r, bool written, bool keep_old)
{
    const char *aside = NULL; /* the old file's other name, if it has one */
    bool renamed = false, moved = false;
    opt_status s = OPT_OK;

    written = written && fflush(r->stream) == 0 && flush_to_disk(fileno(r->stream));
    if (!written)
        s = opt__fail(r->ctx, OPT_EIO, "%s: writing failed", r->path);
    else if (keep_old && !set_aside(r, &aside, &moved))
        s = opt__fail(r->ctx, OPT_EIO, "%s: the old file cannot be kept as %s", r->path, r->backup);
    else if (rename(r->beside, r->path) != 0)
        s = opt__fail(r->ctx, OPT_EIO, "%s: the new file cannot be put there", r->path);
    else
        renamed = true;
    if (!renamed && moved)
        (void)rename(aside, r->path); /* if that fails as well, it is still there under the other name */
    else if (!renamed && aside != NULL)
        remove(aside);
    if (renamed && !flush_folder(r))
        s = opt__fail(r->ctx, OPT_EIO, "%s: written, but its folder cannot be flushed to the disk", r->path);
    if (renamed && aside == r->room)
        s = keep_old_file(r, s);
    finish(r, renamed);
    return s;
}

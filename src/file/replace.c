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

/* Opens r->beside, new or left by a process that died; NULL when it is in use, or cannot be had. */
static FILE *open_beside(const opt__replacement *r)
{
    const int descriptor =
        open(r->beside, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
    FILE *stream = NULL;

    if (descriptor < 0)
        return NULL;
    if (is_ours(descriptor, r->beside)) {
        if (ftruncate(descriptor, 0) == 0)
            stream = fdopen(descriptor, "wb");
        if (stream == NULL)
            remove(r->beside);
    }
    if (stream == NULL)
        close(descriptor);
    return stream;
}

/* Whether the file at path, if there is one, may be replaced: a device or a folder may not, nor may a link to
 * one, nor what cannot be looked at. *mode is the permissions that the new file should have, 0: what new
 * files have. */
static bool may_replace(const char *path, mode_t *mode)
{
    struct stat old;

    *mode = 0;
    if (stat(path, &old) != 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP; /* nothing, or a link to nothing */
    *mode = old.st_mode & 0777;
    return S_ISREG(old.st_mode);
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
    opt_status s;
    mode_t mode;

    if (!may_replace(path, &mode))
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
    if (mode != 0 && fchmod(fileno(r.stream), mode) != 0) {
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

/* Gives the old file, if there is one, the name path.bak as well. Where files cannot have two names it is
 * *moved, and for a moment nothing is at path. */
static bool keep_old_file(const opt__replacement *r, bool *moved)
{
    bool kept;

    snprintf(r->room, r->name_size, "%s.bak",
             r->beside); /* with the lock on the file beside this is ours too */
    remove(r->room);
    if (link(r->path, r->room) != 0) {
        if (errno == ENOENT)
            return true;
        *moved = rename(r->path, r->backup) == 0;
        return *moved;
    }
    kept = rename(r->room, r->backup) == 0;
    remove(r->room); /* renaming leaves it where path.bak was the same file already */
    return kept;
}

/* Flushes the folder that the path is in; true where that is not to be had. */
static bool flush_folder(const opt__replacement *r)
{
    const char *slash = strrchr(r->path, '/');
    int folder;
    bool flushed;

    if (slash == NULL)
        snprintf(r->room, r->name_size, ".");
    else
        snprintf(r->room, r->name_size, "%.*s", (int)(slash - r->path) + 1, r->path);
    folder = open(r->room, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return errno == EACCES; /* one may write there, but not read */
    flushed = flush_to_disk(folder) || errno == EINVAL || errno == EROFS;
    close(folder);
    return flushed;
}

opt_status opt__replace_end(opt__replacement *r, bool written, bool keep_old)
{
    opt_status s = OPT_OK;
    bool renamed = false, moved = false;

    written = written && fflush(r->stream) == 0 && flush_to_disk(fileno(r->stream));
    if (!written)
        s = opt__fail(r->ctx, OPT_EIO, "%s: writing failed", r->path);
    else if (keep_old && !keep_old_file(r, &moved))
        s = opt__fail(r->ctx, OPT_EIO, "%s: the old file cannot be kept as %s", r->path, r->backup);
    else if (rename(r->beside, r->path) != 0)
        s = opt__fail(r->ctx, OPT_EIO, "%s: the new file cannot be put there", r->path);
    else
        renamed = true;
    if (!renamed && moved)
        (void)rename(r->backup, r->path); /* if that fails as well, it can be loaded from there */
    if (renamed && !flush_folder(r))
        s = opt__fail(r->ctx, OPT_EIO, "%s: written, but its folder cannot be flushed to the disk", r->path);
    finish(r, renamed);
    return s;
}

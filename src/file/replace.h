/* SPDX-License-Identifier: MIT
 *
 * Writing files so that nothing is lost: the new file is made beside the old one, flushed to the disk and
 * renamed over it, and then the folder is flushed. Whatever fails and whenever the process or the machine
 * stops, the path names the old file or the new one, whole.
 *
 * The old file is kept as path.bak, which is overwritten last: whoever goes on from path.bak, since the file
 * at path is damaged, still has it if the next one never gets there.
 *
 * The file beside is path.opt-tmp0, or a higher number where that one is being written by someone else, which
 * a lock on it says. One left by a process that was killed has no lock, and is removed. The old file's name
 * meanwhile is path.opt-bak0, likewise.
 */
#ifndef OPT_FILE_REPLACE_H
#define OPT_FILE_REPLACE_H

#include <stdio.h>

#include "base/context.h"

typedef struct opt__replacement {
    opt_ctx *ctx;
    const char *path;
    char *beside;     /* the name of the file being written */
    char *backup;     /* path.bak */
    char *room;       /* for another name */
    size_t name_size; /* bytes that each of the three has */
    FILE *stream;     /* write to this */
} opt__replacement;

/* OPT_EIO when no file can be made there, or when what is there is not a regular file. */
opt_status opt__replace_begin(opt_ctx *ctx, const char *path, opt__replacement *out);

/* Puts the new file in the old one's place, which is kept as path.bak if keep_old. `written` is whether all
 * went well so far: if not, or on OPT_EIO, the old file stays. Ends the replacement in any case. */
opt_status opt__replace_end(opt__replacement *r, bool written, bool keep_old);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The log: a line an epoch, added to a file.
 */
#ifndef OPT_TRAIN_LOG_H
#define OPT_TRAIN_LOG_H

#include <opt/train.h>

typedef struct opt__run_log {
    opt_ctx *ctx;
    const char *path; /* NULL: there is no log */
    int descriptor;
    bool json;
    bool regular; /* a file that a line written in part can be cut from */
} opt__run_log;

/* Opens the file, or makes it, and gives CSV its header unless something is there already. OPT_EIO. */
opt_status opt__log_open(opt_ctx *ctx, const char *path, opt__run_log *out);

/* Adds a line; without a log does nothing. OPT_EIO: nothing has been added to a regular file. */
opt_status opt__log_add(opt__run_log *log, const opt_progress *p);

/* A zeroed log is allowed. */
void opt__log_close(opt__run_log *log);

#endif

/* SPDX-License-Identifier: MIT */
#include "output.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#ifdef _WIN32
#include <direct.h>
#define make_folder(path) _mkdir(path)
#else
#define make_folder(path) mkdir(path, 0777)
#endif

#include "cli.h"

void output_folder(const char *path)
{
    if (make_folder(path) != 0 && errno != EEXIST)
        cli_fail(2, "--out: cannot create folder '%s': %s", path, strerror(errno));

    /* Permissions do not tell: the disk may be read-only, the path a file. So a file is made and removed. */
    char probe[FILENAME_MAX];
    int length = snprintf(probe, sizeof probe, "%s/.writable", path);
    if (length < 0 || (size_t)length >= sizeof probe)
        cli_fail(2, "--out: the path is too long");
    FILE *file = fopen(probe, "wb");
    if (!file)
        cli_fail(2, "--out: cannot write to folder '%s': %s", path, strerror(errno));
    fclose(file);
    remove(probe);
}

/* The file that is being written. */
static FILE *unfinished;
static const char *unfinished_path;

static void remove_unfinished(void)
{
    struct stat about;
    if (unfinished)
        fclose(unfinished); /* as Windows wants it */
    if (unfinished_path && stat(unfinished_path, &about) == 0 && S_ISREG(about.st_mode))
        remove(unfinished_path);
}

FILE *output_open(const char *path)
{
    static bool registered;
    if (!registered)
        registered = atexit(remove_unfinished) == 0;
    FILE *file = registered ? fopen(path, "wb") : NULL;
    if (!file)
        cli_fail(EXIT_FAILURE, "cannot write '%s': %s", path, strerror(errno));
    unfinished = file;
    unfinished_path = path;
    return file;
}

void output_close(FILE *file, const char *path)
{
    /* An earlier write may have failed; then the flush here can succeed, having nothing left to do. */
    bool lost = fflush(file) != 0 || ferror(file);
    unfinished = NULL;
    if (fclose(file) != 0 || lost)
        cli_fail(EXIT_FAILURE, "cannot write %s: some of it was lost", path);
    unfinished_path = NULL;
}

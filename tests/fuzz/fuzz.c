/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* NOLINT: reserved, and meant to be defined */

#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void fuzz_require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

/* In memory alone: no disk is worn out. */
const char *fuzz_file(int which, const uint8_t *data, size_t size)
{
    static int file[2] = {-1, -1};
    static char path[2][32];

    if (file[which] < 0)
        file[which] = memfd_create("fuzz", 0);
    fuzz_require(file[which] >= 0 && ftruncate(file[which], 0) == 0, "no memory for a file");
    fuzz_require(pwrite(file[which], data, size, 0) == (ssize_t)size, "the file cannot be written");
    snprintf(path[which], sizeof path[which], "/proc/self/fd/%d", file[which]);
    return path[which];
}

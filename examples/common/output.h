/* SPDX-License-Identifier: MIT
 *
 * Files that an example writes. Whatever goes wrong ends the program with one line on standard error: a
 * half-written result never passes for a whole one. One file is open at a time; if the program ends before it
 * is closed, or some of it was lost, it is removed.
 */
#ifndef EXAMPLES_OUTPUT_H
#define EXAMPLES_OUTPUT_H

#include <stdio.h>

/* Makes the folder unless it is there (but not its parents) and makes sure that files can be created in it;
 * otherwise fails with status 2, the one for a bad command line. Call it before any long work. */
void output_folder(const char *path);

/* Opens path, which must stay until it is closed, for writing; fails with status 1. */
FILE *output_open(const char *path);

/* Closes the file; fails with status 1 if anything written to it was lost. Use it on stdout as well, last of
 * all, with "standard output" for a path. */
void output_close(FILE *file, const char *path);

#endif

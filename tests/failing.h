/* SPDX-License-Identifier: MIT
 *
 * Calls of the system that fail when told to. A program linked with failing.c and --wrap=open and so on (see
 * CMakeLists.txt) has the library's calls go through here.
 */
#ifndef TESTS_FAILING_H
#define TESTS_FAILING_H

typedef enum failing_how {
    FAIL_ONE, /* the n-th call fails, n from 0 */
    FAIL_ALL, /* and so do all after it */
    NO_LINKS, /* only the n-th fails, on a file system where files cannot have two names */
    DIE,      /* the process ends instead, as if killed then */
    ALTER,    /* the n-th succeeds; if it is fstat or lstat, what it says is altered by failing_alter */
    ENDS      /* the n-th succeeds; if it is pread, it finds the end of the file */
} failing_how;

enum { DEAD = 77 }; /* the exit status of one that died so */

struct stat;

/* For ALTER, and the errno of calls that fail, EIO until this is called. */
extern void (*failing_alter)(struct stat *about);
void failing_with(int error);

/* Counts calls from here on, until failing_end, which returns how many there were. */
void failing_begin(failing_how how, long n);
long failing_end(void);

/* The calls since failing_begin by name, with a space before each, and the name of the first that failed. */
const char *failing_calls_made(void);
const char *failing_first(void);

#endif

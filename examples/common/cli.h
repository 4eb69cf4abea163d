/* SPDX-License-Identifier: MIT
 *
 * What the examples share of a command line: a table of options, --threads, --isa and --help, and one line on
 * standard error for whatever goes wrong. Exit status 2 is a bad command line or output folder, 1 any other
 * failure.
 */
#ifndef EXAMPLES_CLI_H
#define EXAMPLES_CLI_H

#include "opt.h"

typedef enum cli_kind {
    CLI_FLAG,   /* bool, takes no value */
    CLI_INT,    /* int64_t */
    CLI_UINT32, /* uint32_t */
    CLI_REAL,   /* double, finite */
    CLI_TEXT    /* const char * */
} cli_kind;

/* --name VALUE or --name=VALUE. *out holds the default, which --help shows. */
typedef struct cli_option {
    const char *name;  /* without the dashes */
    const char *value; /* what --help calls the value, "N"; for CLI_TEXT with a fixed choice, "gd|adam", and
                          then anything else is refused; NULL for a flag */
    const char *help;
    cli_kind kind;
    void *out;
} cli_option;

/* Reads argv into the table's variables, and what cli_context needs. --help prints `summary` and every
 * option, and exits with 0. options ends with a name of NULL; may be NULL: none but those that every example
 * has. */
void cli_parse(int argc, char **argv, const char *summary, const cli_option *options);

/* One line "program: message" on standard error, and exit. */
#if defined(__GNUC__)
__attribute__((__format__(__printf__, 2, 3)))
#endif
_Noreturn void
cli_fail(int exit_status, const char *format, ...);

/* "2,5,2,1", the value of --layers, into size[OPT_MLP_MAX_SIZES], which is zeroed; returns how many there
 * are, 2 at least. */
int cli_layers(const char *text, int64_t *size);

/* A context as --threads and --isa say; after cli_parse. */
opt_ctx *cli_context(void);

/* For programs with threads of their own: what --threads says, and a context as --isa says, of so many
 * threads at most. */
int cli_threads(void);
opt_ctx *cli_context_of(int most);

/* Does nothing for OPT_OK; otherwise fails with the library's message and status 1. */
void cli_check(const opt_ctx *ctx, opt_status status);

#endif

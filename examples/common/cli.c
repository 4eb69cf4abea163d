/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ranks.h"

enum { EXIT_USAGE = 2, MAX_THREADS = 64 };

static const char *program = "example";

void cli_fail(int exit_status, const char *format, ...)
{
    fflush(stdout); /* what was printed so far comes before the message, also when both go to one file */
    if (ranks_count() > 1)
        fprintf(stderr, "%s, rank %d: ", program, ranks_number());
    else
        fprintf(stderr, "%s: ", program);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    ranks_exit(exit_status);
}

void cli_check(const opt_ctx *ctx, opt_status status)
{
    if (status != OPT_OK) {
        const char *message = opt_errmsg(ctx);
        cli_fail(EXIT_FAILURE, "%s", *message ? message : opt_strerror(status));
    }
}

/* ---- What every example takes, and the context made of it ---------------------------------------------- */

static int64_t threads = 1;
static const char *isa = "best";

static const cli_option context_options[] = {
    {"threads", "N", "threads to use at most; the results are the same", CLI_INT, &threads},
    {"isa", "best|baseline|avx2|avx512|neon", "instructions to use; the results are the same", CLI_TEXT,
     &isa},
    {0},
};

static void check_threads(void)
{
    if (threads < 1 || threads > MAX_THREADS)
        cli_fail(EXIT_USAGE, "--threads: %" PRId64 " is outside [1, %d]", threads, MAX_THREADS);
}

int cli_threads(void)
{
    return (int)threads;
}

opt_ctx *cli_context(void)
{
    return cli_context_of(cli_threads());
}

opt_ctx *cli_context_of(int most)
{
    /* In opt_isa's order. */
    static const char *const names[] = {"best", "baseline", "avx2", "avx512", "neon"};
    int number = 0;
    while (strcmp(names[number], isa) != 0)
        number++;
    opt_ctx *ctx =
        opt_ctx_new(&(opt_ctx_opts){.threads = most, .isa = (opt_isa)number, .comm = ranks_comm()});
    if (!ctx)
        cli_fail(EXIT_FAILURE, "out of memory");
    if (*opt_errmsg(ctx))
        cli_fail(EXIT_USAGE, "--isa: this machine has no %s", isa);
    return ctx;
}

/* ---- --help -------------------------------------------------------------------------------------------- */

static bool is_end(const cli_option *o)
{
    return !o || !o->name;
}

static void print_default(const cli_option *o)
{
    const char *text;
    switch (o->kind) {
    case CLI_FLAG:
        break;
    case CLI_INT:
        printf(" (default %" PRId64 ")", *(const int64_t *)o->out);
        break;
    case CLI_UINT32:
        printf(" (default %" PRIu32 ")", *(const uint32_t *)o->out);
        break;
    case CLI_REAL:
        printf(" (default %g)", *(const double *)o->out);
        break;
    case CLI_TEXT:
        text = *(const char **)o->out;
        if (text)
            printf(" (default %s)", text);
        break;
    }
}

static int label_width(const cli_option *o)
{
    size_t n = strlen(o->name) + (o->value ? 1 + strlen(o->value) : 0);
    return (int)n;
}

/* At least `width`. */
static int table_width(const cli_option *options, int width)
{
    for (const cli_option *o = options; !is_end(o); o++)
        width = label_width(o) > width ? label_width(o) : width;
    return width;
}

static void print_table(const cli_option *options, int width)
{
    for (const cli_option *o = options; !is_end(o); o++) {
        int pad = width - label_width(o);
        printf("  --%s%s%s%*s  %s", o->name, o->value ? " " : "", o->value ? o->value : "", pad, "", o->help);
        print_default(o);
        putchar('\n');
    }
}

static void print_help(const char *summary, const cli_option *options)
{
    int width = table_width(options, table_width(context_options, (int)strlen("help")));
    width = table_width(ranks_options, width);
    printf("usage: %s [options]\n\n%s\n\noptions:\n", program, summary);
    print_table(options, width);
    print_table(context_options, width);
    print_table(ranks_options, width);
    printf("  --%-*s  print this and exit\n", width, "help");
}

/* ---- Values: the whole text must be one, and in range -------------------------------------------------- */

/* strtod and its kin would skip white space. */
static bool starts_number(const char *text)
{
    return *text && !isspace((unsigned char)*text);
}

static bool parse_int(const char *text, int64_t min, int64_t max, int64_t *out)
{
    char *end;
    errno = 0;
    long long x = strtoll(text, &end, 10);
    if (!starts_number(text) || *end || errno || x < min || x > max)
        return false;
    *out = x;
    return true;
}

static bool parse_real(const char *text, double *out)
{
    char *end;
    errno = 0;
    double x = strtod(text, &end);
    if (!starts_number(text) || *end || errno || !isfinite(x))
        return false;
    *out = x;
    return true;
}

/* Is text one of the words in "gd|momentum|adam"? */
static bool is_choice(const char *words, const char *text)
{
    for (;;) {
        size_t n = strcspn(words, "|");
        if (strlen(text) == n && strncmp(words, text, n) == 0)
            return true;
        if (words[n] == '\0')
            return false;
        words += n + 1;
    }
}

static void set_value(const cli_option *o, const char *text)
{
    int64_t number;
    switch (o->kind) {
    case CLI_FLAG: /* cli_parse sets flags itself */
        break;
    case CLI_INT:
        if (!parse_int(text, INT64_MIN, INT64_MAX, o->out))
            cli_fail(EXIT_USAGE, "--%s: '%s' is not a 64-bit integer", o->name, text);
        break;
    case CLI_UINT32:
        if (!parse_int(text, 0, UINT32_MAX, &number)) {
            cli_fail(EXIT_USAGE, "--%s: '%s' is not an integer from 0 to %" PRIu32, o->name, text,
                     UINT32_MAX);
        }
        *(uint32_t *)o->out = (uint32_t)number;
        break;
    case CLI_REAL:
        if (!parse_real(text, o->out))
            cli_fail(EXIT_USAGE, "--%s: '%s' is not a finite double", o->name, text);
        break;
    case CLI_TEXT:
        if (strchr(o->value, '|') && !is_choice(o->value, text))
            cli_fail(EXIT_USAGE, "--%s: '%s' is not one of %s", o->name, text, o->value);
        *(const char **)o->out = text;
        break;
    }
}

int cli_layers(const char *text, int64_t *size)
{
    int n = 0;
    for (const char *at = text;; at++) {
        char *end;
        long long x = *at >= '0' && *at <= '9' ? strtoll(at, &end, 10) : 0;
        if (x < 1 || x > INT32_MAX || (*end != ',' && *end != '\0'))
            cli_fail(EXIT_USAGE, "--layers: '%s' is not a list of sizes such as 2,5,2,1", text);
        if (n == OPT_MLP_MAX_SIZES)
            cli_fail(EXIT_USAGE, "--layers: '%s' has more than %d sizes", text, OPT_MLP_MAX_SIZES);
        size[n++] = x;
        at = end;
        if (*at == '\0')
            break;
    }
    if (n < 2)
        cli_fail(EXIT_USAGE, "--layers: '%s' has one size only", text);
    return n;
}

/* ---- The command line ---------------------------------------------------------------------------------- */

/* The option whose name is text[0..n), or NULL. */
static const cli_option *find_in(const cli_option *options, const char *text, size_t n)
{
    for (const cli_option *o = options; !is_end(o); o++)
        if (strlen(o->name) == n && strncmp(o->name, text, n) == 0)
            return o;
    return NULL;
}

/* The same in both tables; fails when there is none. */
static const cli_option *find_option(const cli_option *options, const char *text, size_t n)
{
    const cli_option *o = find_in(options, text, n);
    if (!o)
        o = find_in(context_options, text, n);
    if (!o)
        o = find_in(ranks_options, text, n);
    if (!o)
        cli_fail(EXIT_USAGE, "unknown option --%.*s, see --help", (int)n, text);
    return o;
}

void cli_parse(int argc, char **argv, const char *summary, const cli_option *options)
{
    ranks_begin();
    if (argc > 0) {
        const char *slash = strrchr(argv[0], '/');
        program = slash ? slash + 1 : argv[0];
    }
    /* First, because later the table no longer holds the defaults. */
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help(summary, options);
            exit(EXIT_SUCCESS);
        }
    }
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0)
            cli_fail(EXIT_USAGE, "unexpected argument '%s', see --help", argv[i]);
        const char *name = argv[i] + 2;
        const char *equals = strchr(name, '=');
        const cli_option *o = find_option(options, name, equals ? (size_t)(equals - name) : strlen(name));
        if (o->kind == CLI_FLAG) {
            if (equals)
                cli_fail(EXIT_USAGE, "--%s takes no value", o->name);
            *(bool *)o->out = true;
            continue;
        }
        const char *text = equals ? equals + 1 : argv[++i]; /* argv ends with NULL */
        if (!text || !*text)
            cli_fail(EXIT_USAGE, "--%s %s: the value is missing", o->name, o->value);
        set_value(o, text);
    }
    check_threads();
    ranks_check_options();
}

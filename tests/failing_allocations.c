/* SPDX-License-Identifier: MIT
 *
 * failing_allocations FAILING_MALLOC FOLDER RUNS PROGRAM [ARGUMENT...]
 *
 * Runs a program with each of its allocations failed in turn, and again with all that follow failed as well.
 * With more than RUNS of them, if that is not 0, these are the first of them and others spread over the rest.
 * Each run must end
 *   - with a status that is not 0 and a message on standard error, and leave no file half written; or
 *   - as if nothing had failed, if the C library was asking: it has other ways, such as a stream without a
 * buffer. FOLDER is made anew for each run, and is where the program runs.
 */
#define _DEFAULT_SOURCE /* NOLINT: reserved, and meant to be defined */

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_FILES 8
#define TIME_LIMIT 60 /* seconds for a run */

typedef struct content {
    char name[64];
    char *bytes;
    size_t n;
} content;

/* How a run ended. */
typedef struct outcome {
    int status;  /* as wait has it */
    char failed; /* L or P, or 0: no allocation did */
    long allocations;
    content out, err;
    int nfiles;
    content file[MOST_FILES];
} outcome;

static const char *preload, *folder;
static char **program;
static long at; /* the allocation that fails */
static bool all;

#if defined(__GNUC__)
__attribute__((__format__(__printf__, 1, 2)))
#endif
static _Noreturn void
fail(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s, allocation %ld%s: ", program ? program[0] : "failing_allocations", at,
            all ? " and all that follow" : "");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

/* ---- Files --------------------------------------------------------------------------------------------- */

static content read_all(const char *path)
{
    content c = {.n = 0};
    const char *slash = strrchr(path, '/');
    FILE *f = fopen(path, "rb");
    struct stat about;

    if (f == NULL || fstat(fileno(f), &about) != 0)
        fail("cannot read %s", path);
    snprintf(c.name, sizeof c.name, "%s", slash ? slash + 1 : path);
    c.n = (size_t)about.st_size;
    c.bytes = calloc(c.n + 1, 1);
    if (c.bytes == NULL || fread(c.bytes, 1, c.n, f) != c.n)
        fail("cannot read all of %s", path);
    fclose(f);
    return c;
}

/* Calls `each` for every file in the folder. */
static void each_file(void (*each)(const char *path, void *arg), void *arg)
{
    DIR *d = opendir(folder);
    char path[1200];

    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.')
            each(path, arg);
    }
    if (d != NULL)
        closedir(d);
}

static void remove_file(const char *path, void *arg)
{
    (void)arg;
    remove(path);
}

static void take_file(const char *path, void *arg)
{
    outcome *o = arg;
    const char *name = strrchr(path, '/') + 1;

    if (strcmp(name, "stdout") == 0)
        o->out = read_all(path);
    else if (strcmp(name, "stderr") == 0)
        o->err = read_all(path);
    else if (o->nfiles < MOST_FILES)
        o->file[o->nfiles++] = read_all(path);
    else
        fail("more files than %d", MOST_FILES);
}

static void forget(const outcome *o)
{
    free(o->out.bytes);
    free(o->err.bytes);
    for (int i = 0; i < o->nfiles; i++)
        free(o->file[i].bytes);
}

/* ---- A run --------------------------------------------------------------------------------------------- */

static void redirect(int descriptor, const char *name)
{
    const int file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0666);

    if (file < 0 || dup2(file, descriptor) < 0)
        _exit(99);
    close(file);
}

static void become_program(int to)
{
    char number[32];

    if (chdir(folder) != 0)
        _exit(99);
    redirect(1, "stdout");
    redirect(2, "stderr");
    snprintf(number, sizeof number, "%ld", at);
    setenv("FAIL_AT", number, 1);
    snprintf(number, sizeof number, "%d", to);
    setenv("FAIL_TO", number, 1);
    if (all)
        setenv("FAIL_ALL", "1", 1);
    setenv("LD_PRELOAD", preload, 1);
    alarm(TIME_LIMIT); /* ends it by a signal */
    execv(program[0], program);
    _exit(99);
}

static outcome run(void)
{
    outcome o = {.status = -1};
    int ends[2];
    char told[64] = "";
    size_t n = 0;
    pid_t child;

    each_file(remove_file, NULL);
    if (pipe(ends) != 0 || (child = fork()) < 0)
        fail("no pipe or process");
    if (child == 0) {
        close(ends[0]);
        become_program(ends[1]);
    }
    close(ends[1]);
    for (ssize_t got; n < sizeof told - 1 && (got = read(ends[0], told + n, sizeof told - 1 - n)) > 0;)
        n += (size_t)got;
    close(ends[0]);
    waitpid(child, &o.status, 0);
    o.failed = told[0] == 'L' || told[0] == 'P' ? told[0] : (char)0;
    o.allocations = strtol(told + (o.failed != '\0'), NULL, 10);
    each_file(take_file, &o);
    return o;
}

/* ---- What it came to ----------------------------------------------------------------------------------- */

static bool same(const content *a, const content *b)
{
    return a->n == b->n && memcmp(a->bytes, b->bytes, a->n) == 0;
}

/* Whether a file has all that its header says. */
static bool is_whole_safetensors(const content *c)
{
    unsigned long long header = 0, end = 0;

    if (c->n < 8)
        return false;
    for (int i = 7; i >= 0; i--)
        header = header << 8 | (unsigned char)c->bytes[i];
    for (const char *p = c->bytes + 8; (p = strstr(p, "data_offsets\":[")) != NULL; p++) {
        const unsigned long long last = strtoull(strchr(p, ',') + 1, NULL, 10);

        end = last > end ? last : end;
    }
    return c->n == 8 + header + end;
}

/* Whether a file that grows line by line has none that is not whole. */
static bool has_whole_lines(const content *c)
{
    return c->n == 0 || c->bytes[c->n - 1] == '\n';
}

/* Pictures and tables are as they should be or not there; but logs and the results of a search, which grow,
 * may have come to an end, and checkpoints are those of some epoch. */
static void check_file(const content *c, const outcome *whole)
{
    const content *w = NULL;

    for (int i = 0; i < whole->nfiles; i++)
        if (strcmp(c->name, whole->file[i].name) == 0)
            w = &whole->file[i];
    if (w == NULL)
        fail("leaves %s behind", c->name);
    if (same(c, w))
        return;
    if (strstr(c->name, ".safetensors") != NULL && is_whole_safetensors(c))
        return;
    if ((strcmp(c->name, "log.csv") == 0 || strcmp(c->name, "results.csv") == 0) && has_whole_lines(c))
        return;
    fail("leaves %s half written", c->name);
}

static void check(const outcome *o, const outcome *whole)
{
    if (!WIFEXITED(o->status))
        fail("ended by signal %d; standard error: %s", WTERMSIG(o->status), o->err.bytes);
    for (int i = 0; i < o->nfiles; i++)
        check_file(&o->file[i], whole);
    if (WEXITSTATUS(o->status) == 0) {
        if (o->failed == 'P')
            fail("goes on as if nothing had failed");
        if (!same(&o->out, &whole->out) || o->nfiles != whole->nfiles || o->err.n > 0)
            fail("succeeds, but not with what it usually prints and writes: %s%s", o->out.bytes,
                 o->err.bytes);
    } else if (o->err.n < 2 || o->err.bytes[o->err.n - 1] != '\n') {
        fail("status %d, but no message", WEXITSTATUS(o->status));
    }
}

/* The n-th allocation to fail, of `runs` among `count`: half of them are the first ones. */
static long nth(long n, long runs, long count)
{
    const long dense = runs / 2;

    if (runs == 0 || count <= runs || n <= dense)
        return n;
    return dense + (n - dense) * (count - dense) / (runs - dense);
}

int main(int argc, char **argv)
{
    long runs, refused = 0, tried = 0;
    outcome whole;

    if (argc < 5) {
        fputs("usage: failing_allocations FAILING_MALLOC FOLDER RUNS PROGRAM [ARGUMENT...]\n", stderr);
        return 2;
    }
    preload = argv[1];
    folder = argv[2];
    runs = strtol(argv[3], NULL, 10);
    program = argv + 4;
    mkdir(folder, 0777);
    whole = run();
    if (!WIFEXITED(whole.status) || WEXITSTATUS(whole.status) != 0 || whole.allocations == 0)
        fail("does not even succeed undisturbed: %s", whole.err.bytes);
    for (int more = 0; more < 2; more++) {
        all = more == 1;
        for (long n = 1; (runs == 0 || n <= runs) && nth(n, runs, whole.allocations) <= whole.allocations;
             n++) {
            outcome o;

            at = nth(n, runs, whole.allocations);
            o = run();
            check(&o, &whole);
            refused += WEXITSTATUS(o.status) != 0;
            tried++;
            forget(&o);
        }
    }
    printf("%s: %ld allocations; %ld runs with failed ones, %ld ended with a message, the others as usual\n",
           strrchr(program[0], '/') + 1, whole.allocations, tried, refused);
    forget(&whole);
    return 0;
}

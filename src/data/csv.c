/* SPDX-License-Identifier: MIT
 *
 * Comma-separated values: RFC 4180, and what else is common: lines that end in LF alone, blank lines, a byte
 * order mark, spaces around numbers. The file is read twice, first for its shape, so that nothing is
 * allocated that it does not hold; its header once more, where columns are asked for by name.
 */
#define _POSIX_C_SOURCE 200809L /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <opt/data.h>

#include "file/file.h"
#include "tensor/tensor.h"

#define MAX_FIELD 1024 /* bytes of a number or a column's name */

typedef enum ending { FIELD_ENDS, RECORD_ENDS, FILE_ENDS } ending;

typedef struct csv {
    opt__file file;
    opt_csv_opts opts;
    int64_t line;  /* being read, from 1 */
    int64_t at;    /* the field's number in its record, from 0 */
    int64_t begun; /* the line that it begins in */
    bool quoted;   /* whether it is */
    char field[MAX_FIELD + 1];
    int64_t length; /* of the field, which is cut off at MAX_FIELD */
    int64_t fields; /* in a record */
    int64_t *place; /* [fields]: the column of the tensor that takes it, or -1 */
    int64_t wanted; /* columns of the tensor */
} csv;

/* ---- Fields and records -------------------------------------------------------------------------------- */

static opt_status wrong(const csv *c, const char *what)
{
    return opt__malformed(&c->file, "line %lld, field %lld: %s", (long long)c->begun, (long long)c->at + 1,
                          what);
}

static opt_status check_reading(const csv *c)
{
    return ferror(c->file.stream) ? opt__fail(c->file.ctx, OPT_EIO, "%s: reading failed", c->file.path)
                                  : OPT_OK;
}

/* EOF at the file's end. */
static int next_byte(csv *c)
{
    const int b = getc(c->file.stream);

    c->line += b == '\n';
    return b;
}

static void keep(csv *c, int b)
{
    if (c->length < MAX_FIELD)
        c->field[c->length] = (char)b;
    c->length++;
}

/* What ends a field outside of quotes, where b has been read; false when b does not. */
static bool ends(csv *c, int b, ending *end)
{
    if (b == '\r') {
        b = next_byte(c);
        if (b != '\n') {
            ungetc(b, c->file.stream);
            return false;
        }
    }
    *end = b == EOF ? FILE_ENDS : b == '\n' ? RECORD_ENDS : FIELD_ENDS;
    return b == EOF || b == '\n' || b == (unsigned char)c->opts.delimiter;
}

/* The rest of a field whose first quote has been read. */
static opt_status read_quoted(csv *c, ending *end)
{
    for (;;) {
        int b = next_byte(c);

        if (b == EOF && check_reading(c))
            return OPT_EIO;
        if (b == EOF)
            return wrong(c, "the quotes that open here are never closed");
        if (b == '"') {
            b = next_byte(c);
            if (ends(c, b, end))
                return OPT_OK;
            if (b != '"')
                return wrong(c, "there is something between closing quotes and the field's end");
        }
        keep(c, b);
    }
}

/* Reads a field into c->field. */
static opt_status read_field(csv *c, ending *end)
{
    int b = next_byte(c);
    opt_status s = OPT_OK;

    c->begun = c->line - (b == '\n');
    c->length = 0;
    c->quoted = b == '"';
    if (c->quoted) {
        s = read_quoted(c, end);
    } else {
        for (; !ends(c, b, end); b = next_byte(c)) {
            if (b == '"')
                return wrong(c, "there are quotes within a field that does not begin with them");
            keep(c, b);
        }
    }
    c->field[c->length < MAX_FIELD ? c->length : MAX_FIELD] = '\0';
    return s ? s : check_reading(c);
}

/* Calls take(c, record number, arg) for every field of the first `most` records; *records and c->fields <-
 * how many there are. Every record must have as many fields as the first, or as c->fields unless that is 0.
 */
typedef opt_status take_field(csv *c, int64_t record, void *arg);

static opt_status read_records(csv *c, int64_t most, take_field *take, void *arg, int64_t *records)
{
    ending end = FIELD_ENDS;

    for (*records = 0; *records < most && end != FILE_ENDS;) {
        c->at = 0;
        do {
            opt_status s = read_field(c, &end);

            if (s)
                return s;
            if (c->at == 0 && c->length == 0 && !c->quoted && end != FIELD_ENDS)
                break; /* a blank line */
            if (c->fields > 0 && c->at == c->fields)
                return wrong(c, "there are more fields than in the first record");
            s = take(c, *records, arg);
            if (s)
                return s;
            if (end != FIELD_ENDS && c->at + 1 < c->fields)
                return wrong(c, "there are fewer fields than in the first record");
            c->at++;
        } while (end == FIELD_ENDS);
        if (c->at == 0)
            continue;
        c->fields = c->at;
        ++*records;
    }
    return OPT_OK;
}

/* To the first record. */
static opt_status start_over(csv *c)
{
    rewind(c->file.stream);
    c->line = 1;
    if (getc(c->file.stream) != 0xef || getc(c->file.stream) != 0xbb || getc(c->file.stream) != 0xbf)
        rewind(c->file.stream); /* no byte order mark */
    return check_reading(c);
}

/* ---- Columns ------------------------------------------------------------------------------------------- */

static opt_status skip_field(csv *c, int64_t record, void *arg)
{
    (void)c, (void)record, (void)arg;
    return OPT_OK;
}

/* Whether the field is this name, all of it: it may have been cut off, or have a zero byte in it. */
static bool is_name(const csv *c, const char *name)
{
    return strlen(name) == (size_t)c->length && strcmp(name, c->field) == 0;
}

/* A field of the header: the name wanted, if one is, finds its column. */
static opt_status match_name(csv *c, int64_t record, void *arg)
{
    (void)record, (void)arg;
    for (int64_t i = 0; i < c->opts.ncolumns; i++) {
        if (!is_name(c, c->opts.names[i]))
            continue;
        if (c->place[c->at] >= 0)
            return opt__fail(c->file.ctx, OPT_EINVAL, "read_csv: column \"%s\" is asked for twice", c->field);
        for (int64_t other = 0; other < c->at; other++)
            if (c->place[other] == i)
                return opt__malformed(&c->file, "two columns are named \"%s\"", c->field);
        c->place[c->at] = i;
    }
    return OPT_OK;
}

static opt_status find_names(csv *c)
{
    int64_t records;
    opt_status s = start_over(c);

    if (!s)
        s = read_records(c, 1, match_name, NULL, &records);
    for (int64_t i = 0; !s && i < c->opts.ncolumns; i++) {
        bool found = false;

        for (int64_t field = 0; field < c->fields; field++)
            found = found || c->place[field] == i;
        if (!found)
            s = opt__malformed(&c->file, "there is no column \"%s\"", c->opts.names[i]);
    }
    return s;
}

/* Fills c->place. */
static opt_status choose_columns(csv *c)
{
    const opt_csv_opts *o = &c->opts;

    c->wanted = o->ncolumns > 0 ? o->ncolumns : c->fields;
    c->place = opt__alloc(c->file.ctx, c->fields, sizeof *c->place);
    if (c->place == NULL)
        return opt__no_memory(c->file.ctx, "read_csv");
    for (int64_t field = 0; field < c->fields; field++)
        c->place[field] = o->ncolumns > 0 ? -1 : field;
    if (o->ncolumns > 0 && o->names != NULL)
        return find_names(c);
    for (int64_t i = 0; i < o->ncolumns; i++) {
        const int64_t field = o->columns[i];

        if (field >= c->fields)
            return opt__malformed(&c->file, "there is no column %lld, only %lld", (long long)field,
                                  (long long)c->fields);
        if (c->place[field] >= 0)
            return opt__fail(c->file.ctx, OPT_EINVAL, "read_csv: column %lld is asked for twice",
                             (long long)field);
        c->place[field] = i;
    }
    return OPT_OK;
}

/* ---- Numbers ------------------------------------------------------------------------------------------- */

static bool is_space(char b)
{
    return b == ' ' || b == '\t';
}

/* The field's text without spaces around it. */
static const char *trimmed(csv *c)
{
    char *start = c->field, *end = c->field + c->length;

    while (is_space(*start))
        start++;
    while (end > start && is_space(end[-1]))
        end--;
    *end = '\0';
    return start;
}

/* Decimal digits with a point, an exponent, "inf" or "nan", which strtod reads exactly in the C locale; but
 * rounded to f64 first, an f32 would be rounded twice. What overflows is no number. */
static bool parse_number(const char *text, opt_dtype dtype, double *x)
{
    char *end;

    if (strpbrk(text, "xX(\n\v\f\r") != NULL)
        return false;
    errno = 0;
    *x = dtype == OPT_F32 ? (double)strtof(text, &end) : strtod(text, &end);
    return end > text && *end == '\0' && !(errno == ERANGE && fabs(*x) > 1);
}

static opt_status take_number(csv *c, int64_t record, void *arg)
{
    const opt_tensor *t = arg;
    const int64_t row = record - (c->opts.header ? 1 : 0), rows = t->dim[0];
    const char *text;
    double x = c->opts.missing;

    if (row < 0 || c->place[c->at] < 0)
        return OPT_OK;
    if (row >= rows)
        return wrong(c, "the file has grown");
    if (c->length > MAX_FIELD)
        return wrong(c, "a number has more than 1024 characters");
    if (strlen(c->field) != (size_t)c->length)
        return wrong(c, "a number has a zero byte in it");
    text = trimmed(c);
    if (*text == '\0' && !c->opts.missing_ok)
        return wrong(c, "missing");
    if (*text != '\0' && !parse_number(text, t->dtype, &x))
        return opt__malformed(&c->file, "line %lld, field %lld: \"%.32s\" is not a number that %s can hold",
                              (long long)c->begun, (long long)c->at + 1, text, opt__dtype_name(t->dtype));
    opt_set(t, row * c->wanted + c->place[c->at], x);
    return OPT_OK;
}

#ifndef _WIN32

typedef struct locales {
    locale_t plain, before;
} locales;

/* The C locale for this thread, whatever the program's. */
static bool begin_plain(locales *l)
{
    l->plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (l->plain == (locale_t)0)
        return false;
    l->before = uselocale(l->plain);
    return true;
}

static void end_plain(const locales *l)
{
    uselocale(l->before);
    freelocale(l->plain);
}

#else

typedef struct locales {
    int of_thread;
    char before[256];
} locales;

static bool begin_plain(locales *l)
{
    l->of_thread = _configthreadlocale(_ENABLE_PER_THREAD_LOCALE);
    snprintf(l->before, sizeof l->before, "%s", setlocale(LC_NUMERIC, NULL));
    return setlocale(LC_NUMERIC, "C") != NULL;
}

static void end_plain(const locales *l)
{
    setlocale(LC_NUMERIC, l->before);
    _configthreadlocale(l->of_thread);
}

#endif

/* The tensor, read with the C locale's decimal point. */
static opt_status read_numbers(csv *c, opt_tensor *t)
{
    int64_t records;
    locales l;
    opt_status s;

    if (!begin_plain(&l))
        return opt__no_memory(c->file.ctx, "read_csv");
    s = start_over(c);
    if (!s)
        s = read_records(c, INT64_MAX, take_number, t, &records);
    if (!s && records - (c->opts.header ? 1 : 0) != t->dim[0])
        s = opt__malformed(&c->file, "the file has shrunk");
    end_plain(&l);
    return s;
}

/* ---- Public -------------------------------------------------------------------------------------------- */

static opt_status check_wanted(opt_ctx *ctx, const opt_csv_opts *o)
{
    if (o->ncolumns < 0 || (o->ncolumns > 0 && (o->names == NULL) == (o->columns == NULL)))
        return opt__fail(ctx, OPT_EINVAL, "read_csv: ncolumns = %lld needs either names or columns",
                         (long long)o->ncolumns);
    if (o->ncolumns > 0 && o->names != NULL && !o->header)
        return opt__fail(ctx, OPT_EINVAL, "read_csv: names without a header");
    for (int64_t i = 0; i < o->ncolumns; i++) {
        if (o->names != NULL && o->names[i] == NULL)
            return opt__fail(ctx, OPT_EINVAL, "read_csv: name %lld is NULL", (long long)i);
        if (o->names == NULL && o->columns[i] < 0)
            return opt__fail(ctx, OPT_EINVAL, "read_csv: column %lld is below 0", (long long)o->columns[i]);
    }
    return OPT_OK;
}

static opt_status check_csv_opts(opt_ctx *ctx, const opt_csv_opts *o)
{
    static const char of_numbers[] =
        "0123456789+-.ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\"\r\n";
    const char d = o->delimiter;

    if (strchr(of_numbers, d) != NULL)
        return opt__fail(ctx, OPT_EINVAL, "read_csv: delimiter = '%c' cannot part numbers",
                         d >= ' ' ? d : '?');
    if (o->dtype != OPT_F32 && o->dtype != OPT_F64)
        return opt__fail(ctx, OPT_EDTYPE, "read_csv: dtype = %d is neither OPT_F32 nor OPT_F64",
                         (int)o->dtype);
    return check_wanted(ctx, o);
}

static opt_status read_csv(csv *c, opt_tensor *t)
{
    int64_t records, rows;
    opt_status s = start_over(c);

    if (!s)
        s = read_records(c, INT64_MAX, skip_field, NULL, &records);
    if (s)
        return s;
    rows = records - (c->opts.header ? 1 : 0);
    if (rows < 1)
        return opt__malformed(&c->file, "there are no records%s", records > 0 ? " but the header" : "");
    s = choose_columns(c);
    if (!s)
        s = opt_tensor_new(c->file.ctx, c->opts.dtype, 2, (int64_t[]){rows, c->wanted}, t);
    return s ? s : read_numbers(c, t);
}

opt_status opt_read_csv(opt_ctx *ctx, const char *path, const opt_csv_opts *opts, opt_tensor *out)
{
    csv c = {.opts = opts ? *opts : (opt_csv_opts){0}};
    opt_status s = opt__enter(ctx);
    opt_tensor t = {0};

    if (s)
        return s;
    if (path == NULL || out == NULL)
        return opt__fail(ctx, OPT_EINVAL, "read_csv: %s is NULL", path ? "out" : "path");
    if (c.opts.delimiter == '\0')
        c.opts.delimiter = ',';
    if (c.opts.dtype == 0)
        c.opts.dtype = OPT_F64;
    s = check_csv_opts(ctx, &c.opts);
    if (!s)
        s = opt__file_open(ctx, path, &c.file);
    if (s)
        return s;
    s = read_csv(&c, &t);
    opt__file_close(&c.file);
    opt__free(ctx, c.place);
    if (s)
        opt_tensor_free(ctx, &t);
    else
        *out = t;
    return s;
}

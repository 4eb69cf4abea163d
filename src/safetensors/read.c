/* SPDX-License-Identifier: MIT
 *
 * Reading safetensors files that may be anything. Nothing in one is believed: the header is read twice, once
 * to check it and count what it holds, once to note that, and then names and places are sorted to find two of
 * a kind, gaps and overlaps.
 */
#include <string.h>

#include "base/sort.h"
#include "file/crc32.h"
#include "safetensors/json.h"
#include "safetensors/safetensors.h"

#define SUM_KEY "\"crc32\":\""

static const struct {
    const char *text;
    int bits;
} dtypes[] = {{"F16", 16},        {"BF16", 16},      {"F32", 32},    {"F64", 64}, {"BOOL", 8},
              {"F4", 4},          {"F6_E2M3", 6},    {"F6_E3M2", 6}, {"U8", 8},   {"I8", 8},
              {"F8_E5M2", 8},     {"F8_E4M3", 8},    {"F8_E8M0", 8}, {"I16", 16}, {"U16", 16},
              {"I32", 32},        {"U32", 32},       {"C64", 64},    {"I64", 64}, {"U64", 64},
              {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}};

enum { DTYPES = sizeof dtypes / sizeof *dtypes };

const char *opt__dtype_text(uint32_t dtype)
{
    return dtypes[dtype].text;
}

int opt__dtype_size(uint32_t dtype)
{
    return dtypes[dtype].bits / 8;
}

/* ---- One tensor's entry -------------------------------------------------------------------------------- */

/* [2, 3]; *elements <- 6. */
static opt_status parse_shape(opt__json *j, int64_t *elements)
{
    bool empty = false;
    opt_status s = opt__json_expect(j, '[');

    *elements = 1;
    if (s || opt__json_accept(j, ']'))
        return s;
    do {
        int64_t n;

        s = opt__json_count(j, &n);
        if (s)
            return s;
        empty = empty || n == 0;
        if (n > 0 && *elements > INT64_MAX / 64 / n)
            return opt__json_wrong(j, "the size of a tensor overflows");
        *elements *= n > 0 ? n : 1;
    } while (opt__json_accept(j, ','));
    if (empty)
        *elements = 0;
    return opt__json_expect(j, ']');
}

static opt_status parse_offsets(opt__json *j, opt__entry *e)
{
    opt_status s = opt__json_expect(j, '[');

    if (!s)
        s = opt__json_count(j, &e->begin);
    if (!s)
        s = opt__json_expect(j, ',');
    if (!s)
        s = opt__json_count(j, &e->end);
    return s ? s : opt__json_expect(j, ']');
}

static opt_status parse_dtype(opt__json *j, opt__entry *e)
{
    const char *text;
    opt_status s = opt__json_string(j, &text);

    if (s)
        return s;
    for (e->dtype = 0; e->dtype < DTYPES; e->dtype++)
        if (strcmp(text, dtypes[e->dtype].text) == 0)
            return OPT_OK;
    return opt__malformed(j->file, "%s: elements of type %s are unknown", e->name, text);
}

/* One of the three members of a tensor's object; *seen has a bit for each. */
static opt_status parse_member(opt__json *j, opt__entry *e, int64_t *elements, int *seen)
{
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    const char *key;
    opt_status s = opt__json_string(j, &key);
    int which = 0;

    if (!s)
        s = opt__json_expect(j, ':');
    if (s)
        return s;
    while (which < 3 && strcmp(key, keys[which]) != 0)
        which++;
    if (which == 3 || (*seen >> which & 1))
        return opt__malformed(j->file, "%s: member %s is %s", e->name, key,
                              which == 3 ? "unknown" : "there twice");
    *seen |= 1 << which;
    if (which == 0)
        return parse_dtype(j, e);
    if (which == 2)
        return parse_offsets(j, e);
    e->shape = (uint32_t)j->at;
    return parse_shape(j, elements);
}

/* {"dtype":"F32","shape":[2,3],"data_offsets":[0,24]} */
static opt_status parse_tensor(opt__json *j, opt__entry *e)
{
    int64_t elements = 0, bits;
    int seen = 0;
    opt_status s = opt__json_expect(j, '{');

    for (bool more = true; !s && more; more = !s && opt__json_accept(j, ','))
        s = parse_member(j, e, &elements, &seen);
    if (!s)
        s = opt__json_expect(j, '}');
    if (s)
        return s;
    if (seen != 7)
        return opt__malformed(j->file, "%s: dtype, shape or data_offsets is missing", e->name);
    bits = elements * dtypes[e->dtype].bits;
    if (e->begin > e->end || bits % 8 != 0 || e->end - e->begin != bits / 8)
        return opt__malformed(j->file, "%s: data_offsets do not fit its shape", e->name);
    return OPT_OK;
}

/* ---- The header ---------------------------------------------------------------------------------------- */

/* The metadata's {"key":"text",...}; counted, or noted in st->pair. */
static opt_status parse_metadata(opt__json *j, opt__safetensors *st)
{
    opt_status s = opt__json_expect(j, '{');

    st->npairs = 0;
    if (s || opt__json_accept(j, '}'))
        return s;
    do {
        const char *key, *text;

        s = opt__json_string(j, &key);
        if (!s)
            s = opt__json_expect(j, ':');
        if (!s)
            s = opt__json_string(j, &text);
        if (s)
            return s;
        if (st->pair != NULL) {
            st->pair[2 * st->npairs] = key;
            st->pair[2 * st->npairs + 1] = text;
        }
        st->npairs++;
    } while (opt__json_accept(j, ','));
    return opt__json_expect(j, '}');
}

/* "name":{...}: a tensor, which is counted or noted in st->entry, or the metadata. */
static opt_status parse_item(opt__json *j, opt__safetensors *st, bool *metadata)
{
    opt__entry e = {0};
    opt_status s = opt__json_string(j, &e.name);

    if (!s)
        s = opt__json_expect(j, ':');
    if (s)
        return s;
    if (strcmp(e.name, "__metadata__") == 0) {
        if (*metadata)
            return opt__json_wrong(j, "a second __metadata__");
        *metadata = true;
        return opt__json_null(j) ? OPT_OK : parse_metadata(j, st);
    }
    s = parse_tensor(j, &e);
    if (s)
        return s;
    if (st->entry != NULL)
        st->entry[st->n] = e;
    st->n++;
    return OPT_OK;
}

static opt_status parse_header(opt__safetensors *st, bool decoded)
{
    opt__json j = {.file = &st->file, .text = st->header, .len = st->length, .decoded = decoded};
    bool metadata = false;
    opt_status s =
        st->length > 0 && *st->header == '{' ? OPT_OK : opt__json_wrong(&j, "no '{' to begin with");

    st->n = 0;
    j.at = 1;
    if (!s && !opt__json_accept(&j, '}')) {
        do
            s = parse_item(&j, st, &metadata);
        while (!s && opt__json_accept(&j, ','));
        if (!s)
            s = opt__json_expect(&j, '}');
    }
    if (s)
        return s;
    opt__json_accept(&j, ' '); /* passes over those there are */
    return j.at == j.len ? OPT_OK : opt__json_wrong(&j, "there is more behind the end");
}

/* Where the digits of the sum are in a header of ours, or NULL. Others may mean something else by a crc32.
 * One where our writer puts it is ours even if the format says otherwise: that may be the damage. */
static char *find_sum(const opt__safetensors *st)
{
    const size_t key_at = strlen(OPT__ST_BEFORE_SUM) - strlen(SUM_KEY);
    char *const key = strstr(st->header, SUM_KEY);

    if (key == NULL || ((size_t)(key - st->header) != key_at && strstr(st->header, OPT__ST_OURS) == NULL) ||
        strspn(key + strlen(SUM_KEY), "0123456789abcdef") < 8)
        return NULL;
    return key + strlen(SUM_KEY);
}

/* Notes what the file says its sum is, and takes that of the header as it is, with 0 for the sum. */
static void start_sum(opt__safetensors *st, const unsigned char *length)
{
    char *const digits = find_sum(st);
    opt__crc32 crc;

    if (digits != NULL) {
        st->has_sum = true;
        for (int i = 0; i < 8; i++)
            st->sum = st->sum << 4 | (uint32_t)(digits[i] <= '9' ? digits[i] - '0' : digits[i] - 'a' + 10);
        memset(digits, '0', 8);
    }
    opt__crc32_start(&crc);
    opt__crc32_add(&crc, length, 8);
    opt__crc32_add(&crc, st->header, (size_t)st->length);
    st->header_sum = crc.state;
}

/* Reads the header's text. */
static opt_status read_header(opt__safetensors *st)
{
    unsigned char length[8];
    opt_status s = opt__file_read(&st->file, length, sizeof length, "the header's length");
    const uint64_t n = s ? 0 : opt__from_little_endian(length, 8);

    if (s)
        return s;
    if (n > OPT__ST_MAX_HEADER || n > (uint64_t)(st->file.size - 8))
        return opt__malformed(&st->file, "a header of %llu bytes: not a safetensors file, or cut short",
                              (unsigned long long)n);
    st->length = (int64_t)n;
    st->header = opt__alloc(st->file.ctx, st->length + 16, 1);
    if (st->header == NULL)
        return opt__no_memory(st->file.ctx, st->file.path);
    s = opt__file_read(&st->file, st->header, (size_t)n, "the header");
    if (!s)
        start_sum(st, length);
    return s;
}

/* ---- What must hold among tensors ---------------------------------------------------------------------- */

static bool begins_before(const void *arg, uint32_t a, uint32_t b)
{
    const opt__entry *entry = arg;

    return entry[a].begin != entry[b].begin ? entry[a].begin < entry[b].begin : entry[a].end < entry[b].end;
}

static bool is_named_before(const void *arg, uint32_t a, uint32_t b)
{
    const opt__entry *entry = arg;

    return strcmp(entry[a].name, entry[b].name) < 0;
}

static bool has_key_before(const void *arg, uint32_t a, uint32_t b)
{
    const char *const *pair = arg;

    return strcmp(pair[2 * (int64_t)a], pair[2 * (int64_t)b]) < 0;
}

/* The numbers from 0 to n - 1 as `below` has them; NULL when there is no memory. */
static uint32_t *make_order(opt_ctx *ctx, int64_t n, bool (*below)(const void *, uint32_t, uint32_t),
                            const void *arg)
{
    uint32_t *order = opt__alloc(ctx, n + 1, sizeof *order), *room = opt__alloc(ctx, n + 1, sizeof *room);

    if (order == NULL || room == NULL) {
        opt__free(ctx, order);
        opt__free(ctx, room);
        return NULL;
    }
    for (int64_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    opt__sort(order, room, n, below, arg);
    opt__free(ctx, room);
    return order;
}

static opt_status check_places(const opt__safetensors *st)
{
    const int64_t size = st->file.size - 8 - st->length;
    int64_t end = 0;

    for (int64_t i = 0; i < st->n; i++) {
        const opt__entry *e = &st->entry[st->by_place[i]];

        if (e->begin != end)
            return opt__malformed(&st->file, "%s: its data begins at %lld, that before it ends at %lld",
                                  e->name, (long long)e->begin, (long long)end);
        end = e->end;
    }
    return end == size ? OPT_OK
                       : opt__malformed(&st->file, "%lld bytes of data where the header says %lld",
                                        (long long)size, (long long)end);
}

static opt_status check_names(opt__safetensors *st)
{
    uint32_t *by_key = make_order(st->file.ctx, st->npairs, has_key_before, st->pair);
    opt_status s = OPT_OK;

    if (by_key == NULL)
        return opt__no_memory(st->file.ctx, st->file.path);
    for (int64_t i = 1; !s && i < st->npairs; i++)
        if (!has_key_before(st->pair, by_key[i - 1], by_key[i]))
            s = opt__malformed(&st->file, "two texts under %s in the metadata",
                               st->pair[2 * (int64_t)by_key[i]]);
    for (int64_t i = 1; !s && i < st->n; i++)
        if (!is_named_before(st->entry, st->by_name[i - 1], st->by_name[i]))
            s = opt__malformed(&st->file, "two tensors of the name %s", st->entry[st->by_name[i]].name);
    opt__free(st->file.ctx, by_key);
    return s;
}

/* ---- Opening and looking ------------------------------------------------------------------------------- */

static opt_status parse(opt__safetensors *st)
{
    opt_ctx *ctx = st->file.ctx;
    opt_status s = read_header(st);

    if (!s)
        s = parse_header(st, false);
    if (s)
        return s;
    st->entry = opt__alloc(ctx, st->n + 1, sizeof *st->entry);
    st->pair = opt__alloc(ctx, st->npairs + 1, 2 * sizeof *st->pair);
    if (st->entry == NULL || st->pair == NULL)
        return opt__no_memory(ctx, st->file.path);
    (void)parse_header(st, true); /* what was right is so again */
    st->by_place = make_order(ctx, st->n, begins_before, st->entry);
    st->by_name = make_order(ctx, st->n, is_named_before, st->entry);
    if (st->by_place == NULL || st->by_name == NULL)
        return opt__no_memory(ctx, st->file.path);
    s = check_places(st);
    return s ? s : check_names(st);
}

opt_status opt__safetensors_open(opt_ctx *ctx, const char *path, opt__safetensors *out)
{
    opt__safetensors st = {0};
    opt_status s = opt__file_open(ctx, path, &st.file);

    if (s)
        return s;
    s = parse(&st);
    if (s)
        opt__safetensors_close(&st);
    else
        *out = st;
    return s;
}

void opt__safetensors_close(opt__safetensors *st)
{
    opt__file_close(&st->file);
    opt__free(st->file.ctx, st->header);
    opt__free(st->file.ctx, st->entry);
    opt__free(st->file.ctx, st->by_place);
    opt__free(st->file.ctx, st->by_name);
    opt__free(st->file.ctx, st->pair);
}

opt__entry *opt__safetensors_find(const opt__safetensors *st, const char *name)
{
    int64_t low = 0, high = st->n;

    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        opt__entry *e = &st->entry[st->by_name[middle]];
        const int order = strcmp(e->name, name);

        if (order == 0)
            return e;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const char *opt__safetensors_text(const opt__safetensors *st, const char *group, const char *name)
{
    const size_t n = strlen(group);

    for (int64_t i = 0; i < st->npairs; i++)
        if (strncmp(st->pair[2 * i], group, n) == 0 && strcmp(st->pair[2 * i] + n, name) == 0)
            return st->pair[2 * i + 1];
    return NULL;
}

void opt__entry_shape(const opt__safetensors *st, const opt__entry *e, int64_t *ndim, int64_t *dim)
{
    opt__json j = {&st->file, st->header, st->length, e->shape, true};
    int64_t n = 0;

    *ndim = 0;
    (void)opt__json_expect(&j, '['); /* it has been read before, and found right */
    if (opt__json_accept(&j, ']'))
        return;
    do {
        (void)opt__json_count(&j, &n);
        if (*ndim < OPT_MAX_DIMS)
            dim[*ndim] = n;
        ++*ndim;
    } while (opt__json_accept(&j, ','));
}

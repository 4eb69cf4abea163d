/* SPDX-License-Identifier: MIT */
#include "tensor_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Bytes --------------------------------------------------------------------------------------------- */

bytes slurp(const char *path)
{
    FILE *f = fopen(path, "rb");
    bytes b = {0};
    long size;

    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    size = ftell(f);
    assert_true(size >= 0);
    rewind(f);
    b.n = (size_t)size;
    b.at = malloc(b.n + 1);
    assert_non_null(b.at);
    assert_int_equal(fread(b.at, 1, b.n, f), b.n);
    fclose(f);
    return b;
}

void spill(const char *path, const void *from, size_t n)
{
    FILE *f;

    remove(path); /* some file systems flush what is written over a file, and thousands are */
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(from, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

bool same_file(const char *a, const char *b)
{
    bytes x = slurp(a), y = slurp(b);
    const bool same = x.n == y.n && memcmp(x.at, y.at, x.n) == 0;

    free(x.at);
    free(y.at);
    return same;
}

bool is_there(const char *path)
{
    FILE *f = fopen(path, "rb");

    if (f != NULL)
        fclose(f);
    return f != NULL;
}

uint32_t crc32_of(const void *from, size_t n)
{
    const unsigned char *p = from;
    uint32_t x = UINT32_MAX;

    for (size_t i = 0; i < n; i++) {
        x ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            x = x & 1 ? x >> 1 ^ 0xedb88320 : x >> 1;
    }
    return ~x;
}

void write_tensor_file(const char *path, const char *header, const void *data, size_t n)
{
    static const char key[] = "\"crc32\":\"00000000";
    const size_t length = strlen(header), size = 8 + length + n;
    unsigned char *file = malloc(size + 1);
    const char *sum = strstr(header, key);
    char digits[9];

    assert_non_null(file);
    for (int k = 0; k < 8; k++)
        file[k] = (unsigned char)((uint64_t)length >> (8 * k));
    memcpy(file + 8, header, length);
    memcpy(file + 8 + length, data, n);
    if (sum != NULL) {
        snprintf(digits, sizeof digits, "%08lx", (unsigned long)crc32_of(file, size));
        memcpy(file + 8 + (sum - header) + sizeof key - 1 - 8, digits, 8);
    }
    spill(path, file, size);
    free(file);
}

void edit_tensor_file(const char *path, const bytes *from, const char *part, const char *by)
{
    size_t length = 0;
    char *header, *edited, *at;

    for (int k = 7; k >= 0; k--)
        length = length << 8 | from->at[k];
    header = malloc(length + 1);
    edited = malloc(length + strlen(by) + 1);
    assert_non_null(header);
    assert_non_null(edited);
    memcpy(header, from->at + 8, length);
    header[length] = '\0';
    at = strstr(header, "\"crc32\":\"");
    assert_non_null(at);
    memcpy(at + strlen("\"crc32\":\""), "00000000", 8);
    at = strstr(header, part);
    if (at == NULL)
        fail_msg("%s is not in the header", part);
    else
        sprintf(edited, "%.*s%s%s", (int)(at - header), header, by, at + strlen(part));
    write_tensor_file(path, edited, from->at + 8 + length, from->n - 8 - length);
    free(header);
    free(edited);
}

/* ---- Parameters of every kind -------------------------------------------------------------------------- */

static void draw(opt_rng *r, const opt_tensor *t)
{
    for (int64_t i = 0; i < opt_tensor_len(t); i++)
        opt_set(t, i, opt_rng_normal(r));
}

void mixed_new(mixed *m, opt_ctx *ctx, uint32_t seed)
{
    static const struct {
        const char *name;
        opt_dtype dtype;
        int ndim;
        int64_t dim[OPT_MAX_DIMS];
    } kind[MIXED] = {{"scalar", OPT_F32, 0, {0}},
                     {"row", OPT_F64, 1, {3}},
                     {"four", OPT_F32, 4, {3, 3, 1, 5}},
                     {"column", OPT_F64, 2, {7, 1}},
                     {"three", OPT_F32, 3, {1, 1, 9}}};
    opt_rng r;

    *m = (mixed){.ctx = ctx, .params = {m->at, MIXED}};
    opt_rng_seed(&r, seed);
    for (int p = 0; p < MIXED; p++) {
        m->at[p].name = kind[p].name;
        assert_ok(ctx, opt_tensor_new(ctx, kind[p].dtype, kind[p].ndim, kind[p].dim, &m->at[p].value));
        assert_ok(ctx, opt_tensor_new(ctx, kind[p].dtype, kind[p].ndim, kind[p].dim, &m->at[p].grad));
        draw(&r, &m->at[p].value);
        draw(&r, &m->at[p].grad);
    }
}

void mixed_free(mixed *m)
{
    for (int p = 0; p < MIXED; p++) {
        opt_tensor_free(m->ctx, &m->at[p].value);
        opt_tensor_free(m->ctx, &m->at[p].grad);
    }
}

void mixed_draw_gradients(mixed *m, uint32_t seed)
{
    opt_rng r;

    opt_rng_seed(&r, seed);
    for (int p = 0; p < MIXED; p++)
        draw(&r, &m->at[p].grad);
}

static opt_status update_four(const opt_update *u)
{
    const four_opts *h = u->hyper;

    for (int64_t i = 0; i < opt_tensor_len(&u->w); i++) {
        const double g = opt_get(&u->g, i);

        for (int s = 0; s < 4; s++)
            opt_set(&u->slot[s], i, h->a * opt_get(&u->slot[s], i) + (s + 1) * h->b * g);
        opt_set(&u->w, i, opt_get(&u->w, i) - u->lr * h->c * opt_get(&u->slot[u->t % 4], i));
    }
    return OPT_OK;
}

static const opt_hyper four_hyper[] = {{"a", 0.5, 0, 1}, {"b", 0.25, -10, 10}, {"c", 1, -10, 10}};

const opt_method four_slots = {.name = "four \"slots\"",
                               .hyper = four_hyper,
                               .nhyper = 3,
                               .slot = {"one", "t.wo", "thr\\ee", "\xc3\xbc"},
                               .update = update_four};

/* ---- All that there is --------------------------------------------------------------------------------- */

void write_state(opt_ctx *ctx, const char *path, opt_params params, const opt_optim *optim,
                 const opt_batches *batches)
{
    remove(path);
    assert_ok(ctx, opt_save(ctx, path, params, optim, batches));
}

/* SPDX-License-Identifier: MIT
 *
 * Checkpoints from outside: files as bytes, safetensors files made by hand, and parameters of every kind to
 * put into them.
 */
#ifndef TESTS_TENSOR_FILE_H
#define TESTS_TENSOR_FILE_H

#include "support.h"

/* ---- Bytes --------------------------------------------------------------------------------------------- */

typedef struct bytes {
    unsigned char *at; /* to be freed */
    size_t n;
} bytes;

bytes slurp(const char *path);
void spill(const char *path, const void *from, size_t n);
bool same_file(const char *a, const char *b);
bool is_there(const char *path);

/* zlib's crc32 of the bytes, one bit after the other. */
uint32_t crc32_of(const void *from, size_t n);

/* Writes a safetensors file of this header and n bytes of data. If the header has "crc32":"00000000", the sum
 * is put in there, so that what stands behind that check is reached. */
void write_tensor_file(const char *path, const char *header, const void *data, size_t n);

/* The file with one part of its header replaced by another, which may have another length, and its sum put
 * right. The part must be there. */
void edit_tensor_file(const char *path, const bytes *from, const char *part, const char *by);

/* ---- Parameters of every kind -------------------------------------------------------------------------- */

enum { MIXED = 5 };

/* f32 and f64 by turns, from a single number to four dimensions; values and gradients are random. */
typedef struct mixed {
    opt_ctx *ctx;
    opt_param at[MIXED];
    opt_params params;
} mixed;

void mixed_new(mixed *m, opt_ctx *ctx, uint32_t seed);
void mixed_free(mixed *m);
void mixed_draw_gradients(mixed *m, uint32_t seed);

/* A method of four slots and three hyper-parameters. */
typedef struct four_opts {
    double a, b, c;
} four_opts;
extern const opt_method four_slots;

/* ---- All that there is --------------------------------------------------------------------------------- */

/* Writes all that a run's future depends on to `path`, so that two states can be compared as bytes. */
void write_state(opt_ctx *ctx, const char *path, opt_params params, const opt_optim *optim,
                 const opt_batches *batches);

#endif

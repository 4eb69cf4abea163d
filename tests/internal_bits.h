/* SPDX-License-Identifier: MIT
 *
 * What the parts of internal_bits share.
 */
#ifndef TESTS_INTERNAL_BITS_H
#define TESTS_INTERNAL_BITS_H

#include <opt.h>

/* Of all values' elements. */
uint64_t hash_params(opt_params params);

/* Adds a line, named after all three. */
void note(const char *name, const char *part, opt_dtype dtype, uint64_t hash);

/* Ends the program with the context's message unless s is OPT_OK. */
void check(const opt_ctx *ctx, opt_status s);

/* A matrix of zeros; and normal numbers times scale in a tensor's place. */
opt_tensor make(opt_ctx *ctx, opt_dtype dtype, int64_t rows, int64_t cols);
void draw(opt_rng *r, opt_tensor *t, double scale);

/* The course's 300 moons, in that dtype. */
opt_table moons_table(opt_ctx *ctx, opt_dtype dtype);

/* internal_bits_steps.c and internal_bits_search.c: their lines. */
void steps_of_methods(opt_ctx *ctx, opt_dtype dtype);
void steps_of_muon(opt_ctx *ctx, opt_dtype dtype);
void search_wide(opt_ctx *ctx, opt_dtype dtype);
void search_moons(opt_ctx *ctx, opt_dtype dtype);

#endif

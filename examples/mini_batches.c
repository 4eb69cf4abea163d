/* SPDX-License-Identifier: MIT
 *
 * Section 2 of the course notebook "Optimization methods": 148 images of 12288 numbers, shuffled and cut into
 * batches of 64. Prints what the notebook expects, and exits with 1 when something differs.
 *
 * The notebook has one example a column, the library one a row: shapes are printed the notebook's way round.
 */
#include "cli.h"
#include "print.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { FEATURES = 12288, EXAMPLES = 148, BATCHES = 3 };

/* What the course prints: the sizes of the batches, and the first feature of the first three examples. */
static const int64_t expected_rows[BATCHES] = {64, 64, 20};
static const double expected_sanity[] = {0.90085595, -0.7612069, 0.2344157};

/* np.random.seed(1); X = np.random.randn(FEATURES, EXAMPLES); Y = np.random.randn(1, EXAMPLES) < 0.5 */
static void draw(opt_table *t)
{
    opt_rng r;
    opt_rng_seed(&r, 1);
    for (int64_t feature = 0; feature < FEATURES; feature++)
        for (int64_t i = 0; i < EXAMPLES; i++)
            opt_set(&t->x, i * FEATURES + feature, opt_rng_normal(&r));
    for (int64_t i = 0; i < EXAMPLES; i++)
        opt_set(&t->y, i, opt_rng_normal(&r) < 0.5 ? 1 : 0);
}

/* Prints the shape as the notebook has it, transposed, and compares it. */
static bool show_shape(int k, const char *name, const opt_tensor *t, int64_t features)
{
    static const char *const ordinal[BATCHES] = {"1st", "2nd", "3rd"};
    int64_t rows = t->dim[0], cols = t->dim[1];
    printf("shape of the %s mini_batch_%s: (%" PRId64 ", %" PRId64 ")\n", ordinal[k], name, cols, rows);
    if (rows != expected_rows[k] || cols != features) {
        fprintf(stderr, "should be (%" PRId64 ", %" PRId64 ")\n", features, expected_rows[k]);
        return false;
    }
    return true;
}

static bool show_epoch(opt_ctx *ctx, opt_batches *batches)
{
    opt_tensor x[BATCHES], y[BATCHES]; /* for their shapes: the data are valid until the next batch only */
    double sanity[3] = {0};
    for (int k = 0; k < BATCHES; k++) {
        opt_batch batch;
        cli_check(ctx, opt_batches_next(batches, &batch));
        x[k] = batch.x;
        y[k] = batch.y;
        if (k == 0)
            for (int64_t i = 0; i < 3; i++)
                sanity[i] = opt_get(&batch.x, i * FEATURES);
    }

    bool ok = true;
    for (int k = 0; k < BATCHES; k++)
        ok = show_shape(k, "X", &x[k], FEATURES) && ok;
    for (int k = 0; k < BATCHES; k++)
        ok = show_shape(k, "Y", &y[k], 1) && ok;
    printf("mini batch sanity check: [%.8g %.8g %.8g]\n", sanity[0], sanity[1], sanity[2]);
    opt_tensor view = opt_tensor_view(OPT_F64, sanity, 1, (const int64_t[]){3});
    return check_matrix("sanity check", &view, expected_sanity) && ok;
}

int main(int argc, char **argv)
{
    cli_parse(argc, argv, "The mini-batches of the course's test case.", NULL);
    opt_ctx *ctx = cli_context();

    opt_table table;
    cli_check(ctx, opt_tensor_new(ctx, OPT_F64, 2, (const int64_t[]){EXAMPLES, FEATURES}, &table.x));
    cli_check(ctx, opt_tensor_new(ctx, OPT_F64, 2, (const int64_t[]){EXAMPLES, 1}, &table.y));
    draw(&table);

    /* Epoch e is shuffled by seed + e modulo 2^32. The notebook shuffles by 0, so this is epoch 1 of the seed
     * before 0. */
    opt_source source = opt_source_table(&table);
    opt_batches *batches = NULL;
    cli_check(ctx,
              opt_batches_new(ctx, &source, &(opt_batches_opts){.size = 64, .seed = UINT32_MAX}, &batches));
    cli_check(ctx, opt_batches_begin(batches, 1));
    bool ok = show_epoch(ctx, batches);

    opt_batch none;
    if (opt_batches_next(batches, &none) != OPT_END) {
        fprintf(stderr, "there are more than %d batches\n", BATCHES);
        ok = false;
    }
    opt_batches_free(batches);
    opt_tensor_free(ctx, &table.y);
    opt_tensor_free(ctx, &table.x);
    opt_ctx_free(ctx);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

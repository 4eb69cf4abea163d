/* SPDX-License-Identifier: MIT
 *
 * What every section of the bench shares: turns of things compared, their medians and spreads, and rows,
 * which go to the screen as a table and, with --json, to a file as one object each.
 */
#ifndef OPT_BENCH_TIMING_H
#define OPT_BENCH_TIMING_H

#include <opt.h>

enum { MAX_TURNS = 15 };

typedef struct options {
    bool quick;       /* once and small, to see that it runs */
    int threads;      /* of the rows that have several */
    const char *json; /* NULL: none */
    const char *svg;
} options;

extern options opts;

typedef struct timing {
    double seconds[MAX_TURNS];
    int n;
} timing;

double now(void); /* seconds */
int turns(void);
void add(timing *t, double seconds);
double least(const timing *t);
double median(const timing *t);
double spread(const timing *t); /* (max - min) / median */

/* Of timings for every instruction set, that of the best the machine has. */
const timing *best(const timing *ours);

/* A section's headline and, for the JSON file, its name. */
void section(const char *name, const char *text);

/* A row: what it is, its timing (seconds for one of `units`), and, unless NaN, a ratio and what it is of. */
void row(const char *what, const timing *t, double units, const char *unit, double ratio, const char *of);

typedef struct isa {
    const char *name;
    opt_isa isa;
} isa;
enum { ISAS = 3 };
extern const isa isas[ISAS]; /* baseline, avx2, avx512 */

/* NULL when the machine lacks the instruction set. */
opt_ctx *context(opt_isa set, int threads);

/* Ends the program with the context's message unless s is OPT_OK. */
void check(const opt_ctx *ctx, opt_status s);

opt_tensor make(opt_ctx *ctx, opt_dtype dtype, int64_t rows, int64_t cols);
void fill(opt_tensor *t, double scale); /* with numbers in [-scale / 2, scale / 2) */
const char *name_of(opt_dtype dtype);

/* Sections. */
void bench_moons(void);
void bench_wide(void);
void bench_steps(void);
void bench_methods(void);
void bench_matmul(void);
void bench_shape(void);
void bench_memory(void);

/* Seconds for `epochs` epochs of Adam from new weights; a warm-up epoch first, if asked for. *loss: the last
 * one's; may be NULL. */
double train(opt_ctx *ctx, const opt_mlp_opts *net, const opt_table *table, int64_t batch, int64_t epochs,
             bool warm_up, double *loss);

#endif

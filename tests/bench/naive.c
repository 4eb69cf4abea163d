/* SPDX-License-Identifier: MIT */
#include "naive.h"

#include <math.h>
#include <string.h>

enum { LAYERS = 3, EXAMPLES = 300, BATCH = 64, VALUES = 2 * 5 + 5 + 5 * 2 + 2 + 2 * 1 + 1 };
static const int size[LAYERS + 1] = {2, 5, 2, 1};

typedef struct state {
    double w[VALUES], g[VALUES], m[VALUES], v[VALUES];
    double a[LAYERS + 1][BATCH][5], d[LAYERS + 1][BATCH][5], y[BATCH];
    int64_t t;
} state;

static void start(state *s)
{
    double *w = s->w;
    opt_rng r;

    memset(s, 0, sizeof *s);
    opt_rng_seed(&r, 3);
    for (int l = 0; l < LAYERS; l++) {
        for (int i = 0; i < size[l] * size[l + 1]; i++)
            *w++ = opt_rng_normal(&r) * sqrt(2.0 / size[l]);
        w += size[l + 1];
    }
}

static void forward(state *s, int rows)
{
    const double *w = s->w;

    for (int l = 0; l < LAYERS; l++) {
        const double *b = w + size[l] * size[l + 1];

        for (int e = 0; e < rows; e++)
            for (int o = 0; o < size[l + 1]; o++) {
                double z = b[o];

                for (int i = 0; i < size[l]; i++)
                    z += w[o * size[l] + i] * s->a[l][e][i];
                s->a[l + 1][e][o] = l < LAYERS - 1 ? (z > 0 ? z : 0) : 1 / (1 + exp(-z));
            }
        w = b + size[l + 1];
    }
}

static double backward(state *s, int rows)
{
    double cost = 0;
    int at = VALUES;

    memset(s->g, 0, sizeof s->g);
    for (int e = 0; e < rows; e++) {
        const double a = s->a[LAYERS][e][0];

        cost -= s->y[e] * log(a) + (1 - s->y[e]) * log(1 - a);
        s->d[LAYERS][e][0] = (a - s->y[e]) / rows;
    }
    for (int l = LAYERS - 1; l >= 0; l--) {
        at -= size[l + 1] * (size[l] + 1);
        for (int e = 0; e < rows; e++)
            for (int o = 0; o < size[l + 1]; o++) {
                for (int i = 0; i < size[l]; i++)
                    s->g[at + o * size[l] + i] += s->d[l + 1][e][o] * s->a[l][e][i];
                s->g[at + size[l] * size[l + 1] + o] += s->d[l + 1][e][o];
            }
        for (int e = 0; l > 0 && e < rows; e++)
            for (int i = 0; i < size[l]; i++) {
                double d = 0;

                for (int o = 0; o < size[l + 1]; o++)
                    d += s->w[at + o * size[l] + i] * s->d[l + 1][e][o];
                s->d[l][e][i] = s->a[l][e][i] > 0 ? d : 0;
            }
    }
    return cost;
}

static void adam(state *s)
{
    const double c1 = 1 - pow(0.9, (double)++s->t), c2 = 1 - pow(0.999, (double)s->t);

    for (int i = 0; i < VALUES; i++) {
        s->m[i] = 0.9 * s->m[i] + 0.1 * s->g[i];
        s->v[i] = 0.999 * s->v[i] + 0.001 * s->g[i] * s->g[i];
        s->w[i] -= 0.0007 * (s->m[i] / c1) / (sqrt(s->v[i] / c2) + 1e-8);
    }
}

double naive_moons(const opt_table *moons, int64_t epochs)
{
    static state s;
    int64_t order[EXAMPLES];
    double cost = 0;
    opt_rng r;

    start(&s);
    for (int64_t epoch = 1; epoch <= epochs; epoch++) {
        opt_rng_seed(&r, 10 + (uint32_t)epoch);
        opt_rng_permutation(&r, EXAMPLES, order);
        cost = 0;
        for (int from = 0; from < EXAMPLES; from += BATCH) {
            const int rows = EXAMPLES - from < BATCH ? EXAMPLES - from : BATCH;

            for (int e = 0; e < rows; e++) {
                s.a[0][e][0] = opt_get(&moons->x, 2 * order[from + e]);
                s.a[0][e][1] = opt_get(&moons->x, 2 * order[from + e] + 1);
                s.y[e] = opt_get(&moons->y, order[from + e]);
            }
            forward(&s, rows);
            cost += backward(&s, rows);
            adam(&s);
        }
    }
    return cost / EXAMPLES;
}

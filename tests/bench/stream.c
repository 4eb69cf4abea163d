/* SPDX-License-Identifier: MIT */
#include "stream.h"

#define STREAM(REAL)                                                                                         \
    static void stream_##REAL(int slots, int64_t n, REAL *restrict w, const REAL *restrict g,                \
                              REAL *restrict m, REAL *restrict v, REAL *restrict x)                          \
    {                                                                                                        \
        if (slots == 0)                                                                                      \
            for (int64_t i = 0; i < n; i++)                                                                  \
                w[i] += g[i];                                                                                \
        else if (slots == 1)                                                                                 \
            for (int64_t i = 0; i < n; i++) {                                                                \
                m[i] += g[i];                                                                                \
                w[i] += m[i];                                                                                \
            }                                                                                                \
        else if (slots == 2)                                                                                 \
            for (int64_t i = 0; i < n; i++) {                                                                \
                m[i] += g[i];                                                                                \
                v[i] += g[i];                                                                                \
                w[i] += m[i] + v[i];                                                                         \
            }                                                                                                \
        else                                                                                                 \
            for (int64_t i = 0; i < n; i++) {                                                                \
                m[i] += g[i];                                                                                \
                v[i] += g[i];                                                                                \
                x[i] += g[i];                                                                                \
                w[i] += m[i] + v[i] + x[i];                                                                  \
            }                                                                                                \
    }
STREAM(float)
STREAM(double)

void stream_words(int64_t n, float *restrict w, const float *restrict g, uint32_t *restrict words)
{
    for (int64_t i = 0; i < n; i++) {
        w[i] += g[i];
        words[i] ^= 1;
    }
}

void stream(opt_dtype dtype, int slots, int64_t n, void *w, const void *g, void *const *slot)
{
    if (dtype == OPT_F32)
        stream_float(slots, n, w, g, slot[0], slot[1], slot[2]);
    else
        stream_double(slots, n, w, g, slot[0], slot[1], slot[2]);
}

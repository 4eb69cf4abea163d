/* SPDX-License-Identifier: MIT
 *
 * Compiled with -O3 -march=native, which the library never is.
 */
#include "blas.h"

#ifdef HAVE_OPENBLAS

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LAYERS = 3 };

static const int64_t sizes[LAYERS + 1] = {784, 128, 64, 10};

static double seconds(void)
{
    struct timespec t;

    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#define REAL    float
#define GEMM    cblas_sgemm
#define SQRT    sqrtf
#define EXP     expf
#define NAME(x) x##_f32
#include "blas_wide.inc"
#undef REAL
#undef GEMM
#undef SQRT
#undef EXP
#undef NAME
#define REAL    double
#define GEMM    cblas_dgemm
#define SQRT    sqrt
#define EXP     exp
#define NAME(x) x##_f64
#include "blas_wide.inc"

double blas_wide(const opt_table *table, int64_t batch, double *loss)
{
    openblas_set_num_threads(1);
    return table->x.dtype == OPT_F32 ? wide_f32(table, batch, loss) : wide_f64(table, batch, loss);
}

bool blas_matmul(bool ta, const opt_tensor *a, bool tb, const opt_tensor *b, opt_tensor *c)
{
    const CBLAS_TRANSPOSE op_a = ta ? CblasTrans : CblasNoTrans, op_b = tb ? CblasTrans : CblasNoTrans;
    const int m = (int)c->dim[0], n = (int)c->dim[1], k = (int)a->dim[ta ? 0 : 1];

    openblas_set_num_threads(1);
    if (a->dtype == OPT_F32)
        cblas_sgemm(CblasRowMajor, op_a, op_b, m, n, k, 1, a->data, (int)a->dim[1], b->data, (int)b->dim[1],
                    0, c->data, n);
    else
        cblas_dgemm(CblasRowMajor, op_a, op_b, m, n, k, 1, a->data, (int)a->dim[1], b->data, (int)b->dim[1],
                    0, c->data, n);
    return true;
}

#else

double blas_wide(const opt_table *table, int64_t batch, double *loss)
{
    (void)table;
    (void)batch;
    (void)loss;
    return 0;
}

bool blas_matmul(bool ta, const opt_tensor *a, bool tb, const opt_tensor *b, opt_tensor *c)
{
    (void)ta;
    (void)a;
    (void)tb;
    (void)b;
    (void)c;
    return false;
}

#endif

/* SPDX-License-Identifier: MIT */
#include "print.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_SIZE = 32 };

/* NumPy's rule for when a matrix is printed as 1.5e-05 rather than 0.000015. */
static bool wants_exponents(const opt_tensor *t)
{
    double smallest = DBL_MAX, largest = 0;
    for (int64_t i = 0; i < opt_tensor_len(t); i++) {
        double x = fabs(opt_get(t, i));
        if (x > 0 && isfinite(x)) {
            smallest = fmin(smallest, x);
            largest = fmax(largest, x);
        }
    }
    return largest >= 1e8 || smallest < 1e-4 || largest > 1000 * smallest;
}

/* x with 8 decimals; where they end in zeros, spaces, as NumPy has it: "0.0002525 ". */
static void format_number(char out[NUMBER_SIZE], double x, bool exponent)
{
    if (exponent) {
        snprintf(out, NUMBER_SIZE, "%.8e", x);
        return;
    }
    snprintf(out, NUMBER_SIZE, "%.8f", x);
    for (size_t n = strlen(out); n > 0 && out[n - 1] == '0'; n--)
        out[n - 1] = ' ';
}

void print_matrix(const char *name, const opt_tensor *t)
{
    int64_t rows = t->ndim > 0 ? t->dim[0] : 1;
    int64_t cols = opt_tensor_len(t) / rows;
    bool exponent = wants_exponents(t);
    char number[NUMBER_SIZE];

    int width = 0;
    for (int64_t i = 0; i < rows * cols; i++) {
        format_number(number, opt_get(t, i), exponent);
        int n = (int)strlen(number);
        width = n > width ? n : width;
    }
    int margin = printf("%s = [", name);
    for (int64_t i = 0; i < rows; i++) {
        printf("%*s[", i > 0 ? margin : 0, "");
        for (int64_t j = 0; j < cols; j++) {
            format_number(number, opt_get(t, i * cols + j), exponent);
            printf("%s%*s", j > 0 ? " " : "", width, number);
        }
        printf("]%s\n", i + 1 < rows ? "" : "]");
    }
}

bool check_matrix(const char *name, const opt_tensor *t, const double *expected)
{
    for (int64_t i = 0; i < opt_tensor_len(t); i++) {
        double x = opt_get(t, i);
        if (!(fabs(x - expected[i]) <= 1e-8)) { /* this way round a NaN fails */
            fprintf(stderr, "%s: element %" PRId64 " is %.10g, should be %.9g\n", name, i, x, expected[i]);
            return false;
        }
    }
    return true;
}

/* SPDX-License-Identifier: MIT
 *
 * Printing arrays as NumPy does, and comparing them with what the course prints.
 */
#ifndef EXAMPLES_PRINT_H
#define EXAMPLES_PRINT_H

#include "opt.h"

/* "W1 = " and the matrix as NumPy's print shows it with 8 decimals, rows aligned under each other:
 *
 *     W1 = [[ 1.63535156 -0.62320365 -0.53718766]
 *           [-1.07799357  0.85639907 -2.29470142]]
 *
 * A tensor of one dimension is shown as the column the course has it in, [[1.74604067] ...]. */
void print_matrix(const char *name, const opt_tensor *t);

/* Compares t with `expected` (as many numbers, row by row, 8 decimals). Returns true when no element is
 * further than 1e-8 off; otherwise says on standard error which one of `name` is. */
bool check_matrix(const char *name, const opt_tensor *t, const double *expected);

#endif

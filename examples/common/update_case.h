/* SPDX-License-Identifier: MIT
 *
 * The course's test case for one update: two layers' weights and gradients, drawn from NumPy's stream.
 */
#ifndef EXAMPLES_UPDATE_CASE_H
#define EXAMPLES_UPDATE_CASE_H

#include "opt.h"

enum { UPDATE_CASE_PARAMS = 4 };

typedef struct update_arrays {
    double W1[2 * 3], b1[2], W2[3 * 3], b2[3];
} update_arrays;

typedef struct update_case {
    update_arrays value, grad;
    opt_param param[UPDATE_CASE_PARAMS];
} update_case;

/* Draws values and gradients, and returns the list "W1", "b1", "W2", "b2" of views of them. c stays where it
 * is for as long as the list is used. */
opt_params update_case_draw(update_case *c);

/* Print the values, or the slot of every parameter, which the course calls `course_name`["dW1"] and so on,
 * and compare them with what the course prints. Return true when all agree. */
bool update_case_show_params(opt_params params, const update_arrays *expected);
bool update_case_show_slots(opt_params params, opt_optim *optim, const char *slot, const char *course_name,
                            const update_arrays *expected);

#endif

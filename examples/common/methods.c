/* SPDX-License-Identifier: MIT */
#include "methods.h"

#include <stdio.h>
#include <string.h>

/* New ones go to the end: results files of the example search know a method by its number. */
static const opt_method *const methods[] = {
    &opt_gd,      &opt_momentum,      &opt_adam,      &opt_heavy_ball, &opt_nesterov, &opt_adagrad,
    &opt_rmsprop, &opt_adamw,         &opt_amsgrad,   &opt_nadam,      &opt_radam,    &opt_lion,
    &opt_rprop,   &opt_schedule_free, &opt_adam_bf16, &opt_muon,       &opt_lbfgs};
enum { METHODS = sizeof methods / sizeof(const opt_method *) };

int methods_find(const char *name)
{
    for (int i = 0; i < METHODS; i++)
        if (strcmp(methods[i]->name, name) == 0)
            return i;
    return -1;
}

const opt_method *methods_at(int number)
{
    return methods[number];
}

void methods_list(char *text, size_t size)
{
    text[0] = '\0';
    for (int i = 0; i < METHODS; i++) {
        const size_t used = strlen(text);
        snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", methods[i]->name);
    }
}

bool methods_full_batch(const opt_method *m)
{
    return m == &opt_rprop || m == &opt_lbfgs;
}

/* SPDX-License-Identifier: MIT
 *
 * How fast, as ratios taken in one run: what is compared takes turns. Each row is the median of several, with
 * the least and the spread.
 *
 *   moons    the course's job beside plain C
 *   wide     an epoch of 784-128-64-10, beside plain C on OpenBLAS, and two threads beside one
 *   steps    optimizer steps beside the stream of their own shape
 *   methods  the same for each method, over 50 million parameters; Muon beside its products
 *   matmul   products, beside OpenBLAS's
 *   shape    a step's cost against parameters, batch, width and depth
 *   memory   heap and resident memory
 *
 * usage: bench [SECTION ...] [--threads N] [--json FILE] [--svg FILE] [--quick]
 * No section: all. --quick: once and small, to see that it runs. --json appends an object a row; --svg draws
 * shape.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timing.h"

static const struct {
    const char *name;
    void (*run)(void);
} sections[] = {{"moons", bench_moons},     {"wide", bench_wide},     {"steps", bench_steps},
                {"methods", bench_methods}, {"matmul", bench_matmul}, {"shape", bench_shape},
                {"memory", bench_memory}};
enum { SECTIONS = sizeof sections / sizeof *sections };

static int usage(void)
{
    fprintf(
        stderr,
        "usage: bench [moons] [wide] [steps] [methods] [matmul] [shape] [memory] [--threads N] [--json FILE] "
        "[--svg FILE] [--quick]\n");
    return 2;
}

/* Takes an option, with its value if it has one; returns how many arguments it was, 0 for none. */
static int option(char **arg, int left)
{
    if (strcmp(arg[0], "--quick") == 0) {
        opts.quick = true;
        return 1;
    }
    if (left < 2)
        return 0;
    if (strcmp(arg[0], "--threads") == 0)
        opts.threads = atoi(arg[1]);
    else if (strcmp(arg[0], "--json") == 0)
        opts.json = arg[1];
    else if (strcmp(arg[0], "--svg") == 0)
        opts.svg = arg[1];
    else
        return 0;
    return opts.threads > 0 ? 2 : 0;
}

int main(int argc, char **argv)
{
    bool wanted[SECTIONS] = {false}, any = false;

    for (int i = 1; i < argc;) {
        int taken = option(argv + i, argc - i);

        for (int k = 0; k < SECTIONS; k++)
            if (strcmp(argv[i], sections[k].name) == 0) {
                wanted[k] = any = true;
                taken = 1;
            }
        if (taken == 0)
            return usage();
        i += taken;
    }
    for (int k = 0; k < SECTIONS; k++)
        if (wanted[k] || !any)
            sections[k].run();
    return 0;
}

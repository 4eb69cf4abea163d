/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "ranks.h"

const cli_option ranks_options[] = {{0}};

void ranks_begin(void)
{
}

void ranks_check_options(void)
{
}

opt_comm ranks_comm(void)
{
    return (opt_comm){0};
}

int ranks_number(void)
{
    return 0;
}

int ranks_count(void)
{
    return 1;
}

bool ranks_sharded(void)
{
    return false;
}

void ranks_exit(int status)
{
    exit(status);
}

/* SPDX-License-Identifier: MIT
 *
 * The ranks of a program: itself alone, or, where it is linked with ranks_mpi.c in place of ranks_alone.c, as
 * many as mpirun starts. Of several only the first prints to standard output.
 */
#ifndef EXAMPLES_RANKS_H
#define EXAMPLES_RANKS_H

#include "cli.h"

/* What ranks add to every example's options; ends with a name of NULL. */
extern const cli_option ranks_options[];

/* Before options are read, and after. The program's end is prepared for, too. */
void ranks_begin(void);
void ranks_check_options(void);

/* For contexts; after cli_parse. */
opt_comm ranks_comm(void);
int ranks_number(void); /* 0 for the first */
int ranks_count(void);
bool ranks_sharded(void); /* for opt_optim_opts */

/* exit, of all ranks. */
_Noreturn void ranks_exit(int status);

#endif

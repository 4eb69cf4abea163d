/* SPDX-License-Identifier: MIT
 *
 * The same for two ranks of MPI: they add up their numbers, from 1, and see that package and library agree.
 */
#include <stdio.h>
#include <string.h>

#include <opt.h>
#include <opt/mpi.h>

int main(int argc, char **argv)
{
    opt_mpi *ranks = NULL;
    opt_comm comm = {0};
    double sum = 0;

    MPI_Init(&argc, &argv);
    opt_status s = opt_mpi_new(MPI_COMM_WORLD, NULL, &ranks);
    if (!s) {
        comm = opt_mpi_comm(ranks);
        sum = comm.rank + 1;
        s = comm.sum(comm.ud, &sum, 1, OPT_F64);
    }
    const int bad = s || comm.size != 2 || sum != 3 || strcmp(opt_version(), VERSION) != 0;
    if (bad)
        fprintf(stderr, "%s: %d ranks, sum %g, library %s\n", opt_strerror(s), comm.size, sum, opt_version());
    opt_mpi_free(ranks);
    MPI_Finalize();
    return bad;
}

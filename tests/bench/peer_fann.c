/* SPDX-License-Identifier: MIT
 *
 * The moons by FANN 2.2 (Debian: libfann-dev), which has no Adam and no mini-batches: a step after each
 * example (incremental), or one an epoch (rprop). 2-5-2-1, 10,000 epochs, float; prints its seconds.
 *
 * usage: peer_fann incremental|rprop CSV      rows x, y, label; made by peers.sh
 */
#include <fann.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;

    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    const unsigned size[] = {2, 5, 2, 1};
    struct fann_train_data *data = fann_create_train(300, 2, 1);
    struct fann *net = fann_create_standard_array(4, size);
    FILE *f = argc == 3 ? fopen(argv[2], "r") : NULL;
    double start;

    if (f == NULL || data == NULL || net == NULL)
        return EXIT_FAILURE;
    for (int i = 0; i < 300; i++)
        if (fscanf(f, "%f,%f,%f", &data->input[i][0], &data->input[i][1], &data->output[i][0]) != 3)
            return EXIT_FAILURE;
    fclose(f);
    fann_set_training_algorithm(net,
                                strcmp(argv[1], "rprop") == 0 ? FANN_TRAIN_RPROP : FANN_TRAIN_INCREMENTAL);
    start = now();
    for (int epoch = 0; epoch < 10000; epoch++) {
        fann_shuffle_train_data(data);
        fann_train_epoch(net, data);
    }
    printf("seconds %.6g\n", now() - start);
    fann_destroy(net);
    fann_destroy_train(data);
    return EXIT_SUCCESS;
}

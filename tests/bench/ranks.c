/* SPDX-License-Identifier: MIT
 *
 * What several ranks cost and gain. Started by mpirun it measures sums and training steps, and how well a
 * model of their time agrees:
 *
 *     mpirun -n 4 build/release/bin/ranks         all of it
 *     mpirun -n 4 build/release/bin/ranks overlap  the last part: sums while gradients are computed
 *
 * With --model LATENCY BANDWIDTH GFLOPS, in microseconds and bytes a second, it carries that model to 1,024
 * hosts: a table, and with --svg FILE a picture. Of a step by R ranks of a network of P f32 parameters on B
 * rows
 *
 *     computing  6 P rows / GFLOPS, by the rank that has most rows
 *     agreeing   log2(R) latencies, twice where R is no power of 2
 *     summing    2 latencies for each MiB, and 2 (R - 1) / R 4 P bytes
 *     stepping   28 P bytes of memory
 *
 * A second row says what there would be to gain if a layer's gradient were summed while those below it are
 * still computed, at no cost: rows go through the network 64 at a time, so that a layer's gradient is only
 * known in the last 64 of a rank's rows.
 */
#include <math.h>
#include <mpi.h>
#include <opt.h>
#include <opt/mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plot.h"

enum { TURNS = 7, BUCKET = 1 << 20 };
#define MEMORY 2e10 /* bytes a second that a step over a large array moves on the machine of RESULTS.md */

static int rank, size;
static double in_sums; /* seconds */
static opt_comm inner;

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median_of(double *t, int n)
{
    qsort(t, (size_t)n, sizeof *t, by_size);
    return t[n / 2];
}

static void check(const opt_ctx *ctx, opt_status s)
{
    if (s == OPT_OK)
        return;
    fprintf(stderr, "ranks: %s\n", opt_errmsg(ctx));
    MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
}

static opt_status timed_sum(void *ud, void *buf, size_t n, opt_dtype t)
{
    const double start = MPI_Wtime();
    const opt_status s = inner.sum(ud, buf, n, t);

    in_sums += MPI_Wtime() - start;
    return s;
}

static opt_status timed_finish(void *ud)
{
    const double start = MPI_Wtime();
    const opt_status s = inner.finish(ud);

    in_sums += MPI_Wtime() - start;
    return s;
}

/* ---- The model ----------------------------------------------------------------------------------------- */

typedef struct network {
    double latency, bandwidth; /* seconds, bytes a second */
} network;

static double small_sum(const network *n, int ranks)
{
    const bool power_of_2 = (ranks & (ranks - 1)) == 0;

    return (power_of_2 ? 1 : 2) * ceil(log2(ranks)) * n->latency;
}

static double large_sum(const network *n, int ranks, double bytes)
{
    return ranks == 1
               ? 0
               : 2 * n->latency * ceil(bytes / BUCKET) + 2.0 * (ranks - 1) / ranks * bytes / n->bandwidth;
}

/* ---- Measuring ----------------------------------------------------------------------------------------- */

/* Seconds that a sum of n floats takes, by the library's tree or by MPI as it likes. */
static double time_sum(const opt_comm *comm, int64_t n, bool ours)
{
    const int repeats = n < 100000 ? 200 : n < 2000000 ? 10 : 2;
    float *x = calloc((size_t)n, sizeof *x);
    double t[TURNS];

    for (int i = 0; x != NULL && i < TURNS; i++) {
        double start;

        MPI_Barrier(MPI_COMM_WORLD);
        start = MPI_Wtime();
        for (int k = 0; k < repeats; k++)
            if (!ours)
                MPI_Allreduce(MPI_IN_PLACE, x, (int)n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
            else if (comm->sum(comm->ud, x, (size_t)n, OPT_F32))
                MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
        t[i] = (MPI_Wtime() - start) / repeats;
    }
    free(x);
    return median_of(t, TURNS);
}

static network measure_sums(const opt_comm *comm)
{
    static const int64_t sizes[] = {2, 1000, 10000, 109386, 1000000, 10000000};
    network fit = {0};

    if (rank == 0)
        printf("sums of f32 over %d ranks\n%12s  %12s  %12s  %s\n", size, "numbers", "tree, us",
               "Allreduce, us", "ratio");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const double tree = time_sum(comm, sizes[i], true), any = time_sum(comm, sizes[i], false);

        if (i == 0)
            fit.latency = tree / small_sum(&(network){.latency = 1}, size);
        if (sizes[i] == 10000000) {
            const double bytes = 4.0 * (double)sizes[i], waits = 2 * fit.latency * ceil(bytes / BUCKET);

            fit.bandwidth = 2.0 * (size - 1) / size * bytes / (tree > waits ? tree - waits : tree);
        }
        if (rank == 0)
            printf("%12lld  %12.1f  %12.1f  %5.2f\n", (long long)sizes[i], 1e6 * tree, 1e6 * any, tree / any);
    }
    if (rank == 0)
        printf("fitted: latency %.1f us, bandwidth %.1f MB/s\n\n", 1e6 * fit.latency, 1e-6 * fit.bandwidth);
    MPI_Bcast(&fit, 2, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    return fit;
}

static const opt_mlp_opts of_mnist = {.size = {784, 128, 64, 10}, .loss = OPT_SOFTMAX_CE, .dtype = OPT_F32};
static const opt_mlp_opts deep = {
    .size = {784, 512, 512, 512, 512, 512, 512, 512, 512, 10}, .loss = OPT_SOFTMAX_CE, .dtype = OPT_F32};

/* Seconds a step on batches of so many rows; *sums: of which in sums. */
static double time_steps(opt_comm comm, const opt_mlp_opts *net_opts, int64_t batch, double *sums)
{
    const int64_t steps = net_opts == &deep ? 4 : batch < 1000 ? 40 : 10, rows = batch * steps;
    opt_ctx *ctx = opt_ctx_new(&(opt_ctx_opts){.comm = comm});
    opt_table table = {0};
    opt_source source;
    opt_model model;
    opt_mlp *net;
    opt_batches *batches;
    opt_optim *adam;
    double t[TURNS], summed[TURNS];

    check(ctx, opt_tensor_new(ctx, OPT_F32, 2, (int64_t[]){rows, 784}, &table.x));
    check(ctx, opt_tensor_new(ctx, OPT_F32, 2, (int64_t[]){rows, 10}, &table.y));
    opt_tensor_fill(&table.x, 0.5);
    for (int64_t i = 0; i < rows; i++)
        opt_set(&table.y, 10 * i + i % 10, 1);
    source = opt_source_table(&table);
    check(ctx, opt_mlp_new(ctx, net_opts, &net));
    check(ctx, opt_batches_new(ctx, &source,
                               &(opt_batches_opts){
                                   .size = batch, .in_order = true, .chunk = batch / 8 < 64 ? batch / 8 : 64},
                               &batches));
    check(ctx,
          opt_optim_new(ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 1e-6}, opt_mlp_params(net), &adam));
    model = opt_mlp_model(net);
    for (int i = 0; i < TURNS; i++) {
        double start = MPI_Wtime();

        in_sums = 0;
        check(ctx, opt_train(ctx, &model, adam, batches, &(opt_train_opts){.epochs = i + 1}));
        t[i] = (MPI_Wtime() - start) / (double)steps;
        summed[i] = in_sums / (double)steps;
    }
    opt_optim_free(adam);
    opt_batches_free(batches);
    opt_mlp_free(net);
    opt_tensor_free(ctx, &table.x);
    opt_tensor_free(ctx, &table.y);
    opt_ctx_free(ctx);
    *sums = median_of(summed, TURNS);
    return median_of(t, TURNS);
}

/* Strong scaling, the same batch by all ranks, or weak, as many rows for each. What one computes alone in its
 * share of the rows, while the others do the same, and what the sums should take, is what the model says. */
static void measure_steps(opt_comm comm, const network *fit, bool weak)
{
    static const int64_t batches[] = {64, 512, 4096};

    inner = comm;
    comm.sum = timed_sum;
    comm.finish = timed_finish;
    if (rank == 0)
        printf("a step of 784-128-64-10 f32, Adam, by %d ranks, %s\n%8s  %10s  %10s  %10s  %10s  %8s  %s\n",
               size, weak ? "as many rows each" : "who share a batch", "batch", "us", "in sums", "model",
               "alone, us", weak ? "of ideal" : "speed-up", "model/measured");
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        const int64_t batch = weak ? batches[i] * size : batches[i];
        const int64_t share = batch / size > 8 ? batch / size : 8;
        double sums, none, alone = 0, own, together;

        MPI_Barrier(MPI_COMM_WORLD);
        own = time_steps((opt_comm){0}, &of_mnist, share,
                         &none); /* all at once, as they are when they share a batch */
        MPI_Barrier(MPI_COMM_WORLD);
        together = time_steps(comm, &of_mnist, batch, &sums);
        MPI_Barrier(MPI_COMM_WORLD);
        if (rank == 0)
            alone = time_steps((opt_comm){0}, &of_mnist, batches[i], &none);
        MPI_Barrier(MPI_COMM_WORLD);
        if (rank == 0) {
            const double model = own + small_sum(fit, size) + large_sum(fit, size, 4 * 109386.0);

            printf("%8lld  %10.1f  %10.1f  %10.1f  %10.1f  %8.2f  %.2f\n", (long long)batch, 1e6 * together,
                   1e6 * sums, 1e6 * model, 1e6 * alone, alone / together, model / together);
        }
    }
}

/* A deep network's gradients, all summed at the end of backpropagation or each layer's when it is known. */
static void measure_overlap(opt_comm comm)
{
    opt_comm at_end = comm;
    double sums;

    at_end.begin = NULL;
    at_end.poll = NULL;
    at_end.finish = NULL;
    if (rank == 0)
        printf("a step of 784-512-...-512-10, 9 layers, by %d ranks, 64 rows each\n%16s  %16s\n", size,
               "sums at the end", "meanwhile");
    for (int i = 0; i < 5; i++) {
        const double before = time_steps(at_end, &deep, 64 * size, &sums);
        const double meanwhile = time_steps(comm, &deep, 64 * size, &sums);

        if (rank == 0)
            printf("%13.1f us  %13.1f us  %.2f\n", 1e6 * before, 1e6 * meanwhile, before / meanwhile);
    }
}

/* ---- 1,024 hosts --------------------------------------------------------------------------------------- */

enum { POINTS = 11, JOBS = 5, LAYERS = 10 };
static const struct {
    double params, batch;
    const char *name;
    double first; /* of the parameters in the first layer; the others have as many each */
    int layers;
} jobs[JOBS] = {{1e5, 64, "0.1 M, 64", 0.92, 3},
                {1e5, 4096, "0.1 M, 4096", 0.92, 3},
                {1e7, 1024, "10 M, 1024", 0.1, LAYERS},
                {1e7, 8192, "10 M, 8192", 0.1, LAYERS},
                {1e7, 65536, "10 M, 65536", 0.1, LAYERS}};

static double rows_of(double batch, int ranks)
{
    const double chunk = batch / 1024 < 1    ? 1
                         : batch / 1024 > 64 ? 64
                                             : batch / 1024; /* that 1,024 may share it */

    return ceil(ceil(batch / chunk) / ranks) * chunk;
}

/* From the end of computing to the end of summing: all of it at the end, or each layer from the last to the
 * first as soon as its gradient is known. */
static double sums_left(const network *n, double flops, int j, int ranks, bool overlap)
{
    const double last = fmin(64, rows_of(jobs[j].batch, ranks)), params = jobs[j].params;
    double computed = 0, summed = 0;

    if (!overlap)
        return large_sum(n, ranks, 4 * params);
    for (int l = jobs[j].layers - 1; l >= 0; l--) {
        const double own = params * (l == 0 ? jobs[j].first : (1 - jobs[j].first) / (jobs[j].layers - 1));

        computed += 4 * own * last / flops;
        summed = fmax(computed, summed) + large_sum(n, ranks, 4 * own);
    }
    return summed - computed;
}

static double step_time(const network *n, double flops, int j, int ranks, bool overlap)
{
    return 6 * jobs[j].params * rows_of(jobs[j].batch, ranks) / flops + small_sum(n, ranks) +
           sums_left(n, flops, j, ranks, overlap) + 28 * jobs[j].params / MEMORY;
}

static void model(const network *n, double flops, const char *svg)
{
    plot p = {.title = "Speed-up by data parallelism, modelled: parameters, rows a batch",
              .x = {"hosts", 1, 1024},
              .y = {"times as fast as one", 0.5, 1024},
              .log_x = true,
              .log_y = true,
              .width = 640,
              .height = 420,
              .labels_at_ends = true};
    double x[POINTS], y[JOBS][POINTS];

    printf("modelled speed-up: latency %.1f us, bandwidth %.0f MB/s, %.0f GFLOP/s a host\n%-20s",
           1e6 * n->latency, 1e-6 * n->bandwidth, 1e-9 * flops, "parameters, batch");
    for (int k = 0; k < POINTS; k++)
        printf("  %6d", 1 << k);
    printf("  half of ideal up to\n");
    for (int row = 0; row < 2 * JOBS; row++) {
        const int j = row / 2;
        const bool overlap = row % 2;
        int pays = 1;

        printf("%-20s", overlap ? "    sums overlapped" : jobs[j].name);
        for (int k = 0; k < POINTS; k++) {
            const double gain = step_time(n, flops, j, 1, false) / step_time(n, flops, j, 1 << k, overlap);

            x[k] = 1 << k;
            if (!overlap)
                y[j][k] = gain;
            if (gain >= x[k] / 2)
                pays = 1 << k;
            printf("  %6.1f", gain);
        }
        printf("  %d hosts\n", pays);
    }
    if (svg == NULL)
        return;
    plot_open(&p, svg);
    plot_line(&p, "ideal", plot_nth(JOBS), POINTS, x, x);
    for (int j = 0; j < JOBS; j++)
        plot_line(&p, jobs[j].name, plot_nth(j), POINTS, x, y[j]);
    plot_close(&p);
}

int main(int argc, char **argv)
{
    opt_mpi *ranks = NULL;
    network fit;

    if (argc >= 5 && strcmp(argv[1], "--model") == 0) {
        const network n = {1e-6 * atof(argv[2]), atof(argv[3])};

        model(&n, 1e9 * atof(argv[4]), argc == 7 && strcmp(argv[5], "--svg") == 0 ? argv[6] : NULL);
        return EXIT_SUCCESS;
    }
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (size < 2 || opt_mpi_new(MPI_COMM_WORLD, NULL, &ranks) != OPT_OK) {
        fprintf(stderr, "usage: mpirun -n RANKS ranks (2 or more), or ranks --model LATENCY BANDWIDTH GFLOPS "
                        "[--svg FILE]\n");
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    const opt_comm comm = opt_mpi_comm(ranks);

    if (argc == 1) {
        fit = measure_sums(&comm);
        measure_steps(comm, &fit, false);
        measure_steps(comm, &fit, true);
    }
    measure_overlap(comm);
    opt_mpi_free(ranks);
    MPI_Finalize();
    return EXIT_SUCCESS;
}

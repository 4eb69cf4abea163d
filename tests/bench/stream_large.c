/* SPDX-License-Identifier: MIT
 *
 * One epoch over files of 4 GiB, streamed: see tests/stream_large.sh.
 *
 * usage: stream_large make KIND FOLDER
 *        stream_large read|train KIND FOLDER BATCH shuffled|ordered
 *
 * KIND is u1, images of 28 x 28 bytes in an IDX file, or f4, as many floats in an .npy file.
 */
#define _POSIX_C_SOURCE 200809L /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <opt.h>

enum { COLS = 28 * 28, CLASSES = 10 };

typedef struct files {
    bool bytes;   /* u1 */
    int64_t rows; /* of 4 GiB */
    char x[1000], y[1000];
} files;

static files files_of(const char *kind, const char *folder)
{
    files f = {.bytes = strcmp(kind, "u1") == 0};

    f.rows = ((int64_t)1 << 32) / (COLS * (f.bytes ? 1 : 4)) + 1;
    snprintf(f.x, sizeof f.x, "%s/x-%s.tmp", folder, kind);
    snprintf(f.y, sizeof f.y, "%s/y-%s.tmp", folder, kind);
    return f;
}

/* ---- Making them --------------------------------------------------------------------------------------- */

static void put_idx_header(FILE *f, int ndim, const int64_t *dim)
{
    const unsigned char start[] = {0, 0, 8, (unsigned char)ndim};

    fwrite(start, 1, sizeof start, f);
    for (int i = 0; i < 4 * ndim; i++)
        fputc((int)(dim[i / 4] >> (24 - 8 * (i % 4)) & 255), f);
}

static void put_npy_header(FILE *f, int64_t rows)
{
    char dict[118];
    const int used =
        snprintf(dict, sizeof dict, "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %d), }",
                 (long long)rows, COLS);

    memset(dict + used, ' ', sizeof dict - (size_t)used);
    dict[117] = '\n';
    fwrite("\x93NUMPY\x01\x00\x76", 1, 9, f);
    fputc(0, f);
    fwrite(dict, 1, sizeof dict, f);
}

static int make(const files *f)
{
    FILE *x = fopen(f->x, "wb"), *y = fopen(f->y, "wb");
    uint64_t random = 1;
    bool written;

    if (x == NULL || y == NULL)
        return 1;
    if (f->bytes)
        put_idx_header(x, 3, (int64_t[]){f->rows, 28, 28});
    else
        put_npy_header(x, f->rows);
    put_idx_header(y, 1, &f->rows);
    for (int64_t r = 0; r < f->rows; r++) {
        unsigned char row[4 * COLS];

        for (int i = 0; i < COLS; i++) {
            random = random * 6364136223846793005U + 1442695040888963407U;
            if (f->bytes)
                row[i] = (unsigned char)(random >> 56);
            else /* a float near 0.75, the lowest byte first */
                memcpy(row + 4 * i, (unsigned char[]){0, (unsigned char)(random >> 56), 0x40, 0x3f}, 4);
        }
        fputc((int)(r * 7 % CLASSES), y);
        fwrite(row, 1, f->bytes ? COLS : sizeof row, x);
    }
    written = !ferror(x) && !ferror(y);
    written = fclose(x) == 0 && written;
    written = fclose(y) == 0 && written;
    return !written;
}

/* ---- Streaming them ------------------------------------------------------------------------------------ */

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static opt_status read_epoch(opt_batches *batches)
{
    opt_batch batch;
    opt_status s = opt_batches_begin(batches, 1);

    while (!s)
        s = opt_batches_next(batches, &batch);
    return s == OPT_END ? OPT_OK : s;
}

static opt_status train_epoch(opt_ctx *ctx, opt_batches *batches)
{
    const opt_mlp_opts shape = {
        .size = {COLS, 32, CLASSES}, .loss = OPT_SOFTMAX_CE, .dtype = OPT_F32, .seed = 3};
    opt_optim *adam = NULL;
    opt_mlp *net = NULL;
    opt_model model;
    opt_status s = opt_mlp_new(ctx, &shape, &net);

    if (!s)
        s = opt_optim_new(ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 0.001}, opt_mlp_params(net), &adam);
    if (!s) {
        model = opt_mlp_model(net);
        s = opt_train(ctx, &model, adam, batches, &(opt_train_opts){.epochs = 1});
    }
    opt_optim_free(adam);
    opt_mlp_free(net);
    return s;
}

static int stream_epoch(const files *f, bool training, int64_t batch, bool in_order)
{
    const opt_stream_opts opts = {.dtype = OPT_F32, .x_scale = f->bytes ? 1.0 / 255 : 1, .classes = CLASSES};
    const double gigabytes = (double)f->rows * COLS * (f->bytes ? 1 : 4) / 1e9;
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_batches *batches = NULL;
    opt_stream *stream = NULL;
    struct rusage used;
    double processor;
    opt_source source;
    double begun;
    opt_status s = opt_stream_open(ctx, f->x, f->y, &opts, &stream);

    source = opt_source_stream(stream);
    if (!s)
        s = opt_batches_new(ctx, &source, &(opt_batches_opts){.size = batch, .in_order = in_order}, &batches);
    begun = now();
    if (!s)
        s = training ? train_epoch(ctx, batches) : read_epoch(batches);
    begun = now() - begun;
    getrusage(RUSAGE_SELF, &used);
    processor = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    if (s)
        fprintf(stderr, "%s\n", opt_errmsg(ctx));
    else
        printf("%s %s %s, batches of %lld: %lld rows in %.1f s (%.1f s of processor time), %.0f MB/s, peak "
               "resident %.0f MiB\n",
               training ? "trained on" : "read", f->bytes ? "u1" : "f4", in_order ? "in order" : "shuffled",
               (long long)batch, (long long)f->rows, begun, processor, 1e3 * gigabytes / begun,
               (double)used.ru_maxrss / 1024);
    opt_batches_free(batches);
    opt_stream_close(stream);
    opt_ctx_free(ctx);
    return s != OPT_OK || used.ru_maxrss >= 256 * 1024;
}

int main(int argc, char **argv)
{
    files f;

    if (argc != 4 && argc != 6) {
        fprintf(stderr, "usage: see tests/stream_large.sh\n");
        return 2;
    }
    f = files_of(argv[2], argv[3]);
    if (argc == 4)
        return make(&f);
    return stream_epoch(&f, strcmp(argv[1], "train") == 0, strtoll(argv[4], NULL, 10),
                        strcmp(argv[5], "ordered") == 0);
}

/* SPDX-License-Identifier: MIT */
#include "images_data.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"

enum { BAD_USAGE = 2 };

/* ---- One file ------------------------------------------------------------------------------------------ */

int64_t images_outputs(const opt_mlp_opts *net)
{
    int n = 0;
    while (n < OPT_MLP_MAX_SIZES && net->size[n] != 0)
        n++;
    return net->size[n - 1];
}

opt_tensor images_read(opt_ctx *ctx, const char *path, const opt_mlp_opts *net, int64_t *height,
                       int64_t *width)
{
    const double scale = 1.0 / 255; /* as opt_stream_opts.x_scale would have it */
    opt_tensor x;
    cli_check(ctx, opt_read_idx(ctx, path, net->dtype, &x));
    if (x.ndim != 3)
        cli_fail(EXIT_FAILURE, "%s: not images: %d dimensions, not 3", path, x.ndim);
    *height = x.dim[1];
    *width = x.dim[2];
    if (*height * *width != net->size[0])
        cli_fail(BAD_USAGE,
                 "--layers: begins with %" PRId64 ", but images of %" PRId64 "x%" PRId64 " have %" PRId64
                 " pixels (%s)",
                 net->size[0], *height, *width, *height * *width, path);
    for (int64_t i = 0, n = opt_tensor_len(&x); i < n; i++)
        opt_set(&x, i, opt_get(&x, i) * scale);
    x.ndim = 2; /* an image a row */
    x.dim[1] = net->size[0];
    return x;
}

opt_tensor images_read_labels(opt_ctx *ctx, const char *path, const opt_mlp_opts *net, int64_t n)
{
    opt_tensor labels, y;
    cli_check(ctx, opt_read_idx(ctx, path, net->dtype, &labels));
    if (labels.ndim != 1 || labels.dim[0] != n)
        cli_fail(EXIT_FAILURE, "%s: not a label for each of %" PRId64 " images", path, n);
    if (opt_one_hot(ctx, &labels, images_outputs(net), &y))
        cli_fail(EXIT_FAILURE, "%s: %s", path, opt_errmsg(ctx));
    opt_tensor_free(ctx, &labels);
    return y;
}

/* ---- Names --------------------------------------------------------------------------------------------- */

/* Zalando's, from Fashion-MNIST's README. The files do not hold them, so the data set is told by its first
 * labels; MNIST itself begins with 5, 0, 4. */
static const char *const fashion[] = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                      "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
static const int fashion_begins[] = {9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 0, 9, 5, 5, 7, 9};

static const char *const *names_of(const opt_tensor *y)
{
    const int64_t n = sizeof fashion_begins / sizeof *fashion_begins;
    if (y->dim[0] < n || y->dim[1] != 10)
        return NULL;
    for (int64_t i = 0; i < n; i++)
        if (opt_get(y, 10 * i + fashion_begins[i]) != 1)
            return NULL;
    return fashion;
}

const char *images_class(const char *const *names, int64_t number, char room[static 24])
{
    if (names)
        return names[number];
    snprintf(room, 24, "%" PRId64, number);
    return room;
}

/* ---- A folder ------------------------------------------------------------------------------------------ */

/* *path <- FOLDER/NAME or, where there is only that, FOLDER/NAME.gz. */
static void find(const char *folder, const char *name, char path[static FILENAME_MAX])
{
    static const char *const ends[] = {"", ".gz"};
    for (int i = 0; i < 2; i++) {
        int length = snprintf(path, FILENAME_MAX, "%s/%s%s", folder, name, ends[i]);
        if (length < 0 || length >= FILENAME_MAX)
            cli_fail(BAD_USAGE, "--data: the path is too long");
        FILE *file = fopen(path, "rb");
        if (file) {
            fclose(file);
            return;
        }
    }
    cli_fail(BAD_USAGE, "--data: '%s' has no %s that can be read, nor one that ends in .gz", folder, name);
}

/* Of "train" or "t10k". */
static opt_table load_part(opt_ctx *ctx, const char *folder, const char *part, const opt_mlp_opts *net,
                           images *all)
{
    char name[64], path[FILENAME_MAX];
    int64_t height, width;
    opt_table t;
    snprintf(name, sizeof name, "%s-images-idx3-ubyte", part);
    find(folder, name, path);
    t.x = images_read(ctx, path, net, &height, &width);
    if (all->height != 0 && (height != all->height || width != all->width))
        cli_fail(EXIT_FAILURE,
                 "%s: images of %" PRId64 "x%" PRId64 ", the training ones are %" PRId64 "x%" PRId64, path,
                 height, width, all->height, all->width);
    all->height = height;
    all->width = width;
    snprintf(name, sizeof name, "%s-labels-idx1-ubyte", part);
    find(folder, name, path);
    t.y = images_read_labels(ctx, path, net, t.x.dim[0]);
    return t;
}

images images_load(opt_ctx *ctx, const char *folder, const opt_mlp_opts *net, double validation,
                   uint32_t seed)
{
    images all = {0};
    opt_table given = load_part(ctx, folder, "train", net, &all);
    all.names = names_of(&given.y);
    if (validation > 0) {
        cli_check(ctx, opt_split(ctx, &given, validation, seed, &all.train, &all.validation));
        opt_tensor_free(ctx, &given.y);
        opt_tensor_free(ctx, &given.x);
    } else {
        all.train = given;
    }
    all.test = load_part(ctx, folder, "t10k", net, &all);
    return all;
}

void images_free(opt_ctx *ctx, images *all)
{
    opt_table *const part[] = {&all->train, &all->validation, &all->test};
    for (int i = 0; i < 3; i++) {
        opt_tensor_free(ctx, &part[i]->y);
        opt_tensor_free(ctx, &part[i]->x);
    }
}

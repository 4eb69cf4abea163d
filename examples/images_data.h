/* SPDX-License-Identifier: MIT
 *
 * Labelled images in the files of MNIST, whose names and format many data sets have taken over.
 */
#ifndef EXAMPLES_IMAGES_DATA_H
#define EXAMPLES_IMAGES_DATA_H

#include "opt.h"

typedef struct images {
    int64_t height, width;             /* of each, in pixels */
    opt_table train, validation, test; /* x [n, pixels] from 0 to 1, y [n, classes] with a 1 at the class */
    const char *const *names;          /* of the classes; NULL: they have numbers only */
} images;

/* Reads train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte,
 * or these with .gz at the end, from the folder. `validation` is the share of the training examples, drawn by
 * the seed, that is held back; 0: none, and all.validation is zeroed. Images and labels must fit the sizes of
 * net. Whatever is wrong ends the program. */
images images_load(opt_ctx *ctx, const char *folder, const opt_mlp_opts *net, double validation,
                   uint32_t seed);
void images_free(opt_ctx *ctx, images *all);

/* One file: images as [n, pixels] from 0 to 1, labels as [n, classes]. */
opt_tensor images_read(opt_ctx *ctx, const char *path, const opt_mlp_opts *net, int64_t *height,
                       int64_t *width);
opt_tensor images_read_labels(opt_ctx *ctx, const char *path, const opt_mlp_opts *net, int64_t n);

/* The class's name, or its number, for which there is room. */
const char *images_class(const char *const *names, int64_t number, char room[static 24]);

/* The number of classes, or of pixels an image, that a network is for. */
int64_t images_outputs(const opt_mlp_opts *net);

#endif

/* SPDX-License-Identifier: MIT
 *
 * What images draws into its folder.
 */
#ifndef EXAMPLES_IMAGES_FIGURES_H
#define EXAMPLES_IMAGES_FIGURES_H

#include "images_data.h"

/* What each epoch came to, [epochs]; NaN: not known. */
typedef struct images_history {
    int64_t epochs;
    double *loss, *val_loss, *val_accuracy;
} images_history;

/* FOLDER/curves.svg: the losses, the accuracy on the validation data, the epoch whose weights are kept. */
void draw_curves(const char *folder, const images_history *h);

/* FOLDER/confusion.svg: confusion [classes, classes] as opt_evaluate makes it, as a map with a number in each
 * cell. */
void draw_confusion(const char *folder, const opt_tensor *confusion, const char *const *names);

/* FOLDER/weights.svg: each row of w [units, height * width] as a small picture. */
void draw_weights(const char *folder, const opt_tensor *w, int64_t height, int64_t width);

#endif

/* SPDX-License-Identifier: MIT
 *
 * Data to try things on, and arrays in files.
 */
#ifndef OPT_DATA_H
#define OPT_DATA_H

#include "batch.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Two interleaving half circles with normal noise of deviation `noise`: x [n, 2] and y [n, 1] (0 outer, 1
 * inner), f64. Equal, within 1e-14, to scikit-learn's make_moons(n, noise=noise) after
 * np.random.seed(seed). Release both
 * tensors with opt_tensor_free. OPT_EINVAL for n below 1 or a noise that is negative or not finite;
 * OPT_ESHAPE when the size overflows; OPT_ENOMEM. */
opt_status opt_moons(opt_ctx *ctx, int64_t n, double noise, uint32_t seed, opt_table *out);

/* Reads NumPy's .npy format (version 1 to 3, little-endian, C order): <f4 as OPT_F32, <f8 as OPT_F64, and
 * booleans and integers of any width as OPT_F64, provided that
 * no magnitude is above 2^53. OPT_EIO when the
 * file cannot be read, OPT_EFORMAT naming what is wrong with it; it allocates no more than the file's size
 * warrants. Release *out with opt_tensor_free. */
opt_status opt_read_npy(opt_ctx *ctx, const char *path, opt_tensor *out);

/* Writes t as .npy version 1, <f4 or <f8. A file of a new name beside path (path.tmp0 or the like) is written
 * and then renamed, so that on failure (OPT_EIO) whatever stood at path is still there; a link at path is
 * replaced, not followed. */
opt_status opt_write_npy(opt_ctx *ctx, const char *path, const opt_tensor *t);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: MIT
 *
 * opt_stream_open over two files, x and y, of which the first two bytes tell the options and where one ends;
 * an epoch of batches is read. What opt_read_npy or opt_read_idx makes of x is what the stream gives.
 */
#include "fuzz.h"

static void read_all(opt_ctx *ctx, opt_stream *stream, uint8_t how)
{
    const opt_source source = opt_source_stream(stream);
    opt_batches *batches = NULL;
    opt_batch b;

    if (opt_batches_new(ctx, &source, &(opt_batches_opts){.in_order = how & 8}, &batches))
        return;
    if (opt_batches_begin(batches, 1) == OPT_OK)
        while (opt_batches_next(batches, &b) == OPT_OK)
            fuzz_require(b.x.data != NULL && b.x.dim[1] == source.x_cols, "a batch of another shape");
    opt_batches_free(batches);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_stream *stream = NULL;

    if (size > 2) {
        const size_t rest = size - 2, x_size = rest * data[1] / 255;
        const uint8_t how = data[0];
        const opt_stream_opts opts = {.dtype = (opt_dtype)(how % 4 % 3),
                                      .x_scale = how & 16 ? 1.0 / 255 : 0,
                                      .classes = how & 32 ? 1 + (how >> 6) : 0};
        const char *x = fuzz_file(0, data + 2, x_size);
        const char *y = how & 4 ? fuzz_file(1, data + 2 + x_size, rest - x_size) : NULL;

        if (opt_stream_open(ctx, x, y, &opts, &stream) == OPT_OK)
            read_all(ctx, stream, how);
        else
            fuzz_require(stream == NULL, "a failure touched *out");
        opt_stream_close(stream);
    }
    opt_ctx_free(ctx);
    return 0;
}

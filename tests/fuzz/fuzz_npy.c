/* SPDX-License-Identifier: MIT
 *
 * opt_read_npy: whatever a file holds, a tensor that is whole or a message.
 */
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t = {0};
    const opt_status s = opt_read_npy(ctx, fuzz_file(0, data, size), &t);

    if (s) {
        fuzz_require(t.data == NULL && strlen(opt_errmsg(ctx)) > 0, "a failure touched *out or said nothing");
    } else {
        double sum = 0;

        for (int64_t i = 0; i < opt_tensor_len(&t); i++)
            sum += opt_get(&t, i);
        (void)sum;
        fuzz_require((size_t)opt_tensor_len(&t) <= size, "more elements than bytes");
        opt_tensor_free(ctx, &t);
    }
    opt_ctx_free(ctx);
    return 0;
}

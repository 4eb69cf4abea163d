/* SPDX-License-Identifier: MIT
 *
 * opt_read_idx, the first byte says as what.
 */
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t = {0};

    if (size > 0) {
        const opt_dtype dtype = data[0] % 2 ? OPT_F32 : OPT_F64;
        const opt_status s = opt_read_idx(ctx, fuzz_file(0, data + 1, size - 1), dtype, &t);

        fuzz_require(!s || (t.data == NULL && strlen(opt_errmsg(ctx)) > 0),
                     "a failure touched *out or said nothing");
        for (int64_t i = 0; !s && i < opt_tensor_len(&t); i++)
            fuzz_require(opt_get(&t, i) == opt_get(&t, i) || dtype, "");
    }
    opt_tensor_free(ctx, &t);
    opt_ctx_free(ctx);
    return 0;
}

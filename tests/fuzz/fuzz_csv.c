/* SPDX-License-Identifier: MIT
 *
 * opt_read_csv; the first two bytes are options.
 */
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a", "loss"};
    static const int64_t columns[] = {1, 0};
    opt_ctx *ctx = opt_ctx_new(NULL);
    opt_tensor t = {0};

    if (size > 1) {
        const int how = data[0];
        const opt_csv_opts opts = {.names = how & 1 ? names : NULL,
                                   .columns = how & 1 ? NULL : columns,
                                   .ncolumns = how & 2 ? 1 + (how >> 7) : 0,
                                   .missing = -1,
                                   .missing_ok = how & 4,
                                   .header = how & 8,
                                   .delimiter = how & 16 ? (char)data[1] : 0,
                                   .dtype = how & 32 ? OPT_F32 : 0};
        const opt_status s = opt_read_csv(ctx, fuzz_file(0, data + 2, size - 2), how & 64 ? NULL : &opts, &t);

        fuzz_require(!s || (t.data == NULL && strlen(opt_errmsg(ctx)) > 0),
                     "a failure touched *out or said nothing");
        fuzz_require(s || (size_t)opt_tensor_len(&t) <= size, "more numbers than bytes");
    }
    opt_tensor_free(ctx, &t);
    opt_ctx_free(ctx);
    return 0;
}

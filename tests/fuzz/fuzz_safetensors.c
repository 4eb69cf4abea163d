/* SPDX-License-Identifier: MIT
 *
 * Safetensors files: opt_load_named takes what fits of any; opt_load, into a network, its optimizer and its
 * batches, takes checkpoints of just these. A checkpoint's sum is made right first, or no change would get
 * past it. Either all is loaded or nothing has changed.
 */
#include "fuzz.h"

#include <string.h>

enum { VALUES = 3 * 2 + 3 + 3 + 1, DIGITS = 8 };

typedef struct run {
    opt_ctx *ctx;
    opt_mlp *net;
    opt_params params;
    opt_optim *optim;
    opt_batches *batches;
    double x[10];
    opt_table table;
} run;

static void run_new(run *r)
{
    r->ctx = opt_ctx_new(NULL);
    r->table = (opt_table){.x = opt_tensor_view(OPT_F64, r->x, 2, (int64_t[]){5, 2})};
    const opt_source source = opt_source_table(&r->table);
    fuzz_require(!opt_mlp_new(r->ctx, &(opt_mlp_opts){.size = {2, 3, 1}}, &r->net), "net");
    r->params = opt_mlp_params(r->net);
    fuzz_require(!opt_optim_new(r->ctx, &opt_adam, NULL, &(opt_optim_opts){.lr = 0.01}, r->params, &r->optim),
                 "optim");
    fuzz_require(!opt_batches_new(r->ctx, &source, &(opt_batches_opts){.size = 2}, &r->batches), "batches");
}

static void run_free(run *r)
{
    opt_batches_free(r->batches);
    opt_optim_free(r->optim);
    opt_mlp_free(r->net);
    opt_ctx_free(r->ctx);
}

static uint32_t crc32(uint32_t crc, uint8_t byte)
{
    crc ^= byte;
    for (int k = 0; k < 8; k++)
        crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    return crc;
}

/* If the bytes begin as a checkpoint does, its sum is put right. */
static void mend(uint8_t *bytes, size_t size)
{
    static const char start[] = "{\"__metadata__\":{\"format\":\"libopt\",\"crc32\":\"";
    const size_t at = 8 + sizeof start - 1;
    uint32_t crc = 0xffffffffu;

    if (size < at + DIGITS || memcmp(bytes + 8, start, sizeof start - 1) != 0)
        return;
    memset(bytes + at, '0', DIGITS);
    for (size_t i = 0; i < size; i++)
        crc = crc32(crc, bytes[i]);
    crc = ~crc;
    for (int k = 0; k < DIGITS; k++)
        bytes[at + (size_t)k] = (uint8_t) "0123456789abcdef"[crc >> (28 - 4 * k) & 15];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[1 << 16];
    double before[VALUES];
    opt_load_report report;
    const char *path;
    run r;

    if (size > sizeof bytes)
        return 0;
    memcpy(bytes, data, size);
    mend(bytes, size);
    path = fuzz_file(0, bytes, size);
    run_new(&r);
    memcpy(before, r.params.at[0].value.data, sizeof before);
    if (opt_load(r.ctx, path, r.params, r.optim, r.batches)) {
        fuzz_require(memcmp(before, r.params.at[0].value.data, sizeof before) == 0,
                     "a failure changed a weight");
        fuzz_require(opt_optim_steps(r.optim) == 0 && opt_batches_completed(r.batches) == 0, "or a count");
    } else {
        opt_batch b;

        for (int k = 0; k < 3 && opt_batches_next(r.batches, &b) == OPT_OK; k++)
            (void)opt_optim_step(r.optim);
    }
    if (opt_load_named(r.ctx, path, r.params, &report) == OPT_OK)
        fuzz_require(report.loaded + report.missing == 4 && strlen(report.names) < sizeof report.names,
                     "a report");
    run_free(&r);
    return 0;
}

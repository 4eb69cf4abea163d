/* SPDX-License-Identifier: MIT */
#include "hash.h"

#include <string.h>

uint64_t hash_weights(opt_params params)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (int i = 0; i < params.n; i++) {
        const opt_tensor *w = &params.at[i].value;
        for (int64_t j = 0; j < opt_tensor_len(w); j++) {
            uint64_t bits = 0;
            int bytes = w->dtype == OPT_F32 ? 4 : 8;
            if (w->dtype == OPT_F32) {
                uint32_t narrow;
                memcpy(&narrow, (const float *)w->data + j, sizeof narrow);
                bits = narrow;
            } else {
                memcpy(&bits, (const double *)w->data + j, sizeof bits);
            }
            for (int k = 0; k < bytes; k++)
                hash = (hash ^ (bits >> 8 * k & 0xff)) * 0x100000001b3;
        }
    }
    return hash;
}

/* SPDX-License-Identifier: MIT
 *
 * Runs a harness over files, without a fuzzer: replay FILE...
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    static uint8_t bytes[1 << 20];

    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        uint8_t *copy;
        size_t n;

        fuzz_require(f != NULL, argv[i]);
        n = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        copy = malloc(n ? n : 1); /* just as long, for a sanitizer to see what reads beyond */
        fuzz_require(copy != NULL, "out of memory");
        for (size_t k = 0; k < n; k++)
            copy[k] = bytes[k];
        LLVMFuzzerTestOneInput(copy, n);
        free(copy);
    }
    printf("%d files\n", argc - 1);
    return 0;
}

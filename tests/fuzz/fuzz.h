/* SPDX-License-Identifier: MIT
 *
 * What the harnesses share. Each file fuzz_<name>.c has one, as libFuzzer wants it; replay.c runs them over
 * the files of corpus/<name>.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <opt.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The path of a file that holds just these bytes, until the next call for the same `which`, 0 or 1. */
const char *fuzz_file(int which, const uint8_t *data, size_t size);

/* Ends the program, for the fuzzer to see, unless it holds. */
void fuzz_require(bool holds, const char *what);

#endif

/* SPDX-License-Identifier: MIT
 *
 * CRC-32 as in zlib, gzip and PNG (ISO 3309, polynomial 0x04c11db7 reflected), eight bytes at a time.
 */
#ifndef OPT_FILE_CRC32_H
#define OPT_FILE_CRC32_H

#include <stddef.h>
#include <stdint.h>

typedef struct opt__crc32 {
    uint32_t table[8][256]; /* [k][b]: what byte b does to the sum when k more bytes follow it */
    uint32_t state;
} opt__crc32;

void opt__crc32_start(opt__crc32 *c);
void opt__crc32_add(opt__crc32 *c, const void *bytes, size_t n);
uint32_t opt__crc32_value(const opt__crc32 *c);

#endif

/* SPDX-License-Identifier: MIT
 *
 * CRC-32, by eight tables (Kounavis & Berry 2005).
 */
#include "file/crc32.h"

void opt__crc32_start(opt__crc32 *c)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t x = b;

        for (int i = 0; i < 8; i++)
            x = x & 1 ? x >> 1 ^ 0xedb88320 : x >> 1;
        c->table[0][b] = x;
    }
    for (int k = 1; k < 8; k++)
        for (int b = 0; b < 256; b++)
            c->table[k][b] = c->table[k - 1][b] >> 8 ^ c->table[0][c->table[k - 1][b] & 255];
    c->state = UINT32_MAX;
}

void opt__crc32_add(opt__crc32 *c, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint32_t x = c->state;

    for (; n >= 8; n -= 8, p += 8) {
        x ^= p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        x = c->table[7][x & 255] ^ c->table[6][x >> 8 & 255] ^ c->table[5][x >> 16 & 255] ^
            c->table[4][x >> 24] ^ c->table[3][p[4]] ^ c->table[2][p[5]] ^ c->table[1][p[6]] ^
            c->table[0][p[7]];
    }
    for (; n > 0; n--, p++)
        x = x >> 8 ^ c->table[0][(x ^ *p) & 255];
    c->state = x;
}

uint32_t opt__crc32_value(const opt__crc32 *c)
{
    return ~c->state;
}

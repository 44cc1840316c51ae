#include "format/crc32.h"

void qm_crc32_init(qm_crc32 *crc)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t c = b;
        for (int bit = 0; bit < 8; bit++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
        crc->table[0][b] = c;
    }
    for (uint32_t b = 0; b < 256; b++)
        for (int k = 1; k < 16; k++) {
            uint32_t c = crc->table[k - 1][b];
            crc->table[k][b] = c >> 8 ^ crc->table[0][c & 255];
        }
}

uint32_t qm_crc32_update(const qm_crc32 *crc, uint32_t previous, const void *data, size_t size)
{
    const uint8_t *in = data;
    uint32_t c = ~previous;
    for (; size >= 16; size -= 16, in += 16) {
        const uint32_t(*t)[256] = crc->table;
        c ^= (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
        c = t[15][c & 255] ^ t[14][c >> 8 & 255] ^ t[13][c >> 16 & 255] ^ t[12][c >> 24] ^
            t[11][in[4]] ^ t[10][in[5]] ^ t[9][in[6]] ^ t[8][in[7]] ^ t[7][in[8]] ^ t[6][in[9]] ^
            t[5][in[10]] ^ t[4][in[11]] ^ t[3][in[12]] ^ t[2][in[13]] ^ t[1][in[14]] ^ t[0][in[15]];
    }
    for (; size > 0; size--, in++)
        c = c >> 8 ^ crc->table[0][(c ^ *in) & 255];
    return ~c;
}

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
        for (int k = 1; k < 8; k++) {
            uint32_t c = crc->table[k - 1][b];
            crc->table[k][b] = c >> 8 ^ crc->table[0][c & 255];
        }
}

uint32_t qm_crc32_update(const qm_crc32 *crc, uint32_t previous, const void *data, size_t size)
{
    const uint8_t *in = data;
    uint32_t c = ~previous;
    for (; size >= 8; size -= 8, in += 8) {
        c ^= (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
        c = crc->table[7][c & 255] ^ crc->table[6][c >> 8 & 255] ^ crc->table[5][c >> 16 & 255] ^
            crc->table[4][c >> 24] ^ crc->table[3][in[4]] ^ crc->table[2][in[5]] ^
            crc->table[1][in[6]] ^ crc->table[0][in[7]];
    }
    for (; size > 0; size--, in++)
        c = c >> 8 ^ crc->table[0][(c ^ *in) & 255];
    return ~c;
}

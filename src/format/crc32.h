/* CRC-32 of zip archives (polynomial 0xedb88320, reflected), sixteen bytes at a time. */
#ifndef QM_FORMAT_CRC32_H
#define QM_FORMAT_CRC32_H

#include <stddef.h>
#include <stdint.h>

typedef struct qm_crc32 {
    uint32_t table[16][256]; /* [k][b]: byte b followed by k zero bytes */
} qm_crc32;

void qm_crc32_init(qm_crc32 *crc);
/* The checksum of what previous stands for (0: nothing) followed by data. */
uint32_t qm_crc32_update(const qm_crc32 *crc, uint32_t previous, const void *data, size_t size);

#endif

/* Packed codes: how a matrix of codes, [n] outputs of [k] terms, lies for the INT8 products of
 * every instruction set.  Sixteen outputs are a panel, panels follow each other; a panel is groups
 * of four terms, and a group, 64 bytes, holds the four terms of its first output, of its second,
 * and so on:
 *
 *     byte ((j / 16 * G + i / 4) * 16 + j % 16) * 4 + i % 4  is  w[j][i],   G = ceil(k / 4)
 *
 * A group is a register of AVX-512 or a row of an AMX tile.  What lies in the places of outputs
 * and terms that are not there may be anything. */
#ifndef QM_BASE_PACKED_H
#define QM_BASE_PACKED_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    QM_PACK_OUTPUTS = 16,
    QM_PACK_TERMS = 4,
    QM_PACK_GROUP = QM_PACK_OUTPUTS * QM_PACK_TERMS /* bytes */
};

/* Panels of n outputs, bytes of a panel of k terms, and of it all. */
static inline size_t qm_packed_panels(size_t n)
{
    return (n + QM_PACK_OUTPUTS - 1) / QM_PACK_OUTPUTS;
}

static inline size_t qm_panel_bytes(size_t k)
{
    return (k + QM_PACK_TERMS - 1) / QM_PACK_TERMS * QM_PACK_GROUP;
}

static inline size_t qm_packed_bytes(size_t n, size_t k)
{
    return qm_packed_panels(n) * qm_panel_bytes(k);
}

/* Where w[j][i] lies. */
static inline size_t qm_packed_at(size_t j, size_t i, size_t k)
{
    return j / QM_PACK_OUTPUTS * qm_panel_bytes(k) + i / QM_PACK_TERMS * QM_PACK_GROUP +
           j % QM_PACK_OUTPUTS * QM_PACK_TERMS + i % QM_PACK_TERMS;
}

/* row[i] = w[j][i] */
static inline void qm_unpack_row_i8(int8_t *restrict row, const int8_t *restrict packed, size_t j,
                                    size_t k)
{
    packed += qm_packed_at(j, 0, k);
    for (size_t i = 0; i < k; i += QM_PACK_TERMS, packed += QM_PACK_GROUP)
        memcpy(row + i, packed, k - i < QM_PACK_TERMS ? k - i : QM_PACK_TERMS);
}

#endif

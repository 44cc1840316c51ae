/* How INT8 products walk through packed weights, given a register tile of an instruction set. */
#ifndef QM_KERNELS_PANELS_H
#define QM_KERNELS_PANELS_H

#include "kernels/kernels.h"
#include "kernels/tile.h"

/* Some rows of x times some panels of w, the panels w_apart bytes from each other and their sums
 * acc_apart; n: outputs of the last panel that are wanted. */
typedef struct qm_panels {
    int32_t *acc;
    const int32_t *start; /* what the sums of each row begin with */
    const int8_t *w, *x;
    size_t ldacc, acc_apart, w_apart, ldx, n, k;
} qm_panels;

static inline size_t qm_outputs_at_most(size_t n)
{
    return n < QM_PACK_OUTPUTS ? n : QM_PACK_OUTPUTS;
}

/* Where the sums of a row begin unless something is to be taken off them. */
static inline int32_t qm_start_at_zero(const int8_t *x, size_t k)
{
    (void)x, (void)k;
    return 0;
}

/* Defines a matvec_i8 over tile(panels, number of panels, rows of x), inlined with constant bounds,
 * and start(x, k).  It takes n_streams panels as far apart as they can be: long streams are what a
 * processor's prefetcher follows best. */
#define QM_MATVEC_I8(name, tile, start_of, n_streams)                                              \
    void name(int32_t *restrict acc, const int8_t *restrict w, const int8_t *restrict x, size_t n, \
              size_t k)                                                                            \
    {                                                                                              \
        const size_t panel = qm_panel_bytes(k), stream = n / QM_PACK_OUTPUTS / (n_streams);        \
        const int32_t start = start_of(x, k);                                                      \
        qm_panels p = {.start = &start,                                                            \
                       .x = x,                                                                     \
                       .acc_apart = stream * QM_PACK_OUTPUTS,                                      \
                       .w_apart = stream * panel,                                                  \
                       .n = QM_PACK_OUTPUTS,                                                       \
                       .k = k};                                                                    \
        for (size_t j = 0; j < stream; j++) {                                                      \
            p.acc = acc + j * QM_PACK_OUTPUTS;                                                     \
            p.w = w + j * panel;                                                                   \
            tile(&p, n_streams, 1);                                                                \
        }                                                                                          \
        for (size_t j = stream * (n_streams)*QM_PACK_OUTPUTS; j < n; j += QM_PACK_OUTPUTS) {       \
            p.acc = acc + j;                                                                       \
            p.w = w + qm_packed_at(j, 0, k);                                                       \
            p.n = qm_outputs_at_most(n - j);                                                       \
            tile(&p, 1, 1);                                                                        \
        }                                                                                          \
    }

enum { QM_MATMUL_I8_BLOCK = QM_I8_SCRATCH / sizeof(int32_t) }; /* rows whose starts are kept */

/* Defines a matmul_i8 over tiles of one panel and many rows of x, a few, or one. */
#define QM_MATMUL_I8(name, tile, start_of, many, few)                                              \
    static void name##_block(qm_panels p, size_t m)                                                \
    {                                                                                              \
        for (size_t i = 0, rows; i < m; i += rows) {                                               \
            rows = m - i >= (many) ? (many) : m - i >= (few) ? (few) : 1;                          \
            if (rows == (many))                                                                    \
                tile(&p, 1, many);                                                                 \
            else if (rows == (few))                                                                \
                tile(&p, 1, few);                                                                  \
            else                                                                                   \
                tile(&p, 1, 1);                                                                    \
            p.acc += rows * p.ldacc;                                                               \
            p.x += rows * p.ldx;                                                                   \
            p.start += rows;                                                                       \
        }                                                                                          \
    }                                                                                              \
    void name(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,                       \
              const int8_t *restrict x, size_t ldx, size_t m, size_t n, size_t k, void *scratch)   \
    {                                                                                              \
        int32_t *start = scratch;                                                                  \
        for (size_t i = 0, rows; i < m; i += rows) {                                               \
            rows = m - i < QM_MATMUL_I8_BLOCK ? m - i : QM_MATMUL_I8_BLOCK;                        \
            for (size_t r = 0; r < rows; r++)                                                      \
                start[r] = start_of(x + (i + r) * ldx, k);                                         \
            for (size_t j = 0; j < n; j += QM_PACK_OUTPUTS)                                        \
                name##_block((qm_panels){.acc = acc + i * ldacc + j,                               \
                                         .start = start,                                           \
                                         .w = w + qm_packed_at(j, 0, k),                           \
                                         .x = x + i * ldx,                                         \
                                         .ldacc = ldacc,                                           \
                                         .ldx = ldx,                                               \
                                         .n = qm_outputs_at_most(n - j),                           \
                                         .k = k},                                                  \
                             rows);                                                                \
        }                                                                                          \
    }

#endif

#include "op/rescale.h"
#include "runtime/pass.h"

#include <string.h>

static void matvec(const qm_thread *t, const qm_linear *w, int32_t first, int32_t n, float *y,
                   const float *x)
{
    size_t k = (size_t)w->n_in, skip = (size_t)first * k;
    const qm_kernels *kernels = &t->s->kernels;
    if (w->dtype == QM_F32)
        kernels->matvec_f32(y, (const float *)w->weight + skip, x, (size_t)n, k);
    else if (w->dtype == QM_F16)
        kernels->matvec_f16(y, (const uint16_t *)w->weight + skip, x, (size_t)n, k);
    else
        kernels->matvec_bf16(y, (const uint16_t *)w->weight + skip, x, (size_t)n, k);
}

/* A decode step waits for memory, and what arrives while threads wait for each other is time won.
 * A matvec reads four streams, a quarter of the rows or panels apart. */
void qm_foresee(const qm_thread *t, const qm_linear *w, int32_t first, int32_t n)
{
    enum { LINE = 64, AHEAD = 8192 };
    if (t->pass->n_rows > 1) return;
    const bool packed = w->dtype == QM_I8;
    const size_t k = (size_t)w->n_in, row = k * qm_dtype_size(w->dtype);
    const char *at = packed ? (const char *)qm_linear_panel(w, first)
                            : (const char *)w->weight + (size_t)first * row;
    const size_t quarter =
        packed ? (size_t)n / (4 * QM_PACK_OUTPUTS) * qm_panel_bytes(k) : (size_t)n / 4 * row;
    const size_t size = quarter < AHEAD ? quarter : AHEAD;
    for (size_t stream = 0; stream < 4; stream++)
        for (size_t i = 0; i < size; i += LINE)
            __builtin_prefetch(at + stream * quarter + i, 0, 2);
}

/* Rows first .. first+n of w as FP32: in place, or widened into this thread's panel. */
static const float *widen(const qm_thread *t, const qm_linear *w, int32_t first, int32_t n)
{
    size_t skip = (size_t)first * (size_t)w->n_in, count = (size_t)n * (size_t)w->n_in;
    if (w->dtype == QM_F32) return (const float *)w->weight + skip;
    const uint16_t *half = (const uint16_t *)w->weight + skip;
    if (w->dtype == QM_F16)
        t->s->kernels.widen_f16(t->panel, half, count);
    else
        t->s->kernels.widen_bf16(t->panel, half, count);
    return t->panel;
}

void qm_linear_float(const qm_thread *t, const qm_linear *w, int32_t first, int32_t n, float *y,
                     size_t ldy, const float *x, size_t ldx, int32_t n_rows)
{
    if (n_rows == 1) {
        matvec(t, w, first, n, y, x);
    } else {
        for (int32_t j = 0; j < n; j += QM_PANEL_ROWS) {
            int32_t width = n - j < QM_PANEL_ROWS ? n - j : QM_PANEL_ROWS;
            const float *panel = widen(t, w, first + j, width);
            t->s->kernels.matmul_f32(y + j, ldy, panel, x, ldx, (size_t)n_rows, (size_t)width,
                                     (size_t)w->n_in);
        }
    }
    qm_round_rows(t, y, ldy, n_rows, n);
}

/* Products of n_rows > 1 rows of x, without what becomes of them. */
static qm_linear_i8_args products(const qm_thread *t, const qm_linear *w, float first, float second,
                                  int32_t from, int32_t n, size_t ldy, const int8_t *x, size_t ldx,
                                  int32_t n_rows)
{
    return (qm_linear_i8_args){.w = qm_linear_panel(w, from),
                               .x = x,
                               .ldx = ldx,
                               .ldy = ldy,
                               .m = (size_t)n_rows,
                               .n = (size_t)n,
                               .k = (size_t)w->n_in,
                               .first = first,
                               .second = second,
                               .acc = t->acc,
                               .scratch = t->panel};
}

/* The sums of one row, in acc. */
static void multiply(const qm_thread *t, const qm_linear *w, int32_t first, int32_t n,
                     const int8_t *x)
{
    t->s->kernels.matvec_i8(t->acc, qm_linear_panel(w, first), x, (size_t)n, (size_t)w->n_in);
}

void qm_linear_codes(const qm_thread *t, const qm_linear *w, qm_order order, qm_edge edge,
                     int32_t layer, int32_t first, int32_t n, int8_t *y, size_t ldy,
                     const int8_t *x, size_t ldx, int32_t row, int32_t n_rows)
{
    const float inner = order == QM_FIRST_A ? w->a : w->b;
    const float outer = order == QM_FIRST_A ? w->b : w->a;
    if (n_rows == 1) {
        multiply(t, w, first, n, x);
        qm_count_lost(t, row, edge, layer,
                      t->s->kernels.requantize_i8(y, t->acc, inner, outer, (size_t)n));
        return;
    }
    const qm_linear_i8_args args = products(t, w, inner, outer, first, n, ldy, x, ldx, n_rows);
    memset(t->lost, 0, (size_t)n_rows * sizeof *t->lost);
    t->s->kernels.linear_i8_codes(y, t->lost, &args);
    for (int32_t i = 0; i < n_rows; i++)
        qm_count_lost(t, row + i, edge, layer, t->lost[i]);
}

void qm_linear_numbers(const qm_thread *t, const qm_linear *w, float outer, bool half,
                       int32_t first, int32_t n, float *y, size_t ldy, const int8_t *x, size_t ldx,
                       int32_t n_rows)
{
    if (n_rows > 1) {
        const qm_linear_i8_args args = products(t, w, w->b, outer, first, n, ldy, x, ldx, n_rows);
        if (half)
            t->s->kernels.linear_i8_f16(y, &args);
        else
            t->s->kernels.linear_i8_f32(y, &args);
        return;
    }
    multiply(t, w, first, n, x);
    if (half)
        t->s->kernels.rescale_f16(y, t->acc, w->b, outer, (size_t)n);
    else
        for (int32_t j = 0; j < n; j++)
            y[j] = qm_op_rescale(t->acc[j], w->b, outer);
}

void qm_linear_dequantized(const qm_thread *t, const qm_linear *w, int32_t first, int32_t n,
                           float *y, size_t ldy, const float *x, size_t ldx, int32_t n_rows)
{
    const size_t k = (size_t)w->n_in;
    int8_t *codes = (int8_t *)t->acc; /* of a row */
    for (int32_t j = 0; j < n; j += QM_PANEL_ROWS) {
        const size_t width = (size_t)(n - j < QM_PANEL_ROWS ? n - j : QM_PANEL_ROWS);
        for (size_t r = 0; r < width; r++) {
            qm_linear_row(w, first + j + (int32_t)r, codes);
            t->s->kernels.dequantize_i8(t->panel + r * k, codes, w->b, k);
        }
        t->s->kernels.matmul_f32(y + j, ldy, t->panel, x, ldx, (size_t)n_rows, width, k);
    }
}

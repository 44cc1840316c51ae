#include "runtime/pass.h"

#include "op/residual.h"

qm_range qm_share(const qm_thread *t, int32_t n, int32_t align)
{
    int64_t units = (n + align - 1) / align;
    int64_t begin = units * t->id / t->n_threads * align;
    int64_t end = units * (t->id + 1) / t->n_threads * align;
    return (qm_range){(int32_t)(begin < n ? begin : n), (int32_t)(end < n ? end : n)};
}

void qm_round_rows(const qm_thread *t, float *y, size_t ld, int32_t n_rows, int32_t n)
{
    for (int32_t i = 0; t->half && i < n_rows; i++)
        t->s->kernels.round_f16(y + (size_t)i * ld, (size_t)n);
}

void qm_snap_rows(const qm_thread *t, qm_edge edge, int32_t layer, float *y, size_t ld,
                  int32_t n_rows, int32_t n)
{
    enum { CHUNK = 256 };
    int8_t codes[CHUNK];
    if (!t->s->model->grid) return;
    const float scale = t->s->model->grid[(size_t)layer * QM_N_EDGES + (size_t)edge];
    for (int32_t r = 0; scale > 0.0f && r < n_rows; r++)
        for (int32_t i = 0; i < n; i += CHUNK) {
            float *at = y + (size_t)r * ld + i;
            const size_t width = (size_t)(n - i < CHUNK ? n - i : CHUNK);
            t->s->kernels.quantize_even_i8(codes, at, scale, width);
            t->s->kernels.dequantize_i8(at, codes, scale, width);
        }
}

/* A view of n_rows rows of a segment from row on; the caller fills in what it shows. */
static quamba_view view_of(const qm_segment *seg, qm_edge edge, int32_t layer, int32_t row,
                           int32_t n_rows, int32_t n_cols)
{
    return (quamba_view){.edge = quamba_edge_name((int32_t)edge),
                         .layer = layer,
                         .position = seg->session->position + (uint64_t)(row - seg->first_row),
                         .n_rows = n_rows,
                         .n_cols = n_cols};
}

static void show_all(const qm_thread *t, qm_edge edge, int32_t layer, const float *data,
                     const int8_t *codes, float scale, size_t ld, int32_t n_cols)
{
    if (!t->tapped) return;
    qm_meet(t);
    for (int32_t i = 0; t->id == 0 && i < t->pass->n_segments; i++) {
        const qm_segment *seg = &t->pass->segments[i];
        if (!seg->session->tap) continue;
        quamba_view view = view_of(seg, edge, layer, seg->first_row, seg->n_rows, n_cols);
        view.row_stride = ld;
        view.data = data ? data + (size_t)seg->first_row * ld : NULL;
        view.codes = codes ? codes + (size_t)seg->first_row * ld : NULL;
        view.scale = scale;
        seg->session->tap(seg->session->tap_user, &view);
    }
    qm_meet(t);
}

void qm_show(const qm_thread *t, qm_edge edge, int32_t layer, const float *data, size_t ld,
             int32_t n_cols)
{
    show_all(t, edge, layer, data, NULL, 0.0f, ld, n_cols);
}

void qm_show_codes(const qm_thread *t, qm_edge edge, int32_t layer, const int8_t *codes,
                   float scale, size_t ld, int32_t n_cols)
{
    show_all(t, edge, layer, NULL, codes, scale, ld, n_cols);
}

void qm_show_row(const qm_segment *seg, qm_edge edge, int32_t layer, int32_t row, const float *data,
                 const int8_t *codes, float scale, int32_t n_cols)
{
    if (!seg->session->tap) return;
    quamba_view view = view_of(seg, edge, layer, row, 1, n_cols);
    view.row_stride = (size_t)n_cols;
    view.data = data;
    view.codes = codes;
    view.scale = scale;
    seg->session->tap(seg->session->tap_user, &view);
}

void qm_show_state(const qm_thread *t, int32_t layer)
{
    if (!t->tapped) return;
    const qm_config *c = &t->s->model->config;
    qm_meet(t);
    for (int32_t i = 0; t->id == 0 && i < t->pass->n_segments; i++) {
        const qm_segment *seg = &t->pass->segments[i];
        if (!seg->session->tap) continue;
        quamba_view view = view_of(seg, QM_EDGE_SSM_STATE, layer, seg->first_row + seg->n_rows - 1,
                                   c->d_state, c->d_inner);
        view.row_stride = (size_t)c->d_inner;
        view.data =
            seg->session->ssm_state + (size_t)layer * (size_t)c->d_state * (size_t)c->d_inner;
        seg->session->tap(seg->session->tap_user, &view);
    }
    qm_meet(t);
}

void qm_count_lost(const qm_thread *t, int32_t row, qm_edge edge, int32_t layer, size_t lost)
{
    if (lost == 0) return;
    int32_t i = 0;
    while (row >= t->pass->segments[i].first_row + t->pass->segments[i].n_rows)
        i++;
    atomic_fetch_add_explicit(
        &t->pass->segments[i].session->lost[(size_t)layer * QM_N_EDGES + (size_t)edge], lost,
        memory_order_relaxed);
}

void qm_add_residual(const qm_thread *t, qm_range columns)
{
    const size_t d = (size_t)t->s->model->config.d_model;
    for (size_t r = 0; r < (size_t)t->pass->n_rows; r++)
        for (int32_t i = columns.begin; i < columns.end; i++)
            t->s->residual[r * d + (size_t)i] =
                qm_op_residual(t->s->residual[r * d + (size_t)i], t->s->hidden[r * d + (size_t)i]);
}

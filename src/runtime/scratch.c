/* A session's memory: the state, which stays, and the scratch of its rows, which can grow. */
#include "base/hadamard.h"
#include "runtime/edges.h"
#include "runtime/session.h"

#include <inttypes.h>

static void layout_state(quamba_session *s, qm_arena *a)
{
    const qm_config *c = &s->model->config;
    const quamba_datapath *dp = s->model->datapath;
    if (c->quantized)
        s->conv_codes = QM_CARVE(a, int8_t, c->n_layer, c->d_conv, c->d_inner);
    else
        s->conv_state = QM_CARVE(a, float, c->n_layer, c->d_conv, c->d_inner);
    if (dp->knobs.cin != QM_CIN_STATIC) s->conv_scales = QM_CARVE(a, float, c->n_layer, c->d_conv);
    s->ssm_state = QM_CARVE(a, float, c->n_layer, c->d_state, c->d_inner);
    s->lost = QM_CARVE(a, _Atomic uint64_t, c->n_layer + 1, QM_N_EDGES);
    s->logits = QM_CARVE(a, float, c->n_vocab);
    if (dp->rotated) s->rotation.signs = QM_CARVE(a, int8_t, s->rotation.m, s->rotation.m);
}

/* What every quantized row needs. */
static void layout_codes(quamba_session *s, qm_arena *a, int64_t rows)
{
    const qm_config *c = &s->model->config;
    const int64_t threads = s->options.n_threads;
    s->codes.norm = QM_CARVE(a, int8_t, rows, c->d_model);
    s->codes.xz = QM_CARVE(a, int8_t, rows, 2, c->d_inner);
    s->codes.u = QM_CARVE(a, int8_t, rows, c->d_inner);
    s->codes.x_dbl = QM_CARVE(a, int8_t, rows, c->dt_rank + 2 * c->d_state);
    s->codes.dt = QM_CARVE(a, int8_t, rows, c->d_inner);
    s->xz = QM_CARVE(a, float, rows, c->d_inner);
    s->acc = QM_CARVE(a, int32_t, threads, (int64_t)qm_acc_count(c, s->options.max_rows));
    s->lost_rows = QM_CARVE(a, size_t, threads, s->options.max_rows);
    s->bc = QM_CARVE(a, float, threads, s->options.max_rows, 2, c->d_state);
    s->state_codes = QM_CARVE(a, int8_t, threads, c->d_inner);
}

/* What single knobs need besides. */
static void layout_knobs(quamba_session *s, qm_arena *a, int64_t rows)
{
    const qm_config *c = &s->model->config;
    const qm_knobs *knobs = &s->model->datapath->knobs;
    const int64_t threads = s->options.n_threads;
    const bool by_run = knobs->cin != QM_CIN_STATIC;
    if (knobs->ip != QM_IP_I8) s->x = QM_CARVE(a, float, rows, c->d_inner);
    if (knobs->z != QM_Z_I8) s->z_numbers = QM_CARVE(a, float, rows, c->d_inner);
    if (by_run) s->input_scales = QM_CARVE(a, float, rows);
    if (by_run || knobs->grid == QM_GRID_DUAL)
        s->maxima = QM_CARVE(a, float, threads, s->options.max_rows);
    if (knobs->conv == QM_CONV_DEQ) s->deq = QM_CARVE(a, float, threads, 2, c->d_conv, c->d_inner);
    if (knobs->scan == QM_SCAN_MAMBA)
        s->rates = QM_CARVE(a, float, threads, c->d_state, c->d_inner);
    s->u = s->xp_numbers = s->conv;
    if (knobs->grid != QM_GRID_I8 && knobs->u != QM_U_VAL) /* what the grid hands on stays */
        s->u = QM_CARVE(a, float, rows, c->d_inner);
    if (knobs->lin == QM_LIN_F32) {
        s->x_dbl = QM_CARVE(a, float, rows, c->dt_rank + 2 * c->d_state);
        if (knobs->xp != QM_XP_VAL) s->xp_numbers = QM_CARVE(a, float, rows, c->d_inner);
    }
}

static void layout_scratch(quamba_session *s, qm_arena *a)
{
    const qm_config *c = &s->model->config;
    const quamba_datapath *dp = s->model->datapath;
    const int64_t rows = s->options.max_rows < QM_SCORE_ROWS ? QM_SCORE_ROWS : s->options.max_rows;
    s->residual = QM_CARVE(a, float, rows, c->d_model);
    s->hidden = QM_CARVE(a, float, rows, c->d_model);
    s->conv = QM_CARVE(a, float, rows, c->d_inner);
    s->delta = QM_CARVE(a, float, rows, c->d_inner);
    if (c->quantized) {
        layout_codes(s, a, rows);
        layout_knobs(s, a, rows);
    } else {
        s->xz = QM_CARVE(a, float, rows, 2, c->d_inner);
        s->x_dbl = QM_CARVE(a, float, rows, c->dt_rank + 2 * c->d_state);
    }
    if (dp->rotated || dp->conv_in_steps)
        s->z = QM_CARVE(a, float, s->options.n_threads, c->d_inner);
    s->panel = QM_CARVE(a, float, s->options.n_threads, (int64_t)qm_panel_floats(c));
    s->segments = QM_CARVE(a, qm_segment, s->options.max_rows);
    s->heads = QM_CARVE(a, qm_head_row, s->options.max_rows);
    s->cuts = QM_CARVE(a, qm_segment, (int64_t)s->options.max_rows + s->options.n_threads);
    s->handed_on = QM_CARVE(a, _Atomic int32_t, s->options.n_threads, QM_APART);
}

quamba_session qm_session_from_row(const quamba_session *s, int32_t first)
{
    const qm_config *c = &s->model->config;
    const size_t row = (size_t)first, d = (size_t)c->d_model, e = (size_t)c->d_inner;
    const size_t x_dbl = (size_t)(c->dt_rank + 2 * c->d_state);
    quamba_session v = *s;
    v.residual += row * d;
    v.hidden += row * d;
    v.xz += row * e;
    v.conv += row * e;
    v.delta += row * e;
    v.codes = (qm_codes){.norm = s->codes.norm + row * d,
                         .xz = s->codes.xz + row * 2 * e,
                         .u = s->codes.u + row * e,
                         .x_dbl = s->codes.x_dbl + row * x_dbl,
                         .dt = s->codes.dt + row * e};
    v.u += row * e;
    v.xp_numbers += row * e;
    if (v.x_dbl) v.x_dbl += row * x_dbl; /* what only some knobs need */
    if (v.x) v.x += row * e;
    if (v.z_numbers) v.z_numbers += row * e;
    if (v.input_scales) v.input_scales += row;
    if (v.maxima) v.maxima += row;
    return v;
}

static quamba_status allocate(quamba_session *s, void (*layout)(quamba_session *, qm_arena *),
                              qm_arena *arena, quamba_error *err)
{
    layout(s, arena);
    quamba_status status = qm_arena_alloc(arena, "a session", err);
    if (status == QUAMBA_OK) layout(s, arena);
    return status;
}

quamba_status qm_session_allocate(quamba_session *s, quamba_error *err)
{
    const int32_t e = s->model->config.d_inner;
    if (s->model->datapath->rotated && !qm_hadamard_split(e, &s->rotation.m, &s->rotation.width))
        return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0,
                       "d_inner is %" PRId32 ": no Hadamard matrix is known for it; 2^k, 12 2^k "
                       "and 40 2^k have one",
                       e);
    quamba_status status = allocate(s, layout_state, &s->arena, err);
    if (status == QUAMBA_OK) status = allocate(s, layout_scratch, &s->scratch, err);
    if (status == QUAMBA_OK && s->model->datapath->rotated)
        qm_hadamard_signs(s->rotation.m, s->rotation.signs);
    return status;
}

quamba_status qm_session_grow(quamba_session *s, int32_t max_rows, quamba_error *err)
{
    quamba_session wider = *s;
    wider.options.max_rows = max_rows;
    wider.scratch = (qm_arena){0};
    quamba_status status = allocate(&wider, layout_scratch, &wider.scratch, err);
    if (status != QUAMBA_OK) return status;
    qm_arena_free(&s->scratch);
    *s = wider;
    return QUAMBA_OK;
}

#include "eval/compare_frame.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool make_turn(qm_turn *t, int32_t n)
{
    if (!qm_hadamard_split(n, &t->m, &t->width)) return false;
    qm_hadamard_signs(t->m, t->signs);
    t->scale = (float)(1.0 / sqrt((double)n));
    return true;
}

bool qm_frame_fits(const qm_config *c)
{
    int32_t m, width;
    return qm_hadamard_split(c->d_model, &m, &width) && qm_hadamard_split(c->d_inner, &m, &width);
}

quamba_status qm_frame_init(qm_frame *f, const quamba_session *session, bool turns,
                            quamba_error *err)
{
    const qm_config *c = &session->model->config;
    const size_t e = 2 * (size_t)c->d_inner, v = (size_t)c->n_vocab, d = (size_t)c->d_model;
    size_t widest = e > v ? e : v;
    if (d > widest) widest = d;
    *f = (qm_frame){.session = session, .turns = turns, .end = c->n_layer + 1};
    if (turns && (!make_turn(&f->model, c->d_model) || !make_turn(&f->inner, c->d_inner)))
        f->only_logits = true;
    f->values = qm_alloc(3 * widest, sizeof *f->values);
    if (!f->values) return qm_fail_memory(err, 3 * widest * sizeof *f->values, "a row of an edge");
    f->turned = f->values + widest;
    f->scratch = f->turned + widest;
    return QUAMBA_OK;
}

void qm_frame_free(qm_frame *f)
{
    free(f->values);
    *f = (qm_frame){0};
}

/* Hands on n numbers rotated, before that divided by weight; with a weight of 0 they are lost. */
static void hand_turned(qm_frame *f, const qm_turn *turn, const float *weight, qm_edge edge,
                        int32_t layer, size_t row, const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (weight && weight[i] == 0.0f) return;
        f->turned[i] = weight ? values[i] / weight[i] : values[i];
    }
    f->session->kernels.hadamard_f32(f->turned, f->scratch, turn->signs, (size_t)turn->m,
                                     (size_t)turn->width, turn->scale);
    f->sink(f->user, edge, layer, row, &(qm_row){.values = f->turned, .n = n});
}

static void hand_on(qm_frame *f, qm_edge edge, int32_t layer, size_t row, const qm_row *r)
{
    const quamba_model *m = f->session->model;
    switch (f->turns ? edge : QM_N_EDGES) {
    case QM_EDGE_NORM_OUT:
        hand_turned(f, &f->model, m->layers[layer].norm, edge, layer, row, r->values, r->n);
        return;
    case QM_EDGE_NORM_F_OUT:
        hand_turned(f, &f->model, m->norm_f, edge, layer, row, r->values, r->n);
        return;
    case QM_EDGE_OUT_PROJ_OUT:
    case QM_EDGE_RESIDUAL:
        hand_turned(f, &f->model, NULL, edge, layer, row, r->values, r->n);
        return;
    default:
        f->sink(f->user, edge, layer, row, r);
    }
}

/* Edges that this run does not show because they hold what another one does. */
static void hand_aliases(qm_frame *f, qm_edge edge, int32_t layer, size_t row, const qm_row *r)
{
    const quamba_model *m = f->session->model;
    const bool by_codes = m->config.quantized && m->datapath->knobs.ip == QM_IP_I8;
    if (edge == QM_EDGE_IN_PROJ_OUT && (f->turns || by_codes)) {
        qm_row x = *r;
        x.n = (size_t)m->config.d_inner;
        f->sink(f->user, QM_EDGE_CONV_IN, layer, row, &x);
    }
    if (!f->turns) return;
    if (edge == QM_EDGE_CONV_OUT) {
        f->sink(f->user, QM_EDGE_X_PROJ_IN, layer, row, r);
        f->sink(f->user, QM_EDGE_SCAN_IN, layer, row, r);
    }
    if (edge == QM_EDGE_SCAN_OUT)
        hand_turned(f, &f->inner, NULL, QM_EDGE_HADAMARD_OUT, layer, row, r->values, r->n);
}

void qm_frame_show(qm_frame *f, const quamba_view *view)
{
    const qm_edge edge = qm_edge_of(view);
    if (view->layer < f->begin || view->layer >= f->end) return;
    if (f->only_logits && edge != QM_EDGE_LOGITS) return;
    for (size_t i = 0; i < (size_t)view->n_rows; i++) {
        const size_t row = edge == QM_EDGE_SSM_STATE ? i : (size_t)view->position + i;
        qm_row r = {.n = (size_t)view->n_cols, .scale = view->codes ? view->scale : 0.0f};
        if (view->codes) {
            r.codes = view->codes + i * view->row_stride;
            f->session->kernels.dequantize_i8(f->values, r.codes, r.scale, r.n);
            r.values = f->values;
        } else {
            r.values = view->data + i * view->row_stride;
        }
        hand_on(f, edge, view->layer, row, &r);
        if (!f->only_logits) hand_aliases(f, edge, view->layer, row, &r);
    }
}

float qm_edge_scale(const quamba_model *m, qm_edge edge, int32_t layer)
{
    if (!m->config.quantized) return 0.0f;
    if (layer >= m->config.n_layer)
        return edge == QM_EDGE_NORM_F_OUT && m->norm_f_kind == QM_NORM_F_CODES ? m->norm_f_scale
                                                                               : 0.0f;
    const qm_scales *s = &m->layers[layer].scales;
    switch (edge) {
    case QM_EDGE_NORM_OUT:
        return s->in;
    case QM_EDGE_IN_PROJ_OUT:
    case QM_EDGE_CONV_IN:
        return s->x;
    case QM_EDGE_CONV_OUT:
    case QM_EDGE_X_PROJ_IN:
    case QM_EDGE_SCAN_IN:
        return s->u;
    case QM_EDGE_X_PROJ_OUT:
        return s->b;
    case QM_EDGE_DT_PROJ_OUT:
        return s->dt;
    case QM_EDGE_SSM_STATE:
        return s->h;
    case QM_EDGE_HADAMARD_OUT:
        return s->o;
    default:
        return 0.0f;
    }
}

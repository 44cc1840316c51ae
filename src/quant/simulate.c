#include "quant/simulate.h"

#include "base/half.h"
#include "datapath/datapath.h"
#include "kernels/cpu.h"
#include "model/act_scales.h"
#include "model/model.h"
#include "quant/fuse.h"
#include "quant/weights.h"
#include "runtime/edges.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[QM_N_KINDS] = {
#define QM_KIND_NAME(id, name, text) [QM_KIND_##id] = name,
    QM_KIND_LIST(QM_KIND_NAME)
#undef QM_KIND_NAME
};

static const char *const texts[QM_N_KINDS] = {
#define QM_KIND_TEXT(id, name, text) [QM_KIND_##id] = text,
    QM_KIND_LIST(QM_KIND_TEXT)
#undef QM_KIND_TEXT
};

const char *qm_kind_name(qm_kind kind) { return names[kind]; }
const char *qm_kind_text(qm_kind kind) { return texts[kind]; }

quamba_status qm_kinds_parse(uint32_t *kinds, const char *list, quamba_error *err)
{
    *kinds = 0;
    if (strcmp(list, "none") == 0) return QUAMBA_OK;
    if (strcmp(list, "all") == 0) {
        *kinds = (1u << QM_N_KINDS) - 1;
        return QUAMBA_OK;
    }
    for (const char *at = list;; at++) {
        const size_t size = strcspn(at, ",");
        int32_t kind = 0;
        while (kind < QM_N_KINDS &&
               !(strlen(names[kind]) == size && memcmp(names[kind], at, size) == 0))
            kind++;
        if (kind == QM_N_KINDS)
            return qm_fail(err, QUAMBA_E_ARGUMENT, (uint64_t)(at - list),
                           "\"%.*s\" is no kind of tensor that W8A8 rounds", (int)size, at);
        *kinds |= 1u << kind;
        at += size;
        if (*at == '\0') return QUAMBA_OK;
    }
}

/* ---- weights --------------------------------------------------------------------------------- */

/* The fused tensors with the rounded ones replaced, in one block that the model will own. */
typedef struct tensors {
    qm_tensor *list; /* [n] */
    size_t n;
    unsigned char *data;
} tensors;

/* The kind of a fused tensor; QM_N_KINDS for what W8A8 leaves in half. */
static qm_kind kind_of(const char *name)
{
    static const struct {
        const char *ending;
        qm_kind kind;
    } endings[] = {
        {"mixer.in_proj.weight",  QM_KIND_IN_PROJ },
        {"mixer.conv1d.weight",   QM_KIND_CONV1D  },
        {"mixer.conv1d.bias",     QM_KIND_CONV1D  },
        {"mixer.x_proj.weight",   QM_KIND_X_PROJ  },
        {"mixer.dt_proj.weight",  QM_KIND_DT_PROJ },
        {"mixer.dt_proj.bias",    QM_KIND_DT_BIAS },
        {"mixer.A_log",           QM_KIND_A_LOG   },
        {"mixer.D",               QM_KIND_D       },
        {"mixer.out_proj.weight", QM_KIND_OUT_PROJ},
    };
    const char *mixer = strstr(name, "mixer.");
    for (size_t i = 0; mixer && i < QM_COUNT(endings); i++)
        if (strcmp(mixer, endings[i].ending) == 0) return endings[i].kind;
    return QM_N_KINDS;
}

/* out = fl(scale * code) of n elements; q: [n] scratch.  The dt bias is quantized in FP32, as A_log
 * and D are, though it is stored in half. */
static void round_weight(float *out, int8_t *q, const qm_tensor *t, qm_kind kind, size_t n)
{
    float scale;
    if (t->dtype == QM_F16 && kind != QM_KIND_DT_BIAS) {
        scale = qm_weight_scale_f16(qm_absmax_f16(t->data, n));
        qm_weight_codes_f16(q, t->data, n, scale);
    } else {
        for (size_t i = 0; i < n; i++)
            out[i] = t->dtype == QM_F16 ? qm_f32_f16(((const uint16_t *)t->data)[i])
                                        : ((const float *)t->data)[i];
        scale = qm_quantize_weight_f32(q, out, n);
    }
    for (size_t i = 0; i < n; i++)
        out[i] = scale * (float)q[i];
}

static size_t room_for(const qm_tensor *t)
{
    return ((size_t)qm_tensor_count(t) * sizeof(float) + 63) / 64 * 64;
}

static quamba_status make_tensors(tensors *out, const qm_fused *fused, uint32_t leave_float,
                                  quamba_error *err)
{
    size_t bytes = 0, most = 0;
    for (size_t i = 0; i < fused->n; i++) {
        const size_t n = (size_t)qm_tensor_count(&fused->tensors[i]);
        bytes += room_for(&fused->tensors[i]);
        most = n > most ? n : most;
    }
    int8_t *codes = qm_alloc(most, 1);
    out->list = qm_alloc(fused->n, sizeof *out->list);
    out->data = qm_alloc(bytes, 1);
    out->n = fused->n;
    if (!codes || !out->list || !out->data) {
        free(codes);
        return qm_fail_memory(err, bytes, "the simulated weights");
    }
    unsigned char *at = out->data;
    for (size_t i = 0; i < fused->n; i++) {
        const qm_tensor *t = &fused->tensors[i];
        const qm_kind kind = kind_of(t->name);
        out->list[i] = *t;
        out->list[i].data = at;
        if (kind == QM_N_KINDS || leave_float & 1u << kind) {
            memcpy(at, t->data, (size_t)qm_tensor_bytes(t));
        } else {
            out->list[i].dtype = QM_F32;
            round_weight((float *)(void *)at, codes, t, kind, (size_t)qm_tensor_count(t));
        }
        at += room_for(t);
    }
    free(codes);
    return QUAMBA_OK;
}

static const qm_tensor *find_tensor(const void *user, const char *name)
{
    const tensors *t = user;
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->list[i].name, name) == 0) return &t->list[i];
    return NULL;
}

/* ---- edges ----------------------------------------------------------------------------------- */

static quamba_status make_grid(quamba_model *m, const qm_act_scales *scales, uint32_t leave_float,
                               quamba_error *err)
{
    static const struct {
        qm_kind kind;
        qm_edge edge;
        qm_layer_scale scale;
    } edges[] = {
        {QM_KIND_NORM_OUT,     QM_EDGE_NORM_OUT,     QM_IN_PROJ_INPUT  },
        {QM_KIND_IN_PROJ_OUT,  QM_EDGE_IN_PROJ_OUT,  QM_IN_PROJ_OUTPUT },
        {QM_KIND_CONV_OUT,     QM_EDGE_CONV_OUT,     QM_X_PROJ_INPUT   },
        {QM_KIND_X_PROJ_OUT,   QM_EDGE_X_PROJ_OUT,   QM_X_PROJ_OUTPUT  },
        {QM_KIND_DT_PROJ_OUT,  QM_EDGE_DT_PROJ_OUT,  QM_DT_PROJ_OUTPUT },
        {QM_KIND_SSM_STATE,    QM_EDGE_SSM_STATE,    QM_SSM_STATE_INPUT},
        {QM_KIND_HADAMARD_OUT, QM_EDGE_HADAMARD_OUT, QM_OUT_PROJ_INPUT },
    };
    if (scales->n_layer != m->config.n_layer)
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "the scales are those of %" PRId32 " layers, the model has %" PRId32,
                       scales->n_layer, m->config.n_layer);
    m->grid = qm_alloc((size_t)m->config.n_layer * QM_N_EDGES, sizeof *m->grid);
    if (!m->grid) return qm_fail_memory(err, QM_N_EDGES * sizeof *m->grid, "the grids");
    for (int32_t layer = 0; layer < m->config.n_layer; layer++)
        for (size_t k = 0; k < QM_COUNT(edges); k++)
            if (!(leave_float & 1u << edges[k].kind))
                m->grid[(size_t)layer * QM_N_EDGES + edges[k].edge] =
                    scales->layers[layer][edges[k].scale];
    return QUAMBA_OK;
}

static quamba_status simulate(quamba_model *m, const qm_fused *fused, const qm_act_scales *scales,
                              uint32_t leave_float, int32_t n_threads, quamba_error *err)
{
    tensors t = {0};
    m->config = fused->config;
    m->datapath = qm_datapath_simulation();
    quamba_status status = make_tensors(&t, fused, leave_float, err);
    m->random = t.data;
    if (status == QUAMBA_OK) status = make_grid(m, scales, leave_float, err);
    if (status == QUAMBA_OK) status = qm_model_bind(m, find_tensor, &t, n_threads, err);
    free(t.list);
    return status;
}

quamba_status qm_simulate(quamba_model **model, const char *path, const char *act_scales,
                          uint32_t leave_float, const char *cpu, int32_t n_threads,
                          quamba_error *err)
{
    qm_source *source = NULL;
    qm_fused *fused = NULL;
    qm_act_scales scales = {0};
    const int64_t flags = qm_cpu_select(cpu);
    *model = NULL;
    if (flags < 0)
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "no instruction set \"%.40s\" here", cpu);
    quamba_status status = qm_act_scales_load(&scales, act_scales, err);
    if (status == QUAMBA_OK) status = qm_act_scales_check(&scales, err);
    if (status == QUAMBA_OK) status = qm_source_open(&source, path, err);
    if (status == QUAMBA_OK) {
        status = qm_fuse(&fused, source, (uint32_t)flags, n_threads, err);
        if (status != QUAMBA_OK) qm_fail_in(err, status, path);
    }
    quamba_model *m = status == QUAMBA_OK ? qm_alloc(1, sizeof *m) : NULL;
    if (status == QUAMBA_OK && !m) status = qm_fail_memory(err, sizeof *m, path);
    if (status == QUAMBA_OK) status = simulate(m, fused, &scales, leave_float, n_threads, err);
    if (status != QUAMBA_OK) quamba_model_close(&m);
    *model = m;
    qm_fused_free(&fused);
    qm_act_scales_free(&scales);
    qm_source_close(&source);
    return status;
}

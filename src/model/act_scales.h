/* Activation scales: what calibration measures and quantization needs.  Their file is JSON, a list
 * of one object per layer and one for the head, each scale {"value": x, "f32": the four bytes of
 * the float, little-endian, in hexadecimal}. */
#ifndef QM_MODEL_ACT_SCALES_H
#define QM_MODEL_ACT_SCALES_H

#include "base/status.h"

/* X(id, upstream's key, needed to quantize), in the order of the file */
#define QM_LAYER_SCALE_LIST(X)                                                                     \
    X(QM_DT_PROJ_INPUT, "dt_proj:input", false)                                                    \
    X(QM_DT_PROJ_OUTPUT, "dt_proj:output", true)                                                   \
    X(QM_IN_PROJ_INPUT, "in_proj:input", true)                                                     \
    X(QM_IN_PROJ_OUTPUT, "in_proj:output", true)                                                   \
    X(QM_OUT_PROJ_INPUT, "out_proj:input", true)                                                   \
    X(QM_OUT_PROJ_OUTPUT, "out_proj:output", false)                                                \
    X(QM_SSM_STATE_INPUT, "ssm_state_act:input", true)                                             \
    X(QM_SSM_STATE_OUTPUT, "ssm_state_act:output", false)                                          \
    X(QM_X_PROJ_INPUT, "x_proj:input", true)                                                       \
    X(QM_X_PROJ_OUTPUT, "x_proj:output", true)
#define QM_HEAD_SCALE_LIST(X)                                                                      \
    X(QM_LM_HEAD_INPUT, "lm_head:input", true)                                                     \
    X(QM_LM_HEAD_OUTPUT, "lm_head:output", false)

#define QM_SCALE_ENUM(id, key, needed) id,
typedef enum qm_layer_scale { QM_LAYER_SCALE_LIST(QM_SCALE_ENUM) QM_N_LAYER_SCALES } qm_layer_scale;
typedef enum qm_head_scale { QM_HEAD_SCALE_LIST(QM_SCALE_ENUM) QM_N_HEAD_SCALES } qm_head_scale;
#undef QM_SCALE_ENUM

/* Every scale is positive and finite, or NaN where it is absent. */
typedef struct qm_act_scales {
    int32_t n_layer;
    float (*layers)[QM_N_LAYER_SCALES]; /* [n_layer], owned, qm_act_scales_free */
    float head[QM_N_HEAD_SCALES];
} qm_act_scales;

/* All absent.  n_layer >= 1. */
quamba_status qm_act_scales_new(qm_act_scales *scales, int32_t n_layer, quamba_error *err);
void qm_act_scales_free(qm_act_scales *scales);

/* Reads the JSON form, n_layer from its length.  E_FORMAT names layer and key of what is missing,
 * unknown, not positive and finite, or whose value and bytes disagree; the bytes may be left out.
 * On failure *scales is empty. */
quamba_status qm_act_scales_parse(qm_act_scales *scales, const char *data, size_t size,
                                  quamba_error *err);
quamba_status qm_act_scales_load(qm_act_scales *scales, const char *path, quamba_error *err);

/* Writes what load reads; absent scales are left out. */
quamba_status qm_act_scales_write(const qm_act_scales *scales, const char *path, quamba_error *err);

/* E_FORMAT naming the first scale that quantization needs and that is absent. */
quamba_status qm_act_scales_check(const qm_act_scales *scales, quamba_error *err);

#endif

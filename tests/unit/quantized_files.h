/* A small W8A8 Mamba-1 checkpoint written to a temporary directory, with one thing changed. */
#ifndef TEST_QUANTIZED_FILES_H
#define TEST_QUANTIZED_FILES_H

#include "base/file.h"
#include "base/half.h"
#include "format/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    Q_LAYER = 2,
    Q_MODEL = 16,
    Q_INNER = 32,
    Q_STATE = 4,
    Q_CONV = 4,
    Q_RANK = 2,
    Q_VOCAB = 24, /* 32 with padding */
    Q_MAX = 128,
    Q_BYTES = 2048, /* of the largest tensor */
    Q_NAME = 160
};

static const char q_config[] = "{\"d_model\": 16, \"n_layer\": 2, \"vocab_size\": 23, \"ssm_cfg\": "
                               "{\"layer\": \"W8A8QMamba\"}, \"pad_vocab_size_multiple\": 8, "
                               "\"tie_embeddings\": false}";

typedef enum q_form { Q_SAFETENSORS, Q_UPSTREAM } q_form;

typedef struct q_files {
    q_form form;
    char dir[64], config[96], weights[96];
    qm_tensor tensors[Q_MAX];
    char names[Q_MAX][Q_NAME];
    _Alignas(64) unsigned char data[Q_MAX][Q_BYTES];
    size_t n, n_slots; /* tensors, and names and data that were ever used */
} q_files;

/* The code that every matrix has at (row, column) of [out][in]; padding is 0. */
static inline int8_t q_code(int64_t out, int64_t in)
{
    return (int8_t)((out * 37 + in * 11) % 251);
}

static inline qm_tensor *q_add(q_files *f, const char *name, qm_dtype dtype, int64_t d0, int64_t d1)
{
    size_t at = f->n_slots++;
    qm_tensor *t = &f->tensors[f->n++];
    snprintf(f->names[at], sizeof f->names[at], "%s", name);
    *t = (qm_tensor){.name = f->names[at], .dtype = dtype, .data = f->data[at]};
    const int64_t shape[2] = {d0, d1};
    uint64_t bytes;
    if (!qm_tensor_set_shape(t, shape, d0 == 0 ? 0 : d1 == 0 ? 1 : 2, &bytes) || bytes > Q_BYTES)
        fail_msg("%s is too large", name);
    return t;
}

static inline qm_tensor *q_find(q_files *f, const char *name)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->tensors[i].name, name) == 0) return &f->tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static inline unsigned char *q_bytes(const qm_tensor *t)
{
    return (unsigned char *)(uintptr_t)t->data;
}

static inline unsigned char *q_data(q_files *f, const char *name)
{
    return q_bytes(q_find(f, name));
}

static inline void q_remove(q_files *f, const char *name)
{
    qm_tensor *t = q_find(f, name);
    memmove(t, t + 1, (size_t)(&f->tensors[--f->n] - t) * sizeof *t);
}

/* Any number of one element. */
static inline float q_get(q_files *f, const char *name)
{
    float value;
    memcpy(&value, q_data(f, name), sizeof value);
    return value;
}

static inline void q_set(q_files *f, const char *name, float value)
{
    memcpy(q_data(f, name), &value, sizeof value);
}

/* kind 0: a tensor without dimensions, 1: one of one element [1, 1], 2: a Python float */
static inline void q_add_scale(q_files *f, const char *prefix, const char *rest, int kind,
                               double value)
{
    char name[Q_NAME];
    snprintf(name, sizeof name, "%s%s", prefix, rest);
    qm_tensor *t = q_add(f, name, QM_F32, kind == 1, kind == 1);
    t->python_float = kind == 2;
    q_set(f, name, (float)value);
}

static inline void q_add_floats(q_files *f, const char *name, qm_dtype dtype, int64_t d0,
                                int64_t d1)
{
    qm_tensor *t = q_add(f, name, dtype, d0, d1);
    unsigned char *data = q_bytes(t);
    for (uint64_t i = 0; i < qm_tensor_count(t); i++) {
        float x = 0.25f * (float)((int)(i * 29 % 64) - 32);
        uint16_t half = qm_f16_f32(x);
        if (dtype == QM_F32)
            memcpy(data + i * 4, &x, 4);
        else
            memcpy(data + i * 2, &half, 2);
    }
}

static inline void q_add_linear(q_files *f, const char *prefix, const char *module, int64_t n_in,
                                int64_t n_out, double over, double under)
{
    char name[Q_NAME], factor[64];
    int64_t padded = (n_out + 15) / 16 * 16;
    snprintf(name, sizeof name, "%s%s.weight", prefix, module);
    qm_tensor *t = q_add(f, name, QM_I8, n_in, padded);
    if (f->form == Q_UPSTREAM) {
        t->stride[0] = 1;
        t->stride[1] = n_in;
    }
    for (int64_t o = 0; o < n_out; o++)
        for (int64_t i = 0; i < n_in; i++)
            q_bytes(t)[i * t->stride[0] + o * t->stride[1]] = (unsigned char)q_code(o, i);
    float a = (float)(over / under), b = 0.01f;
    snprintf(factor, sizeof factor, "%s.a", module);
    q_add_scale(f, prefix, factor, 1, (double)a);
    snprintf(factor, sizeof factor, "%s.b", module);
    q_add_scale(f, prefix, factor, 1, (double)b);
    snprintf(factor, sizeof factor, "%s.alpha", module);
    q_add_scale(f, prefix, factor, 2, (double)a * (double)b);
}

static inline void q_add_codes(q_files *f, const char *prefix, const char *rest, int64_t d0,
                               int64_t d1)
{
    char name[Q_NAME];
    snprintf(name, sizeof name, "%s%s", prefix, rest);
    qm_tensor *t = q_add(f, name, QM_I8, d0, d1);
    for (uint64_t i = 0; i < qm_tensor_count(t); i++)
        q_bytes(t)[i] = (unsigned char)q_code((int64_t)i, d0 + d1);
}

static inline void q_add_layer(q_files *f, int layer)
{
    char prefix[64], norm[Q_NAME];
    const double s = 1 + 0.25 * layer; /* every layer has scales of its own */
    snprintf(prefix, sizeof prefix, "backbone.layers.%d.", layer);
    snprintf(norm, sizeof norm, "%snorm.weight", prefix);
    q_add_floats(f, norm, QM_F16, Q_MODEL, 0);
    q_add_scale(f, prefix, "norm.output_scale", 2, 0.05 * s);
    q_add_linear(f, prefix, "mixer.in_proj", Q_MODEL, 2 * Q_INNER, 0.05 * s, 0.04 * s);
    q_add_codes(f, prefix, "mixer.conv1d.weight", Q_INNER, Q_CONV);
    q_add_codes(f, prefix, "mixer.conv1d.bias", Q_INNER, 0);
    q_add_scale(f, prefix, "mixer.conv1d.weight_scale", 2, 0.007 * s);
    q_add_scale(f, prefix, "mixer.conv1d.bias_scale", 2, 0.005 * s);
    q_add_scale(f, prefix, "mixer.conv1d.input_scale", 2, 0.04 * s);
    q_add_scale(f, prefix, "mixer.conv1d.output_scale", 2, 0.03 * s);
    q_add_linear(f, prefix, "mixer.x_proj", Q_INNER, Q_RANK + 2 * Q_STATE, 0.03, 0.02);
    q_add_linear(f, prefix, "mixer.dt_proj", Q_RANK, Q_INNER, 0.02, 0.06);
    q_add_codes(f, prefix, "mixer.selective_scan.dt_bias", Q_INNER, 0);
    q_add_codes(f, prefix, "mixer.selective_scan.A_log", Q_INNER, Q_STATE);
    q_add_codes(f, prefix, "mixer.selective_scan.D", Q_INNER, 0);
    q_add_scale(f, prefix, "mixer.selective_scan.dt_bias_scale", 0, 0.056 * s);
    q_add_scale(f, prefix, "mixer.selective_scan.A_scale", 0, 0.033 * s);
    q_add_scale(f, prefix, "mixer.selective_scan.D_scale", 0, 0.012 * s);
    q_add_scale(f, prefix, "mixer.selective_scan.u_scale", 0, 0.03 * s);
    q_add_scale(f, prefix, "mixer.selective_scan.dt_scale", 0, 0.06 * s);
    q_add_scale(f, prefix, "mixer.selective_scan.B_scale", 0, 0.02 * s);
    q_add_scale(f, prefix, "mixer.selective_scan.C_scale", 0, 0.02 * s);
    q_add_scale(f, prefix, "mixer.selective_scan.z_scale", 0, 0.04 * s);
    q_add_scale(f, prefix, "mixer.selective_scan.ssm_state_scale", 0, 0.01 * s);
    q_add_scale(f, prefix, "mixer.had.x_H_scale", 2, 0.07 * s);
    q_add_linear(f, prefix, "mixer.out_proj", Q_INNER, Q_MODEL, 0.07 * s, 1);
}

/* int8_head: with the final norm's scale and an INT8 embedding as well. */
static inline void q_files_new(q_files *f, q_form form, bool int8_head)
{
    *f = (q_files){.form = form};
    snprintf(f->dir, sizeof f->dir, "/tmp/quamba-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->config, sizeof f->config, "%s/config.json", f->dir);
    snprintf(f->weights, sizeof f->weights, "%s/%s", f->dir,
             form == Q_UPSTREAM ? "pytorch_model.bin" : "model.safetensors");
    if (int8_head) {
        q_add_codes(f, "backbone.embedding.", "weight", Q_VOCAB, Q_MODEL);
        q_add_floats(f, "backbone.embedding.scales", QM_F16, Q_VOCAB, 0);
    } else {
        q_add_floats(f, "backbone.embedding.weight", QM_F16, Q_VOCAB, Q_MODEL);
    }
    for (int i = 0; i < Q_LAYER; i++)
        q_add_layer(f, i);
    q_add_floats(f, "backbone.norm_f.weight", QM_F16, Q_MODEL, 0);
    if (int8_head) {
        q_add_scale(f, "backbone.norm_f.", "output_scale", 2, 0.045);
        q_add_linear(f, "", "lm_head", Q_MODEL, Q_VOCAB, 0.045, 1);
    } else {
        q_add_floats(f, "lm_head.weight", QM_F16, Q_VOCAB, Q_MODEL);
        q_data(f, "lm_head.weight")[0] ^= 1; /* not the embedding */
    }
}

/* Writes weights and, unless NULL, the config. */
static inline void q_write(q_files *f, const char *config)
{
    quamba_error err;
    quamba_status status = f->form == Q_UPSTREAM
                               ? qm_torch_zip_write(f->weights, f->tensors, f->n, &err)
                               : qm_safetensors_write(f->weights, f->tensors, f->n, NULL, &err);
    if (status == QUAMBA_OK && config)
        status = qm_file_write(f->config, config, strlen(config), &err);
    if (status != QUAMBA_OK) fail_msg("%s", err.message);
}

static inline void q_files_free(q_files *f)
{
    unlink(f->config);
    unlink(f->weights);
    rmdir(f->dir);
}

#endif

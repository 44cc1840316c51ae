/* A small Mamba-1 checkpoint written to a temporary directory, with one thing changed. */
#ifndef TEST_MODEL_FILES_H
#define TEST_MODEL_FILES_H

#include "base/file.h"
#include "format/format.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { N_LAYER = 2, D_MODEL = 8, D_INNER = 16, D_STATE = 4, D_CONV = 4, DT_RANK = 2, N_VOCAB = 24 };

static const char good_config[] =
    "{\"d_model\": 8, \"n_layer\": 2, \"vocab_size\": 23, \"ssm_cfg\": {\"d_state\": 4}, "
    "\"rms_norm\": true, \"residual_in_fp32\": true, \"fused_add_norm\": true, "
    "\"pad_vocab_size_multiple\": 8}";

typedef struct test_files {
    char dir[64], config[96], weights[96];
    qm_tensor tensors[64];
    char names[64][64];
    float values[64][256];
    size_t n;
} test_files;

static inline qm_tensor *test_add(test_files *f, const char *name, int64_t d0, int64_t d1,
                                  int64_t d2)
{
    size_t at = f->n++;
    qm_tensor *t = &f->tensors[at];
    snprintf(f->names[at], sizeof f->names[at], "%s", name);
    *t = (qm_tensor){.name = f->names[at], .dtype = QM_F32, .data = f->values[at]};
    const int64_t dims[3] = {d0, d1, d2};
    for (int i = 0; i < 3 && dims[i] > 0; i++)
        t->shape[t->ndim++] = dims[i];
    int64_t count = 1;
    for (int32_t i = t->ndim; i-- > 0;) {
        t->stride[i] = count;
        count *= t->shape[i];
    }
    for (int64_t i = 0; i < count && i < 256; i++)
        f->values[at][i] = 0.01f * (float)((i * 37 + (int64_t)at * 11) % 101 - 50);
    return t;
}

/* The tensor of that name, to be changed before test_write. */
static inline qm_tensor *test_find(test_files *f, const char *name)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->tensors[i].name, name) == 0) return &f->tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static inline float *test_values(test_files *f, const char *name)
{
    return f->values[test_find(f, name) - f->tensors];
}

static inline void test_files_new(test_files *f)
{
    *f = (test_files){0};
    snprintf(f->dir, sizeof f->dir, "/tmp/quamba-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->config, sizeof f->config, "%s/config.json", f->dir);
    snprintf(f->weights, sizeof f->weights, "%s/model.safetensors", f->dir);
    test_add(f, "backbone.embedding.weight", N_VOCAB, D_MODEL, 0);
    test_add(f, "backbone.norm_f.weight", D_MODEL, 0, 0);
    for (int i = 0; i < N_LAYER; i++) {
        static const struct {
            const char *name;
            int64_t dims[3];
        } parts[] = {
            {"norm.weight",           {D_MODEL, 0, 0}                    },
            {"mixer.in_proj.weight",  {2 * D_INNER, D_MODEL, 0}          },
            {"mixer.conv1d.weight",   {D_INNER, 1, D_CONV}               },
            {"mixer.conv1d.bias",     {D_INNER, 0, 0}                    },
            {"mixer.x_proj.weight",   {DT_RANK + 2 * D_STATE, D_INNER, 0}},
            {"mixer.dt_proj.weight",  {D_INNER, DT_RANK, 0}              },
            {"mixer.dt_proj.bias",    {D_INNER, 0, 0}                    },
            {"mixer.A_log",           {D_INNER, D_STATE, 0}              },
            {"mixer.D",               {D_INNER, 0, 0}                    },
            {"mixer.out_proj.weight", {D_MODEL, D_INNER, 0}              }
        };
        for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
            char name[64];
            snprintf(name, sizeof name, "backbone.layers.%d.%s", i, parts[k].name);
            test_add(f, name, parts[k].dims[0], parts[k].dims[1], parts[k].dims[2]);
        }
    }
}

/* Writes weights and, unless NULL, the config. */
static inline void test_write(test_files *f, const char *config)
{
    quamba_error err;
    if (qm_safetensors_write(f->weights, f->tensors, f->n, NULL, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    if (config && qm_file_write(f->config, config, strlen(config), &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
}

static inline void test_files_free(test_files *f)
{
    unlink(f->config);
    unlink(f->weights);
    rmdir(f->dir);
}

#endif

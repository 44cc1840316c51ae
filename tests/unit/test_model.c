/* Opening models: what is right opens, everything else is refused with the name of what is wrong.
 */
#include "model_files.h"

#include "model/model.h"

static quamba_status open_it(const test_files *f, const char *mode, quamba_model **model,
                             quamba_error *err)
{
    quamba_model_options opt = {.mode = mode, .n_threads = 2};
    return quamba_model_open(model, f->dir, &opt, err);
}

/* The files as they are must be refused with status and a message that holds both texts. */
static void refuse(const test_files *f, quamba_status status, const char *what, const char *why)
{
    quamba_model *model = NULL;
    quamba_error err = {0};
    quamba_status got = open_it(f, NULL, &model, &err);
    if (got != status || !strstr(err.message, what) || !strstr(err.message, why) ||
        !strstr(err.message, f->dir))
        fail_msg("want status %d, \"%s\" and \"%s\"; got %d: %s", status, what, why, got,
                 got == QUAMBA_OK ? "opened" : err.message);
    assert_null(model);
}

static void test_good(void **state)
{
    (void)state;
    static const char hugging_face[] =
        "{\"model_type\": \"mamba\", \"hidden_size\": 8, \"intermediate_size\": 16, "
        "\"num_hidden_layers\": 2, \"state_size\": 4, \"conv_kernel\": 4, \"expand\": 2, "
        "\"time_step_rank\": 2, \"vocab_size\": 24, \"layer_norm_epsilon\": 1e-05, "
        "\"use_bias\": false, \"use_conv_bias\": true, \"hidden_act\": \"silu\"}";
    const char *const configs[] = {good_config, hugging_face, "{}", NULL};
    for (size_t i = 0; i < 4; i++) {
        test_files f;
        quamba_error err;
        quamba_model *model = NULL;
        test_files_new(&f);
        if (i == 1) test_find(&f, "backbone.embedding.weight")->name = "backbone.embeddings.weight";
        test_write(&f, configs[i] ? configs[i] : "{}");
        quamba_status status =
            configs[i] ? open_it(&f, NULL, &model, &err)
                       : quamba_model_open(&model, f.weights, NULL, &err); /* the bare file */
        if (status != QUAMBA_OK) fail_msg("config %zu: %s", i, err.message);
        quamba_model_info info = quamba_model_get_info(model);
        assert_int_equal(info.n_layer, N_LAYER);
        assert_int_equal(info.d_inner, D_INNER);
        assert_int_equal(info.d_state, D_STATE);
        assert_int_equal(info.dt_rank, DT_RANK);
        assert_int_equal(info.n_vocab, N_VOCAB);
        assert_int_equal(info.n_parameters,
                         24 * 8 + 8 + 2 * (8 + 256 + 64 + 16 + 160 + 32 + 16 + 64 + 16 + 128));
        assert_int_equal(info.weights_bytes, 4 * info.n_parameters);
        assert_string_equal(info.weight_format, "f32");
        quamba_model_close(&model);
        assert_null(model);
        test_files_free(&f);
    }
}

/* A head of its own, a head that repeats the embedding, one that only claims to. */
static void test_heads(void **state)
{
    (void)state;
    test_files f;
    quamba_error err;
    quamba_model *model = NULL;
    test_files_new(&f);
    test_add(&f, "lm_head.weight", N_VOCAB, D_MODEL, 0);
    memcpy(test_values(&f, "lm_head.weight"), test_values(&f, "backbone.embedding.weight"),
           N_VOCAB * D_MODEL * sizeof(float));
    test_write(&f, good_config);
    assert_int_equal(open_it(&f, NULL, &model, &err), QUAMBA_OK);
    uint64_t tied = quamba_model_get_info(model).n_parameters;
    assert_true(model->head.weight == model->embedding.weight);
    quamba_model_close(&model);
    test_values(&f, "lm_head.weight")[3] += 1;
    test_write(&f, good_config);
    refuse(&f, QUAMBA_E_FORMAT, "tie_embeddings", "lm_head.weight is not the embedding");
    test_write(&f, "{\"tie_embeddings\": false}");
    assert_int_equal(open_it(&f, NULL, &model, &err), QUAMBA_OK);
    assert_int_equal(quamba_model_get_info(model).n_parameters, tied + N_VOCAB * D_MODEL);
    quamba_model_close(&model);
    f.n--;
    test_write(&f, "{\"tie_embeddings\": false}");
    refuse(&f, QUAMBA_E_FORMAT, "tie_embeddings", "lm_head.weight is missing");
    test_files_free(&f);
}

/* Each tensor missing, of a wrong shape, of a wrong type, not finite. */
static void test_bad_tensors(void **state)
{
    (void)state;
    test_files f;
    test_files_new(&f);
    for (size_t i = 0; i < f.n; i++) {
        const qm_tensor kept = f.tensors[i];
        qm_tensor *t = &f.tensors[i];
        char base[64];
        snprintf(base, sizeof base, "%s", kept.name);

        t->name = "backbone.something";
        test_write(&f, good_config);
        refuse(&f, QUAMBA_E_FORMAT, base, "is missing");
        *t = kept;

        t->shape[t->ndim - 1]--; /* still inside the values */
        if (t->ndim == 2) t->stride[0] = t->shape[1];
        if (t->ndim == 3) t->stride[0] = t->stride[1] = t->shape[2];
        test_write(&f, "{}");
        quamba_model *model = NULL;
        quamba_error err;
        quamba_status status = open_it(&f, NULL, &model, &err);
        if (status != QUAMBA_E_FORMAT) fail_msg("%s of a wrong shape: %d", base, status);
        *t = kept;

        t->dtype = QM_I16;
        test_write(&f, good_config);
        refuse(&f, QUAMBA_E_FORMAT, base, "must be f32, f16 or bf16");
        *t = kept;

        float *last = f.values[i];
        int64_t count = 1;
        for (int32_t k = 0; k < kept.ndim; k++)
            count *= kept.shape[k];
        last += count - 1;
        float number = *last;
        for (int k = 0; k < 2; k++) {
            char where[64];
            snprintf(where, sizeof where, "element %d is not a finite number", (int)count - 1);
            *last = k ? NAN : -INFINITY;
            test_write(&f, good_config);
            refuse(&f, QUAMBA_E_FORMAT, base, where);
        }
        *last = number;
    }
    test_add(&f, "backbone.layers.0.mixer.extra", 3, 0, 0);
    test_write(&f, good_config);
    refuse(&f, QUAMBA_E_FORMAT, "backbone.layers.0.mixer.extra", "not part of a Mamba-1 model");
    test_files_free(&f);
}

static void test_bad_configs(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        quamba_status status;
        const char *what, *why;
    } cases[] = {
        {"{\"d_model\": 9}",                                      QUAMBA_E_FORMAT,      "\"d_model\" comes to 9", "the tensors say 8"  },
        {"{\"hidden_size\": 9}",                                  QUAMBA_E_FORMAT,      "d_model",                "comes to 9"         },
        {"{\"n_layer\": 1}",                                      QUAMBA_E_FORMAT,      "n_layer",                "the tensors say 2"  },
        {"{\"n_layer\": 3}",                                      QUAMBA_E_FORMAT,      "n_layer",
         "backbone.layers.2.norm.weight is missing"                                                                                    },
        {"{\"vocab_size\": 25}",                                  QUAMBA_E_FORMAT,      "vocab_size",             "comes to 25"        },
        {"{\"vocab_size\": 17, \"pad_vocab_size_multiple\": 16}", QUAMBA_E_FORMAT,      "vocab_size",
         "comes to 32"                                                                                                                 },
        {"{\"d_model\": 8, \"ssm_cfg\": {\"expand\": 3}}",        QUAMBA_E_FORMAT,      "d_inner",
         "comes to 24"                                                                                                                 },
        {"{\"ssm_cfg\": {\"d_state\": 16}}",                      QUAMBA_E_FORMAT,      "d_state",                "comes to 16"        },
        {"{\"d_model\": 8, \"hidden_size\": 7}",                  QUAMBA_E_FORMAT,      "hidden_size",
         "another spelling"                                                                                                            },
        {"{\"d_model\": \"8\"}",                                  QUAMBA_E_FORMAT,      "d_model",                "whole number"       },
        {"{\"d_model\": -8}",                                     QUAMBA_E_FORMAT,      "d_model",                "must be in"         },
        {"{\"n_layer\": 1e3}",                                    QUAMBA_E_FORMAT,      "n_layer",                "whole number"       },
        {"{\"n_layer\": 99999999999999999999}",                   QUAMBA_E_FORMAT,      "config.json",            ""                   },
        {"{\"rms_norm\": false}",                                 QUAMBA_E_UNSUPPORTED, "rms_norm",               "only true"          },
        {"{\"use_bias\": true}",                                  QUAMBA_E_UNSUPPORTED, "use_bias",               "only false"         },
        {"{\"residual_in_fp32\": 1}",                             QUAMBA_E_FORMAT,      "residual_in_fp32",       "true or false"      },
        {"{\"attn_layer_idx\": [1]}",                             QUAMBA_E_UNSUPPORTED, "attn_layer_idx",         "attention"          },
        {"{\"d_intermediate\": 5}",                               QUAMBA_E_UNSUPPORTED, "d_intermediate",         "MLP"                },
        {"{\"hidden_act\": \"gelu\"}",                            QUAMBA_E_UNSUPPORTED, "hidden_act",             "gelu"               },
        {"{\"model_type\": \"llama\"}",                           QUAMBA_E_UNSUPPORTED, "llama",                  "not a kind of model"},
        {"{\"ssm_cfg\": {\"layer\": \"Mamba2\"}}",                QUAMBA_E_FORMAT,      "Mamba-2",                "tensors"            },
        {"{\"ssm_cfg\": {\"layer\": \"W8A8QMamba\"}}",            QUAMBA_E_FORMAT,      "quantized",
         "floating point"                                                                                                              },
        {"{\"layer_norm_epsilon\": 0}",                           QUAMBA_E_FORMAT,      "layer_norm_epsilon",     "must be in"         },
        {"[]",                                                    QUAMBA_E_FORMAT,      "config.json",            "object"             },
        {"{",                                                     QUAMBA_E_FORMAT,      "config.json",            "not valid JSON"     },
        {"",                                                      QUAMBA_E_FORMAT,      "config.json",            "not valid JSON"     },
        {"{\"d_model\": 8, \"d_model\": 8}",                      QUAMBA_E_FORMAT,      "config.json",            "d_model"            },
    };
    test_files f;
    test_files_new(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_write(&f, cases[i].config);
        refuse(&f, cases[i].status, cases[i].what, cases[i].why);
    }
    test_files_free(&f);
}

/* Stored in half, in bfloat16 or transposed, a matrix means the same numbers; the half mode rounds
 * weights once. */
static void test_types(void **state)
{
    (void)state;
    test_files f;
    quamba_error err;
    quamba_model *model = NULL;
    test_files_new(&f);
    const char *name = "backbone.layers.1.mixer.in_proj.weight";
    qm_tensor *t = test_find(&f, name);
    float *values = test_values(&f, name);
    static uint16_t halves[256];
    for (size_t i = 0; i < 256; i++) {
        values[i] = (float)i / 16;
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        halves[i] = (uint16_t)(bits >> 16); /* exact in bfloat16 */
    }
    t->dtype = QM_BF16;
    t->data = halves;
    test_write(&f, good_config);
    assert_int_equal(open_it(&f, NULL, &model, &err), QUAMBA_OK);
    assert_int_equal(model->layers[1].in_proj.dtype, QM_BF16);
    quamba_model_close(&model);
    assert_int_equal(open_it(&f, "fp16", &model, &err), QUAMBA_OK);
    assert_int_equal(model->layers[1].in_proj.dtype, QM_F16);
    assert_int_equal(((const uint16_t *)model->layers[1].in_proj.weight)[32], 0x4000); /* 2.0 */
    assert_int_equal(model->layers[0].in_proj.dtype, QM_F16);
    quamba_model_close(&model);
    assert_int_equal(open_it(&f, "7-3", &model, &err), QUAMBA_E_ARGUMENT);
    assert_non_null(strstr(err.message, "7-3"));
    test_files_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_bad_tensors), cmocka_unit_test(test_bad_configs),
        cmocka_unit_test(test_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

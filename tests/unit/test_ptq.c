/* The entries of a W8A8 checkpoint against upstream's, bit for bit, and the same bits always. */
#include "model_files.h"

#include "manifest.h"

#include "base/hash.h"
#include "kernels/cpu.h"
#include "quant/ptq.h"

static void fuse(qm_fused **fused, qm_source **source, const char *path)
{
    quamba_error err;
    if (qm_source_open(source, path, &err) != QUAMBA_OK ||
        qm_fuse(fused, *source, (uint32_t)qm_cpu_select("native"), 2, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
}

static void check_manifest(const char *model, const qm_fused *fused, const char *scales_file,
                           const char *manifest_file, size_t n, bool eight_bit)
{
    char path[512];
    quamba_error err;
    qm_act_scales scales;
    qm_quantized *q = NULL;
    json_t *manifest = manifest_load(manifest_file, model);
    shared_path(path, scales_file, model);
    qm_ptq_options options = {eight_bit, eight_bit, 2};
    if (qm_act_scales_load(&scales, path, &err) != QUAMBA_OK ||
        qm_quantize_w8a8(&q, fused, &scales, &options, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    size_t checked = 0;
    for (size_t i = 0; i < q->n; i++) {
        if (eight_bit && strstr(q->tensors[i].name, "layers")) continue; /* not listed */
        manifest_check(manifest, &q->tensors[i]);
        checked++;
    }
    assert_int_equal(checked, n);
    assert_int_equal(json_object_size(manifest), n);
    qm_quantized_free(&q);
    qm_act_scales_free(&scales);
    json_decref(manifest);
}

static void check_model(const char *model)
{
    char path[512];
    qm_source *source = NULL;
    qm_fused *fused = NULL;
    shared_path(path, "models/%s", model);
    fuse(&fused, &source, path);
    check_manifest(model, fused, "golden/fork/%s/act_scales_a9995.json",
                   "golden/fork/%s/manifest_a9995.json", 891, false);
    check_manifest(model, fused, "golden/fork/%s/act_scales_a9999.json",
                   "golden/fork/%s/manifest_a9999.json", 891, false);
    check_manifest(model, fused, "golden/fork/%s/act_scales_a9995.json",
                   "golden/fork/%s/manifest_head8.json", 8, true);
    qm_fused_free(&fused);
    qm_source_close(&source);
}

static void test_demo(void **state)
{
    (void)state;
    check_model("demo");
}

static void test_mid(void **state)
{
    (void)state;
    check_model("mid");
}

/* Scales of a model of N_LAYER layers, all different. */
static void make_scales(qm_act_scales *scales)
{
    quamba_error err;
    if (qm_act_scales_new(scales, N_LAYER, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    for (int32_t i = 0; i < N_LAYER; i++)
        for (int32_t k = 0; k < QM_N_LAYER_SCALES; k++)
            scales->layers[i][k] = 0.01f * (float)(i * QM_N_LAYER_SCALES + k + 1);
    scales->head[QM_LM_HEAD_INPUT] = 0.3f;
}

/* A tiny model, everything in 8 bits: its hash, for any number of threads. */
static void test_tiny(void **state)
{
    (void)state;
    static const uint64_t recorded = 0x7dba1618acca1debu;
    test_files f;
    quamba_error err;
    qm_source *source = NULL;
    qm_fused *fused = NULL;
    qm_act_scales scales;
    make_scales(&scales);
    test_files_new(&f);
    test_write(&f, good_config);
    fuse(&fused, &source, f.dir);
    for (int32_t threads = 1; threads <= 3; threads += 2) {
        qm_quantized *q = NULL;
        qm_ptq_options options = {true, true, threads};
        if (qm_quantize_w8a8(&q, fused, &scales, &options, &err) != QUAMBA_OK)
            fail_msg("%s", err.message);
        assert_int_equal(q->n, 37 * N_LAYER + 8);
        uint64_t hash = 0;
        for (size_t i = 0; i < q->n; i++) {
            unsigned char bytes[4096];
            assert_true(qm_tensor_bytes(&q->tensors[i]) <= sizeof bytes);
            qm_tensor_copy(&q->tensors[i], bytes);
            hash = qm_hash64(q->tensors[i].name, strlen(q->tensors[i].name), hash);
            hash = qm_hash64(bytes, (size_t)qm_tensor_bytes(&q->tensors[i]), hash);
        }
        if (hash != recorded) fail_msg("hash is 0x%016llx", (unsigned long long)hash);
        qm_quantized_free(&q);
    }
    qm_fused_free(&fused);
    qm_source_close(&source);
    qm_act_scales_free(&scales);
    test_files_free(&f);
}

static void refuse(const qm_fused *fused, const qm_act_scales *scales, const char *word)
{
    quamba_error err = {0};
    qm_quantized *q = NULL;
    qm_ptq_options options = {false, true, 1};
    quamba_status status = qm_quantize_w8a8(&q, fused, scales, &options, &err);
    if (status != QUAMBA_E_FORMAT || !strstr(err.message, word))
        fail_msg("want \"%s\", got %d \"%s\"", word, status, err.message);
    assert_null(q);
}

static void test_refusals(void **state)
{
    (void)state;
    test_files f;
    qm_source *source = NULL;
    qm_fused *fused = NULL;
    qm_act_scales scales;
    test_files_new(&f);
    test_write(&f, good_config);
    fuse(&fused, &source, f.dir);
    make_scales(&scales);
    scales.n_layer = 1;
    refuse(fused, &scales, "of 1 layers, the model has 2");
    scales.n_layer = N_LAYER;
    scales.layers[1][QM_X_PROJ_OUTPUT] = NAN;
    refuse(fused, &scales, "layer 1: \"x_proj:output\" is missing");
    scales.layers[1][QM_X_PROJ_OUTPUT] = 1e-38f;
    scales.layers[1][QM_X_PROJ_INPUT] = 1e38f;
    refuse(fused, &scales, "backbone.layers.1.mixer.x_proj.a comes to inf");
    qm_act_scales_free(&scales);
    qm_fused_free(&fused);
    qm_source_close(&source);
    test_files_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_demo),
        cmocka_unit_test(test_mid),
        cmocka_unit_test(test_tiny),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

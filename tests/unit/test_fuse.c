/* The fused half-precision model: upstream's bits, and what is refused. */
#include "model_files.h"

#include "manifest.h"

#include "kernels/cpu.h"
#include "model/model.h"
#include "quant/fuse.h"

static void open_source(qm_source **source, const char *path)
{
    quamba_error err;
    if (qm_source_open(source, path, &err) != QUAMBA_OK) fail_msg("%s", err.message);
}

static void check_model(const char *name)
{
    char path[512];
    quamba_error err;
    qm_source *source = NULL;
    qm_fused *fused = NULL;
    json_t *manifest = manifest_load("golden/fork/%s/manifest_fused_fp16.json", name);
    shared_path(path, "models/%s", name);
    open_source(&source, path);
    if (qm_fuse(&fused, source, (uint32_t)qm_cpu_select("native"), 2, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    size_t n = 0;
    for (size_t i = 0; i < fused->n; i++) {
        if (strstr(fused->tensors[i].name, "dt_proj.bias")) continue; /* not listed */
        manifest_check(manifest, &fused->tensors[i]);
        n++;
    }
    assert_int_equal(n, json_object_size(manifest));
    assert_int_equal(n, 219);
    qm_fused_free(&fused);
    assert_null(fused);
    qm_source_close(&source);
    json_decref(manifest);
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

/* Any number of threads and any instruction set give the same bits, from any float type. */
static void test_same_bits(void **state)
{
    (void)state;
    test_files f;
    quamba_error err;
    qm_fused *first = NULL;
    static const char *const cpus[] = {"scalar", "native"};
    test_files_new(&f);
    test_write(&f, good_config);
    qm_source *source = NULL;
    open_source(&source, f.dir);
    for (size_t i = 0; i < 4; i++) {
        qm_fused *fused = NULL;
        uint32_t cpu = (uint32_t)qm_cpu_select(cpus[i % 2]);
        if (qm_fuse(&fused, source, cpu, 1 + (int32_t)i, &err) != QUAMBA_OK)
            fail_msg("%s", err.message);
        if (!first) {
            first = fused;
            continue;
        }
        for (size_t k = 0; k < fused->n; k++)
            assert_memory_equal(fused->tensors[k].data, first->tensors[k].data,
                                qm_tensor_bytes(&fused->tensors[k]));
        qm_fused_free(&fused);
    }
    qm_fused_free(&first);
    qm_source_close(&source);
    test_files_free(&f);
}

/* Fused tensors can be bound as a model is. */
static void test_binds(void **state)
{
    (void)state;
    test_files f;
    quamba_error err;
    qm_source *source = NULL;
    qm_fused *fused = NULL;
    test_files_new(&f);
    test_write(&f, good_config);
    open_source(&source, f.dir);
    if (qm_fuse(&fused, source, 0, 1, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    quamba_model *model = qm_alloc(1, sizeof *model);
    assert_non_null(model);
    model->config = fused->config;
    if (qm_model_bind(model, qm_fused_find, fused, 1, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    assert_false(model->config.tie_embeddings);
    assert_true(model->head.weight != model->embedding.weight);
    assert_true(model->layers[1].norm[D_MODEL - 1] == 1.0f);
    quamba_model_close(&model);
    qm_fused_free(&fused);
    qm_source_close(&source);
    test_files_free(&f);
}

static void refuse(test_files *f, quamba_status want, const char *word)
{
    quamba_error err = {0};
    qm_source *source = NULL;
    qm_fused *fused = NULL;
    test_write(f, "{}");
    open_source(&source, f->dir);
    quamba_status got = qm_fuse(&fused, source, 0, 1, &err);
    if (got != want || !strstr(err.message, word))
        fail_msg("want %d \"%s\", got %d \"%s\"", want, word, got, err.message);
    assert_null(fused);
    qm_source_close(&source);
    test_files_free(f);
}

static void test_refusals(void **state)
{
    (void)state;
    test_files f;
    test_files_new(&f);
    test_values(&f, "backbone.layers.1.mixer.x_proj.weight")[7] = 1e6f;
    refuse(&f, QUAMBA_E_FORMAT, "x_proj.weight: element 7 is not a finite half-precision number");
    test_files_new(&f);
    test_values(&f, "backbone.layers.0.mixer.D")[3] = NAN;
    refuse(&f, QUAMBA_E_FORMAT, "mixer.D: element 3 is not a finite number");
    test_files_new(&f);
    float *row = test_values(&f, "backbone.embedding.weight");
    for (int i = 0; i < D_MODEL; i++)
        row[i] = 60000.0f;
    refuse(&f, QUAMBA_E_FORMAT, "element 0 overflows half precision when rotated");
    test_files_new(&f);
    test_find(&f, "backbone.layers.0.mixer.out_proj.weight")->shape[1] = 15;
    refuse(&f, QUAMBA_E_FORMAT, "out_proj.weight is f32 [8, 15], must be f16 [8, 16]");
    test_files_new(&f);
    test_find(&f, "backbone.layers.1.norm.weight")->dtype = QM_I32;
    refuse(&f, QUAMBA_E_FORMAT, "norm.weight is i32 [8]");
    test_files_new(&f);
    test_add(&f, "backbone.layers.1.mixer.in_proj.bias", 32, 0, 0);
    refuse(&f, QUAMBA_E_FORMAT, "in_proj.bias is not part of a Mamba-1 model of 2 layers");
    test_files_new(&f);
    test_find(&f, "backbone.embedding.weight")->shape[1] = 7;
    refuse(&f, QUAMBA_E_UNSUPPORTED, "d_model is 7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_demo),      cmocka_unit_test(test_mid),
        cmocka_unit_test(test_same_bits), cmocka_unit_test(test_binds),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

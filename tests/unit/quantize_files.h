/* The small checkpoint of model_files.h and activation scales for it. */
#ifndef TEST_QUANTIZE_FILES_H
#define TEST_QUANTIZE_FILES_H

#include "model_files.h"

#include "model/act_scales.h"

typedef struct test_quantize {
    test_files files;
    char scales[96], output[96];
} test_quantize;

static inline void test_quantize_new(test_quantize *t, const char *config)
{
    quamba_error err;
    qm_act_scales scales;
    test_files_new(&t->files);
    test_write(&t->files, config);
    snprintf(t->scales, sizeof t->scales, "%s.scales.json", t->files.dir);
    snprintf(t->output, sizeof t->output, "%s.w8a8", t->files.dir);
    assert_int_equal(qm_act_scales_new(&scales, N_LAYER, &err), QUAMBA_OK);
    for (int32_t i = 0; i < N_LAYER; i++)
        for (int32_t k = 0; k < QM_N_LAYER_SCALES; k++)
            scales.layers[i][k] = 0.01f * (float)(i + k + 1);
    scales.head[QM_LM_HEAD_INPUT] = 0.05f;
    if (qm_act_scales_write(&scales, t->scales, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    qm_act_scales_free(&scales);
}

/* Removes the output, which must hold exactly the n_files named, and, with 0, not be there. */
static inline void test_quantize_remove_output(const test_quantize *t, size_t n_files,
                                               const char *const *names)
{
    char path[160];
    for (size_t i = 0; i < n_files; i++) {
        snprintf(path, sizeof path, "%s/%s", t->output, names[i]);
        if (unlink(path) != 0) fail_msg("%s is not there", path);
    }
    if (n_files > 0 && rmdir(t->output) != 0) fail_msg("%s holds more", t->output);
    snprintf(path, sizeof path, "%s.%ld.tmp", t->output, (long)getpid());
    assert_false(qm_path_is_dir(t->output));
    assert_false(qm_path_is_dir(path));
}

static inline void test_quantize_free(test_quantize *t)
{
    unlink(t->scales);
    test_files_free(&t->files);
}

#endif

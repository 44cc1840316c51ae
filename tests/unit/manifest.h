/* Recorded manifests of ../shared/golden/fork: the type, shape and SHA-256 that a tensor must have.
 */
#ifndef TEST_MANIFEST_H
#define TEST_MANIFEST_H

#include "base/sha256.h"

#include "base/file.h"
#include "format/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* "$QUAMBA_SHARED_DIR/format..." into out; skips the test, loudly, when that is not there. */
static inline void shared_path(char out[512], const char *format, const char *model)
{
    const char *shared = getenv("QUAMBA_SHARED_DIR");
    int at = snprintf(out, 512, "%s/", shared ? shared : "../shared");
    snprintf(out + at, 512 - (size_t)at, format, model);
    if (qm_path_is_file(out) || qm_path_is_dir(out)) return;
    print_message("SKIPPED: this test needs ../shared: %s\n", out);
    skip();
}

static inline json_t *manifest_load(const char *format, const char *model)
{
    char path[512];
    quamba_error err;
    json_t *manifest = NULL;
    shared_path(path, format, model);
    if (qm_json_load(&manifest, path, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    return manifest;
}

/* A tensor against its entry; strides where the manifest tells them. */
static inline void manifest_check(const json_t *manifest, const qm_tensor *t)
{
    static const char *const types[QM_N_DTYPES] = {
        [QM_F32] = "float32", [QM_F16] = "float16", [QM_I8] = "int8"};
    char hex[65];
    const json_t *want = json_object_get(manifest, t->name);
    if (!want) fail_msg("%s: is not in the manifest", t->name);
    const char *type = json_string_value(json_object_get(want, "dtype"));
    const json_t *shape = json_object_get(want, "shape"), *stride = json_object_get(want, "stride");
    unsigned char *bytes = malloc(qm_tensor_bytes(t) + 1);
    assert_non_null(bytes);
    qm_tensor_copy(t, bytes);
    if (!shape) { /* a Python float */
        double value = json_number_value(json_object_get(want, "value"));
        float have;
        memcpy(&have, bytes, sizeof have);
        if (!t->python_float || t->ndim != 0 || t->dtype != QM_F32 || have != (float)value)
            fail_msg("%s: is %.9g, must be the Python float %.9g", t->name, (double)have, value);
    } else {
        if (t->python_float || strcmp(types[t->dtype] ? types[t->dtype] : "", type) != 0 ||
            json_array_size(shape) != (size_t)t->ndim)
            fail_msg("%s: must be a tensor of %s", t->name, type);
        for (size_t i = 0; i < (size_t)t->ndim; i++) {
            assert_int_equal(t->shape[i], json_integer_value(json_array_get(shape, i)));
            if (stride && t->shape[i] > 1)
                assert_int_equal(t->stride[i], json_integer_value(json_array_get(stride, i)));
        }
        qm_sha256(bytes, qm_tensor_bytes(t), hex);
        if (strcmp(hex, json_string_value(json_object_get(want, "sha256"))) != 0)
            fail_msg("%s: has other elements than upstream's", t->name);
    }
    free(bytes);
}

#endif

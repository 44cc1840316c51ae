/* models/demo quantized as the original did it: with the activation scales that were recorded
 * (tests/golden/act_scales_demo.json), into a directory of its own below the build directory. */
#ifndef TESTS_UNIT_QUANTIZED_DEMO_H
#define TESTS_UNIT_QUANTIZED_DEMO_H

#include "quamba/quamba.h"

#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Set by ctest; guessing would write models into the source tree. */
static const char *quantized_demo_directory(const char *variable)
{
    const char *value = getenv(variable);
    if (!value) fail_msg("%s is not set: run this by ctest", variable);
    return value;
}

/* name: of the directory, different for each program; path: where it goes. */
static void quantize_demo(const char *name, bool with_head, char path[1024])
{
    static const char *const files[] = {"model.safetensors", "config.json", "act_scales.json",
                                        "tokenizer.json"};
    char source[1024], scales[1024], old[1200];
    quamba_error err;
    snprintf(source, sizeof source, "%s/models/demo",
             quantized_demo_directory("QUAMBA_SOURCE_DIR"));
    snprintf(scales, sizeof scales, "%s/tests/golden/act_scales_demo.json",
             quantized_demo_directory("QUAMBA_SOURCE_DIR"));
    snprintf(path, 1024, "%s/%s", quantized_demo_directory("QUAMBA_BUILD_DIR"), name);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) { /* of an earlier run */
        snprintf(old, sizeof old, "%s/%s", path, files[i]);
        remove(old);
    }
    quamba_quantize_options opt = quamba_quantize_options_default();
    opt.act_scales = scales;
    opt.quantize_embedding = opt.quantize_lm_head = with_head;
    opt.n_threads = 2;
    if (quamba_quantize(source, path, &opt, &err) != QUAMBA_OK) fail_msg("%s", err.message);
}

#endif

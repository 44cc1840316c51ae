/* The file of activation scales: there and back, and what is refused. */
#include "base/file.h"
#include "base/half.h"
#include "base/text.h"
#include "model/act_scales.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const layer_needed[] = {
    "dt_proj:output",      "in_proj:input", "in_proj:output", "out_proj:input",
    "ssm_state_act:input", "x_proj:input",  "x_proj:output"};

/* A list of one layer and the head, each scale 0.5, but that entry (NULL: none) written as text
 * (NULL: left out). */
static void make(qm_text *out, const char *entry, const char *text)
{
    qm_text_puts(out, "[{");
    const char *comma = "";
    for (size_t i = 0; i < sizeof layer_needed / sizeof layer_needed[0]; i++) {
        const char *value = "{\"value\": 0.5, \"f32\": \"0000003f\"}";
        if (entry && strcmp(entry, layer_needed[i]) == 0) value = text;
        if (!value) continue;
        qm_text_printf(out, "%s\"%s\": %s", comma, layer_needed[i], value);
        comma = ", ";
    }
    qm_text_puts(out, "}, {\"lm_head:input\": {\"value\": 0.25}}]");
}

static void refuse_text(const char *text, const char *word)
{
    quamba_error err = {0};
    qm_act_scales scales;
    quamba_status status = qm_act_scales_parse(&scales, text, strlen(text), &err);
    if (status != QUAMBA_E_FORMAT || !strstr(err.message, word))
        fail_msg("%s: want \"%s\", got %d \"%s\"", text, word, status, err.message);
    assert_null(scales.layers);
}

static void refuse(const char *entry, const char *value, const char *word)
{
    qm_text text = {0};
    make(&text, entry, value);
    refuse_text(text.data, word);
    qm_text_free(&text);
}

static void test_good(void **state)
{
    (void)state;
    quamba_error err;
    qm_act_scales scales;
    qm_text text = {0};
    make(&text, NULL, NULL);
    if (qm_act_scales_parse(&scales, text.data, text.size, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    assert_int_equal(scales.n_layer, 1);
    assert_true(scales.layers[0][QM_X_PROJ_OUTPUT] == 0.5f);
    assert_true(isnan(scales.layers[0][QM_DT_PROJ_INPUT])); /* may be absent */
    assert_true(scales.head[QM_LM_HEAD_INPUT] == 0.25f);
    qm_act_scales_free(&scales);
    qm_text_free(&text);
}

static void test_refusals(void **state)
{
    (void)state;
    const char *const entry = "x_proj:input";
    refuse(entry, NULL, "layer 0: \"x_proj:input\" is missing");
    refuse(entry, "0.5", "layer 0: x_proj:input: must be an object");
    refuse(entry, "{}", "\"value\" is missing");
    refuse(entry, "{\"value\": \"0.5\"}", "\"value\"");
    refuse(entry, "{\"value\": 0}", "is 0, must be positive");
    refuse(entry, "{\"value\": -1}", "is -1, must be positive");
    refuse(entry, "{\"value\": 1e39}", "must be positive and finite");
    refuse(entry, "{\"value\": 1e-60}", "must be positive");
    refuse(entry, "{\"value\": NaN}", "not valid JSON");
    refuse(entry, "{\"value\": 0.5, \"f32\": \"0000803f\"}",
           "layer 0: x_proj:input: \"value\" is 0.5");
    refuse(entry, "{\"value\": 0.5, \"f32\": \"3f\"}", "\"f32\" is \"3f\"");
    refuse(entry, "{\"value\": 0.5, \"f32\": \"0000003g\"}", "other bytes");
    refuse(entry, "{\"value\": 0.5, \"f32\": 7}", "\"f32\"");
    refuse(entry, "{\"value\": 0.5}, \"conv:input\": {\"value\": 1}", "\"conv:input\" is no scale");
    refuse_text("{}", "must be a list");
    refuse_text("[{}]", "must be a list");
    refuse_text("[3, {}]", "layer 0: must be an object");
    refuse_text("[{}, []]", "the head: must be an object");
    refuse_text("[", "not valid JSON");
}

/* Every float survives: also those that have no short decimal form. */
static void test_round_trip(void **state)
{
    (void)state;
    enum { N = 500 };
    char path[] = "/tmp/quamba-scales-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    quamba_error err;
    qm_act_scales a, b;
    assert_int_equal(qm_act_scales_new(&a, N, &err), QUAMBA_OK);
    uint32_t bits = 1; /* the smallest subnormal, then through the exponents */
    for (int32_t i = 0; i < N; i++)
        for (int32_t k = 0; k < QM_N_LAYER_SCALES; k++, bits += 423649u)
            if (k != QM_DT_PROJ_INPUT) a.layers[i][k] = qm_f32_bits(bits);
    assert_true(bits < 0x7f800000u);
    assert_int_equal(qm_act_scales_check(&a, &err), QUAMBA_E_FORMAT);
    assert_non_null(strstr(err.message, "the head: \"lm_head:input\" is missing"));
    a.head[QM_LM_HEAD_INPUT] = 0x1.fffffep+127f;
    if (qm_act_scales_write(&a, path, &err) != QUAMBA_OK ||
        qm_act_scales_load(&b, path, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    assert_int_equal(b.n_layer, N);
    for (int32_t i = 0; i < N; i++)
        for (int32_t k = 0; k < QM_N_LAYER_SCALES; k++)
            assert_int_equal(qm_bits_f32(a.layers[i][k]), qm_bits_f32(b.layers[i][k]));
    assert_memory_equal(a.head, b.head, sizeof a.head);
    qm_act_scales_free(&a);
    qm_act_scales_free(&b);
    unlink(path);
    assert_int_equal(qm_act_scales_load(&b, path, &err), QUAMBA_E_IO);
    assert_non_null(strstr(err.message, path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_round_trip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

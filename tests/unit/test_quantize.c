/* quamba_quantize: what it writes, how it is watched and stopped. */
#include "quantize_files.h"

#include "base/json.h"
#include "model/config.h"

static const char *const written[] = {"config.json", "act_scales.json", "model.safetensors"};
enum { N_WRITTEN = 3 };

static json_t *quantize_config(const test_quantize *t, const quamba_quantize_options *options)
{
    quamba_error err;
    char path[160];
    json_t *json = NULL;
    if (quamba_quantize(t->files.dir, t->output, options, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    snprintf(path, sizeof path, "%s/config.json", t->output);
    if (qm_json_load(&json, path, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    return json;
}

/* The config of the result agrees with its tensors, from either spelling of the source's. */
static void test_configs(void **state)
{
    (void)state;
    static const char hugging_face[] =
        "{\"model_type\": \"mamba\", \"hidden_size\": 8, \"intermediate_size\": 16, "
        "\"num_hidden_layers\": 2, \"state_size\": 4, \"conv_kernel\": 4, \"expand\": 2, "
        "\"time_step_rank\": 2, \"vocab_size\": 24, \"layer_norm_epsilon\": 1e-06, "
        "\"tie_word_embeddings\": true}";
    const char *const configs[] = {good_config, hugging_face, NULL};
    for (size_t i = 0; i < 3; i++) {
        test_quantize t;
        quamba_error err;
        qm_source *source = NULL;
        qm_config config;
        test_quantize_new(&t, configs[i]);
        quamba_quantize_options o = quamba_quantize_options_default();
        o.act_scales = t.scales;
        o.quantize_lm_head = i == 1;
        o.percentile_alpha = 0.75;
        json_t *json;
        if (configs[i]) {
            json = quantize_config(&t, &o);
        } else { /* a bare file of tensors has none */
            char path[160];
            if (quamba_quantize(t.files.weights, t.output, &o, &err) != QUAMBA_OK)
                fail_msg("%s", err.message);
            snprintf(path, sizeof path, "%s/config.json", t.output);
            assert_int_equal(qm_json_load(&json, path, &err), QUAMBA_OK);
        }
        json_t *ssm = json_object_get(json, "ssm_cfg");
        const json_t *recipe = json_object_get(json, "quantization_config");
        assert_string_equal(json_string_value(json_object_get(ssm, "layer")), "W8A8QMamba");
        assert_int_equal(json_integer_value(json_object_get(ssm, "d_state")), D_STATE);
        assert_int_equal(json_integer_value(json_object_get(ssm, "dt_rank")), DT_RANK);
        assert_int_equal(json_integer_value(json_object_get(json, "vocab_size")), i == 0 ? 23 : 24);
        assert_true(json_is_false(json_object_get(json, "tie_embeddings")));
        assert_null(json_object_get(json, "tie_word_embeddings"));
        assert_true(json_real_value(json_object_get(recipe, "percentile_alpha")) == 0.75);
        assert_int_equal(json_is_true(json_object_get(recipe, "quantize_lm_head")), i == 1);
        json_decref(json);
        if (qm_source_open(&source, t.output, &err) != QUAMBA_OK ||
            qm_config_of(&config, source, &err) != QUAMBA_OK)
            fail_msg("config %zu: %s", i, err.message);
        assert_true(config.quantized);
        assert_false(config.tie_embeddings);
        assert_true(config.norm_eps == (i == 1 ? 1e-6 : 1e-5));
        qm_source_close(&source);
        quamba_model *model = NULL; /* and it runs */
        if (quamba_model_open(&model, t.output, NULL, &err) != QUAMBA_OK)
            fail_msg("config %zu: %s", i, err.message);
        quamba_model_close(&model);
        test_quantize_remove_output(&t, N_WRITTEN, written);
        test_quantize_free(&t);
    }
}

typedef struct watch {
    uint64_t last, stop_at;
} watch;

static void on_progress(void *user, const char *stage, uint64_t done, uint64_t total)
{
    watch *w = user;
    assert_string_equal(stage, "quantize");
    assert_int_equal(total, 3);
    assert_true(done == 0 || done == w->last + 1);
    w->last = done;
}

static bool on_cancelled(void *user)
{
    const watch *w = user;
    return w->last >= w->stop_at;
}

static void test_stopping(void **state)
{
    (void)state;
    test_quantize t;
    test_quantize_new(&t, good_config);
    for (uint64_t stop = 0; stop <= 4; stop++) {
        quamba_error err = {0};
        watch w = {.stop_at = stop};
        quamba_quantize_options o = quamba_quantize_options_default();
        o.act_scales = t.scales;
        o.progress = on_progress;
        o.cancelled = on_cancelled;
        o.user = &w;
        quamba_status status = quamba_quantize(t.files.dir, t.output, &o, &err);
        assert_int_equal(status, stop <= 3 ? QUAMBA_E_CANCELLED : QUAMBA_OK);
        test_quantize_remove_output(&t, stop <= 3 ? 0 : N_WRITTEN, written);
    }
    test_quantize_free(&t);
}

static void test_refusals(void **state)
{
    (void)state;
    test_quantize t;
    test_quantize_new(&t, good_config);
    for (int i = 0; i < 8; i++) {
        quamba_error err = {0};
        quamba_quantize_options o = quamba_quantize_options_default();
        quamba_status want = QUAMBA_E_ARGUMENT;
        o.act_scales = t.scales;
        if (i == 0) o.act_scales = NULL;
        if (i == 1) o.n_threads = 0;
        if (i == 2) o.n_threads = 1025;
        if (i == 3) o.percentile_alpha = (double)NAN;
        if (i == 4) o.percentile_alpha = 1.0001;
        if (i == 5) o.cpu = "z80";
        if (i == 6) o.w_bits = 4, want = QUAMBA_E_UNSUPPORTED;
        const char *output = i == 7 ? "" : t.output;
        quamba_status status = quamba_quantize(t.files.dir, output, &o, &err);
        if (status != want || err.message[0] == '\0')
            fail_msg("case %d: %d %s", i, status, err.message);
    }
    test_quantize_remove_output(&t, 0, written);
    test_quantize_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_configs),
                                       cmocka_unit_test(test_stopping),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

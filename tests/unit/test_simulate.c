/* W8A8 imitated in floating point: with every kind of tensor left alone it is the rotated model,
 * which computes what the original computes; with none left alone it is close to mode 0. */
#include "quant/simulate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "quantized_demo.h"

enum { N_TOKENS = 12, N_VOCAB = 4096 };

static char source[1024], scales[1024];

/* Logits after the last token, by prefill or token by token. */
static void run(const quamba_model *model, bool decode, float *logits)
{
    quamba_session *session = NULL;
    quamba_error err;
    const quamba_session_options opt = {.cpu = "native", .n_threads = 1, .max_rows = 64};
    int32_t tokens[N_TOKENS];
    for (int32_t i = 0; i < N_TOKENS; i++)
        tokens[i] = 7 + 101 * i % (N_VOCAB - 7);
    quamba_job job = {
        .tokens = tokens, .n_tokens = N_TOKENS, .decode = decode, .want_logits = true};
    if (quamba_session_new(&session, model, &opt, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    job.session = session;
    assert_int_equal(quamba_session_run(&job, 1, &err), QUAMBA_OK);
    memcpy(logits, job.logits, N_VOCAB * sizeof *logits);
    quamba_session_free(&session);
}

static void run_simulation(const char *leave_float, bool decode, float *logits)
{
    quamba_model *model = NULL;
    quamba_error err;
    uint32_t kinds;
    assert_int_equal(qm_kinds_parse(&kinds, leave_float, &err), QUAMBA_OK);
    if (qm_simulate(&model, source, scales, kinds, "native", 2, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    run(model, decode, logits);
    quamba_model_close(&model);
}

static void run_checkpoint(const char *path, float *logits)
{
    quamba_model *model = NULL;
    quamba_error err;
    if (quamba_model_open(&model, path, NULL, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    run(model, false, logits);
    quamba_model_close(&model);
}

/* Root mean square of a - b over that of b. */
static double distance(const float *a, const float *b)
{
    double diff = 0, size = 0;
    for (int i = 0; i < N_VOCAB; i++) {
        diff += (double)(a[i] - b[i]) * (double)(a[i] - b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(diff / size);
}

static void test_rotated_model(void **state)
{
    (void)state;
    static float original[N_VOCAB], rotated[N_VOCAB];
    run_checkpoint(source, original);
    run_simulation("all", false, rotated);
    print_message("  rotated against original: %.2e\n", distance(rotated, original));
    assert_true(distance(rotated, original) < 1e-3);
}

static void test_close_to_mode_0(void **state)
{
    (void)state;
    static float original[N_VOCAB], quantized[N_VOCAB], simulated[N_VOCAB];
    char path[1024];
    quantize_demo("test-simulate", false, path);
    run_checkpoint(source, original);
    run_checkpoint(path, quantized);
    run_simulation("none", false, simulated);
    const double cost = distance(quantized, original), off = distance(simulated, quantized);
    print_message("  mode 0 against original %.3f, imitation against mode 0 %.3f\n", cost, off);
    assert_true(cost > 0.01); /* quantization shows, */
    assert_true(off < cost);  /* and is imitated */
}

/* Every kind is rounded when it is not left alone: its logits differ from those of "all". */
static void test_every_kind_counts(void **state)
{
    (void)state;
    static float none[N_VOCAB], one[N_VOCAB];
    run_simulation("all", true, none);
    for (int kind = 0; kind < QM_N_KINDS; kind++) {
        char others[512] = "";
        for (int other = 0; other < QM_N_KINDS; other++)
            if (other != kind)
                snprintf(others + strlen(others), sizeof others - strlen(others), "%s%s",
                         *others ? "," : "", qm_kind_name((qm_kind)other));
        run_simulation(others, true, one);
        assert_true(memcmp(one, none, sizeof one) != 0);
        assert_true(distance(one, none) < 0.3);
    }
}

static void test_names(void **state)
{
    (void)state;
    quamba_error err;
    uint32_t kinds;
    assert_int_equal(qm_kinds_parse(&kinds, "D,state", &err), QUAMBA_OK);
    assert_int_equal(kinds, 1u << QM_KIND_D | 1u << QM_KIND_SSM_STATE);
    assert_int_equal(qm_kinds_parse(&kinds, "D,,state", &err), QUAMBA_E_ARGUMENT);
    assert_int_equal(qm_kinds_parse(&kinds, "d_model", &err), QUAMBA_E_ARGUMENT);
    assert_non_null(strstr(err.message, "d_model"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rotated_model),
        cmocka_unit_test(test_close_to_mode_0),
        cmocka_unit_test(test_every_kind_counts),
        cmocka_unit_test(test_names),
    };
    snprintf(source, sizeof source, "%s/models/demo",
             quantized_demo_directory("QUAMBA_SOURCE_DIR"));
    snprintf(scales, sizeof scales, "%s/tests/golden/act_scales_demo.json",
             quantized_demo_directory("QUAMBA_SOURCE_DIR"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

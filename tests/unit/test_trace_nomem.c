/* A trace is written and verified with every allocation of ours failing once, in turn: a status,
 * and nothing left behind. */
#include "datapath/datapath.h"
#include "nomem.h"
#include "trace/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const int32_t tokens[] = {3, 1, 4, 1};
static const bool layers[3] = {false, true, true};

static quamba_model *new_model(const char *mode)
{
    const quamba_datapath *dp = quamba_datapath_find(mode);
    const qm_config shape = {.mamba_version = 1,
                             .n_layer = 2,
                             .d_model = 24,
                             .d_inner = 48,
                             .d_state = 5,
                             .d_conv = 4,
                             .dt_rank = 3,
                             .n_vocab = 32,
                             .tie_embeddings = true,
                             .quantized = dp->quantized,
                             .scheme = dp->quantized ? QM_W8A8 : QM_FLOAT,
                             .norm_eps = 1e-5};
    quamba_model *model = NULL;
    assert_int_equal(qm_model_random(&model, &shape, dp, &(qm_random_options){.seed = 7}, NULL),
                     QUAMBA_OK);
    return model;
}

static qm_trace_plan plan_of(const quamba_model *model, qm_trace_format format)
{
    qm_trace_plan plan = {.model = model,
                          .model_hash = "7",
                          .tokens = tokens,
                          .n_tokens = 4,
                          .n_prefill = 3,
                          .first = 1,
                          .layers = layers,
                          .parameters = true,
                          .format = format,
                          .lanes = 1};
    plan.edges[QM_AT_CONV_OUT] = plan.edges[QM_AT_LOGITS] = true;
    return plan;
}

static const qm_trace_watch watch = {
    .session = {.cpu = "native", .n_threads = 1, .max_rows = 1}
};

/* Takes the directory away again. */
static void clear(const char *directory)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    assert_int_equal(system(command), 0);
}

static quamba_status verify(const quamba_model *model, const char *directory, quamba_error *err)
{
    char path[256], text[20000];
    snprintf(path, sizeof path, "%s/" QM_TRACE_MANIFEST, directory);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t n = fread(text, 1, sizeof text, file);
    fclose(file);
    assert_true(n < sizeof text);
    qm_trace_request request;
    qm_trace_plan plan;
    qm_trace_findings findings = {0};
    quamba_status status = qm_trace_request_parse(&request, text, n, err);
    if (status == QUAMBA_OK) status = qm_trace_request_plan(&plan, &request, model, err);
    if (status == QUAMBA_OK)
        status = qm_trace_verify(&plan, &request, &watch, directory, &findings, err);
    if (status == QUAMBA_OK && findings.n_faults > 0)
        status = qm_fail(err, QUAMBA_E_NOMEM, 0, "%s: %s", findings.faults[0].file,
                         findings.faults[0].text);
    free(findings.faults);
    qm_trace_request_free(&request);
    return status;
}

static void fail_in_turn(const char *mode, qm_trace_format format)
{
    char parent[] = "/tmp/quamba-trace-nomem-XXXXXX", directory[64];
    quamba_model *model = new_model(mode);
    const qm_trace_plan plan = plan_of(model, format);
    qm_trace_summary summary;
    quamba_error err;
    size_t turn = 0;
    assert_non_null(mkdtemp(parent));
    snprintf(directory, sizeof directory, "%s/t", parent);
    for (;;) {
        failing_call = n_calls + ++turn;
        quamba_status status = qm_trace_write(&plan, &watch, directory, &summary, &err);
        failing_call = 0;
        if (status == QUAMBA_OK) break;
        if (status != QUAMBA_E_NOMEM || !strstr(err.message, "out of memory"))
            fail_msg("mode %s, call %zu: %d %s", mode, turn, status, err.message);
        assert_int_equal(access(directory, F_OK), -1);
        assert_int_equal(rmdir(parent), 0); /* nothing is left in it */
        assert_non_null(strcpy(parent + strlen(parent) - 6, "XXXXXX"));
        assert_non_null(mkdtemp(parent));
        snprintf(directory, sizeof directory, "%s/t", parent);
    }
    assert_in_range(turn, 45, 9999); /* that many were refused before one run went through */
    for (turn = 0;;) {
        failing_call = n_calls + ++turn;
        quamba_status status = verify(model, directory, &err);
        failing_call = 0;
        if (status == QUAMBA_OK) break;
        if (status != QUAMBA_E_NOMEM)
            fail_msg("mode %s, call %zu: %d %s", mode, turn, status, err.message);
    }
    assert_in_range(turn, 45, 9999);
    clear(parent);
    quamba_model_close(&model);
}

static void test_npy(void **state)
{
    (void)state;
    fail_in_turn("0", QM_TRACE_NPY);
}

static void test_safetensors(void **state)
{
    (void)state;
    fail_in_turn("3", QM_TRACE_SAFETENSORS);
}

static void test_hex(void **state)
{
    (void)state;
    fail_in_turn("fp16", QM_TRACE_HEX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_npy),
        cmocka_unit_test(test_safetensors),
        cmocka_unit_test(test_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

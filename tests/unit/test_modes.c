/* The equivalences between the modes (src/verify), on models/demo quantized here and on
 * random tensors. */
#include "base/mem.h"
#include "model/model.h"
#include "verify/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "quantized_demo.h"

static const char *const outcomes[] = {
    [QM_HOLDS] = "holds", [QM_FAILS] = "FAILS", [QM_NOT_RUN] = "not run"};

/* Every check of the table; fails when one does. */
static void run_checks(const qm_verify *v)
{
    const qm_check *check;
    size_t n_failed = 0;
    for (size_t i = 0; (check = qm_check_at(i)); i++) {
        qm_finding f;
        quamba_error err;
        if (qm_check_run(check, v, &f, &err) != QUAMBA_OK) fail_msg("%s", err.message);
        print_message("  %-4s %-8s %s: %s\n", check->id, outcomes[f.outcome], check->statement,
                      f.text);
        n_failed += f.outcome == QM_FAILS;
    }
    assert_int_equal(n_failed, 0);
}

static void test_demo(void **state)
{
    (void)state;
    static const char text[] =
        "Once upon a time the old lighthouse keeper climbed the stairs every evening, and when he "
        "reached the lamp he would sit down and write about the sea, the ships and the weather.";
    char path[1024];
    quamba_error err;
    quamba_model *model = NULL;
    quamba_tokenizer *tokenizer = NULL;
    int32_t *ids = NULL;
    size_t n = 0;
    quantize_demo("test-modes-w8a8", false, path);
    if (quamba_model_open(&model, path, NULL, &err) != QUAMBA_OK ||
        quamba_tokenizer_open(&tokenizer, path, &err) != QUAMBA_OK ||
        quamba_tokenizer_encode(tokenizer, text, strlen(text), &ids, &n, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    assert_true(n >= QM_VERIFY_TOKENS);
    const qm_verify v = {
        .model = model,
        .tokens = ids,
        .n_tokens = n,
        .n_layer = 2,
        .options = {.cpu = "native", .n_threads = 1, .max_rows = 64}
    };
    run_checks(&v);
    quamba_free(ids);
    quamba_tokenizer_close(&tokenizer);
    quamba_model_close(&model);
}

static void test_random(void **state)
{
    (void)state;
    const qm_config shape = {.mamba_version = 1,
                             .n_layer = 2,
                             .d_model = 64,
                             .d_inner = 128,
                             .d_state = 16,
                             .d_conv = 4,
                             .dt_rank = 4,
                             .n_vocab = 256,
                             .tie_embeddings = true,

                             .norm_eps = 1e-5,
                             .quantized = true,
                             .scheme = QM_W8A8};
    const qm_random_options options = {.seed = 5};
    int32_t tokens[QM_VERIFY_TOKENS];
    quamba_model *model = NULL;
    quamba_error err;
    for (int32_t i = 0; i < QM_VERIFY_TOKENS; i++)
        tokens[i] = (i * i * 7 + 3 * i + 11) % 256;
    if (qm_model_random(&model, &shape, quamba_datapath_find("0"), &options, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    const qm_verify v = {
        .model = model,
        .tokens = tokens,
        .n_tokens = QM_VERIFY_TOKENS,
        .n_layer = 2,
        .options = {.cpu = "native", .n_threads = 1, .max_rows = 64}
    };
    run_checks(&v);
    quamba_model_close(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_demo),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

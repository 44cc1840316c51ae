/* A comparison with every allocation of ours failing once, in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compare_models.h"
#include "nomem.h"

static quamba_status work(const quamba_model *const *models, size_t n, quamba_error *err)
{
    qm_sample sample;
    qm_comparison c = {0};
    quamba_status status = random_sample(&sample, 2) ? QUAMBA_OK : QUAMBA_E_NOMEM;
    if (status != QUAMBA_OK) snprintf(err->message, sizeof err->message, "out of memory");
    const qm_compare_options o = {.models = models,
                                  .n_runs = n,
                                  .sample = &sample,
                                  .cpu = "native",
                                  .n_threads = 1,
                                  .parting = true};
    if (status == QUAMBA_OK) status = qm_compare(&c, &o, err);
    qm_comparison_free(&c);
    qm_sample_close(&sample);
    return status;
}

static void test_every_call_may_fail(void **state)
{
    (void)state;
    const char *const modes[] = {"fp32", "0", "3"};
    const quamba_model *models[3];
    quamba_model *owned[3];
    quamba_error err;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(random_model(&owned[i], modes[i], N_VOCAB, 1, &err), QUAMBA_OK);
        models[i] = owned[i];
    }
    quamba_status status = QUAMBA_E_NOMEM;
    size_t turn = 0;
    while (status != QUAMBA_OK && turn < 10000) {
        failing_call = n_calls + ++turn;
        status = work(models, 3, &err);
        failing_call = 0;
        if (status == QUAMBA_OK) break;
        if (status != QUAMBA_E_NOMEM || !strstr(err.message, "out of memory"))
            fail_msg("call %zu: %d %s", turn, status, err.message);
    }
    assert_in_range(turn, 40, 9999);
    for (size_t i = 0; i < 3; i++)
        quamba_model_close(&owned[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_call_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

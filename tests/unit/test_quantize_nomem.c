/* Quantizing with every allocation of ours failing once, in turn: nothing is left behind. */
#include "quantize_files.h"

#include "nomem.h"

static void test_every_call_may_fail(void **state)
{
    (void)state;
    static const char *const written[] = {"config.json", "act_scales.json", "model.safetensors"};
    test_quantize t;
    quamba_error err;
    test_quantize_new(&t, good_config);
    quamba_quantize_options o = quamba_quantize_options_default();
    o.act_scales = t.scales;
    quamba_status status = QUAMBA_E_NOMEM;
    size_t turn = 0;
    while (status != QUAMBA_OK && turn < 10000) {
        failing_call = n_calls + ++turn;
        status = quamba_quantize(t.files.dir, t.output, &o, &err);
        failing_call = 0;
        if (status == QUAMBA_OK) break;
        if (status != QUAMBA_E_NOMEM || !strstr(err.message, "out of memory"))
            fail_msg("call %zu: %d %s", turn, status, err.message);
        test_quantize_remove_output(&t, 0, NULL);
    }
    assert_in_range(turn, 20, 9999);
    test_quantize_remove_output(&t, 3, written);
    test_quantize_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_call_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Opening quantized checkpoints with every allocation of ours failing once, in turn. */
#include "quantized_files.h"

#include "model/model.h"
#include "nomem.h"

static quamba_status open_and_close(q_files *f, quamba_error *err)
{
    quamba_model *model = NULL;
    quamba_status status = quamba_model_open(&model, f->dir, NULL, err);
    if (status == QUAMBA_OK) assert_non_null(quamba_model_warning(model, 0));
    if (status != QUAMBA_OK) assert_null(model);
    quamba_model_close(&model);
    return status;
}

static void test_every_call_may_fail(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k++) {
        static q_files f;
        quamba_error err;
        q_files_new(&f, k == 2 ? Q_UPSTREAM : Q_SAFETENSORS, k > 0);
        if (k > 0) q_remove(&f, "backbone.norm_f.output_scale");
        q_write(&f, q_config);
        quamba_status status = QUAMBA_E_NOMEM;
        size_t turn = 0;
        while (status != QUAMBA_OK && turn < 10000) {
            failing_call = n_calls + ++turn;
            status = open_and_close(&f, &err);
            failing_call = 0;
            if (status == QUAMBA_OK) break;
            if (status != QUAMBA_E_NOMEM || !strstr(err.message, "out of memory"))
                fail_msg("call %zu: %d %s", turn, status, err.message);
        }
        assert_in_range(turn, 20, 9999); /* that many were refused before one run went through */
        q_files_free(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_call_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

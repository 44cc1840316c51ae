/* Every allocation of ours fails once, in turn, while a table is made and written: a status comes
 * back, nothing leaks and no file is left. */
#include "nomem.h"

#include "base/file.h"
#include "lut/lut.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static quamba_status make_and_write(const char *path, quamba_error *err)
{
    const float biases[2] = {0.5f, -1.0f};
    const qm_lut_spec spec = {
        .function = qm_lut_function_find("softplus"),
        .in = {QM_LUT_I8, 0.05f},
        .out = {.kind = QM_LUT_F16        },
        .biases = biases,
        .n_tables = 2
    };
    qm_lut lut;
    quamba_status status = qm_lut_make(&lut, &spec, err);
    if (status == QUAMBA_OK) status = qm_lut_write(&lut, path, err);
    qm_lut_free(&lut);
    return status;
}

static void test_no_memory(void **unused)
{
    (void)unused;
    static const char *const endings[] = {".mem", ".npy", ".csv", ".h"};
    const char *build = getenv("QUAMBA_BUILD_DIR");
    char path[1200];
    quamba_error err;
    for (size_t k = 0; k < sizeof endings / sizeof endings[0]; k++) {
        size_t turn = 0;
        quamba_status status = QUAMBA_E_NOMEM;
        snprintf(path, sizeof path, "%s/test_lut_nomem%s", build ? build : ".", endings[k]);
        while (status != QUAMBA_OK) {
            failing_call = n_calls + ++turn;
            status = make_and_write(path, &err);
            failing_call = 0;
            if (status == QUAMBA_OK) break;
            if (status != QUAMBA_E_NOMEM || !strstr(err.message, "out of memory"))
                fail_msg("call %zu: %d %s", turn, status, err.message);
            assert_false(qm_path_is_file(path));
        }
        assert_true(turn > 3);
        assert_true(qm_path_is_file(path));
        remove(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

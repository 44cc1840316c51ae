/* The synthesizable Hadamard transform where the width is no power of two (d_inner 1536 of the 130m
 * shape: 12 blocks), against the runtime's. */
#define QM_HW_D_MODEL 768
#define QM_HW_D_INNER 1536
#define QM_HW_HADAMARD_M 12
#include "hls/gate.c" /* NOLINT: compiled for this shape; the library has the demo model's */

#include "base/hadamard.h"
#include "kernels/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_blocks(void **unused)
{
    (void)unused;
    static float x[QM_HW_D_INNER], turned[QM_HW_D_INNER], scratch[QM_HW_D_INNER];
    static int8_t got[QM_HW_D_INNER], want[QM_HW_D_INNER],
        signs[QM_HW_HADAMARD_M][QM_HW_HADAMARD_M];
    const float factor = 3.7f;
    qm_hadamard_signs(QM_HW_HADAMARD_M, &signs[0][0]);
    for (uint32_t i = 0; i < QM_HW_D_INNER; i++)
        x[i] = turned[i] = (float)((i * 2654435761u >> 16) % 2001) / 1000.0f - 1.0f;
    qm_hadamard_f32_scalar(turned, scratch, &signs[0][0], QM_HW_HADAMARD_M, QM_HW_HADAMARD_WIDTH,
                           factor);
    const size_t lost = qm_quantize_away_i8_scalar(want, turned, 1.0f, QM_HW_D_INNER);
    assert_int_equal(qm_hls_hadamard(got, x, (const int8_t(*)[QM_HW_HADAMARD_M])signs, factor),
                     lost);
    assert_true(lost > 0 && lost < QM_HW_D_INNER / 2);
    assert_memory_equal(got, want, sizeof got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_blocks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

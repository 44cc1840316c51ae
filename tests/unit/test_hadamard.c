/* The special matrices against recorded rows, and every transform that real models use: T^T T = I.
 */
#include "base/hadamard.h"
#include "base/mem.h"
#include "kernels/kernels.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Row of a sign matrix, bit j set where entry j is -1. */
static uint64_t row_bits(const int8_t *signs, int32_t m, int32_t row)
{
    uint64_t bits = 0;
    for (int32_t j = 0; j < m; j++)
        bits |= (uint64_t)(signs[row * m + j] < 0) << j;
    return bits;
}

static void test_signs(void **state)
{
    (void)state;
    static const uint64_t m12[12] = {0x002, 0xaab, 0x3c8, 0x96e, 0xf20, 0x5ba,
                                     0xc8c, 0x6e6, 0x23c, 0xb96, 0x8f0, 0xe5a};
    static const struct {
        int32_t row;
        uint64_t bits;
    } m40[] = {
        {0,  0xffffeffffe},
        {1,  0x615e4615e4},
        {20, 0x00001ffffe},
        {39, 0xcf50d30af2}
    };
    int8_t signs[QM_HADAMARD_MAX_M * QM_HADAMARD_MAX_M];
    qm_hadamard_signs(12, signs);
    for (int32_t i = 0; i < 12; i++)
        assert_int_equal(row_bits(signs, 12, i), m12[i]);
    qm_hadamard_signs(40, signs);
    for (size_t i = 0; i < QM_COUNT(m40); i++)
        assert_int_equal(row_bits(signs, 40, m40[i].row), m40[i].bits);
    for (int32_t i = 0; i < 40 * 40; i++)
        assert_true(signs[i] == 1 || signs[i] == -1);
    qm_hadamard_signs(1, signs);
    assert_int_equal(signs[0], 1);
}

static void test_split(void **state)
{
    (void)state;
    static const struct {
        int64_t n;
        int32_t m, width;
    } good[] = {
        {1,    1,  1   },
        {2,    1,  2   },
        {8,    1,  8   },
        {12,   12, 1   },
        {24,   12, 2   },
        {40,   40, 1   },
        {768,  12, 64  },
        {1024, 1,  1024},
        {1536, 12, 128 },
        {2048, 1,  2048},
        {2560, 40, 64  },
        {3072, 12, 256 },
        {5120, 40, 128 },
        {8192, 1,  8192},
    };
    static const int64_t bad[] = {-8, 0, 3, 20, 28, 36, 120, 1000, 1 << 30 | 1, INT64_C(1) << 32};
    int32_t m = 0, width = 0;
    for (size_t i = 0; i < QM_COUNT(good); i++) {
        assert_true(qm_hadamard_split(good[i].n, &m, &width));
        assert_int_equal(m, good[i].m);
        assert_int_equal(width, good[i].width);
    }
    for (size_t i = 0; i < QM_COUNT(bad); i++)
        if (qm_hadamard_split(bad[i], &m, &width)) fail_msg("%" PRId64 " is split", bad[i]);
}

/* Column j of T_n is T_n applied to the unit vector: its entries are the signs, and all columns are
 * orthogonal: what T^T T = I says. */
static void test_orthogonal(void **state)
{
    (void)state;
    static const int32_t sizes[] = {768, 1536, 2048, 2560, 5120};
    qm_kernels k = qm_kernels_select((uint32_t)qm_cpu_select("native"));
    for (size_t s = 0; s < QM_COUNT(sizes); s++) {
        const int32_t n = sizes[s];
        int32_t m, width;
        int8_t signs[QM_HADAMARD_MAX_M * QM_HADAMARD_MAX_M];
        assert_true(qm_hadamard_split(n, &m, &width));
        qm_hadamard_signs(m, signs);
        float *x = qm_alloc((size_t)n * 2, sizeof *x);
        uint64_t *columns = qm_alloc((size_t)n * (size_t)(n / 64), sizeof *columns);
        assert_non_null(x);
        assert_non_null(columns);
        for (int32_t j = 0; j < n; j++) {
            for (int32_t i = 0; i < n; i++)
                x[i] = i == j ? 1.0f : 0.0f;
            k.hadamard_f32(x, x + n, signs, (size_t)m, (size_t)width, 1.0f);
            for (int32_t i = 0; i < n; i++) {
                int parity = __builtin_popcount((unsigned)((i % width) & (j % width))) & 1;
                int sign = signs[i / width * m + j / width] * (parity ? -1 : 1);
                if (x[i] != (float)sign) fail_msg("n=%d: T[%d][%d] is %g", n, i, j, (double)x[i]);
                columns[j * (n / 64) + i / 64] |= (uint64_t)(sign < 0) << (i % 64);
            }
        }
        for (int32_t a = 0; a<n; a += n> 2048 ? 7 : 1) /* the largest: every seventh */
            for (int32_t b = a + 1; b < n; b++) {      /* half of the signs differ: the sum is 0 */
                int32_t differ = 0;
                for (int32_t w = 0; w < n / 64; w++)
                    differ +=
                        __builtin_popcountll(columns[a * (n / 64) + w] ^ columns[b * (n / 64) + w]);
                if (differ != n / 2) fail_msg("n=%d: columns %d and %d: %d", n, a, b, differ);
            }
        free(columns);
        free(x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_signs), cmocka_unit_test(test_split),
                                       cmocka_unit_test(test_orthogonal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Sampling: what each step keeps, how often each token is drawn, and the draws themselves. */
#include "base/mem.h"
#include "quamba/quamba.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 12, DRAWS = 50000 };

/* Two ties (ids 2 and 7, 4 and 9), both signs, a zero. */
static const float logits[N] = {0.5f,   -1.0f, 2.0f,  0.0f,  1.25f, -3.0f,
                                -20.0f, 2.0f,  -0.5f, 1.25f, 0.75f, -2.0f};
/* The order of the tokens: larger logit first, lower id first. */
static const int32_t order[N] = {2, 7, 4, 9, 10, 0, 3, 8, 1, 11, 5, 6};

static quamba_sampler *sampler_of(int32_t n_vocab, quamba_sampler_options options)
{
    quamba_sampler *sampler = NULL;
    quamba_error err;
    if (quamba_sampler_new(&sampler, n_vocab, &options, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    return sampler;
}

/* Probabilities from the definition, by libm in double precision, over the whole sorted list. */
static void expected(double p[N], quamba_sampler_options o)
{
    double top = (double)logits[order[0]], total = 0;
    bool kept[N];
    for (int i = 0; i < N; i++) {
        double l = (double)logits[order[i]];
        kept[i] = (o.top_k == 0 || i < o.top_k) && exp(l - top) >= (double)o.min_p;
        p[order[i]] = kept[i] ? exp((l - top) / (double)o.temperature) : 0;
        total += p[order[i]];
    }
    double before = 0, rest = 0;
    for (int i = 0; i < N; i++) {
        if (i > 0 && before >= (double)o.top_p * total) kept[i] = false;
        before += p[order[i]];
        if (!kept[i]) p[order[i]] = 0;
        rest += p[order[i]];
    }
    for (int i = 0; i < N; i++)
        p[i] /= rest;
}

/* Draws many tokens: those with probability 0 never come, the others as often as they should. */
static void check_distribution(quamba_sampler_options o)
{
    double p[N], chi = 0;
    int count[N] = {0}, freedom = -1;
    expected(p, o);
    quamba_sampler *sampler = sampler_of(N, o);
    for (int i = 0; i < DRAWS; i++)
        count[quamba_sampler_next(sampler, logits)]++;
    quamba_sampler_free(&sampler);
    for (int i = 0; i < N; i++) {
        double want = p[i] * DRAWS;
        if (p[i] == 0) {
            if (count[i] != 0) fail_msg("token %d was drawn %d times, never allowed", i, count[i]);
        } else if (want >= 5) {
            chi += (count[i] - want) * (count[i] - want) / want;
            freedom++;
        }
    }
    /* Mean freedom, deviation sqrt(2 freedom): with the seeds below nothing comes near this. */
    if (chi > freedom + 5 * sqrt(2.0 * freedom + 1))
        fail_msg("chi square %.1f with %d degrees of freedom (T %g k %d p %g m %g)", chi, freedom,
                 (double)o.temperature, o.top_k, (double)o.top_p, (double)o.min_p);
}

static void distributions(void **state)
{
    (void)state;
    static const float temperatures[] = {1.0f, 0.5f, 1.7f, 100.0f};
    static const int32_t ks[] = {0, 2, 3, 6, 12, 1000};
    static const float ps[] = {1.0f, 0.9f, 0.5f, 0.1f};
    static const float ms[] = {0.0f, 0.1f, 0.4f, 1.0f};
    uint64_t seed = 1;
    for (size_t t = 0; t < QM_COUNT(temperatures); t++) /* each option by itself */
        check_distribution((quamba_sampler_options){temperatures[t], 0, 1, 0, 1, seed++});
    for (size_t k = 0; k < QM_COUNT(ks); k++)
        check_distribution((quamba_sampler_options){1, ks[k], 1, 0, 1, seed++});
    for (size_t i = 0; i < QM_COUNT(ps); i++)
        check_distribution((quamba_sampler_options){1, 0, ps[i], 0, 1, seed++});
    for (size_t i = 0; i < QM_COUNT(ms); i++)
        check_distribution((quamba_sampler_options){1, 0, 1, ms[i], 1, seed++});
    /* together: the order of the steps shows */
    check_distribution((quamba_sampler_options){0.7f, 5, 0.8f, 0, 1, seed++});
    check_distribution((quamba_sampler_options){2.0f, 0, 0.6f, 0.2f, 1, seed++});
    check_distribution((quamba_sampler_options){1.5f, 7, 0.95f, 0.05f, 1, seed++});
}

static void greedy_takes_the_lowest_id_of_a_tie(void **state)
{
    (void)state;
    quamba_sampler *sampler = sampler_of(N, (quamba_sampler_options){0, 3, 0.5f, 0.5f, 1, 7});
    for (int i = 0; i < 5; i++)
        assert_int_equal(quamba_sampler_next(sampler, logits), 2);
    quamba_sampler_free(&sampler);
    sampler = sampler_of(N, (quamba_sampler_options){1, 1, 1, 0, 1, 7});
    for (int i = 0; i < 5; i++)
        assert_int_equal(quamba_sampler_next(sampler, logits), 2);
    quamba_sampler_free(&sampler);
    const float zeros[3] = {-1.0f, -0.0f, 0.0f}; /* -0 and +0 are equal */
    sampler = sampler_of(3, (quamba_sampler_options){0, 0, 1, 0, 1, 7});
    assert_int_equal(quamba_sampler_next(sampler, zeros), 1);
    quamba_sampler_free(&sampler);
}

static void a_tie_is_cut_by_id(void **state)
{
    (void)state;
    const float equal[6] = {1, 1, 1, 1, 1, 1};
    int count[6] = {0};
    quamba_sampler *sampler = sampler_of(6, (quamba_sampler_options){1, 3, 1, 0, 1, 5});
    for (int i = 0; i < 1000; i++)
        count[quamba_sampler_next(sampler, equal)]++;
    quamba_sampler_free(&sampler);
    for (int i = 0; i < 6; i++)
        assert_true((count[i] > 250) == (i < 3));
    for (int i = 3; i < 6; i++)
        assert_int_equal(count[i], 0);
}

static void repetition_penalty(void **state)
{
    (void)state;
    /* 2.0 / 2 = 1.0 is below 1.5; then 1.5 / 2 and 1.0 are left; -1 * 2 loses to -1.5 */
    const float row[4] = {2.0f, 1.5f, 0.9f, -10.0f};
    quamba_sampler *sampler = sampler_of(4, (quamba_sampler_options){0, 0, 1, 0, 2, 1});
    assert_int_equal(quamba_sampler_next(sampler, row), 0);
    assert_int_equal(quamba_sampler_next(sampler, row), 1);
    assert_int_equal(quamba_sampler_next(sampler, row), 0);
    quamba_sampler_free(&sampler);

    const float negative[3] = {-1.0f, -1.5f, -3.0f};
    const int32_t prompt[] = {0, -5, 3, INT32_MAX, INT32_MIN};
    sampler = sampler_of(3, (quamba_sampler_options){0, 0, 1, 0, 2, 1});
    quamba_sampler_accept(sampler, prompt, QM_COUNT(prompt));
    assert_int_equal(quamba_sampler_next(sampler, negative), 1); /* -2, -1.5, -3 */
    quamba_sampler_free(&sampler);
}

static void extremes(void **state)
{
    (void)state;
    static const float rows[][4] = {
        {-INFINITY, -INFINITY, -INFINITY, -INFINITY},
        {NAN,       NAN,       NAN,       NAN      },
        {NAN,       1,         -INFINITY, 2        },
        {INFINITY,  1,         INFINITY,  2        },
        {INFINITY,  NAN,       -INFINITY, 0        },
        {3e38f,     -3e38f,    3e38f,     0        },
        {0,         0,         0,         0        },
        {1e-45f,    -1e-45f,   0,         -0.0f    },
    };
    static const float temperatures[] = {0, 1e-45f, 1e-3f, 1, 100, 3e38f};
    static const int32_t ks[] = {0, 1, 2, 4, INT32_MAX};
    static const float ps[] = {0, 1e-45f, 0.5f, 1};
    static const float penalties[] = {1e-45f, 0.5f, 1, 3e38f};
    for (size_t r = 0; r < QM_COUNT(rows); r++)
        for (size_t t = 0; t < QM_COUNT(temperatures); t++)
            for (size_t k = 0; k < QM_COUNT(ks); k++)
                for (size_t p = 0; p < QM_COUNT(ps); p++)
                    for (size_t m = 0; m < QM_COUNT(ps); m++)
                        for (size_t y = 0; y < QM_COUNT(penalties); y++) {
                            quamba_sampler *sampler = sampler_of(
                                4, (quamba_sampler_options){temperatures[t], ks[k], ps[p], ps[m],
                                                            penalties[y], 3});
                            for (int i = 0; i < 3; i++) {
                                int32_t id = quamba_sampler_next(sampler, rows[r]);
                                assert_in_range(id, 0, 3);
                            }
                            quamba_sampler_free(&sampler);
                        }
    /* A NaN is never drawn while there is a number; of infinities, only they. */
    quamba_sampler *sampler = sampler_of(4, (quamba_sampler_options){1, 0, 1, 0, 1, 3});
    for (int i = 0; i < 300; i++)
        assert_int_equal(quamba_sampler_next(sampler, rows[2]) % 2, 1);
    for (int i = 0; i < 300; i++)
        assert_int_equal(quamba_sampler_next(sampler, rows[3]) % 2, 0);
    quamba_sampler_free(&sampler);
    sampler = sampler_of(1, (quamba_sampler_options){1, 5, 0.1f, 0.9f, 1.3f, 3});
    assert_int_equal(quamba_sampler_next(sampler, rows[1]), 0);
    quamba_sampler_free(&sampler);
}

static void bad_options(void **state)
{
    (void)state;
    static const quamba_sampler_options bad[] = {
        {-1,       0,  1,     0,     1,        0},
        {NAN,      0,  1,     0,     1,        0},
        {INFINITY, 0,  1,     0,     1,        0},
        {1,        -1, 1,     0,     1,        0},
        {1,        0,  -0.1f, 0,     1,        0},
        {1,        0,  1.1f,  0,     1,        0},
        {1,        0,  NAN,   0,     1,        0},
        {1,        0,  1,     -0.1f, 1,        0},
        {1,        0,  1,     1.1f,  1,        0},
        {1,        0,  1,     0,     0,        0},
        {1,        0,  1,     0,     -1,       0},
        {1,        0,  1,     0,     NAN,      0},
        {1,        0,  1,     NAN,   1,        0},
        {1,        0,  1,     0,     INFINITY, 0},
    };
    quamba_sampler *sampler = NULL;
    quamba_error err;
    for (size_t i = 0; i < QM_COUNT(bad); i++) {
        assert_int_equal(quamba_sampler_new(&sampler, 4, &bad[i], &err), QUAMBA_E_ARGUMENT);
        assert_null(sampler);
        assert_true(strlen(err.message) > 10);
    }
    assert_int_equal(quamba_sampler_new(&sampler, 0, NULL, NULL), QUAMBA_E_ARGUMENT);
    assert_int_equal(quamba_sampler_new(&sampler, 4, NULL, NULL), QUAMBA_OK);
    quamba_sampler_free(&sampler);
    quamba_sampler_free(&sampler);
    quamba_sampler_free(NULL);
}

/* A vocabulary of real size with logits from a recipe of integers only. */
enum { BIG = 50280 };
static float *big_row(uint32_t seed)
{
    float *row = qm_alloc(BIG, sizeof *row);
    for (int i = 0; row != NULL && i < BIG; i++) {
        seed = seed * 1664525u + 1013904223u;
        row[i] = (float)(int32_t)(seed >> 12) * 0x1p-16f - 8.0f; /* -8 .. 8, many ties */
    }
    return row;
}

/* Committed draws: the same on every machine, or generation from a seed is not reproducible. */
static void golden_draws(void **state)
{
    (void)state;
    static const struct {
        quamba_sampler_options options;
        int32_t draws[8];
    } golden[] = {
        {{1, 0, 1, 0, 1, 1234},                     {2316, 42918, 34909, 44184, 5093, 45310, 22989, 10315}  },
        {{1, 0, 1, 0, 1, 1},                        {35497, 26517, 29136, 20014, 35186, 7144, 3566, 19466}  },
        {{0, 0, 1, 0, 1.5f, 1},                     {22679, 32986, 40542, 11398, 45748, 650, 21908, 17899}  },
        {{0.8f, 40, 1, 0, 1, 2},                    {5093, 37688, 11441, 37688, 35356, 12254, 32986, 11593} },
        {{1, 0, 0.9f, 0, 1, 3},                     {34896, 32410, 10994, 27139, 21749, 20440, 10681, 36255}},
        {{1, 0, 1, 0.05f, 1, 4},                    {13410, 46109, 22553, 49178, 11315, 30947, 24582, 36640}},
        {{1.3f, 1000, 0.95f, 0.01f, 1.2f, 5},
         {15586, 30890, 33684, 43259, 26374, 41028, 25765, 42513}                                           },
        {{2, 0, 0.5f, 0, 1, 18446744073709551615u},
         {28235, 38853, 25799, 37970, 28622, 37144, 18946, 38873}                                           },
    };
    float *row = big_row(99);
    assert_non_null(row);
    for (size_t g = 0; g < QM_COUNT(golden); g++) {
        quamba_sampler *sampler = sampler_of(BIG, golden[g].options);
        for (int i = 0; i < 8; i++) {
            int32_t got = quamba_sampler_next(sampler, row);
            if (got != golden[g].draws[i])
                fail_msg("row %zu, draw %d: got %d, want %d", g, i, got, golden[g].draws[i]);
        }
        quamba_sampler_free(&sampler);
    }
    free(row);
}

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* top-k on a real vocabulary: exactly the k largest by a full sort, ties by id. */
static void top_k_of_a_large_vocabulary(void **state)
{
    (void)state;
    float *row = big_row(5), *sorted = big_row(5);
    assert_non_null(row);
    assert_non_null(sorted);
    qsort(sorted, BIG, sizeof *sorted, compare);
    enum { K = 40 };
    float cutoff = sorted[K - 1];
    int above = 0;
    for (int i = 0; i < BIG; i++)
        above += row[i] > cutoff;
    bool allowed[BIG] = {false}, drawn[BIG] = {false};
    int n_allowed = above;
    for (int i = 0; i < BIG; i++)
        allowed[i] = row[i] > cutoff || (row[i] == cutoff && n_allowed++ < K);
    quamba_sampler *sampler = sampler_of(BIG, (quamba_sampler_options){100, K, 1, 0, 1, 11});
    int different = 0;
    for (int i = 0; i < 2000; i++) { /* each of K comes with probability about 1/40 */
        int32_t id = quamba_sampler_next(sampler, row);
        assert_true(allowed[id]);
        different += !drawn[id];
        drawn[id] = true;
    }
    assert_int_equal(different, K);
    quamba_sampler_free(&sampler);
    free(row);
    free(sorted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distributions),      cmocka_unit_test(greedy_takes_the_lowest_id_of_a_tie),
        cmocka_unit_test(a_tie_is_cut_by_id), cmocka_unit_test(repetition_penalty),
        cmocka_unit_test(extremes),           cmocka_unit_test(bad_options),
        cmocka_unit_test(golden_draws),       cmocka_unit_test(top_k_of_a_large_vocabulary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Traces: every edge of every mode by its operators against the runtime, a planted fault, the forms
 * of files byte for byte. */
#include "base/mem.h"
#include "datapath/datapath.h"
#include "trace/trace.h"
#include "trace/walk.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_TOKENS = 50, N_VOCAB = 83 };

static int32_t tokens[N_TOKENS];

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < N_TOKENS; i++)
        tokens[i] = i * 7 % N_VOCAB;
    return 0;
}

/* wide: an inner width with a special Hadamard factor, another convolution. */
static quamba_model *new_model(const quamba_datapath *dp, bool wide)
{
    const qm_config shape = {.mamba_version = 1,
                             .n_layer = 2,
                             .d_model = wide ? 32 : 24,
                             .d_inner = wide ? 80 : 48,
                             .d_state = wide ? 16 : 5,
                             .d_conv = wide ? 2 : 4,
                             .dt_rank = 3,
                             .n_vocab = N_VOCAB,
                             .tie_embeddings = !dp->quantized || !wide,
                             .quantized = dp->quantized,
                             .scheme = dp->quantized ? QM_W8A8 : QM_FLOAT,
                             .norm_eps = 1e-5};
    const qm_random_options options = {.seed = 7, .half_embedding = wide, .half_head = wide};
    quamba_model *model = NULL;
    quamba_error err;
    if (qm_model_random(&model, &shape, dp, &options, &err) != QUAMBA_OK)
        fail_msg("%s: %s", dp->id, err.message);
    for (int32_t i = 0; i < model->config.n_layer; i++)
        model->layers[i].scales.u /= 4; /* so that codes saturate */
    return model;
}

/* ---- the walk ---------------------------------------------------------------------------------
 */

typedef struct counts {
    size_t n[3][QM_N_TRACE_EDGES];    /* values seen */
    size_t next[3][QM_N_TRACE_EDGES]; /* token expected */
    quamba_model *spoil;              /* NULL, or whose D changes before the scan of a token */
} counts;

static quamba_status count(void *user, int32_t layer, qm_trace_edge edge, size_t token,
                           size_t n_rows, const void *values, quamba_error *err)
{
    counts *c = user;
    (void)err;
    assert_non_null(values);
    assert_int_equal(token, c->next[layer][edge]);
    c->next[layer][edge] += n_rows;
    c->n[layer][edge] += n_rows;
    if (c->spoil && edge == QM_AT_STATE_IN && layer == 1 && token == 9) {
        float *d = (float *)(uintptr_t)c->spoil->layers[1].d;
        d[5] += 16.0f; /* the runtime is through with it, the operators are not */
    }
    return QUAMBA_OK;
}

static quamba_status walk(const quamba_model *model, size_t n_prefill, size_t first, counts *c,
                          quamba_error *err)
{
    static const bool layers[3] = {true, true, true};
    for (int l = 0; l < 3; l++)
        for (int i = 0; i < QM_N_TRACE_EDGES; i++)
            c->next[l][i] = first;
    const qm_trace_plan plan = {.model = model,
                                .tokens = tokens,
                                .n_tokens = N_TOKENS,
                                .n_prefill = n_prefill,
                                .first = first,
                                .layers = layers};
    const qm_trace_watch watch = {
        .session = {.cpu = "native", .n_threads = 1, .max_rows = 1}
    };
    const qm_trace_walk w = {.plan = &plan, .watch = &watch, .emit = count, .user = c};
    return qm_trace_walk_run(&w, err);
}

/* No edge of any row differs from the runtime's, by prefill, by steps, and with both. */
static void test_all_modes(void **state)
{
    (void)state;
    static const size_t prefills[] = {N_TOKENS, 37, 1, 0};
    const quamba_datapath *dp;
    size_t n_rows = 0;
    for (size_t m = 0; (dp = quamba_datapath_at(m)); m++, n_rows++)
        for (int wide = 0; wide < 2; wide++) {
            quamba_model *model = new_model(dp, wide);
            for (size_t k = 0; k < QM_COUNT(prefills); k++) {
                counts c = {0};
                quamba_error err;
                const qm_trace_setting setting = {model, true, prefills[k] < N_TOKENS};
                if (walk(model, prefills[k], 3, &c, &err) != QUAMBA_OK)
                    fail_msg("mode %s, %zu by prefill: %s", dp->id, prefills[k], err.message);
                for (int32_t i = 0; i < QM_N_TRACE_EDGES; i++) {
                    const bool head = qm_trace_edge_is_head((qm_trace_edge)i);
                    qm_trace_facts f;
                    qm_trace_describe(&f, &setting, head ? 2 : 0, (qm_trace_edge)i);
                    const size_t want = f.absent ? 0 : N_TOKENS - 3;
                    if (c.n[head ? 2 : 0][i] != want)
                        fail_msg("mode %s: %s of %zu tokens, must be of %zu", dp->id,
                                 qm_trace_edge_name((qm_trace_edge)i), c.n[head ? 2 : 0][i], want);
                    assert_true(f.absent || f.formula[0] != '\0');
                }
            }
            quamba_model_close(&model);
        }
    assert_int_equal(n_rows, 29); /* 27 quantized, fp32, fp16 */
}

/* What an operator does differently is found where it happens. */
static void test_planted_fault(void **state)
{
    (void)state;
    static const char *const ids[] = {"fp32", "0", "2-4", "3", "6-1"};
    for (size_t k = 0; k < QM_COUNT(ids); k++) {
        quamba_model *model = new_model(quamba_datapath_find(ids[k]), false);
        counts c = {.spoil = model};
        quamba_error err;
        assert_int_equal(walk(model, 20, 0, &c, &err), QUAMBA_E_FORMAT);
        if (!strstr(err.message, "layer 1, edge scan_out, token 9, channel 5:"))
            fail_msg("mode %s: %s", ids[k], err.message);
        quamba_model_close(&model);
    }
}

/* Every input that a formula names is an edge of the mode or a parameter of the model. */
static void test_inputs_exist(void **state)
{
    (void)state;
    const quamba_datapath *dp;
    for (size_t m = 0; (dp = quamba_datapath_at(m)); m++) {
        quamba_model *model = new_model(dp, false);
        for (int steps = 0; steps < 2; steps++)
            for (int32_t i = 0; i < QM_N_TRACE_EDGES; i++) {
                const qm_trace_setting setting = {model, true, steps};
                const int32_t layer = qm_trace_edge_is_head((qm_trace_edge)i) ? 2 : 1;
                qm_trace_facts f, other;
                qm_trace_parameter p;
                char name[40];
                qm_trace_describe(&f, &setting, layer, (qm_trace_edge)i);
                if (f.absent) continue;
                for (const char *at = f.inputs; *at;) {
                    const size_t n = strcspn(at, " ");
                    snprintf(name, sizeof name, "%.*s", (int)n, at);
                    at += n + (at[n] == ' ');
                    const qm_trace_edge edge = qm_trace_edge_find(name);
                    if (edge == QM_N_TRACE_EDGES) {
                        if (!qm_trace_parameter_find(&p, model, layer, name))
                            fail_msg("mode %s, %s: no %s", dp->id,
                                     qm_trace_edge_name((qm_trace_edge)i), name);
                        continue;
                    }
                    qm_trace_describe(&other, &setting, layer, edge);
                    if (other.absent)
                        fail_msg("mode %s: %s reads %s, which is not there", dp->id,
                                 qm_trace_edge_name((qm_trace_edge)i), name);
                }
            }
        quamba_model_close(&model);
    }
}

/* ---- forms ------------------------------------------------------------------------------------
 */

static void expect_row(qm_trace_code code, const void *values, const char *want, size_t n)
{
    unsigned char out[400];
    size_t bad = 0;
    assert_int_equal(qm_trace_row_bytes(&code), n);
    assert_true(qm_trace_encode_row(&code, values, out, &bad));
    assert_memory_equal(out, want, n);
}

#define EXPECT_ROW(values, want, ...)                                                              \
    expect_row((qm_trace_code){__VA_ARGS__, .n_cols = QM_COUNT(values)}, values, want,             \
               sizeof want - 1)

static void test_hex(void **state)
{
    (void)state;
    static const int8_t codes[] = {0, 1, -1, 127, -128};
    static const int32_t sums[] = {0, -1, 2047, -2048};
    static const float numbers[] = {1.0f, -0.0f, -2.5f};
    EXPECT_ROW(codes, "00\n01\nff\n7f\n80\n", QM_TRACE_HEX, QM_I8, QM_I8, 8, 1);
    EXPECT_ROW(codes, "0000\n0001\nffff\n007f\nff80\n", QM_TRACE_MEM, QM_I8, QM_I8, 16, 1);
    EXPECT_ROW(codes, "000\n001\nfff\n07f\nf80\n", QM_TRACE_HEX, QM_I8, QM_I8, 12, 1);
    EXPECT_ROW(codes, "0100\n7fff\n0080\n", QM_TRACE_HEX, QM_I8, QM_I8, 8, 2);
    EXPECT_ROW(codes, "7fff0100\n00000080\n", QM_TRACE_HEX, QM_I8, QM_I8, 8, 4);
    EXPECT_ROW(sums, "000\nfff\n7ff\n800\n", QM_TRACE_HEX, QM_I32, QM_I32, 12, 1);
    EXPECT_ROW(sums, "00000000\nffffffff\n000007ff\nfffff800\n", QM_TRACE_HEX, QM_I32, QM_I32, 32,
               1);
    EXPECT_ROW(sums, "0000000000000000\nffffffffffffffff\n00000000000007ff\nfffffffffffff800\n",
               QM_TRACE_HEX, QM_I32, QM_I32, 64, 1);
    EXPECT_ROW(numbers, "3f800000\n80000000\nc0200000\n", QM_TRACE_HEX, QM_F32, QM_F32, 32, 1);
    EXPECT_ROW(numbers, "80003c00\n0000c100\n", QM_TRACE_HEX, QM_F32, QM_F16, 16, 2);
    /* lanes of a width that is no multiple of four share digits: 5 bits each, 15 in four digits */
    static const int8_t small[] = {1, -1, -16, 15};
    EXPECT_ROW(small, "43e1\n000f\n", QM_TRACE_HEX, QM_I8, QM_I8, 5, 3);
}

static void test_binary(void **state)
{
    (void)state;
    static const int8_t codes[] = {0, -128, 127};
    static const int32_t sums[] = {1, -2};
    static const float numbers[] = {1.0f, -2.5f};
    EXPECT_ROW(codes, "\x00\x80\x7f", QM_TRACE_BIN, QM_I8, QM_I8, 8, 1);
    EXPECT_ROW(sums, "\x01\x00\x00\x00\xfe\xff\xff\xff", QM_TRACE_NPY, QM_I32, QM_I32, 32, 1);
    EXPECT_ROW(numbers, "\x00\x00\x80\x3f\x00\x00\x20\xc0", QM_TRACE_BIN, QM_F32, QM_F32, 32, 1);
    EXPECT_ROW(numbers, "\x00\x3c\x00\xc1", QM_TRACE_SAFETENSORS, QM_F32, QM_F16, 16, 1);
}

/* A value that its word does not hold, and a number that is no half, are refused. */
static void test_refused(void **state)
{
    (void)state;
    static const int32_t sums[] = {3, 128}, low[] = {-129};
    static const float numbers[] = {1.0f, 1.0f + 1e-6f};
    unsigned char out[64];
    size_t bad = 0;
    qm_trace_code code = {QM_TRACE_HEX, QM_I32, QM_I32, 8, 1, 2};
    assert_false(qm_trace_encode_row(&code, sums, out, &bad));
    assert_int_equal(bad, 1);
    code.n_cols = 1;
    assert_false(qm_trace_encode_row(&code, low, out, &bad));
    code = (qm_trace_code){QM_TRACE_NPY, QM_F32, QM_F16, 16, 1, 2};
    assert_false(qm_trace_encode_row(&code, numbers, out, &bad));
    assert_int_equal(bad, 1);
}

/* Reading back what was written, for words of every width and several lanes. */
static void test_decode(void **state)
{
    (void)state;
    static const int8_t codes[7] = {0, 1, -1, 6, -7, 7, -8};
    unsigned char out[1200], other[1200];
    char text[64], want[64];
    size_t bad;
    for (int32_t bits = 4; bits <= 64; bits++)
        for (int32_t lanes = 1; lanes < 9; lanes++) {
            const qm_trace_code code = {QM_TRACE_HEX, QM_I8, QM_I8, bits, lanes, 7};
            assert_true(qm_trace_encode_row(&code, codes, out, &bad));
            for (size_t i = 0; i < 7; i++) {
                snprintf(want, sizeof want, "%d", codes[i]);
                assert_string_equal(qm_trace_decode(&code, out, i, text), want);
            }
            memcpy(other, out, qm_trace_row_bytes(&code));
            assert_int_equal(qm_trace_first_difference(&code, out, other), 7);
            size_t n;
            other[qm_trace_place(&code, 4, &n) + n - 2] ^= 1;
            assert_true(qm_trace_first_difference(&code, out, other) <= 4);
        }
}

/* NumPy's header of an array, and what a plan's files are called. */
static void test_layout(void **state)
{
    (void)state;
    quamba_model *model = new_model(quamba_datapath_find("0"), false);
    static const bool layers[3] = {false, true, false};
    qm_trace_plan plan = {.model = model,
                          .model_hash = "0",
                          .tokens = tokens,
                          .n_tokens = 10,
                          .n_prefill = 10,
                          .first = 4,
                          .layers = layers,
                          .parameters = true,
                          .lanes = 1};
    qm_trace_layout lay;
    quamba_error err;
    plan.edges[QM_AT_CONV_OUT] = true;
    assert_int_equal(qm_trace_layout_make(&lay, &plan, &err), QUAMBA_OK);
    assert_int_equal(lay.n_files, 3); /* tokens, conv_out, u_scale */
    assert_string_equal(lay.files[0].name, "tokens.npy");
    assert_string_equal(lay.files[1].name, "layer01.conv_out.npy");
    assert_string_equal(lay.files[2].name, "layer01.u_scale.npy");
    static const char want[] = "\x93NUMPY\x01\x00\x76\x00{'descr': '|i1', 'fortran_order': False, "
                               "'shape': (6, 48,), }";
    assert_int_equal(lay.files[1].header.size, 128);
    assert_memory_equal(lay.files[1].header.data, want, sizeof want - 1);
    assert_int_equal(lay.files[1].header.data[127], '\n');
    assert_int_equal(lay.files[1].size, 128 + 6 * 48);
    qm_trace_layout_free(&lay);

    plan.format = QM_TRACE_SAFETENSORS;
    assert_int_equal(qm_trace_layout_make(&lay, &plan, &err), QUAMBA_OK);
    assert_int_equal(lay.n_files, 2);
    assert_string_equal(lay.files[1].name, "layer01.safetensors");
    assert_int_equal(lay.files[1].header.size % 64, 0);
    qm_trace_layout_free(&lay);

    plan.edges[QM_AT_CONV_OUT] = false;
    plan.edges[QM_AT_GRID_SCALE] = true;
    assert_int_equal(qm_trace_layout_make(&lay, &plan, &err), QUAMBA_E_ARGUMENT);
    assert_non_null(strstr(err.message, "mode 0 has no edge grid_scale"));
    qm_trace_layout_free(&lay);
    quamba_model_close(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_modes),    cmocka_unit_test(test_planted_fault),
        cmocka_unit_test(test_inputs_exist), cmocka_unit_test(test_hex),
        cmocka_unit_test(test_binary),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_decode),       cmocka_unit_test(test_layout),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}

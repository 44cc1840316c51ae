/* The counts of src/count: closed forms on a tiny shape, the bytes that quamba_model_info states,
 * and, for every row, what a session really asks of its kernels, operator by operator. */
#include "base/mem.h"
#include "base/status.h"
#include "count/count.h"
#include "runtime/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { N_TOKENS = 5 };

static qm_config tiny(bool quantized)
{
    return (qm_config){.mamba_version = 1,
                       .n_layer = 2,
                       .d_model = 32,
                       .d_inner = 48, /* 12 x 4: the Hadamard transform has both parts */
                       .d_state = 8,
                       .d_conv = 4,
                       .dt_rank = 3,
                       .n_vocab = 40,
                       .tie_embeddings = true,
                       .quantized = quantized,
                       .scheme = quantized ? QM_W8A8 : QM_FLOAT,
                       .norm_eps = 1e-5};
}

static quamba_model *random_model(const quamba_datapath *datapath, qm_config config,
                                  const qm_random_options *options)
{
    quamba_model *model = NULL;
    quamba_error err;
    if (qm_model_random(&model, &config, datapath, options, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    return model;
}

/* ---- counting kernels: each counts what its contract in kernels.h says, then runs -------------
 */

static qm_kernels real;
static uint64_t asked[QM_N_COUNTS]; /* since the last edge */

static void ask(qm_count_kind kind, size_t n) { asked[kind] += n; }

static void ask_quantize(float scale, size_t n)
{
    if (scale != 1.0f) ask(QM_COUNT_DIV, n); /* the Hadamard transform has divided */
    ask(QM_COUNT_ROUND_I8, n);
}

static void ask_sigmoid(size_t n)
{
    ask(QM_COUNT_EXP, n);
    ask(QM_COUNT_ADD_F32, n);
    ask(QM_COUNT_DIV, n);
}

static void matvec_f32(float *restrict y, const float *restrict w, const float *restrict x,
                       size_t n, size_t k)
{
    ask(QM_COUNT_MAC_F32, n * k);
    real.matvec_f32(y, w, x, n, k);
}

static void matvec_f16(float *restrict y, const uint16_t *restrict w, const float *restrict x,
                       size_t n, size_t k)
{
    ask(QM_COUNT_MAC_F32, n * k);
    real.matvec_f16(y, w, x, n, k);
}

static void matmul_f32(float *restrict y, size_t ldy, const float *restrict w,
                       const float *restrict x, size_t ldx, size_t m, size_t n, size_t k)
{
    ask(QM_COUNT_MAC_F32, m * n * k);
    real.matmul_f32(y, ldy, w, x, ldx, m, n, k);
}

static void round_f16(float *y, size_t n)
{
    ask(QM_COUNT_ROUND_F16, n);
    real.round_f16(y, n);
}

static void rms_norm_f32(float *restrict y, const float *restrict x, const float *restrict weight,
                         float eps, size_t n)
{
    ask(QM_COUNT_MAC_F32, n);
    ask(QM_COUNT_DIV, 2);
    ask(QM_COUNT_ADD_F32, 1);
    ask(QM_COUNT_SQRT, 1);
    ask(QM_COUNT_MUL_F32, 2 * n);
    real.rms_norm_f32(y, x, weight, eps, n);
}

static void conv_f32(float *restrict y, const float *const *taps, const float *restrict w,
                     size_t ldw, const float *restrict bias, size_t n, size_t width)
{
    ask(QM_COUNT_MAC_F32, n * width);
    real.conv_f32(y, taps, w, ldw, bias, n, width);
}

static void silu_f32(float *y, size_t n)
{
    ask_sigmoid(n);
    real.silu_f32(y, n);
}

static void softplus_f32(float *restrict y, const float *restrict bias, size_t n)
{
    ask(QM_COUNT_EXP, n);
    ask(QM_COUNT_LOG, n);
    if (bias) ask(QM_COUNT_ADD_F32, n);
    real.softplus_f32(y, bias, n);
}

static void softplus_log_f32(float *restrict y, const float *restrict bias, size_t n)
{
    ask(QM_COUNT_EXP, n);
    ask(QM_COUNT_LOG, n);
    ask(QM_COUNT_ADD_F32, bias ? 2 * n : n);
    real.softplus_log_f32(y, bias, n);
}

static void gate_f32(float *restrict y, const float *restrict z, size_t n)
{
    ask_sigmoid(n);
    ask(QM_COUNT_MUL_F32, n);
    real.gate_f32(y, z, n);
}

static void gate_ref_f32(float *restrict y, const float *restrict z, size_t n)
{
    ask_sigmoid(n);
    ask(QM_COUNT_MUL_F32, n);
    real.gate_ref_f32(y, z, n);
}

static void gate_sigmoid_f32(float *restrict y, const float *restrict z, size_t n)
{
    ask_sigmoid(n);
    ask(QM_COUNT_MUL_F32, 2 * n);
    real.gate_sigmoid_f32(y, z, n);
}

/* per_state and per_channel: products outside the two sums; outer: sums of a channel. */
static void ask_scan(const qm_scan_f32_args *a, size_t per_state, size_t per_channel, size_t outer)
{
    const size_t channels = a->n_rows * a->n, states = channels * a->d_state;
    ask(QM_COUNT_EXP, states);
    ask(QM_COUNT_MAC_F32, 2 * states + outer * channels);
    ask(QM_COUNT_MUL_F32, per_state * states + per_channel * channels);
}

static void scan_f32(const qm_scan_f32_args *a)
{
    ask_scan(a, 2, 2, 0);
    real.scan_f32(a);
}

static void scan_ref_f32(const qm_scan_f32_args *a)
{
    ask_scan(a, 3, 0, 1);
    real.scan_ref_f32(a);
}

static void scan_se_f32(const qm_scan_f32_args *a)
{
    ask_scan(a, 2, 1, 1);
    real.scan_se_f32(a);
}

static void scan_mamba_f32(const qm_scan_f32_args *a)
{
    ask_scan(a, 2, 2, 0);
    real.scan_mamba_f32(a);
}

static size_t scan_step_i8(const qm_scan_f32_args *a, float scale, bool away)
{
    const size_t states = a->n * a->d_state;
    ask_scan(a, 3, 0, 1);
    ask(QM_COUNT_DIV, states);
    ask(QM_COUNT_ROUND_I8, states);
    ask(QM_COUNT_MUL_F32, away ? states : 2 * states);
    return real.scan_step_i8(a, scale, away);
}

static void matvec_i8(int32_t *restrict acc, const int8_t *restrict w, const int8_t *restrict x,
                      size_t n, size_t k)
{
    ask(QM_COUNT_MAC_I8, n * k);
    real.matvec_i8(acc, w, x, n, k);
}

static void matmul_i8(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                      const int8_t *restrict x, size_t ldx, size_t m, size_t n, size_t k,
                      void *scratch)
{
    ask(QM_COUNT_MAC_I8, m * n * k);
    real.matmul_i8(acc, ldacc, w, x, ldx, m, n, k, scratch);
}

static void ask_linear_i8(const qm_linear_i8_args *args)
{
    ask(QM_COUNT_MAC_I8, args->m * args->n * args->k);
    ask(QM_COUNT_MUL_F32, 2 * args->m * args->n);
}

static void linear_i8_codes(int8_t *restrict y, size_t *restrict lost,
                            const qm_linear_i8_args *args)
{
    ask_linear_i8(args);
    ask(QM_COUNT_ROUND_I8, args->m * args->n);
    real.linear_i8_codes(y, lost, args);
}

static void linear_i8_f16(float *restrict y, const qm_linear_i8_args *args)
{
    ask_linear_i8(args);
    ask(QM_COUNT_ROUND_F16, args->m * args->n);
    real.linear_i8_f16(y, args);
}

static void linear_i8_f32(float *restrict y, const qm_linear_i8_args *args)
{
    ask_linear_i8(args);
    real.linear_i8_f32(y, args);
}

static size_t requantize_i8(int8_t *restrict q, const int32_t *restrict acc, float first,
                            float second, size_t n)
{
    ask(QM_COUNT_MUL_F32, 2 * n);
    ask(QM_COUNT_ROUND_I8, n);
    return real.requantize_i8(q, acc, first, second, n);
}

static size_t quantize_even_i8(int8_t *restrict q, const float *restrict x, float scale, size_t n)
{
    ask_quantize(scale, n);
    return real.quantize_even_i8(q, x, scale, n);
}

static size_t quantize_away_i8(int8_t *restrict q, const float *restrict x, float scale, size_t n)
{
    ask_quantize(scale, n);
    return real.quantize_away_i8(q, x, scale, n);
}

static void rescale_f16(float *restrict y, const int32_t *restrict acc, float first, float second,
                        size_t n)
{
    ask(QM_COUNT_MUL_F32, 2 * n);
    ask(QM_COUNT_ROUND_F16, n);
    real.rescale_f16(y, acc, first, second, n);
}

static void dequantize_i8(float *restrict y, const int8_t *restrict q, float scale, size_t n)
{
    ask(QM_COUNT_MUL_F32, n);
    real.dequantize_i8(y, q, scale, n);
}

static void affine_i8(float *restrict y, const int8_t *restrict q, float scale,
                      const float *restrict bias, size_t n)
{
    ask(QM_COUNT_MAC_F32, n);
    real.affine_i8(y, q, scale, bias, n);
}

static void conv_i8(float *restrict y, const int8_t *const *taps, const int8_t *restrict w,
                    size_t ldw, float scale, const float *restrict bias, size_t n, size_t width)
{
    ask(QM_COUNT_MAC_I8, n * width);
    ask(QM_COUNT_MAC_F32, n);
    real.conv_i8(y, taps, w, ldw, scale, bias, n, width);
}

static void hadamard_f32(float *restrict x, float *restrict scratch, const int8_t *restrict signs,
                         size_t m, size_t width, float scale)
{
    for (size_t stride = 1; stride < width; stride *= 2)
        ask(QM_COUNT_ADD_F32, m * width);
    if (m > 1) ask(QM_COUNT_ADD_F32, m * m * width);
    ask(QM_COUNT_MUL_F32, m * width);
    real.hadamard_f32(x, scratch, signs, m, width, scale);
}

static void count_kernels(quamba_session *s)
{
    qm_kernels *k = &s->kernels;
    real = *k;
    k->matvec_f32 = matvec_f32;
    k->matvec_f16 = matvec_f16;
    k->matmul_f32 = matmul_f32;
    k->round_f16 = round_f16;
    k->rms_norm_f32 = rms_norm_f32;
    k->conv_f32 = conv_f32;
    k->silu_f32 = silu_f32;
    k->softplus_f32 = softplus_f32;
    k->softplus_log_f32 = softplus_log_f32;
    k->gate_f32 = gate_f32;
    k->gate_ref_f32 = gate_ref_f32;
    k->gate_sigmoid_f32 = gate_sigmoid_f32;
    k->scan_f32 = scan_f32;
    k->scan_ref_f32 = scan_ref_f32;
    k->scan_se_f32 = scan_se_f32;
    k->scan_mamba_f32 = scan_mamba_f32;
    k->scan_step_i8 = scan_step_i8;
    k->matvec_i8 = matvec_i8;
    k->matmul_i8 = matmul_i8;
    k->linear_i8_codes = linear_i8_codes;
    k->linear_i8_f16 = linear_i8_f16;
    k->linear_i8_f32 = linear_i8_f32;
    k->requantize_i8 = requantize_i8;
    k->quantize_even_i8 = quantize_even_i8;
    k->quantize_away_i8 = quantize_away_i8;
    k->rescale_f16 = rescale_f16;
    k->dequantize_i8 = dequantize_i8;
    k->affine_i8 = affine_i8;
    k->conv_i8 = conv_i8;
    k->hadamard_f32 = hadamard_f32;
}

/* ---- attribution: what was asked between two edges belongs to the operators between them ------
 */

/* The operators that end at an edge which the tap sees; the first stage holds the embedding too. */
static const struct {
    const char *edge;
    qm_operator first, last;
} stages[] = {
    {"norm_out",     QM_OP_NORM,     QM_OP_NORM    },
    {"in_proj_out",  QM_OP_IN_PROJ,  QM_OP_IN_PROJ },
    {"conv_out",     QM_OP_CONV_IN,  QM_OP_GRID    },
    {"x_proj_out",   QM_OP_X_PROJ,   QM_OP_X_PROJ  },
    {"dt_proj_out",  QM_OP_DT_PROJ,  QM_OP_DT_PROJ },
    {"scan_out",     QM_OP_SOFTPLUS, QM_OP_STATE   },
    {"hadamard_out", QM_OP_HADAMARD, QM_OP_HADAMARD},
    {"residual",     QM_OP_OUT_PROJ, QM_OP_RESIDUAL},
    {"logits",       QM_OP_NORM_F,   QM_OP_HEAD    },
};

enum { N_STAGES = QM_COUNT(stages), MAX_LAYERS = 2 };

static uint64_t measured[MAX_LAYERS + 1][N_STAGES][QM_N_COUNTS];

static void attribute(void *user, const quamba_view *view)
{
    (void)user;
    for (size_t i = 0; i < N_STAGES; i++)
        if (strcmp(view->edge, stages[i].edge) == 0) {
            for (int k = 0; k < QM_N_COUNTS; k++)
                measured[view->layer][i][k] += asked[k];
            memset(asked, 0, sizeof asked);
        }
}

/* What the runtime does outside its kernels in these stages, so that they cannot count it. */
static uint64_t done_by_hand(const qm_plan *p, size_t stage, bool decode, qm_count_kind kind)
{
    const qm_config *c = &p->config;
    const qm_knobs *k = &p->datapath->knobs;
    const uint64_t n = decode ? 1 : N_TOKENS, e = (uint64_t)c->d_inner, d = (uint64_t)c->d_model;
    const uint64_t states = e * (uint64_t)c->d_state, width = (uint64_t)c->d_conv;
    const bool i8_state = k->state != QM_STATE_F32 && k->state != QM_STATE_F16;
    const bool step8 = decode && i8_state;
    if (stages[stage].first == QM_OP_OUT_PROJ && kind == QM_COUNT_ADD_F32) return n * d;
    if (!p->config.quantized) return 0;
    switch (stages[stage].first) {
    case QM_OP_IN_PROJ: /* the two factors of one row's numbers */
        if (kind != QM_COUNT_MUL_F32 || !decode) return 0;
        return 2 * n * e * ((k->ip == QM_IP_F32 ? 1u : 0u) + (k->z == QM_Z_F32 ? 1u : 0u));
    case QM_OP_CONV_IN: { /* run-time scales */
        const bool by_run = k->cin != QM_CIN_STATIC;
        const uint64_t mixed = !by_run ? 0 : decode ? 1 : k->cin == QM_CIN_DYN_TENSOR ? 0 : n - 1;
        if (!by_run) return 0;
        if (kind == QM_COUNT_MAX_F32) return n * e;
        if (kind == QM_COUNT_DIV) return k->cin == QM_CIN_DYN_TENSOR ? 1 : n;
        if (k->conv == QM_CONV_INT && (kind == QM_COUNT_MAC_F32 || kind == QM_COUNT_MUL_F32))
            return mixed * e * width;
        return 0;
    }
    case QM_OP_SOFTPLUS:
        if (kind != QM_COUNT_MUL_F32) return 0;
        return k->scan == QM_SCAN_MAMBA && !step8 ? states : 0; /* A times log2(e) */
    default:
        return 0;
    }
}

/* Grids are no kernels: what they do is held against the list of their steps. */
static uint64_t grid_steps(const qm_plan *p, bool decode, qm_count_kind kind)
{
    static const struct {
        uint8_t divisions, products, comparisons;
    } steps[] = {
        [QM_GRID_I8] = {0, 0, 0},
          [QM_GRID_F32] = {0, 0, 0},
          [QM_GRID_VQ] = {1, 1, 0},
        [QM_GRID_SEL] = {1, 1, 0},
          [QM_GRID_DUAL] = {3, 1, 1},
          [QM_GRID_HALF] = {2, 1, 0},
        [QM_GRID_QUARTER] = {2, 1, 0},
          [QM_GRID_QLOG2] = {1, 1, 0},
          [QM_GRID_SEG3] = {1, 1, 0},
        [QM_GRID_CDUAL] = {2, 1, 0},
    };
    const qm_grid grid = p->datapath->knobs.grid;
    const uint64_t n = (decode ? 1 : N_TOKENS) * (uint64_t)p->config.d_inner;
    if (!p->config.quantized) return 0;
    if (kind == QM_COUNT_DIV)
        return steps[grid].divisions * n + (grid == QM_GRID_DUAL); /* the second scale */
    if (kind == QM_COUNT_ROUND_I8) return steps[grid].divisions * n;
    if (kind == QM_COUNT_MUL_F32) return steps[grid].products * n;
    return kind == QM_COUNT_MAX_F32 ? steps[grid].comparisons * n : 0;
}

static uint64_t counted(const qm_counts *counts, size_t stage, qm_count_kind kind)
{
    uint64_t sum = 0;
    for (int i = (int)stages[stage].first; i <= (int)stages[stage].last; i++)
        sum += counts->of[i][kind];
    return sum;
}

static void compare_run(const quamba_model *model, bool decode)
{
    const qm_plan plan = qm_plan_of_model(model);
    const qm_workload work = {.n_tokens = decode ? 1 : N_TOKENS, .decode = decode};
    for (int32_t layer = 0; layer <= plan.config.n_layer; layer++) {
        const bool outside = layer == plan.config.n_layer;
        const qm_layer_types types = qm_layer_types_of_model(model, outside ? 0 : layer);
        qm_counts counts, embedding;
        qm_count_operators(&counts, &plan, outside ? NULL : &types, &work);
        qm_count_operators(&embedding, &plan, NULL, &work);
        for (size_t i = 0; i < N_STAGES; i++) {
            const bool conv = stages[i].first == QM_OP_CONV_IN;
            if (outside != (stages[i].first == QM_OP_NORM_F)) continue;
            for (int k = 0; k < QM_N_OPERATIONS; k++) {
                uint64_t ours = counted(&counts, i, (qm_count_kind)k);
                uint64_t theirs =
                    measured[layer][i][k] + done_by_hand(&plan, i, decode, (qm_count_kind)k);
                if (conv) theirs += grid_steps(&plan, decode, (qm_count_kind)k);
                if (layer == 0 && stages[i].first == QM_OP_NORM)
                    ours += embedding.of[QM_OP_EMBED][k];
                /* A half state is rounded before a step too, which only matters to the first. */
                if (stages[i].first == QM_OP_SOFTPLUS && k == QM_COUNT_ROUND_F16 && decode &&
                    !plan.config.quantized)
                    ours += counts.of[QM_OP_STATE][k];
                if (ours != theirs)
                    fail_msg("mode %s, %s, layer %d, up to %s: %s: counted %llu, asked %llu",
                             quamba_datapath_id(plan.datapath), decode ? "decode" : "prefill",
                             layer, stages[i].edge, qm_count_names[k], (unsigned long long)ours,
                             (unsigned long long)theirs);
            }
        }
    }
}

static void compare_datapath(const quamba_datapath *datapath)
{
    const qm_random_options options = {.seed = 3};
    quamba_model *model = random_model(datapath, tiny(datapath->quantized), &options);
    const quamba_session_options session_options = {
        .cpu = "scalar", .n_threads = 1, .max_rows = 64};
    int32_t tokens[N_TOKENS];
    const float *logits;
    quamba_session *s = NULL;
    quamba_error err;
    for (int32_t i = 0; i < N_TOKENS; i++)
        tokens[i] = (7 * i + 3) % 40;
    if (quamba_session_new(&s, model, &session_options, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    count_kernels(s);
    quamba_session_set_tap(s, attribute, NULL);
    for (int step = 0; step < 5; step++) { /* a prompt, then steps until all taps come from steps */
        memset(measured, 0, sizeof measured);
        memset(asked, 0, sizeof asked);
        quamba_status status = step == 0
                                   ? quamba_session_prefill(s, tokens, N_TOKENS, &logits, &err)
                                   : quamba_session_step(s, tokens[step], &logits, &err);
        if (status != QUAMBA_OK) fail_msg("%s", err.message);
        if (step == 0 || step == 4) compare_run(model, step > 0);
    }
    quamba_session_free(&s);
    quamba_model_close(&model);
}

static void test_kernels(void **state)
{
    (void)state;
    const quamba_datapath *row;
    for (size_t i = 0; (row = quamba_datapath_at(i)); i++)
        compare_datapath(row);
}

/* Knobs that no row has, one by one and together. */
static void test_kernels_knobs(void **state)
{
    (void)state;
    static const char *const lists[] = {"in_proj_out=f16", "ip=f32,cin=dyn-token",
                                        "lin=f32",         "lin=f32,bc=vq",
                                        "lin=f32,bc=f32",  "y=f32",
                                        "z=f32",           "state=f16",
                                        "state=i8step",    "state=i8step-away",
                                        "conv=deq",        "ip=f32,z=f32",
                                        "scan=se,u=deq",   "ip=f32,cin=dyn-tensor,conv=deq"};
    for (size_t i = 0; i < QM_COUNT(lists); i++) {
        quamba_datapath *datapath = NULL;
        quamba_error err;
        if (quamba_datapath_parse(&datapath, quamba_datapath_find("0"), lists[i], &err) !=
            QUAMBA_OK)
            fail_msg("%s", err.message);
        compare_datapath(datapath);
        quamba_datapath_free(&datapath);
    }
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static void check_bytes(const quamba_datapath *datapath, const qm_random_options *options)
{
    const qm_config config = tiny(datapath->quantized);
    quamba_model *model = random_model(datapath, config, options);
    const quamba_model_info info = quamba_model_get_info(model);
    const qm_plan plan = qm_plan_of_model(model);
    const qm_plan shape = qm_plan_of_shape(&config, datapath, options);
    const qm_layer_types shape_types = qm_layer_types_of_shape(&config);
    const qm_workload step = {.n_tokens = 1, .decode = true};
    uint64_t read = 0, state = 0, weights = 0;
    for (int32_t i = 0; i <= config.n_layer; i++) {
        const qm_layer_types types = qm_layer_types_of_model(model, i < config.n_layer ? i : 0);
        qm_counts counts, of_shape;
        qm_stores stores;
        qm_count_operators(&counts, &plan, i < config.n_layer ? &types : NULL, &step);
        qm_count_operators(&of_shape, &shape, i < config.n_layer ? &shape_types : NULL, &step);
        assert_memory_equal(&counts, &of_shape, sizeof counts);
        qm_count_storage(&stores, &plan, i < config.n_layer ? &types : NULL);
        for (int k = 0; k < QM_N_OPERATORS; k++) {
            if (k != QM_OP_EMBED) read += counts.of[k][QM_COUNT_DRAM_BYTES];
            weights += stores.of[k][QM_STORE_WEIGHTS];
        }
        state += stores.of[QM_OP_CONV][QM_STORE_STATE] + stores.of[QM_OP_SCAN][QM_STORE_STATE];
    }
    assert_int_equal(read, info.bytes_per_token - info.state_bytes);
    assert_int_equal(weights, info.weights_bytes);
    const bool f32_state = datapath->quantized ? datapath->knobs.state == QM_STATE_F32
                                               : datapath->step_state == QM_FORMAT_F32;
    if (f32_state) assert_int_equal(state, info.state_bytes);
    quamba_model_close(&model);
}

static void test_bytes(void **state)
{
    (void)state;
    const quamba_datapath *row;
    for (size_t i = 0; (row = quamba_datapath_at(i)); i++)
        for (int k = 0; k < (row->quantized ? 4 : 1); k++)
            check_bytes(row, &(qm_random_options){.seed = 1,
                                                  .half_embedding = (k & 1) != 0,
                                                  .half_head = (k & 2) != 0});
}

/* ---- closed forms ---------------------------------------------------------------------------- */

/* Mode 0, written down from the shape: d 32, e 48, N 8, rank 3, width 4, V 40; 5 tokens. */
static void test_closed_forms(void **state)
{
    (void)state;
    const qm_config config = tiny(true);
    const qm_plan plan =
        qm_plan_of_shape(&config, quamba_datapath_find("0"), &(qm_random_options){0});
    const qm_layer_types types = qm_layer_types_of_shape(&config);
    qm_counts c;
    qm_count_operators(&c, &plan, &types, &(qm_workload){.n_tokens = 5});
    assert_int_equal(c.of[QM_OP_IN_PROJ][QM_COUNT_MAC_I8], 5 * 96 * 32);
    assert_int_equal(c.of[QM_OP_CONV][QM_COUNT_MAC_I8], 5 * 48 * 4);
    assert_int_equal(c.of[QM_OP_X_PROJ][QM_COUNT_MAC_I8], 5 * 19 * 48);
    assert_int_equal(c.of[QM_OP_DT_PROJ][QM_COUNT_MAC_I8], 5 * 48 * 3);
    assert_int_equal(c.of[QM_OP_OUT_PROJ][QM_COUNT_MAC_I8], 5 * 32 * 48);
    assert_int_equal(c.of[QM_OP_SCAN][QM_COUNT_MAC_F32], 5 * 2 * 48 * 8);
    /* SiLU, softplus, decay, gate */
    assert_int_equal(qm_count_total(&c, QM_COUNT_EXP), 5 * (48 + 48 + 48 * 8 + 48));
    assert_int_equal(qm_count_total(&c, QM_COUNT_LOG), 5 * 48);
    assert_int_equal(qm_count_total(&c, QM_COUNT_SQRT), 5);
    assert_int_equal(c.of[QM_OP_HADAMARD][QM_COUNT_ADD_F32], 5 * 48 * (2 + 12));
    assert_int_equal(c.of[QM_OP_IN_PROJ][QM_COUNT_DRAM_BYTES], 96 * 32);
    assert_int_equal(c.of[QM_OP_IN_PROJ][QM_COUNT_EDGE_BYTES], 5 * (32 + 96));
    assert_int_equal(c.of[QM_OP_IN_PROJ][QM_COUNT_LOCAL_BYTES],
                     2 * 5 * 96 * 32 + 8 * 2 * 5 * 96 + 4 * 5 * 96);
    assert_int_equal(c.of[QM_OP_SCAN][QM_COUNT_STATE_BYTES], 2 * 48 * 8); /* i8 from step to step */
    assert_int_equal(c.of[QM_OP_SCAN][QM_COUNT_EDGE_BYTES], 5 * (48 + 16));
    assert_int_equal(qm_count_total(&c, QM_COUNT_ROUND_I8),
                     5 * (32 + 96 + 48 + 19 + 48 + 48)); /* norm in_proj conv x_proj dt hadamard */
    qm_stores s;
    qm_count_storage(&s, &plan, NULL);
    assert_int_equal(s.of[QM_OP_HADAMARD][QM_STORE_TABLES], 12 * 12);
    assert_int_equal(s.of[QM_OP_HEAD][QM_STORE_WEIGHTS], 40 * 32);
    assert_int_equal(s.of[QM_OP_EMBED][QM_STORE_WEIGHTS], 40 * 32 + 40 * 4);
}

/* ---- energy ---------------------------------------------------------------------------------- */

static void test_prices(void **state)
{
    (void)state;
    qm_prices prices;
    quamba_error err;
    uint64_t of[QM_N_COUNTS] = {0};
    of[QM_COUNT_MAC_I8] = 10;
    of[QM_COUNT_DRAM_BYTES] = 3;
    of[QM_COUNT_EXP] = 1000; /* not priced */
    assert_int_equal(qm_prices_parse(&prices, "mac_i8=0.25,dram_byte=20", &err), QUAMBA_OK);
    assert_true(prices.given[QM_COUNT_MAC_I8] && !prices.given[QM_COUNT_EXP]);
    assert_true(qm_energy_pj(&prices, of) == 62.5);
    assert_int_equal(qm_prices_parse(&prices, "", &err), QUAMBA_OK);
    static const char *const wrong[][2] = {
        {"mac_i9=1",     "no price \"mac_i9\""},
        {"mac_i8",       "has no price"       },
        {"mac_i8,exp=2", "has no price"       },
        {"mac_i8=",      "a number >= 0"      },
        {"mac_i8=-1",    "a number >= 0"      },
        {"mac_i8=nan",   "a number >= 0"      },
        {"mac_i8=inf",   "a number >= 0"      },
        {"mac_i8=1x",    "a number >= 0"      },
        {"exp=1,exp=2",  "priced twice"       },
        {"=1",           "no price \"\""      },
        {",",            "has no price"       },
    };
    for (size_t i = 0; i < QM_COUNT(wrong); i++) {
        assert_int_equal(qm_prices_parse(&prices, wrong[i][0], &err), QUAMBA_E_ARGUMENT);
        if (!strstr(err.message, wrong[i][1])) fail_msg("%s: %s", wrong[i][0], err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closed_forms), cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_kernels),      cmocka_unit_test(test_kernels_knobs),
        cmocka_unit_test(test_prices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

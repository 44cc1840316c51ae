/* Every operator of the quantized forward pass against what the original computed on a GPU, each on
 * its recorded input: a tap compares what an edge holds with the recording and then puts the
 * recording there, so that the next operator starts from it.
 *  - tests/golden/fork_ops.safetensors: a few tokens, always;
 *  - ../shared/golden/fork/demo: a prompt of 117 tokens, one decode step, sixteen states, the INT8
 *    head; skipped without it.
 * The model is models/demo, quantized here with the recorded activation scales. */
#include "base/half.h"
#include "base/text.h"
#include "format/format.h"
#include "runtime/edges.h"
#include "runtime/session.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "quantized_demo.h"

/* ---- recordings ------------------------------------------------------------------------------ */

/* A recorded tensor as numbers, whatever its type; NULL when the file does not have it. */
static double *recorded(const qm_source *source, size_t *n, const char *format, ...)
{
    char name[96];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    const qm_tensor *t = qm_source_find(source, name);
    if (!t) return NULL;
    *n = (size_t)qm_tensor_count(t);
    unsigned char *plain = malloc((size_t)qm_tensor_bytes(t) + 1);
    double *out = malloc(*n * sizeof *out);
    assert_true(plain && out);
    qm_tensor_copy(t, plain);
    for (size_t i = 0; i < *n; i++) {
        float f;
        int32_t word;
        uint16_t half;
        memcpy(&f, plain + 4 * i * (t->dtype == QM_F32), sizeof f * (t->dtype == QM_F32));
        memcpy(&word, plain + 4 * i * (t->dtype == QM_I32), sizeof word * (t->dtype == QM_I32));
        memcpy(&half, plain + 2 * i * (t->dtype == QM_F16), sizeof half * (t->dtype == QM_F16));
        out[i] = t->dtype == QM_F32   ? (double)f
                 : t->dtype == QM_I32 ? (double)word
                 : t->dtype == QM_F16 ? (double)qm_f32_f16(half)
                                      : (double)((int8_t *)plain)[i];
    }
    free(plain);
    return out;
}

/* ---- the table ------------------------------------------------------------------------------- */

/* What agreement an operator must reach (../shared/golden/fork/README.md). */
typedef struct fork_row {
    const char *name; /* of the recorded tensor, behind "L<layer>." */
    bool by_channel;  /* recorded [channel][token] */
    double share;     /* of the values that may differ */
    int32_t ulps;     /* by how many halves */
} fork_row;

static const fork_row rows[QM_N_EDGES] = {
    [QM_EDGE_NORM_OUT] = {"norm.out.0",     false, 0,      0},
    [QM_EDGE_IN_PROJ_OUT] = {"in_proj.out.0",  true,  0,      0},
    [QM_EDGE_CONV_OUT] = {"conv1d.out.0",   true,  0,      0},
    [QM_EDGE_X_PROJ_OUT] = {"x_proj.out.0",   false, 0,      0},
    [QM_EDGE_DT_PROJ_OUT] = {"dt_proj.out.0",  true,  0,      0},
    [QM_EDGE_SCAN_OUT] = {"scan.out.0",     false, 0.0013, 3},
    [QM_EDGE_SSM_STATE] = {"scan.out.1",     false, 0,      0},
    [QM_EDGE_HADAMARD_OUT] = {"had.out.0",      false, 0,      0},
    [QM_EDGE_OUT_PROJ_OUT] = {"out_proj.out.0", false, 0,      0},
    [QM_EDGE_RESIDUAL] = {"norm.out.1",     false, 0,      0},
    [QM_EDGE_NORM_F_OUT] = {"norm_f.out.0",   false, 0.0001, 1},
    [QM_EDGE_LOGITS] = {"lm_head",        false, 0.002,  3},
};

typedef struct fork_count {
    size_t n, n_differ;
    int32_t worst; /* in ulps of half, or codes */
} fork_count;

typedef struct fork_watch {
    const qm_source *source;
    const char *run; /* "prefill", "step0" */
    const quamba_model *model;
    float *residual; /* the buffer behind the residual edge */
    int32_t n_rows;  /* tokens of the run */
    double *last;    /* recorded logits of the last token */
    const quamba_session *session;
    fork_count counts[QM_N_EDGES], embedding;
} fork_watch;

/* Distance of two halves in steps between neighbours. */
static int32_t ulps_between(double a, double b)
{
    int32_t x = qm_f16_f32((float)a), y = qm_f16_f32((float)b);
    x = x & 0x8000 ? 0x8000 - x : x;
    y = y & 0x8000 ? 0x8000 - y : y;
    return x < y ? y - x : x - y;
}

static void compare(fork_count *count, double got, double want, bool half)
{
    count->n++;
    if (got == want) return;
    count->n_differ++;
    int32_t steps = half ? ulps_between(got, want) : (int32_t)fmin(fabs(got - want), 1e6);
    if (steps > count->worst) count->worst = steps;
}

static double code_of_state(float h, float scale) { return (double)roundf(h / scale); }

/* Compares a view with the recording and overwrites it: all buffers are our own. */
static void force(fork_count *count, const fork_row *row, const quamba_view *view,
                  const double *want)
{
    const size_t n_rows = (size_t)view->n_rows, n_cols = (size_t)view->n_cols;
    for (size_t r = 0; r < n_rows; r++)
        for (size_t c = 0; c < n_cols; c++) {
            double expected = want[row->by_channel ? c * n_rows + r : r * n_cols + c];
            size_t at = r * view->row_stride + c;
            double got = view->codes ? (double)view->codes[at] : (double)view->data[at];
            compare(count, got, expected, !view->codes);
            if (view->codes)
                ((int8_t *)(uintptr_t)view->codes)[at] = (int8_t)expected;
            else
                ((float *)(uintptr_t)view->data)[at] = (float)expected;
        }
}

/* The last state, recorded in codes [d_inner][d_state], shown as numbers [d_state][d_inner]. */
static void compare_state(fork_count *count, const quamba_view *view, const double *want,
                          float scale)
{
    for (int32_t k = 0; k < view->n_rows; k++)
        for (int32_t c = 0; c < view->n_cols; c++) {
            float h = view->data[(size_t)k * view->row_stride + (size_t)c];
            double code = fmin(fmax(code_of_state(h, scale), -128.0), 127.0);
            compare(count, code, want[c * view->n_rows + k], false);
        }
}

/* Puts the recorded input of layer + 1 (or of the final norm) where out_proj's output and the
 * residual are about to be added. */
static void force_next_input(fork_watch *w, const quamba_view *view)
{
    const bool last = view->layer + 1 == w->model->config.n_layer;
    char where[16];
    size_t n;
    snprintf(where, sizeof where, last ? "norm_f" : "L%" PRId32 ".norm", view->layer + 1);
    double *x = recorded(w->source, &n, "%s.%s.in.x", w->run, where);
    double *residual = recorded(w->source, &n, "%s.%s.in.residual", w->run, where);
    if (x && residual) {
        assert_non_null(w->residual);
        for (size_t i = 0; i < n; i++) {
            ((float *)(uintptr_t)view->data)[i] = (float)x[i];
            w->residual[i] = (float)residual[i];
        }
    }
    free(x);
    free(residual);
}

/* Until layer 0 adds to it, the residual stream is the embedding. */
static void compare_embedding(fork_watch *w)
{
    size_t n;
    double *want = recorded(w->source, &n, "%s.embedding.out.0", w->run);
    for (size_t i = 0; want && i < n; i++)
        compare(&w->embedding, (double)w->session->residual[i], want[i], true);
    free(want);
}

static void on_edge(void *user, const quamba_view *view)
{
    fork_watch *w = user;
    int32_t edge = 0;
    while (strcmp(quamba_edge_name(edge), view->edge) != 0)
        edge++;
    const bool inside = view->layer < w->model->config.n_layer;
    size_t n = 0;
    double *want = NULL;
    if (edge == QM_EDGE_RESIDUAL) { /* what the next layer's norm hands on */
        w->residual = (float *)(uintptr_t)view->data;
        want = recorded(w->source, &n, "%s.L%" PRId32 ".norm.out.1", w->run, view->layer + 1);
    } else if (edge == QM_EDGE_LOGITS) {
        if (w->last && (w->n_rows == 1 || (int32_t)view->position == w->n_rows - 1))
            for (int32_t i = 0; i < view->n_cols; i++)
                compare(&w->counts[edge], (double)view->data[i], w->last[i], true);
    } else if (!inside) {
        double *all = recorded(w->source, &n, "%s.norm_f.out.0", w->run);
        int32_t row = w->n_rows == 1 ? 0 : (int32_t)view->position;
        for (int32_t i = 0; all && i < view->n_cols; i++)
            compare(&w->counts[edge], view->codes ? (double)view->codes[i] : (double)view->data[i],
                    all[row * view->n_cols + i], !view->codes);
        free(all);
    } else {
        want = recorded(w->source, &n, "%s.L%" PRId32 ".%s", w->run, view->layer, rows[edge].name);
    }
    if (want && edge == QM_EDGE_SSM_STATE) {
        compare_state(&w->counts[edge], view, want, w->model->layers[view->layer].scales.h);
    } else if (want) {
        assert_int_equal(n, (size_t)view->n_rows * (size_t)view->n_cols);
        force(&w->counts[edge], &rows[edge], view, want);
    }
    free(want);
    if (edge == QM_EDGE_OUT_PROJ_OUT && view->layer == 0) compare_embedding(w);
    if (edge == QM_EDGE_OUT_PROJ_OUT) force_next_input(w, view);
}

/* Prints what was compared; fails when an operator is further off than its row allows. */
static void judge(const fork_watch *w, size_t at_least)
{
    bool fits = w->embedding.n_differ == 0;
    size_t total = w->embedding.n;
    print_message("  %-14s %10s %8s %6s   allowed\n", w->run, "values", "differ", "worst");
    print_message("  %-14s %10zu %8zu %6" PRId32 "   0 %%, 0\n", "embedding", w->embedding.n,
                  w->embedding.n_differ, w->embedding.worst);
    for (int32_t e = 0; e < QM_N_EDGES; e++) {
        const fork_count *c = &w->counts[e];
        if (c->n == 0) continue;
        total += c->n;
        print_message("  %-14s %10zu %8zu %6" PRId32 "   %g %%, %" PRId32 "\n", quamba_edge_name(e),
                      c->n, c->n_differ, c->worst, 100 * rows[e].share, rows[e].ulps);
        fits =
            fits && (double)c->n_differ <= rows[e].share * (double)c->n && c->worst <= rows[e].ulps;
    }
    assert_true(fits);
    assert_true(total >= at_least);
}

/* ---- runs ------------------------------------------------------------------------------------ */

static quamba_model *open_model(const char *path)
{
    quamba_model *model = NULL;
    quamba_error err;
    if (quamba_model_open(&model, path, NULL, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    return model;
}

static quamba_session *new_session(const quamba_model *model)
{
    quamba_session *session = NULL;
    quamba_error err;
    const quamba_session_options opt = {.cpu = "native", .n_threads = 2, .max_rows = 128};
    if (quamba_session_new(&session, model, &opt, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    return session;
}

static int32_t *ids_of(const qm_source *source, const char *name, size_t *n)
{
    double *x = recorded(source, n, "%s", name);
    assert_non_null(x);
    int32_t *ids = malloc(*n * sizeof *ids);
    assert_non_null(ids);
    for (size_t i = 0; i < *n; i++)
        ids[i] = (int32_t)x[i];
    free(x);
    return ids;
}

/* run: the prefix of the recorded names; last, argmax: names behind it. */
static void run_prefill(const quamba_model *model, const qm_source *source, const int32_t *ids,
                        size_t n, const char *run, const char *last, const char *argmax_name,
                        size_t at_least)
{
    size_t n_last, n_argmax = 0, n_equal = 0;
    quamba_error err;
    quamba_session *s = new_session(model);
    fork_watch w = {
        .source = source, .run = run, .model = model, .session = s, .n_rows = (int32_t)n};
    w.last = recorded(source, &n_last, "%s.%s", run, last);
    quamba_session_set_tap(s, on_edge, &w);
    int32_t *targets = calloc(n, sizeof *targets); /* so that every position has a final norm */
    quamba_logprob *logprobs = calloc(n, sizeof *logprobs);
    assert_true(targets && logprobs);
    quamba_job job = {
        .session = s, .tokens = ids, .n_tokens = n, .targets = targets, .logprobs = logprobs};
    assert_int_equal(quamba_session_run(&job, 1, &err), QUAMBA_OK);
    judge(&w, at_least);
    double *argmax = recorded(source, &n_argmax, "%s.%s", run, argmax_name);
    for (size_t i = 0; argmax && i < n; i++)
        n_equal += logprobs[i].argmax == (int32_t)argmax[i];
    if (argmax) assert_int_equal(n_equal, n);
    free(argmax);
    free(w.last);
    free(targets);
    free(logprobs);
    quamba_session_free(&s);
}

/* Gives a session the states that were recorded before the step. */
static void set_states(quamba_session *s, const qm_source *source)
{
    const qm_config *c = &s->model->config;
    const size_t e = (size_t)c->d_inner;
    for (int32_t layer = 0; layer < c->n_layer; layer++) {
        size_t n;
        double *conv = recorded(source, &n, "step0.L%" PRId32 ".conv1d.in.conv_state", layer);
        double *ssm = recorded(source, &n, "step0.L%" PRId32 ".scan.in.ssm_state", layer);
        for (size_t i = 0; conv && i < e; i++)
            for (size_t k = 0; k < (size_t)c->d_conv; k++)
                s->conv_codes[((size_t)layer * (size_t)c->d_conv + k) * e + i] =
                    (int8_t)conv[i * (size_t)c->d_conv + k];
        for (size_t i = 0; ssm && i < e; i++)
            for (size_t k = 0; k < (size_t)c->d_state; k++)
                s->ssm_state[((size_t)layer * (size_t)c->d_state + k) * e + i] =
                    s->model->layers[layer].scales.h * (float)ssm[i * (size_t)c->d_state + k];
        free(conv);
        free(ssm);
    }
}

static void run_step(const quamba_model *model, const qm_source *source, int32_t token,
                     size_t at_least)
{
    size_t n;
    quamba_error err;
    quamba_session *s = new_session(model);
    set_states(s, source);
    s->position = 117;
    fork_watch w = {.source = source, .run = "step0", .model = model, .session = s, .n_rows = 1};
    w.last = recorded(source, &n, "step0.lm_head.out.0");
    quamba_session_set_tap(s, on_edge, &w);
    const float *logits;
    assert_int_equal(quamba_session_step(s, token, &logits, &err), QUAMBA_OK);
    judge(&w, at_least);
    free(w.last);
    quamba_session_free(&s);
}

static qm_source *open_golden(const char *directory_variable, const char *name)
{
    char path[1024];
    qm_source *source = NULL;
    quamba_error err;
    snprintf(path, sizeof path, "%s/%s", quantized_demo_directory(directory_variable), name);
    if (qm_source_open(&source, path, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    return source;
}

static bool shared_is_absent(const char *what)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/golden/fork/README.md",
             quantized_demo_directory("QUAMBA_SHARED_DIR"));
    FILE *f = fopen(path, "r");
    if (f) return fclose(f), false;
    print_message("SKIPPED: %s needs ../shared/golden/fork\n", what);
    return true;
}

enum { W8A8, HEAD8, N_VARIANTS };
static char paths[N_VARIANTS][1024];

static int quantize_both(void **state)
{
    (void)state;
    quantize_demo("test-fork-w8a8", false, paths[W8A8]);
    quantize_demo("test-fork-head8", true, paths[HEAD8]);
    return 0;
}

static void test_small_case(void **state)
{
    (void)state;
    size_t n;
    qm_source *source = open_golden("QUAMBA_SOURCE_DIR", "tests/golden/fork_ops.safetensors");
    quamba_model *model = open_model(paths[W8A8]);
    int32_t *ids = ids_of(source, "prefill.input_ids", &n);
    run_prefill(model, source, ids, n, "prefill", "none", "none", 10000);
    int32_t *token = ids_of(source, "step0.token", &n);
    run_step(model, source, token[0], 11000);
    free(token);
    free(ids);
    quamba_model_close(&model);
    qm_source_close(&source);
}

static void test_operators(void **state)
{
    (void)state;
    size_t n;
    if (shared_is_absent("operator by operator")) return;
    qm_source *prefill =
        open_golden("QUAMBA_SHARED_DIR", "golden/fork/demo/w8a8.ops_prefill.safetensors");
    qm_source *step =
        open_golden("QUAMBA_SHARED_DIR", "golden/fork/demo/w8a8.ops_step0.safetensors");
    qm_source *decode =
        open_golden("QUAMBA_SHARED_DIR", "golden/fork/demo/w8a8.decode.safetensors");
    quamba_model *model = open_model(paths[W8A8]);
    int32_t *ids = ids_of(prefill, "prefill.input_ids", &n);
    run_prefill(model, prefill, ids, n, "prefill", "lm_head.out.last", "lm_head.argmax", 1000000);
    int32_t *tokens = ids_of(decode, "tokens", &n);
    run_step(model, step, tokens[0], 20000);
    free(tokens);
    free(ids);
    quamba_model_close(&model);
    qm_source_close(&prefill);
    qm_source_close(&step);
    qm_source_close(&decode);
}

/* Sixteen steps from our own prefill: layer 0 sees embeddings only, so its states must be equal. */
static void test_decode_states(void **state)
{
    (void)state;
    if (shared_is_absent("sixteen decode steps")) return;
    size_t n, n_tokens, n_conv, n_ssm;
    quamba_error err;
    qm_source *prefill =
        open_golden("QUAMBA_SHARED_DIR", "golden/fork/demo/w8a8.ops_prefill.safetensors");
    qm_source *source =
        open_golden("QUAMBA_SHARED_DIR", "golden/fork/demo/w8a8.decode.safetensors");
    quamba_model *model = open_model(paths[W8A8]);
    quamba_session *s = new_session(model);
    int32_t *ids = ids_of(prefill, "prefill.input_ids", &n);
    int32_t *tokens = ids_of(source, "tokens", &n_tokens);
    const float *logits;
    const size_t e = (size_t)model->config.d_inner, n_state = (size_t)model->config.d_state,
                 width = (size_t)model->config.d_conv;
    assert_int_equal(quamba_session_prefill(s, ids, n, &logits, &err), QUAMBA_OK);
    for (size_t k = 0; k + 1 < n_tokens; k++) {
        assert_int_equal(quamba_session_step(s, tokens[k], &logits, &err), QUAMBA_OK);
        double *conv = recorded(source, &n_conv, "step%zu.L0.conv_state", k);
        double *ssm = recorded(source, &n_ssm, "step%zu.L0.ssm_state", k);
        assert_true(conv && ssm && n_conv == e * width && n_ssm == e * n_state);
        for (size_t i = 0; i < e; i++) {
            for (size_t j = 0; j < width; j++)
                assert_int_equal(s->conv_codes[j * e + i], (int)conv[i * width + j]);
            for (size_t j = 0; j < n_state; j++)
                assert_int_equal(
                    (int)code_of_state(s->ssm_state[j * e + i], model->layers[0].scales.h),
                    (int)ssm[i * n_state + j]);
        }
        free(conv);
        free(ssm);
    }
    print_message("  16 decode steps: all conv and recurrent states of layer 0 equal\n");
    free(ids);
    free(tokens);
    quamba_session_free(&s);
    quamba_model_close(&model);
    qm_source_close(&prefill);
    qm_source_close(&source);
}

static void test_head8(void **state)
{
    (void)state;
    if (shared_is_absent("the INT8 head")) return;
    size_t n;
    qm_source *prefill =
        open_golden("QUAMBA_SHARED_DIR", "golden/fork/demo/w8a8.ops_prefill.safetensors");
    qm_source *source = open_golden("QUAMBA_SHARED_DIR", "golden/fork/demo/w8a8_head8.safetensors");
    quamba_model *model = open_model(paths[HEAD8]);
    int32_t *ids = ids_of(prefill, "prefill.input_ids", &n);
    run_prefill(model, source, ids, n, "head8", "logits_last", "argmax", 60000);
    free(ids);
    quamba_model_close(&model);
    qm_source_close(&prefill);
    qm_source_close(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_case),
        cmocka_unit_test(test_operators),
        cmocka_unit_test(test_decode_states),
        cmocka_unit_test(test_head8),
    };
    return cmocka_run_group_tests(tests, quantize_both, NULL);
}

/* The rows of the mode table against what the original computed on a GPU, one layer at a time: the
 * recorded input of the convolution and the gate are put where in_proj leaves its codes, and every
 * edge up to the scan's output is compared with the recording.
 *  - tests/golden/fork_modes.safetensors: the first tokens of two layers, always;
 *  - ../shared/golden/fork/demo: direct.safetensors, functions that none of the original's modes
 *    reaches, and modeX.safetensors, its modes, whose 2-3, 2-4 and 3 are our rows @fork; skipped
 *    without it.
 * The model is models/demo, quantized here with the recorded activation scales. */
#include "base/half.h"
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

/* ---- what is compared -------------------------------------------------------------------------
 */

typedef enum fork_kind { CODES, HALVES, FLOATS, STATE, STATE_CODES, SCALE } fork_kind;

/* A recorded tensor and the agreement that is due (../shared/golden/fork/README.md). */
typedef struct item {
    qm_edge edge;
    fork_kind kind;
    const char *name; /* behind the layer's */
    bool by_channel;  /* recorded [channel][token] */
    int32_t first;    /* column of the edge where it begins; -1: dt_rank, -2: behind B */
    bool force;       /* the recording goes on from here */
    double share;     /* of the values that may differ */
    double worst;     /* by how many codes, halves or floats */
    double rms;       /* relative, 0: none */
} item;

enum { B = -1, C = -2, MAX_ITEMS = 9 };

/* clang-format off */
#define CONV_CODES    {QM_EDGE_CONV_OUT, CODES, "conv1d.out.0", true, 0, false, 0, 0, 0}
#define PROJECTIONS(at)                                                                            \
    {QM_EDGE_X_PROJ_OUT, CODES, at "B", true, B, false, 0, 0, 0},                                  \
    {QM_EDGE_X_PROJ_OUT, CODES, at "C", true, C, false, 0, 0, 0},                                  \
    {QM_EDGE_DT_PROJ_OUT, CODES, at "dt", true, 0, false, 0, 0, 0}
#define CONV_FLOATS(name, forced) {QM_EDGE_CONV_OUT, FLOATS, name, true, 0, forced, 1, 6, 1e-7}
#define X_PROJ_CODES  {QM_EDGE_X_PROJ_IN, CODES, "x_for_xproj", true, 0, false, 0, 0, 0}
#define U_FORCED      {QM_EDGE_SCAN_IN, FLOATS, "conv.fwd_mode5", true, 0, true, 1, 6, 1e-7}
#define Y(name, part, ulps) {QM_EDGE_SCAN_OUT, HALVES, name, false, 0, false, part, ulps, 0}
#define LAST(name)    {QM_EDGE_SSM_STATE, STATE, name, false, 0, false, 1, HUGE_VAL, 1e-6}
#define LAST_CODES(name) {QM_EDGE_SSM_STATE, STATE_CODES, name, false, 0, false, 0, 0, 0}
#define Y_FUSED(name) Y(name, 0.0013, 3)
#define Y_PLAIN(name) Y(name, 0.0003, 1)

#define ROW .quantized = true, .weights = QM_FORMAT_F16, .activation = QM_FORMAT_F16, .rotated = true
#define STATIC_F32 .grid = QM_GRID_F32, .xp = QM_XP_REQ

typedef struct fork_run {
    const char *file, *cache, *title;
    quamba_datapath row;
    const char *x, *z; /* recorded inputs */
    item items[MAX_ITEMS];
} fork_run;

/* Rows are written out: what is judged here is the datapath, not the table. */
static const fork_run runs[] = {
    {"direct", NULL, "2-0", {ROW, .knobs = {.u = QM_U_DEQ_REQ}}, "x", "z",
     {PROJECTIONS(""), Y_FUSED("scan.mode2-0_fused8.y"), LAST_CODES("scan.mode2-0_fused8.last")}},
    {"direct", NULL, "2-3", {ROW, .knobs = {STATIC_F32, .u = QM_U_REQ, .scan = QM_SCAN_REF, .state = QM_STATE_F32}}, "x", "z",
     {CONV_FLOATS("conv.fwd_mode5", false), X_PROJ_CODES, PROJECTIONS(""), Y_PLAIN("scan.mode2-3_ref8.y"), LAST("scan.mode2-3_ref8.last")}},
    {"direct", NULL, "2-4", {ROW, .knobs = {STATIC_F32, .u = QM_U_VAL, .scan = QM_SCAN_REF, .state = QM_STATE_F32}}, "x", "z",
     {X_PROJ_CODES, U_FORCED, PROJECTIONS(""), Y_PLAIN("scan.mode2-4_ref32.y"), LAST("scan.mode2-4_ref32.last")}},
    {"direct", NULL, "3, scan", {ROW, .knobs = {STATIC_F32, .u = QM_U_VAL, .scan = QM_SCAN_SE, .state = QM_STATE_F32}}, "x", "z",
     {X_PROJ_CODES, U_FORCED, PROJECTIONS(""), Y_PLAIN("scan.mode3_se32.y"), LAST("scan.mode3_se32.last")}},
    {"direct", NULL, "5", {ROW, .knobs = {STATIC_F32, .rnd = QM_RND_EVEN, .u = QM_U_VAL}}, "x", "z",
     {X_PROJ_CODES, U_FORCED, PROJECTIONS(""), Y_FUSED("scan.fwd_mode5.y"), LAST_CODES("scan.fwd_mode5.last")}},
    {"direct", NULL, "3, conv", {ROW, .knobs = {STATIC_F32, .ip = QM_IP_F32, .cin = QM_CIN_DYN_TENSOR, .u = QM_U_VAL,
                                                .scan = QM_SCAN_SE, .state = QM_STATE_F32}}, "x", NULL,
     {{QM_EDGE_CONV_IN, SCALE, "conv.mode3_scale", false, 0, false, 0, 0, 0},
      {QM_EDGE_CONV_IN, CODES, "conv.mode3_x", true, 0, false, 0, 0, 0},
      CONV_FLOATS("conv.mode3_mode5kernel", false)}},
#define MODE(id, y, last, ...)                                                                     \
    {"mode" id, "mode" id ".cache", id, {ROW, .knobs = {__VA_ARGS__}}, "conv1d.in.x", "scan.in.z", \
     {CONV_CODES, PROJECTIONS("scan.in."), y, last}}
    MODE("0", Y_FUSED("scan.out.0"), LAST_CODES("scan.out.1"), .u = QM_U_CODES),
    MODE("2-0", Y_FUSED("scan.out.0"), LAST_CODES("scan.out.1"), .u = QM_U_DEQ_REQ),
    MODE("2-1", Y_PLAIN("scan.out.0"), LAST("scan.out.1"), .scan = QM_SCAN_REF, .state = QM_STATE_F32),
    MODE("2-2", Y_PLAIN("scan.out.0"), LAST("scan.out.1"), .u = QM_U_DEQ, .scan = QM_SCAN_REF, .state = QM_STATE_F32),
    MODE("2-3", Y_PLAIN("scan.out.0"), LAST("scan.out.1"), .scan = QM_SCAN_REF, .state = QM_STATE_F32),
    MODE("2-4", Y_PLAIN("scan.out.0"), LAST("scan.out.1"), .u = QM_U_DEQ, .scan = QM_SCAN_REF, .state = QM_STATE_F32),
    MODE("3", Y_PLAIN("scan.out.0"), LAST("scan.out.1"), .u = QM_U_DEQ, .scan = QM_SCAN_SE, .state = QM_STATE_F32),
};
/* clang-format on */

/* ---- recordings --------------------------------------------------------------------------------
 */

/* A recorded tensor as numbers; NULL when the file does not have it. */
static double *recorded(const qm_source *source, size_t *n, const char *prefix, int32_t layer,
                        const char *name)
{
    char full[96];
    snprintf(full, sizeof full, "%sL%" PRId32 ".%s", prefix, layer, name);
    const qm_tensor *t = source ? qm_source_find(source, full) : NULL;
    if (!t) return NULL;
    *n = (size_t)qm_tensor_count(t);
    unsigned char *plain = malloc((size_t)qm_tensor_bytes(t) + 1);
    double *out = malloc((*n + 1) * sizeof *out);
    assert_true(plain && out);
    qm_tensor_copy(t, plain);
    for (size_t i = 0; i < *n; i++)
        out[i] = t->dtype == QM_F32   ? (double)((float *)(void *)plain)[i]
                 : t->dtype == QM_F16 ? (double)qm_f32_f16(((uint16_t *)(void *)plain)[i])
                                      : (double)((int8_t *)plain)[i];
    free(plain);
    return out;
}

typedef struct count {
    size_t n, n_differ;
    double worst, error, norm;
} count;

typedef struct watch {
    const fork_run *run;
    const qm_source *source, *cache; /* the second holds last states; NULL */
    const char *prefix;              /* of names in source: "" or "p0." */
    const quamba_model *model;
    size_t n_tokens;
    bool whole; /* everything that is listed must have been compared */
    count counts[MAX_ITEMS];
} watch;

/* Steps between two numbers of a kind. */
static double steps(fork_kind kind, double got, double want)
{
    if (kind == HALVES) {
        int32_t x = qm_f16_f32((float)got), y = qm_f16_f32((float)want);
        x = x & 0x8000 ? 0x8000 - x : x;
        y = y & 0x8000 ? 0x8000 - y : y;
        return fabs((double)x - (double)y);
    }
    if (kind == CODES || kind == STATE_CODES || kind == SCALE) return fabs(got - want);
    int exponent;
    frexp(want, &exponent);
    return fabs(got - want) / ldexp(1.0, exponent - 24);
}

static void compare(count *c, fork_kind kind, double got, double want)
{
    c->n++;
    c->norm += want * want;
    if (got == want) return;
    c->n_differ++;
    c->error += (got - want) * (got - want);
    c->worst = fmax(c->worst, steps(kind, got, want));
}

static void compare_state(const watch *w, count *c, const item *it, const quamba_view *view,
                          const double *want)
{
    const float scale = w->model->layers[view->layer].scales.h;
    for (int32_t k = 0; k < view->n_rows; k++)
        for (int32_t i = 0; i < view->n_cols; i++) {
            const float h = view->data[(size_t)k * view->row_stride + (size_t)i];
            const float code = fminf(fmaxf(roundf(h / scale), -128.0f), 127.0f);
            compare(c, it->kind, it->kind == STATE ? (double)h : (double)code,
                    want[i * view->n_rows + k]);
        }
}

/* Puts the recorded codes of x and z where in_proj left its own: as codes, or x as numbers. */
static void force_inputs(const watch *w, const quamba_view *view)
{
    const size_t e = (size_t)w->model->config.d_inner, n_rows = (size_t)view->n_rows;
    const float s_x = w->model->layers[view->layer].scales.x;
    for (size_t half = 0; half < 2; half++) {
        size_t n;
        const char *name = half ? w->run->z : w->run->x;
        double *codes = name ? recorded(w->source, &n, w->prefix, view->layer, name) : NULL;
        for (size_t i = 0; codes && i < n; i++) {
            const size_t at = i % n_rows * view->row_stride + half * e + i / n_rows;
            if (view->codes)
                ((int8_t *)(uintptr_t)view->codes)[at] = (int8_t)codes[i];
            else
                ((float *)(uintptr_t)view->data)[at] = s_x * (float)codes[i];
        }
        free(codes);
    }
}

static void compare_item(watch *w, size_t index, const quamba_view *view)
{
    const item *it = &w->run->items[index];
    const bool state = it->kind == STATE || it->kind == STATE_CODES;
    count *c = &w->counts[index];
    size_t n = 0;
    double *want = state && w->run->cache
                       ? recorded(w->cache, &n, "cache.", view->layer, it->name)
                       : recorded(w->source, &n, w->prefix, view->layer, it->name);
    if (!want) return;
    if (state) {
        compare_state(w, c, it, view, want);
    } else if (it->kind == SCALE) {
        compare(c, SCALE, (double)view->scale, want[0]);
    } else {
        const size_t rank = (size_t)w->model->config.dt_rank;
        const size_t first = it->first == B   ? rank
                             : it->first == C ? rank + (size_t)w->model->config.d_state
                                              : 0;
        const size_t n_cols = n / w->n_tokens;
        for (size_t i = 0; i < (size_t)view->n_rows * n_cols; i++) {
            const size_t r = i / n_cols, col = i % n_cols, token = view->position + r;
            const size_t at = r * view->row_stride + first + col;
            const double due =
                want[it->by_channel ? col * w->n_tokens + token : token * n_cols + col];
            compare(c, it->kind, view->codes ? (double)view->codes[at] : (double)view->data[at],
                    due);
            if (it->force) ((float *)(uintptr_t)view->data)[at] = (float)due;
        }
    }
    free(want);
}

static void on_edge(void *user, const quamba_view *view)
{
    watch *w = user;
    if (view->layer >= w->model->config.n_layer) return;
    if (strcmp(view->edge, quamba_edge_name(QM_EDGE_IN_PROJ_OUT)) == 0) force_inputs(w, view);
    for (size_t i = 0; i < MAX_ITEMS && w->run->items[i].name; i++)
        if (strcmp(view->edge, quamba_edge_name((int32_t)w->run->items[i].edge)) == 0)
            compare_item(w, i, view);
}

/* ---- runs ---------------------------------------------------------------------------------------
 */

/* Prints what was compared; false when something is further off than due, or missing. */
static bool judge(const watch *w)
{
    bool fits = true;
    size_t total = 0;
    for (size_t i = 0; i < MAX_ITEMS && w->run->items[i].name; i++) {
        const count *c = &w->counts[i];
        const item *it = &w->run->items[i];
        if (c->n == 0) {
            if (w->whole) print_message("  %-8s %-24s was not compared\n", w->run->title, it->name);
            fits = fits && !w->whole;
            continue;
        }
        const double rms = c->norm > 0 ? sqrt(c->error / c->norm) : 0;
        const bool fine = (double)c->n_differ <= it->share * (double)c->n &&
                          c->worst <= it->worst && (it->rms <= 0 || rms <= it->rms);
        print_message("  %-8s %-24s %8zu values, %6zu differ, by %4.3g at most, rms %.1e%s\n",
                      w->run->title, it->name, c->n, c->n_differ, c->worst, rms,
                      fine ? "" : "  TOO FAR");
        total += c->n;
        fits = fits && fine;
    }
    return fits && total > 0;
}

static bool run_on(quamba_model *model, const fork_run *run, const qm_source *source,
                   const qm_source *cache, const char *prefix, bool whole)
{
    quamba_session *s = NULL;
    quamba_error err;
    const quamba_session_options opt = {.cpu = "native", .n_threads = 2, .max_rows = 128};
    size_t n = 0;
    free(recorded(source, &n, prefix, 0, run->x));
    const size_t n_tokens = n / (size_t)model->config.d_inner;
    int32_t *ids = calloc(n_tokens + 1, sizeof *ids); /* any: the inputs are put there */
    assert_true(ids && n_tokens > 0);
    model->datapath = &run->row;
    if (quamba_session_new(&s, model, &opt, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    watch w = {.run = run,
               .source = source,
               .cache = cache,
               .prefix = prefix,
               .model = model,
               .n_tokens = n_tokens,
               .whole = whole};
    quamba_session_set_tap(s, on_edge, &w);
    assert_int_equal(quamba_session_prefill(s, ids, n_tokens, NULL, &err), QUAMBA_OK);
    quamba_session_free(&s);
    free(ids);
    return judge(&w);
}

static qm_source *open_golden(const char *directory_variable, const char *format, const char *name)
{
    char path[1024], file[256];
    qm_source *source = NULL;
    quamba_error err;
    snprintf(file, sizeof file, format, name);
    snprintf(path, sizeof path, "%s/%s", quantized_demo_directory(directory_variable), file);
    if (qm_source_open(&source, path, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    return source;
}

static quamba_model *open_demo(const char *directory)
{
    char path[1024];
    quamba_model *model = NULL;
    quamba_error err;
    quantize_demo(directory, false, path);
    if (quamba_model_open(&model, path, NULL, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    return model;
}

/* The first tokens of direct.safetensors: all but states and run-time scales, which belong to the
 * whole prompt. */
static void test_small_case(void **state)
{
    (void)state;
    quamba_model *model = open_demo("test-fork-modes-small");
    qm_source *source =
        open_golden("QUAMBA_SOURCE_DIR", "tests/golden/%s.safetensors", "fork_modes");
    bool fits = true;
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
        if (strcmp(runs[i].file, "direct") == 0 && runs[i].z)
            fits = run_on(model, &runs[i], source, NULL, "", false) && fits;
    assert_true(fits);
    qm_source_close(&source);
    quamba_model_close(&model);
}

static void test_recordings(void **state)
{
    (void)state;
    char path[1024];
    snprintf(path, sizeof path, "%s/golden/fork/README.md",
             quantized_demo_directory("QUAMBA_SHARED_DIR"));
    FILE *f = fopen(path, "r");
    if (!f) {
        print_message("SKIPPED: the modes of the original need ../shared/golden/fork\n");
        return;
    }
    fclose(f);
    quamba_model *model = open_demo("test-fork-modes");
    bool fits = true;
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        const fork_run *r = &runs[i];
        qm_source *source =
            open_golden("QUAMBA_SHARED_DIR", "golden/fork/demo/%s.safetensors", r->file);
        qm_source *cache =
            r->cache ? open_golden("QUAMBA_SHARED_DIR", "golden/fork/demo/%s.safetensors", r->cache)
                     : NULL;
        fits = run_on(model, r, source, cache, r->cache ? "p0." : "", true) && fits;
        qm_source_close(&source);
        qm_source_close(&cache);
    }
    assert_true(fits);
    quamba_model_close(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_case),
        cmocka_unit_test(test_recordings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

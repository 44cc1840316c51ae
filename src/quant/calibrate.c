#include "quant/calibrate.h"

#include "base/hash.h"
#include "quant/observers.h"
#include "quant/record.h"
#include "runtime/edges.h"
#include "runtime/session.h"

#include <inttypes.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 128 }; /* tokens of a text computed side by side */

/* Largest magnitudes of a layer, in the order in which qm_observations has them. */
#define MAXIMUM_LIST(X)                                                                            \
    X(NORM_OUT, QM_IN_PROJ_INPUT, "norm_out")                                                      \
    X(IN_PROJ_OUT, QM_IN_PROJ_OUTPUT, "in_proj_out")                                               \
    X(X_PROJ_OUT, QM_X_PROJ_OUTPUT, "x_proj_out")                                                  \
    X(DT_LOW, QM_DT_PROJ_INPUT, "x_proj_out")                                                      \
    X(DT_PROJ_OUT, QM_DT_PROJ_OUTPUT, "dt_proj_out")                                               \
    X(HADAMARD_OUT, QM_OUT_PROJ_INPUT, "hadamard_out")                                             \
    X(OUT_PROJ_OUT, QM_OUT_PROJ_OUTPUT, "out_proj_out")                                            \
    X(STATE, QM_SSM_STATE_OUTPUT, "ssm_state")

typedef enum maximum {
#define MAXIMUM_ENUM(id, scale, edge) MAXIMUM_##id,
    MAXIMUM_LIST(MAXIMUM_ENUM)
#undef MAXIMUM_ENUM
        N_MAXIMA
} maximum;

/* Where a layer's values are among those of a text: maxima, then quantiles. */
static size_t layer_values(size_t n_alphas) { return N_MAXIMA + 2 * n_alphas; }
static size_t conv_at(size_t alpha) { return N_MAXIMA + 2 * alpha; }
static size_t state_at(size_t alpha) { return N_MAXIMA + 2 * alpha + 1; }

/* One of the threads: a session of its own, and what its tap sees. */
typedef struct watcher {
    quamba_session *session;
    const qm_observations *obs;
    float *values;        /* of the text at hand */
    qm_magnitudes *conv;  /* [n_layer] */
    qm_magnitudes *state; /* one */
    float *row;           /* a row of the final norm or the state */
    quamba_error err;     /* of the first failure */
} watcher;

typedef struct calibration {
    qm_observations *obs;
    const qm_texts *texts;
    const qm_calibration_options *options;
    quamba_model *model;
    watcher *watchers; /* [n_threads] */
    qm_record *record;
    int32_t d_inner;
    bool *done; /* [n_texts] */
    omp_lock_t lock;
    size_t n_done; /* from here on shared by the threads, under the lock */
    size_t next;
    quamba_status status;
    quamba_error *err;
} calibration;

/* ---- observing one text -----------------------------------------------------------------------
 */

static void watch_maximum(watcher *w, const quamba_view *view, maximum which, int32_t n_cols)
{
    float *largest =
        w->values + (size_t)view->layer * layer_values(w->obs->n_alphas) + (size_t)which;
    for (int32_t i = 0; i < view->n_rows; i++)
        *largest =
            qm_absmax_f32(*largest, view->data + (size_t)i * view->row_stride, (size_t)n_cols);
}

/* The final norm of all positions: the head, and with it the session, computes only wanted ones. */
static void watch_norm_f(watcher *w, const quamba_view *view)
{
    const quamba_model *m = w->session->model;
    const qm_kernels *kernels = &w->session->kernels;
    const size_t d = (size_t)m->config.d_model;
    float *largest = w->values + w->obs->n_values - 1;
    for (int32_t i = 0; i < view->n_rows; i++) {
        kernels->rms_norm_f32(w->row, view->data + (size_t)i * view->row_stride, m->norm_f,
                              (float)m->config.norm_eps, d);
        kernels->round_f16(w->row, d);
        *largest = qm_absmax_f32(*largest, w->row, d);
    }
}

static bool is_edge(const quamba_view *view, qm_edge edge)
{
    return strcmp(view->edge, quamba_edge_name((int32_t)edge)) == 0;
}

static void watch(void *user, const quamba_view *view)
{
    static const struct {
        qm_edge edge;
        maximum which;
    } maxima[] = {
        {QM_EDGE_NORM_OUT,     MAXIMUM_NORM_OUT    },
        {QM_EDGE_IN_PROJ_OUT,  MAXIMUM_IN_PROJ_OUT },
        {QM_EDGE_X_PROJ_OUT,   MAXIMUM_X_PROJ_OUT  },
        {QM_EDGE_DT_PROJ_OUT,  MAXIMUM_DT_PROJ_OUT },
        {QM_EDGE_HADAMARD_OUT, MAXIMUM_HADAMARD_OUT},
        {QM_EDGE_OUT_PROJ_OUT, MAXIMUM_OUT_PROJ_OUT},
    };
    watcher *w = user;
    const qm_config *c = &w->session->model->config;
    for (size_t i = 0; i < QM_COUNT(maxima); i++)
        if (is_edge(view, maxima[i].edge)) watch_maximum(w, view, maxima[i].which, view->n_cols);
    if (is_edge(view, QM_EDGE_X_PROJ_OUT)) watch_maximum(w, view, MAXIMUM_DT_LOW, c->dt_rank);
    if (is_edge(view, QM_EDGE_RESIDUAL) && view->layer == c->n_layer - 1) watch_norm_f(w, view);
    if (is_edge(view, QM_EDGE_CONV_OUT))
        for (int32_t i = 0; i < view->n_rows; i++)
            qm_magnitudes_add(&w->conv[view->layer], view->data + (size_t)i * view->row_stride,
                              (size_t)view->n_cols);
}

/* The state after the text, as a half-precision model keeps it. */
static void watch_state(watcher *w, int32_t layer, float *values)
{
    const qm_config *c = &w->session->model->config;
    const size_t e = (size_t)c->d_inner, n_state = (size_t)c->d_state;
    const float *state = w->session->ssm_state + (size_t)layer * n_state * e;
    qm_magnitudes_clear(w->state);
    for (size_t k = 0; k < n_state; k++) {
        memcpy(w->row, state + k * e, e * sizeof *w->row);
        w->session->kernels.round_f16(w->row, e);
        qm_magnitudes_add(w->state, w->row, e);
        values[MAXIMUM_STATE] = qm_absmax_f32(values[MAXIMUM_STATE], w->row, e);
    }
    for (size_t a = 0; a < w->obs->n_alphas; a++)
        values[state_at(a)] = qm_magnitudes_quantile(w->state, (float)w->obs->alphas[a]);
}

/* Half precision may overflow; a scale cannot be infinite. */
static quamba_status check_values(const watcher *w, size_t text, quamba_error *err)
{
    static const char *const edges[N_MAXIMA] = {
#define MAXIMUM_EDGE(id, scale, edge) [MAXIMUM_##id] = (edge),
        MAXIMUM_LIST(MAXIMUM_EDGE)
#undef MAXIMUM_EDGE
    };
    const size_t n = layer_values(w->obs->n_alphas);
    for (size_t i = 0; i < w->obs->n_values; i++) {
        if (isfinite(w->values[i])) continue;
        if (i + 1 == w->obs->n_values)
            return qm_fail(err, QUAMBA_E_FORMAT, text,
                           "text %zu: the final norm overflows half precision", text + 1);
        return qm_fail(err, QUAMBA_E_FORMAT, text,
                       "text %zu: %s of layer %zu overflows half precision", text + 1,
                       i % n < N_MAXIMA ? edges[i % n] : "conv_out", i / n);
    }
    return QUAMBA_OK;
}

static quamba_status observe(watcher *w, const qm_texts *texts, size_t text, float *values,
                             quamba_error *err)
{
    const qm_observations *obs = w->obs;
    const size_t first = texts->begin[text];
    w->values = values;
    memset(values, 0, obs->n_values * sizeof *values);
    for (int32_t layer = 0; layer < obs->n_layer; layer++)
        qm_magnitudes_clear(&w->conv[layer]);
    quamba_session_reset(w->session);
    quamba_status status = quamba_session_prefill(w->session, texts->ids + first,
                                                  texts->begin[text + 1] - first, NULL, err);
    if (status != QUAMBA_OK) {
        char where[64];
        snprintf(where, sizeof where, "text %zu", text + 1);
        return qm_fail_in(err, status, where);
    }
    for (int32_t layer = 0; layer < obs->n_layer; layer++) {
        float *at = values + (size_t)layer * layer_values(obs->n_alphas);
        for (size_t a = 0; a < obs->n_alphas; a++)
            at[conv_at(a)] = qm_magnitudes_quantile(&w->conv[layer], (float)obs->alphas[a]);
        watch_state(w, layer, at);
    }
    return check_values(w, text, err);
}

/* ---- all texts --------------------------------------------------------------------------------
 */

/* The next text for a thread, n_texts when there is none or the run has failed. */
static size_t take_text(calibration *c)
{
    size_t text = c->obs->n_texts;
    omp_set_lock(&c->lock);
    if (c->status == QUAMBA_OK) {
        while (c->next < c->obs->n_texts && c->done[c->next])
            c->next++;
        if (c->next < c->obs->n_texts) text = c->next++;
    }
    omp_unset_lock(&c->lock);
    return text;
}

static void finish_text(calibration *c, size_t text, quamba_status status, const quamba_error *why)
{
    const float *values = c->obs->values + text * c->obs->n_values;
    omp_set_lock(&c->lock);
    if (c->status == QUAMBA_OK) {
        c->status = status;
        if (status != QUAMBA_OK && c->err) *c->err = *why;
        if (status == QUAMBA_OK && c->record)
            c->status = qm_record_append(c->record, text, values, c->err);
        c->n_done += c->status == QUAMBA_OK;
    }
    omp_unset_lock(&c->lock);
}

/* In the caller's thread, between two of its texts. */
static void report(calibration *c)
{
    const qm_calibration_options *o = c->options;
    size_t n_done;
    const bool stop = o->cancelled && o->cancelled(o->user);
    omp_set_lock(&c->lock);
    n_done = c->n_done;
    if (stop && c->status == QUAMBA_OK && n_done < c->obs->n_texts)
        c->status = qm_fail(c->err, QUAMBA_E_CANCELLED, n_done,
                            "interrupted after %zu of %zu texts%s", n_done, c->obs->n_texts,
                            c->record ? "; the same run again goes on from there" : "");
    omp_unset_lock(&c->lock);
    if (o->progress) o->progress(o->user, n_done, c->obs->n_texts);
}

static void observe_all(calibration *c)
{
    report(c);
#pragma omp parallel num_threads(c->options->n_threads)
    {
        watcher *w = &c->watchers[omp_get_thread_num()];
        for (size_t text; (text = take_text(c)) < c->obs->n_texts;) {
            float *values = c->obs->values + text * c->obs->n_values;
            finish_text(c, text, observe(w, c->texts, text, values, &w->err), &w->err);
            if (omp_get_thread_num() == 0) report(c);
        }
    }
    report(c);
}

/* ---- setting up -------------------------------------------------------------------------------
 */

/* What must be equal for observations to be used again. */
static uint64_t key_of(const calibration *c, const qm_fused *fused)
{
    static const char version[] = "quamba " QUAMBA_VERSION;
    uint64_t key = qm_hash64(version, sizeof version, qm_texts_hash(c->texts, c->texts->n));
    key = qm_hash64(c->obs->alphas, c->obs->n_alphas * sizeof *c->obs->alphas, key);
    for (size_t i = 0; i < fused->n; i++)
        key = qm_hash64(fused->tensors[i].data, (size_t)qm_tensor_bytes(&fused->tensors[i]), key);
    return key;
}

static quamba_status bind_model(calibration *c, const qm_fused *fused)
{
    c->model = qm_alloc(1, sizeof *c->model);
    if (!c->model) return qm_fail_memory(c->err, sizeof *c->model, "a model");
    c->model->config = fused->config;
    c->model->datapath = qm_datapath_calibration();
    return qm_model_bind(c->model, qm_fused_find, fused, c->options->n_threads, c->err);
}

static quamba_status new_watcher(calibration *c, watcher *w)
{
    const qm_config *config = &c->model->config;
    const int32_t widest = config->d_inner > config->d_model ? config->d_inner : config->d_model;
    const quamba_session_options o = {.cpu = c->options->cpu, .n_threads = 1, .max_rows = MAX_ROWS};
    w->obs = c->obs;
    w->conv = qm_alloc((size_t)config->n_layer, sizeof *w->conv);
    w->state = qm_alloc(1, sizeof *w->state);
    w->row = qm_alloc((size_t)widest, sizeof *w->row);
    if (!w->conv || !w->state || !w->row)
        return qm_fail_memory(c->err, (size_t)config->n_layer * sizeof *w->conv, "observers");
    quamba_status status = quamba_session_new(&w->session, c->model, &o, c->err);
    if (status == QUAMBA_OK) quamba_session_set_tap(w->session, watch, w);
    return status;
}

static void free_watcher(watcher *w)
{
    quamba_session_free(&w->session);
    free(w->conv);
    free(w->state);
    free(w->row);
}

static quamba_status allocate(calibration *c)
{
    qm_observations *obs = c->obs;
    const qm_calibration_options *o = c->options;
    if (o->n_alphas < 1 || o->n_alphas > QM_MAX_ALPHAS)
        return qm_fail(c->err, QUAMBA_E_ARGUMENT, 0, "%zu alphas, must be 1 .. %d", o->n_alphas,
                       QM_MAX_ALPHAS);
    for (size_t i = 0; i < o->n_alphas; i++)
        if (!((float)o->alphas[i] > 0.0f && o->alphas[i] <= 1.0))
            return qm_fail(c->err, QUAMBA_E_ARGUMENT, i,
                           "alpha is %g, must be above 0 and at most 1", o->alphas[i]);
    for (size_t i = 0; i < c->texts->n; i++) /* a quantile's counts have 32 bits */
        if (c->texts->begin[i + 1] - c->texts->begin[i] > UINT32_MAX / (size_t)c->d_inner)
            return qm_fail(c->err, QUAMBA_E_LIMIT, i, "text %zu is too long to calibrate with",
                           i + 1);
    if (c->texts->n == 0) return qm_fail(c->err, QUAMBA_E_ARGUMENT, 0, "there are no texts");
    memcpy(obs->alphas, o->alphas, o->n_alphas * sizeof *o->alphas);
    obs->n_alphas = o->n_alphas;
    obs->n_texts = c->texts->n;
    obs->n_values = (size_t)obs->n_layer * layer_values(obs->n_alphas) + 1;
    uint64_t count = 0;
    if (qm_mul_u64(obs->n_texts, obs->n_values, &count))
        obs->values = qm_alloc((size_t)count, sizeof *obs->values);
    c->done = qm_alloc(obs->n_texts, sizeof *c->done);
    c->watchers = qm_alloc((size_t)o->n_threads, sizeof *c->watchers);
    if (!obs->values || !c->done || !c->watchers)
        return qm_fail_memory(c->err, count * sizeof *obs->values, "observations");
    return QUAMBA_OK;
}

quamba_status qm_calibrate(qm_observations *observations, const qm_fused *fused,
                           const qm_texts *texts, const qm_calibration_options *options,
                           quamba_error *err)
{
    calibration c = {.obs = observations,
                     .texts = texts,
                     .options = options,
                     .err = err,
                     .d_inner = fused->config.d_inner};
    *observations = (qm_observations){.n_layer = fused->config.n_layer};
    c.status = allocate(&c);
    if (c.status == QUAMBA_OK) c.status = bind_model(&c, fused);
    for (int32_t i = 0; i < options->n_threads && c.status == QUAMBA_OK; i++)
        c.status = new_watcher(&c, &c.watchers[i]);
    if (c.status == QUAMBA_OK && options->record)
        c.status =
            qm_record_open(&c.record, options->record, key_of(&c, fused), observations->n_texts,
                           observations->n_values, observations->values, c.done, err);
    for (size_t i = 0; i < observations->n_texts && c.status == QUAMBA_OK; i++)
        c.n_done += c.done[i];
    observations->n_resumed = c.n_done;
    if (c.status == QUAMBA_OK) {
        omp_init_lock(&c.lock);
        observe_all(&c);
        omp_destroy_lock(&c.lock);
    }
    const bool hopeless = c.status == QUAMBA_E_FORMAT || c.status == QUAMBA_E_ARGUMENT;
    if (c.record && hopeless) remove(options->record);
    qm_record_close(&c.record);
    for (int32_t i = 0; c.watchers && i < options->n_threads; i++)
        free_watcher(&c.watchers[i]);
    free(c.watchers);
    free(c.done);
    quamba_model_close(&c.model);
    if (c.status != QUAMBA_OK) qm_observations_free(observations);
    return c.status;
}

void qm_observations_free(qm_observations *observations)
{
    free(observations->values);
    *observations = (qm_observations){0};
}

/* ---- scales -----------------------------------------------------------------------------------
 */

static float largest_of(const qm_observations *obs, size_t n_texts, size_t at)
{
    float largest = 0.0f;
    for (size_t i = 0; i < n_texts; i++)
        largest = fmaxf(largest, obs->values[i * obs->n_values + at]);
    return largest;
}

static float average_of(const qm_observations *obs, size_t n_texts, size_t at)
{
    float average = 0.0f;
    for (size_t i = 0; i < n_texts; i++)
        average = qm_moving_average(average, obs->values[i * obs->n_values + at], i == 0);
    return average;
}

quamba_status qm_observations_scales(const qm_observations *obs, size_t n_texts, size_t alpha,
                                     qm_act_scales *scales, quamba_error *err)
{
    static const qm_layer_scale scale_of[N_MAXIMA] = {
#define MAXIMUM_SCALE(id, scale, edge) [MAXIMUM_##id] = scale,
        MAXIMUM_LIST(MAXIMUM_SCALE)
#undef MAXIMUM_SCALE
    };
    quamba_status status = qm_act_scales_new(scales, obs->n_layer, err);
    if (status != QUAMBA_OK) return status;
    for (int32_t layer = 0; layer < obs->n_layer; layer++) {
        const size_t at = (size_t)layer * layer_values(obs->n_alphas);
        float *to = scales->layers[layer];
        for (size_t k = 0; k < N_MAXIMA; k++)
            to[scale_of[k]] = qm_scale_of_absmax(largest_of(obs, n_texts, at + k));
        to[QM_X_PROJ_INPUT] = qm_scale_of_quantile(average_of(obs, n_texts, at + conv_at(alpha)));
        to[QM_SSM_STATE_INPUT] =
            qm_scale_of_quantile(average_of(obs, n_texts, at + state_at(alpha)));
    }
    scales->head[QM_LM_HEAD_INPUT] =
        qm_scale_of_absmax(largest_of(obs, n_texts, obs->n_values - 1));
    return QUAMBA_OK;
}

/* The mixer against the plain formulas, also where a rounding is decided by the last bit: a scale
 * of a copy of the model is changed until a recorded value lies exactly on a tie. */
#include "base/half.h"
#include "verify/checks.h"
#include "verify/plain.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREFILL = QM_VERIFY_TOKENS * 3 / 4 };

static quamba_status no_memory(quamba_error *err)
{
    return qm_fail(err, QUAMBA_E_NOMEM, 0, "out of memory checking the formulas");
}

/* The scale at which v / scale is tie exactly; 0 when there is none near. */
static float scale_for_tie(float v, float tie)
{
    float scale = v / tie;
    for (int i = 0; i < 4; i++) {
        if (v / scale == tie) return scale;
        scale = nextafterf(scale, v / scale < tie ? 0.0f : INFINITY);
    }
    return 0.0f;
}

/* ---- convolution -------------------------------------------------------------------------------
 */

/* Runs row on layer 0 with the output scale s_u. */
static quamba_status run_at_scale(qm_trace *t, const qm_verify *v, const quamba_datapath *row,
                                  float s_u, quamba_error *err)
{
    qm_variant variant;
    quamba_status status = qm_variant_make(&variant, v, row, 1, err);
    if (status != QUAMBA_OK) return status;
    variant.layers[0].scales.u = s_u;
    qm_plan plan = qm_plan_of(v, &variant.model, QM_VERIFY_TOKENS, QM_VERIFY_TOKENS);
    status = qm_trace_run(t, &plan, err);
    qm_variant_free(&variant);
    return status;
}

/* A row's convolution codes (x_proj's input) against round(v / s_u), on layer 0. */
static quamba_status expect_codes(qm_finding *f, const qm_verify *v, const quamba_datapath *row,
                                  float s_u, size_t *n_ties, quamba_error *err)
{
    qm_trace t = {0};
    qm_deviation d = {0};
    const bool even = row->knobs.rnd == QM_RND_EVEN;
    quamba_status status = run_at_scale(&t, v, row, s_u, err);
    const size_t e = (size_t)v->model->config.d_inner;
    for (size_t i = 0; status == QUAMBA_OK && i < QM_VERIFY_TOKENS * e; i++) {
        const float q = qm_plain_conv(v->model, &t, 0, i / e, i % e) / s_u;
        const float code = fminf(fmaxf(even ? rintf(q) : roundf(q), -128.0f), 127.0f);
        *n_ties += rintf(q) != roundf(q);
        qm_deviate(&d, 0, QM_EDGE_X_PROJ_IN, qm_trace_at(&t, 0, QM_EDGE_X_PROJ_IN)->values[i], code,
                   1.0);
    }
    qm_expect_equal(f, &d, even ? "rnd=even" : row->id);
    qm_trace_free(&t);
    return status;
}

quamba_status qm_check_ties(const qm_check *check, const qm_verify *v, qm_finding *f,
                            quamba_error *err)
{
    enum { WANTED = 3 };
    const size_t e = (size_t)v->model->config.d_inner;
    quamba_datapath even = *quamba_datapath_find(check->a), even0 = *quamba_datapath_find("0");
    even.knobs.rnd = even0.knobs.rnd = QM_RND_EVEN;
    const quamba_datapath *rows[] = {quamba_datapath_find(check->a), quamba_datapath_find(check->b),
                                     quamba_datapath_find("0"), &even, &even0};
    qm_trace t = {0};
    size_t n_found = 0, n_ties = 0;
    quamba_status status = run_at_scale(&t, v, rows[0], v->model->layers[0].scales.u, err);
    for (size_t i = 0; status == QUAMBA_OK && i < QM_VERIFY_TOKENS * e && n_found < WANTED;
         i += 977) {
        const float x = qm_plain_conv(v->model, &t, 0, i / e, i % e);
        const float s_u = scale_for_tie(fabsf(x), 2.5f + 2.0f * (float)n_found);
        if (!(s_u > 1e-6f)) continue;
        n_found++;
        for (size_t r = 0; status == QUAMBA_OK && r < QM_COUNT(rows); r++)
            status = expect_codes(f, v, rows[r], s_u, &n_ties, err);
    }
    if (status == QUAMBA_OK && n_ties == 0) qm_find_fault(f, "no tie was found");
    if (status == QUAMBA_OK && f->outcome == QM_HOLDS)
        snprintf(f->text, sizeof f->text, "exact, %zu values, %zu of them ties", (size_t)f->n,
                 n_ties);
    qm_trace_free(&t);
    return status;
}

quamba_status qm_check_conv(const qm_check *check, const qm_verify *v, qm_finding *f,
                            quamba_error *err)
{
    qm_trace t = {0};
    qm_deviation codes = {0}, numbers = {0};
    const size_t e = (size_t)v->model->config.d_inner;
    quamba_datapath row = *quamba_datapath_find(check->b);
    size_t lost = 0; /* first the codes, then the numbers before they are quantized */
    quamba_status status = qm_run_row(&t, v, &row, 0, QM_VERIFY_TOKENS, PREFILL, NULL, err);
    for (int32_t layer = 0; status == QUAMBA_OK && layer < t.n_layer; layer++)
        for (size_t i = 0; i < QM_VERIFY_TOKENS * e; i++) {
            const float s = v->model->layers[layer].scales.u;
            const float q = roundf(qm_plain_conv(v->model, &t, layer, i / e, i % e) / s);
            lost += q < -128.0f || q > 127.0f;
            qm_deviate(&codes, layer, QM_EDGE_CONV_OUT,
                       qm_trace_at(&t, layer, QM_EDGE_CONV_OUT)->values[i],
                       fminf(fmaxf(q, -128.0f), 127.0f), 1.0);
            qm_deviate(&codes, layer, QM_EDGE_SCAN_IN,
                       qm_trace_at(&t, layer, QM_EDGE_SCAN_IN)->values[i],
                       s * fminf(fmaxf(q, -128.0f), 127.0f), (double)s);
        }
    qm_trace_free(&t);
    row.knobs.grid = QM_GRID_F32;
    row.knobs.xp = QM_XP_REQ;
    row.knobs.u = QM_U_VAL;
    if (status == QUAMBA_OK)
        status = qm_run_row(&t, v, &row, 0, QM_VERIFY_TOKENS, PREFILL, NULL, err);
    for (int32_t layer = 0; status == QUAMBA_OK && layer < t.n_layer; layer++)
        for (size_t i = 0; i < QM_VERIFY_TOKENS * e; i++) {
            const float want = qm_plain_conv(v->model, &t, layer, i / e, i % e);
            qm_deviate(&numbers, layer, QM_EDGE_CONV_OUT,
                       qm_trace_at(&t, layer, QM_EDGE_CONV_OUT)->values[i], want,
                       qm_float_step(want));
            qm_deviate(&numbers, layer, QM_EDGE_SCAN_IN,
                       qm_trace_at(&t, layer, QM_EDGE_SCAN_IN)->values[i], want,
                       qm_float_step(want));
        }
    qm_expect_equal(f, &codes, "codes");
    qm_expect_equal(f, &numbers, "numbers");
    qm_trace_free(&t);
    if (status == QUAMBA_OK && f->outcome == QM_HOLDS)
        snprintf(f->text, sizeof f->text, "exact, %zu values, %zu of them saturated", (size_t)f->n,
                 lost);
    return status;
}

/* ---- projections -------------------------------------------------------------------------------
 */

/* Changes the factor a of w so that outer * (inner * acc) is a tie while the other order of factors
 * gives another code; first_a: a is the inner one. */
static bool tune_order(qm_linear *w, bool first_a, int32_t acc)
{
    const float b = w->b, start = w->a;
    if (acc == 0) return false;
    for (int k = 1; k < 60; k++) {
        float a = fabsf(((float)k + 0.5f) / (b * (float)acc));
        for (int i = 0; i < 4; i++)
            a = nextafterf(a, 0.0f);
        for (int i = 0; i < 8; i++, a = nextafterf(a, INFINITY)) {
            const float ours = first_a ? b * (a * (float)acc) : a * (b * (float)acc);
            const float other = first_a ? a * (b * (float)acc) : b * (a * (float)acc);
            if (a < 0.5f * start || a > 2.0f * start) continue;
            if (rintf(ours) == rintf(other)) continue;
            w->a = a;
            return true;
        }
    }
    return false;
}

static void expect_linears(qm_finding *f, const quamba_model *m, const qm_trace *t)
{
    const qm_recording *x = qm_trace_at(t, 0, QM_EDGE_X_PROJ_OUT),
                       *dt = qm_trace_at(t, 0, QM_EDGE_DT_PROJ_OUT);
    qm_deviation dx = {0}, ddt = {0};
    for (size_t i = 0; i < t->n_tokens * x->n_cols; i++)
        qm_deviate(&dx, 0, QM_EDGE_X_PROJ_OUT, x->values[i],
                   (float)qm_plain_x_proj(m, t, 0, i / x->n_cols, i % x->n_cols), 1.0);
    for (size_t i = 0; i < t->n_tokens * dt->n_cols; i++)
        qm_deviate(&ddt, 0, QM_EDGE_DT_PROJ_OUT, dt->values[i],
                   (float)qm_plain_dt_proj(m, t, 0, i / dt->n_cols, i % dt->n_cols), 1.0);
    qm_expect_equal(f, &dx, "x_proj");
    qm_expect_equal(f, &ddt, "dt_proj");
}

quamba_status qm_check_linears(const qm_check *check, const qm_verify *v, qm_finding *f,
                               quamba_error *err)
{
    enum { WANTED = 3 };
    const quamba_datapath *row = quamba_datapath_find(check->b);
    size_t n_tuned[2] = {0, 0};
    qm_trace base = {0};
    qm_variant variant;
    quamba_status status = qm_run_row(&base, v, row, 1, QM_VERIFY_TOKENS, PREFILL, NULL, err);
    if (status == QUAMBA_OK) expect_linears(f, v->model, &base);
    for (int which = 0; status == QUAMBA_OK && which < 2; which++) { /* x_proj, dt_proj */
        const qm_recording *in =
            qm_trace_at(&base, 0, which ? QM_EDGE_X_PROJ_OUT : QM_EDGE_X_PROJ_IN);
        const qm_linear *plain = which ? &v->model->layers[0].dt_proj : &v->model->layers[0].x_proj;
        const size_t n_out = (size_t)plain->n_out;
        for (size_t i = 0; i < QM_VERIFY_TOKENS * n_out && n_tuned[which] < WANTED; i += 7) {
            status = qm_variant_make(&variant, v, row, 1, err);
            if (status != QUAMBA_OK) break;
            qm_linear *w = which ? &variant.layers[0].dt_proj : &variant.layers[0].x_proj;
            const float *codes = in->values + i / n_out * in->n_cols;
            if (tune_order(w, which == 1, qm_plain_product(w, i % n_out, codes))) {
                qm_trace t = {0};
                qm_plan plan = qm_plan_of(v, &variant.model, QM_VERIFY_TOKENS, PREFILL);
                n_tuned[which]++;
                status = qm_trace_run(&t, &plan, err);
                if (status == QUAMBA_OK) expect_linears(f, &variant.model, &t);
                qm_trace_free(&t);
            }
            qm_variant_free(&variant);
            if (status != QUAMBA_OK) break;
        }
    }
    if (status == QUAMBA_OK && (n_tuned[0] == 0 || n_tuned[1] == 0))
        qm_find_fault(f, "no product was found that tells the orders of the factors apart");
    qm_trace_free(&base);
    return status;
}

/* ---- scan ---------------------------------------------------------------------------------------
 */

/* The recorded y and last state of a layer against the plain scan: every stride-th channel, how's
 * own among them. */
static quamba_status expect_scan(qm_finding *f, const qm_plain_scan *how, size_t stride,
                                 const char *what, quamba_error *err)
{
    const qm_trace *t = how->trace;
    const size_t e = (size_t)t->d_inner, n_state = (size_t)t->d_state;
    qm_plain_scan p = *how;
    qm_deviation dy = {0}, dh = {0};
    p.y = qm_alloc(t->n_tokens + n_state, sizeof *p.y);
    p.size = qm_alloc(t->n_tokens, sizeof *p.size);
    const bool fits = p.y && p.size;
    for (p.channel = how->channel % stride; fits && p.channel < e; p.channel += stride) {
        p.h = p.y + t->n_tokens;
        qm_plain_scan_run(&p);
        for (size_t i = 0; i < t->n_tokens; i++) {
            float got = qm_trace_at(t, p.layer, QM_EDGE_SCAN_OUT)->values[i * e + p.channel];
            if (p.no_gate) got /= 64.0f;
            qm_deviate(&dy, p.layer, QM_EDGE_SCAN_OUT, got, p.y[i], qm_half_step(p.y[i]));
        }
        for (size_t n = 0; n < n_state; n++)
            qm_deviate(&dh, p.layer, QM_EDGE_SSM_STATE,
                       t->states[1][((size_t)p.layer * n_state + n) * e + p.channel], p.h[n],
                       qm_float_step(p.h[n]));
    }
    free(p.y);
    free(p.size);
    if (!fits) return no_memory(err);
    qm_expect_equal(f, &dy, what);
    qm_expect_equal(f, &dh, what);
    return QUAMBA_OK;
}

/* The scale s_h at which a value of layer 0's state after the prefill is a tie, and its channel; 0:
 * none found. */
static float tie_of_state(const qm_trace *t, size_t *channel)
{
    const size_t n = (size_t)t->d_state * (size_t)t->d_inner;
    for (size_t i = 0; i < n; i += 13) {
        const float h = fabsf(t->states[0][i]);
        const float s = h > 1e-5f ? scale_for_tie(h, 6.5f) : 0.0f;
        if (!(s > 1e-6f) || (h * 100.0f) / (s * 100.0f) != 6.5f) continue;
        *channel = i % (size_t)t->d_inner;
        return s;
    }
    return 0.0f;
}

/* Scales that a calibration took from half values have so few digits that a product with a code is
 * exact, whatever the order; these have all their digits. */
static void lengthen_scales(qm_variant *variant)
{
    for (int32_t i = 0; i < variant->model.config.n_layer; i++) {
        qm_scales *s = &variant->layers[i].scales;
        s->dt *= 1.1f;
        s->b *= 1.1f;
        s->c *= 1.1f;
        s->z *= 1.1f;
    }
}

/* One row on long scales; then, where the state is rounded, with s_h at a tie. */
static quamba_status check_scan(qm_finding *f, const qm_verify *v, const quamba_datapath *row,
                                size_t *n_ties, quamba_error *err)
{
    enum { STRIDE = 8 };
    qm_variant variant;
    quamba_status status = qm_variant_make(&variant, v, row, 2, err);
    if (status != QUAMBA_OK) return status;
    size_t channel = 0;
    lengthen_scales(&variant);
    for (int run = 0; status == QUAMBA_OK && run < 2; run++) {
        qm_trace t = {0};
        const qm_plan plan = qm_plan_of(v, &variant.model, QM_VERIFY_TOKENS, PREFILL);
        status = qm_trace_run(&t, &plan, err);
        for (int32_t layer = 0; status == QUAMBA_OK && layer < t.n_layer; layer++) {
            const qm_plain_scan p = {
                .model = &variant.model, .trace = &t, .layer = layer, .channel = channel};
            status = expect_scan(f, &p, STRIDE, row->id, err);
        }
        float s_h = 0.0f;
        if (status == QUAMBA_OK && run == 0 && row->knobs.state != QM_STATE_F32)
            s_h = tie_of_state(&t, &channel);
        qm_trace_free(&t);
        if (s_h == 0.0f) break;
        variant.layers[0].scales.h = s_h;
        ++*n_ties;
    }
    qm_variant_free(&variant);
    return status;
}

quamba_status qm_check_scans(const qm_check *check, const qm_verify *v, qm_finding *f,
                             quamba_error *err)
{
    (void)check;
    size_t n_rows = 0, n_ties = 0;
    quamba_status status = QUAMBA_OK;
    const quamba_datapath *row;
    for (size_t i = 0; status == QUAMBA_OK && (row = qm_quantized_row(i)); i++, n_rows++)
        status = check_scan(f, v, row, &n_ties, err);
    if (status == QUAMBA_OK && n_ties == 0) qm_find_fault(f, "no tie of a state was found");
    if (status == QUAMBA_OK && f->outcome == QM_HOLDS)
        snprintf(f->text, sizeof f->text,
                 "exact, %zu values of %zu rows, %zu with a tie of the state", (size_t)f->n, n_rows,
                 n_ties);
    return status;
}

quamba_status qm_check_blocks(const qm_check *check, const qm_verify *v, qm_finding *f,
                              quamba_error *err)
{
    static const size_t blocks[] = {4, 16, 1024};
    quamba_datapath row = *quamba_datapath_find(check->b);
    row.knobs.y = QM_Y_F32;
    qm_variant variant;
    qm_trace t = {0};
    qm_deviation floats = {0}, halves = {0};
    size_t too_far = 0;
    quamba_status status = qm_variant_make(&variant, v, &row, 0, err);
    if (status != QUAMBA_OK) return status;
    qm_plan plan = qm_plan_of(v, &variant.model, QM_VERIFY_TOKENS, QM_VERIFY_TOKENS);
    status = qm_trace_run(&t, &plan, err);
    float *y = qm_alloc(QM_VERIFY_TOKENS + (size_t)v->model->config.d_state, sizeof *y);
    double size[QM_VERIFY_TOKENS];
    const size_t e = (size_t)v->model->config.d_inner;
    if (status == QUAMBA_OK && !y) status = no_memory(err);
    for (int32_t layer = 0; status == QUAMBA_OK && layer < t.n_layer; layer++)
        for (size_t k = 0; status == QUAMBA_OK && k < QM_COUNT(blocks) * e; k++) {
            const qm_plain_scan p = {.model = &variant.model,
                                     .trace = &t,
                                     .layer = layer,
                                     .channel = k / QM_COUNT(blocks),
                                     .block = blocks[k % QM_COUNT(blocks)],
                                     .y = y,
                                     .size = size,
                                     .h = y + QM_VERIFY_TOKENS};
            if (!qm_plain_scan_run(&p)) status = no_memory(err);
            for (size_t i = 0; status == QUAMBA_OK && i < QM_VERIFY_TOKENS; i++) {
                const float want =
                    qm_trace_at(&t, layer, QM_EDGE_SCAN_OUT)->values[i * e + p.channel];
                const float half[2] = {qm_f32_f16(qm_f16_f32(y[i])), qm_f32_f16(qm_f16_f32(want))};
                qm_deviate(&floats, layer, QM_EDGE_SCAN_OUT, y[i], want, qm_float_step(want));
                qm_deviate(&halves, layer, QM_EDGE_SCAN_OUT, half[0], half[1],
                           qm_half_step(half[1]));
                too_far += fabs((double)half[0] - (double)half[1]) >
                           fmax(qm_half_step(half[1]), check->allowed.magnitude * size[i]);
            }
        }
    if (status == QUAMBA_OK) {
        const double share = (double)halves.n_differ / (double)halves.n;
        qm_count(f, &halves);
        f->rms = sqrt(floats.error / floats.norm);
        snprintf(f->text, sizeof f->text, "rms %.2g, %.3g %% of halves (by up to %g)", f->rms,
                 100 * share, halves.worst);
        if (floats.n_differ == 0) qm_find_fault(f, "the two are equal: the order should show");
        if (!(f->rms <= check->allowed.rms) || share > check->allowed.share || too_far > 0)
            qm_find_fault(f, "rms %.2g, %.3g %% of halves; %zu too far", f->rms, 100 * share,
                          too_far);
    }
    free(y);
    qm_trace_free(&t);
    qm_variant_free(&variant);
    return status;
}

quamba_status qm_check_absent(const qm_check *check, const qm_verify *v, qm_finding *f,
                              quamba_error *err)
{
    (void)check;
    static const char *const rows[] = {"0", "2-1", "3@fork", "6-1"};
    static const char *const names[] = {"D", "dt_bias", "gate"};
    quamba_status status = QUAMBA_OK;
    float *zeros = qm_alloc((size_t)v->model->config.d_inner, sizeof *zeros);
    if (!zeros) return no_memory(err);
    for (size_t k = 0; status == QUAMBA_OK && k < QM_COUNT(rows) * QM_COUNT(names); k++) {
        const quamba_datapath *row = quamba_datapath_find(rows[k / QM_COUNT(names)]);
        const size_t what = k % QM_COUNT(names);
        qm_variant variant;
        qm_trace t = {0};
        char where[32];
        if (!row) continue;
        snprintf(where, sizeof where, "%s without %s", row->id, names[what]);
        status = qm_variant_make(&variant, v, row, 1, err);
        if (status != QUAMBA_OK) break;
        if (what == 0) variant.layers[0].d = zeros;
        if (what == 1) variant.layers[0].dt_bias = zeros;
        if (what == 2) { /* SiLU(64) is 64, and times 64 is exact */
            variant.layers[0].scales.z = 1.0f;
            variant.row.knobs.y = QM_Y_F32;
            variant.model.datapath = &variant.row;
        }
        qm_plan plan = qm_plan_of(v, &variant.model, QM_VERIFY_TOKENS, PREFILL);
        plan.fix_z = what == 2;
        status = qm_trace_run(&t, &plan, err);
        const qm_plain_scan p = {.model = &variant.model,
                                 .trace = &t,
                                 .no_skip = what == 0,
                                 .no_bias = what == 1,
                                 .no_gate = what == 2};
        if (status == QUAMBA_OK) status = expect_scan(f, &p, 8, where, err);
        qm_trace_free(&t);
        qm_variant_free(&variant);
    }
    free(zeros);
    return status;
}

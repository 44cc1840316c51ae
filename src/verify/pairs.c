/* Two rows against each other. */
#include "verify/checks.h"

#include "datapath/grid.h"
#include "verify/plain.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREFILL = QM_VERIFY_TOKENS * 3 / 4 };

quamba_status qm_check_equal(const qm_check *check, const qm_verify *v, qm_finding *f,
                             quamba_error *err)
{
    qm_trace a = {0}, b = {0};
    quamba_status status =
        qm_run_row(&a, v, quamba_datapath_find(check->a), 0, QM_VERIFY_TOKENS, PREFILL, NULL, err);
    if (status == QUAMBA_OK)
        status = qm_run_row(&b, v, quamba_datapath_find(check->b), 0, QM_VERIFY_TOKENS, PREFILL,
                            NULL, err);
    if (status == QUAMBA_OK) {
        qm_deviation prefill = {0}, steps = {0};
        qm_trace_compare(&prefill, &a, &b, check->edges, 0, PREFILL);
        qm_trace_compare_states(&prefill, &a, &b, 0);
        qm_trace_compare(&steps, &a, &b, check->edges, PREFILL, QM_VERIFY_TOKENS);
        qm_trace_compare_states(&steps, &a, &b, 1);
        qm_expect_equal(f, &prefill, "prefill");
        qm_expect_equal(f, &steps, "steps");
    }
    qm_trace_free(&a);
    qm_trace_free(&b);
    return status;
}

quamba_status qm_check_same_projections(const qm_check *check, const qm_verify *v, qm_finding *f,
                                        quamba_error *err)
{
    static const char *const rows[] = {"2-0", "2-1", "2-2", "2-3", "2-4", "5-0", "5-1", "5-2"};
    qm_trace base = {0};
    quamba_status status = qm_run_row(&base, v, quamba_datapath_find(check->b), 0, QM_VERIFY_TOKENS,
                                      QM_VERIFY_TOKENS, NULL, err);
    for (size_t i = 0; status == QUAMBA_OK && i < QM_COUNT(rows); i++) {
        const quamba_datapath *row = quamba_datapath_find(rows[i]);
        qm_trace t = {0};
        qm_deviation d = {0};
        if (!row) continue;
        status = qm_run_row(&t, v, row, 0, QM_VERIFY_TOKENS, QM_VERIFY_TOKENS, &base, err);
        if (status == QUAMBA_OK) {
            qm_trace_compare(&d, &t, &base, check->edges, 0, QM_VERIFY_TOKENS);
            qm_expect_equal(f, &d, rows[i]);
        }
        qm_trace_free(&t);
    }
    qm_trace_free(&base);
    return status;
}

/* b, then a on b's residual streams. */
static quamba_status run_both(qm_trace *a, qm_trace *b, const qm_verify *v, quamba_datapath row_a,
                              quamba_datapath row_b, quamba_error *err)
{
    quamba_status status =
        qm_run_row(b, v, &row_b, 0, QM_VERIFY_TOKENS, QM_VERIFY_TOKENS, NULL, err);
    if (status != QUAMBA_OK) return status;
    return qm_run_row(a, v, &row_a, 0, QM_VERIFY_TOKENS, QM_VERIFY_TOKENS, b, err);
}

quamba_status qm_check_clipping(const qm_check *check, const qm_verify *v, qm_finding *f,
                                quamba_error *err)
{
    qm_trace a = {0}, b = {0};
    quamba_status status =
        run_both(&a, &b, v, *quamba_datapath_find(check->a), *quamba_datapath_find(check->b), err);
    size_t n_clipped = 0;
    for (int32_t layer = 0; status == QUAMBA_OK && layer < a.n_layer; layer++) {
        const qm_recording *free_u = qm_trace_at(&a, layer, QM_EDGE_SCAN_IN),
                           *grid_u = qm_trace_at(&b, layer, QM_EDGE_SCAN_IN);
        const float s = v->model->layers[layer].scales.u;
        for (size_t i = 0; i < a.n_tokens * free_u->n_cols; i++) {
            const double x = (double)free_u->values[i], step = 2 * qm_float_step(free_u->values[i]);
            const double difference = x - (double)grid_u->values[i];
            const double end = (x > 0 ? 127.0 : -128.0) * (double)s;
            const bool clipped = x > 127.5 * (double)s || x < -128.5 * (double)s;
            n_clipped += clipped;
            f->n++;
            if (clipped ? fabs(difference - (x - end)) > step
                        : fabs(difference) > 0.5 * (double)s + step) {
                f->n_differ++;
                qm_find_fault(f, "layer %d: u is %g and %g at scale %g", (int)layer, x,
                              (double)grid_u->values[i], (double)s);
            }
        }
    }
    if (status == QUAMBA_OK && f->outcome == QM_HOLDS)
        snprintf(f->text, sizeof f->text, "holds for %zu values, %zu of them clipped", (size_t)f->n,
                 n_clipped);
    qm_trace_free(&a);
    qm_trace_free(&b);
    return status;
}

/* ---- within a tolerance ------------------------------------------------------------------------
 */

/* y, in halves: each may differ by one step, or by a part of the magnitudes it is summed from. */
static quamba_status compare_y(qm_deviation *d, size_t *too_far, const struct qm_allowed *allowed,
                               const quamba_model *m, const qm_trace *a, const qm_trace *b,
                               quamba_error *err)
{
    const size_t n = b->n_tokens, e = (size_t)b->d_inner;
    float *y = qm_alloc(n + (size_t)b->d_state, sizeof *y);
    double *size = qm_alloc(n, sizeof *size);
    for (int32_t layer = 0; y && size && layer < b->n_layer; layer++)
        for (size_t c = 0; c < e; c++) {
            const qm_plain_scan p = {.model = m,
                                     .trace = b,
                                     .layer = layer,
                                     .channel = c,
                                     .y = y,
                                     .size = size,
                                     .h = y + n};
            qm_plain_scan_run(&p);
            for (size_t i = 0; i < n; i++) {
                const float got = qm_trace_at(a, layer, QM_EDGE_SCAN_OUT)->values[i * e + c];
                const float want = qm_trace_at(b, layer, QM_EDGE_SCAN_OUT)->values[i * e + c];
                const double step = qm_half_step(want);
                qm_deviate(d, layer, QM_EDGE_SCAN_OUT, got, want, step);
                *too_far +=
                    !(fabs((double)got - (double)want) <= fmax(step, allowed->magnitude * size[i]));
            }
        }
    const bool fits = y && size;
    free(y);
    free(size);
    return fits ? QUAMBA_OK : qm_fail(err, QUAMBA_E_NOMEM, 0, "out of memory comparing two rows");
}

static double share_of(const qm_deviation *d)
{
    return d->n ? (double)d->n_differ / (double)d->n : 0.0;
}

/* The row with the scan's output in FP32, so that its rounding does not hide the difference. */
static quamba_datapath with_float_y(const char *id)
{
    quamba_datapath row = *quamba_datapath_find(id);
    row.knobs.y = QM_Y_F32;
    return row;
}

quamba_status qm_check_near(const qm_check *check, const qm_verify *v, qm_finding *f,
                            quamba_error *err)
{
    const struct qm_allowed *allowed = &check->allowed;
    const uint32_t before = QM_EDGE_BIT(QM_EDGE_X_PROJ_IN) | QM_EDGE_BIT(QM_EDGE_X_PROJ_OUT) |
                            QM_EDGE_BIT(QM_EDGE_DT_PROJ_OUT);
    qm_trace a = {0}, b = {0}, fa = {0}, fb = {0};
    qm_deviation codes = {0}, y = {0}, turned = {0}, floats = {0};
    size_t too_far = 0;
    qm_variant of_b = {0};
    quamba_status status =
        run_both(&a, &b, v, *quamba_datapath_find(check->a), *quamba_datapath_find(check->b), err);
    if (status == QUAMBA_OK)
        status = run_both(&fa, &fb, v, with_float_y(check->a), with_float_y(check->b), err);
    if (status == QUAMBA_OK)
        status = qm_variant_make(&of_b, v, quamba_datapath_find(check->b), 0, err);
    if (status == QUAMBA_OK) {
        qm_trace_compare(&codes, &a, &b, before, 0, QM_VERIFY_TOKENS);
        qm_trace_compare(&turned, &a, &b, QM_EDGE_BIT(QM_EDGE_HADAMARD_OUT), 0, QM_VERIFY_TOKENS);
        qm_trace_compare(&floats, &fa, &fb, QM_EDGE_BIT(QM_EDGE_SCAN_OUT), 0, QM_VERIFY_TOKENS);
        status = compare_y(&y, &too_far, allowed, &of_b.model, &a, &b, err);
        qm_variant_free(&of_b);
    }
    if (status == QUAMBA_OK) {
        const double rms = floats.norm > 0 ? sqrt(floats.error / floats.norm) : 0;
        qm_count(f, &y);
        f->rms = rms;
        snprintf(f->text, sizeof f->text,
                 "rms %.2g, %.3g %% of halves (by up to %g), %.2g %% of Hadamard codes, %.2g %% of "
                 "codes before",
                 rms, 100 * share_of(&y), y.worst, 100 * share_of(&turned), 100 * share_of(&codes));
        if (floats.n_differ == 0)
            qm_find_fault(f, "the two are equal: another order of the sums should show");
        if (!(rms <= allowed->rms) || share_of(&y) > allowed->share || too_far > 0 ||
            share_of(&turned) > allowed->codes || share_of(&codes) > allowed->flips ||
            (allowed->flips < 1e-3 && codes.worst > 1.5) ||
            (allowed->codes < 1e-3 && turned.worst > 1.5)) {
            char measured[200];
            memcpy(measured, f->text, sizeof measured);
            qm_find_fault(f, "%.150s; %zu halves too far", measured, too_far);
        }
    }
    qm_trace_free(&a);
    qm_trace_free(&b);
    qm_trace_free(&fa);
    qm_trace_free(&fb);
    return status;
}

/* ---- grids --------------------------------------------------------------------------------------
 */

/* Runs judge on the convolution outputs v of every layer, and on numbers around the ties and the
 * ends of the code range. */
typedef void judge_fn(qm_finding *f, const float *v, size_t n, float s, float *scratch);

static quamba_status on_numbers(const qm_check *check, const qm_verify *v, qm_finding *f,
                                judge_fn *judge, quamba_error *err)
{
    enum { N_MADE = 1 << 14 };
    qm_trace t = {0};
    quamba_status status = qm_run_row(&t, v, quamba_datapath_find(check->a), 0, QM_VERIFY_TOKENS,
                                      QM_VERIFY_TOKENS, NULL, err);
    const size_t recorded = (size_t)v->model->config.d_inner * QM_VERIFY_TOKENS;
    float *scratch = qm_alloc(3 * (recorded > N_MADE ? recorded : N_MADE), sizeof *scratch);
    if (status == QUAMBA_OK && !scratch)
        status = qm_fail(err, QUAMBA_E_NOMEM, 0, "out of memory checking grids");
    for (int32_t layer = 0; status == QUAMBA_OK && layer < t.n_layer; layer++) {
        const float s = v->model->layers[layer].scales.u;
        judge(f, qm_trace_at(&t, layer, QM_EDGE_CONV_OUT)->values, recorded, s, scratch);
        float *made = scratch + 2 * (recorded > N_MADE ? recorded : N_MADE);
        for (size_t i = 0; i < N_MADE; i++) /* -256 s to 256 s by 32nds of a step */
            made[i] = ((float)i - N_MADE / 2) * 0.03125f * s;
        judge(f, made, N_MADE, s, scratch);
    }
    free(scratch);
    qm_trace_free(&t);
    return status;
}

static void expect_arrays(qm_finding *f, const float *got, const float *want, size_t n,
                          const char *what)
{
    qm_deviation d = {.edge = QM_EDGE_CONV_OUT};
    for (size_t i = 0; i < n; i++)
        qm_deviate(&d, 0, QM_EDGE_CONV_OUT, got[i], want[i], qm_float_step(want[i]));
    qm_expect_equal(f, &d, what);
}

static void judge_grids(qm_finding *f, const float *v, size_t n, float s, float *scratch)
{
    static const qm_grid grids[] = {QM_GRID_SEL, QM_GRID_DUAL, QM_GRID_CDUAL};
    static const char *const names[] = {"sel", "dual", "cdual"};
    float *want = scratch, *got = scratch + n;
    for (int rnd = QM_RND_AWAY; rnd <= QM_RND_EVEN; rnd++) { /* vq itself, ties included */
        for (size_t i = 0; i < n; i++) {
            const float q = rnd == QM_RND_EVEN ? rintf(v[i] / s) : roundf(v[i] / s);
            want[i] = s * fminf(fmaxf(q, -128.0f), 127.0f);
        }
        memcpy(got, v, n * sizeof *got);
        qm_grid_apply(QM_GRID_VQ, (qm_rnd)rnd, got, n, s, s);
        expect_arrays(f, got, want, n, "vq");
    }
    for (int rnd = QM_RND_AWAY; rnd <= QM_RND_EVEN; rnd++)
        for (size_t g = 0; g < QM_COUNT(grids); g++) {
            size_t kept = 0; /* the codes that fit; cdual at one scale takes all */
            for (size_t i = 0; i < n; i++)
                if (grids[g] == QM_GRID_CDUAL || fabsf(v[i]) < 127.0f * s) want[kept++] = v[i];
            memcpy(got, want, kept * sizeof *got);
            qm_grid_apply(QM_GRID_VQ, (qm_rnd)rnd, want, kept, s, s);
            const float outlier = qm_grid_largest_outlier((qm_rnd)rnd, got, kept, s);
            const float s2 = grids[g] == QM_GRID_DUAL ? qm_grid_second_scale(outlier, s) : s;
            if (grids[g] == QM_GRID_DUAL && (outlier != 0.0f || s2 != s))
                qm_find_fault(f, "dual: second scale %g without outliers, not %g", (double)s2,
                              (double)s);
            qm_grid_apply(grids[g], (qm_rnd)rnd, got, kept, s, s2);
            expect_arrays(f, got, want, kept, names[g]);
        }
}

quamba_status qm_check_grids(const qm_check *check, const qm_verify *v, qm_finding *f,
                             quamba_error *err)
{
    return on_numbers(check, v, f, judge_grids, err);
}

static void judge_idempotent(qm_finding *f, const float *v, size_t n, float s, float *scratch)
{
    float *once = scratch, *twice = scratch + n;
    for (int rnd = QM_RND_AWAY; rnd <= QM_RND_EVEN; rnd++)
        for (int g = 0; g < 2; g++) {
            const qm_grid grid = g ? QM_GRID_SEL : QM_GRID_VQ;
            memcpy(once, v, n * sizeof *once);
            qm_grid_apply(grid, (qm_rnd)rnd, once, n, s, s);
            memcpy(twice, once, n * sizeof *once);
            qm_grid_apply(grid, (qm_rnd)rnd, twice, n, s, s);
            expect_arrays(f, twice, once, n, g ? "sel" : "vq");
        }
    float half[2] = {63.4f}, quarter[2] = {31.45f}; /* at scale 1 */
    qm_grid_apply(QM_GRID_HALF, QM_RND_AWAY, half, 1, 1.0f, 1.0f);
    qm_grid_apply(QM_GRID_QUARTER, QM_RND_AWAY, quarter, 1, 1.0f, 1.0f);
    half[1] = half[0];
    quarter[1] = quarter[0];
    qm_grid_apply(QM_GRID_HALF, QM_RND_AWAY, half + 1, 1, 1.0f, 1.0f);
    qm_grid_apply(QM_GRID_QUARTER, QM_RND_AWAY, quarter + 1, 1, 1.0f, 1.0f);
    if (half[0] != 63.5f || half[1] != 64.0f || quarter[0] != 31.5f || quarter[1] != 32.0f)
        qm_find_fault(f, "half keeps 63.5 steps or quarter 31.5, which both must move");
}

quamba_status qm_check_idempotent(const qm_check *check, const qm_verify *v, qm_finding *f,
                                  quamba_error *err)
{
    return on_numbers(check, v, f, judge_idempotent, err);
}

/* One row against itself: other tokens later, other company, cut into other pieces. */
#include "verify/checks.h"
#include "verify/plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = QM_VERIFY_TOKENS };

/* Codes of the convolution's output shrink, so that some surely saturate: what looks for outliers
 * must find them. */
static void provoke_outliers(qm_variant *variant)
{
    for (int32_t i = 0; i < variant->model.config.n_layer; i++)
        variant->layers[i].scales.u *= 0.125f;
}

/* The result of tokens before the middle where those behind it are others, next to their result. */
static quamba_status change_the_rest(const qm_check *check, const qm_verify *v,
                                     const qm_variant *variant, int32_t by, qm_deviation *d,
                                     quamba_error *err)
{
    enum { SAME = N / 2 };
    qm_trace a = {0}, b = {0};
    int32_t other[N];
    for (size_t i = 0; i < N; i++)
        other[i] = i < SAME ? v->tokens[i] : (v->tokens[i] + by) % v->model->config.n_vocab;
    qm_plan plan = qm_plan_of(v, &variant->model, N, N);
    quamba_status status = qm_trace_run(&a, &plan, err);
    plan.tokens = other;
    if (status == QUAMBA_OK) status = qm_trace_run(&b, &plan, err);
    if (status == QUAMBA_OK) qm_trace_compare(d, &a, &b, check->edges, 0, SAME);
    qm_trace_free(&a);
    qm_trace_free(&b);
    return status;
}

quamba_status qm_check_causal(const qm_check *check, const qm_verify *v, qm_finding *f,
                              quamba_error *err)
{
    enum { TRIES = 16 }; /* a largest outlier among the tokens that stay hides the others */
    const quamba_datapath *row;
    size_t n_rows = 0;
    quamba_status status = QUAMBA_OK;
    for (size_t i = 0; status == QUAMBA_OK && (row = qm_quantized_row(i)); i++) {
        const bool looks = qm_sees_whole_prompt(row);
        qm_variant variant;
        qm_deviation d = {0};
        status = qm_variant_make(&variant, v, row, 0, err);
        if (status != QUAMBA_OK) break;
        if (row->knobs.grid == QM_GRID_DUAL) provoke_outliers(&variant);
        for (int32_t by = 1; status == QUAMBA_OK && by <= (looks ? TRIES : 1); by++)
            if (d.n_differ == 0) status = change_the_rest(check, v, &variant, by, &d, err);
        if (status == QUAMBA_OK && !looks)
            qm_expect_equal(f, &d, row->id);
        else if (status == QUAMBA_OK && d.n_differ == 0)
            qm_find_fault(f, "%s does not show that it looks at the whole prompt", row->id);
        n_rows++;
        qm_variant_free(&variant);
    }
    if (status == QUAMBA_OK && f->outcome == QM_HOLDS)
        snprintf(f->text, sizeof f->text, "exact, %zu values of %zu rows", (size_t)f->n, n_rows);
    return status;
}

quamba_status qm_check_batch(const qm_check *check, const qm_verify *v, qm_finding *f,
                             quamba_error *err)
{
    static const size_t first[3] = {0, 3, 7}, length[3] = {N - 7, 5, N - 9};
    const quamba_datapath *row;
    quamba_status status = QUAMBA_OK;
    for (size_t i = 0; status == QUAMBA_OK && (row = qm_quantized_row(i)); i++) {
        qm_variant variant;
        qm_trace together[3] = {{0}}, alone = {0};
        qm_plan plans[3];
        status = qm_variant_make(&variant, v, row, 0, err);
        if (status != QUAMBA_OK) break;
        for (size_t k = 0; k < 3; k++) {
            plans[k] = qm_plan_of(v, &variant.model, length[k], length[k]);
            plans[k].tokens = v->tokens + first[k];
        }
        status = qm_trace_run_together(together, plans, 3, err);
        for (size_t k = 0; status == QUAMBA_OK && k < 3; k++) {
            qm_deviation d = {0};
            status = qm_trace_run(&alone, &plans[k], err);
            if (status == QUAMBA_OK) {
                qm_trace_compare(&d, &together[k], &alone, check->edges, 0, length[k]);
                qm_trace_compare_states(&d, &together[k], &alone, 0);
                qm_expect_equal(f, &d, row->id);
            }
            qm_trace_free(&alone);
        }
        for (size_t k = 0; k < 3; k++)
            qm_trace_free(&together[k]);
        qm_variant_free(&variant);
    }
    return status;
}

/* Prefill of all against prefill of all but one and a step, the last token's edges in the set, on
 * equal inputs of every layer when inputs_equal; and the state. */
static quamba_status step_or_not(const qm_verify *v, const quamba_datapath *row, uint32_t edges,
                                 bool inputs_equal, qm_finding *f, quamba_error *err)
{
    qm_trace whole = {0}, stepped = {0};
    quamba_status status = qm_run_row(&whole, v, row, 0, N, N, NULL, err);
    if (status == QUAMBA_OK)
        status = qm_run_row(&stepped, v, row, 0, N, N - 1, inputs_equal ? &whole : NULL, err);
    if (status == QUAMBA_OK) {
        qm_deviation d = {0};
        qm_trace_compare(&d, &stepped, &whole, edges, inputs_equal ? 0 : N - 1, N);
        if (!inputs_equal) qm_trace_compare_states(&d, &stepped, &whole, 1);
        qm_expect_equal(f, &d, row->id);
    }
    qm_trace_free(&whole);
    qm_trace_free(&stepped);
    return status;
}

quamba_status qm_check_step_conv(const qm_check *check, const qm_verify *v, qm_finding *f,
                                 quamba_error *err)
{
    const quamba_datapath *row;
    quamba_status status = QUAMBA_OK;
    for (size_t i = 0; status == QUAMBA_OK && (row = qm_quantized_row(i)); i++)
        if (!qm_sees_whole_prompt(row)) status = step_or_not(v, row, check->edges, true, f, err);
    return status;
}

quamba_status qm_check_step_all(const qm_check *check, const qm_verify *v, qm_finding *f,
                                quamba_error *err)
{
    const quamba_datapath *row;
    quamba_status status = QUAMBA_OK;
    size_t n_rows = 0;
    for (size_t i = 0; status == QUAMBA_OK && (row = qm_quantized_row(i)); i++) {
        if (qm_sees_whole_prompt(row) || row->knobs.state != QM_STATE_F32) continue;
        status =
            step_or_not(v, row, check->edges & ~QM_EDGE_BIT(QM_EDGE_NORM_F_OUT), false, f, err);
        n_rows++;
    }
    if (status == QUAMBA_OK && f->outcome == QM_HOLDS)
        snprintf(f->text, sizeof f->text, "exact, %zu values of %zu rows", (size_t)f->n, n_rows);
    return status;
}

quamba_status qm_check_state_scale(const qm_check *check, const qm_verify *v, qm_finding *f,
                                   quamba_error *err)
{
    const quamba_datapath *row;
    quamba_status status = QUAMBA_OK;
    for (size_t i = 0; status == QUAMBA_OK && (row = qm_quantized_row(i)); i++) {
        qm_variant variant;
        qm_trace a = {0}, b = {0};
        status = qm_variant_make(&variant, v, row, 0, err);
        if (status != QUAMBA_OK) break;
        qm_plan plan = qm_plan_of(v, &variant.model, N, N);
        status = qm_trace_run(&a, &plan, err);
        for (int32_t k = 0; k < variant.model.config.n_layer; k++)
            variant.layers[k].scales.h *= 10.0f;
        if (status == QUAMBA_OK) status = qm_trace_run(&b, &plan, err);
        if (status == QUAMBA_OK) {
            qm_deviation d = {0};
            qm_trace_compare(&d, &a, &b, check->edges, 0, N);
            qm_trace_compare_states(&d, &a, &b, 0);
            qm_expect_equal(f, &d, row->id);
        }
        qm_trace_free(&a);
        qm_trace_free(&b);
        qm_variant_free(&variant);
    }
    return status;
}

/* One length: in one piece, in pieces of 100 tokens, and some channels by the plain formulas. */
static quamba_status check_length(const qm_verify *v, const qm_variant *variant,
                                  const int32_t *tokens, size_t n, uint32_t edges, qm_finding *f,
                                  quamba_error *err)
{
    qm_trace whole = {0}, pieces = {0};
    char where[32];
    snprintf(where, sizeof where, "%zu tokens", n);
    qm_plan plan = qm_plan_of(v, &variant->model, n, n);
    plan.tokens = tokens;
    plan.options.max_rows = (int32_t)n;
    quamba_status status = qm_trace_run(&whole, &plan, err);
    plan.options.max_rows = 100;
    if (status == QUAMBA_OK) status = qm_trace_run(&pieces, &plan, err);
    float *y = qm_alloc(n + (size_t)whole.d_state, sizeof *y);
    double *size = qm_alloc(n, sizeof *size);
    if (status == QUAMBA_OK && (!y || !size))
        status = qm_fail(err, QUAMBA_E_NOMEM, 0, "out of memory checking a length");
    if (status == QUAMBA_OK) {
        const size_t e = (size_t)whole.d_inner;
        qm_deviation d = {0}, plain = {0};
        qm_trace_compare(&d, &pieces, &whole, edges, 0, n);
        qm_trace_compare_states(&d, &pieces, &whole, 0);
        for (size_t c = 0; c < e; c += 97) {
            const qm_plain_scan p = {.model = &variant->model,
                                     .trace = &whole,
                                     .channel = c,
                                     .y = y,
                                     .size = size,
                                     .h = y + n};
            qm_plain_scan_run(&p);
            for (size_t i = 0; i < n; i++)
                qm_deviate(&plain, 0, QM_EDGE_SCAN_OUT,
                           qm_trace_at(&whole, 0, QM_EDGE_SCAN_OUT)->values[i * e + c], y[i],
                           qm_half_step(y[i]));
        }
        qm_expect_equal(f, &d, where);
        qm_expect_equal(f, &plain, where);
    }
    free(y);
    free(size);
    qm_trace_free(&whole);
    qm_trace_free(&pieces);
    return status;
}

quamba_status qm_check_lengths(const qm_check *check, const qm_verify *v, qm_finding *f,
                               quamba_error *err)
{
    static const size_t lengths[] = {127, 128, 129, 255, 256, 257, 2047, 2048, 2049};
    enum { LONGEST = 2049 };
    int32_t *tokens = qm_alloc(LONGEST, sizeof *tokens);
    qm_variant variant;
    if (!tokens) return qm_fail(err, QUAMBA_E_NOMEM, 0, "out of memory for %d tokens", LONGEST);
    for (size_t i = 0; i < LONGEST; i++) /* the text over and over, in another order each time */
        tokens[i] = v->tokens[(i * (1 + i / N)) % N];
    quamba_status status = qm_variant_make(&variant, v, quamba_datapath_find(check->b), 1, err);
    for (size_t i = 0; status == QUAMBA_OK && i < QM_COUNT(lengths); i++)
        status = check_length(v, &variant, tokens, lengths[i], check->edges, f, err);
    if (variant.model.arena.base) qm_variant_free(&variant);
    free(tokens);
    return status;
}

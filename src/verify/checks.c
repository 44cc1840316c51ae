#include "verify/checks.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
#define CLOSE {.rms = 1e-6, .share = 0.005, .magnitude = 2e-6, .codes = 0.0005}

static const qm_check checks[] = {
    {.id = "T1", .statement = "2-0 = 0: every edge, every state",
     .tolerance = "exact", .run = qm_check_equal, .a = "2-0", .b = "0", .edges = QM_ALL_EDGES},
    {.id = "T2", .statement = "2-2 = 2-1: every edge, every state",
     .tolerance = "exact", .run = qm_check_equal, .a = "2-2", .b = "2-1", .edges = QM_ALL_EDGES},
    {.id = "T3", .statement = "2-3 = 2-1: every edge behind the convolution, every state",
     .tolerance = "exact", .run = qm_check_equal, .a = "2-3", .b = "2-1",
     .edges = QM_ALL_EDGES & ~QM_EDGE_BIT(QM_EDGE_CONV_OUT)},
    {.id = "T3", .statement = "codes at exact ties: away from zero, by one code less with rnd=even",
     .tolerance = "exact", .run = qm_check_ties, .a = "2-3", .b = "2-1"},
    {.id = "T4", .statement = "dt, B, C of 2-0 to 2-4, 5-0 to 5-2 are those of 0",
     .tolerance = "exact", .run = qm_check_same_projections, .b = "0",
     .edges = QM_EDGE_BIT(QM_EDGE_X_PROJ_IN) | QM_EDGE_BIT(QM_EDGE_X_PROJ_OUT) | QM_EDGE_BIT(QM_EDGE_DT_PROJ_OUT)},
    {.id = "T5", .statement = "5-0 = 0: every edge, every state",
     .tolerance = "exact", .run = qm_check_equal, .a = "5-0", .b = "0", .edges = QM_ALL_EDGES},
    {.id = "T6", .statement = "3@fork = 1",
     .tolerance = "exact", .run = qm_check_equal, .a = "3@fork", .b = "1", .edges = QM_ALL_EDGES},
    {.id = "T6", .statement = "2-3@fork = 2-1",
     .tolerance = "exact", .run = qm_check_equal, .a = "2-3@fork", .b = "2-1", .edges = QM_ALL_EDGES},
    {.id = "T6", .statement = "2-4@fork = 2-2",
     .tolerance = "exact", .run = qm_check_equal, .a = "2-4@fork", .b = "2-2", .edges = QM_ALL_EDGES},
    {.id = "T7", .statement = "u of 2-4 less u of 2-2: half a step, or what was clipped",
     .tolerance = "2 ulp", .run = qm_check_clipping, .a = "2-4", .b = "2-2"},
    {.id = "T8", .statement = "sel, dual without outliers and cdual at one scale equal vq",
     .tolerance = "exact", .run = qm_check_grids, .a = "2-4"},
    {.id = "T9", .statement = "vq and sel are idempotent; half and quarter are not",
     .tolerance = "exact", .run = qm_check_idempotent, .a = "2-4"},
    {.id = "T10", .statement = "2-1 is near 0, from equal inputs",
     .tolerance = "rms 1e-6, 0.5 % of halves", .run = qm_check_near, .a = "2-1", .b = "0", .allowed = CLOSE},
    {.id = "T11", .statement = "1 is near 2-2, from equal inputs",
     .tolerance = "rms 1e-6, 0.5 % of halves", .run = qm_check_near, .a = "1", .b = "2-2", .allowed = CLOSE},
    {.id = "T12", .statement = "the fused scan in blocks is near the sequential one",
     .tolerance = "rms 1e-6, 0.5 % of halves", .run = qm_check_blocks, .b = "0", .allowed = CLOSE},
    {.id = "T13", .statement = "5-1 is near 2-4, from equal inputs",
     .tolerance = "rms 1e-6, 0.5 % of halves", .run = qm_check_near, .a = "5-1", .b = "2-4", .allowed = CLOSE},
    {.id = "T14", .statement = "4 is near 5-2, from equal inputs",
     .tolerance = "1e-4 of codes, rms 1e-3", .run = qm_check_near, .a = "4", .b = "5-2",
     .allowed = {.rms = 1e-3, .share = 0.02, .magnitude = 1e-2, .codes = 0.005, .flips = 1e-4}},
    {.id = "T15", .statement = "6-0 is near 0, from equal inputs",
     .tolerance = "1 % of codes, rms 0.05", .run = qm_check_near, .a = "6-0", .b = "0",
     .allowed = {.rms = 0.05, .share = 1, .magnitude = 0.5, .codes = 0.2, .flips = 0.01}},
    {.id = "T16", .statement = "causal: no row but 3 and 5-3 looks at later tokens, these do",
     .tolerance = "exact", .run = qm_check_causal, .edges = QM_ALL_EDGES},
    {.id = "T17", .statement = "three prompts side by side = one by one, every row",
     .tolerance = "exact", .run = qm_check_batch, .edges = QM_ALL_EDGES},
    {.id = "T18", .statement = "a step after n-1 tokens = prefill of n: codes of the convolution",
     .tolerance = "exact", .run = qm_check_step_conv,
     .edges = QM_EDGE_BIT(QM_EDGE_CONV_OUT) | QM_EDGE_BIT(QM_EDGE_X_PROJ_IN) | QM_EDGE_BIT(QM_EDGE_SCAN_IN)},
    {.id = "T19", .statement = "the same for every edge and the state, rows with an FP32 state",
     .tolerance = "exact", .run = qm_check_step_all, .edges = QM_ALL_EDGES},
    {.id = "T20", .statement = "s_h tenfold changes nothing in a prefill",
     .tolerance = "exact", .run = qm_check_state_scale, .edges = QM_ALL_EDGES},
    {.id = "T21", .statement = "prompts of 127 to 2049 tokens: whole = in pieces = plain formulas",
     .tolerance = "exact", .run = qm_check_lengths, .b = "0", .edges = QM_ALL_EDGES},
    {.id = "T22", .statement = "gate, D and dt_bias neutral = left out",
     .tolerance = "exact", .run = qm_check_absent},
    {.id = "2.2", .statement = "convolution = plain formulas",
     .tolerance = "exact", .run = qm_check_conv, .b = "0"},
    {.id = "2.3", .statement = "x_proj and dt_proj = plain formulas, at ties of one order of factors",
     .tolerance = "exact", .run = qm_check_linears, .b = "0"},
    {.id = "2.4", .statement = "scan, gate, state = plain formulas, prefill and steps, every row",
     .tolerance = "exact", .run = qm_check_scans},
};
/* clang-format on */

const qm_check *qm_check_at(size_t index)
{
    return index < QM_COUNT(checks) ? &checks[index] : NULL;
}

quamba_status qm_check_run(const qm_check *check, const qm_verify *v, qm_finding *f,
                           quamba_error *err)
{
    *f = (qm_finding){.outcome = QM_HOLDS};
    for (int i = 0; i < 2; i++) {
        const char *id = i ? check->b : check->a;
        if (!id || quamba_datapath_find(id)) continue;
        f->outcome = QM_NOT_RUN;
        snprintf(f->text, sizeof f->text, "there is no row %s", id);
        return QUAMBA_OK;
    }
    const quamba_status status = check->run(check, v, f, err);
    if (status == QUAMBA_OK && f->outcome == QM_HOLDS && f->text[0] == '\0') {
        if (f->n == 0)
            qm_find_fault(f, "nothing was compared");
        else
            snprintf(f->text, sizeof f->text, "exact, %" PRIu64 " values", f->n);
    }
    return status;
}

/* ---- what the checks share --------------------------------------------------------------------
 */

quamba_status qm_variant_make(qm_variant *variant, const qm_verify *v, const quamba_datapath *row,
                              int32_t n_layer, quamba_error *err)
{
    const int32_t all = v->model->config.n_layer, wanted = n_layer > 0 ? n_layer : v->n_layer;
    variant->model = *v->model;
    variant->model.arena = (qm_arena){0};
    variant->row = *row;
    variant->model.datapath = row;
    variant->model.config.n_layer = wanted < all ? wanted : all;
    for (int run = 0; run < 2; run++) {
        variant->layers = QM_CARVE(&variant->model.arena, qm_layer, variant->model.config.n_layer);
        quamba_status status =
            run ? QUAMBA_OK : qm_arena_alloc(&variant->model.arena, "a changed model", err);
        if (status != QUAMBA_OK) return status;
    }
    memcpy(variant->layers, v->model->layers,
           (size_t)variant->model.config.n_layer * sizeof *variant->layers);
    variant->model.layers = variant->layers;
    for (int32_t i = 0; i < variant->model.config.n_layer; i++) /* where it was not calibrated */
        if (!(variant->layers[i].scales.u_unclipped > 0.0f))
            variant->layers[i].scales.u_unclipped = 2.0f * variant->layers[i].scales.u;
    return QUAMBA_OK;
}

qm_plan qm_plan_of(const qm_verify *v, const quamba_model *model, size_t n_tokens, size_t n_prefill)
{
    return (qm_plan){.model = model,
                     .tokens = v->tokens,
                     .n_tokens = n_tokens,
                     .n_prefill = n_prefill,
                     .options = v->options};
}

quamba_status qm_run_row(qm_trace *trace, const qm_verify *v, const quamba_datapath *row,
                         int32_t n_layer, size_t n_tokens, size_t n_prefill, const qm_trace *inputs,
                         quamba_error *err)
{
    qm_variant variant;
    quamba_status status = qm_variant_make(&variant, v, row, n_layer, err);
    if (status != QUAMBA_OK) return status;
    qm_plan plan = qm_plan_of(v, &variant.model, n_tokens, n_prefill);
    plan.inputs = inputs;
    status = qm_trace_run(trace, &plan, err);
    qm_variant_free(&variant);
    return status;
}

void qm_count(qm_finding *f, const qm_deviation *d)
{
    const double rms = d->norm > 0.0 ? sqrt(d->error / d->norm) : d->error > 0.0 ? 1.0 : 0.0;
    f->n += d->n;
    f->n_differ += d->n_differ;
    if (!(rms <= f->rms)) f->rms = rms;
    if (!(d->worst <= f->worst)) f->worst = d->worst;
}

void qm_find_fault(qm_finding *f, const char *format, ...)
{
    if (f->outcome == QM_FAILS) return;
    va_list args;
    va_start(args, format);
    vsnprintf(f->text, sizeof f->text, format, args);
    va_end(args);
    f->outcome = QM_FAILS;
}

void qm_expect_equal(qm_finding *f, const qm_deviation *d, const char *where)
{
    qm_count(f, d);
    if (d->n_differ > 0)
        qm_find_fault(f,
                      "%s: %zu of %zu values differ, the first at %s of layer %" PRId32
                      ", by up to %.3g steps",
                      where, d->n_differ, d->n, quamba_edge_name((int32_t)d->edge), d->layer,
                      d->worst);
}

const quamba_datapath *qm_quantized_row(size_t i)
{
    for (size_t at = 0; quamba_datapath_at(at); at++)
        if (quamba_datapath_at(at)->quantized && i-- == 0) return quamba_datapath_at(at);
    return NULL;
}

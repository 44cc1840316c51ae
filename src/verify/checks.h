/* Inside the room: the check functions and what they share. */
#ifndef QM_VERIFY_CHECKS_H
#define QM_VERIFY_CHECKS_H

#include "verify/trace.h"
#include "verify/verify.h"

/* A model under another row, its layers free to be changed; owns only them. */
typedef struct qm_variant {
    quamba_model model;
    qm_layer *layers;
    quamba_datapath row;
} qm_variant;

/* Of the first n_layer layers (0: of v->n_layer). */
quamba_status qm_variant_make(qm_variant *variant, const qm_verify *v, const quamba_datapath *row,
                              int32_t n_layer, quamba_error *err);
static inline void qm_variant_free(qm_variant *variant) { qm_arena_free(&variant->model.arena); }

/* The plan of a run over v's text. */
qm_plan qm_plan_of(const qm_verify *v, const quamba_model *model, size_t n_tokens,
                   size_t n_prefill);

/* Makes a variant and runs its plan: the short way of most checks.  inputs, as in qm_plan. */
quamba_status qm_run_row(qm_trace *trace, const qm_verify *v, const quamba_datapath *row,
                         int32_t n_layer, size_t n_tokens, size_t n_prefill, const qm_trace *inputs,
                         quamba_error *err);

/* Adds a deviation that should be none to the finding; where: the row, or what was cut. */
void qm_expect_equal(qm_finding *f, const qm_deviation *d, const char *where);

/* Adds the counts of a deviation to the finding, judged by the caller. */
void qm_count(qm_finding *f, const qm_deviation *d);

/* Turns the finding into a failure; the first reason stays. */
void qm_find_fault(qm_finding *f, const char *format, ...) QM_PRINTF(2, 3);

/* The i-th quantized row; NULL past the last. */
const quamba_datapath *qm_quantized_row(size_t i);

#define QM_ALL_EDGES ((uint32_t)(1u << QM_N_EDGES) - 1u)
#define QM_EDGE_BIT(edge) ((uint32_t)1u << (edge))

typedef quamba_status qm_check_fn(const qm_check *check, const qm_verify *v, qm_finding *f,
                                  quamba_error *err);
qm_check_fn qm_check_equal, qm_check_near, qm_check_same_projections, qm_check_clipping; /* pairs */
qm_check_fn qm_check_grids, qm_check_idempotent, qm_check_ties;
qm_check_fn qm_check_conv, qm_check_linears, qm_check_scans, qm_check_blocks, qm_check_absent;
qm_check_fn qm_check_causal, qm_check_batch, qm_check_step_conv, qm_check_step_all,
    qm_check_state_scale, qm_check_lengths;

#endif

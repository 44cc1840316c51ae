/* Runs of models held against the first of them on the same text: how far apart they are at every
 * layer and edge, and in what they predict.  The first run's edges are kept for a piece of text and
 * as many layers as memory allows; the others are held against them while they run.  Results do not
 * depend on threads or on that memory. */
#ifndef QM_EVAL_COMPARE_H
#define QM_EVAL_COMPARE_H

#include "eval/compare_edge.h"
#include "eval/compare_sample.h"
#include "eval/stats.h"
#include "runtime/edges.h"

typedef struct qm_compare_options {
    const quamba_model *const *models; /* [n_runs], of one vocabulary; opened for what they run */
    size_t n_runs;
    const qm_sample *sample;
    const char *cpu;
    int32_t n_threads;
    bool parting;        /* find where runs part */
    size_t memory_bytes; /* for what is kept of the first run, roughly; at least one layer is */

    /* Called in the caller's thread; either may be NULL. */
    void (*progress)(void *user, uint64_t done, uint64_t total);
    bool (*cancelled)(void *user);
    void *user;
} qm_compare_options;

typedef struct qm_compared_run {
    bool same_shape;      /* as the first run: edges can be compared */
    qm_edge_stats *edges; /* [n_layer + 1][QM_N_EDGES]; n is 0 where nothing was shown */
    qm_parting *partings; /* as many, with options.parting */
    double *divergence;   /* [n_positions]: KL from the first run's prediction */
    size_t n_same_top;    /* positions whose most likely token is that of the first run */
} qm_compared_run;

typedef struct qm_comparison {
    size_t n_runs, n_positions;
    int32_t n_layer; /* of the first run */
    bool rotated;    /* floating-point runs were brought to quantized ones, see compare_frame.h */
    qm_compared_run *runs; /* [n_runs] */
} qm_comparison;

/* Fills *comparison, to be freed whatever the outcome.  E_ARGUMENT for models of different
 * vocabularies, E_CANCELLED. */
quamba_status qm_compare(qm_comparison *comparison, const qm_compare_options *options,
                         quamba_error *err);
void qm_comparison_free(qm_comparison *comparison);

static inline const qm_edge_stats *qm_compared_edge(const qm_comparison *c, size_t run,
                                                    int32_t layer, int32_t edge)
{
    return &c->runs[run].edges[(size_t)layer * QM_N_EDGES + (size_t)edge];
}

/* Mean and standard error of the divergence of a run's predictions, which are taken as independent
 * of each other. */
qm_estimate qm_compared_divergence(const qm_comparison *c, size_t run);

/* Index (layer * QM_N_EDGES + edge) of the first place, in the order of the datapath, where a run
 * parts from the first one; SIZE_MAX: nowhere.  Needs options.parting. */
size_t qm_compared_parting(const qm_comparison *c, size_t run);

#endif

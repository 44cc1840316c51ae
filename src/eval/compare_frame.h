/* What a run shows, in terms that all runs share.
 *
 * Quantizing folds the weights of the norms into the matrices behind them and rotates the residual
 * stream by the Hadamard transform of d_model, the scan's output by that of d_inner.  Where a
 * floating-point run stands beside a quantized one, the same exact steps are applied to what it
 * shows (in FP32, so they add errors around 1e-7 of a value):
 *     norm_out, norm_f_out          over the norm's weight, then rotated
 *     out_proj_out, residual        rotated
 *     hadamard_out                  scan_out rotated by the transform of d_inner
 *     conv_in                       the x half of in_proj_out
 *     x_proj_in, scan_in            conv_out
 * A quantized run whose convolution reads in_proj's codes has these as its conv_in. */
#ifndef QM_EVAL_COMPARE_FRAME_H
#define QM_EVAL_COMPARE_FRAME_H

#include "base/hadamard.h"
#include "eval/compare_edge.h"
#include "runtime/edges.h"
#include "runtime/session.h"

/* row: of the piece's tokens; of the state, d_state rows. */
typedef void qm_row_sink(void *user, qm_edge edge, int32_t layer, size_t row, const qm_row *values);

typedef struct qm_turn {
    int32_t m, width;
    float scale;
    int8_t signs[QM_HADAMARD_MAX_M * QM_HADAMARD_MAX_M];
} qm_turn;

typedef struct qm_frame {
    const quamba_session *session;
    bool turns;                       /* a floating-point run beside quantized ones */
    bool only_logits;                 /* a model of another shape */
    int32_t begin, end;               /* layers that are wanted */
    qm_turn model, inner;             /* of d_model and d_inner */
    float *values, *turned, *scratch; /* [largest row], owned */
    qm_row_sink *sink;
    void *user;
} qm_frame;

/* True when a floating-point model of this shape can stand beside quantized ones. */
bool qm_frame_fits(const qm_config *config);

quamba_status qm_frame_init(qm_frame *frame, const quamba_session *session, bool turns,
                            quamba_error *err);
void qm_frame_free(qm_frame *frame);

/* Hands the rows of a view to the sink.  Layers count up to n_layer: final norm and head. */
void qm_frame_show(qm_frame *frame, const quamba_view *view);

/* The scale of the INT8 format that a quantized model has for an edge, whether the run uses it or
 * not; 0: none. */
float qm_edge_scale(const quamba_model *model, qm_edge edge, int32_t layer);

#endif

/* The operators once more, as plainly as they can be written down: one value at a time, straight
 * from the formulas (spec/modes.md 2.2 to 2.4), with nothing of the mixer or its kernels.  Input is
 * what a trace recorded at the edge before. */
#ifndef QM_VERIFY_PLAIN_H
#define QM_VERIFY_PLAIN_H

#include "verify/trace.h"

/* The pre-quantizer convolution output v of a static INT8 convolution. */
float qm_plain_conv(const quamba_model *m, const qm_trace *t, int32_t layer, size_t token,
                    size_t channel);

/* The exact product of a row of packed weights and of codes, which are numbers here. */
int32_t qm_plain_product(const qm_linear *w, size_t output, const float *codes);

/* Codes of x_proj and dt_proj. */
int8_t qm_plain_x_proj(const quamba_model *m, const qm_trace *t, int32_t layer, size_t token,
                       size_t output);
int8_t qm_plain_dt_proj(const quamba_model *m, const qm_trace *t, int32_t layer, size_t token,
                        size_t channel);

/* The scan of one channel by the model's row: the prefill, then steps. */
typedef struct qm_plain_scan {
    const quamba_model *model;
    const qm_trace *trace;
    int32_t layer;
    size_t channel;
    bool no_skip, no_bias, no_gate; /* D, dt_bias, z are not there */
    size_t block;                   /* > 1: the prefill by prefix sums over blocks; fused only */
    /* out */
    float *y;     /* [n_tokens] */
    double *size; /* [n_tokens]: sum of the magnitudes of what y is summed from, times the gate */
    float *h;     /* [d_state], after all tokens */
} qm_plain_scan;

/* False without memory (of a block scan). */
bool qm_plain_scan_run(const qm_plain_scan *p);

#endif

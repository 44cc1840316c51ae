/* Calibration: texts go through the fused model in half precision, observers watch its tensors, and
 * what they saw becomes activation scales.  Each text is observed by itself, so texts run side by
 * side and a run that was killed goes on; the scales are formed from all texts in file order.  The
 * bits depend neither on threads nor on instruction set nor on interruptions. */
#ifndef QM_QUANT_CALIBRATE_H
#define QM_QUANT_CALIBRATE_H

#include "model/act_scales.h"
#include "quant/fuse.h"
#include "quant/texts.h"

enum { QM_MAX_ALPHAS = 16 };

/* What was seen of each text: for each layer the largest magnitudes of eight tensors, then for each
 * alpha the quantiles of the convolution's output and of the final state; then the largest
 * magnitude of the final norm. */
typedef struct qm_observations {
    int32_t n_layer;
    size_t n_texts, n_alphas;
    double alphas[QM_MAX_ALPHAS];
    size_t n_values;  /* of a text */
    float *values;    /* [n_texts][n_values], owned, qm_observations_free */
    size_t n_resumed; /* texts that an earlier run had observed */
} qm_observations;

typedef struct qm_calibration_options {
    const double *alphas; /* [n_alphas], each in (0, 1]; 1 .. QM_MAX_ALPHAS of them */
    size_t n_alphas;
    const char *cpu; /* as in quamba_session_options */
    int32_t n_threads;
    /* File that keeps what was observed of each text, so that a run that ends early is continued by
     * the next one with the same model, texts and alphas; anything else in it is replaced.  NULL:
     * none.  It stays when the run ends, but goes with E_FORMAT and E_ARGUMENT; the caller
     * removes it when the result is safe. */
    const char *record;
    /* Called in the caller's thread; either may be NULL. */
    void (*progress)(void *user, uint64_t done, uint64_t total);
    bool (*cancelled)(void *user);
    void *user;
} qm_calibration_options;

/* Observes all texts.  E_CANCELLED when cancelled; E_FORMAT names text, layer and tensor where half
 * precision overflows; E_ARGUMENT an id that the model does not have.  *observations is empty on
 * failure. */
quamba_status qm_calibrate(qm_observations *observations, const qm_fused *fused,
                           const qm_texts *texts, const qm_calibration_options *options,
                           quamba_error *err);
void qm_observations_free(qm_observations *observations);

/* Scales from the first n_texts (at least 1) texts, with quantiles of alpha number `alpha`.
 * lm_head:output, which nothing needs, stays absent.  *scales is new, qm_act_scales_free. */
quamba_status qm_observations_scales(const qm_observations *observations, size_t n_texts,
                                     size_t alpha, qm_act_scales *scales, quamba_error *err);

#endif

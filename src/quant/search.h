/* Choosing the percentile: each candidate's quantized model scores texts that its scales were not
 * measured on. */
#ifndef QM_QUANT_SEARCH_H
#define QM_QUANT_SEARCH_H

#include "quant/calibrate.h"
#include "quant/ptq.h"

typedef struct qm_search {
    size_t n_texts;  /* held back: the last ones, an eighth of all, at most QM_HELD_BACK */
    size_t n_tokens; /* of them that are predicted */
    size_t n_tried;
    struct {
        double alpha, perplexity; /* of the held-back texts, by prefill in the default datapath */
    } tried[QM_MAX_ALPHAS];
    size_t best; /* the first with the lowest perplexity */
} qm_search;

enum { QM_HELD_BACK = 64 };

/* Tries the alphas of observations: scales from all texts but the held-back ones, weights as ptq
 * says, perplexity of the held-back ones.  Needs two texts, and a held-back one of two tokens.
 * progress and cancelled are those of options; the work is counted in texts, all candidates
 * together. */
quamba_status qm_search_alpha(qm_search *search, const qm_fused *fused,
                              const qm_observations *observations, const qm_texts *texts,
                              const qm_ptq_options *ptq, const qm_calibration_options *options,
                              quamba_error *err);

#endif

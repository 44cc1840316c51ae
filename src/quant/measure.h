/* Activation scales from texts, for quamba_quantize: reading, calibrating, choosing alpha. */
#ifndef QM_QUANT_MEASURE_H
#define QM_QUANT_MEASURE_H

#include "quant/search.h"

/* What a recipe tells about it. */
typedef struct qm_measured {
    size_t n_texts; /* 0 until all were observed */
    char ids_hash[17];
    double alpha;
    qm_search search; /* of a search */
} qm_measured;

/* Reads options->calibration with the tokenizer beside model_file, a checkpoint's file, and
 * measures the scales; record: as in qm_calibration_options.  *scales is new, qm_act_scales_free.
 */
quamba_status qm_measure_scales(qm_act_scales *scales, qm_measured *measured, const qm_fused *fused,
                                const char *model_file, const char *record,
                                const quamba_quantize_options *options, quamba_error *err);

#endif

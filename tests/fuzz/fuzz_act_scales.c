/* Files of activation scales: what is accepted is complete, positive and finite. */
#include "model/act_scales.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    qm_act_scales scales;
    if (qm_act_scales_parse(&scales, (const char *)data, size, NULL) != QUAMBA_OK) return 0;
    if (scales.n_layer < 1 || qm_act_scales_check(&scales, NULL) != QUAMBA_OK) abort();
    for (int32_t i = 0; i < scales.n_layer; i++)
        for (size_t k = 0; k < QM_N_LAYER_SCALES; k++)
            if (scales.layers[i][k] <= 0.0f || isinf(scales.layers[i][k])) abort();
    qm_act_scales_free(&scales);
    return 0;
}

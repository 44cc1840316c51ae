/* A hostile config.json: what it says of the model is in range or refused. */
#include "model/config.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *json = NULL;
    quamba_error err;
    qm_config c;
    if (qm_json_parse(&json, (const char *)data, size, &err) != QUAMBA_OK) return 0;
    if (qm_config_parse(&c, json, &err) == QUAMBA_OK) {
        const int32_t dims[] = {c.n_layer, c.d_model, c.d_inner, c.d_state,
                                c.d_conv,  c.dt_rank, c.n_vocab};
        for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++)
            if (dims[i] < 0 || dims[i] > 1 << 30) abort();
        if (!(c.norm_eps > 0 && c.norm_eps < 1)) abort();
        if (c.mamba_version != 1 && c.mamba_version != 2) abort();
    }
    json_decref(json);
    return 0;
}

/* safetensors files. */
#include "walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (qm_safetensors_probe(data, size)) walk(data, size);
    return 0;
}

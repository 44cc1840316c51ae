/* pytorch_model.bin: the zip directory, the pickle, the tensors. */
#include "walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (qm_torch_zip_probe(data, size)) walk(data, size);
    return 0;
}

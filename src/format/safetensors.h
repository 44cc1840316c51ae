/* What our reader and writer of safetensors agree on: two entries of __metadata__, each the text of
 * a JSON array of tensor names, that let a pytorch_model.bin be converted there and back. */
#ifndef QM_FORMAT_SAFETENSORS_H
#define QM_FORMAT_SAFETENSORS_H

#include "base/text.h"
#include "format/source.h"

#define QM_SAFETENSORS_FLOATS "python_floats"
#define QM_SAFETENSORS_COLUMNS "column_major"

#endif

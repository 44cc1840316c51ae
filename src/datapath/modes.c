/* The one table of datapaths: the only file that knows a mode's id. */
#include "datapath/datapath.h"

#include <string.h>

/* clang-format off */
static const quamba_datapath modes[] = {
    {.id = "fp32", .summary = "FP32 throughout, the reference",
     .weights = QM_FORMAT_F32, .activation = QM_FORMAT_F32, .step_state = QM_FORMAT_F32, .step_log1p = true},
    {.id = "fp16", .summary = "upstream's half precision: every operator rounds",
     .weights = QM_FORMAT_F16, .activation = QM_FORMAT_F16, .step_state = QM_FORMAT_F16},
    {.id = "0", .summary = "INT8 throughout, the baseline of a quantized checkpoint", .quantized = true,
     .weights = QM_FORMAT_F16, .activation = QM_FORMAT_F16, .rotated = true},
};
static const quamba_datapath calibration =
    {.id = "calibration", .summary = "half precision on a rotated model, as upstream observes it",
     .weights = QM_FORMAT_F16, .activation = QM_FORMAT_F16, .step_state = QM_FORMAT_F16, .rotated = true,
     .conv_in_steps = true};
/* clang-format on */

const quamba_datapath *qm_datapath_default(bool quantized)
{
    size_t i = 0;
    while (modes[i].quantized != quantized)
        i++;
    return &modes[i];
}

const quamba_datapath *qm_datapath_calibration(void) { return &calibration; }

const quamba_datapath *quamba_datapath_at(size_t index)
{
    return index < sizeof modes / sizeof modes[0] ? &modes[index] : NULL;
}

const quamba_datapath *quamba_datapath_find(const char *id)
{
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(modes[i].id, id) == 0) return &modes[i];
    return NULL;
}

const char *quamba_datapath_id(const quamba_datapath *datapath) { return datapath->id; }

const char *quamba_datapath_summary(const quamba_datapath *datapath) { return datapath->summary; }

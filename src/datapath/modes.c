/* The one table of datapaths: the only file that knows a mode's id. */
#include "datapath/datapath.h"

#include <string.h>

/* clang-format off */
#define ROW_0 .quantized = true, .weights = QM_FORMAT_F16, .activation = QM_FORMAT_F16, .rotated = true

static const quamba_datapath modes[] = {
    {.id = "fp32", .summary = "FP32 throughout, the reference",
     .weights = QM_FORMAT_F32, .activation = QM_FORMAT_F32, .step_state = QM_FORMAT_F32, .step_log1p = true},
    {.id = "fp16", .summary = "upstream's half precision: every operator rounds",
     .weights = QM_FORMAT_F16, .activation = QM_FORMAT_F16, .step_state = QM_FORMAT_F16},
    /* Quantized rows: only knobs that differ from row 0, whose knobs are all 0. */
    {.id = "0", .summary = "INT8 throughout, the baseline", ROW_0},
    {.id = "2-0", .summary = "u dequantized and quantized again", ROW_0,
     .knobs = {.u = QM_U_DEQ_REQ}},
    {.id = "2-1", .summary = "INT8, plain step-by-step scan", ROW_0,
     .knobs = {.scan = QM_SCAN_REF, .state = QM_STATE_F32}},
    {.id = "2-2", .summary = "u in FP32 on the INT8 grid", ROW_0,
     .knobs = {.u = QM_U_DEQ, .scan = QM_SCAN_REF, .state = QM_STATE_F32}},
    {.id = "2-3", .summary = "FP32 convolution output, quantized before the scan", ROW_0,
     .knobs = {.grid = QM_GRID_F32, .xp = QM_XP_REQ, .u = QM_U_REQ, .scan = QM_SCAN_REF, .state = QM_STATE_F32}},
    {.id = "2-4", .summary = "FP32 u in the scan, everything else INT8", ROW_0,
     .knobs = {.grid = QM_GRID_F32, .xp = QM_XP_REQ, .u = QM_U_VAL, .scan = QM_SCAN_REF, .state = QM_STATE_F32}},
    {.id = "3", .summary = "as 2-4, convolution input quantized at run time, the tensor scan", ROW_0,
     .knobs = {.ip = QM_IP_F32, .cin = QM_CIN_DYN_TENSOR, .grid = QM_GRID_F32, .xp = QM_XP_REQ, .u = QM_U_VAL,
               .scan = QM_SCAN_SE, .state = QM_STATE_F32}},
};
static const quamba_datapath calibration =
    {.id = "calibration", .summary = "half precision on a rotated model, as upstream observes it",
     .weights = QM_FORMAT_F16, .activation = QM_FORMAT_F16, .step_state = QM_FORMAT_F16, .rotated = true,
     .conv_in_steps = true};
static const quamba_datapath simulation =
    {.id = "w8a8-sim", .summary = "FP32 on a rotated model whose tensors are rounded to INT8 grids",
     .weights = QM_FORMAT_F32, .activation = QM_FORMAT_F32, .step_state = QM_FORMAT_F32, .step_log1p = true,
     .rotated = true};
/* clang-format on */

const quamba_datapath *qm_datapath_default(bool quantized)
{
    size_t i = 0;
    while (modes[i].quantized != quantized)
        i++;
    return &modes[i];
}

const quamba_datapath *qm_datapath_calibration(void) { return &calibration; }

const quamba_datapath *qm_datapath_simulation(void) { return &simulation; }

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

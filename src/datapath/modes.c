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
    {.id = "0", .summary = "INT8 throughout, the baseline", ROW_0,
     .remark = "The datapath of the original; every other row changes something between convolution and scan output."},
    {.id = "2-0", .summary = "u dequantized and quantized again", ROW_0,
     .variables = "FLOAT_SIM_ASIC_INT8 SSM_USE_CUDA_FOR_FP32",
     .remark = "Does a dequantize/requantize pair on u cost anything?  No: the code comes back.",
     .knobs = {.u = QM_U_DEQ_REQ}},
    {.id = "2-1", .summary = "INT8, plain step-by-step scan", ROW_0,
     .variables = "FLOAT_SIM_ASIC_INT8 SSM_USE_PYTORCH_INT8",
     .remark = "The fused kernel against a plain step-by-step kernel on the same INT8 data.",
     .knobs = {.scan = QM_SCAN_REF, .state = QM_STATE_F32}},
    {.id = "2-2", .summary = "u in FP32 on the INT8 grid", ROW_0,
     .variables = "FLOAT_SIM_ASIC_INT8",
     .remark = "INT8 data against the same numbers carried as FP32.",
     .knobs = {.u = QM_U_DEQ, .scan = QM_SCAN_REF, .state = QM_STATE_F32}},
    {.id = "2-3", .summary = "FP32 convolution output, quantized before the scan", ROW_0,
     .variables = "FLOAT_SIM_ASIC_INT8 CONV1D_MODE23_FP32",
     .remark = "Only the place of the rounding moves: the codes are those of 2-1.",
     .knobs = {.grid = QM_GRID_F32, .xp = QM_XP_REQ, .u = QM_U_REQ, .scan = QM_SCAN_REF, .state = QM_STATE_F32}},
    {.id = "2-4", .summary = "FP32 u in the scan, everything else INT8", ROW_0,
     .variables = "FLOAT_SIM_ASIC_INT8 CONV1D_MODE24_FP32",
     .remark = "The first mode with new information in u: neither rounded nor clipped.",
     .knobs = {.grid = QM_GRID_F32, .xp = QM_XP_REQ, .u = QM_U_VAL, .scan = QM_SCAN_REF, .state = QM_STATE_F32}},
    {.id = "3", .summary = "as 2-4, convolution input quantized at run time, the tensor scan", ROW_0,
     .variables = "CONV1D_MODE3_FP32",
     .remark = "A scale from the data of each prompt (of each token in decode) instead of a calibrated one.",
     .knobs = {.ip = QM_IP_F32, .cin = QM_CIN_DYN_TENSOR, .grid = QM_GRID_F32, .xp = QM_XP_REQ, .u = QM_U_VAL,
               .scan = QM_SCAN_SE, .state = QM_STATE_F32}},
    {.id = "1", .summary = "INT8 convolution, dequantized for the tensor scan", .removed = true, ROW_0,
     .remark = "Removed from the modes: dt, B and C stayed INT8, so it was no FP32 bound, and 3 took its place.",
     .knobs = {.u = QM_U_DEQ, .scan = QM_SCAN_SE, .state = QM_STATE_F32}},
    /* What the original computed under these names: its FP32 convolutions were never reached. */
    {.id = "2-3@fork", .summary = "what the original computes as 2-3", ROW_0,
     .knobs = {.scan = QM_SCAN_REF, .state = QM_STATE_F32}},
    {.id = "2-4@fork", .summary = "what the original computes as 2-4", ROW_0,
     .knobs = {.u = QM_U_DEQ, .scan = QM_SCAN_REF, .state = QM_STATE_F32}},
    {.id = "3@fork", .summary = "what the original computes as 3", ROW_0,
     .knobs = {.u = QM_U_DEQ, .scan = QM_SCAN_SE, .state = QM_STATE_F32}},
    {.id = "4", .summary = "dequantized convolution, outliers kept in FP32", ROW_0,
     .variables = "CONV1D_MODE24_FP32 CONV1D_MODE4_SELECTIVE_GRID",
     .remark = "On the INT8 grid where the code fits, itself where it does not.",
     .knobs = {.conv = QM_CONV_DEQ, .grid = QM_GRID_SEL, .rnd = QM_RND_EVEN, .xp = QM_XP_REQ, .u = QM_U_VAL,
               .scan = QM_SCAN_REF, .state = QM_STATE_F32}},
    {.id = "5", .summary = "5-1, with 5-0 and 5-2 beside it", ROW_0, .beside = "5-0 5-2",
     .remark = "As the newest original: three residual streams, the logits of 5-1.",
     .knobs = {.grid = QM_GRID_F32, .xp = QM_XP_REQ, .u = QM_U_VAL}},
    {.id = "5@n25", .summary = "FP32 u in the fused scan, with 0 beside it", ROW_0, .beside = "0",
     .remark = "What 5 was first, in November 2025: x_proj's codes round ties to even.",
     .knobs = {.grid = QM_GRID_F32, .rnd = QM_RND_EVEN, .xp = QM_XP_REQ, .u = QM_U_VAL}},
    {.id = "5-0", .summary = "FP32 numbers on the INT8 grid, the fused scan", ROW_0,
     .knobs = {.grid = QM_GRID_VQ, .xp = QM_XP_REQ, .u = QM_U_VAL}},
    {.id = "5-1", .summary = "FP32 u in the fused scan", ROW_0,
     .knobs = {.grid = QM_GRID_F32, .xp = QM_XP_REQ, .u = QM_U_VAL}},
    {.id = "5-2", .summary = "outliers kept in FP32, the fused scan", ROW_0,
     .knobs = {.grid = QM_GRID_SEL, .xp = QM_XP_REQ, .u = QM_U_VAL}},
    {.id = "5-3", .summary = "a second scale for outliers, from the largest", ROW_0,
     .remark = "The second scale is that of the prompt (of the token in decode).",
     .knobs = {.grid = QM_GRID_DUAL, .xp = QM_XP_REQ_GRID, .u = QM_U_VAL}},
    {.id = "5-4", .summary = "quarter steps below 32 steps", ROW_0,
     .remark = "x_proj's codes are rounded twice, so one small value in eight gets a wrong one; xp=req does not do that.",
     .knobs = {.grid = QM_GRID_QUARTER, .xp = QM_XP_REQ_GRID, .u = QM_U_VAL}},
    /* 5-5 is not assigned in any version. */
    {.id = "5-6", .summary = "quarter steps below 8 steps, powers of two above", ROW_0,
     .remark = "The exponent is rounded down: mid-size values lose up to half their distance from 8 steps.",
     .knobs = {.grid = QM_GRID_QLOG2, .xp = QM_XP_REQ_GRID, .u = QM_U_VAL}},
    {.id = "5-7", .summary = "three step sizes, up to 395 steps", ROW_0,
     .remark = "x_proj's codes are rounded twice, as in 5-4.",
     .knobs = {.grid = QM_GRID_SEG3, .xp = QM_XP_REQ_GRID, .u = QM_U_VAL}},
    {.id = "6", .summary = "FP32 u in the fused scan, with INT8 beside it", ROW_0, .beside = "0:rnd=even",
     .remark = "The scan on FP32 and on the codes of the same convolution; ties to even.",
     .knobs = {.grid = QM_GRID_F32, .rnd = QM_RND_EVEN, .xp = QM_XP_REQ, .u = QM_U_VAL}},
    {.id = "6-0", .summary = "FP32 on the INT8 grids, projections and scan in FP32", ROW_0,
     .remark = "What integer arithmetic costs: every grid stays, every operator computes in FP32.",
     .knobs = {.grid = QM_GRID_VQ, .rnd = QM_RND_EVEN, .xp = QM_XP_VAL, .lin = QM_LIN_F32, .bc = QM_BC_VQ,
               .u = QM_U_VAL, .scan = QM_SCAN_MAMBA}},
    {.id = "6-1", .summary = "FP32 from the convolution to the scan, dt, B and C included", ROW_0,
     .remark = "The FP32 bound of this stretch of the datapath.",
     .knobs = {.grid = QM_GRID_F32, .xp = QM_XP_VAL, .lin = QM_LIN_F32, .bc = QM_BC_F32, .u = QM_U_VAL,
               .scan = QM_SCAN_MAMBA}},
    {.id = "6-2", .summary = "as 6-1, u on the INT8 grid but for outliers", ROW_0,
     .remark = "The original leaves out the scale of A here, which destroys the memory; this row has it.",
     .knobs = {.grid = QM_GRID_SEL, .rnd = QM_RND_EVEN, .xp = QM_XP_VAL, .lin = QM_LIN_F32, .bc = QM_BC_F32,
               .u = QM_U_VAL, .scan = QM_SCAN_MAMBA}},
    {.id = "6-3", .summary = "as 6-1, half steps below 64 steps", ROW_0,
     .knobs = {.grid = QM_GRID_HALF, .rnd = QM_RND_EVEN, .xp = QM_XP_VAL, .lin = QM_LIN_F32, .bc = QM_BC_F32,
               .u = QM_U_VAL, .scan = QM_SCAN_MAMBA}},
    {.id = "6-4", .summary = "a second scale for outliers, calibrated without clipping", ROW_0,
     .remark = "Needs the scales of a calibration with alpha 1.0 (--outlier-scales).",
     .knobs = {.grid = QM_GRID_CDUAL, .rnd = QM_RND_EVEN, .xp = QM_XP_VAL, .lin = QM_LIN_F32, .bc = QM_BC_I8LATE,
               .u = QM_U_VAL}},
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

const char *quamba_datapath_remark(const quamba_datapath *datapath)
{
    return datapath->remark ? datapath->remark : "";
}

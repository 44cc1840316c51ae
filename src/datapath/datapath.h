/* The numerical datapath of a session: what number format a value has from one operator to the
 * next.  A mode is a row of data; operators read knobs and never ids. */
#ifndef QM_DATAPATH_DATAPATH_H
#define QM_DATAPATH_DATAPATH_H

#include "quamba/quamba.h"

typedef enum qm_format { QM_FORMAT_F32, QM_FORMAT_F16 } qm_format;

/* The knobs of a quantized model's mixer between in_proj and out_proj.  Notation: i8[s] codes at
 * scale s; v the FP32 convolution output; Q(v, s) = code(v / s) with the row's rounding.  What each
 * enumerator is called on the command line: the table in knobs.c. */
typedef enum qm_ip { QM_IP_I8, QM_IP_F16, QM_IP_F32 } qm_ip;
typedef enum qm_cin { QM_CIN_STATIC, QM_CIN_DYN_TENSOR, QM_CIN_DYN_TOKEN } qm_cin;
typedef enum qm_conv { QM_CONV_INT, QM_CONV_DEQ } qm_conv;
typedef enum qm_grid {
    QM_GRID_I8,      /* codes; all others hand on FP32 numbers */
    QM_GRID_F32,     /* v itself */
    QM_GRID_VQ,      /* s * Q(v, s) */
    QM_GRID_SEL,     /* the same, v itself where it saturates */
    QM_GRID_DUAL,    /* a second scale, from the largest, for what saturates */
    QM_GRID_HALF,    /* half steps below 64 steps */
    QM_GRID_QUARTER, /* quarter steps below 32 steps */
    QM_GRID_QLOG2,   /* quarter steps below 8 steps, powers of two above */
    QM_GRID_SEG3,    /* three step sizes */
    QM_GRID_CDUAL,   /* a second scale, calibrated without clipping, for what saturates */
} qm_grid;
typedef enum qm_rnd { QM_RND_AWAY, QM_RND_EVEN } qm_rnd; /* ties */
typedef enum qm_xp {
    QM_XP_CODES,    /* x_proj reads the codes of the convolution */
    QM_XP_REQ,      /* Q(v, s_u) of the output before the grid */
    QM_XP_REQ_GRID, /* Q(grid(v), s_u) */
    QM_XP_VAL,      /* grid(v), in FP32 */
} qm_xp;
typedef enum qm_lin { QM_LIN_INT8, QM_LIN_F32 } qm_lin; /* x_proj and dt_proj */
typedef enum qm_bc {
    QM_BC_I8,
    QM_BC_VQ,     /* FP32 on the grids of x_proj's and dt_proj's output scales */
    QM_BC_F32,    /* free FP32 */
    QM_BC_I8LATE, /* FP32 through dt_proj, then INT8 for the scan */
} qm_bc;
typedef enum qm_u {
    QM_U_CODES,   /* the scan reads the codes */
    QM_U_DEQ,     /* fl(code * s_u) */
    QM_U_DEQ_REQ, /* that number, quantized again */
    QM_U_REQ,     /* Q(grid(v), s_u) */
    QM_U_VAL,     /* grid(v) */
} qm_u;
typedef enum qm_scan { QM_SCAN_FUSED, QM_SCAN_REF, QM_SCAN_SE, QM_SCAN_MAMBA } qm_scan;
typedef enum qm_state {
    QM_STATE_I8END,       /* rounded at the hand-over (ties away), then as I8STEP */
    QM_STATE_I8STEP,      /* codes from step to step, 100 h / 100 s, ties to even */
    QM_STATE_I8STEP_AWAY, /* codes from step to step, h / s, ties away from zero */
    QM_STATE_F16,
    QM_STATE_F32,
} qm_state;
typedef enum qm_y { QM_Y_F16, QM_Y_F32 } qm_y; /* scan output, into the Hadamard transform */
typedef enum qm_z { QM_Z_I8, QM_Z_F32 } qm_z;  /* gate */

typedef struct qm_knobs {
    qm_ip ip;
    qm_cin cin;
    qm_conv conv;
    qm_grid grid;
    qm_rnd rnd;
    qm_xp xp;
    qm_lin lin;
    qm_bc bc;
    qm_u u;
    qm_scan scan;
    qm_state state;
    qm_y y;
    qm_z z;
} qm_knobs;

struct quamba_datapath {
    const char *id;      /* a row's, or that of the row below and ":" and what was changed */
    const char *summary; /* half a line */
    const char *remark;  /* what it is for, in a sentence; NULL: nothing to add */
    const char *beside; /* a run side by side: rows (ID, or ID:KNOBS) that run with it, separated by
                           blanks; the logits are this row's.  NULL: none */
    bool removed;       /* its datapath can be studied, but it is no mode to choose */
    const char *variables; /* the set of the original's variables that chooses it, separated by
                              blanks; NULL: none */
    const quamba_datapath *base; /* the row that a parsed datapath started from; NULL: a row */
    bool quantized;              /* runs quantized checkpoints, by these knobs */
    qm_knobs knobs;
    qm_format weights; /* what floating-point weights are rounded to once, when a model is opened */
    qm_format activation; /* what an operator whose result is no code rounds it to (the residual
                             stays FP32) */
    qm_format step_state; /* the recurrent state is kept in this from one decode step to the next */
    bool step_log1p;      /* softplus in a decode step: log1p(exp(x)), else log(exp(x) + 1) */
    bool rotated;         /* out_proj takes the Hadamard transform of y */
    bool conv_in_steps;   /* the convolution rounds its sum, then adds the bias and rounds again */
};

/* True when a token's result depends on tokens after it: such a row sees a prompt as a whole. */
static inline bool qm_sees_whole_prompt(const quamba_datapath *dp)
{
    return dp->quantized && (dp->knobs.cin == QM_CIN_DYN_TENSOR || dp->knobs.grid == QM_GRID_DUAL);
}

/* A copy of a parsed datapath, one block for free(); NULL without memory. */
quamba_datapath *qm_datapath_copy(const quamba_datapath *datapath);

/* The row of a checkpoint when no mode was chosen. */
const quamba_datapath *qm_datapath_default(bool quantized);

/* The row that a calibration runs: "fp16" on a rotated model, as upstream's instrumented mixer
 * computes it.  No mode to choose, so it is not in the table. */
const quamba_datapath *qm_datapath_calibration(void);

/* The row of a rotated floating-point model that imitates a quantized one (quant/simulate.h). */
const quamba_datapath *qm_datapath_simulation(void);

#endif

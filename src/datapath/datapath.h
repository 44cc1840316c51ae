/* The numerical datapath of a session: what number format a value has from one operator to the
 * next.  A mode is a row of data; operators read knobs and never ids. */
#ifndef QM_DATAPATH_DATAPATH_H
#define QM_DATAPATH_DATAPATH_H

#include "quamba/quamba.h"

typedef enum qm_format { QM_FORMAT_F32, QM_FORMAT_F16, QM_FORMAT_I8 } qm_format;

struct quamba_datapath {
    const char *id;
    const char *summary;
    bool quantized; /* runs quantized checkpoints; the other knobs are those of floating-point ones
                     */
    qm_format weights; /* what floating-point weights are rounded to once, when a model is opened */
    qm_format activation; /* what an operator whose result is no code rounds it to (the residual
                             stays FP32) */
    qm_format step_state; /* the recurrent state is kept in this from one decode step to the next */
    bool step_log1p;      /* softplus in a decode step: log1p(exp(x)), else log(exp(x) + 1) */
};

/* The row of a checkpoint when no mode was chosen. */
const quamba_datapath *qm_datapath_default(bool quantized);

#endif

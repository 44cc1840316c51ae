/* The one table of datapaths: the only file that knows a mode's id. */
#include "datapath/datapath.h"

#include <string.h>

/* clang-format off */
static const quamba_datapath modes[] = {
    /* id     summary                                            weights        activation     step_state     log1p */
    {"fp32", "FP32 throughout, the reference",                   QM_FORMAT_F32, QM_FORMAT_F32, QM_FORMAT_F32, true},
    {"fp16", "upstream's half precision: every operator rounds", QM_FORMAT_F16, QM_FORMAT_F16, QM_FORMAT_F16, false},
};
/* clang-format on */

const quamba_datapath *qm_datapath_default(void) { return &modes[0]; }

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

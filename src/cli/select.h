/* Which mode a run uses: a pure function of the command line and the environment, both read before.
 * The highest source present decides: --mode, QUAMBA_MODE, the original's variables with
 * --float-sim-asic-int8, the checkpoint's default. */
#ifndef QC_SELECT_H
#define QC_SELECT_H

#include "base/text.h"

/* The original's variables: X(id, name).  The first seven choose a mode, those behind them belong
 * to features it dropped. */
#define QC_VARIABLE_LIST(X)                                                                        \
    X(F, "FLOAT_SIM_ASIC_INT8")                                                                    \
    X(C, "SSM_USE_CUDA_FOR_FP32")                                                                  \
    X(P, "SSM_USE_PYTORCH_INT8")                                                                   \
    X(23, "CONV1D_MODE23_FP32")                                                                    \
    X(24, "CONV1D_MODE24_FP32")                                                                    \
    X(3, "CONV1D_MODE3_FP32")                                                                      \
    X(G, "CONV1D_MODE4_SELECTIVE_GRID")                                                            \
    X(SSM_INPUT, "FP32_SSM_INPUT")                                                                 \
    X(RESEARCH_SE, "FLOAT_SIM_ASIC_RESEARCH_SE")                                                   \
    X(SCALE_FACTOR, "FLOAT_SIM_SCALE_FACTOR")                                                      \
    X(ASIC, "FLOAT_SIM_ASIC")                                                                      \
    X(BETTER_SCALE, "FLOAT_SIM_BETTER_SCALE")                                                      \
    X(OWN_SCALE, "YZOWNSCALE_EQUAL")

typedef enum qc_variable {
#define QC_VARIABLE_ENUM(id, name) QC_VAR_##id,
    QC_VARIABLE_LIST(QC_VARIABLE_ENUM)
#undef QC_VARIABLE_ENUM
        QC_N_VARIABLES,
    QC_N_CHOOSING = QC_VAR_SSM_INPUT /* the variables before it choose */
} qc_variable;

/* What was asked for.  Texts are borrowed; NULL: not given, not set. */
typedef struct qc_mode_request {
    const char *mode;                      /* --mode */
    const char *quamba_mode;               /* QUAMBA_MODE */
    const char *variables[QC_N_VARIABLES]; /* by qc_variable */
    bool float_sim_flag;                   /* --float-sim-asic-int8 */
    bool strict;                           /* --strict-mode: sources that disagree are an error */
    bool as_fork;                          /* --legacy-env=fork */
} qc_mode_request;

/* What comes of it.  Zero-initialised is the checkpoint's default, with a NULL source. */
typedef struct qc_mode_choice {
    const char *id;    /* a row of the table, constant text; NULL: the checkpoint's default */
    const char *knobs; /* what the original's variables change in that row, as --datapath takes it,
                          constant text; NULL: nothing */
    qm_text source;    /* for logs: "--mode", "QUAMBA_MODE", names of variables, "default" */
    qm_text warnings;  /* lines, each with its line end; data NULL: none */
    qm_text error;     /* one line; data NULL: none */
} qc_mode_choice;

/* Fills *choice (qc_mode_choice_free in any case); false when choice->error says why, or there is
 * no memory and it says nothing. */
bool qc_mode_select(qc_mode_choice *choice, const qc_mode_request *request);
void qc_mode_choice_free(qc_mode_choice *choice);

const char *qc_variable_name(qc_variable variable);

/* The ids that can be chosen, separated by blanks. */
void qc_mode_ids(qm_text *text);

#endif

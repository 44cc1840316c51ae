/* The environment, read once, here and nowhere else, before the command line. */
#include "cli/frame.h"

#include <stdlib.h>

const char qc_env_text[] =
    "QUAMBA_MODE: the mode when --mode is not given.\n"
    "FLOAT_SIM_ASIC_INT8, SSM_USE_CUDA_FOR_FP32, SSM_USE_PYTORCH_INT8, CONV1D_MODE23_FP32, "
    "CONV1D_MODE24_FP32, CONV1D_MODE3_FP32, CONV1D_MODE4_SELECTIVE_GRID: with \"true\" they choose "
    "a mode as they did in the original program, when neither --mode nor QUAMBA_MODE does.\n"
    "QUAMBA_CPU: the instruction set when --cpu is not given.";

void qc_env_read(qc_options *opt)
{
    const char *cpu = getenv("QUAMBA_CPU");
    opt->environment.quamba_mode = getenv("QUAMBA_MODE");
    for (int v = 0; v < QC_N_VARIABLES; v++)
        opt->environment.variables[v] = getenv(qc_variable_name((qc_variable)v));
    if (cpu != NULL && cpu[0] != '\0') opt->cpu = cpu;
}

const char *qc_cpu_source(const qc_options *opt)
{
    return qc_given(opt, "cpu") ? "--cpu" : "QUAMBA_CPU";
}

/* The environment, read once, here and nowhere else, before the command line. */
#include "cli/frame.h"

#include <stdlib.h>
#include <string.h>

const char qc_env_text[] = "QUAMBA_MODE: the mode when --mode is not given.\n"
                           "QUAMBA_CPU: the instruction set when --cpu is not given.";

void qc_env_read(qc_options *opt)
{
    const char *mode = getenv("QUAMBA_MODE"), *cpu = getenv("QUAMBA_CPU");
    if (mode != NULL && mode[0] != '\0') opt->mode = mode;
    if (cpu != NULL && cpu[0] != '\0') opt->cpu = cpu;
}

const char *qc_env_source(const qc_options *opt, const char *name)
{
    bool is_cpu = strcmp(name, "cpu") == 0;
    if (qc_given(opt, name)) return is_cpu ? "--cpu" : "--mode";
    return is_cpu ? "QUAMBA_CPU" : "QUAMBA_MODE";
}

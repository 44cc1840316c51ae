/* The environment, read once, here and nowhere else, before the command line. */
#include "cli/frame.h"

#include <stdlib.h>
#include <string.h>

const char qc_env_text[] = "QUAMBA_MODE: the mode when --mode is not given.";

void qc_env_read(qc_options *opt)
{
    const char *mode = getenv("QUAMBA_MODE");
    if (mode != NULL && mode[0] != '\0') opt->mode = mode;
}

const char *qc_env_source(const qc_options *opt, const char *name)
{
    if (strcmp(name, "mode") == 0 && opt->mode != NULL && !qc_given(opt, "mode"))
        return "QUAMBA_MODE";
    return "--mode";
}

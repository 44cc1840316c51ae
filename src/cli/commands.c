/* The table of commands. */
#include "cli/cli.h"

const qc_command *const qc_commands[] = {
#define QC_COMMAND(name) &qc_cmd_##name,
#include "cli/commands.def"
#undef QC_COMMAND
    NULL};

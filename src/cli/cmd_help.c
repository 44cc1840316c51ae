/* quamba help: pages about commands, for the screen and for man. */
#include "cli/frame.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

static int no_such_page(const char *name)
{
    const char *nearest = qc_command_nearest(name);
    if (nearest != NULL)
        return qc_fail(QC_USAGE, "help: no command %s: did you mean %s?", name, nearest);
    return qc_fail(QC_USAGE, "help: no command %s: `quamba help` lists the commands", name);
}

/* The page of a command (NULL: of quamba) as a file in a directory. */
static int write_page(const char *dir, const qc_command *command)
{
    char name[64];
    char *page = NULL;
    size_t size = 0;
    quamba_error err = {0};
    snprintf(name, sizeof name, "quamba%s%s.1", command != NULL ? "-" : "",
             command != NULL ? command->name : "");
    char *path = qm_path_join(dir, name);
    FILE *out = open_memstream(&page, &size);
    if (out != NULL) qc_man_page(out, command);
    bool complete = out != NULL && !ferror(out);
    complete = out != NULL && fclose(out) == 0 && complete;
    int status = QC_OK;
    if (path == NULL || !complete)
        status = qc_fail_memory();
    else if (qm_file_write(path, page, size, &err) != QUAMBA_OK)
        status = qc_fail_error(&err);
    free(page);
    free(path);
    return status;
}

static int emit(const qc_options *opt, const qc_command *command)
{
    if (opt->output != NULL) return write_page(opt->output, command);
    qc_man_page(stdout, command);
    return QC_OK;
}

static int run_man(const qc_options *opt)
{
    quamba_error err = {0};
    bool all = strcmp(opt->man, "all") == 0;
    const qc_command *command = qc_command_find(opt->man);
    if (!all && command == NULL && strcmp(opt->man, "quamba") != 0) return no_such_page(opt->man);
    if (opt->output != NULL && qm_make_dirs(opt->output, &err) != QUAMBA_OK)
        return qc_fail_error(&err);
    int status = all || command == NULL ? emit(opt, NULL) : emit(opt, command);
    for (size_t i = 0; all && status == QC_OK && qc_commands[i] != NULL; i++)
        status = emit(opt, qc_commands[i]);
    return status != QC_OK ? status : qc_finish_output();
}

static int run_help(const qc_options *opt)
{
    if (opt->man != NULL) return run_man(opt);
    if (opt->n_args == 0) {
        qc_help_overview(stdout);
        return qc_finish_output();
    }
    const qc_command *command = qc_command_find(opt->args[0]);
    if (command == NULL) return no_such_page(opt->args[0]);
    qc_help_command(stdout, command);
    return qc_finish_output();
}

const qc_command qc_cmd_help = {
    .name = "help",
    .usage = "[COMMAND]",
    .summary = "explain a command",
    .description = "Without COMMAND, lists the commands.  With --man, prints the manual page of a "
                   "command (or of quamba, or of all) as roff, or writes pages into a directory.",
    .examples = "quamba help generate\n"
                "quamba help --man generate | man -l -\n"
                "quamba help --man all --output man1\n",
    .options = "man output",
    .min_args = 0,
    .max_args = 1,
    .run = run_help,
};

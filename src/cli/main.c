/* quamba: finds the command, reads its options, runs it. */
#include "cli/frame.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* A descriptor 0, 1 or 2 that the caller closed would be given to the next file opened, and a
 * message would end up in a checkpoint.  stdout is opened for reading only, so that writing a
 * result to nowhere is an error as it should be. */
static void open_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY) != fd)
            return;
}

static int show_version(void)
{
    printf("quamba %s\n", quamba_version());
    return qc_finish_output();
}

static int show_help(const qc_command *command)
{
    if (command != NULL)
        qc_help_command(stdout, command);
    else
        qc_help_overview(stdout);
    return qc_finish_output();
}

static int unknown_command(const char *name)
{
    const char *nearest = qc_command_nearest(name);
    if (nearest != NULL)
        return qc_fail(QC_USAGE, "unknown command %s: did you mean %s?", name, nearest);
    return qc_fail(QC_USAGE, "unknown command %s: `quamba help` lists the commands", name);
}

static int run(const qc_command *command, int argc, char **argv)
{
    qc_options opt;
    int status = qc_options_parse(&opt, command, argc, argv);
    if (status == QC_OK && opt.help) {
        status = show_help(command);
    } else if (status == QC_OK && opt.version) {
        status = show_version();
    } else if (status == QC_OK) {
        status = command->run(&opt);
        if (status == QC_OK) status = qc_finish_output(); /* a command may have forgotten */
    }
    qc_options_free(&opt);
    return status;
}

int main(int argc, char **argv)
{
    open_standard_files();
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a failed write, with a message and status 1 */
    if (argc < 2) {
        qc_help_overview(stderr);
        return QC_USAGE;
    }
    const char *first = argv[1];
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0) return show_help(NULL);
    if (strcmp(first, "--version") == 0) return show_version();
    if (first[0] == '-')
        return qc_fail(QC_USAGE, "%s: the command comes first: quamba COMMAND [OPTIONS]", first);
    const qc_command *command = qc_command_find(first);
    return command != NULL ? run(command, argc, argv) : unknown_command(first);
}

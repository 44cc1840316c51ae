/* What --help prints, from the tables. */
#include "cli/frame.h"

#include <stdlib.h>
#include <string.h>

enum { WIDTH = 79, COLUMN = 28 };

const char qc_about[] =
    "quamba runs Mamba language models, exact to the bit: the same text, the same logits and the "
    "same scores on every machine, with every instruction set and any number of threads.";

static void print_options(FILE *out, const qc_option *option)
{
    char left[80];
    char letter = qc_option_letter(option);
    char prefix[8] = "    ";
    if (letter != 0) snprintf(prefix, sizeof prefix, "-%c, ", letter);
    int n = snprintf(left, sizeof left, "  %s--%s%s%s", prefix, option->name,
                     option->argument != NULL ? " " : "",
                     option->argument != NULL ? option->argument : "");
    fputs(left, out);
    if (n + 2 > COLUMN) /* too long a name stands alone */
        fprintf(out, "\n%*s", COLUMN, "");
    else
        fprintf(out, "%*s", COLUMN - n, "");
    char *text = qc_option_describe(option);
    qc_wrap(out, text != NULL ? text : option->help, COLUMN, WIDTH);
    free(text);
}

static void print_common(FILE *out)
{
    for (size_t i = 0; qc_option_at(i) != NULL; i++)
        if (qc_option_is_common(qc_option_at(i))) print_options(out, qc_option_at(i));
}

void qc_help_command(FILE *out, const qc_command *command)
{
    fprintf(out, "quamba %s: %s\n\nusage: quamba %s %s\n", command->name, command->summary,
            command->name, command->usage);
    if (command->description != NULL) {
        fputc('\n', out);
        qc_wrap(out, command->description, 0, WIDTH);
    }
    if (qc_command_option(command, 0) != NULL) fputs("\nOptions:\n", out);
    for (size_t i = 0; qc_command_option(command, i) != NULL; i++)
        print_options(out, qc_command_option(command, i));
    fputs("\nCommon options:\n", out);
    print_common(out);
    if (command->examples != NULL) {
        fputs("\nExamples:\n", out);
        for (const char *line = command->examples; *line != '\0';) {
            size_t n = strcspn(line, "\n");
            fprintf(out, "  %.*s\n", (int)n, line);
            line += n + (line[n] == '\n');
        }
    }
}

void qc_help_overview(FILE *out)
{
    fputs("usage: quamba COMMAND [OPTIONS] [ARGUMENTS]\n\n", out);
    qc_wrap(out, qc_about, 0, WIDTH);
    fputs("\nCommands:\n", out);
    for (size_t i = 0; qc_commands[i] != NULL; i++)
        fprintf(out, "  %-12s%s\n", qc_commands[i]->name, qc_commands[i]->summary);
    fputs("\nOptions that every command takes:\n", out);
    print_common(out);
    fputs("\nExamples:\n"
          "  quamba generate models/demo --prompt \"Once upon a time\"\n"
          "  quamba eval models/demo\n"
          "  quamba help generate\n\n",
          out);
    qc_wrap(out,
            "`quamba help COMMAND` says more about a command.  Options may be written with dashes "
            "or underscores, as --name VALUE or --name=VALUE, before or after the arguments.",
            0, WIDTH);
}

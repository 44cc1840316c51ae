/* Manual pages as roff, from the tables that print --help. */
#include "cli/frame.h"

#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* When the wording last changed; a fixed date keeps the pages the same in every build. */
static const char page_date[] = "2026-11-22";

/* Text so that roff takes no character of it for its own. */
static void escape(qm_text *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool may_start_line = i == 0 || strchr(" \n", text[i - 1]) != NULL; /* after wrapping */
        if (may_start_line && (text[i] == '.' || text[i] == '\'')) qm_text_puts(out, "\\&");
        switch (text[i]) {
        case '\\':
            qm_text_puts(out, "\\e");
            break;
        case '-':
            qm_text_puts(out, "\\-");
            break;
        case '`':
            qm_text_puts(out, "\\(ga");
            break;
        case '\'':
            qm_text_puts(out, "\\(aq");
            break;
        case '^':
            qm_text_puts(out, "\\(ha");
            break;
        case '~':
            qm_text_puts(out, "\\(ti");
            break;
        default:
            qm_text_add(out, text + i, 1);
        }
    }
}

/* Wrapped text: paragraphs, with indented lines as they stand. */
static void print_text(FILE *out, const char *text)
{
    for (const char *line = text; *line != '\0';) {
        bool verbatim = line[0] == ' ';
        size_t n = 0; /* up to an empty line or one of the other kind */
        do
            n += strcspn(line + n, "\n") + 1;
        while (line[n - 1] != '\0' && line[n] != '\0' && line[n] != '\n' &&
               (line[n] == ' ') == verbatim);
        n--;
        qm_text roff = {0};
        escape(&roff, line, n);
        if (!roff.failed && n > 0) {
            fputs(verbatim ? ".nf\n" : "", out);
            if (verbatim)
                fprintf(out, "%s\n.fi\n", roff.data);
            else
                qc_wrap(out, roff.data, 0, 78);
        }
        qm_text_free(&roff);
        line += n;
        if (line[0] == '\n') line++;
        if (line[0] == '\n') {
            line += strspn(line, "\n");
            if (*line != '\0') fputs(".PP\n", out);
        }
    }
}

static void print_escaped(FILE *out, const char *text)
{
    qm_text roff = {0};
    escape(&roff, text, strlen(text));
    if (!roff.failed && roff.data != NULL) fputs(roff.data, out);
    qm_text_free(&roff);
}

static void print_option(FILE *out, const qc_option *option)
{
    fputs(".TP\n", out);
    fputs(option->argument != NULL ? ".BI " : ".B ", out);
    char letter = qc_option_letter(option);
    if (letter != 0) fprintf(out, "\"\\-%c, \\-\\-", letter);
    if (letter == 0) fputs("\"\\-\\-", out);
    print_escaped(out, option->name);
    if (option->argument != NULL) {
        fputs(" \" \"", out);
        print_escaped(out, option->argument);
    }
    fputs("\"\n", out);
    char *text = qc_option_describe(option);
    print_text(out, text != NULL ? text : option->help);
    free(text);
}

static void print_heading(FILE *out, const qc_command *command)
{
    char title[64] = "QUAMBA";
    if (command != NULL) snprintf(title, sizeof title, "QUAMBA-%s", command->name);
    for (char *c = title; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    fprintf(out, ".TH %s 1 \"%s\" \"quamba %s\" \"quamba\"\n.SH NAME\n", title, page_date,
            quamba_version());
    if (command != NULL) {
        fprintf(out, "quamba\\-%s \\- ", command->name);
        print_text(out, command->summary);
    } else {
        fputs("quamba \\- run Mamba language models, exact to the bit\n", out);
    }
}

static void print_common(FILE *out)
{
    for (size_t i = 0; qc_option_at(i) != NULL; i++)
        if (qc_option_is_common(qc_option_at(i))) print_option(out, qc_option_at(i));
}

static void print_command(FILE *out, const qc_command *command)
{
    fprintf(out, ".SH SYNOPSIS\n.B quamba %s\n", command->name);
    print_text(out, command->usage);
    if (command->description != NULL) {
        fputs(".SH DESCRIPTION\n", out);
        print_text(out, command->description);
    }
    fputs(".SH OPTIONS\n", out);
    for (size_t i = 0; qc_command_option(command, i) != NULL; i++)
        print_option(out, qc_command_option(command, i));
    print_common(out);
    if (command->examples != NULL) {
        fputs(".SH EXAMPLES\n.nf\n", out);
        print_escaped(out, command->examples);
        if (command->examples[strlen(command->examples) - 1] != '\n') fputc('\n', out);
        fputs(".fi\n", out);
    }
}

static void print_program(FILE *out)
{
    fputs(".SH SYNOPSIS\n.B quamba\n.I COMMAND\n[OPTIONS] [ARGUMENTS]\n.SH DESCRIPTION\n", out);
    print_text(out, qc_about);
    fputs(".SH COMMANDS\n", out);
    for (size_t i = 0; qc_commands[i] != NULL; i++) {
        fprintf(out, ".TP\n.BR quamba\\-%s (1)\n", qc_commands[i]->name);
        print_text(out, qc_commands[i]->summary);
    }
    fputs(".SH OPTIONS\n", out);
    print_text(out, "Options are written with dashes or underscores, as --name VALUE or "
                    "--name=VALUE, before or after the arguments; -- ends them.  Every command "
                    "takes:");
    print_common(out);
    fputs(".SH ENVIRONMENT\n", out);
    print_text(out, qc_env_text);
}

void qc_man_page(FILE *out, const qc_command *command)
{
    print_heading(out, command);
    if (command != NULL)
        print_command(out, command);
    else
        print_program(out);
    fputs(".SH EXIT STATUS\n", out);
    print_text(out, "0: done.  1: the work failed (a bad file, no memory, a check that does not "
                    "hold).  2: the command line, the environment or a mode is wrong.  130: "
                    "interrupted; what was finished is kept.");
    if (command != NULL) fputs(".SH SEE ALSO\n.BR quamba (1)\n", out);
}

/* What the parts of the frame share; commands include cli.h only. */
#ifndef QC_FRAME_H
#define QC_FRAME_H

#include "cli/cli.h"

typedef enum qc_kind {
    QC_KIND_FLAG,
    QC_KIND_INT,
    QC_KIND_REAL,
    QC_KIND_STRING,
    QC_KIND_CHOICE,
    QC_KIND_LIST
} qc_kind;

/* A line of options.def. */
typedef struct qc_option {
    qc_kind kind;
    const char *name, *argument, *help;
    size_t offset; /* of the field in qc_options; a list's count comes at count_offset */
    size_t count_offset;
    struct {
        int64_t low, high, initial;
    } integer;
    struct {
        double low, high, initial;
    } real;
    const char *initial; /* of a string or a choice */
    const char *choices; /* "a|b|c" */
} qc_option;

/* Lines of options.def in its order; NULL past the last. */
const qc_option *qc_option_at(size_t index);

/* True when the command takes the option, common ones included. */
bool qc_command_takes(const qc_command *command, const qc_option *option);
bool qc_option_is_common(const qc_option *option);

/* The options of the command alone, in the order in which it names them; NULL past the last. */
const qc_option *qc_command_option(const qc_command *command, size_t index);

/* The one-letter form ('o' for output), 0 when there is none. */
char qc_option_letter(const qc_option *option);

/* NULL when there is none; underscores are dashes. */
const qc_command *qc_command_find(const char *name);

/* The command nearest in spelling to name, for "did you mean"; NULL when none is near. */
const char *qc_command_nearest(const char *name);

/* Sets the defaults; then the environment (env.c); then the arguments argv[2..].  On a mistake
 * prints a message and returns QC_USAGE.  qc_options_free in any case. */
int qc_options_parse(qc_options *opt, const qc_command *command, int argc, char **argv);
void qc_options_free(qc_options *opt);

/* Settings from the environment into the same fields. */
void qc_env_read(qc_options *opt);

/* ---- words ------------------------------------------------------------------------------------
 */

/* Prints text wrapped at width columns; every line but the first begins with indent blanks, the
 * first one is taken to stand there already.  An empty line separates paragraphs; lines that begin
 * with a blank are kept as they are.  The last line is ended. */
void qc_wrap(FILE *out, const char *text, size_t indent, size_t width);

/* Help of an option with its range, choices and default, as a text in new memory. */
char *qc_option_describe(const qc_option *option);

/* ---- pages ------------------------------------------------------------------------------------
 */

void qc_help_overview(FILE *out);
void qc_help_command(FILE *out, const qc_command *command);

/* Manual pages as roff; command NULL: quamba(1). */
void qc_man_page(FILE *out, const qc_command *command);

extern const char qc_about[];    /* what quamba is */
extern const char qc_env_text[]; /* the variables that are read */

/* Takes the line of a progress bar away, if one stands there, before something else is printed. */
void qc_progress_hide(void);

#endif

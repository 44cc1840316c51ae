/* Command line to qc_options, driven by options.def. */
#include "cli/frame.h"

#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
#define AT(field) .offset = offsetof(qc_options, field)
static const qc_option options[] = {
#define QC_FLAG(field, option, text) {QC_KIND_FLAG, .name = option, .help = text, AT(field)},
#define QC_INT(field, option, arg, low, high, initial, text) \
    {QC_KIND_INT, .name = option, .argument = arg, .help = text, AT(field), .integer = {low, high, initial}},
#define QC_REAL(field, option, arg, low, high, initial, text) \
    {QC_KIND_REAL, .name = option, .argument = arg, .help = text, AT(field), .real = {low, high, initial}},
#define QC_STRING(field, option, arg, start, text) \
    {QC_KIND_STRING, .name = option, .argument = arg, .help = text, AT(field), .initial = start},
#define QC_CHOICE(field, option, arg, list, start, text) \
    {QC_KIND_CHOICE, .name = option, .argument = arg, .help = text, AT(field), .initial = start, .choices = list},
#define QC_LIST(field, option, arg, text) \
    {QC_KIND_LIST, .name = option, .argument = arg, .help = text, AT(field), .count_offset = offsetof(qc_options, n_##field)},
#include "cli/options.def"
#undef QC_FLAG
#undef QC_INT
#undef QC_REAL
#undef QC_STRING
#undef QC_CHOICE
#undef QC_LIST
};
/* clang-format on */

static const struct {
    char letter;
    const char *name;
} letters[] = {
    {'h', "help"   },
    {'o', "output" },
    {'q', "quiet"  },
    {'v', "verbose"}
};

const qc_option *qc_option_at(size_t index)
{
    return index < QM_COUNT(options) ? &options[index] : NULL;
}

char qc_option_letter(const qc_option *option)
{
    for (size_t i = 0; i < QM_COUNT(letters); i++)
        if (strcmp(letters[i].name, option->name) == 0) return letters[i].letter;
    return 0;
}

/* True when word is one of the blank-separated words of list. */
static bool has_word(const char *list, const char *word)
{
    size_t size = strlen(word);
    while (list != NULL && *list != '\0') {
        size_t n = strcspn(list, " ");
        if (n == size && memcmp(list, word, n) == 0) return true;
        list += n + strspn(list + n, " ");
    }
    return false;
}

bool qc_option_is_common(const qc_option *option)
{
    return has_word("help json progress quiet verbose version", option->name);
}

bool qc_command_takes(const qc_command *command, const qc_option *option)
{
    return qc_option_is_common(option) || has_word(command->options, option->name);
}

/* Compares an option's or command's name with the first n characters of what was typed; dashes and
 * underscores are alike. */
static bool same_name(const char *name, const char *typed, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (name[i] == '\0' || (typed[i] == '_' ? '-' : typed[i]) != name[i]) return false;
    return name[n] == '\0';
}

const qc_command *qc_command_find(const char *name)
{
    for (size_t i = 0; qc_commands[i] != NULL; i++)
        if (same_name(qc_commands[i]->name, name, strlen(name))) return qc_commands[i];
    return NULL;
}

/* How badly typed (n characters) fits name: 0 for a beginning of it, SIZE_MAX for a stranger. */
static size_t misfit(const char *name, const char *typed, size_t n)
{
    char word[40];
    if (n == 0 || n >= sizeof word) return SIZE_MAX;
    for (size_t i = 0; i < n; i++)
        word[i] = typed[i] == '_' ? '-' : typed[i];
    word[n] = '\0';
    if (n >= 2 && strncmp(name, word, n) == 0) return 0;
    size_t distance = qm_edit_distance(name, word);
    return distance <= 1 + n / 4 && distance < n ? distance : SIZE_MAX;
}

const char *qc_command_nearest(const char *name)
{
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; qc_commands[i] != NULL; i++) {
        size_t distance = misfit(qc_commands[i]->name, name, strlen(name));
        if (distance < best) best = distance, nearest = qc_commands[i]->name;
    }
    return nearest;
}

static const qc_option *find_option(const char *typed, size_t n)
{
    for (size_t i = 0; i < QM_COUNT(options); i++)
        if (same_name(options[i].name, typed, n)) return &options[i];
    return NULL;
}

const qc_option *qc_command_option(const qc_command *command, size_t index)
{
    const char *list = command->options;
    while (list != NULL && *list != '\0') {
        size_t n = strcspn(list, " ");
        if (index-- == 0) return find_option(list, n);
        list += n + strspn(list + n, " ");
    }
    return NULL;
}

static const qc_option *find_letter(const qc_command *command, char letter)
{
    for (size_t i = 0; i < QM_COUNT(options); i++)
        if (letter != '\0' && qc_option_letter(&options[i]) == letter &&
            qc_command_takes(command, &options[i]))
            return &options[i];
    return NULL;
}

static int unknown_option(const qc_command *command, const char *typed, int n)
{
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < QM_COUNT(options); i++) {
        if (!qc_command_takes(command, &options[i])) continue;
        size_t distance = misfit(options[i].name, typed, (size_t)n);
        if (distance < best) best = distance, nearest = options[i].name;
    }
    if (nearest != NULL)
        return qc_fail(QC_USAGE, "unknown option --%.*s: did you mean --%s?", n, typed, nearest);
    return qc_fail(QC_USAGE, "unknown option --%.*s: `quamba %s --help` lists the options", n,
                   typed, command->name);
}

/* The known option belongs to other commands: name them. */
static int foreign_option(const qc_command *command, const qc_option *option)
{
    qm_text owners = {0};
    for (size_t i = 0; qc_commands[i] != NULL; i++)
        if (qc_command_takes(qc_commands[i], option))
            qm_text_printf(&owners, "%s%s", owners.size > 0 ? ", " : "", qc_commands[i]->name);
    int status = QC_USAGE;
    if (owners.size > 0 && !owners.failed)
        qc_fail(status, "%s takes no option --%s (%s does)", command->name, option->name,
                owners.data);
    else
        qc_fail(status, "%s takes no option --%s", command->name, option->name);
    qm_text_free(&owners);
    return status;
}

/* ---- values ---------------------------------------------------------------------------------- */

static int set_integer(const qc_option *option, int64_t *field, const char *text)
{
    char *end = NULL;
    errno = 0;
    bool starts = (text[0] >= '0' && text[0] <= '9') || text[0] == '-' || text[0] == '+';
    long long value = starts ? strtoll(text, &end, 10) : 0;
    if (starts && end != text && *end == '\0' && errno == 0 && value >= option->integer.low &&
        value <= option->integer.high) {
        *field = value;
        return QC_OK;
    }
    return qc_fail(QC_USAGE, "--%s: \"%s\" is not an integer from %" PRId64 " to %" PRId64,
                   option->name, text, option->integer.low, option->integer.high);
}

static int set_real(const qc_option *option, double *field, const char *text)
{
    char *end = NULL;
    bool starts = text[0] != '\0' && strchr("0123456789.+-", text[0]) != NULL;
    double value = starts ? strtod(text, &end) : 0;
    if (starts && end != text && *end == '\0' && isfinite(value) && value >= option->real.low &&
        value <= option->real.high) {
        *field = value;
        return QC_OK;
    }
    return qc_fail(QC_USAGE, "--%s: \"%s\" is not a number from %.15g to %.15g", option->name, text,
                   option->real.low, option->real.high);
}

static int set_choice(const qc_option *option, const char **field, const char *text)
{
    size_t size = strlen(text);
    for (const char *choice = option->choices; *choice != '\0';) {
        size_t n = strcspn(choice, "|");
        if (n == size && memcmp(choice, text, n) == 0) {
            *field = text;
            return QC_OK;
        }
        choice += n + (choice[n] == '|');
    }
    qm_text list = {0};
    for (const char *c = option->choices; *c != '\0'; c++)
        qm_text_puts(&list, *c == '|' ? ", " : (char[2]){*c, '\0'});
    qc_fail(QC_USAGE, "--%s: \"%s\" is none of %s", option->name, text,
            list.failed ? option->choices : list.data);
    qm_text_free(&list);
    return QC_USAGE;
}

/* n_max: the longest a list can get; value is NULL for a flag. */
static int set_option(qc_options *opt, const qc_option *option, const char *value, size_t n_max)
{
    char *field = (char *)opt + option->offset;
    opt->given[opt->n_given++] = option->name;
    switch (option->kind) {
    case QC_KIND_FLAG:
        *(bool *)field = true;
        return QC_OK;
    case QC_KIND_INT:
        return set_integer(option, (int64_t *)field, value);
    case QC_KIND_REAL:
        return set_real(option, (double *)field, value);
    case QC_KIND_STRING:
        *(const char **)field = value;
        return QC_OK;
    case QC_KIND_CHOICE:
        return set_choice(option, (const char **)field, value);
    case QC_KIND_LIST: {
        const char ***list = (const char ***)field;
        size_t *count = (size_t *)((char *)opt + option->count_offset);
        if (*list == NULL) *list = qm_alloc(n_max, sizeof **list);
        if (*list == NULL) return qc_fail_memory();
        (*list)[(*count)++] = value;
        return QC_OK;
    }
    }
    return QC_OK;
}

static void set_defaults(qc_options *opt)
{
    for (size_t i = 0; i < QM_COUNT(options); i++) {
        void *field = (char *)opt + options[i].offset;
        if (options[i].kind == QC_KIND_INT) *(int64_t *)field = options[i].integer.initial;
        if (options[i].kind == QC_KIND_REAL) *(double *)field = options[i].real.initial;
        if (options[i].kind == QC_KIND_STRING || options[i].kind == QC_KIND_CHOICE)
            *(const char **)field = options[i].initial;
    }
}

/* ---- the command line ------------------------------------------------------------------------ */

/* One argument that begins with a dash, at argv[*index]; moves *index over a value it takes. */
static int parse_option(qc_options *opt, const qc_command *command, int *index)
{
    const char *text = opt->argv[*index];
    const qc_option *option;
    const char *value = NULL; /* behind "=" or the letter */
    if (text[1] == '-') {
        size_t n = strcspn(text + 2, "=");
        if (text[2 + n] == '=') value = text + 2 + n + 1;
        option = find_option(text + 2, n);
        if (option == NULL) return unknown_option(command, text + 2, (int)n);
        if (!qc_command_takes(command, option)) return foreign_option(command, option);
    } else {
        option = find_letter(command, text[1]);
        if (option == NULL || (option->kind == QC_KIND_FLAG && text[2] != '\0'))
            return qc_fail(QC_USAGE, "unknown option %s: `quamba %s --help` lists the options",
                           text, command->name);
        if (text[2] != '\0') value = text + 2;
    }
    if (option->kind == QC_KIND_FLAG && value != NULL)
        return qc_fail(QC_USAGE, "--%s takes no value, but got \"%s\"", option->name, value);
    if (option->kind != QC_KIND_FLAG && value == NULL) {
        if (*index + 1 >= opt->argc)
            return qc_fail(QC_USAGE, "--%s needs a value: --%s %s", option->name, option->name,
                           option->argument);
        value = opt->argv[++*index];
    }
    return set_option(opt, option, value, (size_t)opt->argc);
}

static int check_count(const qc_options *opt, const qc_command *command)
{
    if (opt->n_args < (size_t)command->min_args)
        return qc_fail(QC_USAGE, "%s: an argument is missing: quamba %s %s", command->name,
                       command->name, command->usage);
    if (command->max_args >= 0 && opt->n_args > (size_t)command->max_args)
        return qc_fail(QC_USAGE, "%s: unexpected argument \"%s\": quamba %s %s", command->name,
                       opt->args[command->max_args], command->name, command->usage);
    return QC_OK;
}

/* The mode, once for the whole run. */
static int choose_mode(qc_options *opt)
{
    qc_mode_request request = {
        .mode = qc_given(opt, "mode") ? opt->mode : NULL,
        .quamba_mode = opt->environment.quamba_mode,
        .float_sim_flag = opt->float_sim_asic_int8,
        .strict = opt->strict_mode,
        .as_fork = strcmp(opt->legacy_env, "fork") == 0,
    };
    memcpy(request.variables, opt->environment.variables, sizeof request.variables);
    bool chosen = qc_mode_select(&opt->choice, &request);
    for (const char *line = opt->choice.warnings.data; line != NULL && *line != '\0';) {
        size_t n = strcspn(line, "\n");
        qc_warn("%.*s", (int)n, line);
        line += n + 1;
    }
    opt->mode = opt->choice.id;
    if (chosen) return QC_OK;
    if (opt->choice.error.size == 0) return qc_fail_memory();
    return qc_fail(QC_USAGE, "%s", opt->choice.error.data);
}

int qc_options_parse(qc_options *opt, const qc_command *command, int argc, char **argv)
{
    *opt = (qc_options){.argc = argc, .argv = argv};
    set_defaults(opt);
    opt->args = qm_alloc((size_t)argc, sizeof *opt->args);
    opt->given = qm_alloc((size_t)argc, sizeof *opt->given);
    if (opt->args == NULL || opt->given == NULL) return qc_fail_memory();
    qc_env_read(opt);

    bool only_arguments = false;
    for (int i = 2; i < argc; i++) {
        const char *text = argv[i];
        if (!only_arguments && strcmp(text, "--") == 0) {
            only_arguments = true;
        } else if (only_arguments || text[0] != '-' || text[1] == '\0') {
            opt->args[opt->n_args++] = text;
        } else {
            int status = parse_option(opt, command, &i);
            if (status != QC_OK) return status;
        }
    }
    if (opt->help || opt->version) return QC_OK;
    int status = check_count(opt, command);
    if (status == QC_OK && has_word(command->options, "mode")) status = choose_mode(opt);
    return status;
}

void qc_options_free(qc_options *opt)
{
    for (size_t i = 0; i < QM_COUNT(options); i++)
        if (options[i].kind == QC_KIND_LIST) free(*(void **)((char *)opt + options[i].offset));
    qc_mode_choice_free(&opt->choice);
    free(opt->args);
    free(opt->given);
    *opt = (qc_options){0};
}

bool qc_given(const qc_options *opt, const char *name)
{
    for (size_t i = 0; i < opt->n_given; i++)
        if (strcmp(opt->given[i], name) == 0) return true;
    return false;
}

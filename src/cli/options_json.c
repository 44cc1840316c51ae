/* The command line's values as JSON, for logs. */
#include "cli/frame.h"

#include <string.h>

static json_t *value_json(const qc_options *opt, const qc_option *option)
{
    const char *field = (const char *)opt + option->offset;
    switch (option->kind) {
    case QC_KIND_FLAG:
        return json_boolean(*(const bool *)field);
    case QC_KIND_INT: {
        int64_t number = *(const int64_t *)(const void *)field;
        bool given = number >= option->integer.low && number <= option->integer.high;
        return given ? json_integer((json_int_t)number) : json_null();
    }
    case QC_KIND_REAL:
        return qc_json_real(*(const double *)(const void *)field);
    case QC_KIND_STRING:
    case QC_KIND_CHOICE: {
        const char *text = *(const char *const *)(const void *)field;
        return text != NULL ? qc_json_text(text, strlen(text)) : json_null();
    }
    case QC_KIND_LIST:
        break;
    }
    json_t *list = json_array();
    const char **texts = *(const char ***)(uintptr_t)field;
    size_t n = *(const size_t *)(const void *)((const char *)opt + option->count_offset);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, qc_json_text(texts[i], strlen(texts[i])));
    return list;
}

json_t *qc_options_json(const qc_options *opt, const qc_command *command)
{
    json_t *args = json_object(), *list = json_array();
    int failed = 0;
    for (size_t i = 0; i < opt->n_args; i++)
        failed |= json_array_append_new(list, qc_json_text(opt->args[i], strlen(opt->args[i])));
    failed |= json_object_set_new(args, "arguments", list);
    const qc_option *option;
    for (size_t i = 0; (option = qc_option_at(i)) != NULL; i++)
        if (qc_command_takes(command, option)) {
            char name[64]; /* as Python's argparse names them: with underscores */
            snprintf(name, sizeof name, "%s", option->name);
            for (char *at = name; *at != '\0'; at++)
                if (*at == '-') *at = '_';
            failed |= json_object_set_new(args, name, value_json(opt, option));
        }
    if (failed == 0) return args;
    json_decref(args);
    return NULL;
}

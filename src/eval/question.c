/* One line of a task file to contexts and continuations. */
#include "eval/task.h"

#include "base/json.h"

#include <inttypes.h>
#include <string.h>

/* What the harness puts between a context and a choice. */
static const char delimiter[] = " ";

static size_t count_chars(const char *text, size_t size)
{
    size_t n = 0; /* bytes that begin a UTF-8 character */
    for (size_t i = 0; i < size; i++)
        n += ((unsigned char)text[i] & 0xc0u) != 0x80u;
    return n;
}

static bool is_blank(const char *text) { return text[strspn(text, " \t\r\n\v\f")] == '\0'; }

static qm_span add(qm_text *text, const char *data, size_t size)
{
    qm_span span = {text->size, size};
    qm_text_add(text, data, size);
    return span;
}

/* A string that must be there and hold more than blanks. */
static quamba_status get_string(const json_t *line, const char *key, const char **out,
                                quamba_error *err)
{
    *out = NULL;
    quamba_status status = qm_json_string(line, key, out, err);
    if (status != QUAMBA_OK) return status;
    if (!*out) return qm_fail(err, QUAMBA_E_FORMAT, 0, "\"%s\" is missing", key);
    if (is_blank(*out)) return qm_fail(err, QUAMBA_E_FORMAT, 0, "\"%s\" is empty", key);
    return QUAMBA_OK;
}

/* The number of the right choice: a whole number, or the same as a string. */
static quamba_status get_gold(const json_t *line, const qm_task *task, qm_question *q,
                              quamba_error *err)
{
    const json_t *value = json_object_get(line, task->gold);
    int64_t low = task->first_gold, high = low + (int64_t)q->n_choices - 1, gold = -1;
    if (!value || json_is_null(value))
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "\"%s\" is missing", task->gold);
    const char *digits = json_string_value(value);
    if (json_is_integer(value))
        gold = json_integer_value(value);
    else if (digits && digits[0] >= '0' && digits[0] <= '9' && digits[1] == '\0')
        gold = digits[0] - '0';
    else
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "\"%s\" must be the number of a choice, %" PRId64 " .. %" PRId64, task->gold,
                       low, high);
    if (gold < low || gold > high)
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "\"%s\" is %" PRId64 ", but the choices are %" PRId64 " .. %" PRId64,
                       task->gold, gold, low, high);
    q->gold = (size_t)(gold - low);
    return QUAMBA_OK;
}

static quamba_status read_last_word(qm_question *q, const json_t *line, const qm_task *task,
                                    quamba_error *err)
{
    const char *text;
    quamba_status status = get_string(line, task->context, &text, err);
    if (status != QUAMBA_OK) return status;
    const char *blank = strrchr(text, ' ');
    const char *word = blank ? blank + 1 : text;
    if (is_blank(word))
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "\"%s\" ends in a blank: there is no last word to predict", task->context);
    q->n_choices = 1;
    q->context[0] = add(&q->text, text, blank ? (size_t)(blank - text) : 0);
    q->continuation[0] = add(&q->text, delimiter, sizeof delimiter - 1);
    q->continuation[0].size += add(&q->text, word, strlen(word)).size;
    q->n_chars[0] = count_chars(word, strlen(word));
    return QUAMBA_OK;
}

static quamba_status add_choice(qm_question *q, const qm_task *task, const char *choice,
                                quamba_error *err)
{
    if (q->n_choices == QM_MAX_CHOICES)
        return qm_fail(err, QUAMBA_E_LIMIT, 0, "\"%s\" holds more than %d choices",
                       task->choices[0], QM_MAX_CHOICES);
    size_t n = strlen(choice), i = q->n_choices++;
    q->continuation[i] = add(&q->text, delimiter, sizeof delimiter - 1);
    q->continuation[i].size += add(&q->text, choice, n).size;
    q->n_chars[i] = count_chars(choice, n);
    return QUAMBA_OK;
}

/* The choices of an array: at least two strings, none of them blank. */
static quamba_status read_array(qm_question *q, const json_t *line, const qm_task *task,
                                quamba_error *err)
{
    const char *key = task->choices[0];
    const json_t *array = json_object_get(line, key);
    if (!array || json_is_null(array))
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "\"%s\" is missing", key);
    if (!json_is_array(array) || json_array_size(array) < 2)
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "\"%s\" must be an array of at least two strings",
                       key);
    quamba_status status = QUAMBA_OK;
    for (size_t i = 0; i < json_array_size(array) && status == QUAMBA_OK; i++) {
        const char *choice = json_string_value(json_array_get(array, i));
        if (!choice || is_blank(choice))
            return qm_fail(err, QUAMBA_E_FORMAT, i, "\"%s\"[%zu] is %s", key, i,
                           choice ? "empty" : "not a string");
        status = add_choice(q, task, choice, err);
    }
    return status;
}

static quamba_status read_choices(qm_question *q, const json_t *line, const qm_task *task,
                                  quamba_error *err)
{
    const char *context, *choice;
    quamba_status status = get_string(line, task->context, &context, err);
    if (status != QUAMBA_OK) return status;
    size_t begin = q->text.size;
    qm_text_puts(&q->text, task->before);
    qm_text_puts(&q->text, context);
    qm_text_puts(&q->text, task->after);
    size_t end = q->text.size;
    if (!task->choices[1])
        status = read_array(q, line, task, err);
    else
        for (size_t i = 0; i < 2 && status == QUAMBA_OK; i++) {
            status = get_string(line, task->choices[i], &choice, err);
            if (status == QUAMBA_OK) status = add_choice(q, task, choice, err);
        }
    for (size_t i = 0; i < q->n_choices; i++)
        q->context[i] = (qm_span){begin, end - begin};
    return status == QUAMBA_OK ? get_gold(line, task, q, err) : status;
}

/* "before _ after": the contexts are "before option", the continuation is " after" for all. */
static quamba_status read_blank(qm_question *q, const json_t *line, const qm_task *task,
                                quamba_error *err)
{
    const char *sentence;
    quamba_status status = get_string(line, task->context, &sentence, err);
    if (status != QUAMBA_OK) return status;
    const char *blank = strchr(sentence, '_');
    if (!blank)
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "\"%s\" has no _ for the options", task->context);
    const char *ending = blank + 1, *end = ending + strlen(ending);
    ending += strspn(ending, " \t\r\n");
    while (end > ending && strchr(" \t\r\n", end[-1]))
        end--;
    if (ending == end)
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "\"%s\" has nothing after the _ to score",
                       task->context);
    qm_span shared = add(&q->text, delimiter, sizeof delimiter - 1);
    shared.size += add(&q->text, ending, (size_t)(end - ending)).size;
    for (size_t i = 0; i < 2; i++) {
        const char *option;
        status = get_string(line, task->choices[i], &option, err);
        if (status != QUAMBA_OK) return status;
        q->context[i] = add(&q->text, sentence, (size_t)(blank - sentence));
        q->context[i].size += add(&q->text, option, strlen(option)).size;
        q->continuation[i] = shared;
        q->n_chars[i] = count_chars(option, strlen(option));
    }
    q->n_choices = 2;
    return get_gold(line, task, q, err);
}

quamba_status qm_question_read(qm_question *q, const qm_task *task, const char *line, size_t size,
                               quamba_error *err)
{
    q->text.size = 0;
    q->text.failed = false;
    q->n_choices = q->gold = 0;
    json_error_t why;
    json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES, &why);
    if (!object && json_error_code(&why) == json_error_out_of_memory)
        return qm_fail_memory(err, size, "a line of a task file");
    if (!object)
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "not valid JSON at column %d: %s", why.column,
                       why.text);
    quamba_status status;
    if (!json_is_object(object))
        status = qm_fail(err, QUAMBA_E_FORMAT, 0, "not a JSON object");
    else if (task->form == QM_TASK_LAST_WORD)
        status = read_last_word(q, object, task, err);
    else if (task->form == QM_TASK_CHOICES)
        status = read_choices(q, object, task, err);
    else
        status = read_blank(q, object, task, err);
    json_decref(object);
    if (status == QUAMBA_OK && q->text.failed)
        status = qm_fail_memory(err, size, "a line of a task file");
    return status;
}

void qm_question_free(qm_question *question) { qm_text_free(&question->text); }

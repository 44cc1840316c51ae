#include "eval/task.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Puts "name:line: " in front. */
static quamba_status fail_at(quamba_error *err, quamba_status status, const char *name, size_t line)
{
    char where[400];
    snprintf(where, sizeof where, "%.360s:%zu", name, line);
    if (err) err->position = line;
    return qm_fail_in(err, status, where);
}

static bool is_blank_line(const char *line, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r') return false;
    return true;
}

/* Finds the lines and reads each one once. */
static quamba_status index_lines(qm_task_file *file, quamba_error *err)
{
    size_t items_capacity = 0, lines_capacity = 0, line = 0;
    qm_question question = {0};
    quamba_status status = QUAMBA_OK;
    for (size_t at = 0, next; at < file->size && status == QUAMBA_OK; at = next) {
        const char *feed = memchr(file->data + at, '\n', file->size - at);
        size_t end = feed ? (size_t)(feed - file->data) : file->size, n = file->n_items;
        next = end + 1;
        line++;
        if (is_blank_line(file->data + at, end - at)) continue;
        if (!qm_grow(&file->items, &items_capacity, n + 1, sizeof *file->items) ||
            !qm_grow(&file->lines, &lines_capacity, n + 1, sizeof *file->lines)) {
            status = qm_fail_memory(err, file->size, file->name);
            break;
        }
        file->items[n] = (qm_span){at, end - at};
        file->lines[n] = line;
        file->n_items++;
        status = qm_task_file_question(file, n, &question, err);
    }
    qm_question_free(&question);
    if (status == QUAMBA_OK && file->n_items == 0)
        status = qm_fail(err, QUAMBA_E_FORMAT, 0,
                         "%.400s: holds no items; each line must be a JSON object with %s",
                         file->name, file->task->fields);
    return status;
}

quamba_status qm_task_file_parse(qm_task_file *file, const qm_task *task, const char *name,
                                 const char *data, size_t size, quamba_error *err)
{
    *file = (qm_task_file){.task = task, .size = size, .hash = qm_hash64(data, size, 0)};
    file->data = qm_strndup(data, size);
    file->name = qm_strndup(name, strlen(name));
    quamba_status status =
        file->data && file->name ? index_lines(file, err) : qm_fail_memory(err, size, name);
    if (status != QUAMBA_OK) qm_task_file_close(file);
    return status;
}

quamba_status qm_task_explain(const qm_task *task, quamba_status status, quamba_error *err)
{
    char reason[512];
    if (!err || !task->origin || status != QUAMBA_E_IO) return status;
    snprintf(reason, sizeof reason, "%.500s", err->message);
    return qm_fail(err, status, 0, "%s; it holds %s%s; source: %s", reason,
                   task->form == QM_TASK_TEXT ? "" : "lines, each a JSON object with ",
                   task->fields, task->origin);
}

quamba_status qm_task_check(const qm_task *task, const char *path, quamba_error *err)
{
    qm_task_file file;
    qm_map map;
    if (task->form != QM_TASK_TEXT) {
        quamba_status status = qm_task_file_open(&file, task, path, err);
        qm_task_file_close(&file);
        return status;
    }
    quamba_status status = qm_map_open(&map, path, err);
    if (status == QUAMBA_OK && map.size == 0)
        status =
            qm_fail(err, QUAMBA_E_FORMAT, 0, "%.400s: is empty: there is nothing to predict", path);
    qm_map_close(&map);
    return qm_task_explain(task, status, err);
}

quamba_status qm_task_file_open(qm_task_file *file, const qm_task *task, const char *path,
                                quamba_error *err)
{
    qm_map map;
    *file = (qm_task_file){0};
    quamba_status status = qm_map_open(&map, path, err);
    if (status != QUAMBA_OK) return qm_task_explain(task, status, err);
    status = qm_task_file_parse(file, task, path, (const char *)map.data, map.size, err);
    qm_map_close(&map);
    return status;
}

void qm_task_file_close(qm_task_file *file)
{
    free(file->name);
    free(file->data);
    free(file->items);
    free(file->lines);
    *file = (qm_task_file){0};
}

quamba_status qm_task_file_question(const qm_task_file *file, size_t index, qm_question *question,
                                    quamba_error *err)
{
    qm_span item = file->items[index];
    quamba_status status =
        qm_question_read(question, file->task, file->data + item.at, item.size, err);
    return status == QUAMBA_OK ? status : fail_at(err, status, file->name, file->lines[index]);
}

void qm_fewshot_draw(size_t *shots, size_t n_shots, size_t index, size_t n_items, uint64_t seed)
{
    uint64_t state = seed;
    state = qm_splitmix64(&state) ^ (uint64_t)index; /* neighbours in seed or index share nothing */
    for (size_t k = 0; k < n_shots;) {
        size_t drawn = (size_t)(((qm_splitmix64(&state) >> 32) * (uint64_t)n_items) >> 32);
        bool seen = drawn == index;
        for (size_t i = 0; i < k; i++)
            seen |= shots[i] == drawn;
        if (!seen) shots[k++] = drawn;
    }
}

quamba_status qm_fewshot_prompt(const qm_task_file *file, size_t index, size_t n_shots,
                                uint64_t seed, qm_question *scratch, qm_text *prompt,
                                quamba_error *err)
{
    size_t shots[64];
    prompt->size = 0;
    if (n_shots == 0) return QUAMBA_OK;
    if (n_shots > QM_COUNT(shots) || n_shots >= file->n_items || file->n_items > UINT32_MAX)
        return qm_fail(err, QUAMBA_E_ARGUMENT, n_shots,
                       "%.400s: holds %zu items, too few for %zu examples in front of each",
                       file->name, file->n_items, n_shots);
    qm_fewshot_draw(shots, n_shots, index, file->n_items, seed);
    for (size_t k = 0; k < n_shots; k++) {
        quamba_status status = qm_task_file_question(file, shots[k], scratch, err);
        if (status != QUAMBA_OK) return status;
        qm_span context = scratch->context[scratch->gold];
        qm_span continuation = scratch->continuation[scratch->gold];
        qm_text_add(prompt, scratch->text.data + context.at, context.size);
        if (file->task->wide_shots) qm_text_puts(prompt, " ");
        qm_text_add(prompt, scratch->text.data + continuation.at, continuation.size);
        qm_text_puts(prompt, "\n\n");
    }
    return prompt->failed ? qm_fail_memory(err, prompt->size, "few-shot examples") : QUAMBA_OK;
}

#include "eval/text_file.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>

static char *read_lines(const qm_map *map, size_t *size)
{
    char *text = qm_alloc(map->size + 1, 1);
    *size = 0;
    for (size_t i = 0; text && i < map->size; i++) {
        bool is_return = map->data[i] == '\r';
        if (is_return && i + 1 < map->size && map->data[i + 1] == '\n') continue;
        text[(*size)++] = is_return ? '\n' : (char)map->data[i];
    }
    return text;
}

quamba_status qm_text_file_open(qm_text_file *file, const qm_task *task, const char *path,
                                const quamba_tokenizer *tokenizer, quamba_error *err)
{
    size_t size;
    qm_map map;
    *file = (qm_text_file){0};
    quamba_status status = qm_map_open(&map, path, err);
    if (status != QUAMBA_OK) return qm_task_explain(task, status, err);
    file->hash = qm_hash64(map.data, map.size, 0);
    char *text = read_lines(&map, &size);
    status = text ? quamba_tokenizer_encode(tokenizer, text, size, &file->ids, &file->n_ids, err)
                  : qm_fail_memory(err, map.size, "a text");
    free(text);
    qm_map_close(&map);
    if (status != QUAMBA_OK) return qm_fail_in(err, status, path);
    if (file->n_ids >= 2) return QUAMBA_OK;
    status = qm_fail(err, QUAMBA_E_FORMAT, 0, "%.400s: has %zu tokens: there is nothing to predict",
                     path, file->n_ids);
    qm_text_file_close(file);
    return status;
}

void qm_text_file_close(qm_text_file *file)
{
    quamba_free(file->ids);
    *file = (qm_text_file){0};
}

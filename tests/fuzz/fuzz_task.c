/* Task files: the first byte picks the task, the rest is the file. */
#include "eval/task.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n_tasks = 0;
    if (size == 0) return 0;
    while (qm_task_at(n_tasks) && qm_task_at(n_tasks)->form != QM_TASK_TEXT)
        n_tasks++;
    qm_task_file file;
    quamba_error err;
    if (qm_task_file_parse(&file, qm_task_at(data[0] % n_tasks), "fuzz", (const char *)data + 1,
                           size - 1, &err) != QUAMBA_OK)
        return 0;
    qm_question question = {0};
    qm_text prompt = {0};
    for (size_t i = 0; i < file.n_items; i++) { /* what was accepted is fit for scoring */
        if (qm_task_file_question(&file, i, &question, &err) != QUAMBA_OK) abort();
        for (size_t k = 0; k < question.n_choices; k++) {
            qm_span c = question.context[k], t = question.continuation[k];
            if (c.at + c.size > question.text.size || t.at + t.size > question.text.size ||
                t.size < 2 || question.n_chars[k] == 0)
                abort();
        }
        if (question.n_choices == 0 || question.gold >= question.n_choices) abort();
        size_t shots = file.n_items > 3 ? 3 : file.n_items - 1;
        if (i < 4 &&
            qm_fewshot_prompt(&file, i, shots, size, &question, &prompt, &err) != QUAMBA_OK)
            abort();
    }
    qm_question_free(&question);
    qm_text_free(&prompt);
    qm_task_file_close(&file);
    return 0;
}

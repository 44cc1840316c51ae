#include "eval/compare_sample.h"

#include "base/mem.h"
#include "eval/score.h"
#include "eval/text_file.h"

#include <stdlib.h>
#include <string.h>

bool qm_sample_add(qm_sample *s, const int32_t *ids, size_t n_ids, size_t n_tokens)
{
    const size_t left = n_tokens > s->n_tokens ? n_tokens - s->n_tokens : 0;
    size_t n = n_ids > 0 ? n_ids - 1 : 0;
    if (n > QM_PIECE_TOKENS) n = QM_PIECE_TOKENS;
    if (n > left) n = left;
    if (n == 0) return true;
    const size_t at = s->n_pieces > 0 ? s->starts[s->n_pieces] : 0;
    if (!qm_grow(&s->ids, &s->ids_capacity, at + n + 1, sizeof *s->ids) ||
        !qm_grow(&s->starts, &s->starts_capacity, s->n_pieces + 2, sizeof *s->starts))
        return false;
    memcpy(s->ids + at, ids, (n + 1) * sizeof *ids);
    s->starts[s->n_pieces++] = at;
    s->starts[s->n_pieces] = at + n + 1;
    s->n_tokens += n;
    return true;
}

static quamba_status add_question(qm_sample *s, const qm_question *q,
                                  const quamba_tokenizer *tokenizer, size_t n_tokens,
                                  quamba_error *err)
{
    const qm_span context = q->context[q->gold], continuation = q->continuation[q->gold];
    qm_text pair = {0};
    qm_sequence sequence = {0};
    size_t n_context = 0;
    qm_text_add(&pair, q->text.data + context.at, context.size);
    qm_text_add(&pair, q->text.data + continuation.at, continuation.size);
    quamba_status status = pair.failed ? qm_fail_memory(err, pair.size, "a question") : QUAMBA_OK;
    if (status == QUAMBA_OK)
        status = qm_context_count(tokenizer, pair.data, context.size, &n_context, err);
    if (status == QUAMBA_OK)
        status = qm_sequence_encode(&sequence, tokenizer, pair.data, pair.size, n_context, err);
    if (status == QUAMBA_OK && !qm_sample_add(s, sequence.ids, sequence.n_ids, n_tokens))
        status = qm_fail_memory(err, sequence.n_ids * sizeof *sequence.ids, "a sample of text");
    quamba_free(sequence.ids);
    qm_text_free(&pair);
    return status;
}

static quamba_status add_questions(qm_sample *s, const qm_task *task, const char *path,
                                   const quamba_tokenizer *tokenizer, uint64_t n_items,
                                   size_t n_tokens, quamba_error *err)
{
    qm_task_file file;
    qm_question question = {0};
    quamba_status status = qm_task_file_open(&file, task, path, err);
    if (status != QUAMBA_OK) return status;
    for (size_t i = 0; status == QUAMBA_OK && i < file.n_items; i++) {
        if ((n_items > 0 && i >= n_items) || s->n_tokens >= n_tokens) break;
        status = qm_task_file_question(&file, i, &question, err);
        if (status == QUAMBA_OK) status = add_question(s, &question, tokenizer, n_tokens, err);
    }
    qm_question_free(&question);
    qm_task_file_close(&file);
    return status;
}

static quamba_status add_text(qm_sample *s, const qm_task *task, const char *path,
                              const quamba_tokenizer *tokenizer, size_t n_tokens, quamba_error *err)
{
    qm_text_file file;
    quamba_status status = qm_text_file_open(&file, task, path, tokenizer, err);
    for (size_t at = 0; status == QUAMBA_OK && at + 1 < file.n_ids && s->n_tokens < n_tokens;
         at += QM_PIECE_TOKENS)
        if (!qm_sample_add(s, file.ids + at, file.n_ids - at, n_tokens))
            status = qm_fail_memory(err, file.n_ids * sizeof *file.ids, "a sample of text");
    qm_text_file_close(&file);
    return status;
}

quamba_status qm_sample_open(qm_sample *sample, const qm_task *task, const char *path,
                             const quamba_tokenizer *tokenizer, uint64_t n_items, size_t n_tokens,
                             quamba_error *err)
{
    *sample = (qm_sample){0};
    quamba_status status =
        task->form == QM_TASK_TEXT
            ? add_text(sample, task, path, tokenizer, n_tokens, err)
            : add_questions(sample, task, path, tokenizer, n_items, n_tokens, err);
    if (status != QUAMBA_OK) qm_sample_close(sample);
    return status;
}

void qm_sample_close(qm_sample *s)
{
    free(s->ids);
    free(s->starts);
    *s = (qm_sample){0};
}

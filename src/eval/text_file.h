/* A plain text file as tokens. */
#ifndef QM_EVAL_TEXT_FILE_H
#define QM_EVAL_TEXT_FILE_H

#include "eval/task.h"

typedef struct qm_text_file {
    int32_t *ids;  /* owned, qm_text_file_close */
    size_t n_ids;  /* >= 2 */
    uint64_t hash; /* of the file's bytes */
} qm_text_file;

/* Lines end with a line feed, whatever the file has (CR LF, CR), as for any program that reads in
 * text mode: the usual wikitext2 file has CR LF, and the usual scores are without the CR. */
quamba_status qm_text_file_open(qm_text_file *file, const qm_task *task, const char *path,
                                const quamba_tokenizer *tokenizer, quamba_error *err);
void qm_text_file_close(qm_text_file *file);

#endif

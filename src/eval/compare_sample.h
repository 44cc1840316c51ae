/* Text on which runs are held against each other, edge by edge: the beginnings of task items (the
 * context and the right continuation), or stretches of a text. */
#ifndef QM_EVAL_COMPARE_SAMPLE_H
#define QM_EVAL_COMPARE_SAMPLE_H

#include "eval/task.h"

enum { QM_PIECE_TOKENS = 256 }; /* fed at most, from a zero state: a whole prompt for every mode */

/* Piece i feeds ids[starts[i] .. starts[i + 1] - 2] and is to predict the token after each. */
typedef struct qm_sample {
    int32_t *ids;
    size_t *starts;            /* [n_pieces + 1] */
    size_t n_pieces, n_tokens; /* n_tokens: fed in all, as many are predicted */
    size_t ids_capacity, starts_capacity;
} qm_sample;

/* The first pieces of the task's file, at most n_tokens tokens of at most n_items items (0: all);
 * the last piece is cut to fit. */
quamba_status qm_sample_open(qm_sample *sample, const qm_task *task, const char *path,
                             const quamba_tokenizer *tokenizer, uint64_t n_items, size_t n_tokens,
                             quamba_error *err);

/* Adds ids[n_ids] as a piece that feeds all but the last, cut to QM_PIECE_TOKENS and to what is
 * left of n_tokens; nothing of fewer than two.  False without memory. */
bool qm_sample_add(qm_sample *sample, const int32_t *ids, size_t n_ids, size_t n_tokens);
void qm_sample_close(qm_sample *sample);

/* Tokens that piece i feeds. */
static inline size_t qm_piece_size(const qm_sample *sample, size_t i)
{
    return sample->starts[i + 1] - sample->starts[i] - 1;
}

#endif

/* Scoring: a context and a continuation as tokens, and log-likelihoods of many of them at a time.
 */
#ifndef QM_EVAL_SCORE_H
#define QM_EVAL_SCORE_H

#include "base/status.h"

/* The harness's limit: the model is fed at most this many tokens of context and continuation (the
 * last ones), so that at most as many are predicted.  Segments of perplexity are as long. */
enum { QM_MAX_TOKENS = 2048 };

/* Where context ends and continuation begins: blanks (Unicode ones included) at the end of the
 * context belong to the continuation.  Returns the size of the context without them. */
size_t qm_trim_context(const char *context, size_t size);

/* Tokens to feed and to score.  The model sees ids[0 .. n_ids-2]; ids[n_ids - n_scored ..] are
 * scored. */
typedef struct qm_sequence {
    int32_t *ids; /* owned (quamba_free) */
    size_t n_ids; /* 2 .. QM_MAX_TOKENS + 1 */
    size_t n_scored;
    double loglik;  /* out: sum of the log-probabilities, in order */
    bool is_greedy; /* out: every scored token is the argmax */
} qm_sequence;

/* Tokens of context alone, as qm_sequence_encode needs it; several continuations of one context
 * share it. */
quamba_status qm_context_count(const quamba_tokenizer *tokenizer, const char *context, size_t size,
                               size_t *n_tokens, quamba_error *err);

/* The harness's rule: text is context and continuation as one string, n_context the tokens of the
 * trimmed context alone; the continuation's tokens are those of the text after the first n_context.
 * With n_context 0 the tokenizer's end-of-text token is the context.  The front is cut off when
 * there are more than QM_MAX_TOKENS + 1 tokens.  Fails when no token is left to score. */
quamba_status qm_sequence_encode(qm_sequence *sequence, const quamba_tokenizer *tokenizer,
                                 const char *text, size_t size, size_t n_context,
                                 quamba_error *err);

/* Longest beginning that all n sequences share and that holds no token whose logits are scored; 0
 * for one sequence. */
size_t qm_shared_prefix(const qm_sequence *sequences, size_t n);

/* A pool of sessions of one model. */
typedef struct qm_scorer qm_scorer;

quamba_status qm_scorer_new(qm_scorer **scorer, const quamba_model *model,
                            const quamba_session_options *options, bool decode, quamba_error *err);
void qm_scorer_free(qm_scorer **scorer);

/* True when another group should wait for the next run: enough work to read the weights for. */
bool qm_scorer_is_full(const qm_scorer *scorer, size_t n_sequences, size_t n_tokens);

/* Scores the sequences of n_groups groups (group_size[] of them each, one after the other).  What a
 * group's sequences have in common at their beginning is read once.  The result of a sequence does
 * not depend on its company.  cancelled (may be NULL) is asked now and then: E_CANCELLED. */
quamba_status qm_scorer_run(qm_scorer *scorer, qm_sequence *sequences, const size_t *group_size,
                            size_t n_groups, bool (*cancelled)(void *user), void *user,
                            quamba_error *err);

#endif

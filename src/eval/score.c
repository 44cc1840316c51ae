#include "eval/score.h"

#include "datapath/datapath.h"
#include "model/model.h"

#include "base/mem.h"

#include <stdlib.h>

enum {
    BATCH_TOKENS = 1024, /* rows enough to be bound by arithmetic, few enough to lose little */
    BATCH_SESSIONS = 32, /* in decode every session adds one row */
    CHUNK_TOKENS = 256   /* between two questions whether to go on */
};

/* States of waiting sessions take at most about this much memory, unless one group needs more. */
static const uint64_t pool_bytes = (uint64_t)256 << 20;

struct qm_scorer {
    const quamba_model *model;
    quamba_session_options options;
    bool decode;
    bool whole;          /* a prompt is read in one piece, since the datapath looks at all of it */
    size_t max_sessions; /* wanted in one run */
    quamba_session **sessions; /* the first one has the threads and the scratch */
    size_t n_sessions, sessions_capacity;
    quamba_job *jobs, *pieces;
    size_t jobs_capacity, pieces_capacity;
    size_t *slots; /* first session of each group */
    size_t slots_capacity;
    int32_t *targets; /* of all jobs, one after the other */
    size_t targets_capacity;
    quamba_logprob *logprobs;
    size_t logprobs_capacity;
};

quamba_status qm_scorer_new(qm_scorer **scorer, const quamba_model *model,
                            const quamba_session_options *options, bool decode, quamba_error *err)
{
    qm_scorer *s = *scorer = qm_alloc(1, sizeof *s);
    if (!s) return qm_fail_memory(err, sizeof *s, "a scorer");
    quamba_model_info info = quamba_model_get_info(model);
    uint64_t fit = info.state_bytes > 0 ? pool_bytes / info.state_bytes : BATCH_SESSIONS;
    *s = (qm_scorer){.model = model,
                     .options = *options,
                     .decode = decode,
                     .whole = !decode && qm_sees_whole_prompt(model->datapath),
                     .max_sessions = fit < BATCH_SESSIONS ? (size_t)fit : BATCH_SESSIONS};
    return QUAMBA_OK;
}

void qm_scorer_free(qm_scorer **scorer)
{
    qm_scorer *s = *scorer;
    if (!s) return;
    for (size_t i = s->n_sessions; i-- > 0;)
        quamba_session_free(&s->sessions[i]);
    free(s->sessions);
    free(s->jobs);
    free(s->pieces);
    free(s->slots);
    free(s->targets);
    free(s->logprobs);
    free(s);
    *scorer = NULL;
}

bool qm_scorer_is_full(const qm_scorer *scorer, size_t n_sequences, size_t n_tokens)
{
    if (n_sequences >= scorer->max_sessions) return true;
    /* One more of this size would leave a pass with few rows, as dear as a full one. */
    return !scorer->decode && n_sequences > 0 && n_tokens + n_tokens / n_sequences > BATCH_TOKENS;
}

/* Room for a run; all that a run allocates, and only when it is larger than any before. */
static quamba_status reserve(qm_scorer *s, size_t n_sequences, size_t n_groups, size_t n_tokens,
                             quamba_error *err)
{
    if (!qm_grow(&s->sessions, &s->sessions_capacity, n_sequences, sizeof(quamba_session *)) ||
        !qm_grow(&s->jobs, &s->jobs_capacity, n_sequences, sizeof *s->jobs) ||
        !qm_grow(&s->pieces, &s->pieces_capacity, n_sequences, sizeof *s->pieces) ||
        !qm_grow(&s->slots, &s->slots_capacity, n_groups, sizeof *s->slots) ||
        !qm_grow(&s->targets, &s->targets_capacity, n_tokens, sizeof *s->targets) ||
        !qm_grow(&s->logprobs, &s->logprobs_capacity, n_tokens, sizeof *s->logprobs))
        return qm_fail_memory(err, n_tokens * sizeof *s->logprobs, "scoring");
    for (; s->n_sessions < n_sequences; s->n_sessions++) {
        quamba_session_options options = s->options;
        if (s->n_sessions > 0) options.n_threads = options.max_rows = 1; /* never runs a batch */
        quamba_status status =
            quamba_session_new(&s->sessions[s->n_sessions], s->model, &options, err);
        if (status != QUAMBA_OK) return status;
    }
    return QUAMBA_OK;
}

/* Tokens that a group of sequences has in common and that can be read once for all of them. */
static size_t shared_prefix(const qm_scorer *s, const qm_sequence *group, size_t n)
{
    return s->whole ? 0 : qm_shared_prefix(group, n);
}

/* Runs s->jobs[n_jobs].  Jobs of equal length (segments of a text, a single long item) are cut into
 * pieces, so that an interrupt is soon seen; the cut changes no bit. */
static quamba_status run_jobs(qm_scorer *s, size_t n_jobs, bool (*cancelled)(void *), void *user,
                              quamba_error *err)
{
    size_t total = s->jobs[0].n_tokens, step = CHUNK_TOKENS;
    if (s->whole) step = SIZE_MAX;
    for (size_t j = 1; j < n_jobs; j++)
        if (s->jobs[j].n_tokens != total) step = SIZE_MAX;
    quamba_status status = QUAMBA_OK;
    for (size_t at = 0; at < total && status == QUAMBA_OK; at += step) {
        if (cancelled && cancelled(user)) return qm_fail(err, QUAMBA_E_CANCELLED, 0, "interrupted");
        for (size_t j = 0; j < n_jobs; j++) {
            quamba_job *piece = &s->pieces[j];
            *piece = s->jobs[j];
            piece->tokens += at;
            if (step != SIZE_MAX) piece->n_tokens = total - at < step ? total - at : step;
            if (piece->targets) {
                piece->targets += at;
                piece->logprobs += at;
            }
        }
        status = quamba_session_run(s->pieces, n_jobs, err);
        if (step == SIZE_MAX) break;
    }
    return status;
}

/* Gives groups their sessions.  Those with a shared prefix come first: the first session, which
 * does the work of a run, must be in both runs. */
static void assign_slots(qm_scorer *s, const qm_sequence *sequences, const size_t *group_size,
                         size_t n_groups, size_t *n_prefixes)
{
    size_t slot = 0;
    *n_prefixes = 0;
    for (int pass = 0; pass < 2; pass++) {
        const qm_sequence *group = sequences;
        for (size_t g = 0; g < n_groups; group += group_size[g++]) {
            bool shares = shared_prefix(s, group, group_size[g]) > 0;
            if (shares == (pass == 1)) continue;
            s->slots[g] = slot;
            slot += group_size[g];
            *n_prefixes += shares;
        }
    }
}

/* Reads every group's shared prefix into its first session and copies the state to the others. */
static quamba_status run_prefixes(qm_scorer *s, const qm_sequence *sequences,
                                  const size_t *group_size, size_t n_groups,
                                  bool (*cancelled)(void *), void *user, quamba_error *err)
{
    size_t n_jobs = 0;
    const qm_sequence *group = sequences;
    for (size_t g = 0; g < n_groups; group += group_size[g++]) {
        size_t prefix = shared_prefix(s, group, group_size[g]);
        quamba_session *session = s->sessions[s->slots[g]];
        if (prefix == 0) continue;
        quamba_session_reset(session);
        s->jobs[n_jobs++] = (quamba_job){
            .session = session, .tokens = group->ids, .n_tokens = prefix, .decode = s->decode};
    }
    quamba_status status = run_jobs(s, n_jobs, cancelled, user, err);
    group = sequences;
    for (size_t g = 0; g < n_groups && status == QUAMBA_OK; group += group_size[g++]) {
        if (shared_prefix(s, group, group_size[g]) == 0) continue;
        for (size_t k = 1; k < group_size[g] && status == QUAMBA_OK; k++)
            status =
                quamba_session_copy(s->sessions[s->slots[g] + k], s->sessions[s->slots[g]], err);
    }
    return status;
}

/* The job of one sequence: what is left after the first `prefix` tokens, at offset `at` of the
 * arrays. */
static quamba_job make_job(qm_scorer *s, const qm_sequence *q, size_t prefix, size_t slot,
                           size_t at)
{
    size_t n = q->n_ids - 1 - prefix, quiet = n - q->n_scored;
    for (size_t i = 0; i < n; i++)
        s->targets[at + i] = i < quiet ? -1 : q->ids[prefix + i + 1];
    return (quamba_job){.session = s->sessions[slot],
                        .tokens = q->ids + prefix,
                        .n_tokens = n,
                        .decode = s->decode,
                        .targets = s->targets + at,
                        .logprobs = s->logprobs + at};
}

static void collect(qm_sequence *q, const quamba_job *job)
{
    q->loglik = 0.0;
    q->is_greedy = true;
    for (size_t i = job->n_tokens - q->n_scored; i < job->n_tokens; i++) {
        q->loglik += job->logprobs[i].logprob;
        q->is_greedy &= job->logprobs[i].argmax == job->targets[i];
    }
}

quamba_status qm_scorer_run(qm_scorer *s, qm_sequence *sequences, const size_t *group_size,
                            size_t n_groups, bool (*cancelled)(void *), void *user,
                            quamba_error *err)
{
    size_t n_sequences = 0, n_tokens = 0, n_prefixes = 0;
    for (size_t g = 0; g < n_groups; g++)
        n_sequences += group_size[g];
    for (size_t i = 0; i < n_sequences; i++)
        n_tokens += sequences[i].n_ids;
    if (n_sequences == 0) return QUAMBA_OK;
    quamba_status status = reserve(s, n_sequences, n_groups, n_tokens, err);
    if (status != QUAMBA_OK) return status;
    assign_slots(s, sequences, group_size, n_groups, &n_prefixes);
    if (n_prefixes > 0)
        status = run_prefixes(s, sequences, group_size, n_groups, cancelled, user, err);
    if (status != QUAMBA_OK) return status;

    size_t at = 0;
    qm_sequence *group = sequences;
    for (size_t g = 0; g < n_groups; group += group_size[g++]) {
        size_t prefix = shared_prefix(s, group, group_size[g]);
        for (size_t k = 0; k < group_size[g]; k++) {
            size_t slot = s->slots[g] + k;
            if (prefix == 0) quamba_session_reset(s->sessions[slot]);
            s->jobs[slot] = make_job(s, &group[k], prefix, slot, at);
            at += s->jobs[slot].n_tokens;
        }
    }
    status = run_jobs(s, n_sequences, cancelled, user, err);
    if (status != QUAMBA_OK) return status;
    group = sequences;
    for (size_t g = 0; g < n_groups; group += group_size[g++])
        for (size_t k = 0; k < group_size[g]; k++)
            collect(&group[k], &s->jobs[s->slots[g] + k]);
    return QUAMBA_OK;
}

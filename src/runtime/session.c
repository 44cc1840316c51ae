#include "runtime/session.h"

#include "runtime/edges.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *quamba_edge_name(int32_t index)
{
    static const char *const names[QM_N_EDGES] = {
#define QM_EDGE_NAME(id, name) [QM_EDGE_##id] = name,
        QM_EDGE_LIST(QM_EDGE_NAME)
#undef QM_EDGE_NAME
    };
    return index >= 0 && index < QM_N_EDGES ? names[index] : NULL;
}

qm_edge qm_edge_of(const quamba_view *view)
{
    int32_t i = 0;
    while (strcmp(quamba_edge_name(i), view->edge) != 0)
        i++;
    return (qm_edge)i;
}

quamba_session_options quamba_session_options_default(void)
{
    return (quamba_session_options){.cpu = "native", .n_threads = 1, .max_rows = 256};
}

static quamba_status check_options(const quamba_session_options *opt, uint32_t *cpu,
                                   quamba_error *err)
{
    if (opt->n_threads < 1 || opt->n_threads > 1024)
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "n_threads is %" PRId32 ", must be in 1 .. 1024",
                       opt->n_threads);
    if (opt->max_rows < 1 || opt->max_rows > QM_MAX_ROWS)
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "max_rows is %" PRId32 ", must be in 1 .. %d",
                       opt->max_rows, QM_MAX_ROWS);
    int64_t flags = qm_cpu_select(opt->cpu);
    if (flags == -1)
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                       "there is no instruction set \"%.40s\"; choose one of %s", opt->cpu,
                       qm_cpu_names());
    if (flags < 0)
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "this processor does not have \"%.40s\"",
                       opt->cpu);
    *cpu = (uint32_t)flags;
    return QUAMBA_OK;
}

quamba_status quamba_session_new(quamba_session **session, const quamba_model *model,
                                 const quamba_session_options *options, quamba_error *error)
{
    quamba_session_options opt = options ? *options : quamba_session_options_default();
    uint32_t cpu = 0;
    *session = NULL;
    quamba_status status = check_options(&opt, &cpu, error);
    if (status != QUAMBA_OK) return status;
    quamba_session *s = qm_alloc(1, sizeof *s);
    if (!s) return qm_fail_memory(error, sizeof *s, "a session");
    s->model = model;
    s->options = opt;
    s->tap = opt.tap;
    s->tap_user = opt.tap_user;
    s->options.cpu = NULL; /* the caller's string may go; the kernels are chosen */
    s->kernels = qm_kernels_select(cpu);
    status = qm_session_allocate(s, error);
    if (status != QUAMBA_OK) quamba_session_free(&s);
    *session = s;
    return status;
}

void quamba_session_free(quamba_session **session)
{
    quamba_session *s = *session;
    if (!s) return;
    qm_arena_free(&s->arena);
    qm_arena_free(&s->scratch);
    free(s->scores);
    free(s);
    *session = NULL;
}

quamba_status quamba_session_fork(quamba_session **session, const quamba_session *source,
                                  quamba_error *error)
{
    quamba_session_options opt = source->options;
    opt.cpu = "scalar"; /* replaced below by the very kernels of the source */
    quamba_status status = quamba_session_new(session, source->model, &opt, error);
    if (status != QUAMBA_OK) return status;
    (*session)->kernels = source->kernels;
    return quamba_session_copy(*session, source, error);
}

quamba_status quamba_session_copy(quamba_session *session, const quamba_session *source,
                                  quamba_error *error)
{
    if (session->model != source->model)
        return qm_fail(error, QUAMBA_E_ARGUMENT, 0, "the two sessions are of different models");
    const qm_config *c = &session->model->config;
    if (session == source) return QUAMBA_OK;
    if (c->quantized)
        memcpy(session->conv_codes, source->conv_codes, qm_conv_count(c));
    else
        memcpy(session->conv_state, source->conv_state, qm_conv_count(c) * sizeof(float));
    if (session->conv_scales)
        memcpy(session->conv_scales, source->conv_scales, qm_conv_scale_count(c) * sizeof(float));
    memcpy(session->ssm_state, source->ssm_state, qm_ssm_count(c) * sizeof(float));
    session->on_grid = source->on_grid;
    session->position = source->position;
    return QUAMBA_OK;
}

void quamba_session_reset(quamba_session *session)
{
    const qm_config *c = &session->model->config;
    if (c->quantized)
        memset(session->conv_codes, 0, qm_conv_count(c));
    else
        memset(session->conv_state, 0, qm_conv_count(c) * sizeof(float));
    if (session->conv_scales)
        memset(session->conv_scales, 0, qm_conv_scale_count(c) * sizeof(float));
    memset(session->ssm_state, 0, qm_ssm_count(c) * sizeof(float));
    session->on_grid = false;
    session->position = 0;
}

uint64_t quamba_session_saturated(const quamba_session *session, int32_t layer, int32_t edge)
{
    if (layer < 0 || layer > session->model->config.n_layer || edge < 0 || edge >= QM_N_EDGES)
        return 0;
    return session->lost[(size_t)layer * QM_N_EDGES + (size_t)edge];
}

uint64_t quamba_session_position(const quamba_session *session) { return session->position; }

void quamba_session_set_tap(quamba_session *session, quamba_tap *tap, void *user)
{
    session->tap = tap;
    session->tap_user = user;
}

/* ---- running ----------------------------------------------------------------------------------
 */

static quamba_status check_job(const quamba_job *job, const quamba_session *first,
                               quamba_error *err)
{
    if (!job->session || job->session->model != first->model)
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "the jobs are of different models");
    if (job->n_tokens == 0)
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "there are no tokens to feed");
    int32_t n_vocab = first->model->config.n_vocab;
    for (size_t i = 0; i < job->n_tokens; i++)
        if (job->tokens[i] < 0 || job->tokens[i] >= n_vocab)
            return qm_fail(err, QUAMBA_E_ARGUMENT, i,
                           "token %zu is id %" PRId32 ", must be in 0 .. %" PRId32, i,
                           job->tokens[i], n_vocab - 1);
    for (size_t i = 0; job->targets && i < job->n_tokens; i++)
        if (job->targets[i] < -1 || job->targets[i] >= n_vocab)
            return qm_fail(err, QUAMBA_E_ARGUMENT, i,
                           "target %zu is id %" PRId32 ", must be in 0 .. %" PRId32, i,
                           job->targets[i], n_vocab - 1);
    return QUAMBA_OK;
}

/* A row that looks at a whole prompt gets it in one piece: room for the longest of them. */
static quamba_status make_room(quamba_session *owner, const quamba_job *jobs, size_t n_jobs,
                               quamba_error *err)
{
    size_t longest = (size_t)owner->options.max_rows;
    for (size_t i = 0; i < n_jobs; i++)
        if (!jobs[i].decode && jobs[i].n_tokens > longest) longest = jobs[i].n_tokens;
    if (!qm_sees_whole_prompt(owner->model->datapath) || longest == (size_t)owner->options.max_rows)
        return QUAMBA_OK;
    if (longest > QM_MAX_ROWS)
        return qm_fail(err, QUAMBA_E_LIMIT, longest,
                       "a prompt of %zu tokens: mode %s reads it in one piece, at most %d", longest,
                       owner->model->datapath->id, QM_MAX_ROWS);
    return qm_session_grow(owner, (int32_t)longest, err);
}

/* Adds the next stretch of a job to the pass that owner's arrays describe, if it fits. */
static void add_segment(quamba_session *owner, qm_pass *pass, quamba_job *job)
{
    size_t left = job->n_tokens - job->n_done;
    int32_t room = owner->options.max_rows - pass->n_rows;
    if (!job->decode && left > (size_t)room && qm_sees_whole_prompt(owner->model->datapath)) return;
    int32_t n = job->decode ? 1 : left < (size_t)room ? (int32_t)left : room;
    qm_segment *seg = &pass->segments[pass->n_segments++];
    *seg = (qm_segment){job->session, job->tokens + job->n_done, pass->n_rows, n, job->decode};
    for (int32_t r = 0; r < n; r++) {
        size_t i = job->n_done + (size_t)r;
        bool whole = job->want_logits && i + 1 == job->n_tokens;
        int32_t target = job->targets ? job->targets[i] : -1;
        if (!whole && target < 0) continue;
        pass->heads[pass->n_heads++] = (qm_head_row){
            .row = pass->n_rows + r,
            .segment = seg,
            .logits = whole ? job->session->logits : NULL,
            .target = target,
            .logprob = target >= 0 ? &job->logprobs[i] : NULL,
        };
    }
    pass->n_rows += n;
    job->n_done += (size_t)n;
}

quamba_status quamba_session_run(quamba_job *jobs, size_t n_jobs, quamba_error *error)
{
    if (n_jobs == 0) return QUAMBA_OK;
    quamba_session *owner = jobs[0].session;
    if (!owner) return qm_fail(error, QUAMBA_E_ARGUMENT, 0, "job 0 has no session");
    bool several = n_jobs > 1; /* whether more than one row may want logits in a pass */
    for (size_t i = 0; i < n_jobs; i++) {
        quamba_status status = check_job(&jobs[i], owner, error);
        if (status != QUAMBA_OK) return status;
        for (size_t j = 0; j < i; j++)
            if (jobs[j].session == jobs[i].session)
                return qm_fail(error, QUAMBA_E_ARGUMENT, i, "jobs %zu and %zu name one session", j,
                               i);
        several = several || jobs[i].targets;
    }
    quamba_status status = make_room(owner, jobs, n_jobs, error);
    if (status != QUAMBA_OK) return status;
    if (several && !owner->scores) {
        size_t n = QM_SCORE_ROWS * (size_t)owner->model->config.n_vocab;
        owner->scores = qm_alloc(n, sizeof(float));
        if (!owner->scores) return qm_fail_memory(error, n * sizeof(float), "logits to score");
    }
    for (size_t i = 0; i < n_jobs; i++) {
        jobs[i].n_done = 0;
        jobs[i].logits = jobs[i].want_logits ? jobs[i].session->logits : NULL;
    }
    for (;;) {
        qm_pass pass = {.segments = owner->segments, .heads = owner->heads};
        for (size_t i = 0; i < n_jobs && pass.n_rows < owner->options.max_rows; i++)
            if (jobs[i].n_done < jobs[i].n_tokens) add_segment(owner, &pass, &jobs[i]);
        if (pass.n_rows == 0) return QUAMBA_OK;
        qm_forward(owner, &pass);
    }
}

static quamba_status run_one(quamba_session *session, const int32_t *tokens, size_t n_tokens,
                             bool decode, const float **logits, quamba_error *error)
{
    quamba_job job = {.session = session,
                      .tokens = tokens,
                      .n_tokens = n_tokens,
                      .decode = decode,
                      .want_logits = logits != NULL};
    quamba_status status = quamba_session_run(&job, 1, error);
    if (logits) *logits = status == QUAMBA_OK ? job.logits : NULL;
    return status;
}

quamba_status quamba_session_prefill(quamba_session *session, const int32_t *tokens,
                                     size_t n_tokens, const float **logits, quamba_error *error)
{
    return run_one(session, tokens, n_tokens, false, logits, error);
}

quamba_status quamba_session_step(quamba_session *session, int32_t token, const float **logits,
                                  quamba_error *error)
{
    return run_one(session, &token, 1, true, logits, error);
}

#include "quant/search.h"

#include "base/fmath.h"
#include "datapath/datapath.h"
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

/* What all candidates share. */
typedef struct searching {
    qm_search *search;
    const qm_fused *fused;
    const qm_observations *obs;
    const qm_texts *texts;
    const qm_ptq_options *ptq;
    const qm_calibration_options *options;
    size_t first;             /* of the held-back texts */
    quamba_logprob *logprobs; /* as many as the longest held-back text has tokens */
    size_t n_done;            /* texts scored, all candidates together */
    quamba_error *err;
} searching;

static size_t length_of(const searching *s, size_t text)
{
    return s->texts->begin[text + 1] - s->texts->begin[text];
}

static quamba_status report(searching *s)
{
    const qm_calibration_options *o = s->options;
    if (o->progress) o->progress(o->user, s->n_done, s->obs->n_alphas * s->search->n_texts);
    if (o->cancelled && o->cancelled(o->user))
        return qm_fail(s->err, QUAMBA_E_CANCELLED, s->n_done, "the search for alpha was cancelled");
    return QUAMBA_OK;
}

/* Every token of a text but the first is predicted from those before it. */
static quamba_status score_text(searching *s, quamba_session *session, size_t text, double *sum)
{
    const int32_t *ids = s->texts->ids + s->texts->begin[text];
    const size_t n = length_of(s, text) - 1;
    quamba_job job = {.session = session,
                      .tokens = ids,
                      .n_tokens = n,
                      .targets = ids + 1,
                      .logprobs = s->logprobs};
    if (n == 0) return QUAMBA_OK;
    quamba_session_reset(session);
    quamba_status status = quamba_session_run(&job, 1, s->err);
    for (size_t i = 0; i < n && status == QUAMBA_OK; i++)
        *sum += s->logprobs[i].logprob;
    return status;
}

static quamba_status score_model(searching *s, const quamba_model *model, double *perplexity)
{
    const quamba_session_options o = {
        .cpu = s->options->cpu, .n_threads = s->options->n_threads, .max_rows = 256};
    quamba_session *session = NULL;
    double sum = 0;
    quamba_status status = quamba_session_new(&session, model, &o, s->err);
    for (size_t i = s->first; i < s->texts->n && status == QUAMBA_OK; i++) {
        status = score_text(s, session, i, &sum);
        if (status != QUAMBA_OK) break;
        s->n_done++;
        status = report(s);
    }
    *perplexity = qm_exp64(-sum / (double)s->search->n_tokens);
    quamba_session_free(&session);
    return status;
}

static quamba_status try_alpha(searching *s, size_t k)
{
    qm_act_scales scales = {0};
    qm_quantized *quantized = NULL;
    quamba_model *model = qm_alloc(1, sizeof *model);
    if (!model) return qm_fail_memory(s->err, sizeof *model, "a model");
    model->config = s->fused->config;
    model->config.quantized = true;
    model->config.scheme = QM_W8A8;
    model->datapath = qm_datapath_default(true);
    quamba_status status = qm_observations_scales(s->obs, s->first, k, &scales, s->err);
    if (status == QUAMBA_OK)
        status = qm_quantize_w8a8(&quantized, s->fused, &scales, s->ptq, s->err);
    if (status == QUAMBA_OK)
        status = qm_model_bind(model, qm_quantized_find, quantized, s->ptq->n_threads, s->err);
    if (status == QUAMBA_OK) status = score_model(s, model, &s->search->tried[k].perplexity);
    quamba_model_close(&model);
    qm_quantized_free(&quantized);
    qm_act_scales_free(&scales);
    return status;
}

static quamba_status hold_back(searching *s)
{
    const size_t n = s->texts->n, eighth = n / 8 > 0 ? n / 8 : 1;
    size_t longest = 0;
    s->search->n_texts = eighth < QM_HELD_BACK ? eighth : QM_HELD_BACK;
    s->first = n - s->search->n_texts;
    for (size_t i = s->first; i < n; i++) {
        s->search->n_tokens += length_of(s, i) - 1;
        if (length_of(s, i) > longest) longest = length_of(s, i);
    }
    if (n < 2 || s->search->n_tokens == 0)
        return qm_fail(s->err, QUAMBA_E_ARGUMENT, n,
                       "%zu texts are too few to choose alpha: some are held back to be scored, "
                       "and one of those must have two tokens",
                       n);
    s->logprobs = qm_alloc(longest, sizeof *s->logprobs);
    return s->logprobs ? QUAMBA_OK
                       : qm_fail_memory(s->err, longest * sizeof *s->logprobs, "probabilities");
}

quamba_status qm_search_alpha(qm_search *search, const qm_fused *fused,
                              const qm_observations *observations, const qm_texts *texts,
                              const qm_ptq_options *ptq, const qm_calibration_options *options,
                              quamba_error *err)
{
    searching s = {.search = search,
                   .fused = fused,
                   .obs = observations,
                   .texts = texts,
                   .ptq = ptq,
                   .options = options,
                   .err = err};
    *search = (qm_search){.n_tried = observations->n_alphas};
    quamba_status status = hold_back(&s);
    if (status == QUAMBA_OK) status = report(&s);
    for (size_t k = 0; k < search->n_tried && status == QUAMBA_OK; k++) {
        search->tried[k].alpha = observations->alphas[k];
        status = try_alpha(&s, k);
        if (search->tried[k].perplexity < search->tried[search->best].perplexity) search->best = k;
    }
    free(s.logprobs);
    return status;
}

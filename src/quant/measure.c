#include "quant/measure.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double candidates[] = {0.999, 0.9995, 0.9999, 0.99999, 1.0};

/* A stage of quamba_quantize's progress. */
typedef struct stage {
    const quamba_quantize_options *options;
    const char *name;
} stage;

static void on_progress(void *user, uint64_t done, uint64_t total)
{
    const stage *s = user;
    if (s->options->progress) s->options->progress(s->options->user, s->name, done, total);
}

static bool on_cancelled(void *user)
{
    const stage *s = user;
    return s->options->cancelled && s->options->cancelled(s->options->user);
}

static quamba_status read_texts(qm_texts *texts, const char *model_file,
                                const quamba_quantize_options *o, quamba_error *err)
{
    const char *slash = strrchr(model_file, '/');
    char *dir =
        slash ? qm_strndup(model_file, (size_t)(slash - model_file) + 1) : qm_strndup(".", 1);
    quamba_tokenizer *tokenizer = NULL;
    if (!dir) return qm_fail_memory(err, strlen(model_file), "a path");
    quamba_status status = quamba_tokenizer_open(&tokenizer, dir, err);
    if (status == QUAMBA_OK)
        status = qm_texts_read(texts, o->calibration, tokenizer, (size_t)o->calib_data_num,
                               (size_t)o->calib_seqlen, err);
    quamba_tokenizer_close(&tokenizer);
    free(dir);
    return status;
}

static quamba_status measure(qm_act_scales *scales, qm_measured *m, const qm_fused *fused,
                             const qm_texts *texts, const char *record,
                             const quamba_quantize_options *o, quamba_error *err)
{
    const bool search = o->search_alpha;
    const qm_ptq_options ptq = {o->quantize_embedding, o->quantize_lm_head, o->n_threads};
    stage now = {o, "calibrate"};
    const qm_calibration_options calibration = {.alphas =
                                                    search ? candidates : &o->percentile_alpha,
                                                .n_alphas = search ? QM_COUNT(candidates) : 1,
                                                .cpu = o->cpu,
                                                .n_threads = o->n_threads,
                                                .record = record,
                                                .progress = on_progress,
                                                .cancelled = on_cancelled,
                                                .user = &now};
    qm_observations obs;
    quamba_status status = qm_calibrate(&obs, fused, texts, &calibration, err);
    if (status == QUAMBA_OK) m->n_texts = texts->n;
    now.name = "choose alpha";
    if (status == QUAMBA_OK && search)
        status = qm_search_alpha(&m->search, fused, &obs, texts, &ptq, &calibration, err);
    if (status == QUAMBA_OK) {
        m->alpha = obs.alphas[m->search.best];
        status = qm_observations_scales(&obs, texts->n, m->search.best, scales, err);
    }
    qm_observations_free(&obs);
    return status;
}

quamba_status qm_measure_scales(qm_act_scales *scales, qm_measured *measured, const qm_fused *fused,
                                const char *model_file, const char *record,
                                const quamba_quantize_options *options, quamba_error *err)
{
    qm_texts texts;
    *measured = (qm_measured){0};
    quamba_status status = read_texts(&texts, model_file, options, err);
    if (status != QUAMBA_OK) return status;
    snprintf(measured->ids_hash, sizeof measured->ids_hash, "%016" PRIx64,
             qm_texts_hash(&texts, texts.n));
    status = measure(scales, measured, fused, &texts, record, options, err);
    qm_texts_free(&texts);
    return status;
}

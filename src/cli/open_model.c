/* Models and sessions, with the common options honoured. */
#include "cli/frame.h"

#include "kernels/cpu.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

int32_t qc_n_threads(const qc_options *opt)
{
    if (opt->threads > 0) return (int32_t)opt->threads;
    int n = omp_get_num_procs();
    return n > 0 ? n : 1;
}

int qc_check_cpu(const qc_options *opt)
{
    int64_t flags = qm_cpu_select(opt->cpu);
    const char *source = qc_cpu_source(opt);
    if (flags == -1)
        return qc_fail(QC_USAGE, "%s %s: no such instruction set: one of %s", source, opt->cpu,
                       qm_cpu_names());
    if (flags < 0)
        return qc_fail(QC_USAGE, "%s %s: this processor lacks it; native takes the best it has",
                       source, opt->cpu);
    return QC_OK;
}

static void note_model(const qc_options *opt, const char *path, const quamba_model *model,
                       double seconds)
{
    quamba_model_info info = quamba_model_get_info(model);
    for (size_t i = 0; quamba_model_warning(model, i) != NULL; i++)
        qc_warn("%s: %s", path, quamba_model_warning(model, i));
    if (opt->verbose)
        qc_note(opt,
                "%s: %s, %d layers, %.1f M parameters, %.1f MB of weights (%s), mode %s; opened in "
                "%.0f ms",
                path, info.architecture, info.n_layer, 1e-6 * (double)info.n_parameters,
                1e-6 * (double)info.weights_bytes, info.weight_format, info.mode, 1e3 * seconds);
}

int qc_open_model(quamba_model **model, const qc_options *opt, const char *name)
{
    quamba_error err = {0};
    *model = NULL;
    int status = qc_check_cpu(opt);
    if (status != QC_OK) return status;
    char *path = qc_model_path(opt, name);
    if (path == NULL) return QC_FAILED;
    quamba_model_options options = quamba_model_options_default();
    options.mode = opt->mode;
    options.n_threads = qc_n_threads(opt);
    options.norm_f_dequant = strcmp(opt->norm_f_fallback, "dequant") == 0;
    double started = qc_now();
    if (quamba_model_open(model, path, &options, &err) != QUAMBA_OK)
        status = qc_fail_error(&err);
    else
        note_model(opt, path, *model, qc_now() - started);
    free(path);
    return status;
}

quamba_session_options qc_session_options(const qc_options *opt)
{
    quamba_session_options options = quamba_session_options_default();
    options.cpu = opt->cpu;
    options.n_threads = qc_n_threads(opt);
    return options;
}

int qc_new_session(quamba_session **session, const qc_options *opt, const quamba_model *model)
{
    quamba_error err = {0};
    quamba_session_options options = qc_session_options(opt);
    *session = NULL;
    if (quamba_session_new(session, model, &options, &err) != QUAMBA_OK) return qc_fail_error(&err);
    return QC_OK;
}

int qc_check_vocabulary(const quamba_tokenizer *tokenizer, const quamba_model *model)
{
    int32_t n_tokens = quamba_tokenizer_n_vocab(tokenizer);
    int32_t n_rows = quamba_model_get_info(model).n_vocab;
    /* Rows are padded to a round number, by a few hundred at most. */
    if (n_tokens <= n_rows && n_tokens >= n_rows - n_rows / 4) return QC_OK;
    return qc_fail(QC_FAILED,
                   "the tokenizer belongs to another vocabulary: it has %d ids, the model %d rows; "
                   "put the model's own tokenizer.json beside it",
                   n_tokens, n_rows);
}

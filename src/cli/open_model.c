/* Models and sessions, with the common options honoured. */
#include "cli/frame.h"

#include "datapath/datapath.h"
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

int qc_parse_datapath(quamba_datapath **datapath, const quamba_datapath *row, const char *list)
{
    quamba_error err = {0};
    *datapath = NULL;
    if (list == NULL) return QC_OK;
    quamba_status status = quamba_datapath_parse(datapath, row, list, &err);
    if (status == QUAMBA_OK) status = quamba_datapath_validate(*datapath, &err);
    if (status == QUAMBA_OK) return QC_OK;
    quamba_datapath_free(datapath);
    if (status == QUAMBA_E_NOMEM) return qc_fail_memory();
    return qc_fail(QC_USAGE, "--datapath %.200s: %s", list, err.message);
}

int qc_choose_datapath(quamba_datapath **datapath, const qc_options *opt)
{
    const quamba_datapath *row =
        opt->mode != NULL ? quamba_datapath_find(opt->mode) : qm_datapath_default(true);
    quamba_datapath *changed;
    *datapath = NULL;
    int status = qc_parse_datapath(&changed, row, opt->choice.knobs);
    if (status == QC_OK)
        status = qc_parse_datapath(datapath, changed != NULL ? changed : row, opt->datapath);
    if (status == QC_OK && *datapath == NULL)
        *datapath = changed;
    else
        quamba_datapath_free(&changed);
    return status;
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

char *qc_weights_path(const qc_options *opt, const char *name)
{
    const quamba_datapath *row = opt->mode != NULL ? quamba_datapath_find(opt->mode) : NULL;
    const bool plain = row != NULL && !quamba_datapath_get_info(row).quantized;
    return qc_model_path(opt, plain && opt->reference != NULL ? opt->reference : name);
}

int qc_open_model(quamba_model **model, const qc_options *opt, const char *name)
{
    quamba_error err = {0};
    *model = NULL;
    quamba_datapath *datapath = NULL;
    int status = qc_check_cpu(opt);
    if (status == QC_OK) status = qc_choose_datapath(&datapath, opt);
    char *path = status == QC_OK ? qc_weights_path(opt, name) : NULL;
    if (status == QC_OK && path == NULL) status = QC_FAILED;
    if (status != QC_OK) {
        quamba_datapath_free(&datapath);
        return status;
    }
    quamba_model_options options = quamba_model_options_default();
    options.mode = opt->mode;
    options.datapath = datapath;
    options.outlier_scales = opt->outlier_scales;
    options.n_threads = qc_n_threads(opt);
    options.norm_f_dequant = strcmp(opt->norm_f_fallback, "dequant") == 0;
    double started = qc_now();
    if (quamba_model_open(model, path, &options, &err) != QUAMBA_OK)
        status = qc_fail_error(&err);
    else
        note_model(opt, path, *model, qc_now() - started);
    quamba_datapath_free(&datapath);
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

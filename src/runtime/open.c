/* Opening a model for a mode: where weights and datapath meet. */
#include "datapath/datapath.h"
#include "model/act_scales.h"
#include "model/model.h"

#include <inttypes.h>

quamba_model_options quamba_model_options_default(void)
{
    return (quamba_model_options){.mode = NULL, .n_threads = 1};
}

/* A floating-point row for a quantized checkpoint, or the other way round. */
static quamba_status refuse_mode(const char *path, const quamba_datapath *datapath,
                                 quamba_error *err)
{
    if (datapath->quantized)
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                       "%s: not quantized, mode %s needs INT8 weights: quantize it first (quamba "
                       "quantize), or use fp32 or fp16",
                       path, datapath->id);
    return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                   "%s: quantized, mode %s needs the weights it was made from: name that "
                   "checkpoint (--reference DIR), or use mode 0",
                   path, datapath->id);
}

/* The second scale of outliers, where the datapath has one: the output scale of each convolution
 * from a calibration that clipped nothing. */
static quamba_status read_outlier_scales(quamba_model *m, const char *path, quamba_error *err)
{
    qm_act_scales scales;
    if (m->datapath->knobs.grid != QM_GRID_CDUAL) return QUAMBA_OK;
    if (!path)
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                       "mode %s needs the outlier scales (--outlier-scales FILE): the "
                       "act_scales.json that `quamba quantize --percentile-alpha 1.0` of the same "
                       "model writes",
                       m->datapath->id);
    quamba_status status = qm_act_scales_load(&scales, path, err);
    if (status != QUAMBA_OK) return status;
    if (scales.n_layer != m->config.n_layer)
        status = qm_fail(err, QUAMBA_E_FORMAT, 0,
                         "%.300s: has scales of %" PRId32 " layers, the model has %" PRId32, path,
                         scales.n_layer, m->config.n_layer);
    for (int32_t i = 0; status == QUAMBA_OK && i < m->config.n_layer; i++)
        m->layers[i].scales.u_unclipped = scales.layers[i][QM_X_PROJ_INPUT];
    qm_act_scales_free(&scales);
    return status;
}

/* The datapath that was asked for, NULL for the checkpoint's default; *copy is owned by the caller
 * and not NULL where the datapath is no row. */
static quamba_status choose(const quamba_datapath **datapath, quamba_datapath **copy,
                            const quamba_model_options *opt, quamba_error *err)
{
    *copy = NULL;
    *datapath = opt->datapath;
    if (!opt->datapath && opt->mode) {
        *datapath = quamba_datapath_find(opt->mode);
        if (!*datapath)
            return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "there is no mode \"%.40s\"", opt->mode);
    }
    if (!*datapath || !(*datapath)->base) return QUAMBA_OK;
    quamba_status status = quamba_datapath_validate(*datapath, err);
    if (status != QUAMBA_OK) return status;
    *datapath = *copy = qm_datapath_copy(*datapath);
    return *copy ? QUAMBA_OK : qm_fail_memory(err, sizeof **copy, "a datapath");
}

quamba_status quamba_model_open(quamba_model **model, const char *path,
                                const quamba_model_options *options, quamba_error *error)
{
    quamba_model_options opt = options ? *options : quamba_model_options_default();
    const quamba_datapath *datapath;
    quamba_datapath *copy;
    *model = NULL;
    if (opt.n_threads < 1)
        return qm_fail(error, QUAMBA_E_ARGUMENT, 0, "n_threads is %" PRId32 ", must be >= 1",
                       opt.n_threads);
    quamba_status status = choose(&datapath, &copy, &opt, error);
    if (status == QUAMBA_OK) status = qm_model_begin(model, path, error);
    if (status != QUAMBA_OK) {
        quamba_datapath_free(&copy);
        return status;
    }
    (*model)->own_datapath = copy;
    const bool quantized = (*model)->config.quantized;
    if (!datapath) datapath = qm_datapath_default(quantized);
    if (datapath->quantized != quantized) {
        status = refuse_mode(path, datapath, error);
        quamba_model_close(model);
        return status;
    }
    const qm_model_load load = {
        .datapath = datapath,
        .half_weights = !quantized && datapath->weights == QM_FORMAT_F16,
        .norm_f_kind = opt.norm_f_dequant ? QM_NORM_F_DEQUANT : QM_NORM_F_FLOAT,
        .n_threads = opt.n_threads,
    };
    status = qm_model_finish(model, path, &load, error);
    if (status == QUAMBA_OK) status = read_outlier_scales(*model, opt.outlier_scales, error);
    if (status != QUAMBA_OK) quamba_model_close(model);
    return status;
}

/* Opening a model for a mode: where weights and datapath meet. */
#include "datapath/datapath.h"
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

quamba_status quamba_model_open(quamba_model **model, const char *path,
                                const quamba_model_options *options, quamba_error *error)
{
    quamba_model_options opt = options ? *options : quamba_model_options_default();
    *model = NULL;
    if (opt.n_threads < 1)
        return qm_fail(error, QUAMBA_E_ARGUMENT, 0, "n_threads is %" PRId32 ", must be >= 1",
                       opt.n_threads);
    const quamba_datapath *datapath = opt.mode ? quamba_datapath_find(opt.mode) : NULL;
    if (opt.mode && !datapath)
        return qm_fail(error, QUAMBA_E_ARGUMENT, 0, "there is no mode \"%.40s\"", opt.mode);
    quamba_status status = qm_model_begin(model, path, error);
    if (status != QUAMBA_OK) return status;
    const bool quantized = (*model)->config.quantized;
    if (!datapath) datapath = qm_datapath_default(quantized);
    if (datapath->quantized != quantized) {
        quamba_model_close(model);
        return refuse_mode(path, datapath, error);
    }
    const qm_model_load load = {
        .datapath = datapath,
        .half_weights = !quantized && datapath->weights == QM_FORMAT_F16,
        .norm_f_kind = opt.norm_f_dequant ? QM_NORM_F_DEQUANT : QM_NORM_F_FLOAT,
        .n_threads = opt.n_threads,
    };
    return qm_model_finish(model, path, &load, error);
}

/* Opening a model for a mode: where weights and datapath meet. */
#include "datapath/datapath.h"
#include "model/model.h"

#include <inttypes.h>

quamba_model_options quamba_model_options_default(void)
{
    return (quamba_model_options){.mode = NULL, .n_threads = 1};
}

quamba_status quamba_model_open(quamba_model **model, const char *path,
                                const quamba_model_options *options, quamba_error *error)
{
    quamba_model_options opt = options ? *options : quamba_model_options_default();
    *model = NULL;
    if (opt.n_threads < 1)
        return qm_fail(error, QUAMBA_E_ARGUMENT, 0, "n_threads is %" PRId32 ", must be >= 1",
                       opt.n_threads);
    const quamba_datapath *datapath =
        opt.mode ? quamba_datapath_find(opt.mode) : qm_datapath_default();
    if (!datapath)
        return qm_fail(error, QUAMBA_E_ARGUMENT, 0, "there is no mode \"%.40s\"", opt.mode);
    return qm_model_open(model, path, datapath, datapath->weights == QM_FORMAT_F16, opt.n_threads,
                         error);
}

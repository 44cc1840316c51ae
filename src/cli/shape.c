#include "cli/shape.h"

#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

/* Shapes of the published Mamba-1 models: d_state 16, d_conv 4, d_inner = 2 d_model,
 * dt_rank = d_model / 16, vocabulary padded to 50280. */
static const struct {
    const char *name;
    int32_t d_model, n_layer;
} shapes[] = {
    {"130m", 768,  24},
    {"370m", 1024, 48},
    {"790m", 1536, 48},
    {"1.4b", 2048, 48},
    {"2.8b", 2560, 64}
};

/* Options that make the weights of a quantized model. */
static const char *const quantized_only[] = {"w-bits", "a-bits", "no-quantize-embedding",
                                             "no-quantize-lm-head"};

int qc_refuse_shape_options(const qc_options *opt, const char *command)
{
    for (size_t i = 0; i < QM_COUNT(quantized_only); i++)
        if (qc_given(opt, quantized_only[i]))
            return qc_fail(QC_USAGE, "%s: --%s is for --shape: a MODEL is what it is", command,
                           quantized_only[i]);
    return QC_OK;
}

/* What was asked of the weights must be what their kind can have. */
static int check_kind(const quamba_datapath *datapath, const qc_options *opt, const char *command)
{
    if (datapath->quantized && (opt->w_bits != 8 || opt->a_bits != 8))
        return qc_fail(QC_USAGE,
                       "%s: --w-bits %" PRId64 " with --a-bits %" PRId64
                       " is not supported yet: give 8 and 8, or --mode fp32",
                       command, opt->w_bits, opt->a_bits);
    for (size_t i = 0; !datapath->quantized && i < QM_COUNT(quantized_only); i++)
        if (qc_given(opt, quantized_only[i]))
            return qc_fail(QC_USAGE, "%s: --%s says how to quantize, mode %s does not", command,
                           quantized_only[i], datapath->id);
    return QC_OK;
}

int qc_find_shape(qc_shape *shape, const qc_options *opt, const char *command)
{
    *shape = (qc_shape){
        .config = {.mamba_version = 1,
                   .d_state = 16,
                   .d_conv = 4,
                   .n_vocab = 50280,
                   .tie_embeddings = true,
                   .norm_eps = 1e-5},
        .random = {.seed = (uint64_t)opt->seed,
                   .half_embedding = opt->no_quantize_embedding,
                   .half_head = opt->no_quantize_lm_head},
    };
    qm_config *c = &shape->config;
    for (size_t i = 0; i < QM_COUNT(shapes); i++)
        if (strcmp(shapes[i].name, opt->shape) == 0) {
            c->d_model = shapes[i].d_model;
            c->n_layer = shapes[i].n_layer;
            c->d_inner = 2 * c->d_model;
            c->dt_rank = c->d_model / 16;
        }
    int status = qc_choose_datapath(&shape->own, opt);
    if (status != QC_OK) return status;
    const quamba_datapath *row =
        opt->mode ? quamba_datapath_find(opt->mode) : qm_datapath_default(true);
    shape->datapath = shape->own ? shape->own : row;
    c->quantized = shape->datapath->quantized;
    if (c->quantized) c->scheme = QM_W8A8;
    status = check_kind(shape->datapath, opt, command);
    if (status != QC_OK) quamba_datapath_free(&shape->own);
    return status;
}

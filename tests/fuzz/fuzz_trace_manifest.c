/* Manifests of traces: what is accepted is a plan within its bounds, and can be laid out. */
#include "datapath/datapath.h"
#include "trace/trace.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static quamba_model *small_model(void)
{
    const quamba_datapath *dp = quamba_datapath_find("0");
    const qm_config shape = {.mamba_version = 1,
                             .n_layer = 2,
                             .d_model = 8,
                             .d_inner = 16,
                             .d_state = 2,
                             .d_conv = 2,
                             .dt_rank = 1,
                             .n_vocab = 16,
                             .tie_embeddings = true,
                             .quantized = true,
                             .scheme = QM_W8A8,
                             .norm_eps = 1e-5};
    quamba_model *model = NULL;
    qm_model_random(&model, &shape, dp, &(qm_random_options){.seed = 1, .half_head = true}, NULL);
    return model;
}

/* Lays the plan out and makes its manifest, which must ask for the same again. */
static void lay_out(const qm_trace_request *request)
{
    qm_trace_plan plan;
    qm_trace_layout layout;
    quamba_model *model = small_model();
    if (model && qm_trace_request_plan(&plan, request, model, NULL) == QUAMBA_OK) {
        if (qm_trace_layout_make(&layout, &plan, NULL) == QUAMBA_OK) {
            json_t *manifest = qm_trace_manifest_make(&layout);
            if (!manifest || json_array_size(json_object_get(manifest, "tensors")) < 2) abort();
            json_decref(manifest);
        }
        qm_trace_layout_free(&layout);
    }
    quamba_model_close(&model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static qm_trace_request request; /* large; filled anew by every call */
    if (qm_trace_request_parse(&request, (const char *)data, size, NULL) == QUAMBA_OK) {
        if (request.first >= request.n_tokens || request.n_prefill > request.n_tokens ||
            request.lanes < 1 || request.format >= QM_N_TRACE_FORMATS || !request.mode ||
            !request.knobs || !request.model_hash)
            abort();
        if (request.n_layer == 2) lay_out(&request);
    }
    qm_trace_request_free(&request);
    return 0;
}

/* A hostile safetensors file opened as a model, floating-point or quantized, and run for a token:
 * what binds has the shapes and scales that the forward pass relies on. */
#include "datapath/datapath.h"
#include "model/model.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_linear(const qm_linear *l, const qm_config *c)
{
    if (l->n_out < 1 || l->n_in < 1) abort();
    if (l->dtype == QM_I8 && c->scheme == QM_W8A8 && l->n_in > 131071) abort();
    const unsigned char *bytes = l->weight;
    size_t n = (size_t)l->n_out * (size_t)l->n_in * qm_dtype_size(l->dtype);
    if (l->n_part > 0) /* packed */
        n = (size_t)(l->n_out / l->n_part) * qm_packed_bytes((size_t)l->n_part, (size_t)l->n_in);
    volatile unsigned char sum = 0;
    for (size_t i = 0; i < n; i++)
        sum = (unsigned char)(sum + bytes[i]);
}

static void check_model(const quamba_model *m)
{
    const qm_config *c = &m->config;
    for (int32_t i = 0; i < c->n_layer; i++) {
        const qm_layer *l = &m->layers[i];
        check_linear(&l->in_proj, c);
        check_linear(&l->x_proj, c);
        check_linear(&l->dt_proj, c);
        check_linear(&l->out_proj, c);
        const float scales[] = {l->scales.in, l->scales.x, l->scales.z,  l->scales.u, l->scales.b,
                                l->scales.c,  l->scales.h, l->scales.dt, l->scales.o};
        for (size_t k = 0; c->quantized && k < QM_COUNT(scales); k++)
            if (!(scales[k] > 0 && scales[k] < INFINITY)) abort();
        if (c->quantized == (l->conv_codes == NULL)) abort();
    }
    check_linear(&m->embedding, c);
    check_linear(&m->head, c);
    if (m->head.n_out != c->n_vocab || m->embedding.n_out != c->n_vocab) abort();
    for (size_t i = 0; i < m->n_warnings; i++)
        if (m->warnings[i][0] == '\0') abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    qm_source *source = NULL;
    quamba_model *model = NULL;
    quamba_session *session = NULL;
    quamba_error err;
    const float *logits;
    if (qm_source_open_memory(&source, data, size, "input", &err) != QUAMBA_OK) return 0;
    quamba_status status = qm_model_begin_source(&model, &source, &err);
    if (status == QUAMBA_OK) {
        qm_model_load load = {.datapath = qm_datapath_default(model->config.quantized),
                              .n_threads = 1};
        status = qm_model_finish(&model, "input", &load, &err);
    }
    if (status == QUAMBA_OK) {
        check_model(model);
        if (quamba_session_new(&session, model, NULL, &err) == QUAMBA_OK &&
            quamba_session_step(session, 0, &logits, &err) != QUAMBA_OK)
            abort();
    }
    quamba_session_free(&session);
    quamba_model_close(&model);
    qm_source_close(&source);
    return 0;
}

/* Binding as a whole: the two runs, then the look through every matrix. */
#include "model/binder.h"

#include <inttypes.h>
#include <stdlib.h>

static uint64_t linear_count(const qm_linear *l) { return (uint64_t)l->n_out * (uint64_t)l->n_in; }

/* A matrix to look through for values that are not finite. */
typedef struct qm_check {
    const qm_linear *linear;
    int32_t layer; /* -1 outside the layers */
    const char *name;
    uint64_t bad;
    bool finite;
} qm_check;

/* Looks through every matrix: the one part of opening that grows with the model, so threads share
 * it.  The first matrix in the order of the model is the one reported. */
static quamba_status check_matrices(qm_binder *b)
{
    quamba_model *m = b->model;
    int32_t n_layer = m->config.n_layer, n = 0;
    qm_check *checks = qm_alloc((size_t)n_layer * 4 + 2, sizeof *checks);
    if (!checks) return qm_fail_memory(b->err, (uint64_t)n_layer * sizeof *checks, "the checks");
    for (int32_t i = 0; i < n_layer; i++) {
        const qm_layer *l = &m->layers[i];
        checks[n++] = (qm_check){&l->in_proj, i, "mixer.in_proj.weight", 0, true};
        checks[n++] = (qm_check){&l->x_proj, i, "mixer.x_proj.weight", 0, true};
        checks[n++] = (qm_check){&l->dt_proj, i, "mixer.dt_proj.weight", 0, true};
        checks[n++] = (qm_check){&l->out_proj, i, "mixer.out_proj.weight", 0, true};
    }
    checks[n++] = (qm_check){&m->head, -1, "lm_head.weight", 0, true};
    for (int32_t i = 0; i < n; i++)
        m->matrix_bytes += linear_count(checks[i].linear) * qm_dtype_size(checks[i].linear->dtype);
    if (m->config.tie_embeddings)
        checks[n - 1].name = "backbone.embedding.weight";
    else
        checks[n++] = (qm_check){&m->embedding, -1, "backbone.embedding.weight", 0, true};
#pragma omp parallel for num_threads(b->n_threads) schedule(dynamic)
    for (int32_t i = 0; i < n; i++) {
        const qm_linear *l = checks[i].linear;
        checks[i].finite = qm_all_finite(l->weight, l->dtype, linear_count(l), &checks[i].bad);
    }
    quamba_status status = QUAMBA_OK;
    for (int32_t i = 0; status == QUAMBA_OK && i < n; i++)
        if (!checks[i].finite)
            status = qm_fail(b->err, QUAMBA_E_FORMAT, checks[i].bad,
                             "tensor %s: element %" PRIu64 " is not a finite number",
                             qm_bind_name(b, checks[i].layer, checks[i].name), checks[i].bad);
    free(checks);
    return status;
}

static quamba_status bind_all(qm_binder *b)
{
    b->model->n_parameters = b->model->vector_bytes = 0;
    return b->model->config.quantized ? qm_bind_w8a8(b) : qm_bind_float(b);
}

quamba_status qm_model_bind(quamba_model *model, qm_find_tensor *find, const void *user,
                            int32_t n_threads, quamba_error *err)
{
    if (model->config.d_conv > QM_MAX_CONV)
        return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0,
                       "d_conv is %" PRId32 ", at most %d is supported", model->config.d_conv,
                       QM_MAX_CONV);
    qm_binder b = {.model = model, .find = find, .user = user, .n_threads = n_threads, .err = err};
    quamba_status status = bind_all(&b);
    if (status == QUAMBA_OK) status = qm_arena_alloc(&model->arena, "the model's vectors", err);
    if (status == QUAMBA_OK && model->packed.used > 0)
        status = qm_arena_alloc(&model->packed, "the model's packed matrices", err);
    if (status != QUAMBA_OK) return status;
    b.filling = true;
    status = bind_all(&b);
    if (status == QUAMBA_OK) qm_bind_pack_all(&b);
    return status == QUAMBA_OK ? check_matrices(&b) : status;
}

quamba_status qm_model_missing(const qm_config *config, qm_find_tensor *find, const void *user,
                               qm_report_missing *report, void *report_user, quamba_error *err)
{
    quamba_model model = {.config = *config};
    qm_binder b = {.model = &model,
                   .find = find,
                   .user = user,
                   .err = err,
                   .missing = report,
                   .missing_user = report_user};
    return bind_all(&b);
}

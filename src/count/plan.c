/* What is counted: from a model, or from a shape alone. */
#include "count/count.h"

const char *const qm_count_names[QM_N_COUNTS] = {
#define QM_COUNT_NAME(id, name, price, meaning) name,
    QM_COUNT_LIST(QM_COUNT_NAME)
#undef QM_COUNT_NAME
};

const char *const qm_count_prices[QM_N_COUNTS] = {
#define QM_COUNT_PRICE(id, name, price, meaning) price,
    QM_COUNT_LIST(QM_COUNT_PRICE)
#undef QM_COUNT_PRICE
};

const char *const qm_count_meanings[QM_N_COUNTS] = {
#define QM_COUNT_MEANING(id, name, price, meaning) meaning,
    QM_COUNT_LIST(QM_COUNT_MEANING)
#undef QM_COUNT_MEANING
};

const char *const qm_store_names[QM_N_STORES] = {
#define QM_STORE_NAME(id, name) name,
    QM_STORE_LIST(QM_STORE_NAME)
#undef QM_STORE_NAME
};

const char *const qm_operator_names[QM_N_OPERATORS] = {
#define QM_OPERATOR_NAME(id, name, in_layer) name,
    QM_OPERATOR_LIST(QM_OPERATOR_NAME)
#undef QM_OPERATOR_NAME
};

bool qm_operator_in_layer(qm_operator operator)
{
    static const bool in_layer[QM_N_OPERATORS] = {
#define QM_OPERATOR_PLACE(id, name, in_layer) in_layer,
        QM_OPERATOR_LIST(QM_OPERATOR_PLACE)
#undef QM_OPERATOR_PLACE
    };
    return in_layer[operator];
}

qm_plan qm_plan_of_model(const quamba_model *m)
{
    return (qm_plan){.config = m->config,
                     .datapath = m->datapath,
                     .embedding = m->embedding.dtype,
                     .head = m->head.dtype,
                     .head_bias = m->head_bias != NULL,
                     .norm_f_kind = m->norm_f_kind};
}

qm_layer_types qm_layer_types_of_model(const quamba_model *m, int32_t layer)
{
    const qm_layer *l = &m->layers[layer];
    return (qm_layer_types){l->in_proj.dtype, l->x_proj.dtype, l->dt_proj.dtype, l->out_proj.dtype};
}

qm_plan qm_plan_of_shape(const qm_config *config, const quamba_datapath *datapath,
                         const qm_random_options *options)
{
    const bool half_embedding = !config->quantized || options->half_embedding;
    const bool half_head = !config->quantized || options->half_head;
    qm_plan plan = {.config = *config,
                    .datapath = datapath,
                    .embedding = half_embedding ? QM_F16 : QM_I8,
                    .head = half_head ? QM_F16 : QM_I8,
                    .norm_f_kind = half_head ? QM_NORM_F_FLOAT : QM_NORM_F_CODES};
    plan.config.tie_embeddings = config->tie_embeddings && half_embedding && half_head;
    return plan;
}

qm_layer_types qm_layer_types_of_shape(const qm_config *config)
{
    const qm_dtype type = config->quantized ? QM_I8 : QM_F16;
    return (qm_layer_types){type, type, type, type};
}

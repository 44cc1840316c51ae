/* How many codes of a session saturated, edge by edge. */
#include "cli/cli.h"

#include "base/text.h"

/* Over all layers, the final norm included. */
static uint64_t saturated_at(const quamba_session *session, int32_t n_layer, int32_t edge)
{
    uint64_t sum = 0;
    for (int32_t layer = 0; layer <= n_layer; layer++)
        sum += quamba_session_saturated(session, layer, edge);
    return sum;
}

json_t *qc_saturated_json(const quamba_session *session, const quamba_model *model)
{
    const int32_t n_layer = quamba_model_get_info(model).n_layer;
    json_t *object = json_object();
    for (int32_t edge = 0; quamba_edge_name(edge) != NULL; edge++) {
        uint64_t n = saturated_at(session, n_layer, edge);
        if (n > 0) json_object_set_new(object, quamba_edge_name(edge), json_integer((json_int_t)n));
    }
    return object;
}

void qc_note_saturated(const qc_options *opt, const quamba_session *session,
                       const quamba_model *model)
{
    const int32_t n_layer = quamba_model_get_info(model).n_layer;
    qm_text text = {0};
    for (int32_t edge = 0; quamba_edge_name(edge) != NULL; edge++) {
        uint64_t n = saturated_at(session, n_layer, edge);
        if (n > 0)
            qm_text_printf(&text, "%s%s %llu", text.size > 0 ? ", " : "", quamba_edge_name(edge),
                           (unsigned long long)n);
    }
    if (text.size > 0 && !text.failed) qc_note(opt, "saturated codes: %s", text.data);
    qm_text_free(&text);
}

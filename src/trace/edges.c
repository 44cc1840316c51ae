#include "trace/edges.h"

#include <string.h>

typedef struct edge_row {
    const char *name, *meaning;
    qm_trace_axes axes;
} edge_row;

static const edge_row rows[QM_N_TRACE_EDGES] = {
#define QM_TRACE_EDGE_ROW(id, name, axes, meaning) {name, meaning, QM_AXES_##axes},
    QM_TRACE_EDGE_LIST(QM_TRACE_EDGE_ROW)
#undef QM_TRACE_EDGE_ROW
};

const char *qm_trace_edge_name(qm_trace_edge edge) { return rows[edge].name; }
const char *qm_trace_edge_meaning(qm_trace_edge edge) { return rows[edge].meaning; }

qm_trace_edge qm_trace_edge_find(const char *name)
{
    int32_t i = 0;
    while (i < QM_N_TRACE_EDGES && strcmp(rows[i].name, name) != 0)
        i++;
    return (qm_trace_edge)i;
}

static int32_t one_axis(int32_t n, const char *name, uint64_t *shape, const char **names)
{
    shape[0] = (uint64_t)n;
    names[0] = name;
    return 1;
}

int32_t qm_trace_edge_axes(qm_trace_edge edge, const qm_config *c, uint64_t shape[2],
                           const char *names[2])
{
    switch (rows[edge].axes) {
    case QM_AXES_ONE:
        return 0;
    case QM_AXES_MODEL:
        return one_axis(c->d_model, "d_model", shape, names);
    case QM_AXES_INNER:
        return one_axis(c->d_inner, "d_inner", shape, names);
    case QM_AXES_IN_PROJ:
        return one_axis(2 * c->d_inner, "x then z", shape, names);
    case QM_AXES_X_PROJ:
        return one_axis(c->dt_rank + 2 * c->d_state, "dt_low then B then C", shape, names);
    case QM_AXES_STATE:
        return one_axis(c->d_state, "d_state", shape, names);
    case QM_AXES_STATES:
        one_axis(c->d_state, "d_state", shape, names);
        one_axis(c->d_inner, "d_inner", shape + 1, names + 1);
        return 2;
    case QM_AXES_VOCAB:
        break;
    }
    return one_axis(c->n_vocab, "token id", shape, names);
}

size_t qm_trace_edge_count(qm_trace_edge edge, const qm_config *c)
{
    uint64_t shape[2];
    const char *names[2];
    size_t n = 1;
    for (int32_t i = qm_trace_edge_axes(edge, c, shape, names); i > 0; i--)
        n *= (size_t)shape[i - 1];
    return n;
}

#include "eval/compare_record.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

quamba_status qm_record_init(qm_record *record, int32_t begin, int32_t end, size_t max_rows,
                             quamba_error *err)
{
    const size_t n = (size_t)(end - begin) * QM_N_EDGES;
    *record = (qm_record){.begin = begin, .end = end, .max_rows = max_rows};
    record->edges = qm_alloc(n, sizeof *record->edges);
    return record->edges ? QUAMBA_OK
                         : qm_fail_memory(err, n * sizeof *record->edges, "the edges of a run");
}

static qm_recorded *at(const qm_record *record, qm_edge edge, int32_t layer)
{
    if (layer < record->begin || layer >= record->end) return NULL;
    return &record->edges[(size_t)(layer - record->begin) * QM_N_EDGES + (size_t)edge];
}

void qm_record_free(qm_record *record)
{
    const size_t n = (size_t)(record->end - record->begin) * QM_N_EDGES;
    for (size_t i = 0; record->edges && i < n; i++) {
        free(record->edges[i].codes);
        free(record->edges[i].values);
        free(record->edges[i].scales);
    }
    free(record->edges);
    *record = (qm_record){0};
}

void qm_record_clear(qm_record *record)
{
    const size_t n = (size_t)(record->end - record->begin) * QM_N_EDGES;
    for (size_t i = 0; i < n; i++)
        record->edges[i].n_rows = 0;
}

static bool allocate(qm_record *record, qm_recorded *e, const qm_row *r)
{
    e->n = r->n;
    if (r->codes) {
        e->codes = qm_alloc(record->max_rows * r->n, 1);
        e->scales = qm_alloc(record->max_rows, sizeof *e->scales);
        return e->codes && e->scales;
    }
    e->values = qm_alloc(record->max_rows * r->n, sizeof *e->values);
    return e->values != NULL;
}

void qm_record_add(qm_record *record, qm_edge edge, int32_t layer, size_t row, const qm_row *r)
{
    qm_recorded *e = at(record, edge, layer);
    if (!e || record->failed || row >= record->max_rows) return;
    if (!e->codes && !e->values && !allocate(record, e, r)) {
        record->failed = true;
        return;
    }
    if (r->codes) {
        memcpy(e->codes + row * e->n, r->codes, e->n);
        e->scales[row] = r->scale;
    } else {
        memcpy(e->values + row * e->n, r->values, e->n * sizeof *e->values);
    }
    if (e->n_rows <= row) e->n_rows = row + 1;
}

bool qm_record_row(const qm_record *record, qm_edge edge, int32_t layer, size_t row, float *values,
                   qm_row *r)
{
    const qm_recorded *e = at(record, edge, layer);
    if (!e || row >= e->n_rows) return false;
    *r = (qm_row){.n = e->n};
    if (e->values) {
        r->values = e->values + row * e->n;
        return true;
    }
    r->codes = e->codes + row * e->n;
    r->scale = e->scales[row];
    for (size_t i = 0; i < e->n; i++)
        values[i] = r->scale * (float)r->codes[i];
    r->values = values;
    return true;
}

/* Writing a trace: files first, their checksums, the manifest last. */
#include "trace/staging.h"
#include "trace/trace.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct writing {
    const qm_trace_layout *layout;
    const qm_staging *staging;
    const qm_trace_watch *watch;
    unsigned char *bytes; /* owned: of the rows that are written together */
    size_t capacity;
} writing;

static quamba_status does_not_fit(const writing *w, const qm_trace_tensor *t, uint64_t row,
                                  size_t column, quamba_error *err)
{
    const uint64_t token = t->rows_each > 0 ? w->layout->plan->first + row / t->rows_each : row;
    if (t->code.dtype == QM_F16)
        return qm_fail(err, QUAMBA_E_FORMAT, token,
                       "%s: token %" PRIu64 ", channel %zu is no half: a defect of the program",
                       w->layout->files[t->file].name, token, column);
    return qm_fail(err, QUAMBA_E_ARGUMENT, token,
                   "%s: %s %" PRIu64 ", channel %zu does not fit %d bits: ask for more "
                   "(--word-bits) or leave the edge out (--edges)",
                   w->layout->files[t->file].name, t->rows_each > 0 ? "token" : "row", token,
                   column, (int)t->code.bits);
}

/* Rows [row, row + n) of a tensor. */
static quamba_status write_rows(writing *w, const qm_trace_tensor *t, uint64_t row, uint64_t n,
                                const void *values, quamba_error *err)
{
    const size_t size = qm_trace_row_bytes(&t->code);
    const size_t held = t->code.n_cols * qm_dtype_size(t->code.held);
    const char *name = w->layout->files[t->file].name, *at = values;
    const size_t chunk = size < (1 << 20) ? (1 << 20) / size : 1;
    quamba_status status = QUAMBA_OK;
    if (!qm_grow(&w->bytes, &w->capacity, (n < chunk ? (size_t)n : chunk) * size, 1))
        return qm_fail_memory(err, chunk * size, name);
    for (uint64_t done = 0; status == QUAMBA_OK && done < n;) {
        const size_t part = n - done < chunk ? (size_t)(n - done) : chunk;
        size_t bad = 0;
        for (size_t i = 0; i < part; i++, at += held)
            if (!qm_trace_encode_row(&t->code, at, w->bytes + i * size, &bad))
                return does_not_fit(w, t, row + done + i, bad, err);
        status = qm_staging_write(w->staging, name, t->offset + (row + done) * size, w->bytes,
                                  part * size, err);
        done += part;
    }
    return status;
}

static quamba_status on_values(void *user, int32_t layer, qm_trace_edge edge, size_t token,
                               size_t n_rows, const void *values, quamba_error *err)
{
    writing *w = user;
    const int32_t i = w->layout->by_edge[(size_t)layer * QM_N_TRACE_EDGES + (size_t)edge];
    if (i < 0) return QUAMBA_OK;
    const qm_trace_tensor *t = &w->layout->tensors[i];
    return write_rows(w, t, (token - w->layout->plan->first) * t->rows_each, n_rows * t->rows_each,
                      values, err);
}

/* Headers, and what does not come token by token. */
static quamba_status write_constants(writing *w, quamba_error *err)
{
    const qm_trace_layout *lay = w->layout;
    quamba_status status = QUAMBA_OK;
    for (size_t f = 0; status == QUAMBA_OK && f < lay->n_files; f++)
        status = qm_staging_write(w->staging, lay->files[f].name, 0, lay->files[f].header.data,
                                  lay->files[f].header.size, err);
    for (size_t i = 0; status == QUAMBA_OK && i < lay->n_tensors; i++) {
        const qm_trace_tensor *t = &lay->tensors[i];
        if (t->rows_each > 0) continue;
        void *owned;
        const void *values = qm_trace_constant(t, &owned);
        status = values ? write_rows(w, t, 0, t->n_rows, values, err)
                        : qm_fail_memory(err, t->n_rows * t->code.n_cols, t->name);
        free(owned);
    }
    return status;
}

static quamba_status write_manifest(const writing *w, quamba_error *err)
{
    const qm_trace_layout *lay = w->layout;
    json_t *manifest = qm_trace_manifest_make(lay);
    quamba_status status =
        manifest ? QUAMBA_OK : qm_fail_memory(err, lay->n_tensors, QM_TRACE_MANIFEST);
    for (size_t f = 0; status == QUAMBA_OK && f < lay->n_files; f++) {
        char sum[65];
        status = qm_staging_seal(w->staging, lay->files[f].name, sum, err);
        if (status == QUAMBA_OK && !qm_trace_manifest_set_sum(manifest, lay->files[f].name, sum))
            status = qm_fail_memory(err, lay->n_tensors, QM_TRACE_MANIFEST);
    }
    char *text = status == QUAMBA_OK ? json_dumps(manifest, JSON_INDENT(2)) : NULL;
    char sum[65];
    if (status == QUAMBA_OK && !text)
        status = qm_fail_memory(err, lay->n_tensors, QM_TRACE_MANIFEST);
    if (status == QUAMBA_OK)
        status = qm_staging_write(w->staging, QM_TRACE_MANIFEST, 0, text, strlen(text), err);
    if (status == QUAMBA_OK) status = qm_staging_seal(w->staging, QM_TRACE_MANIFEST, sum, err);
    free(text);
    json_decref(manifest);
    return status;
}

quamba_status qm_trace_write(const qm_trace_plan *plan, const qm_trace_watch *watch,
                             const char *directory, qm_trace_summary *summary, quamba_error *err)
{
    qm_trace_layout layout;
    qm_staging staging = {0};
    writing w = {.layout = &layout, .staging = &staging, .watch = watch};
    const qm_trace_walk walk = {.plan = plan, .watch = watch, .emit = on_values, .user = &w};
    quamba_status status = qm_trace_layout_make(&layout, plan, err);
    if (status == QUAMBA_OK) status = qm_staging_open(&staging, directory, err);
    if (status == QUAMBA_OK) status = qm_staging_room(&staging, layout.size, err);
    if (status == QUAMBA_OK) status = write_constants(&w, err);
    if (status == QUAMBA_OK) status = qm_trace_walk_run(&walk, err);
    if (status == QUAMBA_OK) status = write_manifest(&w, err);
    if (status == QUAMBA_OK) status = qm_staging_commit(&staging, err);
    *summary = (qm_trace_summary){layout.n_files, layout.n_tensors, layout.size};
    qm_staging_close(&staging);
    qm_trace_layout_free(&layout);
    free(w.bytes);
    return status;
}

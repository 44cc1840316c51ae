/* Verifying a trace: the same walk and the same bytes once more, held against the files. */
#include "trace/trace.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct checking {
    const qm_trace_layout *layout;
    const qm_trace_watch *watch;
    qm_trace_findings *findings;
    qm_map *maps;         /* [n_files], owned: of the files whose size is right */
    bool *file_is_bad;    /* [n_files], owned */
    bool *tensor_is_done; /* [n_tensors], owned: found wrong, or cannot be compared */
    unsigned char *row;   /* owned: of the widest row */
} checking;

static void fault(checking *c, const char *file, const char *format, ...) QM_PRINTF(3, 4);
static void fault(checking *c, const char *file, const char *format, ...)
{
    qm_trace_findings *f = c->findings;
    if (f->n_faults++ >= QM_TRACE_MAX_FAULTS) return;
    qm_trace_fault *one = &f->faults[f->n_faults - 1];
    snprintf(one->file, sizeof one->file, "%s", file);
    va_list args;
    va_start(args, format);
    vsnprintf(one->text, sizeof one->text, format, args);
    va_end(args);
}

/* ---- contents ---------------------------------------------------------------------------------
 */

static void wrong_value(checking *c, const qm_trace_tensor *t, uint64_t row, size_t column,
                        const unsigned char *got)
{
    const qm_trace_plan *plan = c->layout->plan;
    char is[64], must[64], where[100] = "";
    if (column == t->code.n_cols) {
        fault(c, c->layout->files[t->file].name, "%s: row %" PRIu64 " is written differently",
              t->name, row);
        return;
    }
    if (t->rows_each > 1)
        snprintf(where, sizeof where, "token %" PRIu64 ", state %" PRIu64 ", channel %zu",
                 plan->first + row / t->rows_each, row % t->rows_each, column);
    else if (t->rows_each == 1)
        snprintf(where, sizeof where, "token %" PRIu64 ", channel %zu", plan->first + row, column);
    else if (t->layer < 0)
        snprintf(where, sizeof where, "token %" PRIu64, plan->first + column);
    else
        snprintf(where, sizeof where, "row %" PRIu64 ", column %zu", row, column);
    fault(c, c->layout->files[t->file].name, "%s%s%s: is %s, must be %s",
          plan->format == QM_TRACE_SAFETENSORS ? t->name : "",
          plan->format == QM_TRACE_SAFETENSORS ? ", " : "", where,
          qm_trace_decode(&t->code, got, column, is),
          qm_trace_decode(&t->code, c->row, column, must));
}

/* Rows [row, row + n) of tensor number i against its file. */
static quamba_status check_rows(checking *c, size_t i, uint64_t row, uint64_t n, const void *values,
                                quamba_error *err)
{
    const qm_trace_tensor *t = &c->layout->tensors[i];
    const size_t size = qm_trace_row_bytes(&t->code);
    const size_t held = t->code.n_cols * qm_dtype_size(t->code.held);
    for (uint64_t k = 0; k < n && !c->tensor_is_done[i]; k++) {
        const unsigned char *got = c->maps[t->file].data + t->offset + (row + k) * size;
        size_t bad;
        if (!qm_trace_encode_row(&t->code, (const char *)values + k * held, c->row, &bad))
            return qm_fail(err, QUAMBA_E_FORMAT, row + k,
                           "%s: row %" PRIu64 " does not fit %d bits",
                           c->layout->files[t->file].name, row + k, (int)t->code.bits);
        if (memcmp(got, c->row, size) == 0) continue;
        wrong_value(c, t, row + k, qm_trace_first_difference(&t->code, got, c->row), got);
        c->tensor_is_done[i] = true;
        c->file_is_bad[t->file] = true;
    }
    return QUAMBA_OK;
}

static quamba_status on_values(void *user, int32_t layer, qm_trace_edge edge, size_t token,
                               size_t n_rows, const void *values, quamba_error *err)
{
    checking *c = user;
    const int32_t i = c->layout->by_edge[(size_t)layer * QM_N_TRACE_EDGES + (size_t)edge];
    if (i < 0) return QUAMBA_OK;
    const uint64_t each = c->layout->tensors[i].rows_each;
    return check_rows(c, (size_t)i, (token - c->layout->plan->first) * each, n_rows * each, values,
                      err);
}

/* Opens every file and looks at its size and header. */
static quamba_status open_files(checking *c, const char *directory, quamba_error *err)
{
    const qm_trace_layout *lay = c->layout;
    for (size_t f = 0; f < lay->n_files; f++) {
        const qm_trace_file *file = &lay->files[f];
        quamba_error why;
        char *path = qm_path_join(directory, file->name);
        if (!path) return qm_fail_memory(err, strlen(directory), "a path");
        if (qm_map_open(&c->maps[f], path, &why) != QUAMBA_OK) {
            fault(c, file->name, "%s", why.message);
            c->file_is_bad[f] = true;
        } else if (c->maps[f].size != file->size) {
            fault(c, file->name, "has %zu bytes, must have %" PRIu64, c->maps[f].size, file->size);
            c->file_is_bad[f] = true;
        } else if (file->header.size > 0 &&
                   memcmp(c->maps[f].data, file->header.data, file->header.size) != 0) {
            fault(c, file->name, "its header of %zu bytes is not what shape and type give",
                  file->header.size);
            c->file_is_bad[f] = true;
        }
        free(path);
    }
    for (size_t i = 0; i < lay->n_tensors; i++)
        c->tensor_is_done[i] = c->file_is_bad[lay->tensors[i].file];
    return QUAMBA_OK;
}

static quamba_status check_constants(checking *c, quamba_error *err)
{
    const qm_trace_layout *lay = c->layout;
    quamba_status status = QUAMBA_OK;
    for (size_t i = 0; status == QUAMBA_OK && i < lay->n_tensors; i++) {
        const qm_trace_tensor *t = &lay->tensors[i];
        if (t->rows_each > 0) continue;
        void *owned;
        const void *values = qm_trace_constant(t, &owned);
        status = values ? check_rows(c, i, 0, t->n_rows, values, err)
                        : qm_fail_memory(err, t->n_rows * t->code.n_cols, t->name);
        free(owned);
    }
    return status;
}

/* ---- manifest ---------------------------------------------------------------------------------
 */

/* A value as a short text. */
static const char *shown(const json_t *value, char out[120])
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    snprintf(out, 120, "%.110s", text ? text : "missing");
    free(text);
    return out;
}

/* Members of an object that must be those of another; skip: a member that is not looked at. */
static void check_members(checking *c, const char *where, json_t *is, json_t *must,
                          const char *skip)
{
    const char *key;
    json_t *value;
    char a[120], b[120];
    json_object_foreach(must, key, value)
    {
        json_t *got = json_object_get(is, key);
        if (strcmp(key, skip) == 0 || json_equal(got, value)) continue;
        fault(c, QM_TRACE_MANIFEST, "%s\"%s\" is %s, must be %s", where, key, shown(got, a),
              shown(value, b));
    }
    json_object_foreach(is, key, value) if (strcmp(key, skip) != 0 && !json_object_get(must, key))
        fault(c, QM_TRACE_MANIFEST, "%s\"%.60s\" has no meaning", where, key);
}

static quamba_status check_manifest(checking *c, json_t *is, quamba_error *err)
{
    const qm_trace_layout *lay = c->layout;
    json_t *must = qm_trace_manifest_make(lay);
    if (!must) return qm_fail_memory(err, lay->n_tensors, QM_TRACE_MANIFEST);
    json_t *got = json_object_get(is, "tensors"), *want = json_object_get(must, "tensors");
    for (size_t i = 0; i < json_array_size(want); i++) {
        char where[120];
        snprintf(where, sizeof where, "%s of %s: ", lay->tensors[i].name,
                 lay->files[lay->tensors[i].file].name);
        check_members(c, where, json_array_get(got, i), json_array_get(want, i), "sha256");
    }
    if (json_array_size(got) != json_array_size(want))
        fault(c, QM_TRACE_MANIFEST, "lists %zu tensors, must list %zu", json_array_size(got),
              json_array_size(want));
    json_object_del(must, "tensors");
    json_object_set(must, "tensors", got); /* done above */
    json_object_set(must, "program", json_object_get(is, "program"));
    check_members(c, "", is, must, "program");
    json_decref(must);
    return QUAMBA_OK;
}

/* Sums of the files against those of the manifest; a file that is bad already is not named twice.
 */
static void check_sums(checking *c, const json_t *manifest)
{
    const qm_trace_layout *lay = c->layout;
    const json_t *list = json_object_get(manifest, "tensors");
    for (size_t f = 0; f < lay->n_files; f++) {
        char sum[QM_SHA256_TEXT];
        if (c->file_is_bad[f]) continue;
        qm_sha256(c->maps[f].data, c->maps[f].size, sum);
        for (size_t i = 0; i < lay->n_tensors && !c->file_is_bad[f]; i++) {
            const char *told =
                json_string_value(json_object_get(json_array_get(list, i), "sha256"));
            if (lay->tensors[i].file != f || (told && strcmp(told, sum) == 0)) continue;
            fault(c, lay->files[f].name, "its sha256 is %s, the manifest says %.64s", sum,
                  told ? told : "nothing");
            c->file_is_bad[f] = true;
        }
    }
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static bool allocate(checking *c)
{
    size_t widest = 1;
    for (size_t i = 0; i < c->layout->n_tensors; i++) {
        const size_t n = qm_trace_row_bytes(&c->layout->tensors[i].code);
        widest = n > widest ? n : widest;
    }
    c->maps = qm_alloc(c->layout->n_files, sizeof *c->maps);
    c->file_is_bad = qm_alloc(c->layout->n_files, sizeof *c->file_is_bad);
    c->tensor_is_done = qm_alloc(c->layout->n_tensors, sizeof *c->tensor_is_done);
    c->row = qm_alloc(widest, 1);
    c->findings->faults = qm_alloc(QM_TRACE_MAX_FAULTS, sizeof *c->findings->faults);
    return c->maps && c->file_is_bad && c->tensor_is_done && c->row && c->findings->faults;
}

quamba_status qm_trace_verify(const qm_trace_plan *plan, const qm_trace_request *request,
                              const qm_trace_watch *watch, const char *directory,
                              qm_trace_findings *findings, quamba_error *err)
{
    qm_trace_layout layout;
    checking c = {.layout = &layout, .watch = watch, .findings = findings};
    const qm_trace_walk walk = {.plan = plan, .watch = watch, .emit = on_values, .user = &c};
    *findings = (qm_trace_findings){0};
    quamba_status status = qm_trace_layout_make(&layout, plan, err);
    if (status == QUAMBA_OK && !allocate(&c))
        status = qm_fail_memory(err, layout.n_tensors, "the list of files");
    if (status == QUAMBA_OK) status = check_manifest(&c, request->json, err);
    if (status == QUAMBA_OK) status = open_files(&c, directory, err);
    if (status == QUAMBA_OK) status = check_constants(&c, err);
    if (status == QUAMBA_OK) status = qm_trace_walk_run(&walk, err);
    if (status == QUAMBA_OK) check_sums(&c, request->json);
    findings->summary = (qm_trace_summary){layout.n_files, layout.n_tensors, layout.size};
    for (size_t f = 0; c.maps && f < layout.n_files; f++)
        qm_map_close(&c.maps[f]);
    free(c.maps);
    free(c.file_is_bad);
    free(c.tensor_is_done);
    free(c.row);
    qm_trace_layout_free(&layout);
    return status;
}

quamba_status qm_trace_request_plan(qm_trace_plan *plan, const qm_trace_request *r,
                                    const quamba_model *model, quamba_error *err)
{
    const qm_config *c = &model->config;
    if (c->n_layer != r->n_layer)
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                       "the trace is of a model with %" PRId32 " layers, this one has %" PRId32,
                       r->n_layer, c->n_layer);
    for (size_t i = 0; i < r->n_tokens; i++)
        if (r->tokens[i] >= c->n_vocab)
            return qm_fail(err, QUAMBA_E_ARGUMENT, i,
                           "token %zu of the trace is id %" PRId32 ", this model has %" PRId32, i,
                           r->tokens[i], c->n_vocab);
    *plan = (qm_trace_plan){.model = model,
                            .model_hash = r->model_hash,
                            .tokens = r->tokens,
                            .n_tokens = r->n_tokens,
                            .n_prefill = r->n_prefill,
                            .first = r->first,
                            .layers = r->layers,
                            .parameters = r->parameters,
                            .format = r->format,
                            .word_bits = r->word_bits,
                            .lanes = r->lanes};
    memcpy(plan->edges, r->edges, sizeof plan->edges);
    return QUAMBA_OK;
}

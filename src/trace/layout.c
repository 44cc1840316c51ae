#include "trace/layout.h"

#include "base/json.h"
#include "datapath/datapath.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const format_names[QM_N_TRACE_FORMATS] = {
    [QM_TRACE_NPY] = "npy", [QM_TRACE_SAFETENSORS] = "safetensors",
    [QM_TRACE_BIN] = "bin", [QM_TRACE_HEX] = "hex",
    [QM_TRACE_MEM] = "mem",
};

const char *qm_trace_format_name(qm_trace_format format) { return format_names[format]; }

qm_trace_format qm_trace_format_find(const char *name)
{
    int32_t i = 0;
    while (i < QM_N_TRACE_FORMATS && strcmp(format_names[i], name) != 0)
        i++;
    return (qm_trace_format)i;
}

static quamba_status no_memory(quamba_error *err)
{
    return qm_fail(err, QUAMBA_E_NOMEM, 0, "out of memory for the list of a trace's files");
}

/* ---- tensors ----------------------------------------------------------------------------------
 */

/* A number's width in a hex file: what was asked for holds for codes and sums. */
static int32_t word_bits(const qm_trace_plan *plan, qm_dtype dtype, bool is_edge)
{
    const bool integer = dtype == QM_I8 || (dtype == QM_I32 && is_edge);
    return integer && plan->word_bits > 0 ? plan->word_bits : qm_trace_natural_bits(dtype);
}

static qm_trace_tensor *add(qm_trace_layout *lay, const char *name, int32_t layer, qm_dtype held)
{
    if (!qm_grow(&lay->tensors, &lay->capacity, lay->n_tensors + 1, sizeof *lay->tensors))
        return NULL;
    qm_trace_tensor *t = &lay->tensors[lay->n_tensors++];
    *t = (qm_trace_tensor){.layer = layer, .edge = -1, .n_rows = 1};
    snprintf(t->name, sizeof t->name, "%s", name);
    t->code = (qm_trace_code){.format = lay->plan->format,
                              .held = held,
                              .dtype = held == QM_BF16 ? QM_F32 : held,
                              .lanes = lay->plan->lanes,
                              .n_cols = 1};
    return t;
}

/* Rows and columns from the shape, and what depends on the type. */
static void finish(const qm_trace_plan *plan, qm_trace_tensor *t)
{
    t->code.bits = word_bits(plan, t->code.dtype, t->layer >= 0);
    for (int32_t i = 0; i + 1 < t->ndim; i++)
        t->n_rows *= t->shape[i];
    if (t->ndim > 0) t->code.n_cols = (size_t)t->shape[t->ndim - 1];
    if (t->rows_each > 0 && t->ndim == 1) { /* one number per token: each is a row */
        t->n_rows = t->shape[0];
        t->code.n_cols = 1;
    }
}

static bool add_tokens(qm_trace_layout *lay)
{
    const qm_trace_plan *plan = lay->plan;
    qm_trace_tensor *t = add(lay, "tokens", -1, QM_I32);
    if (!t) return false;
    t->ndim = 1;
    t->shape[0] = plan->n_tokens - plan->first;
    t->axes[0] = "token";
    t->data = plan->tokens + plan->first;
    t->meaning = "ids of the traced tokens";
    finish(plan, t);
    return true;
}

static bool add_parameter(qm_trace_layout *lay, int32_t layer, const char *name)
{
    qm_trace_parameter p;
    if (!qm_trace_parameter_find(&p, lay->plan->model, layer, name)) return true; /* an edge */
    for (size_t i = 0; i < lay->n_tensors; i++)
        if (lay->tensors[i].layer == layer && strcmp(lay->tensors[i].name, name) == 0) return true;
    qm_trace_tensor *t = add(lay, name, layer, p.dtype);
    if (!t) return false;
    t->ndim = p.ndim;
    for (int32_t i = 0; i < p.ndim; i++) {
        t->shape[i] = p.shape[i];
        t->axes[i] = p.axes[i];
    }
    t->data = p.data;
    t->packed = p.packed;
    t->value = p.value;
    t->meaning = p.meaning;
    finish(lay->plan, t);
    return true;
}

/* Parameters named in a list of inputs. */
static bool add_parameters(qm_trace_layout *lay, int32_t layer, const char *inputs)
{
    char name[32];
    for (size_t n; *inputs; inputs += n + (inputs[n] == ' ')) {
        n = strcspn(inputs, " ");
        snprintf(name, sizeof name, "%.*s", (int)n, inputs);
        if (!add_parameter(lay, layer, name)) return false;
    }
    return true;
}

static bool add_edge(qm_trace_layout *lay, int32_t layer, qm_trace_edge edge)
{
    const qm_config *c = &lay->plan->model->config;
    qm_trace_facts facts;
    qm_trace_describe(&facts, &lay->setting, layer, edge);
    if (facts.absent) return true;
    const size_t number = lay->n_tensors;
    qm_trace_tensor *t =
        add(lay, qm_trace_edge_name(edge), layer, facts.dtype == QM_F16 ? QM_F32 : facts.dtype);
    if (!t) return false;
    t->edge = (int32_t)edge;
    t->code.dtype = facts.dtype;
    t->shape[0] = lay->plan->n_tokens - lay->plan->first;
    t->axes[0] = "token";
    t->ndim = 1 + qm_trace_edge_axes(edge, c, t->shape + 1, t->axes + 1);
    t->rows_each = t->ndim == 3 ? t->shape[1] : 1;
    t->meaning = qm_trace_edge_meaning(edge);
    finish(lay->plan, t);
    lay->by_edge[(size_t)layer * QM_N_TRACE_EDGES + (size_t)edge] = (int32_t)number;
    return !lay->plan->parameters || add_parameters(lay, layer, facts.inputs);
}

static bool add_layer(qm_trace_layout *lay, int32_t layer)
{
    const bool head = layer == lay->plan->model->config.n_layer;
    bool good = true;
    for (int32_t i = 0; good && i < QM_N_TRACE_EDGES; i++)
        if (lay->plan->edges[i] && qm_trace_edge_is_head((qm_trace_edge)i) == head)
            good = add_edge(lay, layer, (qm_trace_edge)i);
    return good;
}

/* ---- files ------------------------------------------------------------------------------------
 */

static void place_name(char out[16], const qm_trace_layout *lay, int32_t layer)
{
    if (layer < 0)
        out[0] = '\0';
    else if (layer == lay->plan->model->config.n_layer)
        snprintf(out, 16, "head");
    else
        snprintf(out, 16, "layer%02" PRId32, layer);
}

/* The file of a tensor: its own, or that of its layer. */
static bool find_file(qm_trace_layout *lay, qm_trace_tensor *t)
{
    char place[16], name[QM_TRACE_NAME];
    place_name(place, lay, t->layer);
    if (lay->plan->format == QM_TRACE_SAFETENSORS)
        snprintf(name, sizeof name, "%s.safetensors", t->layer < 0 ? "run" : place);
    else
        snprintf(name, sizeof name, "%s%s%s.%s", place, place[0] ? "." : "", t->name,
                 format_names[lay->plan->format]);
    for (t->file = 0; t->file < lay->n_files; t->file++)
        if (strcmp(lay->files[t->file].name, name) == 0) return true;
    if (!qm_grow(&lay->files, &lay->files_capacity, lay->n_files + 1, sizeof *lay->files))
        return false;
    lay->files[lay->n_files] = (qm_trace_file){0};
    memcpy(lay->files[lay->n_files++].name, name, sizeof name);
    return true;
}

/* Pads with blanks so that the data begin at a multiple of 64, behind extra more bytes. */
static void pad(qm_text *header, size_t extra)
{
    while ((header->size + extra) % 64 != 0 && !header->failed)
        qm_text_puts(header, " ");
}

/* NumPy's format 1.0: a magic, the size of the text, a Python dictionary. */
static void npy_header(qm_text *out, const qm_trace_tensor *t)
{
    static const char *const types[QM_N_DTYPES] = {
        [QM_F32] = "<f4", [QM_F16] = "<f2", [QM_I8] = "|i1", [QM_I32] = "<i4"};
    qm_text text = {0};
    qm_text_printf(&text, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                   types[t->code.dtype]);
    for (int32_t i = 0; i < t->ndim; i++)
        qm_text_printf(&text, "%" PRIu64 ",%s", t->shape[i], i + 1 < t->ndim ? " " : "");
    qm_text_puts(&text, "), }");
    pad(&text, 11);
    qm_text_puts(&text, "\n");
    const unsigned char begin[10] = {0x93,
                                     'N',
                                     'U',
                                     'M',
                                     'P',
                                     'Y',
                                     1,
                                     0,
                                     (unsigned char)(text.size & 255),
                                     (unsigned char)(text.size >> 8)};
    qm_text_add(out, (const char *)begin, sizeof begin);
    if (!text.failed) qm_text_add(out, text.data, text.size);
    out->failed = out->failed || text.failed;
    qm_text_free(&text);
}

/* The tensors of one safetensors file, wide elements first: without gaps each lies at a multiple of
 * its size. */
static bool safetensors_header(qm_trace_layout *lay, size_t file)
{
    static const size_t sizes[] = {4, 2, 1};
    json_t *header = json_object();
    qm_text *out = &lay->files[file].header;
    uint64_t at = 0;
    bool good = header != NULL;
    for (size_t s = 0; s < QM_COUNT(sizes); s++)
        for (size_t i = 0; good && i < lay->n_tensors; i++) {
            qm_trace_tensor *t = &lay->tensors[i];
            if (t->file != file || qm_dtype_size(t->code.dtype) != sizes[s]) continue;
            t->offset = at;
            at += t->n_rows * qm_trace_row_bytes(&t->code);
            json_t *shape = json_array();
            for (int32_t k = 0; k < t->ndim; k++)
                json_array_append_new(shape, json_integer((json_int_t)t->shape[k]));
            good = json_object_set_new(header, t->name,
                                       json_pack("{s:s, s:o, s:[I, I]}", "dtype",
                                                 qm_dtype_stored(t->code.dtype), "shape", shape,
                                                 "data_offsets", (json_int_t)t->offset,
                                                 (json_int_t)at)) == 0;
        }
    char *text = good ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    if (!text) return false;
    qm_text body = {0};
    qm_text_puts(&body, text);
    free(text);
    pad(&body, 8);
    unsigned char size[8];
    for (size_t k = 0; k < 8; k++)
        size[k] = (unsigned char)((uint64_t)body.size >> (8 * k) & 255);
    qm_text_add(out, (const char *)size, sizeof size);
    if (!body.failed) qm_text_add(out, body.data, body.size);
    good = !body.failed && !out->failed;
    qm_text_free(&body);
    return good;
}

static bool place(qm_trace_layout *lay)
{
    const qm_trace_format format = lay->plan->format;
    bool good = true;
    for (size_t i = 0; good && i < lay->n_tensors; i++) {
        qm_trace_tensor *t = &lay->tensors[i];
        good = find_file(lay, t);
        if (!good || format != QM_TRACE_NPY) continue;
        npy_header(&lay->files[t->file].header, t);
        good = !lay->files[t->file].header.failed;
    }
    for (size_t f = 0; good && format == QM_TRACE_SAFETENSORS && f < lay->n_files; f++)
        good = safetensors_header(lay, f);
    for (size_t f = 0; good && f < lay->n_files; f++)
        lay->files[f].size = lay->files[f].header.size;
    for (size_t i = 0; good && i < lay->n_tensors; i++) {
        qm_trace_tensor *t = &lay->tensors[i];
        t->offset += lay->files[t->file].header.size;
        lay->files[t->file].size += t->n_rows * qm_trace_row_bytes(&t->code);
    }
    for (size_t f = 0; f < lay->n_files; f++)
        lay->size += lay->files[f].size;
    return good;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static quamba_status nothing(const qm_trace_layout *lay, quamba_error *err)
{
    const int32_t n_layer = lay->plan->model->config.n_layer;
    for (int32_t i = 0; i < QM_N_TRACE_EDGES; i++) {
        const qm_trace_edge edge = (qm_trace_edge)i;
        if (!lay->plan->edges[i]) continue;
        const bool head = qm_trace_edge_is_head(edge);
        qm_trace_facts facts;
        qm_trace_describe(&facts, &lay->setting, head ? n_layer : 0, edge);
        if (facts.absent)
            return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "mode %s has no edge %s: %s",
                           lay->plan->model->datapath->id, qm_trace_edge_name(edge), facts.absent);
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "edge %s belongs to %s, which is not traced",
                       qm_trace_edge_name(edge), head ? "the head" : "the layers");
    }
    return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "there is no edge to trace");
}

quamba_status qm_trace_layout_make(qm_trace_layout *lay, const qm_trace_plan *plan,
                                   quamba_error *err)
{
    const int32_t n_layer = plan->model->config.n_layer;
    const size_t n = ((size_t)n_layer + 1) * QM_N_TRACE_EDGES;
    *lay = (qm_trace_layout){.plan = plan};
    lay->setting = (qm_trace_setting){
        .model = plan->model,
        .prefill = plan->first<plan->n_prefill, .steps = plan->n_tokens> plan->n_prefill};
    lay->by_edge = qm_alloc(n, sizeof *lay->by_edge);
    if (!lay->by_edge || !add_tokens(lay)) return no_memory(err);
    for (size_t i = 0; i < n; i++)
        lay->by_edge[i] = -1;
    for (int32_t layer = 0; layer <= n_layer; layer++)
        if (plan->layers[layer] && !add_layer(lay, layer)) return no_memory(err);
    if (lay->n_tensors == 1) return nothing(lay, err);
    return place(lay) ? QUAMBA_OK : no_memory(err);
}

void qm_trace_layout_free(qm_trace_layout *lay)
{
    for (size_t f = 0; lay->files && f < lay->n_files; f++)
        qm_text_free(&lay->files[f].header);
    free(lay->tensors);
    free(lay->files);
    free(lay->by_edge);
    *lay = (qm_trace_layout){0};
}

const void *qm_trace_constant(const qm_trace_tensor *t, void **owned)
{
    *owned = NULL;
    if (!t->data) return &t->value;
    if (!t->packed) return t->data;
    int8_t *rows = *owned = qm_alloc((size_t)t->n_rows, t->code.n_cols);
    for (size_t i = 0; rows && i < t->n_rows; i++)
        qm_linear_row(t->packed, (int32_t)i, rows + i * t->code.n_cols);
    return rows;
}

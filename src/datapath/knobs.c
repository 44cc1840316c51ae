/* Names of knobs and values; lists of them. */
#include "datapath/knobs.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(qm_ip) == sizeof(int32_t) && sizeof(qm_knobs) == QM_N_KNOBS * sizeof(int32_t),
               "every knob is an enum of 32 bits");

/* clang-format off */
#define AT(field) offsetof(qm_knobs, field)
const qm_knob qm_knob_table[QM_N_KNOBS] = {
    [QM_KNOB_IP] = {"ip", "in_proj_out", AT(ip), "x half of in_proj: codes, or numbers rounded to half or not at all",
                    {"i8", "f16", "f32"}},
    [QM_KNOB_CIN] = {"cin", "conv_in_scale", AT(cin), "scale of the convolution's input: calibrated, or found at run time",
                     {"static", "dyn-tensor", "dyn-token"}},
    [QM_KNOB_CONV] = {"conv", "conv_arithmetic", AT(conv), "exact products of codes, or of numbers dequantized first",
                      {"int", "deq"}},
    [QM_KNOB_GRID] = {"grid", "conv_out", AT(grid), "what becomes of the FP32 convolution output: codes (i8), or FP32 numbers on a grid or free",
                      {"i8", "f32", "vq", "sel", "dual", "half", "quarter", "qlog2", "seg3", "cdual"}},
    [QM_KNOB_RND] = {"rnd", "rounding", AT(rnd), "ties in grid, in x_proj's input and in the scan's",
                     {"away", "even"}},
    [QM_KNOB_XP] = {"xp", "x_proj_in", AT(xp), "x_proj reads the codes, the output quantized (req), the grid's numbers quantized (req-grid), or these numbers (val)",
                    {"codes", "req", "req-grid", "val"}},
    [QM_KNOB_LIN] = {"lin", "x_dt_proj", AT(lin), "arithmetic of x_proj and dt_proj",
                     {"int8", "f32"}},
    [QM_KNOB_BC] = {"bc", "dt_b_c", AT(bc), "dt, B and C: codes, FP32 on their grids, FP32, or FP32 until the scan",
                    {"i8", "vq", "f32", "i8late"}},
    [QM_KNOB_U] = {"u", "scan_in", AT(u), "the scan reads the codes, these dequantized (and quantized again), the grid's numbers quantized (req), or these numbers (val)",
                   {"codes", "deq", "deq-req", "req", "val"}},
    [QM_KNOB_SCAN] = {"scan", "scan_kernel", AT(scan), "family of scan kernels: order and association of its sums",
                      {"fused", "ref", "se", "mamba"}},
    [QM_KNOB_STATE] = {"state", "ssm_state", AT(state), "the recurrent state at the hand-over to decode and from step to step",
                       {"i8end", "i8step", "i8step-away", "f16", "f32"}},
    [QM_KNOB_Y] = {"y", "scan_out", AT(y), "scan output, into the Hadamard transform",
                   {"f16", "f32"}},
    [QM_KNOB_Z] = {"z", "gate", AT(z), "z half of in_proj: codes or FP32 numbers",
                   {"i8", "f32"}},
};
#undef AT
/* clang-format on */

int32_t qm_knob_count(qm_knob_id id)
{
    int32_t n = 0;
    while (qm_knob_table[id].values[n])
        n++;
    return n;
}

int32_t qm_knob_get(const qm_knobs *knobs, qm_knob_id id)
{
    int32_t value;
    memcpy(&value, (const char *)knobs + qm_knob_table[id].offset, sizeof value);
    return value;
}

void qm_knob_set(qm_knobs *knobs, qm_knob_id id, int32_t value)
{
    memcpy((char *)knobs + qm_knob_table[id].offset, &value, sizeof value);
}

size_t qm_knobs_print(const qm_knobs *knobs, const qm_knobs *base, char *text, size_t capacity)
{
    size_t length = 0;
    if (capacity > 0) text[0] = '\0';
    for (qm_knob_id id = 0; id < QM_N_KNOBS; id++) {
        const int32_t value = qm_knob_get(knobs, id);
        if (base && value == qm_knob_get(base, id)) continue;
        const size_t at = length < capacity ? length : capacity;
        length += (size_t)snprintf(text + at, capacity - at, "%s%s=%s", length > 0 ? "," : "",
                                   qm_knob_table[id].name, qm_knob_table[id].values[value]);
    }
    return length;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

enum { MAX_WORD = 40 };

/* n bytes without blanks around them, underscores as dashes; false when they are too long. */
static bool take_word(char word[MAX_WORD + 1], const char *text, size_t n)
{
    while (n > 0 && text[0] == ' ')
        text++, n--;
    while (n > 0 && text[n - 1] == ' ')
        n--;
    const bool fits = n <= MAX_WORD;
    if (!fits) n = MAX_WORD;
    for (size_t i = 0; i < n; i++)
        word[i] = text[i] == '_' ? '-' : text[i];
    word[n] = '\0';
    return fits;
}

/* The name that was meant, at most two edits away. */
typedef struct nearest {
    const char *name; /* NULL: none so far */
    size_t distance;
} nearest;

static bool matches(nearest *near, const char *word, const char *name)
{
    char dashed[MAX_WORD + 1];
    take_word(dashed, name, strlen(name));
    if (strcmp(word, dashed) == 0) return true;
    const size_t distance = qm_edit_distance(word, dashed);
    if (distance <= 2 && distance < strlen(word) && distance < near->distance)
        *near = (nearest){name, distance};
    return false;
}

/* What may stand there. */
static quamba_status refuse_word(const char *what, const char *word, const nearest *near,
                                 const qm_text *all, quamba_error *err)
{
    if (all->failed) return qm_fail_memory(err, all->size, "a message");
    return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "%s \"%s\"%s%s: one of %s", what, word,
                   near->name ? ", did you mean " : "", near->name ? near->name : "", all->data);
}

static quamba_status find_knob(qm_knob_id *found, const char *word, quamba_error *err)
{
    nearest near = {NULL, SIZE_MAX};
    qm_text all = {0};
    for (qm_knob_id id = 0; id < QM_N_KNOBS; id++) {
        *found = id;
        if (matches(&near, word, qm_knob_table[id].name) ||
            matches(&near, word, qm_knob_table[id].long_name))
            return QUAMBA_OK;
    }
    for (qm_knob_id id = 0; id < QM_N_KNOBS; id++)
        qm_text_printf(&all, "%s%s (%s)", id > 0 ? ", " : "", qm_knob_table[id].name,
                       qm_knob_table[id].long_name);
    quamba_status status = refuse_word("there is no knob", word, &near, &all, err);
    qm_text_free(&all);
    return status;
}

static quamba_status find_value(int32_t *found, qm_knob_id id, const char *word, quamba_error *err)
{
    nearest near = {NULL, SIZE_MAX};
    qm_text all = {0};
    char what[80];
    for (int32_t v = 0; v < qm_knob_count(id); v++) {
        *found = v;
        if (matches(&near, word, qm_knob_table[id].values[v])) return QUAMBA_OK;
    }
    for (int32_t v = 0; v < qm_knob_count(id); v++)
        qm_text_printf(&all, "%s%s", v > 0 ? ", " : "", qm_knob_table[id].values[v]);
    snprintf(what, sizeof what, "%s (%s) has no value", qm_knob_table[id].name,
             qm_knob_table[id].long_name);
    quamba_status status = refuse_word(what, word, &near, &all, err);
    qm_text_free(&all);
    return status;
}

/* "name=value", n bytes; given: which knobs had their turn, one bit each. */
static quamba_status read_item(qm_knobs *knobs, uint32_t *given, const char *item, size_t n,
                               quamba_error *err)
{
    char name[MAX_WORD + 1], value[MAX_WORD + 1];
    const char *equals = memchr(item, '=', n);
    const size_t n_name = equals ? (size_t)(equals - item) : n;
    const bool fits = take_word(name, item, n_name);
    if (!equals || name[0] == '\0')
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                       "\"%s\" is no NAME=VALUE: a list is such as conv_out=f32,scan=ref", name);
    if (!take_word(value, equals + 1, n - n_name - 1) || !fits)
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "\"%s=%s...\" is too long for a knob", name,
                       value);
    qm_knob_id id;
    int32_t v = 0;
    quamba_status status = find_knob(&id, name, err);
    if (status == QUAMBA_OK) status = find_value(&v, id, value, err);
    if (status != QUAMBA_OK) return status;
    if (*given & (1u << id))
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "%s (%s) is given twice", qm_knob_table[id].name,
                       qm_knob_table[id].long_name);
    *given |= 1u << id;
    qm_knob_set(knobs, id, v);
    return QUAMBA_OK;
}

static quamba_status read_list(qm_knobs *knobs, const char *list, quamba_error *err)
{
    uint32_t given = 0;
    quamba_status status = QUAMBA_OK;
    if (list[strspn(list, " ")] == '\0') return status;
    for (const char *item = list; status == QUAMBA_OK && item;) {
        const size_t n = strcspn(item, ",");
        status = read_item(knobs, &given, item, n, err);
        item = item[n] == ',' ? item + n + 1 : NULL;
    }
    return status;
}

/* ---- datapaths that are no rows ---------------------------------------------------------------
 */

enum { ID_BYTES = 320 }; /* a row's id and every knob with its longest value */

typedef struct parsed {
    quamba_datapath datapath;
    char id[ID_BYTES];
} parsed;

quamba_datapath *qm_datapath_copy(const quamba_datapath *datapath)
{
    parsed *copy = qm_alloc(1, sizeof *copy);
    if (!copy) return NULL;
    copy->datapath = *datapath;
    snprintf(copy->id, sizeof copy->id, "%s", datapath->id);
    copy->datapath.id = copy->id;
    return &copy->datapath;
}

quamba_status quamba_datapath_parse(quamba_datapath **datapath, const quamba_datapath *base,
                                    const char *list, quamba_error *error)
{
    *datapath = NULL;
    if (!base->quantized)
        return qm_fail(error, QUAMBA_E_ARGUMENT, 0,
                       "%s has no knobs: it runs the unquantized checkpoint", base->id);
    const quamba_datapath *row = base->base ? base->base : base;
    qm_knobs knobs = base->knobs;
    quamba_status status = read_list(&knobs, list, error);
    if (status != QUAMBA_OK) return status;
    parsed *result = qm_alloc(1, sizeof *result);
    if (!result) return qm_fail_memory(error, sizeof *result, "a datapath");
    result->datapath = *row;
    result->datapath.base = row;
    result->datapath.knobs = knobs;
    result->datapath.id = result->id;
    const size_t n = (size_t)snprintf(result->id, sizeof result->id, "%s:", row->id);
    if (qm_knobs_print(&knobs, &row->knobs, result->id + n, sizeof result->id - n) == 0) {
        result->id[n - 1] = '\0'; /* the row itself */
    } else {
        result->datapath.summary = "a row with some knobs changed";
        result->datapath.remark = NULL;
        result->datapath.beside = NULL;
        result->datapath.removed = false;
    }
    *datapath = &result->datapath;
    return QUAMBA_OK;
}

void quamba_datapath_free(quamba_datapath **datapath)
{
    free(*datapath);
    *datapath = NULL;
}

size_t quamba_datapath_describe(const quamba_datapath *datapath, char *text, size_t capacity)
{
    if (datapath->quantized) return qm_knobs_print(&datapath->knobs, NULL, text, capacity);
    return (size_t)snprintf(text, capacity, "%s", datapath->id);
}

bool quamba_datapath_knob(size_t index, quamba_knob *knob)
{
    if (index >= QM_N_KNOBS) return false;
    const qm_knob *k = &qm_knob_table[index];
    *knob = (quamba_knob){k->name, k->long_name, k->meaning, k->values};
    return true;
}

const char *quamba_datapath_value(const quamba_datapath *datapath, size_t index)
{
    if (!datapath->quantized || index >= QM_N_KNOBS) return NULL;
    const qm_knob_id id = (qm_knob_id)index;
    return qm_knob_table[id].values[qm_knob_get(&datapath->knobs, id)];
}

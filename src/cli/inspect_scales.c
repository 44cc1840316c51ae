/* The quantized side of `quamba inspect`: module kinds and scales. */
#include "cli/inspect.h"

#include "base/mem.h"
#include "cli/cli.h"

#include <inttypes.h>
#include <string.h>

/* "f16", "w8a8", ...: by the type and the keys of the module, never by what config.json says. */
static const char *kind_of(const qm_source *source, const char *module)
{
    char name[160];
    snprintf(name, sizeof name, "%s.weight", module);
    const qm_tensor *weight = qm_source_find(source, name);
    if (weight == NULL) return "missing";
    snprintf(name, sizeof name, "%s.s_group", module);
    if (weight->dtype == QM_I32) return qm_source_find(source, name) != NULL ? "w4a8" : "w4a16";
    snprintf(name, sizeof name, "%s.a", module);
    if (weight->dtype == QM_I8 && qm_source_find(source, name) != NULL) return "w8a8";
    return qm_dtype_name(weight->dtype);
}

/* The kind that a module has in every layer, else "mixed". */
static const char *kind_in_layers(const qm_source *source, const char *module, int32_t n_layer)
{
    const char *kind = "missing";
    for (int32_t i = 0; i < n_layer; i++) {
        char name[128];
        snprintf(name, sizeof name, "backbone.layers.%" PRId32 ".mixer.%s", i, module);
        const char *here = kind_of(source, name);
        if (i > 0 && strcmp(here, kind) != 0) return "mixed";
        kind = here;
    }
    return kind;
}

json_t *qc_modules_json(const qm_source *source, int32_t n_layer)
{
    static const char *const inside[] = {"in_proj", "conv1d", "x_proj", "dt_proj", "out_proj"};
    json_t *modules = json_object();
    json_object_set_new(modules, "embedding", json_string(kind_of(source, "backbone.embedding")));
    for (size_t k = 0; k < QM_COUNT(inside); k++) {
        const char *kind = kind_in_layers(source, inside[k], n_layer);
        if (strcmp(kind, "missing") != 0) /* Mamba-2 has fewer */
            json_object_set_new(modules, inside[k], json_string(kind));
    }
    json_object_set_new(modules, "lm_head", json_string(kind_of(source, "lm_head")));
    return modules;
}

/* The part of a tensor's name after "backbone.layers.LAYER."; NULL for a tensor of elsewhere. */
static const char *name_in_layer(const qm_tensor *t, int32_t layer)
{
    char prefix[64];
    snprintf(prefix, sizeof prefix, "backbone.layers.%" PRId32 ".", layer);
    size_t n = strlen(prefix);
    return strncmp(t->name, prefix, n) == 0 ? t->name + n : NULL;
}

static double number(const qm_tensor *t)
{
    double x;
    qc_statistics s;
    qc_tensor_statistics(t, &s, &x, 1);
    return x;
}

json_t *qc_scales_json(const qm_source *source, int32_t n_layer)
{
    json_t *layers = json_array();
    for (int32_t i = 0; i < n_layer; i++)
        json_array_append_new(layers, json_object());
    for (size_t i = 0; i < qm_source_count(source); i++) {
        const qm_tensor *t = qm_source_at(source, i);
        int32_t layer = -1;
        if (qm_tensor_count(t) != 1 ||
            sscanf(t->name, "backbone.layers.%" SCNd32 ".", &layer) != 1 || layer < 0 ||
            layer >= n_layer)
            continue;
        const char *rest = name_in_layer(t, layer);
        if (rest != NULL)
            json_object_set_new(json_array_get(layers, (size_t)layer), rest,
                                qc_json_real(number(t)));
    }
    return layers;
}

int qc_scales_print(const qm_source *source, int32_t n_layer)
{
    static const struct {
        const char *heading, *name;
    } columns[] = {
        {"in",  "norm.output_scale"                   },
        {"x",   "mixer.conv1d.input_scale"            },
        {"z",   "mixer.selective_scan.z_scale"        },
        {"u",   "mixer.selective_scan.u_scale"        },
        {"B",   "mixer.selective_scan.B_scale"        },
        {"C",   "mixer.selective_scan.C_scale"        },
        {"dt",  "mixer.selective_scan.dt_scale"       },
        {"h",   "mixer.selective_scan.ssm_state_scale"},
        {"out", "mixer.had.x_H_scale"                 },
    };
    const char *headings[QM_COUNT(columns) + 1] = {"layer"};
    for (size_t k = 0; k < QM_COUNT(columns); k++)
        headings[k + 1] = columns[k].heading;
    qc_table *table = qc_table_new(headings, QM_COUNT(headings));
    if (table == NULL) return qc_fail_memory();
    for (int32_t i = 0; i < n_layer; i++) {
        qc_table_cell(table, "%" PRId32, i);
        for (size_t k = 0; k < QM_COUNT(columns); k++) {
            char name[128];
            snprintf(name, sizeof name, "backbone.layers.%" PRId32 ".%s", i, columns[k].name);
            const qm_tensor *t = qm_source_find(source, name);
            if (t != NULL && qm_tensor_count(t) == 1)
                qc_table_cell(table, "%.3g", number(t));
            else
                qc_table_cell(table, "-");
        }
    }
    printf("\nActivation scales (--layer K for all of a layer's numbers):\n");
    int status = qc_table_print(table, stdout);
    qc_table_free(&table);
    return status;
}

int qc_layer_print(const qm_source *source, int32_t layer)
{
    qc_table *table = qc_table_new((const char *const[]){"tensor", "type", "value"}, 3);
    if (table == NULL) return qc_fail_memory();
    for (size_t i = 0; i < qm_source_count(source); i++) {
        const qm_tensor *t = qm_source_at(source, i);
        const char *rest = name_in_layer(t, layer);
        char shown[192];
        if (rest == NULL) continue;
        qc_table_cell(table, "%s", rest);
        qc_table_cell(table, "%s", t->python_float ? "float" : qm_tensor_describe(t, shown));
        if (qm_tensor_count(t) == 1)
            qc_table_cell(table, "%.9g", number(t));
        else
            qc_table_cell(table, "%s", "");
    }
    int status = qc_table_print(table, stdout);
    qc_table_free(&table);
    return status;
}

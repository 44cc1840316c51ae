/* quamba lut: exact tables of the elementary functions. */
#include "cli/cli.h"

#include "lut/lut.h"
#include "model/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the table is of -------------------------------------------------------------------- */

static int unknown_function(const char *name)
{
    char all[200] = "";
    const qm_lut_function *f;
    for (size_t i = 0; (f = qm_lut_function_at(i)) != NULL; i++) {
        const size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i > 0 ? ", " : "", f->name);
    }
    return qc_fail(QC_USAGE, "lut: \"%.60s\" is not known: the functions are %s", name, all);
}

/* --in, --out, --round, --bias. */
static int take_formats(const qc_options *opt, qm_lut_spec *spec, float *bias)
{
    quamba_error err;
    if (opt->in == NULL && !qc_given(opt, "layer"))
        return qc_fail(QC_USAGE, "lut: --in FORMAT is missing, or --layer K with a MODEL whose "
                                 "scale to take");
    if (opt->in != NULL && qc_given(opt, "layer"))
        return qc_fail(QC_USAGE, "lut: --in and --layer both say what the input is");
    if (opt->in != NULL && qm_lut_format_parse(&spec->in, opt->in, &err) != QUAMBA_OK)
        return qc_fail(QC_USAGE, "lut: --in %s", err.message);
    if (qm_lut_format_parse(&spec->out, opt->out, &err) != QUAMBA_OK)
        return qc_fail(QC_USAGE, "lut: --out %s", err.message);
    spec->away = strcmp(opt->round, "away") == 0;
    if (!qc_given(opt, "bias")) return QC_OK;
    if (qc_given(opt, "layer"))
        return qc_fail(QC_USAGE, "lut: --bias and --layer both say what is added");
    *bias = (float)opt->bias;
    spec->biases = bias;
    spec->n_tables = 1;
    return QC_OK;
}

/* Scale and biases of the operator that the function stands in: the gate reads z, softplus the
 * time step of every channel, whose bias a prefill adds by fma and a decode step does not. */
static int take_layer(const qc_options *opt, qm_lut_spec *spec, const quamba_model *model)
{
    const char *path = opt->args[1], *name = spec->function->name;
    const bool is_step = strncmp(name, "softplus", 8) == 0;
    if (!model->config.quantized)
        return qc_fail(QC_FAILED, "%s: is not quantized and has no scales: quantize it first",
                       path);
    if (opt->layer >= model->config.n_layer)
        return qc_fail(QC_FAILED, "%s: has no layer %" PRId64 ": there are %" PRId32, path,
                       opt->layer, model->config.n_layer);
    const qm_layer *l = &model->layers[opt->layer];
    spec->in = (qm_lut_format){.kind = QM_LUT_I8, .scale = is_step ? l->scales.dt : l->scales.z};
    if (!is_step) return QC_OK;
    spec->biases = l->dt_bias;
    spec->n_tables = (size_t)model->config.d_inner;
    spec->fused = strcmp(name, "softplus") == 0;
    if (!qc_given(opt, "channel")) return QC_OK;
    if (opt->channel >= model->config.d_inner)
        return qc_fail(QC_FAILED, "%s: has no channel %" PRId64 ": there are %" PRId32, path,
                       opt->channel, model->config.d_inner);
    spec->biases += opt->channel;
    spec->n_tables = 1;
    return QC_OK;
}

/* Whether the arguments go together, before a model is opened. */
static int check_arguments(const qc_options *opt, const qm_lut_function *f)
{
    const bool is_step = strncmp(f->name, "softplus", 8) == 0;
    const bool has_scale =
        is_step || strcmp(f->name, "silu") == 0 || strcmp(f->name, "sigmoid") == 0;
    if (qc_given(opt, "layer") && opt->n_args < 2)
        return qc_fail(QC_USAGE, "lut: --layer needs the MODEL that has it");
    if (!qc_given(opt, "layer") && opt->n_args > 1)
        return qc_fail(QC_USAGE, "lut: a MODEL is given without --layer K, whose scales to take");
    if (qc_given(opt, "layer") && !has_scale)
        return qc_fail(QC_USAGE,
                       "lut: --layer: no layer has codes that go into %s; --in FORMAT "
                       "says what the input is",
                       f->name);
    if (qc_given(opt, "channel") && !(qc_given(opt, "layer") && is_step))
        return qc_fail(QC_USAGE, "lut: --channel is for softplus and softplus-log with --layer");
    return QC_OK;
}

/* ---- the result ------------------------------------------------------------------------------ */

static json_t *format_json(const qm_lut_format *format)
{
    char name[32];
    json_t *out = json_pack("{s:s, s:i}", "format", qm_lut_format_name(format, name), "bits",
                            qm_lut_format_bits(format));
    if (format->scale > 0.0f)
        json_object_set_new(out, "scale", qc_json_real((double)format->scale));
    return out;
}

static json_t *bits_json(const qm_lut *lut)
{
    json_t *tables = json_array();
    for (size_t t = 0; t < lut->n_tables; t++) {
        json_t *table = json_array();
        for (size_t i = 0; i < lut->n_entries; i++)
            json_array_append_new(table, json_integer(lut->bits[t * lut->n_entries + i]));
        json_array_append_new(tables, table);
    }
    return tables;
}

static json_t *worst_json(const qm_lut *lut)
{
    const qm_lut_entry *w = &lut->worst;
    if (w->is_lost) return json_null();
    return json_pack("{s:o, s:I, s:i, s:o, s:o, s:o}", "error", qc_json_real(w->error), "table",
                     (json_int_t)lut->worst_table, "code", (int)w->code, "input",
                     qc_json_real((double)w->x), "output", qc_json_real(w->y), "truth",
                     qc_json_real(w->truth));
}

static int print_as_json(const qm_lut *lut)
{
    json_t *out = json_pack(
        "{s:s, s:s, s:o, s:o, s:s, s:I, s:I, s:b, s:o, s:o, s:I, s:o, s:o, s:o}", "function",
        lut->spec.function->name, "meaning", lut->spec.function->meaning, "in",
        format_json(&lut->spec.in), "out", format_json(&lut->spec.out), "ties",
        lut->spec.away ? "away" : "even", "tables", (json_int_t)lut->n_tables, "entries",
        (json_int_t)lut->n_entries, "fused", lut->spec.fused, "input_range",
        json_pack("[o, o]", qc_json_real((double)lut->x_low), qc_json_real((double)lut->x_high)),
        "output_range", json_pack("[o, o]", qc_json_real(lut->y_low), qc_json_real(lut->y_high)),
        "lost", (json_int_t)lut->n_lost, "largest_error", qc_json_real(lut->largest), "worst",
        worst_json(lut), "bits", bits_json(lut));
    int status = qc_print_json(out);
    json_decref(out);
    return status;
}

static void print_as_text(const qm_lut *lut)
{
    const qm_lut_spec *spec = &lut->spec;
    const qm_lut_entry *w = &lut->worst;
    const bool codes = spec->out.kind == QM_LUT_I8 || spec->out.kind == QM_LUT_I16;
    char name[32];
    printf("function  %s: %s\n", spec->function->name, spec->function->meaning);
    printf("input     %s", qm_lut_format_name(&spec->in, name));
    if (lut->n_tables > 1)
        printf(" plus the bias of a channel, %s", spec->fused ? "fused" : "rounded before");
    else if (spec->biases)
        printf(" plus %.9g%s", (double)spec->biases[0], spec->fused ? ", fused" : "");
    printf("; numbers %.9g .. %.9g\n", (double)lut->x_low, (double)lut->x_high);
    printf("output    %s", qm_lut_format_name(&spec->out, name));
    if (codes) printf(", ties %s", spec->away ? "away from zero" : "to even");
    printf("; numbers %.9g .. %.9g\n", lut->y_low, lut->y_high);
    printf("size      ");
    if (lut->n_tables > 1) printf("%zu tables of ", lut->n_tables);
    printf("%zu entries of %" PRId32 " bits: %zu bytes\n", lut->n_entries,
           qm_lut_format_bits(&spec->out),
           lut->n_tables * lut->n_entries * (size_t)qm_lut_format_bits(&spec->out) / 8);
    printf("lost      %" PRIu64 " entries: saturated, infinite or no number\n", lut->n_lost);
    if (w->is_lost) {
        printf("error     none: no entry holds its number\n");
        return;
    }
    printf("error     at most %.4g %s, at code %" PRId32, w->error, codes ? "steps" : "ulp",
           w->code);
    if (lut->n_tables > 1) printf(" of channel %zu", lut->worst_table);
    printf(": %s(%.9g) = %.17g, table %.9g\n"
           "absolute  at most %.4g\n",
           spec->function->name, (double)w->x, w->truth, w->y, lut->largest);
}

static int run(const qc_options *opt)
{
    quamba_error err;
    quamba_model *model = NULL;
    qm_lut lut = {0};
    float bias;
    qm_lut_spec spec = {.function = qm_lut_function_find(opt->args[0])};
    if (spec.function == NULL) return unknown_function(opt->args[0]);
    int status = check_arguments(opt, spec.function);
    if (status == QC_OK) status = take_formats(opt, &spec, &bias);
    if (status == QC_OK && qc_given(opt, "layer")) {
        char *path = qc_model_path(opt, opt->args[1]);
        if (path == NULL)
            status = QC_FAILED;
        else if (quamba_model_open(&model, path, NULL, &err) != QUAMBA_OK)
            status = qc_fail_error(&err);
        free(path);
        if (status == QC_OK) status = take_layer(opt, &spec, model);
    }
    if (status == QC_OK && qm_lut_make(&lut, &spec, &err) != QUAMBA_OK)
        status = qc_fail_error(&err);
    if (status == QC_OK && opt->output != NULL &&
        qm_lut_write(&lut, opt->output, &err) != QUAMBA_OK)
        status = qc_fail_error(&err);
    if (status == QC_OK) {
        if (opt->json)
            status = print_as_json(&lut);
        else
            print_as_text(&lut);
    }
    qm_lut_free(&lut);
    quamba_model_close(&model);
    return status != QC_OK ? status : qc_finish_output();
}

const qc_command qc_cmd_lut = {
    .name = "lut",
    .usage = "[OPTIONS] FUNCTION [MODEL]",
    .summary = "export an exact table of exp, SiLU, softplus",
    .description =
        "For every code of an input format, what the runtime's own function gives, in an output "
        "format: the table that hardware with the same bits holds.  FUNCTION is exp, exp2, silu, "
        "sigmoid, softplus (a prefill's time step) or softplus-log (a decode step's).\n\n"
        "Formats are i8:SCALE, i16:SCALE, f16 and, for the output, f32.  A code stands for "
        "fl(SCALE * code).  With --layer K the input is that of a layer of MODEL: z for silu and "
        "sigmoid; for softplus the time step with the bias of each channel, one table per channel "
        "or that of --channel.\n\n"
        "Shown are the ranges, how many entries saturate, and the largest error against double "
        "precision at the number the function gets, in steps of the output code or in units in the "
        "last place, with where it is.\n\n"
        "-o FILE writes the table, by its ending: .mem or .hex for $readmemh, .npy, .csv, or .h "
        "for "
        "C.  The address is the input's bits as an unsigned number: code -1 of i8 is at 255.",
    .examples = "quamba lut silu --in i8:0.05 --out i8:0.04\n"
                "quamba lut exp --in f16 --out f32 -o exp.mem\n"
                "quamba lut softplus --layer 0 --out f16 -o softplus.mem quamba-demo-w8a8\n",
    .options = "in out round bias layer channel output pretrained-dir",
    .min_args = 1,
    .max_args = 2,
    .run = run,
};

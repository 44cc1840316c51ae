/* quamba convert: one container into the other, every bit of every tensor as it was. */
#include "cli/cli.h"

#include "base/mem.h"
#include "format/format.h"
#include "format/output.h"
#include "model/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is written: the source's tensors, or the same with packed matrices. */
typedef struct conversion {
    const qm_source *source;
    const qm_tensor *tensors; /* [qm_source_count] */
    const json_t *metadata;   /* NULL: none */
    bool upstream;
} conversion;

static quamba_status write_weights(qm_output *out, const conversion *c, quamba_error *err)
{
    size_t n = qm_source_count(c->source);
    char *path = NULL;
    quamba_status status =
        qm_output_file(out, c->upstream ? "pytorch_model.bin" : "model.safetensors", &path, err);
    if (status == QUAMBA_OK)
        status = c->upstream ? qm_torch_zip_write(path, c->tensors, n, err)
                             : qm_safetensors_write(path, c->tensors, n, c->metadata, err);
    free(path);
    return status;
}

static quamba_status write_all(qm_output *out, const conversion *c, quamba_error *err)
{
    static const char *const companions[] = {"config.json", "act_scales.json"};
    quamba_status status = QUAMBA_OK;
    for (size_t i = 0; status == QUAMBA_OK && i < QM_COUNT(companions); i++)
        status = qm_output_copy(out, companions[i], err);
    if (status == QUAMBA_OK) status = qm_output_copy_tokenizer(out, err);
    if (status == QUAMBA_OK) status = write_weights(out, c, err);
    if (status == QUAMBA_OK && qc_interrupted())
        return qm_fail(err, QUAMBA_E_CANCELLED, 0, "interrupted");
    return status == QUAMBA_OK ? qm_output_commit(out, err) : status;
}

static int report(const qm_output *out, const conversion *c, const qc_options *opt)
{
    const qm_source *source = c->source;
    size_t n = qm_source_count(source);
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += qm_tensor_bytes(&c->tensors[i]);
    json_t *files = json_array();
    const char *name, *last = NULL;
    for (size_t i = 0; (name = qm_output_name(out, i)) != NULL; last = name, i++)
        json_array_append_new(files, json_string(name));
    if (!opt->json) {
        json_decref(files);
        printf("%s: %zu tensors, %" PRIu64 " bytes, as %s\n", opt->output, n, bytes, last);
        return qc_finish_output();
    }
    json_t *result = json_pack("{s:o, s:s, s:o, s:s, s:I, s:I, s:I, s:o}", "source",
                               qc_json_text(qm_source_path(source), strlen(qm_source_path(source))),
                               "format", qm_source_format(source), "output",
                               qc_json_text(opt->output, strlen(opt->output)), "to", opt->to,
                               "tensors", (json_int_t)n, "bytes", (json_int_t)bytes, "skipped",
                               (json_int_t)qm_source_skipped(source), "files", files);
    int status = qc_print_json(result);
    json_decref(result);
    return status;
}

static int convert_to(const qc_options *opt, const char *path, const conversion *c)
{
    quamba_error err;
    qm_output *out = NULL;
    quamba_status status = qm_output_open(&out, opt->output, qm_source_path(c->source), &err);
    if (status == QUAMBA_OK) status = write_all(out, c, &err);
    if (status == QUAMBA_OK && qm_source_skipped(c->source) > 0)
        qc_warn("%s: %zu entries that are no numbers (None, int, bool, str) were left out", path,
                qm_source_skipped(c->source));
    int result = status == QUAMBA_OK ? report(out, c, opt) : qc_fail_error(&err);
    qm_output_close(&out);
    return result;
}

static bool is_packed(const qm_source *source)
{
    for (size_t i = 0; i < qm_source_count(source); i++)
        if (qm_tensor_is_packed(qm_source_at(source, i))) return true;
    return false;
}

static int convert(const qc_options *opt, const char *path)
{
    quamba_error err;
    qm_source *source = NULL;
    if (qm_source_open(&source, path, &err) != QUAMBA_OK) return qc_fail_error(&err);
    const conversion c = {.source = source,
                          .tensors = qm_source_count(source) > 0 ? qm_source_at(source, 0) : NULL,
                          .metadata = qm_source_metadata(source),
                          .upstream = strcmp(opt->to, "upstream") == 0};
    int result = c.upstream && is_packed(source)
                     ? qc_fail(QC_FAILED,
                               "%s: its matrices are packed, which nothing but quamba reads: "
                               "convert the checkpoint it was made from",
                               path)
                     : convert_to(opt, path, &c);
    qm_source_close(&source);
    return result;
}

/* Opening packs; the file gets what opening left. */
static int write_packed(const qc_options *opt, const char *path, const quamba_model *model)
{
    const qm_source *source = model->source;
    if (model->n_packings == 0)
        return qc_fail(QC_FAILED, "%s: %s", path,
                       is_packed(source) ? "its matrices are packed already"
                                         : "it has no matrices of codes to pack: quantize it first "
                                           "(quamba quantize)");
    const size_t n = qm_source_count(source);
    const qm_tensor *first = qm_source_at(source, 0);
    qm_tensor *tensors = qm_alloc(n, sizeof *tensors);
    char rank[16];
    snprintf(rank, sizeof rank, "%" PRId32, model->config.dt_rank);
    json_t *metadata = qm_source_metadata(source) ? json_deep_copy(qm_source_metadata(source))
                                                  : json_pack("{s:s}", "format", "pt");
    int result = QC_FAILED;
    if (!tensors || !metadata ||
        json_object_set_new(metadata, QM_PACKED_DT_RANK, json_string(rank)) != 0) {
        result = qc_fail_memory();
    } else {
        memcpy(tensors, first, n * sizeof *tensors);
        for (size_t i = 0; i < model->n_packings; i++)
            tensors[model->packings[i].tensor - first] = qm_packed_tensor(&model->packings[i]);
        result = convert_to(
            opt, path, &(conversion){.source = source, .tensors = tensors, .metadata = metadata});
    }
    json_decref(metadata);
    free(tensors);
    return result;
}

static int convert_packed(const qc_options *opt, const char *path)
{
    quamba_error err;
    quamba_model *model = NULL;
    quamba_model_options options = quamba_model_options_default();
    options.n_threads = qc_n_threads(opt);
    if (quamba_model_open(&model, path, &options, &err) != QUAMBA_OK) return qc_fail_error(&err);
    int result = write_packed(opt, path, model);
    quamba_model_close(&model);
    return result;
}

static int run(const qc_options *opt)
{
    if (opt->output == NULL || opt->output[0] == '\0')
        return qc_fail(QC_USAGE, "convert: --output DIR says where the result is written");
    char *path = qc_model_path(opt, opt->args[0]);
    if (path == NULL) return QC_FAILED;
    qc_catch_interrupts();
    int status = strcmp(opt->to, "packed") == 0 ? convert_packed(opt, path) : convert(opt, path);
    free(path);
    return status;
}

const qc_command qc_cmd_convert = {
    .name = "convert",
    .usage = "--output DIR [OPTIONS] MODEL",
    .summary = "write a checkpoint in another container",
    .description =
        "Reads a checkpoint directory or file (safetensors, sharded safetensors, "
        "pytorch_model.bin) and writes a directory with all its tensors, under all their names, "
        "as one model.safetensors or as pytorch_model.bin.  No bit of any tensor changes.  "
        "config.json and the tokenizer's files go along unchanged.\n"
        "\n"
        "--to packed: model.safetensors with the INT8 matrices of a quantized checkpoint in the "
        "order in which they are multiplied, [panels, groups, 16 outputs, 4 inputs]; it computes "
        "the same bits and is used as it lies, where otherwise opening puts 130 MB of a 130m model "
        "in order.  Only quamba reads it.  --threads counts here and nowhere else.\n"
        "\n"
        "Files that are there already are not replaced, and on failure nothing is left behind.",
    .examples = "quamba convert --output demo-upstream --to upstream models/demo\n"
                "quamba convert -o demo-back demo-upstream\n"
                "quamba convert -o demo-packed --to packed demo-w8a8\n",
    .options = "output to pretrained-dir threads",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};

/* quamba convert: one container into the other, every bit of every tensor as it was. */
#include "cli/cli.h"

#include "base/mem.h"
#include "format/format.h"
#include "format/output.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static quamba_status write_weights(qm_output *out, const qm_source *source, bool upstream,
                                   quamba_error *err)
{
    size_t n = qm_source_count(source);
    const qm_tensor *tensors = n > 0 ? qm_source_at(source, 0) : NULL;
    char *path = NULL;
    quamba_status status =
        qm_output_file(out, upstream ? "pytorch_model.bin" : "model.safetensors", &path, err);
    if (status == QUAMBA_OK)
        status = upstream ? qm_torch_zip_write(path, tensors, n, err)
                          : qm_safetensors_write(path, tensors, n, qm_source_metadata(source), err);
    free(path);
    return status;
}

static quamba_status write_all(qm_output *out, const qm_source *source, const qc_options *opt,
                               quamba_error *err)
{
    static const char *const companions[] = {"config.json", "act_scales.json"};
    quamba_status status = QUAMBA_OK;
    for (size_t i = 0; status == QUAMBA_OK && i < QM_COUNT(companions); i++)
        status = qm_output_copy(out, companions[i], err);
    if (status == QUAMBA_OK) status = qm_output_copy_tokenizer(out, err);
    if (status == QUAMBA_OK)
        status = write_weights(out, source, strcmp(opt->to, "upstream") == 0, err);
    if (status == QUAMBA_OK && qc_interrupted())
        return qm_fail(err, QUAMBA_E_CANCELLED, 0, "interrupted");
    return status == QUAMBA_OK ? qm_output_commit(out, err) : status;
}

static int report(const qm_output *out, const qm_source *source, const qc_options *opt)
{
    size_t n = qm_source_count(source);
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += qm_tensor_bytes(qm_source_at(source, i));
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

static int convert(const qc_options *opt, const char *path)
{
    quamba_error err;
    qm_source *source = NULL;
    qm_output *out = NULL;
    quamba_status status = qm_source_open(&source, path, &err);
    if (status == QUAMBA_OK)
        status = qm_output_open(&out, opt->output, qm_source_path(source), &err);
    if (status == QUAMBA_OK) status = write_all(out, source, opt, &err);
    if (status == QUAMBA_OK && qm_source_skipped(source) > 0)
        qc_warn("%s: %zu entries that are no numbers (None, int, bool, str) were left out", path,
                qm_source_skipped(source));
    int result = status == QUAMBA_OK ? report(out, source, opt) : qc_fail_error(&err);
    qm_output_close(&out);
    qm_source_close(&source);
    return result;
}

static int run(const qc_options *opt)
{
    if (opt->output == NULL || opt->output[0] == '\0')
        return qc_fail(QC_USAGE, "convert: --output DIR says where the result is written");
    char *path = qc_model_path(opt, opt->args[0]);
    if (path == NULL) return QC_FAILED;
    qc_catch_interrupts();
    int status = convert(opt, path);
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
        "Files that are there already are not replaced, and on failure nothing is left behind.",
    .examples = "quamba convert --output demo-upstream --to upstream models/demo\n"
                "quamba convert -o demo-back demo-upstream\n",
    .options = "output to pretrained-dir",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};

/* A floating-point checkpoint to a quantized one: the public call. */
#include "base/file.h"
#include "format/format.h"
#include "format/output.h"
#include "kernels/cpu.h"
#include "quant/measure.h"
#include "quant/ptq.h"
#include "quant/recipe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

quamba_quantize_options quamba_quantize_options_default(void)
{
    return (quamba_quantize_options){.w_bits = 8,
                                     .a_bits = 8,
                                     .percentile_alpha = 0.9995,
                                     .calib_data_num = 512,
                                     .calib_seqlen = 512,
                                     .cpu = "native",
                                     .n_threads = 1};
}

/* One run: what is made on the way to the files. */
typedef struct quantizing {
    const quamba_quantize_options *options;
    qm_recipe recipe;
    uint32_t cpu;
    qm_source *source;
    qm_output *output;
    char *record; /* of an unfinished calibration; NULL without one */
    qm_measured measured;
    qm_act_scales scales;
    qm_fused *fused;
    qm_quantized *quantized;
    quamba_error *err;
} quantizing;

/* Done so far of the steps of a run, each a second or so; E_CANCELLED when it is to stop. */
static quamba_status report(const quantizing *z, uint64_t done)
{
    enum { STEPS = 3 };
    const quamba_quantize_options *o = z->options;
    if (o->progress) o->progress(o->user, "quantize", done, STEPS);
    if (o->cancelled && o->cancelled(o->user))
        return qm_fail(z->err, QUAMBA_E_CANCELLED, 0, "interrupted");
    return QUAMBA_OK;
}

static quamba_status check_options(quantizing *z)
{
    const quamba_quantize_options *o = z->options;
    if (o->w_bits != 8 || o->a_bits != 8)
        return qm_fail(z->err, QUAMBA_E_UNSUPPORTED, 0,
                       "w_bits %" PRId32 " with a_bits %" PRId32
                       " is not supported: weights and activations can be 8 and 8",
                       o->w_bits, o->a_bits);
    if (!(o->percentile_alpha > 0.0 && o->percentile_alpha <= 1.0))
        return qm_fail(z->err, QUAMBA_E_ARGUMENT, 0,
                       "percentile_alpha is %g, must be above 0 and at most 1",
                       o->percentile_alpha);
    if (o->n_threads < 1 || o->n_threads > 1024)
        return qm_fail(z->err, QUAMBA_E_ARGUMENT, 0,
                       "n_threads is %" PRId32 ", must be in 1 .. 1024", o->n_threads);
    int64_t cpu = qm_cpu_select(o->cpu);
    if (cpu == -1)
        return qm_fail(z->err, QUAMBA_E_ARGUMENT, 0,
                       "there is no instruction set \"%.40s\"; choose one of %s", o->cpu,
                       qm_cpu_names());
    if (cpu < 0)
        return qm_fail(z->err, QUAMBA_E_ARGUMENT, 0, "this processor does not have \"%.40s\"",
                       o->cpu);
    if (!o->act_scales && !o->calibration)
        return qm_fail(z->err, QUAMBA_E_ARGUMENT, 0,
                       "neither activation scales nor texts to measure them on are given");
    if (o->calib_data_num < 1 || o->calib_data_num > 1 << 20)
        return qm_fail(z->err, QUAMBA_E_ARGUMENT, 0,
                       "calib_data_num is %" PRId32 ", must be in 1 .. %d", o->calib_data_num,
                       1 << 20);
    if (o->calib_seqlen < 1 || o->calib_seqlen > 1 << 16)
        return qm_fail(z->err, QUAMBA_E_ARGUMENT, 0,
                       "calib_seqlen is %" PRId32 ", must be in 1 .. %d", o->calib_seqlen, 1 << 16);
    z->cpu = (uint32_t)cpu;
    return QUAMBA_OK;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* "OUTPUT.calibration" beside the output; the directory it is in is made. */
static quamba_status name_record(quantizing *z, const char *output_dir)
{
    size_t n = strlen(output_dir);
    while (n > 1 && output_dir[n - 1] == '/')
        n--;
    size_t parent = n;
    while (parent > 0 && output_dir[parent - 1] != '/')
        parent--;
    const size_t size = n + sizeof ".calibration";
    char *dir = qm_strndup(output_dir, parent);
    z->record = qm_alloc(size, 1);
    quamba_status status = QUAMBA_OK;
    if (!dir || !z->record)
        status = qm_fail_memory(z->err, size, "a path");
    else
        snprintf(z->record, size, "%.*s.calibration", (int)n, output_dir);
    if (status == QUAMBA_OK && parent > 0) status = qm_make_dirs(dir, z->err);
    free(dir);
    return status;
}

static quamba_status measure_scales(quantizing *z, const char *output_dir)
{
    const quamba_quantize_options *o = z->options;
    quamba_status status = name_record(z, output_dir);
    if (status == QUAMBA_OK)
        status = qm_measure_scales(&z->scales, &z->measured, z->fused, qm_source_path(z->source),
                                   z->record, o, z->err);
    if (status != QUAMBA_OK) return status;
    z->recipe.calibration = base_name(o->calibration);
    z->recipe.n_texts = (int64_t)z->measured.n_texts;
    z->recipe.seqlen = o->calib_seqlen;
    z->recipe.ids_hash = z->measured.ids_hash;
    z->recipe.percentile_alpha = z->measured.alpha;
    if (o->search_alpha) z->recipe.search = &z->measured.search;
    return QUAMBA_OK;
}

/* Fills scales and what the recipe says about them. */
static quamba_status find_scales(quantizing *z, const char *output_dir)
{
    if (!z->options->act_scales) return measure_scales(z, output_dir);
    z->recipe.calibration = base_name(z->options->act_scales);
    quamba_status status = qm_act_scales_load(&z->scales, z->options->act_scales, z->err);
    if (status == QUAMBA_OK && z->scales.n_layer != z->fused->config.n_layer)
        return qm_fail(z->err, QUAMBA_E_FORMAT, 0,
                       "%.400s: has scales of %" PRId32 " layers, the model has %" PRId32,
                       z->options->act_scales, z->scales.n_layer, z->fused->config.n_layer);
    return status;
}

static quamba_status write_config(const quantizing *z)
{
    json_t *json = NULL;
    char *path = NULL;
    quamba_status status =
        qm_recipe_config(&json, &z->recipe, &z->fused->config, qm_source_config(z->source), z->err);
    char *text = json ? json_dumps(json, JSON_INDENT(4) | JSON_REAL_PRECISION(15)) : NULL;
    if (status == QUAMBA_OK && !text) status = qm_fail_memory(z->err, 4096, "config.json");
    if (status == QUAMBA_OK) status = qm_output_file(z->output, "config.json", &path, z->err);
    if (status == QUAMBA_OK) status = qm_file_write(path, text, strlen(text), z->err);
    json_decref(json);
    free(text);
    free(path);
    return status;
}

static quamba_status write_tensors(const quantizing *z)
{
    json_t *metadata = json_pack("{s:s}", "format", "pt");
    char *path = NULL;
    quamba_status status = metadata ? qm_output_file(z->output, "model.safetensors", &path, z->err)
                                    : qm_fail_memory(z->err, 64, "the metadata");
    if (status == QUAMBA_OK)
        status =
            qm_safetensors_write(path, z->quantized->tensors, z->quantized->n, metadata, z->err);
    json_decref(metadata);
    free(path);
    return status;
}

static quamba_status write_all(const quantizing *z)
{
    char *path = NULL;
    quamba_status status = write_config(z);
    if (status == QUAMBA_OK) status = qm_output_copy_tokenizer(z->output, z->err);
    if (status == QUAMBA_OK) status = qm_output_file(z->output, "act_scales.json", &path, z->err);
    if (status == QUAMBA_OK) status = qm_act_scales_write(&z->scales, path, z->err);
    if (status == QUAMBA_OK) status = write_tensors(z);
    free(path);
    return status;
}

static quamba_status quantize(quantizing *z, const char *model_path, const char *output_dir)
{
    const quamba_quantize_options *o = z->options;
    const qm_ptq_options ptq = {o->quantize_embedding, o->quantize_lm_head, o->n_threads};
    z->recipe = (qm_recipe){.w_bits = o->w_bits,
                            .a_bits = o->a_bits,
                            .percentile_alpha = o->percentile_alpha,
                            .quantize_embedding = o->quantize_embedding,
                            .quantize_lm_head = o->quantize_lm_head};
    quamba_status status = qm_source_open(&z->source, model_path, z->err);
    if (status == QUAMBA_OK)
        status = qm_output_open(&z->output, output_dir, qm_source_path(z->source), z->err);
    if (status == QUAMBA_OK) status = report(z, 0);
    if (status != QUAMBA_OK) return status;
    status = qm_fuse(&z->fused, z->source, z->cpu, o->n_threads, z->err);
    if (status != QUAMBA_OK) return qm_fail_in(z->err, status, model_path);
    status = find_scales(z, output_dir);
    if (status == QUAMBA_OK) status = report(z, 1);
    if (status == QUAMBA_OK)
        status = qm_quantize_w8a8(&z->quantized, z->fused, &z->scales, &ptq, z->err);
    if (status == QUAMBA_OK) status = report(z, 2);
    if (status == QUAMBA_OK) status = write_all(z);
    if (status == QUAMBA_OK) status = report(z, 3);
    return status == QUAMBA_OK ? qm_output_commit(z->output, z->err) : status;
}

quamba_status quamba_quantize(const char *model_path, const char *output_dir,
                              const quamba_quantize_options *options, quamba_error *error)
{
    const quamba_quantize_options defaults = quamba_quantize_options_default();
    quantizing z = {.options = options ? options : &defaults, .err = error};
    quamba_status status = check_options(&z);
    if (status == QUAMBA_OK) status = quantize(&z, model_path, output_dir);
    /* What another run can use stays: after an interruption, or when the disk was full. */
    if (z.measured.n_texts > 0 && status != QUAMBA_E_CANCELLED && status != QUAMBA_E_IO &&
        status != QUAMBA_E_NOMEM)
        remove(z.record);
    free(z.record);
    qm_output_close(&z.output);
    qm_quantized_free(&z.quantized);
    qm_act_scales_free(&z.scales);
    qm_fused_free(&z.fused);
    qm_source_close(&z.source);
    return status;
}

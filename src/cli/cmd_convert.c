/* quamba convert: one container into the other, every bit of every tensor as it was. */
#include "cli/cli.h"

#include "base/file.h"
#include "base/mem.h"
#include "format/format.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What goes along unchanged where the source has it. */
static const char *const companions[] = {"config.json", "generation_config.json",
                                         "special_tokens_map.json", "tokenizer.json",
                                         "tokenizer_config.json"};

static const char *const weights[] = {"model.safetensors", "model.safetensors.index.json",
                                      "pytorch_model.bin"};

/* A conversion writes into a folder of its own that is renamed into place at the end or, when the
 * output directory is there already, into that, where nothing may be replaced. */
typedef struct conversion {
    const qm_source *source;
    char *from;         /* directory of the source, "" for the current one */
    const char *output; /* as given */
    char *folder;       /* where files are written */
    bool staged;        /* folder is a temporary directory beside output */
    const char *files[QM_COUNT(companions) + 1]; /* written so far */
    size_t n_files;
} conversion;

static bool same_directory(const char *a, const char *b)
{
    struct stat x, y;
    return stat(*a ? a : ".", &x) == 0 && stat(*b ? b : ".", &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

static bool has_file(const char *dir, const char *name)
{
    struct stat info;
    char *path = qm_path_join(dir, name);
    bool found = path != NULL && lstat(path, &info) == 0;
    free(path);
    return found;
}

/* QC_OK when nothing that is there would be replaced or, being another container, preferred. */
static int check_output(const conversion *c)
{
    if (same_directory(c->from, c->output))
        return qc_fail(QC_USAGE, "--output %s: is where the source is; choose another directory",
                       c->output);
    if (qm_path_is_file(c->output))
        return qc_fail(QC_USAGE, "--output %s: is a file; a directory is written", c->output);
    for (size_t i = 0; i < QM_COUNT(weights) + QM_COUNT(companions); i++) {
        const char *name = i < QM_COUNT(weights) ? weights[i] : companions[i - QM_COUNT(weights)];
        if (has_file(c->output, name))
            return qc_fail(QC_USAGE,
                           "--output %s: has a file %s already; remove it or choose another "
                           "directory",
                           c->output, name);
    }
    return QC_OK;
}

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return qm_strndup(path, slash != NULL ? (size_t)(slash - path) + 1 : 0);
}

/* Fills c->folder and creates it. */
static int make_folder(conversion *c)
{
    quamba_error err;
    size_t n = strlen(c->output);
    while (n > 1 && c->output[n - 1] == '/')
        n--;
    c->staged = !qm_path_is_dir(c->output);
    c->folder = malloc(n + 40);
    if (c->folder == NULL) return qc_fail_memory();
    snprintf(c->folder, n + 40, "%.*s", (int)n, c->output);
    if (!c->staged) return QC_OK;
    snprintf(c->folder + n, 40, ".%ld.tmp", (long)getpid());
    if (qm_make_dirs(c->folder, &err) == QUAMBA_OK) return QC_OK;
    return qc_fail_error(&err);
}

static int copy_companion(conversion *c, const char *name)
{
    quamba_error err;
    qm_map map = {0};
    char *from = qm_path_join(c->from, name), *to = qm_path_join(c->folder, name);
    quamba_status status =
        from != NULL && to != NULL ? QUAMBA_OK : qm_fail_memory(&err, strlen(c->folder), "a path");
    bool there = status == QUAMBA_OK && qm_path_is_file(from);
    if (there) status = qm_map_open(&map, from, &err);
    if (there && status == QUAMBA_OK) status = qm_file_write(to, map.data, map.size, &err);
    if (there && status == QUAMBA_OK) c->files[c->n_files++] = name;
    qm_map_close(&map);
    free(from);
    free(to);
    return status == QUAMBA_OK ? QC_OK : qc_fail_error(&err);
}

static int write_weights(conversion *c, bool upstream)
{
    quamba_error err;
    const char *name = upstream ? "pytorch_model.bin" : "model.safetensors";
    size_t n = qm_source_count(c->source);
    const qm_tensor *tensors = n > 0 ? qm_source_at(c->source, 0) : NULL;
    char *path = qm_path_join(c->folder, name);
    if (path == NULL) return qc_fail_memory();
    quamba_status status =
        upstream ? qm_torch_zip_write(path, tensors, n, &err)
                 : qm_safetensors_write(path, tensors, n, qm_source_metadata(c->source), &err);
    free(path);
    if (status != QUAMBA_OK) return qc_fail_error(&err);
    c->files[c->n_files++] = name;
    return QC_OK;
}

/* Takes away what was written; the output directory is as it was. */
static void undo(conversion *c)
{
    while (c->n_files > 0) {
        char *path = qm_path_join(c->folder, c->files[--c->n_files]);
        if (path != NULL) unlink(path);
        free(path);
    }
    if (c->staged && c->folder != NULL) rmdir(c->folder);
}

static int write_all(conversion *c, const qc_options *opt)
{
    int status = make_folder(c);
    for (size_t i = 0; status == QC_OK && i < QM_COUNT(companions); i++)
        status = copy_companion(c, companions[i]);
    if (status == QC_OK) status = write_weights(c, strcmp(opt->to, "upstream") == 0);
    if (status == QC_OK && qc_interrupted()) status = QC_INTERRUPTED;
    if (status == QC_OK && c->staged && rename(c->folder, c->output) != 0)
        status = qc_fail(QC_FAILED, "%s: cannot rename %s into place", c->output, c->folder);
    if (status != QC_OK) undo(c);
    return status;
}

static int report(const conversion *c, const qc_options *opt)
{
    size_t n = qm_source_count(c->source);
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += qm_tensor_bytes(qm_source_at(c->source, i));
    if (!opt->json) {
        printf("%s: %zu tensors, %" PRIu64 " bytes, as %s\n", c->output, n, bytes,
               c->files[c->n_files - 1]);
        return qc_finish_output();
    }
    json_t *files = json_array();
    for (size_t i = 0; i < c->n_files; i++)
        json_array_append_new(files, json_string(c->files[i]));
    json_t *result = json_pack(
        "{s:o, s:s, s:o, s:s, s:I, s:I, s:I, s:o}", "source",
        qc_json_text(qm_source_path(c->source), strlen(qm_source_path(c->source))), "format",
        qm_source_format(c->source), "output", qc_json_text(c->output, strlen(c->output)), "to",
        opt->to, "tensors", (json_int_t)n, "bytes", (json_int_t)bytes, "skipped",
        (json_int_t)qm_source_skipped(c->source), "files", files);
    int status = qc_print_json(result);
    json_decref(result);
    return status;
}

static int convert(const qc_options *opt, const char *path)
{
    quamba_error err;
    qm_source *source = NULL;
    if (qm_source_open(&source, path, &err) != QUAMBA_OK) return qc_fail_error(&err);
    conversion c = {
        .source = source, .from = directory_of(qm_source_path(source)), .output = opt->output};
    int status = c.from != NULL ? check_output(&c) : qc_fail_memory();
    if (status == QC_OK) status = write_all(&c, opt);
    if (status == QC_OK && qm_source_skipped(source) > 0)
        qc_warn("%s: %zu entries that are no numbers (None, int, bool, str) were left out", path,
                qm_source_skipped(source));
    if (status == QC_OK) status = report(&c, opt);
    free(c.from);
    free(c.folder);
    qm_source_close(&source);
    return status;
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

/* Where the MODEL argument leads, and its tokenizer. */
#include "cli/cli.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static bool exists(const char *path) { return qm_path_is_dir(path) || qm_path_is_file(path); }

char *qc_model_path(const qc_options *opt, const char *name)
{
    if (exists(name)) return qm_strndup(name, strlen(name));
    if (opt->pretrained_dir == NULL) {
        qc_fail(QC_FAILED,
                "%s: no such file or directory (--pretrained-dir says where names are looked up)",
                name);
        return NULL;
    }
    char *path = qm_path_join(opt->pretrained_dir, name);
    if (path == NULL) qc_fail_memory();
    if (path == NULL || exists(path)) return path;
    qc_fail(QC_FAILED, "%s: no such file or directory, nor is %s", name, path);
    free(path);
    return NULL;
}

/* Where the tokenizer of a model is: a directory holds it; a file of tensors has it beside it; a
 * file that is JSON is one.  Newly allocated, NULL without memory. */
static char *tokenizer_path(const char *model)
{
    if (qm_path_is_dir(model)) return qm_strndup(model, strlen(model));
    FILE *file = fopen(model, "rb");
    int first = file != NULL ? getc(file) : EOF;
    if (file != NULL) fclose(file);
    const char *slash = strrchr(model, '/');
    char *beside =
        slash != NULL ? qm_strndup(model, (size_t)(slash - model) + 1) : qm_strndup(".", 1);
    if (first != '{' || beside == NULL) return beside;
    free(beside);
    return qm_strndup(model, strlen(model));
}

int qc_open_tokenizer(quamba_tokenizer **tokenizer, const qc_options *opt, const char *name)
{
    quamba_error err = {0};
    *tokenizer = NULL;
    char *model = qc_model_path(opt, name);
    if (model == NULL) return QC_FAILED;
    char *path = tokenizer_path(model);
    int status = path == NULL ? qc_fail_memory() : QC_OK;
    if (path != NULL && quamba_tokenizer_open(tokenizer, path, &err) != QUAMBA_OK)
        status = qc_fail_error(&err);
    free(path);
    free(model);
    return status;
}

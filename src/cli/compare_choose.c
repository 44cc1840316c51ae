/* Which runs `quamba compare` holds against each other, and opening them. */
#include "cli/compare.h"

#include "base/mem.h"
#include "base/text.h"
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

static const char product_modes[] = "0,2-0,2-1,2-2,2-3,2-4,3", float_modes[] = "fp32,fp16";

/* ---- --model NAME:PATH ------------------------------------------------------------------------
 */

static int check_models(const qc_options *opt)
{
    for (size_t i = 0; i < opt->n_model; i++) {
        const char *text = opt->model[i];
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789_.-";
        const size_t n = strspn(text, letters);
        char id[64];
        if (n == 0 || n >= sizeof id || text[n] != ':' || text[n + 1] == '\0')
            return qc_fail(QC_USAGE,
                           "--model %s: must be NAME:PATH, as in B:models/other; a name is of "
                           "letters, digits, dots, dashes and underscores",
                           text);
        snprintf(id, sizeof id, "%.*s", (int)n, text);
        if (quamba_datapath_find(id) != NULL)
            return qc_fail(QC_USAGE, "--model %s: %s is a mode, it cannot name a model", text, id);
        for (size_t k = 0; k < i; k++)
            if (strncmp(opt->model[k], text, n + 1) == 0)
                return qc_fail(QC_USAGE, "--model: %s is named twice", id);
    }
    return QC_OK;
}

/* The path of --model NAME:PATH for the n characters of name; NULL: there is none. */
static const char *find_model(const qc_options *opt, const char *name, size_t n)
{
    for (size_t i = 0; i < opt->n_model; i++)
        if (strncmp(opt->model[i], name, n) == 0 && opt->model[i][n] == ':')
            return opt->model[i] + n + 1;
    return NULL;
}

/* ---- --modes LIST -----------------------------------------------------------------------------
 */

static int fail_mode(const char *item, const char *id)
{
    const quamba_datapath *row = quamba_datapath_find(id);
    qm_text ids = {0};
    qc_mode_ids(&ids);
    if (row != NULL)
        qc_fail(QC_USAGE, "--modes %s: mode %s was removed: %s", item, id,
                quamba_datapath_remark(row));
    else
        qc_fail(QC_USAGE, "--modes %s: there is no mode%s \"%s\": modes: %s", item,
                strchr(item, ':') != NULL ? " or --model" : "", id,
                ids.failed ? "see `quamba modes list`" : ids.data);
    qm_text_free(&ids);
    return QC_USAGE;
}

/* One item of the list: [NAME:]ID[:KNOBS], or NAME alone. */
static int add_run(qc_compare *c, const char *item, size_t size)
{
    if (!qm_grow(&c->runs, &c->capacity, c->n_runs + 1, sizeof *c->runs)) return qc_fail_memory();
    qc_compared *r = &c->runs[c->n_runs++];
    *r = (qc_compared){.path = c->opt->args[0], .opt = *c->opt};
    r->name = qm_strndup(item, size);
    if (r->name == NULL) return qc_fail_memory();
    const char *at = r->name;
    const size_t n = strcspn(at, ":");
    const char *path = find_model(c->opt, at, n);
    if (path != NULL) {
        r->path = path;
        r->opt.reference = NULL; /* of MODEL */
        qm_text log_name = {0};
        char *base = qc_base_name(path);
        qm_text_printf(&log_name, "%.*s=%s", (int)n, at, base != NULL ? base : "");
        free(base);
        r->log_name = log_name.data;
        if (log_name.failed || base == NULL) return qc_fail_memory();
        at += at[n] == ':' ? n + 1 : n;
        if (at[0] == '\0' && at[-1] != ':') return QC_OK; /* its default */
    }
    const size_t n_id = strcspn(at, ":");
    r->mode = qm_strndup(at, n_id);
    if (at[n_id] == ':') r->knobs = qm_strndup(at + n_id + 1, strlen(at + n_id + 1));
    if (r->mode == NULL || (at[n_id] == ':' && r->knobs == NULL)) return qc_fail_memory();
    const quamba_datapath *row = quamba_datapath_find(r->mode);
    if (row == NULL || quamba_datapath_get_info(row).removed) return fail_mode(r->name, r->mode);
    return QC_OK;
}

/* Where the item at text ends: at a comma, unless what follows it is a knob of the item. */
static size_t item_size(const char *text)
{
    size_t n = strcspn(text, ",");
    while (text[n] == ',' && memchr(text, ':', n) != NULL) {
        const char *next = text + n + 1;
        const size_t size = strcspn(next, ",");
        if (memchr(next, '=', size) == NULL || memchr(next, ':', size) != NULL) break;
        n += 1 + size;
    }
    return n;
}

static int add_list(qc_compare *c, const char *list)
{
    for (const char *at = list;; at++) {
        const size_t size = item_size(at);
        const int status = add_run(c, at, size);
        if (status != QC_OK) return status;
        at += size;
        if (*at == '\0') return QC_OK;
    }
}

/* Without --modes: the modes of the product, or with --model the default of every checkpoint. */
static int add_default(qc_compare *c)
{
    const qc_options *opt = c->opt;
    quamba_error err = {0};
    quamba_model *model = NULL;
    char *path = qc_model_path(opt, opt->args[0]);
    if (path == NULL) return QC_FAILED;
    quamba_status found = qm_model_begin(&model, path, &err);
    const bool quantized = found == QUAMBA_OK && model->config.quantized;
    quamba_model_close(&model);
    free(path);
    if (found != QUAMBA_OK) return qc_fail_error(&err);
    int status = QC_OK;
    if (opt->n_model == 0) {
        status = add_list(c, quantized ? product_modes : float_modes);
        if (status == QC_OK && quantized && opt->reference != NULL) status = add_list(c, "fp32");
        return status;
    }
    status = add_list(c, quantized ? "0" : "fp32");
    for (size_t i = 0; i < opt->n_model && status == QC_OK; i++)
        status = add_run(c, opt->model[i], strcspn(opt->model[i], ":"));
    return status;
}

int qc_compare_choose(qc_compare *c)
{
    int status = check_models(c->opt);
    if (status == QC_OK)
        status = c->opt->modes != NULL ? add_list(c, c->opt->modes) : add_default(c);
    if (status == QC_OK && c->n_runs < 2)
        return qc_fail(QC_USAGE, "compare: one run alone: name two or more, as in --modes 0,2-4");
    for (size_t i = 0; i < c->n_runs && status == QC_OK; i++) {
        qc_compared *r = &c->runs[i];
        r->opt.mode = r->mode;
        r->opt.datapath = r->knobs;
        r->eval = (qc_eval){
            .opt = &r->opt,
            .log = {.command = &qc_cmd_compare, .opt = c->opt, .name = r->log_name},
            .limit = c->opt->limit,
            .label = r->name
        };
        status = qc_eval_choose(&r->eval);
    }
    return status;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

/* Every id of one must be the same bytes in the other. */
static int check_same_tokens(const quamba_tokenizer *a, const quamba_tokenizer *b, const char *name)
{
    const int32_t n = quamba_tokenizer_n_vocab(a);
    bool same = quamba_tokenizer_n_vocab(b) == n;
    for (int32_t id = 0; id < n && same; id++) {
        size_t size_a = 0, size_b = 0;
        const char *x = quamba_tokenizer_piece(a, id, &size_a),
                   *y = quamba_tokenizer_piece(b, id, &size_b);
        same = (x == NULL) == (y == NULL) &&
               (x == NULL || (size_a == size_b && memcmp(x, y, size_a) == 0));
    }
    if (same) return QC_OK;
    return qc_fail(QC_FAILED,
                   "%s: its tokenizer has another vocabulary than that of the first model: they "
                   "cannot be compared on the same tokens",
                   name);
}

static int open_run(qc_compare *c, qc_compared *r)
{
    r->weights_path = qc_weights_path(&r->opt, r->path);
    if (r->weights_path == NULL) return QC_FAILED;
    int status = qc_open_model(&r->eval.model, &r->opt, r->path);
    r->eval.tokenizer = c->tokenizer;
    if (status == QC_OK) status = qc_check_vocabulary(c->tokenizer, r->eval.model);
    if (status == QC_OK && r->path != c->opt->args[0]) {
        quamba_tokenizer *own = NULL;
        status = qc_open_tokenizer(&own, &r->opt, r->path);
        if (status == QC_OK) status = check_same_tokens(c->tokenizer, own, r->path);
        quamba_tokenizer_close(&own);
    }
    if (status == QC_OK) status = qc_eval_identify(&r->eval, r->weights_path);
    if (status != QC_OK) return status;
    const int32_t n = quamba_model_get_info(r->eval.model).n_vocab,
                  first = quamba_model_get_info(c->runs[0].eval.model).n_vocab;
    if (n == first) return QC_OK;
    return qc_fail(QC_FAILED, "%s: has a vocabulary of %d, %s one of %d: they cannot be compared",
                   r->weights_path, (int)n, c->runs[0].weights_path, (int)first);
}

int qc_compare_open(qc_compare *c)
{
    int status = qc_open_tokenizer(&c->tokenizer, c->opt, c->opt->args[0]);
    for (size_t i = 0; i < c->n_runs && status == QC_OK; i++)
        status = open_run(c, &c->runs[i]);
    return status;
}

void qc_compare_free(qc_compare *c)
{
    for (size_t i = 0; i < c->n_runs; i++) {
        qc_compared *r = &c->runs[i];
        r->eval.tokenizer = NULL;
        qc_eval_free(&r->eval);
        free(r->name);
        free(r->log_name);
        free(r->weights_path);
        free(r->mode);
        free(r->knobs);
    }
    free(c->runs);
    quamba_tokenizer_close(&c->tokenizer);
    qm_sample_close(&c->sample);
    qm_comparison_free(&c->edges);
}

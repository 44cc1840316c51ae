#include "cli/eval_report.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "eval/identity.h"
#include "model/model.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- who was measured ------------------------------------------------------------------------ */

char *qc_base_name(const char *path)
{
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    if (end > begin && path[end - 1] != '.') return qm_strndup(path + begin, end - begin);
    char *real = realpath(path, NULL); /* "", ".", "..": absolute now, so this ends */
    char *name = real != NULL && strcmp(real, "/") != 0 && real[strlen(real) - 1] != '.'
                     ? qc_base_name(real)
                     : qm_strndup("model", 5);
    free(real);
    return name;
}

static uint64_t file_hash(const char *path)
{
    qm_map map;
    uint64_t hash = 0;
    if (path != NULL && qm_map_open(&map, path, NULL) == QUAMBA_OK) {
        hash = qm_hash64(map.data, map.size, 0);
        qm_map_close(&map);
    }
    return hash;
}

int qc_eval_identify(qc_eval *e, const char *model_path)
{
    quamba_error err = {0};
    uint64_t hash = 0;
    if (qm_checkpoint_hash(model_path, &hash, &err) != QUAMBA_OK) return qc_fail_error(&err);
    snprintf(e->weights_hash, sizeof e->weights_hash, "%016llx", (unsigned long long)hash);
    char *tokenizer =
        qm_path_is_dir(model_path) ? qm_path_join(model_path, "tokenizer.json") : NULL;
    e->tokenizer_hash = file_hash(tokenizer);
    e->scales_hash = file_hash(e->opt->act_scales);
    free(tokenizer);
    const char *mode = quamba_model_get_info(e->model).mode;
    bool quantized = strcmp(mode, "fp32") != 0 && strcmp(mode, "fp16") != 0;
    char *name = qc_base_name(model_path);
    qm_text text = {0};
    if (e->log.name != NULL)
        qm_text_puts(&text, e->log.name);
    else if (name != NULL)
        qm_text_printf(&text, "%s%s", name, quantized ? "" : "_fp16");
    free(name);
    e->log_name = text.data;
    return e->log_name != NULL && !text.failed ? QC_OK : qc_fail_memory();
}

void qc_eval_free(qc_eval *e)
{
    for (size_t i = 0; i < e->n_runs; i++) {
        free(e->runs[i].name);
        free(e->runs[i].path);
        free(e->runs[i].records);
        free(e->runs[i].outcomes);
    }
    free(e->runs);
    free(e->log_name);
    quamba_model_close(&e->model);
    quamba_tokenizer_close(&e->tokenizer);
}

/* ---- the table ------------------------------------------------------------------------------- */

static void table_rows(qc_table *table, const qc_eval_run *run)
{
    const quamba_eval_result *r = &run->result;
    const struct {
        const char *name;
        double value, error;
    } metrics[] = {
        {"acc",        r->acc,        r->acc_stderr       },
        {"acc_norm",   r->acc_norm,   r->acc_norm_stderr  },
        {"perplexity", r->perplexity, r->perplexity_stderr},
    };
    char duration[32];
    for (size_t m = 0; m < QM_COUNT(metrics); m++) {
        if (isnan(metrics[m].value)) continue;
        qc_table_cell(table, "%s%s", run->name, run->decode ? ", decode" : "");
        qc_table_cell(table, "%s", metrics[m].name);
        qc_table_cell(table, "%.4f", metrics[m].value);
        if (isnan(metrics[m].error))
            qc_table_cell(table, "-");
        else
            qc_table_cell(table, "%.4f", metrics[m].error);
        qc_table_cell(table, "%llu", (unsigned long long)r->n_done);
        qc_table_cell(table, "%s", qc_duration(run->seconds, duration));
    }
}

static int print_table(const qc_eval *e)
{
    static const char *const headings[] = {"task", "metric", "value", "stderr", "n", "time"};
    qc_table *table = qc_table_new(headings, QM_COUNT(headings));
    if (table == NULL) return qc_fail_memory();
    bool any = false;
    for (size_t i = 0; i < e->n_runs; i++)
        if (e->runs[i].was_started && e->runs[i].result.n_done > 0) {
            table_rows(table, &e->runs[i]);
            any = true;
        }
    int status = any ? qc_table_print(table, stdout) : QC_OK;
    qc_table_free(&table);
    return status == QC_OK ? qc_finish_output() : status;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void set_real(json_t *object, const char *key, double value)
{
    if (!isnan(value)) json_object_set_new(object, key, qc_json_real(value));
}

static json_t *task_json(const quamba_eval_result *r)
{
    json_t *object = json_object();
    set_real(object, "perplexity,none", r->perplexity);
    set_real(object, "perplexity_stderr,none", r->perplexity_stderr);
    set_real(object, "acc,none", r->acc);
    set_real(object, "acc_stderr,none", r->acc_stderr);
    set_real(object, "acc_norm,none", r->acc_norm);
    set_real(object, "acc_norm_stderr,none", r->acc_norm_stderr);
    return object;
}

static json_t *text_json(const char *text) { return qc_json_text(text, strlen(text)); }

/* What was measured by one form of scoring, added to *failed like json_object_set_new's result. */
static json_t *scores_json(const qc_eval *e, bool decode, json_t *result, int *failed)
{
    json_t *tasks = json_object(), *ppl = json_object(), *ppl_stderr = json_object();
    json_t *n_samples = json_object(), *n_items = json_object(), *files = json_object();
    json_t *seconds = json_object();
    for (size_t i = 0; i < e->n_runs; i++) {
        const qc_eval_run *run = &e->runs[i];
        const quamba_eval_result *r = &run->result;
        if (!run->was_started || r->n_done == 0 || run->decode != decode) continue;
        if (run->task->form == QM_TASK_TEXT) {
            set_real(ppl, run->name, r->perplexity);
            set_real(ppl_stderr, run->name, r->perplexity_stderr);
        } else {
            json_object_set_new(tasks, run->name, task_json(r));
        }
        json_object_set_new(n_samples, run->name, json_integer((json_int_t)r->n_done));
        json_object_set_new(n_items, run->name, json_integer((json_int_t)r->n_items));
        json_object_set_new(seconds, run->name, json_real(run->seconds));
        if (run->records != NULL) json_object_set_new(files, run->name, text_json(run->records));
    }
    *failed |= json_object_set_new(result, "lm_eval", tasks);
    *failed |= json_object_set_new(result, "ppl", ppl);
    *failed |= json_object_set_new(result, "ppl_stderr", ppl_stderr);
    *failed |= json_object_set_new(result, "n_samples", n_samples);
    *failed |= json_object_set_new(result, "n_items", n_items);
    *failed |= json_object_set_new(result, "per_sample_file", files);
    *failed |= json_object_set_new(result, "seconds", seconds);
    return result;
}

/* The object that is printed with --json and appended to the log.  With --scoring both, "decode"
 * has the members of the second form. */
static json_t *result_json(const qc_eval *e)
{
    const qc_options *opt = e->opt;
    const bool both = strcmp(opt->scoring, "both") == 0;
    int failed = 0;
    json_t *result = json_object();
    scores_json(e, strcmp(opt->scoring, "decode") == 0, result, &failed);
    if (both)
        failed |=
            json_object_set_new(result, "decode", scores_json(e, true, json_object(), &failed));
    char timestamp[32] = "";
    time_t now = time(NULL);
    struct tm local;
    if (localtime_r(&now, &local) != NULL)
        strftime(timestamp, sizeof timestamp, "%Y-%m-%d %H:%M:%S", &local);
    const char *mode = quamba_model_get_info(e->model).mode;
    char datapath[256] = "";
    quamba_datapath_describe(e->model->datapath, datapath, sizeof datapath);
    failed |= json_object_set_new(result, "timestamp", json_string(timestamp));
    failed |= json_object_set_new(result, "args", qc_options_json(e->log.opt, e->log.command));
    failed |= json_object_set_new(result, "mode", json_string(mode));
    failed |= json_object_set_new(result, "datapath", json_string(datapath));
    failed |= json_object_set_new(result, "mode_source", json_string(opt->choice.source.data));
    failed |= json_object_set_new(result, "weights_hash", json_string(e->weights_hash));
    failed |= json_object_set_new(result, "build",
                                  json_string("quamba " QUAMBA_VERSION ", compiler " __VERSION__));
    if (failed == 0) return result;
    json_decref(result);
    return NULL;
}

/* Appends all or nothing; true when it is all there.  errno is 0 after a short write. */
static bool append(const char *path, const char *text, size_t size)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return false;
    off_t before = lseek(fd, 0, SEEK_END);
    errno = 0;
    bool whole = write(fd, text, size) == (ssize_t)size;
    int reason = errno;
    if (!whole && before == 0)
        unlink(path);
    else if (!whole && before > 0 && ftruncate(fd, before) != 0)
        reason = errno; /* half an object stays; the message says why */
    if (close(fd) != 0 && whole) return false;
    errno = reason;
    return whole;
}

/* One object at the end of LOG_DIR/NAME.json: readers take concatenated objects. */
static int append_log(const qc_eval *e, const json_t *result)
{
    qm_text name = {0};
    qm_text_printf(&name, "%s.json", e->log_name);
    char *path = name.failed ? NULL : qm_path_join(e->opt->log_dir, name.data);
    char *text = json_dumps(result, JSON_INDENT(4));
    qm_text_free(&name);
    int status = QC_OK;
    if (path == NULL || text == NULL) {
        status = qc_fail_memory();
    } else {
        size_t size = strlen(text);
        text[size++] = '\n'; /* over the 0 */
        if (!append(path, text, size))
            status = qc_fail(QC_FAILED, "%s: cannot write: %s", path,
                             errno == 0 ? "no space left" : strerror(errno));
    }
    free(path);
    free(text);
    return status;
}

int qc_eval_report(const qc_eval *e, bool is_complete)
{
    bool logs = is_complete && e->opt->log_dir != NULL;
    json_t *result = logs || e->opt->json ? result_json(e) : NULL;
    int status = e->opt->json ? qc_print_json(result) : print_table(e);
    if (status == QC_OK && logs) status = result != NULL ? append_log(e, result) : qc_fail_memory();
    json_decref(result);
    return status;
}

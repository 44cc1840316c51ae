/* One task from file to score: batches of items in file order, a record for each, resume. */
#include "base/fmath.h"
#include "base/mem.h"
#include "eval/items.h"
#include "eval/records.h"
#include "eval/score.h"
#include "eval/stats.h"
#include "eval/task.h"
#include "eval/text_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SHOTS = 64 };

typedef struct run {
    const qm_task *task;
    const quamba_tokenizer *tokenizer;
    const quamba_eval_options *options;
    quamba_eval_result *result;

    qm_task_file file; /* of a task of questions */
    qm_text_file text; /* of a text */
    size_t segment_tokens;
    uint64_t file_hash;

    qm_outcome *outcomes; /* [n_items], those before n_done are known */
    size_t n_items, n_done, n_correct;
    double loglik_sum; /* running, for progress */

    qm_scorer *scorer;
    qm_records *records;

    /* The batch: group g belongs to item n_done + g. */
    qm_sequence *sequences;
    size_t *group_size, *gold;
    size_t (*n_chars)[QM_MAX_CHOICES];
    size_t n_sequences, n_groups, n_batch_tokens;
    size_t sequences_capacity, group_capacity, gold_capacity, chars_capacity;

    qm_question question, example;
    qm_text prompt, pair; /* few-shot examples; context and continuation as one string */
} run;

const char *quamba_eval_task(size_t index)
{
    const qm_task *task = qm_task_at(index);
    return task ? task->name : NULL;
}

quamba_eval_options quamba_eval_options_default(void)
{
    return (quamba_eval_options){.seed = 1234};
}

/* ---- the file -------------------------------------------------------------------------------- */

static quamba_status open_text(run *r, quamba_error *err)
{
    quamba_status status =
        qm_text_file_open(&r->text, r->task, r->options->path, r->tokenizer, err);
    if (status != QUAMBA_OK) return status;
    r->file_hash = r->text.hash;
    bool is_short = r->text.n_ids < QM_MAX_TOKENS; /* then it is one shorter segment */
    r->segment_tokens = is_short ? r->text.n_ids : QM_MAX_TOKENS;
    r->n_items = r->text.n_ids / r->segment_tokens;
    r->result->n_tokens = r->segment_tokens;
    return QUAMBA_OK;
}

static quamba_status open_questions(run *r, quamba_error *err)
{
    quamba_status status = qm_task_file_open(&r->file, r->task, r->options->path, err);
    r->n_items = r->file.n_items;
    r->file_hash = r->file.hash;
    return status;
}

/* ---- records --------------------------------------------------------------------------------- */

/* {"doc_id": ...}: what an item's record holds beside this depends on the form of the task. */
static json_t *make_record(const run *r, size_t group, const qm_sequence *q, const qm_outcome *o)
{
    size_t item = r->n_done, n = r->group_size[group];
    if (r->task->form == QM_TASK_TEXT)
        return json_pack("{sI sI sf}", "doc_id", (json_int_t)item, "n_predicted",
                         (json_int_t)q->n_scored, "mean_loglik", o->loglik);
    if (r->task->form == QM_TASK_LAST_WORD)
        return json_pack("{sI sI sI sf si}", "doc_id", (json_int_t)item, "n_ctx",
                         (json_int_t)(q->n_ids - q->n_scored), "n_cont", (json_int_t)q->n_scored,
                         "loglik", o->loglik, "correct", (int)o->is_correct);
    json_t *record =
        json_pack("{sI s[] s[] s[] s[] sI si si}", "doc_id", (json_int_t)item, "n_ctx", "n_cont",
                  "loglik", "greedy", "gold", (json_int_t)r->gold[group], "correct",
                  (int)o->is_correct, "correct_norm", (int)o->is_correct_norm);
    int failed = 0;
    for (size_t k = 0; k < n; k++) {
        failed |= json_array_append_new(json_object_get(record, "n_ctx"),
                                        json_integer((json_int_t)(q[k].n_ids - q[k].n_scored)));
        failed |= json_array_append_new(json_object_get(record, "n_cont"),
                                        json_integer((json_int_t)q[k].n_scored));
        failed |= json_array_append_new(json_object_get(record, "loglik"), json_real(q[k].loglik));
        failed |=
            json_array_append_new(json_object_get(record, "greedy"), json_integer(q[k].is_greedy));
    }
    if (failed != 0) {
        json_decref(record);
        record = NULL;
    }
    return record;
}

static void add_outcome(run *r, qm_outcome outcome)
{
    r->outcomes[r->n_done++] = outcome;
    r->n_correct += outcome.is_correct;
    r->loglik_sum += outcome.loglik;
}

/* The log-likelihood in a record of a question with choices: that of the right one. */
static quamba_status gold_loglik(const json_t *record, double *loglik, quamba_error *err)
{
    int64_t gold = -1;
    const json_t *list = json_object_get(record, "loglik");
    quamba_status status = qm_json_int(record, "gold", 0, QM_MAX_CHOICES - 1, &gold, err);
    const json_t *value = gold >= 0 ? json_array_get(list, (size_t)gold) : NULL;
    if (json_is_number(value)) *loglik = json_number_value(value);
    return status;
}

/* Takes a record of an earlier run for the item it is about. */
static quamba_status take_record(void *user, const json_t *record, quamba_error *err)
{
    run *r = user;
    const char *value_key = r->task->form == QM_TASK_TEXT ? "mean_loglik" : "loglik";
    const bool single = r->task->form == QM_TASK_LAST_WORD || r->task->form == QM_TASK_TEXT;
    int64_t doc_id = -1, correct = -1, correct_norm = 0;
    double loglik = (double)NAN;
    quamba_status status = qm_json_int(record, "doc_id", 0, INT64_MAX, &doc_id, err);
    if (status == QUAMBA_OK)
        status = single ? qm_json_number(record, value_key, &loglik, err)
                        : gold_loglik(record, &loglik, err);
    if (status == QUAMBA_OK) status = qm_json_int(record, "correct", 0, 1, &correct, err);
    if (status == QUAMBA_OK) status = qm_json_int(record, "correct_norm", 0, 1, &correct_norm, err);
    if (status != QUAMBA_OK) return status;
    if ((uint64_t)doc_id != r->n_done || !isfinite(loglik) ||
        (correct < 0 && r->task->form != QM_TASK_TEXT))
        return qm_fail(err, QUAMBA_E_FORMAT, r->n_done,
                       "is no record of item %zu; --overwrite starts again", r->n_done);
    add_outcome(r, (qm_outcome){loglik, correct > 0, correct_norm > 0});
    return QUAMBA_OK;
}

static void hex64(char out[17], uint64_t value) { snprintf(out, 17, "%016" PRIx64, value); }

static quamba_status open_records(run *r, const quamba_model *model, quamba_error *err)
{
    const quamba_eval_options *o = r->options;
    if (!o->records) return QUAMBA_OK;
    char hash[17];
    hex64(hash, r->file_hash);
    json_t *header = json_pack(
        "{si ss ss ss ss* ss ss ss sI}", "quamba_eval", 1, "task", r->task->name, "file", o->path,
        "file_hash", hash, "model", o->identity, "mode", quamba_model_get_info(model).mode,
        "protocol", r->task->form == QM_TASK_TEXT ? "quamba" : "lm-evaluation-harness", "scoring",
        o->decode ? "decode" : "prefill", "fewshot", (json_int_t)o->fewshot);
    int failed = header ? 0 : -1;
    if (o->fewshot > 0) /* else the seed changes nothing */
        failed |= json_object_set_new(header, "seed", json_integer((json_int_t)o->seed));
    failed |= json_object_set_new(header, "n_items", json_integer((json_int_t)r->n_items));
    failed |= json_object_set_new(header, "program", json_string("quamba " QUAMBA_VERSION));
    quamba_status status = failed == 0 ? QUAMBA_OK : qm_fail_memory(err, 0, "records");
    qm_records_options options = {.path = o->records,
                                  .header = header,
                                  .n_items = r->n_items,
                                  .resume = o->resume,
                                  .overwrite = o->overwrite,
                                  .each = take_record,
                                  .user = r};
    if (status == QUAMBA_OK) status = qm_records_open(&r->records, &options, err);
    json_decref(header);
    r->result->n_resumed = r->n_done;
    return status;
}

/* ---- scoring --------------------------------------------------------------------------------- */

static void clear_batch(run *r)
{
    for (size_t i = 0; i < r->n_sequences; i++)
        quamba_free(r->sequences[i].ids);
    r->n_sequences = r->n_groups = r->n_batch_tokens = 0;
}

/* Another group of n sequences at the end of the batch. */
static quamba_status add_group(run *r, size_t n, quamba_error *err)
{
    if (!qm_grow(&r->sequences, &r->sequences_capacity, r->n_sequences + n, sizeof *r->sequences) ||
        !qm_grow(&r->group_size, &r->group_capacity, r->n_groups + 1, sizeof *r->group_size) ||
        !qm_grow(&r->gold, &r->gold_capacity, r->n_groups + 1, sizeof *r->gold) ||
        !qm_grow(&r->n_chars, &r->chars_capacity, r->n_groups + 1, sizeof *r->n_chars))
        return qm_fail_memory(err, n * sizeof *r->sequences, "a batch");
    r->group_size[r->n_groups++] = 0;
    return QUAMBA_OK;
}

static void add_sequence(run *r, qm_sequence sequence)
{
    r->sequences[r->n_sequences++] = sequence;
    r->group_size[r->n_groups - 1]++;
    r->n_batch_tokens += sequence.n_ids;
}

static quamba_status add_segment(run *r, size_t item, quamba_error *err)
{
    size_t n = r->segment_tokens;
    quamba_status status = add_group(r, 1, err);
    if (status != QUAMBA_OK) return status;
    int32_t *ids = qm_alloc(n, sizeof *ids);
    if (!ids) return qm_fail_memory(err, n * sizeof *ids, "a segment");
    memcpy(ids, r->text.ids + item * n, n * sizeof *ids);
    add_sequence(r, (qm_sequence){.ids = ids, .n_ids = n, .n_scored = n - 1});
    return QUAMBA_OK;
}

static quamba_status encode_choice(run *r, size_t k, size_t *n_context, qm_sequence *sequence,
                                   quamba_error *err)
{
    const qm_question *q = &r->question;
    r->pair.size = 0;
    qm_text_add(&r->pair, r->prompt.data, r->prompt.size);
    qm_text_add(&r->pair, q->text.data + q->context[k].at, q->context[k].size);
    size_t context_size = r->pair.size;
    qm_text_add(&r->pair, q->text.data + q->continuation[k].at, q->continuation[k].size);
    if (r->pair.failed) return qm_fail_memory(err, r->pair.size, "a question");
    quamba_status status = QUAMBA_OK;
    if (k == 0 || q->context[k].at != q->context[k - 1].at)
        status = qm_context_count(r->tokenizer, r->pair.data, context_size, n_context, err);
    if (status == QUAMBA_OK)
        status =
            qm_sequence_encode(sequence, r->tokenizer, r->pair.data, r->pair.size, *n_context, err);
    return status;
}

static quamba_status add_question(run *r, size_t item, quamba_error *err)
{
    const quamba_eval_options *o = r->options;
    quamba_status status = qm_fewshot_prompt(&r->file, item, (size_t)o->fewshot, o->seed,
                                             &r->example, &r->prompt, err);
    if (status == QUAMBA_OK) status = qm_task_file_question(&r->file, item, &r->question, err);
    if (status == QUAMBA_OK) status = add_group(r, r->question.n_choices, err);
    if (status != QUAMBA_OK) return status;
    size_t group = r->n_groups - 1, n_context = 0;
    r->gold[group] = r->question.gold;
    memcpy(r->n_chars[group], r->question.n_chars, sizeof *r->n_chars);
    for (size_t k = 0; k < r->question.n_choices; k++) {
        qm_sequence sequence;
        status = encode_choice(r, k, &n_context, &sequence, err);
        if (status != QUAMBA_OK) {
            char where[400];
            snprintf(where, sizeof where, "%.360s:%zu", r->file.name, r->file.lines[item]);
            return qm_fail_in(err, status, where);
        }
        add_sequence(r, sequence);
    }
    return QUAMBA_OK;
}

/* The verdict on one group; false when a log-likelihood is not a number. */
static bool judge(const run *r, size_t group, const qm_sequence *q, qm_outcome *out)
{
    double loglik[QM_MAX_CHOICES], per_char[QM_MAX_CHOICES];
    size_t n = r->group_size[group];
    for (size_t k = 0; k < n; k++) {
        if (!isfinite(q[k].loglik)) return false;
        loglik[k] = q[k].loglik;
    }
    *out = (qm_outcome){0};
    if (r->task->form == QM_TASK_TEXT) {
        out->loglik = loglik[0] / (double)q->n_scored;
    } else if (r->task->form == QM_TASK_LAST_WORD) {
        out->loglik = loglik[0];
        out->is_correct = q->is_greedy;
    } else {
        for (size_t k = 0; k < n; k++)
            per_char[k] = loglik[k] / (double)r->n_chars[group][k];
        out->loglik = loglik[r->gold[group]];
        out->is_correct = qm_argmax(loglik, n) == r->gold[group];
        out->is_correct_norm = qm_argmax(per_char, n) == r->gold[group];
    }
    return true;
}

static void report(const run *r)
{
    const quamba_eval_options *o = r->options;
    if (!o->progress) return;
    bool is_text = r->task->form == QM_TASK_TEXT;
    double n = (double)r->n_done, value = (double)NAN;
    if (r->n_done > 0) value = is_text ? qm_exp64(-r->loglik_sum / n) : (double)r->n_correct / n;
    o->progress(o->user, r->n_done, r->n_items, is_text ? "ppl" : "acc", value);
}

/* Scores the batch and hands out its outcomes in item order. */
static quamba_status finish_batch(run *r, quamba_error *err)
{
    const quamba_eval_options *o = r->options;
    quamba_status status = qm_scorer_run(r->scorer, r->sequences, r->group_size, r->n_groups,
                                         o->cancelled, o->user, err);
    size_t at = 0;
    for (size_t g = 0; g < r->n_groups && status == QUAMBA_OK; at += r->group_size[g++]) {
        qm_outcome outcome;
        if (!judge(r, g, &r->sequences[at], &outcome)) {
            status = qm_fail(err, QUAMBA_E_FORMAT, r->n_done,
                             "%.400s: item %zu: the model's log-likelihood is not a finite number",
                             o->path, r->n_done);
            break;
        }
        if (r->records) {
            json_t *record = make_record(r, g, &r->sequences[at], &outcome);
            status = record ? qm_records_append(r->records, record, err)
                            : qm_fail_memory(err, 0, "a record");
            json_decref(record);
        }
        if (status == QUAMBA_OK) add_outcome(r, outcome);
    }
    clear_batch(r);
    if (status == QUAMBA_OK) report(r);
    return status;
}

static quamba_status score_items(run *r, quamba_error *err)
{
    quamba_status status = QUAMBA_OK;
    report(r); /* from where it goes */
    for (size_t item = r->n_done; item < r->n_items && status == QUAMBA_OK; item++) {
        status =
            r->task->form == QM_TASK_TEXT ? add_segment(r, item, err) : add_question(r, item, err);
        bool full = qm_scorer_is_full(r->scorer, r->n_sequences, r->n_batch_tokens);
        if (status == QUAMBA_OK && (full || item + 1 == r->n_items)) status = finish_batch(r, err);
    }
    return status;
}

static void summarise(const run *r)
{
    quamba_eval_result *out = r->result;
    size_t n_norm = 0;
    for (size_t i = 0; i < r->n_done; i++)
        n_norm += r->outcomes[i].is_correct_norm;
    out->n_items = r->n_items;
    out->n_done = r->n_done;
    if (r->task->metrics & QM_METRIC_ACC) {
        qm_estimate e = qm_estimate_share(r->n_correct, r->n_done);
        out->acc = e.value;
        out->acc_stderr = e.error;
    }
    if (r->task->metrics & QM_METRIC_ACC_NORM) {
        qm_estimate e = qm_estimate_share(n_norm, r->n_done);
        out->acc_norm = e.value;
        out->acc_norm_stderr = e.error;
    }
    if (r->task->metrics & QM_METRIC_PERPLEXITY) {
        qm_estimate e = qm_estimate_perplexity(r->outcomes, r->n_done);
        out->perplexity = e.value;
        out->perplexity_stderr = e.error;
    }
}

static quamba_status check(const run *r, const quamba_model *model, quamba_error *err)
{
    const quamba_eval_options *o = r->options;
    int32_t n_ids = quamba_tokenizer_n_vocab(r->tokenizer);
    int32_t n_vocab = quamba_model_get_info(model).n_vocab;
    if (!r->task)
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "there is no task \"%.100s\"",
                       o->task ? o->task : "");
    if (!o->path) return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "%s: no file given", r->task->name);
    if (o->fewshot < 0 || o->fewshot > MAX_SHOTS ||
        (o->fewshot > 0 && r->task->form == QM_TASK_TEXT))
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "%s: %" PRId32 " few-shot examples: %s",
                       r->task->name, o->fewshot,
                       r->task->form == QM_TASK_TEXT ? "a text has no items" : "must be 0 .. 64");
    if (n_ids > n_vocab)
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                       "the tokenizer has ids up to %" PRId32 ", the model a vocabulary of %" PRId32
                       ": they do not belong together",
                       n_ids - 1, n_vocab);
    return QUAMBA_OK;
}

quamba_status qm_eval_items(const quamba_model *model, const quamba_tokenizer *tokenizer,
                            const quamba_session_options *session_options,
                            const quamba_eval_options *options, quamba_eval_result *result,
                            qm_outcome **outcomes, quamba_error *err)
{
    double none = (double)NAN;
    *result = (quamba_eval_result){.acc = none,
                                   .acc_stderr = none,
                                   .acc_norm = none,
                                   .acc_norm_stderr = none,
                                   .perplexity = none,
                                   .perplexity_stderr = none};
    run r = {.task = options->task ? qm_task_find(options->task) : NULL,
             .tokenizer = tokenizer,
             .options = options,
             .result = result};
    quamba_status status = check(&r, model, err);
    if (status == QUAMBA_OK)
        status = r.task->form == QM_TASK_TEXT ? open_text(&r, err) : open_questions(&r, err);
    if (status == QUAMBA_OK) {
        if (options->limit > 0 && options->limit < r.n_items) r.n_items = (size_t)options->limit;
        r.outcomes = qm_alloc(r.n_items, sizeof *r.outcomes);
        if (!r.outcomes) status = qm_fail_memory(err, r.n_items * sizeof *r.outcomes, "scores");
    }
    if (status == QUAMBA_OK) status = open_records(&r, model, err);
    if (status == QUAMBA_OK)
        status = qm_scorer_new(&r.scorer, model, session_options, options->decode, err);
    if (status == QUAMBA_OK) status = score_items(&r, err);
    if (r.outcomes) summarise(&r);

    clear_batch(&r);
    qm_records_close(&r.records);
    qm_scorer_free(&r.scorer);
    qm_task_file_close(&r.file);
    qm_question_free(&r.question);
    qm_question_free(&r.example);
    qm_text_free(&r.prompt);
    qm_text_free(&r.pair);
    qm_text_file_close(&r.text);
    *outcomes = r.outcomes;
    free(r.sequences);
    free(r.group_size);
    free(r.gold);
    free(r.n_chars);
    return status;
}

quamba_status quamba_eval_run(const quamba_model *model, const quamba_tokenizer *tokenizer,
                              const quamba_session_options *session_options,
                              const quamba_eval_options *options, quamba_eval_result *result,
                              quamba_error *err)
{
    qm_outcome *outcomes = NULL;
    quamba_status status =
        qm_eval_items(model, tokenizer, session_options, options, result, &outcomes, err);
    free(outcomes);
    return status;
}

/* quamba generate: a text from a prompt, shown as it comes. */
#include "cli/beside.h"
#include "cli/debug.h"

#include "base/file.h"
#include "base/mem.h"
#include "cli/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 256 }; /* prompt tokens between two looks at Ctrl-C */

typedef struct end_reason {
    const char *name, *words;
} end_reason;

static const end_reason length = {"length", "the limit"}, end_of_text = {"end", "the end of text"},
                        stop_text = {"stop", "a stop text"},
                        interrupt = {"interrupted", "an interrupt"};

typedef struct run_state {
    const qc_options *opt;
    quamba_tokenizer *tokenizer;
    quamba_model *model;
    qc_debug *debug; /* NULL: nothing is shown */
    quamba_session *session;
    quamba_sampler *sampler;
    qm_text prompt;
    int32_t *prompt_ids; /* [n_prompt], quamba_free */
    size_t n_prompt;
    int32_t *ids; /* [n_ids], generated */
    size_t n_ids, capacity;
    qc_stream stream;
    const float *logits; /* borrowed from the session */
    const end_reason *reason;
    double prefill, ttft; /* seconds */
    double decode;        /* from the first token to the last */
} run_state;

/* ---- the prompt ------------------------------------------------------------------------------ */

static int read_all(qm_text *text, FILE *file, const char *name)
{
    char block[1 << 16];
    size_t n;
    errno = 0;
    while ((n = fread(block, 1, sizeof block, file)) > 0)
        qm_text_add(text, block, n);
    if (ferror(file)) return qc_fail(QC_FAILED, "%s: %s", name, strerror(errno));
    if (text->failed) return qc_fail_memory();
    /* The end of the last line belongs to the file, not to the text. */
    if (text->size > 0 && text->data[text->size - 1] == '\n') text->data[--text->size] = '\0';
    return QC_OK;
}

static int read_prompt(run_state *run)
{
    const qc_options *opt = run->opt;
    qm_text *prompt = &run->prompt;
    if (opt->prompt != NULL && opt->prompt_file != NULL)
        return qc_fail(QC_USAGE, "generate: give --prompt or --prompt-file, not both");
    if (opt->prompt != NULL) {
        qm_text_puts(prompt, opt->prompt);
        return prompt->failed ? qc_fail_memory() : QC_OK;
    }
    const char *path = opt->prompt_file;
    if (path == NULL && isatty(STDIN_FILENO)) return QC_OK;
    if (path == NULL || strcmp(path, "-") == 0) return read_all(prompt, stdin, "standard input");
    FILE *file = fopen(path, "rb");
    if (file == NULL) return qc_fail(QC_FAILED, "%s: %s", path, strerror(errno));
    int status = read_all(prompt, file, path);
    fclose(file);
    return status;
}

static int encode_prompt(run_state *run)
{
    quamba_error err = {0};
    if (quamba_tokenizer_encode(run->tokenizer, run->prompt.size > 0 ? run->prompt.data : "",
                                run->prompt.size, &run->prompt_ids, &run->n_prompt,
                                &err) != QUAMBA_OK)
        return qc_fail_error(&err);
    if (run->n_prompt > 0) return QC_OK;
    if (run->opt->load_state != NULL)
        return qc_fail(QC_USAGE, "--load-state: the prompt is empty; give the text to go on with");
    int32_t end = quamba_tokenizer_end_id(run->tokenizer);
    if (end < 0)
        return qc_fail(QC_USAGE,
                       "the prompt is empty and the tokenizer has no end-of-text token to "
                       "start from; give --prompt");
    quamba_free(run->prompt_ids);
    run->prompt_ids = malloc(sizeof *run->prompt_ids);
    if (run->prompt_ids == NULL) return qc_fail_memory();
    run->prompt_ids[0] = end;
    run->n_prompt = 1;
    qc_note(run->opt, "the prompt is empty: starting from the end-of-text token");
    return QC_OK;
}

/* ---- the state file -------------------------------------------------------------------------- */

static int load_state(run_state *run)
{
    const char *path = run->opt->load_state;
    qm_map map = {0};
    quamba_error err = {0};
    if (qm_map_open(&map, path, &err) != QUAMBA_OK) return qc_fail_error(&err);
    int status = QC_OK;
    if (quamba_session_load(run->session, map.data, map.size, &err) != QUAMBA_OK)
        status = qc_fail(QC_FAILED, "%s: %s", path, err.message);
    qm_map_close(&map);
    return status;
}

static int save_state(run_state *run)
{
    quamba_error err = {0};
    size_t size = 0;
    void *blob = NULL;
    quamba_status st = quamba_session_save(run->session, NULL, 0, &size, &err);
    if (st == QUAMBA_OK && (blob = qm_alloc(size, 1)) == NULL) return qc_fail_memory();
    if (st == QUAMBA_OK) st = quamba_session_save(run->session, blob, size, &size, &err);
    if (st == QUAMBA_OK) st = qm_file_write(run->opt->save_state, blob, size, &err);
    free(blob);
    return st == QUAMBA_OK ? QC_OK : qc_fail_error(&err);
}

/* ---- generating ------------------------------------------------------------------------------ */

static int new_sampler(run_state *run)
{
    const qc_options *opt = run->opt;
    quamba_error err = {0};
    quamba_sampler_options options = {.temperature = (float)opt->temperature,
                                      .top_k = (int32_t)opt->top_k,
                                      .top_p = (float)opt->top_p,
                                      .min_p = (float)opt->min_p,
                                      .repetition_penalty = (float)opt->repetition_penalty,
                                      .seed = (uint64_t)opt->seed};
    /* Only ids that name something are drawn: the model's vocabulary may be padded. */
    int32_t n_vocab = quamba_tokenizer_n_vocab(run->tokenizer);
    if (quamba_sampler_new(&run->sampler, n_vocab, &options, &err) != QUAMBA_OK)
        return qc_fail_error(&err);
    quamba_sampler_accept(run->sampler, run->prompt_ids, run->n_prompt);
    return QC_OK;
}

/* The prompt in pieces, which gives the same bits as at once and lets Ctrl-C in. */
static int prefill(run_state *run)
{
    quamba_error err = {0};
    qc_progress progress = {0};
    int status = QC_OK;
    double started = qc_now();
    if (run->n_prompt > PIECE)
        qc_progress_start(&progress, run->opt, "reading the prompt", run->n_prompt, 0);
    for (size_t at = 0; at < run->n_prompt && status == QC_OK && !qc_interrupted();) {
        size_t n = run->n_prompt - at < PIECE ? run->n_prompt - at : PIECE;
        if (quamba_session_prefill(run->session, run->prompt_ids + at, n, &run->logits, &err) !=
            QUAMBA_OK)
            status = qc_fail_error(&err);
        at += n;
        qc_progress_update(&progress, at, NULL);
    }
    qc_progress_finish(&progress);
    run->prefill = qc_now() - started;
    return status == QC_OK && qc_interrupted() ? QC_INTERRUPTED : status;
}

/* Shows what may be shown; returns an exit status. */
static int show(run_state *run, bool at_end)
{
    qc_stream *stream = &run->stream;
    size_t n = qc_stream_ready(stream, at_end);
    if (run->opt->json || n == 0) return QC_OK;
    fwrite(stream->text.data + stream->shown, 1, n, stdout);
    stream->shown += n;
    return qc_finish_output();
}

/* Appends a drawn token to ids and text. */
static bool append(run_state *run, int32_t id)
{
    size_t n = 0;
    if (!qm_grow(&run->ids, &run->capacity, run->n_ids + 1, sizeof *run->ids)) return false;
    run->ids[run->n_ids++] = id;
    const char *piece = quamba_tokenizer_piece(run->tokenizer, id, &n);
    if (piece != NULL) qc_stream_add(&run->stream, piece, n);
    return !run->stream.text.failed;
}

static int generate(run_state *run)
{
    const qc_options *opt = run->opt;
    quamba_error err = {0};
    int32_t end = opt->ignore_eos ? -1 : quamba_tokenizer_end_id(run->tokenizer);
    size_t limit = (size_t)opt->max_tokens;
    double started = qc_now();
    run->reason = &length;
    while (run->n_ids < limit) {
        int32_t id = quamba_sampler_next(run->sampler, run->logits);
        if (run->ttft == 0) run->ttft = run->prefill + (qc_now() - started);
        if (id == end) {
            run->reason = &end_of_text;
            break;
        }
        if (!append(run, id)) return qc_fail_memory();
        if (run->n_ids == 1) started = qc_now();
        run->decode = qc_now() - started;
        int status = show(run, false);
        if (status != QC_OK) return status;
        if (run->stream.stopped || qc_interrupted()) {
            run->reason = run->stream.stopped ? &stop_text : &interrupt;
            break;
        }
        if (run->n_ids < limit &&
            quamba_session_step(run->session, id, &run->logits, &err) != QUAMBA_OK)
            return qc_fail_error(&err);
    }
    return QC_OK;
}

/* ---- results --------------------------------------------------------------------------------- */

static double rate(double n, double seconds) { return seconds > 0 ? n / seconds : 0; }

/* The first token comes with the prompt; the others are decoded. */
static double decode_rate(const run_state *run)
{
    return run->n_ids > 1 ? rate((double)(run->n_ids - 1), run->decode) : 0;
}

static int print_json(run_state *run)
{
    json_t *ids = json_array(), *result = json_object();
    for (size_t i = 0; i < run->n_ids; i++)
        json_array_append_new(ids, json_integer(run->ids[i]));
    const qm_text *prompt = &run->prompt, *text = &run->stream.text;
    int bad = json_array_size(ids) != run->n_ids;
    bad |= json_object_set_new(result, "prompt",
                               qc_json_text(prompt->size ? prompt->data : "", prompt->size));
    bad |=
        json_object_set_new(result, "text", qc_json_text(text->size ? text->data : "", text->size));
    bad |= json_object_set_new(result, "ids", ids);
    json_t *numbers = json_pack(
        "{s:I, s:I, s:s, s:I, s:s, s:f, s:f, s:f, s:f}", "n_prompt", (json_int_t)run->n_prompt,
        "n_generated", (json_int_t)run->n_ids, "stop_reason", run->reason->name, "seed",
        (json_int_t)run->opt->seed, "mode", quamba_model_get_info(run->model).mode, "ttft_ms",
        1e3 * run->ttft, "prefill_tokens_per_s", rate((double)run->n_prompt, run->prefill),
        "decode_tokens_per_s", decode_rate(run), "total_ms", 1e3 * (run->ttft + run->decode));
    bad |= numbers == NULL || json_object_update(result, numbers);
    json_decref(numbers);
    bad |= json_object_set_new(result, "saturated", qc_saturated_json(run->session, run->model));
    int status = qc_print_json(bad ? NULL : result);
    json_decref(result);
    return status;
}

static const char *plural(size_t n) { return n == 1 ? "" : "s"; }

static int print_text(run_state *run)
{
    int status = show(run, true);
    if (status != QC_OK) return status;
    putchar('\n');
    status = qc_finish_output();
    if (status != QC_OK || run->n_ids == 0) return status;
    qc_note(run->opt,
            "%zu token%s up to %s at %.1f/s; prompt of %zu token%s at %.1f/s, first token after "
            "%.0f ms",
            run->n_ids, plural(run->n_ids), run->reason->words, decode_rate(run), run->n_prompt,
            plural(run->n_prompt), rate((double)run->n_prompt, run->prefill), 1e3 * run->ttft);
    if (run->opt->verbose) qc_note_saturated(run->opt, run->session, run->model);
    return QC_OK;
}

static int new_session(run_state *run)
{
    quamba_error err = {0};
    quamba_session_options options = qc_session_options(run->opt);
    qc_debug_watch(run->debug, &options);
    if (quamba_session_new(&run->session, run->model, &options, &err) != QUAMBA_OK)
        return qc_fail_error(&err);
    return QC_OK;
}

static int run_all(run_state *run)
{
    const qc_options *opt = run->opt;
    for (size_t i = 0; i < opt->n_stop; i++)
        if (opt->stop[i][0] == '\0') return qc_fail(QC_USAGE, "--stop: the text is empty");
    run->stream.stops = opt->stop;
    run->stream.n_stops = opt->n_stop;
    int status = read_prompt(run);
    qc_catch_interrupts();
    if (status == QC_OK) status = qc_open_model(&run->model, opt, opt->args[0]);
    if (status == QC_OK) status = qc_open_tokenizer(&run->tokenizer, opt, opt->args[0]);
    if (status == QC_OK) status = encode_prompt(run);
    if (status == QC_OK) status = qc_check_vocabulary(run->tokenizer, run->model);
    if (status == QC_OK)
        status = qc_run_beside(opt, opt->args[0], run->model, run->prompt_ids, run->n_prompt);
    if (status == QC_OK) status = qc_debug_new(&run->debug, opt, run->model, false);
    if (status == QC_OK) status = new_session(run);
    if (status == QC_OK && opt->load_state != NULL) status = load_state(run);
    if (status == QC_OK) status = new_sampler(run);
    if (status == QC_OK) status = prefill(run);
    if (status == QC_OK && opt->save_state != NULL) status = save_state(run);
    if (status != QC_OK || qc_debug_stops(run->debug)) return status;
    if (!opt->json && !opt->quiet && run->prompt.size > 0)
        fwrite(run->prompt.data, 1, run->prompt.size, stdout);
    status = generate(run);
    if (status == QC_OK) status = opt->json ? print_json(run) : print_text(run);
    return status == QC_OK && qc_interrupted() ? QC_INTERRUPTED : status;
}

static int run_generate(const qc_options *opt)
{
    run_state run = {.opt = opt};
    int status = run_all(&run);
    status = qc_debug_finish(&run.debug, status);
    quamba_sampler_free(&run.sampler);
    quamba_session_free(&run.session);
    quamba_model_close(&run.model);
    quamba_tokenizer_close(&run.tokenizer);
    quamba_free(run.prompt_ids);
    free(run.ids);
    qm_text_free(&run.prompt);
    qc_stream_free(&run.stream);
    return status;
}

const qc_command qc_cmd_generate = {
    .name = "generate",
    .usage = "[OPTIONS] MODEL",
    .summary = "continue a text",
    .description =
        "Reads a prompt and shows it with its continuation, as it comes; with --quiet the "
        "continuation only.  The prompt is --prompt, --prompt-file or, when it is not a terminal, "
        "the standard input (without the end of its last line).  An empty prompt starts from the "
        "end-of-text token.\n\n"
        "The same model, prompt, options and --seed give the same text on every machine, for any "
        "--cpu and --threads.  Filters work in this order: --repetition-penalty, --top-k, --min-p, "
        "--temperature, --top-p.\n\n"
        "--save-state keeps the state after the prompt, so that a long beginning need not be read "
        "again: a later run with --load-state takes its prompt as what comes next.  The repetition "
        "penalty does not reach back into a loaded state.",
    .examples = "quamba generate models/demo --prompt \"Once upon a time\"\n"
                "quamba generate models/demo --prompt \"The sea was\" --temperature 0\n"
                "echo \"The old man\" | quamba generate models/demo --top-p 0.9 --stop \".\"\n"
                "quamba generate models/demo --prompt-file book.txt --save-state book.state\n"
                "quamba generate models/demo --load-state book.state --prompt \" The end\"\n",
    .options =
        "debug-layer scale-check quick-verify "
        "prompt prompt-file max-tokens temperature top-k top-p min-p repetition-penalty seed "
        "stop ignore-eos save-state load-state mode float-sim-asic-int8 strict-mode legacy-env "
        "datapath outlier-scales norm-f-fallback reference cpu threads "
        "pretrained-dir",
    .min_args = 1,
    .max_args = 1,
    .run = run_generate,
};

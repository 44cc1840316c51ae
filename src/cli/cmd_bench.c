/* quamba bench: size and speed of a model on this machine. */
#include "cli/bench_operators.h"
#include "cli/shape.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* What is measured, once per run; the medians are reported. */
typedef enum qc_figure {
    TTFT_MS,
    TPOT_MS,
    TTLT_MS,
    PREFILL_RATE,
    DECODE_RATE,
    READ_BANDWIDTH,
    BANDWIDTH_SHARE,
    N_FIGURES
} qc_figure;

static const struct {
    const char *key, *shown;
    const char *format;
} figures[N_FIGURES] = {
    [TTFT_MS] = {"ttft_ms",              "time to first token",              "%.2f ms"      },
    [TPOT_MS] = {"tpot_ms",              "time per output token",            "%.3f ms"      },
    [TTLT_MS] = {"ttlt_ms",              "time to last token",               "%.1f ms"      },
    [PREFILL_RATE] = {"prefill_tokens_per_s", "prefill",                          "%.1f tokens/s"},
    [DECODE_RATE] = {"decode_tokens_per_s",  "decode",                           "%.1f tokens/s"},
    [READ_BANDWIDTH] = {"read_bandwidth_gb_s",  "plain read of the weights",        "%.2f GB/s"    },
    [BANDWIDTH_SHARE] = {"bandwidth_share",      "decode's share of that bandwidth", "%.3f"         },
};

typedef struct qc_bench {
    const quamba_model *model;
    quamba_session *session;
    quamba_job *jobs; /* [n_sessions]: a decode step of each; the first is that of session */
    quamba_model_info info;
    int32_t *prompt;
    int64_t prompt_len, gen_len, repeat, n_sessions;
    int32_t n_threads, max_rows;
    double *runs; /* [N_FIGURES][repeat] */
    bool per_operator;
    qc_stage_times stages;
} qc_bench;

static qc_timed timed(const qc_bench *b)
{
    return (qc_timed){.session = b->session,
                      .model = b->model,
                      .prompt = b->prompt,
                      .prompt_len = b->prompt_len,
                      .gen_len = b->gen_len,
                      .repeat = b->repeat,
                      .max_rows = b->max_rows};
}

/* Adds up all words of a matrix, as fast as memory delivers them. */
static uint64_t read_bytes(const void *data, size_t size)
{
    const unsigned char *at = data;
    uint64_t sum[8] = {0};
    for (size_t i = 0; i + 64 <= size; i += 64)
        for (size_t j = 0; j < 8; j++) {
            uint64_t word;
            memcpy(&word, at + i + 8 * j, sizeof word);
            sum[j] += word;
        }
    return sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}

/* Reads every matrix that a decode step reads, with as many threads; returns GB/s. */
static double measure_read(const qc_bench *b)
{
    const quamba_model *m = b->model;
    const int32_t n_layer = m->config.n_layer;
    volatile uint64_t sink = 0; /* keeps the reads */
    uint64_t bytes = 0, total = 0;
    double start = qc_now();
#pragma omp parallel for num_threads(b->n_threads) schedule(dynamic, 8) reduction(+ : bytes, total)
    for (int32_t i = 0; i < 4 * n_layer + 64; i++) {
        const qm_linear *w = &m->head;
        size_t parts = 64, part = (size_t)(i - 4 * n_layer); /* the head is the largest: in parts */
        if (i < 4 * n_layer) {
            const qm_layer *l = &m->layers[i / 4];
            const qm_linear *all[4] = {&l->in_proj, &l->x_proj, &l->dt_proj, &l->out_proj};
            w = all[i % 4];
            parts = 1;
            part = 0;
        }
        size_t rows = (size_t)w->n_out, begin = rows * part / parts,
               end = rows * (part + 1) / parts;
        size_t row = (size_t)w->n_in * qm_dtype_size(w->dtype);
        total += read_bytes((const char *)w->weight + begin * row, (end - begin) * row);
        bytes += (end - begin) * row;
    }
    sink = total;
    (void)sink;
    return (double)bytes / (qc_now() - start) * 1e-9;
}

static int32_t argmax(const float *logits, int32_t n)
{
    int32_t at = 0;
    float best = logits[0];
    for (int32_t i = 1; i < n; i++)
        if (logits[i] > best) best = logits[at = i];
    return at;
}

/* The sessions that step together with the first one, whose threads and scratch do the work. */
static int open_jobs(qc_bench *b, const qc_options *opt)
{
    quamba_session_options options = qc_session_options(opt);
    quamba_error err;
    b->jobs = calloc((size_t)b->n_sessions, sizeof *b->jobs);
    if (!b->jobs) return qc_fail_memory();
    options.n_threads = options.max_rows = 1;
    for (int64_t i = 0; i < b->n_sessions; i++) {
        quamba_job *job = &b->jobs[i];
        *job = (quamba_job){.n_tokens = 1, .decode = true, .want_logits = true};
        if (i == 0)
            job->session = b->session;
        else if (quamba_session_new(&job->session, b->model, &options, &err) != QUAMBA_OK)
            return qc_fail_error(&err);
    }
    return QC_OK;
}

static void close_jobs(qc_bench *b)
{
    for (int64_t i = 1; b->jobs && i < b->n_sessions; i++)
        quamba_session_free(&b->jobs[i].session);
    free(b->jobs);
}

/* Every session goes on from where the first one is, by the tokens of the first one. */
static quamba_status copy_sessions(const qc_bench *b, quamba_error *err)
{
    quamba_status status = QUAMBA_OK;
    for (int64_t i = 1; i < b->n_sessions && status == QUAMBA_OK; i++)
        status = quamba_session_copy(b->jobs[i].session, b->session, err);
    return status;
}

static quamba_status step(const qc_bench *b, int32_t token, const float **logits, quamba_error *err)
{
    for (int64_t i = 0; i < b->n_sessions; i++)
        b->jobs[i].tokens = &token;
    quamba_status status = quamba_session_run(b->jobs, (size_t)b->n_sessions, err);
    *logits = b->jobs[0].logits;
    return status;
}

/* One run: the plain read and the decoding next to each other, so that their ratio holds on a
 * machine whose speed drifts. */
static quamba_status run_once(qc_bench *b, int64_t run, quamba_error *err)
{
    const float *logits;
    quamba_session_reset(b->session);
    double start = qc_now();
    quamba_status status =
        quamba_session_prefill(b->session, b->prompt, (size_t)b->prompt_len, &logits, err);
    double first = qc_now();
    if (status == QUAMBA_OK) status = copy_sessions(b, err);
    double read = measure_read(b);
    double decode = qc_now();
    for (int64_t i = 0; status == QUAMBA_OK && i < b->gen_len; i++)
        status = step(b, argmax(logits, b->info.n_vocab), &logits, err);
    double last = qc_now();
    double again = measure_read(b);
    if (status != QUAMBA_OK) return status;

    double values[N_FIGURES];
    values[TTFT_MS] = (first - start) * 1e3;
    values[TPOT_MS] = (last - decode) / (double)b->gen_len * 1e3;
    values[TTLT_MS] = values[TTFT_MS] + (last - decode) * 1e3;
    values[PREFILL_RATE] = (double)b->prompt_len / (first - start);
    values[DECODE_RATE] = (double)(b->n_sessions * b->gen_len) / (last - decode);
    values[READ_BANDWIDTH] = read > again ? read : again;
    const uint64_t step_bytes =
        b->info.bytes_per_token + (uint64_t)(b->n_sessions - 1) * b->info.state_bytes;
    values[BANDWIDTH_SHARE] = (double)step_bytes * 1e-6 / values[TPOT_MS] / values[READ_BANDWIDTH];
    for (int i = 0; i < N_FIGURES; i++)
        b->runs[i * b->repeat + run] = values[i];
    return QUAMBA_OK;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static uint64_t peak_rss_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

static int print_json(const qc_bench *b, const char *name)
{
    json_t *out = json_object(), *spread = json_object();
    json_object_set_new(out, "model", json_string(name));
    json_object_set_new(out, "mode", json_string(b->info.mode));
    json_object_set_new(out, "weight_format", json_string(b->info.weight_format));
    for (int i = 0; i < N_FIGURES; i++) {
        const double *sorted = b->runs + i * b->repeat;
        json_object_set_new(out, figures[i].key, json_real(sorted[b->repeat / 2]));
        json_object_set_new(spread, figures[i].key,
                            json_pack("[f, f]", sorted[0], sorted[b->repeat - 1]));
    }
    json_object_set_new(out, "weights_bytes", json_integer((json_int_t)b->info.weights_bytes));
    json_object_set_new(out, "bytes_per_token", json_integer((json_int_t)b->info.bytes_per_token));
    json_object_set_new(out, "state_bytes", json_integer((json_int_t)b->info.state_bytes));
    json_object_set_new(out, "peak_rss_bytes", json_integer((json_int_t)peak_rss_bytes()));
    json_object_set_new(out, "prompt_len", json_integer(b->prompt_len));
    json_object_set_new(out, "gen_len", json_integer(b->gen_len));
    json_object_set_new(out, "repeat", json_integer(b->repeat));
    json_object_set_new(out, "sessions", json_integer(b->n_sessions));
    json_object_set_new(out, "threads", json_integer(b->n_threads));
    json_object_set_new(out, "min_max", spread);
    const qc_timed what = timed(b);
    if (b->per_operator)
        json_object_set_new(out, "per_operator", qc_stages_json(&b->stages, &what));
    int status = qc_print_json(out);
    json_decref(out);
    return status;
}

static int print_table(const qc_bench *b, const char *name)
{
    const double mb = 1e-6;
    printf("%s: %" PRIu64 " parameters, %s weights, mode %s; %" PRId64 " prompt tokens, %" PRId64
           " generated by each of %" PRId64 " sessions, %" PRId32 " threads, %" PRId64 " runs\n\n",
           name, b->info.n_parameters, b->info.weight_format, b->info.mode, b->prompt_len,
           b->gen_len, b->n_sessions, b->n_threads, b->repeat);
    qc_table *table = qc_table_new((const char *const[]){"figure", "median", "min", "max"}, 4);
    if (!table) return qc_fail_memory();
    for (int i = 0; i < N_FIGURES; i++) {
        const double *sorted = b->runs + i * b->repeat;
        const double shown[3] = {sorted[b->repeat / 2], sorted[0], sorted[b->repeat - 1]};
        qc_table_cell(table, "%s", figures[i].shown);
        for (int k = 0; k < 3; k++) {
            char cell[64];
            snprintf(cell, sizeof cell, figures[i].format, shown[k]);
            qc_table_cell(table, "%s", cell);
        }
    }
    int status = qc_table_print(table, stdout);
    qc_table_free(&table);
    printf("\nweights %.1f MB, state %.2f MB, read per token %.1f MB, peak memory %.1f MB\n",
           (double)b->info.weights_bytes * mb, (double)b->info.state_bytes * mb,
           (double)b->info.bytes_per_token * mb, (double)peak_rss_bytes() * mb);
    const qc_timed what = timed(b);
    if (status == QC_OK && b->per_operator) status = qc_print_stages(&b->stages, &what);
    return status;
}

/* A random model, as --mode says a quantized one or not. */
static int open_random(quamba_model **model, const qc_options *opt)
{
    quamba_error err;
    qc_shape shape;
    if (opt->datapath || opt->choice.knobs || opt->outlier_scales)
        return qc_fail(QC_USAGE, "bench: --shape takes a mode as it is: --datapath and "
                                 "--outlier-scales need a MODEL");
    int status = qc_find_shape(&shape, opt, "bench");
    if (status == QC_OK &&
        qm_model_random(model, &shape.config, shape.datapath, &shape.random, &err) != QUAMBA_OK)
        status = qc_fail_error(&err);
    return status;
}

static int measure(qc_bench *b, const qc_options *opt, const char *name)
{
    quamba_error err;
    qc_progress progress;
    b->prompt = malloc((size_t)b->prompt_len * sizeof *b->prompt);
    b->runs = malloc((size_t)(N_FIGURES * b->repeat) * sizeof *b->runs);
    if (!b->prompt || !b->runs) return qc_fail_memory();
    uint64_t random = (uint64_t)opt->seed;
    for (int64_t i = 0; i < b->prompt_len; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        b->prompt[i] = (int32_t)((random >> 33) % (uint64_t)b->info.n_vocab);
    }
    qc_catch_interrupts();
    qc_progress_start(&progress, opt, "bench", (uint64_t)b->repeat + 1, 0);
    int status = QC_OK;
    for (int64_t run = -1; status == QC_OK && run < b->repeat; run++) {
        if (qc_interrupted()) status = QC_INTERRUPTED;
        /* The first run warms the caches and is overwritten. */
        if (status == QC_OK && run_once(b, run < 0 ? 0 : run, &err) != QUAMBA_OK)
            status = qc_fail_error(&err);
        qc_progress_update(&progress, (uint64_t)(run + 2), NULL);
    }
    qc_progress_finish(&progress);
    const qc_timed what = timed(b);
    if (status == QC_OK && b->per_operator && qc_time_stages(&b->stages, &what, &err) != QUAMBA_OK)
        status = qc_fail_error(&err);
    if (status != QC_OK) return status;
    for (int i = 0; i < N_FIGURES; i++)
        qsort(b->runs + i * b->repeat, (size_t)b->repeat, sizeof *b->runs, compare_doubles);
    status = opt->json ? print_json(b, name) : print_table(b, name);
    return status == QC_OK ? qc_finish_output() : status;
}

static int run(const qc_options *opt)
{
    quamba_model *model = NULL;
    qc_bench b = {.prompt_len = opt->prompt_len,
                  .gen_len = opt->gen_len,
                  .repeat = opt->repeat,
                  .n_sessions = opt->sessions,
                  .n_threads = qc_n_threads(opt),
                  .max_rows = qc_session_options(opt).max_rows,
                  .per_operator = opt->per_operator};
    if ((opt->n_args == 0) == (opt->shape == NULL))
        return qc_fail(QC_USAGE, "bench: give either a MODEL or --shape");
    const char *name = opt->shape ? opt->shape : opt->args[0];
    int status = opt->shape ? QC_OK : qc_refuse_shape_options(opt, "bench");
    if (status == QC_OK)
        status = opt->shape ? open_random(&model, opt) : qc_open_model(&model, opt, name);
    if (status == QC_OK) {
        b.model = model;
        b.info = quamba_model_get_info(model);
        status = qc_new_session(&b.session, opt, model);
    }
    if (status == QC_OK) status = open_jobs(&b, opt);
    if (status == QC_OK) status = measure(&b, opt, name);
    close_jobs(&b);
    free(b.prompt);
    free(b.runs);
    quamba_session_free(&b.session);
    quamba_model_close(&model);
    return status;
}

const qc_command qc_cmd_bench = {
    .name = "bench",
    .usage = "[OPTIONS] MODEL | --shape SIZE",
    .summary = "measure speed, and its share of the memory bandwidth",
    .description =
        "Prefills a random prompt, then generates greedily, --repeat times after one run to warm "
        "up, and reports medians with minimum and maximum.  Decoding is bound by memory: its share "
        "is the bytes a token reads times tokens per second, over the bandwidth that a plain read "
        "of the same weights gets in the same run.  --shape makes random W8A8 weights, "
        "embedding and head included, or with --mode fp32 or fp16 matrices in half.  With "
        "--sessions N as many sessions generate side by side: a step reads the weights once for "
        "all of them.\n\n"
        "--per-operator times the operators in runs of their own, where all threads meet after "
        "each "
        "of them: what a stage does beside (multiply-accumulates, bytes) is that of `quamba "
        "count`.",
    .examples = "quamba bench models/demo\n"
                "quamba bench --shape 130m --prompt-len 512 --json\n"
                "quamba bench --shape 130m --mode fp32\n",
    .options = "mode float-sim-asic-int8 strict-mode legacy-env "
               "datapath outlier-scales norm-f-fallback reference cpu threads seed "
               "pretrained-dir shape w-bits a-bits no-quantize-embedding no-quantize-lm-head "
               "prompt-len gen-len repeat sessions per-operator",
    .min_args = 0,
    .max_args = 1,
    .run = run,
};

/* Sessions of every mode on small random models of awkward sizes: cutting a text, threads,
 * instruction sets, batches, forks, saved states and taps must not show in any bit. */
#include "base/half.h"
#include "base/hash.h"
#include "datapath/datapath.h"
#include "kernels/cpu.h"
#include "model/model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_TOKENS = 61, N_PROMPT = 56, N_VOCAB = 83, N_LAYER = 3, D_STATE = 5 };

static int32_t tokens[N_TOKENS];

/* A model of the n-th mode; of the quantized ones some keep embedding or head in half. */
static quamba_model *open_shape(size_t n, qm_config shape)
{
    const quamba_datapath *dp = quamba_datapath_at(n);
    const qm_random_options options = {
        .seed = 7, .half_embedding = n % 4 == 1, .half_head = n % 4 == 1 || n % 4 == 3};
    quamba_model *model = NULL;
    quamba_error err;
    shape.mamba_version = 1;
    shape.n_layer = N_LAYER;
    shape.d_conv = 4;
    shape.n_vocab = N_VOCAB;
    shape.tie_embeddings = true;
    shape.quantized = dp->quantized;
    shape.scheme = dp->quantized ? QM_W8A8 : QM_FLOAT;
    shape.norm_eps = 1e-5;
    if (qm_model_random(&model, &shape, dp, &options, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    assert_null(quamba_model_warning(model, 0));
    for (int32_t i = 0; i < N_LAYER; i++)
        model->layers[i].scales.u /= 4; /* so that every layer has outliers */
    return model;
}

static quamba_model *open_model(size_t n)
{
    const bool quantized =
        quamba_datapath_at(n)->quantized; /* d_inner needs a Hadamard transform */
    return open_shape(n, (qm_config){.d_model = quantized ? 24 : 37,
                                     .d_inner = quantized ? 48 : 70,
                                     .d_state = D_STATE,
                                     .dt_rank = 3});
}

static quamba_session *new_session(const quamba_model *model, const char *cpu, int32_t n_threads,
                                   int32_t max_rows)
{
    quamba_session_options opt = {.cpu = cpu, .n_threads = n_threads, .max_rows = max_rows};
    quamba_session *session = NULL;
    quamba_error err;
    if (quamba_session_new(&session, model, &opt, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    return session;
}

/* All that was counted as saturated. */
static uint64_t saturated(const quamba_session *session)
{
    uint64_t hash = 0;
    for (int32_t layer = 0; layer <= N_LAYER; layer++)
        for (int32_t edge = 0; quamba_edge_name(edge); edge++) {
            uint64_t n = quamba_session_saturated(session, layer, edge);
            hash = qm_hash64(&n, sizeof n, hash);
        }
    return hash;
}

/* A session's state as saved, then the logits given. */
static uint64_t fingerprint(const quamba_session *session, const float *logits)
{
    size_t size = 0;
    quamba_error err;
    assert_int_equal(quamba_session_save(session, NULL, 0, &size, &err), QUAMBA_OK);
    void *blob = malloc(size);
    assert_non_null(blob);
    assert_int_equal(quamba_session_save(session, blob, size, &size, &err), QUAMBA_OK);
    uint64_t hash = qm_hash64(blob, size, 0);
    free(blob);
    return logits ? qm_hash64(logits, N_VOCAB * sizeof *logits, hash) : hash;
}

/* Feeds tokens [from, to); returns the logits after the last. */
static const float *feed(quamba_session *session, size_t from, size_t to, bool decode)
{
    quamba_error err;
    quamba_job job = {.session = session,
                      .tokens = tokens + from,
                      .n_tokens = to - from,
                      .decode = decode,
                      .want_logits = true};
    if (quamba_session_run(&job, 1, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    return job.logits;
}

/* A prompt in pieces of n tokens, then steps; everything that was computed and counted. */
static uint64_t run_text(quamba_session *session, size_t n)
{
    quamba_error err;
    for (size_t at = 0; at < N_PROMPT; at += n)
        assert_int_equal(quamba_session_prefill(session, tokens + at,
                                                N_PROMPT - at < n ? N_PROMPT - at : n, NULL, &err),
                         QUAMBA_OK);
    uint64_t after_prompt = fingerprint(session, NULL);
    const float *logits = feed(session, N_PROMPT, N_TOKENS, true);
    assert_int_equal(quamba_session_position(session), N_TOKENS);
    return after_prompt ^ fingerprint(session, logits) * 3 ^ saturated(session) * 5;
}

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < N_TOKENS; i++)
        tokens[i] = (i * i * 7 + 3 * i) % N_VOCAB;
    return 0;
}

/* Neither the pieces of a prompt nor the tokens computed side by side; where a mode looks at a
 * prompt as a whole, it stays whole. */
static void test_cuts(void **state)
{
    (void)state;
    for (size_t m = 0; quamba_datapath_at(m); m++) {
        const bool whole = qm_sees_whole_prompt(quamba_datapath_at(m));
        quamba_model *model = open_model(m);
        quamba_session *s = new_session(model, "native", 1, 256);
        uint64_t want = run_text(s, N_PROMPT);
        quamba_session_free(&s);
        for (int32_t cut = 1; cut < N_PROMPT; cut += cut < 5 ? 1 : 12) {
            s = new_session(model, "native", 1, cut % 7 + 1);
            assert_true(run_text(s, whole ? N_PROMPT : (size_t)cut) == want);
            quamba_session_free(&s);
        }
        s = new_session(model, "native", 1, 256);
        assert_int_equal(run_text(s, N_PROMPT / 2) == want, !whole); /* so it does look */
        quamba_session_free(&s);
        quamba_model_close(&model);
    }
}

/* True when the recurrent state is half numbers, or (quantized) codes at its scale. */
static bool state_is_rounded(const quamba_model *model, const quamba_session *session)
{
    const size_t per_layer = (size_t)(D_STATE * model->config.d_inner), n = N_LAYER * per_layer;
    size_t size = 0;
    quamba_error err;
    quamba_session_save(session, NULL, 0, &size, &err);
    unsigned char *blob = malloc(size);
    assert_non_null(blob);
    assert_int_equal(quamba_session_save(session, blob, size, &size, &err), QUAMBA_OK);
    bool rounded = true;
    for (size_t i = 0; i < n; i++) { /* the last thing in it but for the hash */
        float x, scale = model->layers[i / per_layer].scales.h;
        memcpy(&x, blob + size - 8 - (n - i) * sizeof x, sizeof x);
        bool half = qm_round_f16(x) == x;
        bool code =
            model->config.quantized && fabsf(x) < 129 * scale && scale * roundf(x / scale) == x;
        rounded = rounded && (half || code);
    }
    free(blob);
    return rounded;
}

/* Where the state stays FP32, a decode step is a prefill of one token; elsewhere it is not, for the
 * state is rounded. */
static void test_steps(void **state)
{
    (void)state;
    for (size_t m = 0; quamba_datapath_at(m); m++) {
        const quamba_datapath *dp = quamba_datapath_at(m);
        const bool rounds =
            dp->quantized ? dp->knobs.state != QM_STATE_F32 : dp->step_state != QM_FORMAT_F32;
        quamba_model *model = open_model(m);
        quamba_session *a = new_session(model, "native", 1, 256);
        quamba_session *b = new_session(model, "native", 1, 256);
        uint64_t want = 0, got = 0;
        for (size_t i = 0; i < N_TOKENS; i++) {
            want = fingerprint(a, feed(a, i, i + 1, false));
            got = fingerprint(b, feed(b, i, i + 1, true));
        }
        assert_int_equal(got == want, !rounds);
        assert_int_equal(state_is_rounded(model, a), false);
        assert_int_equal(state_is_rounded(model, b), rounds);
        quamba_session_free(&a);
        quamba_session_free(&b);
        quamba_model_close(&model);
    }
}

static void test_threads_and_cpus(void **state)
{
    (void)state;
    static const char *const cpus[] = {"native",
#define QM_ROW(flags, name) name,
                                       QM_ISA_LIST(QM_ROW)
#undef QM_ROW
    };
    for (size_t m = 0; quamba_datapath_at(m); m++) {
        quamba_model *model = open_model(m);
        quamba_session *s = new_session(model, "scalar", 1, 256);
        uint64_t want = run_text(s, N_PROMPT);
        quamba_session_free(&s);
        for (size_t c = 0; c < sizeof cpus / sizeof cpus[0]; c++)
            for (int32_t threads = 1; threads <= 8; threads += 7) {
                if (qm_cpu_select(cpus[c]) == -2) continue; /* not on this processor */
                s = new_session(model, cpus[c], threads, 50);
                assert_true(run_text(s, N_PROMPT) == want);
                quamba_session_free(&s);
            }
        quamba_model_close(&model);
    }
}

enum { MOST_JOBS = 12 };

/* Jobs of these lengths, every third a decode, side by side equal each one alone. */
static void check_batch(const quamba_model *model, const size_t *lengths, size_t n, int32_t rows,
                        int32_t n_threads)
{
    quamba_error err;
    quamba_job jobs[MOST_JOBS], alone[MOST_JOBS];
    quamba_logprob got[MOST_JOBS][N_TOKENS], want[MOST_JOBS][N_TOKENS];
    int32_t targets[N_TOKENS];
    for (int i = 0; i < N_TOKENS; i++)
        targets[i] = i % 3 == 0 ? -1 : tokens[(i + 1) % N_TOKENS];
    memset(got, 0, sizeof got);
    memset(want, 0, sizeof want);
    for (size_t i = 0; i < n; i++) {
        jobs[i] = (quamba_job){.session = new_session(model, "native", n_threads, rows),
                               .tokens = tokens,
                               .n_tokens = lengths[i],
                               .decode = i % 3 == 1,
                               .targets = i == 2 ? NULL : targets,
                               .logprobs = got[i],
                               .want_logits = i != 3};
        alone[i] = jobs[i];
        alone[i].session = new_session(model, "scalar", 1, 256);
        alone[i].logprobs = want[i];
        assert_int_equal(quamba_session_run(&alone[i], 1, &err), QUAMBA_OK);
    }
    assert_int_equal(quamba_session_run(jobs, n, &err), QUAMBA_OK);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(jobs[i].n_done, lengths[i]);
        assert_int_equal(jobs[i].logits == NULL, i == 3);
        assert_true(fingerprint(jobs[i].session, jobs[i].logits) ==
                    fingerprint(alone[i].session, alone[i].logits));
        assert_true(saturated(jobs[i].session) == saturated(alone[i].session));
        for (size_t t = 0; t < lengths[i]; t++) {
            assert_true(got[i][t].logprob == want[i][t].logprob);
            assert_true(got[i][t].logsumexp == want[i][t].logsumexp);
            assert_int_equal(got[i][t].argmax, want[i][t].argmax);
        }
        quamba_session_free(&jobs[i].session);
        quamba_session_free(&alone[i].session);
    }
}

static void test_batch(void **state)
{
    (void)state;
    static const size_t few[] = {1, 17, 60, 33, 8};
    for (size_t m = 0; quamba_datapath_at(m); m++) {
        quamba_model *model = open_model(m);
        for (int32_t rows = 1; rows <= 64; rows *= 8)
            check_batch(model, few, sizeof few / sizeof few[0], rows, 1 + rows / 8 % 2);
        quamba_model_close(&model);
    }
}

/* As many rows that every thread of a quantized pass has some of its own: sessions that two or
 * three of them go on with, and ends of prompts in a pass that is too short for that. */
static void test_rows_of_threads(void **state)
{
    (void)state;
    static const size_t many[MOST_JOBS] = {61, 2, 59, 61, 1, 61, 47, 3, 61, 61, 5, 60};
    for (size_t m = 0; quamba_datapath_at(m); m++) {
        quamba_model *model = open_model(m);
        for (int32_t threads = 2; threads <= 8; threads += threads == 2 ? 1 : 5)
            check_batch(model, many, MOST_JOBS, 290, threads);
        quamba_model_close(&model);
    }
}

/* Widths that no trained model has: x_proj has the most outputs of all and dt_proj the longest
 * rows, and what in_proj makes of x and of z is no multiple of a panel. */
static void test_odd_shapes(void **state)
{
    (void)state;
    static const size_t few[] = {3, 1, 2, 4, 2};
    static const size_t many[MOST_JOBS] = {17, 1, 12, 30, 2, 9, 11, 1, 5, 13, 3, 40};
    static const qm_config shapes[] = {
        {.d_model = 24, .d_inner = 24, .d_state = 520, .dt_rank = 100},
        {.d_model = 5,  .d_inner = 40, .d_state = 1,   .dt_rank = 1  },
        {.d_model = 33, .d_inner = 8,  .d_state = 3,   .dt_rank = 17 },
    };
    for (size_t m = 0; quamba_datapath_at(m); m++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            quamba_model *model = open_shape(m, shapes[i]);
            check_batch(model, few, 4, 1, 1);
            check_batch(model, few, 5, 7, 3);
            if (i > 0) check_batch(model, many, MOST_JOBS, 140, 4); /* rows for every thread */
            quamba_model_close(&model);
        }
}

/* A target's probability is that of the logits at its position. */
static void test_logprobs(void **state)
{
    (void)state;
    quamba_model *model = open_model(0);
    quamba_session *s = new_session(model, "native", 1, 256);
    quamba_logprob p[N_TOKENS];
    quamba_error err;
    quamba_job job = {.session = s,
                      .tokens = tokens,
                      .n_tokens = N_TOKENS,
                      .targets = tokens,
                      .logprobs = p,
                      .want_logits = true};
    assert_int_equal(quamba_session_run(&job, 1, &err), QUAMBA_OK);
    double sum = 0, best = -1e300;
    for (int32_t i = 0; i < N_VOCAB; i++)
        best = fmax(best, (double)job.logits[i]);
    for (int32_t i = 0; i < N_VOCAB; i++)
        sum += exp((double)job.logits[i] - best);
    const quamba_logprob *last = &p[N_TOKENS - 1];
    assert_true((double)job.logits[last->argmax] == best);
    assert_true(fabs(last->logsumexp - (best + log(sum))) < 1e-5);
    double target = (double)job.logits[tokens[N_TOKENS - 1]];
    assert_true(fabs(last->logprob - (target - best - log(sum))) < 1e-5);
    quamba_session_free(&s);
    quamba_model_close(&model);
}

/* A copy, or a state saved and loaded, goes on as if nothing had happened: in the middle of a
 * prompt and in the middle of decoding. */
static void check_fork_save_load(size_t m, bool decode)
{
    quamba_error err;
    quamba_model *model = open_model(m);
    quamba_session *a = new_session(model, "native", 1, 8), *b = NULL;
    feed(a, 0, 13, false);
    feed(a, 13, 20, decode);
    assert_int_equal(quamba_session_fork(&b, a, &err), QUAMBA_OK);
    size_t size = 0;
    quamba_session_save(a, NULL, 0, &size, &err);
    unsigned char *blob = malloc(size);
    assert_non_null(blob);
    assert_int_equal(quamba_session_save(a, blob, size - 1, &size, &err), QUAMBA_E_ARGUMENT);
    assert_int_equal(quamba_session_save(a, blob, size, &size, &err), QUAMBA_OK);
    uint64_t at_20 = fingerprint(a, NULL);

    uint64_t want = fingerprint(a, feed(a, 20, 50, decode));
    assert_true(fingerprint(b, NULL) == at_20);
    assert_true(fingerprint(b, feed(b, 20, 50, decode)) == want);

    quamba_session_reset(b);
    assert_int_equal(quamba_session_position(b), 0);
    assert_int_equal(quamba_session_load(b, blob, size, &err), QUAMBA_OK);
    assert_true(fingerprint(b, NULL) == at_20);
    assert_true(fingerprint(b, feed(b, 20, 50, decode)) == want);

    /* every damaged byte and every shortened blob is noticed and changes nothing */
    for (size_t i = 0; i < size; i += i < 64 ? 1 : 101) {
        blob[i] ^= 0x10;
        assert_int_equal(quamba_session_load(b, blob, size, &err), QUAMBA_E_FORMAT);
        blob[i] ^= 0x10;
        assert_int_equal(quamba_session_load(b, blob, i, &err), QUAMBA_E_FORMAT);
    }
    assert_true(fingerprint(b, NULL) == fingerprint(a, NULL));
    quamba_model *other = open_model(m > 0 ? m - 1 : 1);
    quamba_session *c = new_session(other, "native", 1, 8);
    char named[40];
    snprintf(named, sizeof named, "mode \"%s\"", quamba_datapath_id(quamba_datapath_at(m)));
    assert_int_equal(quamba_session_load(c, blob, size, &err), QUAMBA_E_FORMAT);
    assert_non_null(strstr(err.message, named));
    assert_int_equal(quamba_session_copy(c, a, &err), QUAMBA_E_ARGUMENT);
    quamba_session_free(&c);
    quamba_model_close(&other);
    free(blob);
    quamba_session_free(&a);
    quamba_session_free(&b);
    quamba_model_close(&model);
}

static void test_fork_save_load(void **state)
{
    (void)state;
    for (size_t m = 0; quamba_datapath_at(m); m++) {
        check_fork_save_load(m, false);
        check_fork_save_load(m, true);
    }
}

static void test_bad_arguments(void **state)
{
    (void)state;
    quamba_error err;
    quamba_model *model = open_model(0);
    quamba_session *s = new_session(model, "native", 1, 8), *none = NULL;
    uint64_t before = fingerprint(s, NULL);
    const float *logits;
    assert_int_equal(quamba_session_prefill(s, tokens, 0, &logits, &err), QUAMBA_E_ARGUMENT);
    assert_null(logits);
    assert_int_equal(quamba_session_prefill(s, (int32_t[]){1, N_VOCAB}, 2, &logits, &err),
                     QUAMBA_E_ARGUMENT);
    assert_non_null(strstr(err.message, "token 1 is id 83, must be in 0 .. 82"));
    assert_int_equal(quamba_session_step(s, -1, &logits, &err), QUAMBA_E_ARGUMENT);
    quamba_logprob p;
    quamba_job job[2] = {
        {.session = s,
         .tokens = tokens,
         .n_tokens = 1,
         .targets = (int32_t[]){N_VOCAB},
         .logprobs = &p},
        {.session = s, .tokens = tokens, .n_tokens = 1}
    };
    assert_int_equal(quamba_session_run(job, 1, &err), QUAMBA_E_ARGUMENT);
    job[0].targets = NULL;
    assert_int_equal(quamba_session_run(job, 2, &err), QUAMBA_E_ARGUMENT);
    assert_non_null(strstr(err.message, "one session"));
    assert_true(fingerprint(s, NULL) == before); /* nothing was computed */
    quamba_session_options bad[] = {
        {.cpu = "native", .n_threads = 0, .max_rows = 1},
        {.cpu = "native", .n_threads = 1, .max_rows = 0},
        {.cpu = "sse9",   .n_threads = 1, .max_rows = 1}
    };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(quamba_session_new(&none, model, &bad[i], &err), QUAMBA_E_ARGUMENT);
        assert_null(none);
    }
    quamba_session_free(&none);
    quamba_session_free(&s);
    quamba_model_close(&model);
}

/* What a tap sees of the residual and the logits is what the session computes. */
typedef struct watch {
    int calls[32];
    float last_logit;
    int64_t next_row;
    bool in_order, one_kind;
} watch;

static void on_edge(void *user, const quamba_view *view)
{
    watch *w = user;
    int edge = 0;
    while (strcmp(quamba_edge_name(edge), view->edge) != 0)
        edge++;
    w->calls[edge]++;
    w->one_kind = w->one_kind && (view->codes == NULL) == (view->data != NULL) &&
                  (view->codes == NULL || view->scale > 0);
    if (strcmp(view->edge, "residual") == 0 && view->layer == 0) {
        w->in_order = w->in_order && (int64_t)view->position == w->next_row;
        w->next_row = (int64_t)view->position + view->n_rows;
    }
    if (strcmp(view->edge, "logits") == 0) w->last_logit = view->data[view->n_cols - 1];
}

/* Edges that the float rows, or some quantized ones, do not have. */
static bool has_edge(const quamba_datapath *dp, const char *edge)
{
    if (strcmp(edge, "conv_in") == 0) return dp->quantized && dp->knobs.ip != QM_IP_I8;
    if (strcmp(edge, "x_proj_in") == 0 || strcmp(edge, "scan_in") == 0) return dp->quantized;
    return strcmp(edge, "hadamard_out") != 0 || dp->rotated;
}

static void test_tap(void **state)
{
    (void)state;
    for (size_t m = 0; quamba_datapath_at(m); m++) {
        const quamba_datapath *dp = quamba_datapath_at(m);
        quamba_model *model = open_model(m);
        quamba_session *s = new_session(model, "native", 2, 10);
        quamba_session *unwatched = new_session(model, "native", 2, 10);
        watch w = {.in_order = true, .one_kind = true};
        quamba_session_set_tap(s, on_edge, &w);
        const float *logits = feed(s, 0, 25, false);
        assert_true(w.in_order && w.next_row == 25);
        assert_true(w.one_kind);
        assert_true(w.last_logit == logits[N_VOCAB - 1]);
        for (int edge = 0; quamba_edge_name(edge); edge++) {
            const char *name = quamba_edge_name(edge);
            bool head = strcmp(name, "logits") == 0 || strcmp(name, "norm_f_out") == 0;
            int32_t passes = qm_sees_whole_prompt(dp) ? 1 : 3; /* of <= 10 */
            int32_t inner = has_edge(dp, name) ? passes * N_LAYER : 0;
            if (strcmp(name, "conv_in") == 0 && inner > 0) inner = 25 * N_LAYER; /* row by row */
            if (w.calls[edge] != (head ? 1 : inner))
                fail_msg("mode %s: %s seen %d times", dp->id, name, w.calls[edge]);
        }
        assert_true(fingerprint(s, logits) ==
                    fingerprint(unwatched, feed(unwatched, 0, 25, false)));
        quamba_session_free(&s);
        quamba_session_free(&unwatched);
        quamba_model_close(&model);
    }
}

/* In the rows whose convolution hands on FP32 numbers but whose x_proj reads codes of them, both
 * are seen: what saturates can be counted. */
typedef struct losses {
    const quamba_model *model;
    uint64_t outside[N_LAYER];
} losses;

static void count_outside(void *user, const quamba_view *view)
{
    losses *l = user;
    if (strcmp(view->edge, "conv_out") != 0) return;
    for (int32_t r = 0; r < view->n_rows; r++)
        for (int32_t i = 0; i < view->n_cols; i++) {
            float x = roundf(view->data[(size_t)r * view->row_stride + (size_t)i] /
                             l->model->layers[view->layer].scales.u);
            l->outside[view->layer] += x > 127 || x < -128;
        }
}

static int edge_of(const char *name)
{
    int edge = 0;
    while (strcmp(quamba_edge_name(edge), name) != 0)
        edge++;
    return edge;
}

static void test_saturation(void **state)
{
    (void)state;
    int n_rows = 0;
    for (size_t m = 0; quamba_datapath_at(m); m++) {
        const quamba_datapath *dp = quamba_datapath_at(m);
        if (!dp->quantized || dp->knobs.grid != QM_GRID_F32 || dp->knobs.xp != QM_XP_REQ) continue;
        quamba_model *model = open_model(m);
        quamba_session *s = new_session(model, "native", 2, 10);
        losses l = {.model = model};
        quamba_session_set_tap(s, count_outside, &l);
        feed(s, 0, N_TOKENS, false);
        for (int32_t i = 0; i < N_LAYER; i++) {
            assert_true(l.outside[i] > 0);
            assert_int_equal(quamba_session_saturated(s, i, edge_of("x_proj_in")), l.outside[i]);
        }
        assert_int_equal(quamba_session_saturated(s, N_LAYER + 1, 0), 0);
        quamba_session_free(&s);
        quamba_model_close(&model);
        n_rows++;
    }
    assert_true(n_rows > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cuts),       cmocka_unit_test(test_steps),
        cmocka_unit_test(test_batch),      cmocka_unit_test(test_rows_of_threads),
        cmocka_unit_test(test_odd_shapes), cmocka_unit_test(test_threads_and_cpus),
        cmocka_unit_test(test_logprobs),   cmocka_unit_test(test_fork_save_load),
        cmocka_unit_test(test_tap),        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_saturation),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}

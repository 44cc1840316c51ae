/* Sessions on a small random model of awkward sizes: cutting a text, threads, instruction sets,
 * batches, forks and saved states must not show in any bit. */
#include "base/half.h"
#include "base/hash.h"
#include "kernels/cpu.h"
#include "model/model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_TOKENS = 61, N_VOCAB = 83 };

static int32_t tokens[N_TOKENS];
static const qm_config shape = {.mamba_version = 1,
                                .n_layer = 3,
                                .d_model = 37,
                                .d_inner = 70,
                                .d_state = 5,
                                .d_conv = 4,
                                .dt_rank = 3,
                                .n_vocab = N_VOCAB,
                                .tie_embeddings = true,
                                .norm_eps = 1e-5};

static quamba_model *open_model(const char *mode)
{
    quamba_model *model = NULL;
    quamba_error err;
    if (qm_model_random(&model, &shape, quamba_datapath_find(mode), 7, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    return model;
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

/* Everything a session computed: its state as saved, then the logits given. */
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

static uint64_t prefill_all(quamba_session *session)
{
    const float *logits;
    quamba_error err;
    assert_int_equal(quamba_session_prefill(session, tokens, N_TOKENS, &logits, &err), QUAMBA_OK);
    return fingerprint(session, logits);
}

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < N_TOKENS; i++)
        tokens[i] = (i * i * 7 + 3 * i) % N_VOCAB;
    return 0;
}

static const char *const modes[] = {"fp32", "fp16"};

static void test_cuts(void **state)
{
    (void)state;
    for (size_t m = 0; m < 2; m++) {
        quamba_model *model = open_model(modes[m]);
        quamba_session *whole = new_session(model, "native", 1, 256);
        uint64_t want = prefill_all(whole);
        for (int32_t cut = 1; cut < N_TOKENS; cut++) {
            quamba_session *s = new_session(model, "native", 1, cut % 7 + 1);
            const float *logits;
            quamba_error err;
            for (size_t at = 0; at < N_TOKENS; at += (size_t)cut) {
                size_t n = N_TOKENS - at < (size_t)cut ? N_TOKENS - at : (size_t)cut;
                assert_int_equal(quamba_session_prefill(s, tokens + at, n, &logits, &err),
                                 QUAMBA_OK);
            }
            assert_int_equal(quamba_session_position(s), N_TOKENS);
            assert_true(fingerprint(s, logits) == want);
            quamba_session_free(&s);
        }
        quamba_session_free(&whole);
        quamba_model_close(&model);
    }
}

/* The recurrent state of a saved session, after its header and the convolution's inputs. */
static bool state_is_half(const quamba_session *session)
{
    const size_t n = (size_t)(shape.n_layer * shape.d_state * shape.d_inner);
    size_t size = 0;
    quamba_error err;
    quamba_session_save(session, NULL, 0, &size, &err);
    unsigned char *blob = malloc(size);
    assert_non_null(blob);
    assert_int_equal(quamba_session_save(session, blob, size, &size, &err), QUAMBA_OK);
    bool half = true;
    for (size_t i = 0; i < n; i++) {
        float x;
        memcpy(&x, blob + size - 8 - (n - i) * sizeof x, sizeof x);
        half = half && qm_round_f16(x) == x;
    }
    free(blob);
    return half;
}

/* In FP32 a decode step is a prefill of one token; in half it is not: the state is rounded. */
static void test_steps(void **state)
{
    (void)state;
    for (size_t m = 0; m < 2; m++) {
        quamba_model *model = open_model(modes[m]);
        quamba_session *a = new_session(model, "native", 1, 256);
        quamba_session *b = new_session(model, "native", 1, 256);
        uint64_t want = prefill_all(a);
        const float *logits = NULL;
        quamba_error err;
        for (size_t i = 0; i < N_TOKENS; i++)
            assert_int_equal(quamba_session_step(b, tokens[i], &logits, &err), QUAMBA_OK);
        assert_int_equal(fingerprint(b, logits) == want, m == 0);
        assert_int_equal(state_is_half(a), false);
        assert_int_equal(state_is_half(b), m == 1);
        quamba_session_free(&a);
        quamba_session_free(&b);
        quamba_model_close(&model);
    }
}

static void test_threads_and_cpus(void **state)
{
    (void)state;
    static const char *const cpus[] = {"scalar", "avx2", "avx512vnni", "neon", "native"};
    for (size_t m = 0; m < 2; m++) {
        quamba_model *model = open_model(modes[m]);
        quamba_session *s = new_session(model, "scalar", 1, 256);
        uint64_t want = prefill_all(s);
        quamba_session_free(&s);
        for (size_t c = 0; c < sizeof cpus / sizeof cpus[0]; c++)
            for (int32_t threads = 1; threads <= 9; threads += 2) {
                if (qm_cpu_select(cpus[c]) == -2) continue; /* not on this processor */
                s = new_session(model, cpus[c], threads, 50);
                assert_true(prefill_all(s) == want);
                quamba_session_free(&s);
            }
        quamba_model_close(&model);
    }
}

/* Jobs of different lengths, prefills and decodes mixed, side by side equal each one alone. */
static void test_batch(void **state)
{
    (void)state;
    enum { N = 5 };
    static const size_t lengths[N] = {1, 17, 60, 33, 8};
    quamba_error err;
    for (size_t m = 0; m < 2; m++) {
        quamba_model *model = open_model(modes[m]);
        for (int32_t rows = 1; rows <= 64; rows *= 4) {
            quamba_job jobs[N], alone[N];
            quamba_logprob got[N][N_TOKENS], want[N][N_TOKENS];
            int32_t targets[N_TOKENS];
            for (int i = 0; i < N_TOKENS; i++)
                targets[i] = i % 3 == 0 ? -1 : tokens[(i + 1) % N_TOKENS];
            memset(got, 0, sizeof got);
            memset(want, 0, sizeof want);
            for (size_t i = 0; i < N; i++) {
                jobs[i] = (quamba_job){.session = new_session(model, "native", 2, rows),
                                       .tokens = tokens,
                                       .n_tokens = lengths[i],
                                       .decode = i == 1 || i == 4,
                                       .targets = i == 2 ? NULL : targets,
                                       .logprobs = got[i],
                                       .want_logits = i != 3};
                alone[i] = jobs[i];
                alone[i].session = new_session(model, "scalar", 1, 256);
                alone[i].logprobs = want[i];
                assert_int_equal(quamba_session_run(&alone[i], 1, &err), QUAMBA_OK);
            }
            assert_int_equal(quamba_session_run(jobs, N, &err), QUAMBA_OK);
            for (size_t i = 0; i < N; i++) {
                assert_int_equal(jobs[i].n_done, lengths[i]);
                assert_int_equal(jobs[i].logits == NULL, i == 3);
                assert_true(fingerprint(jobs[i].session, jobs[i].logits) ==
                            fingerprint(alone[i].session, alone[i].logits));
                for (size_t t = 0; t < lengths[i]; t++) {
                    assert_true(got[i][t].logprob == want[i][t].logprob);
                    assert_true(got[i][t].logsumexp == want[i][t].logsumexp);
                    assert_int_equal(got[i][t].argmax, want[i][t].argmax);
                }
                quamba_session_free(&jobs[i].session);
                quamba_session_free(&alone[i].session);
            }
        }
        quamba_model_close(&model);
    }
}

/* A target's probability is that of the logits at its position. */
static void test_logprobs(void **state)
{
    (void)state;
    quamba_model *model = open_model("fp32");
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

static void test_fork_save_load(void **state)
{
    (void)state;
    quamba_error err;
    for (size_t m = 0; m < 2; m++) {
        quamba_model *model = open_model(modes[m]);
        quamba_session *a = new_session(model, "native", 1, 8), *b = NULL;
        const float *logits;
        assert_int_equal(quamba_session_prefill(a, tokens, 20, NULL, &err), QUAMBA_OK);
        assert_int_equal(quamba_session_fork(&b, a, &err), QUAMBA_OK);
        size_t size = 0;
        quamba_session_save(a, NULL, 0, &size, &err);
        unsigned char *blob = malloc(size);
        assert_non_null(blob);
        assert_int_equal(quamba_session_save(a, blob, size - 1, &size, &err), QUAMBA_E_ARGUMENT);
        assert_int_equal(quamba_session_save(a, blob, size, &size, &err), QUAMBA_OK);
        uint64_t at_20 = fingerprint(a, NULL);

        assert_int_equal(quamba_session_prefill(a, tokens + 20, 30, &logits, &err), QUAMBA_OK);
        uint64_t want = fingerprint(a, logits);
        assert_true(fingerprint(b, NULL) == at_20);
        assert_int_equal(quamba_session_prefill(b, tokens + 20, 30, &logits, &err), QUAMBA_OK);
        assert_true(fingerprint(b, logits) == want);

        quamba_session_reset(b);
        assert_int_equal(quamba_session_position(b), 0);
        assert_int_equal(quamba_session_load(b, blob, size, &err), QUAMBA_OK);
        assert_true(fingerprint(b, NULL) == at_20);
        assert_int_equal(quamba_session_prefill(b, tokens + 20, 30, &logits, &err), QUAMBA_OK);
        assert_true(fingerprint(b, logits) == want);

        /* every damaged byte and every shortened blob is noticed and changes nothing */
        for (size_t i = 0; i < size; i += i < 64 ? 1 : 101) {
            blob[i] ^= 0x10;
            assert_int_equal(quamba_session_load(b, blob, size, &err), QUAMBA_E_FORMAT);
            blob[i] ^= 0x10;
            assert_int_equal(quamba_session_load(b, blob, i, &err), QUAMBA_E_FORMAT);
        }
        assert_true(fingerprint(b, logits) == want);
        quamba_model *other = open_model(modes[1 - m]);
        quamba_session *c = new_session(other, "native", 1, 8);
        assert_int_equal(quamba_session_load(c, blob, size, &err), QUAMBA_E_FORMAT);
        assert_non_null(strstr(err.message, modes[m]));
        assert_int_equal(quamba_session_copy(c, a, &err), QUAMBA_E_ARGUMENT);
        quamba_session_free(&c);
        quamba_model_close(&other);
        free(blob);
        quamba_session_free(&a);
        quamba_session_free(&b);
        quamba_model_close(&model);
    }
}

static void test_bad_arguments(void **state)
{
    (void)state;
    quamba_error err;
    quamba_model *model = open_model("fp32");
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
        {"native", 0, 1},
        {"native", 1, 0},
        {"sse9",   1, 1}
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
    int calls[16];
    float last_logit;
    int64_t next_row;
    bool in_order;
} watch;

static void on_edge(void *user, const quamba_view *view)
{
    watch *w = user;
    int edge = 0;
    while (strcmp(quamba_edge_name(edge), view->edge) != 0)
        edge++;
    w->calls[edge]++;
    if (strcmp(view->edge, "residual") == 0 && view->layer == 0) {
        w->in_order = w->in_order && (int64_t)view->position == w->next_row;
        w->next_row = (int64_t)view->position + view->n_rows;
    }
    if (strcmp(view->edge, "logits") == 0) w->last_logit = view->data[view->n_cols - 1];
}

static void test_tap(void **state)
{
    static const char *const quantized[] = {"conv_in", "x_proj_in", "scan_in", "hadamard_out"};
    (void)state;
    quamba_error err;
    quamba_model *model = open_model("fp32");
    quamba_session *s = new_session(model, "native", 2, 10);
    watch w = {.in_order = true};
    const float *logits;
    quamba_session_set_tap(s, on_edge, &w);
    assert_int_equal(quamba_session_prefill(s, tokens, 25, &logits, &err), QUAMBA_OK);
    assert_true(w.in_order && w.next_row == 25);
    assert_true(w.last_logit == logits[N_VOCAB - 1]);
    for (int edge = 0; quamba_edge_name(edge); edge++) {
        bool head = strcmp(quamba_edge_name(edge), "logits") == 0 ||
                    strcmp(quamba_edge_name(edge), "norm_f_out") == 0;
        bool absent = false; /* edges of quantized models only */
        for (size_t i = 0; i < sizeof quantized / sizeof quantized[0]; i++)
            absent = absent || strcmp(quamba_edge_name(edge), quantized[i]) == 0;
        int32_t inner = absent ? 0 : 3 * shape.n_layer; /* three passes of <= 10 */
        assert_int_equal(w.calls[edge], head ? 1 : inner);
    }
    quamba_session_free(&s);
    quamba_model_close(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cuts),     cmocka_unit_test(test_steps),
        cmocka_unit_test(test_batch),    cmocka_unit_test(test_threads_and_cpus),
        cmocka_unit_test(test_logprobs), cmocka_unit_test(test_fork_save_load),
        cmocka_unit_test(test_tap),      cmocka_unit_test(test_bad_arguments),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}

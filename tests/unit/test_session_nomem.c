/* Random models and sessions of every mode with every allocation of ours failing once, in turn. */
#include "datapath/datapath.h"
#include "model/model.h"
#include "nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_TOKENS = 40, N_VOCAB = 83 };

static int32_t tokens[N_TOKENS];

static quamba_status new_model(quamba_model **model, const quamba_datapath *dp, quamba_error *err)
{
    const qm_config shape = {.mamba_version = 1,
                             .n_layer = 2,
                             .d_model = 24,
                             .d_inner = 48,
                             .d_state = 5,
                             .d_conv = 4,
                             .dt_rank = 3,
                             .n_vocab = N_VOCAB,
                             .tie_embeddings = true,
                             .quantized = dp->quantized,
                             .scheme = dp->quantized ? QM_W8A8 : QM_FLOAT,
                             .norm_eps = 1e-5};
    return qm_model_random(model, &shape, dp, &(qm_random_options){.seed = 7}, err);
}

static quamba_status new_session(quamba_session **session, const quamba_model *model,
                                 int32_t max_rows, quamba_error *err)
{
    const quamba_session_options opt = {.cpu = "native", .n_threads = 1, .max_rows = max_rows};
    return quamba_session_new(session, model, &opt, err);
}

static quamba_status work(const quamba_datapath *dp, quamba_error *err)
{
    quamba_model *model = NULL;
    quamba_session *a = NULL, *b = NULL;
    quamba_logprob p[N_TOKENS];
    quamba_status status = new_model(&model, dp, err);
    if (status == QUAMBA_OK) status = new_session(&a, model, 8, err);
    if (status == QUAMBA_OK) status = quamba_session_fork(&b, a, err);
    if (status == QUAMBA_OK) {
        quamba_job jobs[2] = {
            {.session = a,
             .tokens = tokens,
             .n_tokens = N_TOKENS,
             .targets = tokens,
             .logprobs = p},
            {.session = b,            .tokens = tokens,   .n_tokens = 2, .want_logits = true}
        };
        status = quamba_session_run(jobs, 2, err);
    }
    quamba_session_free(&b);
    quamba_session_free(&a);
    quamba_model_close(&model);
    return status;
}

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < N_TOKENS; i++)
        tokens[i] = i * 7 % N_VOCAB;
    return 0;
}

/* Fails call after call until one run goes through; the rows that see a prompt as a whole grow. */
static void test_every_call_may_fail(void **state)
{
    (void)state;
    for (size_t m = 0; quamba_datapath_at(m); m++) {
        const quamba_datapath *dp = quamba_datapath_at(m);
        quamba_error err;
        size_t turn = 0;
        while (turn < 10000) {
            failing_call = n_calls + ++turn;
            quamba_status status = work(dp, &err);
            failing_call = 0;
            if (status == QUAMBA_OK) break;
            if (status != QUAMBA_E_NOMEM || !strstr(err.message, "out of memory"))
                fail_msg("mode %s, call %zu: %d %s", dp->id, turn, status, err.message);
        }
        assert_in_range(turn, 15, 9999); /* that many were refused before one run went through */
    }
}

static void *saved(const quamba_session *s, size_t *size)
{
    quamba_error err;
    assert_int_equal(quamba_session_save(s, NULL, 0, size, &err), QUAMBA_OK);
    void *blob = malloc(*size);
    assert_non_null(blob);
    assert_int_equal(quamba_session_save(s, blob, *size, size, &err), QUAMBA_OK);
    return blob;
}

/* A session that could not grow is as it was, and goes on when there is memory again. */
static void test_growth(void **state)
{
    (void)state;
    int n_rows = 0;
    for (size_t m = 0; quamba_datapath_at(m); m++) {
        const quamba_datapath *dp = quamba_datapath_at(m);
        if (!qm_sees_whole_prompt(dp)) continue;
        quamba_model *model = NULL;
        quamba_session *small = NULL, *large = NULL;
        quamba_error err;
        const float *got, *want;
        size_t size;
        assert_int_equal(new_model(&model, dp, &err), QUAMBA_OK);
        assert_int_equal(new_session(&small, model, 8, &err), QUAMBA_OK);
        assert_int_equal(new_session(&large, model, 256, &err), QUAMBA_OK);
        assert_int_equal(quamba_session_prefill(small, tokens, 5, NULL, &err), QUAMBA_OK);
        assert_int_equal(quamba_session_prefill(large, tokens, 5, NULL, &err), QUAMBA_OK);
        void *before = saved(small, &size);

        failing_call = n_calls + 1;
        assert_int_equal(quamba_session_prefill(small, tokens, N_TOKENS, &got, &err),
                         QUAMBA_E_NOMEM);
        failing_call = 0;
        assert_null(got);
        void *after = saved(small, &size);
        assert_memory_equal(after, before, size);

        assert_int_equal(quamba_session_prefill(small, tokens, N_TOKENS, &got, &err), QUAMBA_OK);
        assert_int_equal(quamba_session_prefill(large, tokens, N_TOKENS, &want, &err), QUAMBA_OK);
        assert_memory_equal(got, want, N_VOCAB * sizeof *got);
        size_t grown = n_calls; /* it has the room now */
        assert_int_equal(quamba_session_prefill(small, tokens, N_TOKENS, &got, &err), QUAMBA_OK);
        assert_int_equal(n_calls, grown);
        free(before);
        free(after);
        quamba_session_free(&small);
        quamba_session_free(&large);
        quamba_model_close(&model);
        n_rows++;
    }
    assert_true(n_rows > 0);
}

/* Neither steps, alone or together, nor a prompt: its passes use the same scratch however long it
 * is.  A mode that looks at the whole prompt has scratch for all of it: here for MAX_ROWS. */
static void test_runs_do_not_allocate(void **state)
{
    (void)state;
    enum { MAX_ROWS = 64, N_LONG = 8192 };
    int32_t *prompt = malloc(N_LONG * sizeof *prompt);
    assert_non_null(prompt);
    for (int i = 0; i < N_LONG; i++)
        prompt[i] = tokens[i % N_TOKENS];
    for (size_t m = 0; quamba_datapath_at(m); m++) {
        const quamba_datapath *dp = quamba_datapath_at(m);
        quamba_model *model = NULL;
        quamba_session *s = NULL, *beside = NULL;
        quamba_error err;
        const float *logits;
        assert_int_equal(new_model(&model, dp, &err), QUAMBA_OK);
        assert_int_equal(new_session(&s, model, MAX_ROWS, &err), QUAMBA_OK);
        assert_int_equal(new_session(&beside, model, 1, &err), QUAMBA_OK);
        quamba_job jobs[2];
        for (int i = 0; i < 2; i++)
            jobs[i] = (quamba_job){.session = i == 0 ? s : beside,
                                   .tokens = tokens,
                                   .n_tokens = 1,
                                   .decode = true,
                                   .want_logits = true};
        size_t before = n_calls;
        for (int32_t i = 0; i < 10; i++)
            assert_int_equal(quamba_session_step(s, tokens[i], &logits, &err), QUAMBA_OK);
        const size_t n = qm_sees_whole_prompt(dp) ? MAX_ROWS : N_LONG;
        assert_int_equal(quamba_session_prefill(s, prompt, n, &logits, &err), QUAMBA_OK);
        if (n_calls != before) fail_msg("mode %s: %zu allocations", dp->id, n_calls - before);
        assert_int_equal(quamba_session_run(jobs, 2, &err), QUAMBA_OK);
        before++; /* for the logits of several rows: the first time, then never again */
        for (int32_t i = 0; i < 10; i++)
            assert_int_equal(quamba_session_run(jobs, 2, &err), QUAMBA_OK);
        if (n_calls != before) fail_msg("mode %s: %zu allocations", dp->id, n_calls - before + 1);
        quamba_session_free(&beside);
        quamba_session_free(&s);
        quamba_model_close(&model);
    }
    free(prompt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_call_may_fail),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_runs_do_not_allocate),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}

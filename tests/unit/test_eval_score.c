/* Contexts and continuations to tokens, and the scorer: company, sharing and cuts change no bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "eval/score.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_trim(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t left;
    } cases[] = {
        {"",                    0},
        {"word",                4},
        {"word ",               4},
        {"word \t\r\n\v\f\x1c", 4},
        {"  ",                  0},
        {"a\xc2\xa0",           1},
        {"a\xe3\x80\x80",       1},
        {"a\xe2\x80\x89 ",      1},
        {"a\xc2\x85",           1},
        {"caf\xc3\xa9 ",        5},
        {"a\xa0",               2},
        {"\xe2\x80\x8b",        3},
        {"\xa0\xa0 ",           2},
        {"\xf0\x9f\x98\x80 ",   4},
    };
    for (size_t i = 0; i < QM_COUNT(cases); i++) {
        size_t left = qm_trim_context(cases[i].text, strlen(cases[i].text));
        if (left != cases[i].left) fail_msg("case %zu: left %zu", i, left);
    }
}

static void test_shared_prefix(void **state)
{
    (void)state;
    int32_t a[] = {1, 2, 3, 4, 5}, b[] = {1, 2, 3, 4, 6, 7}, c[] = {1, 9, 3, 4};
    qm_sequence q[] = {
        {.ids = a, .n_ids = 5, .n_scored = 1},
        {.ids = b, .n_ids = 6, .n_scored = 2},
        {.ids = c, .n_ids = 4, .n_scored = 1}
    };
    assert_int_equal(qm_shared_prefix(q, 1), 0);
    assert_int_equal(qm_shared_prefix(q, 2), 3); /* token 4's logits are scored */
    assert_int_equal(qm_shared_prefix(q, 3), 1);
    q[1].n_scored = 4;
    assert_int_equal(qm_shared_prefix(q, 2), 1);
}

/* ---- tokens: a=0 b=1 blank=2 blank-a=3 ab=4 end=5 -------------------------------------------- */

static quamba_tokenizer *tokenizer;

static int open_tokenizer(void **state)
{
    (void)state;
    static const char json[] =
        "{\"added_tokens\": [{\"id\": 5, \"content\": \"<|endoftext|>\", \"single_word\": false, "
        "\"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": true}], "
        "\"normalizer\": null, \"pre_tokenizer\": {\"type\": \"ByteLevel\", "
        "\"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true}, "
        "\"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", \"vocab\": "
        "{\"a\": 0, \"b\": 1, \"\\u0120\": 2, \"\\u0120a\": 3, \"ab\": 4}, "
        "\"merges\": [\"\\u0120 a\", \"a b\"]}}";
    char path[] = "/tmp/quamba_tokenizer_XXXXXX";
    quamba_error err = {0};
    int fd = mkstemp(path);
    if (fd < 0 || close(fd) != 0 || qm_file_write(path, json, sizeof json - 1, &err) != QUAMBA_OK ||
        quamba_tokenizer_open(&tokenizer, path, &err) != QUAMBA_OK)
        print_error("%s\n", err.message);
    unlink(path);
    return tokenizer ? 0 : -1;
}

static int close_tokenizer(void **state)
{
    (void)state;
    quamba_tokenizer_close(&tokenizer);
    return 0;
}

static quamba_status encode(qm_sequence *q, const char *context, const char *continuation,
                            quamba_error *err)
{
    size_t n_context = 0, n = strlen(context), m = strlen(continuation);
    char *text = malloc(n + m + 1);
    assert_non_null(text);
    memcpy(text, context, n);
    memcpy(text + n, continuation, m + 1);
    quamba_status status = qm_context_count(tokenizer, context, n, &n_context, err);
    if (status == QUAMBA_OK) status = qm_sequence_encode(q, tokenizer, text, n + m, n_context, err);
    free(text);
    return status;
}

static void test_encode(void **state)
{
    (void)state;
    static const struct {
        const char *context, *continuation;
        size_t n_ids, n_scored;
        int32_t ids[4];
    } cases[] = {
        {"a",    " ab", 3, 2, {0, 3, 1}   },
        {"a ",   "b",   3, 2, {0, 2, 1}   }, /* the blank is scored with the continuation */
        {"ab  ", " a",  4, 3, {4, 2, 2, 3}},
        {"",     "ab",  2, 1, {5, 4}      }, /* the end of a text stands for no context */
        {"  ",   "b",   4, 3, {5, 2, 2, 1}},
    };
    qm_sequence q;
    quamba_error err = {0};
    for (size_t i = 0; i < QM_COUNT(cases); i++) {
        if (encode(&q, cases[i].context, cases[i].continuation, &err) != QUAMBA_OK)
            fail_msg("case %zu: %s", i, err.message);
        if (q.n_ids != cases[i].n_ids || q.n_scored != cases[i].n_scored ||
            memcmp(q.ids, cases[i].ids, q.n_ids * sizeof *q.ids) != 0)
            fail_msg("case %zu: %zu tokens, %zu scored", i, q.n_ids, q.n_scored);
        quamba_free(q.ids);
    }
    assert_int_equal(encode(&q, "a", "b", &err), QUAMBA_E_FORMAT); /* one token, "ab" */
    assert_non_null(strstr(err.message, "nothing is left"));
    assert_null(q.ids);
}

static void test_encode_long(void **state)
{
    (void)state;
    char text[6001];
    for (size_t i = 0; i < 3000; i++)
        memcpy(text + 2 * i, " a", 2);
    text[6000] = '\0';
    text[0] = 'b';
    text[1] = 'b';
    qm_sequence q;
    quamba_error err = {0};
    assert_int_equal(encode(&q, text, " b", &err), QUAMBA_OK);
    assert_int_equal(q.n_ids, QM_MAX_TOKENS + 1);
    assert_int_equal(q.n_scored, 2);
    assert_int_equal(q.ids[0], 3); /* the front is gone */
    assert_int_equal(q.ids[QM_MAX_TOKENS], 1);
    quamba_free(q.ids);
    assert_int_equal(encode(&q, "b", text + 2, &err), QUAMBA_E_LIMIT);
}

/* ---- scoring --------------------------------------------------------------------------------- */

enum { N_GROUPS = 7, N_VOCAB = 61 };
static const size_t group_size[N_GROUPS] = {1, 4, 1, 2, 3, 1, 2};

/* Groups of one long and several short sequences; group 3 shares nothing but must run beside groups
 * that share. */
static size_t make_sequences(qm_sequence *out)
{
    size_t n = 0;
    uint32_t random = 12345;
    for (size_t g = 0; g < N_GROUPS; g++)
        for (size_t k = 0; k < group_size[g]; k++, n++) {
            size_t n_shared = g == 3 ? 0 : 5 + 9 * g, n_own = g == 5 ? 300 : 2 + (g + 3 * k) % 7;
            qm_sequence *q = &out[n];
            *q = (qm_sequence){.n_ids = n_shared + n_own, .n_scored = n_own - 1};
            q->ids = qm_alloc(q->n_ids, sizeof *q->ids);
            assert_non_null(q->ids);
            for (size_t i = 0; i < q->n_ids; i++) {
                random = random * 1664525u + 1013904223u;
                q->ids[i] = (int32_t)((random >> 8) % N_VOCAB);
                if (i < n_shared) q->ids[i] = (int32_t)((g * 31 + i * i) % N_VOCAB);
                if (g == 3 && i == 0) q->ids[i] = (int32_t)k;
            }
        }
    return n;
}

static bool always(void *user)
{
    (void)user;
    return true;
}

static void test_scorer(void **state)
{
    (void)state;
    const qm_config config = {.mamba_version = 1,
                              .n_layer = 2,
                              .d_model = 32,
                              .d_inner = 64,
                              .d_state = 16,
                              .d_conv = 4,
                              .dt_rank = 2,
                              .n_vocab = N_VOCAB,
                              .tie_embeddings = true,
                              .norm_eps = 1e-5};
    quamba_model *model = NULL;
    quamba_error err = {0};
    if (qm_model_random(&model, &config, quamba_datapath_find("fp32"),
                        &(qm_random_options){.seed = 7}, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    qm_sequence alone[16], together[16];
    size_t n = make_sequences(alone);
    assert_int_equal(make_sequences(together), n);
    quamba_session_options options = quamba_session_options_default();
    quamba_session *session = NULL;
    assert_int_equal(quamba_session_new(&session, model, &options, &err), QUAMBA_OK);
    for (size_t i = 0; i < n; i++) { /* the plain way, by the API alone */
        const qm_sequence *q = &alone[i];
        double loglik = 0.0;
        bool greedy = true;
        quamba_session_reset(session);
        for (size_t k = 0; k + 1 < q->n_ids; k++) {
            quamba_logprob p;
            quamba_job job = {.session = session,
                              .tokens = q->ids + k,
                              .n_tokens = 1,
                              .targets = q->ids + k + 1,
                              .logprobs = &p};
            assert_int_equal(quamba_session_run(&job, 1, &err), QUAMBA_OK);
            if (k + 1 < q->n_ids - q->n_scored) continue;
            loglik += p.logprob;
            greedy &= p.argmax == q->ids[k + 1];
        }
        alone[i].loglik = loglik;
        alone[i].is_greedy = greedy;
        assert_true(loglik < 0.0);
    }
    quamba_session_free(&session);

    for (int variant = 0; variant < 8; variant++) {
        options.n_threads = variant & 1 ? 2 : 1;
        options.max_rows = variant & 2 ? 7 : 256;
        qm_scorer *scorer = NULL;
        assert_int_equal(qm_scorer_new(&scorer, model, &options, (variant & 4) != 0, &err),
                         QUAMBA_OK);
        for (int repeat = 0; repeat < 2; repeat++) { /* sessions are used again */
            for (size_t i = 0; i < n; i++)
                together[i].loglik = 0.0;
            if (qm_scorer_run(scorer, together, group_size, N_GROUPS, NULL, NULL, &err) !=
                QUAMBA_OK)
                fail_msg("%s", err.message);
            for (size_t i = 0; i < n; i++)
                if (memcmp(&together[i].loglik, &alone[i].loglik, sizeof(double)) != 0 ||
                    together[i].is_greedy != alone[i].is_greedy)
                    fail_msg("variant %d, sequence %zu: %.17g, alone %.17g", variant, i,
                             together[i].loglik, alone[i].loglik);
        }
        assert_int_equal(qm_scorer_run(scorer, together, group_size, N_GROUPS, always, NULL, &err),
                         QUAMBA_E_CANCELLED);
        qm_scorer_free(&scorer);
    }
    for (size_t i = 0; i < n; i++) {
        quamba_free(alone[i].ids);
        quamba_free(together[i].ids);
    }
    quamba_model_close(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trim),   cmocka_unit_test(test_shared_prefix),
        cmocka_unit_test(test_encode), cmocka_unit_test(test_encode_long),
        cmocka_unit_test(test_scorer),
    };
    return cmocka_run_group_tests(tests, open_tokenizer, close_tokenizer);
}

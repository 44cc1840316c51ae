/* The forward pass against recorded outputs.
 *  - models/demo: hashes of logits and greedy tokens, committed in tests/golden/forward_demo.txt,
 *    for every instruction set and several thread counts; after a wanted change of the arithmetic,
 *    QUAMBA_UPDATE_GOLDEN=1 rewrites the file, and the diff is part of the review.
 *  - ../shared/golden: transformers' FP32 outputs on two models, and the half-precision outputs of
 *    the original program; skipped without it. */
#include "base/file.h"
#include "base/half.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/format.h"
#include "kernels/cpu.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_GREEDY = 16, MAX_TOKENS = 512 };

static const char *directory(const char *variable)
{
    const char *value = getenv(variable);
    return value ? value : ".";
}

static quamba_model *open_model(const char *path, const char *mode)
{
    quamba_model *model = NULL;
    quamba_error err;
    quamba_model_options opt = {.mode = mode, .n_threads = 2};
    if (quamba_model_open(&model, path, &opt, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    return model;
}

static quamba_session *new_session(const quamba_model *model, const char *cpu, int32_t n_threads)
{
    quamba_session_options opt = {.cpu = cpu, .n_threads = n_threads, .max_rows = 64};
    quamba_session *session = NULL;
    quamba_error err;
    if (quamba_session_new(&session, model, &opt, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    return session;
}

static int32_t argmax(const float *logits, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

/* ---- hashes of the demo model ---------------------------------------------------------------- */

static const char *const prompts[] = {
    "Once upon a time",
    "a",
    ("The old lighthouse keeper climbed the stairs every evening, "
     "and when he reached the lamp he would sit down and write."),
};

/* One line per prompt: mode, prompt, hash of the logits after it, hash over the logits of greedy
 * steps, their tokens. */
static void describe(qm_text *out, const quamba_model *model, const quamba_tokenizer *tokenizer,
                     const char *cpu, int32_t n_threads)
{
    quamba_error err;
    const int32_t n_vocab = quamba_model_get_info(model).n_vocab;
    const size_t bytes = (size_t)n_vocab * sizeof(float);
    quamba_session *s = new_session(model, cpu, n_threads);
    for (size_t p = 0; p < sizeof prompts / sizeof prompts[0]; p++) {
        int32_t *ids = NULL;
        size_t n = 0;
        const float *logits = NULL;
        quamba_session_reset(s);
        if (quamba_tokenizer_encode(tokenizer, prompts[p], strlen(prompts[p]), &ids, &n, &err) !=
                QUAMBA_OK ||
            quamba_session_prefill(s, ids, n, &logits, &err) != QUAMBA_OK)
            fail_msg("%s", err.message);
        quamba_free(ids);
        qm_text_printf(out, "%s %zu %016" PRIx64, quamba_model_get_info(model).mode, p,
                       qm_hash64(logits, bytes, 0));
        uint64_t hash = 0;
        char tokens[N_GREEDY * 12] = "";
        for (int i = 0; i < N_GREEDY; i++) {
            int32_t next = argmax(logits, n_vocab);
            snprintf(tokens + strlen(tokens), sizeof tokens - strlen(tokens), " %" PRId32, next);
            assert_int_equal(quamba_session_step(s, next, &logits, &err), QUAMBA_OK);
            hash = qm_hash64(logits, bytes, hash);
        }
        qm_text_printf(out, " %016" PRIx64 "%s\n", hash, tokens);
    }
    quamba_session_free(&s);
}

static void test_demo_hashes(void **state)
{
    (void)state;
    static const char *const cpus[] = {
#define QM_ROW(flags, name) name,
        QM_ISA_LIST(QM_ROW)
#undef QM_ROW
    };
    static const int32_t counts[] = {1, 2, 3, 8};
    char path[1024], golden[1024];
    quamba_error err;
    quamba_tokenizer *tokenizer = NULL;
    snprintf(path, sizeof path, "%s/models/demo", directory("QUAMBA_SOURCE_DIR"));
    snprintf(golden, sizeof golden, "%s/tests/golden/forward_demo.txt",
             directory("QUAMBA_SOURCE_DIR"));
    if (quamba_tokenizer_open(&tokenizer, path, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    quamba_model *models[2] = {open_model(path, "fp32"), open_model(path, "fp16")};

    qm_text want = {0};
    if (getenv("QUAMBA_UPDATE_GOLDEN")) {
        for (size_t m = 0; m < 2; m++)
            describe(&want, models[m], tokenizer, "scalar", 1);
        assert_int_equal(qm_file_write(golden, want.data, want.size, &err), QUAMBA_OK);
    } else {
        qm_map map;
        if (qm_map_open(&map, golden, &err) != QUAMBA_OK) fail_msg("%s", err.message);
        qm_text_add(&want, (const char *)map.data, map.size);
        qm_map_close(&map);
    }
    for (size_t c = 0; c < sizeof cpus / sizeof cpus[0]; c++)
        for (size_t k = 0; k < QM_COUNT(counts); k++) {
            const int32_t threads = counts[k];
            if (qm_cpu_select(cpus[c]) == -2) continue;
            /* slow: one instruction set is enough for several threads */
            if (threads > 1 && qm_cpu_select(cpus[c]) != qm_cpu_select("native")) continue;
            qm_text got = {0};
            for (size_t m = 0; m < 2; m++)
                describe(&got, models[m], tokenizer, cpus[c], threads);
            printf("--cpu %s, %" PRId32 " threads\n", cpus[c], threads);
            assert_string_equal(got.data, want.data);
            qm_text_free(&got);
        }
    qm_text_free(&want);
    quamba_model_close(&models[0]);
    quamba_model_close(&models[1]);
    quamba_tokenizer_close(&tokenizer);
}

/* ---- reference outputs ----------------------------------------------------------------------- */

static const qm_tensor *find(const qm_source *golden, int prompt, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "p%d.%s", prompt, name);
    return qm_source_find(golden, full);
}

static float element(const qm_tensor *t, int64_t i)
{
    if (t->dtype == QM_F16) return qm_f32_f16(((const uint16_t *)t->data)[i]);
    return ((const float *)t->data)[i];
}

/* Largest difference of the residual streams that the golden file holds. */
typedef struct residual_watch {
    const qm_source *golden;
    int32_t n_layer;
    double worst;
    int seen;
} residual_watch;

static void on_edge(void *user, const quamba_view *view)
{
    residual_watch *w = user;
    char name[32];
    bool final = strcmp(view->edge, "norm_f_out") == 0;
    if (!final && strcmp(view->edge, "residual") != 0) return;
    snprintf(name, sizeof name, "hidden.%" PRId32, view->layer);
    const qm_tensor *t = find(w->golden, 0, name);
    assert_non_null(t);
    for (int32_t r = 0; r < view->n_rows; r++)
        for (int32_t i = 0; i < view->n_cols; i++) {
            float got = view->data[(size_t)r * view->row_stride + (size_t)i];
            float want = element(t, ((int64_t)view->position + r) * view->n_cols + i);
            w->worst = fmax(w->worst, (double)fabsf(got - want));
        }
    w->seen++;
}

/* All prompts of a golden file: last logits within logit_limit, every argmax and, where recorded,
 * every greedy token equal, logsumexp within logit_limit, residuals within residual_limit. */
static void compare(const char *model_path, const char *mode, const char *golden_path,
                    double logit_limit, double residual_limit)
{
    quamba_error err;
    qm_source *golden = NULL;
    if (qm_source_open(&golden, golden_path, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    quamba_model *model = open_model(model_path, mode);
    quamba_session *s = new_session(model, "native", 2);
    const int32_t n_vocab = quamba_model_get_info(model).n_vocab;
    double worst = 0, worst_sum = 0;
    int prompt = 0, n_greedy = 0;
    for (const qm_tensor *ids; (ids = find(golden, prompt, "input_ids")); prompt++) {
        int64_t n = ids->shape[0];
        int32_t targets[MAX_TOKENS] = {0};
        quamba_logprob scores[MAX_TOKENS];
        assert_true(n <= MAX_TOKENS);
        residual_watch watch = {.golden = golden};
        bool hidden = find(golden, prompt, "hidden.0") != NULL;
        quamba_session_reset(s);
        quamba_session_set_tap(s, hidden ? on_edge : NULL, &watch);
        quamba_job job = {.session = s,
                          .tokens = ids->data,
                          .n_tokens = (size_t)n,
                          .targets = targets,
                          .logprobs = scores,
                          .want_logits = true};
        if (quamba_session_run(&job, 1, &err) != QUAMBA_OK) fail_msg("%s", err.message);
        quamba_session_set_tap(s, NULL, NULL);
        if (hidden) {
            printf("residual streams of %d layers within %.1e\n", watch.seen, watch.worst);
            assert_true(watch.seen > 0 && watch.worst <= residual_limit);
        }
        const qm_tensor *want = find(golden, prompt, "last_logits");
        for (int32_t i = 0; i < n_vocab; i++)
            worst = fmax(worst, (double)fabsf(job.logits[i] - element(want, i)));
        for (int64_t i = 0; i < n; i++) {
            assert_int_equal(scores[i].argmax,
                             ((const int32_t *)find(golden, prompt, "argmax")->data)[i]);
            double sum = (double)element(find(golden, prompt, "logsumexp"), i);
            worst_sum = fmax(worst_sum, fabs(scores[i].logsumexp - sum));
        }
        const qm_tensor *greedy = find(golden, prompt, "greedy32");
        const float *logits = job.logits;
        for (int64_t i = 0; greedy && i < greedy->shape[0]; i++, n_greedy++) {
            int32_t next = argmax(logits, n_vocab);
            assert_int_equal(next, ((const int32_t *)greedy->data)[i]);
            assert_int_equal(quamba_session_step(s, next, &logits, &err), QUAMBA_OK);
        }
    }
    printf("%s %s: %d prompts, logits within %.1e, logsumexp within %.1e, %d greedy tokens equal\n",
           model_path, mode, prompt, worst, worst_sum, n_greedy);
    assert_true(prompt > 0 && worst <= logit_limit && worst_sum <= logit_limit);
    quamba_session_free(&s);
    quamba_model_close(&model);
    qm_source_close(&golden);
}

static void test_references(void **state)
{
    (void)state;
    static const struct {
        const char *model, *mode, *golden;
        double logits, residual;
    } cases[] = {
  /* FP32 sums in another order; the limit is 2e-3 */
        {"mid",  "fp32", "golden/mid/golden_fp32.safetensors",        2e-4,  2e-3},
        {"demo", "fp32", "golden/demo/golden_fp32.safetensors",       2e-4,  2e-3},
 /* half roundings on top of a GPU's sums: the specification's own figure is 0.016 */
        {"demo", "fp16", "golden/fork/demo/fp16.prompts.safetensors", 0.016, 0   },
    };
    const char *shared = directory("QUAMBA_SHARED_DIR");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char model[1024], golden[1024];
        snprintf(model, sizeof model, "%s/models/%s", shared, cases[i].model);
        snprintf(golden, sizeof golden, "%s/%s", shared, cases[i].golden);
        if (!qm_path_is_file(golden)) {
            printf("SKIPPED: the reference outputs %s are not there\n", golden);
            skip();
        }
        compare(model, cases[i].mode, golden, cases[i].logits, cases[i].residual);
    }
}

/* The original's half-precision model, decoding greedily after prompt 0 with its state in half. */
static void test_half_decoding(void **state)
{
    (void)state;
    const char *shared = directory("QUAMBA_SHARED_DIR");
    char path[1024];
    quamba_error err;
    json_t *scores = NULL;
    qm_source *golden = NULL;
    snprintf(path, sizeof path, "%s/golden/fork/scores.json", shared);
    if (!qm_path_is_file(path)) {
        printf("SKIPPED: %s is not there\n", path);
        skip();
    }
    assert_int_equal(qm_json_load(&scores, path, &err), QUAMBA_OK);
    const json_t *want = json_object_get(scores, "models");
    want = json_object_get(json_object_get(want, "demo"), "greedy_prompt0");
    want = json_object_get(want, "fp16");
    assert_true(json_array_size(want) >= 16);
    snprintf(path, sizeof path, "%s/golden/fork/demo/fp16.prompts.safetensors", shared);
    assert_int_equal(qm_source_open(&golden, path, &err), QUAMBA_OK);
    const qm_tensor *ids = find(golden, 0, "input_ids");
    snprintf(path, sizeof path, "%s/models/demo", shared);
    quamba_model *model = open_model(path, "fp16");
    quamba_session *s = new_session(model, "native", 2);
    const float *logits = NULL;
    assert_int_equal(quamba_session_prefill(s, ids->data, (size_t)ids->shape[0], &logits, &err),
                     QUAMBA_OK);
    for (size_t i = 0; i < json_array_size(want); i++) {
        int32_t next = argmax(logits, quamba_model_get_info(model).n_vocab);
        assert_int_equal(next, json_integer_value(json_array_get(want, i)));
        assert_int_equal(quamba_session_step(s, next, &logits, &err), QUAMBA_OK);
    }
    quamba_session_free(&s);
    quamba_model_close(&model);
    qm_source_close(&golden);
    json_decref(scores);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_demo_hashes),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_half_decoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

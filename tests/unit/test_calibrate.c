/* Calibration: the original's token ids, equal bits however it is run, and runs cut short. */
#include "model_files.h"

#include "manifest.h"

#include "base/hash.h"
#include "base/text.h"
#include "kernels/cpu.h"
#include "quant/calibrate.h"

#include <sys/stat.h>

/* ---- texts ------------------------------------------------------------------------------------
 */

/* What Python's json.dumps writes for the list of id lists. */
static void ids_sha256(const qm_texts *texts, char out[65])
{
    qm_text json = {0};
    qm_text_puts(&json, "[");
    for (size_t i = 0; i < texts->n; i++) {
        qm_text_puts(&json, i > 0 ? ", [" : "[");
        for (size_t k = texts->begin[i]; k < texts->begin[i + 1]; k++)
            qm_text_printf(&json, "%s%d", k > texts->begin[i] ? ", " : "", (int)texts->ids[k]);
        qm_text_puts(&json, "]");
    }
    qm_text_puts(&json, "]");
    assert_false(json.failed);
    qm_sha256(json.data, json.size, out);
    qm_text_free(&json);
}

static void check_ids(const char *name, size_t n_tokens)
{
    char path[512], data[512], sha[65];
    quamba_error err;
    quamba_tokenizer *tokenizer = NULL;
    qm_texts texts;
    json_t *scores = manifest_load("golden/fork/%s", "scores.json");
    const json_t *models = json_object_get(scores, "models");
    const json_t *want = json_object_get(json_object_get(models, name), "calibration");
    shared_path(path, "models/%s", name);
    shared_path(data, "data/%s", "pile_calibration_512.jsonl");
    if (quamba_tokenizer_open(&tokenizer, path, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    if (qm_texts_read(&texts, data, tokenizer, 512, 512, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    assert_int_equal(texts.n, 512);
    assert_int_equal(texts.begin[512], n_tokens);
    ids_sha256(&texts, sha);
    assert_string_equal(sha, json_string_value(json_object_get(want, "sha256_ids")));
    qm_texts_free(&texts);
    quamba_tokenizer_close(&tokenizer);
    json_decref(scores);
}

static void test_ids_demo(void **state)
{
    (void)state;
    check_ids("demo", 210750);
}

static void test_ids_mid(void **state)
{
    (void)state;
    check_ids("mid", 180026);
}

static const char *source_path(char out[512], const char *name)
{
    const char *dir = getenv("QUAMBA_SOURCE_DIR");
    snprintf(out, 512, "%s/%s", dir ? dir : ".", name);
    return out;
}

static quamba_tokenizer *open_demo_tokenizer(void)
{
    char path[512];
    quamba_error err;
    quamba_tokenizer *tokenizer = NULL;
    if (quamba_tokenizer_open(&tokenizer, source_path(path, "models/demo"), &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    return tokenizer;
}

static void refuse_text(const quamba_tokenizer *tokenizer, const char *data, size_t size,
                        const char *word)
{
    qm_texts texts;
    quamba_error err = {0};
    quamba_status got = qm_texts_parse(&texts, "x", data, size, true, tokenizer, 9, 9, &err);
    if (got != QUAMBA_E_FORMAT || !strstr(err.message, word))
        fail_msg("want \"%s\", got %d \"%s\"", word, got, err.message);
    assert_null(texts.ids);
}

static void test_texts(void **state)
{
    (void)state;
    quamba_tokenizer *tokenizer = open_demo_tokenizer();
    quamba_error err;
    qm_texts texts, other;
    static const char lines[] = "\n{\"text\": \"one two three four five six\"}\r\n  \n"
                                "{\"text\": \"\"}\n{\"id\": 1, \"text\": \"x\"}\n{\"text\": \"y\"}";
    /* blank lines and empty texts do not count, long ones are cut */
    if (qm_texts_parse(&texts, "x", lines, sizeof lines - 1, true, tokenizer, 2, 4, &err) !=
        QUAMBA_OK)
        fail_msg("%s", err.message);
    assert_int_equal(texts.n, 2);
    assert_int_equal(texts.begin[1], 4);
    assert_int_equal(texts.begin[2], 5);
    /* a plain text comes in pieces */
    static const char plain[] = "one two three four five six";
    if (qm_texts_parse(&other, "x", plain, sizeof plain - 1, false, tokenizer, 2, 4, &err) !=
        QUAMBA_OK)
        fail_msg("%s", err.message);
    assert_int_equal(other.n, 2);
    assert_int_equal(other.begin[1], 4);
    assert_memory_equal(other.ids, texts.ids, 4 * sizeof *texts.ids);
    assert_true(qm_texts_hash(&other, 1) == qm_texts_hash(&texts, 1));
    assert_true(qm_texts_hash(&other, 2) != qm_texts_hash(&texts, 2));
    assert_true(qm_texts_hash(&other, 2) != qm_texts_hash(&other, 1));
    other.begin[1] = 3; /* the same ids, divided otherwise */
    uint64_t divided = qm_texts_hash(&other, 2);
    other.begin[1] = 4;
    assert_true(divided != qm_texts_hash(&other, 2));
    qm_texts_free(&other);
    qm_texts_free(&texts);
#define REFUSE(text, word) refuse_text(tokenizer, text, sizeof(text) - 1, word)
    REFUSE("", "x: holds no text");
    REFUSE("\n \n{\"text\": \"\"}\n", "x: holds no text");
    REFUSE("{\"text\": \"a\"}\n[1]\n", "x:2: must be a JSON object with a string \"text\"");
    REFUSE("{\"text\": 1}", "x:1: must be a JSON object with a string \"text\"");
    REFUSE("{\"text\": \"a\"}\n\n{\"text", "x:3: ");
    REFUSE("{\"text\": \"\xff\"}", "x:1: ");
#undef REFUSE
    quamba_tokenizer_close(&tokenizer);
}

/* ---- a small model ----------------------------------------------------------------------------
 */

enum { N_TEXTS = 7, MAX_IDS = 40 };

typedef struct small {
    test_files files;
    qm_source *source;
    qm_fused *fused;
    int32_t ids[N_TEXTS * MAX_IDS];
    size_t begin[N_TEXTS + 1];
    qm_texts texts;
    char record[128];
} small;

static void fuse_small(small *s)
{
    quamba_error err;
    test_write(&s->files, good_config);
    if (qm_source_open(&s->source, s->files.dir, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    if (qm_fuse(&s->fused, s->source, 0, 1, &err) != QUAMBA_OK) fail_msg("%s", err.message);
}

static void small_new(small *s)
{
    memset(s, 0, sizeof *s);
    test_files_new(&s->files);
    snprintf(s->record, sizeof s->record, "%s/record", s->files.dir);
    for (size_t i = 0; i < N_TEXTS; i++) {
        s->begin[i + 1] = s->begin[i] + 1 + (i * 17) % MAX_IDS;
        for (size_t k = s->begin[i]; k < s->begin[i + 1]; k++)
            s->ids[k] = (int32_t)((k * k + 3 * i) % N_VOCAB);
    }
    s->texts = (qm_texts){.ids = s->ids, .begin = s->begin, .n = N_TEXTS};
}

static void small_free(small *s)
{
    qm_fused_free(&s->fused);
    qm_source_close(&s->source);
    unlink(s->record);
    test_files_free(&s->files);
}

static const double alphas[] = {0.9, 1.0};

static qm_calibration_options options_of(const char *cpu, int32_t n_threads, const char *record)
{
    return (qm_calibration_options){
        .alphas = alphas, .n_alphas = 2, .cpu = cpu, .n_threads = n_threads, .record = record};
}

static qm_observations observe(const small *s, const qm_calibration_options *o)
{
    qm_observations obs;
    quamba_error err;
    if (qm_calibrate(&obs, s->fused, &s->texts, o, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    return obs;
}

static void assert_same(const qm_observations *a, const qm_observations *b)
{
    assert_int_equal(a->n_texts, b->n_texts);
    assert_int_equal(a->n_values, b->n_values);
    assert_memory_equal(a->values, b->values, a->n_texts * a->n_values * sizeof *a->values);
}

static void test_same_bits(void **state)
{
    (void)state;
    small s;
    small_new(&s);
    fuse_small(&s);
    qm_calibration_options o = options_of("scalar", 1, NULL);
    qm_observations first = observe(&s, &o);
    for (int32_t n_threads = 1; n_threads <= 3; n_threads++) {
        o = options_of("native", n_threads, NULL);
        qm_observations other = observe(&s, &o);
        assert_same(&first, &other);
        qm_observations_free(&other);
    }
    /* the largest quantile of a text is its largest magnitude; scales of a larger alpha are larger
     */
    qm_act_scales low, high;
    quamba_error err;
    assert_int_equal(qm_observations_scales(&first, N_TEXTS, 0, &low, &err), QUAMBA_OK);
    assert_int_equal(qm_observations_scales(&first, N_TEXTS, 1, &high, &err), QUAMBA_OK);
    assert_int_equal(qm_act_scales_check(&low, &err), QUAMBA_OK);
    for (int32_t i = 0; i < N_LAYER; i++) {
        assert_true(low.layers[i][QM_X_PROJ_INPUT] < high.layers[i][QM_X_PROJ_INPUT]);
        assert_true(low.layers[i][QM_SSM_STATE_INPUT] < high.layers[i][QM_SSM_STATE_INPUT]);
        assert_true(low.layers[i][QM_IN_PROJ_INPUT] == high.layers[i][QM_IN_PROJ_INPUT]);
        assert_true(low.layers[i][QM_DT_PROJ_INPUT] <= low.layers[i][QM_X_PROJ_OUTPUT]);
    }
    qm_act_scales_free(&low);
    qm_act_scales_free(&high);
    qm_observations_free(&first);
    small_free(&s);
}

/* ---- resuming ---------------------------------------------------------------------------------
 */

typedef struct watch {
    uint64_t stop_at, seen, last;
} watch;

static void on_progress(void *user, uint64_t done, uint64_t total)
{
    watch *w = user;
    assert_int_equal(total, N_TEXTS);
    assert_true(done >= w->last);
    w->last = done;
    w->seen++;
}

static bool on_cancelled(void *user)
{
    const watch *w = user;
    return w->last >= w->stop_at;
}

static size_t file_size(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (size_t)info.st_size : 0;
}

static void test_resume(void **state)
{
    (void)state;
    small s;
    small_new(&s);
    fuse_small(&s);
    qm_calibration_options o = options_of("native", 1, NULL);
    qm_observations whole = observe(&s, &o), obs;
    quamba_error err;

    /* cancelled after two texts, then after four, then not */
    watch w = {.stop_at = 2};
    o = options_of("native", 1, s.record);
    o.progress = on_progress;
    o.cancelled = on_cancelled;
    o.user = &w;
    assert_int_equal(qm_calibrate(&obs, s.fused, &s.texts, &o, &err), QUAMBA_E_CANCELLED);
    assert_null(obs.values);
    assert_true(w.last >= 2 && w.last < N_TEXTS);
    uint64_t first_part = w.last;
    w = (watch){.stop_at = 4};
    assert_int_equal(qm_calibrate(&obs, s.fused, &s.texts, &o, &err), QUAMBA_E_CANCELLED);
    w = (watch){.stop_at = UINT64_MAX};
    obs = observe(&s, &o);
    assert_same(&whole, &obs);
    assert_true(obs.n_resumed > first_part && obs.n_resumed < N_TEXTS);
    assert_int_equal(w.last, N_TEXTS);
    qm_observations_free(&obs);

    /* cut off anywhere: what is whole is used; the rest is done again */
    size_t size = file_size(s.record), block = (size - 24) / N_TEXTS;
    o = options_of("scalar", 2, s.record);
    for (size_t cut = 0; cut < size; cut += cut < 30 ? 3 : 41) {
        obs = observe(&s, &o); /* whole again */
        qm_observations_free(&obs);
        assert_int_equal(file_size(s.record), size);
        assert_int_equal(truncate(s.record, (off_t)cut), 0);
        obs = observe(&s, &o);
        assert_int_equal(obs.n_resumed, cut < 24 ? 0 : (cut - 24) / block);
        assert_same(&whole, &obs);
        qm_observations_free(&obs);
    }

    /* a damaged block ends what is taken */
    FILE *f = fopen(s.record, "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, (long)(24 + 3 * block + block / 2), SEEK_SET), 0);
    assert_int_equal(fputc(0x55, f), 0x55);
    fclose(f);
    obs = observe(&s, &o);
    assert_int_equal(obs.n_resumed, 3);
    assert_same(&whole, &obs);
    qm_observations_free(&obs);

    /* other texts, other alphas: another run */
    obs = observe(&s, &o);
    assert_int_equal(obs.n_resumed, N_TEXTS);
    qm_observations_free(&obs);
    s.ids[0] = (s.ids[0] + 1) % N_VOCAB;
    obs = observe(&s, &o);
    assert_int_equal(obs.n_resumed, 0);
    qm_observations_free(&obs);
    const double other_alphas[] = {0.9, 0.99};
    o.alphas = other_alphas;
    obs = observe(&s, &o);
    assert_int_equal(obs.n_resumed, 0);
    qm_observations_free(&obs);

    qm_observations_free(&whole);
    small_free(&s);
}

/* ---- what is refused --------------------------------------------------------------------------
 */

static void refuse(const small *s, const qm_calibration_options *o, quamba_status want,
                   const char *word)
{
    qm_observations obs;
    quamba_error err = {0};
    quamba_status got = qm_calibrate(&obs, s->fused, &s->texts, o, &err);
    if (got != want || !strstr(err.message, word))
        fail_msg("want %d \"%s\", got %d \"%s\"", want, word, got, err.message);
    assert_null(obs.values);
}

static void test_refusals(void **state)
{
    (void)state;
    small s;
    small_new(&s);
    fuse_small(&s);
    qm_calibration_options o = options_of("native", 2, NULL);
    static const double bad[] = {0.0, 1.5, -1.0, 1e-300, (double)NAN};
    for (size_t i = 0; i < QM_COUNT(bad); i++) {
        o.alphas = &bad[i];
        o.n_alphas = 1;
        refuse(&s, &o, QUAMBA_E_ARGUMENT, "alpha is ");
    }
    o = options_of("native", 2, NULL);
    o.n_alphas = 0;
    refuse(&s, &o, QUAMBA_E_ARGUMENT, "0 alphas");
    o = options_of("mmx", 2, NULL);
    refuse(&s, &o, QUAMBA_E_ARGUMENT, "mmx");
    o = options_of("native", 2, "/no/such/directory/record");
    refuse(&s, &o, QUAMBA_E_IO, "/no/such/directory/record: cannot open");
    o = options_of("native", 2, s.files.dir);
    refuse(&s, &o, QUAMBA_E_IO, s.files.dir);
    o = options_of("native", 2, NULL);
    s.ids[s.begin[3]] = N_VOCAB;
    refuse(&s, &o, QUAMBA_E_ARGUMENT, "text 4: token 0 is id 24");
    s.texts.n = 0;
    refuse(&s, &o, QUAMBA_E_ARGUMENT, "there are no texts");
    small_free(&s);
}

/* Weights that half precision holds, and products that it does not. */
static void test_overflow(void **state)
{
    (void)state;
    small s;
    small_new(&s);
    float *w = test_values(&s.files, "backbone.layers.1.mixer.x_proj.weight");
    for (int i = 0; i < D_INNER; i++)
        w[3 * D_INNER + i] = 60000.0f;
    w = test_values(&s.files, "backbone.layers.1.mixer.conv1d.bias");
    for (int i = 0; i < D_INNER; i++)
        w[i] = 100.0f;
    fuse_small(&s);
    qm_calibration_options o = options_of("native", 1, NULL);
    refuse(&s, &o, QUAMBA_E_FORMAT, "text 1: x_proj_out of layer 1 overflows half precision");
    small_free(&s);
}

/* ---- demo -------------------------------------------------------------------------------------
 */

/* The first texts of the repository's own file.  calibration_demo.json is what
 *     quamba quantize models/demo --calibration data/calibration.jsonl --calib-data-num 8
 *         --calib-seqlen 96
 * leaves; the program that made it agrees with the original on its texts (tests/full). */
static void test_demo(void **state)
{
    (void)state;
    char path[512];
    quamba_error err;
    qm_texts texts;
    qm_source *source = NULL;
    qm_act_scales want, got;
    small s = {0}; /* for its fused model and texts */
    quamba_tokenizer *tokenizer = open_demo_tokenizer();
    if (qm_texts_read(&texts, source_path(path, "data/calibration.jsonl"), tokenizer, 8, 96,
                      &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    if (qm_source_open(&source, source_path(path, "models/demo"), &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    if (qm_fuse(&s.fused, source, (uint32_t)qm_cpu_select("native"), 2, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    s.texts = texts;
    const double alpha = 0.9995;
    qm_calibration_options o = options_of("native", 2, NULL);
    o.alphas = &alpha;
    o.n_alphas = 1;
    qm_observations obs = observe(&s, &o);
    assert_int_equal(qm_observations_scales(&obs, texts.n, 0, &got, &err), QUAMBA_OK);
    if (qm_act_scales_load(&want, source_path(path, "tests/golden/calibration_demo.json"), &err) !=
        QUAMBA_OK)
        fail_msg("%s", err.message);
    assert_int_equal(got.n_layer, want.n_layer);
    assert_memory_equal(got.layers, want.layers, (size_t)got.n_layer * sizeof *got.layers);
    assert_true(got.head[QM_LM_HEAD_INPUT] == want.head[QM_LM_HEAD_INPUT]);
    qm_act_scales_free(&want);
    qm_act_scales_free(&got);
    qm_observations_free(&obs);
    qm_fused_free(&s.fused);
    qm_source_close(&source);
    qm_texts_free(&texts);
    quamba_tokenizer_close(&tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_demo), cmocka_unit_test(test_ids_mid),
        cmocka_unit_test(test_texts),    cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_resume),   cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_overflow), cmocka_unit_test(test_demo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

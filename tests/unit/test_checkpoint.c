/* Directories, shards, the way through every container and back, and the models of ../shared. */
#include "checkpoint_bytes.h"

#include "base/file.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char *in(const char *dir, const char *name)
{
    char *path = qm_path_join(dir, name);
    assert_non_null(path);
    return path;
}

static void write_file(const char *dir, const char *name, const void *data, size_t size)
{
    char *path = in(dir, name);
    assert_int_equal(qm_file_write(path, data, size, NULL), QUAMBA_OK);
    free(path);
}

static void write_text(const char *dir, const char *name, const char *text)
{
    write_file(dir, name, text, strlen(text));
}

/* A safetensors file of one int8 tensor [3]. */
static void write_tensor(const char *dir, const char *file, const char *name)
{
    qm_text out = {0};
    char header[200];
    snprintf(header, sizeof header,
             "{\"%s\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[0,3]}}", name);
    add_safetensors(&out, header, "abc", 3);
    write_file(dir, file, out.data, out.size);
    qm_text_free(&out);
}

static void erase(const char *dir, const char *name)
{
    char *path = in(dir, name);
    unlink(path);
    free(path);
}

static int make_dir(void **state)
{
    char *dir = strdup("/tmp/quamba-test-XXXXXX");
    *state = mkdtemp(dir);
    return *state ? 0 : -1;
}

static int erase_dir(void **state)
{
    static const char *const names[] = {"config.json",
                                        "model.safetensors",
                                        "model.safetensors.index.json",
                                        "pytorch_model.bin",
                                        "a.safetensors",
                                        "b.safetensors",
                                        "c.bin"};
    for (size_t i = 0; i < QM_COUNT(names); i++)
        erase(*state, names[i]);
    int result = rmdir(*state);
    free(*state);
    return result;
}

static void expect(const char *path, quamba_status status, const char *word)
{
    quamba_error err = {0};
    qm_source *source;
    quamba_status got = qm_source_open(&source, path, &err);
    if (got != status || (status != QUAMBA_OK && !strstr(err.message, word)))
        fail_msg("%s: wanted %d with \"%s\", got %d: %s", path, status, word, got, err.message);
    if (status == QUAMBA_OK)
        assert_string_equal(qm_source_format(source), word);
    else
        assert_null(source);
    qm_source_close(&source);
    assert_null(source);
}

static void directories(void **state)
{
    const char *dir = *state;
    quamba_error err;
    expect(dir, QUAMBA_E_IO, "there is no config.json");
    write_text(dir, "config.json", "[]");
    expect(dir, QUAMBA_E_FORMAT, "config.json: must be a JSON object");
    write_text(dir, "config.json", "{\"d_model\":}");
    expect(dir, QUAMBA_E_FORMAT, "config.json: not valid JSON at line 1");
    write_text(dir, "config.json", "{\"d_model\": 7}");
    expect(dir, QUAMBA_E_IO,
           "looked for model.safetensors, model.safetensors.index.json and pytorch_model.bin");

    /* The content counts, not the name: an archive called model.safetensors is read as one. */
    archive a = {0};
    add_member(&a, "x/data.pkl", "\x80\2}.", 4);
    finish_archive(&a);
    write_file(dir, "pytorch_model.bin", a.file.data, a.file.size);
    expect(dir, QUAMBA_OK, "pytorch zip");
    write_tensor(dir, "model.safetensors", "t");
    expect(dir, QUAMBA_OK, "safetensors");
    write_file(dir, "model.safetensors", a.file.data, a.file.size);
    expect(dir, QUAMBA_OK, "pytorch zip");
    free_archive(&a);

    write_tensor(dir, "model.safetensors", "t");
    qm_source *source;
    assert_int_equal(qm_source_open(&source, dir, &err), QUAMBA_OK);
    assert_int_equal(json_integer_value(json_object_get(qm_source_config(source), "d_model")), 7);
    assert_non_null(strstr(qm_source_path(source), "/model.safetensors"));
    qm_source_close(&source);

    expect("/nonexistent/model", QUAMBA_E_IO, "/nonexistent/model: cannot open");
    expect("/dev/null", QUAMBA_E_IO, "not a regular file");
}

static void shards(void **state)
{
    const char *dir = *state;
    char *index = in(dir, "model.safetensors.index.json");
    write_text(dir, "config.json", "{}");
    write_tensor(dir, "a.safetensors", "one");
    write_tensor(dir, "b.safetensors", "two");
    static const struct {
        const char *index;
        quamba_status status;
        const char *word;
    } cases[] = {
#define MAP(entries) "{\"weight_map\":{" entries "}}"
        {MAP("\"two\":\"b.safetensors\",\"one\":\"a.safetensors\""),   QUAMBA_OK,
                                                             "sharded safetensors"                                                                                                        },
        {" \n{}",                                                      QUAMBA_E_FORMAT, "no object \"weight_map\""                    },
        {MAP(""),                                                      QUAMBA_E_FORMAT, "no object \"weight_map\""                    },
        {"{\"weight_map\":[]}",                                        QUAMBA_E_FORMAT, "no object \"weight_map\""                    },
        {"{\"weight_map\"",                                            QUAMBA_E_FORMAT, "not valid JSON"                              },
        {MAP("\"one\":3"),                                             QUAMBA_E_FORMAT, "\"one\": its shard must be a plain file name"},
        {MAP("\"one\":\"\""),                                          QUAMBA_E_FORMAT, "plain file name"                             },
        {MAP("\"one\":\"..\""),                                        QUAMBA_E_FORMAT, "plain file name"                             },
        {MAP("\"one\":\"../a.safetensors\""),                          QUAMBA_E_FORMAT, "plain file name"                             },
        {MAP("\"one\":\"/etc/passwd\""),                               QUAMBA_E_FORMAT, "plain file name"                             },
        {MAP("\"one\":\"gone.safetensors\""),                          QUAMBA_E_IO,     "gone.safetensors: cannot open"               },
        {MAP("\"one\":\"config.json\""),                               QUAMBA_E_FORMAT, "config.json: not a safetensors file"         },
        {MAP("\"one\":\"a.safetensors\",\"three\":\"a.safetensors\""), QUAMBA_E_FORMAT,
                                                             "\"three\" is not in a.safetensors"                                                                                          },
        {MAP("\"none\":\"a.safetensors\""),                            QUAMBA_E_FORMAT,
                                                             "\"one\", which the index puts nowhere"                                                                                      },
        {MAP("\"one\":\"b.safetensors\",\"two\":\"a.safetensors\""),   QUAMBA_E_FORMAT,
                                                             "which the index puts in another shard"                                                                                      },
#undef MAP
    };
    for (size_t i = 0; i < QM_COUNT(cases); i++) {
        write_text(dir, "model.safetensors.index.json", cases[i].index);
        expect(dir, cases[i].status, cases[i].word);
        expect(index, cases[i].status, cases[i].word);
    }
    free(index);
    expect_refusal(cases[0].index, strlen(cases[0].index), QUAMBA_E_ARGUMENT, "in memory");
}

static void expect_equal(const qm_source *want, const qm_source *got, bool strides)
{
    assert_int_equal(qm_source_count(want), qm_source_count(got));
    for (size_t i = 0; i < qm_source_count(want); i++) {
        const qm_tensor *a = qm_source_at(want, i), *b = qm_source_find(got, a->name);
        if (!b) fail_msg("%s is gone", a->name);
        assert_int_equal(a->dtype, b->dtype);
        assert_int_equal(a->ndim, b->ndim);
        assert_memory_equal(a->shape, b->shape, sizeof a->shape);
        if (strides) assert_memory_equal(a->stride, b->stride, sizeof a->stride);
        assert_int_equal(a->python_float, b->python_float);
        size_t size = qm_tensor_bytes(a);
        char *left = malloc(size + 1), *right = malloc(size + 1);
        qm_tensor_copy(a, left);
        qm_tensor_copy(b, right);
        assert_memory_equal(left, right, size);
        free(left);
        free(right);
    }
}

/* source -> safetensors -> pytorch_model.bin -> safetensors */
static void go_around(const qm_source *source, const char *dir)
{
    quamba_error err;
    qm_source *a, *b, *c;
    size_t n = qm_source_count(source);
    char *path[] = {in(dir, "a.safetensors"), in(dir, "c.bin"), in(dir, "b.safetensors")};
    assert_int_equal(qm_safetensors_write(path[0], qm_source_at(source, 0), n, NULL, &err), 0);
    if (qm_source_open(&a, path[0], &err) != QUAMBA_OK) fail_msg("%s", err.message);
    expect_equal(source, a, false);
    assert_int_equal(qm_torch_zip_write(path[1], qm_source_at(a, 0), n, &err), 0);
    if (qm_source_open(&b, path[1], &err) != QUAMBA_OK) fail_msg("%s", err.message);
    expect_equal(source, b, true);
    assert_int_equal(qm_safetensors_write(path[2], qm_source_at(b, 0), n, NULL, &err), 0);
    if (qm_source_open(&c, path[2], &err) != QUAMBA_OK) fail_msg("%s", err.message);
    expect_equal(a, c, true);
    qm_source_close(&a);
    qm_source_close(&b);
    qm_source_close(&c);
    for (int i = 0; i < 3; i++)
        free(path[i]);
}

static void small_model_around(void **state)
{
    static const uint8_t bytes[48] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    const stored tensors[] = {
        {"half",   "HalfStorage",     "0", 24, 0, {4, 6},    {6, 1},     2},
        {"shared", "HalfStorage",     "0", 24, 0, {4, 6},    {6, 1},     2},
        {"turned", "CharStorage",     "0", 48, 0, {8, 6},    {1, 8},     2},
        {"column", "FloatStorage",    "0", 12, 0, {12, 1},   {1, 1},     2},
        {"double", "DoubleStorage",   "0", 6,  0, {6},       {1},        1},
        {"long",   "LongStorage",     "0", 6,  1, {0},       {0},        0},
        {"bf16",   "BFloat16Storage", "0", 24, 0, {24},      {1},        1},
        {"none",   "BoolStorage",     "1", 0,  0, {0},       {1},        1},
        {"short",  "ShortStorage",    "0", 24, 0, {2, 3, 4}, {12, 4, 1}, 3},
        {"int",    "IntStorage",      "0", 12, 3, {2},       {1},        1},
        {"byte",   "ByteStorage",     "0", 48, 7, {5},       {1},        1},
    };
    qm_text p = {0};
    archive a = {0};
    ADD(&p, "\x80\2}(");
    for (size_t i = 0; i < QM_COUNT(tensors); i++)
        add_entry(&p, &tensors[i]);
    add_string(&p, "float");
    ADD(&p, "G\xbf\xf0\0\0\0\0\0\0"
            "u.");
    add_member(&a, "m/data.pkl", p.data, p.size);
    add_member(&a, "m/data/0", bytes, sizeof bytes);
    add_member(&a, "m/data/1", "", 0);
    finish_archive(&a);
    copy c;
    if (open_copy(&c, a.file.data, a.file.size) != QUAMBA_OK) fail_msg("%s", c.err.message);
    go_around(c.source, *state);
    close_copy(&c);
    free_archive(&a);
    qm_text_free(&p);
}

static void shared_models(void **state)
{
    static const struct {
        const char *name;
        size_t n;
    } models[] = {
        {"demo",           243},
        {"demo2",          219},
        {"demo-fork-w8a8", 891},
        {"mid",            243}
    };
    const char *shared = getenv("QUAMBA_SHARED_DIR");
    char path[1000];
    for (size_t i = 0; i < QM_COUNT(models); i++) {
        snprintf(path, sizeof path, "%s/models/%s", shared ? shared : "../shared", models[i].name);
        if (!qm_path_is_dir(path)) {
            printf("SKIPPED: %s: this test needs ../shared\n", path);
            skip();
        }
        quamba_error err;
        qm_source *source;
        struct timespec begin, end;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        if (qm_source_open(&source, path, &err) != QUAMBA_OK) fail_msg("%s", err.message);
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("%s: opened in %.1f ms\n", path,
               (double)(end.tv_sec - begin.tv_sec) * 1e3 +
                   (double)(end.tv_nsec - begin.tv_nsec) * 1e-6);
        assert_string_equal(qm_source_format(source), "pytorch zip");
        assert_int_equal(qm_source_count(source), models[i].n);
        assert_int_equal(qm_source_skipped(source), 0);
        assert_true(json_is_object(qm_source_config(source)));
        if (i < 3) go_around(source, *state);
        qm_source_close(&source);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(directories, make_dir, erase_dir),
        cmocka_unit_test_setup_teardown(shards, make_dir, erase_dir),
        cmocka_unit_test_setup_teardown(small_model_around, make_dir, erase_dir),
        cmocka_unit_test_setup_teardown(shared_models, make_dir, erase_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

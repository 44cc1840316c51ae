/* The tokenizer against the reference's ids and texts, and on texts nobody expects. */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "tokenizer/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *directory(const char *variable)
{
    const char *path = getenv(variable);
    return path ? path : ".";
}

/* "directory/rest" if there is such a file, else NULL. */
static char *find_file(const char *variable, const char *rest)
{
    char *path = qm_path_join(directory(variable), rest);
    if (path && qm_path_is_file(path)) return path;
    free(path);
    return NULL;
}

static void print_ids(const char *label, const int32_t *ids, size_t n)
{
    print_error("  %s:", label);
    for (size_t i = 0; i < n; i++)
        print_error(" %d", ids[i]);
    print_error("\n");
}

/* One line of a golden file; false, after printing, on a difference. */
static bool check_line(const quamba_tokenizer *t, const char *line, size_t n, size_t number)
{
    quamba_error err;
    json_t *root;
    assert_int_equal(qm_json_parse_text(&root, line, n, &err), QUAMBA_OK);
    const json_t *text = json_object_get(root, "text"), *want = json_object_get(root, "ids");
    const json_t *decoded = json_object_get(root, "decoded");
    int32_t *ids;
    size_t n_ids, n_bytes, n_want = json_array_size(want);
    char *bytes;
    assert_int_equal(quamba_tokenizer_encode(t, json_string_value(text), json_string_length(text),
                                             &ids, &n_ids, &err),
                     QUAMBA_OK);
    bool equal = n_ids == n_want;
    for (size_t i = 0; i < n_ids && equal; i++)
        equal = ids[i] == json_integer_value(json_array_get(want, i));
    int32_t *wanted = qm_alloc(n_want, sizeof *wanted);
    for (size_t i = 0; i < n_want; i++)
        wanted[i] = (int32_t)json_integer_value(json_array_get(want, i));
    if (!equal) {
        print_error("line %zu: text %s\n", number, json_string_value(text));
        print_ids("want", wanted, n_want);
        print_ids("got", ids, n_ids);
    }
    assert_int_equal(quamba_tokenizer_decode(t, wanted, n_want, false, &bytes, &n_bytes, &err),
                     QUAMBA_OK);
    qm_text lossy = {0};
    qm_text_add_lossy(&lossy, bytes, n_bytes);
    if (lossy.size != json_string_length(decoded) ||
        (lossy.size > 0 && memcmp(lossy.data, json_string_value(decoded), lossy.size) != 0)) {
        print_error("line %zu: decoded [%s]\n     wanted [%s]\n", number,
                    lossy.data ? lossy.data : "", json_string_value(decoded));
        equal = false;
    }
    qm_text_free(&lossy);
    quamba_free(ids);
    quamba_free(bytes);
    free(wanted);
    json_decref(root);
    return equal;
}

static void check_golden(const char *model, const char *golden)
{
    quamba_error err;
    quamba_tokenizer *t = NULL;
    if (quamba_tokenizer_open(&t, model, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    qm_map map;
    if (qm_map_open(&map, golden, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    size_t lines = 0, different = 0;
    const char *at = (const char *)map.data, *end = at + map.size;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((newline ? newline : end) - at);
        if (n > 0 && !check_line(t, at, n, ++lines)) different++;
        at += n + 1;
    }
    print_message("%s: %zu lines, %zu different\n", golden, lines, different);
    assert_true(lines >= 100);
    assert_int_equal(different, 0);
    qm_map_close(&map);
    quamba_tokenizer_close(&t);
}

static void golden_shared(const char *name)
{
    char model[64], golden[64];
    snprintf(model, sizeof model, "models/%s/tokenizer.json", name);
    snprintf(golden, sizeof golden, "golden/%s/tokens.jsonl", name);
    char *model_path = find_file("QUAMBA_SHARED_DIR", model);
    char *golden_path = find_file("QUAMBA_SHARED_DIR", golden);
    if (!model_path || !golden_path) {
        print_message("SKIPPED: %s needs ../shared\n", golden);
        free(model_path);
        free(golden_path);
        skip();
    }
    check_golden(model_path, golden_path);
    free(model_path);
    free(golden_path);
}

static void golden_mid(void **state)
{
    (void)state;
    golden_shared("mid");
}

static void golden_demo(void **state)
{
    (void)state;
    golden_shared("demo");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_mid),
        cmocka_unit_test(golden_demo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

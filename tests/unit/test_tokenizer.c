/* The tokenizer against the reference's ids and texts, and on texts nobody expects. */
#include "tokenizer_small.h"

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

static void golden_own(void **state)
{
    (void)state;
    char *model = find_file("QUAMBA_SOURCE_DIR", "models/demo/tokenizer.json");
    char *golden = find_file("QUAMBA_SOURCE_DIR", "tests/golden/tokens_demo.jsonl");
    assert_non_null(model);
    assert_non_null(golden);
    check_golden(model, golden);
    free(model);
    free(golden);
}

/* ---- the steps around the merges, with a small vocabulary -------------------------------------
 */

static quamba_tokenizer *open_small(const small_parts *parts)
{
    qm_text json = {0};
    quamba_tokenizer *t = NULL;
    quamba_error err;
    small_json(&json, parts);
    if (qm_tokenizer_parse(&t, json.data, json.size, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    qm_text_free(&json);
    return t;
}

static qm_ids encode(const quamba_tokenizer *t, const char *text, size_t n)
{
    qm_ids ids = {0};
    quamba_error err;
    if (quamba_tokenizer_encode(t, text, n, &ids.data, &ids.size, &err) != QUAMBA_OK)
        fail_msg("%s", err.message);
    return ids;
}

/* Whether the text comes back byte for byte. */
static bool survives(const quamba_tokenizer *t, const char *text, size_t n)
{
    qm_ids ids = encode(t, text, n);
    char *back;
    size_t n_back;
    quamba_error err;
    assert_int_equal(quamba_tokenizer_decode(t, ids.data, ids.size, false, &back, &n_back, &err),
                     QUAMBA_OK);
    bool same = n_back == n && back[n] == '\0' && (n == 0 || memcmp(back, text, n) == 0);
    quamba_free(ids.data);
    quamba_free(back);
    return same;
}

static bool check_case(const quamba_tokenizer *t, const json_t *pair)
{
    const json_t *text = json_array_get(pair, 0), *want = json_array_get(pair, 1);
    qm_ids got = encode(t, json_string_value(text), json_string_length(text));
    bool equal = got.size == json_array_size(want);
    for (size_t i = 0; i < got.size && equal; i++)
        equal = got.data[i] == json_integer_value(json_array_get(want, i));
    if (!equal) {
        char *dump = json_dumps(pair, JSON_ENSURE_ASCII);
        print_error("want %s\n", dump);
        free(dump);
        print_ids("got", got.data, got.size);
    }
    quamba_free(got.data);
    return equal;
}

/* tokens_steps.jsonl: random normalizers, pre-tokenizers and added tokens over the vocabulary of
 * tokenizer_small.h, with texts and the ids that tokenizers 0.23 gives them. */
static void golden_steps(void **state)
{
    (void)state;
    char *path = find_file("QUAMBA_SOURCE_DIR", "tests/golden/tokens_steps.jsonl");
    assert_non_null(path);
    qm_map map;
    quamba_error err;
    assert_int_equal(qm_map_open(&map, path, &err), QUAMBA_OK);
    free(path);
    size_t cases = 0, different = 0;
    const char *at = (const char *)map.data, *end = at + map.size, *newline;
    for (; at < end && (newline = memchr(at, '\n', (size_t)(end - at))); at = newline + 1) {
        json_t *root;
        assert_int_equal(qm_json_parse(&root, at, (size_t)(newline - at), &err), QUAMBA_OK);
        char *normalizer = json_dumps(json_object_get(root, "normalizer"), JSON_ENCODE_ANY);
        char *pre_tokenizer = json_dumps(json_object_get(root, "pre_tokenizer"), 0);
        char *added = json_dumps(json_object_get(root, "added_tokens"), 0);
        bool ignore_merges = json_is_true(json_object_get(root, "ignore_merges"));
        quamba_tokenizer *t =
            open_small(&(small_parts){.normalizer = normalizer,
                                      .pre_tokenizer = pre_tokenizer,
                                      .added = added,
                                      .model = ignore_merges ? "'ignore_merges':true," : NULL});
        size_t before = different;
        for (size_t i = 0; i < json_array_size(json_object_get(root, "cases")); i++, cases++)
            if (!check_case(t, json_array_get(json_object_get(root, "cases"), i))) different++;
        if (different > before) print_error("%s\n%s\n%s\n", normalizer, pre_tokenizer, added);
        quamba_tokenizer_close(&t);
        free(normalizer);
        free(pre_tokenizer);
        free(added);
        json_decref(root);
    }
    qm_map_close(&map);
    print_message("%zu cases, %zu different\n", cases, different);
    assert_true(cases >= 400);
    assert_int_equal(different, 0);
}

/* ---- bytes ------------------------------------------------------------------------------------
 */

static void utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text, *lossy;
    } cases[] = {
        {"plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80",
         "plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"                                                    },
        {"\xFF\xFE",                                     "\xEF\xBF\xBD\xEF\xBF\xBD"                        },
        {"\xE2\x82",                                     "\xEF\xBF\xBD"                                    }, /* one cut short */
        {"\xE2\x82z",                                    "\xEF\xBF\xBDz"                                   },
        {"\xC0\x80",                                     "\xEF\xBF\xBD\xEF\xBF\xBD"                        }, /* overlong */
        {"\xED\xA0\x80",                                 "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"            }, /* surrogate */
        {"\xF4\x90\x80\x80",                             "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* too large */
        {"\xF0\x9F\x98"
         "a\x80",                               "\xEF\xBF\xBD"
         "a\xEF\xBF\xBD"                                                         },
    };
    for (size_t i = 0; i < QM_COUNT(cases); i++) {
        qm_text out = {0};
        qm_text_add_lossy(&out, cases[i].text, strlen(cases[i].text));
        assert_string_equal(out.data, cases[i].lossy);
        qm_text_free(&out);
    }
    for (uint32_t code = 0; code < 0x110000; code++) {
        char bytes[QM_UTF8_MAX];
        uint32_t back = 1;
        size_t n = qm_utf8_put(code, bytes);
        bool surrogate = code >= 0xD800 && code < 0xE000;
        if (qm_utf8_next(bytes, n, &back) != (surrogate ? 0 : n) || (!surrogate && back != code) ||
            (n > 1 && qm_utf8_next(bytes, n - 1, &back) != 0))
            fail_msg("U+%04X", (unsigned)code);
    }
}

static void any_bytes(void **state)
{
    (void)state;
    quamba_tokenizer *t = open_small(&(small_parts){.normalizer = "null"});
    for (unsigned pair = 0; pair < 65536; pair++) {
        char text[] = {'a', (char)(pair >> 8), (char)pair, 'b'};
        if (!survives(t, text, sizeof text)) fail_msg("bytes %04X", pair);
    }
    uint64_t random = 7;
    for (int round = 0; round < 2000; round++) {
        char text[64];
        for (size_t i = 0; i < sizeof text; i++) {
            random = random * 6364136223846793005U + 1442695040888963407U;
            text[i] = (char)(random >> 56);
        }
        if (!survives(t, text, (size_t)(random >> 32) % (sizeof text + 1)))
            fail_msg("seed 7, round %d", round);
    }
    qm_ids ids = encode(t,
                        "h\xE2\x82\xFF"
                        "e\0e",
                        7); /* NUL is text, stray bytes are ids */
    assert_int_equal(ids.size, 7);
    assert_int_equal(ids.data[1], 0xE2);
    assert_int_equal(ids.data[3], 0xFF);
    assert_int_equal(ids.data[5], 0);
    quamba_free(ids.data);
    quamba_tokenizer_close(&t);
}

/* NeoX has no token for a byte that never occurs in UTF-8: U+FFFD takes its place. */
static void byte_without_token(void **state)
{
    (void)state;
    static const char json[] =
        "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"model\":{"
        "\"vocab\":{\"a\":0,\"\xC3\xAF\":1,\"\xC2\xBF\":2,\"\xC2\xBD\":3},\"merges\":[]}}";
    quamba_tokenizer *t = NULL;
    quamba_error err;
    assert_int_equal(qm_tokenizer_parse(&t, json, sizeof json - 1, &err), QUAMBA_OK);
    qm_ids ids = encode(t,
                        "a\xFF"
                        "a",
                        3);
    const int32_t want[] = {0, 1, 2, 3, 0};
    assert_int_equal(ids.size, QM_COUNT(want));
    assert_memory_equal(ids.data, want, sizeof want);
    quamba_free(ids.data);
    ids = (qm_ids){0};
    assert_int_equal(quamba_tokenizer_encode(t, "ab", 2, &ids.data, &ids.size, &err),
                     QUAMBA_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "0x62"));
    assert_null(ids.data);
    quamba_tokenizer_close(&t);
}

/* ---- long words
 * ---------------------------------------------------------------------------------- */

/* Merging as the definition has it: the first pair of the lowest rank, again and again. */
static size_t merge_naively(int32_t *ids, size_t n)
{
    quamba_tokenizer *t = open_small(&(small_parts){.normalizer = "null"});
    for (;;) {
        size_t best = n, rank = QM_COUNT(small_merges);
        for (size_t i = 0; i + 1 < n; i++)
            for (size_t r = 0; r < rank; r++) {
                size_t n_left, n_right, n_both;
                const char *left = quamba_tokenizer_piece(t, ids[i], &n_left);
                const char *right = quamba_tokenizer_piece(t, ids[i + 1], &n_right);
                const char *both = quamba_tokenizer_piece(t, 256 + (int32_t)r, &n_both);
                qm_text parts = {0};
                qm_vocab_unspell(&parts, small_merges[r][0], strlen(small_merges[r][0]));
                size_t cut = parts.size;
                if (n_left == cut && n_left + n_right == n_both && memcmp(left, both, cut) == 0 &&
                    memcmp(right, both + cut, n_right) == 0) {
                    rank = r;
                    best = i;
                }
                qm_text_free(&parts);
            }
        if (best == n) break;
        ids[best] = 256 + (int32_t)rank;
        memmove(ids + best + 1, ids + best + 2, (n - best - 2) * sizeof *ids);
        n--;
    }
    quamba_tokenizer_close(&t);
    return n;
}

static void both_ways_of_merging(void **state)
{
    (void)state;
    quamba_tokenizer *t =
        open_small(&(small_parts){.pre_tokenizer = "{'type':'ByteLevel','add_prefix_space':false,"
                                                   "'use_regex':false}"});
    static const char letters[] = "aab helo wor12";
    uint64_t random = 11;
    for (int round = 0; round < 60; round++) {
        char text[90];
        int32_t want[sizeof text];
        size_t n = 1 + (size_t)round * 89 / 60; /* short words and long ones */
        for (size_t i = 0; i < n; i++) {
            random = random * 6364136223846793005U + 1442695040888963407U;
            text[i] = letters[(random >> 33) % (sizeof letters - 1)];
            want[i] = (unsigned char)text[i];
        }
        size_t n_want = merge_naively(want, n);
        qm_ids got = encode(t, text, n);
        if (got.size != n_want || memcmp(got.data, want, n_want * sizeof *want) != 0) {
            print_ids("want", want, n_want);
            print_ids("got", got.data, got.size);
            fail_msg("seed 11, round %d: \"%.*s\"", round, (int)n, text);
        }
        quamba_free(got.data);
    }
    quamba_tokenizer_close(&t);
}

/* Quadratic work on any of these would take minutes. */
static void long_inputs(void **state)
{
    (void)state;
    static const char *const units[] = {"a",
                                        " ",
                                        "\n",
                                        "ba",
                                        "1",
                                        "!",
                                        "e",
                                        "\xCC\x81\xCC\xA7",
                                        "\xEA\xB0\x80",
                                        "\xFF",
                                        "\xE2\x80\x8B",
                                        " x",
                                        "<|end"};
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE);
    assert_non_null(text);
    quamba_tokenizer *exact =
        open_small(&(small_parts){.added = "[{'id':300,'content':'<|endoftext|>'},"
                                           "{'id':301,'content':'  ','normalized':true}]"});
    quamba_tokenizer *nfc = open_small(&(small_parts){.normalizer = "{'type':'NFC'}"});
    for (size_t u = 0; u < QM_COUNT(units); u++) {
        size_t n = strlen(units[u]);
        for (size_t i = 0; i < SIZE; i++)
            text[i] = units[u][i % n];
        assert_true(survives(exact, text, SIZE));
        assert_true(survives(exact, text, SIZE - 1));
        qm_ids ids = encode(nfc, text, SIZE);
        assert_true(ids.size > 0);
        quamba_free(ids.data);
    }
    free(text);
    quamba_tokenizer_close(&exact);
    quamba_tokenizer_close(&nfc);
}

/* ---- the interface
 * -------------------------------------------------------------------------------- */

static void interface(void **state)
{
    (void)state;
    quamba_tokenizer *t =
        open_small(&(small_parts){.added = "[{'id':280,'content':'<|endoftext|>','special':true},"
                                           "{'id':299,'content':' caf\\u00e9','special':false}]"});
    size_t n;
    assert_int_equal(quamba_tokenizer_n_vocab(t), 300);
    assert_int_equal(quamba_tokenizer_end_id(t), 280);
    assert_int_equal(quamba_tokenizer_find(t, "<|endoftext|>"), 280);
    assert_int_equal(quamba_tokenizer_find(t, " caf\xC3\xA9"), 299);
    assert_int_equal(quamba_tokenizer_find(t, "hello"), SMALL_HELLO);
    assert_int_equal(quamba_tokenizer_find(t, " wor"), SMALL_WOR);
    assert_int_equal(quamba_tokenizer_find(t, "nowhere"), -1);
    assert_memory_equal(quamba_tokenizer_piece(t, SMALL_WOR, &n), " wor", 4);
    assert_int_equal(n, 4);
    assert_non_null(quamba_tokenizer_piece(t, 0, &n)); /* the byte 0 */
    assert_int_equal(n, 1);
    assert_null(quamba_tokenizer_piece(t, SMALL_N, &n)); /* a hole */
    assert_null(quamba_tokenizer_piece(t, 300, &n));
    assert_null(quamba_tokenizer_piece(t, -1, &n));

    const int32_t ids[] = {SMALL_HELLO, 280, 299};
    char *text;
    quamba_error err;
    assert_int_equal(quamba_tokenizer_decode(t, ids, 3, false, &text, &n, &err), QUAMBA_OK);
    assert_string_equal(text, "hello<|endoftext|> caf\xC3\xA9");
    quamba_free(text);
    assert_int_equal(quamba_tokenizer_decode(t, ids, 3, true, &text, &n, &err), QUAMBA_OK);
    assert_string_equal(text, "hello caf\xC3\xA9");
    assert_int_equal(n, 11);
    quamba_free(text);
    assert_int_equal(quamba_tokenizer_decode(t, NULL, 0, false, &text, &n, &err), QUAMBA_OK);
    assert_string_equal(text, "");
    quamba_free(text);
    static const int32_t bad[] = {SMALL_N, 300, -1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < QM_COUNT(bad); i++) {
        const int32_t two[] = {SMALL_HELLO, bad[i]};
        assert_int_equal(quamba_tokenizer_decode(t, two, 2, false, &text, &n, &err),
                         QUAMBA_E_ARGUMENT);
        assert_int_equal(err.position, 1);
        assert_null(text);
        assert_int_equal(quamba_tokenizer_decode(t, two, 2, false, &text, &n, NULL),
                         QUAMBA_E_ARGUMENT);
    }
    qm_ids none = encode(t, "", 0);
    assert_non_null(none.data);
    assert_int_equal(none.size, 0);
    quamba_free(none.data);
    quamba_tokenizer_close(&t);
    assert_null(t);
    quamba_tokenizer_close(&t);
    quamba_tokenizer_close(NULL);
}

static void shared_between_threads(void **state)
{
    (void)state;
    quamba_tokenizer *t = open_small(&(small_parts){.normalizer = "{'type':'NFC'}"});
    static const char text[] = "hello world, e\xCC\x81 aaaabababa 12 hello\n";
    qm_ids want = encode(t, text, sizeof text - 1);
    int wrong = 0;
#pragma omp parallel for num_threads(4) reduction(+ : wrong)
    for (int i = 0; i < 2000; i++) {
        int32_t *ids = NULL;
        size_t n = 0;
        if (quamba_tokenizer_encode(t, text, sizeof text - 1, &ids, &n, NULL) != QUAMBA_OK ||
            n != want.size || memcmp(ids, want.data, n * sizeof *ids) != 0)
            wrong++;
        quamba_free(ids);
    }
    assert_int_equal(wrong, 0);
    quamba_free(want.data);
    quamba_tokenizer_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8),
        cmocka_unit_test(interface),
        cmocka_unit_test(any_bytes),
        cmocka_unit_test(byte_without_token),
        cmocka_unit_test(both_ways_of_merging),
        cmocka_unit_test(long_inputs),
        cmocka_unit_test(shared_between_threads),
        cmocka_unit_test(golden_steps),
        cmocka_unit_test(golden_own),
        cmocka_unit_test(golden_demo),
        cmocka_unit_test(golden_mid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

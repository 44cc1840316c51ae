/* Every allocation of ours fails once, in turn, while a tokenizer is opened, encodes and decodes: a
 * status comes back and nothing leaks. */
#include "nomem.h"
#include "tokenizer_small.h"

#include "tokenizer/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

/* jansson's own allocations, which the linker does not see. */
static void *json_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }

static quamba_status open_and_use(const qm_text *json, const char *text, size_t n,
                                  quamba_error *err)
{
    quamba_tokenizer *t = NULL;
    int32_t *ids = NULL;
    char *back = NULL;
    size_t n_ids = 0, n_back = 0;
    quamba_status status = qm_tokenizer_parse(&t, json->data, json->size, err);
    if (status != QUAMBA_OK) {
        assert_null(t);
        return status;
    }
    status = quamba_tokenizer_encode(t, text, n, &ids, &n_ids, err);
    assert_true((status == QUAMBA_OK) == (ids != NULL));
    if (status == QUAMBA_OK) {
        status = quamba_tokenizer_decode(t, ids, n_ids, false, &back, &n_back, err);
        assert_true((status == QUAMBA_OK) == (back != NULL));
    }
    quamba_free(ids);
    quamba_free(back);
    quamba_tokenizer_close(&t);
    return status;
}

/* Fails call after call until the work succeeds; at least n must have been refused. */
static void fail_in_turn(const qm_text *json, const qm_text *text, size_t n)
{
    quamba_error err;
    quamba_status status = QUAMBA_E_NOMEM;
    size_t turn = 0;
    while (status != QUAMBA_OK) {
        failing_call = n_calls + ++turn;
        status = open_and_use(json, text->data, text->size, &err);
        failing_call = 0;
        if (status == QUAMBA_OK) break;
        /* Without memory for a string jansson calls it an invalid token. */
        bool told = status == QUAMBA_E_NOMEM ? strstr(err.message, "out of memory") != NULL
                                             : strstr(err.message, "not valid JSON") != NULL;
        if (!told) fail_msg("call %zu: %d %s", turn, status, err.message);
    }
    print_message("%zu allocations refused in turn\n", turn - 1);
    assert_in_range(turn, n, 10000);
}

static void every_call_may_fail(void **state)
{
    (void)state;
    const small_parts parts = {
        .normalizer = "{'type':'Sequence','normalizers':[{'type':'NFD'},{'type':'NFC'}]}",
        .pre_tokenizer =
            "{'type':'Sequence','pretokenizers':[{'type':'Split','behavior':'Isolated',"
            "'pattern':{'String':'\\u00e9'}},{'type':'ByteLevel'}]}",
        .added = "[{'id':300,'content':'<|endoftext|>','special':true},"
                 "{'id':301,'content':'e\\u0301','normalized':true}]"};
    qm_text json = {0}, text = {0};
    small_json(&json, &parts);
    qm_text_puts(&text, "hello e\xCC\x81\xCC\xA7\xCC\x81 <|endoftext|> \xFF ");
    for (int i = 0; i < 300; i++)
        qm_text_puts(&text, "ba");
    assert_false(json.failed || text.failed);
    fail_in_turn(&json, &text, 40);
    json_set_alloc_funcs(json_malloc, free);
    fail_in_turn(&json, &text, 80);
    qm_text_free(&json);
    qm_text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_call_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

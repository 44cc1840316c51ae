/* Every allocation of the program's frame and of the sampler fails once, in turn: a status comes
 * back or the page is a little poorer, and nothing leaks. */
#include "base/mem.h"
#include "cli/frame.h"
#include "cli/stream.h"
#include "nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Works until all calls succeed; at_least calls must have been refused before.  work returns false
 * when it noticed that memory was short. */
static void fail_in_turn(bool (*work)(void), size_t at_least)
{
    size_t turn = 0;
    for (bool done = false, refused = true; !done || refused;) {
        failing_call = n_calls + ++turn;
        done = work();
        refused = n_calls >= failing_call;
        failing_call = 0;
        if (done && refused) fail_msg("call %zu failed unnoticed", turn);
        if (!done && !refused) fail_msg("it fails with all the memory it wants");
    }
    assert_in_range(turn, at_least + 1, 1000);
}

static bool parse(void)
{
    static const char *const argv[] = {"quamba", "generate", "--stop",  "a", "--stop",
                                       "b",      "model",    "--top-k", "7", NULL};
    qc_options opt;
    int status = qc_options_parse(&opt, qc_command_find("generate"), 9, (char **)(uintptr_t)argv);
    bool done = status == QC_OK && opt.n_stop == 2 && opt.top_k == 7;
    qc_options_free(&opt);
    return done;
}

static bool print_table(void)
{
    char out[400];
    FILE *file = fmemopen(out, sizeof out, "w");
    qc_table *table = file != NULL ? qc_table_new((const char *const[]){"a", "b"}, 2) : NULL;
    for (int i = 0; table != NULL && i < 20; i++)
        qc_table_cell(table, "%d", i);
    bool done = table != NULL && qc_table_print(table, file) == QC_OK;
    qc_table_free(&table);
    if (file != NULL) fclose(file);
    return done;
}

static bool stream_text(void)
{
    static const char *const stops[] = {"x"};
    qc_stream stream = {.stops = stops, .n_stops = 1};
    for (int i = 0; i < 100; i++)
        qc_stream_add(&stream, "abcdefgh", 8);
    bool done = !stream.text.failed && qc_stream_ready(&stream, false) == 800;
    qc_stream_free(&stream);
    return done;
}

static bool json_text(void)
{
    json_t *value = qc_json_text("ab\xff", 3);
    bool done = value != NULL;
    json_decref(value);
    return done;
}

static bool sample(void)
{
    quamba_sampler *sampler = NULL;
    quamba_error err = {0};
    quamba_status status = quamba_sampler_new(&sampler, 100, NULL, &err);
    assert_true(status == QUAMBA_OK || status == QUAMBA_E_NOMEM);
    assert_int_equal(status == QUAMBA_OK, sampler != NULL);
    quamba_sampler_free(&sampler);
    return status == QUAMBA_OK;
}

static void every_call_may_fail(void **state)
{
    (void)state;
    fail_in_turn(parse, 3);
    fail_in_turn(print_table, 25);
    fail_in_turn(stream_text, 2);
    fail_in_turn(json_text, 2);
    fail_in_turn(sample, 2);
}

/* Help never fails for want of memory: an option then stands with its bare text. */
static void help_does_without(void **state)
{
    (void)state;
    static char page[20000];
    size_t begin = 0;
    for (size_t turn = 1; turn == 1 || n_calls - begin >= turn - 1; turn++) {
        FILE *file = fmemopen(page, sizeof page, "w");
        assert_non_null(file);
        begin = n_calls;
        failing_call = n_calls + turn;
        qc_help_command(file, qc_command_find("generate"));
        failing_call = 0;
        fclose(file);
        assert_non_null(strstr(page, "--pretrained-dir"));
        assert_non_null(strstr(page, "Examples:"));
    }
}

/* next must draw without asking for memory. */
static void drawing_allocates_nothing(void **state)
{
    (void)state;
    float logits[100];
    for (int i = 0; i < 100; i++)
        logits[i] = (float)(i % 7);
    quamba_sampler *sampler = NULL;
    quamba_sampler_options options = {0.8f, 40, 0.9f, 0.01f, 1.1f, 3};
    assert_int_equal(quamba_sampler_new(&sampler, 100, &options, NULL), QUAMBA_OK);
    size_t before = n_calls;
    for (int i = 0; i < 10; i++)
        quamba_sampler_next(sampler, logits);
    assert_int_equal(n_calls, before);
    quamba_sampler_free(&sampler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_may_fail),
        cmocka_unit_test(help_does_without),
        cmocka_unit_test(drawing_allocates_nothing),
    };
    /* jansson is not linked with --wrap: give it the allocator whose calls are counted. */
    json_set_alloc_funcs(__wrap_malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

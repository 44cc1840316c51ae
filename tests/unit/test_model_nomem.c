/* Opening a model and running sessions with every allocation of ours failing once, in turn. */
#include "model_files.h"
#include "nomem.h"

static quamba_status work(const char *dir, quamba_error *err)
{
    quamba_model *model = NULL;
    quamba_session *a = NULL, *b = NULL;
    quamba_logprob p[3];
    const int32_t tokens[3] = {1, 2, 3};
    quamba_model_options opt = {.mode = "fp16", .n_threads = 1};
    quamba_status status = quamba_model_open(&model, dir, &opt, err);
    if (status == QUAMBA_OK) status = quamba_session_new(&a, model, NULL, err);
    if (status == QUAMBA_OK) status = quamba_session_fork(&b, a, err);
    if (status == QUAMBA_OK) {
        quamba_job jobs[2] = {
            {.session = a, .tokens = tokens, .n_tokens = 3, .targets = tokens,           .logprobs = p},
            {.session = b,            .tokens = tokens,                 .n_tokens = 2,   .want_logits = true}
        };
        status = quamba_session_run(jobs, 2, err);
    }
    quamba_session_free(&b);
    quamba_session_free(&a);
    quamba_model_close(&model);
    return status;
}

static void test_every_call_may_fail(void **state)
{
    (void)state;
    test_files f;
    quamba_error err;
    test_files_new(&f);
    test_write(&f, good_config);
    quamba_status status = QUAMBA_E_NOMEM;
    size_t turn = 0;
    while (status != QUAMBA_OK && turn < 10000) {
        failing_call = n_calls + ++turn;
        status = work(f.dir, &err);
        failing_call = 0;
        if (status == QUAMBA_OK) break;
        if (status != QUAMBA_E_NOMEM || !strstr(err.message, "out of memory"))
            fail_msg("call %zu: %d %s", turn, status, err.message);
    }
    assert_in_range(turn, 20, 9999); /* that many were refused before one run went through */
    test_files_free(&f);
}

/* A step allocates nothing. */
static void test_steps_do_not_allocate(void **state)
{
    (void)state;
    test_files f;
    quamba_error err;
    quamba_model *model = NULL;
    quamba_session *s = NULL;
    const float *logits;
    test_files_new(&f);
    test_write(&f, good_config);
    assert_int_equal(quamba_model_open(&model, f.dir, NULL, &err), QUAMBA_OK);
    assert_int_equal(quamba_session_new(&s, model, NULL, &err), QUAMBA_OK);
    size_t before = n_calls;
    for (int32_t i = 0; i < 10; i++)
        assert_int_equal(quamba_session_step(s, i, &logits, &err), QUAMBA_OK);
    assert_int_equal(n_calls, before);
    quamba_session_free(&s);
    quamba_model_close(&model);
    test_files_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_call_may_fail),
        cmocka_unit_test(test_steps_do_not_allocate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

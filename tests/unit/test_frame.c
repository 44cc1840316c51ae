/* Pure parts of the program's frame: the tables of commands and options, parsing, spelling. */
#include "cli/frame.h"

#include "base/mem.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A command that takes one option of every kind. */
static const qc_command probe = {
    .name = "probe",
    .usage = "[ARGUMENT...]",
    .summary = "test",
    .options = "threads top-p prompt scoring stop output",
    .min_args = 0,
    .max_args = -1,
};

#define PARSE(opt, ...)                                                                            \
    qc_options_parse((opt), &probe,                                                                \
                     (int)QM_COUNT(((const char *[]){"quamba", "probe", __VA_ARGS__})),            \
                     (char **)(const char *[]){"quamba", "probe", __VA_ARGS__, NULL})

static void commands_name_real_options(void **state)
{
    (void)state;
    for (size_t i = 0; qc_commands[i] != NULL; i++) {
        const qc_command *command = qc_commands[i];
        size_t words = 0;
        for (const char *at = command->options != NULL ? command->options : ""; *at != '\0';) {
            at += strcspn(at, " ");
            at += strspn(at, " ");
            words++;
        }
        for (size_t k = 0; k < words; k++)
            if (qc_command_option(command, k) == NULL)
                fail_msg("%s: word %zu of its options is not in options.def", command->name, k);
        assert_ptr_equal(qc_command_find(command->name), command);
        assert_non_null(command->summary);
        assert_non_null(command->usage);
        assert_non_null(command->run);
    }
}

static void option_names_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; qc_option_at(i) != NULL; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(qc_option_at(i)->name, qc_option_at(j)->name);
}

static void defaults_stand(void **state)
{
    (void)state;
    qc_options opt;
    assert_int_equal(PARSE(&opt, "x"), QC_OK);
    assert_int_equal(opt.threads, 0);
    assert_true(opt.top_p == 1.0);
    assert_null(opt.prompt);
    assert_string_equal(opt.scoring, "prefill");
    assert_int_equal(opt.n_stop, 0);
    assert_int_equal(opt.n_args, 1);
    assert_false(qc_given(&opt, "threads"));
    qc_options_free(&opt);
}

static void every_form_is_understood(void **state)
{
    (void)state;
    qc_options opt;
    assert_int_equal(PARSE(&opt, "a", "--threads=7", "--top_p", "0.25", "-", "--stop", "x",
                           "--stop=", "-oout", "--scoring", "decode", "--prompt", "--json", "--",
                           "--quiet"),
                     QC_OK);
    assert_int_equal(opt.threads, 7);
    assert_true(opt.top_p == 0.25);
    assert_int_equal(opt.n_stop, 2);
    assert_string_equal(opt.stop[0], "x");
    assert_string_equal(opt.stop[1], "");
    assert_string_equal(opt.output, "out");
    assert_string_equal(opt.scoring, "decode");
    assert_string_equal(opt.prompt, "--json"); /* a value may look like an option */
    assert_false(opt.json);
    assert_false(opt.quiet);
    assert_int_equal(opt.n_args, 3);
    assert_string_equal(opt.args[0], "a");
    assert_string_equal(opt.args[1], "-");
    assert_string_equal(opt.args[2], "--quiet");
    assert_true(qc_given(&opt, "top-p"));
    qc_options_free(&opt);
}

static void bad_numbers_are_refused(void **state)
{
    (void)state;
    static const char *const integers[] = {"",   "x",    "1x",  " 1", "0",
                                           "-1", "1025", "1.0", "+",  "99999999999999999999999"};
    static const char *const reals[] = {"",    "x",   "1x",    " 1",   "-0.1", "1.1",
                                        "nan", "inf", "1e999", "0.5p", ".",    "1e"};
    qc_options opt;
    for (size_t i = 0; i < QM_COUNT(integers); i++) {
        assert_int_equal(PARSE(&opt, "--threads", integers[i]), QC_USAGE);
        qc_options_free(&opt);
    }
    for (size_t i = 0; i < QM_COUNT(reals); i++) {
        assert_int_equal(PARSE(&opt, "--top-p", reals[i]), QC_USAGE);
        qc_options_free(&opt);
    }
    assert_int_equal(PARSE(&opt, "--threads", "1024", "--top-p", "1e-3"), QC_OK);
    assert_int_equal(opt.threads, 1024);
    assert_true(opt.top_p == 1e-3);
    qc_options_free(&opt);
}

static void distances(void **state)
{
    (void)state;
    assert_int_equal(qm_edit_distance("", ""), 0);
    assert_int_equal(qm_edit_distance("", "abc"), 3);
    assert_int_equal(qm_edit_distance("abc", ""), 3);
    assert_int_equal(qm_edit_distance("json", "json"), 0);
    assert_int_equal(qm_edit_distance("json", "jsno"), 1);
    assert_int_equal(qm_edit_distance("kitten", "sitting"), 3);
    assert_int_equal(qm_edit_distance("top-k", "top-p"), 1);
    assert_true(qm_edit_distance("a", "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeee") == SIZE_MAX);
}

static void durations(void **state)
{
    (void)state;
    char out[32];
    assert_string_equal(qc_duration(0, out), "0.0s");
    assert_string_equal(qc_duration(-3, out), "0.0s");
    assert_string_equal(qc_duration(0.84, out), "0.8s");
    assert_string_equal(qc_duration(9.96, out), "10s");
    assert_string_equal(qc_duration(59.6, out), "1m00s");
    assert_string_equal(qc_duration(192, out), "3m12s");
    assert_string_equal(qc_duration(3599.6, out), "1h00m");
    assert_string_equal(qc_duration(3720, out), "1h02m");
    assert_string_equal(qc_duration(1e300, out), "for ever");
}

/* What qc_wrap prints, at most 400 bytes. */
static const char *wrapped(const char *text, size_t indent, size_t width, char out[400])
{
    FILE *file = fmemopen(out, 400, "w");
    qc_wrap(file, text, indent, width);
    fclose(file);
    return out;
}

static void wrapping(void **state)
{
    (void)state;
    char out[400];
    assert_string_equal(wrapped("aa bb cc dd", 0, 5, out), "aa bb\ncc dd\n");
    assert_string_equal(wrapped("aa bb cc dd", 2, 7, out), "aa bb\n  cc dd\n");
    assert_string_equal(wrapped("longword b", 0, 4, out), "longword\nb\n");
    assert_string_equal(wrapped("one\ntwo\n\nthree", 0, 20, out), "one two\n\nthree\n");
    assert_string_equal(wrapped("text\n  kept   as is\nmore", 0, 8, out),
                        "text\n  kept   as is\nmore\n");
}

/* What fd 2 gets while progress is reported, at most 400 bytes. */
static const char *reported(const char *when, bool quiet, char out[400])
{
    qc_options opt = {.progress = when, .quiet = quiet};
    qc_progress progress;
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    assert_non_null(file);
    dup2(fileno(file), STDERR_FILENO);
    qc_progress_start(&progress, &opt, "task", 110, 100);
    progress.started -= 10; /* as if ten seconds had passed */
    qc_progress_update(&progress, 105, "acc 0.5");
    qc_progress_update(&progress, 106, NULL); /* too soon after the last */
    qc_progress_update(&progress, 110, NULL); /* the end is always shown */
    qc_progress_finish(&progress);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    out[fread(out, 1, 399, file)] = '\0';
    fclose(file);
    return out;
}

static void progress_leaves_out_what_was_done_before(void **state)
{
    (void)state;
    char out[400];
    assert_string_equal(reported("always", false, out),
                        "task   95% 105/110  2.0s each  10s left  acc 0.5\n"
                        "task  100% 110/110  1.0/s  10s\n");
    assert_string_equal(reported("always", true, out),
                        "task   95% 105/110  2.0s each  10s left  acc 0.5\n"
                        "task  100% 110/110  1.0/s  10s\n");
    assert_string_equal(reported("auto", false, out), ""); /* a file is no terminal */
    assert_string_equal(reported("never", false, out), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_name_real_options),
        cmocka_unit_test(option_names_are_unique),
        cmocka_unit_test(defaults_stand),
        cmocka_unit_test(every_form_is_understood),
        cmocka_unit_test(bad_numbers_are_refused),
        cmocka_unit_test(distances),
        cmocka_unit_test(durations),
        cmocka_unit_test(wrapping),
        cmocka_unit_test(progress_leaves_out_what_was_done_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

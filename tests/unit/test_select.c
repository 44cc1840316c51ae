/* Choosing a mode: all sets of the original's variables (T23), precedence, every message. */
#include "cli/select.h"

#include "base/mem.h"
#include "quamba/quamba.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { F = 1, C = 2, P = 4, M23 = 8, M24 = 16, M3 = 32, G = 64 };

static qc_mode_request request_of(unsigned set)
{
    qc_mode_request request = {0};
    for (unsigned v = 0; v < QC_N_CHOOSING; v++)
        if (set & (1u << v)) request.variables[v] = "true";
    return request;
}

/* ---- the 64 combinations --------------------------------------------------------------------- */

static const char *exact_mode(unsigned set)
{
    switch (set) {
    case F | C:
        return "2-0";
    case F | P:
        return "2-1";
    case F:
        return "2-2";
    case F | M23:
        return "2-3";
    case F | M24:
        return "2-4";
    case M3:
        return "3";
    default:
        return NULL;
    }
}

static void exact_sets_choose(void **state)
{
    (void)state;
    for (unsigned set = 1; set < 64; set++) {
        qc_mode_choice choice;
        qc_mode_request request = request_of(set);
        const char *want = exact_mode(set);
        assert_int_equal(qc_mode_select(&choice, &request), want != NULL);
        if (want != NULL) {
            assert_string_equal(choice.id, want);
            assert_non_null(quamba_datapath_find(want));
            assert_null(choice.error.data);
        } else {
            assert_null(choice.id);
            assert_non_null(strstr(choice.error.data, "together are no mode"));
            assert_non_null(strstr(choice.error.data, "--legacy-env=fork"));
        }
        assert_null(choice.knobs);
        assert_null(choice.warnings.data);
        qc_mode_choice_free(&choice);
    }
}

/* What the original ran, one row after the other of its own code: convolution, mixer, scan. */
typedef enum scan { FUSED8, REF8, REF32, SE32 } scan;

static scan fork_scan(unsigned set)
{
    bool u_is_fp32 = false; /* the convolution returns codes */
    if (set & (F | M24 | M3)) u_is_fp32 = !((set & P) && !(set & M23));
    if (u_is_fp32 && (set & M3)) return SE32;
    if (u_is_fp32 && (set & M24)) return REF32;
    if (u_is_fp32 && (set & M23)) return REF8;
    if (u_is_fp32 && (set & C)) return FUSED8;
    if (set & P) return REF8;
    return u_is_fp32 && (set & F) ? REF32 : FUSED8;
}

static void fork_runs_what_it_ran(void **state)
{
    (void)state;
    /* the ids that run each scan */
    static const char *const ids[4][3] = {
        {"0",         "2-0"},
        {"2-1",           "2-3@fork"},
        {"2-2","2-4@fork"},
        {"3@fork"      }
    };
    int counts[4] = {0};
    for (unsigned set = 0; set < 64; set++) {
        qc_mode_choice choice;
        qc_mode_request request = request_of(set);
        request.as_fork = true;
        assert_true(qc_mode_select(&choice, &request));
        const scan want = fork_scan(set);
        counts[want]++;
        const char *id = choice.id != NULL ? choice.id : "0"; /* no variable: the default */
        bool fits = false;
        for (size_t i = 0; i < 3 && ids[want][i] != NULL; i++)
            fits |= strcmp(id, ids[want][i]) == 0;
        if (!fits) fail_msg("set %u: mode %s", set, id);
        assert_null(choice.knobs);
        qc_mode_choice_free(&choice);
    }
    assert_int_equal(counts[FUSED8], 5);
    assert_int_equal(counts[REF8], 22);
    assert_int_equal(counts[REF32], 13);
    assert_int_equal(counts[SE32], 24);
}

static void fork_names(void **state)
{
    (void)state;
    static const struct {
        unsigned set;
        const char *id, *knobs;
    } cases[] = {
        {C,                  "0",        NULL                          },
        {M23,                "0",        NULL                          },
        {C | M23,            "0",        NULL                          },
        {F | C,              "2-0",      NULL                          },
        {P,                  "2-1",      NULL                          },
        {F | C | P,          "2-1",      NULL                          },
        {F | M23,            "2-3@fork", NULL                          },
        {F | P | M23,        "2-3@fork", NULL                          },
        {F,                  "2-2",      NULL                          },
        {M24,                "2-4@fork", NULL                          },
        {F | M24,            "2-4@fork", NULL                          },
        {M3,                 "3@fork",   NULL                          },
        {F | M3 | M24 | M23, "3@fork",   NULL                          },
        {M24 | G,            "4",        NULL                          },
        {F | G,              "4",        NULL                          },
        {M3 | G,             "4",        "scan=se"                     },
        {F | P | G,          "4",        "u=req"                       },
        {F | M23 | G,        "4",        "u=req"                       },
        {F | C | G,          "4",        "u=req,scan=fused,state=i8end"},
    };
    for (size_t i = 0; i < QM_COUNT(cases); i++) {
        qc_mode_choice choice;
        qc_mode_request request = request_of(cases[i].set);
        request.as_fork = true;
        assert_true(qc_mode_select(&choice, &request));
        assert_string_equal(choice.id, cases[i].id);
        assert_non_null(quamba_datapath_find(choice.id));
        if (cases[i].knobs != NULL) assert_string_equal(choice.knobs, cases[i].knobs);
        if (cases[i].knobs == NULL) assert_null(choice.knobs);
        qc_mode_choice_free(&choice);
    }
    qc_mode_choice choice;
    qc_mode_request request = request_of(M24 | G);
    assert_true(qc_mode_select(&choice, &request));
    assert_string_equal(choice.id, "4");
    qc_mode_choice_free(&choice);
    request = request_of(G | P); /* x_proj gets numbers */
    request.as_fork = true;
    assert_false(qc_mode_select(&choice, &request));
    assert_non_null(strstr(choice.error.data, "the original fails on them"));
    qc_mode_choice_free(&choice);
}

/* ---- sources and messages -------------------------------------------------------------------- */

typedef struct scene {
    qc_mode_request request;
    const char *id;       /* NULL: default, or error */
    const char *source;   /* NULL: not looked at */
    const char *error[5]; /* words of the error; none: success */
    const char *warning;  /* words of it; NULL: there is none */
} scene;

#define SET(v, text) .variables[QC_VAR_##v] = (text)

/* clang-format off */
static const scene scenes[] = {
    /* precedence */
    {.source = "default"},
    {{.mode = "2-4"}, .id = "2-4", .source = "--mode"},
    {{.mode = "fp16"}, .id = "fp16", .source = "--mode"},
    {{.quamba_mode = "2-1"}, .id = "2-1", .source = "QUAMBA_MODE"},
    {{.quamba_mode = " 2-1\n"}, .id = "2-1", .source = "QUAMBA_MODE"},
    {{.quamba_mode = ""}, .source = "default"},
    {{.quamba_mode = " \t"}, .source = "default"},
    {{SET(F, "TRUE"), SET(24, "True")}, .id = "2-4", .source = "FLOAT_SIM_ASIC_INT8, CONV1D_MODE24_FP32"},
    {{SET(24, "true"), .float_sim_flag = true}, .id = "2-4", .source = "--float-sim-asic-int8, CONV1D_MODE24_FP32"},
    {{.float_sim_flag = true}, .id = "2-2", .source = "--float-sim-asic-int8"},
    {{SET(F, "true"), .float_sim_flag = true}, .id = "2-2", .source = "FLOAT_SIM_ASIC_INT8"},
    {{SET(F, "false"), SET(3, "False"), SET(P, "")}, .source = "default"},
    {{.mode = "2-4", .quamba_mode = "2-4", SET(F, "true"), SET(24, "true"), .float_sim_flag = true, .strict = true}, .id = "2-4", .source = "--mode"},
    {{.mode = "2-1", .float_sim_flag = true, .strict = true}, .id = "2-1", .source = "--mode"},
    {{.mode = "2-4", .quamba_mode = "2-1"}, .id = "2-4", .source = "--mode", .warning = "--mode chooses mode 2-4, but QUAMBA_MODE names mode 2-1: --mode counts\n"},
    {{.mode = "2-4", SET(3, "true")}, .id = "2-4", .warning = "CONV1D_MODE3_FP32 names mode 3: --mode counts"},
    {{.quamba_mode = "2-4", SET(3, "true")}, .id = "2-4", .warning = "QUAMBA_MODE chooses mode 2-4, but CONV1D_MODE3_FP32 names mode 3"},
    {{.mode = "2-4", .quamba_mode = "24"}, .id = "2-4", .warning = "QUAMBA_MODE cannot be followed (QUAMBA_MODE: there is no mode \"24\""},
    {{.mode = "2-4", SET(P, "true")}, .id = "2-4", .warning = "SSM_USE_PYTORCH_INT8 cannot be followed (the variables"},
    {{.mode = "2-4", .quamba_mode = "2-1", .strict = true}, .id = "2-4", .error = {"QUAMBA_MODE names mode 2-1", "--strict-mode"}},
    {{.mode = "2-4", SET(F, "true"), .strict = true}, .id = "2-4", .error = {"FLOAT_SIM_ASIC_INT8 names mode 2-2", "--strict-mode"}},
    {{.mode = "0", .float_sim_flag = true}, .id = "0", .warning = "--float-sim-asic-int8 has no effect in mode 0"},
    {{.mode = "2-4", SET(F, "1")}, .id = "2-4", .warning = "FLOAT_SIM_ASIC_INT8 is \"1\", neither true nor false: it counts as false"},
    {{SET(P, "yes")}, .source = "default", .warning = "SSM_USE_PYTORCH_INT8 is \"yes\""},
    /* ids that are none */
    {{.mode = ""}, .error = {"no mode is given", "--mode ID", "QUAMBA_MODE=ID", "2-0 2-1 2-2 2-3 2-4 3"}},
    {{.mode = "24"}, .error = {"--mode: there is no mode \"24\"", "did you mean 2-4?", "for example --mode 2-4", "2-0 2-1 2-2"}},
    {{.mode = "2.4"}, .error = {"\"2.4\"", "did you mean 2-4?"}},
    {{.mode = "mode2-4"}, .error = {"\"mode2-4\"", "did you mean 2-4?"}},
    {{.quamba_mode = "MODE 2-4"}, .error = {"QUAMBA_MODE: there is no mode \"MODE 2-4\"", "did you mean 2-4?"}},
    {{.mode = "Mode_23"}, .error = {"did you mean 2-3?"}},
    {{.mode = "FP16"}, .error = {"did you mean fp16?"}},
    {{.mode = "mode0"}, .error = {"did you mean 0?"}},
    {{.mode = "7"}, .error = {"there is no mode \"7\"; for example --mode 2-4; modes: fp32 fp16 0 2-0"}},
    {{.mode = "5-5"}, .error = {"5-5 was never assigned"}},
    {{.quamba_mode = "5.5"}, .error = {"5-5 was never assigned"}},
    /* what is gone */
    {{.mode = "1"}, .error = {"--mode 1: mode 1 was removed", "INT8 all the same", "use 3 for", "6-1", "fp16 for the unquantized model"}},
    {{.quamba_mode = "1"}, .error = {"QUAMBA_MODE 1: mode 1 was removed", "modes: fp32 fp16 0 2-0"}},
    {{.mode = "mode1"}, .error = {"mode 1 was removed"}},
    {{.mode = "2-4", SET(SSM_INPUT, "True")}, .id = "2-4", .error = {"FP32_SSM_INPUT: mode 1 was removed", "2-0 2-1"}},
    {{SET(SSM_INPUT, "false"), SET(ASIC, "FALSE")}, .source = "default"},
    {{SET(RESEARCH_SE, "true")}, .error = {"FLOAT_SIM_ASIC_RESEARCH_SE: this feature was removed", "nearest mode is 4"}},
    {{SET(SCALE_FACTOR, "2025")}, .error = {"FLOAT_SIM_SCALE_FACTOR: this feature was removed", "5-3"}},
    {{SET(ASIC, "true")}, .error = {"FLOAT_SIM_ASIC: this feature was removed", "2-2"}},
    {{SET(BETTER_SCALE, "true")}, .error = {"FLOAT_SIM_BETTER_SCALE: this feature was removed", "2-4"}},
    {{SET(OWN_SCALE, "true")}, .error = {"YZOWNSCALE_EQUAL: this feature was removed", "5-3"}},
    {{SET(OWN_SCALE, "on")}, .source = "default", .warning = "YZOWNSCALE_EQUAL is \"on\""},
    /* sets that are none */
    {{SET(F, "true"), SET(3, "true")}, .error = {"the variables FLOAT_SIM_ASIC_INT8, CONV1D_MODE3_FP32 together are no mode", "2-2 (FLOAT_SIM_ASIC_INT8), 3 (CONV1D_MODE3_FP32)", "would run mode 3@fork", "--legacy-env=fork asks for that"}},
    {{SET(P, "true")}, .error = {"no mode's variables are among them", "would run mode 2-1"}},
    {{SET(3, "true"), .float_sim_flag = true}, .error = {"--float-sim-asic-int8, CONV1D_MODE3_FP32 together", "2-2 (--float-sim-asic-int8), 3 ("}},
    {{SET(F, "true"), SET(G, "true"), SET(3, "true")}, .error = {"would run mode 4 with scan=se: --legacy-env=fork"}},
};
/* clang-format on */

static void sources_and_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < QM_COUNT(scenes); i++) {
        const scene *s = &scenes[i];
        qc_mode_choice choice;
        const bool chosen = qc_mode_select(&choice, &s->request);
        if (chosen != (s->error[0] == NULL))
            fail_msg("scene %zu: %s", i, choice.error.data ? choice.error.data : "no error");
        if (s->id != NULL)
            assert_string_equal(choice.id, s->id);
        else
            assert_null(choice.id);
        if (s->source != NULL) assert_string_equal(choice.source.data, s->source);
        for (size_t k = 0; k < QM_COUNT(s->error) && s->error[k] != NULL; k++)
            if (strstr(choice.error.data, s->error[k]) == NULL)
                fail_msg("scene %zu: no \"%s\" in: %s", i, s->error[k], choice.error.data);
        const char *warnings = choice.warnings.data != NULL ? choice.warnings.data : "";
        if (s->warning == NULL && warnings[0] != '\0') fail_msg("scene %zu: warns %s", i, warnings);
        if (s->warning != NULL && strstr(warnings, s->warning) == NULL)
            fail_msg("scene %zu: no \"%s\" in: %s", i, s->warning, warnings);
        if (choice.error.data != NULL) assert_null(strchr(choice.error.data, '\n'));
        qc_mode_choice_free(&choice);
    }
}

static void every_row_can_be_chosen_but_1(void **state)
{
    (void)state;
    for (size_t i = 0; quamba_datapath_at(i) != NULL; i++) {
        const char *id = quamba_datapath_id(quamba_datapath_at(i));
        qc_mode_choice choice;
        const qc_mode_request request = {.mode = id};
        const bool chosen = qc_mode_select(&choice, &request);
        assert_int_equal(chosen, strcmp(id, "1") != 0);
        if (chosen) assert_ptr_equal(choice.id, id);
        qc_mode_choice_free(&choice);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_sets_choose),
        cmocka_unit_test(fork_runs_what_it_ran),
        cmocka_unit_test(fork_names),
        cmocka_unit_test(sources_and_messages),
        cmocka_unit_test(every_row_can_be_chosen_but_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Rows and knobs: lists, rules, what equals what, and the grids of the convolution's output. */
#include "base/mem.h"
#include "datapath/grid.h"
#include "datapath/knobs.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const quamba_datapath *row_of(const char *id)
{
    const quamba_datapath *row = quamba_datapath_find(id);
    if (!row) fail_msg("no row %s", id);
    return row;
}

/* ---- lists ------------------------------------------------------------------------------------
 */

static void rows_survive_their_description(void **state)
{
    (void)state;
    const quamba_datapath *row;
    size_t n = 0;
    for (size_t i = 0; (row = quamba_datapath_at(i)); i++) {
        char text[400];
        quamba_error err;
        quamba_datapath *again = NULL;
        assert_ptr_equal(quamba_datapath_find(row->id), row);
        assert_int_equal(quamba_datapath_validate(row, &err), QUAMBA_OK);
        assert_true(quamba_datapath_describe(row, text, sizeof text) < sizeof text);
        if (!row->quantized) continue;
        n++;
        if (quamba_datapath_parse(&again, row_of("0"), text, &err) != QUAMBA_OK)
            fail_msg("%s: %s", row->id, err.message);
        assert_memory_equal(&again->knobs, &row->knobs, sizeof row->knobs);
        quamba_datapath_free(&again);
    }
    assert_int_equal(n, 27);
    char text[400], cut[8];
    assert_int_equal(quamba_datapath_describe(row_of("2-4"), cut, sizeof cut),
                     quamba_datapath_describe(row_of("2-4"), text, sizeof text));
    assert_string_equal(cut, "ip=i8,c");
    assert_string_equal(text, "ip=i8,cin=static,conv=int,grid=f32,rnd=away,xp=req,lin=int8,bc=i8,"
                              "u=val,scan=ref,state=f32,y=f16,z=i8");
    assert_null(quamba_datapath_find("5-5"));
    assert_true(quamba_datapath_get_info(row_of("1")).removed);
}

static void lists_name_what_they_change(void **state)
{
    (void)state;
    static const struct {
        const char *row, *list, *id;
    } good[] = {
        {"0",   "",                               "0"                             },
        {"0",   "u=codes",                        "0"                             },
        {"0",   "u=deq",                          "0:u=deq"                       },
        {"0",   " scan_in = deq ,scan=ref",       "0:u=deq,scan=ref"              },
        {"3",   "conv_in_scale=dyn_token",        "3:cin=dyn-token"               },
        {"2-4", "state=i8step-away,conv-out=sel", "2-4:grid=sel,state=i8step-away"},
        {"0",   "conv_out=f32,scan=ref",          "0:grid=f32,scan=ref"           }, /* read, though it is refused */
    };
    static const struct {
        const char *row, *list, *words; /* that the message has */
    } bad[] = {
        {"0",    "grd=f32",                                      "did you mean grid"           },
        {"0",    "conv_uot=f32",                                 "did you mean conv_out"       },
        {"0",    "zzzz=f32",                                     "one of ip (in_proj_out)"     },
        {"0",    "grid=fp32",                                    "did you mean f32"            },
        {"0",    "scan=slow",                                    "one of fused, ref, se, mamba"},
        {"0",    "u",                                            "no NAME=VALUE"               },
        {"0",    "u=deq,",                                       "no NAME=VALUE"               },
        {"0",    ",",                                            "no NAME=VALUE"               },
        {"0",    "=deq",                                         "no NAME=VALUE"               },
        {"0",    "u=",                                           "has no value \"\""           },
        {"0",    "u=deq,scan_in=deq",                            "given twice"                 },
        {"0",    "u=deqdeqdeqdeqdeqdeqdeqdeqdeqdeqdeqdeqdeqdeq", "too long"                    },
        {"fp32", "u=deq",                                        "has no knobs"                },
    };
    quamba_error err;
    quamba_datapath *dp;
    for (size_t i = 0; i < QM_COUNT(good); i++) {
        if (quamba_datapath_parse(&dp, row_of(good[i].row), good[i].list, &err) != QUAMBA_OK)
            fail_msg("%s: %s", good[i].list, err.message);
        assert_string_equal(quamba_datapath_id(dp), good[i].id);
        quamba_datapath *more, *copy = qm_datapath_copy(dp);
        assert_string_equal(copy->id, good[i].id);
        assert_int_equal(quamba_datapath_parse(&more, dp, "y=f32", &err), QUAMBA_OK);
        assert_ptr_equal(more->base, row_of(good[i].row));
        assert_int_equal(more->knobs.y, QM_Y_F32);
        assert_int_equal(more->knobs.u, dp->knobs.u);
        quamba_datapath_free(&dp);
        quamba_datapath_free(&more);
        free(copy);
    }
    for (size_t i = 0; i < QM_COUNT(bad); i++) {
        assert_int_equal(quamba_datapath_parse(&dp, row_of(bad[i].row), bad[i].list, &err),
                         QUAMBA_E_ARGUMENT);
        assert_null(dp);
        if (!strstr(err.message, bad[i].words)) fail_msg("%s: %s", bad[i].list, err.message);
    }
}

/* ---- rules ------------------------------------------------------------------------------------
 */

/* The list changes row into something valid, or the refusal names two of its knobs and a list that
 * does. */
static void valid_or_helped(const quamba_datapath *row, const char *list, size_t *n_refused)
{
    static const char marker[] = "a legal neighbour in mode ";
    quamba_datapath *dp, *helped;
    quamba_error err, again;
    if (quamba_datapath_parse(&dp, row, list, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    if (quamba_datapath_validate(dp, &err) != QUAMBA_OK) {
        ++*n_refused;
        const char *help = strstr(err.message, marker);
        const char *neighbour = help ? strchr(help, ':') : NULL;
        if (!neighbour || !strstr(err.message, " does not go with ")) fail_msg("%s", err.message);
        neighbour = strcmp(neighbour, ": the mode as it is") == 0 ? "" : neighbour + 1;
        if (quamba_datapath_parse(&helped, row, neighbour, &again) != QUAMBA_OK ||
            quamba_datapath_validate(helped, &again) != QUAMBA_OK)
            fail_msg("%s: %s: %s", list, err.message, again.message);
        quamba_datapath_free(&helped);
    }
    quamba_datapath_free(&dp);
}

static void all_pairs_of_knobs(void **state)
{
    (void)state;
    const quamba_datapath *row;
    size_t n = 0, n_refused = 0;
    for (size_t i = 0; (row = quamba_datapath_at(i)); i++)
        for (qm_knob_id a = 0; row->quantized && a < QM_N_KNOBS; a++)
            for (qm_knob_id b = a + 1; b < QM_N_KNOBS; b++)
                for (int32_t v = 0; v < qm_knob_count(a); v++)
                    for (int32_t w = 0; w < qm_knob_count(b); w++, n++) {
                        char list[100];
                        snprintf(list, sizeof list, "%s=%s,%s=%s", qm_knob_table[a].name,
                                 qm_knob_table[a].values[v], qm_knob_table[b].long_name,
                                 qm_knob_table[b].values[w]);
                        valid_or_helped(row, list, &n_refused);
                    }
    print_message("%zu combinations, %zu refused\n", n, n_refused);
    assert_true(n_refused > n / 20 && n_refused < n);
}

static void refusals_of_the_specification(void **state)
{
    (void)state;
    static const struct {
        const char *row, *list;
        bool valid;
    } cases[] = {
        {"0",   "grid=f32",                            false},
        {"0",   "grid=vq",                             true },
        {"0",   "grid=vq,u=deq-req,xp=req-grid",       true },
        {"0",   "grid=f32,xp=req,u=req",               true },
        {"0",   "xp=req-grid",                         false},
        {"0",   "xp=val,lin=f32",                      false},
        {"0",   "u=req",                               false},
        {"0",   "u=val",                               false},
        {"0",   "xp=req",                              true },
        {"2-4", "xp=val",                              false},
        {"2-4", "xp=val,lin=f32",                      true },
        {"0",   "bc=vq",                               false},
        {"0",   "bc=f32",                              false},
        {"0",   "bc=i8late",                           false},
        {"0",   "lin=f32",                             true },
        {"0",   "lin=f32,bc=i8late",                   true },
        {"0",   "scan=se",                             false},
        {"0",   "u=deq,scan=se",                       true },
        {"2-4", "u=req,scan=se",                       false},
        {"0",   "u=deq,scan=mamba",                    false},
        {"0",   "u=deq,scan=mamba,lin=f32,bc=f32",     true },
        {"0",   "u=deq,scan=mamba,lin=f32,bc=i8late",  false},
        {"0",   "u=deq-req,scan=mamba,lin=f32,bc=f32", false},
        {"0",   "cin=dyn-token",                       false},
        {"0",   "cin=dyn-tensor,ip=f16",               false},
        {"0",   "cin=dyn-token,ip=f32",                true },
        {"0",   "ip=f16",                              true },
    };
    for (size_t i = 0; i < QM_COUNT(cases); i++) {
        quamba_datapath *dp;
        quamba_error err = {0};
        assert_int_equal(quamba_datapath_parse(&dp, row_of(cases[i].row), cases[i].list, &err),
                         QUAMBA_OK);
        if ((quamba_datapath_validate(dp, &err) == QUAMBA_OK) != cases[i].valid)
            fail_msg("%s with %s: %s", cases[i].row, cases[i].list, err.message);
        quamba_datapath_free(&dp);
    }
    /* What was asked for stays where it can. */
    quamba_datapath *dp;
    quamba_error err;
    assert_int_equal(quamba_datapath_parse(&dp, row_of("0"), "grid=half", &err), QUAMBA_OK);
    assert_int_equal(quamba_datapath_validate(dp, &err), QUAMBA_E_ARGUMENT);
    if (!strstr(err.message, ": grid=half,xp=req,u=req")) fail_msg("%s", err.message);
    quamba_datapath_free(&dp);
}

/* ---- what a row is ----------------------------------------------------------------------------
 */

static void equal_rows(void **state)
{
    (void)state;
    static const char *const classes[] = {"0 2-0 5-0 ", "2-1 2-2 2-3 2-3@fork 2-4@fork ",
                                          "1 3@fork ", "5 5-1 ", "5@n25 6 "};
    const quamba_datapath *a, *b;
    for (size_t i = 0; (a = quamba_datapath_at(i)); i++)
        for (size_t j = 0; (b = quamba_datapath_at(j)); j++) {
            bool same = a == b;
            for (size_t k = 0; k < QM_COUNT(classes); k++) {
                char x[20], y[20], spaced[80];
                snprintf(spaced, sizeof spaced, " %s", classes[k]);
                snprintf(x, sizeof x, " %s ", a->id);
                snprintf(y, sizeof y, " %s ", b->id);
                same |= strstr(spaced, x) && strstr(spaced, y);
            }
            if (quamba_datapath_same(a, b) != same) fail_msg("%s and %s", a->id, b->id);
        }
}

static void flags(void **state)
{
    (void)state;
    const quamba_datapath *row;
    for (size_t i = 0; (row = quamba_datapath_at(i)); i++) {
        const quamba_datapath_info info = quamba_datapath_get_info(row);
        const bool whole = strcmp(row->id, "3") == 0 || strcmp(row->id, "5-3") == 0;
        assert_int_equal(info.causal, !whole);
        assert_int_equal(info.needs_outlier_scales, strcmp(row->id, "6-4") == 0);
        assert_int_equal(info.removed, strcmp(row->id, "1") == 0);
        assert_int_equal(info.beside[0] != '\0',
                         strchr("56", row->id[0]) && (!row->id[1] || row->id[1] == '@'));
    }
    assert_int_equal(quamba_datapath_get_info(row_of("5-4")).grid_bits, 9);
    assert_int_equal(quamba_datapath_get_info(row_of("6-3")).grid_bits, 9);
    assert_int_equal(quamba_datapath_get_info(row_of("5-7")).grid_bits, 9);
    assert_int_equal(quamba_datapath_get_info(row_of("0")).grid_bits, 8);
    assert_true(quamba_datapath_get_info(row_of("2-4")).exact_step);
    assert_false(quamba_datapath_get_info(row_of("0")).exact_step);
    assert_false(quamba_datapath_get_info(row_of("3")).exact_step);
}

/* ---- grids (spec/modes.md 3.3), s = 1 ---------------------------------------------------------
 */

enum { PER_STEP = 1024 };

static float apply(qm_grid grid, float v)
{
    qm_grid_apply(grid, QM_RND_AWAY, &v, 1, 1.0f, 1.0f);
    return v;
}

static void grid_values(void **state)
{
    (void)state;
    static const struct {
        qm_grid grid;
        int n;
    } counts[] = {
        {QM_GRID_VQ,      256},
        {QM_GRID_HALF,    384},
        {QM_GRID_QUARTER, 446},
        {QM_GRID_SEG3,    509}
    };
    for (size_t i = 0; i < QM_COUNT(counts); i++) {
        float last = -INFINITY;
        int n = 0;
        for (int k = -500 * 16; k <= 500 * 16; k++) {
            const float value = apply(counts[i].grid, (float)k / 16.0f);
            assert_true(value >= last); /* monotonous, so new values are new */
            n += value > last;
            last = value;
        }
        assert_int_equal(n, counts[i].n);
    }
    assert_true(apply(QM_GRID_HALF, 63.25f) == 63.5f && apply(QM_GRID_HALF, 63.5f) == 64.0f);
    assert_true(apply(QM_GRID_QUARTER, 31.4f) == 31.5f && apply(QM_GRID_QUARTER, 31.5f) == 32.0f);
    assert_false(signbit(apply(QM_GRID_VQ, -0.25f)));
}

/* Root of the mean square of grid(v) - v, v uniform in low .. high and its mirror image. */
static double rms(qm_grid grid, double low, double high)
{
    const int n = (int)((high - low) * PER_STEP);
    double sum = 0;
    for (int k = 0; k < n; k++)
        for (int sign = -1; sign <= 1; sign += 2) {
            const float v = (float)(sign * (low + (k + 0.5) / PER_STEP));
            const double d = (double)apply(grid, v) - (double)v;
            sum += d * d;
        }
    return sqrt(sum / (2 * n));
}

static void grid_errors(void **state)
{
    (void)state;
    static const double ranges[][2] = {
        {0,   8  },
        {16,  127},
        {128, 143},
        {144, 395}
    };
    static const struct {
        qm_grid grid;
        const char *rms[4]; /* as printed in the specification */
    } table[] = {
        {QM_GRID_VQ,      {"0.289", "0.289", "9.1", "159"}   },
        {QM_GRID_SEL,     {"0.289", "0.289", "0", "0"}       },
        {QM_GRID_HALF,    {"0.144", "0.238", "9.1", "159"}   },
        {QM_GRID_QUARTER, {"0.072", "0.269", "9.1", "159"}   },
        {QM_GRID_QLOG2,   {"0.072", "24.7", "43.9", "76"}    },
        {QM_GRID_SEG3,    {"0.072", "0.289", "0.289", "1.16"}},
    };
    for (size_t i = 0; i < QM_COUNT(table); i++)
        for (size_t r = 0; r < 4; r++) {
            const char *printed = table[i].rms[r], *point = strchr(printed, '.');
            const double digit = point ? pow(10.0, -(double)strlen(point + 1)) : 1.0;
            const double got = rms(table[i].grid, ranges[r][0], ranges[r][1]);
            if (fabs(got - atof(printed)) > 0.6 * digit)
                fail_msg("grid %d, %g to %g: %g, not %s", (int)table[i].grid, ranges[r][0],
                         ranges[r][1], got, printed);
        }
}

/* Share of x_proj codes that xp=req-grid changes for small values. */
static void double_rounding(void **state)
{
    (void)state;
    static const struct {
        qm_grid grid;
        double share;
    } table[] = {
        {QM_GRID_VQ,      0    },
        {QM_GRID_SEL,     0    },
        {QM_GRID_QUARTER, 0.125},
        {QM_GRID_QLOG2,   0.125},
        {QM_GRID_SEG3,    0.125}
    };
    for (size_t i = 0; i < QM_COUNT(table); i++) {
        int n = 0, changed = 0;
        for (int k = -8 * PER_STEP; k < 8 * PER_STEP; k++, n++) {
            const float v = ((float)k + 0.5f) / PER_STEP;
            changed += roundf(apply(table[i].grid, v)) != roundf(v);
        }
        const double share = (double)changed / n;
        if (fabs(share - table[i].share) > 0.0005) fail_msg("%d: %g", (int)table[i].grid, share);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_survive_their_description),
        cmocka_unit_test(lists_name_what_they_change),
        cmocka_unit_test(all_pairs_of_knobs),
        cmocka_unit_test(refusals_of_the_specification),
        cmocka_unit_test(equal_rows),
        cmocka_unit_test(flags),
        cmocka_unit_test(grid_values),
        cmocka_unit_test(grid_errors),
        cmocka_unit_test(double_rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

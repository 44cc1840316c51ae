/* Tables and JSON values. */
#include "cli/cli.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *printed(const qc_table *table, char out[1000])
{
    memset(out, 0, 1000);
    FILE *file = fmemopen(out, 1000, "w");
    assert_int_equal(qc_table_print(table, file), QC_OK);
    fclose(file);
    return out;
}

static void numbers_right_text_left(void **state)
{
    (void)state;
    char out[1000];
    qc_table *table = qc_table_new((const char *const[]){"task", "acc", "mode", "note"}, 4);
    assert_non_null(table);
    qc_table_cell(table, "%s", "lambada");
    qc_table_cell(table, "%.2f%%", 9.12);
    qc_table_cell(table, "%s", "0");
    qc_table_cell(table, "%s", "");
    qc_table_cell(table, "%s", "piqa");
    qc_table_cell(table, "%s", "-");
    qc_table_cell(table, "%s", "2-4");
    qc_table_cell(table, "%s", "x");
    qc_table_cell(table, "%s", "arc");
    qc_table_cell(table, "%s", "100 +- 2");
    qc_table_cell(table, "%s", "fp32");
    assert_string_equal(printed(table, out), "task          acc  mode  note\n"
                                             "lambada     9.12%  0\n"
                                             "piqa            -  2-4   x\n"
                                             "arc      100 +- 2  fp32\n");
    qc_table_free(&table);
    assert_null(table);
    qc_table_free(&table);
}

static void width_counts_characters(void **state)
{
    (void)state;
    char out[1000];
    qc_table *table = qc_table_new((const char *const[]){"a", "b"}, 2);
    qc_table_cell(table, "%s", "\xc3\xa9\xc3\xa9"); /* two characters in four bytes */
    qc_table_cell(table, "%s", "x");
    qc_table_cell(table, "%s", "\xff\xff\xff");
    qc_table_cell(table, "%s", "y");
    assert_string_equal(printed(table, out), "a    b\n\xc3\xa9\xc3\xa9   x\n\xff\xff\xff  y\n");
    qc_table_free(&table);
}

static void json_of_any_bytes(void **state)
{
    (void)state;
    json_t *text = qc_json_text("a\xc3\xa9\xc3", 4);
    assert_string_equal(json_string_value(text), "a\xc3\xa9\xef\xbf\xbd");
    json_decref(text);
    text = qc_json_text("a\0b", 3);
    assert_int_equal(json_string_length(text), 3);
    json_decref(text);
    text = qc_json_text("", 0);
    assert_string_equal(json_string_value(text), "");
    json_decref(text);
    json_t *real = qc_json_real((double)NAN);
    assert_true(json_is_null(real));
    json_decref(real);
    real = qc_json_real(0.1);
    assert_true(json_real_value(real) == 0.1);
    json_decref(real);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_right_text_left),
        cmocka_unit_test(width_counts_characters),
        cmocka_unit_test(json_of_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Tables with aligned columns. */
#include "cli/cli.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

struct qc_table {
    size_t n_columns, n_cells, capacity;
    char **cells; /* [n_cells], headings first */
    bool failed;  /* a cell found no memory */
};

static void add_cell(qc_table *table, char *text)
{
    if (text == NULL ||
        !qm_grow(&table->cells, &table->capacity, table->n_cells + 1, sizeof *table->cells)) {
        free(text);
        table->failed = true;
        return;
    }
    table->cells[table->n_cells++] = text;
}

qc_table *qc_table_new(const char *const *headings, size_t n_columns)
{
    qc_table *table = qm_alloc(1, sizeof *table);
    if (table == NULL) return NULL;
    table->n_columns = n_columns;
    for (size_t c = 0; c < n_columns; c++)
        add_cell(table, qm_strndup(headings[c], strlen(headings[c])));
    if (table->failed) qc_table_free(&table);
    return table;
}

void qc_table_cell(qc_table *table, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    char *text = size >= 0 ? qm_alloc((size_t)size + 1, 1) : NULL;
    if (text != NULL) vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    va_end(args);
    add_cell(table, text);
}

/* Columns that text takes on a terminal; a byte that is not UTF-8 counts as one. */
static size_t width(const char *text)
{
    size_t columns = 0;
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
    while (*at != 0) {
        utf8proc_int32_t character = 0;
        utf8proc_ssize_t n = utf8proc_iterate(at, -1, &character);
        columns += n > 0 ? (size_t)utf8proc_charwidth(character) : 1;
        at += n > 0 ? n : 1;
    }
    return columns;
}

/* "12", "-0.5", "1e-5", "nan", "24%", "3.1 ms", "0.142 +- 0.005"; not "2-4", not "f16". */
static bool is_number(const char *text)
{
    char *end = NULL;
    strtod(text, &end);
    return end != text && (*end == '\0' || *end == ' ' || strcmp(end, "%") == 0);
}

/* A column of numbers: some cell is one, and the others are empty or a dash. */
static bool is_numeric(const qc_table *table, size_t column)
{
    bool some = false;
    for (size_t i = table->n_columns + column; i < table->n_cells; i += table->n_columns) {
        const char *cell = table->cells[i];
        if (is_number(cell))
            some = true;
        else if (cell[0] != '\0' && strcmp(cell, "-") != 0)
            return false;
    }
    return some;
}

/* Prints a cell behind *blanks blanks and sets *blanks to what separates it from the next, so that
 * no line ends in blanks. */
static void print_cell(FILE *out, const char *text, size_t columns, bool right, int *blanks)
{
    int rest = (int)(columns - width(text));
    if (text[0] == '\0') {
        *blanks += rest;
    } else {
        fprintf(out, "%*s%s", *blanks + (right ? rest : 0), "", text);
        *blanks = right ? 0 : rest;
    }
    *blanks += 2;
}

int qc_table_print(const qc_table *table, FILE *out)
{
    size_t n = table->n_columns;
    size_t *columns = qm_alloc(n, sizeof *columns);
    bool *right = qm_alloc(n, sizeof *right);
    int status = table->failed || columns == NULL || right == NULL ? qc_fail_memory() : QC_OK;
    for (size_t i = 0; status == QC_OK && i < table->n_cells; i++) {
        size_t cell = width(table->cells[i]);
        if (cell > columns[i % n]) columns[i % n] = cell;
    }
    int blanks = 0;
    for (size_t c = 0; status == QC_OK && c < n; c++)
        right[c] = is_numeric(table, c);
    for (size_t i = 0; status == QC_OK && i < table->n_cells; i++) {
        print_cell(out, table->cells[i], columns[i % n], right[i % n], &blanks);
        if (i % n < n - 1 && i < table->n_cells - 1) continue;
        fputc('\n', out);
        blanks = 0;
    }
    free(columns);
    free(right);
    return status;
}

void qc_table_free(qc_table **table)
{
    if (*table == NULL) return;
    for (size_t i = 0; i < (*table)->n_cells; i++)
        free((*table)->cells[i]);
    free((*table)->cells);
    free(*table);
    *table = NULL;
}

/* Words: wrapping, and what an option says of itself. */
#include "cli/frame.h"

#include "base/text.h"

#include <inttypes.h>
#include <string.h>

/* One paragraph of n bytes without line ends that matter. */
static void wrap_paragraph(FILE *out, const char *text, size_t n, size_t indent, size_t width)
{
    size_t column = indent;
    for (size_t i = 0; i < n;) {
        size_t word = 0;
        while (i + word < n && text[i + word] != ' ' && text[i + word] != '\n')
            word++;
        if (column > indent && column + 1 + word > width) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent && word > 0) {
            fputc(' ', out);
            column++;
        }
        fwrite(text + i, 1, word, out);
        column += word;
        i += word;
        while (i < n && (text[i] == ' ' || text[i] == '\n'))
            i++;
    }
    fputc('\n', out);
}

void qc_wrap(FILE *out, const char *text, size_t indent, size_t width)
{
    for (const char *line = text; *line != '\0';) {
        if (line > text) fprintf(out, "%*s", *line == '\n' ? 0 : (int)indent, "");
        size_t n = strcspn(line, "\n");
        if (n == 0) {
            fputc('\n', out);
        } else if (line[0] == ' ') {
            fprintf(out, "%.*s\n", (int)n, line);
        } else { /* up to an empty or an indented line */
            while (line[n] == '\n' && line[n + 1] != '\n' && line[n + 1] != ' ' &&
                   line[n + 1] != '\0')
                n += 1 + strcspn(line + n + 1, "\n");
            wrap_paragraph(out, line, n, indent, width);
        }
        line += n + (line[n] == '\n');
    }
}

/* "; " before every detail but the first. */
static void add_detail(qm_text *text, size_t *n, const char *detail)
{
    qm_text_printf(text, "%s%s", (*n)++ > 0 ? "; " : " (", detail);
}

char *qc_option_describe(const qc_option *option)
{
    qm_text text = {0};
    char detail[160];
    size_t n = 0;
    qm_text_puts(&text, option->help);
    switch (option->kind) {
    case QC_KIND_FLAG:
        break;
    case QC_KIND_INT:
        if (option->integer.high >= INT32_MAX)
            snprintf(detail, sizeof detail, "at least %" PRId64, option->integer.low);
        else
            snprintf(detail, sizeof detail, "%" PRId64 " to %" PRId64, option->integer.low,
                     option->integer.high);
        if (option->integer.low != 0 || option->integer.high < INT32_MAX)
            add_detail(&text, &n, detail);
        if (option->integer.initial < option->integer.low) break;
        snprintf(detail, sizeof detail, "default %" PRId64, option->integer.initial);
        add_detail(&text, &n, detail);
        break;
    case QC_KIND_REAL:
        snprintf(detail, sizeof detail, "%g to %g", option->real.low, option->real.high);
        add_detail(&text, &n, detail);
        if (option->real.initial < option->real.low) break;
        snprintf(detail, sizeof detail, "default %g", option->real.initial);
        add_detail(&text, &n, detail);
        break;
    case QC_KIND_CHOICE:
        qm_text_puts(&text, " (");
        for (const char *c = option->choices; *c != '\0'; c++)
            qm_text_puts(&text, *c == '|' ? ", " : (char[2]){*c, '\0'});
        n = 1;
        /* fall through */
    case QC_KIND_STRING:
        if (option->initial == NULL) break;
        snprintf(detail, sizeof detail, "default %s", option->initial);
        add_detail(&text, &n, detail);
        break;
    case QC_KIND_LIST:
        add_detail(&text, &n, "may be given several times");
        break;
    }
    if (n > 0) qm_text_puts(&text, ")");
    if (text.failed) qm_text_free(&text);
    return text.data;
}

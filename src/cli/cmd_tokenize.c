/* quamba tokenize: text to ids and back. */
#include "cli/cli.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* ---- text and ids from the command line or stdin ----------------------------------------------
 */

static int read_stdin(qm_text *out)
{
    char part[1 << 16];
    size_t n;
    while ((n = fread(part, 1, sizeof part, stdin)) > 0)
        qm_text_add(out, part, n);
    if (ferror(stdin)) return qc_fail(QC_FAILED, "stdin: cannot read: %s", strerror(errno));
    qm_text_add(out, "", 0);
    return out->failed ? qc_fail_memory() : QC_OK;
}

/* The arguments behind MODEL with a blank between them; stdin, byte for byte, when there are none.
 */
static int read_input(const qc_options *opt, qm_text *out)
{
    if (opt->n_args < 2) return read_stdin(out);
    for (size_t i = 1; i < opt->n_args; i++) {
        if (i > 1) qm_text_puts(out, " ");
        qm_text_puts(out, opt->args[i]);
    }
    return out->failed ? qc_fail_memory() : QC_OK;
}

typedef struct id_list {
    int32_t *ids; /* owned */
    size_t n, capacity;
} id_list;

/* Ids between blanks, commas and the brackets of a JSON array. */
static int parse_ids(const qm_text *text, id_list *out)
{
    static const char between[] = " \t\r\n,[]";
    const char *at = text->data, *end = at + text->size;
    for (;;) {
        while (at < end && *at != '\0' && strchr(between, *at))
            at++;
        if (at == end) return QC_OK;
        char *stop;
        errno = 0;
        long id = strtol(at, &stop, 10);
        if (stop == at || (stop < end && (*stop == '\0' || !strchr(between, *stop))) ||
            errno != 0 || id < 0 || id > INT32_MAX) {
            size_t n = strcspn(at, between);
            return qc_fail(QC_USAGE, "tokenize: \"%.*s\" is no token id", n < 50 ? (int)n : 50, at);
        }
        if (!qm_grow(&out->ids, &out->capacity, out->n + 1, sizeof *out->ids))
            return qc_fail_memory();
        out->ids[out->n++] = (int32_t)id;
        at = stop;
    }
}

static json_t *json_ids(const int32_t *ids, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(array, json_integer(ids[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

/* ---- one text -----------------------------------------------------------------------------------
 */

/* The bytes as a C string literal would hold them, characters that show something as they are. */
static void show_piece(qm_text *out, const char *piece, size_t n)
{
    static const char plain[] = "\n\r\t\"\\", names[] = "nrt\"\\";
    qm_text_puts(out, "\"");
    for (size_t i = 0; i < n;) {
        uint32_t code = 0;
        size_t size = qm_utf8_next(piece + i, n - i, &code);
        const char *known = code > 0 && code < 0x80 ? strchr(plain, (int)code) : NULL;
        if (size == 0)
            qm_text_printf(out, "\\x%02X", (unsigned char)piece[i]);
        else if (known)
            qm_text_printf(out, "\\%c", names[known - plain]);
        else if (code < 0x20 || code == 0x7F)
            qm_text_printf(out, "\\x%02X", (unsigned)code);
        else if (code > 0x7F && utf8proc_charwidth((utf8proc_int32_t)code) == 0)
            qm_text_printf(out, "\\u{%04X}", (unsigned)code); /* marks, joiners, unassigned */
        else
            qm_text_add(out, piece + i, size);
        i += size > 0 ? size : 1;
    }
    qm_text_puts(out, "\"");
}

static void show_bytes(qm_text *out, const char *piece, size_t n)
{
    for (size_t i = 0; i < n; i++)
        qm_text_printf(out, "%s%02X", i > 0 ? " " : "", (unsigned char)piece[i]);
}

static int print_table(const quamba_tokenizer *t, const int32_t *ids, size_t n)
{
    qc_table *table = qc_table_new((const char *const[]){"id", "piece", "bytes"}, 3);
    if (!table) return qc_fail_memory();
    qm_text cell = {0};
    for (size_t i = 0; i < n; i++) {
        size_t n_bytes;
        const char *piece = quamba_tokenizer_piece(t, ids[i], &n_bytes);
        qc_table_cell(table, "%" PRId32, ids[i]);
        cell.size = 0;
        show_piece(&cell, piece, n_bytes);
        qc_table_cell(table, "%s", cell.data ? cell.data : "");
        cell.size = 0;
        qm_text_puts(&cell, "");
        show_bytes(&cell, piece, n_bytes);
        qc_table_cell(table, "%s", cell.data ? cell.data : "");
    }
    int status = cell.failed ? qc_fail_memory() : qc_table_print(table, stdout);
    qm_text_free(&cell);
    qc_table_free(&table);
    return status;
}

static int print_json(const quamba_tokenizer *t, const qm_text *text, const int32_t *ids, size_t n)
{
    json_t *tokens = json_array();
    qm_text bytes = {0};
    for (size_t i = 0; i < n && !bytes.failed; i++) {
        size_t n_bytes;
        const char *piece = quamba_tokenizer_piece(t, ids[i], &n_bytes);
        bytes.size = 0;
        qm_text_puts(&bytes, "");
        show_bytes(&bytes, piece, n_bytes);
        json_t *token =
            json_pack("{s:i, s:o, s:s}", "id", (int)ids[i], "piece", qc_json_text(piece, n_bytes),
                      "bytes", bytes.data ? bytes.data : "");
        if (json_array_append_new(tokens, token) != 0) bytes.failed = true;
    }
    json_t *root = NULL;
    if (bytes.failed)
        json_decref(tokens);
    else
        root = json_pack("{s:o, s:o, s:o}", "text", qc_json_text(text->data, text->size), "ids",
                         json_ids(ids, n), "tokens", tokens);
    qm_text_free(&bytes);
    int status = qc_print_json(root);
    json_decref(root);
    return status;
}

static int encode_input(const qc_options *opt, const quamba_tokenizer *t)
{
    qm_text text = {0};
    quamba_error err = {0};
    int32_t *ids = NULL;
    size_t n = 0;
    int status = read_input(opt, &text);
    if (status == QC_OK &&
        quamba_tokenizer_encode(t, text.data, text.size, &ids, &n, &err) != QUAMBA_OK)
        status = qc_fail_error(&err);
    if (status == QC_OK) {
        if (opt->json)
            status = print_json(t, &text, ids, n);
        else if (opt->quiet) {
            for (size_t i = 0; i < n; i++)
                printf("%s%" PRId32, i > 0 ? " " : "", ids[i]);
            putchar('\n');
        } else
            status = print_table(t, ids, n);
    }
    quamba_free(ids);
    qm_text_free(&text);
    return status;
}

static int decode_input(const qc_options *opt, const quamba_tokenizer *t)
{
    qm_text input = {0};
    id_list list = {0};
    quamba_error err = {0};
    char *text = NULL;
    size_t n = 0;
    int status = read_input(opt, &input);
    if (status == QC_OK) status = parse_ids(&input, &list);
    if (status == QC_OK &&
        quamba_tokenizer_decode(t, list.ids, list.n, false, &text, &n, &err) != QUAMBA_OK)
        status = qc_fail_error(&err);
    if (status == QC_OK && opt->json) {
        json_t *root = json_pack("{s:o, s:o}", "ids", json_ids(list.ids, list.n), "text",
                                 qc_json_text(text, n));
        status = qc_print_json(root);
        json_decref(root);
    } else if (status == QC_OK)
        fwrite(text, 1, n, stdout); /* exactly the bytes: no newline of ours */
    quamba_free(text);
    free(list.ids);
    qm_text_free(&input);
    return status;
}

/* ---- lines of a file
 * ------------------------------------------------------------------------------ */

/* The ids of a line that has no text. */
static quamba_status ids_of(const json_t *array, id_list *out, quamba_error *err)
{
    if (!json_is_array(array))
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "needs \"text\" (a string) or \"ids\" (an array)");
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *id = json_array_get(array, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > INT32_MAX)
            return qm_fail(err, QUAMBA_E_FORMAT, i, "ids[%zu] is no token id", i);
        if (!qm_grow(&out->ids, &out->capacity, out->n + 1, sizeof *out->ids))
            return qm_fail_memory(err, out->n, "token ids");
        out->ids[out->n++] = (int32_t)json_integer_value(id);
    }
    return QUAMBA_OK;
}

static quamba_status work_line(const quamba_tokenizer *t, const char *line, size_t n,
                               quamba_error *err)
{
    json_t *root = NULL;
    id_list list = {0};
    char *decoded = NULL;
    size_t n_decoded = 0;
    quamba_status status = qm_json_parse_text(&root, line, n, err);
    json_t *text = json_object_get(root, "text");
    if (status == QUAMBA_OK && text && !json_is_string(text))
        status = qm_fail(err, QUAMBA_E_FORMAT, 0, "\"text\" must be a string");
    else if (status == QUAMBA_OK && text)
        status = quamba_tokenizer_encode(t, json_string_value(text), json_string_length(text),
                                         &list.ids, &list.n, err);
    else if (status == QUAMBA_OK)
        status = ids_of(json_object_get(root, "ids"), &list, err);
    if (status == QUAMBA_OK)
        status = quamba_tokenizer_decode(t, list.ids, list.n, false, &decoded, &n_decoded, err);
    if (status == QUAMBA_OK) {
        json_t *out = json_object();
        if (text) json_object_set(out, "text", text);
        json_object_set_new(out, "ids", json_ids(list.ids, list.n));
        json_object_set_new(out, "decoded", qc_json_text(decoded, n_decoded));
        size_t wanted = text ? 3 : 2;
        if (json_object_size(out) != wanted || json_dumpf(out, stdout, JSON_COMPACT) != 0)
            status = ferror(stdout) ? QUAMBA_OK /* qc_finish_output says why */
                                    : qm_fail_memory(err, n, "a line");
        putchar('\n');
        json_decref(out);
    }
    quamba_free(decoded);
    quamba_free(list.ids);
    json_decref(root);
    return status;
}

static int work_file(const qc_options *opt, const quamba_tokenizer *t)
{
    bool is_stdin = strcmp(opt->jsonl, "-") == 0;
    const char *name = is_stdin ? "stdin" : opt->jsonl;
    FILE *file = is_stdin ? stdin : fopen(opt->jsonl, "rb");
    if (!file) return qc_fail(QC_FAILED, "%s: cannot open: %s", name, strerror(errno));
    char *line = NULL;
    size_t capacity = 0;
    int status = QC_OK;
    errno = 0;
    for (uint64_t number = 1; status == QC_OK && !ferror(stdout); number++) {
        ssize_t n = getline(&line, &capacity, file);
        if (n < 0) break;
        if (strspn(line, " \t\r\n") == (size_t)n) continue;
        quamba_error err = {0};
        if (work_line(t, line, (size_t)n, &err) == QUAMBA_OK) continue;
        status = qc_fail(QC_FAILED, "%s: line %" PRIu64 ": %s", name, number, err.message);
    }
    if (status == QC_OK && !feof(file) && !ferror(stdout))
        status = qc_fail(QC_FAILED, "%s: cannot read: %s", name, strerror(errno));
    free(line);
    if (!is_stdin) fclose(file);
    return status;
}

static int run(const qc_options *opt)
{
    if (opt->jsonl && (opt->decode || opt->json || opt->n_args > 1))
        return qc_fail(QC_USAGE, "tokenize: --jsonl takes no text, no --decode and no --json: its "
                                 "lines say what is wanted");
    quamba_tokenizer *t = NULL;
    int status = qc_open_tokenizer(&t, opt, opt->args[0]);
    if (status != QC_OK) return status;
    status = opt->jsonl    ? work_file(opt, t)
             : opt->decode ? decode_input(opt, t)
                           : encode_input(opt, t);
    quamba_tokenizer_close(&t);
    int finished = qc_finish_output();
    return status != QC_OK ? status : finished;
}

const qc_command qc_cmd_tokenize = {
    .name = "tokenize",
    .usage = "[OPTIONS] MODEL [TEXT...]",
    .summary = "text to token ids and back",
    .description =
        "Shows the ids, pieces and bytes of TEXT (several are joined by blanks), or of stdin when "
        "there is none.  MODEL is a directory with tokenizer.json, or such a file.\n\n"
        "With --quiet only the ids are printed.  --decode reads ids between blanks or commas and "
        "writes exactly the bytes they stand for.\n\n"
        "--jsonl works through a file: a line with \"text\" becomes a line with \"text\", \"ids\" "
        "and \"decoded\" (what is not UTF-8 is shown as U+FFFD there); a line with only \"ids\" "
        "becomes one with \"ids\" and \"decoded\".",
    .examples = "quamba tokenize models/demo \"Once upon a time\"\n"
                "quamba tokenize --quiet models/demo < README.md\n"
                "quamba tokenize --decode models/demo 352 1047\n"
                "quamba tokenize --jsonl - models/demo < lines.jsonl\n",
    .options = "decode jsonl pretrained-dir",
    .min_args = 1,
    .max_args = -1,
    .run = run,
};

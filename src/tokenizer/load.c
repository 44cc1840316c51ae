#include "tokenizer/tokenizer.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "tokenizer/scan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- the members we use, as text --------------------------------------------------------------
 */

#define MEMBERS(X)                                                                                 \
    X(added_tokens)                                                                                \
    X(normalizer)                                                                                  \
    X(pre_tokenizer)                                                                               \
    X(decoder)                                                                                     \
    X(model)

#define MODEL_MEMBERS(X)                                                                           \
    X(type)                                                                                        \
    X(vocab)                                                                                       \
    X(merges)                                                                                      \
    X(dropout)                                                                                     \
    X(continuing_subword_prefix)                                                                   \
    X(end_of_word_suffix)                                                                          \
    X(byte_fallback)                                                                               \
    X(ignore_merges)

typedef struct document {
#define SPAN(name) qm_scan_span name;
    MEMBERS(SPAN)
    struct {
        MODEL_MEMBERS(SPAN)
    } in_model;
#undef SPAN
} document;

typedef struct member_name {
    const char *name;
    qm_scan_span *span;
} member_name;

/* Notes where the named members of an object are; others are passed over. */
static quamba_status find_members(qm_scan_span object, const member_name *names, size_t n_names,
                                  quamba_error *err)
{
    qm_scan scan = qm_scan_open(object);
    bool started = false, more = false;
    quamba_status status;
    while ((status = qm_scan_next(&scan, "{}", &started, &more, err)) == QUAMBA_OK && more) {
        qm_scan_span key, value, *wanted = NULL;
        const char *name = NULL;
        status = qm_scan_string(&scan, &key, err);
        for (size_t i = 0; i < n_names && status == QUAMBA_OK && !wanted; i++)
            if (strlen(names[i].name) == key.size &&
                memcmp(names[i].name, key.data, key.size) == 0) {
                wanted = names[i].span;
                name = names[i].name;
            }
        if (status == QUAMBA_OK) status = qm_scan_expect(&scan, ':', err);
        if (status == QUAMBA_OK) status = qm_scan_value(&scan, &value, err);
        if (status != QUAMBA_OK) break;
        if (wanted && wanted->data) {
            status = qm_fail(err, QUAMBA_E_FORMAT, 0, "\"%s\" stands there twice", name);
            break;
        }
        if (wanted) *wanted = value;
    }
    if (status == QUAMBA_OK) status = qm_scan_end(&scan, err);
    qm_scan_close(&scan);
    return status;
}

static quamba_status find_all(document *doc, qm_scan_span whole, quamba_error *err)
{
#define NAME(member) {#member, &doc->member},
    const member_name names[] = {MEMBERS(NAME)};
#undef NAME
#define NAME(member) {#member, &doc->in_model.member},
    const member_name model_names[] = {MODEL_MEMBERS(NAME)};
#undef NAME
    quamba_status status = find_members(whole, names, QM_COUNT(names), err);
    if (status != QUAMBA_OK) return status;
    if (!doc->model.data)
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "no \"model\": not a tokenizer.json");
    status = find_members(doc->model, model_names, QM_COUNT(model_names), err);
    return status == QUAMBA_OK ? status : qm_fail_in(err, status, "model");
}

/* A small member as a tree; *value NULL when it is absent or null. */
static quamba_status parse_span(json_t **value, qm_scan_span span, const char *name,
                                quamba_error *err)
{
    *value = NULL;
    if (!span.data) return QUAMBA_OK;
    quamba_status status = qm_json_parse(value, span.data, span.size, err);
    if (status != QUAMBA_OK) return qm_fail_in(err, status, name);
    if (json_is_null(*value)) {
        json_decref(*value);
        *value = NULL;
    }
    return QUAMBA_OK;
}

static quamba_status fail_type(quamba_error *err, const char *name, const char *wanted)
{
    return qm_fail(err, QUAMBA_E_FORMAT, 0, "%s must be %s", name, wanted);
}

/* ---- the model ----------------------------------------------------------------------------------
 */

static quamba_status load_vocab(qm_vocab *vocab, qm_scan_span span, quamba_error *err)
{
    if (!span.data) return qm_fail(err, QUAMBA_E_FORMAT, 0, "model has no \"vocab\"");
    qm_scan scan = qm_scan_open(span);
    bool started = false, more = false;
    quamba_status status;
    while ((status = qm_scan_next(&scan, "{}", &started, &more, err)) == QUAMBA_OK && more) {
        qm_scan_span key;
        int64_t id;
        status = qm_scan_string(&scan, &key, err);
        if (status == QUAMBA_OK) status = qm_scan_expect(&scan, ':', err);
        /* The key stays where it is while a number is read. */
        if (status == QUAMBA_OK) status = qm_scan_int(&scan, &id, err);
        if (status == QUAMBA_OK) status = qm_vocab_add(vocab, key.data, key.size, id, 0, err);
        if (status != QUAMBA_OK) break;
    }
    if (status == QUAMBA_OK) status = qm_scan_end(&scan, err);
    qm_scan_close(&scan);
    return status == QUAMBA_OK ? status : qm_fail_in(err, status, "model.vocab");
}

/* Number of members of an array, at most: for sizing only. */
static quamba_status count_members(qm_scan_span span, size_t *n, quamba_error *err)
{
    qm_scan scan = qm_scan_open(span);
    bool started = false, more = false;
    quamba_status status;
    qm_scan_span value;
    *n = 0;
    while ((status = qm_scan_next(&scan, "[]", &started, &more, err)) == QUAMBA_OK && more) {
        status = qm_scan_value(&scan, &value, err);
        if (status != QUAMBA_OK) break;
        ++*n;
    }
    qm_scan_close(&scan);
    return status;
}

/* One merge, "a b" or ["a", "b"]: both parts' bytes one after the other in parts, *n_left of them
 * the left one's. */
static quamba_status read_merge(qm_scan *scan, qm_text *parts, size_t *n_left, quamba_error *err)
{
    qm_scan_span text;
    bool good;
    parts->size = 0;
    quamba_status status;
    if (qm_scan_peek(scan) == '[') {
        status = qm_scan_expect(scan, '[', err);
        if (status == QUAMBA_OK) status = qm_scan_string(scan, &text, err);
        if (status != QUAMBA_OK) return status;
        good = qm_vocab_unspell(parts, text.data, text.size);
        *n_left = parts->size;
        status = qm_scan_expect(scan, ',', err);
        if (status == QUAMBA_OK) status = qm_scan_string(scan, &text, err);
        if (status == QUAMBA_OK) good = good && qm_vocab_unspell(parts, text.data, text.size);
        if (status == QUAMBA_OK) status = qm_scan_expect(scan, ']', err);
    } else {
        status = qm_scan_string(scan, &text, err);
        if (status != QUAMBA_OK) return status;
        const char *blank = text.size > 0 ? memchr(text.data, ' ', text.size) : NULL;
        if (!blank)
            return qm_fail(err, QUAMBA_E_FORMAT, 0, "\"%.*s\" is not two tokens and a blank",
                           text.size < 100 ? (int)text.size : 100, text.data);
        size_t left = (size_t)(blank - text.data);
        good = qm_vocab_unspell(parts, text.data, left);
        *n_left = parts->size;
        /* A second blank is not in the byte alphabet and fails here. */
        good = good && qm_vocab_unspell(parts, blank + 1, text.size - left - 1);
    }
    if (status == QUAMBA_OK && !good)
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "a part is not spelled in the byte alphabet");
    if (parts->failed) return qm_fail_memory(err, parts->size, "a merge");
    return status;
}

static quamba_status find_part(const qm_vocab *vocab, const char *bytes, size_t n, const char *what,
                               int32_t *id, quamba_error *err)
{
    *id = qm_vocab_find(vocab, bytes ? bytes : "", n, 0);
    if (*id >= 0 && n > 0) return QUAMBA_OK;
    qm_text shown = {0};
    qm_text_add_lossy(&shown, bytes, n < 100 ? n : 100);
    qm_fail(err, QUAMBA_E_FORMAT, 0, "the %s \"%s\" is not in the vocabulary", what,
            shown.data ? shown.data : "");
    qm_text_free(&shown);
    return QUAMBA_E_FORMAT;
}

static quamba_status load_merges(qm_bpe *bpe, const qm_vocab *vocab, qm_scan_span span,
                                 quamba_error *err)
{
    if (!span.data) return qm_fail(err, QUAMBA_E_FORMAT, 0, "model has no \"merges\"");
    size_t n = 0;
    quamba_status status = count_members(span, &n, err);
    if (status == QUAMBA_OK) status = qm_bpe_init(bpe, n, err);
    if (status != QUAMBA_OK) return qm_fail_in(err, status, "model.merges");
    qm_scan scan = qm_scan_open(span);
    qm_text parts = {0};
    bool started = false, more = false;
    size_t rank = 0, n_left = 0;
    while ((status = qm_scan_next(&scan, "[]", &started, &more, err)) == QUAMBA_OK && more) {
        int32_t left = -1, right = -1, joined = -1;
        status = read_merge(&scan, &parts, &n_left, err);
        const char *bytes = parts.data;
        size_t n_right = parts.size - n_left;
        if (status == QUAMBA_OK) status = find_part(vocab, bytes, n_left, "left token", &left, err);
        if (status == QUAMBA_OK)
            status = find_part(vocab, bytes + n_left, n_right, "right token", &right, err);
        if (status == QUAMBA_OK)
            status = find_part(vocab, bytes, parts.size, "result", &joined, err);
        if (status != QUAMBA_OK) break;
        qm_bpe_add(bpe, left, right, (uint32_t)rank++, joined);
    }
    if (status == QUAMBA_OK) status = qm_scan_end(&scan, err);
    qm_scan_close(&scan);
    qm_text_free(&parts);
    if (status == QUAMBA_OK) return status;
    char where[64];
    snprintf(where, sizeof where, "model.merges[%zu]", rank);
    return qm_fail_in(err, status, where);
}

/* Members of the model that change what it computes, in values we do not compute. */
static quamba_status check_model(const document *doc, bool *ignore_merges, quamba_error *err)
{
    json_t *value = NULL;
    quamba_status status = parse_span(&value, doc->in_model.type, "model.type", err);
    if (status != QUAMBA_OK) return status;
    const char *type = value && json_is_string(value) ? json_string_value(value) : "BPE";
    if (value && !json_is_string(value))
        status = fail_type(err, "model.type", "a string");
    else if (strcmp(type, "BPE") != 0)
        status =
            qm_fail(err, QUAMBA_E_UNSUPPORTED, 0, "model.type is \"%.100s\", only \"BPE\"", type);
    json_decref(value);
    if (status != QUAMBA_OK) return status;

    const struct {
        qm_scan_span span;
        const char *name;
    } affixes[] = {
        {doc->in_model.continuing_subword_prefix, "model.continuing_subword_prefix"},
        {doc->in_model.end_of_word_suffix,        "model.end_of_word_suffix"       },
    };
    for (size_t i = 0; i < QM_COUNT(affixes); i++) {
        status = parse_span(&value, affixes[i].span, affixes[i].name, err);
        if (status != QUAMBA_OK) return status;
        if (value && !json_is_string(value))
            status = fail_type(err, affixes[i].name, "a string or null");
        else if (value && json_string_length(value) > 0)
            status = qm_fail(err, QUAMBA_E_UNSUPPORTED, 0, "%s is \"%.100s\", only \"\" or null",
                             affixes[i].name, json_string_value(value));
        json_decref(value);
        if (status != QUAMBA_OK) return status;
    }

    status = parse_span(&value, doc->in_model.dropout, "model.dropout", err);
    if (status != QUAMBA_OK) return status;
    if (value && !json_is_number(value))
        status = fail_type(err, "model.dropout", "a number or null");
    else if (value && !(json_number_value(value) == 0))
        status = qm_fail(err, QUAMBA_E_UNSUPPORTED, 0,
                         "model.dropout is %g: merging at random is not supported, set it to null",
                         json_number_value(value));
    json_decref(value);
    if (status != QUAMBA_OK) return status;

    status = parse_span(&value, doc->in_model.byte_fallback, "model.byte_fallback", err);
    if (status != QUAMBA_OK) return status;
    if (value && !json_is_boolean(value))
        status = fail_type(err, "model.byte_fallback", "true or false");
    else if (json_is_true(value))
        status = qm_fail(err, QUAMBA_E_UNSUPPORTED, 0,
                         "model.byte_fallback is true: only byte-level BPE, which needs none");
    json_decref(value);
    if (status != QUAMBA_OK) return status;

    status = parse_span(&value, doc->in_model.ignore_merges, "model.ignore_merges", err);
    if (status != QUAMBA_OK) return status;
    if (value && !json_is_boolean(value))
        status = fail_type(err, "model.ignore_merges", "true or false");
    *ignore_merges = json_is_true(value);
    json_decref(value);
    return status;
}

/* ---- normalizer, pre-tokenizer, decoder ---------------------------------------------------------
 */

/* The "type" of a component. */
static quamba_status type_of(const json_t *object, const char *name, const char **type,
                             quamba_error *err)
{
    *type = NULL;
    if (!json_is_object(object)) return fail_type(err, name, "an object or null");
    quamba_status status = qm_json_string(object, "type", type, err);
    if (status != QUAMBA_OK) return qm_fail_in(err, status, name);
    return *type ? QUAMBA_OK : qm_fail(err, QUAMBA_E_FORMAT, 0, "%s has no \"type\"", name);
}

/* The parts of a Sequence. */
static quamba_status parts_of(const json_t *object, const char *name, const char *key,
                              const json_t **parts, quamba_error *err)
{
    *parts = json_object_get(object, key);
    if (json_is_array(*parts)) return QUAMBA_OK;
    return qm_fail(err, QUAMBA_E_FORMAT, 0, "%s is a Sequence without an array \"%s\"", name, key);
}

static quamba_status fail_steps(quamba_error *err, const char *name)
{
    return qm_fail(err, QUAMBA_E_LIMIT, 0, "%s has more than %d steps", name,
                   QM_TOKENIZER_MAX_STEPS);
}

static quamba_status add_normalizer(quamba_tokenizer *t, const json_t *object, quamba_error *err)
{
    static const struct {
        const char *name;
        qm_norm form;
    } forms[] = {
        {"NFC",  QM_NFC },
        {"NFD",  QM_NFD },
        {"NFKC", QM_NFKC},
        {"NFKD", QM_NFKD}
    };
    const char *type;
    quamba_status status = type_of(object, "normalizer", &type, err);
    if (status != QUAMBA_OK) return status;
    for (size_t i = 0; i < QM_COUNT(forms); i++) {
        if (strcmp(type, forms[i].name) != 0) continue;
        if (t->n_norms == QM_TOKENIZER_MAX_STEPS) return fail_steps(err, "normalizer");
        t->norms[t->n_norms++] = forms[i].form;
        return QUAMBA_OK;
    }
    if (strcmp(type, "Sequence") != 0)
        return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0,
                       "normalizer \"%.100s\": only NFC, NFD, NFKC, NFKD and Sequence", type);
    const json_t *parts;
    status = parts_of(object, "normalizer", "normalizers", &parts, err);
    for (size_t i = 0; i < json_array_size(parts) && status == QUAMBA_OK; i++)
        status = add_normalizer(t, json_array_get(parts, i), err);
    return status;
}

static quamba_status add_byte_level(quamba_tokenizer *t, const json_t *object, quamba_error *err)
{
    bool use_regex = true;
    t->byte_level = t->n_splits;
    t->add_prefix_space = true; /* the reference's default, as is use_regex */
    quamba_status status = qm_json_bool(object, "add_prefix_space", &t->add_prefix_space, err);
    if (status == QUAMBA_OK) status = qm_json_bool(object, "use_regex", &use_regex, err);
    if (status != QUAMBA_OK) return qm_fail_in(err, status, "pre_tokenizer ByteLevel");
    if (!use_regex) return QUAMBA_OK;
    if (t->n_splits == QM_TOKENIZER_MAX_STEPS) return fail_steps(err, "pre_tokenizer");
    status = qm_split_new_gpt2(&t->splits[t->n_splits], err);
    if (status == QUAMBA_OK) t->n_splits++;
    return status;
}

static quamba_status add_split(quamba_tokenizer *t, const json_t *object, quamba_error *err)
{
    static const char *const behaviors[] = {
#define NAME(name, text) [QM_SPLIT_##name] = text,
        QM_SPLIT_BEHAVIORS(NAME)
#undef NAME
    };
    bool invert = false;
    const char *behavior = NULL, *literal = NULL, *regex = NULL;
    const json_t *pattern = json_object_get(object, "pattern");
    quamba_status status = qm_json_bool(object, "invert", &invert, err);
    if (status == QUAMBA_OK) status = qm_json_string(object, "behavior", &behavior, err);
    if (status == QUAMBA_OK && json_is_object(pattern)) {
        status = qm_json_string(pattern, "String", &literal, err);
        if (status == QUAMBA_OK) status = qm_json_string(pattern, "Regex", &regex, err);
    }
    if (status != QUAMBA_OK) return qm_fail_in(err, status, "pre_tokenizer Split");
    if (!literal == !regex)
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "pre_tokenizer Split: \"pattern\" must hold either \"Regex\" or \"String\"");
    size_t which = 0;
    while (which < QM_COUNT(behaviors) && behavior && strcmp(behavior, behaviors[which]) != 0)
        which++;
    if (!behavior || which == QM_COUNT(behaviors))
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "pre_tokenizer Split: unknown behavior \"%.100s\"",
                       behavior ? behavior : "");
    if (literal && !*literal) return QUAMBA_OK; /* is found nowhere */
    if (t->n_splits == QM_TOKENIZER_MAX_STEPS) return fail_steps(err, "pre_tokenizer");
    const char *text = literal ? literal : regex;
    status = qm_split_new(&t->splits[t->n_splits], text, strlen(text), literal != NULL,
                          (qm_split_behavior)which, invert, err);
    if (status != QUAMBA_OK) return qm_fail_in(err, status, "pre_tokenizer Split");
    t->n_splits++;
    return QUAMBA_OK;
}

/* *byte_level becomes true when ByteLevel was seen, behind which nothing can follow: what it hands
 * on are bytes. */
static quamba_status add_pre_tokenizer(quamba_tokenizer *t, const json_t *object, bool *byte_level,
                                       quamba_error *err)
{
    const char *type;
    quamba_status status = type_of(object, "pre_tokenizer", &type, err);
    if (status != QUAMBA_OK) return status;
    if (strcmp(type, "Sequence") == 0) {
        const json_t *parts;
        status = parts_of(object, "pre_tokenizer", "pretokenizers", &parts, err);
        for (size_t i = 0; i < json_array_size(parts) && status == QUAMBA_OK; i++)
            status = add_pre_tokenizer(t, json_array_get(parts, i), byte_level, err);
        return status;
    }
    if (*byte_level)
        return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0, "pre_tokenizer \"%.100s\" after ByteLevel",
                       type);
    *byte_level = strcmp(type, "ByteLevel") == 0;
    if (*byte_level) return add_byte_level(t, object, err);
    if (strcmp(type, "Split") == 0) return add_split(t, object, err);
    return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0,
                   "pre_tokenizer \"%.100s\": only ByteLevel, Split and Sequence", type);
}

static quamba_status load_steps(quamba_tokenizer *t, const document *doc, quamba_error *err)
{
    json_t *value;
    quamba_status status = parse_span(&value, doc->normalizer, "normalizer", err);
    if (status == QUAMBA_OK && value) status = add_normalizer(t, value, err);
    json_decref(value);
    if (status != QUAMBA_OK) return status;

    bool byte_level = false;
    status = parse_span(&value, doc->pre_tokenizer, "pre_tokenizer", err);
    if (status == QUAMBA_OK && value) status = add_pre_tokenizer(t, value, &byte_level, err);
    json_decref(value);
    if (status == QUAMBA_OK && !byte_level)
        status = qm_fail(err, QUAMBA_E_UNSUPPORTED, 0,
                         "pre_tokenizer without ByteLevel: only byte-level BPE is supported");
    if (status != QUAMBA_OK) return status;

    const char *type = "ByteLevel";
    status = parse_span(&value, doc->decoder, "decoder", err);
    if (status == QUAMBA_OK && value) status = type_of(value, "decoder", &type, err);
    if (status == QUAMBA_OK && strcmp(type, "ByteLevel") != 0)
        status = qm_fail(err, QUAMBA_E_UNSUPPORTED, 0, "decoder \"%.100s\": only ByteLevel", type);
    json_decref(value);
    return status;
}

/* ---- added tokens
 * -------------------------------------------------------------------------------- */

static quamba_status load_added_token(qm_vocab *vocab, const json_t *object, quamba_error *err)
{
    static const struct {
        const char *name;
        uint8_t flag;
    } names[] = {
        {"special",     QM_PIECE_SPECIAL    },
        {"lstrip",      QM_PIECE_LSTRIP     },
        {"rstrip",      QM_PIECE_RSTRIP     },
        {"single_word", QM_PIECE_SINGLE_WORD},
        {"normalized",  QM_PIECE_NORMALIZED },
    };
    if (!json_is_object(object)) return fail_type(err, "an added token", "an object");
    int64_t id = -1;
    const char *content = NULL;
    bool value;
    uint8_t flags = QM_PIECE_ADDED;
    quamba_status status = qm_json_int(object, "id", 0, QM_TOKENIZER_MAX_ID, &id, err);
    if (status == QUAMBA_OK) status = qm_json_string(object, "content", &content, err);
    for (size_t i = 0; i < QM_COUNT(names) && status == QUAMBA_OK; i++) {
        value = false;
        status = qm_json_bool(object, names[i].name, &value, err);
        if (value) flags |= names[i].flag;
    }
    if (status != QUAMBA_OK) return status;
    if (id < 0 || !content || !*content)
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "needs \"id\" and a \"content\" that is not empty");
    size_t n = strlen(content);
    if (n > QM_ADDED_MAX_BYTES)
        return qm_fail(err, QUAMBA_E_LIMIT, n, "content of %zu bytes, at most %d", n,
                       QM_ADDED_MAX_BYTES);
    int32_t known = -1;
    status = qm_vocab_find_spelled(vocab, content, n, &known, err);
    if (status != QUAMBA_OK) return status;
    if (known >= 0 && known != id)
        return qm_fail(err, QUAMBA_E_FORMAT, (uint64_t)id,
                       "\"%.100s\" has id %" PRId64 " but is %" PRId32 " in the vocabulary",
                       content, id, known);
    if (known < 0) return qm_vocab_add(vocab, content, n, id, flags, err);
    if (vocab->flags[known] & QM_PIECE_ADDED)
        return qm_fail(err, QUAMBA_E_FORMAT, (uint64_t)id, "id %" PRId64 " is given twice", id);
    vocab->flags[known] |= flags;
    return QUAMBA_OK;
}

/* Enters an added token where the encoder will look for it. */
static quamba_status file_added_token(quamba_tokenizer *t, const json_t *object, quamba_error *err)
{
    int32_t id = (int32_t)json_integer_value(json_object_get(object, "id"));
    const char *content = json_string_value(json_object_get(object, "content"));
    size_t n = strlen(content);
    if (!(t->vocab.flags[id] & QM_PIECE_NORMALIZED))
        return qm_added_add(&t->raw, content, n, id, err);
    qm_text text = {0};
    qm_text_add(&text, content, n);
    quamba_status status = QUAMBA_OK;
    for (size_t i = 0; i < t->n_norms && status == QUAMBA_OK && !text.failed; i++) {
        qm_text next = {0};
        status = qm_normalize(t->norms[i], text.data, text.size, &next, err);
        qm_text_free(&text);
        text = next;
    }
    if (status == QUAMBA_OK && text.failed) status = qm_fail_memory(err, n, "an added token");
    if (status == QUAMBA_OK) status = qm_added_add(&t->normalized, text.data, text.size, id, err);
    qm_text_free(&text);
    return status;
}

static quamba_status load_added(quamba_tokenizer *t, qm_scan_span span, quamba_error *err)
{
    json_t *array;
    quamba_status status = parse_span(&array, span, "added_tokens", err);
    if (status == QUAMBA_OK && array && !json_is_array(array))
        status = fail_type(err, "added_tokens", "an array");
    for (size_t i = 0; i < json_array_size(array) && status == QUAMBA_OK; i++) {
        status = load_added_token(&t->vocab, json_array_get(array, i), err);
        if (status != QUAMBA_OK) {
            char where[64];
            snprintf(where, sizeof where, "added_tokens[%zu]", i);
            qm_fail_in(err, status, where);
        }
    }
    if (status == QUAMBA_OK) status = qm_vocab_index(&t->vocab, err);
    /* Special ones first: of two with the same normal form the first is found, as in the
     * reference. */
    for (int special = 1; special >= 0; special--)
        for (size_t i = 0; i < json_array_size(array) && status == QUAMBA_OK; i++) {
            const json_t *object = json_array_get(array, i);
            if (json_is_true(json_object_get(object, "special")) == (special == 1))
                status = file_added_token(t, object, err);
        }
    json_decref(array);
    t->raw.flags = t->normalized.flags = t->vocab.flags;
    return status;
}

quamba_status qm_tokenizer_load(quamba_tokenizer *t, const char *json, size_t size,
                                quamba_error *err)
{
    enum { MAX_SIZE = 1 << 30 };
    if (size > MAX_SIZE)
        return qm_fail(err, QUAMBA_E_LIMIT, size, "tokenizer of %zu bytes, at most %d", size,
                       MAX_SIZE);
    document doc = {0};
    quamba_status status = find_all(&doc, (qm_scan_span){json ? json : "", size}, err);
    if (status == QUAMBA_OK) status = check_model(&doc, &t->ignore_merges, err);
    if (status == QUAMBA_OK) status = load_steps(t, &doc, err);
    if (status == QUAMBA_OK) status = load_vocab(&t->vocab, doc.in_model.vocab, err);
    if (status == QUAMBA_OK) status = qm_vocab_index(&t->vocab, err);
    if (status == QUAMBA_OK) status = load_merges(&t->bpe, &t->vocab, doc.in_model.merges, err);
    if (status == QUAMBA_OK) status = load_added(t, doc.added_tokens, err);
    if (status != QUAMBA_OK) return status;
    static const char *const ends[] = {"<|endoftext|>", "</s>", "<|im_end|>"};
    t->end_id = -1;
    for (size_t i = 0; i < QM_COUNT(ends) && t->end_id < 0; i++)
        t->end_id = quamba_tokenizer_find(t, ends[i]);
    return QUAMBA_OK;
}

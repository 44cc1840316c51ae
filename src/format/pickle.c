/* A stack machine for pickles of protocol 2 to 5 as torch.save writes them.  Values are 16 bytes on
 * a stack; tuples, dictionaries and tensors live in tables that only grow, and every opcode adds
 * at most one row, so the size of the pickle bounds the memory.  Nothing recurses. */
#include "format/pickle.h"

#include "base/mem.h"
#include "format/source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PICKLE = 32 << 20 }; /* a state dict takes about 200 bytes per tensor */

typedef enum kind {
    UNSET, /* an empty memo slot */
    MARK,
    NONE,
    BOOL,
    INT,
    FLOAT,
    STRING,  /* at, n: bytes of the pickle */
    TUPLE,   /* at, n: rows of items */
    LIST,    /* contents are not kept: no value we use is a list */
    DICT,    /* at: row of dicts */
    GLOBAL,  /* at: row of globals[] */
    STORAGE, /* at: row of storages */
    TENSOR   /* at: row of tensors */
} kind;

typedef struct value {
    uint8_t kind;
    uint32_t n;
    union {
        int64_t integer;
        double real;
        size_t at;
    };
} value;

typedef struct entry {
    value key, item;
    size_t next; /* row of entries + 1; 0 ends the list */
} entry;

typedef struct dict {
    size_t first, last; /* rows of entries + 1 */
} dict;

typedef struct storage {
    qm_dtype dtype;
    const uint8_t *data;
    uint64_t n; /* elements */
} storage;

typedef struct machine {
    const uint8_t *data;
    size_t size, at;
    size_t op; /* where the current opcode is */
    qm_pickle_storage *find_storage;
    void *user;
    quamba_error *err;
    value *stack, *memo, *items;
    entry *entries;
    dict *dicts;
    storage *storages;
    qm_tensor *tensors;
    size_t n_stack, n_memo, n_items, n_entries, n_dicts, n_storages, n_tensors;
    size_t stack_capacity, memo_capacity, items_capacity, entries_capacity, dicts_capacity,
        storages_capacity, tensors_capacity;
} machine;

/* ---- what may be named ----------------------------------------------------------------------- */

typedef enum role { NEW_DICT, REBUILD_TENSOR, REBUILD_PARAMETER, STORAGE_TYPE } role;

static const struct {
    const char *module, *name;
    role role;
    qm_dtype dtype; /* of a STORAGE_TYPE */
} globals[] = {
    {"collections",  "OrderedDict",        NEW_DICT,          QM_N_DTYPES},
    {"torch._utils", "_rebuild_tensor_v2", REBUILD_TENSOR,    QM_N_DTYPES},
    {"torch._utils", "_rebuild_parameter", REBUILD_PARAMETER, QM_N_DTYPES},
    {"torch",        "FloatStorage",       STORAGE_TYPE,      QM_F32     },
    {"torch",        "HalfStorage",        STORAGE_TYPE,      QM_F16     },
    {"torch",        "BFloat16Storage",    STORAGE_TYPE,      QM_BF16    },
    {"torch",        "DoubleStorage",      STORAGE_TYPE,      QM_F64     },
    {"torch",        "CharStorage",        STORAGE_TYPE,      QM_I8      },
    {"torch",        "ByteStorage",        STORAGE_TYPE,      QM_U8      },
    {"torch",        "ShortStorage",       STORAGE_TYPE,      QM_I16     },
    {"torch",        "IntStorage",         STORAGE_TYPE,      QM_I32     },
    {"torch",        "LongStorage",        STORAGE_TYPE,      QM_I64     },
    {"torch",        "BoolStorage",        STORAGE_TYPE,      QM_BOOL    },
};

/* ---- errors, stack, input -------------------------------------------------------------------- */

static quamba_status fail(machine *m, const char *what)
{
    return qm_fail(m->err, QUAMBA_E_FORMAT, m->op, "pickle byte %zu: %s", m->op, what);
}

static quamba_status fail_memory(machine *m) { return qm_fail_memory(m->err, m->size, "a pickle"); }

static quamba_status push(machine *m, value v)
{
    if (!qm_grow(&m->stack, &m->stack_capacity, m->n_stack + 1, sizeof v)) return fail_memory(m);
    m->stack[m->n_stack++] = v;
    return QUAMBA_OK;
}

static quamba_status push_int(machine *m, int64_t integer)
{
    return push(m, (value){.kind = INT, .integer = integer});
}

static quamba_status push_row(machine *m, kind k, size_t row)
{
    return push(m, (value){.kind = (uint8_t)k, .at = row});
}

/* The topmost value; a value of kind UNSET when there is none. */
static value pop(machine *m)
{
    if (m->n_stack == 0) return (value){0};
    return m->stack[--m->n_stack];
}

/* The next n bytes, NULL when the pickle ends before. */
static const uint8_t *take(machine *m, uint64_t n)
{
    if (n > m->size - m->at) return NULL;
    m->at += (size_t)n;
    return m->data + m->at - n;
}

static uint64_t little(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    while (n-- > 0)
        v = v << 8 | p[n];
    return v;
}

/* ---- values ---------------------------------------------------------------------------------- */

static quamba_status push_string(machine *m, uint64_t n)
{
    if (!take(m, n)) return fail(m, "a string goes on past the end");
    return push(m, (value){.kind = STRING, .n = (uint32_t)n, .at = m->at - (size_t)n});
}

/* LONG1: n bytes, little-endian, two's complement. */
static quamba_status push_long(machine *m, uint8_t n)
{
    const uint8_t *p = take(m, n);
    if (!p) return fail(m, "an integer goes on past the end");
    if (n > 8) return fail(m, "an integer of more than 64 bits");
    uint64_t bits = little(p, n);
    if (n > 0 && n < 8 && p[n - 1] >= 128) bits |= ~(uint64_t)0 << (8 * n);
    return push_int(m, (int64_t)bits);
}

static quamba_status push_float(machine *m)
{
    const uint8_t *p = take(m, 8);
    if (!p) return fail(m, "a float goes on past the end");
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) /* the one big-endian number of the format */
        bits = bits << 8 | p[i];
    value v = {.kind = FLOAT};
    memcpy(&v.real, &bits, sizeof v.real);
    return push(m, v);
}

/* The top n values become a tuple. */
static quamba_status push_tuple(machine *m, size_t n)
{
    if (n > m->n_stack) return fail(m, "the stack is empty");
    if (!qm_grow(&m->items, &m->items_capacity, m->n_items + n, sizeof *m->items))
        return fail_memory(m);
    m->n_stack -= n;
    for (size_t i = 0; i < n; i++)
        m->items[m->n_items + i] = m->stack[m->n_stack + i];
    m->n_items += n;
    return push(m, (value){.kind = TUPLE, .n = (uint32_t)n, .at = m->n_items - n});
}

static quamba_status push_dict(machine *m)
{
    if (!qm_grow(&m->dicts, &m->dicts_capacity, m->n_dicts + 1, sizeof *m->dicts))
        return fail_memory(m);
    m->dicts[m->n_dicts] = (dict){0};
    return push_row(m, DICT, m->n_dicts++);
}

/* Number of values above the topmost mark, which must exist. */
static quamba_status count_to_mark(machine *m, size_t *n)
{
    *n = 0;
    while (*n < m->n_stack && m->stack[m->n_stack - 1 - *n].kind != MARK)
        ++*n;
    return *n < m->n_stack ? QUAMBA_OK : fail(m, "there is no mark");
}

static quamba_status tuple_to_mark(machine *m)
{
    size_t n;
    quamba_status status = count_to_mark(m, &n);
    if (status == QUAMBA_OK) status = push_tuple(m, n);
    if (status != QUAMBA_OK) return status;
    m->stack[m->n_stack - 2] = m->stack[m->n_stack - 1]; /* over the mark */
    m->n_stack--;
    return QUAMBA_OK;
}

/* Keys and items alternating on top of the stack go into the dictionary below them, and below
 * n_marks (0 or 1) marks. */
static quamba_status set_items(machine *m, size_t n, size_t n_marks)
{
    if (n % 2 != 0) return fail(m, "a key without a value");
    if (m->n_stack < n + n_marks + 1) return fail(m, "the stack is empty");
    const value *target = &m->stack[m->n_stack - n - n_marks - 1];
    if (target->kind != DICT) return fail(m, "items are set in what is no dictionary");
    dict *d = &m->dicts[target->at];
    if (!qm_grow(&m->entries, &m->entries_capacity, m->n_entries + n / 2, sizeof *m->entries))
        return fail_memory(m);
    for (const value *pair = m->stack + m->n_stack - n; n > 0; pair += 2, n -= 2, m->n_stack -= 2) {
        m->entries[m->n_entries++] = (entry){.key = pair[0], .item = pair[1]};
        if (d->last > 0)
            m->entries[d->last - 1].next = m->n_entries;
        else
            d->first = m->n_entries;
        d->last = m->n_entries;
    }
    m->n_stack -= n_marks;
    return QUAMBA_OK;
}

static quamba_status set_items_to_mark(machine *m)
{
    size_t n;
    quamba_status status = count_to_mark(m, &n);
    return status == QUAMBA_OK ? set_items(m, n, 1) : status;
}

/* Drops n values and n_marks marks that would have gone into a list below. */
static quamba_status append(machine *m, size_t n, size_t n_marks)
{
    if (m->n_stack < n + n_marks + 1 || m->stack[m->n_stack - n - n_marks - 1].kind != LIST)
        return fail(m, "items are appended to what is no list");
    m->n_stack -= n + n_marks;
    return QUAMBA_OK;
}

static quamba_status append_to_mark(machine *m)
{
    size_t n;
    quamba_status status = count_to_mark(m, &n);
    return status == QUAMBA_OK ? append(m, n, 1) : status;
}

/* ---- memo ------------------------------------------------------------------------------------ */

static quamba_status put(machine *m, uint64_t index)
{
    if (m->n_stack == 0) return fail(m, "the stack is empty");
    if (m->stack[m->n_stack - 1].kind == MARK) return fail(m, "a mark is put into the memo");
    if (index > m->size) return fail(m, "a memo number larger than the pickle");
    if (!qm_grow(&m->memo, &m->memo_capacity, (size_t)index + 1, sizeof *m->memo))
        return fail_memory(m);
    for (; m->n_memo <= index; m->n_memo++)
        m->memo[m->n_memo] = (value){0};
    m->memo[index] = m->stack[m->n_stack - 1];
    return QUAMBA_OK;
}

static quamba_status get(machine *m, uint64_t index)
{
    if (index >= m->n_memo || m->memo[index].kind == UNSET)
        return fail(m, "the memo has nothing under this number");
    return push(m, m->memo[index]);
}

/* ---- globals and calls ----------------------------------------------------------------------- */

static bool is_word(const char *word, const uint8_t *text, size_t n)
{
    return strlen(word) == n && memcmp(word, text, n) == 0;
}

static quamba_status push_global(machine *m, const uint8_t *module, size_t n_module,
                                 const uint8_t *name, size_t n_name)
{
    for (size_t i = 0; i < QM_COUNT(globals); i++)
        if (is_word(globals[i].module, module, n_module) && is_word(globals[i].name, name, n_name))
            return push_row(m, GLOBAL, i);
    return qm_fail(m->err, QUAMBA_E_UNSUPPORTED, m->op,
                   "pickle byte %zu: it wants %.*s.%.*s; only tensors are read here, nothing else "
                   "is ever imported or executed",
                   m->op, n_module > 100 ? 100 : (int)n_module, (const char *)module,
                   n_name > 100 ? 100 : (int)n_name, (const char *)name);
}

/* A line of the text opcode GLOBAL. */
static const uint8_t *take_line(machine *m, size_t *n)
{
    const uint8_t *begin = m->data + m->at, *end = memchr(begin, '\n', m->size - m->at);
    if (!end) return NULL;
    *n = (size_t)(end - begin);
    m->at += *n + 1;
    return begin;
}

static quamba_status op_global(machine *m)
{
    size_t n_module, n_name;
    const uint8_t *module = take_line(m, &n_module);
    const uint8_t *name = module ? take_line(m, &n_name) : NULL;
    if (!name) return fail(m, "a name goes on past the end");
    return push_global(m, module, n_module, name, n_name);
}

static quamba_status op_stack_global(machine *m)
{
    value name = pop(m), module = pop(m);
    if (name.kind != STRING || module.kind != STRING) return fail(m, "a global without a name");
    return push_global(m, m->data + module.at, module.n, m->data + name.at, name.n);
}

/* ('storage', type, key, device, number of elements) */
static quamba_status op_persistent_id(machine *m)
{
    value id = pop(m);
    const value *item = id.kind == TUPLE && id.n >= 5 ? &m->items[id.at] : NULL;
    if (!item || item[0].kind != STRING || !is_word("storage", m->data + item[0].at, item[0].n) ||
        item[1].kind != GLOBAL || globals[item[1].at].role != STORAGE_TYPE ||
        item[2].kind != STRING || item[4].kind != INT || item[4].integer < 0)
        return fail(m, "a persistent id that is no storage");
    storage s = {.dtype = globals[item[1].at].dtype, .n = (uint64_t)item[4].integer};
    size_t size;
    quamba_status status = m->find_storage(m->user, (const char *)m->data + item[2].at, item[2].n,
                                           &s.data, &size, m->err);
    if (status != QUAMBA_OK) return status;
    uint64_t wanted;
    if (!qm_mul_u64(s.n, qm_dtype_size(s.dtype), &wanted) || wanted != size)
        return qm_fail(m->err, QUAMBA_E_FORMAT, m->op,
                       "storage \"%.*s\" has %zu bytes, not %" PRIu64 " elements of %s",
                       item[2].n > 64 ? 64 : (int)item[2].n, (const char *)m->data + item[2].at,
                       size, s.n, qm_dtype_name(s.dtype));
    if (!qm_grow(&m->storages, &m->storages_capacity, m->n_storages + 1, sizeof s))
        return fail_memory(m);
    m->storages[m->n_storages] = s;
    return push_row(m, STORAGE, m->n_storages++);
}

/* Copies a tuple of whole numbers >= 0 into out[QM_MAX_DIMS]. */
static bool read_dims(const machine *m, value tuple, int64_t *out)
{
    if (tuple.kind != TUPLE || tuple.n > QM_MAX_DIMS) return false;
    for (uint32_t i = 0; i < tuple.n; i++) {
        out[i] = m->items[tuple.at + i].integer;
        if (m->items[tuple.at + i].kind != INT || out[i] < 0) return false;
    }
    return true;
}

/* Every element lies in its storage, and there are no more of them than it has: an expanded tensor
 * (stride 0) could claim any size. */
static bool is_inside(const qm_tensor *t, uint64_t bytes, uint64_t offset, uint64_t n_storage)
{
    if (bytes == 0) return offset <= n_storage;
    uint64_t last = offset, step;
    for (int32_t i = 0; i < t->ndim; i++)
        if (!qm_mul_u64((uint64_t)t->shape[i] - 1, (uint64_t)t->stride[i], &step) ||
            !qm_add_u64(last, step, &last))
            return false;
    return last < n_storage && bytes / qm_dtype_size(t->dtype) <= n_storage;
}

/* (storage, offset, shape, stride, requires_grad, hooks[, metadata]) */
static quamba_status rebuild_tensor(machine *m, const value *item, size_t n)
{
    int64_t shape[QM_MAX_DIMS], stride[QM_MAX_DIMS];
    uint64_t bytes;
    qm_tensor t = {0};
    if (n < 4 || item[0].kind != STORAGE || item[1].kind != INT || item[1].integer < 0)
        return fail(m, "a tensor without storage and offset");
    if (!read_dims(m, item[2], shape) || !read_dims(m, item[3], stride) || item[2].n != item[3].n)
        return fail(m, "a tensor whose shape and strides are not at most 8 numbers >= 0 each");
    const storage *s = &m->storages[item[0].at];
    uint64_t offset = (uint64_t)item[1].integer;
    t.dtype = s->dtype;
    if (!qm_tensor_set_shape(&t, shape, item[2].n, &bytes))
        return fail(m, "a tensor whose dimensions multiply to more than 63 bits");
    memcpy(t.stride, stride, item[3].n * sizeof *stride);
    if (!is_inside(&t, bytes, offset, s->n))
        return qm_fail(m->err, QUAMBA_E_FORMAT, m->op,
                       "shape and strides reach outside its storage of %" PRIu64 " elements", s->n);
    if (bytes > 0) t.data = s->data + offset * qm_dtype_size(t.dtype);
    if (m->n_tensors >= QM_MAX_TENSORS) return fail(m, "too many tensors");
    if (!qm_grow(&m->tensors, &m->tensors_capacity, m->n_tensors + 1, sizeof t))
        return fail_memory(m);
    m->tensors[m->n_tensors] = t;
    return push_row(m, TENSOR, m->n_tensors++);
}

/* Puts the key that waits on the stack for its value in front of the message. */
static quamba_status name_error(machine *m, quamba_status status)
{
    const value *below = m->n_stack > 0 ? &m->stack[m->n_stack - 1] : NULL;
    if (status == QUAMBA_OK || status == QUAMBA_E_NOMEM || !below || below->kind != STRING)
        return status;
    char name[208] = {0};
    memcpy(name, m->data + below->at, below->n < 200 ? below->n : 200);
    qm_fail_in(m->err, status, name);
    return qm_fail_in(m->err, status, "tensor");
}

static quamba_status op_reduce(machine *m)
{
    value arguments = pop(m), callee = pop(m);
    if (callee.kind != GLOBAL || arguments.kind != TUPLE)
        return fail(m, "a call of what is no function");
    const value *item = m->items + arguments.at;
    switch (globals[callee.at].role) {
    case NEW_DICT:
        return arguments.n == 0 ? push_dict(m) : fail(m, "OrderedDict is called with arguments");
    case REBUILD_TENSOR:
        return name_error(m, rebuild_tensor(m, item, arguments.n));
    case REBUILD_PARAMETER: /* (tensor, requires_grad, hooks) */
        if (arguments.n < 1 || item[0].kind != TENSOR) return fail(m, "a parameter without tensor");
        return push(m, item[0]);
    case STORAGE_TYPE:
        break;
    }
    return fail(m, "a storage type is called");
}

/* Attributes for the dictionary below, torch's _metadata: of no use here. */
static quamba_status op_build(machine *m)
{
    pop(m);
    if (m->n_stack == 0 || m->stack[m->n_stack - 1].kind != DICT)
        return fail(m, "attributes are set on what is no dictionary");
    return QUAMBA_OK;
}

/* ---- the machine ----------------------------------------------------------------------------- */

static quamba_status fail_opcode(machine *m, uint8_t op)
{
    static const struct {
        uint8_t op;
        const char *name;
    } known[] = {
        {'i',  "INST"          },
        {'o',  "OBJ"           },
        {0x81, "NEWOBJ"        },
        {0x92, "NEWOBJ_EX"     },
        {'P',  "PERSID"        },
        {0x82, "EXT1"          },
        {0x83, "EXT2"          },
        {0x84, "EXT4"          },
        {'I',  "INT"           },
        {'L',  "LONG"          },
        {'F',  "FLOAT"         },
        {'S',  "STRING"        },
        {'V',  "UNICODE"       },
        {'0',  "POP"           },
        {'2',  "DUP"           },
        {'B',  "BINBYTES"      },
        {'C',  "SHORT_BINBYTES"},
    };
    const char *name = "";
    for (size_t i = 0; i < QM_COUNT(known); i++)
        if (known[i].op == op) name = known[i].name;
    return qm_fail(m->err, QUAMBA_E_UNSUPPORTED, m->op,
                   "pickle byte %zu: opcode 0x%02x %s is not one that torch.save writes for a "
                   "state dict; it is not followed and nothing is executed",
                   m->op, op, name);
}

/* Opcodes with a fixed number of bytes after them: the value of those bytes. */
static quamba_status read_argument(machine *m, uint8_t op, uint64_t *argument)
{
    static const struct {
        char ops[12];
        uint8_t n;
    } sizes[] = {
        {"\x80qhKU\x8a\x8c", 1},
        {"M",                2},
        {"rjJX",             4},
        {"\x8d\x95",         8}
    };
    for (size_t i = 0; i < QM_COUNT(sizes); i++) {
        if (!strchr(sizes[i].ops, op)) continue;
        const uint8_t *p = take(m, sizes[i].n);
        if (!p) return fail(m, "the pickle ends inside an opcode");
        *argument = little(p, sizes[i].n);
    }
    return QUAMBA_OK;
}

static quamba_status step(machine *m, uint8_t op)
{
    uint64_t argument = 0;
    quamba_status status = op != 0 ? read_argument(m, op, &argument) : QUAMBA_OK;
    if (status != QUAMBA_OK) return status;
    switch (op) {
    case 0x80: /* PROTO */
        if (argument >= 2 && argument <= 5) return QUAMBA_OK;
        return qm_fail(m->err, QUAMBA_E_UNSUPPORTED, m->op,
                       "pickle protocol %" PRIu64 ", 2 to 5 are supported", argument);
    case 0x95: /* FRAME: a hint for readers of streams */
        return QUAMBA_OK;
    case '(':
        return push(m, (value){.kind = MARK});
    case 'N':
        return push(m, (value){.kind = NONE});
    case 0x88: /* NEWTRUE */
    case 0x89: /* NEWFALSE */
        return push(m, (value){.kind = BOOL, .integer = op == 0x88});
    case 'K': /* BININT1 */
    case 'M': /* BININT2 */
        return push_int(m, (int64_t)argument);
    case 'J': /* BININT, signed */
        return push_int(m, (int32_t)(uint32_t)argument);
    case 0x8a: /* LONG1 */
        return push_long(m, (uint8_t)argument);
    case 'G': /* BINFLOAT */
        return push_float(m);
    case 'X':  /* BINUNICODE */
    case 0x8c: /* SHORT_BINUNICODE */
    case 0x8d: /* BINUNICODE8 */
    case 'U':  /* SHORT_BINSTRING, from Python 2 */
        return push_string(m, argument);
    case ')':
        return push_tuple(m, 0);
    case 0x85: /* TUPLE1, 2, 3 */
    case 0x86:
    case 0x87:
        return push_tuple(m, (size_t)op - 0x84);
    case 't':
        return tuple_to_mark(m);
    case ']':
        return push(m, (value){.kind = LIST});
    case 'a':
        return append(m, 1, 0);
    case 'e':
        return append_to_mark(m);
    case '}':
        return push_dict(m);
    case 's':
        return set_items(m, 2, 0);
    case 'u':
        return set_items_to_mark(m);
    case 'q':
    case 'r': /* BINPUT, LONG_BINPUT */
        return put(m, argument);
    case 0x94: /* MEMOIZE */
        return put(m, m->n_memo);
    case 'h':
    case 'j': /* BINGET, LONG_BINGET */
        return get(m, argument);
    case 'c':
        return op_global(m);
    case 0x93:
        return op_stack_global(m);
    case 'Q':
        return op_persistent_id(m);
    case 'R':
        return op_reduce(m);
    case 'b':
        return op_build(m);
    default:
        return fail_opcode(m, op);
    }
}

static quamba_status run(machine *m)
{
    for (;;) {
        m->op = m->at;
        const uint8_t *op = take(m, 1);
        if (!op) return fail(m, "it ends without STOP");
        if (*op == '.') break;
        quamba_status status = step(m, *op);
        if (status != QUAMBA_OK) return status;
    }
    if (m->n_stack != 1 || m->stack[0].kind != DICT)
        return fail(m, "it holds no dictionary of tensors");
    return QUAMBA_OK;
}

/* ---- from the dictionary to the source ------------------------------------------------------- */

static quamba_status add_entry(machine *m, qm_source *source, const entry *e, float *scalar)
{
    const char *name = (const char *)m->data + e->key.at;
    int n_shown = e->key.n > 200 ? 200 : (int)e->key.n;
    if (e->key.kind != STRING) return fail(m, "a key of the state dict is no string");
    switch (e->item.kind) {
    case TENSOR:
        return qm_source_add(source, name, e->key.n, &m->tensors[e->item.at], m->err);
    case FLOAT:
        *scalar = (float)e->item.real;
        return qm_source_add(source, name, e->key.n,
                             &(qm_tensor){.dtype = QM_F32, .data = scalar, .python_float = true},
                             m->err);
    case NONE:
    case BOOL:
    case INT:
    case STRING:
        source->n_skipped++;
        return QUAMBA_OK;
    default:
        return qm_fail(m->err, QUAMBA_E_UNSUPPORTED, 0,
                       "\"%.*s\" is neither a tensor nor a number: only a plain state dict is read",
                       n_shown, name);
    }
}

static quamba_status add_entries(machine *m, qm_source *source)
{
    size_t first = m->dicts[m->stack[0].at].first, n_floats = 0;
    for (size_t i = first; i > 0; i = m->entries[i - 1].next)
        n_floats += m->entries[i - 1].item.kind == FLOAT;
    source->scalars = qm_alloc(n_floats, sizeof *source->scalars);
    if (!source->scalars) return fail_memory(m);
    float *scalar = source->scalars;
    quamba_status status = QUAMBA_OK;
    for (size_t i = first; status == QUAMBA_OK && i > 0; i = m->entries[i - 1].next) {
        const entry *e = &m->entries[i - 1];
        status = add_entry(m, source, e, scalar);
        scalar += e->item.kind == FLOAT;
    }
    return status;
}

quamba_status qm_pickle_read(qm_source *source, const uint8_t *data, size_t size,
                             qm_pickle_storage *find_storage, void *user, quamba_error *err)
{
    if (size > MAX_PICKLE)
        return qm_fail(err, QUAMBA_E_LIMIT, 0, "a pickle of %zu bytes, at most %d", size,
                       MAX_PICKLE);
    machine m = {
        .data = data, .size = size, .find_storage = find_storage, .user = user, .err = err};
    quamba_status status = run(&m);
    if (status == QUAMBA_OK) status = add_entries(&m, source);
    free(m.stack);
    free(m.memo);
    free(m.items);
    free(m.entries);
    free(m.dicts);
    free(m.storages);
    free(m.tensors);
    return status;
}

/* A stack machine for pickles of protocol 2 to 5 as torch.save writes them.  Values are 16 bytes on
 * a stack; tuples, dictionaries and tensors live in tables that only grow, and every opcode adds
 * at most one row, so the size of the pickle bounds the memory.  Nothing recurses. */
#include "format/pickle_machine.h"

#include "base/mem.h"
#include "format/source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PICKLE = 32 << 20 }; /* a state dict takes about 200 bytes per tensor */

/* ---- errors, stack, input -------------------------------------------------------------------- */

quamba_status qm_pickle_fail(qm_machine *m, const char *what)
{
    return qm_fail(m->err, QUAMBA_E_FORMAT, m->op, "pickle byte %zu: %s", m->op, what);
}

quamba_status qm_pickle_fail_memory(qm_machine *m)
{
    return qm_fail_memory(m->err, m->size, "a pickle");
}

quamba_status qm_pickle_push(qm_machine *m, qm_value v)
{
    if (!qm_grow(&m->stack, &m->stack_capacity, m->n_stack + 1, sizeof v))
        return qm_pickle_fail_memory(m);
    m->stack[m->n_stack++] = v;
    return QUAMBA_OK;
}

static quamba_status push_int(qm_machine *m, int64_t integer)
{
    return qm_pickle_push(m, (qm_value){.kind = INT, .integer = integer});
}

quamba_status qm_pickle_push_row(qm_machine *m, qm_kind kind, size_t row)
{
    return qm_pickle_push(m, (qm_value){.kind = (uint8_t)kind, .at = row});
}

/* The topmost value; a value of kind UNSET when there is none. */
qm_value qm_pickle_pop(qm_machine *m)
{
    if (m->n_stack == 0) return (qm_value){0};
    return m->stack[--m->n_stack];
}

/* The next n bytes, NULL when the pickle ends before. */
static const uint8_t *take(qm_machine *m, uint64_t n)
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

static quamba_status push_string(qm_machine *m, uint64_t n)
{
    if (!take(m, n)) return qm_pickle_fail(m, "a string goes on past the end");
    return qm_pickle_push(m, (qm_value){.kind = STRING, .n = (uint32_t)n, .at = m->at - (size_t)n});
}

/* LONG1: n bytes, little-endian, two's complement. */
static quamba_status push_long(qm_machine *m, uint8_t n)
{
    const uint8_t *p = take(m, n);
    if (!p) return qm_pickle_fail(m, "an integer goes on past the end");
    if (n > 8) return qm_pickle_fail(m, "an integer of more than 64 bits");
    uint64_t bits = little(p, n);
    if (n > 0 && n < 8 && p[n - 1] >= 128) bits |= ~(uint64_t)0 << (8 * n);
    return push_int(m, (int64_t)bits);
}

static quamba_status push_float(qm_machine *m)
{
    const uint8_t *p = take(m, 8);
    if (!p) return qm_pickle_fail(m, "a float goes on past the end");
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) /* the one big-endian number of the format */
        bits = bits << 8 | p[i];
    qm_value v = {.kind = FLOAT};
    memcpy(&v.real, &bits, sizeof v.real);
    return qm_pickle_push(m, v);
}

/* The top n values become a tuple. */
static quamba_status push_tuple(qm_machine *m, size_t n)
{
    if (n > m->n_stack) return qm_pickle_fail(m, "the stack is empty");
    if (!qm_grow(&m->items, &m->items_capacity, m->n_items + n, sizeof *m->items))
        return qm_pickle_fail_memory(m);
    m->n_stack -= n;
    for (size_t i = 0; i < n; i++)
        m->items[m->n_items + i] = m->stack[m->n_stack + i];
    m->n_items += n;
    return qm_pickle_push(m, (qm_value){.kind = TUPLE, .n = (uint32_t)n, .at = m->n_items - n});
}

quamba_status qm_pickle_push_dict(qm_machine *m)
{
    if (!qm_grow(&m->dicts, &m->dicts_capacity, m->n_dicts + 1, sizeof *m->dicts))
        return qm_pickle_fail_memory(m);
    m->dicts[m->n_dicts] = (qm_dict){0};
    return qm_pickle_push_row(m, DICT, m->n_dicts++);
}

/* Number of values above the topmost mark, which must exist. */
static quamba_status count_to_mark(qm_machine *m, size_t *n)
{
    *n = 0;
    while (*n < m->n_stack && m->stack[m->n_stack - 1 - *n].kind != MARK)
        ++*n;
    return *n < m->n_stack ? QUAMBA_OK : qm_pickle_fail(m, "there is no mark");
}

static quamba_status tuple_to_mark(qm_machine *m)
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
static quamba_status set_items(qm_machine *m, size_t n, size_t n_marks)
{
    if (n % 2 != 0) return qm_pickle_fail(m, "a key without a value");
    if (m->n_stack < n + n_marks + 1) return qm_pickle_fail(m, "the stack is empty");
    const qm_value *target = &m->stack[m->n_stack - n - n_marks - 1];
    if (target->kind != DICT) return qm_pickle_fail(m, "items are set in what is no dictionary");
    qm_dict *d = &m->dicts[target->at];
    if (!qm_grow(&m->entries, &m->entries_capacity, m->n_entries + n / 2, sizeof *m->entries))
        return qm_pickle_fail_memory(m);
    for (const qm_value *pair = m->stack + m->n_stack - n; n > 0;
         pair += 2, n -= 2, m->n_stack -= 2) {
        m->entries[m->n_entries++] = (qm_entry){.key = pair[0], .item = pair[1]};
        if (d->last > 0)
            m->entries[d->last - 1].next = m->n_entries;
        else
            d->first = m->n_entries;
        d->last = m->n_entries;
    }
    m->n_stack -= n_marks;
    return QUAMBA_OK;
}

static quamba_status set_items_to_mark(qm_machine *m)
{
    size_t n;
    quamba_status status = count_to_mark(m, &n);
    return status == QUAMBA_OK ? set_items(m, n, 1) : status;
}

/* Drops n values and n_marks marks that would have gone into a list below. */
static quamba_status append(qm_machine *m, size_t n, size_t n_marks)
{
    if (m->n_stack < n + n_marks + 1 || m->stack[m->n_stack - n - n_marks - 1].kind != LIST)
        return qm_pickle_fail(m, "items are appended to what is no list");
    m->n_stack -= n + n_marks;
    return QUAMBA_OK;
}

static quamba_status append_to_mark(qm_machine *m)
{
    size_t n;
    quamba_status status = count_to_mark(m, &n);
    return status == QUAMBA_OK ? append(m, n, 1) : status;
}

/* ---- memo ------------------------------------------------------------------------------------ */

static quamba_status put(qm_machine *m, uint64_t index)
{
    if (m->n_stack == 0) return qm_pickle_fail(m, "the stack is empty");
    if (m->stack[m->n_stack - 1].kind == MARK)
        return qm_pickle_fail(m, "a mark is put into the memo");
    if (index > m->size) return qm_pickle_fail(m, "a memo number larger than the pickle");
    if (!qm_grow(&m->memo, &m->memo_capacity, (size_t)index + 1, sizeof *m->memo))
        return qm_pickle_fail_memory(m);
    for (; m->n_memo <= index; m->n_memo++)
        m->memo[m->n_memo] = (qm_value){0};
    m->memo[index] = m->stack[m->n_stack - 1];
    return QUAMBA_OK;
}

static quamba_status get(qm_machine *m, uint64_t index)
{
    if (index >= m->n_memo || m->memo[index].kind == UNSET)
        return qm_pickle_fail(m, "the memo has nothing under this number");
    return qm_pickle_push(m, m->memo[index]);
}

/* ---- globals and calls ----------------------------------------------------------------------- */

/* A line of the text opcode GLOBAL. */
static const uint8_t *take_line(qm_machine *m, size_t *n)
{
    const uint8_t *begin = m->data + m->at, *end = memchr(begin, '\n', m->size - m->at);
    if (!end) return NULL;
    *n = (size_t)(end - begin);
    m->at += *n + 1;
    return begin;
}

static quamba_status op_global(qm_machine *m)
{
    size_t n_module, n_name;
    const uint8_t *module = take_line(m, &n_module);
    const uint8_t *name = module ? take_line(m, &n_name) : NULL;
    if (!name) return qm_pickle_fail(m, "a name goes on past the end");
    return qm_torch_global(m, module, n_module, name, n_name);
}

static quamba_status op_stack_global(qm_machine *m)
{
    qm_value name = qm_pickle_pop(m), module = qm_pickle_pop(m);
    if (name.kind != STRING || module.kind != STRING)
        return qm_pickle_fail(m, "a global without a name");
    return qm_torch_global(m, m->data + module.at, module.n, m->data + name.at, name.n);
}

/* Attributes for the dictionary below, torch's _metadata: of no use here. */
static quamba_status op_build(qm_machine *m)
{
    qm_pickle_pop(m);
    if (m->n_stack == 0 || m->stack[m->n_stack - 1].kind != DICT)
        return qm_pickle_fail(m, "attributes are set on what is no dictionary");
    return QUAMBA_OK;
}

/* ---- the machine ----------------------------------------------------------------------------- */

static quamba_status fail_opcode(qm_machine *m, uint8_t op)
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
static quamba_status read_argument(qm_machine *m, uint8_t op, uint64_t *argument)
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
        if (!p) return qm_pickle_fail(m, "the pickle ends inside an opcode");
        *argument = little(p, sizes[i].n);
    }
    return QUAMBA_OK;
}

static quamba_status step(qm_machine *m, uint8_t op)
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
        return qm_pickle_push(m, (qm_value){.kind = MARK});
    case 'N':
        return qm_pickle_push(m, (qm_value){.kind = NONE});
    case 0x88: /* NEWTRUE */
    case 0x89: /* NEWFALSE */
        return qm_pickle_push(m, (qm_value){.kind = BOOL, .integer = op == 0x88});
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
        return qm_pickle_push(m, (qm_value){.kind = LIST});
    case 'a':
        return append(m, 1, 0);
    case 'e':
        return append_to_mark(m);
    case '}':
        return qm_pickle_push_dict(m);
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
        return qm_torch_persistent_id(m);
    case 'R':
        return qm_torch_call(m);
    case 'b':
        return op_build(m);
    default:
        return fail_opcode(m, op);
    }
}

static quamba_status run(qm_machine *m)
{
    for (;;) {
        m->op = m->at;
        const uint8_t *op = take(m, 1);
        if (!op) return qm_pickle_fail(m, "it ends without STOP");
        if (*op == '.') break;
        quamba_status status = step(m, *op);
        if (status != QUAMBA_OK) return status;
    }
    if (m->n_stack != 1 || m->stack[0].kind != DICT)
        return qm_pickle_fail(m, "it holds no dictionary of tensors");
    return QUAMBA_OK;
}

quamba_status qm_pickle_read(qm_source *source, const uint8_t *data, size_t size,
                             qm_pickle_storage *find_storage, void *user, quamba_error *err)
{
    if (size > MAX_PICKLE)
        return qm_fail(err, QUAMBA_E_LIMIT, 0, "a pickle of %zu bytes, at most %d", size,
                       MAX_PICKLE);
    qm_machine m = {
        .data = data, .size = size, .find_storage = find_storage, .user = user, .err = err};
    quamba_status status = run(&m);
    if (status == QUAMBA_OK) status = qm_torch_add_tensors(&m, source);
    free(m.stack);
    free(m.memo);
    free(m.items);
    free(m.entries);
    free(m.dicts);
    free(m.storages);
    free(m.tensors);
    return status;
}

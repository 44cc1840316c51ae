/* Inside src/format/pickle.c and torch_objects.c: the machine that one reads pickles with and the
 * other teaches what PyTorch's objects are. */
#ifndef QM_FORMAT_PICKLE_MACHINE_H
#define QM_FORMAT_PICKLE_MACHINE_H

#include "format/pickle.h"

typedef enum qm_kind {
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
} qm_kind;

typedef struct qm_value {
    uint8_t kind;
    uint32_t n;
    union {
        int64_t integer;
        double real;
        size_t at;
    };
} qm_value;

typedef struct qm_entry {
    qm_value key, item;
    size_t next; /* row of entries + 1; 0 ends the list */
} qm_entry;

typedef struct qm_dict {
    size_t first, last; /* rows of entries + 1 */
} qm_dict;

typedef struct qm_storage {
    qm_dtype dtype;
    const uint8_t *data;
    uint64_t n; /* elements */
} qm_storage;

typedef struct qm_machine {
    const uint8_t *data;
    size_t size, at;
    size_t op; /* where the current opcode is */
    qm_pickle_storage *find_storage;
    void *user;
    quamba_error *err;
    qm_value *stack, *memo, *items;
    qm_entry *entries;
    qm_dict *dicts;
    qm_storage *storages;
    qm_tensor *tensors;
    size_t n_stack, n_memo, n_items, n_entries, n_dicts, n_storages, n_tensors;
    size_t stack_capacity, memo_capacity, items_capacity, entries_capacity, dicts_capacity,
        storages_capacity, tensors_capacity;
} qm_machine;

/* pickle.c: E_FORMAT with the byte the machine is at; no memory; a row of a table as a value; the
 * topmost value, of kind UNSET when there is none; a new dictionary. */
quamba_status qm_pickle_fail(qm_machine *m, const char *what);
quamba_status qm_pickle_fail_memory(qm_machine *m);
quamba_status qm_pickle_push(qm_machine *m, qm_value v);
quamba_status qm_pickle_push_row(qm_machine *m, qm_kind kind, size_t row);
qm_value qm_pickle_pop(qm_machine *m);
quamba_status qm_pickle_push_dict(qm_machine *m);

/* torch_objects.c: module.name is wanted; a persistent id is on the stack; a call is on the stack;
 * the finished dictionary is the only value on the stack. */
quamba_status qm_torch_global(qm_machine *m, const uint8_t *module, size_t n_module,
                              const uint8_t *name, size_t n_name);
quamba_status qm_torch_persistent_id(qm_machine *m);
quamba_status qm_torch_call(qm_machine *m);
quamba_status qm_torch_add_tensors(qm_machine *m, qm_source *source);

#endif

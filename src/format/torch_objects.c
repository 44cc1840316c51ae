#include "base/mem.h"
#include "format/pickle_machine.h"
#include "format/source.h"

#include <inttypes.h>
#include <string.h>

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

const char *qm_torch_storage_name(qm_dtype dtype)
{
    for (size_t i = 0; i < QM_COUNT(globals); i++)
        if (globals[i].dtype == dtype) return globals[i].name;
    return NULL;
}

static bool is_word(const char *word, const uint8_t *text, size_t n)
{
    return strlen(word) == n && memcmp(word, text, n) == 0;
}

quamba_status qm_torch_global(qm_machine *m, const uint8_t *module, size_t n_module,
                              const uint8_t *name, size_t n_name)
{
    for (size_t i = 0; i < QM_COUNT(globals); i++)
        if (is_word(globals[i].module, module, n_module) && is_word(globals[i].name, name, n_name))
            return qm_pickle_push_row(m, GLOBAL, i);
    return qm_fail(m->err, QUAMBA_E_UNSUPPORTED, m->op,
                   "pickle byte %zu: it wants %.*s.%.*s; only tensors are read here, nothing else "
                   "is ever imported or executed",
                   m->op, n_module > 100 ? 100 : (int)n_module, (const char *)module,
                   n_name > 100 ? 100 : (int)n_name, (const char *)name);
}

/* ('storage', type, key, device, number of elements) */
quamba_status qm_torch_persistent_id(qm_machine *m)
{
    qm_value id = qm_pickle_pop(m);
    const qm_value *item = id.kind == TUPLE && id.n >= 5 ? &m->items[id.at] : NULL;
    if (!item || item[0].kind != STRING || !is_word("storage", m->data + item[0].at, item[0].n) ||
        item[1].kind != GLOBAL || globals[item[1].at].role != STORAGE_TYPE ||
        item[2].kind != STRING || item[4].kind != INT || item[4].integer < 0)
        return qm_pickle_fail(m, "a persistent id that is no storage");
    qm_storage s = {.dtype = globals[item[1].at].dtype, .n = (uint64_t)item[4].integer};
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
        return qm_pickle_fail_memory(m);
    m->storages[m->n_storages] = s;
    return qm_pickle_push_row(m, STORAGE, m->n_storages++);
}

/* Copies a tuple of whole numbers >= 0 into out[QM_MAX_DIMS]. */
static bool read_dims(const qm_machine *m, qm_value tuple, int64_t *out)
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
static quamba_status rebuild_tensor(qm_machine *m, const qm_value *item, size_t n)
{
    int64_t shape[QM_MAX_DIMS], stride[QM_MAX_DIMS];
    uint64_t bytes;
    qm_tensor t = {0};
    if (n < 4 || item[0].kind != STORAGE || item[1].kind != INT || item[1].integer < 0)
        return qm_pickle_fail(m, "a tensor without storage and offset");
    if (!read_dims(m, item[2], shape) || !read_dims(m, item[3], stride) || item[2].n != item[3].n)
        return qm_pickle_fail(
            m, "a tensor whose shape and strides are not at most 8 numbers >= 0 each");
    const qm_storage *s = &m->storages[item[0].at];
    uint64_t offset = (uint64_t)item[1].integer;
    t.dtype = s->dtype;
    if (!qm_tensor_set_shape(&t, shape, item[2].n, &bytes))
        return qm_pickle_fail(m, "a tensor whose dimensions multiply to more than 63 bits");
    memcpy(t.stride, stride, item[3].n * sizeof *stride);
    if (!is_inside(&t, bytes, offset, s->n))
        return qm_fail(m->err, QUAMBA_E_FORMAT, m->op,
                       "shape and strides reach outside its storage of %" PRIu64 " elements", s->n);
    if (bytes > 0) t.data = s->data + offset * qm_dtype_size(t.dtype);
    if (m->n_tensors >= QM_MAX_TENSORS) return qm_pickle_fail(m, "too many tensors");
    if (!qm_grow(&m->tensors, &m->tensors_capacity, m->n_tensors + 1, sizeof t))
        return qm_pickle_fail_memory(m);
    m->tensors[m->n_tensors] = t;
    return qm_pickle_push_row(m, TENSOR, m->n_tensors++);
}

/* Puts the key that waits on the stack for its value in front of the message. */
static quamba_status name_error(qm_machine *m, quamba_status status)
{
    const qm_value *below = m->n_stack > 0 ? &m->stack[m->n_stack - 1] : NULL;
    if (status == QUAMBA_OK || status == QUAMBA_E_NOMEM || !below || below->kind != STRING)
        return status;
    char name[208] = {0};
    memcpy(name, m->data + below->at, below->n < 200 ? below->n : 200);
    qm_fail_in(m->err, status, name);
    return qm_fail_in(m->err, status, "tensor");
}

quamba_status qm_torch_call(qm_machine *m)
{
    qm_value arguments = qm_pickle_pop(m), callee = qm_pickle_pop(m);
    if (callee.kind != GLOBAL || arguments.kind != TUPLE)
        return qm_pickle_fail(m, "a call of what is no function");
    const qm_value *item = arguments.n > 0 ? m->items + arguments.at : NULL;
    switch (globals[callee.at].role) {
    case NEW_DICT:
        return arguments.n == 0 ? qm_pickle_push_dict(m)
                                : qm_pickle_fail(m, "OrderedDict is called with arguments");
    case REBUILD_TENSOR:
        return name_error(m, rebuild_tensor(m, item, arguments.n));
    case REBUILD_PARAMETER: /* (tensor, requires_grad, hooks) */
        if (arguments.n < 1 || item[0].kind != TENSOR)
            return qm_pickle_fail(m, "a parameter without tensor");
        return qm_pickle_push(m, item[0]);
    case STORAGE_TYPE:
        break;
    }
    return qm_pickle_fail(m, "a storage type is called");
}

/* ---- from the dictionary to the source ------------------------------------------------------- */

static quamba_status add_entry(qm_machine *m, qm_source *source, const qm_entry *e, float *scalar)
{
    const char *name = (const char *)m->data + e->key.at;
    int n_shown = e->key.n > 200 ? 200 : (int)e->key.n;
    if (e->key.kind != STRING) return qm_pickle_fail(m, "a key of the state dict is no string");
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

quamba_status qm_torch_add_tensors(qm_machine *m, qm_source *source)
{
    size_t first = m->dicts[m->stack[0].at].first, n_floats = 0;
    for (size_t i = first; i > 0; i = m->entries[i - 1].next)
        n_floats += m->entries[i - 1].item.kind == FLOAT;
    source->scalars = qm_alloc(n_floats, sizeof *source->scalars);
    if (!source->scalars) return qm_pickle_fail_memory(m);
    float *scalar = source->scalars;
    quamba_status status = QUAMBA_OK;
    for (size_t i = first; status == QUAMBA_OK && i > 0; i = m->entries[i - 1].next) {
        const qm_entry *e = &m->entries[i - 1];
        status = add_entry(m, source, e, scalar);
        scalar += e->item.kind == FLOAT;
    }
    return status;
}

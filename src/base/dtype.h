/* Element types of stored tensors. */
#ifndef QM_BASE_DTYPE_H
#define QM_BASE_DTYPE_H

#include <stddef.h>

/* X(id, size in bytes, name in safetensors, name shown) */
#define QM_DTYPE_LIST(X)                                                                           \
    X(QM_F32, 4, "F32", "f32")                                                                     \
    X(QM_F16, 2, "F16", "f16")                                                                     \
    X(QM_BF16, 2, "BF16", "bf16")                                                                  \
    X(QM_F64, 8, "F64", "f64")                                                                     \
    X(QM_I8, 1, "I8", "i8")                                                                        \
    X(QM_U8, 1, "U8", "u8")                                                                        \
    X(QM_I16, 2, "I16", "i16")                                                                     \
    X(QM_I32, 4, "I32", "i32")                                                                     \
    X(QM_I64, 8, "I64", "i64")                                                                     \
    X(QM_BOOL, 1, "BOOL", "bool")

typedef enum qm_dtype {
#define QM_DTYPE_ENUM(id, size, stored, shown) id,
    QM_DTYPE_LIST(QM_DTYPE_ENUM)
#undef QM_DTYPE_ENUM
        QM_N_DTYPES
} qm_dtype;

size_t qm_dtype_size(qm_dtype dtype);        /* bytes of one element */
const char *qm_dtype_name(qm_dtype dtype);   /* "f16" */
const char *qm_dtype_stored(qm_dtype dtype); /* "F16", as safetensors spells it */

/* The type that safetensors spells so; QM_N_DTYPES when there is none. */
qm_dtype qm_dtype_find(const char *stored);

#endif

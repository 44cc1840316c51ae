/* Values as the bytes of a file. */
#ifndef QM_TRACE_ENCODE_H
#define QM_TRACE_ENCODE_H

#include "base/dtype.h"
#include "base/status.h"

typedef enum qm_trace_format {
    QM_TRACE_NPY,
    QM_TRACE_SAFETENSORS,
    QM_TRACE_BIN, /* elements, little endian, nothing else */
    QM_TRACE_HEX, /* lines for $readmemh, files called .hex */
    QM_TRACE_MEM, /* the same, called .mem */
    QM_N_TRACE_FORMATS
} qm_trace_format;

enum { QM_MAX_WORD_BITS = 64, QM_MAX_LANES = 4096 };

/* Rows of values: how they are held in memory and written. */
typedef struct qm_trace_code {
    qm_trace_format format;
    qm_dtype held;  /* of the values handed over: QM_F32 for halves too */
    qm_dtype dtype; /* in the file */
    int32_t bits;   /* hex: of a word */
    int32_t lanes;  /* hex: words of a line, the first one in its lowest bits */
    size_t n_cols;  /* hex: a row begins a line, whose missing words are 0 */
} qm_trace_code;

/* Bits of a word where none are asked for: those of the type. */
int32_t qm_trace_natural_bits(qm_dtype dtype);

/* Bytes of a row. */
size_t qm_trace_row_bytes(const qm_trace_code *code);

/* One row as row_bytes bytes.  False, and *bad its number, when a value does not fit the word or is
 * no half. */
bool qm_trace_encode_row(const qm_trace_code *code, const void *values, unsigned char *out,
                         size_t *bad);

/* Where in a row's bytes value number i begins, and how many it takes (hex: of its line). */
size_t qm_trace_place(const qm_trace_code *code, size_t i, size_t *n_bytes);

/* Value number i of a row's bytes as a text ("-12", "0.5", "xyz is no number"); returns out. */
const char *qm_trace_decode(const qm_trace_code *code, const unsigned char *row, size_t i,
                            char out[64]);

/* The first value in which two rows' bytes differ; n_cols when they differ elsewhere. */
size_t qm_trace_first_difference(const qm_trace_code *code, const unsigned char *a,
                                 const unsigned char *b);

#endif

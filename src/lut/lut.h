/* Tables of the elementary functions: for every code of an input format the exact result of the
 * function that the runtime calls, in an output format, and how far that is from the truth. */
#ifndef QM_LUT_LUT_H
#define QM_LUT_LUT_H

#include "base/status.h"

#include <stdbool.h>

typedef struct qm_lut_function {
    const char *name;
    const char *meaning;
    float (*of)(float x);      /* hw/op, base/fmath.h */
    double (*truth)(double x); /* within 4 ulp of a double */
} qm_lut_function;

/* All functions; NULL past the last. */
const qm_lut_function *qm_lut_function_at(size_t index);

/* NULL when there is none of that name. */
const qm_lut_function *qm_lut_function_find(const char *name);

typedef enum qm_lut_kind { QM_LUT_I8, QM_LUT_I16, QM_LUT_F16, QM_LUT_F32 } qm_lut_kind;

typedef struct qm_lut_format {
    qm_lut_kind kind;
    float scale; /* of codes, positive; the number is fl(scale * code) */
} qm_lut_format;

/* "i8:SCALE", "i16:SCALE", "f16", "f32"; E_ARGUMENT says what is wrong.  f32 has too many codes for
 * an input: qm_lut_make refuses it. */
quamba_status qm_lut_format_parse(qm_lut_format *format, const char *text, quamba_error *err);

/* The same text again into out; returns out. */
const char *qm_lut_format_name(const qm_lut_format *format, char out[32]);

int32_t qm_lut_format_bits(const qm_lut_format *format);

/* What a table is of. */
typedef struct qm_lut_spec {
    const qm_lut_function *function;
    qm_lut_format in, out;
    bool away;           /* output codes: ties away from zero, else to even */
    const float *biases; /* [n_tables], borrowed: added to the number; NULL: one table without */
    size_t n_tables;
    bool fused; /* fma(scale, code, bias), else fl(fl(scale * code) + bias); codes only */
} qm_lut_spec;

/* An entry and what it came from. */
typedef struct qm_lut_entry {
    int32_t code;  /* of the input: signed for i8 and i16, the half's 16 bits for f16 */
    float x;       /* the number the function gets */
    uint32_t bits; /* of the output, in the low qm_lut_format_bits */
    double y;      /* the number they stand for */
    double truth;  /* the function of x */
    double error;  /* |y - truth| in units of the output: steps of codes, ulps at the truth of
                      floats; 0 where is_lost */
    bool is_lost;  /* a code saturated, a float overflowed, or x is no finite number */
} qm_lut_entry;

typedef struct qm_lut {
    qm_lut_spec spec;
    size_t n_tables, n_entries; /* entries of one table: 256 or 65536 */
    uint32_t *bits;       /* [n_tables][n_entries], owned; by address: the code's bits, unsigned */
    float x_low, x_high;  /* finite inputs */
    double y_low, y_high; /* finite outputs */
    uint64_t n_lost;      /* over all tables */
    double largest;       /* |y - truth|, of the entries that are not lost */
    size_t worst_table;   /* where the error is largest */
    qm_lut_entry worst;
} qm_lut;

/* E_ARGUMENT: f32 as input, a bias that is not finite; E_NOMEM.  qm_lut_free. */
quamba_status qm_lut_make(qm_lut *lut, const qm_lut_spec *spec, quamba_error *err);
void qm_lut_free(qm_lut *lut);

/* One entry worked out anew; address < n_entries. */
qm_lut_entry qm_lut_entry_at(const qm_lut_spec *spec, size_t table, size_t address);

/* Writes the table(s), the form by the path's ending:
 *     .mem .hex   $readmemh: one entry a line, two's complement or the float's bits
 *     .npy        [n_entries] or [n_tables][n_entries] of int8, int16, float16, float32
 *     .csv        one row an entry, with its input, truth and error
 *     .h          a C array of the codes, or of the floats' bits
 * Entries go by address, tables one after the other.  E_ARGUMENT for another ending. */
quamba_status qm_lut_write(const qm_lut *lut, const char *path, quamba_error *err);

#endif

/* What the binders of src/model share.  A binder runs twice over the same calls: first the arena
 * measures and everything is checked, then it is filled, so that what is checked and what is copied
 * cannot drift apart.  The names it looks up are the only list of a model's tensors: a third kind
 * of run lists those that a file lacks. */
#ifndef QM_MODEL_BINDER_H
#define QM_MODEL_BINDER_H

#include "model/model.h"

typedef struct qm_binder {
    quamba_model *model;
    qm_find_tensor *find;
    const void *user;
    bool filling; /* the second run */
    int32_t n_threads;
    char name[128]; /* of the tensor being bound */
    quamba_error *err;
    size_t packings_capacity;
    /* Listing: every name that is not found is reported, and nothing else is looked at. */
    qm_report_missing *missing;
    void *missing_user;
} qm_binder;

/* b->name = rest, or "backbone.layers.N.rest" for layer >= 0.  Returns b->name. */
const char *qm_bind_name(qm_binder *b, int32_t layer, const char *rest);

/* Sets of element types, 1 << dtype. */
enum {
    QM_SET_FLOAT = 1 << QM_F32 | 1 << QM_F16 | 1 << QM_BF16,
    QM_SET_F32 = 1 << QM_F32,
    QM_SET_I8 = 1 << QM_I8
};

/* The tensor of b->name with that shape and one of these types.  E_FORMAT when it is missing or
 * another, E_UNSUPPORTED for packed 4-bit weights.  *t stays NULL, with QUAMBA_OK, in a listing
 * run: the caller then has nothing to do. */
quamba_status qm_bind_find(qm_binder *b, unsigned types, int32_t ndim, const int64_t *shape,
                           const qm_tensor **t);

/* A vector or a small matrix (first dimension times last) as FP32, transposed so that the channel
 * is the fastest index; half: rounded to half where the datapath keeps its weights in half. */
quamba_status qm_bind_small(qm_binder *b, const float **slot, int32_t ndim, const int64_t *shape,
                            bool half);

/* A floating-point matrix, in place where the file has it row-major and aligned, else a copy;
 * half: converted where the file has another type. */
quamba_status qm_bind_matrix(qm_binder *b, qm_linear *linear, int32_t n_out, int32_t n_in,
                             bool half);

/* Adds a line to the model's warnings, in the filling run only. */
quamba_status qm_bind_warn(qm_binder *b, const char *format, ...) QM_PRINTF(2, 3);

quamba_status qm_bind_float(qm_binder *b);
quamba_status qm_bind_w8a8(qm_binder *b);

/* Adds to the model's packings that the codes of t go to out, as linear (n_out, n_part) says. */
quamba_status qm_bind_packing(qm_binder *b, const qm_tensor *t, const qm_linear *linear,
                              int8_t *out);

/* Packs all of them, shared by the threads.  The pages of what was packed are given back as it
 * goes, so that file and copy are never both in memory as a whole. */
void qm_bind_pack_all(const qm_binder *b);

#endif

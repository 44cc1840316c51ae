/* A model as the runtime uses it: names bound to weights, shapes checked once, nothing changes
 * afterwards.  Matrices stay where the file is mapped, in their stored type; vectors and what must
 * be rearranged are FP32 in one arena. */
#ifndef QM_MODEL_MODEL_H
#define QM_MODEL_MODEL_H

#include "base/mem.h"
#include "model/config.h"

enum { QM_MAX_CONV = 16 }; /* widest convolution that can be run */

/* y = W x; the matrix is [n_out][n_in] row-major, aligned for its type. */
typedef struct qm_linear {
    const void *weight;
    qm_dtype dtype; /* QM_F32, QM_F16 or QM_BF16 */
    int32_t n_out, n_in;
} qm_linear;

typedef struct qm_layer {
    const float *norm;      /* [d_model] */
    qm_linear in_proj;      /* [2 d_inner][d_model]: x, then z */
    const float *conv;      /* [d_conv][d_inner], the oldest tap first */
    const float *conv_bias; /* [d_inner] */
    qm_linear x_proj;       /* [dt_rank + 2 d_state][d_inner]: dt_low, B, C */
    qm_linear dt_proj;      /* [d_inner][dt_rank] */
    const float *dt_bias;   /* [d_inner] */
    const float *a;         /* [d_state][d_inner] = -exp(A_log) */
    const float *d;         /* [d_inner] */
    qm_linear out_proj;     /* [d_model][d_inner] */
} qm_layer;

struct quamba_model {
    qm_config config;
    const quamba_datapath *datapath; /* what its sessions compute; unknown to this room */
    bool half_weights;               /* weights are rounded to half once */
    qm_source *source;               /* keeps the mapping alive; NULL for random weights */
    qm_arena arena;
    void *random;        /* the weights of qm_model_random, owned; else NULL */
    qm_layer *layers;    /* [n_layer] */
    qm_linear embedding; /* [n_vocab][d_model] */
    qm_linear head;      /* the same matrix when tied */
    const float *norm_f; /* [d_model] */
    uint64_t n_parameters;
    uint64_t vector_bytes; /* FP32 vectors and small matrices */
    uint64_t matrix_bytes; /* of the matrices that a step reads: all but an untied embedding */
};

/* Where weights come from: a tensor by its state-spaces name, NULL when there is none. */
typedef const qm_tensor *qm_find_tensor(const void *user, const char *name);

/* Opens a checkpoint for a datapath; as quamba_model_open. */
quamba_status qm_model_open(quamba_model **model, const char *path, const quamba_datapath *datapath,
                            bool half_weights, int32_t n_threads, quamba_error *err);

/* Binds config's tensors to a zeroed model whose config and half_weights are set.  Checks presence,
 * shape, type and that every value is finite. */
quamba_status qm_model_bind(quamba_model *model, qm_find_tensor *find, const void *user,
                            int32_t n_threads, quamba_error *err);

/* A model of the given shape with random weights of plausible size (matrices in half), to measure
 * speed without a checkpoint.  The same for the same seed. */
quamba_status qm_model_random(quamba_model **model, const qm_config *config,
                              const quamba_datapath *datapath, uint64_t seed, quamba_error *err);

/* True when n elements of a floating-point type are all finite; else *bad is the first that is
 * not. */
bool qm_all_finite(const void *data, qm_dtype dtype, uint64_t n, uint64_t *bad);

#endif

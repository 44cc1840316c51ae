/* A model as the runtime uses it: names bound to weights, shapes checked once, nothing changes
 * afterwards.  Matrices stay where the file is mapped, in their stored type; vectors and what must
 * be rearranged are FP32 in one arena; matrices of codes are packed into another, unless the file
 * has them packed. */
#ifndef QM_MODEL_MODEL_H
#define QM_MODEL_MODEL_H

#include "base/mem.h"
#include "base/packed.h"
#include "model/config.h"

enum { QM_MAX_CONV = 16 }; /* widest convolution that can be run */

/* y = W x; the matrix is [n_out][n_in], row-major and aligned for its type, but codes are packed
 * (base/packed.h), by parts: after each n_part outputs begins a new panel.  (The embedding is no
 * such matrix: its rows are looked up, and are row-major in codes too.) */
typedef struct qm_linear {
    const void *weight;
    qm_dtype dtype; /* QM_F32, QM_F16, QM_BF16, or QM_I8 with the two factors below */
    int32_t n_out, n_in;
    int32_t n_part; /* codes: outputs of a part: d_inner of in_proj, of others all */
    float a; /* INT8: scale of the input codes, over that of the output codes where it has codes */
    float b; /* INT8: scale of the weight codes */
} qm_linear;

/* Where the code of output j and input i lies in a packed matrix. */
static inline size_t qm_linear_at(const qm_linear *w, int32_t j, int32_t i)
{
    const size_t part = (size_t)(j / w->n_part), in_part = (size_t)(j % w->n_part);
    const size_t k = (size_t)w->n_in;
    return part * qm_packed_bytes((size_t)w->n_part, k) + qm_packed_at(in_part, (size_t)i, k);
}

static inline int8_t qm_linear_code(const qm_linear *w, int32_t j, int32_t i)
{
    return ((const int8_t *)w->weight)[qm_linear_at(w, j, i)];
}

/* From output j on, the first of a panel: what the kernels take. */
static inline const int8_t *qm_linear_panel(const qm_linear *w, int32_t j)
{
    return (const int8_t *)w->weight + qm_linear_at(w, j, 0);
}

/* row[i] = the code of output j and input i */
static inline void qm_linear_row(const qm_linear *w, int32_t j, int8_t *row)
{
    const int32_t in_panel = j % w->n_part % QM_PACK_OUTPUTS;
    qm_unpack_row_i8(row, qm_linear_panel(w, j - in_panel), (size_t)in_panel, (size_t)w->n_in);
}

/* Scales of a quantized layer's activations (spec: s_in, s_x, s_z, s_u, s_B, s_C, s_dt, s_h, s_o);
 * all positive and finite.  0 throughout in a floating-point model. */
typedef struct qm_scales {
    float in;          /* norm output, in_proj input */
    float x;           /* in_proj output: the convolution's input */
    float z;           /* in_proj output: the gate; equal to x in all files that upstream writes */
    float w;           /* convolution weight */
    float u;           /* convolution output: x_proj input, the scan's u */
    float u_unclipped; /* the same from a calibration without clipping; 0: not known */
    float b, c; /* x_proj output; dt_low shares them and is consumed with dt_proj's factor a */
    float dt;   /* dt_proj output */
    float h;    /* recurrent state between decode steps */
    float o;    /* Hadamard output, out_proj input */
} qm_scales;

/* The vectors are FP32 in both kinds of model: in a quantized one dequantized, fl(scale * code). */
typedef struct qm_layer {
    const float *norm;        /* [d_model] */
    qm_linear in_proj;        /* [2 d_inner][d_model]: x, then z */
    const float *conv;        /* [d_conv][d_inner], the oldest tap first; NULL when quantized */
    const int8_t *conv_codes; /* the same in codes; NULL in a floating-point model */
    float conv_factor;        /* of their products: fl(weight_scale * input_scale) */
    const float *conv_bias;   /* [d_inner] */
    qm_linear x_proj;         /* [dt_rank + 2 d_state][d_inner]: dt_low, B, C */
    qm_linear dt_proj;        /* [d_inner][dt_rank] */
    const float *dt_bias;     /* [d_inner] */
    const float *a;           /* [d_state][d_inner] = -exp(A_log) */
    const float *d;           /* [d_inner] */
    qm_linear out_proj;       /* [d_model][d_inner] */
    qm_scales scales;
} qm_layer;

/* What the final norm hands to the head. */
typedef enum qm_norm_f {
    QM_NORM_F_FLOAT,   /* its result; an INT8 head quantizes it at its own input scale, head.a */
    QM_NORM_F_CODES,   /* codes at norm_f_scale, for an INT8 head */
    QM_NORM_F_DEQUANT, /* its result rounded to 127 steps of each token's largest magnitude */
} qm_norm_f;

/* A matrix of codes that was packed when the model was opened. */
typedef struct qm_packing {
    const qm_tensor *tensor; /* where it came from: [in, out], any strides */
    int8_t *out;             /* in the model's arena for them */
    int32_t n_out, n_part;   /* of qm_linear; the tensor may have more outputs, of zeros */
} qm_packing;

struct quamba_model {
    qm_config config;
    const quamba_datapath *datapath; /* what its sessions compute; unknown to this room */
    void *own_datapath;              /* that, where it is owned, for free(); else NULL */
    bool half_weights;               /* weights are rounded to half once */
    qm_source *source;               /* keeps the mapping alive; NULL for random weights */
    qm_arena arena;
    qm_arena packed; /* codes of quantized matrices: pages apart, touched when they are filled */
    void *random;    /* weights that no file holds, owned; else NULL */
    float *grid; /* [n_layer][edges of the runtime], owned: of a floating-point model whose edges
                    are rounded to an INT8 grid, their scales, 0 where they are not; else NULL */
    qm_packing *packings; /* [n_packings], owned: the matrices in packed; the tensors are the
                             source's, and are gone where random weights were bound */
    size_t n_packings;
    qm_layer *layers;              /* [n_layer] */
    qm_linear embedding;           /* [n_vocab][d_model]; INT8: row v times embedding_scales[v] */
    const float *embedding_scales; /* [n_vocab], half values; NULL unless the embedding is INT8 */
    qm_linear head;                /* the same matrix when tied */
    const float *head_bias;        /* [n_vocab]; NULL: none */
    const float *norm_f;           /* [d_model] */
    qm_norm_f norm_f_kind;
    float norm_f_scale;    /* of QM_NORM_F_CODES */
    char (*warnings)[256]; /* [n_warnings], owned: what was missing and what is done about it */
    size_t n_warnings;
    uint64_t n_parameters;
    uint64_t vector_bytes; /* FP32 vectors and small matrices */
    uint64_t matrix_bytes; /* of the matrices that a step reads: all but an untied embedding */
};

/* Where weights come from: a tensor by its state-spaces name, NULL when there is none. */
typedef const qm_tensor *qm_find_tensor(const void *user, const char *name);

/* Opening a checkpoint, as quamba_model_open, in two steps: the first reads its config, so that a
 * datapath can be chosen; the caller then sets what load describes. */
quamba_status qm_model_begin(quamba_model **model, const char *path, quamba_error *err);

/* The first step from a source, which the model takes; messages leave out the path.  On failure
 * *model may be there, to be closed. */
quamba_status qm_model_begin_source(quamba_model **model, qm_source **source, quamba_error *err);

typedef struct qm_model_load {
    const quamba_datapath *datapath;
    bool half_weights;     /* floating-point weights are rounded to half once */
    qm_norm_f norm_f_kind; /* of a quantized model whose norm_f has no scale: FLOAT or DEQUANT */
    int32_t n_threads;
} qm_model_load;

/* Binds what qm_model_begin opened; on failure *model is closed and NULL. */
quamba_status qm_model_finish(quamba_model **model, const char *path, const qm_model_load *load,
                              quamba_error *err);

/* Binds config's tensors to a zeroed model whose config and half_weights are set.  Checks presence,
 * shape, type and that every value is finite. */
quamba_status qm_model_bind(quamba_model *model, qm_find_tensor *find, const void *user,
                            int32_t n_threads, quamba_error *err);

/* The tensor that it came from in packed form (qm_tensor_is_packed), which is bound as it lies. */
qm_tensor qm_packed_tensor(const qm_packing *packing);

/* The names that such a model needs and find does not know, in the order they are bound; instead:
 * what takes the place of one that may be missing, else NULL.  report returns false when it has no
 * memory.  Of config the kind and n_layer count. */
typedef bool qm_report_missing(void *user, const char *name, const char *instead);
quamba_status qm_model_missing(const qm_config *config, qm_find_tensor *find, const void *user,
                               qm_report_missing *report, void *report_user, quamba_error *err);

/* A model of the given shape with random weights of plausible size, to measure speed without a
 * checkpoint: matrices in half, or, where config says quantized, the tensors of a W8A8 file.  The
 * same for the same seed. */
typedef struct qm_random_options {
    uint64_t seed;
    bool half_embedding, half_head; /* of a quantized model: in half, instead of INT8 */
} qm_random_options;
quamba_status qm_model_random(quamba_model **model, const qm_config *config,
                              const quamba_datapath *datapath, const qm_random_options *options,
                              quamba_error *err);

/* True when n elements are all finite, as those of an integer type are; else *bad is the first that
 * is not. */
bool qm_all_finite(const void *data, qm_dtype dtype, uint64_t n, uint64_t *bad);

#endif

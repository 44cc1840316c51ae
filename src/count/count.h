/* What a datapath costs, counted from shapes and knobs alone: operations, bytes moved, storage, per
 * operator.  The counts are those of the specification's operators (docs/count.md says what each
 * kind means); tests/unit/test_count.c holds them against what the runtime asks of its kernels. */
#ifndef QM_COUNT_COUNT_H
#define QM_COUNT_COUNT_H

#include "datapath/datapath.h"
#include "model/model.h"

/* X(id, name, price, meaning): price is what one costs under in a price list. */
#define QM_COUNT_LIST(X)                                                                           \
    X(MAC_I8, "mac_i8", "mac_i8", "product of two codes added to an INT32 sum")                    \
    X(MAC_F32, "mac_f32", "mac_f32", "product added to a sum in FP32, rounded once or twice")      \
    X(MUL_F32, "mul_f32", "mul_f32", "other product in FP32: scales, decays, gates")               \
    X(ADD_F32, "add_f32", "add_f32", "other sum in FP32: biases, residual, Hadamard butterflies")  \
    X(MAX_F32, "max_f32", "max_f32", "comparison of a running maximum")                            \
    X(DIV, "div", "div", "division, by a quantizer's scale too")                                   \
    X(SQRT, "sqrt", "sqrt", "square root")                                                         \
    X(EXP, "exp", "exp", "exponential, to base e or 2")                                            \
    X(LOG, "log", "log", "logarithm, log1p included")                                              \
    X(ROUND_I8, "round_i8", "round_i8", "number rounded and saturated to a step of an INT8 grid")  \
    X(ROUND_F16, "round_f16", "round_f16", "number rounded to half precision")                     \
    X(DRAM_BYTES, "dram_bytes", "dram_byte", "weights, each read once")                            \
    X(STATE_BYTES, "state_bytes", "state_byte", "recurrent state read and written")                \
    X(EDGE_BYTES, "edge_bytes", "edge_byte", "activations read and written between operators")     \
    X(LOCAL_BYTES, "local_bytes", "local_byte", "operands of all operations, none used twice")

typedef enum qm_count_kind {
#define QM_COUNT_ENUM(id, name, price, meaning) QM_COUNT_##id,
    QM_COUNT_LIST(QM_COUNT_ENUM)
#undef QM_COUNT_ENUM
        QM_N_COUNTS,
    QM_N_OPERATIONS = QM_COUNT_DRAM_BYTES /* the kinds before it are operations */
} qm_count_kind;

/* Bytes that stay somewhere: X(id, name). */
#define QM_STORE_LIST(X)                                                                           \
    X(WEIGHTS, "weights") /* matrices and vectors as they are used */                              \
    X(SCALES, "scales")   /* scales and factors, FP32 each */                                      \
    X(TABLES, "tables")   /* signs of the Hadamard matrix, a byte each */                          \
    X(STATE, "state")     /* recurrent state between tokens */

typedef enum qm_store_kind {
#define QM_STORE_ENUM(id, name) QM_STORE_##id,
    QM_STORE_LIST(QM_STORE_ENUM)
#undef QM_STORE_ENUM
        QM_N_STORES
} qm_store_kind;

/* X(id, name, in a layer), in the order of the datapath. */
#define QM_OPERATOR_LIST(X)                                                                        \
    X(EMBED, "embedding", false)                                                                   \
    X(NORM, "norm", true)                                                                          \
    X(IN_PROJ, "in_proj", true)                                                                    \
    X(CONV_IN, "conv_in", true) /* quantized at run time, where the mode does */                   \
    X(CONV, "conv_silu", true)                                                                     \
    X(GRID, "conv_out", true) /* codes and numbers for x_proj and the scan */                      \
    X(X_PROJ, "x_proj", true)                                                                      \
    X(DT_PROJ, "dt_proj", true)                                                                    \
    X(SOFTPLUS, "softplus", true)                                                                  \
    X(SCAN, "scan", true)                                                                          \
    X(GATE, "gate", true)                                                                          \
    X(STATE, "state", true) /* rounded after a decode step, where the mode does */                 \
    X(HADAMARD, "hadamard", true)                                                                  \
    X(OUT_PROJ, "out_proj", true)                                                                  \
    X(RESIDUAL, "residual", true)                                                                  \
    X(NORM_F, "norm_f", false)                                                                     \
    X(HEAD, "head", false)

typedef enum qm_operator {
#define QM_OPERATOR_ENUM(id, name, in_layer) QM_OP_##id,
    QM_OPERATOR_LIST(QM_OPERATOR_ENUM)
#undef QM_OPERATOR_ENUM
        QM_N_OPERATORS
} qm_operator;

/* Names, as in the lists. */
extern const char *const qm_count_names[QM_N_COUNTS];
extern const char *const qm_count_prices[QM_N_COUNTS];
extern const char *const qm_count_meanings[QM_N_COUNTS];
extern const char *const qm_store_names[QM_N_STORES];
extern const char *const qm_operator_names[QM_N_OPERATORS];
bool qm_operator_in_layer(qm_operator operator);

/* How a layer's matrices are stored. */
typedef struct qm_layer_types {
    qm_dtype in_proj, x_proj, dt_proj, out_proj;
} qm_layer_types;

/* What is counted: a shape, how it is stored, a datapath (borrowed). */
typedef struct qm_plan {
    qm_config config;
    const quamba_datapath *datapath;
    qm_dtype embedding, head;
    bool head_bias;
    qm_norm_f norm_f_kind;
} qm_plan;

qm_plan qm_plan_of_model(const quamba_model *model);
qm_layer_types qm_layer_types_of_model(const quamba_model *model, int32_t layer);

/* What qm_model_random would make of the same arguments, without making it. */
qm_plan qm_plan_of_shape(const qm_config *config, const quamba_datapath *datapath,
                         const qm_random_options *options);
qm_layer_types qm_layer_types_of_shape(const qm_config *config);

/* What is run: a prompt of n_tokens from the empty state, up to the last token's logits; or one
 * decode step in the middle of a text, n_tokens 1. */
typedef struct qm_workload {
    uint64_t n_tokens;
    bool decode;
} qm_workload;

typedef struct qm_counts {
    uint64_t of[QM_N_OPERATORS][QM_N_COUNTS];
} qm_counts;

typedef struct qm_stores {
    uint64_t of[QM_N_OPERATORS][QM_N_STORES];
} qm_stores;

/* The operators of one layer, or, with types NULL, those outside the layers. */
void qm_count_operators(qm_counts *counts, const qm_plan *plan, const qm_layer_types *types,
                        const qm_workload *work);
void qm_count_storage(qm_stores *stores, const qm_plan *plan, const qm_layer_types *types);

/* Sum over operators. */
uint64_t qm_count_total(const qm_counts *counts, qm_count_kind kind);

/* ---- energy ---------------------------------------------------------------------------------- */

/* Picojoule per operation or byte; a kind that is not priced costs nothing, and callers say so. */
typedef struct qm_prices {
    double pj[QM_N_COUNTS];
    bool given[QM_N_COUNTS];
} qm_prices;

/* "mac_i8=0.2,dram_byte=20"; E_ARGUMENT names what is no price, given twice, or no number >= 0. */
quamba_status qm_prices_parse(qm_prices *prices, const char *list, quamba_error *err);

/* Sum of price times count, in picojoule. */
double qm_energy_pj(const qm_prices *prices, const uint64_t of[QM_N_COUNTS]);

#endif

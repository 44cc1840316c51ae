/* quamba: Mamba language models in C, exact to the bit.
 *
 * A model is what a checkpoint holds: immutable after opening, shared between threads and sessions.
 * A session is one timeline through it: a recurrent state, scratch memory, a numerical datapath.
 * One session is used by one thread at a time; different sessions are independent of each other.
 *
 * The library prints nothing, never exits, keeps no global state and reads no environment.
 * Every call that can fail returns a quamba_status and fills a quamba_error with the number or name
 * that was wrong; the error pointer may be NULL everywhere.  Handles are freed by the matching
 * close/free, which accept NULL and handles that are already empty, and leave NULL behind.
 *
 * Text is UTF-8 in byte strings of explicit length.  Token ids are int32_t in [0, n_vocab). */
#ifndef QUAMBA_QUAMBA_H
#define QUAMBA_QUAMBA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define QUAMBA_API __attribute__((visibility("default")))
#else
#define QUAMBA_API
#endif

#define QUAMBA_VERSION_MAJOR 0
#define QUAMBA_VERSION_MINOR 1
#define QUAMBA_VERSION_PATCH 0
#define QUAMBA_VERSION "0.1.0"

/* ---- errors -------------------------------------------------------------------------------- */

#define QUAMBA_STATUS_LIST(X)                                                                      \
    X(OK, 0, "success")                                                                            \
    X(E_ARGUMENT, -1, "invalid argument")                                                          \
    X(E_IO, -2, "input/output error")                                                              \
    X(E_FORMAT, -3, "malformed file")                                                              \
    X(E_LIMIT, -4, "limit exceeded")                                                               \
    X(E_UNSUPPORTED, -5, "not supported")                                                          \
    X(E_NOMEM, -6, "out of memory")                                                                \
    X(E_CANCELLED, -7, "cancelled")

typedef enum quamba_status {
#define QUAMBA_STATUS_ENUM(name, value, text) QUAMBA_##name = value,
    QUAMBA_STATUS_LIST(QUAMBA_STATUS_ENUM)
#undef QUAMBA_STATUS_ENUM
} quamba_status;

typedef struct quamba_error {
    quamba_status status;
    uint64_t position;  /* byte offset or item number the message is about; 0 when it has none */
    char message[1000]; /* one line without a final newline; names the file, tensor and number */
} quamba_error;

/* Constant text of a status ("malformed file"); "unknown status" for any other number. */
QUAMBA_API const char *quamba_status_text(quamba_status status);

/* Version of the library in use, QUAMBA_VERSION of the header it was built with. */
QUAMBA_API const char *quamba_version(void);

/* Releases memory that a quamba call handed over; the call's comment says so. */
QUAMBA_API void quamba_free(void *memory);

/* ---- models -------------------------------------------------------------------------------- */

typedef struct quamba_model quamba_model;
typedef struct quamba_datapath quamba_datapath; /* see below */

typedef struct quamba_model_options {
    /* Datapath the weights are bound for, an id of `quamba modes list`; NULL is the default of the
     * checkpoint: "fp32", or "0" for a quantized one.  "fp16" rounds the weights to half once. */
    const char *mode;
    /* NULL, or a datapath that takes the place of mode, valid or refused; the model keeps a copy.
     */
    const quamba_datapath *datapath;
    /* act_scales.json of a calibration without clipping (percentile_alpha 1) of the same model;
     * read only where the datapath has a second scale from it, and needed there. */
    const char *outlier_scales;
    /* What the final norm of a quantized checkpoint without backbone.norm_f.output_scale hands to
     * the head: its floating-point result, or (true) that result rounded to 127 steps of each
     * token's largest magnitude. */
    bool norm_f_dequant;
    int32_t n_threads; /* threads that check and convert weights while opening; >= 1 */
} quamba_model_options;

typedef struct quamba_model_info {
    int32_t n_layer, d_model, d_inner, d_state, d_conv, dt_rank;
    int32_t n_vocab;           /* columns of the logits, padding included */
    uint64_t n_parameters;     /* elements of all weights, a tied head counted once */
    uint64_t weights_bytes;    /* bytes of the weights as used, a tied head counted once */
    uint64_t bytes_per_token;  /* bytes of weights and state that one decode step reads */
    uint64_t state_bytes;      /* state of one session: of the convolution and of the recurrence */
    const char *architecture;  /* "mamba1" */
    const char *weight_format; /* type of the matrices: "f32", "f16", "bf16", "i8" */
    const char *mode;          /* datapath the weights are bound for */
} quamba_model_info;

QUAMBA_API quamba_model_options quamba_model_options_default(void);

/* Opens a checkpoint directory (config.json with model.safetensors, a sharded safetensors index or
 * pytorch_model.bin).  Files are mapped and stay mapped until close; replacing them by renaming is
 * safe, truncating them is not.  Every tensor is checked for presence, shape and finite values.
 * On success *model is owned by the caller; on failure it is NULL. */
QUAMBA_API quamba_status quamba_model_open(quamba_model **model, const char *path,
                                           const quamba_model_options *options,
                                           quamba_error *error);
QUAMBA_API void quamba_model_close(quamba_model **model);

/* Sizes; the strings live as long as the model. */
QUAMBA_API quamba_model_info quamba_model_get_info(const quamba_model *model);

/* What an old checkpoint lacks and what is done instead, one line each; NULL past the last. */
QUAMBA_API const char *quamba_model_warning(const quamba_model *model, size_t index);

/* ---- tokenizers ---------------------------------------------------------------------------- */

typedef struct quamba_tokenizer quamba_tokenizer;

/* Opens a Hugging Face tokenizer.json (byte-level BPE), or the one in a directory.  Immutable and
 * shared between threads. */
QUAMBA_API quamba_status quamba_tokenizer_open(quamba_tokenizer **tokenizer, const char *path,
                                               quamba_error *error);
QUAMBA_API void quamba_tokenizer_close(quamba_tokenizer **tokenizer);

/* Text to ids, no token added in front or behind; special tokens in the text become their ids.
 * text: n_bytes bytes, any content: bytes that are not UTF-8 are encoded one by one and decode to
 * themselves; those without a token (GPT-NeoX has none for C0, C1 and F5 to FF) become U+FFFD. *ids
 * (n_ids of them) is handed over, quamba_free; it is never NULL on success. */
QUAMBA_API quamba_status quamba_tokenizer_encode(const quamba_tokenizer *tokenizer,
                                                 const char *text, size_t n_bytes, int32_t **ids,
                                                 size_t *n_ids, quamba_error *error);

/* Ids to the exact bytes they stand for, special tokens spelled out unless skip_special.  *text is
 * handed over (quamba_free), *n_bytes long and followed by a 0 byte that does not count.  The bytes
 * may end inside a UTF-8 character.  An id outside the vocabulary is E_ARGUMENT. */
QUAMBA_API quamba_status quamba_tokenizer_decode(const quamba_tokenizer *tokenizer,
                                                 const int32_t *ids, size_t n_ids,
                                                 bool skip_special, char **text, size_t *n_bytes,
                                                 quamba_error *error);

/* Bytes of one token, borrowed from the tokenizer; NULL for an id that names no token. */
QUAMBA_API const char *quamba_tokenizer_piece(const quamba_tokenizer *tokenizer, int32_t id,
                                              size_t *n_bytes);

/* Id of a token by its exact text as tokenizer.json spells added tokens, or -1. */
QUAMBA_API int32_t quamba_tokenizer_find(const quamba_tokenizer *tokenizer, const char *token);

/* One more than the largest id. */
QUAMBA_API int32_t quamba_tokenizer_n_vocab(const quamba_tokenizer *tokenizer);

/* Id that ends a text: "<|endoftext|>", "</s>" or "<|im_end|>", whichever the file has first; -1
 * when it has none. */
QUAMBA_API int32_t quamba_tokenizer_end_id(const quamba_tokenizer *tokenizer);

/* ---- sessions ------------------------------------------------------------------------------ */

typedef struct quamba_session quamba_session;

struct quamba_view;

typedef struct quamba_session_options {
    const char *cpu;   /* best instruction set to use: "native", "scalar", "avx2", ...; same bits */
    int32_t n_threads; /* >= 1; results do not depend on it */
    int32_t max_rows;  /* tokens computed side by side in a prefill; scratch grows with it; >= 1 */
    void (*tap)(void *user, const struct quamba_view *view); /* as by quamba_session_set_tap */
    void *tap_user;
} quamba_session_options;

QUAMBA_API quamba_session_options quamba_session_options_default(void);

/* A session at position 0 with a zero state.  The model must outlive it. */
QUAMBA_API quamba_status quamba_session_new(quamba_session **session, const quamba_model *model,
                                            const quamba_session_options *options,
                                            quamba_error *error);
QUAMBA_API void quamba_session_free(quamba_session **session);

/* A second session with the same model, options, state and position. */
QUAMBA_API quamba_status quamba_session_fork(quamba_session **session, const quamba_session *source,
                                             quamba_error *error);

/* Copies state and position of source, a session of the same model, into session. */
QUAMBA_API quamba_status quamba_session_copy(quamba_session *session, const quamba_session *source,
                                             quamba_error *error);

/* Back to position 0 and a zero state. */
QUAMBA_API void quamba_session_reset(quamba_session *session);

/* Tokens consumed so far. */
QUAMBA_API uint64_t quamba_session_position(const quamba_session *session);

/* Feeds tokens[n_tokens] (n_tokens >= 1); *logits, when wanted, are those after the last token:
 * n_vocab floats borrowed until the next call on this session.  Feeding a text in one call or cut
 * into any pieces gives the same bits.  An id out of range fails before anything is computed. */
QUAMBA_API quamba_status quamba_session_prefill(quamba_session *session, const int32_t *tokens,
                                                size_t n_tokens, const float **logits,
                                                quamba_error *error);

/* One token the way a generating device decodes it: the state is kept in the precision of the mode
 * after every token.  Where the mode keeps an FP32 state this is prefill of one token. */
QUAMBA_API quamba_status quamba_session_step(quamba_session *session, int32_t token,
                                             const float **logits, quamba_error *error);

typedef struct quamba_logprob {
    double logprob;   /* natural logarithm of the target's probability, softmax over n_vocab */
    double logsumexp; /* of the logits at this position */
    int32_t argmax;   /* id of the largest logit; the lowest id wins a tie */
} quamba_logprob;

/* One piece of work for quamba_session_run. */
typedef struct quamba_job {
    quamba_session *session;
    const int32_t *tokens; /* [n_tokens], n_tokens >= 1 */
    size_t n_tokens;
    bool decode;              /* token by token as quamba_session_step, instead of prefill */
    const int32_t *targets;   /* NULL, or [n_tokens]: the id to score after tokens[i]; -1: none */
    quamba_logprob *logprobs; /* [n_tokens] with targets; entries without a target untouched */
    bool want_logits;
    const float *logits; /* out: NULL unless want_logits, else as in quamba_session_prefill */
    size_t n_done;       /* out: tokens fed so far; n_tokens in the end */
} quamba_job;

/* Feeds several sessions of one model side by side, reading the weights once for all of them where
 * possible; the first session's threads and scratch do the work.  The result of each job is, bit
 * for bit, what it is alone.  All jobs must name different sessions. */
QUAMBA_API quamba_status quamba_session_run(quamba_job *jobs, size_t n_jobs, quamba_error *error);

/* State and position as a blob that any session of the same model and mode can load, on any
 * machine.  With blob NULL only *n_bytes is set.  Load refuses a blob of another model shape or
 * mode, a damaged one, and leaves the session as it was. */
QUAMBA_API quamba_status quamba_session_save(const quamba_session *session, void *blob,
                                             size_t capacity, size_t *n_bytes, quamba_error *error);
QUAMBA_API quamba_status quamba_session_load(quamba_session *session, const void *blob,
                                             size_t n_bytes, quamba_error *error);

/* ---- watching the datapath ------------------------------------------------------------------ */

typedef struct quamba_view {
    const char *edge;  /* name of the edge, see quamba_edge_name */
    int32_t layer;     /* 0 .. n_layer-1; n_layer for the final norm and the head */
    uint64_t position; /* of the first row, counted from the start of the session */
    int32_t n_rows;    /* tokens */
    int32_t n_cols;
    size_t row_stride; /* elements from one row to the next */
    /* One of the two, borrowed for the duration of the call; the other is NULL. */
    const float *data;
    const int8_t *codes; /* INT8: the value is scale times the code */
    float scale;         /* of the codes */
} quamba_view;

/* Called in the thread that runs the session, edge after edge, layer after layer; a piece of a long
 * prefill at a time.  It must not use the session. */
typedef void quamba_tap(void *user, const quamba_view *view);
QUAMBA_API void quamba_session_set_tap(quamba_session *session, quamba_tap *tap, void *user);

/* Names of the edges in the order of the datapath; NULL past the last. */
QUAMBA_API const char *quamba_edge_name(int32_t index);

/* Codes that saturated (or came from a NaN) at an INT8 edge (an index of quamba_edge_name) of a
 * layer since the session was made; layer n_layer has the final norm.  0 for everything else. */
QUAMBA_API uint64_t quamba_session_saturated(const quamba_session *session, int32_t layer,
                                             int32_t edge);

/* ---- datapaths ------------------------------------------------------------------------------ */

/* Rows of the mode table in its order; NULL past the last. */
QUAMBA_API const quamba_datapath *quamba_datapath_at(size_t index);

/* A row by its id; NULL when there is none. */
QUAMBA_API const quamba_datapath *quamba_datapath_find(const char *id);
QUAMBA_API const char *quamba_datapath_id(const quamba_datapath *datapath);
QUAMBA_API const char *quamba_datapath_summary(const quamba_datapath *datapath);

/* A sentence on what the row is for, "" when the summary says all. */
QUAMBA_API const char *quamba_datapath_remark(const quamba_datapath *datapath);

/* base with some knobs changed: list is such as "conv_out=f32,scan=ref" (names and values:
 * quamba_datapath_knob).  E_ARGUMENT with the nearest names for what there is not; whether the
 * knobs go together is for quamba_datapath_validate to say.  *datapath is owned by the caller,
 * quamba_datapath_free; its id is that of base's row and what differs from it: "0:u=deq". */
QUAMBA_API quamba_status quamba_datapath_parse(quamba_datapath **datapath,
                                               const quamba_datapath *base, const char *list,
                                               quamba_error *error);
QUAMBA_API void quamba_datapath_free(quamba_datapath **datapath);

/* OK, or E_ARGUMENT naming two knobs that do not go together and a list that does.  All rows are
 * valid. */
QUAMBA_API quamba_status quamba_datapath_validate(const quamba_datapath *datapath,
                                                  quamba_error *error);

/* All knobs as a list that quamba_datapath_parse reads, the id of a row that has none.  Cut to
 * capacity bytes with the final 0; returns the whole length without it (text may be NULL when
 * capacity is 0). */
QUAMBA_API size_t quamba_datapath_describe(const quamba_datapath *datapath, char *text,
                                           size_t capacity);

typedef struct quamba_knob {
    const char *name, *long_name; /* a list may use either */
    const char *meaning;
    const char *const *values; /* ends with NULL; the first is that of mode 0 */
} quamba_knob;

/* The knobs in the order of the datapath; false past the last. */
QUAMBA_API bool quamba_datapath_knob(size_t index, quamba_knob *knob);

/* The value that knob index has; NULL when the datapath has no knobs. */
QUAMBA_API const char *quamba_datapath_value(const quamba_datapath *datapath, size_t index);

typedef struct quamba_datapath_info {
    bool quantized;  /* runs quantized checkpoints, by knobs; the others have none */
    bool removed;    /* to be studied as a datapath, no mode to choose */
    bool causal;     /* no token's result depends on a later one */
    bool exact_step; /* a decode step gives the bits of prefill: causal, and the state stays FP32 */
    bool needs_outlier_scales; /* quamba_model_options.outlier_scales */
    int32_t grid_values;       /* numbers that the convolution output can be; 0: not bounded */
    int32_t grid_bits;         /* that hold one of them; 32: FP32 */
    const char *conv_kernel, *scan_kernel, *step_kernel; /* of prefill, prefill and decode */
    const char *state;                                   /* how decode keeps the state */
    const char *beside; /* rows that run side by side with it, separated by blanks; "" for none */
} quamba_datapath_info;

/* Found from the knobs; the strings are constant or live as long as the datapath. */
QUAMBA_API quamba_datapath_info quamba_datapath_get_info(const quamba_datapath *datapath);

/* True when both compute the same bits from the scan's input on, in prefill and decode, because
 * their knobs come to the same. */
QUAMBA_API bool quamba_datapath_same(const quamba_datapath *a, const quamba_datapath *b);

typedef struct quamba_edge_format {
    const char *edge; /* "conv output" */
    char format[88];  /* "i8[s_u]": codes at a scale; "g8[s_u]": FP32 numbers on its grid */
} quamba_edge_format;

/* The number format at every edge from in_proj to out_proj, in order; false past the last, and for
 * a datapath without knobs. */
QUAMBA_API bool quamba_datapath_edge(const quamba_datapath *datapath, size_t index,
                                     quamba_edge_format *format);

/* ---- sampling ------------------------------------------------------------------------------- */

/* The steps, in this order: repetition penalty on the logits; top_k; min_p, by the probabilities
 * before the temperature; temperature; top_p, by the probabilities after it; draw.  At least one
 * token is always left. */
typedef struct quamba_sampler_options {
    float temperature; /* 0 (or top_k 1): the largest logit after the penalty, nothing drawn */
    int32_t top_k;     /* keep the k largest; 0: all */
    float top_p;       /* smallest set with at least this probability; 1: all */
    float min_p;       /* drop below min_p times the largest probability; 0: nothing */
    float repetition_penalty; /* 1: none; see quamba_sampler_accept */
    uint64_t seed;
} quamba_sampler_options;

typedef struct quamba_sampler quamba_sampler;

QUAMBA_API quamba_sampler_options quamba_sampler_options_default(void);
QUAMBA_API quamba_status quamba_sampler_new(quamba_sampler **sampler, int32_t n_vocab,
                                            const quamba_sampler_options *options,
                                            quamba_error *error);
QUAMBA_API void quamba_sampler_free(quamba_sampler **sampler);

/* Tells the sampler of tokens in the text (the prompt), for the repetition penalty: the logit of
 * every token seen so far is divided by the penalty when positive and multiplied when negative.
 * Ids outside the vocabulary are ignored. */
QUAMBA_API void quamba_sampler_accept(quamba_sampler *sampler, const int32_t *tokens,
                                      size_t n_tokens);

/* Draws the next token from logits[n_vocab] and accepts it.  Equal options, seeds and logits draw
 * equal tokens on every machine.  Among equal logits the lowest id comes first.  A NaN counts as
 * -inf; where all logits are -inf, all tokens are equally likely.  Allocates nothing. */
QUAMBA_API int32_t quamba_sampler_next(quamba_sampler *sampler, const float *logits);

/* ---- evaluation ----------------------------------------------------------------------------- */

/* Names of the tasks in the order of their table; NULL past the last. */
QUAMBA_API const char *quamba_eval_task(size_t index);

typedef struct quamba_eval_options {
    const char *task; /* a name of quamba_eval_task; "text" is the perplexity of any plain text */
    const char *path; /* its file: JSON lines, or plain text for "text", "wikitext2" and "ptb" */
    bool decode;      /* score token by token as quamba_session_step, instead of by prefill */
    int32_t fewshot;  /* solved examples of the same file in front of every question, 0 .. 64 */
    uint64_t seed;    /* of their choice */
    uint64_t limit;   /* only the first items; 0: all */

    /* File of per-item records (JSON lines), appended as items finish; NULL: none.  An unfinished
     * one of an equal run is continued with resume, to the same bits as without a break, and
     * refused without, unless overwrite; a finished one is replaced. */
    const char *records;
    const char *identity; /* of weights and tokenizer, kept in the records and compared on resume */
    bool resume, overwrite;

    /* Called in the caller's thread; either may be NULL.  progress is called before the first item
     * (done counts what was resumed) and as items finish; value is the score so far, of the kind
     * that metric ("acc" or "ppl") names, NaN as long as nothing is done. */
    void (*progress)(void *user, uint64_t done, uint64_t total, const char *metric, double value);
    bool (*cancelled)(void *user);
    void *user;
} quamba_eval_options;

/* What is not measured, or not defined for so few items, is NaN. */
typedef struct quamba_eval_result {
    uint64_t n_items;   /* of the whole run; segments of a text */
    uint64_t n_done;    /* scored */
    uint64_t n_resumed; /* of those, taken from the records */
    uint64_t n_tokens;  /* of a text: of one segment; 2048 unless the text is shorter; else 0 */
    double acc, acc_stderr;
    double acc_norm, acc_norm_stderr; /* by log-likelihood per character */
    double perplexity, perplexity_stderr;
} quamba_eval_result;

QUAMBA_API quamba_eval_options quamba_eval_options_default(void);

/* Runs one task: prompt forms and scoring rules of lm-evaluation-harness 0.4; for texts the windows
 * of upstream's perplexity: segments of 2048 tokens from a zero state, the remainder dropped, and
 * CR LF and CR in the file read as LF.  E_CANCELLED, as every error on the way, leaves in *result
 * the scores of what is done. */
QUAMBA_API quamba_status quamba_eval_run(const quamba_model *model,
                                         const quamba_tokenizer *tokenizer,
                                         const quamba_session_options *session_options,
                                         const quamba_eval_options *options,
                                         quamba_eval_result *result, quamba_error *error);

/* ---- quantization --------------------------------------------------------------------------- */

typedef struct quamba_quantize_options {
    int32_t w_bits, a_bits; /* 8 and 8 */

    /* A file of activation scales, as quantizing writes it into its output; NULL: none. */
    const char *act_scales;
    /* Share of the values that a clipped activation's scale covers, above 0, at most 1.  With
     * act_scales it is only recorded. */
    double percentile_alpha;
    /* Choose it instead: of 0.999, 0.9995, 0.9999, 0.99999 and 1 the one whose quantized model has
     * the lowest perplexity, by prefill, on calibration texts held back from its scales (the last
     * eighth, at most 64).  The model made with it is then calibrated on all texts. */
    bool search_alpha;
    /* Texts to measure the scales on, where there is no act_scales: JSON lines with a "text" each,
     * where the name ends in .jsonl; else one plain text, cut into pieces. */
    const char *calibration;
    int32_t calib_data_num; /* at most so many texts, the first ones; 1 .. 1048576 */
    int32_t calib_seqlen;   /* the first tokens of each, 1 .. 65536 */

    bool quantize_embedding, quantize_lm_head; /* in 8 bits too, instead of half */

    const char *cpu;   /* best instruction set to use: "native", "scalar", "avx2", ...; same bits */
    int32_t n_threads; /* 1 .. 1024; same bits */

    /* Called in the caller's thread; either may be NULL.  stage names what is counted. */
    void (*progress)(void *user, const char *stage, uint64_t done, uint64_t total);
    bool (*cancelled)(void *user);
    void *user;
} quamba_quantize_options;

QUAMBA_API quamba_quantize_options quamba_quantize_options_default(void);

/* Quantizes a floating-point Mamba-1 checkpoint and writes the result as a directory: config.json,
 * model.safetensors with upstream's tensors, act_scales.json and the tokenizer's files.  Equal
 * inputs and options give equal bytes on every machine.  The directory appears whole or not at all;
 * files that are there already are not replaced (E_ARGUMENT).  A calibration that is cancelled or
 * killed leaves OUTPUT_DIR.calibration behind, from which the same call goes on to the same bytes.
 */
QUAMBA_API quamba_status quamba_quantize(const char *model_path, const char *output_dir,
                                         const quamba_quantize_options *options,
                                         quamba_error *error);

#ifdef __cplusplus
}
#endif

#endif

/* What the stages of a pass share.  One parallel region runs the whole of it; each thread owns a
 * range of output channels (or rows) of every stage and waits for the others only where it needs
 * their part.  Or, with many rows of a quantized model, each goes through the layers with rows of
 * its own, as if they were a pass of one thread (qm_forward), and waits only for the state of a
 * session that the rows before belong to.  No sum is split between threads, so their number does
 * not show in any bit. */
#ifndef QM_RUNTIME_PASS_H
#define QM_RUNTIME_PASS_H

#include "runtime/barrier.h"
#include "runtime/edges.h"
#include "runtime/session.h"

enum { QM_CHANNEL_ALIGN = 16 /* floats in a cache line */ };

/* What every stage needs to know, one per thread. */
typedef struct qm_thread {
    const quamba_session *s; /* whose scratch, kernels and model are used */
    const qm_pass *pass;
    bool half;   /* an operator's floating-point result is rounded to half */
    bool tapped; /* some session of the pass is watched */
    int32_t id, n_threads;
    qm_barrier *barrier;
    _Atomic int32_t *next_output; /* of the head: threads take its outputs in turn */
    /* With rows of its own: the stages that left their state (qm_hand_on), and those of the thread
     * whose last session goes on in our rows.  NULL: nobody waits, for nobody. */
    _Atomic int32_t *handed_on;
    const _Atomic int32_t *awaited;
    float *panel; /* the thread's own scratch, see struct quamba_session */
    int32_t *acc;
    size_t *lost;
    float *z, *bc, *deq, *rates;
    int8_t *state_codes;
} qm_thread;

typedef struct qm_range {
    int32_t begin, end;
} qm_range;

/* This thread's part of n things, in multiples of align. */
qm_range qm_share(const qm_thread *t, int32_t n, int32_t align);

static inline void qm_meet(const qm_thread *t)
{
    qm_barrier_wait(t->barrier, (uint32_t)t->n_threads);
}

/* The stages that read and leave a session's state. */
typedef enum qm_stateful { QM_STATE_OF_CONV, QM_STATE_OF_SCAN, QM_N_STATEFUL } qm_stateful;

/* Returns when the rows before have left the state of that stage; says that ours have. */
static inline void qm_await(const qm_thread *t, int32_t layer, qm_stateful stage)
{
    const int32_t number = layer * QM_N_STATEFUL + (int32_t)stage;
    for (uint32_t i = 0;
         t->awaited && atomic_load_explicit(t->awaited, memory_order_acquire) <= number; i++)
        qm_linger(i);
}

static inline void qm_hand_on(const qm_thread *t, int32_t layer, qm_stateful stage)
{
    const int32_t number = layer * QM_N_STATEFUL + (int32_t)stage;
    if (t->handed_on) atomic_store_explicit(t->handed_on, number + 1, memory_order_release);
}

/* Rounds rows to half if the datapath does. */
void qm_round_rows(const qm_thread *t, float *y, size_t ld, int32_t n_rows, int32_t n);

/* Rounds rows to the INT8 grid that the model has for this edge, if any; they stay FP32. */
void qm_snap_rows(const qm_thread *t, qm_edge edge, int32_t layer, float *y, size_t ld,
                  int32_t n_rows, int32_t n);

/* Shows an edge of all segments to their taps: all threads meet, one calls. */
void qm_show(const qm_thread *t, qm_edge edge, int32_t layer, const float *data, size_t ld,
             int32_t n_cols);
void qm_show_codes(const qm_thread *t, qm_edge edge, int32_t layer, const int8_t *codes,
                   float scale, size_t ld, int32_t n_cols);

/* The recurrent state after each segment: d_state rows of d_inner. */
void qm_show_state(const qm_thread *t, int32_t layer);

/* Shows one row of an edge; data or codes. */
void qm_show_row(const qm_segment *seg, qm_edge edge, int32_t layer, int32_t row, const float *data,
                 const int8_t *codes, float scale, int32_t n_cols);

/* Adds saturated codes of a row to the count of the session it belongs to. */
void qm_count_lost(const qm_thread *t, int32_t row, qm_edge edge, int32_t layer, size_t lost);

/* Asks for the beginning of rows first .. first+n of w, which this thread reads after the next
 * meeting. */
void qm_foresee(const qm_thread *t, const qm_linear *w, int32_t first, int32_t n);

/* y[i][j] = (w x[i])[first + j] for j < n, then rounded if the datapath rounds. */
void qm_linear_float(const qm_thread *t, const qm_linear *w, int32_t first, int32_t n, float *y,
                     size_t ldy, const float *x, size_t ldx, int32_t n_rows);

/* The same on codes, acc being the exact sum: codes code(second * fl(first * acc)), where the order
 * of the factors a and b of w is the operator's ... */
typedef enum qm_order { QM_FIRST_A, QM_FIRST_B } qm_order;
void qm_linear_codes(const qm_thread *t, const qm_linear *w, qm_order order, qm_edge edge,
                     int32_t layer, int32_t first, int32_t n, int8_t *y, size_t ldy,
                     const int8_t *x, size_t ldx, int32_t row, int32_t n_rows);
/* ... or numbers outer * fl(b * acc), rounded to half if wanted. */
void qm_linear_numbers(const qm_thread *t, const qm_linear *w, float outer, bool half,
                       int32_t first, int32_t n, float *y, size_t ldy, const int8_t *x, size_t ldx,
                       int32_t n_rows);
/* FP32 products of numbers and the dequantized weights fl(b * code). */
void qm_linear_dequantized(const qm_thread *t, const qm_linear *w, int32_t first, int32_t n,
                           float *y, size_t ldy, const float *x, size_t ldx, int32_t n_rows);

/* Convolution of this thread's channels, all segments, from in_proj's output to x_proj's input and
 * the scan's u; the threads must meet before another reads them.  Afterwards one thread keeps the
 * scales of the inputs that the next tokens still see. */
void qm_convolve_w8a8(const qm_thread *t, int32_t layer, qm_range channels);
void qm_keep_input_scales(const qm_thread *t, int32_t layer);

/* residual += hidden, these columns of all rows. */
void qm_add_residual(const qm_thread *t, qm_range columns);

/* One layer of all segments, by the kind of the model. */
void qm_mix_float(const qm_thread *t, int32_t layer);
void qm_mix_w8a8(const qm_thread *t, int32_t layer);

#endif

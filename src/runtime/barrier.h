/* How the threads of one pass wait for each other, and their meeting point.  OpenMP's own keeps
 * spinning when its processors are busy with something else, which on a shared machine costs ten
 * times the work; this one spins for some microseconds and then gives its place away until the
 * others come. */
#ifndef QM_RUNTIME_BARRIER_H
#define QM_RUNTIME_BARRIER_H

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

typedef struct qm_barrier {
    _Atomic uint32_t arrived, round;
} qm_barrier;

/* Spends a moment of waiting, the i-th. */
static inline void qm_linger(uint32_t i)
{
    enum { SPINS = 2000 }; /* some 20 microseconds */
    if (i < SPINS) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    } else {
        sched_yield();
    }
}

/* Returns when n threads have called it; what each wrote before, all see after. */
static inline void qm_barrier_wait(qm_barrier *b, uint32_t n)
{
    uint32_t round = atomic_load_explicit(&b->round, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&b->arrived, 1, memory_order_acq_rel) + 1 == n) {
        atomic_store_explicit(&b->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&b->round, round + 1, memory_order_release);
        return;
    }
    for (uint32_t i = 0; atomic_load_explicit(&b->round, memory_order_acquire) == round; i++)
        qm_linger(i);
}

#endif

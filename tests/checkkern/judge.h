/* The judge's tools: guarded memory, hostile fillings, comparison by bits, timing. */
#ifndef CHECKKERN_JUDGE_H
#define CHECKKERN_JUDGE_H

#include "kernels/kernels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    N_SLOTS = 8, /* buffers alive at once */
    SLOT_BYTES = 8 << 20
};

/* What a buffer of floats is filled with. */
typedef enum pattern {
    RANDOM,    /* in [-1, 1) */
    WIDE,      /* random bits: every exponent, subnormals included, no NaN or inf */
    ZEROS,     /* +0 and -0 */
    TINY,      /* products underflow, with both signs */
    ALTERNATE, /* large values that cancel */
    SPECIAL,   /* some inf and NaN among ordinary values */
    N_PATTERNS
} pattern;

/* What a buffer of INT8 codes is filled with. */
typedef enum code_pattern {
    CODES,       /* random, -128 included */
    LOWEST,      /* all -128 */
    HIGHEST,     /* all 127 */
    ALTERNATING, /* 127 and -128 by turns */
    NOUGHT,      /* all 0 */
    ONE_HOT,     /* one -128 among zeros */
    N_CODE_PATTERNS
} code_pattern;

typedef struct judge {
    uint64_t seed, state; /* state restarts from seed for every version of every operator */
    bool exhaustive, bench;
    bool at_front; /* buffers begin behind an unmapped page; else they end before one */
    unsigned char *slots[N_SLOTS]; /* each between two unmapped pages */
    const char *name;              /* of the version under test */
} judge;

void judge_open(judge *j);

uint64_t judge_random(judge *j);

/* A buffer whose last byte is the last before an unmapped page, or whose first is the first behind
 * one; the 64 bytes on the other side hold canaries that judge_canaries checks.  Every version is
 * judged both ways, the second time on fewer values. */
void *judge_buffer(judge *j, int slot, size_t bytes);
bool judge_canaries(const judge *j, int slot, size_t bytes);

float *judge_floats(judge *j, int slot, size_t n, pattern p);
uint16_t *judge_halves(judge *j, int slot, size_t n, pattern p);
int8_t *judge_codes(judge *j, int slot, size_t n, code_pattern p);

/* Equal by bits, any NaN equal to any NaN; else prints where, and returns false. */
bool judge_equal(const judge *j, const float *want, const float *got, size_t n, const char *format,
                 ...) __attribute__((format(printf, 5, 6)));

/* The same for n integers of size_bytes: 1 or 4, signed. */
bool judge_same(const judge *j, const void *want, const void *got, size_t size_bytes, size_t n,
                const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Seconds on the monotonic clock. */
double judge_now(void);

/* Prints the median time of a call: JUDGE_BENCH(j, "256 x 384", flops, call). */
#define JUDGE_BENCH(j, shape, work, unit, call)                                                    \
    do {                                                                                           \
        double times_[31];                                                                         \
        for (int run_ = 0; (j)->bench && run_ < 31; run_++) {                                      \
            double start_ = judge_now();                                                           \
            call;                                                                                  \
            times_[run_] = judge_now() - start_;                                                   \
        }                                                                                          \
        if ((j)->bench) judge_report((j), shape, work, unit, times_);                              \
    } while (0)
void judge_report(const judge *j, const char *shape, double work, const char *unit,
                  double times[31]);

/* Prints, for every instruction set of this processor, the cycles that a scan takes per channel,
 * state and token, beside those of its exponential. */
void judge_scan_cycles(judge *j);

/* One check for every operator: true when this version equals the scalar one. */
#define QM_KERNEL(op, isa, function) bool check_##op(judge *j, qm_##op##_fn *fn);
#include "kernels/kernels.def"
#undef QM_KERNEL

#endif

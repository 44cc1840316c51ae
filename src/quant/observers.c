#include "quant/observers.h"

#include "base/half.h"

#include <math.h>
#include <string.h>

/* A half has 10 fraction bits, so 13 bits of its float are zero; 2^-24 is exponent 103. */
enum { SHIFT = 13, FIRST_BIN = 102 * 1024, LAST_BIN = QM_MAGNITUDE_BINS - 1 };

static uint32_t bin_of(float x)
{
    uint32_t key = (qm_bits_f32(x) & 0x7fffffffu) >> SHIFT;
    uint32_t bin = key > FIRST_BIN ? key - FIRST_BIN : 0;
    return bin < LAST_BIN ? bin : LAST_BIN;
}

static float value_of(uint32_t bin)
{
    if (bin == 0) return 0.0f;
    return bin == LAST_BIN ? INFINITY : qm_f32_bits((bin + FIRST_BIN) << SHIFT);
}

void qm_magnitudes_add(qm_magnitudes *m, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        m->counts[bin_of(x[i])]++;
    m->n += n;
}

void qm_magnitudes_clear(qm_magnitudes *m) { memset(m, 0, sizeof *m); }

/* The value with this many others at or above it in the sorted list. */
static float from_top(const qm_magnitudes *m, uint64_t above)
{
    uint32_t bin = LAST_BIN;
    for (uint64_t seen = m->counts[bin]; seen <= above; seen += m->counts[bin])
        bin--;
    return value_of(bin);
}

float qm_magnitudes_quantile(const qm_magnitudes *m, float alpha)
{
    const uint64_t last = m->n - 1;
    const float rank = alpha * (float)last, low = floorf(rank), w = rank - low;
    uint64_t low_index = (uint64_t)low, high_index = (uint64_t)ceilf(rank);
    if (low_index > last) low_index = last; /* (float)last may have been rounded up */
    if (high_index > last) high_index = last;
    const float a = from_top(m, last - low_index), b = from_top(m, last - high_index);
    if (isinf(b)) return b;
    return w < 0.5f ? a + w * (b - a) : b - (b - a) * (1.0f - w);
}

float qm_absmax_f32(float largest, const float *x, size_t n)
{
    enum { LANES = 8 };        /* so that one comparison need not wait for the other */
    int32_t most[LANES] = {0}; /* magnitudes are ordered as their bits, NaN above all */
    for (size_t i = 0; i < n; i++) {
        const int32_t bits = (int32_t)(qm_bits_f32(x[i]) & 0x7fffffffu);
        most[i % LANES] = bits > most[i % LANES] ? bits : most[i % LANES];
    }
    int32_t all = (int32_t)qm_bits_f32(largest);
    for (size_t k = 0; k < LANES; k++)
        all = most[k] > all ? most[k] : all;
    return all > 0x7f800000 ? INFINITY : qm_f32_bits((uint32_t)all);
}

float qm_moving_average(float average, float quantile, bool is_first)
{
    return is_first ? quantile : average + 0.01f * (quantile - average);
}

/* A GPU divides by a constant by multiplying with its reciprocal. */
static float per_step(float x) { return x * (1.0f / 127.0f); }

float qm_scale_of_absmax(float largest)
{
    const float least = qm_round_f16(1e-5f);
    return fmaxf(qm_round_f16(per_step(fmaxf(largest, least))), 1e-6f);
}

float qm_scale_of_quantile(float average) { return fmaxf(per_step(average), 1e-6f); }

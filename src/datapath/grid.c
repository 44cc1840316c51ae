#include "datapath/grid.h"

#include <math.h>

/* A code has no sign of zero: adding 0 takes it away. */
static float rounded(qm_rnd rnd, float x)
{
    return (rnd == QM_RND_EVEN ? rintf(x) : roundf(x)) + 0.0f;
}

static float clamped(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

/* step * R(v / step), codes low .. 127 */
static float snap(qm_rnd rnd, float v, float step, float low)
{
    return clamped(rounded(rnd, v / step), low, 127.0f) * step;
}

/* Finer steps while the code at s is below a limit. */
static float finer_below(qm_rnd rnd, float v, float s, float step, float limit)
{
    if (fabsf(rounded(rnd, v / s)) < limit) return snap(rnd, v, step, -127.0f);
    return snap(rnd, v, s, -128.0f);
}

/* Quarter steps up to 8 s, then 8 s plus a power of two of them, rounded down. */
static float qlog2(qm_rnd rnd, float v, float s)
{
    const float k = s / 4.0f, turn = 32.0f * k;
    if (!(fabsf(v) > turn)) return snap(rnd, v, k, -127.0f);
    const float above = fmaxf(fabsf(v) - turn, k);
    const int exponent = ilogbf(above / k);
    return copysignf(turn + ldexpf(k, exponent < 0 ? 0 : exponent > 255 ? 255 : exponent), v);
}

static float seg3(qm_rnd rnd, float v, float s)
{
    const float quarter = s / 4.0f, size = fabsf(v);
    if (!(size > 63.0f * quarter))
        return clamped(rounded(rnd, v / quarter), -63.0f, 63.0f) * quarter;
    if (size <= 143.0f * s) return copysignf(clamped(rounded(rnd, size / s), 16.0f, 143.0f) * s, v);
    const float beyond = clamped(rounded(rnd, (size - 143.0f * s) / (4.0f * s)), 0.0f, 63.0f);
    return copysignf(143.0f * s + beyond * 4.0f * s, v);
}

static float grid_of(qm_grid grid, qm_rnd rnd, float v, float s, float s2)
{
    switch (grid) {
    case QM_GRID_I8:
    case QM_GRID_VQ:
        return snap(rnd, v, s, -128.0f);
    case QM_GRID_F32:
        break;
    case QM_GRID_SEL: {
        const float q = rounded(rnd, v / s);
        return fabsf(q) > 127.0f ? v : q * s;
    }
    case QM_GRID_DUAL:
    case QM_GRID_CDUAL:
        return snap(rnd, v, fabsf(rounded(rnd, v / s)) > 127.0f ? s2 : s, -128.0f);
    case QM_GRID_HALF:
        return finer_below(rnd, v, s, s / 2.0f, 64.0f);
    case QM_GRID_QUARTER:
        return finer_below(rnd, v, s, s / 4.0f, 32.0f);
    case QM_GRID_QLOG2:
        return qlog2(rnd, v, s);
    case QM_GRID_SEG3:
        return seg3(rnd, v, s);
    }
    return v;
}

void qm_grid_apply(qm_grid grid, qm_rnd rnd, float *v, size_t n, float s, float s2)
{
    if (grid == QM_GRID_F32) return;
    for (size_t i = 0; i < n; i++)
        v[i] = grid_of(grid, rnd, v[i], s, s2);
}

float qm_grid_largest_outlier(qm_rnd rnd, const float *v, size_t n, float s)
{
    float largest = 0.0f;
    for (size_t i = 0; i < n; i++)
        if (fabsf(rounded(rnd, v[i] / s)) > 127.0f) largest = fmaxf(largest, fabsf(v[i]));
    return largest;
}

float qm_grid_second_scale(float largest_outlier, float s)
{
    return fmaxf(largest_outlier / 127.0f, s);
}

#include "eval/compare_edge.h"

#include "base/fmath.h"

#include <math.h>
#include <string.h>

/* ---- what a run holds -------------------------------------------------------------------------
 */

/* Twice the range: two cells become one. */
static void widen(qm_histogram *h)
{
    uint64_t folded[QM_HISTOGRAM_CELLS] = {0};
    for (size_t i = 0; i < QM_HISTOGRAM_CELLS; i++)
        folded[(i + QM_HISTOGRAM_CELLS / 2) / 2] += h->cells[i];
    memcpy(h->cells, folded, sizeof folded);
    h->exponent++;
}

static void count_values(qm_histogram *h, const qm_row *row, double largest)
{
    enum { LOWEST = -100 }; /* finer steps than 2^-107 are all alike */
    if (!h->used) h->exponent = LOWEST;
    h->used = true;
    while (!(largest < ldexp(1.0, h->exponent)))
        widen(h);
    const double per_cell = ldexp(1.0, 7 - h->exponent); /* 128 cells on either side of zero */
    for (size_t i = 0; i < row->n; i++) {
        const double at = (double)row->values[i] * per_cell; /* exact */
        if (!(fabs(at) < QM_HISTOGRAM_CELLS / 2)) continue;  /* no number */
        const int cell = (int)at - (at < (double)(int)at);   /* floor, which costs a call */
        h->cells[cell + QM_HISTOGRAM_CELLS / 2]++;
    }
}

/* The largest finite magnitude: magnitudes are in the order of their bits. */
static double largest_of(const float *values, size_t n)
{
    uint32_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t size = qm_bits_f32(values[i]) & 0x7fffffffu;
        const uint32_t kept = size < 0x7f800000u ? size : 0;
        largest = kept > largest ? kept : largest;
    }
    return (double)qm_f32_bits(largest);
}

void qm_edge_see(qm_edge_stats *stats, const qm_row *row)
{
    const double largest = largest_of(row->values, row->n);
    if (row->codes) {
        if (!stats->codes)
            stats->scale = row->scale;
        else if (!(stats->scale == row->scale))
            stats->scale = NAN;
    }
    stats->codes |= row->codes != NULL;
    stats->numbers |= row->codes == NULL;
    stats->n += row->n;
    if (largest > stats->largest) stats->largest = largest;
    qm_histogram *h = &stats->histogram;
    if (!h->used) h->by_code = row->codes != NULL;
    if (!h->by_code) {
        count_values(h, row, largest);
        return;
    }
    h->used = true;
    for (size_t i = 0; row->codes && i < row->n; i++)
        h->cells[row->codes[i] + 128]++;
}

void qm_histogram_bins(const qm_histogram *h, double scale, qm_bins *bins)
{
    size_t begin = 0, end = QM_HISTOGRAM_CELLS;
    *bins = (qm_bins){0};
    while (end > 0 && h->cells[end - 1] == 0)
        end--;
    while (begin < end && h->cells[begin] == 0)
        begin++;
    if (begin == end) return;
    const size_t per_bin = (end - begin + QM_HISTOGRAM_BINS - 1) / QM_HISTOGRAM_BINS;
    for (size_t i = begin; i < end; i++)
        bins->counts[(i - begin) / per_bin] += h->cells[i];
    /* a code stands in the middle of its cell */
    const double width = h->by_code ? scale : ldexp(1.0, h->exponent - 7);
    const double zero = QM_HISTOGRAM_CELLS / 2 + (h->by_code ? 0.5 : 0.0);
    bins->low = ((double)begin - zero) * width;
    bins->high = ((double)(begin + per_bin * QM_HISTOGRAM_BINS) - zero) * width;
}

/* ---- how far two runs are apart ---------------------------------------------------------------
 */

/* Maps floats to integers in their order; both zeros to 0. */
static int64_t place(float x)
{
    const uint32_t bits = qm_bits_f32(x);
    const int64_t size = bits & 0x7fffffffu;
    return bits >> 31 ? -size : size;
}

int64_t qm_ulps_between(float a, float b)
{
    return a != a || b != b ? INT64_MAX : place(b) - place(a);
}

static bool differ(float a, float b) { return a != b && (a == a || b == b); }

static void count_ulps(qm_parting *p, float first, float other)
{
    int64_t distance = qm_ulps_between(first, other);
    const bool above = distance > 0;
    size_t bucket = 0;
    if (distance == INT64_MAX)
        bucket = QM_ULP_BUCKETS - 1;
    else
        for (distance = above ? distance : -distance; distance > 1; distance >>= 1)
            bucket++;
    p->ulps[above][bucket < QM_ULP_BUCKETS ? bucket : QM_ULP_BUCKETS - 1]++;
}

static void count_steps(qm_parting *p, const qm_row *first, const qm_row *other, size_t i)
{
    const double scale = (double)(first->codes ? first->scale : other->scale);
    double steps = floor(((double)other->values[i] - (double)first->values[i]) / scale + 0.5);
    if (!(steps > -255.0)) steps = -255.0; /* no number either */
    if (steps > 255.0) steps = 255.0;
    p->codes[(int)steps + 255]++;
}

static void find_parting(qm_parting *p, const qm_row *first, const qm_row *other, size_t piece,
                         size_t token)
{
    const bool in_codes = first->codes && other->codes && first->scale == other->scale;
    const bool in_steps = !in_codes && (first->codes || other->codes);
    p->in_codes |= in_codes;
    p->in_steps |= in_steps;
    p->in_ulps |= !in_codes && !in_steps;
    for (size_t i = 0; i < first->n; i++) {
        if (!differ(first->values[i], other->values[i])) continue;
        if (p->n_differ++ == 0) {
            p->piece = piece;
            p->token = token;
            p->channel = i;
            p->pair = (qm_pair){.first = first->values[i],
                                .other = other->values[i],
                                .first_code = first->codes ? first->codes[i] : QM_NO_CODE,
                                .other_code = other->codes ? other->codes[i] : QM_NO_CODE};
        }
        if (in_codes)
            p->codes[other->codes[i] - first->codes[i] + 255]++;
        else if (in_steps)
            count_steps(p, first, other, i);
        else
            count_ulps(p, first->values[i], other->values[i]);
    }
}

/* Sums of one row. */
typedef struct sums {
    double error2, first2, other2, product, max_error;
} sums;

static sums add_up(const float *a, const float *b, size_t n)
{
    sums s = {0};
    for (size_t i = 0; i < n; i++) {
        const double x = (double)a[i], y = (double)b[i], d = y - x, size = fabs(d);
        s.error2 += d * d;
        s.first2 += x * x;
        s.other2 += y * y;
        s.product += x * y;
        if (size > s.max_error) s.max_error = size;
    }
    return s;
}

/* The same where some values are infinite or no numbers: equal ones differ by 0, others are
 * infinitely far apart, and none of them counts in the sums. */
static sums add_up_finite(const float *a, const float *b, size_t n, uint64_t *not_finite)
{
    sums s = {0};
    double worst = 0.0;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(a[i]) && isfinite(b[i])) {
            const sums one = add_up(a + i, b + i, 1);
            s.error2 += one.error2;
            s.first2 += one.first2;
            s.other2 += one.other2;
            s.product += one.product;
            if (one.max_error > s.max_error) s.max_error = one.max_error;
        } else {
            ++*not_finite;
            if (differ(a[i], b[i])) worst = HUGE_VAL;
        }
    }
    if (worst > s.max_error) s.max_error = worst;
    return s;
}

static void count_flips(qm_edge_stats *stats, const int8_t *a, const int8_t *b, size_t n)
{
    stats->n_codes += n;
    if (memcmp(a, b, n) == 0) return;
    for (size_t i = 0; i < n; i++) {
        const int32_t d = a[i] > b[i] ? a[i] - b[i] : b[i] - a[i];
        stats->flips += d > 0;
        if (d > stats->worst_flip) stats->worst_flip = d;
    }
}

void qm_edge_compare(qm_edge_stats *stats, const qm_row *first, const qm_row *other, size_t piece,
                     size_t token)
{
    const size_t n = first->n;
    sums s = add_up(first->values, other->values, n);
    if (!isfinite(s.error2 + s.first2 + s.other2)) /* 0 * inf and inf - inf are no numbers */
        s = add_up_finite(first->values, other->values, n, &stats->not_finite);
    stats->n_compared += n;
    stats->error2 += s.error2;
    stats->first2 += s.first2;
    stats->other2 += s.other2;
    stats->product += s.product;
    if (s.max_error > stats->max_error) stats->max_error = s.max_error;
    if (first->codes && other->codes && first->scale == other->scale)
        count_flips(stats, first->codes, other->codes, n);
    if (stats->parting && !(s.max_error == 0.0))
        find_parting(stats->parting, first, other, piece, token);
}

/* ---- what comes of it -------------------------------------------------------------------------
 */

double qm_edge_rms(const qm_edge_stats *stats)
{
    const uint64_t n = stats->n_compared - stats->not_finite;
    return n > 0 ? sqrt(stats->error2 / (double)n) : (double)NAN;
}

double qm_edge_sqnr_db(const qm_edge_stats *stats)
{
    const double ln10 = 2.302585092994045684;
    if (stats->error2 == 0.0) return stats->first2 > 0.0 ? HUGE_VAL : (double)NAN;
    return 10.0 / ln10 * qm_log64(stats->first2 / stats->error2);
}

double qm_edge_cosine(const qm_edge_stats *stats)
{
    const double size = sqrt(stats->first2 * stats->other2);
    return size > 0.0 ? stats->product / size : (double)NAN;
}

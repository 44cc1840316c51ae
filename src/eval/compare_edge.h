/* How far one run is from another at one edge of one layer.  Values arrive row by row, in the order
 * of the tokens, and are summed in double: within a row in the order of the channels, then row by
 * row. */
#ifndef QM_EVAL_COMPARE_EDGE_H
#define QM_EVAL_COMPARE_EDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One token's values at an edge. */
typedef struct qm_row {
    const float *values; /* [n]: of codes, fl(scale * code) */
    const int8_t *codes; /* [n], or NULL where they are numbers */
    float scale;         /* of the codes */
    size_t n;
} qm_row;

enum { QM_HISTOGRAM_CELLS = 256, QM_HISTOGRAM_BINS = 64 };

/* Counts by code, or by value in cells of equal width over -2^exponent .. 2^exponent: the smallest
 * such range that holds all, so that the order in which values come does not matter. */
typedef struct qm_histogram {
    uint64_t cells[QM_HISTOGRAM_CELLS];
    int exponent;
    bool used, by_code;
} qm_histogram;

/* The cells, several to a bin, over the stretch that is not empty. */
typedef struct qm_bins {
    double low, high;
    uint64_t counts[QM_HISTOGRAM_BINS];
} qm_bins;
void qm_histogram_bins(const qm_histogram *histogram, double scale, qm_bins *bins);

/* A value of two runs. */
typedef struct qm_pair {
    float first, other;
    int32_t first_code, other_code; /* -128 .. 127; QM_NO_CODE */
} qm_pair;
enum { QM_NO_CODE = 1000 };

/* Where two runs part at this edge, and by how much: in codes where both have codes at one scale;
 * where only one has codes, or at another scale, in steps of that scale, rounded to the nearest; in
 * floats that lie between (units in the last place) where both have numbers. */
enum { QM_ULP_BUCKETS = 33 }; /* 1, 2..3, 4..7, ...; the last: one of the two is no number */
typedef struct qm_parting {
    uint64_t n_differ;
    size_t piece, token, channel; /* of the first difference */
    qm_pair pair;
    bool in_codes, in_steps, in_ulps;
    uint64_t codes[511]; /* codes or steps: other minus first, from -255; the ends hold the rest */
    uint64_t ulps[2][QM_ULP_BUCKETS]; /* other below, above */
} qm_parting;

typedef struct qm_edge_stats {
    uint64_t n;          /* values of the run */
    bool codes, numbers; /* it showed codes, numbers */
    float scale;         /* of its codes; NaN where they have several, 0 where there are none */
    double largest;      /* magnitude */
    qm_histogram histogram;

    uint64_t n_compared; /* with the first run */
    uint64_t not_finite; /* values of which one is infinite or no number, left out of the sums */
    double max_error, error2, first2, other2, product; /* maximum; sums of squares; of products */
    uint64_t n_codes, flips; /* of both runs' codes at one scale: compared, different */
    int32_t worst_flip;
    uint64_t saturated;  /* filled by the caller */
    qm_parting *parting; /* NULL: not wanted */
} qm_edge_stats;

/* A row of the run: of what it holds. */
void qm_edge_see(qm_edge_stats *stats, const qm_row *row);

/* The same row of both runs, of equal length: how far they are apart. */
void qm_edge_compare(qm_edge_stats *stats, const qm_row *first, const qm_row *other, size_t piece,
                     size_t token);

/* What comes of the sums; NaN where it is not defined. */
double qm_edge_rms(const qm_edge_stats *stats);
double qm_edge_sqnr_db(const qm_edge_stats *stats); /* +inf without an error */
double qm_edge_cosine(const qm_edge_stats *stats);

/* Floats from a to b, negative when b is below a; INT64_MAX when one is no number. */
int64_t qm_ulps_between(float a, float b);

#endif

/* Scores of many items to one number and its standard error.  Plain running sums in item order and
 * no libm, so that all 17 digits agree on every machine. */
#ifndef QM_EVAL_STATS_H
#define QM_EVAL_STATS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct qm_outcome {
    double loglik; /* of the last word; of a text segment: mean over its predictions */
    bool is_correct, is_correct_norm;
} qm_outcome;

typedef struct qm_estimate {
    double value, error; /* NaN where it is not defined */
} qm_estimate;

/* Share of n_true in n; standard error sqrt(p (1 - p) / (n - 1)), undefined below n = 2. */
qm_estimate qm_estimate_share(size_t n_true, size_t n);

/* exp(-mean log-likelihood); standard error by the delta method, exp(-mean) sd / sqrt(n) (the
 * harness bootstraps the same quantity), undefined below n = 2. */
qm_estimate qm_estimate_perplexity(const qm_outcome *outcomes, size_t n);

/* Mean, and its standard error sd / sqrt(n); undefined below n = 1 and n = 2. */
qm_estimate qm_estimate_mean(const double *values, size_t n);

/* The t with P(|T| <= t) = 0.95 for Student's T of that many degrees of freedom (>= 1), to some
 * 1e-12; from a million on that of the normal distribution. */
double qm_t_quantile_95(size_t n_free);

/* The same n items under two conditions: differences b - a of their log-likelihoods, with the 95 %
 * interval of Student's t; and those right under one only, with the p of McNemar's exact test. */
typedef struct qm_paired {
    double mean, error, low, high; /* NaN where it is not defined */
    size_t won, lost;              /* wrong in a and right in b; right in a and wrong in b */
    double p;
} qm_paired;

/* False without memory. */
bool qm_compare_outcomes(const qm_outcome *a, const qm_outcome *b, size_t n, qm_paired *out);

/* Two-sided p of won against lost under a fair coin: 1 where there are none. */
double qm_mcnemar_exact(size_t won, size_t lost);

/* Index of the largest of n values; the first one wins a tie, as numpy's argmax. */
size_t qm_argmax(const double *values, size_t n);

#endif

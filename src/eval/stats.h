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

/* Index of the largest of n values; the first one wins a tie, as numpy's argmax. */
size_t qm_argmax(const double *values, size_t n);

#endif

/* Two runs' predictions of the same token. */
#ifndef QM_EVAL_COMPARE_LOGITS_H
#define QM_EVAL_COMPARE_LOGITS_H

#include <stddef.h>

/* log(sum of exp(logits)), in double, from the first logit to the last. */
double qm_log_sum_exp(const float *logits, size_t n);

/* Kullback-Leibler divergence of b's softmax from a's, in nats: sum of p_a (log p_a - log p_b).
 * log_sum: qm_log_sum_exp of each.  Exactly 0 for equal logits; NaN where one is not finite. */
double qm_kl_divergence(const float *a, double log_sum_a, const float *b, double log_sum_b,
                        size_t n);

#endif

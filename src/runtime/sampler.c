/* Drawing tokens.
 *
 * Tokens have one total order: larger logit first, lower id first among equals.  Whatever a filter
 * (top-k, min-p, top-p) keeps is a beginning of that order, so a filter is a cutoff, and the whole
 * vocabulary is never sorted.  Survivors are drawn from in id order: filters that happen to keep
 * the same tokens draw the same token.
 *
 * Weights are floats by our own exp, sums are doubles in a fixed order: the same on every machine.
 * Source of the order of steps: upstream's generation.py (mamba_ssm.utils), except
 * that its min-p compares with token 0 instead of the largest and shuts top-p off; here every step
 * that is asked for is done. */
#include "base/fmath.h"
#include "base/mem.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct candidate {
    uint64_t key; /* logit in the upper half, id reversed in the lower: larger comes first */
    float logit;  /* after the penalty, never NaN */
    float weight; /* in proportion to the probability, the largest is 1 */
} candidate;

struct quamba_sampler {
    quamba_sampler_options options;
    int32_t n_vocab;
    uint64_t random[4];
    bool *seen;          /* [n_vocab] */
    candidate *left;     /* [n_vocab], the survivors in id order */
    candidate *narrowed; /* [n_vocab], scratch of find_cutoff */
    qm_arena arena;
};

/* ---- random numbers: xoshiro256** (Blackman, Vigna), seeded by splitmix64 ---------------------
 */

static uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

static void seed_random(uint64_t random[4], uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        random[i] = qm_splitmix64(&seed);
}

/* In [0, 1), a multiple of 2^-53. */
static double next_random(uint64_t random[4])
{
    uint64_t result = rotate(random[1] * 5, 7) * 9, shifted = random[1] << 17;
    random[2] ^= random[0];
    random[3] ^= random[1];
    random[1] ^= random[2];
    random[0] ^= random[3];
    random[2] ^= shifted;
    random[3] = rotate(random[3], 45);
    return (double)(result >> 11) * 0x1p-53;
}

/* ---- candidates ------------------------------------------------------------------------------ */

static candidate make_candidate(float logit, int32_t id)
{
    if (logit != logit) logit = -INFINITY;
    uint32_t bits = qm_bits_f32(logit + 0.0f); /* -0 becomes +0, its equal */
    bits ^= bits >> 31 ? 0xffffffffu : 0x80000000u;
    return (candidate){(uint64_t)bits << 32 | (UINT32_MAX - (uint32_t)id), logit, 1.0f};
}

static int32_t id_of(const candidate *c) { return (int32_t)(UINT32_MAX - (uint32_t)c->key); }

/* All tokens with the penalty applied; returns the first in the order. */
static candidate take_logits(quamba_sampler *sampler, const float *logits)
{
    float penalty = sampler->options.repetition_penalty;
    candidate best = {0};
    for (int32_t id = 0; id < sampler->n_vocab; id++) {
        float logit = logits[id];
        if (sampler->seen[id] && penalty != 1.0f)
            logit = logit > 0.0f ? logit / penalty : logit * penalty;
        candidate c = make_candidate(logit, id);
        if (c.key > best.key) best = c;
        sampler->left[id] = c;
    }
    return best;
}

/* Weights relative to the largest logit, 1.  Infinite logits included: inf - inf is not formed. */
static void weigh(candidate *left, size_t n, float largest, float temperature)
{
    for (size_t i = 0; i < n; i++)
        left[i].weight =
            left[i].logit == largest ? 1.0f : qm_expf((left[i].logit - largest) / temperature);
}

static double total_weight(const candidate *left, size_t n)
{
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += (double)left[i].weight;
    return total;
}

/* The last key kept when candidates are taken from the first on while the weight taken before is
 * below target.  Looks at one byte of the keys at a time, from the top, and goes on with those
 * that share the byte where the target is reached; keys are distinct, so one is left in the end.
 * narrowed[n], n >= 1, is used up. */
static uint64_t find_cutoff(candidate *narrowed, size_t n, double target)
{
    double before = 0;
    for (int shift = 56; n > 1; shift -= 8) {
        double weight[256] = {0};
        size_t count[256] = {0};
        for (size_t i = 0; i < n; i++) {
            size_t byte = narrowed[i].key >> shift & 255u;
            weight[byte] += (double)narrowed[i].weight;
            count[byte]++;
        }
        int chosen = -1; /* the last one in use, if rounding lets none reach the target */
        for (int byte = 255; byte >= 0; byte--) {
            if (count[byte] == 0) continue;
            if (chosen >= 0) before += weight[chosen];
            chosen = byte;
            if (before + weight[byte] >= target) break;
        }
        size_t kept = 0;
        for (size_t i = 0; i < n; i++)
            if ((int)(narrowed[i].key >> shift & 255u) == chosen) narrowed[kept++] = narrowed[i];
        n = kept;
    }
    return narrowed[0].key;
}

/* Keeps the first candidates, as find_cutoff says; returns how many. */
static size_t keep_first(quamba_sampler *sampler, size_t n, double target)
{
    memcpy(sampler->narrowed, sampler->left, n * sizeof *sampler->left);
    uint64_t cutoff = find_cutoff(sampler->narrowed, n, target);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (sampler->left[i].key >= cutoff) sampler->left[kept++] = sampler->left[i];
    return kept;
}

static size_t keep_min_p(quamba_sampler *sampler, size_t n, float largest)
{
    size_t kept = 0;
    weigh(sampler->left, n, largest, 1.0f);
    for (size_t i = 0; i < n; i++)
        if (sampler->left[i].weight >= sampler->options.min_p)
            sampler->left[kept++] = sampler->left[i];
    return kept;
}

static int32_t draw(quamba_sampler *sampler, size_t n)
{
    const candidate *left = sampler->left;
    double target = next_random(sampler->random) * total_weight(left, n), sum = 0;
    int32_t id = id_of(&left[0]);
    for (size_t i = 0; i < n; i++) {
        if (!(left[i].weight > 0.0f)) continue;
        id = id_of(&left[i]); /* the last possible one when rounding puts target at the total */
        sum += (double)left[i].weight;
        if (target < sum) break;
    }
    return id;
}

int32_t quamba_sampler_next(quamba_sampler *sampler, const float *logits)
{
    const quamba_sampler_options *o = &sampler->options;
    candidate best = take_logits(sampler, logits);
    size_t n = (size_t)sampler->n_vocab;
    int32_t id = id_of(&best);
    if (o->temperature > 0.0f && o->top_k != 1) {
        if (o->top_k > 0 && (size_t)o->top_k < n) n = keep_first(sampler, n, (double)o->top_k);
        if (o->min_p > 0.0f) n = keep_min_p(sampler, n, best.logit);
        weigh(sampler->left, n, best.logit, o->temperature);
        if (o->top_p < 1.0f)
            n = keep_first(sampler, n, (double)o->top_p * total_weight(sampler->left, n));
        id = draw(sampler, n);
    }
    sampler->seen[id] = true;
    return id;
}

void quamba_sampler_accept(quamba_sampler *sampler, const int32_t *tokens, size_t n_tokens)
{
    for (size_t i = 0; i < n_tokens; i++)
        if (tokens[i] >= 0 && tokens[i] < sampler->n_vocab) sampler->seen[tokens[i]] = true;
}

/* ---- life ------------------------------------------------------------------------------------ */

quamba_sampler_options quamba_sampler_options_default(void)
{
    return (quamba_sampler_options){
        .temperature = 1.0f, .top_p = 1.0f, .repetition_penalty = 1.0f, .seed = 1234};
}

static quamba_status check_options(int32_t n_vocab, const quamba_sampler_options *o,
                                   quamba_error *error)
{
    const quamba_status st = QUAMBA_E_ARGUMENT;
    if (n_vocab < 1) return qm_fail(error, st, 0, "n_vocab %d: must be at least 1", n_vocab);
    if (!(o->temperature >= 0.0f && o->temperature < INFINITY))
        return qm_fail(error, st, 0, "temperature %g: must be 0 or more", (double)o->temperature);
    if (o->top_k < 0) return qm_fail(error, st, 0, "top_k %d: must be 0 or more", o->top_k);
    if (!(o->top_p >= 0.0f && o->top_p <= 1.0f))
        return qm_fail(error, st, 0, "top_p %g: must be from 0 to 1", (double)o->top_p);
    if (!(o->min_p >= 0.0f && o->min_p <= 1.0f))
        return qm_fail(error, st, 0, "min_p %g: must be from 0 to 1", (double)o->min_p);
    if (!(o->repetition_penalty > 0.0f && o->repetition_penalty < INFINITY))
        return qm_fail(error, st, 0, "repetition_penalty %g: must be above 0",
                       (double)o->repetition_penalty);
    return QUAMBA_OK;
}

static void lay_out(quamba_sampler *sampler)
{
    sampler->left = QM_CARVE(&sampler->arena, candidate, sampler->n_vocab);
    sampler->narrowed = QM_CARVE(&sampler->arena, candidate, sampler->n_vocab);
    sampler->seen = QM_CARVE(&sampler->arena, bool, sampler->n_vocab);
}

quamba_status quamba_sampler_new(quamba_sampler **sampler, int32_t n_vocab,
                                 const quamba_sampler_options *options, quamba_error *error)
{
    *sampler = NULL;
    quamba_sampler_options o = options != NULL ? *options : quamba_sampler_options_default();
    quamba_status st = check_options(n_vocab, &o, error);
    if (st != QUAMBA_OK) return st;
    quamba_sampler *s = qm_alloc(1, sizeof *s);
    if (s == NULL) return qm_fail_memory(error, sizeof *s, "a sampler");
    s->options = o;
    s->n_vocab = n_vocab;
    seed_random(s->random, o.seed);
    lay_out(s);
    st = qm_arena_alloc(&s->arena, "a sampler", error);
    if (st == QUAMBA_OK) {
        lay_out(s);
        *sampler = s;
        return QUAMBA_OK;
    }
    quamba_sampler_free(&s);
    return st;
}

void quamba_sampler_free(quamba_sampler **sampler)
{
    if (sampler == NULL || *sampler == NULL) return;
    qm_arena_free(&(*sampler)->arena);
    free(*sampler);
    *sampler = NULL;
}

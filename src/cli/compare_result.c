/* What came of a comparison, number by number. */
#include "cli/compare.h"

#include "base/half.h"
#include "base/mem.h"
#include "eval/compare_frame.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>

bool qc_compare_task(const qc_compare *c, size_t run, size_t task, qm_paired *paired)
{
    const qc_eval_run *a = &c->runs[0].eval.runs[task], *b = &c->runs[run].eval.runs[task];
    return qm_compare_outcomes(a->outcomes, b->outcomes, (size_t)a->result.n_done, paired);
}

static double share(double part, uint64_t n) { return n > 0 ? part / (double)n : (double)NAN; }

static double finite_or_nan(double x) { return isfinite(x) ? x : (double)NAN; }

qc_edge_line qc_compare_edge(const qc_compare *c, size_t run, int32_t layer, int32_t edge)
{
    const qm_edge_stats *s = qm_compared_edge(&c->edges, run, layer, edge);
    const double none = (double)NAN;
    const uint64_t n_finite = s->n_compared - s->not_finite;
    const float format =
        s->codes ? s->scale : qm_edge_scale(c->runs[run].eval.model, (qm_edge)edge, layer);
    qc_edge_line line = {.max_error = none,
                         .rms_error = qm_edge_rms(s),
                         .rms_first = n_finite > 0 ? sqrt(s->first2 / (double)n_finite) : none,
                         .sqnr_db = finite_or_nan(qm_edge_sqnr_db(s)),
                         .cosine = qm_edge_cosine(s),
                         .flips = none,
                         .flip_share = none,
                         .worst_flip = none,
                         .saturated = none,
                         .saturated_share = none,
                         .largest = s->largest,
                         .scale = format > 0.0f ? (double)format : none};
    if (s->n_compared > 0) line.max_error = finite_or_nan(s->max_error);
    if (s->n_codes > 0) {
        line.flips = (double)s->flips;
        line.flip_share = share(line.flips, s->n_codes);
        line.worst_flip = (double)s->worst_flip;
    }
    if ((s->codes || format > 0.0f) && edge != QM_EDGE_SSM_STATE) { /* a prefill rounds no state */
        line.saturated = (double)s->saturated;
        line.saturated_share = share(line.saturated, s->n);
    }
    line.range_share = line.largest / (127.0 * line.scale);
    return line;
}

const char *qc_edge_measure(const qc_edge_line *line, size_t index, double *value)
{
    static const struct {
        const char *name;
        size_t offset;
    } measures[] = {
        {"max_error",       offsetof(qc_edge_line, max_error)      },
        {"rms_error",       offsetof(qc_edge_line, rms_error)      },
        {"rms_first",       offsetof(qc_edge_line, rms_first)      },
        {"sqnr_db",         offsetof(qc_edge_line, sqnr_db)        },
        {"cosine",          offsetof(qc_edge_line, cosine)         },
        {"code_flips",      offsetof(qc_edge_line, flips)          },
        {"code_flip_share", offsetof(qc_edge_line, flip_share)     },
        {"worst_flip",      offsetof(qc_edge_line, worst_flip)     },
        {"saturated",       offsetof(qc_edge_line, saturated)      },
        {"saturated_share", offsetof(qc_edge_line, saturated_share)},
        {"largest",         offsetof(qc_edge_line, largest)        },
        {"scale",           offsetof(qc_edge_line, scale)          },
        {"range_share",     offsetof(qc_edge_line, range_share)    },
    };
    if (index >= QM_COUNT(measures)) return NULL;
    *value = *(const double *)(const void *)((const char *)line + measures[index].offset);
    return measures[index].name;
}

void qc_compare_hex(float value, int32_t code, char out[12])
{
    if (code == QM_NO_CODE)
        snprintf(out, 12, "%08x", (unsigned)qm_bits_f32(value));
    else
        snprintf(out, 12, "%02x", (unsigned)code & 0xffu);
}

/* A comparison as CSV: one line per run, layer, edge and measure. */
#include "cli/compare.h"

#include "base/file.h"
#include "base/text.h"

#include <math.h>
#include <string.h>

/* Quoted where it has a comma or a quote. */
static void add_field(qm_text *text, const char *field)
{
    const bool plain = strpbrk(field, ",\"\n") == NULL;
    if (!plain) qm_text_puts(text, "\"");
    for (; *field != '\0'; field++)
        qm_text_printf(text, *field == '"' ? "\"\"" : "%c", *field);
    if (!plain) qm_text_puts(text, "\"");
    qm_text_puts(text, ",");
}

/* What is not defined is an empty field; layer -1: none. */
static void add_line(qm_text *text, const char *run, int32_t layer, const char *edge,
                     const char *measure, double value)
{
    add_field(text, run);
    if (layer >= 0) qm_text_printf(text, "%d", (int)layer);
    qm_text_puts(text, ",");
    add_field(text, edge);
    add_field(text, measure);
    if (isfinite(value)) qm_text_printf(text, "%.17g", value);
    qm_text_puts(text, "\n");
}

static bool add_task(qm_text *text, const qc_compare *c, size_t run, size_t task)
{
    const qc_eval_run *scored = &c->runs[run].eval.runs[task];
    const char *name = c->runs[run].name;
    const quamba_eval_result *r = &scored->result;
    const double none = (double)NAN;
    qm_paired p = {.mean = none, .error = none, .low = none, .high = none, .p = none};
    if (run > 0 && !qc_compare_task(c, run, task, &p)) return false;
    const bool verdicts = run > 0 && scored->task->form != QM_TASK_TEXT;
    const struct {
        const char *measure;
        double value;
    } lines[] = {
        {"acc",                r->acc                          },
        {"acc_stderr",         r->acc_stderr                   },
        {"acc_norm",           r->acc_norm                     },
        {"acc_norm_stderr",    r->acc_norm_stderr              },
        {"perplexity",         r->perplexity                   },
        {"perplexity_stderr",  r->perplexity_stderr            },
        {"won",                verdicts ? (double)p.won : none },
        {"lost",               verdicts ? (double)p.lost : none},
        {"mcnemar_p",          verdicts ? p.p : none           },
        {"mean_difference",    p.mean                          },
        {"difference_stderr",  p.error                         },
        {"difference_low_95",  p.low                           },
        {"difference_high_95", p.high                          },
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        add_line(text, name, -1, scored->name, lines[i].measure, lines[i].value);
    return true;
}

static void add_positions(qm_text *text, const qc_compare *c, size_t run)
{
    const qm_estimate kl = qm_compared_divergence(&c->edges, run);
    const qm_estimate top = qm_estimate_share(c->edges.runs[run].n_same_top, c->edges.n_positions);
    const char *name = c->runs[run].name;
    add_line(text, name, -1, "positions", "kl_mean", kl.value);
    add_line(text, name, -1, "positions", "kl_stderr", kl.error);
    add_line(text, name, -1, "positions", "top1_agreement", top.value);
    add_line(text, name, -1, "positions", "top1_stderr", top.error);
}

static void add_edges(qm_text *text, const qc_compare *c, size_t run)
{
    for (int32_t layer = 0; layer <= c->edges.n_layer; layer++)
        for (int32_t edge = 0; edge < QM_N_EDGES; edge++) {
            if (qm_compared_edge(&c->edges, run, layer, edge)->n == 0) continue;
            const qc_edge_line line = qc_compare_edge(c, run, layer, edge);
            const char *measure;
            double value;
            for (size_t i = 0; (measure = qc_edge_measure(&line, i, &value)) != NULL; i++)
                add_line(text, c->runs[run].name, layer, quamba_edge_name(edge), measure, value);
        }
}

int qc_compare_write_csv(const qc_compare *c, const char *path)
{
    quamba_error err = {0};
    qm_text text = {0};
    bool whole = true;
    qm_text_puts(&text, "run,layer,edge,measure,value\n");
    for (size_t run = 0; run < c->n_runs; run++) {
        for (size_t t = 0; t < qc_compare_n_tasks(c); t++)
            whole = add_task(&text, c, run, t) && whole;
        if (c->edges.n_runs == 0) continue;
        if (run > 0) add_positions(&text, c, run);
        add_edges(&text, c, run);
    }
    int status = QC_OK;
    if (!whole || text.failed)
        status = qc_fail_memory();
    else if (qm_file_write(path, text.data, text.size, &err) != QUAMBA_OK)
        status = qc_fail_error(&err);
    qm_text_free(&text);
    return status;
}

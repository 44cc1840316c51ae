/* quamba modes verify: what must hold between the modes, on a model. */
#include "verify/verify.h"

#include "cli/frame.h"
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

static const char *const outcomes[] = {
    [QM_HOLDS] = "holds", [QM_FAILS] = "FAILS", [QM_NOT_RUN] = "not run"};

static json_t *finding_json(const qm_check *check, const qm_finding *f)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:s}", "id", check->id, "statement",
                     check->statement, "tolerance", check->tolerance, "outcome",
                     outcomes[f->outcome], "values", (json_int_t)f->n, "differ",
                     (json_int_t)f->n_differ, "rms", qc_json_real(f->rms), "worst",
                     qc_json_real(f->worst), "found", f->text);
}

/* Runs the table into rows of a table or a list. */
static int run_table(const qc_options *opt, const qm_verify *v, qc_table *table, json_t *list,
                     size_t *n_failed)
{
    const qm_check *check;
    for (size_t i = 0; (check = qm_check_at(i)); i++) {
        qm_finding f;
        quamba_error err;
        if (qc_interrupted()) return QC_INTERRUPTED;
        if (qm_check_run(check, v, &f, &err) != QUAMBA_OK) return qc_fail_error(&err);
        *n_failed += f.outcome == QM_FAILS;
        if (opt->json) {
            json_array_append_new(list, finding_json(check, &f));
            continue;
        }
        qc_table_cell(table, "%s", check->id);
        qc_table_cell(table, "%s", outcomes[f.outcome]);
        qc_table_cell(table, "%s", check->statement);
        qc_table_cell(table, "%s", check->tolerance);
        qc_table_cell(table, "%s", f.text);
    }
    return QC_OK;
}

/* Token ids that any vocabulary has, the same on every machine. */
static void made_up_text(int32_t tokens[QM_VERIFY_TOKENS], int32_t n_vocab)
{
    uint32_t state = 1;
    for (size_t i = 0; i < QM_VERIFY_TOKENS; i++) {
        state = state * 1664525u + 1013904223u;
        tokens[i] = (int32_t)((state >> 8) % (uint32_t)n_vocab);
    }
}

int qc_modes_verify(const qc_options *opt)
{
    quamba_model *model = NULL;
    int32_t tokens[QM_VERIFY_TOKENS];
    size_t n_failed = 0;
    if (opt->n_args < 2)
        return qc_fail(QC_USAGE, "modes verify: on which model? quamba modes verify MODEL");
    qc_options plain = *opt; /* all rows are run, whichever mode is set */
    plain.mode = plain.datapath = NULL;
    int status = qc_open_model(&model, &plain, opt->args[1]);
    if (status != QC_OK) return status;
    if (!model->config.quantized) {
        quamba_model_close(&model);
        return qc_fail(QC_USAGE,
                       "modes verify: %s is not quantized: `quamba quantize` makes a checkpoint "
                       "that has modes",
                       opt->args[1]);
    }
    qc_catch_interrupts();
    made_up_text(tokens, model->config.n_vocab);
    const qm_verify v = {.model = model,
                         .tokens = tokens,
                         .n_tokens = QM_VERIFY_TOKENS,
                         .n_layer = model->config.n_layer < 4 ? model->config.n_layer : 4,
                         .options = qc_session_options(opt)};
    json_t *list = opt->json ? json_array() : NULL;
    qc_table *table =
        qc_table_new((const char *const[]){"id", "", "statement", "allowed", "found"}, 5);
    if (!table || (opt->json && !list))
        status = qc_fail_memory();
    else
        status = run_table(opt, &v, table, list, &n_failed);
    if (status == QC_OK) status = opt->json ? qc_print_json(list) : qc_table_print(table, stdout);
    if (status == QC_OK) status = qc_finish_output();
    if (status == QC_OK && n_failed > 0)
        status = qc_fail(QC_FAILED, "modes verify: %zu of the checks failed", n_failed);
    json_decref(list);
    qc_table_free(&table);
    quamba_model_close(&model);
    return status;
}

/* A task's run, item by item: what quamba_eval_run does, and the outcomes it is made of. */
#ifndef QM_EVAL_ITEMS_H
#define QM_EVAL_ITEMS_H

#include "eval/stats.h"
#include "quamba/quamba.h"

/* As quamba_eval_run; *outcomes is handed over (free), result->n_done of them in the order of the
 * items, whatever the status: NULL only before the first item.  The log-likelihood of a question
 * with choices is that of the right one. */
quamba_status qm_eval_items(const quamba_model *model, const quamba_tokenizer *tokenizer,
                            const quamba_session_options *session_options,
                            const quamba_eval_options *options, quamba_eval_result *result,
                            qm_outcome **outcomes, quamba_error *err);

#endif

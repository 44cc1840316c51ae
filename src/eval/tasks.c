#include "eval/task.h"

#include "base/mem.h"

#include <string.h>

enum { ACC = QM_METRIC_ACC, NORM = QM_METRIC_ACC_NORM, PPL = QM_METRIC_PERPLEXITY };

#define QUERY_FIELDS "\"query\", \"choices\" (an array of strings), \"gold\" (from 0)"

static const qm_task tasks[] = {
    {.name = "lambada_openai",
     .file = "lambada_openai.jsonl",
     .form = QM_TASK_LAST_WORD,
     .metrics = ACC | PPL,
     .context = "text",
     .wide_shots = true,
     .fields = "\"text\", whose last word is the target",
     .origin = "EleutherAI/lambada_openai on the Hugging Face hub, test split"},
    {.name = "cloze",
     .file = "cloze.jsonl",
     .form = QM_TASK_LAST_WORD,
     .metrics = ACC | PPL,
     .context = "text",
     .fields = "\"text\", whose last word is the target",
     .origin = "data/cloze.jsonl of the quamba repository"},
    {.name = "hellaswag",
     .file = "hellaswag.jsonl",
     .form = QM_TASK_CHOICES,
     .metrics = ACC | NORM,
     .before = "",
     .context = "query",
     .after = "",
     .choices = {"endings", NULL},
     .gold = "label",
     .fields = "\"query\", \"endings\" (an array of strings), \"label\" (from 0)",
     .origin = "Rowan/hellaswag on the Hugging Face hub, validation split, preprocessed as "
               "lm-evaluation-harness does"},
    {.name = "piqa",
     .file = "piqa.jsonl",
     .form = QM_TASK_CHOICES,
     .metrics = ACC | NORM,
     .before = "Question: ",
     .context = "goal",
     .after = "\nAnswer:",
     .choices = {"sol1", "sol2"},
     .gold = "label",
     .fields = "\"goal\", \"sol1\", \"sol2\", \"label\" (0 or 1)",
     .origin = "ybisk/piqa on the Hugging Face hub, validation split"},
    {.name = "arc_easy",
     .file = "arc_easy.jsonl",
     .form = QM_TASK_CHOICES,
     .metrics = ACC | NORM,
     .before = "",
     .context = "query",
     .after = "",
     .choices = {"choices", NULL},
     .gold = "gold",
     .fields = QUERY_FIELDS,
     .origin = "allenai/ai2_arc (ARC-Easy) on the Hugging Face hub, test split; query is "
               "\"Question: ...\\nAnswer:\""},
    {.name = "arc_challenge",
     .file = "arc_challenge.jsonl",
     .form = QM_TASK_CHOICES,
     .metrics = ACC | NORM,
     .before = "",
     .context = "query",
     .after = "",
     .choices = {"choices", NULL},
     .gold = "gold",
     .fields = QUERY_FIELDS,
     .origin = "allenai/ai2_arc (ARC-Challenge) on the Hugging Face hub, test split; query is "
               "\"Question: ...\\nAnswer:\""},
    {.name = "winogrande",
     .file = "winogrande.jsonl",
     .form = QM_TASK_BLANK,
     .metrics = ACC,
     .context = "sentence",
     .choices = {"option1", "option2"},
     .gold = "answer",
     .first_gold = 1,
     .fields = "\"sentence\" with one _, \"option1\", \"option2\", \"answer\" (\"1\" or \"2\")",
     .origin = "allenai/winogrande (winogrande_xl) on the Hugging Face hub, validation split"},
    {.name = "boolq",
     .file = "boolq.jsonl",
     .form = QM_TASK_CHOICES,
     .metrics = ACC,
     .before = "",
     .context = "query",
     .after = "",
     .choices = {"choices", NULL},
     .gold = "gold",
     .fields = QUERY_FIELDS,
     .origin = "google/boolq on the Hugging Face hub, validation split; query is "
               "\"PASSAGE\\nQuestion: ...?\\nAnswer:\", choices \"yes\" and \"no\""},
    {.name = "wikitext2",
     .file = "wikitext2.txt",
     .form = QM_TASK_TEXT,
     .metrics = PPL,
     .fields = "plain text",
     .origin = "Salesforce/wikitext (wikitext-2-raw-v1) on the Hugging Face hub, test split, as "
               "one text"},
    {.name = "ptb",
     .file = "ptb.txt",
     .form = QM_TASK_TEXT,
     .metrics = PPL,
     .fields = "plain text",
     .origin = "ptb-text-only/ptb_text_only on the Hugging Face hub, validation split, as one "
               "text"},
    {.name = "text",                                .form = QM_TASK_TEXT,                                      .metrics = PPL,                                   .fields = "plain text"          },
};

const qm_task *qm_task_at(size_t index) { return index < QM_COUNT(tasks) ? &tasks[index] : NULL; }

const qm_task *qm_task_find(const char *name)
{
    for (size_t i = 0; i < QM_COUNT(tasks); i++)
        if (strcmp(tasks[i].name, name) == 0) return &tasks[i];
    return NULL;
}

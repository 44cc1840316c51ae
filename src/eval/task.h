/* Tasks: what a line of a task file means.  A task is a row of a table; a task file is one JSON
 * object per line; a question is a line made ready to be scored: for every choice a context and the
 * continuation whose log-likelihood counts.  Prompt forms and scoring rules are those of
 * lm-evaluation-harness 0.4. */
#ifndef QM_EVAL_TASK_H
#define QM_EVAL_TASK_H

#include "base/status.h"
#include "base/text.h"

enum { QM_MAX_CHOICES = 26 };

typedef enum qm_task_form {
    QM_TASK_LAST_WORD, /* the last word is the continuation of all before it; greedy match */
    QM_TASK_CHOICES,   /* one context, each choice a continuation */
    QM_TASK_BLANK,     /* each option is put into the blank, what follows the blank is scored */
    QM_TASK_TEXT       /* plain text, not lines: perplexity */
} qm_task_form;

enum { QM_METRIC_ACC = 1, QM_METRIC_ACC_NORM = 2, QM_METRIC_PERPLEXITY = 4 };

typedef struct qm_task {
    const char *name, *file; /* file: under the data directory; NULL: the user names it */
    qm_task_form form;
    unsigned metrics;
    const char *before, *context, *after; /* the context is before + line[context] + after */
    const char *choices[2];               /* key of an array of strings, or keys of two strings */
    const char *gold;                     /* key of the right choice's number */
    int32_t first_gold;                   /* what the first choice is called there */
    bool wide_shots; /* in few-shot examples a second blank before the answer, as the harness has */
    const char *fields; /* for people: what a line holds */
    const char *origin; /* for people: where the data comes from; may be NULL */
} qm_task;

/* Rows in the order of the table; NULL past the last. */
const qm_task *qm_task_at(size_t index);
/* NULL when there is none of that name. */
const qm_task *qm_task_find(const char *name);

typedef struct qm_span {
    size_t at, size;
} qm_span;

/* Zero-initialise; reused from line to line; qm_question_free. */
typedef struct qm_question {
    size_t n_choices;                     /* 1 for QM_TASK_LAST_WORD */
    size_t gold;                          /* < n_choices */
    qm_span context[QM_MAX_CHOICES];      /* bytes in text */
    qm_span continuation[QM_MAX_CHOICES]; /* with the blank in front */
    size_t n_chars[QM_MAX_CHOICES];       /* Unicode characters of the choice itself, >= 1 */
    qm_text text;
} qm_question;

/* Reads one line (without its line feed).  Errors name the field, not the file. */
quamba_status qm_question_read(qm_question *question, const qm_task *task, const char *line,
                               size_t size, quamba_error *err);
void qm_question_free(qm_question *question);

/* A task file in memory, every line checked. */
typedef struct qm_task_file {
    const qm_task *task;
    char *name; /* for messages */
    char *data; /* a copy: editing the file meanwhile harms nobody */
    size_t size;
    uint64_t hash;  /* of the bytes */
    qm_span *items; /* the lines that are not blank */
    size_t *lines;  /* their line numbers, from 1 */
    size_t n_items; /* >= 1 */
} qm_task_file;

/* Adds to an error about a file that cannot be read what it should hold and where to get it. */
quamba_status qm_task_explain(const qm_task *task, quamba_status status, quamba_error *err);

/* Whether the task's file can be scored: what there is to find out without a tokenizer. */
quamba_status qm_task_check(const qm_task *task, const char *path, quamba_error *err);

/* Opens path and checks every line; errors begin with "path:line". */
quamba_status qm_task_file_open(qm_task_file *file, const qm_task *task, const char *path,
                                quamba_error *err);
/* The same for bytes in memory (copied); name stands for the path in messages. */
quamba_status qm_task_file_parse(qm_task_file *file, const qm_task *task, const char *name,
                                 const char *data, size_t size, quamba_error *err);
void qm_task_file_close(qm_task_file *file);

/* Item index of the file as a question. */
quamba_status qm_task_file_question(const qm_task_file *file, size_t index, qm_question *question,
                                    quamba_error *err);

/* Few-shot: the numbers of n_shots different items, none of them index, in the order in which they
 * are shown.  Drawn by SplitMix64 whose state starts as (its first output from state seed) xor
 * index: a number is the high 32 bits of the next output, times n_items, shifted right by 32; index
 * itself and numbers drawn before are drawn again.  n_shots < n_items < 2^32. */
void qm_fewshot_draw(size_t *shots, size_t n_shots, size_t index, size_t n_items, uint64_t seed);

/* Sets *prompt to the solved examples for item index, each followed by an empty line.  An example
 * is its context with the right continuation; for the last-word form that is the text itself (where
 * the harness of that time puts two blanks before the last word, we keep the text's one). */
quamba_status qm_fewshot_prompt(const qm_task_file *file, size_t index, size_t n_shots,
                                uint64_t seed, qm_question *scratch, qm_text *prompt,
                                quamba_error *err);

#endif

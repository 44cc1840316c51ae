/* Choosing a mode: precedence, the original's variables, and what is refused. */
#include "cli/select.h"

#include "base/mem.h"
#include "datapath/datapath.h"
#include "quamba/quamba.h"

#include <ctype.h>
#include <string.h>

/* ---- the original's variables ---------------------------------------------------------------- */

static const char *const variable_names[] = {
#define QC_VARIABLE_NAME(id, name) name,
    QC_VARIABLE_LIST(QC_VARIABLE_NAME)
#undef QC_VARIABLE_NAME
};

const char *qc_variable_name(qc_variable variable) { return variable_names[variable]; }

#define BIT(id) (1u << QC_VAR_##id)

/* The variables that a row names, as a set. */
static unsigned set_of(const quamba_datapath *row)
{
    unsigned set = 0;
    for (const char *name = row->variables; name != NULL && *name != '\0';) {
        const size_t n = strcspn(name, " ");
        for (unsigned v = 0; v < QC_N_CHOOSING; v++)
            if (strlen(variable_names[v]) == n && memcmp(variable_names[v], name, n) == 0)
                set |= 1u << v;
        name += n + strspn(name + n, " ");
    }
    return set;
}

/* The mode that a set (of at least one variable) is; NULL when it is none. */
static const char *find_set(unsigned set)
{
    const quamba_datapath *row;
    for (size_t i = 0; (row = quamba_datapath_at(i)) != NULL; i++)
        if (set_of(row) == set) return row->id;
    return NULL;
}

/* A row, and knobs that differ from it. */
typedef struct variant {
    const char *id; /* NULL: the original fails */
    const char *knobs;
} variant;

/* What the original computes for a set of variables.  Its convolution returns codes for every set
 * without G; the mixer keeps or dequantizes them; the scan is the first that fits. */
static variant fork_variant(unsigned set)
{
    const bool p = (set & BIT(P)) != 0, g = (set & BIT(G)) != 0, q23 = (set & BIT(23)) != 0;
    const bool gated = (set & (BIT(F) | BIT(24) | BIT(3))) != 0;
    const bool codes = !g && (!gated || (p && !q23));
    if (g && !gated) return (variant){NULL, NULL};
    if (codes) return (variant){p ? "2-1" : "0", NULL};
    if (set & BIT(3)) return g ? (variant){"4", "scan=se"} : (variant){"3@fork", NULL};
    if (set & BIT(24)) return g ? (variant){"4", NULL} : (variant){"2-4@fork", NULL};
    if (q23) return g ? (variant){"4", "u=req"} : (variant){"2-3@fork", NULL};
    if (set & BIT(C))
        return g ? (variant){"4", "u=req,scan=fused,state=i8end"} : (variant){"2-0", NULL};
    if (p) return (variant){"4", "u=req"}; /* numbers with P alone: only G makes them */
    return g ? (variant){"4", NULL} : (variant){"2-2", NULL};
}

/* ---- texts ----------------------------------------------------------------------------------- */

static const char refusal_of_1[] =
    "mode 1 was removed: its B, C and dt were INT8 all the same, so it was no FP32 bound, and mode "
    "3 took its place; use 3 for an FP32 convolution output with an FP32 scan, 6-1 for FP32 B, C "
    "and dt as well, fp16 for the unquantized model that QUICK_RUN.sh used to call mode 1";

static bool can_be_chosen(const quamba_datapath *row)
{
    return !quamba_datapath_get_info(row).removed;
}

void qc_mode_ids(qm_text *text)
{
    const quamba_datapath *row;
    for (size_t i = 0, n = 0; (row = quamba_datapath_at(i)) != NULL; i++)
        if (can_be_chosen(row))
            qm_text_printf(text, "%s%s", n++ > 0 ? " " : "", quamba_datapath_id(row));
}

static void add_ids(qm_text *text)
{
    qm_text_puts(text, "; modes: ");
    qc_mode_ids(text);
}

/* The variables of a set; the flag for those that it set. */
static void add_set(qm_text *text, unsigned set, unsigned from_flag)
{
    size_t n = 0;
    for (unsigned v = 0; v < QC_N_CHOOSING; v++)
        if (set & (1u << v))
            qm_text_printf(text, "%s%s", n++ > 0 ? ", " : "",
                           from_flag & (1u << v) ? "--float-sim-asic-int8" : variable_names[v]);
}

/* ---- ids ------------------------------------------------------------------------------------- */

/* Letters in lower case and digits of text, a leading "mode" dropped, into out. */
static void reduce(char out[16], const char *text)
{
    size_t n = 0;
    for (; *text != '\0' && n < 15; text++)
        if (isalnum((unsigned char)*text)) out[n++] = (char)tolower((unsigned char)*text);
    out[n] = '\0';
    if (strncmp(out, "mode", 4) == 0) memmove(out, out + 4, n - 4 + 1);
}

/* The id that was meant where only dashes, dots, blanks or "mode" are wrong; NULL: none. */
static const char *near_miss(const char *reduced)
{
    const quamba_datapath *row;
    char id[16];
    for (size_t i = 0; (row = quamba_datapath_at(i)) != NULL; i++) {
        reduce(id, quamba_datapath_id(row));
        if (strcmp(id, reduced) == 0) return quamba_datapath_id(row);
    }
    return NULL;
}

/* An id that someone typed; NULL after filling error. */
static const char *read_id(const char *source, const char *text, qm_text *error)
{
    char reduced[16];
    const quamba_datapath *row = quamba_datapath_find(text);
    if (row != NULL && can_be_chosen(row)) return quamba_datapath_id(row);
    reduce(reduced, text);
    if (text[strspn(text, " \t\r\n")] == '\0') {
        qm_text_printf(error, "no mode is given: name one with --mode ID or with QUAMBA_MODE=ID");
    } else if (strcmp(reduced, "1") == 0) {
        qm_text_printf(error, "%s %s: %s", source, text, refusal_of_1);
    } else if (strcmp(reduced, "55") == 0) {
        qm_text_printf(error, "%s %s: 5-5 was never assigned in any version", source, text);
    } else {
        const char *meant = near_miss(reduced);
        qm_text_printf(error, "%s: there is no mode \"%.60s\"", source, text);
        if (meant != NULL) qm_text_printf(error, ": did you mean %s?", meant);
        qm_text_printf(error, "; for example --mode %s", meant != NULL ? meant : "2-4");
    }
    add_ids(error);
    return NULL;
}

/* ---- sources --------------------------------------------------------------------------------- */

static bool same_word(const char *text, const char *word)
{
    while (*word != '\0' && tolower((unsigned char)*text) == *word)
        text++, word++;
    return *text == '\0' && *word == '\0';
}

/* True when the variable counts as true; a warning when it is no truth value. */
static bool is_true(qc_mode_choice *choice, qc_variable v, const char *text)
{
    if (text == NULL || text[0] == '\0' || same_word(text, "false")) return false;
    if (same_word(text, "true")) return true;
    qm_text_printf(&choice->warnings,
                   "%s is \"%.40s\", neither true nor false: it counts as false\n",
                   variable_names[v], text);
    return false;
}

/* What a set of variables that is no mode needs said. */
static void explain_conflict(qm_text *error, unsigned set, unsigned from_flag)
{
    size_t n = 0;
    qm_text_puts(error, "the variables ");
    add_set(error, set, from_flag);
    qm_text_puts(error, " together are no mode");
    const quamba_datapath *row;
    for (size_t i = 0; (row = quamba_datapath_at(i)) != NULL; i++) {
        const unsigned its = set_of(row);
        if (its == 0 || (its & set) != its) continue;
        qm_text_printf(error, "%s%s (", n++ > 0 ? ", " : ": among them are those of ", row->id);
        add_set(error, its, from_flag);
        qm_text_puts(error, ")");
    }
    if (n == 0) qm_text_puts(error, ": no mode's variables are among them");
    const variant fork = fork_variant(set);
    if (fork.id == NULL)
        qm_text_puts(error, "; the original fails on them, in x_proj");
    else
        qm_text_printf(
            error, "; the original would run mode %s%s%s: --legacy-env=fork asks for that", fork.id,
            fork.knobs != NULL ? " with " : "", fork.knobs != NULL ? fork.knobs : "");
    qm_text_puts(error, "; or name a mode with --mode ID");
}

/* The mode that the variables choose; a NULL id after filling error. */
static variant read_variables(bool as_fork, unsigned set, unsigned from_flag, qm_text *error)
{
    variant result = {find_set(set), NULL};
    if (as_fork) result = fork_variant(set);
    if (result.id == NULL) explain_conflict(error, set, from_flag);
    return result;
}

/* A source of lower rank, silent where it agrees: the mode it names, or the problem with it. */
static void compare(qc_mode_choice *choice, bool strict, const char *source, const char *id,
                    const char *problem)
{
    if (id != NULL && strcmp(id, choice->id) == 0) return;
    qm_text *out = strict ? &choice->error : &choice->warnings;
    if (strict && choice->error.size > 0) return; /* one is enough */
    qm_text_printf(out, "%s chooses mode %s, but %s ", choice->source.data, choice->id, source);
    if (id != NULL)
        qm_text_printf(out, "names mode %s", id);
    else
        qm_text_printf(out, "cannot be followed (%s)", problem != NULL ? problem : "");
    if (strict)
        qm_text_puts(out, ": --strict-mode wants one choice");
    else
        qm_text_printf(out, ": %s counts\n", choice->source.data);
}

/* A feature that is gone: the first that is asked for fills error. */
static void refuse_removed(qc_mode_choice *choice, const qc_mode_request *request)
{
    static const struct {
        qc_variable variable;
        const char *instead;
    } removed[] = {
        {QC_VAR_RESEARCH_SE,  "4 (a selective grid) or 5-3 (a second scale for outliers)"},
        {QC_VAR_SCALE_FACTOR, "5-3 (a second scale for outliers, found from the data)"   },
        {QC_VAR_ASIC,         "2-2 (FP32 numbers on the INT8 grid)"                      },
        {QC_VAR_BETTER_SCALE, "2-4 (FP32 u, which no scale clips)"                       },
        {QC_VAR_OWN_SCALE,    "5-3 (a second scale for outliers)"                        },
    };
    const char *const *texts = request->variables;
    if (is_true(choice, QC_VAR_SSM_INPUT, texts[QC_VAR_SSM_INPUT])) {
        qm_text_printf(&choice->error, "FP32_SSM_INPUT: %s", refusal_of_1);
        add_ids(&choice->error);
        return;
    }
    for (size_t i = 0; i < QM_COUNT(removed); i++) {
        const qc_variable v = removed[i].variable;
        const bool asked =
            v == QC_VAR_SCALE_FACTOR ? texts[v] != NULL : is_true(choice, v, texts[v]);
        if (!asked || choice->error.size > 0) continue;
        qm_text_printf(&choice->error, "%s: this feature was removed: the nearest mode is %s",
                       variable_names[v], removed[i].instead);
        add_ids(&choice->error);
    }
}

/* ---- the choice ------------------------------------------------------------------------------ */

/* text without blanks around it, in out; false when nothing is left. */
static bool strip(qm_text *out, const char *text)
{
    static const char blanks[] = " \t\r\n\v\f";
    if (text == NULL) return false;
    text += strspn(text, blanks);
    size_t n = strlen(text);
    while (n > 0 && strchr(blanks, text[n - 1]) != NULL)
        n--;
    qm_text_add(out, text, n);
    return n > 0 && !out->failed;
}

static bool is_2x(const char *id) { return strncmp(id, "2-", 2) == 0 && strchr(id, '@') == NULL; }

/* quamba_mode: without blanks, NULL when absent. */
static void choose(qc_mode_choice *choice, const qc_mode_request *request, const char *quamba_mode,
                   unsigned set, unsigned from_flag)
{
    qm_text names = {0}, problem = {0};
    const bool only_flag = set != 0 && set == from_flag;
    if (set != 0) add_set(&names, set, from_flag);
    if (request->mode != NULL) {
        qm_text_puts(&choice->source, "--mode");
        choice->id = read_id("--mode", request->mode, &choice->error);
    } else if (quamba_mode != NULL) {
        qm_text_puts(&choice->source, "QUAMBA_MODE");
        choice->id = read_id("QUAMBA_MODE", quamba_mode, &choice->error);
    } else if (set != 0) {
        const variant chosen = read_variables(request->as_fork, set, from_flag, &choice->error);
        if (names.data != NULL) qm_text_puts(&choice->source, names.data);
        choice->id = chosen.id;
        choice->knobs = chosen.knobs;
    } else {
        qm_text_puts(&choice->source, "default");
    }
    if (choice->id != NULL && request->mode != NULL && quamba_mode != NULL) {
        const char *id = read_id("QUAMBA_MODE", quamba_mode, &problem);
        compare(choice, request->strict, "QUAMBA_MODE", id, problem.data);
        qm_text_free(&problem);
    }
    if (choice->id != NULL && (request->mode != NULL || quamba_mode != NULL) && set != 0 &&
        !only_flag) {
        const char *id = read_variables(request->as_fork, set, from_flag, &problem).id;
        compare(choice, request->strict, names.data != NULL ? names.data : "", id, problem.data);
        qm_text_free(&problem);
    }
    if (choice->id != NULL && request->float_sim_flag && !is_2x(choice->id))
        qm_text_printf(&choice->warnings,
                       "--float-sim-asic-int8 has no effect in mode %s: it belongs to 2-0 to 2-4\n",
                       choice->id);
    choice->source.failed |= names.failed;
    qm_text_free(&names);
}

bool qc_mode_select(qc_mode_choice *choice, const qc_mode_request *request)
{
    *choice = (qc_mode_choice){0};
    qm_text quamba_mode = {0};
    unsigned set = 0, from_flag = 0;
    for (unsigned v = 0; v < QC_N_CHOOSING; v++)
        if (is_true(choice, (qc_variable)v, request->variables[v])) set |= 1u << v;
    if (request->float_sim_flag && !(set & BIT(F))) from_flag = BIT(F);
    set |= from_flag;
    const bool named = strip(&quamba_mode, request->quamba_mode);
    choose(choice, request, named ? quamba_mode.data : NULL, set, from_flag);
    if (choice->error.size == 0) refuse_removed(choice, request);
    const bool failed = quamba_mode.failed || choice->source.failed || choice->warnings.failed ||
                        choice->error.failed;
    qm_text_free(&quamba_mode);
    if (failed) qm_text_free(&choice->error);
    return !failed && choice->error.size == 0;
}

void qc_mode_choice_free(qc_mode_choice *choice)
{
    qm_text_free(&choice->source);
    qm_text_free(&choice->warnings);
    qm_text_free(&choice->error);
    *choice = (qc_mode_choice){0};
}

/* The knobs as a table: what the command line calls them, and which values go together. */
#ifndef QM_DATAPATH_KNOBS_H
#define QM_DATAPATH_KNOBS_H

#include "datapath/datapath.h"

/* In the order of qm_knobs, which is that of the datapath. */
typedef enum qm_knob_id {
    QM_KNOB_IP,
    QM_KNOB_CIN,
    QM_KNOB_CONV,
    QM_KNOB_GRID,
    QM_KNOB_RND,
    QM_KNOB_XP,
    QM_KNOB_LIN,
    QM_KNOB_BC,
    QM_KNOB_U,
    QM_KNOB_SCAN,
    QM_KNOB_STATE,
    QM_KNOB_Y,
    QM_KNOB_Z,
    QM_N_KNOBS
} qm_knob_id;

enum { QM_MAX_VALUES = 10 };

typedef struct qm_knob {
    const char *name, *long_name;
    size_t offset; /* of its enum in qm_knobs */
    const char *meaning;
    const char *values[QM_MAX_VALUES + 1]; /* by enumerator, ends with NULL */
} qm_knob;

extern const qm_knob qm_knob_table[QM_N_KNOBS];

int32_t qm_knob_count(qm_knob_id id); /* of values */
int32_t qm_knob_get(const qm_knobs *knobs, qm_knob_id id);
void qm_knob_set(qm_knobs *knobs, qm_knob_id id, int32_t value);

/* "conv=deq,grid=sel": the knobs that differ from base, all of them with base NULL, in the order of
 * the table; "" for none.  Cut to capacity as snprintf does; returns the whole length. */
size_t qm_knobs_print(const qm_knobs *knobs, const qm_knobs *base, char *text, size_t capacity);

/* True when knobs break no rule. */
bool qm_knobs_valid(const qm_knobs *knobs);

/* Changes as few knobs as it takes to make them valid, if it can be those that are as in base (may
 * be NULL); the others were chosen.  knobs break a rule. */
void qm_knobs_repair(qm_knobs *knobs, const qm_knobs *base);

/* Knobs that hand the same numbers to the scan and to x_proj become equal: dequantizing a code and
 * quantizing it again gives the code (spec/modes.md 4.1). */
qm_knobs qm_knobs_canonical(const qm_knobs *knobs);

#endif

/* Which knobs go together (spec/modes.md 3.2), what to do about those that do not, and which
 * combinations come to the same. */
#include "datapath/knobs.h"

#include "base/mem.h"

#include <stdio.h>

#define V(value) (1u << (value))

/* Where a has one of its values (a bit each), b must have one of these. */
typedef struct rule {
    qm_knob_id a;
    uint32_t when;
    qm_knob_id b;
    uint32_t allowed;
    const char *why;
} rule;

/* clang-format off */
static const rule rules[] = {
    {QM_KNOB_CIN, V(QM_CIN_DYN_TENSOR) | V(QM_CIN_DYN_TOKEN), QM_KNOB_IP, V(QM_IP_F32),
     "a scale is found at run time for numbers that have none yet"},
    {QM_KNOB_XP, V(QM_XP_CODES), QM_KNOB_GRID, V(QM_GRID_I8) | V(QM_GRID_VQ),
     "x_proj can read codes only where the convolution's output has them"},
    {QM_KNOB_U, V(QM_U_CODES) | V(QM_U_DEQ) | V(QM_U_DEQ_REQ), QM_KNOB_GRID, V(QM_GRID_I8) | V(QM_GRID_VQ),
     "the scan can read codes only where the convolution's output has them"},
    {QM_KNOB_XP, V(QM_XP_REQ_GRID) | V(QM_XP_VAL), QM_KNOB_GRID, ~V(QM_GRID_I8),
     "codes are no numbers that x_proj could read or quantize"},
    {QM_KNOB_U, V(QM_U_REQ) | V(QM_U_VAL), QM_KNOB_GRID, ~V(QM_GRID_I8),
     "codes are no numbers that the scan could read; u=deq makes them"},
    {QM_KNOB_XP, V(QM_XP_VAL), QM_KNOB_LIN, V(QM_LIN_F32),
     "an INT8 x_proj multiplies codes"},
    {QM_KNOB_BC, ~V(QM_BC_I8), QM_KNOB_LIN, V(QM_LIN_F32),
     "INT8 x_proj and dt_proj end in codes"},
    {QM_KNOB_SCAN, V(QM_SCAN_SE) | V(QM_SCAN_MAMBA), QM_KNOB_U, V(QM_U_DEQ) | V(QM_U_VAL),
     "this scan has no INT8 u"},
    {QM_KNOB_SCAN, V(QM_SCAN_MAMBA), QM_KNOB_BC, V(QM_BC_VQ) | V(QM_BC_F32),
     "this scan has no INT8 dt, B and C"},
};
/* clang-format on */

static const rule *broken_rule(const qm_knobs *knobs)
{
    for (size_t i = 0; i < QM_COUNT(rules); i++) {
        const rule *r = &rules[i];
        if ((r->when & V(qm_knob_get(knobs, r->a))) && !(r->allowed & V(qm_knob_get(knobs, r->b))))
            return r;
    }
    return NULL;
}

bool qm_knobs_valid(const qm_knobs *knobs) { return !broken_rule(knobs); }

/* ---- repair ----------------------------------------------------------------------------------
 */

/* Tries all ways to change n of the knobs from first on that may change (a bit each). */
static bool change(qm_knobs *knobs, uint32_t may_change, qm_knob_id first, int32_t n)
{
    if (n == 0) return qm_knobs_valid(knobs);
    for (qm_knob_id id = first; id < QM_N_KNOBS; id++) {
        if (!(may_change & (1u << id))) continue;
        const int32_t was = qm_knob_get(knobs, id), n_values = qm_knob_count(id);
        for (int32_t value = 0; value < n_values; value++) {
            if (value == was) continue;
            qm_knob_set(knobs, id, value);
            if (change(knobs, may_change, id + 1, n - 1)) return true;
        }
        qm_knob_set(knobs, id, was);
    }
    return false;
}

void qm_knobs_repair(qm_knobs *knobs, const qm_knobs *base)
{
    uint32_t ruled = 0, chosen = 0; /* knobs that some rule names; that differ from base */
    for (size_t i = 0; i < QM_COUNT(rules); i++)
        ruled |= 1u << rules[i].a | 1u << rules[i].b;
    for (qm_knob_id id = 0; base && id < QM_N_KNOBS; id++)
        if (qm_knob_get(knobs, id) != qm_knob_get(base, id)) chosen |= 1u << id;
    for (int32_t n = 1; base && n <= QM_N_KNOBS; n++)
        if (change(knobs, ruled & ~chosen, 0, n)) return;
    for (int32_t n = 1; n <= QM_N_KNOBS; n++) /* row 0 is valid, so this ends */
        if (change(knobs, ruled, 0, n)) return;
}

quamba_status quamba_datapath_validate(const quamba_datapath *datapath, quamba_error *error)
{
    const qm_knobs *k = &datapath->knobs, *base = datapath->base ? &datapath->base->knobs : NULL;
    const rule *r = datapath->quantized ? broken_rule(k) : NULL;
    if (!r) return QUAMBA_OK;
    qm_knobs legal = *k;
    char list[320];
    qm_knobs_repair(&legal, base);
    qm_knobs_print(&legal, base, list, sizeof list);
    const qm_knob *a = &qm_knob_table[r->a], *b = &qm_knob_table[r->b];
    return qm_fail(error, QUAMBA_E_ARGUMENT, 0,
                   "%s=%s does not go with %s=%s: %s; a legal neighbour%s%s: %s", a->name,
                   a->values[qm_knob_get(k, r->a)], b->name, b->values[qm_knob_get(k, r->b)],
                   r->why, base ? " in mode " : "", base ? datapath->base->id : "",
                   list[0] == '\0' ? "the mode as it is" : list);
}

/* ---- what comes to the same ------------------------------------------------------------------
 */

/* Quantizing a value of the grid gives the code of the value before it. */
static bool keeps_codes(qm_grid grid)
{
    return grid == QM_GRID_I8 || grid == QM_GRID_F32 || grid == QM_GRID_VQ || grid == QM_GRID_SEL;
}

qm_knobs qm_knobs_canonical(const qm_knobs *knobs)
{
    qm_knobs k = *knobs;
    const bool on_grid = k.grid == QM_GRID_I8 || k.grid == QM_GRID_VQ;
    if ((k.u == QM_U_REQ && keeps_codes(k.grid)) || (k.u != QM_U_REQ && on_grid)) k.u = QM_U_CODES;
    if (k.xp == QM_XP_REQ || (k.xp == QM_XP_REQ_GRID && keeps_codes(k.grid)) || on_grid)
        k.xp = QM_XP_CODES;
    if (k.u == QM_U_CODES && k.xp == QM_XP_CODES) k.grid = QM_GRID_I8;
    if (k.u == QM_U_VAL && k.xp == QM_XP_VAL && k.grid == QM_GRID_F32) k.rnd = QM_RND_AWAY;
    return k;
}

bool quamba_datapath_same(const quamba_datapath *a, const quamba_datapath *b)
{
    if (!a->quantized || !b->quantized) return a == b;
    const qm_knobs p = qm_knobs_canonical(&a->knobs), q = qm_knobs_canonical(&b->knobs);
    return qm_knobs_print(&p, &q, NULL, 0) == 0;
}

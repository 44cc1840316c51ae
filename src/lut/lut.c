#include "lut/lut.h"

#include "base/half.h"
#include "base/mem.h"
#include "op/sigmoid.h"
#include "op/silu.h"
#include "op/softplus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- functions ------------------------------------------------------------------------------- */

/* Plain functions, so that their addresses can stand in the table. */
static float exp_of(float x) { return qm_expf(x); }
static float exp2_of(float x) { return qm_exp2f(x); }
static float silu_of(float x) { return qm_op_silu(x); }
static float sigmoid_of(float x) { return qm_op_sigmoid(x); }
static float softplus_of(float x) { return qm_op_softplus(x); }
static float softplus_log_of(float x) { return qm_op_softplus_log(x); }

static double exp2_truth(double x) { return qm_exp64(x * 0x1.62e42fefa39efp-1); }
static double sigmoid_truth(double x) { return 1.0 / (1.0 + qm_exp64(-x)); }
static double silu_truth(double x) { return x / (1.0 + qm_exp64(-x)); }

static double softplus_truth(double x)
{
    if (x > 40.0) return x; /* e^-x is below half an ulp */
    const double e = qm_exp64(x), u = 1.0 + e;
    return qm_log64(u) + (e - (u - 1.0)) / u; /* what the sum lost comes back */
}

static const qm_lut_function functions[] = {
    {"exp",          "e^x",                                                 exp_of,          qm_exp64      },
    {"exp2",         "2^x",                                                 exp2_of,         exp2_truth    },
    {"silu",         "x / (1 + e^-x)",                                      silu_of,         silu_truth    },
    {"sigmoid",      "1 / (1 + e^-x)",                                      sigmoid_of,      sigmoid_truth },
    {"softplus",     "log1p(e^x), x above 20: a prefill's time step",       softplus_of,     softplus_truth},
    {"softplus-log", "log(1 + e^x), x above 20: a decode step's time step", softplus_log_of,
     softplus_truth                                                                                        },
};

const qm_lut_function *qm_lut_function_at(size_t index)
{
    return index < QM_COUNT(functions) ? &functions[index] : NULL;
}

const qm_lut_function *qm_lut_function_find(const char *name)
{
    for (size_t i = 0; i < QM_COUNT(functions); i++)
        if (strcmp(functions[i].name, name) == 0) return &functions[i];
    return NULL;
}

/* ---- formats --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int32_t bits;
    bool has_scale;
} kinds[] = {
    [QM_LUT_I8] = {"i8",  8,  true },
    [QM_LUT_I16] = {"i16", 16, true },
    [QM_LUT_F16] = {"f16", 16, false},
    [QM_LUT_F32] = {"f32", 32, false},
};

quamba_status qm_lut_format_parse(qm_lut_format *format, const char *text, quamba_error *err)
{
    const char *colon = strchr(text, ':');
    const size_t n = colon ? (size_t)(colon - text) : strlen(text);
    size_t kind = 0;
    while (kind < QM_COUNT(kinds) &&
           (strlen(kinds[kind].name) != n || strncmp(kinds[kind].name, text, n) != 0))
        kind++;
    if (kind == QM_COUNT(kinds))
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                       "%s: no number format; there are i8:SCALE, i16:SCALE, f16 and f32", text);
    *format = (qm_lut_format){.kind = (qm_lut_kind)kind};
    if (!kinds[kind].has_scale)
        return colon ? qm_fail(err, QUAMBA_E_ARGUMENT, 0, "%s: %s has no scale", text,
                               kinds[kind].name)
                     : QUAMBA_OK;
    char *end = NULL;
    if (colon) format->scale = strtof(colon + 1, &end);
    if (!colon || end == colon + 1 || *end != '\0' || !(format->scale > 0.0f) ||
        !(format->scale < INFINITY))
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                       "%s: needs a scale, a positive number, as in %s:0.05", text,
                       kinds[kind].name);
    return QUAMBA_OK;
}

const char *qm_lut_format_name(const qm_lut_format *format, char out[32])
{
    if (kinds[format->kind].has_scale)
        snprintf(out, 32, "%s:%.9g", kinds[format->kind].name, (double)format->scale);
    else
        snprintf(out, 32, "%s", kinds[format->kind].name);
    return out;
}

int32_t qm_lut_format_bits(const qm_lut_format *format) { return kinds[format->kind].bits; }

/* The number to a code of n bits, as base/code.h does it for 8; false when it does not hold it. */
static bool encode(float y, float scale, int32_t n, bool away, int32_t *code)
{
    const float limit = (float)(1 << (n - 1)), r = away ? roundf(y / scale) : rintf(y / scale);
    *code = r >= limit ? (1 << (n - 1)) - 1 : r < -limit ? -(1 << (n - 1)) : 0;
    if (!(r >= -limit && r < limit)) return false;
    *code = (int32_t)r;
    return true;
}

/* One unit in the last place of a binary float with so many fraction bits, around y. */
static double ulp_at(double y, int32_t fraction, int32_t lowest)
{
    int exponent;
    frexp(y, &exponent); /* y = m 2^exponent, m in [0.5, 1) */
    return ldexp(1.0, (y == 0.0 || exponent - 1 < lowest ? lowest : exponent - 1) - fraction);
}

/* ---- entries --------------------------------------------------------------------------------- */

static void take_input(const qm_lut_spec *spec, size_t table, size_t address, qm_lut_entry *entry)
{
    const float scale = spec->in.scale;
    if (spec->in.kind == QM_LUT_F16) {
        entry->code = (int32_t)address;
        entry->x = qm_f32_f16((uint16_t)address);
    } else {
        entry->code = spec->in.kind == QM_LUT_I8 ? (int8_t)address : (int16_t)address;
        entry->x = scale * (float)entry->code;
    }
    if (!spec->biases) return;
    const float bias = spec->biases[table];
    entry->x = spec->fused && spec->in.kind != QM_LUT_F16 ? fmaf(scale, (float)entry->code, bias)
                                                          : entry->x + bias;
}

qm_lut_entry qm_lut_entry_at(const qm_lut_spec *spec, size_t table, size_t address)
{
    qm_lut_entry e = {0};
    double unit = (double)spec->out.scale;
    int32_t code;
    take_input(spec, table, address, &e);
    const float y = spec->function->of(e.x);
    e.truth = spec->function->truth((double)e.x);
    switch (spec->out.kind) {
    case QM_LUT_I8:
    case QM_LUT_I16:
        e.is_lost = !encode(y, spec->out.scale, kinds[spec->out.kind].bits, spec->away, &code);
        e.bits = (uint32_t)code & (spec->out.kind == QM_LUT_I8 ? 0xffu : 0xffffu);
        e.y = (double)spec->out.scale * code;
        break;
    case QM_LUT_F16:
        e.bits = qm_f16_f32(y);
        e.y = (double)qm_f32_f16((uint16_t)e.bits);
        unit = ulp_at(e.truth, 10, -14);
        break;
    case QM_LUT_F32:
        e.bits = qm_bits_f32(y);
        e.y = (double)y;
        unit = ulp_at(e.truth, 23, -126);
        break;
    }
    e.is_lost = e.is_lost || !isfinite(e.x) || !isfinite(e.y);
    if (!e.is_lost) e.error = fabs(e.y - e.truth) / unit;
    return e;
}

static void take_note(qm_lut *lut, size_t table, const qm_lut_entry *e)
{
    if (isfinite(e->x)) {
        lut->x_low = fminf(lut->x_low, e->x);
        lut->x_high = fmaxf(lut->x_high, e->x);
    }
    if (isfinite(e->y)) {
        lut->y_low = fmin(lut->y_low, e->y);
        lut->y_high = fmax(lut->y_high, e->y);
    }
    lut->n_lost += e->is_lost;
    if (!e->is_lost) lut->largest = fmax(lut->largest, fabs(e->y - e->truth));
    if (e->error > lut->worst.error || lut->worst.is_lost) {
        lut->worst = *e;
        lut->worst_table = table;
    }
}

quamba_status qm_lut_make(qm_lut *lut, const qm_lut_spec *spec, quamba_error *err)
{
    *lut = (qm_lut){.spec = *spec,
                    .n_tables = spec->biases ? spec->n_tables : 1,
                    .x_low = INFINITY,
                    .x_high = -INFINITY,
                    .y_low = HUGE_VAL,
                    .y_high = -HUGE_VAL,
                    .worst = {.is_lost = true}};
    if (spec->in.kind == QM_LUT_F32)
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                       "f32: no input of a table, 2^32 entries are too many; i8:SCALE, i16:SCALE "
                       "and f16 are");
    for (size_t t = 0; spec->biases && t < lut->n_tables; t++)
        if (!isfinite(spec->biases[t]))
            return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "bias %zu is %g: not a finite number", t,
                           (double)spec->biases[t]);
    lut->n_entries = (size_t)1 << kinds[spec->in.kind].bits;
    uint64_t bytes = sizeof *lut->bits * lut->n_entries;
    const bool fits = qm_mul_u64(bytes, lut->n_tables, &bytes) && bytes <= SIZE_MAX;
    lut->bits = fits ? malloc((size_t)bytes) : NULL;
    if (!lut->bits) return qm_fail_memory(err, bytes, "the table");
    for (size_t t = 0; t < lut->n_tables; t++)
        for (size_t i = 0; i < lut->n_entries; i++) {
            const qm_lut_entry e = qm_lut_entry_at(spec, t, i);
            lut->bits[t * lut->n_entries + i] = e.bits;
            take_note(lut, t, &e);
        }
    return QUAMBA_OK;
}

void qm_lut_free(qm_lut *lut)
{
    free(lut->bits);
    lut->bits = NULL;
}

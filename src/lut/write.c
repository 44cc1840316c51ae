/* A table as a file. */
#include "base/file.h"
#include "base/half.h"
#include "base/mem.h"
#include "base/text.h"
#include "lut/lut.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the file is of, each line begun with mark. */
static void describe(qm_text *out, const qm_lut *lut, const char *mark)
{
    const qm_lut_spec *spec = &lut->spec;
    const bool codes = spec->out.kind == QM_LUT_I8 || spec->out.kind == QM_LUT_I16;
    char in[32], to[32];
    qm_text_printf(out, "%s%s: %s\n", mark, spec->function->name, spec->function->meaning);
    qm_text_printf(out, "%s%s to %s", mark, qm_lut_format_name(&spec->in, in),
                   qm_lut_format_name(&spec->out, to));
    if (codes) qm_text_printf(out, ", ties %s", spec->away ? "away from zero" : "to even");
    qm_text_printf(out, "; address: the bits of the input code\n");
    if (lut->n_tables > 1)
        qm_text_printf(out, "%s%zu tables of %zu entries, one for each bias\n", mark, lut->n_tables,
                       lut->n_entries);
}

static void write_hex(qm_text *out, const qm_lut *lut)
{
    const int digits = (int)qm_lut_format_bits(&lut->spec.out) / 4;
    describe(out, lut, "// ");
    for (size_t t = 0; t < lut->n_tables; t++) {
        if (lut->n_tables > 1) qm_text_printf(out, "// table %zu\n", t);
        for (size_t i = 0; i < lut->n_entries; i++)
            qm_text_printf(out, "%0*" PRIx32 "\n", digits, lut->bits[t * lut->n_entries + i]);
    }
}

static void write_csv(qm_text *out, const qm_lut *lut)
{
    const int digits = (int)qm_lut_format_bits(&lut->spec.out) / 4;
    qm_text_puts(out, "table,address,code,input,bits,output,truth,error,lost\n");
    for (size_t t = 0; t < lut->n_tables; t++)
        for (size_t i = 0; i < lut->n_entries; i++) {
            const qm_lut_entry e = qm_lut_entry_at(&lut->spec, t, i);
            qm_text_printf(out, "%zu,%zu,%" PRId32 ",%.9g,%0*" PRIx32 ",%.9g,%.17g,%.4g,%d\n", t, i,
                           e.code, (double)e.x, digits, e.bits, e.y, e.truth, e.error,
                           (int)e.is_lost);
        }
}

static void write_c(qm_text *out, const qm_lut *lut)
{
    static const char *const types[] = {
        [QM_LUT_I8] = "int8_t",
        [QM_LUT_I16] = "int16_t",
        [QM_LUT_F16] = "uint16_t",
        [QM_LUT_F32] = "uint32_t",
    };
    const qm_lut_kind kind = lut->spec.out.kind;
    const int digits = (int)qm_lut_format_bits(&lut->spec.out) / 4;
    qm_text_puts(out, "#include <stdint.h>\n\n");
    describe(out, lut, "// ");
    qm_text_printf(out, "static const %s lut_", types[kind]);
    for (const char *c = lut->spec.function->name; *c; c++)
        qm_text_printf(out, "%c", *c == '-' ? '_' : *c);
    if (lut->n_tables > 1) qm_text_printf(out, "[%zu]", lut->n_tables);
    qm_text_printf(out, "[%zu] = {\n", lut->n_entries);
    for (size_t t = 0; t < lut->n_tables; t++) {
        if (lut->n_tables > 1) qm_text_puts(out, "{\n");
        for (size_t i = 0; i < lut->n_entries; i++) {
            const uint32_t bits = lut->bits[t * lut->n_entries + i];
            const char *end = i % 8 == 7 ? ",\n" : ", ";
            if (kind == QM_LUT_I8)
                qm_text_printf(out, "%d%s", (int8_t)bits, end);
            else if (kind == QM_LUT_I16)
                qm_text_printf(out, "%d%s", (int16_t)bits, end);
            else
                qm_text_printf(out, "0x%0*" PRIx32 "%s", digits, bits, end);
        }
        if (lut->n_tables > 1) qm_text_puts(out, "},\n");
    }
    qm_text_puts(out, "};\n");
}

/* NumPy's format, version 1.0: a header padded to 64 bytes, then the numbers, little-endian. */
static void write_npy(qm_text *out, const qm_lut *lut)
{
    static const char *const types[] = {
        [QM_LUT_I8] = "|i1",
        [QM_LUT_I16] = "<i2",
        [QM_LUT_F16] = "<f2",
        [QM_LUT_F32] = "<f4",
    };
    char shape[64], header[118] = {0};
    if (lut->spec.biases)
        snprintf(shape, sizeof shape, "(%zu, %zu)", lut->n_tables, lut->n_entries);
    else
        snprintf(shape, sizeof shape, "(%zu,)", lut->n_entries);
    snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }",
             types[lut->spec.out.kind], shape);
    qm_text_add(out, "\x93NUMPY\x01\x00\x76\x00", 10); /* 128 bytes in all */
    qm_text_printf(out, "%-117s\n", header);
    const int32_t bytes = qm_lut_format_bits(&lut->spec.out) / 8;
    for (size_t i = 0; i < lut->n_tables * lut->n_entries; i++) {
        const char word[4] = {(char)lut->bits[i], (char)(lut->bits[i] >> 8),
                              (char)(lut->bits[i] >> 16), (char)(lut->bits[i] >> 24)};
        qm_text_add(out, word, (size_t)bytes);
    }
}

quamba_status qm_lut_write(const qm_lut *lut, const char *path, quamba_error *err)
{
    static const struct {
        const char *ending;
        void (*write)(qm_text *out, const qm_lut *lut);
    } forms[] = {
        {".mem", write_hex},
        {".hex", write_hex},
        {".npy", write_npy},
        {".csv", write_csv},
        {".h",   write_c  }
    };
    for (size_t i = 0; i < QM_COUNT(forms); i++) {
        const size_t n = strlen(path), k = strlen(forms[i].ending);
        if (n <= k || strcmp(path + n - k, forms[i].ending) != 0) continue;
        qm_text out = {0};
        forms[i].write(&out, lut);
        quamba_status status = out.failed ? qm_fail_memory(err, out.size, path)
                                          : qm_file_write(path, out.data, out.size, err);
        qm_text_free(&out);
        return status;
    }
    return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                   "%s: what to write is said by the ending: .mem, .hex, .npy, .csv or .h", path);
}

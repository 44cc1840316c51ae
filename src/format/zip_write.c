#include "format/zip.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum {
    ALIGNMENT = 64,
    LOCAL_SIZE = 30,
    VERSION = 45,    /* of the format needed to read: zip64 */
    DATE = 0x0021,   /* 1980-01-01, the first day: files do not depend on the clock */
    PAD_ID = 0x4246, /* the extra field that PyTorch pads with, "FB" */
    MAX_32 = 0xffffffff
};

static void put(qm_text *out, uint64_t value, size_t n_bytes)
{
    for (; n_bytes > 0; n_bytes--, value >>= 8)
        qm_text_add(out, (const char[]){(char)(unsigned char)value}, 1);
}

quamba_status qm_zip_put(qm_zip_writer *zip, const void *data, size_t size, quamba_error *err)
{
    zip->at += size;
    return qm_writer_write(zip->file, data, size, err);
}

/* value in 32 bits, or the mark that the extra field holds it. */
static uint64_t clip(const qm_zip_writer *zip, uint64_t value)
{
    return value < zip->zip64_from ? value : MAX_32;
}

/* What the local header and the directory say alike. */
static void put_common(qm_text *out, const qm_zip_writer *zip, uint64_t size, uint32_t crc,
                       size_t n_name)
{
    put(out, VERSION, 2);
    put(out, 0, 2 + 2 + 2); /* no flags, stored, midnight */
    put(out, DATE, 2);
    put(out, crc, 4);
    put(out, clip(zip, size), 4); /* as stored, as it was */
    put(out, clip(zip, size), 4);
    put(out, n_name, 2);
}

static void put_local(qm_text *out, const qm_zip_writer *zip, const char *name, uint64_t size,
                      uint32_t crc)
{
    size_t n_name = strlen(name), n_zip64 = size < zip->zip64_from ? 0 : 20;
    uint64_t data = zip->at + LOCAL_SIZE + n_name + n_zip64 + 4;
    size_t n_pad = (size_t)(-data & (ALIGNMENT - 1));
    qm_text_add(out, "PK\3\4", 4);
    put_common(out, zip, size, crc, n_name);
    put(out, n_zip64 + 4 + n_pad, 2);
    qm_text_puts(out, name);
    if (n_zip64 > 0) {
        put(out, 1, 2);
        put(out, 16, 2);
        put(out, size, 8);
        put(out, size, 8);
    }
    put(out, PAD_ID, 2);
    put(out, n_pad, 2);
    for (; n_pad > 0; n_pad--)
        qm_text_puts(out, "Z");
}

static void put_entry(qm_text *out, const qm_zip_writer *zip, const char *name, uint64_t size,
                      uint32_t crc)
{
    bool big_size = size >= zip->zip64_from, big_offset = zip->at >= zip->zip64_from;
    size_t n_zip64 = (big_size ? 16u : 0u) + (big_offset ? 8u : 0u);
    qm_text_add(out, "PK\1\2", 4);
    put(out, VERSION, 2);
    put_common(out, zip, size, crc, strlen(name));
    put(out, n_zip64 > 0 ? n_zip64 + 4 : 0, 2);
    put(out, 0, 2 + 2 + 2 + 4); /* no comment, first part, no attributes */
    put(out, clip(zip, zip->at), 4);
    qm_text_puts(out, name);
    if (n_zip64 == 0) return;
    put(out, 1, 2);
    put(out, n_zip64, 2);
    if (big_size) {
        put(out, size, 8);
        put(out, size, 8);
    }
    if (big_offset) put(out, zip->at, 8);
}

quamba_status qm_zip_begin(qm_zip_writer *zip, const char *name, uint64_t size, uint32_t crc,
                           quamba_error *err)
{
    qm_text local = {0};
    put_local(&local, zip, name, size, crc);
    put_entry(&zip->directory, zip, name, size, crc);
    quamba_status status = local.failed || zip->directory.failed
                               ? qm_fail_memory(err, zip->directory.size, "the zip directory")
                               : qm_zip_put(zip, local.data, local.size, err);
    qm_text_free(&local);
    zip->n_members++;
    return status;
}

quamba_status qm_zip_finish(qm_zip_writer *zip, quamba_error *err)
{
    uint64_t n = zip->n_members, begin = zip->at, size = zip->directory.size;
    qm_text *out = &zip->directory;
    qm_text_add(out, "PK\6\6", 4); /* the zip64 records are always there, as PyTorch writes them */
    put(out, 44, 8);               /* bytes of this record after this number */
    put(out, VERSION, 2);
    put(out, VERSION, 2);
    put(out, 0, 4 + 4);
    put(out, n, 8);
    put(out, n, 8);
    put(out, size, 8);
    put(out, begin, 8);
    qm_text_add(out, "PK\6\7", 4);
    put(out, 0, 4);
    put(out, begin + size, 8);
    put(out, 1, 4);
    qm_text_add(out, "PK\5\6", 4);
    put(out, 0, 2 + 2);
    put(out, n < 0xffff ? n : 0xffff, 2);
    put(out, n < 0xffff ? n : 0xffff, 2);
    put(out, clip(zip, size), 4);
    put(out, clip(zip, begin), 4);
    put(out, 0, 2);
    if (out->failed) return qm_fail_memory(err, size, "the zip directory");
    return qm_zip_put(zip, out->data, out->size, err);
}

void qm_zip_writer_free(qm_zip_writer *zip) { qm_text_free(&zip->directory); }

/* The directory of a zip archive in memory whose members are stored, not compressed: what
 * torch.save writes.  docs/format/upstream.md describes the subset. */
#ifndef QM_FORMAT_ZIP_H
#define QM_FORMAT_ZIP_H

#include "base/file.h"
#include "base/text.h"

typedef struct qm_zip_member {
    const char *name; /* n_name bytes inside the archive, no final 0 */
    size_t n_name;
    const uint8_t *data;
    size_t size;
    uint32_t crc;
    uint64_t begin, end; /* local header and data, as offsets in the archive */
} qm_zip_member;

typedef struct qm_zip {
    qm_zip_member *members; /* sorted by name; owned, qm_zip_close */
    size_t n_members;
} qm_zip;

/* Sizes and checksums come from the central directory; every member lies inside the archive and
 * none overlaps another.  Checksums are not verified.  Compressed, encrypted and duplicate members
 * are refused. */
quamba_status qm_zip_open(qm_zip *zip, const uint8_t *data, size_t size, quamba_error *err);
void qm_zip_close(qm_zip *zip);

/* NULL when there is none of that name. */
const qm_zip_member *qm_zip_find(const qm_zip *zip, const char *name, size_t n_name);

/* Writing: members one after another, each with its size and checksum known beforehand, its data at
 * a multiple of 64 in the file.  zip64 records are used for sizes and offsets from zip64_from on,
 * 0xffffffff but for tests. */
typedef struct qm_zip_writer {
    qm_writer *file; /* borrowed */
    uint64_t at;     /* bytes written */
    uint64_t n_members;
    uint64_t zip64_from;
    qm_text directory; /* owned, qm_zip_writer_free */
} qm_zip_writer;

/* The header of a member; exactly size bytes must follow through qm_zip_put. */
quamba_status qm_zip_begin(qm_zip_writer *zip, const char *name, uint64_t size, uint32_t crc,
                           quamba_error *err);
quamba_status qm_zip_put(qm_zip_writer *zip, const void *data, size_t size, quamba_error *err);
/* The directory; the file is then complete (not committed). */
quamba_status qm_zip_finish(qm_zip_writer *zip, quamba_error *err);
void qm_zip_writer_free(qm_zip_writer *zip);

#endif

/* The directory of a zip archive in memory whose members are stored, not compressed: what
 * torch.save writes.  docs/format/upstream.md describes the subset. */
#ifndef QM_FORMAT_ZIP_H
#define QM_FORMAT_ZIP_H

#include "base/status.h"

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

#endif
